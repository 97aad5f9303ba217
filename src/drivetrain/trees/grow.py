"""Growing trees: one, a forest, extremely random ones. Boosting: boost.py; the simplest: simple.py.

scikit-learn grows them: CART (Breiman et al. 1984), random forests (Breiman 2001,
doi:10.1023/A:1010933404324), extremely randomised trees (Geurts et al. 2006,
doi:10.1007/s10994-006-6226-1). What is kept are arrays that predict without it, to the same bits.
The same seed gives the same trees, on any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.trees.boost import boosting
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.form import DEEPEST
from drivetrain.trees.grown import Curve, Grown, Rows, check_counts, checked_rows, fit
from drivetrain.trees.nodes import Nodes, ensemble_arrays
from drivetrain.trees.simple import majority, one_r

__all__ = [
    "Curve", "Grown", "boosting", "extra_trees", "forest", "majority", "one_r", "tree",
]  # fmt: skip

_LARGEST = float(np.finfo(np.float32).max)
"""scikit-learn compares values as float32."""


def tree(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    seed: int = 42,
    max_leaf_nodes: int | None = None,
    min_samples_leaf: int = 1,
    max_depth: int | None = None,
) -> Grown:
    """One tree, each split the one that lowers impurity most: Gini of classes, variance of numbers.

    Args:
        X: (N, K) columns, NaN where missing; at each split missing values go where they fit better.
        y: (N,) numbers, or classes 0..C-1.
        num_classes: C, or 0 for numbers.
        sample_weight: (N,) what each row counts.
        seed: decides between splits that are equally good.
        max_leaf_nodes: grow the best first, until there are as many leaves; by default all.
        min_samples_leaf: rows that a leaf holds at least.
        max_depth: levels below the root, at most 512, the default.
    Raises: ShapeError, ConfigError, DataError: the rows or settings cannot be used.
        MissingPackageError: there is no scikit-learn.
    """
    rows = checked_rows(X, y, num_classes=num_classes, sample_weight=sample_weight, most=_LARGEST)
    check_counts(
        max_leaf_nodes=(max_leaf_nodes, 2),
        min_samples_leaf=(min_samples_leaf, 1),
        max_depth=(max_depth, 1),
    )
    settings = {
        "max_leaf_nodes": max_leaf_nodes,
        "min_samples_leaf": min_samples_leaf,
        "max_depth": max_depth,
        "seed": seed,
    }
    library = require("sklearn.tree", extra="tabular")
    make = library.DecisionTreeClassifier if num_classes else library.DecisionTreeRegressor
    grown = make(
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf,
        max_depth=_depth(max_depth),
        random_state=_seed(seed),
    )
    fit(grown, rows.X, rows)
    return _grown("tree", rows, [grown], grown, settings)


def forest(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    seed: int = 42,
    num_trees: int = 100,
    min_samples_leaf: int = 1,
    max_features: int | float | str | None = None,
    max_samples: int | float | None = None,
    bootstrap: bool = True,
    max_leaf_nodes: int | None = None,
    max_depth: int | None = None,
    num_threads: int = 1,
) -> Grown:
    """A random forest: each tree on rows drawn anew, each split among columns drawn anew.

    Args:
        X: (N, K) columns, NaN where missing.
        y: (N,) numbers, or classes 0..C-1.
        num_classes: C, or 0 for numbers.
        sample_weight: (N,) what each row counts.
        seed: of all that is drawn.
        num_trees: how many.
        min_samples_leaf: rows that a leaf holds at least.
        max_features: columns a split chooses among: a count, a share, "sqrt" or "log2"; by default
            "sqrt" for classes, all for numbers.
        max_samples: rows a tree is grown on: a count or a share; by default as many as there are.
        bootstrap: draw rows with replacement. Without, each tree sees all, and `oob` is None.
        max_leaf_nodes, max_depth: as `tree`.
        num_threads: the trees do not depend on it.
    Raises: as `tree`.
    """
    return _many(
        "forest",
        checked_rows(X, y, num_classes=num_classes, sample_weight=sample_weight, most=_LARGEST),
        {
            "num_trees": num_trees,
            "min_samples_leaf": min_samples_leaf,
            "max_features": max_features,
            "max_samples": max_samples,
            "bootstrap": bootstrap,
            "max_leaf_nodes": max_leaf_nodes,
            "max_depth": max_depth,
            "seed": seed,
        },
        num_threads,
    )


def extra_trees(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    seed: int = 42,
    num_trees: int = 100,
    min_samples_leaf: int = 1,
    max_features: int | float | str | None = None,
    max_samples: int | float | None = None,
    bootstrap: bool = False,
    max_leaf_nodes: int | None = None,
    max_depth: int | None = None,
    num_threads: int = 1,
) -> Grown:
    """Extremely random trees: as `forest`, but thresholds are drawn, and each tree sees all rows."""
    return _many(
        "extra_trees",
        checked_rows(X, y, num_classes=num_classes, sample_weight=sample_weight, most=_LARGEST),
        {
            "num_trees": num_trees,
            "min_samples_leaf": min_samples_leaf,
            "max_features": max_features,
            "max_samples": max_samples,
            "bootstrap": bootstrap,
            "max_leaf_nodes": max_leaf_nodes,
            "max_depth": max_depth,
            "seed": seed,
        },
        num_threads,
    )


_MAKERS = {
    ("forest", False): "RandomForestRegressor",
    ("forest", True): "RandomForestClassifier",
    ("extra_trees", False): "ExtraTreesRegressor",
    ("extra_trees", True): "ExtraTreesClassifier",
}


def _many(kind: str, rows: Rows, settings: dict[str, Any], num_threads: int) -> Grown:
    check_counts(
        num_trees=(settings["num_trees"], 1),
        min_samples_leaf=(settings["min_samples_leaf"], 1),
        max_leaf_nodes=(settings["max_leaf_nodes"], 2),
        max_depth=(settings["max_depth"], 1),
        num_threads=(num_threads, 1),
    )
    if settings["max_samples"] is not None and not settings["bootstrap"]:
        raise ConfigError(
            "`max_samples` says how many rows are drawn for a tree, and without `bootstrap` none are. "
            "Leave it out, or set `bootstrap=True`."
        )
    _check_share("max_features", settings["max_features"], words=("sqrt", "log2"))
    _check_share("max_samples", settings["max_samples"])
    num_rows = len(rows.y)
    if isinstance(settings["max_samples"], int | np.integer) and settings["max_samples"] > num_rows:
        raise ConfigError(
            f"`max_samples` is {settings['max_samples']}, and there are {num_rows} rows. Give at most "
            "as many, or a share."
        )
    library = require("sklearn.ensemble", extra="tabular")
    max_features = settings["max_features"]
    if max_features is None:
        max_features = "sqrt" if rows.num_classes else 1.0
    grown = getattr(library, _MAKERS[kind, rows.num_classes > 0])(
        n_estimators=settings["num_trees"],
        min_samples_leaf=settings["min_samples_leaf"],
        max_features=max_features,
        max_samples=settings["max_samples"],
        bootstrap=settings["bootstrap"],
        max_leaf_nodes=settings["max_leaf_nodes"],
        max_depth=_depth(settings["max_depth"]),
        random_state=_seed(settings["seed"]),
        n_jobs=num_threads,
    )
    fit(grown, rows.X, rows)
    result = _grown(kind, rows, grown.estimators_, grown, settings)
    if not settings["bootstrap"]:
        return result
    oob = out_of_bag(result.ensemble, rows.X, grown.estimators_samples_)
    return Grown(result.ensemble, settings, result.library, result.version, oob)


def out_of_bag(trees: TreeEnsemble, X: np.ndarray, drawn: list[np.ndarray]) -> np.ndarray:  # noqa: N803
    """The mean over the trees that did not see a row: (N, V), NaN where all did.

    Args:
        X: (N, K) the rows they were grown on.
        drawn: for each tree the rows it saw, each any number of times.
    """
    total, count = np.zeros((len(X), trees.num_outputs)), np.zeros((len(X), 1))
    for leaf, seen in zip(trees.leaves(X).T, drawn, strict=True):
        unseen = np.ones(len(X), dtype=bool)
        unseen[seen] = False
        total[unseen] += trees.value[leaf[unseen]]
        count[unseen] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _grown(
    kind: str, rows: Rows, grown_trees: list[Any], whole: Any, settings: dict[str, Any]
) -> Grown:
    classes = np.asarray(whole.classes_) if rows.num_classes else None
    trees = TreeEnsemble(
        kind=kind,
        num_features=rows.X.shape[1],
        num_classes=rows.num_classes,
        combine="mean",
        link="identity",
        precision="float32",
        exponential="c",
        base=np.zeros(max(rows.num_classes, 1)),
        **ensemble_arrays([_nodes(one.tree_, classes, rows.num_classes) for one in grown_trees]),
    )
    version = require("sklearn", extra="tabular").__version__
    return Grown(trees, settings, library="scikit-learn", version=version)


def _nodes(grown: Any, classes: np.ndarray | None, num_classes: int) -> Nodes:
    """A tree of scikit-learn's; classes that no row is of get the share 0."""
    value = grown.value[:, 0, :]  # (m, 1), or the shares of the classes that occur
    if classes is not None:
        shares = np.zeros((len(value), num_classes))
        shares[:, classes] = value
        value = shares
    left, right = grown.children_left, grown.children_right
    cover, impurity = grown.weighted_n_node_samples, grown.impurity
    weighted = cover * impurity
    gain = np.zeros(len(left))
    inner = left >= 0
    gain[inner] = (weighted - weighted[left] - weighted[right])[inner] / cover[0]
    return Nodes(
        left=left,
        right=right,
        feature=grown.feature,
        threshold=grown.threshold,
        default_left=grown.missing_go_to_left.astype(bool),
        value=value,
        cover=cover,
        impurity=impurity,
        gain=gain,
        sets={},
    )


def _check_share(name: str, value: Any, words: tuple[str, ...] = ()) -> None:
    """A count from 1 up, a share in (0, 1], or one of some words."""
    if value is None or (isinstance(value, str) and value in words):
        return
    is_number = isinstance(value, int | float | np.integer | np.floating) and value is not True
    low = 1 if isinstance(value, int | np.integer) else 0
    if not is_number or not (low <= float(value) <= (1 if low == 0 else np.inf)) or value == 0:
        known = f", or {' or '.join(map(repr, words))}" if words else ""
        raise ConfigError(
            f"`{name}` is a count from 1 up, a share above 0 up to 1.0{known}. Got {value!r}."
        )


def _depth(max_depth: int | None) -> int:
    return min(DEEPEST, DEEPEST if max_depth is None else max_depth)


def _seed(seed: int) -> int:
    """scikit-learn takes 32 bits."""
    return seed % 2**32
