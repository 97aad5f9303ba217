"""The picture classifier in one call: looks at the pictures, chooses, and says what and why.

    learner = learner("photos/")          # or vision.from_folder(...), for more say
    learner.fine_tune(3)
    learner.predict("photo.jpg")

What is chosen here is recorded as `learner.choices` and in `run.json`, each with its reason and how to
choose otherwise.
"""

from __future__ import annotations

import inspect
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from drivetrain import losses, store
from drivetrain._registry import did_you_mean
from drivetrain.bundle.verify import Verified
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.metrics import metric as metric_by_name, record_of as metric_record
from drivetrain.models import BuiltModel, create_model
from drivetrain.models.build import shapes_of
from drivetrain.train import sealed
from drivetrain.train.budget import Budget
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.time_budget import TimeBudget
from drivetrain.train.choice import Choices
from drivetrain.train.factory import chosen_loss, chosen_optimizer
from drivetrain.train.keeping import callbacks_from, record_of
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.parts import optimizer_record
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run, check_form, read_model, said_as_damage
from drivetrain.train.sealed import Opened, Seal, TestResult, sealed_record
from drivetrain.vision import budget as budgets, exporting
from drivetrain.vision.augment import AugmentSettings
from drivetrain.vision.baselines import accuracy_record, majority_class, nearest_mean_image
from drivetrain.vision.bundle import load
from drivetrain.vision.checking import warned
from drivetrain.vision.data import (
    Report,
    VisionData,
    from_csv,
    from_folder,
    from_items,
    gather,
    gather_again,
)
from drivetrain.vision.described import TargetOf
from drivetrain.vision.measure import trained_hashes
from drivetrain.vision.predictor import Predictor, channels_last
from drivetrain.vision.sealing import opened
from drivetrain.vision.target_answers import predictor_of
from drivetrain.vision.target_results import results_of
from drivetrain.vision.targets import loss_of, metrics_of, refuse, several, weights_of

PHOTO_MODEL = "tf_efficientnet_lite0"
SMALL_MODEL = "resnet_tiny"
METRICS = ("accuracy", "error_rate")


class VisionApplication:
    """What a Learner of pictures knows beyond tensors. Made by `learner`.

    Args:
        data: the pictures.
        built: the model and where it comes from.
        settings: what `learner` was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr", …}`.
        whole: the pictures before a share of them was taken for training; by default `data`.
    """

    def __init__(
        self,
        data: VisionData,
        built: BuiltModel,
        settings: dict[str, Any],
        plan: dict[str, Any],
        *,
        whole: VisionData | None = None,
    ) -> None:
        self.data = data
        self.whole = data if whole is None else whole
        self.built = built
        self.settings = settings
        self.plan = plan
        self._predictor: Predictor | None = None

    @property
    def choices(self) -> Choices:
        """What was decided for the person."""
        return self.data.choices

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; of several targets none, each has its own."""
        return self.data.classes if self.data.targets is None else ()

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        return {
            "task": self.data.task.to_json(),
            "model": self.built.description | {"pretrained": self.built.is_pretrained},
            "data": self.data.recipe,
            "fingerprint": self.data.fingerprint(),
            "settings": self.settings,
            "plan": self.plan,
            "choices": self.choices.to_json(),
            "items": self.data.counts(),
            **sealed_record(self.data.seal),
        }

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return self.data.seal

    def open_sealed(self, learner: Learner) -> Opened:
        """The sealed pictures, measured. `Learner.test` counts the look."""
        return opened(self.predictor(learner), self.data)

    def loaders(self) -> Loaders:
        """The loaders of the pictures, as the settings say."""
        return self.data.loaders(
            mean=self.built.info.mean,
            std=self.built.info.std,
            batch_size=self.settings["batch_size"],
            augment=AugmentSettings.from_json(self.settings["augment"]),
        )

    def begin_run(self, run: Run) -> None:
        """Write `split.json` and `quarantine.jsonl`."""
        split = self.data.split.to_json([item.id for item in self.data.items])
        run.write_split(split | {"sha256": self.data.hashes})
        run.write_quarantine(entry.to_json() for entry in self.data.quarantined)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to predict."""
        return {
            "application": "vision",
            "model": self.built.description,
            "classes": list(self.classes),
            **self._targets_record(),
            "preprocessing": {
                "size": list(self.data.size),
                "resize": self.data.resize,
                "mean": list(self.built.info.mean),
                "std": list(self.built.info.std),
            },
            "num_threads": self.settings["num_threads"],
        }

    def _targets_record(self) -> dict[str, Any]:
        """Names, classes and weights of several targets; nothing of one."""
        if self.data.targets is None:
            return {}
        weights = self.settings["target_weights"]
        said = [one | {"weight": weights[one["name"]]} for one in self.data.targets.to_json()]
        return {"targets": said}

    def train(self, learner: Learner, epochs: int | None) -> None:
        """`fine_tune` a pretrained model, `fit_one_cycle` one that starts from scratch."""
        plan = dict(self.plan)
        method = plan.pop("method")
        chosen = plan.pop("epochs")
        getattr(learner, method)(chosen if epochs is None else epochs, **plan)

    def results(self, learner: Learner) -> dict[str, Any]:
        """Accuracy with its interval, beside the baselines, on the validation pictures."""
        found = learner.evaluate()
        if self.data.targets is not None:
            return {
                "task": "vision",
                "model": self.built.description["name"],
                "metrics": {"valid": {"loss": found.loss, **found.metrics}},
                "targets": results_of(self.data, found),
                "items": self.data.counts(),
            }
        correct = round(found.metrics["accuracy"] * found.count)
        train, valid = self.data.pictures("train"), self.data.pictures("valid")
        count = len(self.classes)
        majority = majority_class(train, valid, count)
        return {
            "task": "vision",
            "model": self.built.description["name"],
            "metrics": {"valid": {"loss": found.loss, **found.metrics}},
            "interval": accuracy_record(correct, found.count)["interval"],
            "baselines": {
                "majority_class": majority | {"class": self.classes[majority["class"]]},
                "nearest_mean_image": nearest_mean_image(train, valid, count),
            },
            "items": self.data.counts(),
        }

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about pictures; see `vision.eject`."""
        from drivetrain.vision.eject import eject_part

        return eject_part(self, learner, lifter, level)

    def predictor(self, learner: Learner) -> Predictor:
        """The Learner's model as a `Predictor`, which sees what is trained later."""
        if self._predictor is None or self._predictor.model is not learner.model:
            told = self._targets_record().get("targets", ())
            self._predictor = predictor_of(
                learner.model,
                self.classes,
                [TargetOf(one["name"], tuple(one["classes"]), one["weight"]) for one in told],
                size=self.data.size,
                resize=self.data.resize,
                mean=self.built.info.mean,
                std=self.built.info.std,
                device=learner.device,
            )
        self._predictor.num_threads = learner.num_threads
        return self._predictor

    def split_predictions(self, found: Predictions) -> Predictions:
        """The record with one of each target, where there are several."""
        return found if self.data.targets is None else self.data.targets.split(found)

    def predict(self, learner: Learner, source: Any) -> Any:
        """The answer for one picture, a path or the bytes of a file.

        Returns: a `Prediction`; of several targets `TargetAnswers`.
        """
        return self.predictor(learner).predict(source)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Verified:
        """A bundle of the Learner's model; see `vision.export`."""
        refuse(self.data.targets, "A bundle")
        record = record_of(learner) | {"results": learner.result()}
        weights = learner.model.state_dict()
        trained = exporting.Trained(record, self.model_record(), weights, self.data)
        return exporting.export(trained, folder, **options)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Metrics on labelled pictures from elsewhere; see `Predictor.evaluate`."""
        hashes = self.data.hashes
        known = {
            self.data.items[i].id: hashes[self.data.items[i].id] for i in self.data.split.train
        }
        return self.predictor(learner).evaluate(source, known=known)


def learner(
    source: VisionData | str | os.PathLike[str],
    model: str | None = None,
    *,
    metrics: Sequence[Any] = METRICS,
    loss_fn: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    pretrained: bool | str | Path = True,
    augment: AugmentSettings | Mapping[str, Any] | bool = True,
    batch_size: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    fraction: float = 1.0,
    weight_decay: float = 0.01,
    dropout: float = 0.5,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    report: Report | None = None,
    targets: Sequence[str] | str | None = None,
    target_weights: Mapping[str, float] | None = None,
    **data_options: Any,
) -> Learner:
    """A Learner that classifies pictures; what is not given is chosen, and said.

    Args:
        source: a folder, a CSV, or `VisionData`.
        model: a name of `models.MODELS` or of timm; by default EfficientNet-Lite0 for photos and a small
            ResNet for small pictures.
        metrics: names or objects; accuracy and error rate come first in every case.
        loss_fn: a name or a function; by default cross-entropy.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one; by default AdamW as fastai sets it.
        pretrained: True for weights that this machine has; False for none; a path to a safetensors file.
        augment: settings, True for those that suit the pictures, False for none.
        batch_size: pictures a batch; by default from the number of pictures.
        lr: peak learning rate of `train`.
        epochs: of `train`; at most so many where there are `minutes`.
        minutes: opening the pictures, training by `train` and measuring the result take so long, about:
            epochs, and where that is not enough size and pictures, are chosen to fit, and what was cut
            is said.
        fraction: share of the training pictures that are used, of every class alike, in (0, 1].
        weight_decay: for all but norms and biases.
        dropout: in the head.
        seed: of split, weights, order and augmentation.
        num_threads: torch threads; by default from the size of the model's work.
        callbacks: objects or names of `train.callbacks.CALLBACKS`, used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        report: is told how far opening the pictures is.
        targets: columns of a CSV with labels, where there are several: one body then has a head for each,
            and each is measured, `disease accuracy`. See docs/decisions/0025-several-targets.md.
        target_weights: how much each target counts in the loss, by its name, from 0 up; 1 where none is
            given.
        data_options: `size`, `resize`, `valid` …, see `vision.from_folder`; and `label`, `items`,
            `split`, functions of your own, see `vision.from_items`.
    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    began = time.perf_counter()
    data = _data(source, seed, report, data_options, targets)
    weights = weights_of(target_weights, data.targets)
    seed = data.seed if seed is None else seed
    choices = data.choices
    whole, data = data, _share(data, fraction, seed)
    is_small = data.are_small
    name = _model_name(model, is_small, choices)
    built = create_model(
        name,
        num_classes=len(data.classes) if data.targets is None else data.targets.sizes,
        pretrained=pretrained,
        dropout=dropout,
        seed=seed,
    )
    choices.add(
        "weights",
        "pretrained" if built.is_pretrained else "random",
        reason=built.note,
        change="--set pretrained=false",
    )
    if data.targets is None:
        loss = chosen_loss(loss_fn, "class", choices)
    else:
        loss = loss_of(loss_fn, data.targets, weights, choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="vision.learner")
    settings: dict[str, Any] = {
        "batch_size": _batch_size(batch_size, len(data.split.train), built.is_pretrained, choices),
        "augment": _augment(augment, is_small, choices).to_json(),
        "weight_decay": weight_decay,
        "dropout": dropout,
        "num_threads": _threads(num_threads, is_small, choices),
        "metrics": [metric_record(metric_by_name(m)) for m in metrics],
        "loss_fn": losses.loss_record(loss),
        "optimizer": optimizer_record(make_optimizer),
        "fraction": fraction,
        "pretrained": pretrained if isinstance(pretrained, bool) else os.path.abspath(pretrained),
        "initial_sha256": store.weights_sha256(built.model.state_dict()),
    }
    if data.targets is not None:
        settings["target_weights"] = dict(zip(data.targets.names, weights, strict=True))
    plan = _plan(built.is_pretrained, epochs, lr, choices)
    choices.add("seed", seed, reason="the same seed gives the same bits", change="--seed N")
    application = VisionApplication(data, built, settings, plan, whole=whole)
    found = Learner(
        channels_last(built.model),
        application.loaders(),
        loss,
        make_optimizer,
        metrics=_metrics(metrics)
        if data.targets is None
        else metrics_of(_metrics(metrics), data.targets),
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    run = None if out is None else Run.create(out)
    is_announced = progress if announce is None else announce
    said = warned(data) if is_announced else ""  # looks at the pictures as they were asked for
    if minutes is not None:
        where = None if run is None else run.folder
        plan_within(found, minutes, epochs=epochs, began=began, folder=where, report=report)
    if is_announced:
        sys.stderr.write(f"{application.data}\n{choices}\n{said}")
    if run is not None:
        found.start_run(run)
    return found


def plan_within(
    learner: Learner,
    minutes: float,
    *,
    epochs: int | None = None,
    began: float | None = None,
    folder: Path | None = None,
    report: Report | None = None,
) -> Budget:
    """Let `learner.train()` end within so many minutes of `began`, and record what was cut for it.

    To be called before the run is started, so that a run that is cut knows its plan. What the plan
    misjudges ends training at a tenth above the budget (`TimeBudget`).

    Args:
        learner: of pictures, not trained yet.
        minutes: above 0.
        epochs: never more than these; None fills the budget.
        began: when the clock started, by `time.perf_counter`; by default now.
        folder: where checkpoints are going to be written.
        report: is told how far opening the pictures is, should they be opened again smaller.
    Raises: ConfigError: `minutes` is not above 0.
    """
    application = learner.application
    assert isinstance(application, VisionApplication), "a Learner of pictures"
    began = time.perf_counter() if began is None else began
    found = budgets.plan(learner, application, minutes, epochs, began=began, folder=folder)
    settings, choices = application.settings, application.choices
    settings["fraction"] *= found.fraction
    whole = application.whole
    if found.size is not None:
        again = {**whole.recipe, "size": found.size}
        whole = gather_again(again, num_workers=whole.num_workers, report=report)
        whole.choices = choices
    if found.size is not None or found.fraction < 1:
        application.whole = whole
        application.data = budgets.share_of(whole, settings["fraction"], seed=learner.seed)
    learner.loaders = application.loaders()
    for cut in found.reasons:
        value = settings["fraction"] if cut.what == "fraction" else cut.value
        choices.add(cut.what, value, reason=cut.reason, change=cut.change)
    application.plan["epochs"] = found.epochs
    limit = budgets.limit(found, elapsed=time.perf_counter() - began)
    settings["budget"] = found.to_json() | {"limit_seconds": limit}
    learner.callbacks.append(TimeBudget(limit / 60))
    return found


def export(
    run: store.StrPath, folder: store.StrPath, *, report: Report | None = None, **options: Any
) -> Verified:
    """Write a finished run as a bundle: a folder that predicts, and proves itself.

    Args:
        run: the run's folder.
        folder: where to; a bundle that is there is replaced, anything else is not.
        report: is told how far opening the pictures is.
        options: `golden`, `guard`, `coverage`, `false_alarm`, `onnx`, `script`; see
            `vision.exporting.export`.

    Returns: what verifying the bundle found.
    Raises: RunError: no run there, or it is not finished; or its pictures are needed, for golden examples
        or the guard, and are not those it began with. DataError: they are gone. ConfigError,
        BundleError, StorageError: as `vision.exporting.export`.
    """
    exporting.check_options(folder, options.get("golden", exporting.GOLDEN))
    record = Run.open(run).read()
    if "results" not in record:
        raise RunError(
            f"{run} is not finished. Finish it with: drivetrain resume {shlex.quote(str(run))}"
        )
    weights, described = read_model(run)
    if described.get("application") != "vision":
        raise RunError(f"{run} is not a run of pictures.")
    if "targets" in described:
        raise ConfigError(several([one["name"] for one in described["targets"]], "A bundle"))
    data = None
    if options.get("golden", exporting.GOLDEN) or options.get("guard", True):
        try:
            application = reopen(run, callbacks=(), progress=False, report=report).application
        except (DataError, RunError) as error:
            error.add_note("Without its pictures it is exported by: --golden 0 --no-guard.")
            raise
        assert isinstance(application, VisionApplication), "reopened as one"
        data = application.data
    return exporting.export(exporting.Trained(record, described, weights, data), folder, **options)


def evaluate(folder: store.StrPath, source: str | os.PathLike[str]) -> dict[str, Any]:
    """Metrics of a run's model on labelled pictures; counts pictures that it was trained on.

    Args:
        folder: of the run.
        source: a folder or a CSV of labelled pictures.

    Raises: RunError: no model. DataError: nothing in `source` can be measured.
    """
    return load(folder).evaluate(source, known=trained_hashes(folder))


def test(folder: store.StrPath, *, report: Report | None = None) -> TestResult:
    """Open the sealed pictures of a run, and count the look; see `train.sealed`.

    Args:
        folder: of a finished run.
        report: is told how far opening the pictures is.

    Returns: metrics on the sealed items, the interval at this look, and how many looks there were.
    Raises: RunError: no run, or nothing was sealed. DataError: the pictures are gone or have changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    run = Run.open(folder)
    seal, record = sealed.seal_of(run), run.read()
    with said_as_damage(run.folder / "run.json"):
        data = gather_again(record["data"], report=report)
    predictor = load(folder)
    weights = store.weights_sha256(predictor.model.state_dict())
    return sealed.look(seal, lambda: opened(predictor, data), run=run.folder, weights=weights)


METHODS = ("fit", "fit_one_cycle", "fine_tune")
"""What the plan of a training may call."""

_NUMBER = (int, float)

RECORD: Mapping[str, Any] = {
    "seed": int,
    "fingerprint": str,
    "callbacks": list,
    "choices": list,
    "journal": list,
    "model": {"name": str},
    "data": {"from": str, "source": str, "size": list},
    "plan": {"method": str, "lr": _NUMBER, "epochs": int},
    "settings": {
        "batch_size": int,
        "weight_decay": _NUMBER,
        "dropout": _NUMBER,
        "num_threads": int,
        "metrics": list,
        "loss_fn": dict,
        "optimizer": dict,
        "initial_sha256": str,
    },
}
"""What `run.json` has to say for a run of pictures to be opened again; see `train.run.check_form`."""


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """Go on with a run that was cut, to the same weights as if it had not been.

    A run that is finished is opened and left as it is.

    Args:
        folder: of the run.
        callbacks: the Learner's own, where it was given some that have no name; all others are made again
            from the run's record.
        progress: show progress on stderr.
        report: is told how far opening the pictures is.
    Returns: the Learner, trained to the end.
    Raises: RunError: no run there, or its pictures are not those it began with; or another program trains
        in it; or it was given a callback that only its script has.
    """
    learner = reopen(folder, callbacks=callbacks, progress=progress, report=report)
    if learner.journal:
        learner.resume()
    else:  # cut before its first stage was planned
        learner.train()
    return learner


def reopen(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Arguments and errors as `resume`.

    Args:
        folder: of the run.
        callbacks: the Learner's own, where it was given some that have no name.
        progress: show progress on stderr.
        report: is told how far opening the pictures is.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"task": dict}, path)
    if record["task"].get("application") != "vision":
        raise RunError(f"{folder} is not a run of pictures.")
    check_form(record, RECORD, path)
    settings, plan = record["settings"], record["plan"]
    if plan["method"] not in METHODS:
        raise RunError(
            f"{path} cannot be used: its 'plan.method' is none of {', '.join(METHODS)}. "
            "Restore it from a copy."
        )
    with said_as_damage(path):
        data = gather_again(record["data"], report=report)
        data = budgets.share_of(data, settings.get("fraction", 1.0), seed=record["seed"])
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The pictures in {data.source} are not those that {folder} began with"
            f"{_difference(run, data)}. Put them back, or train anew."
        )
    with said_as_damage(path):
        _check_size(run, record["model"])
        found = learner(
            data,
            record["model"]["name"],
            metrics=settings["metrics"],
            loss_fn=settings["loss_fn"],
            optimizer=settings["optimizer"],
            pretrained=settings["pretrained"],
            augment=settings["augment"],
            batch_size=settings["batch_size"],
            lr=plan["lr"],
            epochs=plan["epochs"],
            weight_decay=settings["weight_decay"],
            dropout=settings["dropout"],
            target_weights=settings.get("target_weights"),
            seed=record["seed"],
            num_threads=settings["num_threads"],
            callbacks=callbacks_from(record["callbacks"]) if callbacks is None else callbacks,
            progress=progress,
            announce=False,
        )
    assert isinstance(found.application, VisionApplication)
    begins_as = found.application.settings["initial_sha256"]
    if begins_as != settings["initial_sha256"] and not run.checkpoints:
        raise RunError(
            f"{folder} was cut before its first checkpoint, and the weights it began with are not here: "
            f"{found.application.built.note} Bring them back, or train anew."
        )
    found.application.plan = plan
    found.application.settings = settings
    with said_as_damage(path):
        data.choices = Choices.from_json(record["choices"])  # with the reasons of the first time
        found.open_run(run)
    return found


def _check_size(run: Run, model: Mapping[str, Any]) -> None:
    """Whether the model could be that of the run's weights, before memory is taken for it.

    Raises: RunError: it is larger than all that the run holds.
    """
    names = ("name", "num_classes", "in_channels", "dropout")
    shapes = shapes_of({name: model.get(name) for name in names})
    needed = sum(math.prod(shape) * dtype.itemsize for dtype, shape in shapes.values())
    if 0 < run.weights_bytes() < needed:
        raise RunError(
            f"{run.folder} holds the weights of another model than {model['name']}, which its run.json "
            "names. Restore it from a copy."
        )


def _data(
    source: VisionData | str | os.PathLike[str],
    seed: int | None,
    report: Report | None,
    options: dict[str, Any],
    targets: Sequence[str] | str | None,
) -> VisionData:
    known = [*inspect.signature(gather).parameters, *inspect.signature(learner).parameters]
    known += ["label", "items", "split"]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"`learner` has no option '{name}'.{did_you_mean(name, known)} "
                "`help(drivetrain.vision.learner)` lists them."
            )
    if isinstance(source, VisionData):
        names = [*options, *(["targets"] if targets is not None else [])]
        if names:
            raise ConfigError(
                f"{', '.join(names)}: the data is made already. Give it to `vision.from_folder`."
            )
        return source
    given: dict[str, Any] = options | {"report": report} | ({} if seed is None else {"seed": seed})
    is_csv = Path(source).suffix.lower() == ".csv"
    if targets is not None and not is_csv:
        raise ConfigError(
            f"`targets` are columns of a CSV, and {source} is none. List the pictures in one, with a "
            "column of labels for each target."
        )
    if targets is not None:
        given["targets"] = targets
    own = [name for name in ("items", "split") if name in given]
    if own and "label" not in given:
        raise ConfigError(
            f"`{own[0]}` is of functions of your own: say by `label` what is on a picture, too."
        )
    if "label" in given:
        return from_items(source, **given)
    return (from_csv if is_csv else from_folder)(source, **given)


def _share(data: VisionData, fraction: float, seed: int) -> VisionData:
    if fraction == 1:
        return data
    part = budgets.share_of(data, fraction, seed=seed)
    data.choices.add("fraction", fraction, reason="as asked", change="--set fraction=SHARE")
    return part


def _model_name(model: str | None, is_small: bool, choices: Choices) -> str:
    if is_small:
        usual = SMALL_MODEL
        reason = "a small ResNet: quick to train from scratch, and made for small pictures"
    else:
        usual = PHOTO_MODEL
        reason = "EfficientNet-Lite0: small, quick on a CPU, with weights from a package"
    return choices.choose("model", model, usual=usual, reason=reason, change="--model NAME")


def _metrics(metrics: Sequence[Any]) -> list[Any]:
    """Accuracy and error rate, then what else was asked for."""
    asked = [metric_by_name(m) for m in metrics]
    names = {m.name for m in asked}
    return [*(metric_by_name(name) for name in METRICS if name not in names), *asked]


def _batch_size(asked: int | None, num_train: int, is_pretrained: bool, choices: Choices) -> int:
    """64, less where an epoch would have too few steps: a net from scratch needs more of them."""
    size, steps = 64, 4 if is_pretrained else 16
    while size > 8 and num_train < steps * size:
        size //= 2
    reason = f"{-(-num_train // size)} steps an epoch"
    change = "--set batch_size=N"
    return choices.choose("batch_size", asked, usual=size, reason=reason, change=change)


def _augment(
    asked: AugmentSettings | Mapping[str, Any] | bool, is_small: bool, choices: Choices
) -> AugmentSettings:
    change = "--set augment=false"
    if isinstance(asked, AugmentSettings):
        chosen, text, reason = asked, "own", "as asked"
    elif isinstance(asked, Mapping):
        chosen, text, reason = AugmentSettings.from_json(asked), "own", "as asked"
    elif not asked:
        chosen, text, reason = AugmentSettings.none(), "none", "as asked"
    elif is_small:
        chosen = AugmentSettings(flip=0.0, warp=0.1, brightness=0.1, contrast=0.1)
        text, reason = (
            "small",
            "no mirroring: small pictures are often signs, which it would change",
        )
    else:
        chosen, text = AugmentSettings(), "photo"
        reason = "mirrored, turned, zoomed, tilted and lit anew in each epoch, in one interpolation"
    choices.add("augment", text, reason=reason, change=change)
    return chosen


def _threads(asked: int | None, is_small: bool, choices: Choices) -> int:
    if is_small:
        count, reason = 1, "small layers finish sooner than threads can share them"
    else:
        count = max(1, min(os.cpu_count() or 1, torch.get_num_threads()))
        reason = "one a core"
    change = "--set num_threads=N"
    return choices.choose("num_threads", asked, usual=count, reason=reason, change=change)


def _plan(
    is_pretrained: bool, epochs: int | None, lr: float | None, choices: Choices
) -> dict[str, Any]:
    """How `train` trains, recorded as choices."""
    if is_pretrained:
        method, usual, rate = "fine_tune", 3, 2e-3
        how = "the new head alone for one epoch, then all layers"
    else:
        method, usual, rate = "fit_one_cycle", 10, 1e-2
        how = "all layers from random weights, under the 1cycle policy"
    change = "call fit, fit_one_cycle or fine_tune"
    return {
        "method": choices.add("method", method, reason=how, change=change),
        "epochs": choices.choose(
            "epochs",
            epochs,
            usual=usual,
            reason="enough for most folders; the history shows whether more would help",
            change="--epochs N",
        ),
        "lr": choices.choose(
            "lr",
            lr,
            usual=rate,
            reason="a rate that suits this method; `lr_find` looks for a better one",
            change="--set lr=RATE",
        ),
    }


def _difference(run: Run, data: VisionData) -> str:
    """In a few words, what changed in the pictures."""
    before = run.read_split()["sha256"]
    gone = [name for name in before if name not in data.hashes]
    new = [name for name in data.hashes if name not in before]
    changed = [n for n in before if n in data.hashes and data.hashes[n] != before[n]]
    for count, names in (("missing", gone), ("new", new), ("changed", changed)):
        if names:
            return f": {len(names)} {count}, such as {names[0]}"
    return ""
