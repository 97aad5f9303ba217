"""Trees as arrays and a JSON record, and back: no pickle, and nothing is believed.

What comes back may be from a stranger. Everything is checked before a row walks through it: types and
shapes, columns that exist, thresholds and values that are finite and cannot add up to more, a form that
is a tree, and no deeper than `form.DEEPEST`. After that no input can make a walk leave the arrays,
go on without end, or answer with NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from drivetrain._strict import shown
from drivetrain.errors import BundleError
from drivetrain.trees.form import (
    COMBINES,
    EXPONENTIALS,
    KINDS,
    LINKS,
    PRECISIONS,
    depths,
    left_children,
)

if TYPE_CHECKING:
    from drivetrain.trees.ensemble import TreeEnsemble

FORMAT = 1
"""Of the arrays and the record; another number is another layout."""

MOST_NODES = 20_000_000
MOST_FEATURES = 1_000_000
MOST_CLASSES = 1_000_000
LARGEST_SUM = 1e300
"""Of all trees' largest values: what they add up to stays finite, and so do differences."""
LARGEST_EXPONENT = 700.0
"""Of outputs whose exponential is the prediction."""

_ARRAYS: dict[str, tuple[type[np.generic], int]] = {
    "base": (np.float64, 1),
    "starts": (np.int64, 1),
    "output": (np.int32, 1),
    "feature": (np.int32, 1),
    "threshold": (np.float64, 1),
    "default_left": (np.bool_, 1),
    "value": (np.float64, 2),
    "cover": (np.float64, 1),
    "impurity": (np.float64, 1),
    "gain": (np.float64, 1),
    "category": (np.int32, 1),
    "category_starts": (np.int64, 1),
    "category_bits": (np.uint8, 1),
}
"""Name -> type and number of axes."""
_PER_NODE = (
    "feature", "threshold", "default_left", "value", "cover", "impurity", "gain", "category",
)  # fmt: skip

_RECORD = (
    "format", "kind", "num_features", "num_classes", "combine", "link", "precision", "exponential",
    "feature_names",
)  # fmt: skip


def to_arrays(trees: TreeEnsemble) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Copies of the arrays by name, and the record, as JSON can hold it."""
    record = {name: getattr(trees, name) for name in _RECORD if name != "format"}
    names = None if trees.feature_names is None else list(trees.feature_names)
    return (
        {name: getattr(trees, name).copy() for name in _ARRAYS},
        {"format": FORMAT, **record, "feature_names": names},
    )


def from_arrays(arrays: Mapping[str, Any], record: Any) -> dict[str, Any]:
    """The fields of the ensemble that `to_arrays` was given, of the right types; then comes `check`.

    Raises: BundleError: something is missing, unknown, or of another type.
    """
    fields = _checked_record(record)
    found = {name: _checked_array(arrays, name) for name in _ARRAYS}
    if extra := sorted(set(arrays) - set(_ARRAYS)):
        _refuse(f"have the unknown array {shown(extra[0])}")
    return {**fields, **found}


def check(trees: TreeEnsemble) -> None:
    """Refuse what cannot be walked.

    Raises: BundleError: the arrays do not fit each other, or are no trees.
    """
    _check_shapes(trees)
    _check_form(trees)
    _check_numbers(trees)
    _check_sets(trees)
    _check_outputs(trees)


def _checked_record(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        _refuse("have a record that is no JSON object")
    for name in _RECORD:
        if name not in record:
            _refuse(f"have no `{name}` in their record")
    if extra := sorted(set(map(str, record)) - set(_RECORD)):
        _refuse(f"have the unknown entry {shown(extra[0])} in their record")
    if record["format"] != FORMAT or type(record["format"]) is not int:
        _refuse(
            f"are of format {shown(record['format'])}, and this version of Drivetrain reads {FORMAT}"
        )
    for name, known in (
        ("kind", KINDS),
        ("combine", COMBINES),
        ("link", LINKS),
        ("precision", PRECISIONS),
        ("exponential", EXPONENTIALS),
    ):
        value = record[name]
        if not isinstance(value, str) or value not in known:
            _refuse(f"have {shown(value)} as `{name}`, expected one of {', '.join(known)}")
    for name, most in (("num_features", MOST_FEATURES), ("num_classes", MOST_CLASSES)):
        value = record[name]
        if type(value) is not int or not 0 <= value <= most:
            _refuse(f"have {shown(value)} as `{name}`, expected a whole number from 0 to {most}")
    names = record["feature_names"]
    if names is not None:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            _refuse("have `feature_names` that are no list of texts")
        if len(names) != record["num_features"]:
            _refuse(f"have {len(names)} names for {record['num_features']} columns")
    fields = {name: record[name] for name in _RECORD if name != "format"}
    return {**fields, "feature_names": None if names is None else tuple(names)}


def _checked_array(arrays: Mapping[str, Any], name: str) -> np.ndarray:
    if name not in arrays:
        _refuse(f"have no array `{name}`")
    dtype, axes = _ARRAYS[name]
    values = arrays[name]
    if not hasattr(values, "dtype"):
        _refuse(f"have no array as `{name}`")
    if str(values.dtype).removeprefix("torch.") != np.dtype(dtype).name:  # before numpy sees it
        _refuse(f"have the array `{name}` of {shown(values.dtype)}, expected {np.dtype(dtype)}")
    values = np.ascontiguousarray(values)
    if values.ndim != axes:
        _refuse(f"have the array `{name}` of {values.ndim} axes, expected {axes}")
    return values.view()  # made read-only, which the caller's need not become


def _check_shapes(trees: TreeEnsemble) -> None:
    num_nodes, num_outputs = trees.num_nodes, trees.num_outputs
    if not 1 <= num_nodes <= MOST_NODES:
        _refuse(f"have {num_nodes} nodes, expected 1 to {MOST_NODES}")
    for name in _PER_NODE:
        if len(getattr(trees, name)) != num_nodes:
            _refuse(f"have {len(getattr(trees, name))} of `{name}` for {num_nodes} nodes")
    if trees.num_trees < 1 or len(trees.output) != trees.num_trees:
        _refuse(f"have {len(trees.output)} of `output` for {trees.num_trees} trees")
    if num_outputs < 1 or trees.value.shape[1] not in (1, num_outputs):
        _refuse(f"have values of {trees.value.shape[1]} columns for {num_outputs} outputs")
    classes = trees.num_classes
    fits = {
        "identity": classes != 1 and num_outputs == max(classes, 1),
        "softmax": classes > 1 and num_outputs == classes,
        "sigmoid": classes == 2 and num_outputs == 1,
        "exp": classes == 0 and num_outputs == 1,
    }
    if not fits[trees.link]:
        _refuse(
            f"have {num_outputs} outputs, which the link {trees.link} does not make into "
            f"{f'{classes} classes' if classes else 'a number'}"
        )


def _check_form(trees: TreeEnsemble) -> None:
    starts, feature = trees.starts, trees.feature
    sizes = np.diff(starts)
    if starts[0] != 0 or starts[-1] != trees.num_nodes or (sizes < 1).any():
        _refuse("have `starts` that do not part the nodes into trees")
    if feature.min() < -1 or feature.max() >= trees.num_features:
        _refuse(f"ask about a column that is none of their {trees.num_features}")
    if not np.array_equal(
        np.add.reduceat(feature >= 0, starts[:-1], dtype=np.int64) * 2 + 1, sizes
    ):
        _refuse("have a tree whose leaves are not one more than its inner nodes")
    left = left_children(feature, starts)
    if (left[feature >= 0] <= np.flatnonzero(feature >= 0)).any():
        _refuse("have a node that stands before the one above it")
    if depths(left, starts).min() < 0:
        _refuse("have a tree that is too deep")


def _check_numbers(trees: TreeEnsemble) -> None:
    for name in ("base", "threshold", "value", "cover", "impurity", "gain"):
        if not np.isfinite(getattr(trees, name)).all():
            _refuse(f"have NaN or infinity in `{name}`")
    for name in ("cover", "impurity", "gain"):
        if (getattr(trees, name) < 0).any():
            _refuse(f"have a negative number in `{name}`")
        if getattr(trees, name).max() > LARGEST_SUM / MOST_NODES:
            _refuse(f"have a number in `{name}` that is too large")
    highest = np.maximum.reduceat(np.abs(trees.value).max(axis=1), trees.starts[:-1])
    with np.errstate(over="ignore"):
        if not highest.sum() + np.abs(trees.base).max() <= LARGEST_SUM:
            _refuse("have values that may add up to more than a number can hold")
    if trees.num_classes and trees.link == "identity":
        total = trees.value.sum(axis=1)
        if trees.combine == "sum" or trees.value.min() < 0 or np.abs(total - 1).max() > 1e-6:
            _refuse("have shares of classes that do not add up to 1")
    if trees.link == "exp":
        top = np.maximum.reduceat(trees.value.max(axis=1), trees.starts[:-1]).sum()
        if trees.base[0] + top > LARGEST_EXPONENT:
            _refuse("have values whose exponential is more than a number can hold")


def _check_sets(trees: TreeEnsemble) -> None:
    starts, category = trees.category_starts, trees.category
    count = len(starts) - 1
    if count < 0 or starts[0] != 0 or starts[-1] != len(trees.category_bits):
        _refuse("have `category_starts` that do not part `category_bits` into sets")
    if (np.diff(starts) < 0).any():
        _refuse("have `category_starts` that do not rise")
    if category.min() < -1 or category.max() >= count:
        _refuse(f"name a set of categories that is none of their {count}")
    if (category[trees.feature < 0] >= 0).any():
        _refuse("have a leaf that splits by categories")


def _check_outputs(trees: TreeEnsemble) -> None:
    output, width = trees.output, trees.value.shape[1]
    if output.min() < -1 or output.max() >= trees.num_outputs:
        _refuse(f"add to an output that is none of their {trees.num_outputs}")
    to_all = output < 0
    if width == 1 < trees.num_outputs and (
        to_all.any() or not np.array_equal(output, np.arange(len(output)) % trees.num_outputs)
    ):
        _refuse("do not add to one output after the other, in stages")
    if (width > 1 or trees.num_outputs == 1) and not to_all.all():
        _refuse("add values of several columns to one output")
    if trees.combine == "mean" and not to_all.all():
        _refuse("take the mean of trees that add to outputs of their own")


def _refuse(why: str) -> NoReturn:
    raise BundleError(f"The stored trees {why}. Take them anew from where they came from.")
