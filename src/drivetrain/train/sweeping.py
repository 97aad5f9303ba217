"""Many models on the same items, side by side: what a sweep tried, and what may be said of it.

A candidate is what is tried, a row what came of it. The board orders the rows by error and says three
things of them that a list of numbers does not:

- which are *on the front*: no other is as good or better in error, training time and memory at once, and
  better in one (Pareto);
- which are *as good*: their difference from the best, item by item, does not exclude 0. Which one is
  the best was decided by the same items, so that it might have been any pair of the K: each difference
  has the confidence 1 - 0.05 / (K (K - 1) / 2) (Bonferroni), and all hold together 95 times in 100;
- how much choosing the best flatters it, at least: see `train.paired.flattery`.

Nothing here trains: `cli.sweep` starts the trainings, each in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from drivetrain import _strict
from drivetrain.errors import RunError
from drivetrain.train.paired import Difference, Errors, difference, flattery

DONE, FAILED, WAITING = "done", "failed", "waiting"
"""States of a row: measured; ended with an error; not tried for want of time, or cut in the middle."""

DOUBT = 0.05
"""How often at most one of all statements "worse than the best" may be wrong."""


@dataclass(frozen=True)
class Candidate:
    """What is tried."""

    name: str
    """Of its run folder: the model and its size, such as `resnet18-64`."""
    model: str
    """As `--model` names it."""
    reason: str
    """Why it is tried, in one sentence."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this candidate alone, plain JSON."""

    def to_json(self) -> dict[str, Any]:
        """Plain."""
        return asdict(self)


@dataclass(frozen=True)
class Row:
    """What came of a candidate."""

    name: str
    state: str
    """`done`, `failed` or `waiting`."""
    reason: str = ""
    """Why it was tried."""
    run: str = ""
    """Its run folder."""
    metric: str = ""
    """What the error is: `error_rate`, `rmse` or `1 - ndcg`."""
    error: float | None = None
    """On the validation items; less is better."""
    low: float | None = None
    high: float | None = None
    """95% interval of the error by itself."""
    seconds: float | None = None
    """Spent in training."""
    predict_ms: float | None = None
    """Milliseconds for an item of the validation part, predicted in batches."""
    peak_bytes: int | None = None
    """Largest memory of the process that trained it, Python and its libraries included."""
    parameters: int | None = None
    """Numbers that the model is made of: weights, or those that trees are stored as."""
    weights: str = ""
    """`pretrained` or `random`, where there is such a choice."""
    note: str = ""
    """What else is to be known, or why it failed."""
    sealed: int = 0
    """Items that are sealed for a test."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """What simple rules reach on the same items: name -> `{"error", "low", "high"}`."""
    is_on_front: bool = False
    behind: Difference | None = None
    """By how much its error is above the best one's; None for the best, and where items differ."""

    @property
    def is_as_good(self) -> bool:
        """Whether it may be as good as the best, as far as this many items can tell."""
        return self.behind is not None and self.behind.may_be_none

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return asdict(self) | {"is_as_good": self.is_as_good}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Row:
        """What a process wrote about its candidate; entries that are none of a row's are left out.

        Raises: RunError: it is not what such a process writes.
        """
        known = {one.name for one in fields(cls)} - {"is_on_front", "behind"}
        try:
            row = cls(**{name: entry for name, entry in value.items() if name in known})
        except TypeError as error:
            raise RunError(f"This is no row of a sweep: {_strict.short(error)}.") from None
        numbers = [row.error, row.low, row.high, row.seconds, row.predict_ms, row.peak_bytes]
        numbers += [row.parameters, row.sealed]
        try:
            numbers += [one["error"] for one in row.rules.values()]
        except (AttributeError, TypeError, KeyError):
            raise RunError("This is no row of a sweep: its rules are none.") from None
        if row.state not in (DONE, FAILED, WAITING) or not all(
            one is None or (isinstance(one, int | float) and not isinstance(one, bool))
            for one in numbers
        ):
            raise RunError("This is no row of a sweep: a state or a number in it is none.")
        if row.state == DONE and row.error is None:
            raise RunError("This is no row of a sweep: it is done and has no error.")
        return row


@dataclass(frozen=True)
class Board:
    """All rows: the measured ones by their error, the failed, then those that wait."""

    rows: tuple[Row, ...]
    flattery: float | None
    """How much lower the best error looks for having been chosen; None where nobody knows."""
    confidence: float
    """Of each difference from the best."""

    @property
    def done(self) -> tuple[Row, ...]:
        """The measured ones, the best first."""
        return tuple(row for row in self.rows if row.state == DONE)

    @property
    def best(self) -> Row | None:
        """The one of the lowest error."""
        return next(iter(self.done), None)

    @property
    def as_good(self) -> tuple[Row, ...]:
        """Others that may be as good as the best."""
        return tuple(row for row in self.done if row.is_as_good)

    @property
    def front(self) -> tuple[Row, ...]:
        """Those that no other beats in error, time and memory at once, the quickest first."""
        found = [row for row in self.done if row.is_on_front]
        return tuple(sorted(found, key=lambda row: (row.seconds or 0.0, row.error or 0.0)))

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "best": None if self.best is None else self.best.name,
            "as_good": [row.name for row in self.as_good],
            "front": [row.name for row in self.front],
            "flattery": self.flattery,
            "confidence": self.confidence,
            "rows": [row.to_json() for row in self.rows],
        }


def pareto(points: Sequence[Sequence[float]]) -> list[bool]:
    """Which points no other dominates: is as low in each number and lower in one.

    Of equal points none dominates the other.

    >>> pareto([(1, 5), (2, 2), (3, 3), (1, 5)])
    [True, True, False, True]
    """
    return [not any(_dominates(other, point) for other in points) for point in points]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def board(rows: Iterable[Row], errors: Mapping[str, Errors]) -> Board:
    """Put rows in order and say what may be said of them.

    A row that was measured otherwise than the best, or on other items, is not compared and counts as
    failed.

    Args:
        rows: of one sweep, in any order.
        errors: by name, the errors of the items, where a candidate has such.
    """
    made = list(rows)
    done = sorted((row for row in made if row.state == DONE), key=_rank)
    alike = [row for row in done if _measured(row, errors) == _measured(done[0], errors)]
    other = [
        replace(row, state=FAILED, note="It was measured on other items, or by another error.")
        for row in done
        if row not in alike
    ]
    alike = _on_front(alike)
    confidence = 1 - DOUBT / max(1, len(alike) * (len(alike) - 1) // 2)
    alike = [*alike[:1], *(_behind(row, alike[0], errors, confidence) for row in alike[1:])]
    known = [errors[row.name] for row in alike if row.name in errors]
    told = flattery(known) if len(known) == len(alike) > 1 else None
    failed = [row for row in made if row.state == FAILED]
    waiting = [row for row in made if row.state == WAITING]
    return Board((*alike, *other, *failed, *waiting), told, confidence)


def _measured(row: Row, errors: Mapping[str, Errors]) -> tuple[str, str]:
    return row.metric, errors[row.name].items if row.name in errors else ""


def _rank(row: Row) -> tuple[float, float, str]:
    return (row.error if row.error is not None else 0.0, row.seconds or 0.0, row.name)


def _on_front(rows: Sequence[Row]) -> list[Row]:
    """Rows with `is_on_front` told; a number that is not known counts as the largest there is."""
    points = [
        [
            float("inf") if one is None else float(one)
            for one in (row.error, row.seconds, row.peak_bytes)
        ]
        for row in rows
    ]
    return [
        replace(row, is_on_front=is_on) for row, is_on in zip(rows, pareto(points), strict=True)
    ]


def _behind(row: Row, first: Row, errors: Mapping[str, Errors], confidence: float) -> Row:
    own, best = errors.get(row.name), errors.get(first.name)
    if own is None or best is None or own.items != best.items:
        return row
    return replace(row, behind=difference(own, best, confidence))
