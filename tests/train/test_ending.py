"""How a fit ended: by itself, by a callback, by a signal, by an error."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.train import loop
from drivetrain.train.ending import Ending
from tests.train.callbacks.cutting import fit_state


class Look(dt.Callback):
    def __init__(self) -> None:
        self.ending = Ending()
        self.seen: list[bool] = []

    def before_fit(self, state: Any) -> None:
        self.ending.begin()

    def after_fit(self, state: Any) -> None:
        self.seen.append(self.ending.is_good(state))


class Raise(dt.Callback):
    order = 1000

    def __init__(self, what: BaseException | None, interrupted: int | None = None) -> None:
        self.what, self.interrupted = what, interrupted

    def after_epoch(self, state: Any) -> None:
        state.interrupted = self.interrupted
        if self.what is not None:
            raise self.what


@pytest.mark.parametrize(
    ("last", "good"),
    [
        (Raise(None), True),
        (Raise(dt.CancelFit()), True),
        (Raise(dt.CancelFit(), 15), False),
        (Raise(OSError("full")), False),
        (Raise(KeyboardInterrupt()), False),
    ],
    ids=["end", "cancelled", "signal", "error", "kill"],
)
@pytest.mark.parametrize("handling", [False, True], ids=["plainly", "while handling an error"])
def test_how_it_ended(last: Raise, good: bool, handling: bool) -> None:
    look = Look()

    def fit() -> None:
        passes = isinstance(last.what, OSError | KeyboardInterrupt)
        with pytest.raises(type(last.what)) if passes else nullcontext():
            loop.fit(fit_state(look, last, epochs=1))

    if handling:
        try:
            raise ValueError("of somebody else")
        except ValueError:
            fit()
    else:
        fit()
    assert look.seen == [good]
