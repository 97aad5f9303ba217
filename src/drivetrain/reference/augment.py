"""Augmentation one pixel at a time, each step on its own. Twin of `drivetrain.vision.augment`.

To make a new picture, ask of each of its pixels: what of the old picture is seen here? The answer is
found by undoing the moves, last one first, then mixing the four nearest pixels. Nothing is composed, no
matrix is inverted and no formula is rearranged, so a slip in the fast form has nowhere to hide.

A place is (x, y) in pixels from the middle of the picture, x to the right, y down. Plain floats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Place = tuple[float, float]


@dataclass(frozen=True)
class Change:
    """What happens to one picture, in this order."""

    flip: Place = (1.0, 1.0)
    """-1 mirrors x or y."""
    angle: float = 0.0
    """Rotation about the middle, degrees, anticlockwise as it is seen."""
    scale: float = 1.0
    """Magnification of what stands round `centre`, which comes to the middle."""
    centre: Place = (0.0, 0.0)
    """In halves of the width and of the height, from the middle."""
    tilt: Place = (0.0, 0.0)
    """How much nearer, and so larger, the right (x) and lower (y) edges come; the others go away."""
    gain: float = 1.0
    """Contrast."""
    brightness: float = 0.0
    """Added to pixels in [0, 1]."""


def augment(
    picture: Tensor,
    change: Change,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    padding: str = "reflection",
) -> Tensor:
    """(C, H, W) uint8 -> (C, H, W) float64, moved, lit and normalised."""
    channels, height, width = picture.shape
    pixels = picture.tolist()
    result = torch.empty(channels, height, width, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            place = (column + 0.5 - width / 2, row + 0.5 - height / 2)
            x, y = source_of(place, change, width, height)
            for channel in range(channels):
                value = sample(pixels[channel], x, y, padding) / 255
                value = light(value, change)
                result[channel, row, column] = (value - mean[channel]) / std[channel]
    return result


def source_of(place: Place, change: Change, width: int, height: int) -> Place:
    """Where in the old picture the thing is that is seen at `place` in the new one."""
    place = undo_tilt(place, change.tilt, width, height)
    place = undo_zoom(place, change.scale, change.centre, width, height)
    place = undo_rotation(place, change.angle)
    return place[0] * change.flip[0], place[1] * change.flip[1]  # a mirror undoes itself


def undo_tilt(place: Place, tilt: Place, width: int, height: int) -> Place:
    """In perspective, what is d times as far looks d times as small."""
    x, y = place
    distance = 1 + tilt[0] * x / (width / 2) + tilt[1] * y / (height / 2)
    return x / distance, y / distance


def undo_zoom(place: Place, scale: float, centre: Place, width: int, height: int) -> Place:
    """Shrink about the middle, then bring the middle back to where it came from."""
    x, y = place
    return x / scale + centre[0] * width / 2, y / scale + centre[1] * height / 2


def undo_rotation(place: Place, angle: float) -> Place:
    """Turn clockwise, as it is seen; y points down, so this is the textbook's turn by +angle."""
    x, y = place
    turn = math.radians(angle)
    return x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)


def sample(channel: list[list[int]], x: float, y: float, padding: str) -> float:
    """The four pixels round a place, each weighted by how near it is: bilinear interpolation."""
    height, width = len(channel), len(channel[0])
    column = inside(x + width / 2 - 0.5, width, padding)  # the centre of column c is at c
    row = inside(y + height / 2 - 0.5, height, padding)
    left, top = math.floor(column), math.floor(row)
    total = 0.0
    for r, weight_r in ((top, 1 - (row - top)), (top + 1, row - top)):
        for c, weight_c in ((left, 1 - (column - left)), (left + 1, column - left)):
            if 0 <= r < height and 0 <= c < width:  # past the edge it is black
                total += weight_r * weight_c * channel[r][c]
    return total


def inside(position: float, count: int, padding: str) -> float:
    """A position along a row or column of `count` pixels, brought inside as `padding` says."""
    if padding == "zeros":
        return position
    if padding == "reflection":
        while not -0.5 <= position <= count - 0.5:  # mirrors stand on the outer edges of the pixels
            position = -1 - position if position < -0.5 else 2 * count - 1 - position
    return min(max(position, 0.0), count - 1.0)


def light(value: float, change: Change) -> float:
    """Contrast about mid-grey, then brightness."""
    return 0.5 + change.gain * (value - 0.5) + change.brightness
