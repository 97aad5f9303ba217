"""train/advice.py: the order is the course's, and the rung follows from planted losses and settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.train.advice import ALL_TRIED, RUNGS, advise
from drivetrain.train.run import Run
from drivetrain.train.tried import Tried, note_tried, read_tried
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
            {"settings": settings(augment={"flip": 0.0, "zoom": 1.0, "lighting_p": 0.75})},
            "augment",
            "--set augment=true",
        ),
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
    assert str(found).endswith("  as an option of drivetrain train: --model resnet_tiny")


def test_a_run_without_epochs_has_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(
        RunError,
        match=r"run has no losses of training and validation to read from: advice is for models that are "
        r"trained in epochs\.$",
    ):
        advise(made(tmp_path / "run", []))
    task, data = {"application": "tabular"}, {"source": "my table.csv", "target": ["a"]}
    with pytest.raises(
        RunError,
        match=r"trained in epochs\. Of a table, better settings are looked for by: "
        r"drivetrain tune 'my table\.csv' --target a$",
    ):
        advise(made(tmp_path / "trees", [], task=task, data=data))


# --- what was tried -------------------------------------------------------------------------------


def try_next(folder: Path, low: float, high: float) -> Tried:
    """Note that the next experiment was done, with this interval of its difference."""
    found = advise(folder)
    middle = (low + high) / 2
    tried = Tried(
        rung=found.rung,
        experiment=found.experiment,
        option=found.option,
        changes=dict(found.changes),
        seeds=(42, 43),
        metric="error_rate",
        unchanged=(0.2, 0.22),
        changed=(0.2 + middle, 0.22 + middle),
        difference=middle,
        low=low,
        high=high,
        items=300,
        folder=f"{len(found.tried) + 1}-{found.rung}",
    )
    note_tried(folder, tried)
    return tried


@pytest.mark.row(162)
def test_what_was_tried_is_not_named_again_and_the_next_rung_is(tmp_path: Path) -> None:
    bare = {"augment": None, "weight_decay": 0.01, "fraction": 0.5}
    model = {"name": "resnet18", "pretrained": False}
    folder = made(tmp_path / "run", FITTED, settings=bare, model=model)
    climbed = []
    while (found := advise(folder)).changes:
        climbed.append((found.rung, dict(found.changes)))
        try_next(folder, -0.01, 0.02)
        assert len(climbed) < 9
    assert climbed == [
        ("data", {"fraction": 1.0}),
        ("augment", {"augment": True}),
        ("architecture", {"model": "tf_efficientnet_lite0", "pretrained": True}),
        ("regularise", {"weight_decay": 0.03}),
        ("smaller", {"model": "resnet_tiny"}),
    ]
    assert found.experiment == ALL_TRIED and len(found.tried) == 5


@pytest.mark.row(162)
def test_a_model_that_learns_is_trained_longer_then_made_larger_then_the_ladder_goes_on(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path / "run", LEARNING, settings=settings(weight_decay=0.01))
    seen = []
    for _ in range(3):
        seen.append(dict(advise(folder).changes))
        try_next(folder, 0.01, 0.02)
    assert seen == [{"epochs": 6}, {"model": "resnet34"}, {"weight_decay": 0.03}]


@pytest.mark.row(162)
@pytest.mark.parametrize(
    ("low", "high", "verdict", "sentence"),
    [
        (
            -0.04, -0.02, "helped",
            "It helped: the error rate fell by 0.03 (95% interval 0.02 to 0.04; 2 pairs of trainings, "
            "300 items).",
        ),
        (
            0.02, 0.04, "harmed",
            "It did harm: the error rate rose by 0.03 (95% interval 0.02 to 0.04; 2 pairs of trainings, "
            "300 items).",
        ),
        (
            -0.03, 0.01, "unclear",
            "Whether it helped cannot be told: the error rate fell by 0.01 (95% interval of the change "
            "-0.03 to 0.01; 2 pairs of trainings, 300 items).",
        ),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_the_interval(
    tmp_path: Path, low: float, high: float, verdict: str, sentence: str
) -> None:
    folder = made(tmp_path / "run", FITTED)
    tried = try_next(folder, low, high)
    assert (tried.verdict, tried.sentence) == (verdict, sentence)
    evidence = " ".join(advise(folder).evidence)
    assert f"A smaller model, tried by --model resnet_tiny: {sentence[0].lower()}" in evidence
    assert ("in advice/1-smaller/changed-42." in evidence) == (verdict == "helped")


def test_a_note_comes_back_and_a_strangers_line_is_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", FITTED)
    tried = try_next(folder, -0.03, 0.01)
    path = folder / "advice" / "tried.jsonl"
    for line in (
        {"rung": "augment"},
        {**tried.to_json(), "low": "0"},
        {**tried.to_json(), "seeds": 3},
    ):
        store.append_line(path, line)
    assert read_tried(folder) == (tried,)
    json.dumps(advise(folder).to_json(), allow_nan=False)


@pytest.mark.row(162)
def test_a_net_of_a_table_becomes_wider_or_narrower(tmp_path: Path) -> None:
    task = {"application": "tabular"}
    model = {"name": "net", "layers": [200, 100]}
    wide = advise(made(tmp_path / "a", SETTLED, task=task, model=model))
    assert wide.option == "--set layers=[400,200]" and wide.changes == {"layers": [400, 200]}
    narrow = advise(made(tmp_path / "b", FITTED, task=task, model=model))
    assert (narrow.rung, narrow.option) == ("smaller", "--set layers=[100,50]")
