"""Partial dependence: scikit-learn's values, single rows, every kind of column, and where it guesses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.inspection import partial_dependence as of_sklearn

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import asking
from drivetrain.interpret.grids import make_grid
from drivetrain.interpret.partial import partial_dependence
from drivetrain.interpret.partial_2d import partial_dependence_2d
from tests.interpret.models import mixed, numbers, of_matrix, of_mixed

CAUSE = "The curve shows what the model answers when {} alone is changed; a link is not a cause."


@pytest.fixture(scope="module")
def regression():
    frame = numbers(0, 120, 4)
    X = frame.matrix()
    return frame, RandomForestRegressor(10, random_state=0).fit(X, X[:, 0] ** 2 + X[:, 1] * X[:, 2])


@pytest.fixture(scope="module")
def classes():
    frame = numbers(1, 120, 3)
    X = frame.matrix()
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
    return frame, RandomForestClassifier(10, random_state=0).fit(X, y)


@pytest.mark.row(98)
def test_equals_scikit_learn_brute_force_with_every_single_row(regression):
    frame, model = regression
    for i, name in enumerate(frame.names):
        theirs = of_sklearn(
            model, frame.matrix(), [i], kind="both", method="brute", grid_resolution=25
        )
        grid = theirs["grid_values"][0]
        ours = partial_dependence(
            of_matrix(model.predict, frame.names), frame, name, grid=grid, ice=120
        )
        np.testing.assert_allclose(ours.mean, theirs["average"][0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(ours.curves, theirs["individual"][0], rtol=0, atol=1e-12)
        assert ours.curve_ids.tolist() == list(range(120))


@pytest.mark.row(98)
def test_equals_scikit_learn_for_probabilities(classes):
    frame, model = classes
    theirs = of_sklearn(model, frame.matrix(), [0], kind="both", method="brute", grid_resolution=10)
    ours = partial_dependence(
        of_matrix(model.predict_proba, frame.names), frame, "c0",
        grid=theirs["grid_values"][0], ice=120, outputs=("low", "middle", "high"),
    )  # fmt: skip
    np.testing.assert_allclose(ours.mean.T, theirs["average"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.curves.transpose(2, 0, 1), theirs["individual"], atol=1e-12)
    np.testing.assert_allclose(ours.mean.sum(axis=1), 1.0)
    assert str(ours).splitlines()[1].split() == ["c0", "low", "middle", "high", "rows", "near"]


@pytest.mark.row(98)
def test_two_columns_equal_scikit_learn(regression):
    frame, model = regression
    theirs = of_sklearn(model, frame.matrix(), [(1, 2)], method="brute", grid_resolution=7)
    ours = partial_dependence_2d(
        of_matrix(model.predict, frame.names), frame, "c1", "c2", grids=tuple(theirs["grid_values"])
    )
    np.testing.assert_allclose(ours.mean, theirs["average"][0], rtol=0, atol=1e-12)


def test_call_in_pieces_gives_the_same_values(monkeypatch, regression):
    frame, model = regression
    sizes = []

    def predict(rows):
        sizes.append(len(rows))
        return model.predict(rows.matrix(frame.names))

    whole = partial_dependence(predict, frame, "c0", num_points=10)
    assert sizes == [1_200]
    both = partial_dependence_2d(predict, frame, "c1", "c2", num_points=4)
    sizes.clear()
    monkeypatch.setattr(asking, "MOST_CELLS", 4 * 120 * 4)
    pieces = partial_dependence(predict, frame, "c0", num_points=10)
    assert sizes == [480, 480, 240]
    assert pieces.mean.tolist() == whole.mean.tolist()
    assert pieces.curves.tolist() == whole.curves.tolist()
    again = partial_dependence_2d(predict, frame, "c1", "c2", num_points=4)
    assert again.mean.tolist() == both.mean.tolist()


@pytest.mark.row(98)
def test_categories_dates_and_missing_values_by_the_definition():
    frame = mixed()
    for name in ("age", "day", "kind"):
        found = partial_dependence(of_mixed, frame, name, num_points=8, ice=3)
        assert found.grid.has_missing and found.grid.labels[-1] == "missing"
        assert found.grid.counts.sum() == len(frame)
        for place in range(len(found.grid)):
            column = found.grid.values[np.full(len(frame), place)]
            answers = of_mixed(frame.with_column(name, column))
            np.testing.assert_allclose(found.mean[place], answers.mean(), rtol=0, atol=1e-12)
            np.testing.assert_array_equal(found.curves[:, place], answers[found.curve_ids])
    kinds = partial_dependence(of_mixed, frame, "kind")
    assert kinds.grid.plain == ["a", "b", "c", None]
    np.testing.assert_allclose(kinds.mean - kinds.mean[0], [0.0, -2.0, 2.0, -1.0], atol=1e-12)


def test_grid_that_is_given_is_sorted_and_may_be_words_or_dates():
    frame = mixed()
    words = partial_dependence(of_mixed, frame, "kind", grid=["c", None, "a"])
    assert words.grid.plain == ["a", "c", None]
    days = partial_dependence(of_mixed, frame, "day", grid=["2020-05-01", "2020-02-01"])
    assert days.grid.labels == ["2020-02-01", "2020-05-01"]
    np.testing.assert_allclose(days.mean[1] - days.mean[0], 1.5, atol=1e-12)
    assert partial_dependence(of_mixed, frame, "age", grid=[3, 1, 3]).grid.plain == [1.0, 3.0]


def test_most_frequent_categories_are_taken_and_the_rest_is_counted():
    words = [w for w, n in (("a", 3), ("b", 9), ("c", 1), ("d", 5)) for _ in range(n)]
    frame = Frame({"w": Factor.of(words, levels=["a", "b", "c", "d", "unused"])})
    found = partial_dependence(lambda f: f.factor("w").codes * 1.0, frame, "w", num_points=2)
    assert found.grid.plain == ["b", "d"] and found.grid.left_out == 2
    assert found.grid.counts.tolist() == [9, 5]
    assert str(found).splitlines()[-2].startswith("2 rarer categories are left out.")
    everything = partial_dependence(lambda f: f.factor("w").codes * 1.0, frame, "w")
    assert everything.grid.plain == ["a", "b", "c", "d"]  # a level that never occurs is not asked


@given(
    st.lists(st.one_of(st.integers(-30, 30), st.none()), min_size=1, max_size=80),
    st.integers(2, 20),
)
def test_grid_holds_values_that_occur_in_ascending_order(values, most):
    column = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    if np.isnan(column).all():
        return
    grid = make_grid("test", Frame({"x": column}), "x", None, most)
    points = grid.numbers()[: len(grid) - grid.has_missing]
    assert grid.has_missing == bool(np.isnan(column).any())
    assert len(points) <= most
    assert (np.diff(points) > 0).all() and np.isin(points, column).all()
    assert grid.counts.sum() == len(column)
    distinct = np.unique(column[~np.isnan(column)])
    if len(distinct) <= most:
        assert points.tolist() == distinct.tolist()
    nearest = grid.nearest(column)
    there = ~np.isnan(column)
    gaps = np.abs(column[there][:, None] - points)
    np.testing.assert_array_equal(gaps[np.arange(there.sum()), nearest[there]], gaps.min(axis=1))


def test_rows_of_the_single_curves_are_drawn_by_the_seed(regression):
    frame, model = regression
    predict = of_matrix(model.predict, frame.names)
    first = partial_dependence(predict, frame, "c0", ice=5, seed=1)
    assert len(first.curve_ids) == 5
    assert (
        partial_dependence(predict, frame, "c0", ice=5, seed=1).curve_ids.tolist()
        == first.curve_ids.tolist()
    )
    assert (
        partial_dependence(predict, frame, "c0", ice=5, seed=2).curve_ids.tolist()
        != first.curve_ids.tolist()
    )
    assert partial_dependence(predict, frame, "c0", ice=0).curves.shape[0] == 0


def test_centred_starts_at_zero_and_twice_is_once(regression):
    frame, model = regression
    found = partial_dependence(of_matrix(model.predict, frame.names), frame, "c0", ice=7)
    centred = found.centred()
    assert centred.mean[0] == 0 and (centred.curves[:, 0] == 0).all()
    np.testing.assert_allclose(np.diff(centred.curves), np.diff(found.curves), atol=1e-12)
    assert centred.centred() is centred
    assert str(centred).startswith("Difference to the first value of the mean prediction")


@pytest.mark.row(99)
def test_page_always_says_that_a_link_is_not_a_cause(regression):
    frame, model = regression
    found = partial_dependence(of_matrix(model.predict, frame.names), frame, "c0")
    assert found.correlated == ()
    assert found.caution == CAUSE.format("c0")
    assert str(found).endswith(CAUSE.format("c0"))
    assert found.to_json()["caution"] == CAUSE.format("c0")


@pytest.mark.row(98)
@pytest.mark.row(99)
def test_correlated_columns_are_listed_and_where_the_curve_is_a_guess():
    r = np.random.default_rng(0)
    size = r.normal(size=600)
    frame = Frame({
        "size": size,
        "weight": -(size**3) + r.normal(size=600) * 0.02,
        "class": Factor.of(np.where(size > 0.5, "big", "small").tolist()),
        "colour": r.normal(size=600),
    })  # fmt: skip
    found = partial_dependence(lambda f: f.numbers("size"), frame, "size", num_points=9)
    assert [name for name, _ in found.correlated] == ["weight", "class"]
    assert -1 < found.correlated[0][1] < -0.95  # with its sign, as a rank correlation has one
    assert (found.support < 0.5).all()  # a value of `size` goes with few values of `weight`
    assert found.caution.startswith(
        f"size goes together with weight ({found.correlated[0][1]:.2f}) and class "
        f"({found.correlated[1][1]:.2f}). Moved alone, it makes rows that do not occur, and there the "
        "curve is the model's guess. At 9 of 9 values fewer than half of the rows asked are like real "
        "ones: "
    )
    assert found.caution.endswith(CAUSE.format("size"))
    assert "like real rows" in str(found)


@pytest.mark.row(98)
def test_support_finds_the_values_that_go_with_little():
    """`b` is free below 0 and tied to `a` above: only there are the rows asked unlike real ones."""
    r = np.random.default_rng(0)
    a = r.uniform(-1, 1, size=2_000)
    b = np.where(a < 0, r.uniform(-1, 1, size=2_000), a)
    frame = Frame({"a": a, "b": b})
    found = partial_dependence(lambda f: f.numbers("a"), frame, "a", num_points=20)
    points = found.grid.numbers()
    assert (found.support[points < -0.1] > 0.9).all()
    assert (found.support[points > 0.1] < 0.3).all()


def test_support_of_columns_that_are_free_is_near_one(monkeypatch):
    """Also where a column has many categories, of which a few rows cannot show more than a few."""
    from drivetrain.interpret import partial

    monkeypatch.setattr(partial, "CORRELATED", 0.0)
    r = np.random.default_rng(0)
    words = [f"w{i}" for i in r.integers(0, 200, size=1_000)]
    other = r.normal(size=1_000)
    other[r.random(1_000) < 0.3] = np.nan
    frame = Frame({"x": r.normal(size=1_000), "word": Factor.of(words), "other": other})
    found = partial_dependence(lambda f: f.numbers("x"), frame, "x", num_points=20)
    assert {name for name, _ in found.correlated} == {"word", "other"}
    assert (found.support > 0.7).all()


def test_interaction_is_zero_for_a_sum_and_the_share_of_a_product():
    grid = np.array([-1.0, 0.0, 1.0])
    frame = Frame({"a": np.tile(grid, 3), "b": np.repeat(grid, 3)})

    def asked(predict):
        return partial_dependence_2d(predict, frame, "a", "b")

    total = asked(lambda f: 2 * f.numbers("a") - np.exp(f.numbers("b")))
    assert total.interaction() == pytest.approx(0.0, abs=1e-12)
    assert asked(lambda f: f.numbers("a") * f.numbers("b")).interaction() == pytest.approx(1.0)
    half = asked(lambda f: f.numbers("a") + f.numbers("b") * f.numbers("a") * np.sqrt(1.5))
    assert half.interaction() == pytest.approx(0.5)  # both have the same variance on this grid
    assert asked(lambda f: np.full(len(f), 0.1)).interaction() == 0.0
    assert total.counts.tolist() == [[1, 1, 1]] * 3


@pytest.mark.row(99)
def test_two_columns_say_where_no_row_stands_and_how_they_go_together():
    grid = np.array([0.0, 1.0, 2.0])
    frame = Frame({"a": grid.repeat(5), "b": grid.repeat(5), "c": np.zeros(15)})
    found = partial_dependence_2d(lambda f: f.numbers("a") * f.numbers("b"), frame, "a", "b")
    assert found.counts.tolist() == [[5, 0, 0], [0, 5, 0], [0, 0, 5]]
    assert found.caution == (
        "No row stands near 6 of the 9 pairs: there the surface is the model's guess. a and b go "
        "together by 1.00. It shows what the model answers when a and b alone are changed; a link is not "
        "a cause."
    )
    assert str(found).splitlines()[1:3] == ["      0     1     2", "0  0.00  0.00  0.00"]
    with_constant = partial_dependence_2d(lambda f: f.numbers("a"), frame, "a", "c")
    assert with_constant.strength is None
    assert json.loads(json.dumps(found.to_json()))["counts"] == found.counts.tolist()


def test_plain_json_of_every_kind():
    for name in ("age", "day", "kind"):
        found = partial_dependence(of_mixed, mixed(), name, num_points=4, ice=2)
        record = json.loads(json.dumps(found.to_json()))
        assert record["grid"][-1] is None and record["kind"] == found.grid.kind
        np.testing.assert_array_equal(record["curves"], found.curves)


def test_refusals():
    frame = mixed()
    with pytest.raises(DataError, match=r"There is no column 'agee'\. Did you mean 'age'\?"):
        partial_dependence(of_mixed, frame, "agee")
    with pytest.raises(DataError) as word:
        partial_dependence(
            of_mixed, Frame({"w": Factor.of(["small", "large"])}), "w", grid=["smal"]
        )
    assert str(word.value) == (
        "`partial_dependence` got 'smal', no category of the column 'w'. Did you mean 'small'?"
    )
    with pytest.raises(DataError) as kind:
        partial_dependence(of_mixed, frame, "age", grid=["old"])
    assert str(kind.value) == (
        "`partial_dependence` got a grid that is not of the kind of the column 'age', float64: could not "
        "convert string to float: 'old'."
    )
    with pytest.raises(
        DataError, match=r"needs a grid of one or more values, none of them missing\.$"
    ):
        partial_dependence(of_mixed, frame, "age", grid=[1.0, np.nan])
    with pytest.raises(DataError, match=r"got the column 'x', in which every value is missing\.$"):
        partial_dependence(of_mixed, Frame({"x": np.full(3, np.nan)}), "x")
    with pytest.raises(
        ConfigError, match=r"^`partial_dependence` needs `num_points` of 2 or more\. Got 1\.$"
    ):
        partial_dependence(of_mixed, frame, "age", num_points=1)
    with pytest.raises(ConfigError, match=r"needs `ice` of 0 or more\. Got -1\.$"):
        partial_dependence(of_mixed, frame, "age", ice=-1)
    with pytest.raises(ConfigError, match=r"needs two columns\. Got 'age' twice\.$"):
        partial_dependence_2d(of_mixed, frame, "age", "age")
    found = partial_dependence(of_mixed, frame, "age")
    with pytest.raises(
        ConfigError, match=r"^The predictions are one number a row\. Got `output=2`\.$"
    ):
        found.plot(output=2)
