"""Mixup: training on the mean of two items, and on the mean of their losses.

Paper: Zhang et al. 2017, arXiv:1710.09412. The paper mixes one-hot targets; under cross-entropy the
mean of the two losses is the same, and it serves every other loss as well.
Twin: drivetrain.reference.mixup.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.train.batches import inputs_of, map_inputs
from drivetrain.train.mixing import Mixing, check_mixable, generator_of
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
        check_mixable("Mixup", state.batch)
        first = inputs_of(state.batch)[0]
        rng = generator_of(state.seed, "Mixup", state.first_step + state.step)
        count = len(first)
        shares = rng.beta(self.alpha, self.alpha, size=count if self.per_item else 1)
        self._shares = torch.from_numpy(shares).to(first.device)  # how much of each item stays
        self._partners = torch.from_numpy(rng.permutation(count)).to(first.device)
        state.batch = map_inputs(
            state.batch, lambda part: mixed(part, self._partners, self._shares)
        )


def mixed(items: Tensor, partners: Tensor, shares: Tensor) -> Tensor:
    """Between each item and its partner: `share * item + (1 - share) * partner`.

    Args:
        items: (B, ...) float.
        partners: (B,) int64: which item each is mixed with.
        shares: (B,) or (1,) in [0, 1]: how much of each item stays.
    """
    weights = shares.to(items).reshape(-1, *[1] * (items.ndim - 1))
    return torch.lerp(items[partners], items, weights)
