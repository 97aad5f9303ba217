"""What the benchmarks of ratings reckon themselves: made ratings, and what is told of trainings."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("ratings_large")


@pytest.fixture
def ratings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("ratings")


def test_made_ratings_are_those_of_the_seed_each_pair_once_and_few_items_have_most(
    large: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "PIECE", 50)  # several pieces
    made = large.write_ratings(tmp_path / "a.parquet", 20_000, seed=3)
    again = large.write_ratings(tmp_path / "b.parquet", 20_000, seed=3)
    other = large.write_ratings(tmp_path / "c.parquet", 20_000, seed=4)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert made == again != other
    assert table.equals(parquet.read_table(tmp_path / "b.parquet"))
    users, items, said = (table.column(name).to_numpy() for name in ("user", "item", "rating"))
    assert len(users) == made["ratings"] == pytest.approx(20_000, rel=0.02)
    assert len(np.unique(users.astype(np.int64) * 10_000 + items)) == len(users)
    assert users.min() == 1 and len(np.unique(users)) == users.max() == 138
    assert set(np.unique(said * 2)) <= set(range(1, 11))
    counts = np.sort(np.bincount(items))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.3 * len(items)
    # NOISE, the rounding to half stars, and less where both are cut at an end
    assert 0.5 < made["noise"] < large.NOISE**2 + 1 / 48


def test_bytes_a_rating_are_the_most_memory_beyond_imports_and_weights(large: ModuleType) -> None:
    memory = {"import": 500, "read": 900, "learner": 800, "train": 700, "results": 600}
    assert large.bytes_of({"memory": memory, "weights": 100, "ratings": 30}) == 10


def test_memory_is_told_and_the_mark_falls_again(large: ModuleType) -> None:
    large.most_memory()
    held = np.ones(1 << 25)
    most = large.most_memory()
    assert most > held.nbytes
    del held
    large.most_memory()
    assert large.most_memory() < most - (1 << 27)


def test_a_target_is_reached_by_the_first_epoch_that_is_as_low(ratings: ModuleType) -> None:
    epochs = [(1.0, 0.9), (2.0, 0.83), (3.0, 0.80), (4.0, 0.84)]
    assert ratings.reaches(epochs, 0.83) == 2.0
    assert ratings.reaches(epochs, 0.79) is None
    assert ratings.told_reached([1.0, 2.0, 4.0]) == "2.0 s"
    assert ratings.told_reached([1.0, None, 4.0]) == "2 of 3"
    assert ratings.told_reached([None, None]) == "never"


@pytest.mark.usefixtures("ratings")
def test_the_hand_written_loop_learns_planted_biases() -> None:
    sides = importlib.import_module("ratings_sides")
    draw = np.random.default_rng(0)
    pairs = torch.from_numpy(draw.integers(1, 21, (1000, 2)).astype(np.int32))
    bias = torch.from_numpy(draw.normal(0, 0.7, 21).astype(np.float32))
    said = (3 + bias[pairs[:, 0].long()]).clamp(0.5, 5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loop = sides.HandWritten(
            (21, 21), (pairs[:800], said[:800]), (pairs[800:], said[800:]),
            batch_size=32, lr=0.02, weight_decay=0.0,
        )  # fmt: skip
        errors = [loop()[1] for _ in range(2)]
    assert errors[-1] < 0.05 * float(said[800:].var())


def test_the_lock_of_the_other_side_holds_what_is_asked_for() -> None:
    lock = (BENCHMARKS / "requirements-ratings.lock").read_text()
    assert "\nscikit-surprise==1.1.5 " in lock
    assert "file://" not in lock and "--index" not in lock and "find-links" not in lock
