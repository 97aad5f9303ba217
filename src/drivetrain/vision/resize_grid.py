"""One picture under each way to bring it to a size, and what each way loses.

    grid = dt.vision.resize_grid("photo.jpg", size=128)
    print(grid); grid.write("resized.png")

Nothing is lost for nothing: crop cuts, squish distorts, pad spends pixels on black.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.interpret.text import share
from drivetrain.vision.decode import open_picture, picture_size
from drivetrain.vision.formats import Source
from drivetrain.vision.grids import Cell, PictureGrid
from drivetrain.vision.resize_methods import RESIZE_METHODS, check_size


@dataclass(frozen=True)
class ResizeEffect:
    """What a way to resize does to a picture."""

    cut: float
    """Share of the picture that is not seen, in [0, 1)."""
    distortion: float
    """How many times as long one side is for the other as it was; 1 for none, never below."""
    padding: float
    """Share of the result that is black border, in [0, 1)."""
    shrunk: float
    """Pixels of the picture that become one, along its most shrunk side; below 1 it is made larger."""

    def __str__(self) -> str:
        told = []
        if self.cut >= 0.0005:
            told.append(f"{share(self.cut, 1.0)} is cut off")
        if self.distortion >= 1.005:
            told.append(f"{self.distortion:.2f} times as long one way as the other")
        if self.padding >= 0.0005:
            told.append(f"{share(self.padding, 1.0)} is border")
        size = (
            f"{self.shrunk:.1f} pixels become one"
            if self.shrunk >= 1.05
            else f"made {1 / self.shrunk:.1f} times as large"
            if self.shrunk <= 0.95
            else "as large as it is"
        )
        return "; ".join([", ".join(told) or "nothing is lost", size])


def resize_effect(
    method: str, picture: tuple[int, int], size: int | tuple[int, int]
) -> ResizeEffect:
    """What `method` does to a picture of (height, width) `picture` that is brought to `size`.

    Raises: UnknownNameError: no such method. ConfigError: a size that is none.
    """
    lookup(RESIZE_METHODS, method, what="resize method")
    h, w = check_size_of(picture)
    height, width = check_size(size)
    across, down = w / width, h / height  # pixels that become one
    if method == "crop":
        least = min(across, down)
        return ResizeEffect(1 - least * least / (across * down), 1.0, 0.0, least)
    if method == "squish":
        return ResizeEffect(0.0, max(across / down, down / across), 0.0, max(across, down))
    inner_width, inner_height = RESIZE_METHODS[method].needed(w, h, width, height)
    across, down = w / inner_width, h / inner_height
    padding = 1 - inner_width * inner_height / (width * height)
    # whole pixels: a side is rounded, which distorts by less than one of them
    return ResizeEffect(0.0, max(across / down, down / across), padding, max(across, down))


def check_size_of(picture: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a picture, each 1 or more.

    Raises: ConfigError.
    """
    if len(picture) != 2 or not all(type(side) is int and side >= 1 for side in picture):
        raise ConfigError(f"A picture has (height, width), each at least 1. Got {picture!r}.")
    return picture


def resize_grid(
    source: Source,
    *,
    size: int | tuple[int, int] = 128,
    methods: Sequence[str] = tuple(RESIZE_METHODS),
    name: str = "",
) -> PictureGrid:
    """One picture under each method, as training would have it, with what each loses.

    Args:
        source: a path, or the bytes of a file.
        size: (height, width) in pixels, or one number.
        methods: of `RESIZE_METHODS`.
        name: how to call the picture; by default its path.

    Returns: a grid whose `pixels` are (methods, 3, height, width) uint8, each bit for bit what
        `open_picture` gives, which is what training is given before it is varied.
    Raises: PictureError: the file cannot be used. UnknownNameError: no such method. ConfigError: a size
        that is none, or no method.
    """
    height, width = check_size(size)
    if not methods:
        raise ConfigError(
            "`resize_grid` got no methods. Take some of " + ", ".join(RESIZE_METHODS) + "."
        )
    for method in methods:
        lookup(RESIZE_METHODS, method, what="resize method")
    found = picture_size(source)
    effects = [resize_effect(m, (found.height, found.width), (height, width)) for m in methods]
    cells = tuple(
        Cell(open_picture(source, size=(height, width), resize=method), method, str(effect))
        for method, effect in zip(methods, effects, strict=True)
    )
    own = name or ("a picture" if isinstance(source, bytes) else str(source))
    notes = (f"{own} is {found.width} x {found.height} pixels, and becomes {width} x {height}.",)
    return PictureGrid(
        "Ways to resize",
        cells,
        notes,
        columns=len(cells),
        facts=tuple(
            {"method": m} | dataclasses.asdict(e) for m, e in zip(methods, effects, strict=True)
        ),
    )
