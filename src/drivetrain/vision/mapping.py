"""A map of the validation pictures of a run: by what its last layer is given, or a layer gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from drivetrain import store
from drivetrain.interpret.head_inputs import Caught, head_inputs
from drivetrain.interpret.map_items import MapItems, of_predictions
from drivetrain.train.predictions import Predictions
from drivetrain.vision.data import Report
from drivetrain.vision.learner import VisionApplication, reopen
from drivetrain.vision.pictures import PictureData


def map_items(
    folder: store.StrPath, *, layer: str | None = None, report: Report | None = None
) -> MapItems:
    """The validation pictures, their vectors, and what the model says of each.

    Args:
        folder: of a run.
        layer: whose output is taken; by default what the last layer is given. Of feature maps the mean
            over all places.
        report: is told how far opening the pictures is.

    Raises: RunError: no run of pictures there, or its pictures are not those it began with. DataError:
        they are gone. UnknownNameError: no such layer. ShapeError: it gives no vector a picture.
    """
    learner = reopen(folder, callbacks=(), progress=False, report=report)
    if (Path(folder) / "model" / "model.json").exists():
        learner.load(folder)
    application = learner.application
    assert isinstance(application, VisionApplication), "reopened as one"
    with head_inputs(learner.model, layer) as caught:
        found = learner.predictions()
    return mapped(caught, found, application.data.pictures("valid"))


def mapped(caught: Caught, found: Predictions, valid: PictureData) -> MapItems:
    """The pictures of a record by what was caught while it was made."""
    return of_predictions(
        caught, found, noun="pictures", pictures=lambda rows, side: _small(valid, rows, side)
    )


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
