"""Which ratings train, which validate and which are sealed for a test.

random       a share of all ratings: how well taste is known
time         the newest ratings: what is to come, as a recommender is used
last         the newest rating of each user
cold_users   all ratings of some users: how well people are served who are new
cold_items   all ratings of some items
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.data.split_ratings import TEST, TRAIN, VALID, cold_parts, last_parts
from drivetrain.errors import ConfigError, DataError
from drivetrain.randomness import permutation

SPLITS = ("random", "time", "last", "cold_users", "cold_items")
PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
REASONS = {
    "random": "the usual measure of how well tastes are known; how well the future is told is harder: "
    "--split time",
    "time": "the newest ratings validate",
    "last": "the newest rating of each user validates",
    "cold_users": "all ratings of some users validate: nothing else is known of them",
    "cold_items": "all ratings of some items validate: nothing else is known of them",
}


def parts_of(
    split: str,
    users: np.ndarray,
    items: np.ndarray,
    times: np.ndarray | None,
    *,
    valid: float = 0.2,
    test: float = 0.0,
    seed: int = 42,
) -> np.ndarray:
    """The part of each rating, (N,) int8: `TRAIN`, `VALID` or `TEST`.

    Args:
        split: one of `SPLITS`.
        users, items: (N,) codes.
        times: (N,) int64; a larger one is later.
        valid, test: shares; of `last` they do not count: a rating of each user for each part that is
            wanted. See `data.split_ratings` for `last` and for the cold splits.
        seed: of what is drawn.

    Raises: ConfigError: there is no such split, or the shares leave nothing. DataError: the ratings have
        no times, or nothing is left for one of the parts.
    """
    if split not in SPLITS:
        raise ConfigError(
            f"There is no split '{split}'.{did_you_mean(split, SPLITS)} Known: {', '.join(SPLITS)}."
        )
    for name, share in (("valid", valid), ("test", test)):
        enough = share > 0 if name == "valid" else share >= 0
        if not (enough and share < 1):
            raise ConfigError(f"`{name}` is a share of the ratings, below 1. Got {share:g}.")
    if valid + test >= 1:
        raise ConfigError(f"`valid` {valid:g} and `test` {test:g} leave nothing to train on.")
    if split == "time" and times is None:
        raise DataError("The ratings have no times to be split by. Give `time`, or another split.")
    found = np.zeros(len(users), dtype=np.int8)
    if split == "random":
        order = permutation(len(users), seed=seed, epoch=0, purpose="split").numpy()
        _deal(found, order, valid, test)
    elif split == "time":
        assert times is not None, "looked at above"
        found = _by_time(times, valid, test)
    elif split == "last":
        found = last_parts(users, times, test=1 if test else 0)
    else:
        owners = users if split == "cold_users" else items
        found = cold_parts(owners, valid=valid, test=test, seed=seed)
    for name, part in PARTS.items():
        if not (found == part).any() and (name != "test" or test > 0):
            raise DataError(
                f"{len(users):,} ratings, split '{split}', leave none for the part '{name}'. Give more "
                "of them, or another split."
            )
    return found


def parts_given(positions: np.ndarray, valid: Sequence[int]) -> np.ndarray:
    """The parts where rows are named: those validate, the others train.

    Args:
        positions: (N,) int64, where each rating stands in the source.
        valid: rows of the source, counted from 0; those that were set aside are passed over.

    Raises: DataError: nothing is left for one of the parts.
    """
    found = np.where(np.isin(positions, np.array(valid, dtype=np.int64)), VALID, TRAIN)
    if found.min() == found.max():
        lacking = "validation" if found[0] == TRAIN else "training"
        raise DataError(f"`valid` names {len(valid):,} rows, which leaves no rating for {lacking}.")
    return found.astype(np.int8)


def _deal(found: np.ndarray, order: np.ndarray, valid: float, test: float) -> None:
    """The first of an order validate, the next are the test."""
    num_valid, num_test = round(valid * len(order)), round(test * len(order))
    found[order[:num_valid]] = VALID
    found[order[num_valid : num_valid + num_test]] = TEST


def _by_time(times: np.ndarray, valid: float, test: float) -> np.ndarray:
    """The newest are the test, those before validate; ratings of one moment stay together."""
    ordered = np.sort(times)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # the last of each moment
    after = len(times) - 1 - ends  # ratings later than each moment
    found = np.zeros(len(times), dtype=np.int8)
    for part, share in ((VALID, valid + test), (TEST, test)):
        if share:
            cut = int(np.argmin(np.abs(after - share * len(times))))
            found[times > ordered[ends[cut]]] = part
    return found
