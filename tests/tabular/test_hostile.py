"""A stranger's model folder: whatever its JSON says, a named error or finite answers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivetrain import store
from drivetrain.errors import DrivetrainError
from drivetrain.tabular.models import fit, load
from tests.tabular.tables import passengers, sales, write

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 10**9, 2**63, 1e308, -0.5, 1e-320, "", "x", "number", "sex"),
    *([], [0], ["a", "a"], {}, {"a": 1}, "9" * 200, [[]], [None], "\u0000", "../../x"),
)


def mutated(value: Any, draw: random.Random) -> Any:
    """The same JSON with one thing in it changed, taken out, or put twice."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(sorted(value))
        found = dict(value)
        if draw.random() < 0.1:
            del found[key]
        else:
            found[key] = mutated(value[key], draw)
        return found
    if isinstance(value, list) and value and draw.random() < 0.9:
        place = draw.randrange(len(value))
        found = list(value)
        if draw.random() < 0.1:
            del found[place]
        elif draw.random() < 0.1:
            found.insert(place, found[place])
        else:
            found[place] = mutated(value[place], draw)
        return found
    return draw.choice(ODD)


def tried(folder: Path, rows: dict[str, list[Any]]) -> str:
    """What opening and asking gives: `error`, or `answers` where all are finite."""
    try:
        found = load(folder).predict(rows)
    except DrivetrainError:
        return "error"
    assert np.isfinite(found.outputs).all()
    return "answers"


def attack(tmp_path: Path, count: int) -> dict[str, int]:
    counts = {"error": 0, "answers": 0}
    draw = random.Random(0)
    made = []
    for number, (table, target, name) in enumerate(
        [
            (passengers(), "lives", "forest"),
            (sales(), "takings", "linear"),
            (sales(), "takings", "tree"),
        ]
    ):
        folder = tmp_path / str(number)
        settings = {"num_trees": 3} if name == "forest" else None
        fit(write(tmp_path / "t.csv", table), target, name, settings=settings).save(folder)
        made.append((folder, json.loads((folder / "model" / "model.json").read_text()), table))
    for _ in range(count):
        folder, record, table = draw.choice(made)
        changed = mutated(record, draw)
        (folder / "model" / "model.json").write_bytes(store.json_bytes(changed))
        rows = {name: values[:5] for name, values in table.items()}
        counts[tried(folder, rows)] += 1
    return counts


def test_a_changed_record_is_an_error_by_name_or_answers(tmp_path: Path) -> None:
    counts = attack(tmp_path, 150)
    assert counts["error"] > 20


@pytest.mark.slow
def test_three_thousand_changed_records(tmp_path: Path) -> None:
    counts = attack(tmp_path, 3000)
    assert sum(counts.values()) == 3000
