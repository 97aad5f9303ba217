"""How sure a forest is of each row: how far its trees are apart.

Each tree has seen other rows; where they disagree, the forest had little to go by. The spread is no
interval for the target: it leaves out the noise that no tree can know. What it is worth is seen on rows
whose targets are known: in the parts that are surest, the error should be smallest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain.errors import ShapeError
from drivetrain.interpret import drawing, text
from drivetrain.metrics.ranking import midranks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = 5
"""Parts of equally many rows, from the surest to the least sure, whose errors are compared."""

ENDS = (0.05, 0.95)
"""Shares of the trees that answer less than the lower, and than the upper end of the range."""


class SurePart(NamedTuple):
    """Rows of about the same spread."""

    num_rows: int
    """Rows of the part."""
    spread: float
    """Mean spread of the trees."""
    error: float
    """Mean distance of prediction and target."""


@dataclass(frozen=True, eq=False)
class Confidence:
    """Prediction and spread of each of N rows."""

    ids: np.ndarray
    """(N,) int64 ids of the rows."""
    prediction: np.ndarray
    """(N,) mean over the trees."""
    std: np.ndarray
    """(N,) standard deviation over the trees."""
    low: np.ndarray
    """(N,) 5% of the trees answer less."""
    high: np.ndarray
    """(N,) 5% of the trees answer more."""
    num_trees: int
    """Trees that were asked."""
    parts: tuple[SurePart, ...] = ()
    """With targets: from the surest part to the least sure."""
    rank_correlation: float | None = None
    """With targets: of spread and error, over the rows; above 0 the spread tells something."""

    @property
    def least_sure(self) -> np.ndarray:
        """(N,) positions of the rows, the least sure first."""
        return np.argsort(-self.std, kind="stable")

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "num_trees": self.num_trees,
            **{k: getattr(self, k).tolist() for k in ("ids", "prediction", "std", "low", "high")},
            "parts": [part._asdict() for part in self.parts],
            "rank_correlation": self.rank_correlation,
        }

    def __str__(self) -> str:
        count = min(5, len(self.ids))
        order = self.least_sure
        chosen = (
            order if len(order) <= 2 * count else np.concatenate([order[:count], order[-count:]])
        )
        columns = [
            text.aligned(values[chosen])
            for values in (self.prediction, self.std, self.low, self.high)
        ]
        rows = [list(row) for row in zip(map(str, self.ids[chosen]), *columns, strict=True)]
        if len(order) > 2 * count:
            rows.insert(count, ["…", "", "", "", ""])
        lines = [
            f"{text.rows(len(self.ids))} by the spread of {self.num_trees} trees, the least sure first.",
            text.table(["row", "prediction", "std of trees", "90% from", "to"], rows),
        ]
        if self.parts:
            parts = [
                [f"{p.num_rows:,}", text.number(p.spread), text.number(p.error)] for p in self.parts
            ]
            lines += ["", text.table(["rows", "mean spread", "mean error"], parts, left=0)]
            if self.rank_correlation is not None:
                lines.append(f"rank correlation of spread and error: {self.rank_correlation:.2f}")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """How the spread is distributed; with targets, beside it the error of the surest to the least
        sure.

        Raises: MissingPackageError: there is no matplotlib.
        """
        figure = drawing.new_figure(8 if self.parts else 5, 3.6)
        all_axes = figure.subplots(1, 2 if self.parts else 1, squeeze=False)[0]
        all_axes[0].hist(self.std, bins=min(40, max(5, len(self.std) // 10)), color=drawing.PLAIN)
        all_axes[0].set_xlabel("standard deviation over the trees")
        all_axes[0].set_ylabel("rows")
        if self.parts:
            all_axes[1].plot(
                [p.spread for p in self.parts],
                [p.error for p in self.parts],
                "o-",
                color=drawing.UP,
            )
            all_axes[1].set_xlabel(
                f"mean spread of each {text.ordinal(len(self.parts))} of the rows"
            )
            all_axes[1].set_ylabel("mean error")
            all_axes[1].set_ylim(bottom=0)
        for axes in all_axes:
            axes.grid(alpha=0.3)
            drawing.bare(axes)
        return figure


def tree_confidence(
    per_tree: np.ndarray,
    *,
    ids: np.ndarray | Sequence[int] | None = None,
    targets: np.ndarray | None = None,
) -> Confidence:
    """Spread of the trees of a forest, row by row.

    Args:
        per_tree: (T, N) what each tree answers: numbers, or the probability of one class.
        ids: (N,) of the rows, by default 0 … N-1.
        targets: (N,) what is true, in the same unit (0 and 1 for a class).

    Raises: ShapeError: not (T, N) with two trees or more, or another number of ids or targets.
    """
    answers = np.asarray(per_tree, dtype=np.float64)
    if answers.ndim != 2 or len(answers) < 2 or answers.shape[1] == 0:
        raise ShapeError(
            f"`tree_confidence` got answers of shape {answers.shape}, expected (T, N): two trees or "
            "more, one row or more."
        )
    count = answers.shape[1]
    named = np.arange(count) if ids is None else np.asarray(ids, dtype=np.int64)
    truth = None if targets is None else np.asarray(targets, dtype=np.float64)
    for what, given in (("ids", named), ("targets", truth)):
        if given is not None and given.shape != (count,):
            raise ShapeError(
                f"`tree_confidence` got {what} of shape {given.shape} for {text.rows(count)}."
            )
    prediction, std = answers.mean(axis=0), answers.std(axis=0)
    low, high = np.quantile(answers, ENDS, axis=0)
    parts, correlation = (), None
    if truth is not None:
        error = np.abs(prediction - truth)
        chosen = np.array_split(np.argsort(std, kind="stable"), min(PARTS, count))
        parts = tuple(
            SurePart(len(p), float(std[p].mean()), float(error[p].mean())) for p in chosen
        )
        if np.ptp(std) > 0 and np.ptp(error) > 0:
            correlation = float(np.corrcoef(midranks(std), midranks(error))[0, 1])
    return Confidence(named, prediction, std, low, high, len(answers), parts, correlation)
