"""What the checks found in the library itself, each with the smallest test that shows it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

import drivetrain as dt
from drivetrain.train.callback import FIRST, CancelFit
from drivetrain.train.callbacks.ema import EMA
from tests.testing.makers import learner, line, mean_image, small_net


def test_evaluate_leaves_torchs_generator_with_a_dataloader_of_torch() -> None:
    loader = DataLoader(TensorDataset(*line()), batch_size=8)
    one = learner(small_net(), (loader, loader), "mse")
    for look in (one.evaluate, one.predictions):
        before = torch.get_rng_state()
        look()
        assert torch.equal(torch.get_rng_state(), before)


def test_predict_gives_tensors_without_a_graph_where_the_model_answers_a_view_of_a_parameter() -> (
    None
):
    answer: Any = mean_image().predict(torch.zeros(2, 4, 4))
    assert not answer.requires_grad
    assert answer.numpy().shape == (2, 4, 4)


def test_a_fit_with_averaged_weights_can_be_cancelled_before_it_begins() -> None:
    class Never(dt.Callback):
        order = FIRST - 1

        def before_fit(self, state: Any) -> None:
            raise CancelFit

    loaders = [(x, t) for x, t in zip(*(tensor.split(8) for tensor in line()), strict=True)]
    one = learner(small_net(), loaders, "mse", callbacks=[Never(), EMA()])
    one.fit(1)
    assert one.journal[-1].status == "cancelled"
