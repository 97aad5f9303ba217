"""Far values: which rows hold them, what they have in common, and what training without them does.

**Nothing is dropped.** A group of far values is most often a story of its own: a code that stands for
"not known", another unit, a kind of customer that is rare and dear. The report groups the rows, and
`with_and_without` shows what the model is worth without each group; what to do is yours.

- numbers and dates: the robust z score 0.6745·(x - median) / MAD beyond 3.5 (Iglewicz & Hoaglin 1993),
  where MAD is the median distance to the median. Where more than half of the rows share one value, MAD is
  0: then the quartiles' distance / 1.349 takes its place, and where that is 0 too, 1.2533 times the mean
  distance to the median.
- categories: the rarest, as far as they hold at most 1% of the rows together, equally rare ones only all
  at once. So a column in which every word is rare has no far values.

A missing value is never far. A column in which more than `MOST_FAR` of the rows would be far has no
outliers but another shape, two heaps or a long tail: it is named and left out. Rows are grouped by which
columns are far in them, and on which side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.association import as_numbers
from drivetrain.interpret.refits import Refits, fitted, refit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FitScoreRows = Callable[[np.ndarray], tuple[float, float]]
"""(N,) bool, which rows to train with -> the score and its standard error, always on the same other
rows."""

MOST_FAR = 0.25
"""Share of the rows from which on the far values of a column are not called so."""

SAME = 0.5
"""Share of a column's far values that are one and the same, from which on that value is named."""


class FarColumn(NamedTuple):
    """The far values of one column."""

    name: str
    """Of the column."""
    num_low: int
    """Rows below; of categories, none."""
    num_high: int
    """Rows above; of categories, those with a rare one."""
    low: str
    """The value below which one is far; empty where none is."""
    high: str
    """The value above which one is far; for categories, the rare ones; empty where none is."""
    repeated: str
    """The value that at least half of the far rows share; empty where there is none, or a single row."""
    num_repeated: int
    """Rows that share it."""


@dataclass(frozen=True, eq=False)
class FarGroup:
    """Rows in which the same columns are far, on the same sides."""

    columns: tuple[tuple[str, str], ...]
    """(name, `low`, `high` or `rare`)."""
    rows: np.ndarray
    """(M,) int64 positions in the frame."""
    ids: np.ndarray
    """(M,) int64 ids of those rows."""

    @property
    def name(self) -> str:
        """Such as `YearMade low, state rare`."""
        return ", ".join(f"{name} {side}" for name, side in self.columns)


@dataclass(frozen=True, eq=False)
class OutlierReport:
    """Far values by column, and rows by what is far in them."""

    columns: tuple[FarColumn, ...]
    """Columns that have far values, those with the most first."""
    groups: tuple[FarGroup, ...]
    """The largest first; no row is in two of them."""
    heaps: tuple[tuple[str, float], ...]
    """(name, share of the rows) of columns in which too many would be far; they are left out."""
    num_rows: int
    """Rows of the table."""
    num_columns: int
    """Columns that were looked at."""
    far: float
    """Robust z score from which on a number is far."""

    @property
    def by_column(self) -> tuple[FarGroup, ...]:
        """All rows that are far in one column and on one side, whatever else is far in them; the largest
        first. A row may be in several."""
        members: dict[tuple[str, str], list[FarGroup]] = {}
        for group in self.groups:
            for column in group.columns:
                members.setdefault(column, []).append(group)
        found = []
        for column, groups in members.items():
            rows = np.concatenate([group.rows for group in groups])
            order = np.argsort(rows)
            ids = np.concatenate([group.ids for group in groups])
            found.append(FarGroup((column,), rows[order], ids[order]))
        return tuple(sorted(found, key=_largest_first))

    @property
    def rows(self) -> np.ndarray:
        """(M,) int64 positions of all rows that have a far value, ascending."""
        return np.sort(
            np.concatenate([np.empty(0, np.int64), *(group.rows for group in self.groups)])
        )

    def to_json(self) -> dict[str, Any]:
        """All fields, plain; rows by their ids."""
        return {
            "num_rows": self.num_rows,
            "num_columns": self.num_columns,
            "far": self.far,
            "columns": [column._asdict() for column in self.columns],
            "heaps": [list(heap) for heap in self.heaps],
            "groups": [
                {"columns": [list(c) for c in group.columns], "ids": group.ids.tolist()}
                for group in self.groups
            ],
        }

    def __str__(self) -> str:
        heaps = [f"{name} ({share:.0%})" for name, share in self.heaps]
        left = (
            "Left out, since too many values would be far, which is a shape and no outlier: "
            f"{text.listed(heaps)}."
        )
        if not self.columns:
            nothing = f"No far values in {text.rows(self.num_rows)} of {self.num_columns} columns."
            return f"{nothing}\n{text.wrapped(left)}" if heaps else nothing
        columns = [
            [
                text.cut(c.name),
                f"{c.num_low:,}",
                text.cut(c.low),
                f"{c.num_high:,}",
                text.cut(c.high, 40),
                _told(c),
            ]
            for c in self.columns
        ]
        most = 15
        groups = [
            [
                f"{len(g.rows):,}",
                text.cut(g.name, 70),
                text.listed([str(i) for i in g.ids[:4]], most=4),
            ]
            for g in self.groups[:most]
        ]
        more = len(self.groups) - most
        lines = [
            f"{len(self.rows):,} of {text.rows(self.num_rows)} have a far value in {len(self.columns)} "
            f"of {self.num_columns} columns.",
            text.table(["column", "low", "below", "high", "above, or rare", ""], columns),
            "",
            text.table(
                ["rows", "far in them", "first ids"],
                [[g[0].rjust(4), *g[1:]] for g in groups],
                left=3,
            ),
            *([f"and {more} smaller groups."] if more > 0 else []),
            *([text.wrapped(left)] if heaps else []),
            "Nothing was dropped. `with_and_without` shows what training without such rows does.",
        ]
        return "\n".join(lines)

    def plot(self) -> Figure:
        """How many rows are far in each column, low to the left and high or rare to the right.

        Raises: MissingPackageError: there is no matplotlib.
        """
        shown = self.columns[: drawing.MOST_BARS]
        figure = drawing.new_figure(7, drawing.height_of(len(shown)))
        axes = figure.subplots()
        places = range(len(shown))
        axes.barh(places, [-c.num_low for c in shown], color=drawing.DOWN, height=0.7, label="low")
        axes.barh(
            places, [c.num_high for c in shown], color=drawing.UP, height=0.7, label="high or rare"
        )
        drawing.name_lines(axes, [c.name for c in shown])
        axes.axvline(0, color="0.3", linewidth=0.8)
        axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        drawing.whole_numbers(axes)
        axes.set_xlabel(f"rows with a far value, of {self.num_rows:,}")
        axes.grid(axis="x", alpha=0.3)
        if shown:
            axes.legend(fontsize=8, loc="lower right")
        drawing.bare(axes)
        drawing.note_below(figure, "Nothing was dropped.")
        return figure


def outlier_report(
    frame: Frame, *, names: Sequence[str] | None = None, far: float = 3.5, rare: float = 0.01
) -> OutlierReport:
    """Find far values and group the rows that hold them; nothing is changed.

    Args:
        frame: N rows.
        names: which columns, by default all.
        far: robust z score from which on a number or a date is far.
        rare: share of the rows that rare categories of a column hold together, at most.

    Returns: the far values, and the rows in groups; print it.
    Raises: DataError: no such column, or no rows. ConfigError: a setting out of range.
    """
    if not far > 0 or not 0 <= rare < 1:
        raise ConfigError(
            f"`outlier_report` needs `far` above 0 and `rare` in [0, 1). Got {far} and {rare}."
        )
    chosen = tuple(frame.names if names is None else names)
    if len(frame) == 0:
        raise DataError("`outlier_report` got a frame without rows.")
    sides = np.zeros((len(frame), len(chosen)), dtype=np.int8)  # -1 low, 1 high or rare
    columns, heaps = [], []
    for place, name in enumerate(chosen):
        values = frame[name]
        find = (
            _rare_words(values, rare) if isinstance(values, Factor) else _far_numbers(values, far)
        )
        found, low, high = find
        share = float((found != 0).mean())
        if share > MOST_FAR:
            heaps.append((name, share))
        elif share > 0:
            sides[:, place] = found
            columns.append(_described(name, values, found, low, high))
    return OutlierReport(
        columns=tuple(sorted(columns, key=lambda c: -(c.num_low + c.num_high))),
        groups=_groups(frame, chosen, sides),
        heaps=tuple(heaps),
        num_rows=len(frame),
        num_columns=len(chosen),
        far=far,
    )


def _far_numbers(values: np.ndarray, far: float) -> tuple[np.ndarray, str, str]:
    numbers = as_numbers(values)
    there = numbers[np.isfinite(numbers)]
    sides = np.zeros(len(numbers), dtype=np.int8)
    if len(there) == 0:
        return sides, "", ""
    median = np.median(there)
    distance = np.abs(there - median)
    quarter, three = np.quantile(there, [0.25, 0.75])
    scale = np.median(distance) / 0.6745 or (three - quarter) / 1.349 or 1.2533 * distance.mean()
    if scale == 0:
        return sides, "", ""
    low, high = median - far * scale, median + far * scale
    with np.errstate(invalid="ignore"):
        sides[numbers < low], sides[numbers > high] = -1, 1
    return sides, _as_text(values, low), _as_text(values, high)


def _as_text(values: np.ndarray, at: float) -> str:
    if values.dtype.kind == "M":
        return str(np.array(round(at), dtype="datetime64[us]").astype("datetime64[D]"))
    return text.number(float(at))


def _rare_words(values: Factor, rare: float) -> tuple[np.ndarray, str, str]:
    codes = values.codes
    counts = np.bincount(codes[codes >= 0], minlength=len(values.levels))
    sizes, of_size = np.unique(counts[counts > 0], return_counts=True)
    held = np.cumsum(sizes * of_size)  # rows of all words that occur so often or less
    fitting = sizes[held <= rare * len(codes)]
    most = fitting[-1] if len(fitting) else 0
    is_rare = (counts > 0) & (counts <= most)
    words = [values.levels[code] for code in np.flatnonzero(is_rare)]
    is_rare = np.append(is_rare, False)  # code -1, which is missing, reads the last
    return is_rare[codes].astype(np.int8), "", text.listed(words, most=3)


def _described(name: str, values: Values, sides: np.ndarray, low: str, high: str) -> FarColumn:
    rows = np.flatnonzero(sides)
    kinds, counts = np.unique(as_numbers(values)[rows], return_counts=True)
    best = int(counts.argmax())
    repeated = ""
    if counts[best] > 1 and counts[best] >= SAME * len(rows):
        if isinstance(values, Factor):
            repeated = values.levels[int(kinds[best])]
        else:
            repeated = _as_text(values, kinds[best])
    return FarColumn(
        name=name,
        num_low=int((sides < 0).sum()),
        num_high=int((sides > 0).sum()),
        low=low if (sides < 0).any() else "",
        high=high if (sides > 0).any() else "",
        repeated=repeated,
        num_repeated=int(counts[best]) if repeated else 0,
    )


def _told(column: FarColumn) -> str:
    if not column.repeated:
        return ""
    if column.num_repeated == column.num_low + column.num_high:
        return f"all of them {text.cut(column.repeated)}"
    return f"{column.num_repeated:,} of them {text.cut(column.repeated)}"


def _groups(frame: Frame, names: Sequence[str], sides: np.ndarray) -> tuple[FarGroup, ...]:
    rows = np.flatnonzero(sides.any(axis=1))
    patterns, group = np.unique(sides[rows], axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(group.ravel(), minlength=len(patterns)))
    parts = np.split(rows[order], ends)[:-1]
    found = []
    for pattern, members in zip(patterns.tolist(), parts, strict=True):
        columns = tuple(
            (name, _side(frame, name, side))
            for name, side in zip(names, pattern, strict=True)
            if side
        )
        found.append(FarGroup(columns, members, frame.ids[members]))
    return tuple(sorted(found, key=_largest_first))


def _largest_first(group: FarGroup) -> tuple[int, tuple[tuple[str, str], ...]]:
    return -len(group.rows), group.columns


def _side(frame: Frame, name: str, side: int) -> str:
    if isinstance(frame[name], Factor):
        return "rare"
    return "low" if side < 0 else "high"


def with_and_without(
    fit_score: FitScoreRows,
    report: OutlierReport,
    *,
    groups: Sequence[FarGroup] | None = None,
    most: int = 8,
    higher_is_better: bool = False,
) -> Refits:
    """Train with all rows, then without each group of far ones, then without all of these groups.

    Args:
        fit_score: (N,) bool, which rows to train with -> (score, standard error). It has to score on the
            same rows each time, and not on those that were left out: an out-of-bag error would leave the
            hard rows out of the exam as well.
        report: of the training rows.
        groups: which to leave out in turn, by default those of `report.by_column`; `report.groups` are
            those that share all that is far in them.
        most: groups that are tried, from the first on.
        higher_is_better: True where the score is no error.

    Returns: the score of each training; print it.
    Raises: DataError: no row would be left. InputError: `fit_score` gave something else.
    """
    who = "with_and_without"
    everything = np.ones(report.num_rows, dtype=bool)
    chosen = list(report.by_column if groups is None else groups)[:most]
    tried = [(f"{group.name} ({text.rows(len(group.rows))})", group.rows) for group in chosen]
    if len(chosen) > 1:
        rows = np.unique(np.concatenate([group.rows for group in chosen]))
        tried.append((f"any of these ({text.rows(len(rows))})", rows))
    full = fitted(who, fit_score(everything.copy()))
    found = []
    for name, rows in tried:
        kept = everything.copy()
        kept[rows] = False
        if not kept.any():
            raise DataError(f"`{who}` would leave no rows to train with without {name}.")
        found.append(refit(name, full, fitted(who, fit_score(kept)), higher_is_better))
    note = "Nothing was dropped: training takes all rows unless you leave some out."
    return Refits("group of rows", full, tuple(found), higher_is_better, note)
