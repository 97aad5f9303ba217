"""What a run of pictures gives to its report: data, predictions, baselines and maps.

Of a model with several targets it is what holds for all of them, and an `Evidence` of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.errors import DrivetrainError, MissingPackageError
from drivetrain.interpret.head_inputs import Caught
from drivetrain.interpret.map_items import MapItems
from drivetrain.models.summary import summarize
from drivetrain.report.evidence import Baseline, Evidence, Shown
from drivetrain.train.learner import Learner
from drivetrain.train.predictions import Predictions
from drivetrain.vision.application import VisionApplication
from drivetrain.vision.data import Report, VisionData
from drivetrain.vision.galleries import galleries
from drivetrain.vision.hand_features import hand_baseline
from drivetrain.vision.mapping import caught_of_target, mapped
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.report_looks import Show, facts, look
from drivetrain.vision.runs import reopen
from drivetrain.vision.targets import labels_of

SAMPLES = 16


def evidence(folder: store.StrPath, *, report: Report | None = None) -> Evidence:
    """What the report of a run of pictures is made of.

    Args:
        folder: of a run.
        report: is told how far opening the pictures is.

    Raises: RunError: no run of pictures there, or its pictures are not those it began with. DataError:
        they are gone.
    """
    learner = reopen(folder, callbacks=(), progress=False, report=report)
    if (Path(folder) / "model" / "model.json").exists():
        learner.load(folder)  # the model that predicts, should a callback have kept another
    application = learner.application
    assert isinstance(application, VisionApplication), "reopened as one"
    data = application.data
    targets = (None,) if data.targets is None else range(len(data.targets.names))
    with ExitStack() as stack:
        caught = [stack.enter_context(caught_of_target(learner.model, one)) for one in targets]
        found = learner.predictions()
    common: dict[str, Any] = {
        "noun": "pictures",
        "samples": _samples(data),
        "layers": _layers(learner, application),
        "galleries": galleries(learner, look),
    }
    if data.targets is None:
        return Evidence(**common, **_of_target(learner, application, found, caught[0], None))
    known = zip(data.targets.names, caught, strict=True)
    parts = {
        name: Evidence(
            noun="pictures",
            target=name,
            **_of_target(learner, application, found.of(name), one, place),
        )
        for place, (name, one) in enumerate(known)
    }
    notes = dict.fromkeys(note for part in parts.values() for note in part.notes)
    return Evidence(
        **common, predictions=found, targets=parts, notes=list(notes), together=_together(data)
    )


def _of_target(
    learner: Learner,
    application: VisionApplication,
    found: Predictions,
    caught: Caught,
    place: int | None,
) -> Mapping[str, Any]:
    """What is known of one target: of the only one, or of that at a place."""
    data = application.data
    train, valid = (data.pictures(part, target=place) for part in ("train", "valid"))
    classes, span = data.classes, None
    if place is not None:
        assert data.targets is not None, "there are several"
        classes, span = data.targets.classes[place], data.targets.spans[place]
    baselines, notes = _hand(train, valid, learner.seed)
    info = application.built.info
    return {
        "classes": classes,
        "counts": {
            part: torch.bincount(pictures.targets, minlength=len(classes)).tolist()
            for part, pictures in (("train", train), ("valid", valid))
        },
        "predictions": found,
        "show": Show(learner, classes, Normalise(info.mean, info.std), valid, span),
        "facts": facts(valid),
        "baselines": baselines,
        "notes": notes,
        "map": _map(caught, found, valid),
    }


def _together(data: VisionData) -> np.ndarray:
    """(M, T) int64, class indices of the training pictures."""
    return data.pictures("train").targets.numpy()


def _map(caught: Caught, found: Predictions, valid: PictureData) -> MapItems | None:
    """None of a model that ends in no linear layer."""
    try:
        return mapped(caught, found, valid)
    except DrivetrainError:
        return None


def _hand(train: PictureData, valid: PictureData, seed: int) -> tuple[list[Baseline], list[str]]:
    try:
        return [hand_baseline(train, valid, seed=seed)], []
    except MissingPackageError as error:
        return [], [f"The baseline of hand-made features is missing. {error}"]


def _layers(learner: Learner, application: VisionApplication) -> Any:
    example = torch.zeros(1, 3, *application.data.size, device=learner.device)
    loss = application.settings["loss_fn"].get("name")
    return summarize(learner.model, (example,), loss=loss)


def _samples(data: VisionData) -> list[Shown]:
    """A few of each class, of several targets of the first, as far as there is room for them."""
    train = data.pictures("train", target=None if data.targets is None else 0)
    targets = train.targets.numpy()
    each = max(1, SAMPLES // len(data.classes))
    chosen = [
        place
        for code in range(min(len(data.classes), SAMPLES))
        for place in np.flatnonzero(targets == code)[:each].tolist()
    ]
    pixels, _ = train.__getitems__(torch.tensor(chosen, dtype=torch.int64))
    members = [data.items[data.split.train[place]] for place in chosen]
    return [
        Shown(train.ids[place], " · ".join(labels_of(item)), (look(picture),))
        for place, item, picture in zip(chosen, members, pixels, strict=True)
    ]
