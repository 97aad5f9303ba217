"""The grids of a report of pictures: ways to resize, how training varies one, what channels look for."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator

from drivetrain.errors import DrivetrainError
from drivetrain.interpret.text import share
from drivetrain.report.evidence import Gallery, Look
from drivetrain.train.learner import Learner
from drivetrain.vision.augment import AugmentSettings
from drivetrain.vision.augment_grid import augmentation_ends, augmentation_grid, trained_on
from drivetrain.vision.channel_grid import channel_grid, telling_layers
from drivetrain.vision.decode import picture_size
from drivetrain.vision.grids import PictureGrid
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.resize_grid import ResizeEffect, resize_effect, resize_grid

HEADERS = 200
"""Training pictures whose sizes are read to find out what resizing loses."""
EPOCHS = 8
CHANNELS, PATCHES, SEARCHED = 4, 5, 128
"""Channels of a layer, parts of pictures for each, and the pictures that are searched."""

Seen = Callable[..., Look]
"""(pixels (3, H, W) uint8, caption) -> a picture of a page."""


def galleries(learner: Learner, look: Seen) -> list[Gallery]:
    """All that there are; without those whose pictures are gone, or whose loader is somebody's own."""
    found: list[Gallery] = []
    for part, make in _makers(learner):
        try:
            grid = make()
        except DrivetrainError:
            continue
        if grid is not None:
            found.append(_gallery(grid, part, look))
    return found


def _makers(learner: Learner) -> Iterator[tuple[str, Callable[[], PictureGrid | None]]]:
    yield "data", lambda: telling_resize(learner)
    yield "data", lambda: varied(learner)
    yield "data", lambda: varied_ends(learner)
    for layer in telling_layers(learner):
        yield "model", lambda layer=layer: _channels(learner, layer)


def telling_resize(learner: Learner) -> PictureGrid | None:
    """The training picture that loses most, under each way to resize; None where none loses anything.

    Raises: as `augmentation_grid`. PictureError: a picture is gone.
    """
    data, loader, _ = trained_on(learner)
    pictures = loader.data
    assert isinstance(pictures, PictureData), "the loader of pictures"
    paths = pictures.paths[:HEADERS]
    found = [picture_size(path) for path in paths]
    effects = [resize_effect(data.resize, (one.height, one.width), data.size) for one in found]
    losses = [_lost(effect) for effect in effects]
    place = max(range(len(losses)), key=losses.__getitem__)
    if losses[place] < 0.01:
        return None
    grid = resize_grid(paths[place], size=data.size, name=pictures.ids[place])
    many = f"the first {len(paths):,}" if len(pictures) > len(paths) else f"all {len(paths):,}"
    told = (
        f"This run resizes by {data.resize}. Of {many} training pictures half lose "
        f"{_half(data.resize, effects)} or more; shown is the one that loses most."
    )
    return dataclasses.replace(grid, notes=(told, *grid.notes))


def _lost(effect: ResizeEffect) -> float:
    return max(effect.cut, 1 - 1 / effect.distortion, effect.padding)


def _half(method: str, effects: list[ResizeEffect]) -> str:
    middle = statistics.median(map(_lost, effects))
    what = {
        "crop": "of what they show",
        "squish": "of one side for the other",
        "pad": "to the border",
    }
    return f"{share(middle, 1.0)} {what.get(method, '')}".strip()


def varied(learner: Learner) -> PictureGrid | None:
    """The first training picture epoch by epoch; None where nothing is varied."""
    _, _, vary = trained_on(learner)
    if vary.settings == AugmentSettings.none():
        return None
    return augmentation_grid(learner, count=EPOCHS)


def varied_ends(learner: Learner) -> PictureGrid | None:
    """Each change at its ends; None where nothing is varied."""
    _, _, vary = trained_on(learner)
    return None if vary.settings == AugmentSettings.none() else augmentation_ends(learner)


def _channels(learner: Learner, layer: str) -> PictureGrid:
    return channel_grid(learner, layer=layer, channels=CHANNELS, count=PATCHES, most=SEARCHED)


def _gallery(grid: PictureGrid, part: str, look: Seen) -> Gallery:
    looks = tuple(look(cell.pixels, _caption(cell.title, cell.said)) for cell in grid.cells)
    return Gallery(grid.title, looks, grid.notes, part, grid.columns if part == "model" else 0)


def _caption(title: str, said: str) -> str:
    return f"{title}: {said}" if title and said else title or said
