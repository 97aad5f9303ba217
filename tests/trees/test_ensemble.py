"""Trees as arrays: bit-equal to the library that grew them, and explained column by column."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.grow import boosting, extra_trees, forest, one_r, tree
from tests.trees.families import FAMILIES, ROWS, asked, grown, lightgbm_booster, oracle, target

ASKED = asked()
NUMBERS = target(ROWS, 0)


def path_by_hand(trees: TreeEnsemble, row: np.ndarray, root: int) -> list[int]:
    """The nodes that a row passes, one comparison at a time."""
    path = [int(root)]
    while trees.feature[path[-1]] >= 0:
        node = path[-1]
        value = np.dtype(trees.precision).type(row[trees.feature[node]])
        if np.isnan(value):
            goes_left = trees.default_left[node]
        else:
            goes_left = float(value) <= trees.threshold[node]
        path.append(int(trees.left[node] if goes_left else trees.right[node]))
    return path


@pytest.mark.parametrize("name", FAMILIES)
def test_predictions_are_bit_equal_to_the_librarys(name):
    num_classes = FAMILIES[name].num_classes
    trees, library = grown(name).ensemble, oracle(name)
    for rows in (ROWS, ASKED, ASKED[:1], ASKED[20:21], ASKED[:0]):
        found = trees.predict(rows)
        # Libraries refuse an empty table; ours has no rows to answer for.
        expected = library(rows) if len(rows) else found[:0]
        np.testing.assert_array_equal(found, expected, strict=True)
        assert found.shape == ((len(rows), num_classes) if num_classes else (len(rows),))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_does_not_depend_on_the_rows_beside_it(name):
    trees = grown(name).ensemble
    alone = np.concatenate([trees.outputs(ASKED[i : i + 1]) for i in range(40)])
    np.testing.assert_array_equal(alone, trees.outputs(ASKED)[:40])


@pytest.mark.row(95)
@pytest.mark.parametrize("name", FAMILIES)
def test_base_and_contributions_add_up_to_the_outputs(name):
    trees = grown(name).ensemble
    base, moves = trees.contributions(ASKED)
    assert moves.shape == (len(ASKED), 5, trees.num_outputs)
    np.testing.assert_allclose(base + moves.sum(axis=1), trees.outputs(ASKED), rtol=0, atol=1e-9)


@pytest.mark.row(95)
@pytest.mark.parametrize("name", ["tree, numbers", "forest, 4 classes", "histograms, 9 classes"])
def test_contributions_are_the_steps_of_the_paths(name):
    trees = grown(name).ensemble
    base, moves = trees.contributions(ASKED[:12])
    expected = np.zeros_like(moves)
    start = trees.base.copy()
    for tree_index, root in enumerate(trees.starts[:-1]):
        output = trees.output[tree_index]
        outputs = slice(None) if output < 0 else slice(output, output + 1)
        start[outputs] += trees.value[root]
        for i, row in enumerate(ASKED[:12]):
            path = path_by_hand(trees, row, root)
            for node, following in pairwise(path):
                step = trees.value[following] - trees.value[node]
                expected[i, trees.feature[node], outputs] += step
    share = trees.num_trees if trees.combine == "mean" else 1
    np.testing.assert_allclose(moves, expected / share, atol=1e-12)
    np.testing.assert_allclose(base, start / share, atol=1e-12)


@pytest.mark.row(95)
@pytest.mark.parametrize("name", ["tree, numbers", "lightgbm, numbers", "histograms, 2 classes"])
def test_base_is_the_mean_over_the_training_rows(name):
    trees = grown(name).ensemble
    base, _ = trees.contributions(ROWS)
    np.testing.assert_allclose(base, trees.outputs(ROWS).mean(axis=0), atol=1e-9)


def test_leaves_are_those_of_the_library():
    trees = forest(ROWS, NUMBERS, num_trees=5, seed=1).ensemble
    library = RandomForestRegressor(5, random_state=1).fit(ROWS, NUMBERS)
    for ours, theirs in zip(trees.leaves(ASKED).T, library.apply(ASKED).T, strict=True):
        pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
        assert len(pairs) == len(set(ours.tolist())) == len(set(theirs.tolist()))


def test_a_leaf_is_the_end_of_the_path():
    trees = grown("lightgbm, numbers").ensemble
    leaves = trees.leaves(ASKED[:15])
    for i, row in enumerate(ASKED[:15]):
        ends = [path_by_hand(trees, row, root)[-1] for root in trees.starts[:-1]]
        assert leaves[i].tolist() == ends


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_are_the_trees_added_in_order(name):
    trees = grown(name).ensemble
    total = np.zeros((len(ASKED), trees.num_outputs)) + trees.base
    for one in trees.tree_outputs(ASKED):
        total += one
    if trees.combine == "mean":
        total /= trees.num_trees
    np.testing.assert_array_equal(trees.outputs(ASKED), total)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_stage_is_the_prediction(name):
    trees = grown(name).ensemble
    stages = list(trees.staged(ASKED))
    outputs = trees.num_outputs if trees.output[0] >= 0 else 1
    assert len(stages) == trees.num_trees // outputs
    np.testing.assert_array_equal(stages[-1], trees.predict(ASKED))


@pytest.mark.row(93)
def test_importance_is_scikit_learns_and_adds_up_to_one():
    y = target(ROWS, 4)
    settings = {"min_samples_leaf": 3, "random_state": 5}
    library = RandomForestClassifier(30, **settings).fit(ROWS, y)
    trees = forest(ROWS, y, num_classes=4, num_trees=30, min_samples_leaf=3, seed=5).ensemble
    np.testing.assert_allclose(trees.importance(), library.feature_importances_, atol=1e-12)
    assert trees.importance().sum() == pytest.approx(1, abs=1e-12)
    weights = np.random.default_rng(0).random(len(ROWS))
    numbers = ExtraTreesRegressor(9, **settings).fit(ROWS, NUMBERS, sample_weight=weights)
    ours = extra_trees(
        ROWS, NUMBERS, num_trees=9, min_samples_leaf=3, seed=5, sample_weight=weights
    ).ensemble
    np.testing.assert_allclose(ours.importance(), numbers.feature_importances_, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(ASKED), numbers.predict(ASKED))


@pytest.mark.row(93)
def test_importance_of_lightgbm_is_the_share_of_gain():
    booster = lightgbm_booster(ROWS, target(ROWS, 4), {"num_classes": 4, "num_trees": 20})
    gain = booster.feature_importance("gain")
    ours = grown("lightgbm, 4 classes").ensemble.importance()
    # LightGBM writes gains with six digits.
    np.testing.assert_allclose(ours, gain / gain.sum(), rtol=1e-5)


def test_importance_is_zero_where_no_tree_splits():
    trees = tree(ROWS, np.ones(len(ROWS))).ensemble
    assert trees.importance().tolist() == [0.0] * 5
    assert trees.num_nodes == 1


@pytest.mark.row(94)
def test_trees_spread_where_there_is_no_training_data():
    # Both columns are the same in training. Off the diagonal, a tree answers by the one it asked.
    draw = np.random.default_rng(0)
    x = draw.random(400)
    trees = forest(
        np.stack([x, x], axis=1), x, num_trees=60, max_features=1, min_samples_leaf=5
    ).ensemble
    near = np.repeat(np.linspace(0.1, 0.9, 20)[:, None], 2, axis=1)
    far = np.stack([np.linspace(0.0, 0.2, 20), np.linspace(0.8, 1.0, 20)], axis=1)
    assert trees.spread(far).min() > 5 * trees.spread(near).max()


@pytest.mark.row(94)
def test_trees_spread_within_a_gap():
    # Thresholds drawn within the gap send a row in it to one edge or the other, 3 or 7.
    x = np.concatenate([np.linspace(0.0, 0.3, 150), np.linspace(0.7, 1.0, 150)])
    trees = extra_trees(x[:, None], 10 * x, num_trees=100, min_samples_leaf=3).ensemble
    spread = trees.spread(np.array([[0.15], [0.5], [0.85]]))[:, 0]
    assert spread[1] > 1.5 > 3 * max(spread[0], spread[2])


@pytest.mark.row(94)
def test_spread_is_the_standard_deviation_over_trees():
    trees = grown("forest, 4 classes").ensemble
    np.testing.assert_allclose(
        trees.spread(ASKED), trees.tree_outputs(ASKED).std(axis=0), atol=1e-12
    )


def test_trees_that_add_up_have_no_spread():
    trees = grown("lightgbm, numbers").ensemble
    with pytest.raises(
        ConfigError,
        match=r"^`spread` compares trees that each predict alone\. Those of boosting add up, so that "
        r"they differ says nothing\. Grow a forest\.$",
    ):
        trees.spread(ASKED)


@pytest.mark.parametrize("method", ["predict", "leaves", "contributions", "tree_outputs"])
def test_other_columns_are_refused(method):
    trees = grown("tree, numbers").ensemble
    with pytest.raises(
        ShapeError,
        match=r"^The tree got an array of shape \(400, 4\) and float64, expected numbers of shape "
        r"\(N, 5\): a row each, with the columns it was grown on\.$",
    ):
        getattr(trees, method)(ASKED[:, :4])


def test_words_are_refused():
    trees = grown("tree, numbers").ensemble
    with pytest.raises(ShapeError, match=r"and <U1, expected numbers"):
        trees.predict(np.full((2, 5), "a"))


@pytest.mark.row(89)
@pytest.mark.parametrize("transform", [np.exp, lambda x: x**3 + x, lambda x: 7 * x - 100])
def test_monotone_transforms_leave_predictions_unchanged(transform):
    # A threshold lies midway between two values, so what cannot change is the answer for values that a
    # tree was grown on; between them the middle moves. A tree of a bootstrap has not seen all rows.
    draw = np.random.default_rng(1)
    X = draw.integers(-75, 75, (500, 3)) / 25
    y = X[:, 0] * X[:, 1] - X[:, 2] + draw.normal(size=500)
    classes = (y > 0).astype(int)
    changed = X.copy()
    changed[:, 1] = transform(X[:, 1])
    for grow, settings in (
        (tree, {}),
        (forest, {"num_trees": 15, "bootstrap": False, "max_features": 1}),
        (boosting, {"library": "lightgbm", "num_trees": 15}),
        (boosting, {"library": "scikit-learn", "num_trees": 15}),
    ):
        for of, num_classes in ((y, 0), (classes, 2)):
            before = grow(X, of, num_classes=num_classes, **settings).ensemble
            after = grow(changed, of, num_classes=num_classes, **settings).ensemble
            np.testing.assert_array_equal(before.feature, after.feature)
            # LightGBM leaves the bin of zero out of its sums, which a transform moves: the same splits,
            # of sums in another order.
            tolerance = 1e-13 if settings.get("library") == "lightgbm" else 0
            np.testing.assert_allclose(
                before.predict(X), after.predict(changed), rtol=0, atol=tolerance
            )


@pytest.mark.row(89)
def test_one_question_is_unchanged_for_every_row():
    # Its threshold is a value of the column, so there is no middle that could move.
    draw = np.random.default_rng(3)
    X, y, later = draw.normal(size=(200, 2)), draw.normal(size=200), draw.normal(size=(500, 2))
    before, after = one_r(X, y).ensemble, one_r(np.exp(X), y).ensemble
    np.testing.assert_array_equal(before.predict(later), after.predict(np.exp(later)))


@pytest.mark.row(91)
def test_more_trees_are_better_and_ever_less_so():
    draw = np.random.default_rng(2)
    X = draw.random((700, 6))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 5 * X[:, 2] + draw.normal(size=700)
    trees = forest(X[:400], y[:400], num_trees=200).ensemble
    error = np.array([((one - y[400:]) ** 2).mean() for one in trees.staged(X[400:])])
    blocks = error.reshape(20, 10).mean(axis=1)
    assert error[0] > error[4] > blocks[1] > 0.98 * blocks[-1]
    assert (np.diff(blocks) < 0.03 * blocks[-1]).all()  # never up by more than noise
    assert error[0] - blocks[1] > 10 * abs(blocks[1] - blocks[-1])


def test_lightgbm_cuts_off_a_fraction_of_a_code_and_so_do_we():
    name = "lightgbm, numbers, sets"
    rows = np.repeat(ASKED[30:31], 60, axis=0)
    rows[:, 3] = np.linspace(-1.4, 41.0, 60)
    np.testing.assert_array_equal(grown(name).ensemble.predict(rows), oracle(name)(rows))


def test_arrays_cannot_be_changed():
    trees = grown("tree, numbers").ensemble
    with pytest.raises(ValueError, match="read-only"):
        trees.value[0] = 1


def test_it_says_what_it_is():
    assert repr(tree(ROWS, NUMBERS, max_leaf_nodes=3).ensemble) == (
        "TreeEnsemble(tree: 1 trees, 5 nodes, 5 columns, no classes)"
    )
