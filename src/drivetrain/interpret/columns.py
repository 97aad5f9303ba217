"""Columns that the model does not need: dropped from the least important up, while the score holds.

The score holds while it is worse than that of the full model by at most one standard error of the full
model (the one-standard-error rule of Breiman et al. 1984, "Classification and Regression Trees", 3.4.3).
Columns go in bundles that double while that is so; once one was too much, the place between is found by
halving. So many useless columns go in a few fits, and in the end leaving out one more was tried, and was
too much.

The same rows that choose the columns score them, so that the last score flatters a little: take other
rows for the number that you tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.importance import Importance
from drivetrain.interpret.redundancy import FitScore
from drivetrain.interpret.refits import Fitted, fitted, worse_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DropStep(NamedTuple):
    """One try."""

    tried: tuple[str, ...]
    """Columns that were left out on top of those that had gone before."""
    num_left: int
    """Columns that this left."""
    score: float
    """Of the model on those."""
    stderr: float
    """Of that score."""
    is_dropped: bool
    """Whether the score held, so that they went."""


@dataclass(frozen=True)
class DropReport:
    """Which columns can go."""

    kept: tuple[str, ...]
    """Columns that stay, the most important first."""
    dropped: tuple[str, ...]
    """Columns that can go, in the order in which they went."""
    full: Fitted
    """With all columns."""
    final: Fitted
    """With those that stay."""
    limit: float
    """The worst score that still held."""
    steps: tuple[DropStep, ...]
    """Every fit but the first."""
    higher_is_better: bool
    """Which way the score points."""

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "kept": list(self.kept),
            "dropped": list(self.dropped),
            "full": self.full._asdict(),
            "final": self.final._asdict(),
            "limit": self.limit,
            "steps": [{**step._asdict(), "tried": list(step.tried)} for step in self.steps],
            "higher_is_better": self.higher_is_better,
        }

    def __str__(self) -> str:
        count = len(self.kept) + len(self.dropped)
        rows = [
            ["(none)", str(count), text.number(self.full.score), text.number(self.full.stderr), ""]
        ]
        rows += [
            [
                text.cut(text.listed(step.tried, most=3), 60),
                str(step.num_left),
                text.number(step.score),
                text.number(step.stderr),
                "dropped" if step.is_dropped else "kept",
            ]
            for step in self.steps
        ]
        sentence = (
            f"{len(self.dropped)} of {count} columns can go: the score is "
            f"{text.number(self.final.score)} without them and {text.number(self.full.score)} with all, "
            f"and {text.number(self.limit)} was the limit. Kept: {', '.join(self.kept)}."
        )
        heads = ["left out as well", "columns left", "score", "s.e.", ""]
        return "\n".join([text.table(heads, rows), text.wrapped(sentence)])

    def plot(self) -> Figure:
        """The score against the number of columns, with the limit.

        Raises: MissingPackageError: there is no matplotlib.
        """
        figure = drawing.new_figure(7, 4)
        axes = figure.subplots()
        count = len(self.kept) + len(self.dropped)
        went = [step for step in self.steps if step.is_dropped]
        points = [(count, *self.full), *[(s.num_left, s.score, s.stderr) for s in went]]
        x, score, stderr = zip(*points, strict=True)
        axes.errorbar(
            x, score, yerr=stderr, fmt="o-", color=drawing.PLAIN, capsize=2, label="dropped"
        )
        low, high = min(*score, self.limit), max(*score, self.limit)
        stayed = [step for step in self.steps if not step.is_dropped]
        if stayed:
            nearest = min(stayed, key=lambda step: abs(step.score - self.limit))
            low, high = min(low, nearest.score), max(high, nearest.score)
            axes.plot(
                [s.num_left for s in stayed], [s.score for s in stayed], "x", color=drawing.UP,
                label="too much: kept",
            )  # fmt: skip
        room = 0.25 * (high - low) + max(stderr)
        axes.set_ylim(low - room, high + room)  # tries that lost everything would press it flat
        axes.axhline(
            self.limit,
            color="0.4",
            linestyle="--",
            linewidth=1,
            label="limit: one s.e. of the full model",
        )
        axes.invert_xaxis()
        drawing.whole_numbers(axes)
        better = "higher" if self.higher_is_better else "lower"
        axes.set_xlabel("columns left")
        axes.set_ylabel(f"score ({better} is better)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        drawing.bare(axes)
        return figure


def columns_to_drop(
    fit_score: FitScore,
    importances: Mapping[str, float] | Importance,
    *,
    higher_is_better: bool = False,
    num_stderr: float = 1.0,
) -> DropReport:
    """Drop columns from the least important up, as long as the score holds.

    Args:
        fit_score: names of the columns to train with, in the order of `importances` -> (score, standard
            error), such as the out-of-bag error of a forest. With K columns it is called at most about
            2·log2(K) + 2 times.
        importances: name -> importance of all columns.
        higher_is_better: True where the score is no error.
        num_stderr: standard errors of the full model by which the score may be worse.

    Returns: what was tried, and the columns that may go; print it.
    Raises: DataError: no columns. ConfigError: a negative `num_stderr`. InputError: `fit_score` gave
        something else.
    """
    who = "columns_to_drop"
    given = importances.means if isinstance(importances, Importance) else dict(importances)
    if not given:
        raise DataError(f"`{who}` got no columns.")
    if not num_stderr >= 0:
        raise ConfigError(f"`{who}` needs `num_stderr` of 0 or more. Got {num_stderr}.")
    weakest = sorted(given, key=lambda name: given[name])
    full = fitted(who, fit_score(list(given)))
    allowed = num_stderr * full.stderr
    final, steps = full, []
    gone, too_many, bundle = 0, len(weakest), 1  # one column always stays
    while gone + 1 < too_many:
        is_open = too_many == len(weakest)  # nothing has been too much yet: twice as many
        tried = min(gone + bundle, too_many - 1) if is_open else (gone + too_many) // 2
        left = set(weakest[tried:])
        one = fitted(who, fit_score([name for name in given if name in left]))
        holds = worse_by(full, one, higher_is_better) <= allowed
        steps.append(DropStep(tuple(weakest[gone:tried]), len(left), *one, holds))
        if holds:
            gone, final, bundle = tried, one, bundle * 2
        else:
            too_many = tried
    return DropReport(
        kept=tuple(weakest[gone:][::-1]),
        dropped=tuple(weakest[:gone]),
        full=full,
        final=final,
        limit=full.score - allowed if higher_is_better else full.score + allowed,
        steps=tuple(steps),
        higher_is_better=higher_is_better,
    )
