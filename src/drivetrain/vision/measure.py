"""How good a trained model is on labelled pictures from elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from drivetrain import losses
from drivetrain.data.items import Item, Quarantined
from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import DataError, NonFiniteError
from drivetrain.metrics import metric
from drivetrain.models.device import threads
from drivetrain.store import file_sha256
from drivetrain.train.loop import evaluate
from drivetrain.train.run import read_split
from drivetrain.vision.baselines import accuracy_record
from drivetrain.vision.decode import decode_all
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.predictor import BATCH, Predictor
from drivetrain.vision.sources import Found, find_in_csv, find_in_folder


def measured(
    predictor: Predictor,
    source: str | os.PathLike[str],
    *,
    known: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Metrics on labelled pictures; what `Predictor.evaluate` answers, with its arguments and errors."""
    data, aside = labelled_pictures(predictor, source)
    loader = BatchLoader(data, batch_size=BATCH, transform=predictor.normalise)
    with threads(predictor.num_threads):
        result = evaluate(
            predictor.model,
            loader,
            losses.cross_entropy,
            metrics=[metric(name) for name in ("accuracy", "f1")],
            device=predictor.device,
        )
    if not math.isfinite(result.loss):
        raise NonFiniteError(
            f"The model's scores for the pictures in {source} are NaN or infinite: its weights or its "
            "preprocessing are damaged. Restore it from a copy, or train anew."
        )
    correct = round(result.metrics["accuracy"] * result.count)
    return {
        "source": str(source),
        "metrics": {"loss": result.loss, **result.metrics},
        "interval": accuracy_record(correct, result.count)["interval"],
        "items": result.count,
        "quarantined": [entry.to_json() for entry in aside],
        "trained_on": count_known(data, known or {}),
    }


def labelled_pictures(
    predictor: Predictor, source: str | os.PathLike[str]
) -> tuple[PictureData, list[Quarantined]]:
    """The pictures of a source that can be measured, decoded, and those that were set aside.

    Raises: DataError: none can.
    """
    path = Path(source)
    found = find_in_csv(path) if path.suffix.lower() == ".csv" else find_in_folder(path)
    items, aside = _measurable(found, predictor.classes)
    pixels, good, bad = decode_all(
        [item.path for item in items],
        size=predictor.size,
        resize=predictor.resize,
        num_workers=os.cpu_count() or 1,
        ids=[item.id for item in items],
    )
    if not good:
        raise DataError(
            f"None of the {len(bad)} pictures in {source} can be used. "
            f"The first: {bad[0].id}: {bad[0].detail}"
        )
    kept = [items[index] for index in good]
    number = {name: code for code, name in enumerate(predictor.classes)}
    data = PictureData(
        [item.path for item in kept],
        torch.tensor([number[item.label] for item in kept]),
        size=predictor.size,
        resize=predictor.resize,
        pixels=pixels,
        ids=[item.id for item in kept],
    )
    return data, aside + bad


def _measurable(found: Found, classes: Sequence[str]) -> tuple[list[Item], list[Quarantined]]:
    aside = list(found.set_aside)
    items = []
    parts = found.parts or [""] * len(found.items)
    wanted = next(part for part in ("valid", "train", "test", "") if part in parts)
    for item, part in zip(found.items, parts, strict=True):
        if part != wanted:
            continue
        if item.label in classes:
            items.append(item)
        else:
            aside.append(
                Quarantined(item.id, "unknown-class", f"The model does not know {item.label!r}.")
            )
    if not items:
        labels = ", ".join(map(repr, sorted({item.label for item in found.items})[:5]))
        raise DataError(
            f"No picture of {found.source} has a label that the model knows. It has {labels}; "
            f"the model knows {', '.join(map(repr, classes[:5]))}."
        )
    return items, aside


def count_known(data: PictureData, known: Mapping[str, str]) -> int:
    """How many of the files are, byte for byte, among the known ones."""
    if not known:
        return 0
    hashes = set(known.values())
    return sum(file_sha256(path) in hashes for path in data.paths)


def trained_hashes(folder: str | os.PathLike[str]) -> dict[str, str]:
    """SHA-256 of the pictures that a run was trained on, by id; none where the folder is no run."""
    path = Path(folder) / "split.json"
    if not path.exists():
        return {}
    record = read_split(path)
    hashes, train = record.get("sha256", {}), record.get("train")
    names = [name for name in train if isinstance(name, str)] if isinstance(train, list) else []
    return {name: str(hashes[name]) for name in names if name in hashes}
