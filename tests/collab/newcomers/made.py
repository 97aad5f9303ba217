"""Made users whose tastes come from what is known of them, for tests of who is new."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.facts import Facts
from drivetrain.data.ratings import RatingTable
from drivetrain.models.factorization import create_factorization
from drivetrain.randomness import permutation

RANGE = (0.0, 5.5)


@dataclass(frozen=True)
class Made:
    """A model that was fitted, so to say, and users that it did not see."""

    factors: Factors
    """Of the users that training saw, their vectors with some error."""
    facts: Facts
    """Of these users."""
    table: RatingTable
    """Their ratings."""
    truth: Factors
    """All users, those that are new at the end, without error."""
    new_facts: np.ndarray
    """(M, F) of the new ones."""
    new_codes: np.ndarray
    """(M,) their codes in `truth`."""


def made(
    *,
    users: int = 300,
    new: int = 80,
    items: int = 60,
    width: int = 4,
    each: int = 20,
    link: float = 1.0,
    y_range: tuple[float, float] | None = RANGE,
    seed: int = 0,
) -> Made:
    """Vectors that are `link` times a function of five facts, and otherwise chance."""
    draw = np.random.default_rng(seed)
    total = users + new + 1
    values = np.column_stack(
        [draw.normal(size=total), draw.integers(0, 2, (total, 3)), draw.normal(size=total)]
    )
    cause = np.column_stack([values[:, :4], np.abs(values[:, 4])])  # a number whose effect bends
    told = (cause - cause.mean(0)) @ draw.normal(0, 0.6, (5, width + 1))
    vectors = link * told + draw.normal(0, 0.25 + 0.6 * (1 - link), told.shape)
    vectors[:, -1] += 0.4
    vectors[0] = 0
    films = draw.normal(0, 0.8, (items + 1, width)).astype(np.float32)
    films[0] = 0
    film_bias = np.append(0, draw.normal(0, 0.4, items)).astype(np.float32)
    truth = Factors(
        vectors[:, :-1].astype(np.float32),
        films,
        vectors[:, -1].astype(np.float32),
        film_bias,
        y_range,
    )
    who = np.repeat(np.arange(1, users + 1), each).astype(np.int32)
    what = (np.argsort(draw.random((users, items)), axis=1)[:, :each] + 1).reshape(-1)
    ratings = truth.predict(who, what) + draw.normal(0, 0.3, len(who))
    table = RatingTable(
        who, what.astype(np.int32), ratings.astype(np.float32), None, users + 1, items + 1
    )
    learnt = vectors[: users + 1] + draw.normal(0, 0.05, (users + 1, width + 1))
    factors = replace(
        truth,
        users=learnt[:, :-1].astype(np.float32),
        user_bias=learnt[:, -1].astype(np.float32),
    )
    known = values[: users + 1].astype(np.float32)
    known[0] = np.nan
    return Made(
        factors,
        Facts(("a", "b", "c", "d", "e"), known),
        table,
        truth,
        values[users + 1 :].astype(np.float32),
        np.arange(users + 1, total),
    )


def fit_dot(table: RatingTable, *, epochs: int = 5, seed: int = 0) -> Factors:
    """The dot product with biases of the course, learnt in half a second of MovieLens 100K."""
    model = create_factorization(
        {
            "kind": "dot",
            "num_users": table.num_users,
            "num_items": table.num_items,
            "num_factors": 50,
            "bias": True,
            "y_range": RANGE,
        },
        seed=seed,
    )
    pairs, ratings = table.tensors()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    steps = -(-len(table) // 1024)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps * epochs)
    for epoch in range(epochs):
        for rows in permutation(len(table), seed=seed, epoch=epoch).split(1024):
            optimizer.zero_grad()
            (model(pairs[rows]) - ratings[rows]).square().mean().backward()
            optimizer.step()
            schedule.step()
    found = Factors.of(model)
    assert found is not None
    return found


def error(found: Made, vectors: np.ndarray, biases: np.ndarray) -> float:
    """Root mean squared error of the new users' ratings of all items."""
    raw = vectors @ found.factors.items.T + biases[:, None] + found.factors.item_bias
    truth = found.truth.scores(found.new_codes)
    return float(np.sqrt(np.square(found.factors.ranged(raw.astype(np.float32)) - truth).mean()))
