"""Ratings that tests of ejecting share, and how a run is held against its script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import drivetrain as dt
from drivetrain import store
from drivetrain.eject.parts import LEVELS
from tests.eject import replay

SMALL: dict[str, Any] = {"num_factors": 4, "progress": False, "batch_size": 32}
SHORTER = [level for level in LEVELS if level != "all"]


def watched(count: int = 300, seed: int = 5) -> dict[str, list[Any]]:
    """Who rated what: of some pairs no rating, of others two; in no order of time."""
    draw = np.random.default_rng(seed)
    pairs = draw.choice(40 * 25, count, replace=False)
    users, items = pairs // 25, pairs % 25
    likes, traits = draw.normal(size=(40, 2)), draw.normal(size=(25, 2))
    ratings = 3 + (likes[users] * traits[items]).sum(1) + draw.normal(0, 0.3, count)
    return {
        "user": (users + 7).tolist(),
        "item": (3 * items + 95).tolist(),
        "rating": np.clip(np.round(2 * ratings) / 2, 1, 5).tolist(),
        "time": draw.integers(10**9, 10**9 + 10**6, count).tolist(),
    }


def repeated() -> dict[str, list[Any]]:
    """The same with a second rating of every seventh pair, some of them at the same time."""
    columns = watched()
    again = range(0, 300, 7)
    for name, cells in columns.items():
        cells += [cells[n] + (n % 3 - 1 if name == "time" else 0) for n in again]
    columns["rating"][300:] = [1 + n % 5 for n in again]
    return columns


def trained(source: Any, **options: Any) -> dt.Learner:
    """A small model after two epochs."""
    learner = dt.collab.learner(source, **(SMALL | options))
    learner.fit_one_cycle(2, 1e-2)
    return learner


def check(learner: dt.Learner, folder: Path, *, alone: bool = False, level: str = "all") -> str:
    """Eject, run, and compare weights, metrics and the last row; returns the script."""
    script, application = folder / "ejected.py", learner.application
    assert application is not None
    learner.eject(script, level=level)
    run = replay.replayed_alone if alone else replay.replayed_here
    run = run if level == "all" else replay.replayed_with_drivetrain
    answer = run(script, folder / "out", Path(application.data.recipe["source"]))
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    saved = store.read_tensors(folder / "out" / "model.safetensors")
    assert store.weights_sha256(saved) == answer["weights_sha256"]
    found = learner.evaluate()
    wanted = {"loss": found.loss, **found.metrics}
    if application.data.is_implicit:
        wanted = learner.result()["metrics"]["valid"]
    assert replay.same_numbers(answer["metrics"], wanted), (answer["metrics"], wanted)
    assert replay.row_of(answer["printed"][-1]) == replay.last_row(learner)
    return script.read_text("utf-8")


def text_of(columns: dict[str, list[Any]], between: str = ",") -> str:
    return "".join(
        f"{between.join(map(str, row))}\n" for row in zip(*columns.values(), strict=True)
    )
