"""interpret/same_items.py: which runs may be measured together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivetrain.errors import DataError
from drivetrain.interpret.same_items import SplitItems, check_same_items

TRAIN = {f"t{n}": f"h{n}" for n in range(6)}
VALID = {f"v{n}": f"k{n}" for n in range(3)}
ONE = SplitItems(TRAIN, VALID, hashed="picture", source="photos")


def said(*runs: SplitItems) -> str:
    with pytest.raises(DataError) as caught:
        check_same_items(dict(zip(("a", "b", "c"), runs, strict=False)))
    return str(caught.value)


@pytest.mark.row(119)
def test_runs_of_one_split_pass_wherever_their_source_lies() -> None:
    check_same_items({"a": ONE, "b": replace(ONE, source="elsewhere"), "c": ONE})
    fewer = replace(ONE, train=dict(list(TRAIN.items())[:3]))  # of a share of the training items
    check_same_items({"a": ONE, "b": fewer})


@pytest.mark.row(119)
def test_a_run_that_was_trained_on_what_another_validates_on_is_refused() -> None:
    other = SplitItems(
        {**TRAIN, "v1": "k1", "v2": "k2"}, {"v0": "k0"}, hashed="picture", source="photos"
    )
    assert said(ONE, other) == (
        "b was trained on 2 of the 3 items that a is validated on, such as v1: together they would be "
        "measured on what one of them has seen. Train them on one split: the same source and seed, or "
        "parts of its own."
    )
    renamed = replace(ONE, train={**TRAIN, "copy": "k1"})  # the same bytes by another name
    assert said(ONE, renamed).startswith("b was trained on 1 of the 3 items that a is validated on")


def test_copies_within_the_data_of_both_are_not_blamed_on_their_split() -> None:
    doubled = replace(ONE, train={**TRAIN, "copy": "k1"})
    check_same_items({"a": doubled, "b": doubled})


def test_other_validation_items_are_refused() -> None:
    other = replace(ONE, valid={"v0": "k0", "v1": "k1", "w": "x"})
    assert said(ONE, other) == (
        "a and b validate on other items: 2 are in one of the two only, such as v2. Train them on one "
        "split: the same source and seed, or parts of its own."
    )
    changed = replace(ONE, valid={**VALID, "v2": "new"})
    assert said(ONE, ONE, changed) == (
        "a and c validate on other items: of 1 the name is the same and the content is not, "
        "such as v2. Train both from one source."
    )


def test_runs_that_see_items_differently_go_by_name_within_one_source() -> None:
    text = SplitItems(
        {name: f"text {name}" for name in TRAIN},
        {name: f"text {name}" for name in VALID},
        hashed="text",
        source="photos",
    )
    check_same_items({"a": ONE, "b": text})
    assert said(ONE, replace(text, source="reviews.csv")) == (
        "a is of photos and b of reviews.csv, and the two see an item in different ways: nobody can tell "
        "whether these are the same items. Train both from one source."
    )
    leaky = replace(text, train={**text.train, "v0": "text v0"}, valid={"v1": "text v1"})
    assert said(ONE, leaky).startswith(
        "b was trained on 1 of the 3 items that a is validated on, such as v0"
    )
