"""Mixup and CutMix one item and one pixel at a time. Twin of the callbacks `mixup` and `cutmix`.

Papers: Zhang et al. 2017, arXiv:1710.09412, eq. 1; Yun et al. 2019, arXiv:1905.04899, eq. 1 and 2.

Both show the model something between item a and item b, and ask for something between their targets.
With the share l of item a, Mixup shows l a + (1 - l) b, and CutMix shows a with a box of b in it. Under
cross-entropy, asking for the target l y_a + (1 - l) y_b is to take

    l * loss(y_a) + (1 - l) * loss(y_b)

since cross-entropy is linear in the target. In this form it serves any other loss too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Box = tuple[int, int, int, int]


def mixup(items: Tensor, partners: Sequence[int], shares: Sequence[float]) -> Tensor:
    """(B, ...) -> (B, ...): each number of each item, by the formula.

    >>> mixup(torch.tensor([[0.0], [10.0]]), partners=[1, 0], shares=[0.75, 0.75])
    tensor([[2.5000],
            [7.5000]])
    """
    mixed = torch.empty_like(items)
    for a, (b, share) in enumerate(zip(partners, shares, strict=True)):
        flat = [
            share * of_a + (1 - share) * of_b
            for of_a, of_b in zip(
                items[a].flatten().tolist(), items[b].flatten().tolist(), strict=True
            )
        ]
        mixed[a] = torch.tensor(flat, dtype=items.dtype).reshape(items[a].shape)
    return mixed


def cut_box(height: int, width: int, share: float, row: int, column: int) -> Box:
    """Top, bottom, left, right (the last two ends excluded) of the box of picture b in picture a.

    Sides of sqrt(1 - share) of the picture's make an area of 1 - share.

    >>> cut_box(8, 8, 0.75, row=4, column=0)
    (2, 6, 0, 2)
    """
    side = math.sqrt(1 - share)
    tall, wide = math.floor(height * side), math.floor(width * side)
    return (
        inside(row - tall // 2, height),
        inside(row + tall // 2, height),
        inside(column - wide // 2, width),
        inside(column + wide // 2, width),
    )


def inside(edge: int, size: int) -> int:
    """An edge that would be outside of the picture is the picture's edge."""
    return min(max(edge, 0), size)


def cutmix(
    pictures: Tensor, partners: Sequence[int], boxes: Sequence[Box]
) -> tuple[Tensor, list[float]]:
    """(B, C, H, W) -> (B, C, H, W), and the share of each picture that is its own still."""
    count, channels, height, width = pictures.shape
    mixed, shares = torch.empty_like(pictures), []
    for a in range(count):
        top, bottom, left, right = boxes[a]
        own = 0
        for row in range(height):
            for column in range(width):
                is_own = not (top <= row < bottom and left <= column < right)
                own += is_own
                source = a if is_own else partners[a]
                for channel in range(channels):
                    mixed[a, channel, row, column] = pictures[source, channel, row, column]
        shares.append(own / (height * width))
    return mixed, shares


def mixed_loss(
    loss_of_item: Callable[[Tensor, Tensor], Tensor],
    preds: Tensor,
    targets: Tensor,
    partners: Sequence[int],
    shares: Sequence[float],
) -> Tensor:
    """The mean over items of `share * loss(own target) + (1 - share) * loss(partner's target)`."""
    total = preds.new_zeros(())
    for a, (b, share) in enumerate(zip(partners, shares, strict=True)):
        total = total + share * loss_of_item(preds[a], targets[a])
        total = total + (1 - share) * loss_of_item(preds[a], targets[b])
    return total / len(preds)


def soft_targets(
    targets: Sequence[int], num_classes: int, partners: Sequence[int], shares: Sequence[float]
) -> Tensor:
    """The paper's form for classes: one-hot targets, mixed like the items. (B, C) float."""
    one_hot = torch.zeros(len(targets), num_classes)
    for item, target in enumerate(targets):
        one_hot[item, target] = 1
    return mixup(one_hot, partners, shares)
