"""Pictures side by side with what is to be said of each: as tensors, as one array, as a PNG file.

The pixels of a cell are those that a model is given, bit for bit; nothing is scaled but tiny pictures,
whose pixels are repeated so that they can be seen.
"""

from __future__ import annotations

import dataclasses
import io
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain import store
from drivetrain._optional import require
from drivetrain.errors import ConfigError

SEEN = 96
"""Pixels a side below which a picture is shown with its pixels repeated."""
GAP, LINE, LETTER = 10, 15, 6.2
"""Pixels between cells, of a line of a caption, and of a letter in it."""
DEVIATIONS = 3.0
"""Of a picture of numbers: black is so many below 0, white so many above."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture of a grid."""

    pixels: Tensor
    """(3, H, W) uint8."""
    title: str
    said: str = ""
    """More of it, in a few words."""


@dataclass(frozen=True, eq=False)
class PictureGrid:
    """N pictures of one size."""

    title: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    """What is to be known of all of them, as sentences."""
    columns: int = 4
    """Cells side by side in the file."""
    inputs: Tensor | None = None
    """(N, 3, H, W) float32, as the model gets them; None where no normalising belongs to it."""
    facts: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    """Of each cell what is known of it, plain JSON."""

    @property
    def pixels(self) -> Tensor:
        """(N, 3, H, W) uint8, the cells."""
        return torch.stack([cell.pixels for cell in self.cells])

    def image(self) -> np.ndarray:
        """(H', W', 3) uint8: the cells row by row on white, the captions below each.

        Pictures below `SEEN` pixels a side are made larger by repeating each pixel.
        """
        require("PIL", extra="vision")
        from PIL import Image, ImageDraw, ImageFont

        height, width = self.cells[0].pixels.shape[1:]
        scale = max(1, -(-SEEN // max(height, width)))
        wide, high = width * scale, height * scale
        room = max(12, int(wide / LETTER))
        captions = [
            [*textwrap.wrap(c.title, room)[:2], *textwrap.wrap(c.said, room)[:4]]
            for c in self.cells
        ]
        columns = min(self.columns, len(self.cells))
        rows = -(-len(self.cells) // columns)
        below = 4 + LINE * max(map(len, captions))
        head = [self.title, *self.notes]
        across = columns * (wide + GAP) + GAP
        told = [
            line for text in head for line in textwrap.wrap(text, max(30, int(across / LETTER)))
        ]
        top = GAP + LINE * len(told) + 4
        canvas = Image.new("RGB", (across, top + rows * (high + below + GAP)), "white")
        pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
        for place, line in enumerate(told):
            pen.text(
                (GAP, GAP + LINE * place), line, "black" if place == 0 else "#555555", font=font
            )
        for place, (cell, lines) in enumerate(zip(self.cells, captions, strict=True)):
            x, y = (
                GAP + place % columns * (wide + GAP),
                top + place // columns * (high + below + GAP),
            )
            large = cell.pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
            canvas.paste(Image.fromarray(_rows(large)), (x, y))
            for number, line in enumerate(lines):
                pen.text((x, y + high + 2 + LINE * number), line, "black", font=font)
        return np.asarray(canvas)

    def to_png(self) -> bytes:
        """`image` as a PNG file."""
        return png(torch.from_numpy(self.image().copy()).permute(2, 0, 1))

    def write(self, path: store.StrPath) -> Path:
        """Write it as a PNG file; one that is there is replaced.

        Raises: ConfigError: the name does not end in .png. StorageError: the disk refused.
        """
        if Path(path).suffix.lower() != ".png":
            raise ConfigError(f"A grid of pictures is written as .png. Got {path}.")
        store.write_bytes(path, self.to_png())
        return Path(path)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what is said, without the pictures."""
        cells = [{"title": cell.title, "said": cell.said} for cell in self.cells]
        facts = self.facts or ({},) * len(cells)
        return {
            "title": self.title,
            "notes": list(self.notes),
            "cells": [cell | more for cell, more in zip(cells, facts, strict=True)],
        }

    def __str__(self) -> str:
        lines = [self.title, *self.notes]
        lines += [
            f"  {cell.title}: {cell.said}" if cell.said else f"  {cell.title}"
            for cell in self.cells
        ]
        return "\n".join(lines)


def stacked(grids: list[PictureGrid]) -> bytes:
    """Several grids under each other as one PNG file."""
    images = [grid.image() for grid in grids]
    wide = max(image.shape[1] for image in images)
    rows = [
        np.pad(image, ((0, GAP), (0, wide - image.shape[1]), (0, 0)), constant_values=255)
        for image in images
    ]
    return png(torch.from_numpy(np.concatenate(rows)).permute(2, 0, 1))


def as_numbers(grid: PictureGrid) -> PictureGrid:
    """The same cells as what the model is given: 0 is drawn mid-grey, -3 black, +3 and beyond white.

    Raises: ConfigError: the grid has no `inputs`.
    """
    if grid.inputs is None:
        raise ConfigError(f"The grid '{grid.title}' has no numbers that a model is given.")
    floats = grid.inputs.to(torch.float32)
    pixels = ((floats / DEVIATIONS + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    cells = tuple(
        Cell(pixels[row], cell.title, f"mean {one.mean():+.2f}, std {one.std(correction=0):.2f}")
        for row, (cell, one) in enumerate(zip(grid.cells, floats, strict=True))
    )
    mean, std = float(floats.mean()), float(floats.std(correction=0))
    notes = (
        f"What the model is given: numbers of mean {mean:+.2f} and standard deviation {std:.2f}, from "
        f"{float(floats.min()):.2f} to {float(floats.max()):.2f}. Drawn so that 0 is mid-grey, "
        f"-{DEVIATIONS:g} black and +{DEVIATIONS:g} white.",
    )
    return dataclasses.replace(grid, title=f"{grid.title}, as numbers", cells=cells, notes=notes)


def png(picture: Tensor) -> bytes:
    """A picture (3, H, W) uint8 as a PNG file, which keeps every bit."""
    require("PIL", extra="vision")
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(_rows(picture)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _rows(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy())
