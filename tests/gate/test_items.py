"""gate/items.py: repeats, contradictions, unreadable items and classes that are hardly there."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.clean.duplicates import Duplicates, NearPairs
from drivetrain.data.items import Quarantined
from drivetrain.gate import items


def duplicates(rows: list[tuple[int, int]], parts: list[str], *, exact: int = 0) -> Duplicates:
    """Of these pairs the first so many are exact."""
    first, second = (np.array([row[side] for row in rows], np.int64) for side in (0, 1))
    pairs = NearPairs(
        first, second, np.ones(len(rows)), np.arange(len(rows)) < exact, compared=len(parts)
    )
    return Duplicates.of(pairs, [f"i{at}" for at in range(len(parts))], parts=parts)


def test_validation_items_that_training_has_are_critical_from_one_in_a_hundred() -> None:
    parts = ["train"] * 100 + ["valid"] * 50 + ["test"] * 400
    found = duplicates([(0, 100), (1, 101), (2, 160)], parts, exact=1)
    asked: list[list[int]] = []
    valid, test = items.duplicates_across(
        found, what="pictures", worth=lambda copies: asked.append(copies.tolist())
    )
    assert asked == [[100, 101]]
    assert (valid.level, valid.key, valid.count) == ("critical", "duplicates-across", 2)
    assert valid.items == ("i100 = i0", "i101 = i1")
    assert valid.what == (
        "2 of 50 validation pictures (4.0%) are in training too: 1 the same, 1 nearly. Their answers "
        "are known before they are asked for."
    )
    assert (test.level, test.key) == ("warning", "duplicates-across:test"), "1 of 400"
    assert list(items.duplicates_across(duplicates([(0, 1)], parts), what="pictures")) == []


def test_repeats_within_a_part() -> None:
    parts = ["train"] * 10 + ["valid"] * 200
    train, valid = items.duplicates_within(duplicates([(0, 1), (20, 21)], parts), what="rows")
    assert (train.key, train.level) == ("duplicates-within:train", "warning")
    assert (valid.key, valid.level) == ("duplicates-within:valid", "note")
    assert valid.items == ("i21 = i20",)


def test_contradictions_name_both_labels() -> None:
    (found,) = items.label_conflicts(
        [[0, 1], [2, 3], [4, 5]],
        ["cat", "dog", "cat", "cat", "cat", ""],
        list("abcdef"),
        what="texts",
    )
    assert found.items == ("a (cat) = b (dog)",) and found.level == "warning"
    many = items.label_conflicts(
        [[0, 1, 2, 3]], ["cat", "cat", "cat", "dog"], list("abcd"), what="texts"
    )
    assert next(many).items == ("a (cat) = d (dog) = b (cat)",)
    assert found.what == (
        "2 of 5 texts (40.0%) are the same as another, or nearly, and labelled differently, in 1 group: "
        "no model can be right on all of them."
    )


@pytest.mark.parametrize(("count", "level"), [(1, "warning"), (20, "warning"), (100, "critical")])
def test_unreadable_items_are_counted_by_reason(count: int, level: str) -> None:
    bad = [Quarantined(f"{n}.jpg", "damaged", "It ends too soon.") for n in range(count)]
    (found,) = items.unreadable(bad, 100, what="files")
    assert found.level == level and found.items[0] == "0.jpg: It ends too soon."
    assert found.what.endswith(f"cannot be used: {count} damaged.")
    assert list(items.unreadable([], 100, what="files")) == []


def test_classes_that_are_rare_or_nearly_all_or_not_asked_about() -> None:
    labels = ["a"] * 95 + ["b"] * 5 + ["a"] * 10
    parts = ["train"] * 100 + ["valid"] * 10
    one, rare, absent = items.imbalance(labels, parts, what="rows")
    assert one.what == "95.0% of the training rows are 'a', so a guess is right that often."
    assert rare.items == ("b (5)",) and absent.items == ("b",)
    assert {f.key for f in (one, rare, absent)} == {
        "imbalance:one class", "imbalance:rare classes", "imbalance:not validated",
    }  # fmt: skip
    even = ["a", "b"] * 50
    assert list(items.imbalance(even, ["train"] * 80 + ["valid"] * 20, what="rows")) == []
    assert list(items.imbalance(even, ["test"] * 100, what="rows")) == [], "sealed"


def test_classes_that_differ_by_how_they_are_written_alone() -> None:
    labels = [
        "Yes",
        "yes",
        "no",
        "NO",
        "maybe",
        "",
        "T-shirt",
        "t_shirt",
        "1",
        "1.0",
        "A",
        "a",
        "A+",
    ]
    (one,) = items.alike_classes(labels, ["train", "valid"] * 6 + ["train"], what="rows")
    assert (one.name, one.level, one.count, one.key) == (
        "classes-alike",
        "warning",
        8,
        "classes-alike",
    )
    assert one.items == (
        "'1' (1) and '1.0' (1)", "'NO' (1) and 'no' (1)", "'T-shirt' (1) and 't_shirt' (1)",
        "'Yes' (1) and 'yes' (1)",
    )  # fmt: skip
    assert one.what == (
        "4 classes have several names that differ by how they are written alone: '1' (1) and '1.0' (1) "
        "rows. Each is learnt as a class of its own."
    )


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        (["a", "A", "C", "C++", "C#", "A-", "A+", "-1", "1"], ["train"] * 9),  # names with signs
        (["Yes", "yes"], ["train", "test"]),  # sealed
        ([], []),
    ],
)
def test_names_that_say_something_else_are_not_alike(labels: list[str], parts: list[str]) -> None:
    assert list(items.alike_classes(labels, parts, what="rows")) == []


def test_a_folder_name_in_two_forms_of_one_letter_is_one_class() -> None:
    """As a Mac and another system write an accent."""
    (one,) = items.alike_classes(
        ["cafe\u0301", "caf\u00e9"], ["train"] * 2, what="pictures", target="kind"
    )
    assert one.key == "classes-alike:kind" and one.where == "labels of 'kind'"
