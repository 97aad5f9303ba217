"""Users and items as the two sides of one problem: whoever is new, the other side is known."""

from __future__ import annotations

import numpy as np

from drivetrain.collab.factors import Factors
from drivetrain.errors import ConfigError

SIDES = ("user", "item")


def side_tables(factors: Factors, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A model as seen from one side, so that a raw score is a row of the first times a row of the second,
    and the other side's bias.

    Args:
        side: "user" or "item".

    Returns: vectors and bias of that side (M, K + 1), vectors and 1 of the other (O, K + 1), and the
        other's biases (O,); float64.
    Raises: ConfigError: `side` is neither.
    """
    if side not in SIDES:
        raise ConfigError(f"`side` is 'user' or 'item'. Got {side!r}.")
    users = factors.users, factors.user_bias
    items = factors.items, factors.item_bias
    (own, own_bias), (other, other_bias) = (users, items) if side == "user" else (items, users)
    with_bias = np.column_stack([own, own_bias]).astype(np.float64)
    with_one = np.column_stack([other, np.ones(len(other))]).astype(np.float64)
    return with_bias, with_one, other_bias.astype(np.float64)


def predictions(
    raw: np.ndarray, y_range: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted ratings of raw scores, and how fast they change with the score; float64."""
    if y_range is None:
        return raw, np.ones_like(raw)
    low, high = y_range
    share = 0.5 * (1 + np.tanh(raw / 2))  # the sigmoid, which does not overflow so
    return low + (high - low) * share, (high - low) * share * (1 - share)
