"""Small tables that tests share, drawn by code, and where the real ones lie."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def real(name: str) -> Path:
    """A file of the real data sets, such as `adult/adult.csv`; the test is skipped where it is absent."""
    path = Path(os.environ.get("DRIVETRAIN_DATA", SHARED)) / name
    if not path.exists():
        pytest.skip(
            f"{name} is not on this machine: set DRIVETRAIN_DATA to where the data sets lie"
        )
    return path


def passengers(count: int = 240, seed: int = 0) -> dict[str, list[Any]]:
    """Who survives depends on sex and class, and a little on age; some ages and ports are missing."""
    draw = np.random.default_rng(seed)
    sex = draw.choice(["female", "male"], count)
    level = draw.integers(1, 4, count)
    age = draw.normal(35, 12, count).clip(1, 80).round(1)
    score = 2.5 * (sex == "female") - 0.8 * level - 0.02 * age + 0.8
    lives = draw.random(count) < 1 / (1 + np.exp(-2 * score))
    no_age, no_port = draw.random(count) < 0.1, draw.random(count) < 0.05
    ports = draw.choice(["C", "Q", "S"], count).tolist()
    return {
        "number": [f"P{i:04d}" for i in range(count)],
        "sex": sex.tolist(),
        "class": level.tolist(),
        "age": [None if gone else a for a, gone in zip(age.tolist(), no_age, strict=True)],
        "port": [None if gone else p for p, gone in zip(ports, no_port, strict=True)],
        "lives": ["yes" if one else "no" for one in lives],
    }


def sales(count: int = 300, seed: int = 0) -> dict[str, list[Any]]:
    """Takings of a shop by day: a trend, a weekly rhythm, and rain."""
    draw = np.random.default_rng(seed)
    days = np.datetime64("2021-01-01") + np.arange(count)
    weekday = (days.astype(int) + 3) % 7
    rain = draw.choice(["dry", "wet"], count, p=[0.7, 0.3])
    heat = draw.normal(15, 8, count).round(1)
    takings = 100 + 0.2 * np.arange(count) + 30 * (weekday >= 5) - 20 * (rain == "wet") + heat
    return {
        "day": days.astype(str).tolist(),
        "rain": rain.tolist(),
        "heat": heat.tolist(),
        "takings": (takings + draw.normal(0, 3, count)).round(2).tolist(),
    }


def csv_of(columns: Mapping[str, Sequence[Any]]) -> str:
    """The columns as CSV text; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        ["" if cell is None else cell for cell in row]
        for row in zip(*columns.values(), strict=True)
    )
    return text.getvalue()


def write(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """The columns as a CSV file."""
    path.write_text(csv_of(columns), encoding="utf-8")
    return path
