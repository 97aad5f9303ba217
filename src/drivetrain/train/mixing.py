"""What Mixup and CutMix share: which items go together, and the loss against both targets.

A batch is mixed with itself in another order. The targets stay what they are, two for each item, and
the loss is taken against both: so any loss can be used, and any kind of target.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from drivetrain import losses
from drivetrain.errors import ShapeError
from drivetrain.randomness import derive
from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.loop import call_of
from drivetrain.train.state import FitState

Shares = np.ndarray[Any, np.dtype[np.float64]]


class Draw(NamedTuple):
    """What a step mixes, and with what."""

    inputs: list[Tensor]
    """(B, ...) float each."""
    order: Tensor
    """(B,) int64: which item each is mixed with."""
    shares: Shares
    """(B,) or (1,) in [0, 1]: how much of each item stays."""
    rng: np.random.Generator
    """For further draws of the step."""


class Mixing(Callback):
    """Base of the two; at `before_batch` they draw, mix the inputs in their own way, and put them back.

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
        self._order: Tensor | None = None
        self._shares: Tensor = torch.ones(1)

    def _draw(self, state: FitState) -> Draw:
        """What this step mixes. Raises: ShapeError: the batch has inputs that cannot be mixed."""
        inputs, named, _ = call_of(state.batch)
        parts = [*inputs, *named.values()]
        count = self._check(parts)
        rng = np.random.default_rng(
            derive(state.seed, type(self).__name__, state.first_step + state.step)
        )
        shares = rng.beta(self.alpha, self.alpha, size=count if self.per_item else 1)
        order = torch.from_numpy(rng.permutation(count)).to(parts[0].device)
        return Draw(parts, order, shares, rng)

    def _put(self, state: FitState, mixed: list[Tensor], order: Tensor, shares: Shares) -> None:
        """Mixed inputs into the batch, whatever its form; the targets stay."""
        self._order, self._shares = order, torch.from_numpy(shares).to(order.device)
        _, named, targets = call_of(state.batch)
        if isinstance(state.batch, dict):
            state.batch = {**state.batch, **dict(zip(named, mixed, strict=True))}
        else:
            state.batch = (*mixed, targets)

    def after_loss(self, state: FitState) -> None:
        """The loss against both targets, by their shares."""
        if self._order is None:
            return
        others = _in_order(state.targets, self._order)
        if self.per_item:
            own = losses.per_item(state.loss_fn, state.preds, state.targets)
            other = losses.per_item(state.loss_fn, state.preds, others)
            shares = self._shares.to(own.dtype)
            state.loss = (shares * own + (1 - shares) * other).mean()
        else:
            share = float(self._shares)
            other = state.loss_fn(state.preds, others)
            state.loss = share * state.loss + (1 - share) * other
        self._order = None

    def after_fit(self, state: FitState) -> None:
        """Keeps no tensors."""
        self._order = None

    def _check(self, inputs: list[Any]) -> int:
        """The number of items. Raises: ShapeError: an input that cannot be mixed."""
        name = type(self).__name__
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
        return count


def _in_order(targets: Any, order: Tensor) -> Any:
    """Targets in another order of the items; tuples and dicts keep their form."""
    if isinstance(targets, Tensor):
        return targets[order]
    if isinstance(targets, dict):
        return {key: _in_order(part, order) for key, part in targets.items()}
    return tuple([_in_order(part, order) for part in targets])
