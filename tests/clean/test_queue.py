"""clean/queue.py: the order, the flags, the filters, and items with one content."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import store
from drivetrain.clean.outliers import Outliers
from drivetrain.clean.queue import EXCERPT, Item, Queue, row_hash, text_hash
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.train.predictions import Predictions
from tests.clean.desks import CLASSES, item_hash, make_items, predictions_of


def certain(
    labels: list[int], says: list[int], part: str = "valid"
) -> tuple[list[Item], Predictions]:
    """Items with labels, and a model that says something of each with 0.9."""
    items = [
        Item(item_hash(at), f"item {at}", CLASSES[label], part) for at, label in enumerate(labels)
    ]
    outputs = torch.full((len(labels), 3), 0.05).log()
    outputs[range(len(labels)), says] = float(np.log(0.9))
    targets = torch.tensor(labels)
    losses = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    return items, Predictions([one.name for one in items], targets, outputs, losses, CLASSES)


@pytest.mark.row(16)
def test_a_label_that_the_model_contradicts_comes_first_with_what_it_says_instead() -> None:
    labels = [0] * 20 + [1] * 20 + [2] * 20
    says = [*labels]
    says[7], says[33] = 2, 0
    queue = Queue.of(*certain(labels, says))
    assert [row.item.name for row in queue.rows[:2]] == ["item 7", "item 33"]
    assert [(row.suggested, row.is_flagged, row.is_high) for row in queue.rows[:2]] == [
        ("tabby", True, True),
        ("beagle", True, True),
    ]
    assert queue.rows[0].probability == pytest.approx(0.05)
    assert queue.rows[0].suggested_probability == pytest.approx(0.9)
    assert queue.rows[0].margin == pytest.approx(-0.85)
    assert [row.item.name for row in queue.chosen(flagged=True)] == ["item 7", "item 33"]
    assert [row.item.name for row in queue.chosen(flagged=True, label="pug")] == ["item 33"]
    assert len(queue.chosen(label="pug")) == 20
    assert queue.chosen(part="train") == []


@pytest.mark.row(16)
def test_probabilities_out_of_fold_take_the_place_of_the_models_own() -> None:
    labels = [0] * 20 + [1] * 20
    items, predictions = certain(labels, labels, part="train")  # it has learnt every label
    assert all(row.was_seen for row in Queue.of(items, predictions).rows)
    assert not Queue.of(items, predictions).chosen(flagged=True)
    probs = predictions.probs.double().numpy().copy()
    probs[5] = [0.05, 0.9, 0.05]
    queue = Queue.of(items, predictions, probs=probs)
    assert [row.item.name for row in queue.chosen(flagged=True)] == ["item 5"]
    assert queue.rows[0].item.name == "item 5" and not queue.rows[0].was_seen


def test_numbers_are_ordered_by_their_loss_and_get_no_suggestion() -> None:
    items = [Item(item_hash(at), f"row {at}", str(at)) for at in range(4)]
    targets = torch.arange(4.0)
    losses = torch.tensor([1.0, float("nan"), 9.0, 4.0])
    queue = Queue.of(items, Predictions([i.name for i in items], targets, targets, losses))
    assert [row.item.name for row in queue.rows] == ["row 1", "row 2", "row 3", "row 0"]
    assert queue.classes == () and queue.rows[0].suggested is None and queue.rows[0].loss is None
    assert json.loads(json.dumps(queue.to_json(), allow_nan=False))["items"][1]["loss"] == 9.0


def test_items_with_one_content_are_one_which_knows_what_the_others_are_called() -> None:
    items, predictions = certain([0, 1, 0, 2], [0, 0, 0, 2])
    twin = item_hash("twin")
    items[0] = Item(twin, "first", "beagle")
    items[1] = Item(twin, "second", "pug")
    queue = Queue.of(items, predictions, near=[(0, 2)])
    assert len(queue) == 3 and queue.total == 4
    head = queue.by_hash[twin]
    assert (head.item.name, head.copies, head.also) == ("second", 2, ("beagle",))
    assert head.near == (items[2].hash,) and queue.by_hash[items[2].hash].near == (twin,)
    assert {row.item.hash for row in queue.chosen(near=True)} == {twin, items[2].hash}


@given(st.integers(1, 40), st.sampled_from(["picture", "text", "row"]))
@settings(max_examples=20, deadline=None)
def test_every_item_is_there_once_and_the_probabilities_of_the_labels_rise(
    count: int, kind: str
) -> None:
    items = make_items(count, kind)
    queue = Queue.of(items, predictions_of(items))
    assert sorted(row.item.name for row in queue.rows) == sorted(one.name for one in items)
    chances = [row.probability for row in queue.rows]
    assert chances == sorted(chances)
    plain = queue.to_json()
    assert json.loads(store.to_json(plain)) == plain
    assert {one["kind"] for one in plain["items"]} == {kind}


def test_a_long_text_is_cut_in_the_list() -> None:
    items, predictions = certain([0, 1], [0, 1])
    items[0] = Item(text_hash("x" * 5000), "long", "beagle", text="x" * 5000)
    one = next(
        row for row in Queue.of(items, predictions).rows if row.item.name == "long"
    ).to_json()
    assert one["text"] == "x" * EXCERPT and one["is_cut"]


def test_hashes_are_of_the_content_alone() -> None:
    assert text_hash("a") == item_hash("a")
    assert row_hash({"a": "1", "b": None}) == row_hash({"b": None, "a": "1"})
    assert row_hash({"a": "1", "b": None}) != row_hash({"a": "1", "b": "None"})


def test_what_does_not_fit_is_refused() -> None:
    items, predictions = certain([0, 1], [0, 1])
    with pytest.raises(ShapeError, match=r"^A queue got 1 items and 2 predictions\.$"):
        Queue.of(items[:1], predictions)
    with pytest.raises(ConfigError, match=r"^Unknown label 'cat'\. Known: beagle, pug, tabby\.$"):
        Queue.of(items, predictions).chosen(label="cat")


def odd_ones(count: int, odd: dict[int, int], **words: str) -> Outliers:
    """Of so many items some are odd, and which each of these is nearest to."""
    nearest = np.full(count, -1, dtype=np.int64)
    nearest[list(odd)] = list(odd.values())
    scores = np.linspace(0, 1, count) + 6.0 * (nearest >= 0)
    return Outliers(scores, nearest >= 0, nearest, 6.0 if odd else None, **words)


def test_items_unlike_the_others_are_marked_and_the_order_stays() -> None:
    labels = [at % 3 for at in range(60)]
    items, predictions = certain(labels, labels)
    before = Queue.of(items, predictions)
    outliers = odd_ones(60, {9: 4, 57: 9}, what="pixels")
    queue = Queue.of(items, predictions, outliers=outliers)
    assert [row.item for row in queue.rows] == [row.item for row in before.rows]
    assert before.unlike == "" and before.rows[0].outlier is None and not before.outliers
    assert queue.unlike == "2 items are unlike the others in pixels."
    assert [row.item.name for row in queue.outliers] == ["item 57", "item 9"]  # the farthest first
    assert {row.item.name for row in queue.chosen(outlier=True)} == {"item 9", "item 57"}
    plain = {one["name"]: one for one in queue.to_json()["items"]}
    assert plain["item 57"]["is_outlier"] and plain["item 57"]["outlier"] > 6
    assert plain["item 57"]["nearest"] == {"hash": items[9].hash, "name": "item 9"}
    assert not plain["item 4"]["is_outlier"] and plain["item 4"]["nearest"] is None
    assert queue.to_json()["unlike"] == queue.unlike


def test_a_page_of_the_worst_has_those_unlike_the_others_beside_them() -> None:
    labels = [at % 3 for at in range(60)]
    items, predictions = certain(labels, labels)
    queue = Queue.of(items, predictions, outliers=odd_ones(60, {40: 1, 2: 1}))
    assert queue.unlike == "2 items are unlike the others."
    assert [row.item for row in queue.head(5).rows] == [row.item for row in queue.rows[:5]]
    page = queue.head(5, with_outliers=True)
    names = [row.item.name for row in queue.rows]
    assert [row.item.name for row in page.rows] == sorted(
        {*names[:5], "item 40", "item 2"}, key=names.index
    )
    assert page.unlike == queue.unlike and page.total == 60


def test_what_is_said_where_none_is_odd_or_nothing_can_be_told() -> None:
    items, predictions = certain([0] * 3, [0] * 3)
    said = [
        Queue.of(items, predictions, outliers=odd_ones(3, odd, **words)).unlike
        for odd, words in (
            ({}, {"what": "pixels"}),
            ({1: 0}, {"what": "pixels"}),
            ({}, {"what": "pixels", "left_out": "Too few."}),
        )
    ]
    assert said == [
        "No item is unlike the others in pixels.",
        "1 item is unlike the others in pixels.",
        "Too few.",
    ]
    with pytest.raises(ShapeError, match=r"^A queue got 3 items and outliers of 2\.$"):
        Queue.of(items, predictions, outliers=odd_ones(2, {}))
