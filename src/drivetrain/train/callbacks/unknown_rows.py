"""What a model says of users and items that training did not see: the mean of what it has learnt."""

from __future__ import annotations

from typing import Any

from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.state import FitState


class UnknownRows(Callback):
    """Fills the rows for unknown of a model's tables when an epoch is trained, before it is measured.

    For models that have `fill_unknown()`, such as `models.factorization.DotProduct`; others train as
    without this callback.
    """

    order = FIRST

    def before_validate(self, state: FitState) -> None:
        model: Any = state.model
        if hasattr(model, "fill_unknown"):
            model.fill_unknown()
