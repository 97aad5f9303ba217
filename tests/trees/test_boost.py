"""Boosting: stages, the rate, stopping early, losses, categories, and refusals."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.trees.grow import boosting
from tests.trees.families import FAMILIES, asked, of_histograms, of_lightgbm, table, target

ROWS = table(0, 400)
NUMBERS = target(ROWS, 0)
VALID = table(1, 300)
LIBRARIES = ("lightgbm", "scikit-learn")


def losses(stages, y):
    return np.array([((one - y) ** 2).mean() for one in stages])


@pytest.mark.row(100)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("num_classes", [0, 2, 4])
def test_the_loss_falls_at_every_stage(library, num_classes):
    y = target(ROWS, num_classes)
    grown = boosting(ROWS, y, num_classes=num_classes, library=library, num_trees=30)
    assert len(grown.curve.train) == grown.curve.kept == 30
    assert (np.diff(grown.curve.train) < 0).all()
    assert grown.curve.valid is None
    if not num_classes:
        np.testing.assert_allclose(
            grown.curve.train, losses(grown.ensemble.staged(ROWS), y), rtol=1e-6
        )


@pytest.mark.row(100)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_leaf_is_the_rate_times_the_mean_of_what_was_left(library, rate):
    trees = boosting(
        ROWS, NUMBERS, library=library, num_trees=12, learning_rate=rate, num_leaves=8
    ).ensemble
    leaves, alone = trees.leaves(ROWS), trees.tree_outputs(ROWS)[:, :, 0]
    # LightGBM's first tree holds the base too.
    base = NUMBERS.mean() if library == "lightgbm" else 0.0
    so_far = np.full(len(ROWS), NUMBERS.mean())
    for index in range(trees.num_trees):
        left = NUMBERS - so_far
        for leaf in np.unique(leaves[:, index]):
            inside = leaves[:, index] == leaf
            mean = rate * left[inside].mean() + (base if index == 0 else 0.0)
            assert trees.value[leaf, 0] == pytest.approx(mean, abs=1e-6)  # of float32 gradients
        so_far += alone[index] - (base if index == 0 else 0.0)
    np.testing.assert_array_equal(
        trees.predict(ROWS), np.add.accumulate(np.stack([np.full(400, trees.base[0]), *alone]))[-1]
    )


@pytest.mark.row(101)
@pytest.mark.parametrize("library", LIBRARIES)
def test_stages_are_kept_up_to_the_lowest_loss_on_validation(library):
    y, y_valid = NUMBERS, target(VALID, 0, seed=5) + np.random.default_rng(0).normal(size=300)
    y = y + np.random.default_rng(1).normal(size=400)
    whole = boosting(ROWS, y, library=library, num_trees=120, learning_rate=0.3)
    grown = boosting(
        ROWS, y, library=library, num_trees=120, learning_rate=0.3, valid=(VALID, y_valid),
        patience=10,
    )  # fmt: skip
    by_stage = losses(whole.ensemble.staged(VALID), y_valid)
    best = int(by_stage.argmin())
    assert by_stage[-1] > 1.05 * by_stage[best]  # it turns up
    assert grown.curve.kept == best + 1 == grown.ensemble.num_trees
    assert len(grown.curve.valid) == len(grown.curve.train) == best + 1 + 10
    np.testing.assert_allclose(grown.curve.valid, by_stage[: best + 11], rtol=1e-6)
    np.testing.assert_array_equal(
        grown.ensemble.predict(VALID), list(whole.ensemble.staged(VALID))[best]
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_several_classes_stop_by_whole_stages(library):
    y, y_valid = target(ROWS, 3), target(VALID, 3, seed=5)
    grown = boosting(
        ROWS, y, num_classes=3, library=library, num_trees=60, learning_rate=0.5,
        valid=(VALID, y_valid), patience=5,
    )  # fmt: skip
    assert grown.ensemble.num_trees == 3 * grown.curve.kept
    probs = grown.ensemble.predict(VALID)
    loss = -np.log(probs[np.arange(300), y_valid]).mean()
    assert loss == pytest.approx(grown.curve.valid.min(), rel=1e-9)


@pytest.mark.parametrize(
    ("library", "oracle"), [("lightgbm", of_lightgbm), ("scikit-learn", of_histograms)]
)
def test_counts_have_the_loss_poisson(library, oracle):
    counts = np.random.default_rng(0).poisson(np.exp(np.clip(NUMBERS, -2, 2))).astype(float)
    settings = {"library": library, "num_trees": 30, "loss": "poisson"}
    grown = boosting(ROWS, counts, **settings)
    found = grown.ensemble.predict(asked())
    np.testing.assert_array_equal(
        found, oracle(ROWS, counts, {"num_classes": 0, **settings})(asked())
    )
    assert (found > 0).all()
    assert grown.ensemble.link == "exp"
    assert (np.diff(grown.curve.train) < 0).all()
    margins = np.log(grown.ensemble.predict(ROWS))
    np.testing.assert_allclose(margins, grown.ensemble.outputs(ROWS)[:, 0], atol=1e-12)


def test_scikit_learn_grows_where_lightgbm_is_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert boosting(ROWS, NUMBERS, num_trees=2).library == "scikit-learn"


def test_lightgbm_grows_by_default():
    grown = boosting(ROWS, NUMBERS, num_trees=2)
    assert grown.library == "lightgbm"
    assert grown.settings["loss"] == "squared_error"


@pytest.mark.parametrize("library", LIBRARIES)
def test_sets_of_codes_find_what_an_order_hides(library):
    # The target follows from sets of codes that no threshold tells apart.
    codes = np.random.default_rng(0).integers(0, 12, 1200)
    high = np.isin(codes, [0, 3, 4, 7, 9, 10])
    settings = {"library": library, "num_trees": 1, "num_leaves": 2, "learning_rate": 1.0}
    by_set = boosting(codes[:, None], high * 1.0, categorical=[0], **settings).ensemble
    by_order = boosting(codes[:, None], high * 1.0, **settings).ensemble
    assert (by_set.category >= 0).sum() == 1
    right = [((trees.predict(codes[:, None]) > 0.5) == high).mean() for trees in (by_set, by_order)]
    # LightGBM leaves the rarest code out of its sets.
    assert right[0] >= (1.0 if library == "scikit-learn" else 0.9) > 0.75 > right[1]


def test_unknown_and_missing_codes_take_the_side_of_missing_ones():
    trees = FAMILIES["histograms, 2 classes, sets"].grown(ROWS).ensemble
    rows = np.repeat(np.nan_to_num(ROWS[:1]), 5, axis=0)
    rows[:, 3] = [np.nan, -1.0, 40.0, 255.0, 1e9]
    assert len(np.unique(trees.predict(rows)[:, 1])) == 1


def test_rows_count_by_their_weights():
    weights = np.random.default_rng(0).random(400)
    library = HistGradientBoostingRegressor(max_iter=20, early_stopping=False, random_state=42)
    expected = library.fit(ROWS, NUMBERS, sample_weight=weights).predict(VALID)
    grown = boosting(ROWS, NUMBERS, library="scikit-learn", num_trees=20, sample_weight=weights)
    np.testing.assert_array_equal(grown.ensemble.predict(VALID), expected)
    one, two = (
        boosting(ROWS, NUMBERS, library="lightgbm", num_trees=5, sample_weight=weight).ensemble
        for weight in (weights, None)
    )
    assert (one.predict(VALID) != two.predict(VALID)).any()


def test_max_samples_draws_rows_by_the_seed():
    first, other, same = (
        boosting(ROWS, NUMBERS, num_trees=5, max_samples=0.5, seed=seed).ensemble.predict(VALID)
        for seed in (1, 2, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


REFUSED = {
    "a library": (
        {"library": "xgboost"}, ConfigError,
        r"^`library` is lightgbm or scikit-learn\. Got 'xgboost'\.$",
    ),
    "a rate": (
        {"learning_rate": 0}, ConfigError,
        r"^`learning_rate` is a number above 0 and up to 1\. Got 0\.$",
    ),
    "a penalty": ({"l2": -1}, ConfigError, r"^`l2` is a number from 0 up\. Got -1\.$"),
    "leaves": (
        {"num_leaves": 1}, ConfigError, r"^`num_leaves` is a whole number from 2 up\. Got 1\.$",
    ),
    "a loss": (
        {"loss": "absolute"}, ConfigError,
        r"^`loss` of numbers is squared_error or poisson\. Got 'absolute'\.$",
    ),
    "counts below zero": (
        {"loss": "poisson"}, DataError,
        r"^The loss poisson is of counts: none negative, and not all 0\. The target's least is "
        r"-[0-9.]+\. Use squared_error\.$",
    ),
    "shares of rows": (
        {"library": "scikit-learn", "max_samples": 0.5}, ConfigError,
        r"^scikit-learn's boosting fits each tree to all rows\. Leave `max_samples` out, or use "
        r"lightgbm\.$",
    ),
    "a column": (
        {"categorical": [5]}, ConfigError, r"^`categorical` names columns from 0 to 4\. Got 5\.$",
    ),
    "codes": (
        {"categorical": [0]}, DataError,
        r"^The categorical column 0 holds -?[0-9.]+\. Its codes are whole numbers from 0 up, and NaN "
        r"where missing\.$",
    ),
    "other columns": (
        {"valid": (VALID[:, :4], np.zeros(300))}, ShapeError,
        r"^`valid` has 4 columns, and the training rows 5\.$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_boosted_is_refused(case):
    settings, error, sentence = REFUSED[case]
    with pytest.raises(error, match=sentence):
        boosting(ROWS, NUMBERS, **settings)


def test_a_class_without_rows_is_refused():
    with pytest.raises(
        DataError,
        match=r"^No row is of class 2 of 3, and boosting has to see each\. Leave such classes out, or "
        r"grow a forest\.$",
    ):
        boosting(ROWS, target(ROWS, 2), num_classes=3)


def test_a_loss_of_numbers_is_refused_for_classes():
    with pytest.raises(ConfigError, match=r"^`loss` of classes is log_loss\. Got 'poisson'\.$"):
        boosting(ROWS, target(ROWS, 2), num_classes=2, loss="poisson")


def test_more_codes_than_scikit_learn_takes_are_refused():
    codes = np.arange(400)[:, None]
    with pytest.raises(
        ConfigError,
        match=r"^scikit-learn's boosting takes 255 categories a column, and column 0 has 400\. Use "
        r"lightgbm, or give it as a number\.$",
    ):
        boosting(codes, NUMBERS, library="scikit-learn", categorical=[0])
    assert boosting(codes, NUMBERS, library="lightgbm", categorical=[0]).ensemble.num_trees
