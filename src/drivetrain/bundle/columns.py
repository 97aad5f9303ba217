"""Has a table's source changed? Each column of new rows against counts of the rows known.

What is kept is no row and no column: of numbers how many rows lie between some bounds, of kinds how many
rows each has. A batch is counted the same way; numbers are compared by Kolmogorov-Smirnov's test at the
bounds, kinds by chi-squared (two_sample.py). A column moved where its p-value holds beside those of the
others (Holm 1979), so a batch of the same source is called drifted in at most `level` of cases.

    reference = fit_columns({"age": ages}, {"sex": (codes, 3)})
    reference.test({"age": new_ages, "sex": new_codes}).text
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from drivetrain.bundle.checks import check_share, read_share
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.shift import Moved, ShiftReport, report_of
from drivetrain.bundle.two_sample import chi_squared, ks_p_value
from drivetrain.errors import InputError, ShapeError

BOUNDS = 100
"""Of a column of numbers, at most: the test sees what moves between them."""
MOST_COLUMNS = 100_000
MOST_KINDS = 10_000_000
MOST_ROWS = 2**53


@dataclass(frozen=True)
class CountedNumbers:
    """A column of numbers."""

    name: str
    bounds: tuple[float, ...]
    """Ascending; none of them is the smallest or largest number, which could be a single row's."""
    counts: tuple[int, ...]
    """Rows that are missing, up to the first bound, between bounds …, beyond the last."""

    def moved(self, values: Tensor) -> Moved:
        """How (B,) float64 compare, NaN being missing: below all others."""
        old, new = (torch.tensor(self.counts), counted(values, self.bounds))
        shares = [(c.cumsum(0).double() / c.sum()) for c in (old, new)]
        distance = (shares[0] - shares[1]).abs().max()[None]
        p_value = ks_p_value(distance, int(old.sum()), int(new.sum()))
        return Moved(self.name, float(p_value), float(distance))

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {"name": self.name, "bounds": list(self.bounds), "counts": list(self.counts)}


@dataclass(frozen=True)
class CountedKinds:
    """A column of kinds."""

    name: str
    counts: tuple[int, ...]
    """Rows of each code, from 0 on."""

    def moved(self, values: Tensor) -> Moved:
        """How (B,) int64 codes compare."""
        found = torch.bincount(values, minlength=len(self.counts))
        return Moved(self.name, *chi_squared(torch.tensor(self.counts), found))

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {"name": self.name, "counts": list(self.counts)}


@dataclass(frozen=True)
class ColumnReference:
    """What new tables are compared with."""

    columns: tuple[CountedNumbers | CountedKinds, ...]
    level: float
    """The share of batches of the same source that is called drifted, at most."""
    num_items: int
    """Rows that were counted."""

    def test(self, columns: Mapping[str, Tensor]) -> ShiftReport:
        """Whether new rows come from where the known ones came from.

        Args:
            columns: name -> (B,) float64 numbers or int64 codes, B 1 or more; others are not looked at.
        Raises: InputError: a column is missing, or has a code that is unknown. ShapeError: no rows.
        """
        moved = []
        count = len(next(iter(columns.values()), torch.empty(0)))
        if count == 0:
            raise ShapeError(
                "`shift` got no rows. Give it a batch; 30 rows or more tell something."
            )
        for column in self.columns:
            values = columns.get(column.name)
            if values is None or len(values) != count:
                raise InputError(f"`shift` got no column '{column.name}' of {count} rows.")
            if isinstance(column, CountedKinds):
                low, high = int(values.min()), int(values.max())
                if low < 0 or high >= len(column.counts):
                    raise InputError(
                        f"`shift` got codes from {low} to {high} in '{column.name}', expected "
                        f"0..{len(column.counts) - 1}."
                    )
            moved.append(column.moved(values))
        return report_of(moved, self.level, count, of="columns")

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain JSON."""
        return {
            "level": self.level,
            "num_items": self.num_items,
            "numbers": [c.to_json() for c in self.columns if isinstance(c, CountedNumbers)],
            "kinds": [c.to_json() for c in self.columns if isinstance(c, CountedKinds)],
        }

    @classmethod
    def from_json(
        cls, fields: Fields, *, numbers: Sequence[str], kinds: Mapping[str, int]
    ) -> ColumnReference:
        """Back from `to_json`, perhaps from a stranger.

        Args:
            numbers: columns of numbers that it has to be of, in order.
            kinds: columns of kinds, and how many codes each has.
        Raises: BundleError: it is something else.
        """
        level, count = read_share(fields, "level"), fields.whole("num_items", 1, MOST_ROWS)
        found: list[CountedNumbers | CountedKinds] = []
        entries = fields.inners("numbers", most=MOST_COLUMNS)
        if len(entries) != len(numbers):
            fields.refuse(f"has {len(entries)} columns of numbers, expected {len(numbers)}")
        for entry, name in zip(entries, numbers, strict=True):
            _named(entry, name)
            bounds = _bounds(entry)
            counts = _counts(entry, len(bounds) + 2, count)
            found.append(CountedNumbers(name, bounds, counts))
            entry.end()
        entries = fields.inners("kinds", most=MOST_COLUMNS)
        if len(entries) != len(kinds):
            fields.refuse(f"has {len(entries)} columns of kinds, expected {len(kinds)}")
        for entry, (name, codes) in zip(entries, kinds.items(), strict=True):
            _named(entry, name)
            found.append(CountedKinds(name, _counts(entry, codes, count)))
            entry.end()
        if not found:
            fields.refuse("is of no column")
        fields.end()
        return cls(tuple(found), level, count)


def fit_columns(
    numbers: Mapping[str, Tensor],
    kinds: Mapping[str, tuple[Tensor, int]],
    *,
    level: float = 0.01,
) -> ColumnReference:
    """Count known rows.

    Args:
        numbers: name -> (N,) float64, NaN where missing; N 1 or more.
        kinds: name -> (N,) int64 codes, and how many codes there are.
        level: of 100 batches of the same source, so many hundredths are called drifted, at most.

    Raises: ShapeError: no column, or no rows. ConfigError: a level outside (0, 1).
    """
    check_share("fit_columns", "level", level)
    sizes = {len(v) for v in numbers.values()} | {len(v) for v, _ in kinds.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise ShapeError(
            f"`fit_columns` got columns of {sorted(sizes)} rows, expected as many in all."
        )
    found: list[CountedNumbers | CountedKinds] = []
    for name, values in numbers.items():
        bounds = bounds_of(values)
        found.append(CountedNumbers(name, bounds, tuple(counted(values, bounds).tolist())))
    for name, (codes, count) in kinds.items():
        counts = torch.bincount(codes, minlength=count).tolist()
        found.append(CountedKinds(name, tuple(counts)))
    return ColumnReference(tuple(found), level, sizes.pop())


def bounds_of(values: Tensor) -> tuple[float, ...]:
    """Numbers that part (N,) values into pieces of about as many rows; NaN is passed over."""
    present = values[~values.isnan()].double().sort().values
    if not len(present):
        return ()
    places = torch.arange(1, BOUNDS + 1) * len(present) // (BOUNDS + 1)
    found = present[places].unique()
    return tuple(found[found < present[-1]].tolist())


def counted(values: Tensor, bounds: Sequence[float]) -> Tensor:
    """(B,) float64 -> int64 counts: missing, up to the first bound, …, beyond the last."""
    is_missing = values.isnan()
    edges = torch.tensor(list(bounds), dtype=torch.float64)
    place = torch.searchsorted(edges, values.double().nan_to_num(nan=0.0).contiguous())
    return torch.bincount(torch.where(is_missing, 0, place + 1), minlength=len(bounds) + 2)


def _named(entry: Fields, name: str) -> None:
    found = entry.take("name")
    if found != name:
        entry.wrong("name", f"'{name[:80]}'", found)


def _bounds(entry: Fields) -> tuple[float, ...]:
    value = entry.take("bounds")
    if not isinstance(value, list) or len(value) > BOUNDS:
        entry.wrong("bounds", f"a list of at most {BOUNDS} numbers", value)
    found = Fields({"bounds": value}, entry.where).numbers(
        "bounds", len(value), -1.79e308, 1.79e308
    )
    if any(low >= high for low, high in itertools.pairwise(found)):
        entry.wrong("bounds", "ascending numbers", value)
    return found


def _counts(entry: Fields, length: int, total: int) -> tuple[int, ...]:
    value = entry.take("counts")
    is_right = isinstance(value, list) and len(value) == length
    if not is_right or not all(type(one) is int and 0 <= one <= total for one in value):
        entry.wrong("counts", f"{length} counts of rows", value)
    if sum(value) != total:
        entry.refuse(f"counts {sum(value)} rows, and there are {total}")
    return tuple(value)
