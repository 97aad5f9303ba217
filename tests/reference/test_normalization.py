"""Norms by hand beside torch's: values, gradients, running statistics over steps, defaults."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from drivetrain.reference import normalization as twin
from tests.reference.arrays import assert_equal, normal, torchs_gradients

SHAPES = [(6, 3), (4, 3, 5, 2)]


def both(shape: tuple[int, ...]) -> tuple[twin.BatchNorm, nn.Module]:
    """A batch norm of ours and of torch with the same scale and shift."""
    ours = twin.BatchNorm(shape[1])
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(shape[1]).double()
    ours.scale, ours.shift = normal(8, shape[1]), normal(9, shape[1])
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(ours.scale))
        theirs.bias.copy_(torch.from_numpy(ours.shift))
    return ours, theirs


@pytest.mark.row(139)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_comes_out_with_mean_0_and_variance_1(shape: tuple[int, ...]) -> None:
    x = 5 + 3 * normal(0, *shape)
    norm = twin.BatchNorm(shape[1], eps=0)
    found = norm(x, training=True)
    np.testing.assert_allclose(found.mean(axis=norm.axes(x)), 0, atol=1e-12)
    np.testing.assert_allclose(found.var(axis=norm.axes(x)), 1, atol=1e-12)
    mean = x.mean(axis=norm.axes(x))
    np.testing.assert_allclose(norm.running_mean, 0.1 * mean, atol=1e-12)  # it began at 0


@pytest.mark.row(139)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_gradients_and_running_statistics_are_torchs_over_steps(
    shape: tuple[int, ...],
) -> None:
    ours, theirs = both(shape)
    assert isinstance(theirs, nn.BatchNorm1d | nn.BatchNorm2d)
    for step in range(5):
        x, pull = 2 + step + normal(step, *shape), normal(100 + step, *shape)
        tensor = torch.tensor(x, requires_grad=True)
        output = theirs(tensor)
        gradients = torch.autograd.grad(
            (output * torch.from_numpy(pull)).sum(), [tensor, theirs.weight, theirs.bias]
        )
        assert_equal(ours(x, training=True), output)
        for found, wanted in zip(ours.gradients(x, pull, training=True), gradients, strict=True):
            assert_equal(found, wanted)
        assert theirs.running_mean is not None and theirs.running_var is not None
        assert_equal(ours.running_mean, theirs.running_mean)
        assert_equal(ours.running_var, theirs.running_var)


@pytest.mark.row(139)
@pytest.mark.parametrize("shape", SHAPES)
def test_at_predict_time_the_running_statistics_count_and_stay(shape: tuple[int, ...]) -> None:
    ours, theirs = both(shape)
    for step in range(3):
        x = 2 + normal(step, *shape)
        ours(x, training=True)
        theirs(torch.from_numpy(x))
    before = ours.running_mean.copy(), ours.running_var.copy()
    x, pull = normal(7, *shape), normal(8, *shape)
    theirs.eval()
    tensor = torch.tensor(x, requires_grad=True)
    output = theirs(tensor)
    gradients = torch.autograd.grad(
        (output * torch.from_numpy(pull)).sum(), [tensor, *theirs.parameters()]
    )
    assert_equal(ours(x, training=False), output)
    for found, wanted in zip(ours.gradients(x, pull, training=False), gradients, strict=True):
        assert_equal(found, wanted)
    assert_equal(ours.running_mean, before[0])
    assert_equal(ours.running_var, before[1])
    alone = ours(x[:1], training=False)  # an item's answer does not depend on its company
    assert_equal(alone, ours(x, training=False)[:1])


@pytest.mark.parametrize("shape", [(5, 6), (2, 4, 6)])
def test_layer_norm_is_torchs(shape: tuple[int, ...]) -> None:
    x, scale, shift, pull = normal(0, *shape), normal(1, 6), normal(2, 6), normal(3, *shape)
    output, gradients = torchs_gradients(
        lambda x, scale, shift: F.layer_norm(x, (6,), scale, shift), (x, scale, shift), pull
    )
    assert_equal(twin.layer_norm(x, scale, shift), output)
    for found, wanted in zip(twin.layer_norm_gradients(x, scale, pull), gradients, strict=True):
        assert_equal(found, wanted)


def test_an_item_s_layer_norm_needs_no_other_item() -> None:
    x, one, zero = normal(0, 4, 6), np.ones(6), np.zeros(6)
    assert np.array_equal(twin.layer_norm(x, one, zero)[:1], twin.layer_norm(x[:1], one, zero))
    batch = twin.BatchNorm(6)
    assert not np.allclose(batch(x, training=True)[:2], twin.BatchNorm(6)(x[:2], training=True))


def test_a_single_item_has_no_variance_to_train_by() -> None:
    with pytest.raises(ValueError) as caught:
        twin.BatchNorm(3)(normal(0, 1, 3), training=True)
    assert str(caught.value) == (
        "Batch norm got one number a channel in training, which is its own mean: all would become 0. "
        "Give a batch of 2 items or more."
    )
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        nn.BatchNorm1d(3)(torch.zeros(1, 3))


def test_defaults_are_torchs() -> None:
    ours, theirs = twin.BatchNorm(3), nn.BatchNorm2d(3)
    assert (ours.eps, ours.momentum) == (theirs.eps, theirs.momentum)
    assert theirs.running_mean is not None and theirs.running_var is not None
    for found, wanted in (
        (ours.scale, theirs.weight), (ours.shift, theirs.bias),
        (ours.running_mean, theirs.running_mean), (ours.running_var, theirs.running_var),
    ):  # fmt: skip
        assert found.tolist() == wanted.tolist()
    eps = inspect.signature(twin.layer_norm).parameters["eps"].default
    assert eps == inspect.signature(twin.layer_norm_gradients).parameters["eps"].default
    assert eps == nn.LayerNorm(3).eps
