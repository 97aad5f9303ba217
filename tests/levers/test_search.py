"""The search on functions whose best place is known, without a model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.levers.search import (
    Archive,
    Axis,
    Judged,
    all_settings,
    best_of,
    search,
    spread,
)

UNIT = Axis(0.0, 1.0)
WORDS = Axis(0.0, 3.0, np.arange(4.0), ordered=False)
STEPS = Axis(0.0, 10.0, np.arange(0, 10.5, 0.5))


def judge_by(score, *margins):
    def judge(points: np.ndarray) -> Judged:
        kept = [margin(points) for margin in margins]
        stacked = np.stack(kept, axis=1) if kept else np.empty((len(points), 0))
        return Judged(score(points), stacked, np.empty((len(points), 0)))

    return judge


def test_the_spread_covers_each_lever_evenly_and_depends_on_the_seed() -> None:
    found = spread([UNIT, Axis(-5.0, 5.0), WORDS, STEPS], 240, seed=1)
    assert found.shape == (240, 4)
    for column, low, high in ((0, 0, 1), (1, -5, 5)):
        counts, _ = np.histogram(found[:, column], bins=8, range=(low, high))
        assert counts.min() >= 26 and counts.max() <= 34
    assert np.bincount(found[:, 2].astype(int)).tolist() == pytest.approx([60] * 4, abs=6)
    assert set(found[:, 3]) <= set(STEPS.grid.tolist())
    assert np.array_equal(found, spread([UNIT, Axis(-5.0, 5.0), WORDS, STEPS], 240, seed=1))
    assert not np.array_equal(found, spread([UNIT, Axis(-5.0, 5.0), WORDS, STEPS], 240, seed=2))


def test_where_there_are_few_settings_each_is_looked_at_once() -> None:
    asked: list[np.ndarray] = []

    def score(points: np.ndarray) -> np.ndarray:
        asked.append(points)
        return -np.abs(points[:, 0] - 2) - np.abs(points[:, 1] - 3.6)

    best, value, _ = search([WORDS, STEPS], judge_by(score)).best()
    assert best.tolist() == [2.0, 3.5] and value == pytest.approx(-0.1)
    assert np.concatenate(asked).shape == (84, 2)
    assert len(np.unique(np.concatenate(asked), axis=0)) == 84
    assert all_settings([WORDS, STEPS, UNIT]) is None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_words_steps_and_numbers_are_searched_together(seed: int) -> None:
    draw = np.random.default_rng(seed)
    centre, step, word = draw.uniform(0.1, 0.9, 2), draw.integers(0, 21), draw.integers(0, 4)
    offsets = np.where(np.arange(4) == word, 0.0, -1.0)

    def score(points: np.ndarray) -> np.ndarray:
        return (
            offsets[points[:, 2].astype(int)]
            - ((points[:, :2] - centre) ** 2).sum(axis=1)
            - (points[:, 3] / 2 - step / 4) ** 2
        )

    best, _, _ = search([UNIT, UNIT, WORDS, STEPS], judge_by(score), seed=seed).best()
    np.testing.assert_allclose(best, [*centre, word, step / 2], atol=1e-4)


def test_a_ridge_is_climbed_to_its_end() -> None:
    # Rosenbrock's valley, 1 in width by 400 in steepness.
    def score(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return -((1 - x) ** 2) - 100 * (y - x**2) ** 2

    best, _, _ = search([Axis(-2.0, 2.0), Axis(-1.0, 3.0)], judge_by(score)).best()
    np.testing.assert_allclose(best, [1, 1], atol=1e-3)


def test_the_highest_of_many_hills_is_found() -> None:
    def score(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return np.cos(9 * x) + np.cos(9 * y) - 0.1 * ((x - 0.7) ** 2 + (y - 0.7) ** 2)

    best, _, _ = search([Axis(-2.0, 2.0), Axis(-2.0, 2.0)], judge_by(score)).best()
    np.testing.assert_allclose(best, [0.698, 0.698], atol=2e-3)


def test_steps_of_a_tree_are_no_obstacle() -> None:
    def score(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return -np.floor(20 * np.abs(x - 0.33)) - np.floor(20 * np.abs(y - 0.81))

    best, value, _ = search([UNIT, UNIT], judge_by(score)).best()
    assert value == 0
    np.testing.assert_allclose(best, [0.33, 0.81], atol=0.05)


def test_a_curved_bound_is_kept_and_met() -> None:
    # Farthest along x + 2 y within the circle of radius 1 around 0.
    found = search(
        [Axis(-2.0, 2.0), Axis(-2.0, 2.0)],
        judge_by(lambda p: p[:, 0] + 2 * p[:, 1], lambda p: 1 - (p**2).sum(axis=1)),
    )
    best, _, violation = found.best()
    assert violation == 0
    np.testing.assert_allclose(best, np.array([1, 2]) / np.sqrt(5), atol=1e-4)


def test_a_small_allowed_corner_is_found_from_outside() -> None:
    found = search(
        [UNIT, UNIT],
        judge_by(
            lambda p: p[:, 0], lambda p: 0.001 - np.abs(p[:, 0] - 0.3) - np.abs(p[:, 1] - 0.6)
        ),
    )
    best, _, violation = found.best()
    assert violation == 0
    np.testing.assert_allclose(best, [0.301, 0.6], atol=1e-4)


def test_where_nothing_is_allowed_the_least_bad_is_told() -> None:
    found = search([UNIT], judge_by(lambda p: p[:, 0], lambda p: -1 - p[:, 0]))
    best, _, violation = found.best()
    assert best[0] == pytest.approx(0, abs=1e-3) and violation == pytest.approx(1, abs=1e-3)
    assert best_of(np.array([1.0, np.nan, 3.0]), np.array([0.0, np.inf, 2.0])) == 0


def test_an_archive_keeps_all_in_order() -> None:
    archive = Archive(judge_by(lambda p: p[:, 0]))
    archive(np.array([[0.1], [0.5]]))
    archive(np.array([[0.3]]))
    points, scores, violations = archive.all()
    assert points[:, 0].tolist() == scores.tolist() == [0.1, 0.5, 0.3]
    assert not violations.any() and len(archive) == 3
