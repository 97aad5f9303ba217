"""Has the source changed? A batch of new items against the items that the guard was fitted on.

Every feature, or column, is tested by itself, and the smallest p-value times their number is that of the
batch (Bonferroni; Rabanser et al. 2019, arXiv:1810.11953). So it is known which ones moved, and a batch
of the same source is called drifted in at most `level` of cases, however the features hang together. The
tests: two_sample.py. What was tried beside it: docs/decisions/0015-guard.md.
Twin: drivetrain.reference.guard.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from drivetrain.bundle.checks import check_rows, check_share, read_share, read_tensor
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.two_sample import chi_squared, ks_distance, ks_p_value
from drivetrain.errors import InputError, ShapeError
from drivetrain.randomness import permutation

REFERENCE_ITEMS = 1_000
"""Items that are kept to compare with, at most."""

REFERENCE_NUMBERS = 1_000_000
"""Numbers that are kept, at most: 4 MB."""

MOST_MOVED = 10
"""Features that a report names, at most."""

Column = Sequence[Any] | Tensor
"""Of a table: numbers, with NaN or None where one is missing; or else anything, each value a kind."""


class Moved(NamedTuple):
    """What changed in one feature or column."""

    feature: int | str
    """Number of the feature, or name of the column."""
    p_value: float
    """Of this one alone, not yet times the number of features."""
    distance: float
    """How far the two distributions are apart, in [0, 1]."""


@dataclass(frozen=True)
class ShiftReport:
    """Whether a batch comes from where the reference came from."""

    p_value: float
    """How often chance alone gives a batch as different, at most."""
    drifted: bool
    """Whether that is below the level."""
    level: float
    """The share of batches of the same source that is called drifted, at most."""
    most_moved: tuple[Moved, ...]
    """The features that differ most, first the surest; `MOST_MOVED` at most, drifted or not."""
    num_moved: int
    """Features whose p-value holds beside that of the others (Holm 1979): none of them by chance, in
    all but a share of `level` of batches."""
    num_features: int
    """Features that were tested."""
    num_items: int
    """Items of the batch."""
    of: str = "features"
    """What they are called."""
    items: str = "items"
    """What items are called."""

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        if not self.drifted:
            return (
                f"No drift seen in {self.num_items} {self.items} (p = {self.p_value:.2g}, level "
                f"{self.level:g})."
            )
        named = ", ".join(
            f"{one.feature} (distance {one.distance:.2f}, p = {one.p_value:.1g})"
            for one in self.most_moved[: min(3, self.num_moved)]
        )
        return (
            f"The {self.num_items:,} {self.items} have drifted from the reference (p = "
            f"{self.p_value:.2g}, level {self.level:g}): {self.num_moved} of {self.num_features} "
            f"{self.of} moved, most of "
            f"all {named}."
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, and the text."""
        return {
            "p_value": self.p_value,
            "drifted": self.drifted,
            "level": self.level,
            "most_moved": [moved._asdict() for moved in self.most_moved],
            "num_moved": self.num_moved,
            "num_features": self.num_features,
            "num_items": self.num_items,
            "text": self.text,
        }


@dataclass(frozen=True)
class Reference:
    """What new batches are compared with."""

    items: Tensor
    """(R, F) float32."""
    level: float
    """Of the test."""

    def test(self, features: Tensor) -> ShiftReport:
        """(B, F) float features of new items, B 1 or more.

        Raises: ShapeError: another width, or no items. InputError: NaN or infinity.
        """
        features = check_rows("shift", "features", features, width=self.items.shape[1])
        if len(features) == 0:
            raise ShapeError(
                "`shift` got no items. Give it a batch; 30 items or more tell something."
            )
        # As float32, as the reference is kept: else what was rounded would count as moved.
        distances = ks_distance(self.items, features.float())
        p_values = ks_p_value(distances, len(self.items), len(features))
        found = zip(p_values.tolist(), distances.tolist(), strict=True)
        moved = [Moved(number, p, distance) for number, (p, distance) in enumerate(found)]
        return report_of(moved, self.level, len(features))

    def to_json(self) -> dict[str, Any]:
        """All but the tensor."""
        return {"level": self.level}

    def tensors(self) -> dict[str, Tensor]:
        """The tensor, by name."""
        return {"shift.items": self.items}

    @classmethod
    def from_parts(cls, fields: Fields, tensors: Mapping[str, Any], num_features: int) -> Reference:
        """Back from `to_json` and `tensors`. Raises: BundleError: anything else."""
        sizes = (range(1, REFERENCE_ITEMS + 1), range(num_features, num_features + 1))
        items = read_tensor(tensors, "shift.items", sizes)
        level = read_share(fields, "level")
        fields.end()
        return cls(items, level)


def fit_shift(features: Tensor, *, level: float = 0.01, seed: int = 42) -> Reference:
    """Keep features to compare with.

    Args:
        features: (N, F) float, of items that the model was not trained on: those it was trained on have
            other features than any new item.
        level: of 100 batches of the same source, so many hundredths are called drifted, at most.
        seed: which items are kept, where there are many.

    Raises: ShapeError, InputError: they are not that. ConfigError: a level outside (0, 1).
    """
    check_share("fit_shift", "level", level)
    features = check_rows("fit_shift", "features", features)
    if len(features) == 0:
        raise ShapeError("`fit_shift` got no items, expected 1 or more.")
    most = max(1, min(REFERENCE_ITEMS, REFERENCE_NUMBERS // features.shape[1]))
    if len(features) > most:
        drawn = permutation(len(features), seed=seed, epoch=0, purpose="guard shift")[:most]
        features = features[drawn]
    return Reference(features.float().contiguous(), level)


def column_shift(
    reference: Mapping[str, Column],
    new: Mapping[str, Column],
    names: Sequence[str] | None = None,
    *,
    level: float = 0.01,
) -> ShiftReport:
    """Which columns of a table have changed.

    Columns whose values are all numbers, missing or no values are compared as numbers, a missing one
    being below all others; all else as kinds, where missing is a kind.

    Args:
        reference: name -> column of what was known.
        new: name -> column of what came since.
        names: which columns; None takes all of the reference.
        level: in (0, 1).

    Raises: InputError: a column is not in both, or empty. ConfigError: a level outside (0, 1).

    >>> old = {"age": list(range(60)), "sex": ["f", "m"] * 30}
    >>> report = column_shift(old, {"age": list(range(40, 100)), "sex": ["m", "f"] * 30})
    >>> report.drifted, report.most_moved[0].feature
    (True, 'age')
    """
    check_share("column_shift", "level", level)
    chosen = list(reference if names is None else names)
    absent = [name for name in chosen if name not in reference or name not in new]
    if absent or not chosen:
        raise InputError(
            f"`column_shift` compares columns that both tables have; not in both: {absent}."
        )
    moved, sizes = [], []
    for name in chosen:
        old, now = _values(reference[name]), _values(new[name])
        if not old or not now:
            raise InputError(f"`column_shift` got no values in column '{name}'.")
        sizes.append(len(now))
        if all(_is_number(value) for value in (*old, *now)):
            distance = ks_distance(_numbers(old), _numbers(now))
            p_value = float(ks_p_value(distance, len(old), len(now)))
            moved.append(Moved(name, p_value, float(distance)))
        else:
            kinds = {kind: i for i, kind in enumerate(sorted({*map(_kind, old), *map(_kind, now)}))}
            counts = [
                torch.bincount(
                    torch.tensor([kinds[_kind(value)] for value in values]), minlength=len(kinds)
                )
                for values in (old, now)
            ]
            moved.append(Moved(name, *chi_squared(*counts)))
    return report_of(moved, level, max(sizes))


def report_of(
    moved: list[Moved],
    level: float,
    num_items: int,
    *,
    of: str = "features",
    items: str = "items",
) -> ShiftReport:
    """What the tests of all features come to.

    Args:
        moved: one for each feature, 1 or more.
        num_items: of the batch.
        of: what features are called.
        items: what items are called.
    """
    count = len(moved)
    ordered = sorted(moved, key=lambda one: (one.p_value, -one.distance))
    p_value = min(1.0, ordered[0].p_value * count)
    holds = (one.p_value * (count - place) <= level for place, one in enumerate(ordered))
    return ShiftReport(
        p_value=p_value,
        drifted=p_value <= level,
        level=level,
        most_moved=tuple(ordered[:MOST_MOVED]),
        num_moved=sum(1 for _ in itertools.takewhile(bool, holds)),
        num_features=count,
        num_items=num_items,
        of=of,
        items=items,
    )


def _values(column: Column) -> list[Any]:
    return column.tolist() if isinstance(column, Tensor) else list(column)


def _is_number(value: Any) -> bool:
    return value is None or (hasattr(value, "__float__") and not isinstance(value, str | bool))


def _numbers(values: list[Any]) -> Tensor:
    """(N, 1) float64, missing as -infinity."""
    column = torch.tensor([float("nan") if value is None else float(value) for value in values])
    return column.double().nan_to_num(nan=float("-inf"), posinf=float("inf"))[:, None]


def _kind(value: Any) -> str:
    return "" if value is None or value != value else str(value)
