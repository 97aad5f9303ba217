"""Which loss fits which target, and why; what being wrong costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.losses.binary import binary_cross_entropy_with_logits
from drivetrain.losses.classes import cross_entropy, soft_cross_entropy
from drivetrain.losses.common import LossFunction
from drivetrain.losses.numbers import mse
from drivetrain.losses.tokens import token_cross_entropy

Kind = Literal["class", "number", "binary", "mask", "shares", "tokens"]


class LossChoice(NamedTuple):
    """A loss, and why it was chosen."""

    name: str
    fn: LossFunction
    reason: str
    others: tuple[str, ...] = ()
    """Other losses in `LOSSES` that fit the same targets."""

    def __str__(self) -> str:
        """What was chosen, why, and how to choose otherwise."""
        others = ", ".join(f'"{name}"' for name in self.others)
        return (
            f'{self.name}: {self.reason} To change it give `loss_fn="NAME"`: {others}, or your own.'
        )


def choose_loss(kind: Kind) -> LossChoice:
    """The loss for a kind of target, with the reason in one sentence.

    Args:
        kind: "class" (one of several), "number" (a quantity), "binary" (yes or no, one score each,
            so also several labels an item), "mask" (a class for each pixel), "shares" (a
            probability for each class), "tokens" (the next token at each position of a text).
            `kind_of_targets` finds it, but for tokens, which look like classes.

    Raises: UnknownNameError: another kind.

    >>> choose_loss("class").name
    'cross_entropy'
    """
    return lookup(_CHOICES, kind, what="kind of target")


def kind_of_targets(targets: Tensor) -> Kind:
    """The kind of target that a batch of them looks like, read from dtype, shape and values.

    Whole numbers are classes, or with further dimensions masks; bools are yes or no. Floats are
    numbers, except rows (B, C) of two or more: nothing but 0 and 1 is yes or no, and shares from 0 to 1
    that sum to 1 are shares of the classes.

    Args:
        targets: (B,) or (B, …) of a batch.

    >>> kind_of_targets(torch.tensor([0, 2, 1])), kind_of_targets(torch.tensor([0.3, 1.7]))
    ('class', 'number')
    """
    if targets.dtype == torch.bool:
        return "binary"
    if not targets.is_floating_point():
        return "mask" if targets.ndim >= 3 else "class"
    if targets.ndim == 2 and targets.shape[1] >= 2 and targets.numel():
        if bool(((targets == 0) | (targets == 1)).all()):
            return "binary"
        if bool((targets >= 0).all()) and sums_to_one(targets):
            return "shares"
    return "number"


def sums_to_one(targets: Tensor) -> bool:
    """Whether the classes' shares, dimension 1, sum to 1 for every item."""
    sums = targets.float().sum(dim=1)
    return torch.allclose(sums, torch.ones_like(sums), atol=1e-3)


_CHOICES: Mapping[str, LossChoice] = MappingProxyType(
    {
        "class": LossChoice(
            "cross_entropy",
            cross_entropy,
            "Each item is one of several classes: cross-entropy asks for a high probability of "
            "the true one, and is high for answers that are wrong and confident.",
            ("focal", "soft_cross_entropy"),
        ),
        "number": LossChoice(
            "mse",
            mse,
            "The target is a number: mean squared error makes the prediction the average of what "
            "is seen; `mae` makes it the median, and heeds outliers less.",
            ("mae", "huber", "quantile"),
        ),
        "binary": LossChoice(
            "binary_cross_entropy_with_logits",
            binary_cross_entropy_with_logits,
            "Each score answers yes or no on its own: cross-entropy with a sigmoid for each.",
            ("binary_focal", "mnist_loss"),
        ),
        "mask": LossChoice(
            "cross_entropy",
            cross_entropy,
            "Each pixel is one of several classes: cross-entropy of every pixel, averaged; `dice` "
            "counts areas, and does not forget small ones.",
            ("dice", "focal"),
        ),
        "shares": LossChoice(
            "soft_cross_entropy",
            soft_cross_entropy,
            "Each item has a share of every class: cross-entropy against all of them, weighted by "
            "their shares.",
            ("binary_cross_entropy_with_logits",),
        ),
        "tokens": LossChoice(
            "token_cross_entropy",
            token_cross_entropy,
            "Each position of a text is followed by one of all words: cross-entropy of the next token, "
            "averaged over all positions; e to the power of it is the perplexity.",
            ("cross_entropy", "focal"),
        ),
    }
)


def loss_table(probs: Sequence[float] = (0.99, 0.51, 0.01)) -> list[tuple[float, float]]:
    """Rows (probability given to the true class, cross-entropy): what being wrong costs.

    Right and sure costs next to nothing, right and unsure costs, wrong and sure costs most.

    Args:
        probs: given to the true class, in (0, 1].

    >>> [(prob, round(loss, 4)) for prob, loss in loss_table()]
    [(0.99, 0.0101), (0.51, 0.6733), (0.01, 4.6052)]
    """
    true = torch.tensor(probs, dtype=torch.float64)
    logits = torch.stack([true, 1 - true], dim=1).log()  # softmax takes these back to the probs
    target = torch.zeros(len(true), dtype=torch.int64)
    return list(zip(probs, cross_entropy(logits, target, reduction="none").tolist(), strict=True))
