"""What a search for settings found, and whether it helped; see `tune`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain import store
from drivetrain._optional import require
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.models import TabularModel, results_of
from drivetrain.tabular.tuning.scoring import Scoring
from drivetrain.train.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Trial:
    """Settings that were tried."""

    number: int
    """0 has the default settings."""
    settings: Mapping[str, Any]
    value: float
    """The metric over the rows of all folds; NaN where training met numbers that are not finite."""
    folds: tuple[float, ...]
    """The metric in each fold."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "number": self.number,
            "settings": dict(self.settings),
            "value": self.value if np.isfinite(self.value) else None,
            "folds": list(self.folds),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class History:
    """The trials in their order, the default settings first."""

    scoring: Scoring
    trials: tuple[Trial, ...]

    @property
    def default(self) -> Trial:
        """That of the default settings."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The best in the inner folds; of equals the first."""
        sign = -1 if self.scoring.higher_is_better else 1
        return min(self.trials, key=lambda t: (np.isnan(t.value), sign * t.value, t.number))

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON."""
        return [trial.to_json() for trial in self.trials]

    def __str__(self) -> str:
        """A table; the best is marked."""
        best = self.best.number
        head = ("trial", self.scoring.name, "in the folds", "seconds", "settings")
        lines: list[tuple[str, ...]] = [head]
        for trial in self.trials:
            settings = ", ".join(f"{k} {_short(v)}" for k, v in trial.settings.items())
            lines.append(
                (
                    f"{trial.number}{' *' if trial.number == best else '  '}",
                    shown(trial.value),
                    " ".join(map(shown, trial.folds)),
                    f"{trial.seconds:.1f}",
                    settings or "default",
                )
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == len(head) - 1 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def plot(self) -> Figure:
        """Each trial's metric in the inner folds, and the best so far."""
        require("matplotlib", extra="plot")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        self.draw(figure.subplots())
        return figure

    def draw(self, axes: Axes) -> None:
        """The same, into a picture's axes."""
        numbers = [trial.number for trial in self.trials]
        values = np.array([trial.value for trial in self.trials])
        so_far = np.fmax if self.scoring.higher_is_better else np.fmin
        axes.step(numbers, so_far.accumulate(values), where="post", label="best so far")
        axes.plot(numbers, values, "o", ms=4, alpha=0.6, label="trial")
        axes.axhline(self.default.value, ls="--", color="0.4", lw=1, label="default settings")
        axes.set_xlabel("trial")
        axes.set_ylabel(f"{self.scoring.name}, inner folds")
        axes.grid(alpha=0.3)
        axes.legend()


@dataclass(frozen=True)
class Outcome:
    """A model on the validation rows, which no trial has seen."""

    settings: Mapping[str, Any]
    model: TabularModel
    """Fitted to all training rows."""
    metrics: Mapping[str, float]
    value: float
    """Of the metric that was searched by."""
    interval: tuple[float, float] | None
    """95%, of that metric."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "settings": dict(self.settings),
            "metrics": dict(self.metrics),
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True)
class Tuned:
    """What a search found, and whether it helped. Made by `tune`."""

    name: str
    """Of the model."""
    data: TabularData
    """The table that it was searched on."""
    history: History
    """Every trial."""
    how: str
    """How the inner folds were made."""
    num_folds: int
    """Inner folds of the training rows."""
    asked: int
    """Trials that were wanted."""
    default: Outcome
    """The model as it is by default, on the validation rows."""
    tuned: Outcome
    """The one that was found, on the same rows."""
    gain: float
    """What tuning gained on the validation rows; above zero is better, whatever the metric."""
    interval: tuple[float, float] | None
    """95% of the gain, both models measured on the same draws of rows."""
    seconds: float
    """Spent in all."""

    @property
    def helped(self) -> bool:
        """Whether the interval of the gain lies above zero."""
        return self.interval is not None and self.interval[0] > 0

    @property
    def recommended(self) -> Outcome:
        """The tuned one where tuning helped, else the default one."""
        return self.tuned if self.helped else self.default

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are recommended."""
        return dict(self.recommended.settings)

    @property
    def model(self) -> TabularModel:
        """The model with the recommended settings, fitted to all training rows."""
        return self.recommended.model

    @property
    def is_cut(self) -> bool:
        """Whether the time was up before the trials were."""
        return len(self.history) - 1 < self.asked

    @property
    def verdict(self) -> str:
        """What came out of it, in a few sentences."""
        name, best = self.history.scoring.name, self.history.best
        tried = _n(len(self.history) - 1, "trial")
        before, after = shown(self.default.value), shown(self.tuned.value)
        rows = f"On {len(self.data.split.valid):,} validation rows"
        if len(self.history) == 1:
            return (
                "The time was up before any other setting was tried. The default settings are "
                "recommended; give more minutes, or fewer folds."
            )
        if best.number == 0:
            return (
                f"Tuning did not help: none of {tried} did better in the inner folds than the default "
                f"settings ({name} {shown(best.value)}), which are recommended. {rows} they reach "
                f"{before}."
            )
        low, high = self.interval or (float("nan"), float("nan"))
        told = (
            f"{rows}: {name} {before} by default, {after} tuned; a gain of {_signed(self.gain)}, 95% "
            f"interval {_signed(low)} to {_signed(high)}"
        )
        if self.helped:
            return f"Tuning helped. {told}. The tuned settings are recommended."
        is_worse = high < 0
        why = "" if is_worse else ", which chance alone may make"
        return (
            f"Tuning {'made it worse' if is_worse else 'did not help'}. {told}{why}. The default "
            f"settings are recommended. In the inner folds the best of {tried} had "
            f"{shown(best.value)}, but it was chosen there."
        )

    @property
    def notes(self) -> list[str]:
        """What else is to be known."""
        found = []
        if self.is_cut:
            found.append(
                f"The time was up after {len(self.history) - 1} of {self.asked} trials: another run may "
                "find other settings. Give more minutes, or fewer trials."
            )
        failed = sum(bool(np.isnan(trial.value)) for trial in self.history)
        if failed:
            found.append(
                f"{_n(failed, 'trial')} met numbers that are not finite, and do not count."
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "model": self.name,
            "metric": self.history.scoring.name,
            "folds": {"how": self.how, "count": self.num_folds},
            "helped": self.helped,
            "recommended": "tuned" if self.helped else "default",
            "settings": self.settings,
            "default": self.default.to_json(),
            "tuned": self.tuned.to_json(),
            "gain": self.gain,
            "gain_interval": None if self.interval is None else list(self.interval),
            "verdict": self.verdict,
            "notes": self.notes,
            "asked": self.asked,
            "trials": self.history.to_json(),
            "seconds": round(self.seconds, 3),
        }

    def results(self) -> dict[str, Any]:
        """Of the recommended model, with the search beside it: what the command line prints."""
        return results_of(self.model) | {
            "seconds": round(self.seconds, 3),
            "tuning": self.to_json(),
        }

    def save(self, folder: store.StrPath) -> None:
        """Write a run folder with the recommended model; `run.json` holds the search.

        Raises: RunError: the folder holds something already. StorageError: the disk refused.
        """
        run = Run.create(folder)
        try:
            self.write(run)
        finally:
            run.release()

    def write(self, run: Run) -> None:
        """Write into a run."""
        self.model.results = self.results()
        self.model.write(run)

    def plot(self) -> Figure:
        """The trials in the inner folds, and beside them what the two models reach on other rows."""
        require("matplotlib", extra="plot")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[3, 1], sharey=True)
        self.history.draw(left)
        for place, outcome in enumerate((self.default, self.tuned)):
            low, high = outcome.interval or (outcome.value, outcome.value)
            spans = [[outcome.value - low], [high - outcome.value]]
            right.errorbar([place], [outcome.value], yerr=spans, fmt="o", capsize=4)
        right.set_xticks([0, 1], ["default", "tuned"])
        right.set_xlim(-0.5, 1.5)
        right.set_xlabel("settings")
        if self.interval is not None:
            low, high = map(_signed, self.interval)
            right.set_title(f"gain {_signed(self.gain)}\n({low} to {high})", fontsize="small")
        right.set_ylabel(f"{self.history.scoring.name}, validation rows (95%)")
        right.grid(alpha=0.3)
        return figure

    def __str__(self) -> str:
        settings = ", ".join(f"{k}={_short(v)}" for k, v in self.settings.items())
        return "\n".join(
            [
                f"{self.name}, {_n(len(self.history) - 1, 'trial')} in {self.num_folds} folds of the "
                f"training rows ({self.how})",
                str(self.history),
                "",
                self.verdict,
                f"Settings: {settings or 'default'}",
                *(f"! {note}" for note in self.notes),
            ]
        )


def _n(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shown(value: float) -> str:
    """A metric, to four decimals or as many digits."""
    return _figure(value, "")


def _signed(value: float) -> str:
    return _figure(value, "+")


def _figure(value: float, sign: str) -> str:
    if abs(value) >= 1000:
        return f"{value:{sign},.1f}"
    is_tiny = 0 < abs(value) < 0.001
    return f"{value:{sign}.1e}" if is_tiny else f"{value:{sign}.4f}"
