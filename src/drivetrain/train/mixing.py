"""What Mixup and CutMix share: which items go together, and the loss against both targets.

A batch is mixed with itself in another order. The targets stay what they are, two for each item, and
the loss is taken against both: so any loss can be used, and any kind of target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain import losses
from drivetrain.errors import ShapeError
from drivetrain.randomness import derive
from drivetrain.train.batches import inputs_of
from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.state import FitState


class Mixing(Callback):
    """Base of the two; at `before_batch` they draw, and mix the inputs in their own way.

    Args:
        alpha: of the Beta(alpha, alpha) that the shares are drawn from.
        per_item: a share for each item; otherwise one for the batch, as in the papers.
    """

    # The loss is mixed before anybody scales it or adds to it.
    order = FIRST - 10
    adjusts = ("batch",)  # not the loss: two of the kind would leave a wrong one

    def __init__(self, alpha: float, *, per_item: bool) -> None:
        check_number(type(self).__name__, "alpha", alpha, above=0)
        self.alpha = alpha
        self.per_item = per_item
        self._partners = torch.empty(0, dtype=torch.int64)
        self._shares = torch.empty(0, dtype=torch.float64)

    def after_loss(self, state: FitState) -> None:
        """The loss against both targets, by their shares."""
        others = of_partners(state.targets, self._partners)
        if self.per_item:
            own = losses.per_item(state.loss_fn, state.preds, state.targets)
            other = losses.per_item(state.loss_fn, state.preds, others)
            shares = self._shares.to(own)
            state.loss = (shares * own + (1 - shares) * other).mean()
        else:
            share = float(self._shares)
            other = state.loss_fn(state.preds, others)
            state.loss = share * state.loss + (1 - share) * other

    def after_fit(self, state: FitState) -> None:
        """Keeps no tensors of the last batch."""
        self._partners = torch.empty(0, dtype=torch.int64)
        self._shares = torch.empty(0, dtype=torch.float64)


def check_mixable(name: str, batch: Any) -> None:
    """Raises: ShapeError: an input that cannot be mixed with that of another item."""
    inputs = inputs_of(batch)
    first = inputs[0] if inputs else None
    count = first.shape[0] if isinstance(first, Tensor) and first.ndim else 0
    for part in inputs:
        if not isinstance(part, Tensor) or part.ndim == 0 or part.shape[0] != count:
            got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ShapeError(
                f"`{name}` got an input of {got}, expected tensors of shape (B, ...), an entry "
                "for each item."
            )
        if not part.is_floating_point():
            raise ShapeError(
                f"`{name}` got an input of {str(part.dtype).removeprefix('torch.')}, expected "
                "floats: the numbers of words or categories have nothing between them. Leave it "
                "out for this model."
            )


def generator_of(seed: int, purpose: str, step: int) -> np.random.Generator:
    """What a step draws shares and partners from: a function of (seed, step)."""
    return np.random.default_rng(derive(seed, purpose, step))


def of_partners(targets: Any, partners: Tensor) -> Any:
    """The targets of the items that each is mixed with; tuples and dicts keep their form."""
    if isinstance(targets, Tensor):
        return targets[partners]
    if isinstance(targets, dict):
        return {key: of_partners(part, partners) for key, part in targets.items()}
    return tuple([of_partners(part, partners) for part in targets])
