"""How good a model of several targets is: each target beside baselines of its own."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from drivetrain.data.items import Item, Quarantined
from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import ConfigError, DataError, NonFiniteError
from drivetrain.losses.several import summed_cross_entropy
from drivetrain.metrics.of_target import OfTarget
from drivetrain.models.device import threads
from drivetrain.store import file_sha256
from drivetrain.train.loop import Evaluation, evaluate
from drivetrain.vision.baselines import accuracy_record, majority_class, nearest_mean_image
from drivetrain.vision.decode import decode_all
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.predictor import BATCH
from drivetrain.vision.sources import Found, find_in_csv
from drivetrain.vision.targets import Targets, labels_of, metrics_of

if TYPE_CHECKING:
    from drivetrain.vision.data import VisionData
    from drivetrain.vision.target_answers import TargetsPredictor

METRICS = ("accuracy", "f1")
"""Of each target, on labelled pictures from elsewhere."""


def results_of(data: VisionData, found: Evaluation) -> dict[str, Any]:
    """Of each target `{accuracy, interval, correct, count, classes, baselines}`, on validation.

    Args:
        data: whose validation pictures were evaluated.
        found: with the metric `<target> accuracy` of each.
    """
    assert data.targets is not None, "asked of several targets"
    results = {}
    for place, (name, classes) in enumerate(
        zip(data.targets.names, data.targets.classes, strict=True)
    ):
        train, valid = (data.pictures(part, target=place) for part in ("train", "valid"))
        majority = majority_class(train, valid, len(classes))
        results[name] = _record(found, name) | {
            "classes": list(classes),
            "baselines": {
                "majority_class": majority | {"class": classes[majority["class"]]},
                "nearest_mean_image": nearest_mean_image(train, valid, len(classes)),
            },
        }
    return results


def measured(
    predictor: TargetsPredictor,
    source: str | os.PathLike[str],
    *,
    known: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What `TargetsPredictor.evaluate` answers, with its arguments and errors."""
    targets = targets_of(predictor)
    kept, pictures, aside = labelled(predictor, source)
    result, _ = evaluated(predictor, targets, pictures, METRICS)
    if not math.isfinite(result.loss):
        raise NonFiniteError(
            f"The model's scores for the pictures in {source} are NaN or infinite: its weights or its "
            "preprocessing are damaged. Restore it from a copy, or train anew."
        )
    hashes = set((known or {}).values())
    return {
        "source": str(source),
        "metrics": {"loss": result.loss, **result.metrics},
        "targets": beside_guess(targets, pictures, result),
        "items": result.count,
        "quarantined": [entry.to_json() for entry in aside],
        "trained_on": sum(file_sha256(item.path) in hashes for item in kept) if hashes else 0,
    }


def labelled(
    predictor: TargetsPredictor, source: str | os.PathLike[str]
) -> tuple[list[Item], PictureData, list[Quarantined]]:
    """The pictures of a CSV that can be measured, decoded with their class indices, and those set aside.

    Raises: DataError: none can. ConfigError: it is no CSV, or lacks a column.
    """
    path = Path(source)
    targets = targets_of(predictor)
    if path.suffix.lower() != ".csv":
        raise ConfigError(
            f"The model tells {len(targets.names)} targets, and {source} is no CSV. Give one with the "
            f"columns {', '.join(targets.names)} beside the paths."
        )
    found = find_in_csv(path, targets=targets.names)
    items, aside = _measurable(found, targets)
    kept, pictures, bad = opened_pictures(predictor, targets, items)
    if not kept:
        raise DataError(
            f"None of the {len(bad)} pictures in {source} can be used. "
            f"The first: {bad[0].id}: {bad[0].detail}"
        )
    return kept, pictures, aside + bad


def beside_guess(targets: Targets, pictures: PictureData, found: Evaluation) -> dict[str, Any]:
    """Of each target `{accuracy, interval, correct, count, baselines}` on these pictures."""
    return {
        name: _record(found, name)
        | {"baselines": {"majority_class": _most_frequent(codes, classes)}}
        for name, classes, codes in zip(
            targets.names, targets.classes, pictures.targets.unbind(dim=1), strict=True
        )
    }


def targets_of(predictor: TargetsPredictor) -> Targets:
    """Names and classes of what a Predictor tells."""
    return Targets(tuple(predictor.targets), tuple(predictor.targets.values()))


def opened_pictures(
    predictor: TargetsPredictor, targets: Targets, items: Sequence[Item]
) -> tuple[list[Item], PictureData, list[Quarantined]]:
    """The items that can be read, their pixels with the class indices, and those that cannot."""
    pixels, good, bad = decode_all(
        [item.path for item in items],
        size=predictor.size,
        resize=predictor.resize,
        num_workers=os.cpu_count() or 1,
        ids=[item.id for item in items],
    )
    kept = [items[index] for index in good]
    data = PictureData(
        [item.path for item in kept],
        targets.codes(kept),
        size=predictor.size,
        resize=predictor.resize,
        pixels=pixels,
        ids=[item.id for item in kept],
    )
    return kept, data, bad


def evaluated(
    predictor: TargetsPredictor, targets: Targets, pictures: PictureData, names: Sequence[str]
) -> tuple[Evaluation, list[OfTarget]]:
    """The loss that was trained, and metrics of each target."""
    loss = loss_of_predictor(predictor, targets)
    found = metrics_of(names, targets)
    with threads(predictor.num_threads):
        result = evaluate(
            predictor.model,
            BatchLoader(pictures, batch_size=BATCH, transform=predictor.normalise),
            loss,
            metrics=found,
            device=predictor.device,
        )
    return result, found


def loss_of_predictor(predictor: TargetsPredictor, targets: Targets) -> Callable[..., torch.Tensor]:
    """The weighted sum of cross-entropies that the model was trained with."""
    return functools.partial(summed_cross_entropy, sizes=targets.sizes, weights=predictor.weights)


def knows(targets: Targets, item: Item) -> bool:
    """Whether the model could be right about an item: its class of each target was trained."""
    return all(
        label in classes for label, classes in zip(labels_of(item), targets.classes, strict=True)
    )


def _record(found: Evaluation, name: str) -> dict[str, Any]:
    correct = round(found.metrics[f"{name} accuracy"] * found.count)
    return accuracy_record(correct, found.count)


def _most_frequent(codes: torch.Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """The class that is most frequent among the pictures that are measured: a rule that saw them."""
    counts = torch.bincount(codes, minlength=len(classes))
    guess = int(counts.argmax())
    return accuracy_record(int(counts[guess]), len(codes)) | {"class": classes[guess]}


def _measurable(found: Found, targets: Targets) -> tuple[list[Item], list[Quarantined]]:
    aside = list(found.set_aside)
    items = []
    parts = found.parts or [""] * len(found.items)
    wanted = next(part for part in ("valid", "train", "test", "") if part in parts)
    for item, part in zip(found.items, parts, strict=True):
        if part != wanted:
            continue
        if knows(targets, item):
            items.append(item)
            continue
        name, label = next(
            (name, label)
            for name, classes, label in zip(
                targets.names, targets.classes, labels_of(item), strict=True
            )
            if label not in classes
        )
        text = f"The model does not know {label!r} of {name!r}."
        aside.append(Quarantined(item.id, "unknown-class", text))
    if not items:
        raise DataError(
            f"No picture of {found.source} has a class of each target that the model knows. "
            f"The first: {aside[0].id}: {aside[0].detail}"
        )
    return items, aside
