"""Two kinds of importance side by side: what the trees gained in training, what shuffling costs.

**The rule.** Two columns contradict each other where shuffling puts one clearly above the other (their
intervals do not touch) and gain puts it below by a quarter or more of its own gain. The column with the
most contradictions is flagged and set aside, and so on until none is left: of five columns one of which
is ranked too high, that one is flagged and not the four that it has displaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.association import Link
from drivetrain.interpret.importance import Importance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATIO = 1.25
"""Gain of one column in that of another from which on gain, too, tells them apart."""


class ComparedColumn(NamedTuple):
    """One column in both rankings."""

    name: str
    gain: float
    """Share of all gain, so that the columns' shares add up to 1."""
    gain_rank: int
    """From 1, the most important."""
    cost: float
    """Mean drop of the score where it is shuffled."""
    best_rank: int
    """By shuffling, 1 and one more for each column that is clearly above."""
    worst_rank: int
    """By shuffling, as many as are not clearly below."""
    sentence: str
    """What disagrees; empty where nothing does."""

    @property
    def is_flagged(self) -> bool:
        """Whether gain and shuffling disagree about it."""
        return bool(self.sentence)


@dataclass(frozen=True)
class Comparison:
    """Both importances of each column, in the order of gain."""

    columns: tuple[ComparedColumn, ...]
    """All that were compared."""

    @property
    def flagged(self) -> tuple[ComparedColumn, ...]:
        """The columns about which the two disagree."""
        return tuple(column for column in self.columns if column.is_flagged)

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "columns": [{**c._asdict(), "is_flagged": c.is_flagged} for c in self.columns],
            "flagged": [column.name for column in self.flagged],
        }

    def __str__(self) -> str:
        rows = [
            [
                text.cut(c.name),
                f"{c.gain:.4f}",
                str(c.gain_rank),
                text.number(c.cost),
                _ranks(c),
                "disagree" if c.is_flagged else "",
            ]
            for c in self.columns
        ]
        said = [text.wrapped(column.sentence) for column in self.flagged]
        said = said or ["Gain and shuffling do not contradict each other."]
        return "\n".join(
            [text.table(["column", "gain", "rank", "cost", "rank by shuffling", ""], rows), *said]
        )

    def plot(self, *, most: int = drawing.MOST_BARS) -> Figure:
        """The rank by gain as a dot, the ranks that shuffling allows as a line; flagged ones in red.

        Raises: MissingPackageError: there is no matplotlib.
        """
        shown = self.columns[:most]
        figure = drawing.new_figure(7, drawing.height_of(len(shown)))
        axes = figure.subplots()
        for place, column in enumerate(shown):
            colour = drawing.UP if column.is_flagged else "0.55"
            ends = column.best_rank, column.worst_rank
            axes.plot(
                ends, (place, place), color=colour, linewidth=5, alpha=0.5, solid_capstyle="round"
            )
            axes.plot(column.gain_rank, place, "o", color=colour, markersize=6)
        drawing.name_lines(axes, [column.name for column in shown])
        axes.set_xlim(0, len(self.columns) + 1)
        drawing.whole_numbers(axes)
        axes.set_xlabel("rank: dot by the trees' gain, line as far as shuffling can tell")
        axes.grid(axis="x", alpha=0.3)
        drawing.bare(axes)
        if self.flagged:
            names = text.listed([column.name for column in self.flagged])
            drawing.note_below(figure, f"Red: the two disagree ({names}).")
        return figure


def compare_importance(
    impurity: Mapping[str, float], permutation: Importance, *, ratio: float = RATIO
) -> Comparison:
    """Put the trees' own importance beside permutation importance, and flag where they disagree.

    Args:
        impurity: name -> gain, 0 or more; scaled here to add up to 1.
        permutation: of the same columns.
        ratio: of two columns' gains, from which on gain tells them apart; 1 or more.

    Returns: both, column by column, and sentences on where they disagree; print it.
    Raises: DataError: a column is in one of the two only, or no column has any gain. ConfigError: a
    ratio below 1.
    """
    names = [column.name for column in permutation.columns]
    apart = sorted(set(names) ^ set(impurity))
    if apart:
        raise DataError(
            "`compare_importance` needs the same columns in both importances. In one only: "
            f"{text.listed(apart)}."
        )
    if not ratio >= 1:
        raise ConfigError(f"`compare_importance` needs a `ratio` of 1 or more. Got {ratio}.")
    total = sum(impurity.values())
    if not total > 0:
        raise DataError("`compare_importance` got no gain above 0: the trees have not split.")
    gain = np.array([impurity[name] / total for name in names])
    low = np.array([column.low for column in permutation.columns])
    high = np.array([column.high for column in permutation.columns])
    is_above = low[:, None] > high[None, :]  # [i, j]: i clearly above j by shuffling
    contradicts = is_above & (gain[None, :] > gain[:, None] * ratio)
    best, worst = 1 + is_above.sum(axis=0), len(names) - is_above.sum(axis=1)
    rank = np.empty(len(names), dtype=int)
    rank[np.argsort(-gain, kind="stable")] = np.arange(1, len(names) + 1)

    columns = [
        ComparedColumn(
            name,
            float(gain[i]),
            int(rank[i]),
            permutation.columns[i].mean,
            int(best[i]),
            int(worst[i]),
            "",
        )
        for i, name in enumerate(names)
    ]
    outside = np.maximum(
        rank - worst, best - rank
    )  # ranks by which gain leaves what shuffling allows
    for i in _most_contradicted(contradicts, outside, gain):
        columns[i] = columns[i]._replace(
            sentence=_sentence(columns[i], len(names), permutation.together)
        )
    return Comparison(tuple(sorted(columns, key=lambda column: column.gain_rank)))


def _most_contradicted(contradicts: np.ndarray, outside: np.ndarray, gain: np.ndarray) -> list[int]:
    """Columns to set aside until no contradiction is left.

    Of those with equally many, the one whose gain is farther outside the ranks that shuffling allows, and
    of equal ones that of more gain: gain errs by crediting too much more often than too little.
    """
    left, flagged = contradicts | contradicts.T, []
    while left.any():
        counts = left.sum(axis=1)
        worst = max(range(len(counts)), key=lambda i: (counts[i], outside[i], gain[i]))
        flagged.append(worst)
        left[worst, :] = left[:, worst] = False
    return flagged


def _ranks(column: ComparedColumn) -> str:
    best, worst = column.best_rank, column.worst_rank
    return str(best) if best == worst else f"{best} to {worst}"


def _sentence(column: ComparedColumn, count: int, together: tuple[Link, ...]) -> str:
    best, worst = text.ordinal(column.best_rank), text.ordinal(column.worst_rank)
    by_shuffling = best if best == worst else f"{best} to {worst}"
    start = (
        f"{column.name!r} is {text.ordinal(column.gain_rank)} of {count} by gain ({column.gain:.3f}) "
        f"but {by_shuffling} by shuffling (cost {text.number(column.cost)}): "
    )
    partners = [
        link.second if link.first == column.name else link.first
        for link in together
        if column.name in (link.first, link.second)
    ]
    if column.gain_rank > column.worst_rank:
        return start + (
            "the predictions lean on it more than the splits' gain says. Gain is counted on the training "
            "rows, and is shared out where several columns can make the same split."
        )
    if partners:
        return start + (
            f"it goes together with {text.listed(partners)}, which can stand in for it when it is "
            "shuffled."
        )
    return start + (
        "splits on it gained on the training rows what does not carry over to these. Gain favours "
        "columns with many different values."
    )
