"""What a run of pictures gives to its report: the pictures themselves, and where the model looked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain import store
from drivetrain._optional import require
from drivetrain.errors import DrivetrainError, MissingPackageError
from drivetrain.interpret.activation_maps import grad_cam
from drivetrain.interpret.head_inputs import Caught, head_inputs
from drivetrain.interpret.map_items import MapItems
from drivetrain.models.device import threads
from drivetrain.models.summary import summarize
from drivetrain.randomness import preserved
from drivetrain.report.evidence import Baseline, Evidence, Look, Shown
from drivetrain.train.learner import Learner
from drivetrain.train.predictions import Predictions
from drivetrain.vision.data import Report, VisionData
from drivetrain.vision.galleries import galleries
from drivetrain.vision.hand_features import hand_baseline
from drivetrain.vision.learner import VisionApplication, reopen
from drivetrain.vision.mapping import mapped
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.targets import refuse

SIDE = 176
"""Pixels a side at most of a picture in a report."""
TINY = 64
"""A picture of no more pixels a side is shown with its pixels as squares."""
SAMPLES = 16
MOST_CAMS = 12
"""Of the worst pictures, those whose Grad-CAM is made: all that a report shows."""
BATCH = 256


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
    refuse(data.targets, "A report")
    train, valid = data.pictures("train"), data.pictures("valid")
    count = len(data.classes)
    baselines, notes = _hand(train, valid, learner.seed)
    with head_inputs(learner.model) as caught:
        found = learner.predictions()
    return Evidence(
        noun="pictures",
        classes=data.classes,
        counts={
            part: torch.bincount(pictures.targets, minlength=count).tolist()
            for part, pictures in (("train", train), ("valid", valid))
        },
        samples=_samples(train, data),
        predictions=found,
        show=_Show(learner, application, valid),
        facts=facts(valid),
        layers=_layers(learner, application),
        baselines=baselines,
        notes=notes,
        galleries=galleries(learner, look),
        map=_map(caught, found, valid),
    )


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


def _samples(train: PictureData, data: VisionData) -> list[Shown]:
    """A few of each class, as far as there is room for them."""
    targets = train.targets.numpy()
    each = max(1, SAMPLES // len(data.classes))
    chosen = [
        place
        for code in range(min(len(data.classes), SAMPLES))
        for place in np.flatnonzero(targets == code)[:each].tolist()
    ]
    pixels, _ = train.__getitems__(torch.tensor(chosen, dtype=torch.int64))
    return [
        Shown(train.ids[place], data.classes[targets[place]], (look(picture),))
        for place, picture in zip(chosen, pixels, strict=True)
    ]


class _Show:
    """Pictures by their positions, with the places that spoke for what was said and for what is true."""

    def __init__(
        self, learner: Learner, application: VisionApplication, valid: PictureData
    ) -> None:
        self.learner = learner
        self.classes = application.data.classes
        self.info = application.built.info
        self.valid = valid

    def __call__(self, positions: Sequence[int]) -> list[Shown]:
        pixels, targets = self.valid.__getitems__(torch.tensor(positions, dtype=torch.int64))
        cams = self._cams(pixels[:MOST_CAMS], targets[:MOST_CAMS])
        found = []
        for row, place in enumerate(positions):
            looks = [look(pixels[row])]
            for heat, caption in cams[row] if row < len(cams) else ():
                looks.append(look(over(pixels[row], heat), caption, pixels=False))
            true = self.classes[int(targets[row])]
            found.append(Shown(self.valid.ids[place], true, tuple(looks)))
        return found

    def _cams(self, pixels: Tensor, targets: Tensor) -> list[list[tuple[Tensor, str]]]:
        """For each picture (map (H, W) in [0, 1], what it is of); none for a model without maps."""
        model = self.learner.model
        inputs = Normalise(self.info.mean, self.info.std).normalised(pixels)
        try:
            with threads(self.learner.num_threads), preserved():
                said = grad_cam(model, inputs)
                true = grad_cam(model, inputs, layer=said.layer, classes=targets)
        except DrivetrainError:  # no layer of it gives maps of places
            return []
        rows = []
        for index in range(len(pixels)):
            names = [self.classes[int(found.classes[index])] for found in (said, true)]
            maps = [_scaled(found.over()[index]) for found in (said, true)]
            pairs = list(zip(maps, (f"for {name}" for name in names), strict=True))
            rows.append(pairs[: 2 if names[0] != names[1] else 1])
        return rows


def _scaled(heat: Tensor) -> Tensor:
    top = float(heat.max())
    return heat / top if top > 0 else heat


def over(picture: Tensor, heat: Tensor) -> Tensor:
    """A picture with what spoke for a class over it: from clear over yellow to red.

    Args:
        picture: (3, H, W) uint8.
        heat: (H, W) in [0, 1].

    Returns: (3, H', W') uint8, no smaller than the picture: tiny ones are made larger, so that the map is
        smooth.
    """
    floats, maps = picture.float()[None], heat.float()[None, None].cpu()
    scale = max(1, -(-SIDE // max(picture.shape[1:]))) if max(picture.shape[1:]) <= TINY else 1
    if scale > 1:
        floats = F.interpolate(floats, scale_factor=scale, mode="nearest")
        maps = F.interpolate(maps, scale_factor=scale, mode="bilinear").clamp(0, 1)
    # a little paler below, so that the colours of the map are seen on any picture
    grey = floats.mean(dim=1, keepdim=True)
    base = 0.55 * floats + 0.45 * grey
    colour = torch.cat([torch.full_like(maps, 255.0), 215 * (1 - maps), 20 * (1 - maps)], dim=1)
    share = 0.62 * maps
    return (base * (1 - share) + colour * share).round().clamp(0, 255).to(torch.uint8)[0]


def look(picture: Tensor, caption: str = "", *, pixels: bool | None = None) -> Look:
    """A picture (3, H, W) uint8 as a small file: PNG where it is tiny, else JPEG."""
    require("PIL", extra="vision")
    from PIL import Image

    is_tiny = max(picture.shape[1:]) <= TINY if pixels is None else pixels
    if max(picture.shape[1:]) > SIDE:
        scale = SIDE / max(picture.shape[1:])
        size = [max(1, round(side * scale)) for side in picture.shape[1:]]
        small = F.interpolate(picture.float()[None], size, mode="bilinear", antialias=True)
        picture = small[0].round().clamp(0, 255).to(torch.uint8)
    image = Image.fromarray(np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()))
    file = io.BytesIO()
    if is_tiny:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=82)
    return Look(file.getvalue(), caption, is_tiny)


def facts(data: PictureData) -> dict[str, np.ndarray]:
    """What is known of pictures without looking at their labels, for the slices: (N,) float64 each.

    Of the pictures as the model sees them: mean brightness and contrast in [0, 1], how far colours are
    from grey, and how much of the picture changes from one pixel to the next.
    """
    found: dict[str, list[Tensor]] = {"brightness": [], "contrast": [], "colour": [], "detail": []}
    for part in torch.arange(len(data)).split(BATCH):
        pixels, _ = data.__getitems__(part)
        floats = pixels.to(torch.float32) / 255
        grey = floats.mean(dim=1)
        found["brightness"].append(grey.mean(dim=(1, 2)))
        found["contrast"].append(grey.flatten(1).std(dim=1))
        found["colour"].append((floats - grey[:, None]).abs().mean(dim=(1, 2, 3)))
        found["detail"].append(grey.diff(dim=2).abs().mean(dim=(1, 2)))
    joined = {name: torch.cat(parts).double().numpy() for name, parts in found.items()}
    return {name: values for name, values in joined.items() if np.ptp(values) > 1e-6}
