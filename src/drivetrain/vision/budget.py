"""A time budget for pictures: what opening, baselines and smaller pictures cost, and a share of them."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from drivetrain.data.split import Split
from drivetrain.train.budget import Budget, Smaller, choose_items, plan as plan_budget
from drivetrain.vision.baselines import nearest_mean_image
from drivetrain.vision.data import VisionData
from drivetrain.vision.decode import decode_all
from drivetrain.vision.opening import SMALL

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.vision.application import VisionApplication

SIDES = (96, 64)
"""Sides, in pixels, that photos may be cut to; below that few things can be told apart."""

TRIED = 64
"""Pictures on which opening and baselines are timed."""


def plan(
    learner: Learner,
    application: VisionApplication,
    minutes: float,
    epochs: int | None,
    *,
    began: float,
    folder: Path | None,
) -> Budget:
    """The plan of `learner.train()` for a budget that began at `began`, by `time.perf_counter`."""
    data = application.data
    each = _seconds_of_baselines(data)
    return plan_budget(
        learner,
        60 * minutes,
        epochs,
        method=application.plan["method"],
        spent=time.perf_counter() - began,
        after=each * len(data.split.valid),
        after_per_share=each * len(data.split.train),
        smaller=_smaller(data),
        folder=folder,
    )


def share_of(data: VisionData, fraction: float, *, seed: int) -> VisionData:
    """The same pictures with a share of each class for training; validation stays.

    Of two shares by the same seed, the smaller one is a part of the larger.
    Raises: ConfigError: `fraction` is out of range.
    """
    train = data.split.train
    labels = [data.items[index].label for index in train]
    chosen = choose_items(len(train), fraction, seed=seed, labels=labels)
    if len(chosen) == len(train):
        return data
    kept = tuple(train[index] for index in chosen.tolist())
    return dataclasses.replace(data, split=dataclasses.replace(data.split, train=kept))


def _smaller(data: VisionData) -> list[Smaller]:
    """Smaller sides, for photos; small pictures have nothing to lose."""
    if data.are_small or min(data.size) <= SMALL:
        return []
    return [
        Smaller(
            [side, side],
            lambda batch, side=side: (_resized(batch[0], side), *batch[1:]),
            seconds=_seconds_of_opening(data, side),
        )
        for side in SIDES
        if side < min(data.size)
    ]


def _resized(inputs: Any, side: int) -> Any:
    return F.interpolate(inputs, size=(side, side), mode="bilinear", antialias=True)


def _seconds_of_opening(data: VisionData, side: int) -> float:
    """To open all pictures of training and validation at another size."""
    indices = [*data.split.train, *data.split.valid]
    tried = indices[:: max(1, len(indices) // TRIED)][:TRIED]
    began = time.perf_counter()
    decode_all(
        [data.items[index].path for index in tried],
        size=(side, side),
        resize=data.resize,
        num_workers=data.num_workers,
        ids=[data.items[index].id for index in tried],
    )
    return (time.perf_counter() - began) / len(tried) * len(data.items)


def _seconds_of_baselines(data: VisionData) -> float:
    """The nearest mean image, in seconds a picture."""
    part = dataclasses.replace(
        data, split=Split(train=data.split.train[:TRIED], valid=data.split.valid[:TRIED])
    )
    first = None if data.targets is None else 0
    train, valid = (part.pictures(name, target=first) for name in ("train", "valid"))
    began = time.perf_counter()
    nearest_mean_image(train, valid, len(data.classes))
    once = (time.perf_counter() - began) / (len(train) + len(valid))
    return once if data.targets is None else once * len(data.targets.names)
