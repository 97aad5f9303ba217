"""Weights of the models in a mean: 0 or more, adding up to 1, such that the mean errs least.

Both problems are convex, so that what is found is the best there is:

- squared error: the errors of the mean are the mean of the errors, so its best weights are those of the
  point nearest to 0 in the hull of the models' errors (Wolfe 1976, doi:10.1007/BF01580381): exact,
  after a finite number of steps.
- cross-entropy: by Newton steps that stay on the simplex (Kim et al. 2020, arXiv:1806.01412), each of
  them a problem of the first kind. It ends with a proof: with r the models' probabilities over the
  mean's, the loss is at most log(max mean r) above the best.

Weights that were fitted are flattered by the items that they were fitted on: `crosswise`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

TINY = 1e-15
"""Stands for a probability of 0: a model that excludes what happened is not out for ever."""
GAP = 1e-7
"""Nats that a mixture's loss may be above the best."""
MOST_STEPS = 100
INSIDE = 0.95
"""Of the way to a weight of 0."""


def log_loss_weights(probs: np.ndarray) -> np.ndarray:
    """The weights (M,) of a mean of probabilities with the least cross-entropy.

    Args:
        probs: (M, N) what each of M models gives to what is true, of N items.
    """
    probs = np.maximum(probs, TINY)
    weights = np.full(len(probs), 1 / len(probs))
    for _ in range(MOST_STEPS):
        ratios = probs / (weights @ probs)  # (M, N), of mean 1 for a model with weight, at the best
        if np.log(ratios.mean(axis=1).max()) <= GAP:
            break
        # to second order the loss is, but for a constant, half the mean square of the mean of ratios - 2
        goal = squared_error_weights(ratios - 2)
        # short of 0: a model that alone foresaw an item would have to come back from there
        step = INSIDE if (goal[weights > 0] == 0).any() else 1.0
        loss = _log_loss(weights, probs)
        slope = float(ratios.mean(axis=1) @ (weights - goal))
        while _log_loss(weights + step * (goal - weights), probs) > loss + 0.01 * step * slope:
            step /= 2
            if step < 1e-9:  # no nearer by the precision of numbers
                return _without_traces(weights)
        weights = weights + step * (goal - weights)
    return _without_traces(weights)


def _without_traces(weights: np.ndarray) -> np.ndarray:
    kept = np.where(weights < 1e-9, 0.0, weights)
    return kept / kept.sum()


def _log_loss(weights: np.ndarray, probs: np.ndarray) -> float:
    return -float(np.log(np.maximum(weights @ probs, 1e-300)).mean())


def squared_error_weights(errors: np.ndarray) -> np.ndarray:
    """The weights (M,) of a mean of numbers with the least squared error.

    Args:
        errors: (M, N) prediction minus truth, of M models and N items.
    """
    products = errors @ errors.T / errors.shape[1]  # (M, M): w' G w is the mean squared error
    scale = float(np.abs(products).max()) or 1.0
    products = products / scale
    weights = np.zeros(len(errors))
    weights[int(np.argmin(np.diag(products)))] = 1.0
    for _ in range(10 * len(errors) ** 2 + 10):
        slopes = products @ weights
        enters = int(np.argmin(slopes))
        if slopes[enters] >= weights @ slopes - 1e-12:  # no model points nearer to 0
            break
        inside = weights > 0
        inside[enters] = True
        weights = _nearest_inside(products, weights, inside)
    return weights


def _nearest_inside(products: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The point nearest to 0 in the hull of some of the models, starting from a point of it."""
    while True:
        chosen = np.flatnonzero(inside)
        goal = np.zeros_like(weights)
        goal[chosen] = _nearest_in_plane(products[np.ix_(chosen, chosen)])
        falls = inside & (goal <= 1e-12)
        if not falls.any():
            return goal
        # as far towards it as no weight falls below 0; what reaches 0 is out
        steps = weights[falls] / np.maximum(weights[falls] - goal[falls], 1e-300)
        step = float(min(1.0, steps.min()))
        weights = np.maximum(weights + step * (goal - weights), 0.0)
        out = falls & (weights <= 1e-12)
        if not out.any():
            out[np.flatnonzero(falls)[int(np.argmin(steps))]] = True
        inside = inside & ~out
        weights[~inside] = 0.0
        weights /= weights.sum()


def _nearest_in_plane(products: np.ndarray) -> np.ndarray:
    """Weights that add up to 1, below 0 allowed, with the least w' G w."""
    count = len(products)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = products
    system[count, count] = 0.0
    wanted = np.zeros(count + 1)
    wanted[count] = 1.0
    # the least-squares answer: two models that are alike make the system singular
    found = np.linalg.lstsq(system, wanted, rcond=None)[0][:count]
    return found / found.sum()


def crosswise(
    outputs: np.ndarray,
    folds: Iterable[tuple[np.ndarray, np.ndarray]],
    fit: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Means (N, …) of outputs (M, N, …), each item's by weights that were fitted without it.

    Args:
        outputs: what M models say of N items.
        folds: (items to fit on, items to use the weights on), which cover every item once.
        fit: weights (M,) from the items at (K,) int64 positions.
    """
    found = np.zeros_like(outputs[0])
    for fit_on, use_on in folds:
        found[use_on] = np.tensordot(fit(fit_on), outputs[:, use_on], axes=1)
    return found
