"""Principal components against a singular value decomposition."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.interpret.components import principal_components


@pytest.mark.row(127)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), count=st.integers(2, 40), width=st.integers(1, 12), data=st.data()
)
def test_they_are_those_of_a_decomposition_up_to_sign(
    seed: int, count: int, width: int, data: st.DataObject
) -> None:
    vectors = np.random.default_rng(seed).normal(3, 1, (count, width)).astype(np.float32)
    k = data.draw(st.integers(1, min(count - 1, width)))
    found = principal_components(vectors, k)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(found.shares, values[:k] ** 2 / (values**2).sum(), atol=1e-10)
    np.testing.assert_allclose(np.abs(found.points), np.abs(left[:, :k] * values[:k]), atol=1e-5)
    np.testing.assert_allclose(np.abs(found.axes), np.abs(right[:k]), atol=1e-5)
    largest = np.abs(found.axes).argmax(1)
    assert (found.axes[np.arange(k), largest] > 0).all()  # the rule of the sign
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(k), atol=1e-9)
    np.testing.assert_allclose(found.project(vectors), found.points, atol=1e-9)


def test_in_blocks_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(101, 6)) * [5, 4, 3, 2, 1, 0.5]
    whole = principal_components(vectors, 3)
    monkeypatch.setattr("drivetrain.interpret.components.BLOCK", 10)
    found = principal_components(vectors, 3)
    np.testing.assert_allclose(found.points, whole.points, atol=1e-9)
    np.testing.assert_allclose(found.shares, whole.shares, rtol=1e-9)
    centred = torch.from_numpy(vectors - vectors.mean(0))
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:3].numpy()
    np.testing.assert_allclose(np.abs(found.axes), np.abs(axes), atol=1e-9)
    assert set(json.loads(json.dumps(whole.to_json()))) == {"center", "axes", "shares"}


def test_vectors_that_do_not_differ_have_no_shares() -> None:
    found = principal_components(np.full((5, 3), 2.0), 2)
    assert found.shares.tolist() == [0.0, 0.0]
    assert found.points.tolist() == [[0.0, 0.0]] * 5


def test_what_has_no_components_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        principal_components(np.zeros(4))
    assert str(caught.value) == "Components are found of vectors (N, F). Got shape (4,)."
    with pytest.raises(ConfigError) as caught:
        principal_components(np.zeros((4, 2)), 3)
    assert str(caught.value) == "`k` is 1 to 2 for vectors of shape (4, 2). Got 3."
    with pytest.raises(DataError) as caught:
        principal_components(np.array([[1.0, np.nan], [0, 1]]))
    assert str(caught.value) == (
        "A vector holds a number that is not finite, and components need them all."
    )
