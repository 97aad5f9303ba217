"""`data/steps.py`: the steps of an item as values, and as they are printed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from drivetrain.data.steps import Step, Steps, place_of, shown
from drivetrain.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.zeros(2, 3), "(2, 3) float32: 0 0 0 0 0 0"),
        (torch.arange(20), "(20,) int64: 0 to 19, mean 9.5"),
        (torch.tensor(3), "3"),
        (np.float32(2.5), "2.5"),
        (np.array(["a", "b"]), "a | b"),
        (["the", "film"], "the | film"),
        ((1, 3, 24, 24), "(1, 3, 24, 24)"),
        ({"age": "-", "sex": "f"}, "age = -, sex = f"),
        ("one\n\ntwo", "one two"),
        (torch.zeros(0), "(0,) float32: "),
    ],
)
def test_a_value_is_shown_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(shown("word " * 1000)) == 160


def test_steps_are_asked_by_name_printed_and_plain() -> None:
    steps = Steps("1.png", (Step("item", "a/1.png"), Step("label", "cat", "`label`")))
    assert steps["label"] == "cat"
    assert str(steps) == "1.png\n  item   a/1.png\n  label  cat\n         `label`"
    assert json.loads(json.dumps(steps.to_json()))["steps"][1]["said"] == "`label`"
    with pytest.raises(UnknownNameError, match=r"Unknown step 'lable'. Did you mean 'label'?"):
        steps["lable"]


def test_an_item_is_found_by_place_and_by_id() -> None:
    ids = ["a", "b", "c"]
    assert [place_of(item, ids) for item in (0, 2, -1, "b")] == [0, 2, 2, 1]
    with pytest.raises(ConfigError, match=r"There is no item 3: there are 3 items, from 0 on."):
        place_of(3, ids)
    with pytest.raises(UnknownNameError, match=r"Unknown item 'd'."):
        place_of("d", ids)
