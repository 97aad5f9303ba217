"""Permutation importance: scikit-learn's values, honest intervals, every kind of column."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.inspection import permutation_importance as of_sklearn

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError, InputError, NonFiniteError, ShapeError
from drivetrain.interpret import asking
from drivetrain.interpret.importance import permutation_importance
from tests.interpret.models import mixed, mse, numbers, of_matrix, of_mixed, r2


def orders_of_sklearn(seed: int, rows: int, repeats: int) -> np.ndarray:
    """The shuffles scikit-learn makes: one seed is drawn, and a column shuffled again and again."""
    of_a_column = np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1)
    state = np.random.RandomState(of_a_column)
    index, at, found = np.arange(rows), np.arange(rows), []
    for _ in range(repeats):
        state.shuffle(index)
        at = at[index]
        found.append(at)
    return np.stack(found)


@pytest.mark.row(93)
def test_equals_scikit_learn_for_the_same_shuffles_of_a_regression():
    frame = numbers(0, 150, 5)
    X = frame.matrix()
    y = 3 * X[:, 0] + X[:, 1] ** 2 + np.random.default_rng(1).normal(size=150)
    model = RandomForestRegressor(10, random_state=0).fit(X, y)
    theirs = of_sklearn(model, X, y, n_repeats=4, random_state=7, scoring="r2")
    orders = orders_of_sklearn(7, 150, 4)
    ours = permutation_importance(
        of_matrix(model.predict, frame.names), frame, y, r2, orders=orders
    )
    for i, name in enumerate(frame.names):
        np.testing.assert_allclose(ours[name].drops, theirs.importances[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose(ours[name].mean, theirs.importances_mean[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose(ours[name].std, theirs.importances_std[i], rtol=0, atol=1e-12)
    assert [column.name for column in ours.columns][:2] == ["c0", "c1"]


@pytest.mark.row(93)
def test_equals_scikit_learn_for_probabilities_of_classes():
    frame = numbers(2, 120, 4)
    X = frame.matrix()
    y = (X[:, 0] > 0).astype(int) + (X[:, 2] > 1)
    model = RandomForestClassifier(8, random_state=0).fit(X, y)
    theirs = of_sklearn(model, X, y, n_repeats=3, random_state=1, scoring="accuracy")
    ours = permutation_importance(
        of_matrix(model.predict_proba, frame.names), frame, y,
        lambda targets, probs: float((probs.argmax(axis=1) == targets).mean()),
        orders=orders_of_sklearn(1, 120, 3),
    )  # fmt: skip
    for i, name in enumerate(frame.names):
        np.testing.assert_allclose(ours[name].drops, theirs.importances[i], rtol=0, atol=1e-12)


@pytest.mark.row(93)
def test_interval_holds_the_truth_about_as_often_as_it_says():
    """y = 2·a + b + noise, predicted by 2·a + b: shuffling `a` adds 2·4·var(a) = 8 to the error."""
    held = {"a": 0, "b": 0, "none": 0}
    truth = {"a": 8.0, "b": 2.0, "none": 0.0}
    trials = 120
    for seed in range(trials):
        r = np.random.default_rng(seed)
        frame = Frame.from_matrix(r.normal(size=(150, 3)), list(truth))
        preds = 2 * frame.numbers("a") + frame.numbers("b")
        found = permutation_importance(
            lambda f: 2 * f.numbers("a") + f.numbers("b"),
            frame, preds + r.normal(size=150), mse, repeats=3, seed=seed, higher_is_better=False,
        )  # fmt: skip
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    assert held["none"] == trials  # shuffled or not, its prediction is the same
    assert 0.91 * trials <= held["a"] < trials
    assert 0.91 * trials <= held["b"] < trials


def test_every_kind_of_column_is_shuffled_missing_values_with_it():
    frame = mixed()
    found = permutation_importance(of_mixed, frame, of_mixed(frame), mse, higher_is_better=False)
    assert found.score == 0.0
    assert {c.name for c in found.columns if c.low > 0} == {"age", "day", "kind"}
    assert found["noise"].drops == (0.0,) * 5


def test_call_in_pieces_gives_the_same_values(monkeypatch):
    frame, sizes = mixed(), []

    def predict(rows):
        sizes.append(len(rows))
        return of_mixed(rows)

    targets = of_mixed(frame) + np.random.default_rng(0).normal(size=len(frame))
    whole = permutation_importance(predict, frame, targets, r2, repeats=5)
    assert sizes == [200] + 4 * [1_000]  # all shuffles of a column in one call
    sizes.clear()
    monkeypatch.setattr(asking, "MOST_CELLS", 2 * 200 * 4)
    pieces = permutation_importance(predict, frame, targets, r2, repeats=5)
    assert sizes == [200] + 4 * [400, 400, 200]
    assert pieces == whole
    sizes.clear()
    monkeypatch.setattr(asking, "MOST_CELLS", 1)  # never less than the frame itself
    assert permutation_importance(predict, frame, targets, r2, repeats=5) == whole
    assert set(sizes) == {200}


def test_seed_decides_and_other_columns_do_not():
    frame = mixed()
    targets = of_mixed(frame) + np.random.default_rng(0).normal(size=len(frame))
    first = permutation_importance(of_mixed, frame, targets, r2, seed=1)
    assert permutation_importance(of_mixed, frame, targets, r2, seed=1) == first
    assert permutation_importance(of_mixed, frame, targets, r2, seed=2)["age"] != first["age"]
    alone = permutation_importance(of_mixed, frame, targets, r2, seed=1, names=["age"])
    assert [column.name for column in alone.columns] == ["age"]
    assert alone["age"] == first["age"]


def test_error_and_score_point_the_same_way():
    frame = mixed()
    targets = of_mixed(frame) + np.random.default_rng(0).normal(size=len(frame))
    up = permutation_importance(of_mixed, frame, targets, lambda t, p: -mse(t, p))
    down = permutation_importance(of_mixed, frame, targets, mse, higher_is_better=False)
    assert up["age"] == down["age"]
    assert down["age"].mean > 0


def test_constant_column_costs_nothing_and_is_not_asked():
    frame = numbers(0, 40, 1).with_column("same", np.full(40, 7.0))
    frame = frame.with_column("none", np.full(40, np.nan))
    frame = frame.with_column("word", Factor(np.full(40, -1, dtype=np.int32), ("a",)))
    frame = frame.with_column("day", np.full(40, np.datetime64("NaT", "us")))
    calls = []

    def predict(rows):
        calls.append(len(rows))
        return rows.numbers("c0")

    found = permutation_importance(predict, frame, frame.numbers("c0"), r2)
    assert calls == [40, 200]
    for name in ("same", "none", "word", "day"):
        assert (found[name].mean, found[name].low, found[name].high) == (0.0, 0.0, 0.0)


@pytest.mark.row(93)
def test_columns_that_go_together_are_named_and_show_their_worth_as_one():
    r = np.random.default_rng(0)
    size = r.normal(size=400)
    frame = Frame({"length": size, "weight": np.exp(size), "colour": r.normal(size=400)})

    def predict(rows):  # leans on either, half and half
        return rows.numbers("length") / 2 + np.log(rows.numbers("weight")) / 2

    apart = permutation_importance(predict, frame, size, r2)
    assert apart.together == (("length", "weight", 1.0),)
    assert apart.caution == (
        "These go together: length with weight (1.00). A model can lean on either of such a pair, "
        "so that shuffling one alone shows less than it carries. Shuffle them as one to see it: "
        "`names=[('length', 'weight')]`."
    )
    as_one = permutation_importance(
        predict, frame, size, r2, names=[("length", "weight"), "colour"]
    )
    assert as_one["length + weight"].mean > 3 * apart["length"].mean
    assert as_one.together == () and as_one.caution == ""


def test_single_shuffle_counts_the_rows_alone():
    frame = mixed()
    found = permutation_importance(of_mixed, frame, of_mixed(frame) + 1, r2, repeats=1)
    assert found["age"].std == 0.0
    assert found["age"].low < found["age"].mean < found["age"].high


def test_ten_rows_are_enough_and_nine_are_not():
    frame = numbers(0, 10, 1)
    found = permutation_importance(lambda f: f.numbers("c0"), frame, frame.numbers("c0"), r2)
    assert found.num_rows == 10 and found["c0"].mean > 1
    with pytest.raises(DataError) as caught:
        permutation_importance(lambda f: f.numbers("c0"), frame.take(range(9)), np.zeros(9), r2)
    assert str(caught.value) == "`permutation_importance` got 9 rows. It needs 10 or more."


def test_prints_a_table_and_is_plain_json():
    frame = mixed(rows=60)
    found = permutation_importance(of_mixed, frame, of_mixed(frame), r2, repeats=2)
    lines = str(found).splitlines()
    assert lines[0] == (
        "Shuffling each column of 60 rows, 2 times; the score is 1 (higher is better)."
    )
    assert lines[1].split() == ["column", "cost", "std", "95%", "from", "to"]
    assert lines[5].split() == ["noise", "0", "0", "0", "0"]
    record = json.loads(json.dumps(found.to_json()))
    assert record["columns"][0]["drops"] == list(found.columns[0].drops)
    assert record["num_rows"] == 60 and record["repeats"] == 2


def test_refusals():
    frame, targets = numbers(0, 10, 2), np.zeros(10)

    def predict(rows):
        return rows.numbers("c0")

    with pytest.raises(DataError, match=r"There is no column 'c9'\."):
        permutation_importance(predict, frame, targets, mse, names=["c9"])
    with pytest.raises(DataError, match=r"No column 'c9' was shuffled\. There are: c1, c0\."):
        permutation_importance(predict, frame, targets, mse, names=["c0", "c1"])["c9"]
    with pytest.raises(ShapeError, match=r"^`permutation_importance` got 3 targets for 10 rows\.$"):
        permutation_importance(predict, frame, np.zeros(3), mse)
    with pytest.raises(ConfigError, match=r"needs `repeats` of 1 or more\. Got 0\.$"):
        permutation_importance(predict, frame, targets, mse, repeats=0)
    with pytest.raises(ConfigError, match=r"`confidence` is a probability"):
        permutation_importance(predict, frame, targets, mse, confidence=1.5)
    with pytest.raises(
        ShapeError, match=r"got `orders` of shape \(2, 3\), expected \(repeats, 10\)\.$"
    ):
        permutation_importance(predict, frame, targets, mse, orders=np.zeros((2, 3), int))
    with pytest.raises(InputError, match=r"got `orders` that are not permutations of 0 … 9\.$"):
        permutation_importance(predict, frame, targets, mse, orders=np.zeros((2, 10), int))
    with pytest.raises(
        InputError, match=r"^`permutation_importance` got NaN from the score of 10 rows\.$"
    ):
        permutation_importance(predict, frame, targets, lambda t, p: float("nan"))
    with pytest.raises(ShapeError) as shape:
        permutation_importance(lambda f: np.zeros(3), frame, targets, mse)
    assert str(shape.value) == (
        "`permutation_importance` got predictions of shape (3,) for 10 rows, expected (10,) numbers or "
        "(10, C) probabilities from `predict`."
    )
    with pytest.raises(NonFiniteError) as nan:
        permutation_importance(lambda f: np.where(f.ids == 4, np.nan, 0.0), frame, targets, mse)
    assert str(nan.value) == (
        "`permutation_importance` got NaN or infinity from `predict` for 1 of 10 rows, the first of them "
        "row 4 of the source. Look at that row's columns."
    )
