"""Stored without pickle: the same bits back, where the library is not installed; and nothing believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drivetrain import store
from drivetrain.errors import BundleError
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.form import DEEPEST
from tests import fresh
from tests.trees.families import FAMILIES, asked, grown, oracle

ASKED = asked()


def stored(trees: TreeEnsemble, path: Path) -> TreeEnsemble:
    """Written to the disk and read from it."""
    arrays, record = trees.to_arrays()
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    store.write_tensors(path.with_suffix(".safetensors"), tensors)
    store.write_json(path.with_suffix(".json"), record)
    return TreeEnsemble.from_arrays(
        store.read_tensors(path.with_suffix(".safetensors")),
        store.read_json(path.with_suffix(".json")),
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_read_is_what_was_written(name, tmp_path):
    trees = grown(name).ensemble
    again = stored(trees, tmp_path / "trees")
    arrays, record = trees.to_arrays()
    arrays_again, record_again = again.to_arrays()
    assert record == record_again
    assert arrays.keys() == arrays_again.keys()
    for key, values in arrays.items():
        np.testing.assert_array_equal(values, arrays_again[key], strict=True)
    np.testing.assert_array_equal(trees.predict(ASKED), again.predict(ASKED))
    np.testing.assert_array_equal(trees.importance(), again.importance())


def test_names_of_columns_are_kept(tmp_path):
    arrays, record = grown("tree, numbers").ensemble.to_arrays()
    names = ["a", "b", "ü", "\n", ""]
    trees = TreeEnsemble.from_arrays(arrays, {**record, "feature_names": names})
    assert stored(trees, tmp_path / "trees").feature_names == tuple(names)


def test_predictions_are_the_librarys_where_it_is_not_installed(tmp_path):
    store.write_tensors(tmp_path / "rows.safetensors", {"rows": torch.from_numpy(ASKED)})
    for i, name in enumerate(FAMILIES):
        stored(grown(name).ensemble, tmp_path / str(i))
        expected = torch.from_numpy(np.ascontiguousarray(oracle(name)(ASKED)))
        store.write_tensors(tmp_path / f"{i}.expected.safetensors", {"predictions": expected})
    code = Path(__file__).with_name("without_libraries.py").read_text("utf-8")
    child = fresh.run(code, tmp_path)
    assert (child.returncode, child.stderr) == (0, "")
    assert int(child.stdout) == len(FAMILIES) >= 12


def test_arrays_that_are_given_out_are_copies():
    trees = grown("tree, numbers").ensemble
    before = trees.predict(ASKED)
    arrays, record = trees.to_arrays()
    again = TreeEnsemble.from_arrays(arrays, record)
    for values in arrays.values():
        assert values.flags.writeable
    arrays["value"][:] = 0
    np.testing.assert_array_equal(trees.predict(ASKED), before)
    assert again.num_trees == 1


def small() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Two trees of classes: 0 asks column 1, then 2 asks column 0; and a single leaf."""
    arrays = {
        "base": np.zeros(2),
        "starts": np.array([0, 5, 6]),
        "output": np.array([-1, -1], dtype=np.int32),
        "feature": np.array([1, -1, 0, -1, -1, -1], dtype=np.int32),
        "threshold": np.array([0.5, 0, 2.5, 0, 0, 0]),
        "default_left": np.array([True, False, False, False, False, False]),
        "value": np.array([[0.5, 0.5], [1, 0], [0.25, 0.75], [0, 1], [0.5, 0.5], [0.5, 0.5]]),
        "cover": np.array([8.0, 4, 4, 2, 2, 8]),
        "impurity": np.array([0.5, 0, 0.375, 0, 0.5, 0.5]),
        "gain": np.array([0.3, 0, 0.1, 0, 0, 0]),
        "category": np.full(6, -1, dtype=np.int32),
        "category_starts": np.zeros(1, dtype=np.int64),
        "category_bits": np.zeros(0, dtype=np.uint8),
    }
    record = {
        "format": 1,
        "kind": "forest",
        "num_features": 2,
        "num_classes": 2,
        "combine": "mean",
        "link": "identity",
        "precision": "float32",
        "exponential": "c",
        "feature_names": ["a", "b"],
    }
    return arrays, record


def test_trees_written_by_hand_are_walked():
    trees = TreeEnsemble.from_arrays(*small())
    rows = np.array([[0.0, 0.5], [2.5, 1.0], [3.0, 1.0], [np.nan, 1.0], [0.0, np.nan]])
    assert trees.leaves(rows).tolist() == [[1, 5], [3, 5], [4, 5], [4, 5], [1, 5]]
    assert trees.left.tolist() == [1, -1, 3, -1, -1, -1]
    assert trees.right.tolist() == [2, -1, 4, -1, -1, -1]
    assert trees.depth.tolist() == [0, 1, 1, 2, 2, 0]
    np.testing.assert_array_equal(trees.predict(rows)[:, 0], [0.75, 0.25, 0.5, 0.5, 0.75])


def array(name: str, values: Any) -> Any:
    """A change: another array, of the type of the one it replaces where it is a list."""

    def change(arrays: dict[str, Any], record: dict[str, Any]) -> None:
        arrays[name] = (
            np.array(values, dtype=arrays[name].dtype) if isinstance(values, list) else values
        )

    return change


def entry(name: str, value: Any) -> Any:
    def change(arrays: dict[str, Any], record: dict[str, Any]) -> None:
        record[name] = value

    return change


def without(part: int, name: str) -> Any:
    def change(arrays: dict[str, Any], record: dict[str, Any]) -> None:
        del (arrays, record)[part][name]

    return change


def boosted(**entries: Any) -> Any:
    def change(arrays: dict[str, Any], record: dict[str, Any]) -> None:
        record.update({"kind": "boosting", "combine": "sum", "num_classes": 0, "link": "exp"})
        arrays["base"] = np.zeros(1)
        arrays["value"] = np.full((6, 1), 1.0)
        arrays.update(entries)

    return change


REFUSED = {
    "no array": (without(0, "cover"), "have no array `cover`"),
    "no entry": (without(1, "link"), "have no `link` in their record"),
    "an array more": (
        lambda arrays, record: arrays.update(extra=np.zeros(1)), "have the unknown array 'extra'",
    ),
    "an entry more": (entry("code", "x"), "have the unknown entry 'code' in their record"),
    "a list as an array": (
        lambda arrays, record: arrays.update(base=[0.0, 0.0]), "have no array as `base`",
    ),
    "another type": (
        array("feature", np.zeros(6)), "have the array `feature` of 'float64', expected int32",
    ),
    "other axes": (
        array("value", np.zeros(6)), "have the array `value` of 1 axes, expected 2",
    ),
    "another format": (
        entry("format", 2), "are of format '2', and this version of Drivetrain reads 1",
    ),
    "another kind": (
        entry("kind", "__import__"),
        "have '__import__' as `kind`, expected one of majority, one_r, tree, forest, extra_trees, "
        "boosting",
    ),
    "no whole number": (
        entry("num_features", True),
        "have 'True' as `num_features`, expected a whole number from 0 to 1000000",
    ),
    "too many columns": (
        entry("num_features", 10**15),
        "have '1000000000000000' as `num_features`, expected a whole number from 0 to 1000000",
    ),
    "names that are none": (
        entry("feature_names", ["a", 1]), "have `feature_names` that are no list of texts",
    ),
    "a name too few": (entry("feature_names", ["a"]), "have 1 names for 2 columns"),
    "no nodes": (
        array("feature", []), "have 0 nodes, expected 1 to 20000000",
    ),
    "another length": (array("gain", [0.0] * 5), "have 5 of `gain` for 6 nodes"),
    "no trees": (array("starts", [0]), "have 2 of `output` for 0 trees"),
    "trees without nodes": (
        array("starts", [0, 6, 6]), "have `starts` that do not part the nodes into trees",
    ),
    "trees that overlap": (
        array("starts", [0, 7, 6]), "have `starts` that do not part the nodes into trees",
    ),
    "a column too many": (
        array("feature", [1, -1, 2, -1, -1, -1]), "ask about a column that is none of their 2",
    ),
    "a column below none": (
        array("feature", [1, -1, 0, -1, -1, -2]), "ask about a column that is none of their 2",
    ),
    "a leaf too few": (
        array("feature", [1, 0, 0, -1, -1, -1]),
        "have a tree whose leaves are not one more than its inner nodes",
    ),
    "a node above itself": (
        array("feature", [-1, 1, 0, -1, -1, -1]), "have a node that stands before the one above it",
    ),
    "NaN": (array("value", [[np.nan, 1]] + [[0, 1]] * 5), "have NaN or infinity in `value`"),
    "infinity": (
        array("threshold", [np.inf, 0, 0, 0, 0, 0]), "have NaN or infinity in `threshold`",
    ),
    "a negative cover": (
        array("cover", [8.0, 4, 4, -2, 2, 8]), "have a negative number in `cover`",
    ),
    "a gain too large": (
        array("gain", [1e300, 0, 0, 0, 0, 0]), "have a number in `gain` that is too large",
    ),
    "shares that are none": (
        array("value", [[0.5, 0.6]] * 6), "have shares of classes that do not add up to 1",
    ),
    "values that overflow": (
        boosted(value=np.full((6, 1), 1e300)),
        "have values that may add up to more than a number can hold",
    ),
    "an exponential that overflows": (
        boosted(value=np.full((6, 1), 400.0)),
        "have values whose exponential is more than a number can hold",
    ),
    "a link that does not fit": (
        entry("link", "sigmoid"), "have 2 outputs, which the link sigmoid does not make into 2 classes",
    ),
    "one class": (
        entry("num_classes", 1), "have 2 outputs, which the link identity does not make into 1 classes",
    ),
    "values of other columns": (
        array("value", np.ones((6, 3)) / 3), "have values of 3 columns for 2 outputs",
    ),
    "a set that is none": (
        array("category", [0, -1, -1, -1, -1, -1]), "name a set of categories that is none of their 0",
    ),
    "sets beyond the bits": (
        array("category_starts", [0, 1]),
        "have `category_starts` that do not part `category_bits` into sets",
    ),
    "a leaf that asks": (
        lambda arrays, record: arrays.update(
            category=np.array([-1, 0, -1, -1, -1, -1], dtype=np.int32),
            category_starts=np.array([0, 1]),
            category_bits=np.zeros(1, dtype=np.uint8),
        ),
        "have a leaf that splits by categories",
    ),
    "an output that is none": (
        array("output", [-1, 2]), "add to an output that is none of their 2",
    ),
    "an output of its own": (
        array("output", [-1, 1]), "add values of several columns to one output",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_tree_is_refused(case):
    change, reason = REFUSED[case]
    arrays, record = small()
    change(arrays, record)
    with pytest.raises(BundleError) as caught:
        TreeEnsemble.from_arrays(arrays, record)
    expected = f"The stored trees {reason}. Take them anew from where they came from."
    assert str(caught.value) == expected


def test_a_record_that_is_no_object_is_refused():
    with pytest.raises(BundleError, match="have a record that is no JSON object"):
        TreeEnsemble.from_arrays(small()[0], json.loads("[1]"))


@pytest.mark.parametrize("extra", [0, 1])
def test_a_chain_is_walked_down_to_the_deepest_level_and_refused_beyond(extra):
    depth = DEEPEST + extra
    inner = np.zeros(2 * depth + 1, dtype=bool)
    inner[0] = True
    inner[2 : 2 * depth - 1 : 2] = True  # each right child has children
    count = len(inner)
    arrays, record = small()
    arrays.update(
        starts=np.array([0, count]),
        output=np.array([-1], dtype=np.int32),
        feature=np.where(inner, 0, -1).astype(np.int32),
        threshold=np.where(inner, np.arange(count), 0.0),
        default_left=np.zeros(count, dtype=bool),
        value=np.tile([0.5, 0.5], (count, 1)),
        cover=np.ones(count),
        impurity=np.ones(count),
        gain=np.ones(count),
        category=np.full(count, -1, dtype=np.int32),
    )
    if extra:
        with pytest.raises(BundleError, match="have a tree that is too deep"):
            TreeEnsemble.from_arrays(arrays, record)
    else:
        trees = TreeEnsemble.from_arrays(arrays, record)
        assert trees.depth.max() == DEEPEST
        assert trees.leaves(np.array([[1e9, 0.0], [-1.0, 0.0]])).tolist() == [[count - 1], [1]]
