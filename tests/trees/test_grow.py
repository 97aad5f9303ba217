"""Growing: rows out of bag, the same trees on any number of threads, odd tables, and refusals."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor

from drivetrain.errors import ConfigError, DataError, DrivetrainError, ShapeError
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.grow import boosting, extra_trees, forest, majority, one_r, tree
from tests.trees.families import FAMILIES, table, target

ROWS = table(0, 200)
NUMBERS = target(ROWS, 0)

GROWERS = {
    "majority": majority,
    "one_r": one_r,
    "tree": tree,
    "forest": lambda *given, **settings: forest(*given, num_trees=4, **settings),
    "extra_trees": lambda *given, **settings: extra_trees(*given, num_trees=4, **settings),
    "lightgbm": lambda *given, **settings: boosting(
        *given, library="lightgbm", num_trees=4, **settings
    ),
    "histograms": lambda *given, **settings: boosting(
        *given, library="scikit-learn", num_trees=4, **settings
    ),
}

ODD = {
    "one row": (ROWS[:1], np.ones(1), 0),
    "two rows": (ROWS[:2], np.array([1.0, 2.0]), 0),
    "constant columns": (np.ones((40, 3)), NUMBERS[:40], 0),
    "a constant target": (ROWS, np.full(200, 3.0), 0),
    "a column that is missing": (np.where(np.arange(5) == 1, np.nan, ROWS), NUMBERS, 0),
    "all missing": (np.full((40, 3), np.nan), NUMBERS[:40], 0),
    "tiny numbers": (ROWS, NUMBERS * 1e-300, 0),
    "large numbers": (ROWS * 1e36, NUMBERS * 1e14, 0),
    "a class a row": (ROWS[:50], np.arange(50), 50),
    "whole columns": (np.arange(60).reshape(20, 3), NUMBERS[:20], 0),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("grower", GROWERS)
def test_odd_tables_grow_trees_that_can_be_stored(grower, odd, capfd):
    X, y, num_classes = ODD[odd]
    grown = GROWERS[grower](X, y, num_classes=num_classes)
    trees = TreeEnsemble.from_arrays(*grown.ensemble.to_arrays())
    found = trees.predict(X)
    assert np.isfinite(found).all()
    assert found.shape == ((len(X), num_classes) if num_classes else (len(X),))
    base, moves = trees.contributions(X)
    scale = max(1.0, float(np.abs(trees.outputs(X)).max()))
    np.testing.assert_allclose(base + moves.sum(1), trees.outputs(X), rtol=0, atol=1e-9 * scale)
    assert json.loads(json.dumps(grown.settings)) == grown.settings
    assert grown.library
    assert grown.version
    assert capfd.readouterr() == ("", "")  # LightGBM writes to the descriptor


@pytest.mark.row(92)
def test_out_of_bag_is_scikit_learns():
    options = {"min_samples_leaf": 2, "random_state": 3, "max_samples": 0.6}
    library = RandomForestRegressor(40, oob_score=True, **options).fit(ROWS, NUMBERS)
    grown = forest(ROWS, NUMBERS, num_trees=40, min_samples_leaf=2, seed=3, max_samples=0.6)
    np.testing.assert_array_equal(grown.oob[:, 0], library.oob_prediction_)
    y = target(ROWS, 3)
    weights = np.random.default_rng(0).random(200)
    trees = ExtraTreesClassifier(40, oob_score=True, bootstrap=True, **options)
    trees.fit(ROWS, y, sample_weight=weights)
    ours = extra_trees(
        ROWS, y, num_classes=3, num_trees=40, min_samples_leaf=2, seed=3, max_samples=0.6,
        bootstrap=True, sample_weight=weights,
    )  # fmt: skip
    np.testing.assert_array_equal(ours.oob, trees.oob_decision_function_)


@pytest.mark.row(92)
def test_a_row_that_all_trees_saw_has_no_answer_out_of_bag():
    grown = forest(ROWS, NUMBERS, num_trees=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of such rows
        library = RandomForestRegressor(2, oob_score=True, random_state=42).fit(ROWS, NUMBERS)
    seen = np.isnan(grown.oob[:, 0])
    drawn = library.estimators_samples_
    by_both = np.isin(np.arange(200), drawn[0]) & np.isin(np.arange(200), drawn[1])
    assert 0 < seen.sum() < 200
    np.testing.assert_array_equal(seen, by_both)
    np.testing.assert_array_equal(grown.oob[~seen, 0], library.oob_prediction_[~seen])


@pytest.mark.row(92)
def test_out_of_bag_is_close_to_the_validation_error():
    X, X_valid = table(1, 800), table(2, 800)
    y, y_valid = target(X, 0), target(X_valid, 0, seed=1)
    grown = forest(X, y, num_trees=60, min_samples_leaf=3, max_features=0.5)
    inside = ((grown.oob[:, 0] - y) ** 2).mean()
    outside = ((grown.ensemble.predict(X_valid) - y_valid) ** 2).mean()
    assert inside == pytest.approx(outside, rel=0.2)
    assert inside > 2 * ((grown.ensemble.predict(X) - y) ** 2).mean()  # which is no error to trust


def test_without_bootstrap_nothing_is_out_of_bag():
    assert extra_trees(ROWS, NUMBERS, num_trees=3).oob is None
    assert tree(ROWS, NUMBERS).oob is None


@pytest.mark.parametrize(
    "name", ["forest, 4 classes", "extra trees, 3 classes", "lightgbm, 4 classes, sets",
             "histograms, 2 classes, sets"],
)  # fmt: skip
def test_trees_do_not_depend_on_threads(name):
    one, two = (FAMILIES[name].grown(ROWS, num_threads=count).ensemble for count in (1, 2))
    for array, same in zip(one.to_arrays()[0].values(), two.to_arrays()[0].values(), strict=True):
        np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("grower", GROWERS)
def test_the_global_generator_is_left_alone_and_the_seed_decides(grower):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - it is what must not move
    first, again = (GROWERS[grower](ROWS, NUMBERS, seed=7).ensemble for _ in range(2))
    np.testing.assert_array_equal(first.predict(ROWS), again.predict(ROWS))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("seed", [-1, 2**40])
@pytest.mark.parametrize("grower", GROWERS)
def test_any_whole_number_is_a_seed(grower, seed):
    assert np.isfinite(GROWERS[grower](ROWS, NUMBERS, seed=seed).ensemble.predict(ROWS)).all()


@pytest.mark.parametrize("grower", ["majority", "one_r", "tree", "forest", "extra_trees"])
def test_a_class_without_rows_has_the_probability_zero(grower):
    y = 2 * target(ROWS, 2)
    probs = GROWERS[grower](ROWS, y, num_classes=4).ensemble.predict(ROWS)
    assert probs.shape == (200, 4)
    assert not probs[:, [1, 3]].any()
    np.testing.assert_allclose(probs.sum(axis=1), 1)


def test_majority_is_the_mean_or_the_shares():
    weights = np.arange(200.0)
    assert majority(ROWS, NUMBERS).ensemble.predict(ROWS[:1])[0] == pytest.approx(NUMBERS.mean())
    y = target(ROWS, 3)
    weighted = majority(ROWS, y, num_classes=3, sample_weight=weights).ensemble.predict(ROWS[:1])
    np.testing.assert_allclose(weighted[0], np.bincount(y, weights) / weights.sum())
    assert majority(np.zeros((200, 0)), NUMBERS).ensemble.predict(np.zeros((3, 0))).shape == (3,)


def test_one_r_keeps_what_its_node_tells():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    trees = one_r(x[:, None], np.array([0, 0, 1, 1]), num_classes=2).ensemble
    assert trees.threshold.tolist() == [2.0, 0.0, 0.0]
    assert trees.impurity.tolist() == [0.5, 0.0, 0.0]  # Gini
    assert trees.gain.tolist() == [0.5, 0.0, 0.0]
    assert trees.value.tolist() == [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    assert trees.cover.tolist() == [4.0, 2.0, 2.0]


REFUSED = {
    "a table that is none": (
        lambda: tree(NUMBERS, NUMBERS), ShapeError,
        r"^Trees grow on numbers of shape \(N, K\)\. Got shape \(200,\) and float64\.$",
    ),
    "no rows": (
        lambda: tree(ROWS[:0], NUMBERS[:0]), DataError,
        r"^There are no rows to grow trees on\. Give at least one\.$",
    ),
    "no columns": (
        lambda: forest(ROWS[:, :0], NUMBERS), DataError,
        r"^There are no columns that trees could ask about\. Take `majority`\.$",
    ),
    "another length": (
        lambda: tree(ROWS, NUMBERS[:9]), ShapeError,
        r"^The target has the shape \(9,\), expected \(200,\): one a row\.$",
    ),
    "infinity": (
        lambda: boosting(np.where(np.arange(5) == 2, np.inf, ROWS), NUMBERS), DataError,
        r"^Column 2 holds inf in row 0, which trees cannot compare\. Make it missing \(NaN\), or a "
        r"number that float32 can hold\.$",
    ),
    "beyond float32": (
        lambda: tree(np.full((200, 1), 1e39), NUMBERS), DataError, r"^Column 0 holds 1e\+39 in row 0",
    ),
    "a target that is missing": (
        lambda: tree(ROWS, np.where(np.arange(200) == 7, np.nan, NUMBERS)), DataError,
        r"^The target is nan in row 7\. Drop the rows that have none, and scale numbers beyond "
        r"1e\+15\.$",
    ),
    "one class": (
        lambda: tree(ROWS, np.zeros(200, int), num_classes=1), ConfigError,
        r"^`num_classes` is 2 or more, or 0 where the target is a number\. Got 1\.$",
    ),
    "a class too many": (
        lambda: tree(ROWS, np.full(200, 3), num_classes=3), DataError,
        r"^The target of 3 classes holds whole numbers from 0 to 2\. Got int64 from 3 to 3\.$",
    ),
    "numbers as classes": (
        lambda: tree(ROWS, NUMBERS, num_classes=3), DataError, r"Got float64 from",
    ),
    "weights below zero": (
        lambda: tree(ROWS, NUMBERS, sample_weight=-np.ones(200)), DataError,
        r"^`sample_weight` holds a number that is negative or not finite, or only zeros\. Give each "
        r"row what it counts: 1 for one\.$",
    ),
    "weights of another length": (
        lambda: tree(ROWS, NUMBERS, sample_weight=np.ones(9)), ShapeError,
        r"^`sample_weight` has the shape \(9,\), expected \(200,\)\.$",
    ),
    "weights of one_r": (
        lambda: one_r(ROWS, NUMBERS, sample_weight=np.ones(200)), ConfigError,
        r"^`one_r` counts rows and takes no `sample_weight`\. Leave it out\.$",
    ),
    "a column of one_r": (
        lambda: one_r(ROWS, NUMBERS, column=5), ConfigError,
        r"^`column` is one of 0 to 4\. Got 5\.$",
    ),
    "a threshold of no column": (
        lambda: one_r(ROWS, NUMBERS, threshold=1.0), ConfigError,
        r"^`threshold` is a finite number of the `column` that is given with it\. Got 1\.0 and the "
        r"column None\.$",
    ),
    "no trees": (
        lambda: forest(ROWS, NUMBERS, num_trees=0), ConfigError,
        r"^`num_trees` is a whole number from 1 up\. Got 0\.$",
    ),
    "half a leaf": (
        lambda: tree(ROWS, NUMBERS, min_samples_leaf=0.5), ConfigError,
        r"^`min_samples_leaf` is a whole number from 1 up\. Got 0\.5\.$",
    ),
    "a share of columns": (
        lambda: forest(ROWS, NUMBERS, max_features=1.5), ConfigError,
        r"^`max_features` is a count from 1 up, a share above 0 up to 1\.0, or 'sqrt' or 'log2'\. "
        r"Got 1\.5\.$",
    ),
    "rows that are not drawn": (
        lambda: extra_trees(ROWS, NUMBERS, max_samples=0.5), ConfigError,
        r"^`max_samples` says how many rows are drawn for a tree, and without `bootstrap` none are\. "
        r"Leave it out, or set `bootstrap=True`\.$",
    ),
    "more rows than there are": (
        lambda: forest(ROWS, NUMBERS, max_samples=201), ConfigError,
        r"^`max_samples` is 201, and there are 200 rows\. Give at most as many, or a share\.$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_grown_is_refused(case):
    grow, error, sentence = REFUSED[case]
    with pytest.raises(error, match=sentence) as caught:
        grow()
    assert isinstance(caught.value, DrivetrainError)
