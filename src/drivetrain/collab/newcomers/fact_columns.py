"""One column of facts as numbers: what it was decided to be on training rows, and how a value is read.

    number      in units of its spread from its mean; missing is the mean, with a column that says so
    date        the year, as a number
    flag        0 or 1, of 0/1, true/false or yes/no
    category    a column for each level: 1 where it applies. Levels of few rows share one. Words such as
                `Comedy|Drama` are several at once
    left out    the same everywhere, empty, or free text such as a title, a link or a zip code

A value reaches all of them as a word: `3`, `3.0` and `" 3"` are one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain._strict import shown
from drivetrain.bundle.fields import Fields
from drivetrain.interpret.text import cut, listed

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("number", "date", "flag", "category", "none")
RARE = "(rare)"
"""The level that those of few rows share, and one that training did not see."""
SEPARATOR = "|"
"""Between several levels in one word."""
MOST_LEVELS = 100
"""Of a column; others are rare."""
MOST_LETTERS = 1_000
"""Of a name or a level in a stored record."""
CLEAR = 0.98
"""Share of the words that have to be numbers, or dates, for the column to be."""
COVERED = 0.5
"""Share of the rows that the levels of a column have to hold; below, it is free text."""

_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*|(?=\.))(?:\.\d*)?(?:[eE][+-]?\d{1,3})?")
_CODE = re.compile(r"0\d+")
"""Digits that begin with 0 are a zip code or a number of some form, and no quantity."""
_REST = r"(?:[T ,].*)?"
_YEAR = re.compile(
    rf"(?:(\d{{4}})[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?{_REST}"
    rf"|\d{{1,2}}[-/. ](?:\d{{1,2}}|[A-Za-z]{{3,9}}\.?)[-/., ]+(\d{{4}}){_REST}"
    rf"|[A-Za-z]{{3,9}}\.? \d{{1,2}},? (\d{{4}}){_REST})",
    re.DOTALL,
)
"""A date with a year of four digits; which of day and month comes first need not be known for it."""


@dataclass(frozen=True, eq=False)
class Words:
    """A column of a table, each of its different words once."""

    codes: np.ndarray
    """(N,) int64 places in `words`, -1 where there is none."""
    words: tuple[str, ...]

    @classmethod
    def of_column(cls, column: pa.ChunkedArray) -> Words:
        """A column of a table that was read."""
        require("pyarrow", extra="tabular")
        coded = column.combine_chunks().dictionary_encode()
        if hasattr(coded, "chunks"):  # no rows: some versions give chunks back
            coded = coded.combine_chunks()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls._merged(codes, coded.dictionary.to_pylist())

    @classmethod
    def of_values(cls, values: Sequence[Any]) -> Words:
        """Python's values, such as one of a dict."""
        return cls._merged(np.arange(len(values), dtype=np.int64), values)

    @classmethod
    def _merged(cls, codes: np.ndarray, values: Sequence[Any]) -> Words:
        """Values that are one word get one code, and those that are none get -1."""
        places: dict[str, int] = {}
        table = np.full(len(values) + 1, -1, dtype=np.int64)  # code -1 is the last
        for place, value in enumerate(values):
            word = as_word(value)
            if word is not None:
                table[place] = places.setdefault(word, len(places))
        return cls(table[codes], tuple(places))

    def counts(self) -> np.ndarray:
        """(D,) rows of each word."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))

    def spread(self, per_word: np.ndarray, missing: float = np.nan) -> np.ndarray:
        """(D,) or (D, L) numbers of words as (N,) or (N, L) of rows."""
        last = np.full((1, *per_word.shape[1:]), missing)
        return np.concatenate([per_word, last])[self.codes]

    def take(self, rows: np.ndarray) -> Words:
        """Some rows, with the words that they have, in the order of their first row."""
        codes = self.codes[rows]
        kept, first = np.unique(codes[codes >= 0], return_index=True)
        kept = kept[np.argsort(first, kind="stable")]
        table = np.full(len(self.words) + 1, -1, dtype=np.int64)
        table[kept] = np.arange(len(kept))
        return Words(table[codes], tuple(self.words[code] for code in kept))


def as_word(value: Any) -> str | None:
    """A value as a word; None where there is none.

    >>> [as_word(v) for v in (3, 3.0, " 3", True, float("nan"), "")]
    ['3', '3', '3', '1', None, None]
    """
    if value is None or value != value:  # NaN and NaT do not equal themselves
        return None
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value).strip() or None


def as_number(word: str) -> float:
    """A plain number; NaN where it is none.

    >>> as_number("1.5e3"), as_number("02215"), as_number("old")
    (1500.0, nan, nan)
    """
    return float(word) if _NUMBER.fullmatch(word) and any(c.isdigit() for c in word) else np.nan


def as_year(word: str) -> float:
    """The year of a date; NaN where it is none.

    >>> (
    ...     as_year("01-Jan-1995"),
    ...     as_year("1995-01-01 10:00:00"),
    ...     as_year("1/31/1995"),
    ...     as_year("1995"),
    ... )
    (1995.0, 1995.0, 1995.0, nan)
    """
    found = _YEAR.fullmatch(word)
    return float(next(filter(None, found.groups()))) if found else np.nan


@dataclass(frozen=True)
class FactColumn:
    """How one column of a table becomes columns of numbers."""

    name: str
    kind: str
    """One of `KINDS`."""
    mean: float = 0.0
    """Of numbers and years in training."""
    spread: float = 1.0
    """Their standard deviation."""
    levels: tuple[str, ...] = ()
    """Of a category, the most frequent first."""
    has_rare: bool = False
    """Whether there is a column for rare levels."""
    is_several: bool = False
    """Whether a word may be several levels with `|` between them."""
    has_missing: bool = False
    """Whether a value was missing in training, so that there is a column which says so."""
    why: str = ""
    """Why it was left out."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the columns it becomes."""
        if self.kind == "none":
            return ()
        rare = (f"{self.name}={RARE}",) if self.has_rare else ()
        made = (*(f"{self.name}={level}" for level in self.levels), *rare)
        return (
            *(made if self.kind == "category" else (self.name,)),
            *((f"{self.name} missing",) if self.has_missing else ()),
        )

    def encode(self, column: Words) -> tuple[np.ndarray, int]:
        """The column as numbers.

        Returns: (N, len(outputs)) float32; and of how many rows the word said nothing of its own: a
            level that training did not have, or in few rows, or no number where one is needed.
        """
        unknown = 0
        if self.kind == "none":
            return np.zeros((len(column.codes), 0), np.float32), 0
        if self.kind == "category":
            made, is_known = self._levels(column)
            unknown = int(((column.codes >= 0) & ~column.spread(is_known, 0.0).astype(bool)).sum())
            is_missing = column.codes < 0
        else:
            numbers = column.spread(self.numbers(column.words))
            is_missing = np.isnan(numbers)
            unknown = int((is_missing & (column.codes >= 0)).sum())
            scaled = (numbers - self.mean) / self.spread
            made = np.where(is_missing, 0.0, scaled)[:, None]
        if self.has_missing:
            made = np.hstack([made, is_missing[:, None]])
        return made.astype(np.float32), unknown

    def numbers(self, words: Sequence[str]) -> np.ndarray:
        """(D,) float64 that words of a number, a date or a flag stand for, NaN where none."""
        if self.kind == "flag":
            known = {**dict.fromkeys(_TRUE, 1.0), **dict.fromkeys(_FALSE, 0.0)}
            found = [known.get(word.lower(), np.nan) for word in words]
        elif self.kind == "date":
            found = [as_year(word) for word in words]
        else:
            found = [as_number(word) for word in words]
        numbers = np.array(found, dtype=np.float64)
        return np.where(np.isinf(numbers), np.nan, numbers)

    def _levels(self, column: Words) -> tuple[np.ndarray, np.ndarray]:
        """(N, L) 0 or 1, and (D,) whether every level of a word was met in training."""
        width = len(self.levels) + self.has_rare
        place = {level: i for i, level in enumerate(self.levels)}
        per_word = np.zeros((len(column.words), width))
        is_known = np.ones(len(column.words))
        for row, word in enumerate(column.words):
            for part in split_word(word) if self.is_several else (word,):
                found = place.get(part, width - 1 if self.has_rare else None)
                if found is not None:
                    per_word[row, found] = 1.0
                is_known[row] *= part in place
        return column.spread(per_word, 0.0), is_known

    def note(self) -> str:
        """What became of it, as a sentence."""
        name = repr(self.name)
        missing = " and whether it is missing" if self.has_missing else ""
        if self.kind == "none":
            return f"{name} was left out: {self.why}."
        if self.kind == "category":
            rare = ", those of few rows as one" if self.has_rare else ""
            return f"{name}: {len(self.levels)} levels{rare}{missing}."
        what = {"number": "a number", "date": "the year of a date", "flag": "0 or 1"}[self.kind]
        return f"{name}: {what}{missing}."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "mean": self.mean,
            "spread": self.spread,
            "levels": list(self.levels),
            "has_rare": self.has_rare,
            "is_several": self.is_several,
            "has_missing": self.has_missing,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, fields: Fields) -> FactColumn:
        """What `to_json` wrote, every entry checked.

        Raises: BundleError: an entry is not what it has to be.
        """
        found = cls(
            name=fields.text("name", most=MOST_LETTERS),
            kind=fields.word("kind", KINDS),
            mean=fields.number("mean", -1e300, 1e300),
            spread=fields.number("spread", 1e-300, 1e300),
            levels=_levels_of(fields),
            has_rare=_truth(fields, "has_rare"),
            is_several=_truth(fields, "is_several"),
            has_missing=_truth(fields, "has_missing"),
            why=_why(fields),
        )
        fields.end()
        return found


def fit_column(name: str, column: Words) -> FactColumn:
    """What a column is, by its training rows (N of them)."""
    count = len(column.codes)
    counts = column.counts()
    there = int(counts.sum())
    has_missing = there < count
    if not there:
        return FactColumn(name, "none", why="it is empty")
    if len(column.words) == 1 and not has_missing:
        return FactColumn(name, "none", why=f"it is {shown(column.words[0])} in every row")
    if {word.lower() for word in column.words} <= _TRUE | _FALSE:
        return FactColumn(name, "flag", has_missing=has_missing)
    if not any(_CODE.fullmatch(word) for word in column.words):
        for kind in ("number", "date"):
            found = _fit_numbers(FactColumn(name, kind), column, counts)
            if found is not None:
                return found
    return _fit_levels(name, column, counts, has_missing)


def _fit_numbers(empty: FactColumn, column: Words, counts: np.ndarray) -> FactColumn | None:
    numbers = empty.numbers(column.words)
    is_known = ~np.isnan(numbers)
    if counts[is_known].sum() < CLEAR * counts.sum():
        return None
    values, weights = numbers[is_known], counts[is_known]
    largest = float(np.abs(values).max())
    unit = largest if largest > 1e100 else 1.0  # squares of such numbers are infinite
    mean = float(np.average(values / unit, weights=weights))
    variance = float(np.average((values / unit - mean) ** 2, weights=weights))
    spread = variance**0.5 * unit
    has_missing = bool(weights.sum() < len(column.codes))
    return FactColumn(
        empty.name,
        empty.kind,
        mean=mean * unit,
        spread=spread if spread > 1e-12 * max(largest, 1e-280) else 1.0,
        has_missing=has_missing,
    )


def _fit_levels(name: str, column: Words, counts: np.ndarray, has_missing: bool) -> FactColumn:
    several = any(SEPARATOR in word for word in column.words)
    totals: dict[str, int] = {}
    parts = [split_word(word) if several else (word,) for word in column.words]
    for word_parts, count in zip(parts, counts.tolist(), strict=True):
        for part in word_parts:
            totals[part] = totals.get(part, 0) + count
    least = min(max(len(column.codes) // 200, 2), 50)
    order = sorted(totals, key=lambda level: (-totals[level], level))
    kept = [level for level in order if totals[level] >= least][:MOST_LEVELS]
    chosen = frozenset(kept)
    covered = sum(
        count
        for word_parts, count in zip(parts, counts.tolist(), strict=True)
        if chosen.issuperset(word_parts)
    )
    if covered < COVERED * counts.sum():
        example = shown(cut(column.words[0], 40))
        why = f"it has {len(totals):,} different words in {len(column.codes):,} rows, such as {example}"
        return FactColumn(name, "none", why=why)
    return FactColumn(
        name,
        "category",
        levels=tuple(kept),
        has_rare=len(kept) < len(totals),
        is_several=several,
        has_missing=has_missing,
    )


def split_word(word: str) -> tuple[str, ...]:
    """The levels that a word holds, each once.

    >>> split_word("Comedy|Drama| ")
    ('Comedy', 'Drama')
    """
    return tuple(dict.fromkeys(part for p in word.split(SEPARATOR) if (part := p.strip())))


def unknown_note(unknown: Mapping[str, int]) -> str:
    """A sentence on what was met that training did not have; empty where there is nothing."""
    met = [f"{name!r} ({count:,})" for name, count in unknown.items() if count]
    return f"Values that training did not have, or in few rows: {listed(met)}." if met else ""


def _truth(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if type(value) is not bool:
        fields.wrong(name, "true or false", value)
    return value


def _levels_of(fields: Fields) -> tuple[str, ...]:
    value = fields.take("levels")
    if (
        not isinstance(value, list)
        or len(value) > MOST_LEVELS
        or not all(isinstance(one, str) and 0 < len(one) <= MOST_LETTERS for one in value)
        or len(set(value)) != len(value)
    ):
        fields.wrong("levels", f"up to {MOST_LEVELS} different texts", value)
    return tuple(value)


def _why(fields: Fields) -> str:
    value = fields.take("why")
    if not isinstance(value, str) or len(value) > MOST_LETTERS:
        fields.wrong("why", "a text", value)
    return value
