"""Predictions of folds as they are kept in a run's folder, each from when its fold is done.

    files = FoldFiles(run / "clean", "quick-5", key)
    files.read(0, (100, 3))                           # None: not there, of other labels, or damaged
    files.write(0, chances)

`folds-NAME.json` says of which key the predictions are, and the SHA-256 of each fold's file, which is
written before it is named there: a kill leaves all folds that were done but the last, at most. A key is
the fingerprint of items, labels, folds and model: with another one everything is asked anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.clean.duplicates import NearPairs
from drivetrain.clean.outliers import Outliers
from drivetrain.errors import RunError, StorageError

FORM = 1


class FoldFiles:
    """The kept predictions of one set of folds.

    Args:
        folder: is there, or is made with the first fold.
        name: of the set, such as `quick-5`; another set of that name is lost with the first fold.
        key: fingerprint of what the predictions are of.
        may_write: otherwise `write` does nothing.
    """

    def __init__(
        self, folder: store.StrPath, name: str, key: str, *, may_write: bool = True
    ) -> None:
        self.folder = Path(folder)
        self.name = name
        self.key = key
        self.may_write = may_write
        self._sums = self._known()

    @property
    def index(self) -> Path:
        """The file that says what is there."""
        return self.folder / f"folds-{self.name}.json"

    def path(self, fold: int) -> Path:
        """The file of a fold."""
        return self.folder / f"folds-{self.name}-{fold}.safetensors"

    def __len__(self) -> int:
        """Folds that are kept under this key."""
        return len(self._sums)

    def read(self, fold: int, shape: tuple[int, ...]) -> np.ndarray | None:
        """What was said of a fold's items, float64 of this shape; None where that is not there."""
        expected = self._sums.get(str(fold))
        if expected is None:
            return None
        try:
            found = store.read_tensors(self.path(fold), sha256=expected).get("outputs")
        except (RunError, StorageError):  # gone or damaged: it is made anew
            return None
        if found is None or found.dtype != torch.float64 or tuple(found.shape) != shape:
            return None
        return found.numpy()

    def write(self, fold: int, outputs: np.ndarray) -> None:
        """Keep what was said. Raises: StorageError: the disk refused."""
        if not self.may_write:
            return
        tensor = torch.from_numpy(np.ascontiguousarray(outputs, dtype=np.float64))
        self._sums[str(fold)] = store.write_tensors(self.path(fold), {"outputs": tensor})
        store.write_json(self.index, {"form": FORM, "key": self.key, "sha256": self._sums})

    def _known(self) -> dict[str, Any]:
        sums = _index(self.index, self.key).get("sha256")
        return (
            {k: v for k, v in sums.items() if isinstance(v, str)} if isinstance(sums, dict) else {}
        )


def kept_pairs(
    folder: store.StrPath | None, key: str, find: Callable[[], NearPairs], *, may_write: bool = True
) -> NearPairs:
    """Near duplicates as they were found the last time, or found now and kept.

    Args:
        folder: where they are kept; None finds them each time.
        key: fingerprint of the items.
        find: finds them.
        may_write: otherwise they are not kept.

    Raises: StorageError: the disk refused.
    """
    if folder is None:
        return find()
    index, file = Path(folder) / "near.json", Path(folder) / "near.safetensors"
    told = _index(index, key)
    if told:
        try:
            tensors = store.read_tensors(file, sha256=str(told.get("sha256")))
            first, second, score, exact = (
                tensors[name].numpy() for name in ("first", "second", "score", "exact")
            )
            words = int(told["compared"]), str(told["left_out"])
            return NearPairs(first, second, score, exact.astype(bool), *words)
        except (RunError, StorageError, KeyError, TypeError, ValueError):
            pass  # gone or damaged: they are found anew
    found = find()
    if may_write:
        arrays = {"first": found.first, "second": found.second, "score": found.score}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        tensors["exact"] = torch.from_numpy(found.exact.astype(np.uint8))
        sha256 = store.write_tensors(file, tensors)
        told = {"form": FORM, "key": key, "sha256": sha256}
        words = {"compared": int(found.compared), "left_out": found.left_out}
        store.write_json(index, {**told, **words})
    return found


def kept_outliers(
    folder: store.StrPath | None,
    key: str,
    find: Callable[[], Outliers] | None,
    *,
    may_write: bool = True,
) -> Outliers | None:
    """Outliers as they were found the last time, or found now and kept.

    Args:
        folder: where they are kept; None finds them each time.
        key: fingerprint of the items, and of what they are measured in.
        find: finds them; None where only what is kept is wanted.
        may_write: otherwise they are not kept.

    Returns: None where they are not kept and not to be found. Raises: StorageError: the disk refused.
    """
    index = None if folder is None else Path(folder) / "outliers.json"
    file = None if folder is None else Path(folder) / "outliers.safetensors"
    told = {} if index is None else _index(index, key)
    if told and file is not None:
        try:
            tensors = store.read_tensors(file, sha256=str(told.get("sha256")))
            scores, flagged, nearest = (
                tensors[name].numpy() for name in ("scores", "flagged", "nearest")
            )
            bound = None if told["threshold"] is None else float(told["threshold"])
            words = str(told["what"]), str(told["left_out"])
            return Outliers(scores, flagged.astype(bool), nearest, bound, *words)
        except (RunError, StorageError, KeyError, TypeError, ValueError):
            pass  # gone or damaged: they are found anew
    if find is None:
        return None
    found = find()
    if may_write and index is not None and file is not None:
        tensors = {
            "scores": torch.from_numpy(np.ascontiguousarray(found.scores)),
            "flagged": torch.from_numpy(found.flagged.astype(np.uint8)),
            "nearest": torch.from_numpy(np.ascontiguousarray(found.nearest)),
        }
        sha256 = store.write_tensors(file, tensors)
        words = {"what": found.what, "left_out": found.left_out, "threshold": found.threshold}
        store.write_json(index, {"form": FORM, "key": key, "sha256": sha256, **words})
    return found


def _index(path: Path, key: str) -> dict[str, Any]:
    """What a file says of a key; empty where it is not there, damaged, or of another one."""
    try:
        found = store.read_json(path) if path.is_file() else {}
    except (RunError, StorageError):
        return {}
    fits = isinstance(found, dict) and (found.get("form"), found.get("key")) == (FORM, key)
    return found if fits else {}
