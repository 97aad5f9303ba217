"""Somebody new, by whatever is known of him: a few ratings, facts, both, or nothing.

    someone = newcomer(factors, items=[50, 7], ratings=[5, 2], cold=cold, facts=facts)
    someone.scores(factors, item_mean)
    print(someone.sentence)              # Made from 2 ratings, starting at what facts say.

Where nothing is known he gets what everybody likes, and is told so: the mean rating of each item, and
what is rated most. The mean vector would say the same with more error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.cold import ColdStart
from drivetrain.collab.newcomers.fold_in import WEIGHT_DECAY, Prior, fold_in
from drivetrain.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Newcomer:
    """What is believed of a user whom training did not see."""

    vector: np.ndarray | None
    """(K,) float32; None where nothing is known."""
    bias: float
    sources: tuple[str, ...]
    """What it was made of: "facts", "ratings", both, or nothing."""
    sentence: str
    """How, and what to make of it."""

    def scores(self, factors: Factors, item_mean: np.ndarray) -> np.ndarray:
        """(I,) float32, predicted ratings: by the vector, or the mean rating of each item without one.

        Args:
            item_mean: (I,) mean ratings in training.
        """
        if self.vector is None:
            return np.asarray(item_mean, dtype=np.float32)
        raw = factors.items @ self.vector + factors.item_bias + np.float32(self.bias)
        return factors.ranged(raw.astype(np.float32))

    def order(self, factors: Factors, popularity: np.ndarray) -> np.ndarray:
        """(I - 1,) int64 item codes in the order to recommend them: by the vector, or the most rated.

        Args:
            popularity: (I,) ratings each item had in training.
        """
        values = popularity if self.vector is None else self.scores(factors, popularity)
        return np.argsort(-np.asarray(values, dtype=np.float64)[1:], kind="stable") + 1


def newcomer(
    factors: Factors,
    *,
    items: Sequence[int] | np.ndarray = (),
    ratings: Sequence[float] | np.ndarray = (),
    facts: np.ndarray | None = None,
    cold: ColdStart | None = None,
    weight_decay: float = WEIGHT_DECAY,
) -> Newcomer:
    """A new user by whatever is known: a few ratings, facts, both, or nothing.

    Args:
        factors: of the model.
        items, ratings: (n,) codes and ratings; code 0 says nothing.
        facts: (F,) from `Facts.facts_of`; needs `cold`.
        cold: `fit_cold_start` of users.
        weight_decay: of fold-in.

    Raises: ConfigError: facts without a model of users. As `fold_in`.
    """
    if facts is not None and (cold is None or cold.side != "user"):
        raise ConfigError("`facts` of a new user need `cold`, fitted with side='user'.")
    prior: Prior | None = None
    has_facts = facts is not None and not np.isnan(facts).all()
    if cold is not None and cold.side == "user":
        row = facts if facts is not None else np.full(len(cold.fact_names), np.nan)
        prior = cold.vector(row)
    says_something = has_facts and cold is not None and cold.uses_facts
    known = np.asarray(items, dtype=np.int64)
    num = int((known > 0).sum())
    if num:
        vector, bias = fold_in(factors, known, ratings, weight_decay=weight_decay, prior=prior)
        return Newcomer(
            vector,
            bias,
            ("facts", "ratings") if says_something else ("ratings",),
            f"Made from {num} {'rating' if num == 1 else 'ratings'}, starting at "
            f"{'what facts say' if says_something else 'the mean user'}.",
        )
    if says_something and prior is not None:
        return Newcomer(prior[0], float(prior[1]), ("facts",), "Made from facts alone, no ratings.")
    why = "Nothing is known of this user"
    if has_facts:
        why = "Facts did no better than the mean user, and there are no ratings"
    elif len(known):
        why = "Of what this user rated, training saw nothing"
    return Newcomer(None, 0.0, (), f"{why}: this is what is popular, the same for everybody.")
