"""The numbers of fits: those that all fits of a kind have alike are constants, the others parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivetrain.eject.fits import COMPOSITE, Fit, Kind
from drivetrain.eject.known import Known
from drivetrain.eject.surroundings import Surroundings

TYPES = {
    "in_eval": "Sequence[nn.Module]",
    "epochs": "int",
    "lrs": "list[float]",
    "first_epoch": "int",
    "first_step": "int",
    "stop": "int",
    "moms": "tuple[float, ...]",
}
"""Of parameters; the others are floats."""

_REASONS = {
    "epochs": "passes over the training items",
    "lr": "peak learning rate",
    "lrs": "peak learning rate of each layer group, from the input to the head",
    "weight_decay": "how much weights are pulled towards zero at each step; not norms and biases",
    "pct_start": "share of the steps in which the rate rises",
    "div": "the first rate is the peak divided by this",
    "div_final": "the last rate is the peak divided by this",
    "moms": "momentum at the start, at the peak of the rate and at the end",
    "stop": "steps after which training was ended",
}


class Numbers:
    """The numbers of a kind of fits, as the function for it has them.

    Args:
        kind: the fits.
        around: what the function is put into.
        constant: makes a constant of the script of a name, a value and a reason, and answers its name.
    """

    def __init__(
        self, kind: Kind, around: Surroundings, constant: Callable[[str, Any, str], str]
    ) -> None:
        self.of_fits = [numbers_of(fit, is_one_group=around.is_one_group) for fit in kind.fits]
        self.known: dict[str, Known] = {}
        """By name; the text of a parameter is its name, and its value is None."""
        for name, value in self.of_fits[0].items():
            if any(values[name] != value for values in self.of_fits):
                self.known[name] = Known(None, name)
            elif name in ("first_epoch", "first_step") or (name == "weight_decay" and value == 0):
                self.known[name] = Known(value)
            else:
                reason = _REASONS.get(name, "")
                if name == "weight_decay" and around.decays_all:
                    reason = reason.partition(";")[0]
                self.known[name] = Known(value, constant(name.upper(), value, reason))

    def text(self, name: str) -> str:
        """What stands for it in the function."""
        known = self.known[name]
        return known.text or repr(known.value)

    def as_known(self, name: str) -> Known:
        """What is known of it there."""
        value = self.known[name].value
        return Known(text=self.text(name)) if value is None else Known(value, self.text(name))

    @property
    def parameters(self) -> list[str]:
        """Names of those that are given with each call."""
        return [name for name, known in self.known.items() if known.text == name]


def numbers_of(fit: Fit, *, is_one_group: bool) -> dict[str, Any]:
    """What a fit was asked for in numbers, by name."""
    stage = fit.stage
    rates = {"lr": stage.lrs[0]} if is_one_group else {"lrs": list(stage.lrs)}
    values: dict[str, Any] = {
        "epochs": stage.epochs,
        **rates,
        "weight_decay": stage.weight_decay,
        "first_epoch": stage.first_epoch,
        "first_step": stage.first_step,
    }
    if fit.stops_at is not None:
        values["stop"] = fit.stops_at
    if stage.schedule["name"] not in COMPOSITE:
        values |= {key: as_tuple(value) for key, value in stage.schedule.items() if key != "name"}
    for key, value in (stage.momentum or {}).items():
        if key != "name" and values.get(key) != as_tuple(value):
            values[f"momentum_{key}" if key in values else key] = as_tuple(value)
    return values


def as_tuple(value: Any) -> Any:
    """Lists of a record of JSON as tuples, as they were given."""
    return tuple(as_tuple(v) for v in value) if isinstance(value, list) else value
