"""Damaged and hostile files of trees: a named error, or finite answers. Nothing else, and soon."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drivetrain import store
from drivetrain.errors import BundleError, RunError
from drivetrain.trees.ensemble import TreeEnsemble
from tests.trees.families import FAMILIES, asked, table

ROWS = table(0, 120)
NAMES = [
    "tree, 4 classes", "forest, numbers", "forest, 4 classes", "lightgbm, 4 classes, sets",
    "lightgbm, numbers", "histograms, 2 classes, sets", "one_r, 3 classes",
]  # fmt: skip

MOST_SECONDS = 5.0
"""Of one file; they take hundredths."""

Form = tuple[dict[str, np.ndarray], dict[str, Any]]


def answers_are_finite(trees: TreeEnsemble) -> None:
    """All that can be asked of trees, of ordinary rows and of the ends of numbers."""
    if trees.num_features > 1000:
        return
    draw = np.random.default_rng(0)
    rows = np.resize(asked(60), (60, trees.num_features))
    ends = draw.choice([np.nan, np.inf, -np.inf, 1e308, -0.0, 5e-324], (20, trees.num_features))
    for X in (rows, ends):
        found = trees.predict(X)
        assert np.isfinite(found).all()
        assert found.shape == ((len(X), trees.num_classes) if trees.num_classes else (len(X),))
        base, moves = trees.contributions(X)
        assert np.isfinite(base).all()
        assert np.isfinite(moves).all()
        assert ((trees.leaves(X) >= 0) & (trees.leaves(X) < trees.num_nodes)).all()
    importance = trees.importance()
    assert np.isfinite(importance).all()
    assert importance.sum() == pytest.approx(1) or not importance.any()


def changed_bytes(data: bytes, draw: np.random.Generator) -> bytes:
    """Some bytes other, gone, more, or moved; often in the header, where they mean most."""
    bytes_ = bytearray(data)
    for _ in range(int(draw.choice([1, 1, 1, 2, 4]))):
        most = len(bytes_) if draw.random() < 0.6 else min(len(bytes_), 1500)
        if not most:
            break
        place = int(draw.integers(most))
        kind = draw.integers(6)
        if kind == 0:
            bytes_[place] ^= 1 << int(draw.integers(8))
        elif kind == 1:
            bytes_[place] = int(draw.integers(256))
        elif kind == 2:
            del bytes_[place : place + int(draw.integers(1, 40))]
        elif kind == 3:
            bytes_[place:place] = draw.bytes(int(draw.integers(1, 20)))
        elif kind == 4:
            bytes_[place : place + 8] = draw.choice([b"\xff" * 8, b"\x00" * 8, b"99999999"])
        else:
            del bytes_[place:]
    return bytes(bytes_)


EXTREMES: dict[str, list[Any]] = {
    "f": [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -1.0, 0.0, 1e-300, 1e292],
    "i": [-1, -2, 0, 1, 2, 5, 1000, 2**31 - 1, -(2**31)],
    "u": [0, 1, 255],
    "b": [True, False],
}


def plausible(arrays: dict[str, np.ndarray], draw: np.random.Generator) -> None:
    """Numbers in one array, each by another that stands in it."""
    name = str(draw.choice([name for name in sorted(arrays) if arrays[name].size]))
    values = arrays[name].copy()
    flat = values.reshape(-1)
    places, others = draw.integers(flat.size, size=(2, int(draw.integers(1, 6))))
    flat[places] = flat[others]
    arrays[name] = values


def changed_array(arrays: dict[str, np.ndarray], draw: np.random.Generator) -> None:
    """One array: numbers in it, its length, its shape, its type, or all of it."""
    name = str(draw.choice(sorted(arrays)))
    values = arrays[name].copy()
    kind = draw.integers(9)
    if kind <= 4 and values.size:
        places = draw.integers(values.size, size=int(draw.integers(1, 4)))
        values.reshape(-1)[places] = draw.choice(EXTREMES[values.dtype.kind], len(places))
    elif kind == 5:
        values = values[: int(draw.integers(len(values) + 1))]
    elif kind == 6:
        values = np.concatenate([values, values])
    elif kind == 7:
        dtype = draw.choice(["float32", "int64", "int32", "uint8", "float64", "bool"])
        with np.errstate(invalid="ignore", over="ignore"):
            values = values.astype(dtype)
    else:
        other = arrays[str(draw.choice(sorted(arrays)))]
        values = draw.choice([0, 1]) * values if other.shape == values.shape else other
    arrays[name] = values
    if draw.random() < 0.05 and len(arrays) > 1:
        del arrays[name]


JUNK: list[Any] = [
    None, True, -1, 0, 1, 2, 3, 5, 10**6, 10**18, 1.5, -1e300, "", "mean", "sum", "softmax", "sigmoid",
    "exp", "identity", "float64", "float32", "numpy", "boosting", [], {}, ["a"] * 5, [[]], "x" * 10_000,
    "\ud800", {"$ref": "x"},
]  # fmt: skip


def changed_record(record: dict[str, Any], draw: np.random.Generator) -> None:
    """One or two entries: another value, gone, or one more."""
    for _ in range(int(draw.integers(1, 3))):
        name = str(draw.choice(sorted(record))) if record else "kind"
        kind = draw.integers(10)
        if kind == 0:
            record.pop(name, None)
        elif kind == 1:
            record[name + "_"] = JUNK[draw.integers(len(JUNK))]
        else:
            record[name] = JUNK[draw.integers(len(JUNK))]


def changed_form(form: Form, draw: np.random.Generator) -> Form:
    """Whole trees, as somebody who knows the format would change them."""
    arrays = {name: values.copy() for name, values in form[0].items()}
    record = dict(form[1])
    if draw.random() < 0.6:
        plausible(arrays, draw)
        return arrays, record
    for _ in range(int(draw.integers(1, 3))):
        if draw.random() < 0.7:
            changed_array(arrays, draw)
        else:
            changed_record(record, draw)
    return arrays, record


def opened(folder: Path) -> TreeEnsemble:
    return TreeEnsemble.from_arrays(
        store.read_tensors(folder / "trees.safetensors"), store.read_json(folder / "trees.json")
    )


def how_it_ends(folder: Path) -> str:
    try:
        trees = opened(folder)
    except (BundleError, RunError) as error:
        return type(error).__name__
    answers_are_finite(trees)
    return "answered"


def try_files(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Change and open `count` files; how they ended."""
    forms = [FAMILIES[name].grown(ROWS).ensemble.to_arrays() for name in NAMES]
    draw = np.random.default_rng(seed)
    ended = {"answered": 0, "BundleError": 0, "RunError": 0}
    whole = [
        (store.tensor_bytes({k: torch.from_numpy(v) for k, v in form[0].items()}),
         store.json_bytes(form[1]))
        for form in forms
    ]  # fmt: skip
    for number in range(count):
        form, (tensors, text) = forms[number % len(forms)], whole[number % len(forms)]
        kind = number // len(forms) % 4
        if kind == 0:
            tensors = changed_bytes(tensors, draw)
        elif kind == 1:
            text = changed_bytes(text, draw)
        else:
            arrays, record = changed_form(form, draw)
            tensors = store.tensor_bytes({k: torch.from_numpy(v) for k, v in arrays.items()})
            text = json.dumps(record).encode()
        (folder / "trees.safetensors").write_bytes(tensors)
        (folder / "trees.json").write_bytes(text)
        begun = time.monotonic()
        ended[how_it_ends(folder)] += 1
        assert time.monotonic() - begun < MOST_SECONDS
    return ended


def test_changed_files_are_refused_or_answer(tmp_path):
    ended = try_files(tmp_path, 196, seed=0)
    assert min(ended.values()) > 10, ended


@pytest.mark.slow
def test_many_changed_files_are_refused_or_answer(tmp_path):
    ended = try_files(tmp_path, 3000, seed=1)
    assert min(ended.values()) > 200, ended


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a pickle as tensors": lambda folder: (folder / "trees.safetensors").write_bytes(
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
    ),
    "a link": lambda folder: (
        (folder / "trees.json").unlink(),
        (folder / "trees.json").symlink_to("/etc/passwd"),
    ),
    "a deep record": lambda folder: (folder / "trees.json").write_text("[" * 100_000),
    "an entry twice": lambda folder: (folder / "trees.json").write_text('{"kind": 1, "kind": 2}'),
    "a number without end": lambda folder: (folder / "trees.json").write_text("9" * 5_000_000),
    "not a number": lambda folder: (folder / "trees.json").write_text('{"num_features": NaN}'),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_by_name(case, tmp_path):
    arrays, record = FAMILIES["tree, 4 classes"].grown(ROWS).ensemble.to_arrays()
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    store.write_tensors(tmp_path / "trees.safetensors", tensors)
    store.write_json(tmp_path / "trees.json", record)
    HOSTILE[case](tmp_path)
    with pytest.raises((RunError, BundleError), match=r"trees\.(json|safetensors)"):
        opened(tmp_path)
