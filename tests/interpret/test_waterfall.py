"""A prediction as a sum: the sum is checked, the largest parts come first, nothing is lost."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.tree import DecisionTreeRegressor

from drivetrain.errors import InputError, ShapeError
from drivetrain.interpret.waterfall import waterfall


def along_the_path(tree, row):
    """What each split on the row's way adds: the difference of the means of its two nodes."""
    nodes = tree.decision_path(row[None]).indices
    means = tree.tree_.value[:, 0, 0]
    adds = np.zeros(len(row))
    for parent, child in pairwise(nodes):
        adds[tree.tree_.feature[parent]] += means[child] - means[parent]
    return means[0], adds


@pytest.mark.row(95)
def test_base_and_contributions_of_a_tree_add_up_to_its_prediction():
    r = np.random.default_rng(0)
    X = r.normal(size=(200, 5))
    tree = DecisionTreeRegressor(max_depth=6, random_state=0).fit(X, X[:, 0] * X[:, 1] + 10)
    for row in X[:20]:
        base, adds = along_the_path(tree, row)
        found = waterfall(base, adds, tree.predict(row[None])[0], list("abcde"))
        total = found.base + sum(part.contribution for part in found.parts)
        assert total == pytest.approx(found.prediction, abs=1e-9)


@pytest.mark.row(95)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    st.floats(-1e6, 1e6),
    st.integers(1, 50),
)
def test_parts_are_ordered_by_size_and_shortening_keeps_the_sum(adds, base, most):
    prediction = base + float(np.sum(adds))
    found = waterfall(base, adds, prediction, [f"c{i}" for i in range(len(adds))])
    sizes = [abs(part.contribution) for part in found.parts]
    assert sizes == sorted(sizes, reverse=True)
    assert {(p.name, p.contribution) for p in found.parts} == {
        (f"c{i}", a) for i, a in enumerate(adds)
    }
    short = found.shortened(most)
    assert len(short) == min(most, len(adds))
    assert sum(p.contribution for p in short) == pytest.approx(sum(adds), abs=1e-6)


@pytest.mark.row(95)
def test_sum_that_is_none_is_refused():
    waterfall(10.0, [0.5, -0.25], 10.25 + 9e-10, ["a", "b"])
    with pytest.raises(InputError) as caught:
        waterfall(10.0, [0.5, -0.25], 10.3, ["a", "b"])
    assert str(caught.value) == (
        "`waterfall` got parts that add up to 10.25, and a prediction of 10.3. Take base, contributions "
        "and prediction of the same model, row and output."
    )
    with pytest.raises(InputError, match=r"parts that add up to nan"):
        waterfall(float("nan"), [0.0], 1.0, ["a"])
    with pytest.raises(InputError, match=r"parts that add up to 0\.10000002"):
        waterfall(0.1, [2e-8], 0.1, ["a"])


def test_prints_the_running_sum_and_is_plain_json():
    found = waterfall(
        10.1,
        [0.2, -0.4, 0.05],
        9.95,
        ["year", "size", "hours"],
        shown=["2004", "Mini", ""],
        unit="log price",
    )
    assert str(found) == (
        "column     value    adds   makes\n"
        "start                     10.100\n"
        "size       Mini   -0.400   9.700\n"
        "year       2004   +0.200   9.900\n"
        "hours             +0.050   9.950\n"
        "log price         -0.150   9.950"
    )
    assert json.loads(json.dumps(found.to_json()))["parts"][0] == {
        "name": "size", "shown": "Mini", "contribution": -0.4,
    }  # fmt: skip


def test_many_columns_are_taken_together_when_printed():
    found = waterfall(0.0, np.ones(30), 30.0, [f"c{i}" for i in range(30)])
    assert "18 other columns" in str(found)
    assert len(str(found).splitlines()) == 16


def test_lengths_that_differ_are_refused():
    with pytest.raises(ShapeError) as caught:
        waterfall(0.0, [1.0, 2.0], 3.0, ["a"])
    assert str(caught.value) == (
        "`waterfall` got contributions of shape (2,), 1 names and 1 values, expected one of each a "
        "column."
    )
    with pytest.raises(ShapeError, match=r"1 names and 2 values"):
        waterfall(0.0, [1.0], 1.0, ["a"], shown=["x", "y"])
