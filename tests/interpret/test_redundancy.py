"""Columns that say the same: merged at exactly 1, scipy's clusters, and the model without each."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError, InputError, ShapeError
from drivetrain.interpret.redundancy import redundant_columns, without_each
from tests.interpret.models import numbers


def tied(seed: int = 0, rows: int = 200) -> tuple[np.ndarray, list[str]]:
    r = np.random.default_rng(seed)
    matrix = r.integers(0, 12, size=(rows, 6)).astype(np.float64)
    matrix[:, 1] += matrix[:, 0] * 2
    matrix[:, 3] = matrix[:, 2] + (r.random(rows) < 0.05)
    return matrix, list("abcdef")


@pytest.mark.row(97)
def test_correlation_and_clusters_are_scipys():
    matrix, names = tied()
    found = redundant_columns(matrix, names)
    spearman = spearmanr(matrix).statistic
    np.testing.assert_allclose(found.correlation, spearman, rtol=0, atol=1e-12)
    distance = squareform(1 - np.abs(found.correlation), checks=False)
    np.testing.assert_array_equal(found.merges, hierarchy.linkage(distance, method="average"))


@pytest.mark.row(97)
@given(st.lists(st.integers(-100, 100), min_size=3, max_size=40), st.integers(0, 99))
def test_copy_rising_or_falling_transform_merge_at_exactly_one(values, seed):
    x = np.array(values, dtype=np.float64)
    if len(set(values)) == 1:
        return
    r = np.random.default_rng(seed)
    frame = Frame({
        "other": r.permutation(len(x)).astype(np.float64),
        "x": x,
        "copy": x.copy(),
        "rising": np.exp(x / 50),
        "falling": -(x**3),
    })  # fmt: skip
    found = redundant_columns(frame)
    assert found.correlation[1, 2] == found.correlation[1, 3] == 1.0
    assert found.correlation[1, 4] == -1.0
    together = [set(c.names) >= {"x", "copy", "rising", "falling"} for c in found.duplicates]
    assert together == [True]
    assert found.duplicates[0].at == 1.0


@pytest.mark.row(97)
def test_one_row_out_of_order_is_no_duplicate():
    x = np.arange(3_000.0)
    nearly = x.copy()
    nearly[[7, 8]] = nearly[[8, 7]]
    found = redundant_columns(np.stack([x, nearly], axis=1), ["x", "nearly"])
    assert found.duplicates == ()
    assert found.clusters()[0].names == ("x", "nearly") and found.clusters()[0].at > 0.999999


def test_categories_take_part_with_their_codes_a_missing_one_below_all():
    x = np.array([2.0, 0.0, 1.0, 2.0, -1.0, 1.0])
    words = Factor.of(["c", "a", "b", "c", None, "b"])
    found = redundant_columns(Frame({"x": x, "w": words}))
    assert found.duplicates[0].names == ("x", "w")


def test_dates_are_numbers_and_missing_ones_stay_out():
    days = np.datetime64("2020-01-01", "us") + np.arange(50) * np.timedelta64(1, "D")
    elapsed = np.arange(50.0) * 86_400
    days[3], elapsed[10] = np.datetime64("NaT"), np.nan
    found = redundant_columns(Frame({"day": days, "elapsed": elapsed}))
    assert found.correlation[0, 1] == pytest.approx(1.0, abs=1e-3)


def test_constant_columns_are_told_and_not_clustered():
    frame = numbers(0, 30, 2).with_column("same", np.full(30, 4.0))
    found = redundant_columns(frame)
    assert found.constant == ("same",) and found.clustered == ("c0", "c1")
    assert found.merges.shape == (1, 4)
    assert "All values equal: same." in str(found)
    assert found.to_json()["correlation"][2] == [None, None, None]
    alone = redundant_columns(frame, ["same"])
    assert alone.merges.shape == (0, 4) and alone.clusters(0.0) == ()


def test_clusters_grow_as_less_is_asked():
    matrix, names = tied()
    found = redundant_columns(matrix, names)
    assert [c.names for c in found.clusters(0.95)] == [("c", "d")]
    assert {c.names for c in found.clusters(0.8)} == {("a", "b"), ("c", "d")}
    assert [sorted(c.names) for c in found.clusters(0.0)] == [names]


def test_prints_what_goes_together_and_is_plain_json():
    matrix, names = tied()
    matrix[:, 5] = -matrix[:, 4]
    found = redundant_columns(matrix, names)
    lines = str(found).splitlines()
    assert lines[0] == "Columns that go together (rank correlation 0.9 or more):"
    assert lines[2] == "1.0000  e, f"
    assert lines[-1] == "The same order in every row: e, f. One of them is enough."
    assert json.loads(json.dumps(found.to_json()))["duplicates"] == [["e", "f"]]
    free = redundant_columns(numbers(0, 50, 3))
    assert str(free) == "No columns of 3 go together by a rank correlation of 0.9 or more."


@pytest.mark.row(97)
def test_forest_without_each_column_and_without_both_of_a_pair():
    r = np.random.default_rng(0)
    x, noise = r.normal(size=300), r.normal(size=300)
    frame = Frame({"x": x, "copy": np.exp(x), "noise": noise})
    y = x + r.normal(size=300) / 10
    asked = []

    def fit_score(names):
        asked.append(names)
        forest = RandomForestRegressor(20, oob_score=True, random_state=0)
        squared = (forest.fit(frame.matrix(names), y).oob_prediction_ - y) ** 2
        return squared.mean(), squared.std() / np.sqrt(300)

    found = without_each(fit_score, frame.names, candidates=["x", "copy", "noise", ("x", "copy")])
    assert asked == [
        ["x", "copy", "noise"],
        ["copy", "noise"],
        ["x", "noise"],
        ["x", "copy"],
        ["noise"],
    ]
    assert [(one.without, one.is_within) for one in found.refits] == [
        ("x", True), ("copy", True), ("noise", True), ("x, copy", False),
    ]  # fmt: skip
    assert found.refits[3].change == pytest.approx(found.refits[3].score - found.full.score)
    lines = str(found).splitlines()
    assert lines[0].split() == ["without", "column", "score", "s.e.", "worse", "by"]
    assert lines[5].startswith("x, copy ") and lines[5].endswith(" worse")


def test_score_that_points_up_is_worse_when_it_falls():
    found = without_each(lambda names: (len(names) / 4, 0.1), list("abcd"), higher_is_better=True)
    assert {one.change for one in found.refits} == {0.25}
    assert not any(one.is_within for one in found.refits)
    better = without_each(lambda names: (len(names) / 4, 0.1), list("abcd"))
    assert {one.change for one in better.refits} == {-0.25}
    assert all(one.is_within for one in better.refits)
    assert json.loads(json.dumps(found.to_json()))["full"] == {"score": 1.0, "stderr": 0.1}


def test_refusals():
    matrix, names = tied()
    with pytest.raises(ShapeError) as shape:
        redundant_columns(matrix)
    assert str(shape.value) == (
        "`redundant_columns` got a matrix of shape (200, 6) and no names, expected one name a column."
    )
    with pytest.raises(DataError, match=r"needs one column or more, of two rows or more\.$"):
        redundant_columns(matrix[:1], names)
    with pytest.raises(
        ConfigError, match=r"^`at_least` is a rank correlation in \[0, 1\]\. Got 2\.$"
    ):
        redundant_columns(matrix, names).clusters(2)
    with pytest.raises(DataError, match=r"got candidates that are none of the columns: z\.$"):
        without_each(lambda n: (0, 0), ["a", "b"], candidates=["z"])
    with pytest.raises(DataError, match=r"cannot leave out every column: nothing would be left"):
        without_each(lambda n: (0, 0), ["a", "b"], candidates=[("b", "a")])
    with pytest.raises(InputError) as result:
        without_each(lambda n: 0.5, ["a", "b"])
    assert str(result.value) == (
        "`without_each` got 0.5 from `fit_score`, expected the score and its standard error."
    )
    with pytest.raises(InputError, match=r"got the score nan with the standard error 1\.0 from"):
        without_each(lambda n: (float("nan"), 1), ["a", "b"])
