"""What a model is worth without something: trained again, and scored beside the full one.

How a model is trained and scored is the caller's, as a function that gives a score and its standard
error: the out-of-bag error of a forest, or the error of any model on validation rows. Nothing is decided
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from drivetrain.errors import InputError
from drivetrain.interpret import drawing, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Fitted(NamedTuple):
    """The score of a model, and how sure it is."""

    score: float
    """Of the model, on rows that it was not trained on."""
    stderr: float
    """Its standard error, 0 or more."""


class Refit(NamedTuple):
    """A model that was trained without something."""

    without: str
    """What was left out."""
    score: float
    """Of the model without it."""
    stderr: float
    """Of that score."""
    change: float
    """How much worse the score is than that of the full model; below 0 it is better."""
    is_within: bool
    """Whether it is worse by at most one standard error of the full model."""


@dataclass(frozen=True)
class Refits:
    """The full model, and those without each thing in turn."""

    what: str
    """`column` or `group of rows`."""
    full: Fitted
    """With everything."""
    refits: tuple[Refit, ...]
    """In the order in which they were asked for."""
    higher_is_better: bool
    """Which way the score points."""
    note: str = ""
    """A sentence that belongs below the table."""

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "what": self.what,
            "full": self.full._asdict(),
            "refits": [refit._asdict() for refit in self.refits],
            "higher_is_better": self.higher_is_better,
            "note": self.note,
        }

    def __str__(self) -> str:
        scores = text.aligned([self.full.score, *(refit.score for refit in self.refits)])
        errors = text.aligned([self.full.stderr, *(refit.stderr for refit in self.refits)])
        rows = [["(nothing)", scores[0], errors[0], "", ""]]
        rows += [
            [
                text.cut(refit.without, 44),
                scores[place],
                errors[place],
                f"{refit.change:+.4f}",
                "no worse" if refit.is_within else "worse",
            ]
            for place, refit in enumerate(self.refits, start=1)
        ]
        better = "higher" if self.higher_is_better else "lower"
        below = (
            f"score: {better} is better. worse by: than the full model. no worse: by at most one "
            "standard error of the full model."
        )
        lines = [text.table([f"without {self.what}", "score", "s.e.", "worse by", ""], rows)]
        return "\n".join([*lines, text.wrapped("\n".join([below, self.note]).rstrip())])

    def plot(self) -> Figure:
        """A dot with its standard error for each, the full model as a band.

        Raises: MissingPackageError: there is no matplotlib.
        """
        shown = self.refits[: drawing.MOST_BARS]
        figure = drawing.new_figure(7, drawing.height_of(len(shown)))
        axes = figure.subplots()
        score, stderr = self.full
        axes.axvspan(score - stderr, score + stderr, color="0.9", linewidth=0)
        axes.axvline(score, color="0.5", linewidth=1)
        for is_within, colour in ((True, "0.45"), (False, drawing.UP)):
            places = [place for place, refit in enumerate(shown) if refit.is_within is is_within]
            scores = [shown[place].score for place in places]
            errors = [shown[place].stderr for place in places]
            axes.errorbar(scores, places, xerr=errors, fmt="o", color=colour, capsize=2)
        drawing.name_lines(axes, [refit.without for refit in shown], longest=48)
        better = "higher" if self.higher_is_better else "lower"
        axes.set_xlabel(f"score ± one standard error ({better} is better)")
        axes.set_ylabel(f"without this {self.what}")
        axes.grid(axis="x", alpha=0.3)
        drawing.bare(axes)
        left = len(self.refits) - len(shown)
        said = "Grey: the full model. Red: worse by more than one standard error of the full model."
        drawing.note_below(figure, f"{said} {left} more are not shown." if left else said)
        return figure


def fitted(who: str, result: tuple[float, float]) -> Fitted:
    """What a `fit_score` gave, looked at.

    Raises: InputError: not two finite numbers, the second 0 or more.
    """
    try:
        score, stderr = (float(value) for value in result)
    except (TypeError, ValueError):
        raise InputError(
            f"`{who}` got {result!r} from `fit_score`, expected the score and its standard error."
        ) from None
    if not (abs(score) < float("inf") and 0 <= stderr < float("inf")):
        raise InputError(
            f"`{who}` got the score {score} with the standard error {stderr} from `fit_score`, expected "
            "finite numbers, and a standard error of 0 or more."
        )
    return Fitted(score, stderr)


def worse_by(full: Fitted, one: Fitted, higher_is_better: bool) -> float:
    """How much worse `one` is; below 0 it is better."""
    return full.score - one.score if higher_is_better else one.score - full.score


def refit(without: str, full: Fitted, one: Fitted, higher_is_better: bool) -> Refit:
    """The entry of a model that was trained without something."""
    change = worse_by(full, one, higher_is_better)
    return Refit(without, one.score, one.stderr, change, change <= full.stderr)
