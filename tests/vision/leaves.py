"""Made leaves with two labels each, for the tests of several targets."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import drivetrain as dt

DISEASES, VARIETIES = ("blast", "tungro"), ("adt", "ir20", "ponni")
BOTH = ["disease", "variety"]
CLASSES = dict(zip(BOTH, (DISEASES, VARIETIES), strict=True))


def make_leaves(folder: Path, count: int = 36) -> list[tuple[str, str, str]]:
    """Small pictures: a spot says the disease, the colour says the variety; both in all mixtures."""
    (folder / "leaves").mkdir(parents=True)
    noise = torch.Generator().manual_seed(0)
    rows = []
    for number in range(count):
        disease, variety = DISEASES[number % 2], VARIETIES[number // 2 % 3]
        pixels = torch.rand(16, 16, 3, generator=noise) * 50
        if disease == "blast":
            pixels[4:9, 4:9] += 100
        pixels[..., VARIETIES.index(variety)] += 100
        name = f"leaves/{number:02d}.png"
        Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / name)
        rows.append((name, disease, variety))
    return rows


def write_table(
    table: Path,
    rows: Sequence[Sequence[str]],
    heading: Sequence[str] = ("image", "disease", "variety"),
    ends: str = "\n",
) -> Path:
    """A CSV of such rows."""
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=ends)
        writer.writerow(heading)
        writer.writerows(rows)
    return table


def learner(source: Any, **options: Any) -> dt.Learner:
    """A Learner of both targets."""
    return dt.vision.learner(source, progress=False, **{"targets": BOTH} | options)
