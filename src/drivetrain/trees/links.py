"""From what trees add up to, to predictions, in the bits of the library that grew them.

Two exponentials are in use, and they differ in the last bit for some numbers: the C library's, which
LightGBM calls, as does scipy's logistic function; and numpy's own, in scikit-learn's softmax. A sum
depends on its order as well: LightGBM adds a row's classes one by one, numpy as its arrays lie.
"""

from __future__ import annotations

import math

import numpy as np

from drivetrain.errors import ConfigError

_LARGEST = math.log(np.finfo(np.float64).max)
"""Beyond it the exponential is infinite, which Python answers with an exception."""


def linked(outputs: np.ndarray, link: str, exponential: str) -> np.ndarray:
    """Predictions (N, V) from outputs (N, V); probabilities (N, 2) where the link is `sigmoid`.

    Args:
        outputs: (N, V) float64. They are not changed.
        link: `identity`, `sigmoid`, `softmax`, `exp`.
        exponential: `c` or `numpy`.
    Raises: ConfigError: the link is none of them.
    """
    if link == "identity":
        return outputs
    if link == "sigmoid":
        positive = 1.0 / (1.0 + _exp(-outputs[:, 0], exponential))
        return np.stack([1.0 - positive, positive], axis=1)
    if link == "softmax":
        return _softmax(outputs, exponential)
    if link == "exp":
        return _exp(outputs, exponential)
    raise ConfigError(f"Unknown link '{link}'. Known: exp, identity, sigmoid, softmax.")


def _softmax(outputs: np.ndarray, exponential: str) -> np.ndarray:
    if not len(outputs):
        return outputs
    powers = _exp(outputs - outputs.max(axis=1).reshape(-1, 1), exponential)
    if exponential == "numpy":
        return powers / powers.sum(axis=1).reshape(-1, 1)
    total = np.zeros(len(outputs))
    for column in powers.T:
        total += column
    return powers / total[:, None]


def _exp(values: np.ndarray, exponential: str) -> np.ndarray:
    if exponential == "numpy":
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(values)
    flat = values.ravel()
    inside = np.minimum(flat, _LARGEST).tolist()
    powers = np.fromiter(map(math.exp, inside), dtype=np.float64, count=flat.size)
    powers[flat > _LARGEST] = np.inf
    return powers.reshape(values.shape)
