"""The best few of very many: exactly, block by block, or nearly, by a graph of neighbours.

    found = exact_top(factors.users[codes], factors.items, 10, bias=factors.item_bias)
    index = ItemIndex.build(factors.items, factors.item_bias)      # pip install 'drivetrain[search]'
    found = index.top(factors.users[codes], 10)                    # the same, nearly always

What is best is the highest score: the inner product with an item's vector, plus its bias; or the cosine.
Equal scores: the lower code first. Item 0 stands for unknown ones and is never found.

A graph finds near vectors, not large inner products. One more coordinate makes the first of the second:
with M the largest length of an item's vector x, (x, sqrt(M² - |x|²)) all have the length M, and the
nearest of them to (q, 0) is the item of the largest q . x. Paper: Bachrach et al. 2014, "Speeding up the
Xbox recommender system using a Euclidean transformation for inner-product spaces",
doi:10.1145/2645710.2645741, sec. 4. A bias is a coordinate too, against a 1 in the query. The graph is
HNSW (Malkov & Yashunin 2016, arXiv:1603.09320), of the package voyager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from drivetrain._optional import require
from drivetrain.data.ratings import Lists
from drivetrain.errors import ConfigError, ShapeError

CELLS = 1 << 23
"""Scores that are in memory at once: 32 MB of float32."""
CONNECTIONS = 16
"""Of an item in the graph."""
EFFORT = 200
"""Items that are looked at closely, for each one that is placed or asked for."""

WAYS = ("dot", "cosine")


@dataclass(frozen=True, eq=False)
class Found:
    """The best items of each of B queries, best first."""

    codes: np.ndarray
    """(B, k) int32; 0 where nothing was left."""
    scores: np.ndarray
    """(B, k) float32; -inf where nothing was left."""

    def __len__(self) -> int:
        return len(self.codes)

    def lengths(self) -> np.ndarray:
        """(B,) int64, how many items were found for each."""
        return (self.codes > 0).sum(1)


def exact_top(
    queries: np.ndarray,
    items: np.ndarray,
    k: int,
    *,
    bias: np.ndarray | None = None,
    by: str = "dot",
    exclude: Lists | None = None,
    allowed: np.ndarray | None = None,
    cells: int = CELLS,
) -> Found:
    """The k items of the highest score for each query, all of them compared.

    Args:
        queries: (B, K) float32.
        items: (I, K) float32, row 0 the unknown one.
        k: at least 1; more than there are leaves empty places at the end.
        bias: (I,) float32, added to each inner product; not for cosines.
        by: "dot" or "cosine"; the cosine of a vector of nothing but zeros is 0.
        exclude: B lists of items that are not to be found.
        allowed: (I,) bool, items that may be found; None: all.
        cells: scores that are in memory at once.

    Raises: ConfigError: `k` below 1, or another `by`. ShapeError: lengths differ.
    """
    _check(queries, items, k, by, exclude, allowed)
    if by == "cosine":
        queries, items, bias = _unit(queries), _unit(items), None
    across = torch.from_numpy(np.ascontiguousarray(items.T, dtype=np.float32))
    shift = None if bias is None else torch.from_numpy(np.asarray(bias, dtype=np.float32))

    def score(rows: np.ndarray) -> torch.Tensor:
        found = torch.from_numpy(np.ascontiguousarray(queries[rows], dtype=np.float32)) @ across
        return found if shift is None else found.add_(shift)

    return top_of(score, len(queries), len(items), k, exclude=exclude, allowed=allowed, cells=cells)


def top_of(
    score: Callable[[np.ndarray], torch.Tensor],
    num_queries: int,
    num_items: int,
    k: int,
    *,
    exclude: Lists | None = None,
    allowed: np.ndarray | None = None,
    cells: int = CELLS,
) -> Found:
    """The k best of scores that a function gives for a block of queries.

    Args:
        score: queries (B,) int64 -> scores (B, I) float32, which may be overwritten.
        others: as in `exact_top`.
    """
    codes = np.zeros((num_queries, k), np.int32)
    scores = np.full((num_queries, k), -np.inf, np.float32)
    barred = torch.zeros(num_items, dtype=torch.bool)
    barred[0] = True
    if allowed is not None:
        barred |= torch.from_numpy(~np.asarray(allowed, dtype=bool))
    for rows in blocks(num_queries, num_items, cells):
        found = score(rows)
        found.masked_fill_(barred, -torch.inf)
        if exclude is not None:
            lists = exclude.take(rows)
            places = (
                torch.from_numpy(lists.owners()).long(),
                torch.from_numpy(lists.values).long(),
            )
            found[places] = -torch.inf
        best, which = _largest(found, min(k, num_items))
        codes[rows, : which.shape[1]] = which.numpy()
        scores[rows, : best.shape[1]] = best.numpy()
    codes[np.isneginf(scores)] = 0
    return Found(codes, scores)


def blocks(num_queries: int, num_items: int, cells: int = CELLS) -> Iterator[np.ndarray]:
    """Numbers of queries, so many at a time that their scores are `cells` or fewer; one at least."""
    size = max(1, cells // max(num_items, 1))
    for start in range(0, num_queries, size):
        yield np.arange(start, min(start + size, num_queries))


def _largest(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and places of the k largest of each row, in falling order, equal ones by their place.

    `torch.topk` promises nothing of equal values: which of them it takes at the edge, and in which
    order. Rows that end within equal values are sorted whole; they are few.
    """
    best, which = scores.topk(k, dim=1)
    edge = best[:, -1:]
    ties = ((scores >= edge).sum(1) > k) & ~torch.isneginf(edge[:, 0])
    if ties.any():
        rows = ties.nonzero()[:, 0]
        order = scores[rows].sort(dim=1, descending=True, stable=True)
        best[rows], which[rows] = order.values[:, :k], order.indices[:, :k]
    # by place, then stably by value: equal values stay in the order of their places
    which, order = which.sort(dim=1)
    best = best.gather(1, order)
    best, order = best.sort(dim=1, descending=True, stable=True)
    return best, which.gather(1, order)


class ItemIndex:
    """A graph of items that answers which score highest without comparing all of them.

    Made by `build`. It is for catalogues of a hundred thousand items and more; below, `exact_top` is fast
    enough and never wrong. What was measured of a million items is in docs/ratings.md. Nothing of
    it is stored: it is made again from the items.
    """

    def __init__(self, graph: Any, items: np.ndarray, bias: np.ndarray | None, by: str) -> None:
        self._graph = graph
        self.items = items
        self.bias = bias
        self.by = by

    @classmethod
    def build(
        cls,
        items: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        by: str = "dot",
        connections: int = CONNECTIONS,
        effort: int = EFFORT,
        seed: int = 42,
        num_threads: int = 1,
    ) -> ItemIndex:
        """Place every item in the graph.

        Args:
            items: (I, K) float32, row 0 the unknown one, which is left out.
            bias: (I,) float32, added to each inner product; not for cosines.
            by: "dot" or "cosine".
            connections: of an item; more of them find more and take more memory.
            effort: more of it makes a better graph and takes longer.
            seed: of the graph's levels.
            num_threads: one gives the same graph every time; with more its edges depend on their race.

        Raises: MissingPackageError: voyager is not installed. ConfigError: another `by`, or no items.
        """
        voyager = require("voyager", extra="search")
        _check(items[:0], items, 1, by, None, None)
        if len(items) < 2:
            raise ConfigError("`ItemIndex.build` needs one item beside the unknown one. Got none.")
        items = np.ascontiguousarray(items, dtype=np.float32)
        bias = None if bias is None or by == "cosine" else np.asarray(bias, dtype=np.float32)
        if by == "cosine":
            items = _unit(items)
        points = lifted(items[1:], None if bias is None else bias[1:])
        graph = voyager.Index(
            voyager.Space.Euclidean,
            num_dimensions=points.shape[1],
            M=connections,
            ef_construction=effort,
            random_seed=seed,
            max_elements=len(points),
        )
        graph.add_items(points, ids=np.arange(1, len(items)), num_threads=num_threads)
        return cls(graph, items, bias, by)

    def __len__(self) -> int:
        """Items in the graph."""
        return len(self.items) - 1

    def top(
        self,
        queries: np.ndarray,
        k: int,
        *,
        exclude: Lists | None = None,
        allowed: np.ndarray | None = None,
        effort: int = EFFORT,
        num_threads: int = 1,
    ) -> Found:
        """The k items of nearly the highest score for each query; the scores are exact.

        Items that are not to be found are asked for and dropped, so that k are left: where they are more
        than a tenth of all, all items are compared instead.

        Args:
            queries, k, exclude, allowed: as in `exact_top`.
            effort: items that are looked at closely; more of it finds more.

        Raises: as `exact_top`.
        """
        _check(queries, self.items, k, self.by, exclude, allowed)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        barred = 0 if allowed is None else int((~allowed[1:]).sum())
        more = 0 if exclude is None or not len(exclude) else int(exclude.lengths().max())
        wanted = k + barred + more
        if wanted > max(k, len(self) // 10) or k >= len(self):
            return exact_top(
                queries,
                self.items,
                k,
                bias=self.bias,
                by=self.by,
                exclude=exclude,
                allowed=allowed,
            )
        if self.by == "cosine":
            queries = _unit(queries)
        asked = asking(queries, with_bias=self.bias is not None)
        near, _ = self._graph.query(
            asked, wanted, num_threads=num_threads, query_ef=max(effort, wanted)
        )
        near = near.astype(np.int64)  # (B, wanted)
        scores = np.einsum("bk,bnk->bn", queries, self.items[near])
        if self.bias is not None:
            scores += self.bias[near]
        if allowed is not None:
            scores[~allowed[near]] = -np.inf
        if exclude is not None:
            scores[_is_in(near, exclude, len(self.items))] = -np.inf
        order = np.lexsort((near, -scores), axis=1)[:, :k]
        scores = np.take_along_axis(scores, order, 1).astype(np.float32)
        codes = np.take_along_axis(near, order, 1).astype(np.int32)
        codes[np.isneginf(scores)] = 0
        return Found(codes, scores)


def lifted(items: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Items with their bias and one more coordinate, so that all have the same length.

    Args:
        items: (I, K) float32.
        bias: (I,) float32, or None.

    Returns: (I, K + 1) float32, or (I, K + 2) with a bias.
    """
    points = items if bias is None else np.column_stack([items, bias])
    squares = np.einsum("ik,ik->i", points, points, dtype=np.float64)
    left = np.sqrt(squares.max(initial=0.0) - squares)
    return np.column_stack([points, left]).astype(np.float32)


def asking(queries: np.ndarray, *, with_bias: bool) -> np.ndarray:
    """Queries as points among what `lifted` gives: (B, K + 1) float32, or (B, K + 2) with a bias."""
    zero = np.zeros(len(queries), np.float32)
    last = [zero + 1, zero] if with_bias else [zero]
    return np.column_stack([queries, *last]).astype(np.float32)


def recall(found: Found, exact: Found) -> float:
    """The share of the exact answers that were found, in [0, 1]; nan where there are none."""
    both = (found.codes[:, :, None] == exact.codes[:, None, :]) & (exact.codes[:, None, :] > 0)
    total = int((exact.codes > 0).sum())
    return float(both.any(1).sum() / total) if total else float("nan")


def _is_in(codes: np.ndarray, lists: Lists, num_items: int) -> np.ndarray:
    """(B, n) bool: whether each code stands in the list of its row."""
    keys = np.arange(len(codes))[:, None] * num_items + codes
    listed = lists.owners().astype(np.int64) * num_items + lists.values
    return np.isin(keys, listed)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one, float32; one of nothing but zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _check(
    queries: np.ndarray,
    items: np.ndarray,
    k: int,
    by: str,
    exclude: Lists | None,
    allowed: np.ndarray | None,
) -> None:
    if by not in WAYS:
        raise ConfigError(f"`by` must be 'dot' or 'cosine'. Got {by!r}.")
    if k < 1:
        raise ConfigError(f"`k` must be 1 or more. Got {k}.")
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ShapeError(
            "Searching needs queries (B, K) and items (I, K). Got "
            f"{queries.shape} and {items.shape}."
        )
    if exclude is not None and len(exclude) != len(queries):
        raise ShapeError(
            f"`exclude` needs a list for each of {len(queries):,} queries. Got {len(exclude):,}."
        )
    if allowed is not None and allowed.shape != (len(items),):
        raise ShapeError(
            f"`allowed` must be ({len(items)},), a value for each item. Got {allowed.shape}."
        )
