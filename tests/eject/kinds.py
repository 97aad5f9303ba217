"""Small tasks of every kind that a registered name may ask for, as a person's module has them."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

import drivetrain as dt
from tests.eject.project import blobs


class Scores(nn.Module):
    """So many scores for each item; of one, the number by itself."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, count))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.body(x)
        return scores.squeeze(1) if scores.shape[1] == 1 else scores


class Pixels(nn.Module):
    """A score of each class for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Reader(nn.Module):
    """A score of each of five words as the next one at each position; keeps its outputs when asked."""

    keeps_outputs = False

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 6)
        self.layer = nn.GRU(6, 6, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(6, 5)
        self.raw_output: Tensor | None = None
        self.dropped_output: Tensor | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        raw, _ = self.layer(self.embedding(tokens))
        dropped = self.dropout(raw)
        if self.keeps_outputs and self.training:
            self.raw_output, self.dropped_output = raw, dropped
        return self.head(dropped).transpose(1, 2)


def _split(x: Tensor, y: Tensor) -> tuple[dt.BatchLoader, dt.BatchLoader]:
    train = dt.BatchLoader(dt.TensorData(x[:45], y[:45]), batch_size=16, shuffle=True)
    return train, dt.BatchLoader(dt.TensorData(x[45:], y[45:]), batch_size=32)


def many_classes() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Eight classes."""
    return _split(*blobs(classes=8))


def yes_or_no() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Whether a point is of the first class, as 0.0 or 1.0."""
    x, y = blobs()
    return _split(x, (y == 0).float())


def positive_numbers() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """One number of 0 or more for each point."""
    x, _ = blobs()
    return _split(x, x.square().sum(dim=1))


def classes_of_pixels() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Pictures in which each pixel has the class of its strongest colour."""
    x = torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    return _split(x, x.argmax(dim=1))


def counting() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Rows of six words, each word the one before plus one; the word after each."""
    words = (torch.arange(60).unsqueeze(1) + torch.arange(7)) % 5
    return _split(words[:, :-1], words[:, 1:])


eight_scores, one_score = functools.partial(Scores, 8), functools.partial(Scores, 1)
