"""The net for tables in one call: reads the table, chooses, and says what and why.

learner = learner("adult.csv", "salary")     # or tabular.from_csv(...), for more say
learner.fit_one_cycle(3, 1e-2)
learner.predict({"age": 39, "education": "Bachelors", ...})
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from drivetrain import losses, store
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError, RunError
from drivetrain.metrics import metric as metric_by_name, record_of as metric_record
from drivetrain.models.tabular import create_tabular_net, embedding_dim, tabular_shapes
from drivetrain.tabular import models
from drivetrain.tabular.answers import RowPrediction, RowPredictions
from drivetrain.tabular.checking import warned
from drivetrain.tabular.data import Report, TabularData, gather_again
from drivetrain.tabular.estimators import NetEstimator
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.measure import measure
from drivetrain.tabular.models import TabularModel, as_data, describe, write_data
from drivetrain.train.callback import Callback
from drivetrain.train.choice import Choices
from drivetrain.train.factory import chosen_loss, chosen_optimizer
from drivetrain.train.keeping import callbacks_from
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.parts import optimizer_record
from drivetrain.train.run import Run, check_form, said_as_damage
from drivetrain.train.sealed import Opened, Seal, sealed_record

BASELINES = ("majority", "one_r", "tree", "forest")
"""Simple models that stand beside every result."""


class TabularApplication:
    """What a Learner of tables knows beyond tensors. Made by `learner`.

    Args:
        data: the table.
        description: of the net; see `models.tabular.create_tabular_net`.
        settings: what `learner` was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr"}`.
    """

    def __init__(
        self,
        data: TabularData,
        description: dict[str, Any],
        settings: dict[str, Any],
        plan: dict[str, Any],
    ) -> None:
        self.data = data
        self.description = description
        self.settings = settings
        self.plan = plan
        self._baselines: dict[str, Any] | None = None

    @property
    def choices(self) -> Choices:
        """What was decided for the person."""
        return self.data.choices

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return self.data.classes

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        return {
            "task": self.data.task.to_json(),
            "model": {"name": "net", **self.description},
            "data": self.data.recipe,
            "fingerprint": self.data.fingerprint(),
            "settings": self.settings,
            "plan": self.plan,
            "choices": self.choices.to_json(),
            "items": self.data.counts(),
            "notes": self.data.notes,
            **sealed_record(self.data.seal),
        }

    def loaders(self) -> Loaders:
        """The loaders of the rows, as the settings say."""
        return self.data.loaders(batch_size=self.settings["batch_size"])

    def begin_run(self, run: Run) -> None:
        """Write `split.json` and `quarantine.jsonl`."""
        write_data(run, self.data)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to predict."""
        record = {"net": self.description, "is_class": self.data.target.kind == "class"}
        data = self.data
        return describe(
            "net",
            "net",
            record,
            data.reader,
            data.preprocess,
            data.target,
            trained_on=data.report.sha256,
        )

    def train(self, learner: Learner, epochs: int | None) -> None:
        """`fit_one_cycle`, as planned."""
        plan = dict(self.plan)
        method, chosen = plan.pop("method"), plan.pop("epochs")
        getattr(learner, method)(chosen if epochs is None else epochs, **plan)

    def results(self, learner: Learner) -> dict[str, Any]:
        """The result with its interval, beside the baselines, on the validation rows."""
        found = learner.evaluate()
        target = self.data.target
        frame, targets = self.data.part("valid")
        measured = measure(
            target, self.model(learner).estimator.predict(_prepared(self, frame)), targets
        )
        return {
            "task": "tabular",
            "model": "net",
            "metrics": {"valid": {"loss": found.loss, **found.metrics, **measured.metrics}},
            "interval": None if measured.interval is None else list(measured.interval),
            "baselines": self.baselines(),
            "items": self.data.counts(),
        }

    def baselines(self) -> dict[str, Any]:
        """What simple models reach on the validation rows: name -> `{metric, interval}`."""
        if self._baselines is None:
            many = len(self.data.target.names) > 1
            self._baselines = {}
            for name in BASELINES:
                if many and not FITTERS[name].many_targets:
                    continue
                found = models.fit(self.data, model=name, num_threads=self.settings["num_threads"])
                measured = found.measured("valid")
                interval = None if measured.interval is None else list(measured.interval)
                self._baselines[name] = {measured.primary: measured.value, "interval": interval}
        return self._baselines

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return self.data.seal

    def open_sealed(self, learner: Learner) -> Opened:
        """The sealed rows, measured. `Learner.test` counts the look."""
        assert self.data.sealed is not None, "`seal` was asked first"
        return self.model(learner).on_sealed(self.data.sealed)

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about tables; see `tabular.ejecting.net`."""
        from drivetrain.tabular.ejecting.net import eject_part

        return eject_part(self, learner, lifter, level)

    def model(self, learner: Learner) -> TabularModel:
        """The Learner's net as a model like all others; it sees what is trained later."""
        data = self.data
        is_class = data.target.kind == "class"
        net: Any = learner.model
        return TabularModel(
            "net",
            NetEstimator(net, self.description, is_class, learner.num_threads or 1),
            reader=data.reader,
            preprocess=data.preprocess,
            target=data.target,
            data=data,
        )

    def predict(self, learner: Learner, source: Any) -> RowPrediction | RowPredictions:
        """The answer for a row, or for all rows of a source; see `TabularModel.predict`."""
        return self.model(learner).predict(source)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Any:
        """A bundle of the Learner's net; see `tabular.export`."""
        from drivetrain.tabular.bundling.exporting import export_model

        return export_model(self.model(learner), folder, **options)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Metrics on labelled rows from elsewhere; see `TabularModel.evaluate`."""
        return self.model(learner).evaluate(source)


def learner(
    source: TabularData | Any,
    target: str | Sequence[str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    metrics: Sequence[Any] = (),
    loss_fn: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    y_range: Sequence[float] | Sequence[Sequence[float]] | bool | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    weight_decay: float = 0.01,
    dropout: float = 0.0,
    embedding_dropout: float = 0.0,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    **data_options: Any,
) -> Learner:
    """A Learner whose net predicts a column of a table; what is not given is chosen, and said.

    Args:
        source: a CSV or Parquet file, a frame of pandas, polars or Arrow, or `TabularData`.
        target: the column to predict; several columns of numbers are predicted together.
        layers: widths of the hidden layers.
        metrics: names or objects; accuracy and error rate, or the root mean squared error, come first.
        loss_fn: a name or a function; by default cross-entropy, or the mean squared error.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one; by default AdamW as fastai sets it.
        y_range: (low, high) that predicted numbers stay within; by default a little wider than the
            training targets; False for no limit; a pair for each of several targets.
        batch_size: rows a batch.
        lr: peak learning rate of `train`.
        epochs: of `train`.
        weight_decay: for all but norms and biases.
        dropout, embedding_dropout: see `models.tabular.TabularNet`.
        seed: of split, weights and order.
        num_threads: torch threads.
        callbacks: objects or names of `train.callbacks.CALLBACKS`, used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        data_options: `valid`, `split`, `kinds` …, see `gather`.

    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    if seed is not None:
        data_options["seed"] = seed
    data = as_data(source, target, data_options if not isinstance(source, TabularData) else {})
    seed = data.seed if seed is None else seed
    choices, goal = data.choices, data.target
    widths = choices.choose(
        "layers",
        None if layers is None else list(layers),
        usual=[200, 100],
        reason="two layers suffice for most tables",
        change="--set layers=[100,50]",
    )
    if data.preprocess.categories:
        choices.add(
            "embeddings",
            sum(map(embedding_dim, data.preprocess.level_counts)),
            reason=f"numbers that stand for the categories, 1.6 n^0.56 for n levels: {_sizes(data)}",
            change="--kind COLUMN=number, --drop COLUMN",
        )
    ranges = _y_range(y_range, data, choices)
    description: dict[str, Any] = {
        "level_counts": data.preprocess.level_counts,
        "num_numbers": data.preprocess.num_net_numbers,
        "num_outputs": goal.num_outputs,
        "layers": list(widths),
        "dropout": dropout,
        "embedding_dropout": embedding_dropout,
        "y_range": ranges,
        "squeeze": goal.kind == "number" and len(goal.names) == 1,
    }
    net = create_tabular_net(description, seed=seed)
    loss = chosen_loss(loss_fn, goal.kind, choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="tabular.learner")
    num_train = data.counts()["train"]
    asked = [metric_by_name(m) for m in metrics]
    settings: dict[str, Any] = {
        "batch_size": choices.choose(
            "batch_size",
            batch_size,
            usual=_batch_size(num_train),
            reason=f"{-(-num_train // _batch_size(num_train)):,} steps an epoch",
            change="--set batch_size=N",
        ),
        "weight_decay": weight_decay,
        "num_threads": choices.choose(
            "num_threads",
            num_threads,
            usual=1,
            reason="small layers finish sooner than threads can share them",
            change="--set num_threads=N",
        ),
        "metrics": [metric_record(metric) for metric in asked],
        "loss_fn": losses.loss_record(loss),
        "optimizer": optimizer_record(make_optimizer),
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    plan = {
        "method": "fit_one_cycle",
        "epochs": choices.choose(
            "epochs",
            epochs,
            usual=5 if num_train >= 5_000 else 20,
            reason="nets of tables overfit soon; the history shows whether more would help",
            change="--epochs N",
        ),
        "lr": choices.choose(
            "lr",
            lr,
            usual=1e-2 if num_train < 5_000 else 5e-3,
            reason="a rate that suits this net; `lr_find` looks for a better one",
            change="--set lr=RATE",
        ),
    }
    choices.add("seed", seed, reason="the same seed gives the same bits", change="--seed N")
    application = TabularApplication(data, description, settings, plan)
    found = Learner(
        net,
        application.loaders(),
        loss,
        make_optimizer,
        metrics=[*_metrics(goal.kind, asked), *asked],
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    if progress if announce is None else announce:
        sys.stderr.write(f"{data}\nChosen for you\n{choices}\n{warned(data)}\n")
    if out is not None:
        found.start_run(Run.create(out))
    return found


_NUMBER = (int, float)

RECORD: Mapping[str, Any] = {
    "seed": int,
    "fingerprint": str,
    "callbacks": list,
    "choices": list,
    "journal": list,
    "model": {"name": str, "layers": list, "dropout": _NUMBER, "embedding_dropout": _NUMBER},
    "data": {"target": list, "valid": (float, str, list), "seed": int},
    "plan": {"method": str, "lr": _NUMBER, "epochs": int},
    "settings": {
        "batch_size": int,
        "weight_decay": _NUMBER,
        "num_threads": int,
        "metrics": list,
        "loss_fn": dict,
        "optimizer": dict,
        "initial_sha256": str,
    },
}
"""What `run.json` has to say for a run of a net to be opened again; see `train.run.check_form`."""


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """Go on with a run of a net that was cut, to the same weights as if it had not been.

    Arguments and errors as `vision.resume`.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Returns: the Learner, trained to the end.
    """
    found = reopen(folder, callbacks=callbacks, progress=progress, report=report)
    if found.journal:
        found.resume()
    else:  # cut before its first stage was planned
        found.train()
    return found


def reopen(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Raises: RunError: no run of a net there, or its table is not the one it began with.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"task": dict}, path)
    if record["task"].get("application") != "tabular" or "plan" not in record:
        raise RunError(f"{folder} is not a run of a net for tables.")
    check_form(record, RECORD, path)
    settings, plan, model = record["settings"], record["plan"], record["model"]
    if plan["method"] != "fit_one_cycle":
        raise RunError(f"{path} cannot be used: its 'plan.method' is not one of ours.")
    with said_as_damage(path):
        data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or train "
            "anew."
        )
    with said_as_damage(path):
        _check_size(run, model)
        found = learner(
            data,
            layers=model["layers"],
            metrics=settings["metrics"],
            loss_fn=settings["loss_fn"],
            optimizer=settings["optimizer"],
            y_range=model["y_range"] if model["y_range"] is not None else False,
            batch_size=settings["batch_size"],
            lr=plan["lr"],
            epochs=plan["epochs"],
            weight_decay=settings["weight_decay"],
            dropout=model["dropout"],
            embedding_dropout=model["embedding_dropout"],
            seed=record["seed"],
            num_threads=settings["num_threads"],
            callbacks=callbacks_from(record["callbacks"]) if callbacks is None else callbacks,
            progress=progress,
            announce=False,
        )
    application = found.application
    assert isinstance(application, TabularApplication), "made above"
    if application.settings["initial_sha256"] != settings["initial_sha256"] and not run.checkpoints:
        raise RunError(
            f"{folder} was cut before its first checkpoint, and the net it began with cannot be made "
            f"again here. Train anew: drivetrain train {shlex.quote(str(data.source))}"
        )
    application.plan, application.settings = plan, settings
    with said_as_damage(path):
        data.choices = Choices.from_json(record["choices"])
        found.open_run(run)
    return found


def _check_size(run: Run, model: Mapping[str, Any]) -> None:
    """Whether the net could be that of the run's weights, before memory is taken for it."""
    import math

    described = {name: value for name, value in model.items() if name != "name"}
    shapes = tabular_shapes(described)
    needed = sum(math.prod(shape) * dtype.itemsize for dtype, shape in shapes.values())
    if 0 < run.weights_bytes() < needed:
        raise RunError(
            f"{run.folder} holds the weights of another net than its run.json describes. "
            "Restore it from a copy."
        )


def _prepared(application: TabularApplication, frame: Any) -> Any:
    from drivetrain.tabular.estimators import Prepared

    return Prepared(application.data.preprocess, frame)


def _sizes(data: TabularData) -> str:
    """Levels and numbers of the first categories, as words."""
    columns = zip(data.preprocess.categories, data.preprocess.level_counts, strict=True)
    parts = [f"{column.name} {count}→{embedding_dim(count)}" for column, count in columns]
    return ", ".join(parts[:4]) + (" …" if len(parts) > 4 else "")


def _y_range(
    asked: Sequence[float] | Sequence[Sequence[float]] | bool | None,
    data: TabularData,
    choices: Choices,
) -> list[list[float]] | None:
    goal = data.target
    if goal.kind == "class":
        if asked:
            raise ConfigError(f"`y_range` is for numbers, and '{goal.name}' is a class.")
        return None
    change = "--set y_range=[0,10], or false"
    if asked is False:
        choices.add("y_range", "none", reason="as asked", change=change)
        return None
    if asked is None or asked is True:
        low, high = data.target_range()
        margin = 0.1 * (high - low)
        ranges = [[float(a - m), float(b + m)] for a, b, m in zip(low, high, margin, strict=True)]
        choices.add(
            "y_range",
            ranges[0] if len(ranges) == 1 else "one a target",
            reason="the training targets and a tenth more: a sigmoid keeps predictions within",
            change=change,
        )
        return ranges
    values: list[Any] = list(asked)
    pairs = (
        [values] if all(isinstance(v, int | float) for v in values) else [list(v) for v in values]
    )
    if len(pairs) != goal.num_outputs or any(len(p) != 2 or not p[0] < p[1] for p in pairs):
        raise ConfigError(f"`y_range` is (low, high) for each target. Got {asked!r}.")
    choices.add("y_range", pairs[0] if len(pairs) == 1 else "own", reason="as asked", change=change)
    return [[float(low), float(high)] for low, high in pairs]


def _batch_size(num_train: int) -> int:
    """64; more for long tables, where an epoch would take too many steps."""
    size = 64
    while size < 1024 and num_train > 1500 * size:
        size *= 2
    return size


def _metrics(kind: str, asked: Sequence[Any]) -> list[Any]:
    names = ("accuracy", "error_rate") if kind == "class" else ("rmse",)
    have = {metric.name for metric in asked}
    return [metric_by_name(name) for name in names if name not in have]
