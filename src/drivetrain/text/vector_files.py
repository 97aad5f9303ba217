"""Models on vectors of texts in a folder: arrays as safetensors, all else as JSON, each checked.

The encoder is not among them: it is large, and lies on the disk as a package, a folder or in a cache.
What is kept is its name, how it was asked, and the SHA-256 of its weights, so that another one of that
name is told. Nothing in such a folder is code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.train.run import check_form

FORMAT = 1
RECORD, WEIGHTS = "vectors.json", "vectors.safetensors"
MOST_VALUES = 100_000


def write_model(
    folder: store.StrPath, kind: str, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a model: whole or not at all; a folder of that name is replaced.

    Args:
        kind: what the folder holds.
        record: plain JSON.
        arrays: float32, by name.

    Raises: StorageError: the disk refused.
    """
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    data = store.tensor_bytes(tensors)
    described = {"format": FORMAT, "kind": kind, **record}
    described["sha256"] = hashlib.sha256(data).hexdigest()
    store.write_folder(folder, {WEIGHTS: data, RECORD: store.json_bytes(described)})


def read_model(
    folder: store.StrPath, kind: str, form: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record and the arrays that `write_model` wrote; whatever they say comes from a file.

    Args:
        kind: what it has to be.
        form: entries of the record and their types, see `train.run.check_form`.

    Raises: RunError: there is none, it is damaged, or of another kind or version.
    """
    path = Path(folder) / RECORD
    record = store.read_json(path, max_values=MOST_VALUES)
    check_form(record, {"format": int, "kind": str, "sha256": str}, path)
    if record["format"] != FORMAT or record["kind"] != kind:
        raise RunError(f"{folder} holds no {kind} that this version of Drivetrain reads.")
    check_form(record, form, path)
    tensors = store.read_tensors(Path(folder) / WEIGHTS, sha256=record["sha256"])
    return record, {name: tensor.numpy() for name, tensor in tensors.items()}


def check_arrays(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], folder: store.StrPath
) -> None:
    """Raises: RunError: the arrays are not of these names and shapes, float32, and finite."""
    found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    wanted = {name: (np.dtype(np.float32), shape) for name, shape in shapes.items()}
    if found != wanted or not all(np.isfinite(array).all() for array in arrays.values()):
        raise RunError(
            f"{folder}: its numbers are of another model than its record describes. Restore it from a "
            "copy."
        )
