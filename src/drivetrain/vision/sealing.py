"""The sealed pictures: a folder `test/`, a share of every class, or pictures that lie elsewhere.

Their bytes are hashed when the data is gathered, so that a test can tell that they are still the same.
They are not decoded, and no size, class or statistic is taken from them, until `drivetrain test` or
`Learner.test` opens them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from drivetrain import losses, metrics, store
from drivetrain.data.items import Item
from drivetrain.data.loaders import BatchLoader
from drivetrain.data.split import stratified_split
from drivetrain.errors import ConfigError, DataError
from drivetrain.models.device import threads
from drivetrain.train import sealed
from drivetrain.train.loop import evaluate
from drivetrain.train.sealed import Opened, Seal
from drivetrain.vision import target_results
from drivetrain.vision.decode import decode_all
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.predictor import BATCH, Predictor
from drivetrain.vision.sources import Found, find_in_csv, find_in_folder
from drivetrain.vision.target_answers import TargetsPredictor

if TYPE_CHECKING:
    from drivetrain.vision.data import VisionData


def with_test(found: Found, test: float | str | os.PathLike[str] | None, seed: int) -> Found:
    """What was found, with its test part.

    Args:
        test: share of every class that is sealed, or a folder or CSV of pictures; None: as found.

    Raises: ConfigError: a share out of range, or there is a test part already. DataError: too few items.
    """
    if test is None:
        return found
    if found.parts is not None and "test" in found.parts:
        raise ConfigError(
            f"{found.source} has a test part of its own, and `test` names another. Leave one of them out."
        )
    parts = found.parts or ["train"] * len(found.items)
    if isinstance(test, str | os.PathLike):
        more = _elsewhere(Path(test), found.targets)
        return replace(found, items=[*found.items, *more], parts=[*parts, *["test"] * len(more)])
    if isinstance(test, bool) or not 0 < test < 1:
        raise ConfigError(
            f"`test` is a share of the pictures, between 0 and 1, or a folder of its own. Got {test!r}."
        )
    inner = [at for at, part in enumerate(parts) if part == "train"]
    drawn = stratified_split([found.items[at].label for at in inner], valid=test, seed=seed)
    chosen = {inner[at] for at in drawn.valid}
    return replace(found, parts=["test" if i in chosen else p for i, p in enumerate(parts)])


def _elsewhere(path: Path, targets: tuple[str, ...]) -> list[Item]:
    """Pictures that lie elsewhere, named by their whole path."""
    if not path.exists():
        raise DataError(
            f"`test`: {path} does not exist. Give a share, a folder of pictures or a CSV."
        )
    is_csv = path.suffix.lower() == ".csv"
    if targets and not is_csv:
        raise ConfigError(
            f"`test`: {path} is no CSV, and the pictures have {len(targets)} targets. Give one with the "
            f"columns {', '.join(targets)}, or a share."
        )
    found = find_in_csv(path, targets=targets) if is_csv else find_in_folder(path)
    parts = found.parts or ["test"] * len(found.items)
    wanted = "test" if "test" in parts else parts[0]
    return [
        replace(item, id=os.path.abspath(item.path))
        for item, part in zip(found.items, parts, strict=True)
        if part == wanted
    ]


def hashes_of(items: Sequence[Item], workers: int) -> dict[str, str]:
    """SHA-256 of each sealed file, by id; of one that is gone or closed to us, what stands for that."""

    def digest(item: Item) -> str:
        try:
            return store.file_sha256(item.path)
        except OSError as error:
            return f"unreadable: {error.strerror}"

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        return dict(zip((item.id for item in items), pool.map(digest, items), strict=True))


def seal_of(items: Sequence[Item], workers: int, how: str) -> Seal | None:
    """What is known of the pictures of a test part while they are closed; None where there are none."""
    if not items:
        return None
    return Seal(len(items), _fingerprint(items, workers), how)


def opened(predictor: Predictor, data: VisionData) -> Opened:
    """Decode and measure the sealed pictures; of several targets the interval is that of the first."""
    if isinstance(predictor, TargetsPredictor):
        return _targets_opened(predictor, data)
    known = {name: code for code, name in enumerate(predictor.classes)}
    items = [data.items[at] for at in data.split.test]
    asked = [item for item in items if item.label in known]
    if not asked:
        raise DataError(
            "No sealed picture is of a class that was trained: nothing can be measured."
        )
    pixels, good, _ = decode_all(
        [item.path for item in asked],
        size=predictor.size,
        resize=predictor.resize,
        num_workers=data.num_workers,
        ids=[item.id for item in asked],
    )
    if not good:
        raise DataError(f"None of the {len(asked)} sealed pictures can be used.")
    kept = [asked[at] for at in good]
    pictures = PictureData(
        [item.path for item in kept],
        torch.tensor([known[item.label] for item in kept]),
        size=predictor.size,
        resize=predictor.resize,
        pixels=pixels,
    )
    found = [metrics.metric(name) for name in ("accuracy", "error_rate", "f1")]
    with threads(predictor.num_threads):
        result = evaluate(
            predictor.model,
            BatchLoader(pictures, batch_size=BATCH, transform=predictor.normalise),
            losses.cross_entropy,
            metrics=found,
            device=predictor.device,
        )
    values = {one.name: result.metrics[one.name] for one in found} | {"loss": result.loss}
    return Opened(
        values,
        lambda at: metrics.interval_of(found[0], at),
        result.count,
        _fingerprint(items, data.num_workers),
        len(items) - len(kept),
    )


def _targets_opened(predictor: TargetsPredictor, data: VisionData) -> Opened:
    targets = target_results.targets_of(predictor)
    items = [data.items[at] for at in data.split.test]
    asked = [item for item in items if target_results.knows(targets, item)]
    if not asked:
        raise DataError(
            "No sealed picture has a class of each target that was trained: nothing can be measured."
        )
    kept, pictures, _ = target_results.opened_pictures(predictor, targets, asked)
    if not kept:
        raise DataError(f"None of the {len(asked)} sealed pictures can be used.")
    names = ("accuracy", "error_rate", "f1")
    result, found = target_results.evaluated(predictor, targets, pictures, names)
    return Opened(
        {**result.metrics, "loss": result.loss},
        found[0].interval,
        result.count,
        _fingerprint(items, data.num_workers),
        len(items) - len(kept),
    )


def _fingerprint(items: Sequence[Item], workers: int) -> str:
    """Over labels and bytes."""
    hashes = hashes_of(items, workers)
    return sealed.fingerprint(
        "\0".join((item.label, *item.others, hashes[item.id])) for item in items
    )
