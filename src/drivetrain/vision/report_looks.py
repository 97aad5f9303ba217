"""The pictures of a report: as small files, with where the model looked over them, and what is known of
them without looking at their labels."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain._optional import require
from drivetrain.errors import DrivetrainError
from drivetrain.interpret.activation_maps import grad_cam
from drivetrain.models.device import threads
from drivetrain.randomness import preserved
from drivetrain.report.evidence import Look, Shown
from drivetrain.train.learner import Learner
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData

SIDE = 176
"""Pixels a side at most of a picture in a report."""
TINY = 64
"""A picture of no more pixels a side is shown with its pixels as squares."""
MOST_CAMS = 12
"""Of the worst pictures, those whose Grad-CAM is made: all that a report shows."""
BATCH = 256


class Show:
    """Pictures by their positions, with the places that spoke for what was said and for what is true.

    Args:
        learner: of pictures.
        classes: C labels, in the order of the scores.
        normalise: as the model's pictures are.
        valid: the pictures, with the class index of each.
        span: of a model with several targets, the columns of this one's scores.
    """

    def __init__(
        self,
        learner: Learner,
        classes: Sequence[str],
        normalise: Normalise,
        valid: PictureData,
        span: tuple[int, int] | None = None,
    ) -> None:
        self.model = learner.model if span is None else _OneTarget(learner.model, span)
        self.num_threads = learner.num_threads
        self.classes = classes
        self.normalise = normalise
        self.valid = valid

    def __call__(self, positions: Sequence[int]) -> list[Shown]:
        """The pictures at these positions, each with its label, and for the first ones with its maps."""
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
        inputs = self.normalise.normalised(pixels)
        try:
            with threads(self.num_threads), preserved():
                said = grad_cam(self.model, inputs)
                true = grad_cam(self.model, inputs, layer=said.layer, classes=targets)
        except DrivetrainError:  # no layer of it gives maps of places
            return []
        rows = []
        for index in range(len(pixels)):
            names = [self.classes[int(found.classes[index])] for found in (said, true)]
            maps = [_scaled(found.over()[index]) for found in (said, true)]
            pairs = list(zip(maps, (f"for {name}" for name in names), strict=True))
            rows.append(pairs[: 2 if names[0] != names[1] else 1])
        return rows


class _OneTarget(nn.Module):
    """A model of several targets as that of one: (B, 3, H, W) -> (B, C_t)."""

    def __init__(self, model: nn.Module, span: tuple[int, int]) -> None:
        super().__init__()
        self.training = model.training  # whose mode it is, not one of its own
        self.model = model
        self.span = span

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of the target."""
        return self.model(inputs)[:, slice(*self.span)]


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
