"""Texts whose answer is known by construction: words have a mood, and those of a text share it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

GOOD = "lovely bright superb warm clever charming".split()
BAD = "dull weak boring cold clumsy tired".split()
PLAIN = "the a film of it was and this".split()
SMALL = {"embedding_dim": 12, "hidden_dim": 12, "num_layers": 1}


def moods(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of 5 to 24 words, each another one, and `good` or `bad`."""
    draw = np.random.default_rng(seed)
    texts, labels = [], []
    for number in range(count):
        label = int(draw.integers(2))
        length = int(draw.integers(5, 25))
        pool = (BAD, GOOD)[label]
        words = [str(draw.choice(pool if draw.random() < 0.4 else PLAIN)) for _ in range(length)]
        texts.append(" ".join([*words, pool[number % 6], f"n{number}"]))
        labels.append(("bad", "good")[label])
    return texts, labels


def write_csv(path: Path, columns: dict[str, list]) -> Path:
    """A CSV with these columns."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_folder(folder: Path, texts: list[str], labels: list[str]) -> Path:
    """A file for each text, in a folder of its class."""
    for number, (text, label) in enumerate(zip(texts, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number:03}.txt").write_text(text, encoding="utf-8")
    return folder
