"""Choices: what is recorded, and how it reads."""

from __future__ import annotations

import json

import pytest

from drivetrain.train.choice import Choice, Choices

LONG = (
    "mirrored, turned, zoomed, tilted and lit anew in each epoch, in one interpolation; "
    "strong enough for a few hundred photos and mild enough for many"
)


def made() -> Choices:
    choices = Choices()
    choices.add("size", [128, 128], reason="the pictures are photos", change="--size N")
    choices.add("lr", 0.0020000001, reason="usual for this model", change="--set lr=RATE")
    return choices


def test_adding_answers_the_value():
    assert Choices().add("seed", 42, reason="as asked", change="--seed N") == 42


def test_a_choice_is_found_by_its_setting():
    choices = made()
    assert choices["lr"] == Choice("lr", 0.0020000001, "usual for this model", "--set lr=RATE")
    assert "size" in choices
    assert "model" not in choices
    assert len(choices) == 2
    assert [choice.what for choice in choices] == ["size", "lr"]
    with pytest.raises(KeyError):
        choices["model"]


def test_a_later_choice_replaces_an_earlier_one_in_its_place():
    choices = made()
    choices.add("size", [64, 64], reason="as asked", change="--size N")
    assert [choice.what for choice in choices] == ["size", "lr"]
    assert choices["size"].reason == "as asked"


def test_choices_are_plain_json():
    assert json.loads(json.dumps(made().to_json()))[0] == {
        "what": "size",
        "value": [128, 128],
        "reason": "the pictures are photos",
        "change": "--size N",
    }


def test_a_choice_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        made()["lr"].value = 1.0  # pyright: ignore[reportAttributeAccessIssue]


def test_no_choices_print_nothing():
    assert str(Choices()) == ""


def test_columns_are_aligned():
    assert str(made()) == (
        "  size  128 x 128  the pictures are photos\n  lr    0.002      usual for this model"
    )


def test_a_long_reason_goes_on_below_itself():
    choices = made()
    choices.add("augment", "photo", reason=LONG, change="--set augment=false")
    lines = str(choices).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].startswith("  augment  photo      mirrored, turned")
    assert {line[:22] for line in lines[3:]} == {" " * 22}
    assert " ".join(line[22:] for line in lines[2:]) == LONG


def test_a_narrow_terminal_gets_narrower_lines():
    choices = made()
    choices.add("augment", "photo", reason=LONG, change="--set augment=false")
    lines = choices.text(70).splitlines()
    assert max(map(len, lines)) <= 70
    assert " ".join(line[22:] for line in lines[2:]) == LONG


def test_in_a_very_narrow_one_reasons_stand_below():
    choices = made()
    choices.add("augment", "photo", reason=LONG, change="--set augment=false")
    lines = choices.text(40).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[:3] == [
        "  size     128 x 128",
        "      the pictures are photos",
        "  lr       0.002",
    ]
    assert " ".join(line.strip() for line in lines[5:]) == LONG


def test_a_long_value_does_not_push_the_others_away():
    choices = made()
    name = "vit_base_patch16_clip_224.laion2b_ft_in12k_in1k"
    choices.add("model", name, reason="as asked", change="--model NAME")
    assert str(choices).splitlines() == [
        "  size   128 x 128  the pictures are photos",
        "  lr     0.002      usual for this model",
        f"  model  {name}",
        "                    as asked",
    ]


def test_a_reason_without_a_place_to_break_stays_whole():
    choices = Choices()
    path = "/data/" + "x" * 120 + ".safetensors"
    choices.add("weights", True, reason=f"from {path}", change="--set pretrained=false")
    assert path in str(choices).splitlines()[-1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "True"), (None, "None"), (1e-5, "1e-05"), ((1, 2.5), "1 x 2.5"), ("a", "a")],
)
def test_values_are_short(value, shown: str):
    choices = Choices()
    choices.add("x", value, reason="why", change="how")
    assert str(choices) == f"  x  {shown}  why"
