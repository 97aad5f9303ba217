"""Feeding loggers: the loss of every few steps, and the row of each epoch.

    learner.fit(3, callbacks=[LogTo(CSVLogger("log.csv"), TensorBoardLogger("tb"), every=10)])

Losses stay tensors until they are written, some dozens at a time, so that no step waits for a number.
What a checkpoint follows is on the disk before it: after a kill each step is in the log once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.train.callback import LAST, Callback
from drivetrain.train.callbacks.record import Record
from drivetrain.train.loggers.base import Logger, RunStart, Status
from drivetrain.train.state import FitState

ROWS = 100
"""Rows of steps that are written at once …"""

SECONDS = 10.0
"""… or after so many seconds."""


class LogTo(Callback):
    """Hands the numbers of the training to loggers.

    A logger that fails (the disk is full, the server is gone) is named in one line on stderr and is off
    from there on; the training goes on.

    Args:
        loggers: at least one; see `drivetrain.train.loggers`.
        every: log loss and rates of every so many batches; None logs epochs only.
    Raises: ConfigError: there is no logger, or `every` is below 1.
    """

    order = LAST - 1  # after those that add columns, before the checkpoint
    in_script = False

    def __init__(self, *loggers: Logger, every: int | None = 10) -> None:
        if not loggers:
            raise ConfigError("`LogTo` needs a logger, such as `LogTo(CSVLogger('log.csv'))`.")
        if every is not None and every < 1:
            raise ConfigError(f"`LogTo` needs `every` of at least 1, or None. Got {every}.")
        self.loggers = loggers
        self.every = every
        self._off: set[int] = set()
        self._on = False
        self._continues = False
        self._record: Record | None = None
        self._loss: Tensor | None = None
        self._waiting: list[tuple[int, Tensor, dict[str, float]]] = []
        self._written = 0.0
        self._ended: Status = "failed"

    def before_fit(self, state: FitState) -> None:
        self._on, self._waiting, self._loss, self._ended = False, [], None, "failed"
        self._record = next((one for one in state.callbacks if isinstance(one, Record)), None)

    def before_epoch(self, state: FitState) -> None:
        """The first one starts the loggers: what they remember is given back by then."""
        if self._on:
            return
        self._on, self._written = True, time.monotonic()
        run = RunStart(
            name=state.folder.name if state.folder is not None else _name(state.model),
            folder=state.folder,
            step=state.first_step + state.step,
            epoch=state.first_epoch + state.epochs_done,
            continues=self._continues,
            settings=_settings(state),
        )
        self._continues = True
        self._each(lambda logger: logger.start(run))

    def after_loss(self, state: FitState) -> None:
        """The loss as `Record` has it, before others scaled it."""
        if self._record is not None and self._record.losses:
            self._loss = self._record.losses[-1]
        else:
            self._loss = state.loss.detach()

    def after_batch(self, state: FitState) -> None:
        loss, self._loss = self._loss, None
        if self.every is None or state.step % self.every or loss is None:
            return
        self._waiting.append((state.first_step + state.step, loss, _rates(state)))
        if len(self._waiting) >= ROWS or time.monotonic() - self._written > SECONDS:
            self._write()

    def after_epoch(self, state: FitState) -> None:
        self._hand_over()
        numbers = {k: v for k, v in state.row.items() if isinstance(v, int | float)}
        step = state.first_step + state.step
        self._each(lambda logger: logger.log(step, numbers, "epoch"))
        self._write()

    def after_cancel(self, state: FitState) -> None:
        if state.cancelled == "fit":
            self._ended = "interrupted" if state.interrupted is not None else "cancelled"

    def after_fit(self, state: FitState) -> None:
        if not self._on:
            return
        self._hand_over()
        status: Status = "done" if state.epochs_done == state.epochs else self._ended
        self._each(lambda logger: logger.finish(status))
        self._on = False

    def state_dict(self) -> dict[str, Any]:
        """Also writes what waits: the log is never behind the checkpoint."""
        if self._on:
            self._write()
        return {"loggers": [logger.state_dict() for logger in self.loggers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._on:  # within an epoch the state is given back twice
            return
        self._continues = True
        for logger, kept in zip(self.loggers, state["loggers"], strict=False):
            logger.load_state_dict(kept)

    def _write(self) -> None:
        self._hand_over()
        self._each(lambda logger: logger.flush())
        self._written = time.monotonic()

    def _hand_over(self) -> None:
        """The steps that wait, their losses read together."""
        if not self._waiting:
            return
        losses = torch.stack([loss for _, loss, _ in self._waiting]).tolist()
        rows = [
            (step, {"loss": value, **rates})
            for (step, _, rates), value in zip(self._waiting, losses, strict=True)
        ]
        self._waiting = []

        def log(logger: Logger) -> None:
            for step, values in rows:
                logger.log(step, values, "step")

        self._each(log)

    def _each(self, do: Callable[[Logger], None]) -> None:
        for index, logger in enumerate(self.loggers):
            if index in self._off:
                continue
            try:
                do(logger)
            except Exception as error:  # noqa: BLE001 - whatever a log meets, the training matters more
                self._off.add(index)
                sys.stderr.write(
                    f"{type(logger).__name__} failed and is off for the rest of this training, "
                    f"which goes on: {_one_line(error)}\n"
                )


def _rates(state: FitState) -> dict[str, float]:
    """`lr`, or `lr_0`, `lr_1` … where layer groups have rates of their own."""
    rates: dict[int, float] = {}
    for index, group in enumerate(state.optimizer.param_groups):
        rates[group.get("rate_index", group.get("layer_group", index))] = float(group["lr"])
    if len(rates) == 1:
        return {"lr": next(iter(rates.values()))}
    return {f"lr_{index}": lr for index, lr in rates.items()}


def _settings(state: FitState) -> Mapping[str, str | int | float]:
    settings: dict[str, str | int | float] = {
        "model": _name(state.model),
        "loss_fn": getattr(state.loss_fn, "__name__", type(state.loss_fn).__name__),
        "optimizer": type(state.optimizer).__name__,
        "epochs": state.epochs,
        "seed": state.seed,
        "device": str(state.device),
    }
    if state.num_batches is not None:
        settings["batches_an_epoch"] = state.num_batches
    return settings


def _name(model: Any) -> str:
    return str(getattr(model, "name", type(model).__name__))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
