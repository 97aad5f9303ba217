"""The picture classifier in one call: looks at the pictures, chooses, and says what and why.

    learner = learner("photos/")          # or vision.from_folder(...), for more say
    learner.fine_tune(3)
    learner.predict("photo.jpg")

What is chosen here is recorded as `learner.choices` and in `run.json`, each with its reason and how to
choose otherwise.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from drivetrain import losses, store
from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import ConfigError, RunError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models import BuiltModel, build_from, create_model
from drivetrain.train.callback import Callback
from drivetrain.train.choice import Choices
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run
from drivetrain.vision import predictor as prediction
from drivetrain.vision.augment import AugmentSettings
from drivetrain.vision.baselines import accuracy_record, majority_class, nearest_mean_image
from drivetrain.vision.data import (
    Report,
    VisionData,
    from_csv,
    from_folder,
    gather,
    gather_again,
)
from drivetrain.vision.predictor import Predictor, channels_last

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
    """

    def __init__(
        self, data: VisionData, built: BuiltModel, settings: dict[str, Any], plan: dict[str, Any]
    ) -> None:
        self.data = data
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
        """Labels in the order of the scores."""
        return self.data.classes

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
        }

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
            "preprocessing": {
                "size": list(self.data.size),
                "resize": self.data.resize,
                "mean": list(self.built.info.mean),
                "std": list(self.built.info.std),
            },
            "num_threads": self.settings["num_threads"],
        }

    def train(self, learner: Learner, epochs: int | None) -> None:
        """`fine_tune` a pretrained model, `fit_one_cycle` one that starts from scratch."""
        plan = dict(self.plan)
        method = plan.pop("method")
        chosen = plan.pop("epochs")
        getattr(learner, method)(chosen if epochs is None else epochs, **plan)

    def results(self, learner: Learner) -> dict[str, Any]:
        """Accuracy with its interval, beside the baselines, on the validation pictures."""
        found = learner.evaluate()
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

    def predictor(self, learner: Learner) -> Predictor:
        """The Learner's model as a `Predictor`, which sees what is trained later."""
        if self._predictor is None or self._predictor.model is not learner.model:
            self._predictor = Predictor(
                learner.model,
                self.classes,
                size=self.data.size,
                resize=self.data.resize,
                mean=self.built.info.mean,
                std=self.built.info.std,
                device=learner.device,
            )
        self._predictor.num_threads = learner.num_threads
        return self._predictor

    def predict(self, learner: Learner, source: Any) -> prediction.Prediction:
        """The answer for one picture: a path, or the bytes of a file."""
        return self.predictor(learner).predict(source)

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
    loss_fn: str | Callable[..., Any] | None = None,
    pretrained: bool | str | Path = True,
    augment: AugmentSettings | Mapping[str, Any] | bool = True,
    batch_size: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    weight_decay: float = 0.01,
    dropout: float = 0.5,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    report: Report | None = None,
    **data_options: Any,
) -> Learner:
    """A Learner that classifies pictures; what is not given is chosen, and said.

    Args:
        source: a folder, a CSV, or `VisionData`.
        model: a name of `models.MODELS` or of timm; by default EfficientNet-Lite0 for photos and a small
            ResNet for small pictures.
        metrics: names or objects; accuracy and error rate come first in every case.
        loss_fn: a name or a function; by default cross-entropy.
        pretrained: True for weights that this machine has; False for none; a path to a safetensors file.
        augment: settings, True for those that suit the pictures, False for none.
        batch_size: pictures a batch; by default from the number of pictures.
        lr: peak learning rate of `train`.
        epochs: of `train`.
        weight_decay: for all but norms and biases.
        dropout: in the head.
        seed: of split, weights, order and augmentation.
        num_threads: torch threads; by default from the size of the model's work.
        callbacks: used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        report: is told how far opening the pictures is.
        data_options: `size`, `resize`, `valid` …, see `vision.from_folder`.
    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    data = _data(source, seed, report, data_options)
    seed = data.seed if seed is None else seed
    choices = data.choices
    is_small = data.are_small
    name = _model_name(model, is_small, choices)
    built = create_model(
        name, num_classes=len(data.classes), pretrained=pretrained, dropout=dropout, seed=seed
    )
    choices.add(
        "weights",
        "pretrained" if built.is_pretrained else "random",
        reason=built.note,
        change="--set pretrained=false",
    )
    loss = _loss(loss_fn, choices)
    settings: dict[str, Any] = {
        "batch_size": _batch_size(batch_size, len(data.split.train), built.is_pretrained, choices),
        "augment": _augment(augment, is_small, choices).to_json(),
        "weight_decay": weight_decay,
        "dropout": dropout,
        "num_threads": _threads(num_threads, is_small, choices),
        "metrics": [m if isinstance(m, str) else m.name for m in metrics],
        "loss_fn": getattr(loss, "__name__", type(loss).__name__),
        "pretrained": pretrained if isinstance(pretrained, bool) else os.path.abspath(pretrained),
        "initial_sha256": store.weights_sha256(built.model.state_dict()),
    }
    plan = _plan(built.is_pretrained, epochs, lr, choices)
    choices.add("seed", seed, reason="the same seed gives the same bits", change="--seed N")
    loaders = data.loaders(
        mean=built.info.mean,
        std=built.info.std,
        batch_size=settings["batch_size"],
        augment=AugmentSettings.from_json(settings["augment"]),
    )
    if progress if announce is None else announce:
        sys.stderr.write(f"{data}\n{choices}\n")
    return Learner(
        channels_last(built.model),
        loaders,
        loss,
        metrics=_metrics(metrics),
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        out=out,
        application=VisionApplication(data, built, settings, plan),
    )


def load(folder: store.StrPath) -> Predictor:
    """The Predictor of a run folder or a model folder; nothing in the folder is executed.

    Raises: RunError: there is no model in it, or it is damaged, or not for pictures.
    """
    return prediction.load(folder, build=build_from)


def evaluate(folder: store.StrPath, source: str | os.PathLike[str]) -> dict[str, Any]:
    """Metrics of a run's model on labelled pictures; counts pictures that it was trained on.

    Raises: RunError: no model. DataError: nothing in `source` can be measured.
    """
    known: dict[str, str] = {}
    split = Path(folder) / "split.json"
    if split.exists():
        record = store.read_json(split)
        hashes = record.get("sha256", {})
        known = {name: hashes[name] for name in record.get("train", ()) if name in hashes}
    return load(folder).evaluate(source, known=known)


def resume(
    folder: store.StrPath, *, progress: bool = True, report: Report | None = None
) -> Learner:
    """Go on with a run that was cut, to the same weights as if it had not been.

    A run that is finished is opened and left as it is.
    Raises: RunError: no run there, or its pictures are not those it began with.
    """
    learner = reopen(folder, progress=progress, report=report)
    if learner.journal:
        learner.resume()
    else:  # cut before its first stage was planned
        learner.train()
    return learner


def reopen(
    folder: store.StrPath, *, progress: bool = True, report: Report | None = None
) -> Learner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Raises: as `resume`.
    """
    run = Run.open(folder)
    record = run.read()
    if record.get("task", {}).get("application") != "vision":
        raise RunError(f"{folder} is not a run of pictures.")
    data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The pictures in {data.source} are not those that {folder} began with"
            f"{_difference(run, data)}. Put them back, or train anew."
        )
    settings, plan = record["settings"], record["plan"]
    description = record["model"]
    found = learner(
        data,
        description["name"],
        metrics=settings["metrics"],
        loss_fn=settings["loss_fn"],
        pretrained=settings["pretrained"],
        augment=settings["augment"],
        batch_size=settings["batch_size"],
        lr=plan["lr"],
        epochs=plan["epochs"],
        weight_decay=settings["weight_decay"],
        dropout=settings["dropout"],
        seed=record["seed"],
        num_threads=settings["num_threads"],
        progress=progress,
        announce=False,
    )
    assert isinstance(found.application, VisionApplication)
    begins_as = found.application.settings["initial_sha256"]
    if begins_as != settings["initial_sha256"] and not run.has_checkpoint:
        raise RunError(
            f"{folder} was cut before its first checkpoint, and the weights it began with are not here: "
            f"{found.application.built.note} Bring them back, or train anew."
        )
    found.application.plan = plan
    found.application.settings = settings
    data.choices = Choices.from_json(record["choices"])  # with the reasons of the first time
    found.open_run(run)
    return found


def _data(
    source: VisionData | str | os.PathLike[str],
    seed: int | None,
    report: Report | None,
    options: dict[str, Any],
) -> VisionData:
    known = [*inspect.signature(gather).parameters, *inspect.signature(learner).parameters]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"`learner` has no option '{name}'.{did_you_mean(name, known)} "
                "`help(drivetrain.vision.learner)` lists them."
            )
    if isinstance(source, VisionData):
        if options:
            raise ConfigError(
                f"{', '.join(options)}: the data is made already. Give it to `vision.from_folder`."
            )
        return source
    given: dict[str, Any] = options | {"report": report} | ({} if seed is None else {"seed": seed})
    return (from_csv if Path(source).suffix.lower() == ".csv" else from_folder)(source, **given)


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
    names = {m if isinstance(m, str) else m.name for m in metrics}
    needed = [name for name in METRICS if name not in names]
    return [metric_by_name(m) for m in [*needed, *metrics]]


def _loss(loss_fn: str | Callable[..., Any] | None, choices: Choices) -> Any:
    usual = losses.choose_loss("class")
    own = None if loss_fn is None or isinstance(loss_fn, str) else loss_fn
    asked = loss_fn if isinstance(loss_fn, str) else getattr(own, "__name__", None)
    name = choices.choose(
        "loss",
        type(own).__name__ if own is not None and asked is None else asked,
        usual=usual.name,
        reason=usual.reason,
        change="--set loss_fn=NAME",
    )
    return lookup(losses.LOSSES, name, what="loss") if own is None else own


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
