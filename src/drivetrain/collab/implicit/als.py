"""Weighted least squares in turn (ALS) for events: all that did not happen counts too, a little.

An event says that something happened, and how often or how long; that it did not may mean dislike, or
only that nobody knew of it. So each pair of a user and an item is to be predicted, 1 where something
happened and else 0, and those that happened count 1 + alpha·r instead of 1:

    Σ (1 + alpha r) [(happened - p·q)² + λ (|p|² + |q|²)], over all U × I pairs

While the users' vectors p stand still, each item's best q is the answer to K linear equations, and
the other way round; neither half-step can make the sum larger. The pairs without an event are in the
sum but never in a loop: their part is the same K × K matrix for everybody.

Paper: Hu, Koren & Volinsky 2008, doi:10.1109/ICDM.2008.22. Differs: λ stands within the sum, so that a
vector is pulled to zero in proportion to what its pairs count together, and one λ does for small data
and large (Zhou et al. 2008, doi:10.1007/978-3-540-68880-8_32; Rendle et al. 2021, arXiv:2110.14037).
And a round moves the items first and the users last, so that a user's vector is the exact answer to
the items' that are given back, and what `fold_in` finds for the same events is the same vector.
Twin: drivetrain.reference.factorization.

Letters: N events, U users, I items, K factors; M owners on the side that is solved, J on the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.collab.factors import Factors
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError
from drivetrain.models.device import threads
from drivetrain.randomness import derive
from drivetrain.train.history import History

FACTORS = 64
REGULARIZATION = 0.02
ALPHA = 3.0
ROUNDS = 15

CELLS = 1 << 18
"""Numbers in the largest array of a block, 1 MB: it stays in the processor's cache, and what is in memory
beside events and vectors does not grow with the data."""
CHUNK = 1 << 12
"""Vectors or events that are read at once where only a sum is wanted: what stays in the cache."""
SPARE = 1.125
"""How many times longer than its shortest a block's longest list may be; what is between is padded."""


@dataclass(frozen=True)
class AlsFit:
    """What `fit_als` gives."""

    factors: Factors
    """Scores near 1 are likely, near 0 unlikely; no biases. Row 0, of the unknown, is the mean of the
    others, each as often as it has events, so that an unknown user is given what most would be."""
    history: History
    """A row a round: `round`, `loss` (the sum above) and `seconds`. `print` makes it a table."""
    regularization: float
    alpha: float

    def fold_in(self, table: RatingTable, *, num_threads: int | None = 1) -> np.ndarray:
        """Vectors of users from their events alone, the items staying as they are.

        Args:
            table: events of users, any codes; items as they were fitted.

        Returns: (table.num_users, K) float32; zeros for users without events of known items.
        Raises: DataError: as `fit_als`; another number of items.
        """
        if table.num_items != len(self.factors.items):
            raise DataError(
                f"The model knows {len(self.factors.items) - 1} items. Got a table of "
                f"{table.num_items - 1}."
            )
        known, _ = sides(table, self.alpha, unknown_users=True)
        with threads(num_threads):
            items = torch.from_numpy(self.factors.items.copy())
            items[0] = 0.0  # the unknown item stands in no pair
            return half_step(known, items, self.regularization).numpy()


def fit_als(
    table: RatingTable,
    *,
    num_factors: int = FACTORS,
    regularization: float = REGULARIZATION,
    alpha: float = ALPHA,
    rounds: int = ROUNDS,
    seed: int = 42,
    num_threads: int | None = 1,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> AlsFit:
    """Fit vectors of users and items to events.

    A float32 answer that is the same to the last bit each time, on the same machine with the same
    number of threads. Memory is bounded: the events twice, and the vectors.

    Args:
        table: events; `ratings` say how much each counts, 0 nothing. Those of one user with one item add
            up; those of unknown users or items are left out.
        num_factors: K, numbers in a vector.
        regularization: λ, above 0: how strongly vectors are pulled to zero; 0.003 to 0.05 is usual.
        alpha: how much more an event counts than none, from 0 up; the larger, the more a vector
            follows the events.
        rounds: half-steps for each side.
        seed: of the vectors it begins with.
        num_threads: torch threads; None leaves them.
        report: called with each row of the history.

    Raises: ConfigError: a setting is out of range. DataError: an event counts less than 0 or is not
        finite, or there is none.
    """
    _check_settings(num_factors, regularization, alpha, rounds)
    by_user, by_item = sides(table, alpha)
    users = first_vectors(by_user, num_factors, seed)
    items = torch.zeros(table.num_items, num_factors)
    history = History()
    with threads(num_threads):
        for number in range(1, rounds + 1):
            began = time.perf_counter()
            items = half_step(by_item, users, regularization)
            users = half_step(by_user, items, regularization)
            loss = objective(by_user, by_item, users, items, regularization)
            row = {"round": number, "loss": loss, "seconds": time.perf_counter() - began}
            history.append(row)
            if report is not None:
                report(row)
    for side, vectors in ((by_user, users), (by_item, items)):
        fill_unknown_(side, vectors)
    zeros = np.zeros(table.num_users, np.float32), np.zeros(table.num_items, np.float32)
    return AlsFit(Factors(users.numpy(), items.numpy(), *zeros), history, regularization, alpha)


# --- the events of each side ------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """For each of M owners, with which others it had to do and how much more than 1 that counts."""

    offsets: np.ndarray
    """(M + 1,) int64: what owner m has stands at `offsets[m]` to `offsets[m + 1]`."""
    others: Tensor
    """(N,) int32 codes."""
    extra: Tensor
    """(N,) float32, alpha·r."""
    weights: Tensor
    """(M,) float64, what all pairs of an owner count together: 1 for each of the others, and `extra`."""

    def lengths(self) -> np.ndarray:
        """(M,) int64, how many each has."""
        return np.diff(self.offsets)


def sides(table: RatingTable, alpha: float, *, unknown_users: bool = False) -> tuple[Side, Side]:
    """The events of each user and of each item, those of one pair added up.

    Args:
        unknown_users: take code 0 of users for one like any other.

    Raises: DataError: an event counts less than 0 or is not finite, or there is none.
    """
    _check_counts(table.ratings)
    is_used = (table.items > 0) & (table.ratings > 0)
    if not unknown_users:
        is_used &= table.users > 0
    if not is_used.any():
        raise DataError("There is no event of a known user with a known item to learn from.")
    pairs = table.users[is_used].astype(np.int64) * table.num_items + table.items[is_used]
    order = np.argsort(pairs, kind="stable")
    pairs, counts = pairs[order], table.ratings[is_used][order]
    is_new = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=is_new[1:])
    if not is_new.all():
        first = np.flatnonzero(is_new)
        pairs, counts = pairs[first], np.add.reduceat(counts, first)
    users, items = np.divmod(pairs, table.num_items)
    extra = (counts * np.float32(alpha)).astype(np.float32)
    by_item = np.argsort(items, kind="stable")
    sizes = table.num_users, table.num_items
    return (
        side_of(users, items, extra, *sizes),
        side_of(items[by_item], users[by_item], extra[by_item], *sizes[::-1]),
    )


def _check_counts(counts: np.ndarray) -> None:
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if wrong.any():
        raise DataError(
            "Events count from 0 up: how often something happened. Got "
            f"{float(counts[wrong][0]):g} in row {int(np.flatnonzero(wrong)[0])}. For ratings "
            "that can be below 0 fit a model of ratings, or keep those that mean liking."
        )


def side_of(
    owners: np.ndarray, others: np.ndarray, extra: np.ndarray, num_owners: int, num_others: int
) -> Side:
    """The events of some owners, (N,) in order of owners."""
    counts = np.bincount(owners, minlength=num_owners)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    weights = np.bincount(owners, extra, minlength=num_owners) + (num_others - 1)
    tensors = [torch.from_numpy(a) for a in (others.astype(np.int32), extra, weights)]
    return Side(offsets, *tensors)


def first_vectors(side: Side, num_factors: int, seed: int) -> Tensor:
    """(M, K) float32 to begin with, of length about 1; zeros for who has no events."""
    generator = torch.Generator().manual_seed(derive(seed, "init", "als"))
    drawn = torch.randn(len(side.offsets) - 1, num_factors, generator=generator)
    return drawn * (torch.from_numpy(side.lengths()) > 0)[:, None] / num_factors**0.5


def fill_unknown_(side: Side, vectors: Tensor) -> None:
    """Make row 0 of vectors, (M, K), the mean of the others, each as often as it has events."""
    shares = torch.from_numpy(side.lengths() / side.offsets[-1]).float()
    vectors[0] = shares @ vectors


# --- a half-step ------------------------------------------------------------------------------------


def half_step(side: Side, fixed: Tensor, regularization: float) -> Tensor:
    """The best vector of each owner while the others' stand still.

    Args:
        side: what M owners have to do with J others.
        fixed: (J, K) float32, the vectors of the others.
        regularization: λ.

    Returns: (M, K) float32, zeros for owners who have nothing.
    """
    exact = shared_matrix(fixed)
    pulls = side.weights * regularization
    solved = torch.zeros(len(side.offsets) - 1, fixed.shape[1])
    lengths = side.lengths()
    for owners in blocks(lengths, fixed.shape[1]):
        lists = side, side.offsets[owners], lengths[owners], pulls[owners]
        answer = _solve(*lists, fixed, exact.float())
        if answer is None:  # λ is below what float32 can tell beside the rest of the matrix
            answer = _solve(*lists, fixed, exact)
        if answer is None:
            raise ConfigError(
                f"With a regularization of {regularization:g} the equations of some vectors have no "
                "single answer. Give a larger one."
            )
        solved[torch.from_numpy(owners)] = answer.float()
    return solved


def shared_matrix(fixed: Tensor) -> Tensor:
    """Σ q qᵀ over all J others: (K, K) float64, the same for every owner."""
    total = torch.zeros(fixed.shape[1], fixed.shape[1], dtype=torch.float64)
    for part in fixed.split(CHUNK):
        exact = part.double()
        total += exact.T @ exact
    return total


def blocks(lengths: np.ndarray, num_factors: int) -> Iterator[np.ndarray]:
    """Owners with lists of about one length, as many as fit into a block: (B,) int64 each.

    Args:
        lengths: (M,) int64; owners with none are left out.
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    start = int(np.searchsorted(ordered, 1))
    while start < len(order):
        longest = int(ordered[start] * SPARE) + 1  # of a list that may stand beside the shortest
        alike = int(np.searchsorted(ordered, longest, side="right"))
        most = max(CELLS // (num_factors * max(longest, num_factors)), 1)
        stop = min(alike, start + most)
        yield order[start:stop]
        start = stop


def _solve(
    side: Side,
    starts: np.ndarray,
    lengths: np.ndarray,
    pulls: Tensor,
    fixed: Tensor,
    shared: Tensor,
) -> Tensor | None:
    """(B, K) vectors of a block of owners, in the type of `shared`; None where that is not enough."""
    # A pair that happened adds alpha·r to the 1 that all pairs count, so the K × K matrix of an owner is
    # the shared one and Σ alpha r q qᵀ over its own list: lists are as long as owners are busy, not J.
    num_factors, dtype = fixed.shape[1], shared.dtype
    matrix = shared.expand(len(starts), -1, -1).clone()  # (B, K, K)
    matrix.diagonal(dim1=1, dim2=2).add_(pulls.to(dtype)[:, None])
    right = torch.zeros(len(starts), 1, num_factors, dtype=dtype)  # (B, 1, K): fastest as a row
    width = max(
        CELLS // (num_factors * len(starts)), 1
    )  # a list longer than a block comes in pieces
    for column in range(0, int(lengths.max()), width):
        columns = np.arange(column, min(column + width, int(lengths.max())))
        is_in = torch.from_numpy(columns < lengths[:, None])  # (B, W)
        places = torch.from_numpy(np.minimum(starts[:, None] + columns, len(side.others) - 1))
        extra = torch.where(is_in, side.extra[places], 0.0).to(dtype)  # (B, W)
        rows = fixed.index_select(0, side.others[places].flatten()).to(dtype)
        rows = rows.view(*places.shape, num_factors)  # (B, W, K)
        matrix.baddbmm_((rows * extra[..., None]).mT, rows)
        right.baddbmm_((extra + is_in)[:, None], rows)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed.any():
        return None
    return torch.cholesky_solve(right.mT, factor).squeeze(2)


# --- the sum that falls -----------------------------------------------------------------------------


def objective(
    by_user: Side, by_item: Side, users: Tensor, items: Tensor, regularization: float
) -> float:
    """The sum over all pairs at the head of this file, in float64."""
    # Every pair as if nothing happened, Σ (p·q)², is the product of the two sides' shared matrices; the
    # pairs that happened are put right one by one.
    total = float((shared_matrix(users) * shared_matrix(items)).sum())
    for side, vectors in ((by_user, users), (by_item, items)):
        total += regularization * float(side.weights @ vectors.square().sum(1).double())
    owners = np.repeat(np.arange(len(users), dtype=np.int32), by_user.lengths())
    columns = torch.from_numpy(owners), by_user.others, by_user.extra
    for own, other, extra in zip(*[column.split(CHUNK) for column in columns], strict=True):
        rows = users.index_select(0, own).mul_(items.index_select(0, other))
        scores = rows.sum(1).double()
        total += float(((1 + extra.double()) * (1 - scores).square() - scores.square()).sum())
    return total


def _check_settings(num_factors: int, regularization: float, alpha: float, rounds: int) -> None:
    for name, value in (("num_factors", num_factors), ("rounds", rounds)):
        if type(value) is not int or value < 1:
            raise ConfigError(f"`fit_als` needs `{name}` of at least 1. Got {value!r}.")
    if not (isfinite(regularization) and regularization > 0):
        raise ConfigError(f"`fit_als` needs `regularization` above 0. Got {regularization!r}.")
    if not (isfinite(alpha) and alpha >= 0):
        raise ConfigError(f"`fit_als` needs `alpha` from 0 up. Got {alpha!r}.")
