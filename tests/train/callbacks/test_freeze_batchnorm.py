"""FreezeBatchnorm: statistics stay, and scale and shift where that is asked for."""

from __future__ import annotations

import copy

import pytest
import torch

from drivetrain.train import loop
from drivetrain.train.callbacks.freeze_batchnorm import FreezeBatchnorm
from tests.train.blobs import Grouped
from tests.train.callbacks.cutting import fit_state

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize("affine", [False, True])
def test_what_stays_and_what_trains(affine: bool) -> None:
    model = Grouped()
    loop.fit(fit_state(model=model, epochs=1))  # statistics of its own
    before = copy.deepcopy(model.state_dict())
    loop.fit(fit_state(FreezeBatchnorm(affine=affine), model=model))
    for name, tensor in model.state_dict().items():
        layer, _, entry = name.rpartition(".")
        is_norm = layer in ("early.1", "late.1")
        stays = entry in STATISTICS or (is_norm and affine)
        assert torch.equal(tensor, before[name]) == stays, name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_layers_compute_with_their_statistics_while_training() -> None:
    model = Grouped()
    modes: set[bool] = set()
    model.early[1].register_forward_hook(lambda module, _, __: modes.add(module.training))
    loop.fit(fit_state(FreezeBatchnorm(), model=model))
    assert modes == {False}
    loop.fit(fit_state(model=model, epochs=1))
    assert modes == {False, True}


def test_parameters_that_were_frozen_before_stay_so() -> None:
    model = Grouped()
    model.early.requires_grad_(False)
    loop.fit(fit_state(FreezeBatchnorm(affine=True), model=model, epochs=1))
    assert not any(parameter.requires_grad for parameter in model.early.parameters())
    assert all(parameter.requires_grad for parameter in model.late.parameters())
