"""Partial dependence: a column set to one value in every row, all else as it is, and the mean answer.

Paper: Friedman 2001, doi:10.1214/aos/1013203451, section 8.2; a curve for each row, Goldstein et al.
2015, arXiv:1309.6392. The values are scikit-learn's `partial_dependence(method="brute")` at the same
grid, for any model and for categories and dates too. All grid points that fit into memory are asked in
one call.

A curve says what the model answers, and not what would happen: a link is not a cause. Where other columns
go with this one, rows are asked that do not occur; which columns, and at which values, is said beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError
from drivetrain.interpret import curves, drawing, text
from drivetrain.interpret.asking import Copies, Predict, sampled
from drivetrain.interpret.association import as_numbers, links_of
from drivetrain.interpret.grids import Grid, make_grid
from drivetrain.interpret.support import LITTLE, support

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CORRELATED = 0.5
"""Strength of a link from which on a column is named beside the curve."""

MOST_NAMED = 5
"""Columns whose links are named and counted for the support, first the strongest."""

_RUG = 100
"""Marks under a curve: quantiles of the rows' own values."""


@dataclass(frozen=True, eq=False)
class PartialDependence:
    """The mean answer at each value of one column, and the curves of single rows."""

    grid: Grid
    """The G values at which the model was asked, and how many rows are near each."""
    mean: np.ndarray
    """(G,) or (G, C) mean answer over all rows."""
    curves: np.ndarray
    """(I, G) or (I, G, C) answers of single rows; I may be 0."""
    curve_ids: np.ndarray
    """(I,) int64 ids of those rows."""
    rug: np.ndarray
    """(R,) float64 quantiles of the values that occur, as `Grid.numbers`; none for categories."""
    correlated: tuple[tuple[str, float], ...]
    """Columns that go with this one by `CORRELATED` or more, first the strongest; see association.py."""
    support: np.ndarray
    """(G,) share of the rows asked at each value that are like rows that occur; see support.py."""
    num_rows: int
    """Rows that the mean is over."""
    outputs: tuple[str, ...] = ()
    """Names of the C probabilities, where given."""
    is_centred: bool = False
    """Whether curves and mean are differences to the first grid point."""

    @property
    def name(self) -> str:
        """Of the column."""
        return self.grid.name

    @property
    def caution(self) -> str:
        """What the curve does not say, in sentences: the last is always there."""
        said = []
        if self.correlated:
            named = text.listed([f"{name} ({value:.2f})" for name, value in self.correlated])
            said.append(
                f"{self.name} goes together with {named}. Moved alone, it makes rows that do not occur, "
                "and there the curve is the model's guess."
            )
            labels = self.grid.labels
            weak = [labels[i] for i in np.flatnonzero(self.support < LITTLE)]
            if weak:
                said.append(
                    f"At {len(weak)} of {len(labels)} values fewer than half of the rows asked are like "
                    f"real ones: {text.listed(weak, most=8)}."
                )
        said.append(
            f"The curve shows what the model answers when {self.name} alone is changed; a link is not a "
            "cause."
        )
        return " ".join(said)

    def centred(self) -> PartialDependence:
        """The same as differences to the first grid point, so that curves of unlike rows can be
        compared."""
        if self.is_centred:
            return self
        return replace(
            self,
            mean=self.mean - self.mean[:1],
            curves=self.curves - self.curves[:, :1],
            is_centred=True,
        )

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "name": self.name,
            "kind": self.grid.kind,
            "grid": self.grid.plain,
            "counts": self.grid.counts.tolist(),
            "left_out": self.grid.left_out,
            "mean": self.mean.tolist(),
            "curves": self.curves.tolist(),
            "curve_ids": self.curve_ids.tolist(),
            "rug": self.rug.tolist(),
            "correlated": [list(pair) for pair in self.correlated],
            "support": self.support.tolist(),
            "num_rows": self.num_rows,
            "outputs": list(self.outputs),
            "is_centred": self.is_centred,
            "caution": self.caution,
        }

    def __str__(self) -> str:
        is_shared = bool(self.correlated)
        names = ["mean"] if self.mean.ndim == 1 else self._output_names()
        per_output = self.mean.reshape(len(self.grid), -1).T  # (C or 1, G)
        means = list(zip(*map(text.aligned, per_output), strict=True))
        rows = [
            [
                text.cut(label),
                *means[i],
                f"{self.grid.counts[i]:,}",
                *([f"{self.support[i]:.0%}"] if is_shared else []),
            ]
            for i, label in enumerate(self.grid.labels)
        ]
        heads = [
            text.cut(self.name),
            *names,
            "rows near",
            *(["like real rows"] if is_shared else []),
        ]
        what = "Difference to the first value of the" if self.is_centred else "The"
        over = text.rows(self.num_rows)
        first = f"{what} mean prediction over {over} with {self.name} set to each value."
        left = f"{self.grid.left_out} rarer categories are left out. " if self.grid.left_out else ""
        return "\n".join(
            [text.wrapped(first), text.table(heads, rows), text.wrapped(left + self.caution)]
        )

    def _output_names(self) -> list[str]:
        count = self.mean.shape[1]
        return list(self.outputs) or [f"output {i}" for i in range(count)]

    def plot(self, *, output: int | None = None) -> Figure:
        """The curve, with those of single rows in grey and the distribution of the rows below.

        Args:
            output: which of C probabilities; by default the second of two, and the means of all where
                there are more.

        Raises: MissingPackageError: there is no matplotlib. ConfigError: no such output.
        """
        chosen = self._chosen(output)
        is_words = self.grid.kind == "categories"
        height = drawing.height_of(len(self.grid)) + 0.6 if is_words else 4.4
        figure = drawing.new_figure(7, height)
        axes = figure.subplots()
        draw = curves.draw_words if is_words else curves.draw_line
        aside = draw(axes, self, chosen, self._mean_label(chosen))
        axes.grid(alpha=0.3)
        drawing.bare(axes)
        if len(chosen) > 1:
            axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
        drawing.note_below(figure, f"{aside} {self.caution}".strip())
        return figure

    def _chosen(self, output: int | None) -> curves.Chosen:
        """(name, (G,) mean, (I, G) curves) of what is drawn."""
        if self.mean.ndim == 1:
            if output not in (None, 0):
                raise ConfigError(f"The predictions are one number a row. Got `output={output}`.")
            return [("", self.mean, self.curves)]
        count, names = self.mean.shape[1], self._output_names()
        if output is None and count <= 2:
            output = count - 1
        if output is None:
            none = self.curves[:0, :, 0]
            return [(names[c], self.mean[:, c], none) for c in range(count)]
        if not 0 <= output < count:
            raise ConfigError(
                f"`output` is 0 … {count - 1} for {count} probabilities. Got {output}."
            )
        return [(names[output], self.mean[:, output], self.curves[..., output])]

    def _mean_label(self, chosen: curves.Chosen) -> str:
        of = f" of {chosen[0][0]}" if len(chosen) == 1 and chosen[0][0] else ""
        what = f"mean probability{of}" if self.mean.ndim == 2 else "mean prediction"
        return f"{what}, less the first" if self.is_centred else what


def partial_dependence(
    predict: Predict,
    frame: Frame,
    name: str,
    *,
    grid: Sequence[Any] | np.ndarray | None = None,
    num_points: int = 40,
    ice: int = 50,
    seed: int = 42,
    outputs: Sequence[str] = (),
) -> PartialDependence:
    """What a model answers on average when one column is set to each of some values.

    Args:
        predict: the model.
        frame: N rows, over which the mean is taken; with more than a few thousand a sample says the same.
        name: the column.
        grid: the values; by default quantiles of those that occur (all of them where they are few), the
            `num_points` most frequent categories, and the missing value where the column has any.
        num_points: values at most.
        ice: rows whose own curves are kept, drawn; 0 for none.
        seed: which rows those are.
        outputs: names of the C probabilities.

    Raises: DataError: no such column or category, or no rows. ConfigError: a setting out of range.
        ShapeError, NonFiniteError: predictions that cannot be.
    """
    who = "partial_dependence"
    if ice < 0:
        raise ConfigError(f"`{who}` needs `ice` of 0 or more. Got {ice}.")
    points = make_grid(who, frame, name, grid, num_points)
    picked = (
        sampled(len(frame), ice, seed=seed, purpose=who) if ice else np.empty(0, dtype=np.int64)
    )
    means, single = [], []
    for _, preds in Copies(who, predict, frame, len(points)).ask(
        len(points), lambda chosen: {name: _spread(points.values, chosen, len(frame))}
    ):
        means.append(preds.mean(axis=1))
        single.append(preds[:, picked])
    links = links_of(frame, name, at_least=CORRELATED, seed=seed)[:MOST_NAMED]
    return PartialDependence(
        grid=points,
        mean=np.concatenate(means),
        curves=np.concatenate(single).swapaxes(0, 1),
        curve_ids=frame.ids[picked],
        rug=_rug(frame[name]),
        correlated=tuple((link.second, link.strength) for link in links),
        support=support(frame, points, links, seed=seed),
        num_rows=len(frame),
        outputs=tuple(outputs),
    )


def _spread(values: Values, chosen: slice, rows: int) -> Values:
    """Each of the chosen values, once for every row of a copy of the frame."""
    return values[np.repeat(np.arange(chosen.start, chosen.stop), rows)]


def _rug(column: Values) -> np.ndarray:
    if isinstance(column, Factor):
        return np.empty(0)
    values = as_numbers(column)
    there = np.sort(values[~np.isnan(values)])
    places = np.linspace(0, len(there) - 1, min(_RUG, len(there)))
    return there[places.round().astype(np.int64)]
