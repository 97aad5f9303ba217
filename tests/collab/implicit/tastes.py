"""Events of users with two tastes, and loaders of them, as a person's module would have them."""

from __future__ import annotations

import numpy as np

from drivetrain.collab.implicit.bpr import PairwiseLoader
from drivetrain.data.loaders import Loaders
from drivetrain.data.ratings import RatingTable

USERS, ITEMS = 151, 101
"""The unknown ones counted."""


def planted() -> tuple[RatingTable, RatingTable]:
    """Events to learn from, and others to be told from what the same users never had."""
    draw = np.random.default_rng(0)
    users, items = draw.normal(size=(USERS, 2)), draw.normal(size=(ITEMS, 2))
    happened = draw.random((USERS, ITEMS)) < 1 / (1 + np.exp(4 - 3 * users @ items.T))
    happened[0], happened[:, 0] = False, False
    owners, others = np.nonzero(happened)
    is_valid = draw.random(len(owners)) < 0.2
    ones = np.ones(len(owners), np.float32)
    table = RatingTable(owners.astype(np.int32), others.astype(np.int32), ones, None, USERS, ITEMS)
    return table.take(~is_valid), table.take(is_valid)


def make_loaders() -> Loaders:
    """Training and validation."""
    train, valid = planted()
    return Loaders(
        PairwiseLoader(train, batch_size=128, shuffle=True),
        PairwiseLoader(valid, batch_size=128, also_seen=train),
    )
