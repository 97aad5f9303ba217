"""A worked calculation: formula, numbers put in, each intermediate, the result, and the run's own value.

A `Calculation` is plain data. Its steps are written in the language of `drivetrain.show.expression`
and were worked out in float64 by its evaluator; `own` is what the run itself computed, in its own
precision. So a reader needs nothing but `to_json()` to work everything out again.

    >>> sums = work(
    ...     "y of a line",
    ...     "y = w·x + b",
    ...     [
    ...         Term("x", "the input", np.float64(2), "input"),
    ...         Term("w", "the slope", np.float64(3), "weight"),
    ...         Term("b", "the intercept", np.float64(1), "weight"),
    ...     ],
    ...     [("y", "w * x + b", "the line at x")],
    ...     own=7.0,
    ...     tolerance=1e-6,
    ...     source="by hand",
    ... )
    >>> float(sums.result), sums.difference, sums.agrees
    (7.0, 0.0, True)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drivetrain.errors import ConfigError
from drivetrain.show.expression import evaluate, is_name
from drivetrain.show.html import fragment

ROLES = ("input", "weight", "state", "setting", "step", "result")
"""What a term is: what came in from outside; what training learns; what is carried along, such as running
statistics, a cell or a momentum; a number that somebody chose, or a shape; what another part of the same
calculation gave; what the whole gave."""


@dataclass(frozen=True)
class Term:
    """A named array that is put into a formula."""

    name: str
    """As the expressions call it: a plain identifier, such as "x" or "w"."""
    meaning: str
    """In words: "the patch of the input under the kernel"."""
    value: np.ndarray
    """float64 or int64, of any shape, () for one number; a copy, which nobody changes."""
    role: str
    """One of `ROLES`."""


@dataclass(frozen=True)
class Step:
    """One line of a calculation: `name = expression`, and the value that it gives."""

    name: str
    """The new name; later steps can use it."""
    expression: str
    """In the language of `drivetrain.show.expression`."""
    meaning: str
    """In words."""
    value: np.ndarray
    """float64."""


@dataclass(frozen=True)
class Calculation:
    """How one number (or a few) of a run came about. Made by `work`, which works out the steps."""

    title: str
    """What it is: "conv1 (Conv2d): output [item 0, channel 3, row 5, column 7]"."""
    formula: str
    """For people: "y = Σ x·w + b"."""
    terms: tuple[Term, ...]
    """What is put in."""
    steps: tuple[Step, ...]
    """In order; the last one is the result."""
    own: np.ndarray
    """The run's own value of the same thing, as float64."""
    tolerance: float
    """They agree where |result - own| <= tolerance * max(1, |own|)."""
    source: str
    """Which module and operation of the run it is, and where that is described."""
    parts: tuple[Calculation, ...] = ()
    """Calculations that this one is made of, in order."""
    is_shown: bool = True
    """False where the run's own value is only repeated, because nothing here knows the operation."""

    @property
    def result(self) -> npt.NDArray[np.float64]:
        """What the last step gives."""
        return self.steps[-1].value

    @property
    def difference(self) -> float:
        """The largest |result - own| / max(1, |own|); 0 where both are NaN or the same infinity."""
        result, own = self.result, self.own
        if result.shape != own.shape:
            return float("inf")
        same = (result == own) | (np.isnan(result) & np.isnan(own))
        with np.errstate(all="ignore"):
            apart = np.abs(result - own) / np.maximum(1.0, np.abs(own))
        apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
        return float(apart.max(initial=0.0))

    @property
    def agrees(self) -> bool:
        """Whether the result was worked out and is the run's own value, within the tolerance."""
        return self.is_shown and self.difference <= self.tolerance

    @property
    def agrees_throughout(self) -> bool:
        """Whether this one and all its parts agree."""
        return all(each.agrees for each in self.walk())

    def walk(self) -> Iterator[Calculation]:
        """All parts, parts of parts and so on, in order, and then this one."""
        for part in self.parts:
            yield from part.walk()
        yield self

    @property
    def not_shown(self) -> tuple[str, ...]:
        """What in it is not worked out, by title."""
        return tuple(each.title for each in self.walk() if not each.is_shown)

    def term(self, name: str) -> Term:
        """The term of a name.

        Raises: ConfigError: there is none.
        """
        for term in self.terms:
            if term.name == name:
                return term
        raise ConfigError(
            f"The calculation has no term '{name}'. It has: {', '.join(t.name for t in self.terms)}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, every number in full.

        Arrays are nested lists, one number is a number, with `shape` beside; NaN and infinities, which
        JSON has not, are the words "nan", "inf" and "-inf".
        """
        return {
            "title": self.title,
            "formula": self.formula,
            "terms": [
                {"name": t.name, "meaning": t.meaning, "role": t.role, **_array(t.value)}
                for t in self.terms
            ],
            "steps": [
                {
                    "name": s.name,
                    "expression": s.expression,
                    "meaning": s.meaning,
                    **_array(s.value),
                }
                for s in self.steps
            ],
            "result": _array(self.result),
            "own": _array(self.own),
            "difference": _number(self.difference),
            "tolerance": _number(self.tolerance),
            "agrees": self.agrees,
            "is_shown": self.is_shown,
            "source": self.source,
            "parts": [part.to_json() for part in self.parts],
        }

    def _repr_html_(self) -> str:
        return fragment(self)

    def __str__(self) -> str:
        lines = [
            self.title,
            f"  {self.formula}",
            *(f"  {t.name} = {_brief(t.value)}   {t.meaning}" for t in self.terms),
            *(f"  {s.name} = {s.expression} = {_brief(s.value)}   {s.meaning}" for s in self.steps),
        ]
        if not self.is_shown:
            return "\n".join([*lines, "  not worked out: the run's own value is repeated"])
        verdict = "the same" if self.agrees else "DIFFERENT"
        lines.append(
            f"  the run's own: {_brief(self.own)}, {verdict}: {self.difference:.2g} apart, "
            f"{self.tolerance:.2g} allowed"
        )
        return "\n".join(lines)


def work(
    title: str,
    formula: str,
    terms: Sequence[Term],
    lines: Sequence[tuple[str, str, str]],
    *,
    own: Any,
    tolerance: float,
    source: str,
    parts: Sequence[Calculation] = (),
    is_shown: bool = True,
) -> Calculation:
    """Work out the steps of a calculation.

    Args:
        title: what is calculated.
        formula: for people.
        terms: what is put in.
        lines: (name, expression, meaning) of each step, in order; the last one gives the result.
        own: the run's own value, of the result's shape: an array or a number.
        tolerance: see `Calculation.tolerance`.
        source: which module and operation it is.
        parts: calculations that this one is made of.
        is_shown: see `Calculation.is_shown`.

    Raises: ConfigError: a name is no plain identifier or is there twice, a role is unknown, there is no
        step, or an expression cannot be worked out.
    """
    known: dict[str, np.ndarray] = {}
    for name in (*(t.name for t in terms), *(line[0] for line in lines)):
        if not is_name(name):
            raise ConfigError(f"'{name}' cannot be a name in the calculation '{title}'.")
    for term in terms:
        if term.role not in ROLES:
            raise ConfigError(
                f"The term '{term.name}' has the role '{term.role}', expected one of {', '.join(ROLES)}."
            )
        _take(known, term.name, term.value, title)
    steps = []
    for name, expression, meaning in lines:
        value = evaluate(expression, known)
        _take(known, name, value, title)
        steps.append(Step(name, expression, meaning, value))
    if not steps:
        raise ConfigError(f"The calculation '{title}' has no steps.")
    return Calculation(
        title=title,
        formula=formula,
        terms=tuple(terms),
        steps=tuple(steps),
        own=np.asarray(own, dtype=np.float64),
        tolerance=float(tolerance),
        source=source,
        parts=tuple(parts),
        is_shown=is_shown,
    )


def _take(known: dict[str, np.ndarray], name: str, value: np.ndarray, title: str) -> None:
    if name in known:
        raise ConfigError(f"The name '{name}' is there twice in the calculation '{title}'.")
    known[name] = value


def _array(value: np.ndarray) -> dict[str, Any]:
    array = np.asarray(value)
    return {"shape": list(array.shape), "value": _nested(array.tolist())}


def _nested(value: Any) -> Any:
    if isinstance(value, list):
        return [_nested(part) for part in value]
    return _number(value)


def _number(value: float | int) -> float | int | str:
    if isinstance(value, int) or np.isfinite(value):
        return value
    return "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"


def _brief(value: np.ndarray) -> str:
    array = np.asarray(value)
    if array.size == 1:
        return f"{array.reshape(()).item():.9g}"
    numbers = [f"{number:.5g}" for number in array.reshape(-1)[:4].tolist()]
    dots = ", …" if array.size > 4 else ""
    return f"[{', '.join(numbers)}{dots}] ({'×'.join(map(str, array.shape))})"
