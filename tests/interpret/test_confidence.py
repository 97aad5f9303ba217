"""The spread of the trees: scikit-learn's, wider far from training, and worth what the errors say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from drivetrain.errors import ShapeError
from drivetrain.interpret.confidence import tree_confidence


@pytest.fixture(scope="module")
def forest():
    r = np.random.default_rng(0)
    X = r.uniform(-1, 1, size=(400, 2))
    return RandomForestRegressor(30, random_state=0).fit(X, X[:, 0] ** 3 + X[:, 1] * 2)


@pytest.mark.row(94)
def test_spread_is_that_of_the_trees_and_wider_far_from_training(forest):
    near = np.random.default_rng(1).uniform(-0.8, 0.8, size=(100, 2))
    far = np.sign(near) * 3
    rows = np.concatenate([near, far])
    per_tree = np.stack([tree.predict(rows) for tree in forest.estimators_])
    found = tree_confidence(per_tree)
    np.testing.assert_allclose(found.prediction, forest.predict(rows), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.std, per_tree.std(axis=0), rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.low, np.quantile(per_tree, 0.05, axis=0))
    assert found.std[100:].mean() > 1.2 * found.std[:100].mean()
    assert found.std[found.least_sure[0]] == found.std.max()


@pytest.mark.row(94)
def test_errors_grow_with_the_spread_where_it_is_worth_something():
    r = np.random.default_rng(0)
    noise = np.repeat([0.1, 1.0], 200)
    per_tree = r.normal(size=(50, 400)) * noise
    found = tree_confidence(per_tree, targets=r.normal(size=400) * noise)
    assert [part.num_rows for part in found.parts] == [80] * 5
    assert found.parts[-1].error > 3 * found.parts[0].error
    assert found.rank_correlation is not None and found.rank_correlation > 0.5
    worthless = tree_confidence(r.normal(size=(50, 400)), targets=r.normal(size=400))
    assert abs(worthless.rank_correlation) < 0.2
    assert tree_confidence(np.ones((3, 4)), targets=np.ones(4)).rank_correlation is None


def test_prints_both_ends_and_is_plain_json():
    per_tree = np.random.default_rng(0).normal(size=(20, 30)) * np.arange(1, 31)
    found = tree_confidence(per_tree, ids=np.arange(100, 130), targets=np.zeros(30))
    lines = str(found).splitlines()
    assert lines[0] == "30 rows by the spread of 20 trees, the least sure first."
    assert lines[2].split()[0] == str(100 + int(found.least_sure[0])) and lines[7] == "…"
    assert lines[-1].startswith("rank correlation of spread and error: ")
    assert json.loads(json.dumps(found.to_json()))["ids"][0] == 100
    few = tree_confidence(per_tree[:, :4])
    assert len(str(few).splitlines()) == 6


def test_refusals():
    with pytest.raises(ShapeError) as shape:
        tree_confidence(np.ones((1, 5)))
    assert str(shape.value) == (
        "`tree_confidence` got answers of shape (1, 5), expected (T, N): two trees or more, one row or "
        "more."
    )
    with pytest.raises(ShapeError, match=r"got targets of shape \(3,\) for 5 rows\.$"):
        tree_confidence(np.ones((2, 5)), targets=np.zeros(3))
    with pytest.raises(ShapeError, match=r"got ids of shape \(2,\) for 5 rows\.$"):
        tree_confidence(np.ones((2, 5)), ids=[1, 2])
