"""Three groups of points in the plane, and small nets that tell them apart: what many tests train."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain import store
from drivetrain.randomness import seeded


def blobs(count: int = 96) -> tuple[Tensor, Tensor]:
    """Three groups of points in the plane that a line tells apart: (N, 2) float, (N,) int64."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % 3
    centres = torch.tensor([[2.0, 0.0], [-2.0, 1.0], [0.0, -3.0]])
    return centres[targets] + 0.3 * torch.randn(count, 2, generator=generator), targets


def blob_loaders(batch_size: int = 16, num_workers: int = 0) -> dt.Loaders:
    inputs, targets = blobs()
    data = dt.TensorData(inputs, targets)
    return dt.Loaders(
        dt.BatchLoader(data, batch_size=batch_size, shuffle=True, num_workers=num_workers),
        dt.BatchLoader(data, batch_size=batch_size, num_workers=num_workers),
    )


def net(dropout: float = 0.0) -> nn.Module:
    with seeded(1, "test"):
        return nn.Sequential(
            nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3)
        )


class Grouped(nn.Module):
    """A body of two parts and a head, with batchnorm and dropout in it."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(2, "test"):
            self.early = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU())
            self.late = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.3))
            self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.late(self.early(x)))

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.early], [self.late], [self.head]]


def learner(model: Any = None, **options: Any) -> dt.Learner:
    return dt.Learner(net() if model is None else model, blob_loaders(), progress=False, **options)


def weights(of: dt.Learner) -> str:
    return store.weights_sha256(of.model.state_dict())
