"""CutMix: a box of each picture is another picture's, and so is that share of its loss.

Paper: Yun et al. 2019, arXiv:1905.04899, algorithm A1. Twin: drivetrain.reference.mixup.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.train.batches import inputs_of, map_inputs
from drivetrain.train.mixing import Mixing, check_mixable, generator_of
from drivetrain.train.state import FitState

Box = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""


class CutMix(Mixing):
    """Puts a box of another picture of the batch into each picture; the loss counts both by their area.

    The box has the picture's proportions, and its middle is any pixel: what would be outside of the
    picture is cut off, and the shares are those of the pixels that are left. Training only; the draws are
    functions of (seed, step).

    Args:
        alpha: the share that a picture keeps is drawn from Beta(alpha, alpha); 1, as in the paper, makes
            every share as likely.
        per_item: a box for each picture, otherwise one for the batch as in the paper. The loss is then
            the plain mean over items, so class weights do not divide it.
    Raises: ConfigError: `alpha` is not above 0. ShapeError, in the fit: inputs that are no pictures.
    """

    def __init__(self, alpha: float = 1.0, *, per_item: bool = False) -> None:
        super().__init__(alpha, per_item=per_item)

    def before_batch(self, state: FitState) -> None:
        check_mixable("CutMix", state.batch)
        check_pictures(state.batch)
        first = inputs_of(state.batch)[0]
        rng = generator_of(state.seed, "CutMix", state.first_step + state.step)
        count = len(first)
        shares = rng.beta(self.alpha, self.alpha, size=count if self.per_item else 1)
        self._partners = torch.from_numpy(rng.permutation(count)).to(first.device)
        height, width = first.shape[-2:]
        rows = rng.integers(height, size=len(shares))
        columns = rng.integers(width, size=len(shares))
        boxes = [
            box(height, width, share, row, column)
            for share, row, column in zip(
                shares.tolist(), rows.tolist(), columns.tolist(), strict=True
            )
        ]
        areas = [(bottom - top) * (right - left) for top, bottom, left, right in boxes]
        left_over = 1 - np.array(areas) / (height * width)
        self._shares = torch.from_numpy(left_over).to(first.device)
        state.batch = map_inputs(state.batch, lambda part: pasted(part, self._partners, boxes))


def box(height: int, width: int, share: float, row: int, column: int) -> Box:
    """The box round a pixel that leaves about `share` of a picture, cut off at the edges."""
    side = math.sqrt(1 - share)
    half_height, half_width = int(height * side) // 2, int(width * side) // 2
    return (
        max(row - half_height, 0),
        min(row + half_height, height),
        max(column - half_width, 0),
        min(column + half_width, width),
    )


def pasted(pictures: Tensor, partners: Tensor, boxes: list[Box]) -> Tensor:
    """Pictures with a box of their partner's in each; one box for all, or one a picture."""
    result = pictures.clone()
    if len(boxes) == 1:
        top, bottom, left, right = boxes[0]
        result[..., top:bottom, left:right] = pictures[..., top:bottom, left:right][partners]
        return result
    for item, (top, bottom, left, right) in enumerate(boxes):
        other = pictures[partners[item]]
        result[item, ..., top:bottom, left:right] = other[..., top:bottom, left:right]
    return result


def check_pictures(batch: Any) -> None:
    """Raises: ShapeError: inputs that are no pictures, or of several sizes."""
    inputs = inputs_of(batch)
    sizes = {(part.shape[-2], part.shape[-1]) for part in inputs if part.ndim >= 4}
    if len(sizes) != 1 or any(part.ndim < 4 for part in inputs):
        got = " and ".join(str(tuple(part.shape)) for part in inputs)
        raise ShapeError(
            f"`CutMix` got inputs of shape {got}, expected pictures (B, C, height, width) of one size. "
            "For other inputs there is `Mixup`."
        )
