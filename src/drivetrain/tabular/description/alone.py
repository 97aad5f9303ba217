"""How much of the target each column tells by itself, without a model.

A column is cut into groups: its levels, or up to `MOST_GROUPS` runs of about equally many ranks; missing
cells are a group. The target of a row is foretold by the other rows of its group: the rows are dealt into
`FOLDS` parts, and a part is foretold by the rest, so that a column of names, each of which comes once,
tells nothing. What that is worth is counted on all rows:

    classes   the area under the ROC curve, 0.5 for a guess and 1 for all; of several classes the mean
              over the commonest `MOST_CLASSES`, each against the rest, weighted by their rows
    numbers   the share of the variance of the target's ranks that is foretold (R²): 0 or below for a
              guess, 1 for all. Of ranks, since a few large values would hide the others
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.interpret.asking import generator, sampled
from drivetrain.interpret.association import as_numbers
from drivetrain.metrics.ranking import midranks
from drivetrain.tabular.description.views import commonest
from drivetrain.tabular.target import Target

FOLDS = 5
MOST_GROUPS = 50
ROWS_A_GROUP = 20
"""Of numbers, at least; groups of levels are as large as they are."""
MOST_ROWS = 50_000
"""More are drawn down to these."""
FEWEST_ROWS = 50
MOST_CLASSES = 6
PRIOR = 1.0
"""Rows that the share, or the mean, of all rows counts for in each group."""


class Alone(NamedTuple):
    """What a column by itself tells of the target."""

    name: str
    score: float
    """As the module says; a higher one tells more."""
    metric: str
    """`AUC` of classes, `R²` of the ranks of numbers."""

    @property
    def strength(self) -> float:
        """From 0, a guess, to 1, all."""
        return max(0.0, 2 * self.score - 1 if self.metric == "AUC" else self.score)


def alone(
    frame: Frame,
    names: Sequence[str],
    target: Target,
    targets: np.ndarray,
    *,
    in_order: Sequence[str] = (),
    seed: int = 42,
) -> tuple[Alone, ...]:
    """Score columns, the best first.

    Args:
        names: the columns.
        targets: (N,) as `Target.values` gives it; rows whose target is missing are left out.
        in_order: columns of words to be cut by their order, as numbers are: ids.
        seed: which rows are drawn, and how they are dealt.

    Returns: nothing where fewer than `FEWEST_ROWS` rows have a target, or it has one value.
    """
    is_class = target.kind == "class"
    known = np.flatnonzero(targets >= 0 if is_class else ~np.isnan(targets))
    known = known[sampled(len(known), MOST_ROWS, seed=seed, purpose="one column")]
    truth = targets[known]
    if len(known) < FEWEST_ROWS or (truth == truth[0]).all():
        return ()
    fold = generator(seed, "one column", "folds").integers(0, FOLDS, len(known))
    if is_class:
        classes = commonest(np.bincount(truth))
        asked = classes[1:2] if len(classes) == 2 else classes[:MOST_CLASSES]
        wanted = (truth[:, None] == asked).astype(np.float64)  # (N, C)
    else:
        ranks = midranks(truth)
        wanted = ((ranks - ranks.mean()) / ranks.std())[:, None]
    found = []
    for name in names:
        values = frame[name][known]
        if name in in_order and isinstance(values, Factor):
            values = as_numbers(values)
        told = _foretold(groups_of(values), fold, wanted)
        score = _area(told, wanted) if is_class else 1 - float(((wanted - told) ** 2).mean())
        found.append(Alone(name, score, "AUC" if is_class else "R²"))
    return tuple(sorted(found, key=lambda one: -one.score))


def groups_of(values: Values) -> np.ndarray:
    """(N,) int64 the group of each row, from 0: the module says how they are cut."""
    if isinstance(values, Factor):
        return values.codes.astype(np.int64) + 1
    numbers = as_numbers(values)
    there = ~np.isnan(numbers)
    groups = np.zeros(len(numbers), dtype=np.int64)
    if there.any():
        ranks = midranks(numbers[there])  # 1 to n
        count = len(ranks)
        most = min(MOST_GROUPS, max(count // ROWS_A_GROUP, 2))
        if len(np.unique(ranks)) <= MOST_GROUPS:  # few enough: each value is a group
            groups[there] = np.unique(ranks, return_inverse=True)[1] + 1
        else:
            groups[there] = np.minimum((ranks - 0.5) / count * most, most - 1).astype(np.int64) + 1
    return groups


def _foretold(groups: np.ndarray, fold: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(N, C) means of the other folds' rows of the same group, drawn towards the mean of all of them."""
    num_groups = int(groups.max()) + 1
    cells = fold * num_groups + groups
    size = FOLDS * num_groups
    rows = np.bincount(cells, minlength=size).reshape(FOLDS, num_groups)
    others = rows.sum(axis=0) - rows
    told = np.empty_like(wanted)
    for column, of in enumerate(wanted.T):
        sums = np.bincount(cells, weights=of, minlength=size).reshape(FOLDS, num_groups)
        rest = sums.sum(axis=0) - sums
        mean = rest.sum(axis=1) / np.maximum(others.sum(axis=1), 1)
        told[:, column] = ((rest + PRIOR * mean[:, None]) / (others + PRIOR)).ravel()[cells]
    return told


def _area(told: np.ndarray, wanted: np.ndarray) -> float:
    areas, weights = [], []
    for scores, is_it in zip(told.T, wanted.T == 1, strict=True):
        inside = int(is_it.sum())
        pairs = inside * (len(is_it) - inside)
        if pairs:
            above = midranks(scores)[is_it].sum() - inside * (inside + 1) / 2
            areas.append(float(above) / pairs)
            weights.append(inside)
    return float(np.average(areas, weights=weights))
