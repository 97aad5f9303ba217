"""Do probabilities keep their word? Of the items that a model is 80% sure of, 80% should be right.

Items are put into bins of equal width by the probability of the predicted class, each bin with its mean
probability, the share that was right, and that share's interval. Where the interval does not hold the
mean probability, the model promises too much or too little there. Paper: Guo et al. 2017,
arXiv:1706.04599.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain.errors import ConfigError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.outcomes import classified
from drivetrain.metrics.interval import wilson_interval
from drivetrain.train.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FEW = 100
"""Items below which an interval holds nearly everything, so that lying in it says little."""


class Bin(NamedTuple):
    """Items of about the same probability."""

    low: float
    """Lower end of the bin, not in it."""
    high: float
    """Upper end, in it."""
    num_items: int
    promised: float
    """Mean probability of the predicted class."""
    right: float
    """Share of items that were right."""
    right_low: float
    right_high: float
    """The share's interval (Wilson)."""

    @property
    def keeps(self) -> bool:
        """Whether what was promised lies within what was seen."""
        return self.right_low <= self.promised <= self.right_high


@dataclass(frozen=True, eq=False)
class Reliability:
    """The bins that hold items, from the least sure up."""

    bins: tuple[Bin, ...]
    """Those that hold items."""
    num_items: int
    """Of the record."""
    confidence: float = 0.95
    """Of the intervals."""

    @property
    def error(self) -> float:
        """Expected calibration error: mean over items of |promised - right| of their bin."""
        return sum(b.num_items * abs(b.promised - b.right) for b in self.bins) / self.num_items

    @property
    def promised(self) -> float:
        """Mean probability over all items."""
        return sum(b.num_items * b.promised for b in self.bins) / self.num_items

    @property
    def right(self) -> float:
        """Share of all items that were right."""
        return sum(b.num_items * b.right for b in self.bins) / self.num_items

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "bins": [{**b._asdict(), "keeps": b.keeps} for b in self.bins],
            "num_items": self.num_items,
            "confidence": self.confidence,
            "error": self.error,
            "promised": self.promised,
            "right": self.right,
        }

    def __str__(self) -> str:
        apart = self.promised - self.right
        low, high = wilson_interval(
            round(self.right * self.num_items), self.num_items, self.confidence
        )
        if low <= self.promised <= high:
            few = ", as far as so few items tell" if self.num_items < FEW else ""
            verdict = f"as sure as it is right{few}"
        else:
            verdict = "surer than it is right" if apart > 0 else "less sure than it is right"
        rows = [
            [
                f"{100 * b.low:.0f} to {100 * b.high:.0f}%",
                f"{b.num_items:,}",
                f"{100 * b.promised:.1f}%",
                f"{100 * b.right:.1f}%",
                f"{100 * b.right_low:.1f} to {100 * b.right_high:.1f}%",
                "" if b.keeps else "promises too much" if b.promised > b.right else "too little",
            ]
            for b in self.bins
        ]
        interval = f"{100 * self.confidence:g}% interval"
        return "\n".join(
            [
                f"The model is {verdict}: {100 * self.promised:.1f}% promised, "
                f"{100 * self.right:.1f}% right, of {text.items(self.num_items)} (calibration error "
                f"{self.error:.3f}).",
                "",
                text.table(["probability", "items", "promised", "right", interval, ""], rows),
            ]
        )

    def plot(self) -> Figure:
        """Promised against right, with intervals; on the diagonal the word is kept.

        Raises: MissingPackageError: there is no matplotlib.
        """
        figure = drawing.new_figure(5, 5)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        x = np.array([b.promised for b in self.bins])
        y = np.array([b.right for b in self.bins])
        below = y - np.array([b.right_low for b in self.bins])
        above = np.array([b.right_high for b in self.bins]) - y
        upper.plot([0, 1], [0, 1], color=drawing.FAINT, linestyle="--")
        upper.errorbar(x, y, yerr=[np.maximum(below, 0), np.maximum(above, 0)], fmt="o-", capsize=3)
        upper.set_ylabel("share that was right")
        upper.set_ylim(0, 1.02)
        lower.bar(
            [(b.low + b.high) / 2 for b in self.bins],
            [b.num_items for b in self.bins],
            width=[0.9 * (b.high - b.low) for b in self.bins],
            color=drawing.PLAIN,
        )
        lower.set_ylabel("items")
        lower.set_xlabel("probability of the predicted class")
        lower.set_xlim(0, 1)
        for axes in (upper, lower):
            drawing.bare(axes)
        return figure


def reliability(
    predictions: Predictions, *, bins: int = 10, confidence: float = 0.95
) -> Reliability:
    """How far probabilities keep their word.

    Args:
        predictions: a record of one class an item.
        bins: of equal width over [0, 1].
        confidence: of the intervals, in (0, 1).

    Raises: ShapeError, DataError: not a record of one class an item, or a score is NaN.
        ConfigError: fewer than one bin, or a confidence outside (0, 1).
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ConfigError(f"`reliability` got bins={bins!r}, expected a whole number from 1 on.")
    found = classified("reliability", predictions)
    sure = np.take_along_axis(found.probs, found.preds[:, None], axis=1)[:, 0]
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    promised = np.bincount(place, weights=sure, minlength=bins)
    right = np.bincount(place, weights=~found.wrong, minlength=bins)
    kept = []
    for index in np.flatnonzero(counts):
        count, hits = int(counts[index]), round(float(right[index]))
        ends = wilson_interval(hits, count, confidence)
        kept.append(
            Bin(
                float(index / bins),
                float((index + 1) / bins),
                count,
                float(promised[index] / count),
                hits / count,
                *ends,
            )
        )
    return Reliability(tuple(kept), len(predictions), confidence)
