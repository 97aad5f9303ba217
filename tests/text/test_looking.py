"""Texts that a model is wrong about: order, names, and what is shown of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from sklearn.metrics import confusion_matrix

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.text.looking import (
    confidently_wrong,
    confused_pairs,
    most_lost,
    nearest_decision,
    shorten,
)
from drivetrain.train.predictions import Predictions


def made(count=60, classes=("bad", "fair", "good"), seed=0):
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(count, len(classes), generator=draw)
    targets = torch.randint(len(classes), (count,), generator=draw)
    losses = F.cross_entropy(outputs, targets, reduction="none")
    ids = [f"t{i}" for i in range(count)]
    return Predictions(ids, targets, outputs, losses, classes), [f"text {i}" for i in range(count)]


def test_most_lost_come_by_loss_with_what_was_said_and_how_surely():
    predictions, texts = made()
    found = most_lost(predictions, texts, count=7)
    order = np.argsort(-predictions.losses.numpy(), kind="stable")[:7]
    probs = predictions.probs.double().numpy()
    assert [item.id for item in found.items] == [f"t{i}" for i in order]
    for item, i in zip(found.items, order, strict=True):
        true = int(predictions.targets[i])
        assert item.target == predictions.classes[true] and item.text == texts[i]
        assert item.pred == predictions.classes[probs[i].argmax()]
        assert item.probability == pytest.approx(probs[i].max(), abs=1e-6)
        assert item.true_probability == pytest.approx(probs[i, true], abs=1e-6)
        assert item.loss == pytest.approx(-np.log(item.true_probability), abs=1e-5)
    assert len(found) == 7 and found.total == 60
    record = json.loads(json.dumps(found.to_json()))
    assert record["items"][0]["id"] == found.items[0].id
    assert str(found).startswith("Most lost: 7 of 60 texts\n\n" + found.items[0].id)


def test_surest_wrong_ones_are_wrong_and_in_order():
    predictions, texts = made()
    found = confidently_wrong(predictions, texts, count=100)
    wrong = (predictions.preds != predictions.targets).sum()
    assert len(found) == wrong and all(item.target != item.pred for item in found.items)
    sure = [item.probability for item in found.items]
    assert sure == sorted(sure, reverse=True)


def test_nearest_to_the_decision_have_the_smallest_margin():
    predictions, texts = made()
    found = nearest_decision(predictions, texts, count=5)
    two = np.sort(predictions.probs.numpy(), axis=1)
    order = np.argsort(two[:, -1] - two[:, -2])[:5]
    assert [item.id for item in found.items] == [f"t{i}" for i in order]


def test_yes_or_no_of_one_output_several_labels_and_numbers():
    yes = Predictions(
        ["a", "b"], torch.tensor([1, 0]), torch.tensor([[2.0], [3.0]]), torch.tensor([0.1, 3.0]),
        ("no", "yes"),
    )  # fmt: skip
    first = confidently_wrong(yes, ["x", "y"]).items
    assert [(item.id, item.target, item.pred) for item in first] == [("b", "no", "yes")]
    assert first[0].probability == pytest.approx(torch.tensor(3.0).sigmoid().item())
    numbers = Predictions(["a"], torch.tensor([1.5]), torch.tensor([2.25]), torch.tensor([0.5]))
    assert [(i.target, i.pred, i.probability) for i in most_lost(numbers, ["x"]).items] == [
        ("1.5", "2.25", None)
    ]
    many = Predictions(
        ["a"], torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[-2.0, 0.3, 4.0]]),
        torch.tensor([0.5]), ("x", "y", "z"),
    )  # fmt: skip
    item = most_lost(many, ["text"]).items[0]
    assert (item.target, item.pred) == ("x, z", "y, z")
    with pytest.raises(
        ConfigError, match=r"Only classes have a decision to be sure of or near to\."
    ):
        confidently_wrong(numbers, ["x"])
    with pytest.raises(ShapeError, match=r"There are 3 texts for 1 predictions\."):
        most_lost(numbers, ["x"] * 3)


def test_confused_pairs_are_those_of_the_matrix_with_the_worst_text_of_each():
    predictions, texts = made()
    found = confused_pairs(predictions, texts)
    matrix = confusion_matrix(predictions.targets, predictions.preds)
    assert np.array_equal(np.array(found.matrix), matrix)
    counts = [pair.count for pair in found.pairs]
    off = matrix - np.diag(np.diag(matrix))
    assert counts == sorted(off[off > 0].tolist(), reverse=True)
    for pair in found.pairs:
        true, said = (predictions.classes.index(one) for one in (pair.target, pair.pred))
        assert pair.count == matrix[true, said]
        assert pair.share == pytest.approx(matrix[true, said] / matrix[true].sum())
        rows = [
            i for i in range(60) if predictions.targets[i] == true and predictions.preds[i] == said
        ]
        worst = max(rows, key=lambda i: float(predictions.losses[i]))
        assert pair.example.id == f"t{worst}" and pair.example.text == texts[worst]
    assert len(confused_pairs(predictions, texts, count=2).pairs) == 2
    json.dumps(found.to_json())
    assert found.pairs[0].example.id in str(found)
    axes = found.plot().axes[0]
    assert [one.get_text() for one in axes.texts] == [f"{n:,}" for n in matrix.flatten()]


def test_nothing_is_confused_where_all_is_right():
    outputs = torch.eye(3) * 9
    right = Predictions(["a", "b", "c"], torch.arange(3), outputs, torch.zeros(3), ("x", "y", "z"))
    assert str(confused_pairs(right, ["a", "b", "c"])) == "No text was taken for another class."
    assert len(confidently_wrong(right, ["a", "b", "c"])) == 0


def test_shortened_text_keeps_the_words_that_matter():
    line = " ".join(f"w{i}" for i in range(400))
    short = shorten(line, 60, around=["w200", "w311", "absent"])
    assert len(short) <= 60
    assert "w200" in short and "w311" in short and short.startswith("w0") and short.endswith("w399")
    assert short.count("…") == 3
    assert "w20 " in shorten(line, 60, around=["W20"]) + " "  # the word, and not where w200 begins
    assert "w200" in shorten("w0 " * 99 + "xw200 w1", 30, around=["w200"])
    assert shorten("a" * 10**7, 20) == "aaaaaaaaa … aaaaaaaa"
    predictions, _ = made(1)
    found = most_lost(predictions, [line], width=60, important=lambda text: ["w77"])
    assert "w77" in found.items[0].text


@given(st.text(max_size=300), st.integers(12, 80), st.lists(st.text(max_size=5), max_size=3))
def test_shortened_text_is_one_line_within_its_width(text, width, around):
    short = shorten(text, width, around=around)
    longest = max((len(word) for word in short.split()), default=0)
    # a first and a last word stand in any case where words are asked for
    assert len(short) <= max(width, 2 * longest + 7)
    assert "\n" not in short and "\x1b" not in short and "\u202e" not in short
