"""Small models of ratings that tests share, fitted in closed form by numpy, and made ratings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivetrain.collab.factors import Factors
from drivetrain.data.ratings import RatingTable
from tests.tabular.tables import real


@dataclass(frozen=True)
class Planted:
    """True tastes, and some ratings of them."""

    taste: Factors
    table: RatingTable


def planted(
    num_users: int = 60,
    num_items: int = 40,
    *,
    each: int = 8,
    noise: float = 0.3,
    factors: int = 2,
    seed: int = 0,
) -> Planted:
    """Ratings of users who each rated so many items drawn by chance."""
    draw = np.random.default_rng(seed)
    users = draw.normal(0, 0.6, (num_users + 1, factors)).astype(np.float32)
    items = draw.normal(0, 0.6, (num_items + 1, factors)).astype(np.float32)
    item_bias = draw.normal(3, 0.5, num_items + 1).astype(np.float32)
    users[0], items[0] = 0, 0
    taste = Factors(users, items, np.zeros(num_users + 1, np.float32), item_bias)
    who = np.repeat(np.arange(1, num_users + 1), each)
    keys = draw.random((num_users, num_items))
    what = (np.argsort(keys, axis=1)[:, :each] + 1).reshape(-1)
    values = taste.predict(who, what) + draw.normal(0, noise, len(who))
    table = RatingTable(
        who.astype(np.int32), what.astype(np.int32), values.astype(np.float32),
        draw.integers(0, 1000, len(who)), num_users + 1, num_items + 1,
    )  # fmt: skip
    return Planted(taste, table)


def fit_biases(
    table: RatingTable, weights: np.ndarray | None = None, *, strength: float = 5.0
) -> Factors:
    """Mean, then item biases, then user biases, each shrunk; no vectors."""
    weight = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    mean = np.average(table.ratings, weights=weight)
    rest = table.ratings - mean
    item = _shrunk(table.items, rest, weight, table.num_items, strength)
    user = _shrunk(table.users, rest - item[table.items], weight, table.num_users, strength)
    return Factors(
        np.zeros((table.num_users, 1), np.float32),
        np.zeros((table.num_items, 1), np.float32),
        user.astype(np.float32),
        (item + mean).astype(np.float32),
    )


def fit_als(
    table: RatingTable,
    weights: np.ndarray | None = None,
    *,
    factors: int = 8,
    rounds: int = 6,
    strength: float = 8.0,
) -> Factors:
    """Weighted alternating least squares on what biases leave."""
    weight = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    base = fit_biases(table, weights)
    rest = table.ratings - base.predict(table.users, table.items)
    draw = np.random.default_rng(0)
    items = draw.normal(0, 0.1, (table.num_items, factors))
    users = np.zeros((table.num_users, factors))
    for _ in range(rounds):
        users = _solve(table.users, items[table.items], rest, weight, table.num_users, strength)
        items = _solve(table.items, users[table.users], rest, weight, table.num_items, strength)
    return Factors(
        users.astype(np.float32), items.astype(np.float32), base.user_bias, base.item_bias
    )


def _shrunk(
    codes: np.ndarray, values: np.ndarray, weights: np.ndarray, number: int, strength: float
) -> np.ndarray:
    total = np.bincount(codes, weights=values * weights, minlength=number)
    return total / (np.bincount(codes, weights=weights, minlength=number) + strength)


def _solve(
    codes: np.ndarray,
    others: np.ndarray,
    rest: np.ndarray,
    weights: np.ndarray,
    number: int,
    strength: float,
) -> np.ndarray:
    order = np.argsort(codes, kind="stable")
    owners, starts = np.unique(codes[order], return_index=True)
    vectors = others[order]
    weighted = vectors * weights[order, None]
    size = others.shape[1]
    grams = np.zeros((number, size, size))
    sides = np.zeros((number, size))
    grams[owners] = np.add.reduceat(weighted[:, :, None] * vectors[:, None, :], starts)
    sides[owners] = np.add.reduceat(weighted * rest[order, None], starts)
    return np.linalg.solve(grams + strength * np.eye(size), sides[:, :, None])[:, :, 0]


def movielens() -> RatingTable:
    """MovieLens 100K, its own numbers as codes; the test is skipped where it is absent."""
    found = np.loadtxt(real("ml-100k/u.data"), dtype=np.int64)
    return RatingTable(
        found[:, 0].astype(np.int32), found[:, 1].astype(np.int32),
        found[:, 2].astype(np.float32), found[:, 3], 944, 1683,
    )  # fmt: skip


def parted(
    table: RatingTable, share: float = 0.2, seed: int = 42
) -> tuple[RatingTable, RatingTable]:
    """Training and validation ratings, drawn by chance."""
    order = np.random.default_rng(seed).permutation(len(table))
    count = int(share * len(table))
    return table.take(np.sort(order[count:])), table.take(np.sort(order[:count]))
