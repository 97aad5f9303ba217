"""The scripts in examples/ejected: what ejecting gives now, short enough to read, and true."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from drivetrain import store
from tests.eject import replay

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import ejected  # noqa: E402  # pyright: ignore[reportMissingImports]

NAMES = list(ejected.EXAMPLES)
MOST_LINES = {"digits": 400, "shapes": 400, "rentals": 480, "reviews": 515, "films": 320}
"""Of tables some 60 lines are for dates; of texts some 200 for words and for documents in pieces."""


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The trainings of the examples."""
    return {name: make() for name, make in ejected.EXAMPLES.items()}


@pytest.mark.row(31)
@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_what_ejecting_gives_now(
    name: str, made: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.py"
    made[name].eject(path)
    text = path.read_text("utf-8")
    assert text == (ROOT / "examples" / "ejected" / f"{name}.py").read_text("utf-8"), "make ejected"
    assert len(text.splitlines()) < MOST_LINES[name]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_the_bits_of_its_training(
    name: str, made: dict[str, Any], tmp_path: Path
) -> None:
    script = ROOT / "examples" / "ejected" / f"{name}.py"
    answer = replay.replayed_here(script, tmp_path, ejected.data_of(name))
    assert answer["weights_sha256"] == store.weights_sha256(made[name].model.state_dict())
    found = made[name].evaluate()
    assert replay.same_numbers(answer["metrics"], {"loss": found.loss, **found.metrics})
