"""Ctrl-C and SIGTERM: the batch in work is finished, everything is saved, and the fit ends."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from types import FrameType
from typing import Any

from drivetrain.train.callback import LAST, Callback, CancelFit
from drivetrain.train.state import FitState


class Interrupt(Callback):
    """Lets a signal end the fit where it can go on later to the same bits.

    The signal is noted, and answered when the batch (of training or validation) is done: state saved,
    fit cancelled, `state.interrupted` set to the signal. A second Ctrl-C ends the program at once: then
    what came after the last checkpoint is done again when the run goes on. Handlers that somebody else
    has set are left alone, and so is everything outside of Python's main thread.
    """

    order = LAST + 10
    only_looks = True
    in_script = False

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._saved = False

    def before_fit(self, state: FitState) -> None:
        self._before, self._saved = {}, False
        if threading.current_thread() is not threading.main_thread():
            return

        def note(number: int, frame: FrameType | None) -> None:
            if state.interrupted is not None:
                raise KeyboardInterrupt
            state.interrupted = number
            with contextlib.suppress(RuntimeError):  # the signal came in the middle of a write
                sys.stderr.write("\nStopping after this batch. Once more stops at once.\n")

        for number, usual in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
        ):
            if signal.getsignal(number) == usual:
                self._before[number] = signal.signal(number, note)

    def after_batch(self, state: FitState) -> None:
        if state.interrupted is not None:
            self._save(state)
            raise CancelFit

    def after_valid_batch(self, state: FitState) -> None:
        if state.interrupted is not None:
            raise CancelFit

    def after_epoch(self, state: FitState) -> None:
        if state.interrupted is not None:
            self._save(state)
            raise CancelFit

    def after_cancel(self, state: FitState) -> None:
        """A cut validation is saved here, when all callbacks have put the weights back."""
        if state.cancelled == "fit" and state.interrupted is not None:
            self._save(state)

    def after_fit(self, state: FitState) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _save(self, state: FitState) -> None:
        if not self._saved and state.save is not None:
            self._saved = True
            state.save(state)
