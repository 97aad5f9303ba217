"""A map of the pictures of a run: by what its last layer is given, or a layer gives."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from drivetrain import store
from drivetrain.data.loaders import BatchLoader
from drivetrain.interpret.head_inputs import Caught, head_inputs
from drivetrain.interpret.map_items import PARTS, MapItems, joined, of_predictions
from drivetrain.train.learner import Learner
from drivetrain.train.predictions import Predictions
from drivetrain.vision.application import VisionApplication
from drivetrain.vision.data import Report
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.runs import reopen
from drivetrain.vision.targets import place_of


def map_items(
    folder: store.StrPath,
    *,
    layer: str | None = None,
    target: str | None = None,
    items: str = "valid",
    report: Report | None = None,
) -> MapItems:
    """The pictures of a part, their vectors, and what the model says of each.

    Args:
        folder: of a run.
        layer: whose output is taken; by default what the last layer is given. Of feature maps the mean
            over all places.
        target: of several targets the one whose head, classes and mistakes are taken; by default the
            first.
        items: `valid`, `train` or `all`. Those of training are taken as they are, not varied.
        report: is told how far opening the pictures is.

    Raises: RunError: no run of pictures there, or its pictures are not those it began with. DataError:
        they are gone. UnknownNameError: no such layer or target. ShapeError: the layer gives no vector a
        picture.
    """
    learner = reopen(folder, callbacks=(), progress=False, report=report)
    if (Path(folder) / "model" / "model.json").exists():
        learner.load(folder)
    application = learner.application
    assert isinstance(application, VisionApplication), "reopened as one"
    several = application.data.targets
    place = place_of(target, several)
    data = [application.data.pictures(part, target=place) for part in PARTS[items]]
    trained = 0 if items == "valid" else len(data[0])
    known: dict[str, Any] = {"of": items, "trained": trained}
    with caught_of_target(learner.model, place, layer) as caught:
        found = joined([_predicted(learner, part) for part in PARTS[items]])
    if several is None or place is None:
        return mapped(caught, found, *data, **known)
    name = several.names[place]
    others = ", ".join(one for one in several.names if one != name)
    note = f"Colours and mistakes are those of {name}; --target shows another ({others})."
    return mapped(caught, found.of(name), *data, notes=(note,), **known)


def _predicted(learner: Learner, part: str) -> Predictions:
    """The record of a part; pictures of training are in order and as they are."""
    if part == "valid":
        return learner.predictions()
    application, valid = learner.application, learner.loaders.valid
    assert isinstance(application, VisionApplication), "a Learner of pictures"
    assert isinstance(valid, BatchLoader), "made by it"
    loader = copy.copy(valid)
    loader.data = application.data.pictures(part)
    return learner.predictions(loader)


@contextmanager
def caught_of_target(
    model: nn.Module, place: int | None, layer: str | None = None
) -> Iterator[Caught]:
    """As `head_inputs`; of several targets what the last layer of the head at this place is given."""
    within = "" if place is None or layer is not None else f"head.heads.{place}"
    with head_inputs(model, layer, within=within) as caught:
        yield caught


def mapped(caught: Caught, found: Predictions, *data: PictureData, **known: Any) -> MapItems:
    """The pictures of a record by what was caught while it was made.

    Args:
        data: the pictures, in the order of the record.
        known: more of `MapItems`, such as `notes`.
    """
    return of_predictions(
        caught,
        found,
        noun="pictures",
        pictures=lambda rows, side: _small_of(data, rows, side),
        **known,
    )


def _small_of(data: Sequence[PictureData], rows: np.ndarray, side: int) -> np.ndarray:
    """As `_small` of rows that are counted on from one data set to the next."""
    found = np.zeros((len(rows), side, side, 3), np.uint8)
    begin = 0
    for one in data:
        here = (rows >= begin) & (rows < begin + len(one))
        if here.any():
            found[here] = _small(one, rows[here] - begin, side)
        begin += len(one)
    return found


def _small(data: PictureData, rows: np.ndarray, side: int) -> np.ndarray:
    """(n, side, side, 3) uint8: the middle of each, as large as the shorter side."""
    pixels, _ = data.__getitems__(torch.from_numpy(rows))
    height, width = pixels.shape[2:]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    middle = pixels[:, :, top : top + least, left : left + least].float()
    if least < side:
        small = F.interpolate(middle, (side, side), mode="nearest")
    else:
        small = F.interpolate(middle, (side, side), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
