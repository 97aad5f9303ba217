"""collab/checking.py: ratings that are not split in time, and users who are one."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.collab.checking import check


def ratings(count: int = 3000, *, times: bool = True) -> dict[str, list]:
    """Tastes that turn half way: what was liked is not, and the other way round."""
    draw = np.random.default_rng(0)
    pairs = np.unique(draw.integers(0, [120, 60], (count, 2)), axis=0)
    draw.shuffle(pairs)
    late = np.arange(len(pairs)) > len(pairs) / 2
    liked = np.where((pairs[:, 1] % 2 == 0) ^ late, 4, 2) + draw.integers(0, 2, len(pairs))
    columns = {"user": pairs[:, 0].tolist(), "item": pairs[:, 1].tolist(), "rating": liked.tolist()}
    if times:
        columns["time"] = (1_600_000_000 + 1000 * np.arange(len(pairs))).tolist()
    return columns


def test_ratings_split_at_random_have_seen_the_future() -> None:
    (found,) = check(ratings()).found
    assert (found.key, found.level) == ("time-order", "warning")
    assert found.worth is not None and found.worth.is_clear
    # at random an item's mean lies between its two halves, 1 from either; the last fifth is 1.25 from
    # the mean of what came before it
    assert found.worth.difference == pytest.approx(0.25, abs=0.05)
    assert check(ratings(), split="time").found == ()
    assert check(ratings(times=False)).found == ()


def test_users_with_the_same_ratings_are_told_of() -> None:
    columns = ratings(times=False)
    rows = [at for at, user in enumerate(columns["user"]) if user == 7]
    assert len(rows) >= 10
    for name, cells in columns.items():
        cells += [999 if name == "user" else cells[at] for at in rows]
    (found,) = check(columns, split="random").found
    assert found.key == "duplicates-within:users" and found.items == ("7 = 999",)
