"""Logistic regression on given features, with its penalty chosen by items that are held out.

    model = fit_logistic(features, targets, num_classes=3, seed=42)
    chances = model.chances(others)

The model of a fold, where features come from a net that has never seen the labels. Features are
standardised and divided by the root of their number, so that an item's squared length is about 1
whatever they are; beside the mean loss stands half the squared weights, times `penalty`. Of the
penalties the one whose held-out items are the least surprising is taken, so that its probabilities can be
believed: a margin of 0.9 should mean one.

Letters: N items, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.randomness import permutation

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
HELD_OUT = 0.2
MOST_TRIED = 5000
"""Items by which the penalty is chosen: more of them choose the same."""
STEPS = 60
"""Of L-BFGS (Liu & Nocedal 1989)."""


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted model: standardise, multiply, add, softmax."""

    center: Tensor
    """(F,) float32."""
    scale: Tensor
    """(F,) float32, what centred features are multiplied by."""
    weight: Tensor
    """(F, C) float32."""
    bias: Tensor
    """(C,) float32."""
    penalty: float

    def chances(self, features: Tensor) -> np.ndarray:
        """(N, C) float64 probabilities of features (N, F)."""
        scores = ((features - self.center) * self.scale) @ self.weight + self.bias
        return scores.double().softmax(dim=1).numpy()


def fit_logistic(
    features: Tensor,
    targets: Tensor,
    *,
    num_classes: int,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
) -> Logistic:
    """Fit on all items, with the penalty that some of them, held out, are predicted best with.

    Args:
        features: (N, F) float32.
        targets: (N,) int64 in [0, C).
        num_classes: C; of a class without an item the probability is next to nothing.
        seed: of what is held out.
        penalties: to choose from; of one nothing is held out.

    Raises: ShapeError: lengths do not agree, or there is no item.
    """
    if features.ndim != 2 or targets.shape != features.shape[:1] or not len(targets):
        raise ShapeError(
            f"`fit_logistic` got features of shape {tuple(features.shape)} and targets of shape "
            f"{tuple(targets.shape)}, expected (N, F) and (N,), of one item at least."
        )
    chosen = penalties[0]
    if len(penalties) > 1 and len(targets) >= 10:
        order = permutation(len(targets), seed=seed, epoch=0, purpose="penalty")[:MOST_TRIED]
        held = max(1, round(HELD_OUT * len(order)))
        asked, fitted = order[:held], order[held:]
        lost = []
        for penalty in penalties:
            found = _fitted(features[fitted], targets[fitted], num_classes, penalty)
            chances = torch.from_numpy(found.chances(features[asked])).clamp(min=1e-12)
            lost.append(float(-chances[range(held), targets[asked]].log().mean()))
        chosen = penalties[int(np.argmin(lost))]
    elif len(penalties) > 1:
        chosen = max(penalties)  # so few items cannot say: the most cautious
    return _fitted(features, targets, num_classes, chosen)


def _fitted(features: Tensor, targets: Tensor, num_classes: int, penalty: float) -> Logistic:
    center = features.mean(dim=0)
    spread = features.std(dim=0, correction=0)
    usual = 1 / (spread * features.shape[1] ** 0.5)
    scale = torch.where(spread > 1e-6, usual, torch.zeros_like(spread))
    inputs = (features - center) * scale
    weight = torch.zeros(features.shape[1], num_classes, requires_grad=True)
    there = torch.bincount(targets, minlength=num_classes).float()
    bias = ((there + 1e-3) / (there + 1e-3).sum()).log().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(inputs @ weight + bias, targets)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType] - a tensor is what it wants
    return Logistic(center, scale, weight.detach(), bias.detach(), penalty)
