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
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from drivetrain import store
from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models import create_model
from drivetrain.train.budget import Budget
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.time_budget import TimeBudget
from drivetrain.train.choice import Choices
from drivetrain.train.factory import (
    chosen,
    chosen_loss,
    chosen_optimizer,
    parts_record,
    say_seed,
    steps_an_epoch,
    usual_first,
)
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.run import Run
from drivetrain.vision import budget as budgets
from drivetrain.vision.application import VisionApplication
from drivetrain.vision.augment import AugmentSettings
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
from drivetrain.vision.predictor import channels_last
from drivetrain.vision.targets import loss_of, metrics_of, weights_of

PHOTO_MODEL = "tf_efficientnet_lite0"
SMALL_MODEL = "resnet_tiny"
METRICS = ("accuracy", "error_rate")


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
        **parts_record(map(metric_by_name, metrics), loss, make_optimizer),
        "fraction": fraction,
        "pretrained": pretrained if isinstance(pretrained, bool) else os.path.abspath(pretrained),
        "initial_sha256": store.weights_sha256(built.model.state_dict()),
    }
    if data.targets is not None:
        settings["target_weights"] = dict(zip(data.targets.names, weights, strict=True))
    plan = _plan(built.is_pretrained, epochs, lr, choices)
    say_seed(seed, choices)
    application = VisionApplication(data, built, settings, plan, whole=whole)
    measured = usual_first(METRICS, [metric_by_name(metric) for metric in metrics])
    found = Learner(
        channels_last(built.model),
        application.loaders(),
        loss,
        make_optimizer,
        metrics=measured if data.targets is None else metrics_of(measured, data.targets),
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
    limit = found.limit(elapsed=time.perf_counter() - began)
    settings["budget"] = found.to_json() | {"limit_seconds": limit}
    learner.callbacks.append(TimeBudget(limit / 60))
    return found


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


def _batch_size(asked: int | None, num_train: int, is_pretrained: bool, choices: Choices) -> int:
    """64, less where an epoch would have too few steps: a net from scratch needs more of them."""
    size, steps = 64, 4 if is_pretrained else 16
    while size > 8 and num_train < steps * size:
        size //= 2
    reason = steps_an_epoch(num_train, size)
    return chosen("batch_size", asked, choices, usual=size, reason=reason)


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
    return chosen("num_threads", asked, choices, usual=count, reason=reason)


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
        "epochs": chosen(
            "epochs",
            epochs,
            choices,
            usual=usual,
            reason="enough for most folders; the history shows whether more would help",
        ),
        "lr": chosen(
            "lr",
            lr,
            choices,
            usual=rate,
            reason="a rate that suits this method; `lr_find` looks for a better one",
        ),
    }
