"""Boosting by LightGBM, and its trees as arrays.

They are read from the text that LightGBM writes of a model it has just grown, in which every number
stands with as many digits as it needs. A file in that format is never opened: a damaged one ends the
process (LightGBM 4.7).

What a node does with a value, and how it comes here:
- a number goes left at or below the threshold. A missing one goes where the node says; where no value of
  the column was missing in training it counts as 0, which is a side too.
- a category goes left where its code is in the node's set, else right, as do unknown and missing ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.form import DEEPEST
from drivetrain.trees.grown import Grown, Rows
from drivetrain.trees.nodes import Nodes, ensemble_arrays, with_means
from drivetrain.trees.stages import link_of, stopped

_BY_SET, _DEFAULT_LEFT, _MISSING_IS_NAN = 1, 2, 8
"""Bits of a node's `decision_type`."""


def grow(rows: Rows, valid: Rows | None, settings: dict[str, Any], num_threads: int) -> Grown:
    """Boost with LightGBM; the settings are those of `boost.boosting`."""
    lightgbm = require("lightgbm", extra="tabular")
    params = _params(rows, settings, num_threads)
    options = {"categorical_feature": settings["categorical"], "params": params}
    train = lightgbm.Dataset(rows.X, label=rows.y, weight=rows.weight, **options)
    watched = {"train": train}
    losses: dict[str, dict[str, list[float]]] = {}
    callbacks = [lightgbm.record_evaluation(losses)]
    if valid is not None:
        watched["valid"] = lightgbm.Dataset(valid.X, label=valid.y, reference=train, **options)
        callbacks.append(lightgbm.early_stopping(settings["patience"], verbose=False))
    booster = lightgbm.train(
        params,
        train,
        num_boost_round=settings["num_trees"],
        valid_sets=list(watched.values()),
        valid_names=list(watched),
        callbacks=callbacks,
    )
    of = {name: next(iter(found.values())) for name, found in losses.items()}
    curve = stopped(of["train"], of.get("valid"), settings["loss"], settings["patience"])
    text = booster.model_to_string(num_iteration=curve.kept)
    grown = [_nodes(block, len(rows.y)) for block in _blocks(text)]
    num_outputs = rows.num_classes if rows.num_classes > 2 else 1
    # Where nothing is left to split, LightGBM adds no tree, and goes on counting stages.
    curve = replace(curve, kept=min(curve.kept, len(grown) // num_outputs))
    output = np.arange(len(grown)) % num_outputs if num_outputs > 1 else None
    trees = TreeEnsemble(
        kind="boosting",
        num_features=rows.X.shape[1],
        num_classes=rows.num_classes,
        combine="sum",
        link=link_of(settings["loss"], rows.num_classes),
        precision="float64",
        exponential="c",
        base=np.zeros(num_outputs),
        **with_means(ensemble_arrays(grown, output)),
    )
    return Grown(trees, settings, "lightgbm", lightgbm.__version__, curve=curve)


_OBJECTIVES = {"squared_error": "regression", "poisson": "poisson"}
_METRICS = {"squared_error": "l2", "poisson": "poisson"}


def _params(rows: Rows, settings: dict[str, Any], num_threads: int) -> dict[str, Any]:
    several = rows.num_classes > 2
    of_classes = "multi_logloss" if several else "binary_logloss"
    depth = settings["max_depth"]
    params: dict[str, Any] = {
        "objective": _OBJECTIVES.get(settings["loss"], "multiclass" if several else "binary"),
        "metric": _METRICS.get(settings["loss"], of_classes),
        "learning_rate": settings["learning_rate"],
        "num_leaves": settings["num_leaves"],
        "min_data_in_leaf": settings["min_samples_leaf"],
        "max_depth": min(DEEPEST, DEEPEST if depth is None else depth),
        "lambda_l2": settings["l2"],
        "feature_fraction": settings["max_features"],
        "seed": settings["seed"] % 2**31,
        "num_threads": num_threads,
        # The same trees whatever the number of threads.
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if settings["max_samples"] < 1:
        params |= {"bagging_fraction": settings["max_samples"], "bagging_freq": 1}
    if several:
        params["num_class"] = rows.num_classes
    return params


def _blocks(text: str) -> list[dict[str, str]]:
    """The entries of each tree."""
    body = text.partition("\nend of trees")[0]
    return [
        dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line)
        for block in body.split("\nTree=")[1:]
    ]


def _nodes(block: dict[str, str], num_rows: int) -> Nodes:
    """A tree: its inner nodes in LightGBM's order, then its leaves, which are numbered -1, -2, …"""
    num_leaves = int(block["num_leaves"])
    num_inner = num_leaves - 1

    def of_inner(name: str, dtype: Any) -> np.ndarray:
        given = np.array(block[name].split() if num_inner else [], dtype=np.float64)
        return np.concatenate([given, np.zeros(num_leaves)]).astype(dtype)

    def children(name: str) -> np.ndarray:
        given = np.array(block[name].split() if num_inner else [], dtype=np.int64)
        return np.concatenate(
            [np.where(given < 0, num_inner - 1 - given, given), np.full(num_leaves, -1)]
        )

    threshold, decision = of_inner("threshold", np.float64), of_inner("decision_type", np.int64)
    missing_is_nan = (decision & _MISSING_IS_NAN) > 0
    by_set = (decision & _BY_SET) > 0
    default_left = np.where(missing_is_nan, (decision & _DEFAULT_LEFT) > 0, threshold >= 0)
    sets: dict[int, np.ndarray] = {}
    if by_set.any():
        ends = np.array(block["cat_boundaries"].split(), dtype=np.int64)
        words = np.array(block["cat_threshold"].split(), dtype="<u4")
        for node in np.flatnonzero(by_set).tolist():
            chosen = int(threshold[node])
            codes = words[ends[chosen] : ends[chosen + 1]].view(np.uint8)
            sets[node] = np.unpackbits(codes, bitorder="little").astype(bool)
    values = np.array(block["leaf_value"].split(), dtype=np.float64)
    counts = np.array(block["leaf_count"].split() if num_inner else [num_rows], dtype=np.float64)
    return Nodes(
        left=children("left_child"),
        right=children("right_child"),
        feature=of_inner("split_feature", np.int64),
        threshold=np.where(by_set, 0.0, threshold),
        default_left=default_left & ~by_set,
        value=np.concatenate([np.zeros(num_inner), values])[:, None],
        cover=np.concatenate([np.zeros(num_inner), counts]),
        impurity=np.zeros(num_inner + num_leaves),
        gain=of_inner("split_gain", np.float64),
        sets=sets,
    )
