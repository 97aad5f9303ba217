"""Settings of a model found by trying, and an honest word on whether that helped.

    found = tune("adult.csv", "salary", "boosting", trials=30)
    print(found)                   # what was tried, and whether it helped
    found.settings                 # those that are recommended: tuned, or the default ones
    found.model                    # fitted with them to all training rows
    found.plot()

**Validation is nested.** Each trial is measured on folds of the training rows, made in the manner of the
table's split: rolling origin in time, whole groups, or the same share of every class; preprocessing is
learnt anew in each. The best of many trials looks better there than it is, since chance has chosen too.
So the validation rows are touched once, at the end, by two models: with the tuned settings, and with the
default ones. Where the interval of their difference holds zero, the default ones are recommended.

Which settings are tried in which range: `SPACES`. The sampler is Optuna's TPE (Bergstra et al. 2011,
Algorithms for Hyper-Parameter Optimization); it writes nothing to the disk.

The same seed, table and number of trials give the same settings, unless the time is up before the trials
are: how many there are then depends on the machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.data.folds import group_folds, k_folds, rolling_origin, stratified_folds
from drivetrain.data.split import Split
from drivetrain.errors import ConfigError, DataError, NonFiniteError
from drivetrain.randomness import derive
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.measure import measure
from drivetrain.tabular.models import as_data, cores
from drivetrain.tabular.preprocess import learn
from drivetrain.tabular.tuning.scoring import (
    Scoring,
    own_interval,
    paired_gain,
    scoring_of,
    time_blocks,
)
from drivetrain.tabular.tuning.spaces import SPACES, Knob
from drivetrain.tabular.tuning.training import NET, settings_of, train
from drivetrain.tabular.tuning.tuned import History, Outcome, Trial, Tuned, shown


def tune(
    source: TabularData | Any,
    target: str | Sequence[str] | None = None,
    model: str = "boosting",
    *,
    trials: int = 30,
    minutes: float | None = 1.0,
    folds: int = 3,
    metric: str | None = None,
    settings: Mapping[str, Any] | None = None,
    nets: bool = False,
    seed: int | None = None,
    num_threads: int | None = None,
    progress: bool = True,
    **data_options: Any,
) -> Tuned:
    """Search for a model's settings; see the module.

    Args:
        source: a file, a data frame, or `TabularData`.
        target: the column to predict.
        model: a key of `SPACES`.
        trials: settings to try, besides the default ones.
        minutes: about so long, from here to the end; None for no limit.
        folds: inner folds of the training rows, at least 2.
        metric: a key of `SCORINGS`; by default what models are compared by, accuracy or the root mean
            squared error.
        settings: of the model, that stay as they are in all trials.
        nets: search the settings of a net all the same.
        seed: of split, folds, search and models; by default 42, or the table's.
        num_threads: that a library may use; by default one a core, and one for a net.
        progress: say on stderr how far it is.
        data_options: see `gather`; `valid` says which rows are kept for the end.

    Returns: every trial, and whether tuning helped on rows that it did not see; print it.
    Raises: DataError, ConfigError, UnknownNameError, MissingPackageError: with what is wrong and what
        to do.
    """
    began = time.perf_counter()
    fixed = dict(settings or {})
    knobs = searched(model, fixed, nets=nets)
    _check(trials, minutes, folds)
    optuna = require("optuna", extra="tune")
    if seed is not None and not isinstance(source, TabularData):
        data_options["seed"] = seed
    data = as_data(source, target, data_options)
    if seed is not None:
        data = replace(data, seed=seed)
    scoring = scoring_of(data.target, metric)
    how, parts = inner_folds(data, folds)
    # small layers of a net finish sooner on one thread than several can share them
    threads = num_threads or (1 if model == NET else cores())
    search = _Search(model, parts, scoring, threads, progress, trials)
    search.add(fixed)
    rows = min(len(part.split.train) for part in parts)
    ranges = {knob.name: knob.distribution(rows) for knob in knobs}
    with _quiet(optuna):
        study = optuna.create_study(
            direction="maximize" if scoring.higher_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=derive(data.seed, "tune") % 2**32),
        )
        ends = None if minutes is None else began + 60 * minutes
        while len(search.trials) <= trials and search.fits_in(ends):
            asked = study.ask(ranges)
            value = search.add({**fixed, **asked.params})
            if np.isfinite(value):
                study.tell(asked, value)
            else:
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
    history = History(scoring, tuple(search.trials))
    return _compared(model, data, history, how, len(parts), trials, threads, began)


def searched(
    model: str, settings: Mapping[str, Any] | None = None, *, nets: bool = False
) -> list[Knob]:
    """The settings of a model that `tune` would search.

    Args:
        model: a key of `SPACES`.
        settings: that are fixed.
        nets: whether those of a net are.

    Raises: UnknownNameError, ConfigError: no such model or setting, or there is nothing to search.
        MissingPackageError: there is no Optuna.
    """
    known, fixed = settings_of(model), dict(settings or {})
    if model not in SPACES:
        raise ConfigError(f"'{model}' has no settings to tune. These have: {', '.join(SPACES)}.")
    if model == NET and not nets:
        raise ConfigError(
            "The settings of a net are not searched by default: the usual ones suit most tables, "
            "`lr_find` finds the rate in seconds, and a search takes a training a trial and a fold. "
            "Tune 'boosting' or 'forest'; or say nets=True (--nets)."
        )
    for name in fixed:
        if name not in known:
            raise ConfigError(
                f"'{model}' has no setting '{name}'.{did_you_mean(name, known)} It has: "
                f"{', '.join(known)}."
            )
    knobs = [knob for knob in SPACES[model] if knob.name not in fixed]
    if not knobs:
        raise ConfigError(
            f"All that is searched of '{model}' is given: {', '.join(fixed)}. Leave one out."
        )
    require("optuna", extra="tune")
    return knobs


def inner_folds(data: TabularData, count: int) -> tuple[str, list[TabularData]]:
    """The training rows split in `count` ways, each a table of its own, in the manner of the split.

    Returns: how, in words; and tables whose training and validation rows are both training rows of
        `data`, with preprocessing learnt from the former alone.
    Raises: DataError: there are too few rows, times, groups or classes.
    """
    rows = data.rows["train"]
    if data.times is not None:
        how, made = "rolling origin in time", rolling_origin(data.times[rows], count)
    elif data.groups is not None:
        how, made = "whole groups", group_folds(data.groups[rows], count, seed=data.seed)
    elif data.target.kind == "class":
        how = "the same share of every class"
        made = stratified_folds(data.targets[rows], count, seed=data.seed)
    else:
        how, made = "at random", k_folds(len(rows), count, seed=data.seed)
    found = [_fold(data, rows[list(fold.train)], rows[list(fold.valid)]) for fold in made]
    kept = [one for one in found if len(one.classes) != 1 and one.split.valid]
    if not kept:
        raise DataError(
            f"No fold of {count} trains on two classes of '{data.target.name}' and validates on one of "
            "them. Take fewer folds, or split otherwise."
        )
    return how, kept


def _fold(data: TabularData, train_rows: np.ndarray, valid_rows: np.ndarray) -> TabularData:
    """A table that trains and validates on these rows."""
    target, targets = data.target, data.targets
    if target.kind == "class":  # what a fold's training rows lack, no model of them can name
        present = np.unique(targets[train_rows])
        if len(present) < len(target.classes):
            target = replace(target, classes=tuple(target.classes[code] for code in present))
            places = np.full(len(data.classes), -1, dtype=np.int64)
            places[present] = np.arange(len(present))
            targets = places[targets]
            valid_rows = valid_rows[targets[valid_rows] >= 0]
    names = ("fill", "constant", "scale", "unseen", "log", "levels", "rare")
    options = {name: data.recipe[name] for name in names if name in data.recipe}
    return replace(
        data,
        target=target,
        targets=targets,
        split=Split(
            tuple(train_rows.tolist()), tuple(valid_rows.tolist()), method=data.split.method
        ),
        preprocess=learn(data.frame.take(train_rows), **options),
        stream=None,  # a fold is of the rows that are in memory
    )


class _Search:
    """Trials, one after the other."""

    def __init__(
        self,
        model: str,
        parts: Sequence[TabularData],
        scoring: Scoring,
        num_threads: int,
        progress: bool,
        asked: int,
    ) -> None:
        self.model = model
        self.parts = parts
        self.scoring = scoring
        self.num_threads = num_threads
        self.progress = progress
        self.asked = asked
        self.trials: list[Trial] = []

    def add(self, settings: dict[str, Any]) -> float:
        """Try settings in all folds."""
        began = time.perf_counter()
        rows: list[np.ndarray] = []
        try:
            for part in self.parts:
                made = train(self.model, part, settings, num_threads=self.num_threads)
                frame, targets = part.part("valid")
                outputs = made.estimator.predict(made.prepared(frame))
                rows.append(self.scoring.of_rows(outputs, targets))
        except NonFiniteError:  # a net that a high rate threw off
            rows = []
        value = self.scoring.value(np.concatenate(rows)) if rows else float("nan")
        in_folds = tuple(self.scoring.value(one) for one in rows)
        seconds = time.perf_counter() - began
        self.trials.append(Trial(len(self.trials), settings, value, in_folds, seconds))
        self._say()
        return value

    def fits_in(self, ends: float | None) -> bool:
        """Whether there is time for one more trial, and for the two models at the end."""
        if ends is None:
            return True
        usual = statistics.median(trial.seconds for trial in self.trials)
        # a model at the end learns from more rows than one in a fold
        return time.perf_counter() + usual + 3 * usual / len(self.parts) < ends

    def _say(self) -> None:
        if not self.progress:
            return
        history = History(self.scoring, tuple(self.trials))
        last, best = history.trials[-1], history.best
        what = f"trial {last.number} of {self.asked}" if last.number else "default settings"
        sys.stderr.write(
            f"{what}: {self.scoring.name} {shown(last.value)} (best {shown(best.value)}), "
            f"{last.seconds:.1f} s\n"
        )


def _compared(
    name: str,
    data: TabularData,
    history: History,
    how: str,
    num_folds: int,
    asked: int,
    num_threads: int,
    began: float,
) -> Tuned:
    """Both settings, fitted to all training rows, on the validation rows."""
    scoring = history.scoring
    frame, targets = data.part("valid")
    found, rows = [], []
    for trial in (history.default, history.best):
        if found and trial.number == 0:
            found, rows = found * 2, rows * 2
            break
        model = train(name, data, trial.settings, num_threads=num_threads)
        outputs = model.estimator.predict(model.prepared(frame))
        rows.append(scoring.of_rows(outputs, targets))
        found.append(
            Outcome(
                trial.settings,
                model,
                measure(data.target, outputs, targets).metrics,
                scoring.value(rows[-1]),
                own_interval(scoring, outputs, targets),
            )
        )
    gain, interval = paired_gain(scoring, *rows, groups=_together(data))
    return Tuned(
        name=name,
        data=data,
        history=history,
        how=how,
        num_folds=num_folds,
        asked=asked,
        default=found[0],
        tuned=found[1],
        gain=gain,
        interval=interval,
        seconds=time.perf_counter() - began,
    )


def _together(data: TabularData) -> np.ndarray | None:
    """(V,) whole numbers: validation rows with the same one are drawn together."""
    rows = data.rows["valid"]
    if data.groups is not None:
        return data.groups[rows]
    return None if data.times is None else time_blocks(data.times[rows])


def _check(trials: int, minutes: float | None, folds: int) -> None:
    if trials < 1:
        raise ConfigError(f"`trials` must be at least 1. Got {trials}.")
    if folds < 2:
        raise ConfigError(f"`folds` must be at least 2. Got {folds}.")
    if minutes is not None and not minutes > 0:
        raise ConfigError(f"`minutes` must be above 0, or None for no limit. Got {minutes}.")


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Optuna says nothing but what goes wrong; afterwards it is as talkative as it was."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
