"""What the lists of a model are worth on the validation part, in the form that results have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drivetrain.collab.baselines import RANKING_BASELINES
from drivetrain.collab.data import CollabData
from drivetrain.collab.measure import RankingResult, measure_ranking
from drivetrain.errors import DataError

K = 10
"""Places of the lists that results are about."""
MOST_USERS = 2_000
"""Users whose lists are looked at, drawn by the seed."""
PRIMARY = "ndcg"
"""What lists are compared by: a hit counts less the further down it stands."""


def ranked(
    scores: Callable[[np.ndarray], np.ndarray], data: CollabData, *, k: int = K
) -> RankingResult | None:
    """What a model's lists are worth on the validation part; None where no known user has a like in it.

    Args:
        scores: (B,) codes of users -> (B, I).
    """
    train, valid = data.pairs("train"), data.pairs("valid")
    try:
        return measure_ranking(
            scores,
            train,
            valid,
            k=k,
            relevant_from=0.0 if data.is_implicit else None,  # any event is one
            max_users=MOST_USERS,
            seed=data.seed,
        )
    except DataError:
        return None


def list_baselines(data: CollabData, names: Sequence[str]) -> dict[str, Any]:
    """What simple orders are worth: name -> `{ndcg, interval}`."""
    train = data.pairs("train")
    found = {name: ranked(RANKING_BASELINES[name](train).scores, data) for name in names}
    return {
        name: {PRIMARY: one.per_list[PRIMARY].value, "interval": interval_of(one)}
        for name, one in found.items()
        if one is not None
    }


def values_of(measured: RankingResult | None) -> dict[str, float]:
    """The metrics of lists by name, the one they are compared by first."""
    if measured is None:
        return {}
    per_list = measured.per_list
    names = [PRIMARY, *(name for name in per_list if name != PRIMARY)]
    found = {name: per_list[name].value for name in names}
    return found | {"coverage": measured.coverage}


def interval_of(measured: RankingResult) -> list[float] | None:
    """Of what lists are compared by."""
    found = measured.per_list[PRIMARY]
    both = [found.low, found.high]
    return both if all(map(math.isfinite, both)) else None
