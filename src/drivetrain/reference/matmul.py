"""The product of two matrices, from three loops to one call: a ladder of six rungs.

Row i of the left and column j of the right are multiplied number by number and summed up: that is entry
(i, j). Each rung hands one more of the three loops to numpy, and the numbers stay the same.

Letters: a is (N, K), b is (K, M), the product (N, M). Twin of `torch.matmul`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

Rows = Sequence[Sequence[float]]


# --- the ladder ---------------------------------------------------------------------------------------


def three_loops(a: Rows, b: Rows) -> list[list[float]]:
    """Plain lists: rows, columns, and what is summed.

    Raises: ValueError: the rows of `a` are not as long as the columns of `b`.
    """
    if len(a[0]) != len(b):
        raise ValueError(
            f"Rows of {len(a[0])} numbers cannot meet columns of {len(b)}: ({len(a)}, {len(a[0])}) @ "
            f"({len(b)}, {len(b[0])}). The inner sizes have to be equal."
        )
    product = [[0.0] * len(b[0]) for _ in a]
    for i in range(len(a)):
        for j in range(len(b[0])):
            for k in range(len(b)):
                product[i][j] += a[i][k] * b[k][j]
    return product


def row_times_column(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The innermost loop goes: a row times a column elementwise, then the sum."""
    product = np.empty((len(a), b.shape[1]), a.dtype)
    for i in range(len(a)):
        for j in range(b.shape[1]):
            product[i, j] = (a[i] * b[:, j]).sum()
    return product


def row_times_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One loop is left: a row stood up as a column, (K, 1), meets all columns of b at once."""
    product = np.empty((len(a), b.shape[1]), a.dtype)
    for i in range(len(a)):
        product[i] = (a[i][:, None] * b).sum(axis=0)  # (K, 1) * (K, M), over K
    return product


def all_at_once(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """No loop: (N, K, 1) times (1, K, M), summed over K. It needs room for N·K·M numbers on the way."""
    return (a[:, :, None] * b[None, :, :]).sum(axis=1)


def einsum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same said in letters: k stands in both and not in the result, so it is summed over."""
    return np.einsum("nk,km->nm", a, b)


def numpys(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One call, into code that knows the caches of the machine."""
    return a @ b


def torchs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same call in torch."""
    return (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()


LADDER: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "three loops over lists": lambda a, b: np.array(three_loops(a.tolist(), b.tolist())),
    "row times column": row_times_column,
    "row times matrix": row_times_matrix,
    "all at once": all_at_once,
    "einsum": einsum,
    "numpy": numpys,
    "torch": torchs,
}
"""From the slowest to the fastest, as they are told; each (N, K), (K, M) -> (N, M)."""


# --- how long each takes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rung:
    """One way, measured."""

    name: str
    seconds: float
    """The shortest of the repeats."""
    difference: float
    """The largest absolute difference of an entry from numpy's."""


def measured(
    a: np.ndarray,
    b: np.ndarray,
    *,
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Rung]:
    """Every way of the ladder on the same two matrices, in turn. The lists are made within the time."""
    right = a @ b
    rungs: list[Rung] = []
    for name, way in LADDER.items():
        seconds: list[float] = []
        difference = 0.0
        for _ in range(repeats):
            began = clock()
            product = way(a, b)
            seconds.append(clock() - began)
            difference = float(np.abs(product - right).max())
        rungs.append(Rung(name, min(seconds), difference))
    return rungs


def table(rungs: Sequence[Rung]) -> str:
    """A line a rung: its time, and how often it could run while the first one runs once.

    >>> print(table([Rung("loops", 2.0, 0.0), Rung("numpy", 0.001, 1e-15)]))
    way    milliseconds  times as fast  difference
    loops      2000.000              1       0e+00
    numpy         1.000          2,000       1e-15
    """
    width = max(len(rung.name) for rung in rungs)
    lines = [f"{'way':<{width}}  milliseconds  times as fast  difference"]
    for rung in rungs:
        faster = rungs[0].seconds / rung.seconds
        lines.append(
            f"{rung.name:<{width}}  {1e3 * rung.seconds:12.3f}  {faster:13,.0f}  {rung.difference:10.0e}"
        )
    return "\n".join(lines)


# --- what it is for -----------------------------------------------------------------------------------


def weighted_sums(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N,): each row of x (N, K) times the weights (K,), added up: x @ weights in two words."""
    return (x * weights).sum(axis=1)
