"""An embedding is a matrix product with rows that are all zeros but one, done without multiplying.

Twin of `nn.Embedding` and `F.embedding`. Letters: V rows of the table (words, users, levels), E numbers
each, B codes that are looked up. The product itself is `factorization.looked_up`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from drivetrain.reference.autograd import Value
from drivetrain.reference.factorization import looked_up, one_hot


def row_by_row(codes: Sequence[int], table: np.ndarray) -> np.ndarray:
    """(B, E): for each code, a copy of its row. No arithmetic happens, so nothing can be rounded."""
    rows = np.empty((len(codes), table.shape[1]), table.dtype)
    for place, code in enumerate(codes):
        if not 0 <= code < len(table):
            raise IndexError(f"Code {code} at place {place} is not in 0..{len(table) - 1}.")
        rows[place] = table[code]
    return rows


def gradient_as_product(codes: Sequence[int], g: np.ndarray, num_rows: int) -> np.ndarray:
    """(V, E): one-hotᵀ g, the rule of any matrix product. Codes that were not there get zeros."""
    return one_hot(codes, num_rows).T @ g


def gradient_by_adding(codes: Sequence[int], g: np.ndarray, num_rows: int) -> np.ndarray:
    """The same without the product: each row of g (B, E) is added to the row it was looked up from."""
    gradient = np.zeros((num_rows, g.shape[1]))
    for place, code in enumerate(codes):
        gradient[code] += g[place]
    return gradient


class Embedding:
    """A table whose rows are learnt: a layer that takes codes."""

    def __init__(self, num_rows: int, width: int, *, seed: int = 42) -> None:
        self.table = Value(np.random.default_rng(seed).normal(size=(num_rows, width)))

    def __call__(self, codes: Sequence[int]) -> Value:
        """(B,) codes -> (B, E)."""
        return self.table[list(codes)]


def times(
    codes: Sequence[int],
    table: np.ndarray,
    *,
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Shortest seconds of the product, which multiplies B·V·E numbers, and of the look-up of B·E."""
    ways: dict[str, Callable[[], np.ndarray]] = {
        "one-hot rows times the table": lambda: looked_up(codes, table),
        "rows of the table": lambda: table[list(codes)],
    }
    best: dict[str, float] = {}
    for name, way in ways.items():
        seconds: list[float] = []
        for _ in range(repeats):
            began = clock()
            way()
            seconds.append(clock() - began)
        best[name] = min(seconds)
    return best
