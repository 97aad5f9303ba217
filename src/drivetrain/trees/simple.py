"""The two rules that every model has to beat: always the same answer, and one question.

OneR: Holte 1993, doi:10.1023/A:1022631118932; here as the single best binary split (splits.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain import __version__
from drivetrain.errors import ConfigError
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.grown import Grown, Rows, checked_rows
from drivetrain.trees.nodes import Nodes, ensemble_arrays
from drivetrain.trees.splits import best_split


def majority(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    seed: int = 42,
) -> Grown:
    """The same for every row: the mean, or the share of each class.

    Args:
        X: (N, K) columns, which are not looked at.
        y: (N,) numbers, or classes 0..C-1.
        num_classes: C, or 0 for numbers.
        sample_weight: (N,) what each row counts.
        seed: nothing is drawn.
    Raises: ShapeError, ConfigError, DataError: the rows cannot be used.
    """
    rows = checked_rows(X, y, num_classes=num_classes, sample_weight=sample_weight, asks=False)
    leaf = _Rule(rows, np.ones(len(rows.y), dtype=bool))
    return _grown("majority", rows, _nodes([leaf]), {"seed": seed})


def one_r(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    seed: int = 42,
    column: int | None = None,
    threshold: float | None = None,
) -> Grown:
    """One question about one column, the one with the lowest score; see splits.py.

    Args:
        X: (N, K) columns, NaN where missing, which goes right.
        y: (N,) numbers, or classes 0..C-1.
        num_classes: C, or 0 for numbers.
        sample_weight: not taken: the score counts rows.
        seed: nothing is drawn.
        column: the one to ask about; by default the best.
        threshold: of `column`: values up to it go left; by default the best.
    Raises: ShapeError, ConfigError, DataError: the rows or the settings cannot be used.
    """
    if sample_weight is not None:
        raise ConfigError("`one_r` counts rows and takes no `sample_weight`. Leave it out.")
    rows = checked_rows(X, y, num_classes=num_classes, asks=False)
    num_columns = rows.X.shape[1]
    if column is not None and not 0 <= column < num_columns:
        raise ConfigError(f"`column` is one of 0 to {num_columns - 1}. Got {column}.")
    if threshold is not None and (column is None or not np.isfinite(threshold)):
        raise ConfigError(
            f"`threshold` is a finite number of the `column` that is given with it. Got {threshold} "
            f"and the column {column}."
        )
    if threshold is None:
        asked = range(num_columns) if column is None else [column]
        found = [(best_split(rows.X[:, one], rows.y), one) for one in asked]
        (threshold, _), column = min(
            found, key=lambda entry: entry[0][1], default=((float("nan"), 0.0), None)
        )
    every = np.ones(len(rows.y), dtype=bool)
    goes_left = every if column is None else rows.X[:, column] <= threshold
    if goes_left.all() or not goes_left.any():  # nothing to ask about
        settings = {"seed": seed, "column": None, "threshold": None}
        return _grown("one_r", rows, _nodes([_Rule(rows, every)]), settings)
    settings = {"seed": seed, "column": column, "threshold": threshold}
    rules = [_Rule(rows, every), _Rule(rows, goes_left), _Rule(rows, ~goes_left)]
    return _grown("one_r", rows, _nodes(rules, column or 0, threshold), settings)


class _Rule:
    """What a node knows of its rows."""

    def __init__(self, rows: Rows, inside: np.ndarray) -> None:
        weight = (np.ones(len(inside)) if rows.weight is None else rows.weight)[inside, None]
        shares = rows.shares[inside]
        self.cover = weight.sum()
        self.value = (weight * shares).sum(0) / self.cover
        squares = weight * (shares - self.value) ** 2
        self.impurity = squares.sum() / self.cover  # of indicators, it is Gini's


def _nodes(rules: list[_Rule], feature: int = 0, threshold: float = 0.0) -> Nodes:
    splits = len(rules) == 3
    cover, impurity = (
        np.array([getattr(rule, name) for rule in rules]) for name in ("cover", "impurity")
    )
    gain = np.zeros(len(rules))
    if splits:
        gain[0] = impurity[0] - (cover[1:] @ impurity[1:]) / cover[0]
    return Nodes(
        left=np.array([1, -1, -1] if splits else [-1]),
        right=np.array([2, -1, -1] if splits else [-1]),
        feature=np.full(len(rules), feature),
        threshold=np.full(len(rules), threshold),
        default_left=np.zeros(len(rules), dtype=bool),
        value=np.array([rule.value for rule in rules]),
        cover=cover,
        impurity=impurity,
        gain=gain,
        sets={},
    )


def _grown(kind: str, rows: Rows, nodes: Nodes, settings: dict[str, Any]) -> Grown:
    trees = TreeEnsemble(
        kind=kind,
        num_features=rows.X.shape[1],
        num_classes=rows.num_classes,
        combine="mean",
        link="identity",
        precision="float64",
        exponential="c",
        base=np.zeros(nodes.value.shape[1]),
        **ensemble_arrays([nodes]),
    )
    return Grown(trees, settings, library="drivetrain", version=__version__)
