"""Pictures and texts with copies planted in them, made from a seed."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from drivetrain.clean.near_pictures import SIDE

KINDS = ("resized", "compressed", "cropped", "window")


def scene(draw: np.random.Generator, *, side: int = 320) -> Image.Image:
    """A picture of blotches and edges of many sizes, unlike any other of the generator."""
    pixels = np.zeros((side, side, 3))
    for size in (3, 6, 12, 40):
        noise = Image.fromarray(draw.integers(0, 256, (size, size, 3)).astype(np.uint8))
        way = Image.Resampling.BICUBIC if size != 12 else Image.Resampling.NEAREST
        pixels += np.asarray(noise.resize((side, side), way)).astype(np.float64) / 4
    return Image.fromarray(pixels.astype(np.uint8))


def copy_of(picture: Image.Image, kind: str, draw: np.random.Generator) -> Image.Image:
    """Resized to 60%, compressed at quality 35, cropped by 5% a side, or a window of 95% somewhere."""
    width, height = picture.size
    if kind == "resized":
        return picture.resize((int(width * 0.6), int(height * 0.6)))
    if kind == "compressed":
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=35)
        return Image.open(io.BytesIO(packed.getvalue())).convert("RGB")
    x, y, share = (0.05, 0.05, 0.9) if kind == "cropped" else (*draw.uniform(0, 0.05, 2), 0.95)
    box = (width * x, height * y, width * (x + share), height * (y + share))
    return picture.crop(tuple(int(edge) for edge in box))


def thumb(picture: Image.Image) -> np.ndarray:
    """(96, 96, 3) uint8."""
    return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def reworded(text: str, draw: np.random.Generator) -> str:
    """The same words with other blanks, case and signs."""
    words = text.split()
    blanks = draw.choice([" ", "  ", "\n", "\t", " \u00a0"], len(words))
    found = "".join(word + blank for word, blank in zip(words, blanks, strict=True))
    return re.sub(r"\.(?=\s)", " !", found.upper() if draw.random() < 0.3 else found)


def edited(text: str, draw: np.random.Generator, *, share: float = 0.03) -> str:
    """Some of its words changed, dropped, or said twice."""
    words: list[str] = []
    for word in text.split():
        chance = draw.random()
        words += [] if chance < share / 3 else [word]
        words += ["indeed"] if share / 3 <= chance < share else []
    return " ".join(words)


def sentences(draw: np.random.Generator, count: int, *, words: int = 60) -> list[str]:
    """Texts of words drawn from 500, the first ones more often."""
    known = [f"w{number}" for number in range(500)]
    weights = 1 / np.arange(1, 501)
    return [" ".join(draw.choice(known, words, p=weights / weights.sum())) for _ in range(count)]


def as_pairs(first: Sequence[int], second: Sequence[int]) -> set[tuple[int, int]]:
    return set(zip(list(first), list(second), strict=True))
