"""Partial dependence on two columns at once: do they act together, or each by itself?

As partial.py, with two columns set in every row. The surface is compared with the best sum of one curve a
column: the share of its variance that no such sum reaches is the interaction (over the grid, each point
counting alike; after Friedman & Popescu 2008, doi:10.1214/07-AOAS148, section 8.1). Grid points beside
which no row stands are hatched in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain.data.frame import Frame, Values
from drivetrain.errors import ConfigError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.asking import Copies, Predict
from drivetrain.interpret.association import links_of
from drivetrain.interpret.grids import Grid, make_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class PartialDependence2D:
    """The mean answer at each pair of values of two columns."""

    first: Grid
    """The A values of one column."""
    second: Grid
    """The B values of the other."""
    mean: np.ndarray
    """(A, B) or (A, B, C) mean answer over all rows."""
    counts: np.ndarray
    """(A, B) int64 rows nearest to each pair."""
    strength: float | None
    """How far the two columns go together (association.py); None where that is not defined."""
    num_rows: int
    """Rows that the mean is over."""
    outputs: tuple[str, ...] = ()
    """Names of the C probabilities, where given."""

    def interaction(self, output: int | None = None) -> float:
        """Share of the surface's variance that no sum of one curve a column reaches, in [0, 1].

        0 where the two act each by itself, and where the surface is flat.
        """
        surface = self._surface(output)[0]
        centred = surface - surface.mean()
        left = centred - centred.mean(axis=0) - centred.mean(axis=1, keepdims=True)
        total = float((centred**2).sum())
        # What rounding leaves of a flat surface is no interaction.
        is_flat = total <= surface.size * (1e-12 * float(np.abs(surface).max(initial=0.0))) ** 2
        return 0.0 if is_flat else float((left**2).sum()) / total

    @property
    def caution(self) -> str:
        """What the surface does not say, in sentences."""
        a, b = self.first.name, self.second.name
        empty = int((self.counts == 0).sum())
        said = []
        if empty:
            said.append(
                f"No row stands near {empty} of the {self.counts.size} pairs: there the surface is the "
                "model's guess."
            )
        if self.strength is not None:
            said.append(f"{a} and {b} go together by {self.strength:.2f}.")
        said.append(
            f"It shows what the model answers when {a} and {b} alone are changed; a link is not a cause."
        )
        return " ".join(said)

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "first": {"name": self.first.name, "kind": self.first.kind, "grid": self.first.plain},
            "second": {
                "name": self.second.name,
                "kind": self.second.kind,
                "grid": self.second.plain,
            },
            "mean": self.mean.tolist(),
            "counts": self.counts.tolist(),
            "strength": self.strength,
            "num_rows": self.num_rows,
            "outputs": list(self.outputs),
            "caution": self.caution,
        }

    def __str__(self) -> str:
        surface, name = self._surface(None)
        of = f" of {name}" if name else ""
        lines = np.array(text.aligned(surface.ravel())).reshape(surface.shape).tolist()
        rows = [
            [text.cut(label), *line] for label, line in zip(self.first.labels, lines, strict=True)
        ]
        return "\n".join([
            f"Mean prediction{of} over {text.rows(self.num_rows)}: {self.first.name} down, "
            f"{self.second.name} across.",
            text.table(["", *[text.cut(label, 14) for label in self.second.labels]], rows),
            f"interaction: {self.interaction():.1%} of the surface's variance is no sum of one curve a "
            "column.",
            text.wrapped(self.caution),
        ])  # fmt: skip

    def _surface(self, output: int | None) -> tuple[np.ndarray, str]:
        if self.mean.ndim == 2:
            return self.mean, ""
        count = self.mean.shape[2]
        chosen = count - 1 if output is None else output
        if not 0 <= chosen < count:
            raise ConfigError(
                f"`output` is 0 … {count - 1} for {count} probabilities. Got {output}."
            )
        return self.mean[..., chosen], self.outputs[chosen] if self.outputs else f"output {chosen}"

    def plot(self, *, output: int | None = None) -> Figure:
        """The surface in colours, the first column upward; hatched where no row stands.

        Args:
            output: which of C probabilities; by default the last.

        Raises: MissingPackageError: there is no matplotlib. ConfigError: no such output.
        """
        surface, name = self._surface(output)
        size = 3.2 + 0.28 * len(self.second), 1.9 + 0.24 * len(self.first)
        figure = drawing.new_figure(max(size[0], 6), max(size[1], 3.6))
        axes = figure.subplots()
        image = axes.imshow(surface, origin="lower", aspect="auto", cmap="viridis")
        for row, column in np.argwhere(self.counts == 0):
            axes.fill_between(
                [column - 0.5, column + 0.5], row - 0.5, row + 0.5,
                facecolor="none", edgecolor="white", hatch="////", linewidth=0,
            )  # fmt: skip
        x_labels = [drawing.label(label, 16) for label in self.second.labels]
        axes.set_xticks(
            range(len(x_labels)),
            x_labels,
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=8,
        )
        axes.set_yticks(
            range(len(self.first)),
            [drawing.label(label, 24) for label in self.first.labels],
            fontsize=8,
        )
        axes.set_xlabel(drawing.label(self.second.name))
        axes.set_ylabel(drawing.label(self.first.name))
        bar = figure.colorbar(image, ax=axes)
        bar.set_label(f"mean probability of {drawing.label(name)}" if name else "mean prediction")
        note = self.caution.replace("No row", "Hatched: no row", 1)
        drawing.note_below(figure, note, width=int(15 * figure.get_figwidth()))
        return figure


def partial_dependence_2d(
    predict: Predict,
    frame: Frame,
    first: str,
    second: str,
    *,
    grids: tuple[Sequence[Any] | None, Sequence[Any] | None] = (None, None),
    num_points: int = 12,
    outputs: Sequence[str] = (),
) -> PartialDependence2D:
    """What a model answers on average when two columns are set to each pair of some values.

    It asks for A · B · N rows, in as few calls as fit into memory.

    Args:
        predict: the model.
        frame: N rows, over which the mean is taken.
        first: one column.
        second: another.
        grids: their values; None for those of `partial_dependence`.
        num_points: values a column, at most.
        outputs: names of the C probabilities.

    Raises: ConfigError: the same column twice. Otherwise as `partial_dependence`.
    """
    who = "partial_dependence_2d"
    if first == second:
        raise ConfigError(f"`{who}` needs two columns. Got {first!r} twice.")
    a = make_grid(who, frame, first, grids[0], num_points)
    b = make_grid(who, frame, second, grids[1], num_points)

    def replaced(chosen: slice) -> dict[str, Values]:
        pairs = np.repeat(np.arange(chosen.start, chosen.stop), len(frame))
        return {first: a.values[pairs // len(b)], second: b.values[pairs % len(b)]}

    copies = Copies(who, predict, frame, len(a) * len(b))
    mean = np.concatenate(
        [preds.mean(axis=1) for _, preds in copies.ask(len(a) * len(b), replaced)]
    )
    at_a, at_b = a.nearest(frame[first]), b.nearest(frame[second])
    both = (at_a >= 0) & (at_b >= 0)
    cells = np.bincount(at_a[both] * len(b) + at_b[both], minlength=len(a) * len(b))
    links = {
        link.second: link.strength
        for link in links_of(frame.select([first, second]), first, at_least=0.0)
    }
    return PartialDependence2D(
        first=a,
        second=b,
        mean=mean.reshape(len(a), len(b), *mean.shape[1:]),
        counts=cells.reshape(len(a), len(b)),
        strength=links.get(second),
        num_rows=len(frame),
        outputs=tuple(outputs),
    )
