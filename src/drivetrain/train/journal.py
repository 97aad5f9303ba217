"""The journal: every call that trains, as stages that can be replayed.

A stage is planned before it runs and counts what it has done, so a cut run knows what is left, and a
script can be written that does the same. Every fit starts with a fresh optimizer: what a stage does
depends on the weights it starts from and on its own record, on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from drivetrain import _strict
from drivetrain.errors import RunError

PLANNED, RUNNING, STOPPED, DONE, CANCELLED, INTERRUPTED, BROKEN = (
    "planned",
    "running",
    "stopped",
    "done",
    "cancelled",
    "interrupted",
    "broken",
)
STATUSES = (PLANNED, RUNNING, STOPPED, DONE, CANCELLED, INTERRUPTED, BROKEN)


@dataclass
class Stage:
    """One step of a training's story: a `fit`, or a `freeze` of the first layer groups."""

    kind: str
    """`fit` or `freeze`; unfreezing is freezing no group."""
    call: str
    """The method that planned it, such as `fine_tune`."""
    status: str = PLANNED
    """`planned`, `running`, `stopped` by a person, `done`, `cancelled` by a callback; where something
    else was trained instead of going on, `interrupted` (what it did is on record) or `broken` by an
    error."""
    frozen_groups: int = 0
    """For `freeze`: how many layer groups, from the input on, are not trained."""
    keep_statistics: bool = False
    """For `fit`: batchnorms of all layer groups but the last keep their running statistics."""
    epochs: int = 0
    lrs: list[float] = field(default_factory=list)
    """Peak rate of each layer group, first layers first."""
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "constant"})
    """Name and options of the schedule that multiplies the rates."""
    momentum: dict[str, Any] | None = None
    """Name and options of the schedule of the momentum (Adam's beta1); None leaves it."""
    weight_decay: float = 0.0
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    """For `fit`: those of this call, as records."""
    first_epoch: int = 0
    """Epochs trained before it, over the Learner's life."""
    first_step: int = 0
    """Steps made before it, over the Learner's life."""
    epochs_done: int = 0
    batches_done: int = 0
    """Batches done of the epoch after those."""
    steps_done: int = 0
    """Batches done in all."""
    pending: bool = False
    """Gradients without a step were left in the parameters."""

    @property
    def is_open(self) -> bool:
        """Something of it is still to be done."""
        return self.status in (PLANNED, RUNNING, STOPPED)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Stage:
        """The stage that `to_json` wrote.

        Raises: RunError: a field is missing or unknown, or is not of its type.
        """
        try:
            stage = cls(**data)
            stage._check()
            return stage
        except (TypeError, ValueError) as error:
            raise RunError(
                f"The journal is not one of this version of Drivetrain: {_strict.short(error)}."
            ) from error

    def _check(self) -> None:
        """Raises `ValueError` where a field is not what it has to be."""
        counts = ("frozen_groups", "epochs", "first_epoch", "first_step")
        counts += ("epochs_done", "batches_done", "steps_done")
        is_right = {
            "kind": self.kind in ("fit", "freeze"),
            "call": isinstance(self.call, str) and self.call.isprintable(),
            "status": self.status in STATUSES,
            "keep_statistics": isinstance(self.keep_statistics, bool),
            "pending": isinstance(self.pending, bool),
            "lrs": isinstance(self.lrs, list) and all(map(_is_rate, self.lrs)),
            "weight_decay": _is_rate(self.weight_decay),
            "schedule": _is_named(self.schedule),
            "momentum": self.momentum is None or _is_named(self.momentum),
            "callbacks": isinstance(self.callbacks, list)
            and all(isinstance(one, dict) for one in self.callbacks),
        }
        for name in counts:
            value = getattr(self, name)
            is_right[name] = type(value) is int and 0 <= value < 1 << 53
        wrong = [name for name, right in is_right.items() if not right]
        if wrong:
            raise ValueError(f"a stage has no such {', '.join(wrong)}")


def _is_rate(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def one_cycle_stage(
    epochs: int,
    lrs: Sequence[float],
    *,
    weight_decay: float,
    call: str = "fit_one_cycle",
    pct_start: float = 0.25,
    div: float = 25.0,
    div_final: float = 1e5,
    moms: tuple[float, float, float] = (0.95, 0.85, 0.95),
) -> Stage:
    """A fit under the 1cycle policy: the rates rise to `lrs` and fall, the momentum does the opposite."""
    return Stage(
        kind="fit",
        call=call,
        epochs=epochs,
        lrs=list(lrs),
        schedule={
            "name": "one_cycle",
            "pct_start": pct_start,
            "div": div,
            "div_final": div_final,
        },
        momentum={"name": "one_cycle_momentum", "pct_start": pct_start, "moms": list(moms)},
        weight_decay=weight_decay,
    )


def fine_tune_stages(
    epochs: int,
    lr: float,
    *,
    head_lrs: Sequence[float],
    body_lrs: Sequence[float],
    freeze_epochs: int,
    frozen_groups: int,
    keep_frozen: int,
    keep_statistics: bool,
    weight_decay: float,
) -> list[Stage]:
    """The new head alone first, then all layers at spread, smaller rates.

    Paper: Howard & Ruder 2018, arXiv:1801.06146, sec. 3.2 and 3.3, with two steps instead of one a layer.

    Args:
        epochs: of the second fit.
        lr: for the record only; the rates below are made from it.
        head_lrs: peak rates of the first fit, in which only the head trains.
        body_lrs: peak rates of the second fit.
        freeze_epochs: of the first fit.
        frozen_groups: layer groups that the first fit leaves alone.
        keep_frozen: layer groups that the second fit still leaves alone.
        keep_statistics: whether the second fit leaves the body's batchnorm statistics alone.
        weight_decay: of both.
    """
    call = f"fine_tune({epochs}, lr={lr:g})"
    head = one_cycle_stage(
        freeze_epochs, head_lrs, weight_decay=weight_decay, call=call, pct_start=0.99
    )
    whole = one_cycle_stage(
        epochs, body_lrs, weight_decay=weight_decay, call=call, pct_start=0.3, div=5.0
    )
    whole.keep_statistics = keep_statistics
    return [
        Stage(kind="freeze", call=call, frozen_groups=frozen_groups),
        head,
        Stage(kind="freeze", call=call, frozen_groups=keep_frozen),
        whole,
    ]
