"""Columns that can go: the score holds, the fits are few, and one column more is too much."""

from __future__ import annotations

import json
from math import log2

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.ensemble import RandomForestRegressor

from drivetrain.errors import ConfigError, DataError, InputError
from drivetrain.interpret.columns import columns_to_drop
from drivetrain.interpret.importance import permutation_importance
from tests.interpret.models import numbers, of_matrix, r2


@pytest.mark.row(96)
def test_columns_of_noise_go_and_the_out_of_bag_error_stays_within_one_standard_error():
    frame = numbers(0, 400, 12)
    X = frame.matrix()
    y = 3 * X[:, 4] + 2 * X[:, 7] * X[:, 1] + np.random.default_rng(1).normal(size=400)

    def fit_score(names):
        forest = RandomForestRegressor(25, min_samples_leaf=3, oob_score=True, random_state=0)
        squared = (forest.fit(frame.matrix(names), y).oob_prediction_ - y) ** 2
        return squared.mean(), squared.std() / np.sqrt(400)

    forest = RandomForestRegressor(25, random_state=0).fit(X, y)
    gain = dict(zip(frame.names, forest.feature_importances_, strict=True))
    found = columns_to_drop(fit_score, gain)
    assert set(found.kept) >= {"c4", "c7", "c1"} and len(found.dropped) >= 7
    assert found.kept[0] == max(gain, key=gain.get)
    assert found.final.score <= found.full.score + found.full.stderr == found.limit
    kept = [name for name in frame.names if name in found.kept]
    assert found.final == pytest.approx(fit_score(kept))
    importance = permutation_importance(of_matrix(forest.predict, frame.names), frame, y, r2)
    assert set(columns_to_drop(fit_score, importance).kept) >= {"c4", "c7", "c1"}


@given(st.integers(1, 200), st.data())
def test_exactly_the_columns_that_are_needed_stay_after_few_fits(count, data):
    needed = data.draw(st.integers(1, count))
    names = [f"c{i}" for i in range(count)]
    importances = {name: i for i, name in enumerate(names)}  # the last ones are needed
    calls = []

    def fit_score(left):
        calls.append(left)
        assert left == [name for name in names if name in set(left)]
        return (0.0 if len(left) >= needed else 1.0), 0.5

    found = columns_to_drop(fit_score, importances)
    assert set(found.kept) == set(names[count - needed :])
    assert set(found.kept) | set(found.dropped) == set(names)
    assert len(calls) <= 2 * log2(count) + 3
    assert calls.count(names) == 1


@pytest.mark.row(96)
def test_limit_is_one_standard_error_whichever_way_the_score_points():
    def error(left):
        return 1.0 + 0.04 * (5 - len(left)), 0.1

    found = columns_to_drop(error, dict.fromkeys("abcde", 0.0) | {"e": 1.0})
    assert len(found.dropped) == 2 and found.final.score == pytest.approx(1.08)
    assert found.limit == pytest.approx(1.1)
    up = columns_to_drop(
        lambda n: (-error(n)[0], 0.1), dict.fromkeys("abcde", 0), higher_is_better=True
    )
    assert up.dropped == found.dropped and up.limit == pytest.approx(-1.1)
    assert columns_to_drop(error, dict.fromkeys("abcde", 0.0), num_stderr=0).dropped == ()
    assert len(columns_to_drop(error, dict.fromkeys("abcde", 0.0), num_stderr=2).dropped) == 4


def test_single_column_stays():
    found = columns_to_drop(lambda n: (0.0, 0.0), {"a": 0.0})
    assert found.kept == ("a",) and found.dropped == () and found.steps == ()


def test_prints_every_try_and_is_plain_json():
    found = columns_to_drop(
        lambda n: (0.5 if "d" in n else 0.9, 0.01), {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}
    )
    assert str(found) == (
        "left out as well  columns left   score    s.e.\n"
        "(none)                       5  0.5000  0.0100\n"
        "a                            4  0.5000  0.0100  dropped\n"
        "b and c                      2  0.5000  0.0100  dropped\n"
        "d                            1  0.9000  0.0100     kept\n"
        "3 of 5 columns can go: the score is 0.5000 without them and 0.5000 with all, and 0.5100 was "
        "the\nlimit. Kept: e, d."
    )
    record = json.loads(json.dumps(found.to_json()))
    assert record["dropped"] == ["a", "b", "c"] and record["steps"][1]["tried"] == ["b", "c"]


def test_refusals():
    with pytest.raises(DataError, match=r"^`columns_to_drop` got no columns\.$"):
        columns_to_drop(lambda n: (0, 0), {})
    with pytest.raises(ConfigError, match=r"needs `num_stderr` of 0 or more\. Got -1\.$"):
        columns_to_drop(lambda n: (0, 0), {"a": 1}, num_stderr=-1)
    with pytest.raises(InputError, match=r"got the score 0\.0 with the standard error -1\.0 from"):
        columns_to_drop(lambda n: (0, -1), {"a": 1})
