"""What a model of texts answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from drivetrain.errors import RunError
from drivetrain.text.answers import TextPredictions, shown
from drivetrain.text.goal import Goal


def test_one_class() -> None:
    goal = Goal("label", "class", ("bad", "good"))
    found = TextPredictions(goal, np.array([[0.25, 0.75], [0.9, 0.1]]), ["a", "b"])
    assert found.labels == ["good", "bad"] and len(found) == 2
    assert found[0].probability == 0.75 and str(found[0]) == "good (75.0%)"
    assert json.loads(json.dumps(found.to_json()))[1] == {
        "input": "b",
        "label": "bad",
        "probabilities": {"bad": 0.9, "good": 0.1},
    }
    assert str(found) == "a  good (75.0%)\nb  bad (90.0%)"


def test_several_labels() -> None:
    goal = Goal("topics", "labels", ("x", "y"))
    found = TextPredictions(goal, np.array([[0.6, 0.7], [0.1, 0.2]]), ["a", "b"])
    assert found.labels == [("x", "y"), ()]
    assert str(found[0]) == "x (60.0%), y (70.0%)" and str(found[1]) == "none of the labels"
    assert found[1].to_json() == {"input": "b", "labels": [], "probabilities": {"x": 0.1, "y": 0.2}}


def test_numbers() -> None:
    found = TextPredictions(Goal("score", "number"), np.array([0.125]), ["a"])
    assert found[0].to_json() == {"input": "a", "value": 0.125} and str(found[0]) == "0.125"


def test_a_text_without_a_name_is_shown_by_its_beginning() -> None:
    assert shown(" a\n b ") == "a b"
    assert len(shown("word " * 1_000_000)) <= 60


def test_a_goal_of_a_file_is_checked() -> None:
    good = Goal("label", "class", ("a", "b")).to_json()
    assert Goal.from_json(good).classes == ("a", "b")
    for wrong in ({}, good | {"kind": "odd"}, good | {"classes": []}, good | {"scale": 0}, [1]):
        with pytest.raises(RunError, match=r"^The target is not one that Drivetrain wrote"):
            Goal.from_json(wrong)
