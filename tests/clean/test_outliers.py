"""clean/outliers.py: distances, the rule of what is flagged, and what it does of clean and odd data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy import sparse
from scipy.stats import false_discovery_control
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from drivetrain.clean import outliers as module
from drivetrain.clean.fold_files import kept_outliers
from drivetrain.clean.outliers import (
    FEWEST,
    MOST,
    RATE,
    Outliers,
    Points,
    distances,
    find_outliers,
    step_up,
    tail_of,
)
from drivetrain.errors import ShapeError


def cloud(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


# --- distances ------------------------------------------------------------------------------------


def test_distances_are_those_to_the_kth_nearest_of_scikit_learn() -> None:
    values = cloud(700, 6)
    theirs = NearestNeighbors(n_neighbors=14).fit(values).kneighbors()[0][:, -1]  # 2% of 700
    np.testing.assert_allclose(distances(Points.of(values)), theirs, rtol=1e-9)
    few = cloud(60, 3)
    theirs = NearestNeighbors(n_neighbors=10).fit(few).kneighbors()[0][:, -1]
    np.testing.assert_allclose(distances(Points.of(few.astype(np.float32))), theirs, rtol=1e-5)


def test_angles_are_cosines_and_a_sparse_matrix_is_like_a_full_one() -> None:
    values = np.maximum(cloud(300, 20), 0.0) * np.random.default_rng(1).uniform(0.1, 9, (300, 1))
    cosine = NearestNeighbors(n_neighbors=10, metric="cosine").fit(values).kneighbors()[0][:, -1]
    found = distances(Points.of(values, by_angle=True))
    np.testing.assert_allclose(found, np.sqrt(2 * cosine), rtol=1e-6)
    for by_angle in (False, True):
        full, thin = (
            distances(Points.of(one, by_angle=by_angle))
            for one in (values, sparse.csr_matrix(values))
        )
        np.testing.assert_allclose(full, thin, rtol=1e-9)


def test_what_has_no_direction_is_as_far_as_what_has_nothing_in_common() -> None:
    values = np.eye(80)
    values[:60, 0] = 5.0
    values[79] = 0.0
    found = distances(Points.of(values, by_angle=True))
    np.testing.assert_allclose(found[[60, 79]], np.sqrt(2.0))
    assert found[:60].max() < 0.5


def test_many_items_are_compared_with_a_thousand_that_their_keys_choose_block_by_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMPARED", 100)
    monkeypatch.setattr(module, "BLOCK", 17)
    values = cloud(230, 4)
    keys = [f"{at:03d}" for at in np.random.default_rng(3).permutation(230)]
    told: list[tuple[str, int, int | None]] = []
    found = distances(Points.of(values), keys=keys, report=lambda *words: told.append(words))
    smallest = np.argsort([hashlib.sha256(key.encode()).hexdigest() for key in keys])[:100]
    for at in range(230):
        others = smallest[smallest != at]
        apart = np.sort(np.linalg.norm(values[others] - values[at], axis=1))
        assert found[at] == pytest.approx(apart[9])
    assert told[0] == ("items compared", 17, 230) and told[-1] == ("items compared", 230, 230)
    by_content = distances(Points.of(values))
    order = np.random.default_rng(4).permutation(230)
    np.testing.assert_allclose(distances(Points.of(values[order])), by_content[order])
    thin = distances(Points.of(sparse.csr_matrix(values)))
    np.testing.assert_allclose(thin, by_content)


# --- the rule -------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_the_step_up_rule_is_that_of_scipy(surprise: list[float]) -> None:
    chances = np.exp(-np.array(surprise))
    theirs = false_discovery_control(chances, method="bh") <= RATE * (1 - 1e-12)
    ours = step_up(np.array(surprise), most=1.0)
    is_edge = np.abs(false_discovery_control(chances, method="bh") - RATE) < 1e-9
    assert (ours == theirs)[~is_edge].all()


@given(
    st.lists(st.floats(0, 900), min_size=1, max_size=200),
    st.floats(0, 1),
    st.randoms(use_true_random=False),
)
def test_no_more_are_flagged_than_may_be_and_always_the_most_surprising(
    surprise: list[float], most: float, draw: Any
) -> None:
    values = np.array(surprise)
    flagged = step_up(values, most=most)
    assert flagged.sum() <= most * len(values)
    if flagged.any():
        assert values[flagged].min() > values[~flagged].max(initial=-1.0)  # equal ones go together
    order = np.array(draw.sample(range(len(values)), len(values)))
    np.testing.assert_array_equal(step_up(values[order], most=most), flagged[order])


def test_scores_are_spreads_of_the_logarithm_and_the_tail_goes_through_its_quantiles() -> None:
    far = np.exp(np.random.default_rng(0).normal(size=20_001))
    scores, surprise = tail_of(far)
    logs = np.log(far)
    np.testing.assert_allclose(np.quantile(scores, [0.5, 0.75]), [0, 0.67449], atol=1e-4)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(logs))
    for share in (0.75, 0.95):
        at = np.abs(logs - np.quantile(logs, share)).argmin()
        assert np.exp(-surprise[at]) == pytest.approx(1 - share, rel=1e-3)
    assert surprise[logs < np.median(logs)].max() == 0
    # beyond 95% it falls off a little more slowly than the normal distribution: never too early
    beyond = np.abs(logs - 3.5).argmin()
    assert 1.0 < np.exp(-surprise[beyond]) / 2.3e-4 < 6.0


def shapes(kind: str, draw: np.random.Generator) -> np.ndarray:
    """Clean data: one normal cloud, a uniform one, or six clouds."""
    name, width = kind.split()
    size = (600, int(width))
    if name == "uniform":
        return draw.uniform(size=size)
    middle = 3 * draw.normal(size=(6, size[1]))[draw.integers(0, 6, 600)] if name == "six" else 0.0
    return draw.normal(size=size) + middle


@pytest.mark.parametrize("kind", ["normal 1", "normal 8", "normal 100", "uniform 2", "six 3"])
def test_of_clean_data_hardly_anything_is_flagged(kind: str) -> None:
    draw = np.random.default_rng(11)
    counts = [find_outliers(Points.of(shapes(kind, draw))).flagged.sum() for _ in range(12)]
    assert sum(count > 0 for count in counts) <= 2 and max(counts) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal 2", "normal 20", "uniform 20", "six 2", "six 20"])
def test_of_clean_data_something_is_flagged_in_one_set_of_ten(kind: str) -> None:
    draw = np.random.default_rng(12)
    sets = [find_outliers(Points.of(shapes(kind, draw))).flagged for _ in range(100)]
    assert np.mean([one.any() for one in sets]) <= RATE + 3 * (RATE * (1 - RATE) / 100) ** 0.5


def test_a_kind_of_odd_items_is_found_though_they_are_each_others_nearest() -> None:
    values = np.concatenate([cloud(990, 10), 0.01 * cloud(10, 10, seed=1) + 6.0])
    found = find_outliers(Points.of(values), what="ten numbers")
    np.testing.assert_array_equal(np.flatnonzero(found.flagged), np.arange(990, 1000))
    assert set(found.order[:10].tolist()) == set(range(990, 1000))
    assert found.threshold == found.scores[990:].min() and found.what == "ten numbers"
    apart = np.linalg.norm(values[:, None] - values[None, 990:], axis=2)
    apart[np.arange(990, 1000), np.arange(10)] = np.inf
    np.testing.assert_array_equal(found.nearest[990:], apart.argmin(axis=0))
    assert (found.nearest[:990] == -1).all()
    theirs = LocalOutlierFactor(n_neighbors=20).fit(values).negative_outlier_factor_
    assert set(np.argsort(theirs)[:10].tolist()) == set(range(990, 1000))


def test_a_kind_of_more_than_one_item_in_fifty_is_no_outlier() -> None:
    values = np.concatenate([cloud(900, 5), 0.1 * cloud(100, 5, seed=1) + 6.0])
    assert not find_outliers(Points.of(values)).flagged[900:].any()


def test_no_more_than_two_in_a_hundred_are_flagged_though_more_are_odd() -> None:
    draw = np.random.default_rng(5)
    values = np.concatenate([cloud(960, 5), 50 * draw.normal(size=(40, 5))])
    flagged = find_outliers(Points.of(values)).flagged
    assert 10 <= flagged.sum() <= MOST * 1000 and not flagged[:960].any()


def test_items_that_are_all_one_and_too_few_are_said_to_tell_nothing() -> None:
    one = find_outliers(Points.of(np.ones((200, 3))))
    assert not one.flagged.any() and not one.scores.any() and one.threshold is None
    assert one.left_out == "All 200 items are about equally far from each other."
    few = np.concatenate([cloud(FEWEST - 2, 2), [[90.0, 90.0]]])
    found = find_outliers(Points.of(few))
    assert found.order[0] == FEWEST - 2 and not found.flagged.any()
    assert found.left_out == (
        "Of 49 items nothing can be said to be unlike the others: it takes 50."
    )
    for count in (0, 1, 2):
        tiny = find_outliers(Points.of(np.zeros((count, 3))))
        assert len(tiny) == count and not tiny.flagged.any() and tiny.left_out
    half = np.concatenate([np.zeros((300, 2)), cloud(100, 2)])  # most of them equal
    assert not find_outliers(Points.of(half)).flagged[:300].any()


# --- what does not matter -------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.booleans())
def test_order_scale_and_place_of_the_items_do_not_matter(
    seed: int, scale: float, by_angle: bool
) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(120, 4))
    values[:2] *= 20
    before = find_outliers(Points.of(values, by_angle=by_angle))
    order = draw.permutation(120)
    after = find_outliers(Points.of(values[order], by_angle=by_angle))
    np.testing.assert_allclose(after.scores, before.scores[order], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(after.flagged, before.flagged[order])
    is_known = after.nearest >= 0
    np.testing.assert_array_equal(order[after.nearest[is_known]], before.nearest[order[is_known]])
    moved = values * scale + (0.0 if by_angle else 3.0)
    again = find_outliers(Points.of(moved, by_angle=by_angle))
    np.testing.assert_allclose(again.scores, before.scores, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=25)
@example(258, 1)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_copy_of_a_few_items_far_away_is_flagged_and_of_all_items_is_not(
    seed: int, count: int
) -> None:
    values = np.random.default_rng(seed).normal(size=(250, 3))
    few = np.concatenate([values, values[:count] + 1e4])
    flagged = find_outliers(Points.of(few)).flagged
    assert flagged[250:].all()
    # squares of 1e3 leave ten digits to distances of about 1: those of 1e4 left eight
    both = find_outliers(Points.of(np.concatenate([values, values + 1e3])))
    alone = find_outliers(Points.of(values))
    np.testing.assert_allclose(both.scores[:250], both.scores[250:], atol=1e-6)
    assert np.corrcoef(both.scores[:250], alone.scores)[0, 1] > 0.99


# --- kept -----------------------------------------------------------------------------------------


def test_what_was_found_is_kept_and_found_anew_where_it_is_damaged_or_of_others(
    tmp_path: Path,
) -> None:
    called: list[int] = []
    values = np.concatenate([cloud(100, 2), [[40.0, 40.0]]])

    def find() -> Outliers:
        called.append(1)
        return find_outliers(Points.of(values), what="two numbers")

    def kept(key: str = "k", **options: Any) -> Outliers | None:
        return kept_outliers(tmp_path, key, options.pop("find", find), **options)

    assert kept(find=None) is None and not list(tmp_path.iterdir())
    assert kept(may_write=False) is not None and not list(tmp_path.iterdir())
    first, again = kept(), kept(find=None)
    assert first is not None and again is not None and len(called) == 2
    for name in ("scores", "flagged", "nearest"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert (again.threshold, again.what, again.left_out) == (first.threshold, "two numbers", "")
    assert kept("other items", find=None) is None
    file = tmp_path / "outliers.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert kept(find=None) is None
    assert kept() is not None and len(called) == 3
    assert kept() is not None and len(called) == 3
    (tmp_path / "outliers.json").write_text("[")
    assert kept() is not None and len(called) == 4


# --- errors ---------------------------------------------------------------------------------------


def test_what_is_no_matrix_and_keys_of_others_are_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"^`Points\.of` got features of shape \(3,\), expected \(N, D\)\.$"
    ):
        Points.of(np.zeros(3))
    with pytest.raises(ShapeError, match=r"^`find_outliers` got 1 keys for 3 items\.$"):
        find_outliers(Points.of(np.zeros((3, 2))), keys=["a"])
