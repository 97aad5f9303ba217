"""collab.implicit on real ratings: events are ratings of 4 and 5, a fifth of them to be found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

import drivetrain as dt
from drivetrain.collab.factors import Factors
from drivetrain.collab.implicit import als, bpr
from drivetrain.data.ratings import RatingTable


def liked(folder: Path) -> tuple[RatingTable, RatingTable]:
    raw = np.loadtxt(folder / "u.data", dtype=np.int64)
    users, items = raw[raw[:, 2] >= 4, :2].astype(np.int32).T
    ones = np.ones(len(users), np.float32)
    table = RatingTable(users, items, ones, None, 944, 1683)
    is_valid = np.random.default_rng(42).random(len(table)) < 0.2
    return table.take(~is_valid), table.take(is_valid)


def ndcg_at_10(scores: np.ndarray, train: RatingTable, valid: RatingTable) -> float:
    """The mean over users, items of training not counted."""
    wanted = np.zeros(scores.shape)
    wanted[valid.users, valid.items] = 1
    scores = scores.astype(np.float64)
    scores[train.users, train.items] = scores.min() - 1
    has_some = wanted.any(1)
    return float(ndcg_score(wanted[has_some], scores[has_some], k=10))


@pytest.mark.slow
def test_both_find_liked_movies_far_better_than_popularity(
    shared_data: Callable[[str], Path],
) -> None:
    train, valid = liked(shared_data("ml-100k"))
    everybody = np.arange(944)
    popularity = np.tile(np.bincount(train.items, minlength=1683), (944, 1))
    by_popularity = ndcg_at_10(popularity, train, valid)

    by_als = ndcg_at_10(als.fit_als(train).factors.raw(everybody), train, valid)
    parts = bpr.bpr_parts(train, valid)
    learner = dt.Learner(
        parts.model,
        parts.loaders,
        parts.loss_fn,
        weight_decay=bpr.WEIGHT_DECAY,
        num_threads=1,
        progress=False,
    )
    learner.fit_one_cycle(bpr.EPOCHS, bpr.LR)
    factors = Factors.of(parts.model.scores)
    assert factors is not None
    by_bpr = ndcg_at_10(factors.raw(everybody), train, valid)

    assert 0.1 < by_popularity < 0.2
    assert by_als > 1.9 * by_popularity
    assert by_bpr > 1.7 * by_popularity
