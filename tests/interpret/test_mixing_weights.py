"""interpret/mixing_weights.py: convex weights, held against a general optimiser and against the optimum's
own conditions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from drivetrain.interpret.mixing_weights import (
    GAP,
    crosswise,
    log_loss_weights,
    squared_error_weights,
)


def least(loss: Callable[[np.ndarray], float], count: int) -> float:
    """The least loss over the simplex, by SciPy's SLSQP."""
    found = minimize(
        loss,
        np.full(count, 1 / count),
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    return float(found.fun)


@pytest.mark.row(119)
@pytest.mark.parametrize(("models", "items"), [(2, 40), (5, 300), (12, 60), (6, 4)])
def test_weights_of_probabilities_are_the_best_there_are(models: int, items: int) -> None:
    draw = np.random.default_rng(models)
    probs = draw.beta(2, 1, size=(models, items))

    def loss(weights: np.ndarray) -> float:
        return -float(np.log(np.maximum(weights @ probs, 1e-300)).mean())

    weights = log_loss_weights(probs)
    assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights >= 0).all()
    assert loss(weights) <= least(loss, models) + 1e-6
    slopes = (probs / (weights @ probs)).mean(axis=1)  # Kuhn and Tucker: at most 1
    assert slopes.max() <= np.exp(GAP)


@pytest.mark.row(119)
@pytest.mark.parametrize(("models", "items"), [(2, 40), (5, 300), (7, 5)])
def test_weights_of_numbers_are_the_best_there_are(models: int, items: int) -> None:
    draw = np.random.default_rng(models)
    errors = draw.normal(size=(models, items)) + draw.normal(size=items)

    def loss(weights: np.ndarray) -> float:
        return float(np.square(weights @ errors).mean())

    weights = squared_error_weights(errors)
    assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights >= 0).all()
    assert loss(weights) <= least(loss, models) + 1e-9
    slopes = errors @ (weights @ errors)
    assert slopes.min() >= (weights @ slopes) - 1e-8 * np.abs(slopes).max()


def test_all_weight_goes_to_a_model_that_is_always_better() -> None:
    probs = np.stack([np.full(50, 0.9), np.full(50, 0.6), np.full(50, 0.3)])
    np.testing.assert_allclose(log_loss_weights(probs), [1, 0, 0], atol=1e-6)
    errors = np.stack([np.linspace(1, 2, 50), np.linspace(2, 4, 50)])
    np.testing.assert_array_equal(squared_error_weights(errors), [1, 0])


def test_errors_of_opposite_sign_are_played_against_each_other() -> None:
    one = np.linspace(-1, 1, 21)
    weights = squared_error_weights(np.stack([one, -3 * one]))
    np.testing.assert_allclose(weights, [0.75, 0.25], atol=1e-12)  # 0.75 - 3 * 0.25 = 0


def test_models_that_are_alike_do_not_stop_the_search() -> None:
    draw = np.random.default_rng(0)
    errors = draw.normal(size=(2, 60))
    alike = squared_error_weights(np.concatenate([errors, errors, errors]))
    mean = alike @ np.concatenate([errors, errors, errors])
    apart = squared_error_weights(errors) @ errors
    assert np.square(mean).mean() == pytest.approx(np.square(apart).mean(), abs=1e-12)
    assert squared_error_weights(np.zeros((3, 5))).sum() == pytest.approx(1)
    probs = draw.uniform(0.1, 0.9, size=60)
    np.testing.assert_allclose(log_loss_weights(np.stack([probs, probs])), [0.5, 0.5])


def test_a_model_that_alone_foresaw_one_item_keeps_its_weight() -> None:
    probs = np.full((2, 1000), 0.8)
    probs[1] = 0.5
    probs[:, 0] = [0.0, 1.0]
    weights = log_loss_weights(probs)
    assert 0.5 / 1000 < weights[1] < 10 / 1000


def test_crosswise_uses_each_items_weights_of_the_others() -> None:
    outputs = np.arange(12.0).reshape(2, 6)
    seen = []

    def fit(rows: np.ndarray) -> np.ndarray:
        seen.append(rows.tolist())
        return np.array([1.0, 0.0]) if 0 in rows else np.array([0.0, 1.0])

    first, second = np.array([0, 2, 4]), np.array([1, 3, 5])
    found = crosswise(outputs, [(first, second), (second, first)], fit)
    assert seen == [[0, 2, 4], [1, 3, 5]]
    np.testing.assert_array_equal(found, [6, 1, 8, 3, 10, 5])
