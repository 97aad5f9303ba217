"""Maps: principal components against a decomposition, what does not change them, and what they say."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import ortho_group
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import drivetrain as dt
from drivetrain.errors import (
    ConfigError,
    DataError,
    MissingPackageError,
    ShapeError,
    UnknownNameError,
)
from drivetrain.interpret.embedding_map import agreement, embedding_map

SEEDS = st.integers(0, 10_000)


def vectors_of(seed: int, count: int = 30, width: int = 5) -> np.ndarray:
    """Vectors whose directions have clearly different variances."""
    drawn = np.random.default_rng(seed).normal(size=(count, width))
    return drawn * 3.0 ** -np.arange(width) + 7


def apart(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, count=st.integers(5, 40), width=st.integers(2, 8))
def test_points_are_those_of_scikit_learn_up_to_sign(seed: int, count: int, width: int) -> None:
    vectors = vectors_of(seed, count, width)
    found = embedding_map(vectors)
    oracle = PCA(2, svd_solver="full").fit(vectors)
    np.testing.assert_allclose(np.abs(found.points), np.abs(oracle.transform(vectors)), atol=1e-8)
    assert found.shares is not None
    np.testing.assert_allclose(found.shares, oracle.explained_variance_ratio_, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_turning_and_shifting_all_vectors_changes_no_distance(seed: int) -> None:
    vectors = vectors_of(seed)
    turn = ortho_group.rvs(vectors.shape[1], random_state=seed)
    found, turned = embedding_map(vectors), embedding_map(vectors @ turn + 100)
    np.testing.assert_allclose(apart(turned.points), apart(found.points), atol=1e-8)
    assert (apart(found.points) <= apart(vectors) + 1e-9).all()  # a shadow makes nothing longer


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_equal_vectors_are_one_point_and_order_does_not_matter(seed: int) -> None:
    vectors = vectors_of(seed)
    vectors[7] = vectors[3]
    found = embedding_map(vectors)
    np.testing.assert_allclose(found.points[7], found.points[3], atol=1e-12)
    order = np.random.default_rng(seed).permutation(len(vectors))
    np.testing.assert_allclose(embedding_map(vectors[order]).points, found.points[order], atol=1e-9)


def test_the_same_vectors_give_the_same_map_with_the_sign_by_rule() -> None:
    vectors = vectors_of(0)
    one, other = embedding_map(vectors), embedding_map(vectors.copy(), seed=7)
    assert np.array_equal(one.points, other.points)
    up = embedding_map(np.arange(6.0)[:, None] * [[0.1, 2.0]])
    assert (np.diff(up.points[:, 0]) > 0).all()  # the largest entry of an axis is positive


@pytest.mark.parametrize(
    ("vectors", "shares"),
    [
        (np.ones((1, 4)), (0.0, 0.0)),
        (np.full((6, 3), 2.5), (0.0, 0.0)),
        (np.arange(5.0)[:, None], (1.0, 0.0)),
    ],
    ids=["one item", "constant", "one number"],
)
def test_what_has_no_plane_lies_on_a_line_or_in_a_point(
    vectors: np.ndarray, shares: tuple[float, float]
) -> None:
    found = embedding_map(vectors)
    assert found.shares == shares
    assert found.points.shape == (len(vectors), 2)
    assert (found.points[:, 1] == 0).all()
    if shares[0] == 0:
        assert (found.points == 0).all()
        assert "are the same, so that there is one point." in found.caution


def test_vectors_that_are_not_finite_are_left_out_and_counted() -> None:
    vectors = vectors_of(1)
    vectors[[2, 9]] = [[np.nan] * 5, [np.inf] + [0.0] * 4]
    found = embedding_map(vectors)
    assert found.left_out == 2
    assert found.kept.tolist() == [row for row in range(30) if row not in (2, 9)]
    assert np.array_equal(found.points, embedding_map(vectors[found.kept]).points)
    assert found.caution.endswith("2 vectors are left out: not all of their numbers are finite.")
    with pytest.raises(DataError) as caught:
        embedding_map(np.full((3, 2), np.nan))
    assert str(caught.value) == (
        "`embedding_map` got 3 vectors, and each holds a number that is not finite. Such activations "
        "mean that training went wrong: see its losses."
    )


@pytest.mark.parametrize("vectors", [np.zeros((0, 3)), np.zeros(4), np.zeros((3, 0))])
def test_what_is_no_vector_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ShapeError) as caught:
        embedding_map(vectors)
    assert str(caught.value) == (
        f"`embedding_map` needs vectors (N, F), at least one. Got {vectors.shape}."
    )


def test_wrong_names_and_numbers_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'umap'"):
        embedding_map(np.ones((3, 2)), method="unap")
    with pytest.raises(ConfigError) as caught:
        embedding_map(np.ones((3, 2)), neighbours=1)
    assert str(caught.value) == "`neighbours` must be a number from 2 up. Got 1."


def test_it_says_how_much_of_the_vectors_it_holds_and_is_plain_json() -> None:
    found = dt.interpret.embedding_map(vectors_of(3))
    assert found.shares is not None
    told = f"it holds {100 * sum(found.shares):.1f}% of their variance."
    assert told in str(found)
    assert found.axes[0] == f"component 1: {100 * found.shares[0]:.1f}% of the variance"
    record = json.loads(json.dumps(found.to_json()))
    assert record["explained"] == list(found.shares)
    assert np.array_equal(record["points"], found.points)


def test_its_picture_names_the_axes_and_says_how_to_read_it() -> None:
    found = embedding_map(vectors_of(4))
    figure = found.plot([f"class {row % 12}" for row in range(30)])
    (axes,) = figure.axes
    assert axes.get_xlabel() == found.axes[0]
    assert len(axes.collections) == 12
    assert figure.get_supxlabel().replace("\n", " ") == found.caution
    with pytest.raises(ShapeError, match=r"^`plot` got 2 labels for 30 vectors\.$"):
        found.plot(["a", "b"])


# --- umap -----------------------------------------------------------------------------------------


def test_without_its_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingPackageError) as caught:
        embedding_map(vectors_of(0), method="umap")
    assert "Install it with: pip install 'drivetrain[map]'." in str(caught.value)


def test_umap_is_asked_with_the_seed_and_no_more_neighbours_than_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    class Umap:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    found = embedding_map(vectors_of(0, count=6), method="umap", seed=9)
    embedding_map(vectors_of(0, count=40), method="umap", neighbours=8)
    assert [(a["n_neighbors"], a["random_state"], a["init"]) for a in asked] == [
        (5, 9, "random"), (8, 42, "spectral"),
    ]  # fmt: skip
    assert found.shares is None and found.to_json()["explained"] is None
    assert (
        "Distances between groups, their sizes" in found.caution and "mean little" in found.caution
    )
    assert found.axes == ("no unit: distances between groups mean little", "no unit")
    with pytest.raises(DataError) as caught:
        embedding_map(vectors_of(0, count=3), method="umap")
    assert str(caught.value) == (
        "UMAP needs 4 items or more. Got 3. Use principal components: pca."
    )


@pytest.mark.slow
def test_umap_itself_keeps_groups_together_and_the_global_generator_untouched() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed")
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 40)
    vectors = rng.normal(size=(120, 8)) + 8 * np.eye(3, 8)[codes]
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - to see that it is left alone
    one, other = (embedding_map(vectors, method="umap", seed=3) for _ in range(2))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert np.array_equal(one.points, other.points)
    assert agreement(one.points, codes) == 1.0


# --- what a map hides -----------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, count=st.integers(2, 60))
def test_agreement_is_that_of_the_nearest_neighbours(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, codes = rng.normal(size=(count, 4)) + 1000, rng.integers(-1, 3, count)
    rows = np.flatnonzero(codes >= 0)
    if len(rows) < 2:
        assert agreement(vectors, codes) is None
        return
    near = NearestNeighbors(n_neighbors=1).fit(vectors[rows]).kneighbors()[1][:, 0]
    assert agreement(vectors, codes) == np.mean(codes[rows][near] == codes[rows])


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_of_equally_near_ones_the_first_counts(seed: int, count: int, width: int) -> None:
    """Points of a grid, far from 0: many are as near as others, and rounding must not choose."""
    draw = np.random.default_rng(seed)
    vectors = draw.integers(0, 4, (count, width)) + 100.0
    codes = draw.integers(0, 3, count)
    apart = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert agreement(vectors, codes) == np.mean(codes[apart.argmin(axis=1)] == codes)


def test_agreement_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    vectors, codes = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    whole = agreement(vectors, codes)
    monkeypatch.setitem(agreement.__globals__, "BLOCK", 7)
    assert agreement(vectors, codes) == whole
