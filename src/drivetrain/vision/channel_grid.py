"""What the channels of a layer look for: the parts of pictures that excite each of them most.

    dt.vision.channel_grid(learner, layer="body.stem.0").write("edges.png")

The parts are as large as what one place of the layer sees (`interpret.top_patches`); small ones are
drawn larger, each to the same size. Idea: Zeiler and Fergus 2014, arXiv:1311.2901.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.interpret.activation_maps import feature_layers, feature_shape, top_patches
from drivetrain.models.device import threads
from drivetrain.models.picture import Body
from drivetrain.randomness import preserved
from drivetrain.train.learner import Learner
from drivetrain.vision.application import VisionApplication
from drivetrain.vision.grids import Cell, PictureGrid
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData

SIDE = 56
"""Pixels a side of a patch as it is drawn."""
MOST = 256
"""Validation pictures that are searched, from the first on."""
BATCH = 64
DEFAULT = 8
"""Channels that are shown unless asked otherwise."""


def channel_grid(
    learner: Learner,
    *,
    layer: str | None = None,
    channels: Sequence[int] | int = DEFAULT,
    count: int = 6,
    most: int = MOST,
) -> PictureGrid:
    """For each channel of a layer the `count` parts of validation pictures that excite it most.

    Args:
        learner: of pictures.
        layer: by default the first that gives feature maps; `interpret.feature_layers` lists them.
        channels: which, or how many from the first on; of fewer all.
        count: parts a channel, at most one a picture.
        most: pictures that are searched.

    Returns: a grid of (channels * parts) cells, those of a channel in a row; each is (3, SIDE, SIDE)
        uint8. Where fewer pictures were searched than `count`, rows are as much shorter.
    Raises: ConfigError: a Learner of something else, or no such channel. UnknownNameError: no such layer.
        ShapeError: the layer gives no feature maps.
    """
    application = learner.application
    if not isinstance(application, VisionApplication):
        raise ConfigError("This Learner is not of pictures: `vision.learner` makes one.")
    if most < 1:
        raise ConfigError(f"`channel_grid` got most={most}, expected 1 or more.")
    normalise = Normalise(application.built.info.mean, application.built.info.std)
    valid = application.data.pictures("valid")
    with threads(learner.num_threads), preserved():
        first = next(_batches(valid, normalise, 1))
        name = layer if layer is not None else feature_layers(learner.model, first)[0]
        if isinstance(channels, int):
            channels = range(min(channels, feature_shape(learner.model, first, name)[0]))
        found = top_patches(
            learner.model,
            _batches(valid, normalise, most),
            layer=name,
            channels=channels,
            count=count,
        )
    cells = []
    for channel, patches in found.items():
        for place, patch in enumerate(patches):
            picture = normalise.denormalised(patch.pixels[None])[0]
            title = f"channel {channel}" if place == 0 else ""
            cells.append(Cell(_fitted(picture), title, f"{patch.value:.2f}"))
    boxes = [patch.box for patches in found.values() for patch in patches]
    side = max((max(b[2] - b[0], b[3] - b[1]) for b in boxes), default=0)
    searched = min(most, len(valid))
    notes = (
        f"A row is a channel, and in it are the parts of {searched:,} validation pictures that "
        f"excite it most, with its activation. What one place sees is at most {side} pixels a side.",
    )
    grid = PictureGrid(f"What channels look for: {name}", tuple(cells), notes)
    return dataclasses.replace(grid, columns=min(count, searched))


def telling_layers(learner: Learner, most: int = 3) -> list[str]:
    """The first layer that gives feature maps, and the ends of stages, where maps get smaller next.

    Raises: ConfigError: a Learner of something else.
    """
    application = learner.application
    if not isinstance(application, VisionApplication):
        raise ConfigError("This Learner is not of pictures: `vision.learner` makes one.")
    model = application.built.model
    example = torch.zeros(1, 3, *application.data.size)
    known = feature_layers(learner.model, example)
    names = {id(module): name for name, module in learner.model.named_modules()}
    body = getattr(model, "body", None)
    stages = body.stages() if isinstance(body, Body) else []
    last = [names.get(id(stage[-1]), "") for stage in stages if len(stage)]
    ends = [name for name in last if name in known]
    found = list(dict.fromkeys([*known[:1], *ends]))
    step = max(1, -(-len(found) // most))
    return found[::step][:most]


def _batches(data: PictureData, normalise: Normalise, most: int) -> Iterator[Tensor]:
    for places in torch.arange(min(most, len(data))).split(BATCH):
        pixels, _ = data.__getitems__(places)
        yield normalise.normalised(pixels)


def _fitted(picture: Tensor) -> Tensor:
    """(3, SIDE, SIDE) uint8: pixels repeated where there are few, averaged where there are many; a part
    that is no square stands in the middle, on grey."""
    height, width = picture.shape[1:]
    scale = SIDE / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    floats = picture[None].float()
    if scale >= 1:
        small = F.interpolate(floats, size, mode="nearest")
    else:
        small = F.interpolate(floats, size, mode="bilinear", antialias=True)
    whole = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    top, left = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    whole[:, top : top + size[0], left : left + size[1]] = (
        small[0].round().clamp(0, 255).to(torch.uint8)
    )
    return whole
