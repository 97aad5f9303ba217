"""Progress: a bar in a terminal, widgets in a notebook, sparse lines elsewhere. All on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from tqdm.auto import tqdm as notebook_or_terminal_bar

from drivetrain.train.callback import LAST, Callback
from drivetrain.train.history import columns, heading, line
from drivetrain.train.state import FitState

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_DRAWS = 0.2


class Progress(Callback):
    """Shows where the fit stands, and the history's row after each epoch.

    Args:
        stream: where to write; by default stderr as it is when the fit starts.
        bar: show a bar within the epoch; by default only in a terminal or a notebook.
    """

    order = LAST
    only_looks = True
    in_script = False

    def __init__(self, *, stream: TextIO | None = None, bar: bool | None = None) -> None:
        self._stream = stream
        self._wants_bar = bar
        self._bar: Any = None
        self._names: list[str] = []
        self._next_line = 0.0
        self._batches = 0
        self._validated = 0
        self._next_draw = 0.0

    def before_fit(self, state: FitState) -> None:
        self.stream = self._stream or sys.stderr
        self._names = []
        self._shows_bar = (
            (self.stream.isatty() or _in_notebook()) if self._wants_bar is None else self._wants_bar
        )

    def before_epoch(self, state: FitState) -> None:
        self._batches = 0
        self._next_line = time.perf_counter() + SECONDS_BETWEEN_LINES
        if self._shows_bar:
            self._bar = notebook_or_terminal_bar(
                total=state.num_batches,
                desc=f"epoch {state.epochs_done + 1}/{state.epochs}",
                leave=False,
                file=self.stream,
                mininterval=0.2,
                dynamic_ncols=True,
            )

    def after_batch(self, state: FitState) -> None:
        self._batches += 1
        if self._bar is not None:
            self._bar.update()
        elif (now := time.perf_counter()) > self._next_line:
            self._next_line = now + SECONDS_BETWEEN_LINES
            done = _share(self._batches, state.num_batches)
            self._write(f"epoch {state.epochs_done + 1}/{state.epochs}: {done}")

    def before_validate(self, state: FitState) -> None:
        self._validated, self._next_draw = 0, 0.0
        self._describe(state)

    def after_valid_batch(self, state: FitState) -> None:
        self._validated += 1
        self._describe(state)

    def _describe(self, state: FitState) -> None:
        if self._bar is not None:
            count = f" {self._validated}" if self._validated else ""
            text = f"epoch {state.epochs_done + 1}/{state.epochs}, validating{count}"
            if (now := time.perf_counter()) > self._next_draw:
                self._next_draw = now + SECONDS_BETWEEN_DRAWS
                self._bar.set_description(text)

    def after_epoch(self, state: FitState) -> None:
        self._close_bar()
        names = columns([state.row])
        if names != self._names:
            self._names = names
            self._write(heading(names))
        self._write(line(state.row, names))

    def after_fit(self, state: FitState) -> None:
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _write(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


def _share(batches: int, of: int | None) -> str:
    """How far the epoch is; counted here, since the fit's steps are not whole epochs after a cancel."""
    return f"{batches / of:.0%}" if of else f"batch {batches}"


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"
