"""What every metric here is made of: options with names, a record of them, how outputs are read.

A metric gets what the loss gets: the model's outputs, which are logits for classes and for yes-or-no
questions, and the targets. The shapes say which question is asked:

    classes   outputs (B, C, ...), targets (B, ...) class indices      one of C classes
    binary    outputs (B,), (B, 1) or (B, 1, ...), targets (B, ...)    yes or no; yes above logit 0
    labels    outputs and targets (B, L, ...) both, L of 2 or more     yes or no for each of L labels

What the values of targets say is counted on the device and looked at in `compute`: looking at once
would make every `update` wait.

Letters: B batch, C classes, L labels, `...` any further dimensions (pixels, tokens), which must agree.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from math import inf
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError, InputError, ShapeError

Kind = Literal["binary", "classes", "labels"]
Interval = tuple[float, float]

NAN = float("nan")
AVERAGES: Mapping[str, str] = {
    "macro": "the plain mean over classes",
    "micro": "all classes counted together",
    "weighted": "the mean over classes, each by how often it occurs",
}


class Outputs(NamedTuple):
    """A batch, read: which question it answers, and what counts."""

    kind: Kind
    preds: Tensor
    """(B, ...) for binary, (B, C, ...) for classes and labels."""
    targets: Tensor
    """(B, ...) int64 for classes; otherwise shaped like `preds`."""
    counted: Tensor | None
    """Bool, shaped like `targets`: false where the target is `ignore_index`. None: all count."""


class Pending:
    """Small tensors of some batches that wait to be counted together: one call then serves many.

    On small batches a metric costs what its calls cost, a few microseconds each, not its arithmetic.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor | None, ...]] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, *parts: Tensor | None) -> bool:
        """Put a batch's tensors by, all (B,) or None. Returns: whether it is time to `take` them."""
        self._parts.append(parts)
        self._size += len(parts[0]) if parts[0] is not None else 0
        return len(self._parts) >= 64 or self._size >= 1 << 16

    def take(self) -> tuple[Tensor | None, ...]:
        """What was put by, each kind of tensor as one, (N,); nothing waits any more."""
        columns = zip(*self._parts, strict=True)
        taken = tuple(None if column[0] is None else torch.cat(column) for column in columns)
        self._parts, self._size = [], 0
        return taken


class BaseMetric:
    """Base of the metrics here. Each argument of `__init__` is an attribute of the same name."""

    name: str = ""
    """The column of the history it fills. It may be set; `record` keeps it."""
    higher_is_better: bool = True
    kinds: ClassVar[tuple[Kind, ...]] = ()
    """Which questions it takes; empty where it is about numbers."""
    ignore_index: int | None = None

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all items."""
        self._ends: list[Tensor] = []  # () the lowest and highest target of each batch
        self._highest_target: float = inf
        self._expected = ""

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: outputs and targets that do not fit.
        """
        raise NotImplementedError

    def compute(self) -> float:
        """The value over all items since `reset`; NaN before any item, and where an output was NaN.

        Raises: InputError: targets that cannot be, such as a class index that has no score.
        """
        raise NotImplementedError

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """The range that holds the true value with this confidence, as far as chance in which items
        were drawn goes; None where that cannot be said.
        """
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def record(self) -> dict[str, Any]:
        """Plain JSON from which `metric` makes it again: name, options, and a name of one's own."""
        usual = type(self)(**self.options()).name
        own = {} if self.name == usual else {"column": self.name}
        return {"name": type(self).name, "options": self.options(), **own}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"{type(self).__name__}({options})"

    # --- for the metrics themselves ---------------------------------------------------------------

    def _read(self, preds: Tensor, targets: Tensor) -> Outputs:
        """The batch as one of `kinds`, detached; targets that cannot be are counted.

        Raises: ShapeError: no kind, or none that this metric takes.
        """
        kind = _kind_of(self.name, preds, targets, self.kinds)
        if kind not in self.kinds:
            raise ShapeError(_not_taken(self.name, kind, self.kinds, preds, targets))
        preds, targets = bare(preds, targets)
        if kind == "binary":
            shape = _without_channel(preds)
            preds, targets = preds.reshape(shape), targets.reshape(shape)
        if kind == "classes":
            _refuse_floats(self.name, preds, targets)
            targets = targets.long()  # uint8 would wrap round in what follows
            self._highest_target = preds.shape[1] - 1
            self._expected = f"class indices in 0..{self._highest_target}"
        else:
            self._highest_target = 1
            self._expected = "0 or 1 for each score"
        counted = None
        if self.ignore_index is not None:
            counted = targets != self.ignore_index
        self._note(targets if counted is None else torch.where(counted, targets, 0))
        return Outputs(kind, preds, targets, counted)

    def _note(self, targets: Tensor) -> None:
        """Remember the range of the targets, for `_refuse_wrong_targets`."""
        if targets.numel():
            self._ends += torch.aminmax(targets)
        if len(self._ends) >= 256:
            self._ends = list(torch.aminmax(torch.stack(self._ends)))

    def _refuse_wrong_targets(self) -> None:
        if not self._ends:
            return
        self._ends = list(torch.aminmax(torch.stack(self._ends)))
        low, high = (float(end) for end in self._ends)
        if 0 <= low <= high <= self._highest_target:
            return
        advice = ""
        if "ignore_index" in self.options():
            advice = " Leave out targets that do not count with `ignore_index`."
        wrong = high if low >= 0 else low
        raise InputError(f"`{self.name}` got target {wrong:g}, expected {self._expected}.{advice}")


def check_average(average: str) -> str:
    """The suffix of a metric's name for an average over classes; the usual one, macro, has none.

    Raises: UnknownNameError: no such average.
    """
    lookup(AVERAGES, average, what="average")
    return "" if average == "macro" else f"_{average}"


def check_whole(name: str, option: str, value: Any, *, least: int) -> None:
    """Raises: ConfigError: `value` is no whole number of `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"`{name}` needs {option} of {least} or more. Got {value!r}.")


def bare(preds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both without their graph; from a device that has no float64 (Apple's GPUs), on the CPU."""
    preds, targets = preds.detach(), targets.detach()
    if preds.device.type == "mps":
        return preds.cpu(), targets.cpu()
    return preds, targets


def _kind_of(name: str, preds: Tensor, targets: Tensor, kinds: tuple[Kind, ...]) -> Kind:
    given, wanted = tuple(preds.shape), tuple(targets.shape)
    if preds.ndim == 0 or targets.ndim == 0:
        raise ShapeError(
            f"`{name}` got predictions of shape {given} and targets of shape {wanted}, expected "
            "batches: (B, ...)."
        )
    channel = given[1] if preds.ndim > 1 else 1
    if channel == 1:
        one = _without_channel(preds)
        if wanted in (one, given, (one[0], 1, *one[1:])):
            return "binary"
    if given == wanted and channel > 1:
        return "labels"
    expected = (given[0], *given[2:])
    if channel > 1 and wanted == expected:
        return "classes"
    if channel > 1 and "classes" in kinds:
        raise ShapeError(
            f"`{name}` got targets of shape {wanted}, expected {expected}: "
            f"class indices in 0..{channel - 1}, for scores of shape {given}."
        )
    raise ShapeError(
        f"`{name}` got predictions of shape {given} and targets of shape {wanted}, "
        "expected one target for each score."
    )


def _refuse_floats(name: str, preds: Tensor, targets: Tensor) -> None:
    if targets.is_floating_point():
        raise ShapeError(
            f"`{name}` got {str(targets.dtype).removeprefix('torch.')} targets for scores of shape "
            f"{tuple(preds.shape)}, expected whole numbers: class indices in "
            f"0..{preds.shape[1] - 1}. If they are classes, give `targets.long()`."
        )


def _without_channel(tensor: Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return (shape[0], *shape[2:]) if tensor.ndim > 1 and shape[1] == 1 else shape


def _not_taken(
    name: str, kind: Kind, kinds: tuple[Kind, ...], preds: Tensor, targets: Tensor
) -> str:
    shape, wanted = tuple(preds.shape), tuple(targets.shape)
    if kind == "binary":
        return (
            f"`{name}` got predictions of shape {shape}, expected (B, C): a score for each of two or "
            "more classes. For one score per item use `binary_accuracy`."
        )
    if kind == "labels":
        return (
            f"`{name}` got targets of shape {wanted} for predictions of shape {shape}, expected one "
            "class index for each item. For one-hot targets give `targets.argmax(1)`; for several "
            "labels an item use `binary_accuracy` or `f1`."
        )
    return (
        f"`{name}` got predictions of shape {shape} and targets of shape {wanted}, expected one score "
        "for each target. For one of several classes use `accuracy`."
    )
