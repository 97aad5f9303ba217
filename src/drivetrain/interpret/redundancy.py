"""Columns that say the same: clusters by rank correlation, and what the model is worth without each.

Two columns of which one rises with the other in every row, or falls, are the same to a tree: their rank
correlation is exactly 1 or -1, and they merge at 1. The tree of clusters is scipy's average linkage on
1 - |rank correlation|. The course's `cluster_columns` takes 1 - correlation, so that a column and its
negative stand farthest apart there; for a model they are as redundant as a copy.

Categories take part with their codes, as in the course: a missing one below all others. That speaks of
the order of the codes, which is what trees split on, and not of the words; two columns of the same
categories in another order of codes do not merge. Numbers that are missing are left out pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain._optional import require
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.association import as_numbers, centred_ranks, rank_correlations
from drivetrain.interpret.refits import Refits, fitted, refit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FitScore = Callable[[list[str]], tuple[float, float]]
"""Names of the columns to train with -> the score and its standard error."""

CLOSE = 0.9
"""Rank correlation from which on columns are listed as close."""


class Cluster(NamedTuple):
    """Columns that were merged, and the rank correlation at which the last of them came in."""

    names: tuple[str, ...]
    at: float
    """Mean |rank correlation| between the two parts that were merged last, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Redundancy:
    """Rank correlations of K columns, and the tree of their clusters."""

    names: tuple[str, ...]
    """Of the columns, in the order of the table."""
    correlation: np.ndarray
    """(K, K) rank correlations, 1 on the diagonal; NaN with a column of equal values."""
    merges: np.ndarray
    """(K' - 1, 4) scipy's linkage of the columns of `clustered`, by distance 1 - |correlation|."""
    clustered: tuple[str, ...]
    """The K' columns that were clustered: all but the constant ones."""
    constant: tuple[str, ...]
    """Columns in which all values are equal: they say nothing at all."""

    def clusters(self, at_least: float = CLOSE) -> tuple[Cluster, ...]:
        """Columns that merge at this mean rank correlation or above; those of one column are left out.

        Raises: ConfigError: `at_least` is not in [0, 1].
        """
        if not 0 <= at_least <= 1:
            raise ConfigError(f"`at_least` is a rank correlation in [0, 1]. Got {at_least}.")
        members: dict[int, tuple[tuple[str, ...], float]] = {
            i: ((name,), 1.0) for i, name in enumerate(self.clustered)
        }
        for step, (left, right, distance, _) in enumerate(self.merges):
            if distance > 1 - at_least:
                break  # average linkage merges at ever greater distances
            joined = members.pop(int(left))[0] + members.pop(int(right))[0]
            members[len(self.clustered) + step] = (joined, 1.0 - float(distance))
        found = [Cluster(*one) for one in members.values() if len(one[0]) > 1]
        return tuple(sorted(found, key=lambda cluster: (-cluster.at, cluster.names)))

    @property
    def duplicates(self) -> tuple[Cluster, ...]:
        """Columns of the same order, or the opposite one, in every row: rank correlation exactly 1."""
        return self.clusters(at_least=1.0)

    def to_json(self) -> dict[str, Any]:
        """All fields, plain; NaN as None."""
        return {
            "names": list(self.names),
            "correlation": [
                [None if np.isnan(value) else value for value in row]
                for row in self.correlation.tolist()
            ],
            "merges": self.merges.tolist(),
            "clustered": list(self.clustered),
            "constant": list(self.constant),
            "duplicates": [list(cluster.names) for cluster in self.duplicates],
        }

    def __str__(self) -> str:
        lines = []
        found = self.clusters()
        if found:
            rows = [[f"{c.at:.4f}", ", ".join(c.names)] for c in found]
            lines.append(f"Columns that go together (rank correlation {CLOSE} or more):")
            lines.append(text.table(["at", "columns"], rows, left=2))
        else:
            lines.append(
                f"No columns of {len(self.names)} go together by a rank correlation of {CLOSE} or more."
            )
        lines += [
            f"The same order in every row: {', '.join(cluster.names)}. One of them is enough."
            for cluster in self.duplicates
        ]
        if self.constant:
            lines.append(f"All values equal: {', '.join(self.constant)}.")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """The tree of clusters: columns that join far to the right say the same.

        Raises: MissingPackageError: there is no matplotlib, or no scipy.
        """
        count = len(self.clustered)
        figure = drawing.new_figure(8, 1.3 + 0.2 * max(count, 6))
        axes = figure.subplots()
        places = list(range(count))
        if count > 1:
            hierarchy = require("scipy.cluster.hierarchy", extra="tabular")
            tree = hierarchy.dendrogram(self.merges, no_plot=True)
            places = tree["leaves"]
            for ends, distances in zip(tree["icoord"], tree["dcoord"], strict=True):
                at = 1 - np.array(distances)  # scipy's leaves stand at 5, 15, 25 …
                colour = drawing.UP if at[1] >= 1 else drawing.PLAIN if at[1] >= CLOSE else "0.55"
                width = 3.0 if at[1] >= 1 else 1.3
                axes.plot(
                    at, (np.array(ends) - 5) / 10, color=colour, linewidth=width, clip_on=False
                )
        drawing.name_lines(axes, [self.clustered[place] for place in places])
        axes.yaxis.tick_right()
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(min(0.0, 1 - float(self.merges[:, 2].max(initial=0.0))), 1.0)
        axes.set_xlabel("rank correlation at which columns join, without its sign")
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
        note = f"Red: 1, the same order in every row; blue: {CLOSE} or more."
        if self.constant:
            note += f" Not shown, all values equal: {text.listed(self.constant)}."
        drawing.note_below(figure, note)
        return figure


def redundant_columns(data: Frame | np.ndarray, names: Sequence[str] | None = None) -> Redundancy:
    """Cluster columns by the rank correlation of their values.

    Memory is a few times that of the table as numbers, and K² numbers.

    Args:
        data: a frame, or the design matrix (N, K) of a model.
        names: which columns of the frame, by default all; of a matrix, the names of its columns.

    Returns: the clusters, and how near columns are; print it, or draw it.
    Raises: DataError: no such column, or fewer than two rows. ShapeError: not so many names as columns.
        MissingPackageError: there is no scipy.
    """
    if isinstance(data, Frame):
        chosen = data.names if names is None else tuple(names)
        columns = [_as_ordered(data, name) for name in chosen]
    else:
        if names is None or data.ndim != 2 or data.shape[1] != len(names):
            raise ShapeError(
                f"`redundant_columns` got a matrix of shape {data.shape} and "
                f"{'no' if names is None else len(names)} names, expected one name a column."
            )
        chosen = tuple(names)
        columns = list(np.asarray(data, dtype=np.float64).T)
    if not columns or len(columns[0]) < 2:
        raise DataError("`redundant_columns` needs one column or more, of two rows or more.")
    correlation = rank_correlations(np.stack([centred_ranks(c) for c in columns], axis=1))
    is_constant = np.isnan(np.diagonal(correlation))
    varied = np.flatnonzero(~is_constant)
    return Redundancy(
        names=chosen,
        correlation=correlation,
        merges=_linkage(correlation[np.ix_(varied, varied)]),
        clustered=tuple(chosen[i] for i in varied),
        constant=tuple(chosen[i] for i in np.flatnonzero(is_constant)),
    )


def _as_ordered(frame: Frame, name: str) -> np.ndarray:
    values = frame[name]
    return values.codes.astype(np.float64) if isinstance(values, Factor) else as_numbers(values)


def _linkage(correlation: np.ndarray) -> np.ndarray:
    if len(correlation) < 2:
        return np.empty((0, 4))
    hierarchy = require("scipy.cluster.hierarchy", extra="tabular")
    distance = 1 - np.abs(np.nan_to_num(correlation, nan=0.0))
    return np.asarray(
        hierarchy.linkage(distance[np.triu_indices(len(distance), 1)], method="average")
    )


def without_each(
    fit_score: FitScore,
    names: Sequence[str],
    *,
    candidates: Sequence[str | Sequence[str]] | None = None,
    higher_is_better: bool = False,
) -> Refits:
    """Train again without each column in turn, and say what the model is worth.

    Args:
        fit_score: names of the columns to train with -> (score, standard error), such as the out-of-bag
            error of a forest. It is called once for all columns and once for each candidate.
        names: all columns.
        candidates: what is left out in turn, by default each column; names in one tuple are left out
            together.
        higher_is_better: True where the score is no error.

    Returns: the score of each training; print it.
    Raises: DataError: a candidate is none of the columns, or is all of them. InputError: `fit_score` gave
        something else.
    """
    who = "without_each"
    groups = [
        (c,) if isinstance(c, str) else tuple(c)
        for c in (names if candidates is None else candidates)
    ]
    unknown = sorted({name for group in groups for name in group} - set(names))
    if unknown:
        raise DataError(
            f"`{who}` got candidates that are none of the columns: {text.listed(unknown)}."
        )
    if any(set(group) == set(names) for group in groups):
        raise DataError(
            f"`{who}` cannot leave out every column: nothing would be left to train with."
        )
    full = fitted(who, fit_score(list(names)))
    found = []
    for group in groups:
        kept = [name for name in names if name not in group]
        one = fitted(who, fit_score(kept))
        found.append(refit(", ".join(group), full, one, higher_is_better))
    return Refits("column", full, tuple(found), higher_is_better)
