"""Which classes are taken for which: the confusion matrix, its worst pairs, and each class's measures.

    found = dt.interpret.confusion(learner.predictions())
    print(found)                     # the pairs most confused, and the classes that are found least
    found.most_confused(5)

Counted by one `bincount` over row·C + column: a thousand classes and fifty thousand items take
milliseconds. Twin of the counts: drivetrain.reference.metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain.interpret import drawing, text
from drivetrain.interpret.outcomes import classified
from drivetrain.metrics.interval import wilson_interval
from drivetrain.train.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMED = 30
"""Classes whose names and counts a picture of the matrix still has room for."""


class Confused(NamedTuple):
    """Items of one class that were taken for another."""

    true: str
    taken_for: str
    num_items: int
    of: int
    """Items of the true class."""
    share: float
    low: float
    high: float
    """The share's interval (Wilson)."""


class ClassResult(NamedTuple):
    """What became of one class."""

    name: str
    num_items: int
    """Items of it."""
    predicted: int
    """Items that were taken for it."""
    recall: float | None
    """Share of its items that were found; None where it has none."""
    recall_low: float | None
    recall_high: float | None
    precision: float | None
    """Share of what was taken for it that is of it; None where nothing was."""
    f1: float | None


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each class was taken for each."""

    matrix: np.ndarray
    """(C, C) int64: rows are true classes, columns predicted ones."""
    classes: tuple[str, ...]
    confidence: float = 0.95
    """Of the intervals."""

    @property
    def num_items(self) -> int:
        """Items that were counted."""
        return int(self.matrix.sum())

    @property
    def num_wrong(self) -> int:
        """Items off the diagonal."""
        return self.num_items - int(np.trace(self.matrix))

    def most_confused(self, count: int = 10) -> list[Confused]:
        """The pairs with the most mistakes, the most first; of equal ones the larger share first.

        Args:
            count: how many at most.
        """
        off = self.matrix.copy()
        np.fill_diagonal(off, 0)
        sums = self.matrix.sum(axis=1)
        rows, columns = np.nonzero(off)
        counts = off[rows, columns]
        order = np.lexsort((columns, rows, -counts / sums[rows], -counts))[:count]
        return [
            self._pair(int(rows[i]), int(columns[i]), int(counts[i]), int(sums[rows[i]]))
            for i in order
        ]

    def _pair(self, row: int, column: int, count: int, of: int) -> Confused:
        low, high = wilson_interval(count, of, self.confidence)
        return Confused(self.classes[row], self.classes[column], count, of, count / of, low, high)

    def per_class(self) -> list[ClassResult]:
        """Recall, precision and F1 of each class, in the order of the classes."""
        found, of, taken = (
            np.diagonal(self.matrix),
            self.matrix.sum(axis=1),
            self.matrix.sum(axis=0),
        )
        results = []
        for index, name in enumerate(self.classes):
            hits, items, predicted = int(found[index]), int(of[index]), int(taken[index])
            low, high = wilson_interval(hits, items, self.confidence) if items else (None, None)
            both = items + predicted
            results.append(
                ClassResult(
                    name, items, predicted,
                    hits / items if items else None, low, high,
                    hits / predicted if predicted else None,
                    2 * hits / both if both else None,
                )
            )  # fmt: skip
        return results

    def to_json(self) -> dict[str, Any]:
        """All of it, plain; the matrix as rows."""
        return {
            "classes": list(self.classes),
            "matrix": self.matrix.tolist(),
            "confidence": self.confidence,
            "most_confused": [pair._asdict() for pair in self.most_confused()],
            "per_class": [result._asdict() for result in self.per_class()],
        }

    def __str__(self) -> str:
        share = text.share(self.num_wrong, self.num_items)
        lines = [
            f"{self.num_wrong:,} of {self.num_items:,} items are wrong ({share}), of "
            f"{len(self.classes):,} classes."
        ]
        pairs = self.most_confused()
        if pairs:
            rows = [
                [
                    text.cut(pair.true),
                    text.cut(pair.taken_for),
                    f"{pair.num_items:,} of {pair.of:,}",
                    text.share(pair.num_items, pair.of),
                    f"{100 * pair.low:.1f} to {100 * pair.high:.1f}%",
                ]
                for pair in pairs
            ]
            headings = ["is", "taken for", "items", "share", f"{100 * self.confidence:g}% interval"]
            lines += ["", text.table(headings, rows, left=2)]
        return "\n".join(lines)

    def plot(self) -> Figure:
        """The matrix as shares of the true class, darker for more; counts where there is room.

        Raises: MissingPackageError: there is no matplotlib.
        """
        count = len(self.classes)
        side = min(12.0, 2.5 + 0.42 * min(count, MOST_NAMED))
        figure = drawing.new_figure(side, side)
        axes = figure.subplots()
        of = np.maximum(self.matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(self.matrix / of, cmap="Blues", vmin=0, vmax=1)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if count > MOST_NAMED:
            return figure
        names = [drawing.label(name, 18) for name in self.classes]
        axes.set_xticks(range(count), names, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(count), names, fontsize=8)
        for row, column in zip(*np.nonzero(self.matrix), strict=True):
            dark = self.matrix[row, column] / of[row, 0] > 0.5
            axes.text(
                column, row, f"{self.matrix[row, column]:,}",
                ha="center", va="center", fontsize=8, color="white" if dark else "black",
            )  # fmt: skip
        return figure


def confusion(predictions: Predictions, *, confidence: float = 0.95) -> Confusion:
    """The confusion matrix of a record.

    Args:
        predictions: a record of one class an item, N items.
        confidence: of the intervals, in (0, 1).

    Raises: ShapeError, DataError: it is not a record of one class an item. ConfigError: a confidence
        outside (0, 1).
    """
    found = classified("confusion", predictions)
    count = len(found.classes)
    cells = np.bincount(found.targets * count + found.preds, minlength=count * count)
    wilson_interval(0, 1, confidence)  # says now what is wrong with it, and not when it is printed
    return Confusion(cells.reshape(count, count).astype(np.int64), found.classes, confidence)
