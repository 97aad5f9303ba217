"""CutMix: a box of each picture is another picture's, and so is that share of its loss.

Paper: Yun et al. 2019, arXiv:1905.04899, algorithm A1. Twin: drivetrain.reference.mixup.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.train.mixing import Mixing
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
        inputs, order, shares, rng = self._draw(state)
        height, width = _size(inputs)
        rows, columns = (
            rng.integers(height, size=len(shares)),
            rng.integers(width, size=len(shares)),
        )
        boxes = [
            box(height, width, share, row, column)
            for share, row, column in zip(
                shares.tolist(), rows.tolist(), columns.tolist(), strict=True
            )
        ]
        areas = [(bottom - top) * (right - left) for top, bottom, left, right in boxes]
        left_over = 1 - np.array(areas) / (height * width)
        self._put(state, [_pasted(part, order, boxes) for part in inputs], order, left_over)


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


def _pasted(pictures: Tensor, order: Tensor, boxes: list[Box]) -> Tensor:
    result = pictures.clone()
    if len(boxes) == 1:
        top, bottom, left, right = boxes[0]
        result[..., top:bottom, left:right] = pictures[..., top:bottom, left:right][order]
        return result
    for item, (top, bottom, left, right) in enumerate(boxes):
        other = pictures[order[item]]
        result[item, ..., top:bottom, left:right] = other[..., top:bottom, left:right]
    return result


def _size(inputs: list[Tensor]) -> tuple[int, int]:
    sizes = {(part.shape[-2], part.shape[-1]) for part in inputs if part.ndim >= 4}
    if len(sizes) != 1 or any(part.ndim < 4 for part in inputs):
        got = " and ".join(str(tuple(part.shape)) for part in inputs)
        raise ShapeError(
            f"`CutMix` got inputs of shape {got}, expected pictures (B, C, height, width) of one size. "
            "For other inputs there is `Mixup`."
        )
    return sizes.pop()
