"""The models of the workbook `titanic`, trained by torch in float64: what its cells are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drivetrain.sheets.passengers import FEATURES, Table
from drivetrain.sheets.titanic_cells import COUNT

LINEAR_STEPS, SIGMOID_STEPS, NET_STEPS = 18, 30, 40


@dataclass(frozen=True)
class Path:
    """Weights while they learn, by torch, float64: row k is after k steps."""

    weights: Tensor  # (steps + 1, 12)
    scores: (
        Tensor  # (steps + 1, 4): loss and accuracy of the rows learnt from, then of those held out
    )


@dataclass(frozen=True)
class NetPath:
    """A net while it learns."""

    first: Tensor  # (steps + 1, 2, 13): weights and bias of each neuron
    second: Tensor  # (steps + 1, 3): v1, v2, c
    scores: Tensor  # (steps + 1, 4)
    slopes: Tensor  # (29,) of the first step: neuron 1, neuron 2, v1, v2, c


def scored(predictions: Tensor, given: Table, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(4,) loss and accuracy of the rows learnt from, then of those held out."""
    found: list[Tensor] = []
    for part in (slice(given.train), slice(given.train, None)):
        p, y = predictions[part], given.y[part]
        found += [loss(p, y), ((p > 0.5) == (y > 0.5)).double().mean()]
    return torch.stack(found).detach()


def trained(given: Table, start: Tensor, lr: float, steps: int, *, sigmoid: bool) -> Path:
    """A linear model, with or without a sigmoid, by torch's SGD on the mean absolute error."""
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=lr)
    loss = nn.L1Loss()
    rows: list[Tensor] = []
    scores: list[Tensor] = []
    for _ in range(steps + 1):
        predictions = given.x @ weights
        predictions = predictions.sigmoid() if sigmoid else predictions
        rows.append(weights.detach().clone())
        scores.append(scored(predictions, given, loss))
        optimizer.zero_grad()
        loss(predictions[: given.train], given.y[: given.train]).backward()
        optimizer.step()
    return Path(torch.stack(rows), torch.stack(scores))


def trained_net(given: Table, first: Tensor, second: Tensor, lr: float) -> NetPath:
    """Two ReLU neurons and a linear one, by torch's SGD on the mean squared error."""
    net = nn.Sequential(nn.Linear(COUNT, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    hidden, last = net[0], net[2]
    assert isinstance(hidden, nn.Linear) and isinstance(last, nn.Linear)
    with torch.no_grad():
        hidden.weight.copy_(first[:, :COUNT])
        hidden.bias.copy_(first[:, COUNT])
        last.weight.copy_(second[None, :2])
        last.bias.copy_(second[2:])
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=lr), nn.MSELoss()
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    slopes: Tensor | None = None
    for _ in range(NET_STEPS + 1):
        predictions = net(given.x)[:, 0]
        one = torch.cat([hidden.weight, hidden.bias[:, None]], dim=1).detach()
        two = torch.cat([last.weight[0], last.bias]).detach()
        kept.append((one, two, scored(predictions, given, loss)))
        optimizer.zero_grad()
        loss(predictions[: given.train], given.y[: given.train]).backward()
        if slopes is None:
            grads = [p.grad for p in (hidden.weight, hidden.bias, last.weight, last.bias)]
            w, b, v, c = (g.clone() for g in grads if g is not None)
            slopes = torch.cat([w[0], b[:1], w[1], b[1:], v[0], c])
        optimizer.step()
    assert slopes is not None
    one, two, scores = (torch.stack(column) for column in zip(*kept, strict=True))
    return NetPath(one, two, scores, slopes)


def starts() -> tuple[Tensor, Tensor, Tensor]:
    """Where the weights begin: of the linear models (12,) as in the course's notebook, and of the net."""
    drawn = torch.rand(COUNT, generator=torch.Generator().manual_seed(442)).double() - 0.5
    order = (
        *("Age", "SibSp", "Parch", "log Fare", "Male", "Female"),
        *("Class 1", "Class 2", "Class 3", "Port C", "Port Q", "Port S"),
    )
    linear = torch.stack([drawn[order.index(name)] for name in FEATURES])
    generator = torch.Generator().manual_seed(8)
    first = (torch.rand(2, COUNT + 1, generator=generator, dtype=torch.float64) - 0.5).round(
        decimals=3
    )
    return linear, first, torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
