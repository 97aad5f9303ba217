"""How training varies pictures: one picture epoch by epoch, each change alone at its ends, and a batch.

    learner = dt.vision.reopen("runs/birds")
    dt.vision.augmentation_grid(learner).write("varied.png")     # what each epoch trains on
    dt.vision.augmentation_ends(learner).write("ends.png")       # how far each change can go
    dt.vision.batch_grid(learner).write("batch.png")             # with labels

Cells are what the training pipeline yields, bit for bit: what an item gets in an epoch is a function of
(seed, epoch, item id), so that it can be looked at before, after or without training.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from drivetrain._registry import did_you_mean
from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import ConfigError, DataError, UnknownNameError
from drivetrain.train.learner import Learner
from drivetrain.vision.application import VisionApplication
from drivetrain.vision.augment import (
    Augment,
    AugmentSettings,
    draw_lights,
    draw_moves,
    moved_pictures,
)
from drivetrain.vision.data import VisionData
from drivetrain.vision.decode import open_picture
from drivetrain.vision.geometry import sampling_matrices
from drivetrain.vision.grids import Cell, PictureGrid
from drivetrain.vision.normalise import scale_and_shift, scaled
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.targets import labels_of

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""With which a picture is normalised where no model says otherwise."""
NEVER, MIDDLE = 1.0, 0.5
"""A draw that is below no probability; and one that means no change."""


def augmentation_grid(
    source: Learner | AugmentSettings,
    picture: str | os.PathLike[str] | Tensor | None = None,
    *,
    count: int = 12,
    size: int | tuple[int, int] = 128,
    resize: str = "crop",
    seed: int = 42,
) -> PictureGrid:
    """One picture as the first `count` epochs of training have it.

    Args:
        source: a Learner of pictures, whose own pictures, strength and seed are taken; or how strong.
        picture: of a Learner the id of a training picture, by default the first. Of settings a file, or
            pixels (3, H, W) uint8.
        count: epochs.
        size: of settings and a file, (height, width) in pixels or one number; also `resize` and `seed`.

    Returns: a grid whose `inputs` are (count, 3, H, W) float32, bit for bit what the training loader
        gives of this picture in each epoch, and `pixels` the same as uint8, without normalising.
    Raises: ConfigError: `count` below 1, a Learner of something else, or settings without a picture.
        UnknownNameError: no such picture. PictureError: the file cannot be used.
    """
    if count < 1:
        raise ConfigError(f"`augmentation_grid` got count={count}, expected 1 or more.")
    pixels, index, vary, name = _picture(source, picture, size, resize, seed)
    at = torch.tensor([index])
    inputs = torch.cat([vary((pixels[None],), at, epoch)[0] for epoch in range(count)])
    shown = vary.normalise.denormalised(inputs)
    cells = tuple(Cell(shown[epoch], f"epoch {epoch + 1}") for epoch in range(count))
    notes = [f"{name}, as each epoch of training is given it (seed {vary.seed})."]
    if vary.settings == AugmentSettings.none():
        notes.append("Nothing is varied: each epoch has the same picture.")
    return PictureGrid("Varied in training", cells, tuple(notes), columns=6, inputs=inputs)


def augmentation_ends(
    source: Learner | AugmentSettings,
    picture: str | os.PathLike[str] | Tensor | None = None,
    *,
    size: int | tuple[int, int] = 128,
    resize: str = "crop",
) -> PictureGrid:
    """Each change alone, as far as it can go; the picture without any comes first.

    Arguments and errors as `augmentation_grid`. What has no strength, or no chance, is left out.

    Args:
        source: a Learner, whose settings are taken, or settings.
        picture: that is varied.
        size: (height, width) in pixels or one number.
        resize: crop, squish or pad.

    Returns: a grid whose `inputs` are (cells, 3, H, W) float32, made by the functions that training
        varies with, from draws at their ends.
    """
    pixels, _, vary, name = _picture(source, picture, size, resize, 42)
    named = ends(vary.settings)
    u = {
        key: torch.tensor([draws.get(key, _still(key)) for _, draws in named], dtype=torch.float64)
        for key in _still_draws()
    }
    many = pixels[None].expand(len(named), *pixels.shape)
    height, width = pixels.shape[-2:]
    sampling = sampling_matrices(draw_moves(u, settings=vary.settings), height, width)
    moved = moved_pictures(many, sampling, padding=vary.settings.padding)
    gain, brightness = draw_lights(u, settings=vary.settings)
    scale, shift = scale_and_shift(
        vary.normalise.mean, vary.normalise.std, gain=gain[:, None], brightness=brightness[:, None]
    )
    inputs = scaled(moved, scale, shift)
    shown = vary.normalise.denormalised(inputs)
    cells = tuple(Cell(shown[row], title) for row, (title, _) in enumerate(named))
    notes = (
        f"{name}: each change alone, as far as it goes. Training draws several at once, mostly less.",
    )
    return PictureGrid("Each change at its ends", cells, notes, columns=6, inputs=inputs)


def ends(settings: AugmentSettings) -> list[tuple[str, dict[str, float]]]:
    """Each change at its ends: what to call it, and the draws that lead there (others mean no change)."""
    s = settings
    found: list[tuple[str, dict[str, float]]] = [("as it is", {})]
    if s.flip:
        found.append(("mirrored", {"flip": 0.0}))
    if s.flip_vertical:
        found.append(("upside down", {"flip down": 0.0}))
    if s.geometry_p and s.rotate:
        for draw, word in ((1.0, "to the left"), (0.0, "to the right")):
            found.append((f"turned {s.rotate:g}° {word}", {"rotate?": 0.0, "rotate": draw}))
    if s.geometry_p and s.zoom > 1:
        for draw, word in ((MIDDLE, "the middle"), (0.0, "a corner")):
            draws = {"zoom?": 0.0, "zoom": 1.0, "zoom x": draw, "zoom y": draw}
            found.append((f"{s.zoom:g} times as large, {word}", draws))
    if s.geometry_p and s.warp:
        for way, words in (("x", ("left", "right")), ("y", ("top", "bottom"))):
            for draw, word in zip((0.0, 1.0), words, strict=True):
                draws = {"warp?": 0.0, f"warp {way}": draw}
                found.append((f"tilted by {s.warp:g}, {word}", draws))
    if s.lighting_p and s.brightness:
        for draw, word in ((0.0, "darker"), (1.0, "brighter")):
            found.append((f"{word} by {s.brightness:g}", {"brightness?": 0.0, "brightness": draw}))
    if s.lighting_p and s.contrast:
        for draw, word in ((0.0, "less"), (1.0, "more")):
            by = 1 - s.contrast if draw == 0 else 1 / (1 - s.contrast)
            found.append((f"{word} contrast, times {by:.2f}", {"contrast?": 0.0, "contrast": draw}))
    return found


def _still_draws() -> tuple[str, ...]:
    return (
        *("flip", "flip down", "rotate?", "rotate", "zoom?", "zoom", "zoom x", "zoom y"),
        *("warp?", "warp x", "warp y", "brightness?", "brightness", "contrast?", "contrast"),
    )


def _still(key: str) -> float:
    return NEVER if key.endswith("?") or key.startswith("flip") else MIDDLE


def batch_grid(
    learner: Learner, *, epoch: int = 0, number: int = 0, count: int = 12
) -> PictureGrid:
    """The first pictures of a training batch as the model is given them, with their labels.

    `grids.as_numbers` of it shows the numbers.

    Args:
        learner: of pictures.
        epoch: from 0; also `number`, of the batch.
        count: pictures, at most.

    Returns: a grid whose `inputs` are (min(count, B), 3, H, W) float32, bit for bit those of the training
        loader, and `pixels` the same as uint8, without normalising.
    Raises: ConfigError: a Learner of something else, or there is no such batch.
    """
    data, loader, vary = trained_on(learner)
    if not 0 <= number < len(loader) or epoch < 0 or count < 1:
        raise ConfigError(
            f"`batch_grid` got epoch {epoch}, batch {number} and count {count}. There are the batches 0 "
            f"to {len(loader) - 1} of every epoch, and count is 1 or more."
        )
    stream = loader.batches(epoch, start=number)
    try:
        inputs, *_ = next(stream)
    finally:
        stream.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
    ids = loader.item_ids(epoch, number)[:count]
    kept = inputs[:count].cpu()
    shown = vary.normalise.denormalised(kept)
    label = {item.id: " / ".join(labels_of(item)) for item in data.items}
    cells = tuple(
        Cell(shown[row], label[name], name.replace("\\", "/").rsplit("/", 1)[-1])
        for row, name in enumerate(ids)
    )
    notes = [
        f"Batch {number + 1} of epoch {epoch + 1}: {len(ids):,} of its {len(inputs):,} pictures, as they "
        "are after they were varied."
    ]
    facts = tuple({"id": name} for name in ids)
    return PictureGrid("A batch of training", cells, tuple(notes), 6, kept, facts)


# --- what is looked at ----------------------------------------------------------------------------


def _picture(
    source: Learner | AugmentSettings,
    picture: str | os.PathLike[str] | Tensor | None,
    size: int | tuple[int, int],
    resize: str,
    seed: int,
) -> tuple[Tensor, int, Augment, str]:
    """Pixels (3, H, W) uint8, their place among what is varied, what varies them, and their name."""
    if isinstance(source, Learner):
        _, loader, vary = trained_on(source)
        pictures = loader.data
        assert isinstance(pictures, PictureData), "the loader of pictures"
        index = 0 if picture is None else place_of(pictures.ids, picture)
        pixels, _ = pictures.__getitems__(torch.tensor([index]))
        return pixels[0], index, vary, pictures.ids[index]
    if not isinstance(source, AugmentSettings):
        raise ConfigError(
            f"A grid is made of a Learner or of AugmentSettings. Got {type(source).__name__}."
        )
    if picture is None:
        raise ConfigError(
            "Of settings alone there is no picture: give a file, or pixels (3, H, W) uint8."
        )
    if isinstance(picture, Tensor):
        name, pixels = "picture", picture
    else:
        name = os.path.basename(
            os.fspath(picture)
        )  # in whichever folder it lies, the draws are the same
        pixels = open_picture(picture, size=size, resize=resize)
    vary = Augment(source, [name], mean=MEAN, std=STD, seed=seed)
    vary.normalise.check(pixels[None])
    return pixels, 0, vary, name


def place_of(ids: Sequence[str], picture: Any) -> int:
    """Where a training picture stands among all of them.

    Raises: UnknownNameError: there is none of that id.
    """
    name = os.fspath(picture) if isinstance(picture, str | os.PathLike) else str(picture)
    if name not in ids:
        near = did_you_mean(name, ids)
        raise UnknownNameError(
            f"There is no training picture '{name}'.{near} The first of {len(ids):,} is '{ids[0]}'."
        )
    return list(ids).index(name)


def trained_on(learner: Learner) -> tuple[VisionData, BatchLoader, Augment]:
    """The pictures of a Learner, its training loader, and what varies its batches.

    Raises: ConfigError: it is none of pictures, or its loader is somebody's own.
    """
    application = learner.application
    loader = learner.loaders.train
    if not isinstance(application, VisionApplication):
        raise ConfigError("This Learner is not of pictures: `vision.learner` makes one.")
    if not isinstance(loader, BatchLoader) or not isinstance(loader.transform, Augment):
        raise ConfigError(
            "The training loader of this Learner is not the one that `vision.learner` made, so that what "
            "varies its pictures is not known."
        )
    if not len(loader.data):
        raise DataError("There are no training pictures.")
    return application.data, loader, loader.transform
