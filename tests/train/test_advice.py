"""train/advice.py: the order is the course's, and the rung follows from planted losses and settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivetrain.errors import RunError
from drivetrain.train.advice import RUNGS, advise
from drivetrain.train.run import Run
from tests.train.test_comparing import run

FITTED = [(0.9, 0.9), (0.4, 0.6), (0.1, 0.8)]
"""Training and validation loss of three epochs of a model that overfits."""
LEARNING = [(0.9, 0.9), (0.7, 0.72), (0.55, 0.56)]
SETTLED = [(0.9, 0.9), (0.701, 0.72), (0.7, 0.71)]


def made(folder: Path, losses: list[tuple[float, float]], **changed: Any) -> Path:
    fields = {
        "settings": {"augment": {"flip": 0.5}, "weight_decay": 0.5, "fraction": 1.0},
        "model": {"name": "resnet18", "pretrained": True},
        **changed,
    }
    run(folder, **fields)
    for epoch, (train, valid) in enumerate(losses):
        Run.open(folder).log({"epoch": epoch, "train_loss": train, "valid_loss": valid})
    return folder


def settings(**changed: Any) -> dict[str, Any]:
    return {"augment": {"flip": 0.5}, "weight_decay": 0.5, "fraction": 1.0, **changed}


@pytest.mark.row(162)
@pytest.mark.parametrize(
    ("losses", "changed", "rung", "option"),
    [
        (LEARNING, {}, "overfit", "--epochs 6"),
        (SETTLED, {}, "overfit", "--model resnet34"),
        (SETTLED, {"model": {"name": "own"}}, "overfit", ""),
        (FITTED, {"settings": settings(fraction=0.2)}, "data", "--set fraction=1.0"),
        (FITTED, {"settings": settings(augment=None)}, "augment", "--set augment=true"),
        (
            FITTED,
            {"model": {"name": "resnet18", "pretrained": False}},
            "architecture",
            "--model tf_efficientnet_lite0",
        ),
        (
            FITTED,
            {"settings": settings(weight_decay=0.01)},
            "regularise",
            "--set weight_decay=0.03",
        ),
        (FITTED, {}, "smaller", "--model resnet_tiny"),
        (
            FITTED,
            {"task": {"application": "collab"}, "model": {"name": "dot_bias", "num_factors": 50}},
            "smaller",
            "--set num_factors=25",
        ),
    ],
)
def test_the_rung_is_the_first_that_is_open(
    tmp_path: Path, losses: Any, changed: dict[str, Any], rung: str, option: str
) -> None:
    found = advise(made(tmp_path / "run", losses, **changed))
    assert (found.rung, found.option) == (rung, option)
    assert found.states[rung] == "here" and list(found.states) == list(RUNGS)
    before = [found.states[one] for one in RUNGS[: RUNGS.index(rung)]]
    assert set(before) <= {"tried", "no"}
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.row(162)
def test_nothing_tried_the_order_is_that_of_the_course(tmp_path: Path) -> None:
    bare = {"augment": None, "weight_decay": 0.01, "fraction": 0.5}
    model = {"name": "resnet18", "pretrained": False}
    climbed = []
    for number, (settings_, model_) in enumerate(
        (
            (bare, model),
            (bare | {"fraction": 1.0}, model),
            (bare | {"fraction": 1.0, "augment": {"flip": 0.5}}, model),
            (bare | {"fraction": 1.0, "augment": {"flip": 0.5}}, model | {"pretrained": True}),
            (
                {"fraction": 1.0, "augment": {"flip": 0.5}, "weight_decay": 0.4},
                model | {"pretrained": True},
            ),
        )
    ):
        folder = made(tmp_path / str(number), FITTED, settings=settings_, model=model_)
        climbed.append(advise(folder).rung)
    assert climbed == list(RUNGS[1:])


def test_the_evidence_has_the_numbers(tmp_path: Path) -> None:
    found = advise(made(tmp_path / "run", FITTED))
    assert found.evidence[:3] == (
        "After 3 epochs the loss is 0.1 on training items and 0.8 on validation items, higher by 88% of "
        "it.",
        "Validation was best after epoch 2 (0.6) and has risen since.",
        "The training data are fitted better than others: it overfits, which is where to begin.",
    )
    assert str(found).splitlines()[0] == "x 1 fit the training data first"
    assert str(found).splitlines()[5] == "> 6 a smaller model"
    assert str(found).endswith("  drivetrain train ... --model resnet_tiny")


def test_a_run_without_epochs_has_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(
        RunError,
        match=r"run has no losses of training and validation to read from: advice is for models that are "
        r"trained in epochs\.$",
    ):
        advise(made(tmp_path / "run", []))
