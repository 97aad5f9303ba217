"""Any settings, any table: stored and read, the answers are the library's to the last bit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from drivetrain.trees.ensemble import TreeEnsemble
from tests.trees.families import FAMILIES, asked, table, target

LIBRARY_GROWN = [name for name in FAMILIES if not name.startswith(("majority", "one_r"))]

whole = st.integers
changes_of_trees = st.fixed_dictionaries(
    {},
    optional={
        "min_samples_leaf": whole(1, 12),
        "max_leaf_nodes": st.none() | whole(2, 40),
        "max_depth": whole(1, 12),
        "seed": whole(0, 2**31 - 1),
    },
)
changes_of_many = st.fixed_dictionaries(
    {"num_trees": whole(1, 12)},
    optional={
        "min_samples_leaf": whole(1, 12),
        "max_features": st.floats(0.1, 1.0) | st.sampled_from(["sqrt", "log2", 1, 3]),
        "max_depth": whole(1, 12),
        "seed": whole(0, 2**31 - 1),
    },
)
changes_of_boosting = st.fixed_dictionaries(
    {"num_trees": whole(1, 15)},
    optional={
        "min_samples_leaf": whole(1, 30),
        "num_leaves": whole(2, 40),
        "learning_rate": st.floats(0.01, 1.0),
        "l2": st.floats(0.0, 10.0),
    },
)


def changes(name: str) -> st.SearchStrategy[dict[str, Any]]:
    if name.startswith("tree"):
        return changes_of_trees
    return changes_of_boosting if "trees" not in name and "forest" not in name else changes_of_many


cases = st.sampled_from(LIBRARY_GROWN).flatmap(
    lambda name: st.tuples(
        st.just(name),
        changes(name),
        whole(0, 10_000),  # seed of the table
        whole(20, 300),  # rows
        st.sampled_from([0.0, 0.02, 0.3, 0.9]),  # missing
        st.sampled_from([1e-30, 1e-3, 1.0, 1e6, 1e30]),  # scale
    )
)


def check(case: tuple[str, dict[str, Any], int, int, float, float]) -> None:
    name, changed, seed, count, missing, scale = case
    family = FAMILIES[name]
    columns = table(seed, count, missing=missing)
    y = target(columns, family.num_classes)
    # Of rows that are mostly missing many are alike, and a class may be left without any.
    assume(not family.num_classes or len(np.unique(y)) == family.num_classes)
    assume(not np.isnan(columns).all(axis=0).any())  # scikit-learn's boosting stops at one
    columns[:, :3] *= scale
    trees = family.grown(columns, y, **changed).ensemble
    again = TreeEnsemble.from_arrays(*trees.to_arrays())
    rows = asked(120)
    rows[:, :3] *= np.where(np.abs(rows[:, :3]) < 1e30, scale, 1.0)
    rows = np.where(np.abs(rows) > 3.4e38, np.nan, rows)  # scikit-learn refuses them
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes")
        expected = family.oracle(columns, y, **changed)
    for asked_for in (columns, rows, rows[:1]):
        np.testing.assert_array_equal(again.predict(asked_for), expected(asked_for), strict=True)
    base, moves = again.contributions(rows)
    outputs = again.outputs(rows)
    atol = 1e-9 * max(1.0, float(np.abs(outputs).max()))
    np.testing.assert_allclose(base + moves.sum(axis=1), outputs, rtol=0, atol=atol)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=12, deadline=None, suppress_health_check=QUIET, derandomize=True)
@given(cases)
def test_a_few_settings(case):
    check(case)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=QUIET)
@given(cases)
def test_many_settings(case):
    check(case)
