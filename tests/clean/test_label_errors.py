"""Errors planted in real pictures, reviews and rows: how many are in the first tenth of the queue.

`examples/published/label_errors.py` does the same by the command line, and trains again. The figures of a
run are printed with `-s`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.clean.folds import Pool, queue_of
from drivetrain.tabular import folding as tables
from drivetrain.text import folding as texts
from drivetrain.vision import folding as pictures
from tests.tabular.tables import real

pytestmark = pytest.mark.slow


def changed(labels: Sequence[str], seed: int) -> tuple[list[str], list[int]]:
    """The labels with 5% of them another one, and which."""
    draw = np.random.default_rng(seed)
    classes = sorted(set(labels))
    chosen = sorted(draw.choice(len(labels), round(0.05 * len(labels)), replace=False).tolist())
    found = list(labels)
    for at in chosen:
        others = [one for one in classes if one != labels[at]]
        found[at] = others[int(draw.integers(len(others)))]
    return found, chosen


def in_first_tenth(pool: Pool, wrong: set[str], what: str) -> float:
    """Share of the planted errors."""
    queue = queue_of(pool)
    head = queue.rows[: round(0.1 * len(queue))]
    share = sum(row.item.name in wrong for row in head) / len(wrong)
    flagged = queue.chosen(flagged=True)
    right = sum(row.item.name in wrong for row in flagged)
    print(f"\n{what}: {share:.3f} of {len(wrong)}; {len(flagged)} flagged, {right} of them planted")
    return share


def of_pictures(paths: Sequence[Path], folder: Path, seed: int) -> tuple[Pool, set[str]]:
    labels, chosen = changed([path.parent.name for path in paths], seed)
    table = folder / "pictures.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *zip(map(str, paths), labels, strict=True)])
    learner: Any = dt.vision.learner(str(table), size=64, epochs=1, progress=False)
    ids = {str(item.path): item.id for item in learner.application.data.items}
    return pictures.pool_of(learner), {ids[str(paths[at])] for at in chosen}


def test_pets(tmp_path: Path) -> None:
    pool, wrong = of_pictures(sorted(real("pets/images").glob("*/*.jpg")), tmp_path, seed=21)
    assert in_first_tenth(pool, wrong, "pets") >= 0.8


def test_clothing(tmp_path: Path) -> None:
    pool, wrong = of_pictures(sorted(real("clothing/train").glob("*/*.jpg")), tmp_path, seed=22)
    assert in_first_tenth(pool, wrong, "clothing") >= 0.8


def test_imdb() -> None:
    import pyarrow.parquet as parquet

    table = parquet.read_table(real("imdb/train.parquet"))
    labels, chosen = changed(table["label"].to_pylist(), seed=23)
    sizes = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
    learner = dt.text.learner(
        table["text"].to_pylist(), labels=labels, sizes=sizes, epochs=1, progress=False
    )
    wrong = {f"text {at + 1}" for at in chosen}
    assert in_first_tenth(texts.pool_of(learner), wrong, "imdb") >= 0.8


def test_adult_finds_as_many_as_models_that_are_trained_on_the_true_labels(tmp_path: Path) -> None:
    """80% are out of reach here: see docs/decisions/0024-out-of-fold.md."""
    with open(real("adult/adult.csv"), encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    rows = rows[:12_000]
    true = [row[-1] for row in rows]
    labels, chosen = changed(true, seed=24)
    table = tmp_path / "adult.csv"
    with table.open("w", newline="") as file:
        lines = [[*row[:-1], label] for row, label in zip(rows, labels, strict=True)]
        csv.writer(file).writerows([head, *lines])
    dt.tabular.fit(str(table), "salary", "one_r").save(tmp_path / "run")
    found = tables.pool_of(tmp_path / "run")
    wrong = {f"row {at + 1}" for at in chosen}
    share = in_first_tenth(found, wrong, "adult")
    # the same folds and trees, fitted to true labels, judge the changed ones
    data = dt.tabular.from_csv(str(table), "salary")
    rows_of = np.arange(len(data.frame))
    goals = np.array([data.classes.index(label) for label in true], dtype=np.int64)
    given = data.targets.copy()
    data.targets = goals[data.frame.ids]
    model = tables.quick_model(data, rows_of)
    fold_of = np.random.default_rng(0).integers(0, 5, len(rows_of))
    confidence = np.zeros(len(rows_of))
    for fold in range(5):
        asked, fitted = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        chances = model.answer(fitted, asked, fold)
        confidence[asked] = chances[np.arange(len(asked)), given[asked]]
    first = np.argsort(confidence, kind="stable")[: round(0.1 * len(given))]
    best = np.isin(data.frame.ids[first], chosen).sum() / len(chosen)
    print(f"adult, trained on true labels: {best:.3f}")
    assert share >= best - 0.03 and share >= 0.7
