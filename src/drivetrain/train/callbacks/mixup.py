"""Mixup: training on the mean of two items, and on the mean of their losses.

Paper: Zhang et al. 2017, arXiv:1710.09412. The paper mixes one-hot targets; under cross-entropy the
mean of the two losses is the same, and it serves every other loss as well.
Twin: drivetrain.reference.mixup.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.train.mixing import Mixing
from drivetrain.train.state import FitState


class Mixup(Mixing):
    """Each item becomes `share * item + (1 - share) * another`, its loss the same mean of both losses.

    Training only: validation sees the items as they are. Which items go together and their shares are
    functions of (seed, step). The training loss in the history is that of the mixed items, and so
    higher than the one of plain items.

    Args:
        alpha: the share is drawn from Beta(alpha, alpha): near 0 it is mostly near 0 or 1, at 1 any
            share is as likely, above it is mostly near a half. The paper has 0.1 to 0.4.
        per_item: a share for each item, otherwise one for the batch as in the paper. The loss is then
            the plain mean over items, so class weights do not divide it.
    Raises: ConfigError: `alpha` is not above 0. ShapeError, in the fit: inputs that are no floats.
    """

    def __init__(self, alpha: float = 0.4, *, per_item: bool = False) -> None:
        super().__init__(alpha, per_item=per_item)

    def before_batch(self, state: FitState) -> None:
        draw = self._draw(state)
        mixed: list[Tensor] = []
        for part in draw.inputs:
            weight = torch.from_numpy(draw.shares).to(part).reshape(-1, *[1] * (part.ndim - 1))
            mixed.append(torch.lerp(part[draw.order], part, weight))
        self._put(state, mixed, draw.order, draw.shares)
