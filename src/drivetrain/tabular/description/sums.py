"""Columns that make up another exactly: a sum, a difference, a multiple, a product.

A total stands beside its parts more often than not: cnt = casual + registered, price = quantity × unit
price. A model that sees the parts has nothing to learn, and fails where they are not known yet.

A least-squares fit over all columns of numbers says whether they make up the target; then the columns
that are not needed are taken out, one by one. Products are sums of logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drivetrain.data.frame import Frame
from drivetrain.interpret import text
from drivetrain.interpret.asking import sampled
from drivetrain.tabular.description.views import figure

MOST_ROWS = 4000
"""Rows that are looked at; what is found is then counted on all."""
MOST_COLUMNS = 200
MOST_AMONG = 40
"""Columns among which sums are looked for, where none is the target."""
MOST_MISSING = 0.2
"""Share of missing cells above which a column is not looked at."""
EXACT = 1e-4
"""Root mean squared error, in standard deviations of the target, up to which a sum is exact: totals are
rounded now and then."""
NEAR = 1e-3
"""Difference, in standard deviations, up to which a sum holds in a row."""
MOST_PARTS = 30
"""Columns that a sum may have."""


class MadeUp(NamedTuple):
    """A column that others make up."""

    name: str
    """The column."""
    names: tuple[str, ...]
    """The others."""
    formula: str
    """Such as `casual + registered`."""
    num_rows: int
    """Rows that have all of them."""
    num_exact: int
    """Rows of those in which the formula holds, within `NEAR` of the spread."""


def made_up(
    frame: Frame, names: Sequence[str], goal: str, targets: np.ndarray, *, seed: int = 42
) -> tuple[MadeUp, ...]:
    """Sums and products of columns that are the target, three at most.

    Args:
        names: columns of numbers.
        goal: the target's name.
        targets: (N,) float64, NaN where missing.
        seed: which rows are looked at.
    """
    left = [name for name in names if np.isnan(frame.numbers(name)).mean() <= MOST_MISSING]
    left = left[:MOST_COLUMNS]
    found = []
    while left and len(found) < 3:
        one = _sum(frame, left, goal, targets, seed) or _product(frame, left, goal, targets, seed)
        if one is None:
            break
        found.append(one)
        left = [name for name in left if name not in one.names]
    return tuple(found)


def made_up_among(frame: Frame, names: Sequence[str], *, seed: int = 42) -> tuple[MadeUp, ...]:
    """Columns that are sums of others; of one relation, which can be solved for each of its columns, the
    plainest form.

    Args:
        names: columns of numbers; the first `MOST_AMONG` with few missing cells are looked at.
        seed: which rows are looked at.
    """
    left = [name for name in names if np.isnan(frame.numbers(name)).mean() <= MOST_MISSING]
    left = left[:MOST_AMONG]
    if len(left) < 2 or not _are_tied(frame.matrix(left), seed):
        return ()
    found: dict[frozenset[str], MadeUp] = {}
    for name in left:
        others = [other for other in left if other != name]
        one = _sum(frame, others, name, frame.numbers(name), seed)
        if one is not None:
            key = frozenset({name, *one.names})
            best = found.get(key, one)
            found[key] = min(best, one, key=lambda made: sum(map(made.formula.count, "-·0.")))
    return tuple(found.values())


def _are_tied(matrix: np.ndarray, seed: int) -> bool:
    """Whether any sum of the columns is constant, by the least singular value."""
    whole = matrix[~np.isnan(matrix).any(axis=1)]
    rows = whole[sampled(len(whole), MOST_ROWS, seed=seed, purpose="sums")]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = rows.std(axis=0) if len(rows) else np.zeros(matrix.shape[1])
    usable = (spread > 0) & np.isfinite(spread)
    if usable.sum() < 2 or len(rows) < 20 + 5 * usable.sum():
        return False
    scaled = (rows[:, usable] - rows[:, usable].mean(axis=0)) / spread[usable]
    return bool(np.linalg.svd(scaled, compute_uv=False)[-1] <= 2 * EXACT * np.sqrt(len(rows)))


def _sum(
    frame: Frame, names: Sequence[str], goal: str, targets: np.ndarray, seed: int
) -> MadeUp | None:
    matrix, y = _complete(frame.matrix(names), targets)
    kept = _needed(matrix, y, seed)
    if not kept:
        return None
    weights, start = _fit(matrix[:, kept], y)
    chosen = [names[place] for place in kept]
    added = 0.0 if abs(start) <= NEAR * y.std() else _round(start)
    formula = _written(chosen, [_round(weight) for weight in weights.tolist()], added)
    return _counted(goal, chosen, formula, matrix[:, kept] @ weights + start, y)


def _product(
    frame: Frame, names: Sequence[str], goal: str, targets: np.ndarray, seed: int
) -> MadeUp | None:
    if not (targets[~np.isnan(targets)] > 0).all():
        return None
    positive = [n for n in names if (frame.numbers(n)[~np.isnan(frame.numbers(n))] > 0).all()]
    if len(positive) < 2:
        return None
    matrix, y = _complete(frame.matrix(positive), targets)
    matrix, logs = np.log(matrix), np.log(y)
    kept = _needed(matrix, logs, seed)
    if len(kept) < 2:
        return None
    powers, start = _fit(matrix[:, kept], logs)
    if not np.allclose(powers, np.round(powers), atol=1e-3) or (np.abs(powers) > 3).any():
        return None
    chosen = [positive[place] for place in kept]
    signs = np.round(powers).astype(int).tolist()
    factor = _round(float(np.exp(start)))
    parts = [figure(factor)] if factor != 1 else []
    parts += [f"'{n}'{_POWERS[p]}" for n, p in zip(chosen, signs, strict=True) if p > 0]
    below = [f"'{n}'{_POWERS[-p]}" for n, p in zip(chosen, signs, strict=True) if p < 0]
    formula = " / ".join([" × ".join(parts) or "1", *below])
    return _counted(goal, chosen, formula, np.exp(matrix[:, kept] @ powers + start), y)


_POWERS = {1: "", 2: "²", 3: "³"}


def _complete(matrix: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = ~np.isnan(matrix).any(axis=1) & ~np.isnan(targets)
    return matrix[whole], targets[whole]


def _needed(matrix: np.ndarray, y: np.ndarray, seed: int) -> list[int]:
    """Places of the columns that make up y, and none that is not needed; empty where they do not."""
    rows = sampled(len(y), MOST_ROWS, seed=seed, purpose="sums")
    matrix, y = matrix[rows], y[rows]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = matrix.std(axis=0)
        usable = np.flatnonzero((spread > 0) & np.isfinite(spread))
        is_fit = 0 < y.std() < np.inf and len(y) >= 20 + 5 * len(usable)
    if not is_fit or not len(usable):
        return []
    scaled = (matrix[:, usable] - matrix[:, usable].mean(axis=0)) / spread[usable]
    wanted = (y - y.mean()) / y.std()
    weights, is_exact = _solved(scaled, wanted)
    if not is_exact:
        return []
    kept = np.flatnonzero(np.abs(weights) > EXACT / 10)
    weights, is_exact = _solved(scaled[:, kept], wanted)
    if not is_exact or len(kept) > MOST_PARTS:
        return []
    # the least first, so that of two columns that do the same the lesser goes
    for place in kept[np.argsort(np.abs(weights), kind="stable")].tolist():
        fewer = kept[kept != place]
        if len(fewer) and _solved(scaled[:, fewer], wanted)[1]:
            kept = fewer
    return usable[kept].tolist()


def _solved(scaled: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, bool]:
    weights = np.linalg.lstsq(scaled, wanted, rcond=1e-10)[0]
    return weights, float(((scaled @ weights - wanted) ** 2).mean()) <= EXACT**2


def _fit(matrix: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights, and what is added, in the columns' own units."""
    middle, spread = matrix.mean(axis=0), matrix.std(axis=0)
    weights = np.linalg.lstsq((matrix - middle) / spread, y - y.mean(), rcond=None)[0] / spread
    return weights, float(y.mean() - middle @ weights)


def _counted(
    goal: str, names: Sequence[str], formula: str, told: np.ndarray, y: np.ndarray
) -> MadeUp | None:
    num_exact = int((np.abs(told - y) <= NEAR * y.std()).sum())
    if num_exact < 0.99 * len(y):  # it held in the rows that were looked at alone
        return None
    return MadeUp(goal, tuple(names), formula, len(y), num_exact)


def _round(weight: float) -> float:
    """A weight in the fewest digits that say it within a part in 3,000: columns are rounded."""
    rounded = (float(f"{weight:.{digits}g}") for digits in range(1, 7))
    return next((one for one in rounded if abs(one - weight) <= abs(weight) / 3000), weight)


def _written(names: Sequence[str], weights: Sequence[float], start: float) -> str:
    if len(names) > 6 and len(set(weights)) == 1 and weights[0] == 1 and start == 0:
        return f"the sum of {text.listed([repr(name) for name in names], most=5)}"
    written = ""
    for name, weight in zip(names, weights, strict=True):
        sign = "-" if weight < 0 else "+"
        size = abs(weight)
        term = f"'{name}'" if size == 1 else f"{figure(size)} · '{name}'"
        written += f" {sign} {term}" if written else f"{'-' if weight < 0 else ''}{term}"
    if start:
        written += f" {'-' if start < 0 else '+'} {figure(abs(start))}"
    return written
