"""What a logger is: something that is told when a training starts, its numbers, and how it ended.

The protocol is small so that a logger of your own is quickly written:

    class Printer:
        def start(self, run): print(run.name)
        def log(self, step, values, kind): print(step, values)
        def flush(self): pass
        def finish(self, status): print(status)
        def state_dict(self): return {}
        def load_state_dict(self, state): pass

    learner.fit(3, callbacks=[LogTo(Printer())])

A run that was killed goes on from its last checkpoint, and what it had logged after that comes once
more. `RunStart.step` and `RunStart.epoch` say where it stands, so that a logger can cut its log there:
afterwards each step is in it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Kind = Literal["step", "epoch"]
"""Of a row: the numbers of one batch, or those of an epoch."""

Status = Literal["done", "cancelled", "interrupted", "failed"]
"""How a fit ended: whole, by a callback, by a signal, by an error or a kill."""


@dataclass(frozen=True)
class RunStart:
    """What a logger is told when a fit starts or goes on."""

    name: str
    """The run folder's name, or the model's."""
    folder: Path | None
    """The run's folder, where there is one."""
    step: int
    """Batches that the Learner has trained so far. Rows of later steps are of what a kill undid."""
    epoch: int
    """Whole epochs that the Learner has trained so far. Rows of later epochs are as those."""
    continues: bool
    """Whether it is the same training that this logger, or its state, has seen before."""
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    """Model, loss, optimizer, seed …: plain values by name."""


class Logger(Protocol):
    """Takes the numbers of a training."""

    def start(self, run: RunStart) -> None:
        """A fit starts, or goes on where it was cut."""
        ...

    def log(self, step: int, values: Mapping[str, float], kind: Kind) -> None:
        """One row: numbers by name.

        Args:
            step: batches trained so far, over the Learner's life, the one of the row included.
            values: of kind `epoch` they hold `epoch`, counted from 0.
        """
        ...

    def flush(self) -> None:
        """Make last what was logged; a checkpoint follows."""
        ...

    def finish(self, status: Status) -> None:
        """The fit ended. Another may start."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it must know to go on in the same log after a kill; plain JSON."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` answered, before `start`."""
        ...


def is_undone(row_step: int, row_epoch: int | None, run: RunStart) -> bool:
    """Whether a row is of training that a kill undid.

    Args:
        row_step: the row's step.
        row_epoch: the row's epoch where it is a row of an epoch, else None.
        run: where the training stands now.
    """
    return row_step > run.step or (row_epoch is not None and row_epoch >= run.epoch)


def free_name(path: Path) -> Path:
    """`log.csv` -> `log.1.csv`, or with the first number that is not taken."""
    number = 1
    while (other := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return other
