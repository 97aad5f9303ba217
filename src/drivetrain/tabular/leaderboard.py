"""Models of every kind on one table, side by side, in about a minute.

    board = leaderboard("adult.csv", "salary")
    print(board)
    board.best.predict({"age": 39, ...})
    board["forest"]

All are fitted on the training rows and compared on the validation rows. The simple ones stand there to
be beaten. The weights of the weighted ensemble are found on the validation rows too, so its score there
is measured crosswise: weights from one half of them, the score from the other.
"""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivetrain import store
from drivetrain._optional import require
from drivetrain.data.split import random_split
from drivetrain.errors import ConfigError, RunError, UnknownNameError
from drivetrain.interpret.mixing_weights import crosswise
from drivetrain.tabular import fitting
from drivetrain.tabular.checking import warned
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import AverageEstimator, Prepared
from drivetrain.tabular.fitting import FITTERS, Fitted
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.learner import learner as net_learner
from drivetrain.tabular.measure import HIGHER_IS_BETTER, Measured, loss, measure
from drivetrain.tabular.models import TabularModel, as_data, cores, run_record, write_data
from drivetrain.train.callbacks.time_budget import TimeBudget
from drivetrain.train.run import Run, check_form, said_as_damage

NET = "net"
MEAN, WEIGHTED = "mean_ensemble", "weighted_ensemble"
ORDER = (
    *("majority", "one_r", "tree", "linear", "boosting", "forest", "boosting_sets", "extra_trees"),
    NET,
)
"""Quick and telling ones first: what comes later is left out where the time is up."""
ALL = (*ORDER, MEAN, WEIGHTED)
LIBRARIES = {
    "tree": "sklearn.tree",
    "linear": "sklearn.linear_model",
    "boosting": "lightgbm",
    "forest": "sklearn.ensemble",
    "extra_trees": "sklearn.ensemble",
}
"""What is imported before a model's seconds are counted: they are of fitting alone."""
MEMBERS = 3
"""Models in the mean."""
ROUNDS = 50
"""Steps of the search for weights."""
SHARE_OF_NET = 0.5
"""Of the time that is left when the net begins, the most it may take."""


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard."""

    name: str
    what: str
    measured: Measured
    """On the validation rows."""
    seconds: float
    """Spent in fitting."""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "model": self.name,
            "what": self.what,
            **self.measured.to_json(),
            "seconds": round(self.seconds, 3),
            **({"note": self.note} if self.note else {}),
        }


@dataclass
class Leaderboard:
    """Models of one table, the best first."""

    data: TabularData
    """The table, its split and its preprocessing."""
    entries: list[Entry]
    """A line for each model, the best first."""
    models: dict[str, TabularModel]
    """Name -> the fitted model."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Model -> why it is not there."""
    seconds: float = 0.0
    """Spent on all of them."""
    chosen: str | None = None
    """The model that a run is to predict with, where it is not to be the best."""
    asked: dict[str, Any] | None = None
    """How it was asked for, plain JSON, from which a run that was cut is made again."""

    @property
    def best(self) -> TabularModel:
        """The first."""
        return self.models[self.entries[0].name]

    @property
    def main(self) -> Entry:
        """The line of the model that a run predicts with."""
        name = self.chosen or self.entries[0].name
        return next(entry for entry in self.entries if entry.name == name)

    def __getitem__(self, name: str) -> TabularModel:
        if name not in self.models:
            known = ", ".join(self.models)
            why = f" It was left out: {self.left_out[name]}" if name in self.left_out else ""
            raise UnknownNameError(f"The leaderboard has no '{name}'.{why} It has: {known}.")
        return self.models[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def results(self) -> dict[str, Any]:
        """What the command line prints with `--json`."""
        main = self.main
        baselines = {
            e.name: {e.measured.primary: e.measured.value, "interval": e.to_json()["interval"]}
            for e in self.entries
            if e.name in FITTERS and FITTERS[e.name].is_baseline and e is not main
        }
        return {
            "task": "tabular",
            "model": main.name,
            "metrics": {"valid": main.measured.metrics},
            "interval": main.to_json()["interval"],
            "baselines": baselines,
            "leaderboard": [entry.to_json() for entry in self.entries],
            "left_out": self.left_out,
            "items": self.data.counts(),
            "seconds": round(self.seconds, 3),
            "weights_sha256": store.weights_sha256(self.models[main.name].estimator.pack()[0]),
        }

    def save(self, folder: store.StrPath) -> None:
        """Write a run folder: the record, the best model in `model/`, each of them in `models/`.

        Raises: RunError: the folder holds something already. StorageError: the disk refused.
        """
        run = Run.create(folder)
        try:
            self.write(run)
        finally:
            run.release()

    def write(self, run: Run) -> None:
        """Write into a run."""
        write_data(run, self.data)
        for name, model in self.models.items():
            model.write_model(run.folder / "models" / name)
        self.models[self.main.name].write_model(run.folder / "model")
        run.write(self.record() | {"results": self.results() | {"run": str(run.folder)}})

    def record(self) -> dict[str, Any]:
        """What `run.json` says, results apart."""
        settings = {name: model.settings() for name, model in self.models.items()}
        record = run_record(self.data, self.main.name, {"models": settings})
        return record if self.asked is None else record | {"board": self.asked}

    def __str__(self) -> str:
        return self.text()

    def text(self, columns: int | None = None) -> str:
        """A line a model, the best first.

        Args:
            columns: of a terminal; where the table is wider, what each model is stands below it.
        """
        primary = self.entries[0].measured.primary
        said = (
            {primary, "error_rate"} if primary == "accuracy" else {primary}
        )  # one minus the other
        others = [name for name in self.entries[0].measured.metrics if name not in said]
        head = ("model", primary, "95% interval", *others, "seconds", "")
        lines: list[tuple[str, ...]] = [head]
        for entry in self.entries:
            measured = entry.measured
            low, high = measured.interval or (float("nan"), float("nan"))
            lines.append(
                (
                    entry.name,
                    _number(measured.value),
                    f"{_number(low)} to {_number(high)}",
                    *(_number(measured.metrics[name]) for name in others),
                    f"{entry.seconds:.1f}",
                    entry.note or entry.what,
                )
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        rows = [
            "  ".join(
                cell.ljust(width) if i in (0, len(head) - 1) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        if columns is not None and max(map(len, rows)) > columns:
            before = sum(widths[:-1]) + 2 * (len(head) - 2)
            rows = [row[:before].rstrip() for row in rows] + [""]
            for name, *_, what in lines[1:]:
                rows += textwrap.wrap(
                    f"{name:<{widths[0]}}  {what}",
                    max(columns, widths[0] + 30),
                    subsequent_indent=" " * (widths[0] + 2),
                    break_on_hyphens=False,
                )
        text = "\n".join(rows)
        for name, why in self.left_out.items():
            text += f"\n{name} is left out: {why}"
        return text


def leaderboard(
    source: TabularData | Any,
    target: str | Sequence[str] | None = None,
    *,
    models: Sequence[str] | None = None,
    minutes: float = 1.0,
    num_threads: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = True,
    announce: bool | None = None,
    **data_options: Any,
) -> Leaderboard:
    """Fit models of every kind and put them side by side.

    Args:
        source: a file, a data frame, or `TabularData`.
        target: the column to predict.
        models: names of `ALL`; by default all.
        minutes: about so long, from here to the end: what does not fit in is left out, and said.
        num_threads: by default one a core.
        settings: by model, such as `{"forest": {"num_trees": 300}}`.
        progress: say on stderr which model is being fitted.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        data_options: see `gather`.

    Returns: the models, the best first; print it.
    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    began = time.perf_counter()
    data = as_data(source, target, data_options)
    if progress if announce is None else announce:
        sys.stderr.write(f"{data}\nChosen for you\n{data.choices}\n{warned(data)}\n")
    wanted = _wanted(models, data)
    if minutes <= 0:
        raise ConfigError(f"`minutes` must be above 0. Got {minutes}.")
    board = _Board(data, began + 60 * minutes, num_threads or cores(), settings or {}, progress)
    for name in ORDER:
        if name in wanted:
            board.add(name)
    board.add_ensembles([name for name in (MEAN, WEIGHTED) if name in wanted])
    return board.done(time.perf_counter() - began)


BOARD: Mapping[str, Any] = {"minutes": (int, float), "settings": dict}
"""What `run.json` has to say of a leaderboard to be made again; see `train.run.check_form`."""


def train_into(
    run: Run,
    data: TabularData,
    *,
    models: Sequence[str] | None = None,
    minutes: float = 1.0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    chosen: str | None = None,
    progress: bool = True,
) -> Leaderboard:
    """Make a leaderboard in a run folder, which says from the start what it is going to hold.

    Args:
        run: new, and held.
        data: the table.
        models, minutes, settings, progress: as `leaderboard`.
        chosen: the model that the run predicts with; by default the best.
    """
    asked = {
        "models": None if models is None else list(models),
        "minutes": minutes,
        "settings": {name: dict(own) for name, own in (settings or {}).items()},
        "chosen": chosen,
    }
    run.write(run_record(data, chosen or "leaderboard", {}) | {"board": asked})
    found = leaderboard(
        data,
        models=models,
        minutes=minutes,
        settings=settings,
        progress=progress,
        announce=False,
    )
    found.chosen = chosen
    found.asked = asked
    found.write(run)
    return found


def finish(folder: store.StrPath, *, progress: bool = True) -> dict[str, Any]:
    """The results of a leaderboard's run; one that was cut is made again, from the start.

    Raises: RunError: no such run, or its table is not the one it began with.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"task": dict, "data": dict, "fingerprint": str, "board": BOARD}, path)
    if "results" in record:
        check_form(record, {"results": dict}, path)
        return record["results"]
    with said_as_damage(path):
        data = gather_again(record["data"])
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or train "
            "anew."
        )
    asked = record["board"]
    run.acquire()
    try:
        with said_as_damage(path):
            train_into(
                run,
                data,
                models=asked.get("models"),
                minutes=asked["minutes"],
                settings=asked["settings"],
                chosen=asked.get("chosen"),
                progress=progress,
            )
    finally:
        run.release()
    return run.read()["results"]


def _wanted(models: Sequence[str] | None, data: TabularData) -> list[str]:
    from drivetrain._registry import lookup

    names: list[str] = list(ALL if models is None else models)
    for name in names:
        lookup(dict.fromkeys(ALL), name, what="model")
    if len(data.target.names) > 1:
        able = {NET, MEAN, WEIGHTED, *(n for n, f in FITTERS.items() if f.many_targets)}
        names = [name for name in names if name in able]
    if not names:
        raise ConfigError("`models` names no model that predicts several targets: net, forest …")
    return names


class _Board:
    """A leaderboard in the making."""

    def __init__(
        self,
        data: TabularData,
        ends: float,
        num_threads: int,
        settings: Mapping[str, Mapping[str, Any]],
        progress: bool,
    ) -> None:
        self.data = data
        self.ends = ends
        self.num_threads = num_threads
        self.settings = settings
        self.progress = progress
        self.models: dict[str, TabularModel] = {}
        self.entries: list[Entry] = []
        self.outputs: dict[str, np.ndarray] = {}
        self.left_out: dict[str, str] = {}
        frame, self.targets = data.part("valid")
        self.rows = Prepared(data.preprocess, frame)

    def left(self) -> float:
        """Seconds until the time is up."""
        return self.ends - time.perf_counter()

    def add(self, name: str) -> None:
        """Fit a model and measure it; or say why not."""
        is_baseline = name in FITTERS and FITTERS[name].is_baseline
        if self.left() <= 0 and not (is_baseline and name != "forest"):
            self.left_out[name] = "the time was up; give it more with --minutes"
            return
        if name == "boosting_sets" and not fitting.sets_of(self.data, None):
            self.left_out[name] = "no column is a category, so it would be as boosting"
            return
        if self.progress:
            sys.stderr.write(f"fitting {name} …\n")
        if name in LIBRARIES:
            with contextlib.suppress(ImportError):  # the fit says what is missing
                require(LIBRARIES[name], extra="tabular")
        began = time.perf_counter()
        model = self._net() if name == NET else self._fitted(name)
        if model is None:
            return
        model.seconds = time.perf_counter() - began
        what = "a net with embeddings" if name == NET else FITTERS[name].what
        self._keep(name, model, self._predict(model), what)

    def _fitted(self, name: str) -> TabularModel:
        fitted = fitting.fit(
            name, self.data, num_threads=self.num_threads, **self.settings.get(name, {})
        )
        return self._model(name, fitted)

    def _net(self) -> TabularModel | None:
        """The net, trained as long as its share of the time allows; None where that is nothing."""
        limit = max(self.left(), 0.0) * SHARE_OF_NET
        options: dict[str, Any] = dict(self.settings.get(NET, {}))
        learner = net_learner(self.data, progress=False, **options)
        epochs = _epochs_within(learner, limit)
        if epochs == 0:
            self.left_out[NET] = "an epoch takes longer than the time that is left"
            return None
        learner.callbacks.append(TimeBudget(1.5 * limit / 60))
        learner.train(epochs)
        application: Any = learner.application
        model = application.model(learner)
        model.fitted = Fitted(model.estimator, {**application.settings, "epochs": epochs})
        return model

    def add_ensembles(self, names: Sequence[str]) -> None:
        """The mean of the best, and the weighted mean of all."""
        single = sorted(self.entries, key=self._rank)
        able = [e.name for e in single if e.name not in ("majority", "one_r")]
        if len(able) < 2:
            for name in names:
                self.left_out[name] = "there are no two models to average"
            return
        if MEAN in names:
            chosen = able[:MEMBERS]
            began = time.perf_counter()
            weights = np.full(len(chosen), 1 / len(chosen))
            outputs = sum(w * self.outputs[n] for w, n in zip(weights, chosen, strict=True))
            model = self._average(MEAN, chosen, weights)
            model.seconds = time.perf_counter() - began
            what = f"the mean of {', '.join(chosen)}"
            self._keep(MEAN, model, np.asarray(outputs), what)
        if WEIGHTED in names:
            began = time.perf_counter()
            weights, outputs = self._weighted(able)
            kept = [(n, w) for n, w in zip(able, weights, strict=True) if w > 0]
            if len(kept) == 1:
                self.left_out[WEIGHTED] = f"all weight would go to {kept[0][0]}"
                return
            model = self._average(WEIGHTED, [n for n, _ in kept], np.array([w for _, w in kept]))
            model.seconds = time.perf_counter() - began
            shown = ", ".join(f"{n} {w:.2f}" for n, w in kept)
            note = f"{shown}; weights from half of the validation rows, measured on the other"
            self._keep(WEIGHTED, model, outputs, "a weighted mean", note)

    def _weighted(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Weights from all validation rows; predictions of each half by the weights of the other."""
        stacked = np.stack([self.outputs[name] for name in names])  # (M, N, …)
        target, targets = self.data.target, self.targets
        if len(targets) < 4:
            weights = np.full(len(names), 1 / len(names))
            return weights, np.tensordot(weights, stacked, axes=1)

        def fit(rows: np.ndarray) -> np.ndarray:
            return ensemble_weights(target, stacked[:, rows], targets[rows])

        half = random_split(len(targets), valid=0.5, seed=self.data.seed)
        first, second = np.array(half.train), np.array(half.valid)
        outputs = crosswise(stacked, ((first, second), (second, first)), fit)
        return ensemble_weights(target, stacked, targets), outputs

    def _predict(self, model: TabularModel) -> np.ndarray:
        return model.estimator.predict(self.rows)

    def _keep(
        self, name: str, model: TabularModel, outputs: np.ndarray, what: str, note: str = ""
    ) -> None:
        measured = measure(self.data.target, outputs, self.targets)
        self.models[name], self.outputs[name] = model, outputs
        self.entries.append(Entry(name, what, measured, model.seconds, note))

    def _model(self, name: str, fitted: Fitted) -> TabularModel:
        return TabularModel(
            name,
            fitted.estimator,
            reader=self.data.reader,
            preprocess=self.data.preprocess,
            target=self.data.target,
            fitted=fitted,
            data=self.data,
        )

    def _average(self, name: str, names: Sequence[str], weights: np.ndarray) -> TabularModel:
        members = [self.models[n].estimator for n in names]
        settings = {"members": dict(zip(names, weights.tolist(), strict=True))}
        return self._model(name, Fitted(AverageEstimator(members, names, weights), settings))

    def _rank(self, entry: Entry) -> float:
        value = entry.measured.value
        return -value if HIGHER_IS_BETTER[entry.measured.primary] else value

    def done(self, seconds: float) -> Leaderboard:
        """The board, the best first; of equals the simpler."""
        self.entries.sort(key=self._rank)
        board = Leaderboard(self.data, self.entries, self.models, self.left_out, seconds)
        for entry in self.entries:
            self.models[entry.name].results = {
                "task": "tabular",
                "model": entry.name,
                "metrics": {"valid": entry.measured.metrics},
                "interval": entry.to_json()["interval"],
                "items": self.data.counts(),
                "seconds": round(entry.seconds, 3),
            }
        return board


def ensemble_weights(target: Any, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Weights of models whose mean predicts best, (M,), by adding one model at a time.

    Paper: Caruana et al. 2004, doi:10.1145/1015330.1015432 (ensemble selection with replacement):
    in each round the model joins whose vote helps most; the round with the least loss counts.

    Args:
        target: what is predicted.
        outputs: (M, N, …) predictions of M models.
        targets: (N, …) what is true.
    """
    counts = np.zeros(len(outputs))
    total = np.zeros_like(outputs[0])
    best, chosen = np.inf, counts
    for size in range(1, ROUNDS + 1):
        losses = [loss(target, (total + one) / size, targets) for one in outputs]
        place = int(np.argmin(losses))
        counts = counts.copy()
        counts[place] += 1
        total = total + outputs[place]
        if losses[place] < best - 1e-12:
            best, chosen = losses[place], counts
    return chosen / chosen.sum()


def _epochs_within(learner: Any, seconds: float) -> int:
    """How many of the planned epochs fit into the time, by the time of a few steps."""
    learner.lr_find(num_steps=2)  # the first steps of a process wait for much that comes once
    steps = 20
    planned = int(learner.application.plan["epochs"])
    began = time.perf_counter()
    learner.lr_find(num_steps=steps)  # leaves no trace
    an_epoch = (time.perf_counter() - began) / steps * len(learner.loaders.train)
    return min(planned, int(seconds / an_epoch)) if an_epoch > 0 else planned


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"
