"""What a check found: a name, how grave it is, in which items, and what to do about it.

critical   the score would not be true, or the model would learn from what it cannot have: training
           stops, unless it is accepted with a reason
warning    worth a decision
note       good to know
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError
from drivetrain.gate.worth import Worth
from drivetrain.interpret import text

LEVELS = ("critical", "warning", "note")
NAMES = {
    "duplicates-across": "validation or test items that training has too",
    "duplicates-within": "items of one part that are there more than once",
    "entity-overlap": "somebody, or something, whose rows are on both sides of the split",
    "time-order": "validation items that are not later than training ones",
    "target-proxy": "a column that tells the target almost by itself",
    "order-tells": "an id, or the order of the rows, that is related to the target",
    "missing-tells": "missing cells that are related to the target",
    "label-conflict": "items that are the same and are labelled differently",
    "unreadable": "items that cannot be used",
    "imbalance": "a class with hardly any items, or with nearly all",
    "classes-alike": "classes whose names differ by how they are written alone",
    "constant-column": "a column that says the same in every row",
    "copied-column": "a column that another one, or several, say already",
}
"""Every name that a finding can have, and what it is about."""
SHOWN = 3
"""Items that a printed finding names."""
MOST_ITEMS = 100
"""Items that a finding keeps the names of."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be."""

    name: str
    """One of `NAMES`."""
    level: str
    """One of `LEVELS`."""
    what: str
    """A sentence with its figures."""
    where: str
    """The parts, or the column, that it is about."""
    fix: str
    """A sentence: what to do."""
    accepting: str
    """A sentence: what one says who accepts it."""
    items: tuple[str, ...] = ()
    """Names of the items it is about, the first `MOST_ITEMS`."""
    count: int = 0
    """How many they are."""
    subject: str = ""
    """The column, where there may be one such finding for several."""
    worth: Worth | None = None
    """What it adds to a score; None where that was not measured."""
    because: str | None = None
    """Why it was accepted; None where it was not."""

    @property
    def key(self) -> str:
        """By what it is accepted: its name, with the column where it is about one."""
        return f"{self.name}:{self.subject}" if self.subject else self.name

    @property
    def is_open(self) -> bool:
        """Critical and not accepted."""
        return self.level == "critical" and self.because is None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "key": self.key,
            "level": self.level,
            "what": self.what,
            "where": self.where,
            "fix": self.fix,
            "accepting": self.accepting,
            "items": list(self.items),
            "count": self.count,
            "worth": None if self.worth is None else self.worth.to_json(),
            "because": self.because,
        }

    def __str__(self) -> str:
        lines = [f"{self.level.upper()}  {self.key}", self.what]
        if self.items:
            more = f" and {self.count - SHOWN:,} more" if self.count > SHOWN else ""
            said = f"Such as: {'; '.join(self.items[:SHOWN])}{more}"
            lines.append(said if said.endswith(".") else f"{said}.")
        if self.worth is not None:
            lines.append(str(self.worth))
        lines.append(f"To do: {self.fix}")
        if self.because is not None:
            lines.append(f"Accepted: {self.because}")
        elif self.level == "critical":
            lines.append(f"Or: --accept {_quoted(self.key)} --because WHY. {self.accepting}")
        head, *rest = lines
        return "\n".join(
            [head, *("  " + text.wrapped(one, 98).replace("\n", "\n    ") for one in rest)]
        )


@dataclass(frozen=True)
class Findings:
    """All findings of a source, the gravest first."""

    source: str
    """What was looked at, as it is called."""
    found: tuple[Finding, ...]
    """The gravest first."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Items of each part, and those set aside."""
    looked: tuple[str, ...] = ()
    """What was looked at, a sentence each."""
    left_out: tuple[str, ...] = ()
    """What was not looked at, and why, a sentence each."""

    @classmethod
    def of(
        cls,
        source: str,
        found: Iterable[Finding],
        *,
        counts: Mapping[str, int],
        looked: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ) -> Findings:
        """The findings in order: by level, then by what they are worth, then as they came.

        Args:
            source: how it is called.
            found: in any order.
            counts: items of each part, and those set aside.
            looked: what was looked at, a sentence each.
            left_out: what was not, and why, a sentence each.
        """
        ordered = sorted(
            found,
            key=lambda one: (
                LEVELS.index(one.level),
                -abs(one.worth.difference) if one.worth is not None else 0.0,
            ),
        )
        return cls(source, tuple(ordered), dict(counts), tuple(looked), tuple(left_out))

    @property
    def open(self) -> tuple[Finding, ...]:
        """Critical ones that nobody has accepted."""
        return tuple(one for one in self.found if one.is_open)

    @property
    def is_clear(self) -> bool:
        """Nothing critical is left."""
        return not self.open

    def accepted(self, reasons: Mapping[str, str]) -> Findings:
        """The same with findings accepted: by name all of that name, by `name:column` the one.

        Args:
            reasons: name, or `name:column` -> why.

        Raises: ConfigError: a name that there is not, or a reason that says nothing. A known name that
            nothing was found of is no mistake: the data may have been put right since.
        """
        for key, because in reasons.items():
            name = key.partition(":")[0]
            if name not in NAMES:
                raise ConfigError(
                    f"There is no finding '{name}' to accept.{did_you_mean(name, NAMES)} "
                    f"Known: {', '.join(NAMES)}."
                )
            if not because.strip():
                raise ConfigError(f"'{key}' is to be accepted: say why, as it will be read later.")
        return replace(
            self,
            found=tuple(
                replace(one, because=reasons.get(one.key, reasons.get(one.name, one.because)))
                for one in self.found
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: everything, and `clear`."""
        return {
            "source": self.source,
            "clear": self.is_clear,
            "levels": {level: sum(f.level == level for f in self.found) for level in LEVELS},
            "counts": dict(self.counts),
            "findings": [one.to_json() for one in self.found],
            "looked": list(self.looked),
            "left_out": list(self.left_out),
        }

    def __str__(self) -> str:
        told = ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count)
        lines = [f"{self.source}: {told}", ""]
        for one in self.found:
            lines += [str(one), ""]
        if not self.found:
            lines += ["Nothing was found.", ""]
        lines += [text.wrapped(f"Looked at: {one}", 100) for one in self.looked]
        lines += [text.wrapped(f"Left out: {one}", 100) for one in self.left_out]
        levels = [sum(f.level == level for f in self.found) for level in LEVELS]
        ending = f"{levels[0]} critical, {levels[1]} to decide, {levels[2]} to know."
        if self.open:
            ending += f" {len(self.open)} critical not accepted: a training would stop here."
        return "\n".join([*lines, ending])


def _quoted(key: str) -> str:
    return f"'{key}'" if any(letter.isspace() for letter in key) else key
