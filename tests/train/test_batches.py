"""Means over an epoch: each batch weighs what the loss took its mean over."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import drivetrain as dt
from drivetrain import losses
from drivetrain.data.stream import StreamLoader
from drivetrain.data.tokens import TokenArray
from drivetrain.losses.tokens import num_tokens
from drivetrain.train import loop
from drivetrain.train.batches import num_terms, weighted_mean

WORDS = 7


class Next(nn.Module):
    """Scores of the next word from the word alone: (B, T) -> (B, V, T)."""

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.randn(WORDS, WORDS, generator=torch.Generator().manual_seed(3))
        self.scores = nn.Parameter(drawn)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.scores[tokens].transpose(1, 2)


def stream(count: int) -> StreamLoader:
    """Three batches of 4 rows; the last has 2 columns and the others 16."""
    ids = np.random.default_rng(count).integers(0, WORDS, count)
    return StreamLoader(TokenArray.from_lists([ids]), batch_size=4, seq_len=16)


def mean_over_tokens(model: nn.Module, loader: StreamLoader) -> float:
    """The oracle: torch's loss over all tokens of the epoch at once."""
    pairs = list(loader)
    scores = torch.cat([model(inputs).transpose(1, 2).flatten(0, 1) for inputs, _ in pairs])
    targets = torch.cat([targets.flatten() for _, targets in pairs])
    return F.cross_entropy(scores.double(), targets).item()


def test_the_loss_of_a_stream_is_the_mean_over_its_tokens() -> None:
    model, loader = Next(), stream(4 * 34)
    assert [targets.shape[1] for _, targets in loader] == [16, 16, 2]
    metrics = [dt.metrics.metric("perplexity")]
    found = loop.evaluate(model, loader, losses.token_cross_entropy, metrics=metrics)
    assert found.loss == pytest.approx(mean_over_tokens(model, loader), rel=1e-6)
    assert math.exp(found.loss) == pytest.approx(found.metrics["perplexity"], rel=1e-6)
    assert found.count == 12  # rows of the batches: items are what they were


def test_so_is_that_of_training() -> None:
    model = Next()
    expected = mean_over_tokens(model, stream(4 * 34))
    learner = dt.Learner(
        model,
        dt.Loaders(stream(4 * 34), stream(4 * 20)),
        "token_cross_entropy",
        progress=False,
        num_threads=1,
    )
    learner.fit(1, 1e-12)  # so little that the weights stay what they were
    assert learner.history[-1]["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_tokens_that_are_ignored_weigh_nothing() -> None:
    targets = torch.tensor([[1, 2, 0], [0, 0, 5]])
    ignoring = functools.partial(losses.token_cross_entropy, ignore_index=0)
    smoothed = functools.partial(ignoring, label_smoothing=0.1)
    assert num_terms(losses.token_cross_entropy, targets) == 6
    assert num_terms(ignoring, targets) == num_terms(smoothed, targets) == 3
    assert num_tokens(torch.tensor([[-100, 4]])) == 1


@pytest.mark.parametrize("loss_fn", [losses.cross_entropy, losses.mse, F.cross_entropy])
def test_other_losses_weigh_items(loss_fn: Any) -> None:
    assert num_terms(loss_fn, torch.zeros(5, 3)) == 5
    assert num_terms(loss_fn, torch.tensor(1.0)) == 1
    values = [torch.tensor(1.0), torch.tensor(4.0)]
    assert weighted_mean(values, [2, 1]) == 2.0
