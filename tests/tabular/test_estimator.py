"""The scikit-learn face: its own checks pass, its tools work, and what is inside is a TabularModel."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from drivetrain.errors import ConfigError, DataError, UnknownNameError
from drivetrain.tabular.estimator import (
    OF_COLUMNS,
    OF_MODELS,
    TabularClassifier,
    TabularRegressor,
)
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.gathering import gather
from drivetrain.tabular.models import fit, load
from drivetrain.tabular.preprocess import learn
from drivetrain.tabular.tuning.training import NET, settings_of
from tests.tabular.tables import passengers, sales

SMALL: dict[str, dict[str, Any]] = {
    "boosting": {"num_trees": 20, "learning_rate": 0.1},
    "boosting_sets": {"num_trees": 20, "learning_rate": 0.1},
    "forest": {"num_trees": 10},
    "extra_trees": {"num_trees": 10},
    "net": {"layers": [16], "batch_size": 16},
}
"""Settings that make a model quick."""


def checks(names: list[str]) -> list[Any]:
    """Each check of scikit-learn's for a classifier and a regressor of each model."""
    found = []
    for name in names:
        for kind in (TabularClassifier, TabularRegressor):
            pairs: Any = estimator_checks_generator(kind(name, **SMALL.get(name, {})))
            for estimator, check in pairs:
                if (
                    check.func.__name__ != "check_array_api_input"
                ):  # NumPy needs an environment for it
                    label = f"{kind.__name__} {name} {check.func.__name__}"
                    found.append(pytest.param(estimator, check, id=label))
    return found


@pytest.mark.parametrize(("estimator", "check"), checks(["boosting"]))
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"),
    checks([*sorted(set(FITTERS) - {"boosting"}), NET]),
)
def test_scikit_learns_checks_pass_for_every_model(estimator: Any, check: Any) -> None:
    check(estimator)


def people(count: int = 240) -> tuple[Any, Any]:
    """A frame of pandas, and a series."""
    frame = pd.DataFrame(passengers(count))
    return frame.drop(columns="lives"), frame["lives"]


def test_all_settings_of_all_models_are_parameters_and_no_others() -> None:
    assert set(OF_MODELS) == {name for model in [*FITTERS, NET] for name in settings_of(model)}
    assert set(OF_COLUMNS) == set(inspect.signature(learn).parameters) - {"frame"}
    known = {*OF_MODELS, *OF_COLUMNS, "model", "kinds", "random_state", "num_threads"}
    assert set(TabularClassifier().get_params()) == set(TabularRegressor().get_params()) == known
    defaults = inspect.signature(learn).parameters
    for name in OF_COLUMNS:
        assert TabularClassifier().get_params()[name] == defaults[name].default


@pytest.mark.parametrize("name", ["forest", "boosting", "linear", "tree"])
def test_it_answers_as_the_model_that_is_fitted_to_the_same_rows(name: str) -> None:
    settings = SMALL.get(name, {})
    data = gather(passengers(), "lives")
    model = fit(data, model=name, num_threads=1, settings=settings)
    X, y = people()
    rows = data.frame.ids[data.rows["train"]]
    estimator = TabularClassifier(name, **settings).fit(X.iloc[rows], y.iloc[rows])
    assert estimator.classes_.tolist() == list(model.target.classes) == ["no", "yes"]
    np.testing.assert_array_equal(estimator.predict_proba(X), model.predict(X).outputs)
    assert estimator.predict(X).tolist() == model.predict(X).labels
    assert estimator.to_model().name == name


def test_frames_of_pandas_polars_and_arrow_are_the_same() -> None:
    X, y = people()
    frame = pl.DataFrame(passengers())
    others = [
        (frame.drop("lives"), frame["lives"]),
        (frame.drop("lives").to_arrow(), passengers()["lives"]),
        (X.set_index(pd.Index(range(5, 245), name="place")), y.to_numpy()),
    ]
    first = TabularClassifier("tree").fit(X, y)
    assert first.feature_names_in_.tolist() == ["number", "sex", "class", "age", "port"]
    for rows, labels in others:
        again = TabularClassifier("tree").fit(rows, labels)
        np.testing.assert_array_equal(again.predict_proba(rows), first.predict_proba(X))
        assert again.feature_names_in_.tolist() == first.feature_names_in_.tolist()


def test_an_array_has_columns_of_numbers_and_missing_ones_stay_missing() -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(200, 3))
    is_missing = draw.random(200) < 0.3
    y = np.where(is_missing, 5.0, X[:, 0])
    X[is_missing, 2] = np.nan
    estimator = TabularRegressor("forest", num_trees=20).fit(X, y)
    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.score(X, y) > 0.95
    model = estimator.to_model()
    assert model.preprocess.columns == ("x0", "x1", "x2")
    by_name = {name: X[:, place] for place, name in enumerate(model.preprocess.columns)}
    np.testing.assert_array_equal(model.predict(by_name).values, estimator.predict(X))
    assert int(estimator.feature_importances_.argmax()) == 2  # its flag says where y is 5


def test_columns_of_an_array_may_be_codes() -> None:
    X = np.tile(np.arange(6.0), 30)[:, None]
    y = np.isin(X[:, 0], [1, 4])
    linear = TabularClassifier("linear").fit(X, y)
    assert linear.score(X, y) < 1
    as_codes = TabularClassifier("linear", kinds={"x0": "category"}).fit(X, y)
    assert as_codes.score(X, y) == 1
    assert as_codes.predict(X).dtype == bool


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1.0, 2.0], ("1", "2")),
        ([-1, 1], ("-1", "1")),
        (["b", "a"], ("a", "b")),
        (["?", "NA"], ("?", "NA")),  # words that stand for missing values elsewhere
        (["01", "1"], ("01", "1")),
        ([False, True], ("false", "true")),
    ],
)
def test_labels_come_back_as_they_were_and_have_a_word_each(labels: list, words: tuple) -> None:
    y = np.array(labels * 20)
    X = np.tile([[0.0], [1.0]], (20, 1))
    estimator = TabularClassifier("tree").fit(X, y)
    np.testing.assert_array_equal(estimator.predict(X), y)
    assert estimator.predict(X).dtype == y.dtype
    assert estimator.to_model().target.classes == words


def test_dates_are_expanded_and_their_importance_is_that_of_the_date() -> None:
    frame = pd.DataFrame(sales())
    frame["day"] = pd.to_datetime(frame["day"])
    X, y = frame.drop(columns="takings"), frame["takings"]
    estimator = TabularRegressor("forest", num_trees=20).fit(X, y)
    shares = estimator.feature_importances_
    assert shares.shape == (3,) and shares.sum() == pytest.approx(1)
    ensemble = estimator.to_model().estimator.ensemble
    names = estimator.to_model().preprocess.design_names
    of_day = [n for n, name in enumerate(names) if name.startswith("day.")]
    assert len(of_day) == 13
    assert shares[0] == pytest.approx(ensemble.importance()[of_day].sum())
    np.testing.assert_array_equal(estimator.predict(pl.from_pandas(X)), estimator.predict(X))


def test_a_column_that_is_not_used_counts_nothing() -> None:
    X, y = people()
    shares = TabularClassifier("tree").fit(X, y).feature_importances_
    assert shares[0] == 0 and shares[1] > 0.5  # an id; the sex


def test_search_pipelines_and_cross_validation_work() -> None:
    X, y = people()
    grid = {"model": ["tree", "majority"], "min_samples_leaf": [None]}
    search = GridSearchCV(TabularClassifier("forest"), grid, cv=3).fit(X, y)
    assert search.best_params_ == {"model": "tree", "min_samples_leaf": None}
    assert search.best_estimator_.to_model().name == "tree"
    numbers = np.random.default_rng(0).normal(size=(90, 2))
    pipe = make_pipeline(StandardScaler(), TabularRegressor("linear"))
    scores = cross_val_score(pipe, numbers, numbers @ [1, -2], cv=KFold(3))
    assert scores.min() > 0.99
    again = clone(search.best_estimator_)
    assert not hasattr(again, "model_") and again.get_params()["model"] == "tree"


def test_the_model_inside_is_saved_without_pickle_and_the_estimator_with_it(tmp_path: Path) -> None:
    X, y = people()
    estimator = TabularClassifier("forest", num_trees=10).fit(X, y)
    estimator.to_model().save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert loaded.predict(X).labels == estimator.predict(X).tolist()
    assert loaded.evaluate(X.assign(lives=y))["metrics"]["accuracy"] == estimator.score(X, y)
    again = pickle.loads(pickle.dumps(estimator))  # noqa: S301 - written a line before
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    assert estimator.to_model().data is None, "the rows are not carried along"


def test_several_numbers_are_predicted_by_the_models_that_can() -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.stack([X[:, 0], X[:, 1] - X[:, 0]], axis=1)
    assert TabularRegressor("linear", penalty=1e-6).fit(X, y).score(X, y) > 0.999
    with pytest.raises(ValueError, match=r"^y should be a 1d array, got an array of shape"):
        TabularRegressor("forest").fit(X, y)


def test_the_seed_is_random_state_and_may_be_a_generator() -> None:
    X, y = people()
    made = [
        TabularClassifier("forest", num_trees=5, random_state=state).fit(X, y).predict_proba(X)
        for state in (1, 1, 2, np.random.RandomState(0), np.random.RandomState(0))
    ]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[3], made[4])
    assert not np.array_equal(made[0], made[2])


def test_boosting_stops_by_the_rows_that_come_last_where_there_are_dates() -> None:
    frame = pd.DataFrame(sales())
    X, y = frame.drop(columns="takings"), frame["takings"]
    late = y.copy()
    late.iloc[270:] = -late.iloc[270:]  # the last tenth, by which it stops
    kept = [
        TabularRegressor("boosting").fit(X, one).to_model().fitted.curve.kept for one in (y, late)
    ]
    assert kept[0] > 50 > kept[1]


def test_mistakes_are_answered() -> None:
    X, y = people(60)
    with pytest.raises(UnknownNameError, match=r"^Unknown model 'forrest'\. Did you mean 'forest'"):
        TabularClassifier("forrest").fit(X, y)
    with pytest.raises(
        ConfigError,
        match=r"^'forest' has no setting 'penalty'\. It has: num_trees, min_samples_leaf, ",
    ):
        TabularClassifier("forest", penalty=1.0).fit(X, y)
    with pytest.raises(
        DataError,
        match=r"^All rows are of one class, no, so there is nothing to learn\. Give rows of two "
        r"classes or more\.$",
    ):
        TabularClassifier("tree").fit(X, ["no"] * 60)
    with pytest.raises(
        DataError,
        match=r"^X has no column to learn from: all are ids, texts or constant\. Say what they are: "
        r"kinds=\{'COLUMN': 'category'\}\.$",
    ):
        TabularClassifier("tree").fit(X[["number"]], y)
    with pytest.raises(ValueError, match=r"^could not convert string to float: ") as caught:
        TabularClassifier("tree").fit(X.to_numpy(), y)
    assert caught.value.__notes__ == [
        "An array holds numbers. Give words and dates as a frame of pandas, polars or Arrow."
    ]
    with pytest.raises(
        AttributeError, match=r"^'linear' has no `feature_importances_`: models of trees have\.$"
    ):
        _ = TabularClassifier("linear").fit(X, y).feature_importances_
    with pytest.raises(NotFittedError):
        TabularRegressor().to_model()
