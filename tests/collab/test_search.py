"""The best few: exactly, with equal scores in order, and nearly, by a graph."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.collab.search import (
    Found,
    ItemIndex,
    asking,
    exact_top,
    lifted,
    recall,
)
from drivetrain.data.ratings import Lists
from drivetrain.errors import ConfigError, MissingPackageError, ShapeError

needs_voyager = pytest.mark.skipif(
    find_spec("voyager") is None, reason="voyager is not installed (extra 'search')"
)


def some(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def by_sorting(
    scores: np.ndarray, k: int, barred: list[set[int]]
) -> tuple[list[list[int]], list[list[float]]]:
    """The oracle: Python's own sort of all that is left."""
    codes, values = [], []
    for row, out in zip(scores, barred, strict=True):
        left = [i for i in range(1, len(row)) if i not in out]
        best = sorted(left, key=lambda i, row=row: (-row[i], i))[:k]
        codes.append(best)
        values.append([float(row[i]) for i in best])
    return codes, values


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_best_are_those_of_a_sort_with_equal_scores_by_code(data: st.DataObject) -> None:
    num_items = data.draw(st.integers(1, 12))
    num_queries, k = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 14))
    # few different numbers: many equal scores
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    queries = rng.integers(-1, 2, (num_queries, 2)).astype(np.float32)
    items = rng.integers(-1, 2, (num_items, 2)).astype(np.float32)
    bias = rng.integers(0, 2, num_items).astype(np.float32)
    allowed = rng.random(num_items) < 0.8
    seen = [set(np.flatnonzero(rng.random(num_items) < 0.3)) for _ in range(num_queries)]
    owners = np.array([n for n, one in enumerate(seen) for _ in one], np.int64)
    exclude = Lists.from_codes(owners, np.array([i for one in seen for i in one]), num_queries)
    found = exact_top(
        queries, items, k, bias=bias, exclude=exclude, allowed=allowed, cells=2 * num_items
    )
    barred = [one | set(np.flatnonzero(~allowed)) for one in seen]
    codes, scores = by_sorting(queries @ items.T + bias, k, barred)
    assert found.codes.shape == (num_queries, k) and found.codes.dtype == np.int32
    for row in range(num_queries):
        count = found.lengths()[row]
        assert found.codes[row, :count].tolist() == codes[row]
        np.testing.assert_allclose(found.scores[row, :count], scores[row], rtol=1e-6)
        assert (found.codes[row, count:] == 0).all()
        assert np.isneginf(found.scores[row, count:]).all()


def test_blocks_do_not_change_the_answer() -> None:
    queries, items = some(23, 5, 0), some(57, 5, 1)
    whole, parts = exact_top(queries, items, 7), exact_top(queries, items, 7, cells=120)
    np.testing.assert_array_equal(whole.codes, parts.codes)
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-6)


def test_the_nearest_by_cosine_do_not_depend_on_length() -> None:
    items = some(40, 6, 2)
    items[5] = 3 * items[9]
    items[11] = 0
    found = exact_top(items[[9, 11]], items, 2, by="cosine")
    assert found.codes[0].tolist() == [5, 9]
    np.testing.assert_allclose(found.scores[0], 1, rtol=1e-6)
    assert found.scores[1].tolist() == [0, 0]  # a vector of zeros is near to nothing


@given(st.integers(0, 1 << 30), st.booleans())
@settings(max_examples=30, deadline=None)
def test_one_more_coordinate_makes_near_of_large(seed: int, has_bias: bool) -> None:
    """Bachrach et al.: the order by distance is the order by inner product."""
    items, queries = some(30, 4, seed), some(3, 4, seed + 1)
    bias = some(30, 1, seed + 2)[:, 0] if has_bias else None
    points = lifted(items, bias).astype(np.float64)
    np.testing.assert_allclose(
        np.linalg.norm(points, axis=1), np.linalg.norm(points, axis=1).max(), rtol=1e-5
    )
    scores = queries @ items.T + (0 if bias is None else bias)
    apart = asking(queries, with_bias=has_bias)[:, None] - points[None]
    squares = (apart**2).sum(2)
    # |q - x|² = |q|² + M² - 2 q.x: falling in the score, and by nothing else
    lengths = (asking(queries, with_bias=has_bias) ** 2).sum(1) + (points[0] ** 2).sum()
    np.testing.assert_allclose(squares, lengths[:, None] - 2 * scores, rtol=1e-4, atol=1e-4)


def test_recall_is_the_share_that_was_found() -> None:
    exact = Found(np.array([[1, 2], [3, 0]], np.int32), np.zeros((2, 2), np.float32))
    found = Found(np.array([[2, 9], [3, 0]], np.int32), np.zeros((2, 2), np.float32))
    assert recall(found, exact) == pytest.approx(2 / 3)


@needs_voyager
@pytest.mark.parametrize("by", ["dot", "cosine"])
def test_the_graph_finds_what_comparing_all_finds(by: str) -> None:
    items, queries, bias = some(2000, 12, 3), some(50, 12, 4), some(2000, 1, 5)[:, 0]
    items *= 0.5 + np.random.default_rng(6).random((2000, 1)).astype(np.float32)
    index = ItemIndex.build(items, bias, by=by)
    rng = np.random.default_rng(7)
    exclude = Lists.from_codes(np.repeat(np.arange(50), 20), rng.integers(1, 2000, 1000), 50)
    allowed = np.ones(2000, bool)
    allowed[rng.integers(1, 2000, 30)] = False
    limits = {"exclude": exclude, "allowed": allowed}
    exact = exact_top(queries, items, 10, bias=bias, by=by, **limits)
    found = index.top(queries, 10, **limits)
    assert recall(found, exact) > 0.97
    same = found.codes == exact.codes
    np.testing.assert_allclose(found.scores[same], exact.scores[same], rtol=1e-5)
    for row in range(50):
        assert not set(found.codes[row]) & set(exclude[row])
        assert allowed[found.codes[row]].all()
    again = ItemIndex.build(items, bias, by=by).top(queries, 10, **limits)
    np.testing.assert_array_equal(found.codes, again.codes)
    everything = index.top(queries[:1], 1999)  # a graph is of no use here
    assert sorted(everything.codes[0]) == list(range(1, 2000))


def test_without_voyager_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "voyager", None)
    with pytest.raises(MissingPackageError) as caught:
        ItemIndex.build(some(4, 2, 0))
    assert str(caught.value) == (
        "`voyager` is not installed. Install it with: pip install 'drivetrain[search]'."
    )


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    items = some(5, 3, 0)
    with pytest.raises(ConfigError, match=r"^`by` must be 'dot' or 'cosine'\. Got 'l2'\.$"):
        exact_top(items, items, 2, by="l2")
    with pytest.raises(ConfigError, match=r"^`k` must be 1 or more\. Got 0\.$"):
        exact_top(items, items, 0)
    sentence = (
        r"^Searching needs queries \(B, K\) and items \(I, K\)\. Got \(5, 2\) and \(5, 3\)\.$"
    )
    with pytest.raises(ShapeError, match=sentence):
        exact_top(items[:, :2], items, 2)
    sentence = r"^`allowed` must be \(5,\), a value for each item\. Got \(4,\)\.$"
    with pytest.raises(ShapeError, match=sentence):
        exact_top(items, items, 2, allowed=np.ones(4, bool))
    one = Lists.from_codes(np.array([0]), np.array([1]), 1)
    sentence = r"^`exclude` needs a list for each of 5 queries\. Got 1\.$"
    with pytest.raises(ShapeError, match=sentence):
        exact_top(items, items, 2, exclude=one)
