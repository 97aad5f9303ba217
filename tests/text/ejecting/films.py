"""Made-up reviews that a small model tells apart, as folders and as tables."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

GOOD = "good great lovely fine superb film plot actor story".split()
BAD = "bad awful dull poor boring film plot actor story".split()


def reviews(count: int = 60, seed: int = 3) -> tuple[list[str], list[str]]:
    """Texts and their labels, `neg` and `pos` in turn; with capitals, runs, HTML and other letters."""
    draw = random.Random(seed)
    texts, labels = [], []
    for number in range(count):
        words = draw.choices(GOOD if number % 2 else BAD, k=draw.randrange(3, 40))
        words = [word.capitalize() if draw.random() < 0.1 else word for word in words]
        words += draw.choice([["so", "so", "so"], ["l'été"], ["NO!!!"], ["it's", "10:30"], []])
        texts.append(" ".join(words) + draw.choice([".", "!!!", "<br /><br />end", " &amp; more"]))
        labels.append("pos" if number % 2 else "neg")
    return texts, labels


def folder(where: Path, count: int = 60, *, parts: bool = False) -> Path:
    """A folder with a folder for each class; with `parts` below train, valid and test."""
    texts, labels = reviews(count)
    for number, (text, label) in enumerate(zip(texts, labels, strict=True)):
        part = ["train", "train", "train", "train", "valid", "valid", "test", "test"][number % 8]
        place = where / part / label if parts else where / label
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(text, "utf-8")
    return where


def table(where: Path, columns: dict[str, list[Any]]) -> Path:
    """A CSV or Parquet file, by its name."""
    found = pa.table(columns)
    parquet.write_table(found, where) if where.suffix == ".parquet" else csv.write_csv(found, where)
    return where
