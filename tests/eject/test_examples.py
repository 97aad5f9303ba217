"""The scripts in examples/ejected: what ejecting gives now, short enough to read, and true."""

from __future__ import annotations

import re
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


SEVEN = (
    ("1 start", r"\bmodel = |\bmodel: nn\.Module\b"),
    ("6 repeat, over epochs", r"^    for epoch in range\(EPOCHS\):"),
    ("6 repeat, over batches", r"^        for .* in train_batches\("),
    ("2 predict", r"^            preds = model\("),
    ("3 loss", r"^            loss = "),
    ("4 gradient", r"^            loss\.backward\(\)$"),
    ("5 step", r"^            optimizer\.step\(\)$"),
    ("6 repeat, from nothing", r"^            optimizer\.zero_grad\(\)$"),
)
"""The steps of learning in the order in which the loop has them; the seventh, to stop, is its end."""


@pytest.mark.row(30)
@pytest.mark.parametrize("name", NAMES)
def test_the_steps_of_learning_stand_in_the_loop_in_their_order(name: str) -> None:
    script = (ROOT / "examples" / "ejected" / f"{name}.py").read_text("utf-8")
    found = re.search(r"^def fit\(.*?(?=^\S)", script, flags=re.M | re.S)
    assert found is not None
    places = []
    for step, pattern in SEVEN:
        match = re.search(pattern, found.group(), flags=re.M)
        assert match is not None, f"{step} is not in `fit` of {name}.py"
        places.append(match.start())
    assert places == sorted(places)
