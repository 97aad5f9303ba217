"""The trees from scratch are those of scikit-learn, and the fast ones of `trees` are theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from drivetrain.data.frame import Frame
from drivetrain.interpret import importance as interpreting
from drivetrain.reference import trees as twin
from drivetrain.trees import grow, splits


def rows(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns without ties (float32 values, as scikit-learn compares), numbers, and classes."""
    draw = np.random.default_rng(seed)
    columns = draw.normal(size=(count, 4)).astype(np.float32).astype(np.float64)
    numbers = 2 * columns[:, 0] - columns[:, 1] ** 2 + draw.normal(size=count)
    return columns, numbers, np.digitize(numbers, [-1.5, 0.5])


def questions(node: twin.Node) -> list[tuple[int, float]]:
    """Column and threshold of each node, the left side first."""
    if node.left is None or node.right is None:
        return []
    return [(node.column, node.threshold), *questions(node.left), *questions(node.right)]


def asked_by(theirs: Any) -> list[tuple[int, float]]:
    """The same of a tree of scikit-learn."""
    inner = theirs.children_left >= 0
    return list(zip(theirs.feature[inner].tolist(), theirs.threshold[inner].tolist(), strict=True))


@pytest.mark.row(87)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_questions_are_those_of_scikit_learn(seed: int) -> None:
    columns, numbers, classes = rows(seed, 300)
    # counts of classes tie in small groups, where scikit-learn chooses by chance: larger leaves for those
    for y, make, num_classes, min_leaf in (
        (numbers, DecisionTreeRegressor, 0, 8),
        (classes, DecisionTreeClassifier, 3, 30),
    ):
        ours = twin.grow(columns, y, num_classes=num_classes, min_leaf=min_leaf)
        model = make(min_samples_leaf=min_leaf, random_state=0).fit(columns, y)
        assert questions(ours) == asked_by(model.tree_)
        answers = model.predict_proba(columns) if num_classes else model.predict(columns)
        np.testing.assert_allclose(
            twin.predict(ours, columns), answers.reshape(len(columns), -1), atol=1e-12
        )


@pytest.mark.row(87)
def test_the_tree_that_is_kept_is_the_twins() -> None:
    columns, numbers, classes = rows(3, 300)
    for y, num_classes, leaf in ((numbers, 0, 6), (classes, 3, 30)):
        ours = grow.tree(columns, y, num_classes=num_classes, min_samples_leaf=leaf).ensemble
        expected = twin.predict(
            twin.grow(columns, y, num_classes=num_classes, min_leaf=leaf), columns
        )
        np.testing.assert_allclose(
            ours.predict(columns).reshape(len(columns), -1), expected, atol=1e-12
        )


@pytest.mark.row(88)
def test_impurity_is_how_likely_two_draws_differ() -> None:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 200)
    pairs = float((y[:, None] != y[None, :]).mean())  # every pair, each row with itself too
    assert twin.gini(y) == pytest.approx(pairs, abs=1e-12)
    assert splits.gini(y) == pytest.approx(pairs, abs=1e-12)
    assert twin.gini(np.array([1, 1, 1])) == 0


@pytest.mark.row(84)
@pytest.mark.row(85)
def test_the_score_of_a_split_and_the_best_one() -> None:
    draw = np.random.default_rng(1)
    column, y = draw.integers(0, 9, 60).astype(float), draw.integers(0, 2, 60)
    assert splits.split_score(column, y, 4.0) == pytest.approx(twin.split_score(column, y, 4.0))
    ours, expected = splits.best_split(column, y), twin.best_split(column, y)
    assert ours[0] == expected[0] and ours[1] == pytest.approx(expected[1])


@pytest.mark.row(86)
def test_one_rule_is_the_best_split_of_the_best_column() -> None:
    columns, numbers, _ = rows(2)
    place, _ = twin.one_rule(columns, numbers)
    assert place == 0
    rule = grow.one_r(columns, numbers).ensemble
    assert rule.num_trees == 1 and set(rule.feature[rule.feature >= 0].tolist()) == {place}


@pytest.mark.row(95)
def test_start_and_moves_are_the_answer() -> None:
    columns, numbers, classes = rows(4, 300)
    for y, num_classes, leaf in ((numbers, 0, 5), (classes, 3, 30)):
        node = twin.grow(columns, y, num_classes=num_classes, min_leaf=leaf)
        fast = grow.tree(columns, y, num_classes=num_classes, min_samples_leaf=leaf).ensemble
        base, moves = fast.contributions(columns[:10])
        for row in range(10):
            start, parts = twin.contributions(node, columns[row])
            np.testing.assert_allclose(
                start + parts.sum(axis=0), twin.path(node, columns[row])[-1].value
            )
            np.testing.assert_allclose(base, start, atol=1e-12)
            np.testing.assert_allclose(moves[row], parts, atol=1e-12)


@pytest.mark.row(86)
@pytest.mark.parametrize("seed", range(5))
def test_a_tree_of_one_question_asks_what_scikit_learns_does_and_one_rule_the_same_column(
    seed: int,
) -> None:
    columns, numbers, classes = rows(seed)
    for y, make, num_classes in (
        (numbers, DecisionTreeRegressor, 0),
        (classes, DecisionTreeClassifier, 3),
    ):
        stump = make(max_depth=1, random_state=0).fit(columns, y)
        ours = twin.grow(columns, y, num_classes=num_classes, max_depth=1)
        assert questions(ours) == asked_by(stump.tree_)
    place, value = twin.one_rule(columns, numbers)
    assert place == questions(twin.grow(columns, numbers, max_depth=1))[0][0]
    assert value in columns[:, place]


def spread_after(node: twin.Node, columns: np.ndarray, y: np.ndarray, num_classes: int) -> float:
    """The impurity that is left on both sides of a node's question, times their rows."""
    left = columns[:, node.column] <= node.threshold
    return sum(len(y[side]) * twin.impurity(y[side], num_classes) for side in (left, ~left))


def assert_no_better_question(
    node: twin.Node, columns: np.ndarray, y: np.ndarray, num_classes: int
) -> None:
    """At each node; so that a question that is not ours is as good as ours, and was taken by chance."""
    if node.left is None or node.right is None:
        return
    ours = twin.grow(columns, y, num_classes=num_classes, max_depth=1)
    assert spread_after(node, columns, y, num_classes) == pytest.approx(
        spread_after(ours, columns, y, num_classes), abs=1e-10
    )
    left = columns[:, node.column] <= node.threshold
    for below, side in ((node.left, left), (node.right, ~left)):
        assert_no_better_question(below, columns[side], y[side], num_classes)


def replayed(theirs: Any, columns: np.ndarray, y: np.ndarray, **options: Any) -> twin.Node:
    """Our tree where each question is about the column that scikit-learn's is about."""
    asked = asked_by(theirs.tree_)
    taken = iter([place for place, _ in asked])
    ours = twin.grow(columns, y, choose=lambda count: [next(taken)], **options)
    assert questions(ours) == asked
    return ours


@pytest.mark.row(90)
@pytest.mark.row(92)
@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_bagged_trees_their_mean_and_the_answers_out_of_bag_are_scikit_learns(kind: str) -> None:
    columns, numbers, classes = rows(10, 80)
    options: dict[str, Any] = {
        "n_estimators": 20, "max_features": None, "max_depth": 3, "oob_score": True,
        "random_state": 1,
    }  # fmt: skip
    if kind == "numbers":
        y, num_classes, model = numbers, 0, RandomForestRegressor(**options).fit(columns, numbers)
        answers, unseen = model.predict(columns), model.oob_prediction_
    else:
        y, num_classes, model = classes, 3, RandomForestClassifier(**options).fit(columns, classes)
        answers, unseen = model.predict_proba(columns), model.oob_decision_function_
    bag = twin.Bag([], [np.asarray(places) for places in model.estimators_samples_])
    for theirs, places in zip(model.estimators_, bag.drawn, strict=True):
        ours = replayed(theirs, columns[places], y[places], num_classes=num_classes, max_depth=3)
        assert_no_better_question(ours, columns[places], y[places], num_classes)
        bag.trees.append(ours)
    shape = (len(columns), -1)
    np.testing.assert_allclose(bag.predict(columns), answers.reshape(shape), atol=1e-10)
    np.testing.assert_allclose(bag.out_of_bag(columns), unseen.reshape(shape), atol=1e-10)


@pytest.mark.row(90)
def test_in_a_random_forest_each_split_is_the_best_of_the_column_that_scikit_learn_took() -> None:
    """It draws by itself which columns a split may ask about; of the one it took it asks what we do."""
    columns, numbers, _ = rows(11, 120)
    model = RandomForestRegressor(12, max_features=2, max_depth=4, random_state=1)
    model.fit(columns, numbers)
    trees = [
        replayed(theirs, columns[places], numbers[places], max_depth=4)
        for theirs, places in zip(model.estimators_, model.estimators_samples_, strict=True)
    ]
    assert len({tree.column for tree in trees}) > 1  # not every tree may begin with the best column


@pytest.mark.row(90)
@pytest.mark.row(92)
def test_a_row_out_of_bag_is_answered_by_trees_that_have_not_seen_it() -> None:
    columns, numbers, _ = rows(5, 60)
    bag = twin.forest(columns, numbers, num_trees=12, min_leaf=3)
    unseen = bag.out_of_bag(columns)
    for row in (0, 7, 31):
        answers = [
            twin.predict(tree, columns[[row]])[0, 0]
            for tree, drawn in zip(bag.trees, bag.drawn, strict=True)
            if row not in drawn
        ]
        assert unseen[row, 0] == pytest.approx(np.mean(answers))
    fit_error = ((bag.predict(columns)[:, 0] - numbers) ** 2).mean()
    known = ~np.isnan(unseen[:, 0])
    assert ((unseen[known, 0] - numbers[known]) ** 2).mean() > fit_error


@pytest.mark.row(90)
@pytest.mark.row(91)
def test_a_forest_errs_less_than_its_trees_and_gains_less_by_each_more() -> None:
    columns, numbers, _ = rows(6, 150)
    new, truth, _ = rows(7, 150)
    bag = twin.forest(columns, numbers, num_trees=15, min_leaf=3, max_features=2)
    answers = np.stack([twin.predict(tree, new)[:, 0] for tree in bag.trees])
    alone = ((answers - truth) ** 2).mean(axis=1)
    np.testing.assert_allclose(bag.predict(new)[:, 0], answers.mean(axis=0), atol=1e-12)
    draw = np.random.default_rng(0)
    curve = [  # the error of k of the trees, over many choices of which
        np.mean([
            ((answers[draw.permutation(15)[:k]].mean(axis=0) - truth) ** 2).mean()
            for _ in range(200)
        ])
        for k in (1, 2, 4, 8)
    ]  # fmt: skip
    gains = -np.diff(curve)
    assert (gains > 0).all() and (np.diff(gains) < 0).all()
    assert ((bag.predict(new)[:, 0] - truth) ** 2).mean() < alone.min()


@pytest.mark.row(89)
def test_a_column_squeezed_without_changing_its_order_changes_no_answer() -> None:
    columns, numbers, _ = rows(12)
    squeezed = np.stack([np.exp(columns[:, 0]), columns[:, 1] ** 3, *columns[:, 2:].T], axis=1)
    for y in (numbers, np.argsort(np.argsort(numbers)).astype(float)):
        plain = twin.predict(twin.grow(columns, y, min_leaf=5), columns)
        assert np.array_equal(twin.predict(twin.grow(squeezed, y, min_leaf=5), squeezed), plain)


@pytest.mark.row(100)
def test_boosting_is_that_of_scikit_learn() -> None:
    columns, numbers, _ = rows(8)
    ours = twin.boost(columns, numbers, num_trees=8, rate=0.3, max_depth=2)
    theirs = GradientBoostingRegressor(
        n_estimators=8, learning_rate=0.3, max_depth=2, random_state=0
    ).fit(columns, numbers)
    for stage, expected in zip(
        ours.staged(columns)[1:], theirs.staged_predict(columns), strict=True
    ):
        np.testing.assert_allclose(stage, expected, atol=1e-10, rtol=0)
    for tree, (stage,) in zip(ours.trees, theirs.estimators_, strict=True):
        assert questions(tree) == asked_by(stage.tree_)
    losses = [float(((stage - numbers) ** 2).mean()) for stage in ours.staged(columns)]
    assert losses == sorted(losses, reverse=True)
    total = ours.base + sum(0.3 * twin.predict(tree, columns)[:, 0] for tree in ours.trees)
    np.testing.assert_allclose(ours.predict(columns), total)


@pytest.mark.row(93)
def test_shuffling_costs_what_scikit_learn_and_interpret_say() -> None:
    columns, numbers, _ = rows(9)
    model = DecisionTreeRegressor(min_samples_leaf=8, random_state=0).fit(columns, numbers)
    draw = np.random.default_rng(3)
    orders = np.stack([draw.permutation(len(columns)) for _ in range(4)])

    def score(truth: np.ndarray, preds: np.ndarray) -> float:
        return -float(((truth - preds) ** 2).mean())

    expected = twin.permutation_importance(model.predict, columns, numbers, score, orders)
    names = ["a", "b", "c", "d"]
    found = interpreting.permutation_importance(
        lambda frame: model.predict(frame.matrix(names)), Frame.from_matrix(columns, names),
        numbers, score, repeats=4, orders=orders,
    )  # fmt: skip
    np.testing.assert_allclose([found[name].mean for name in names], expected, atol=1e-12)
    theirs = sklearn_importance(
        model, columns, numbers, scoring="neg_mean_squared_error", n_repeats=60, random_state=0
    )
    assert int(theirs.importances_mean.argmax()) == int(expected.argmax())
