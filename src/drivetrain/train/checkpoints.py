"""The checkpoints of a run: a file of tensors and, written last, its JSON with the tensors' SHA-256.

    checkpoints/
      epoch-0003-batch-000000.safetensors, .json     three epochs are done
      epoch-0003-batch-000120.safetensors, .json     and 120 batches of the next
      best-epoch-0002.safetensors, .json             weights alone, of the best epoch so far

A checkpoint without its JSON never was, and one whose hash is another is damaged: the one before it is
used, which is why two are kept. All writes go through `drivetrain.store`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from drivetrain import store
from drivetrain.errors import RunError

KEPT = 2


class Checkpoints:
    """The folder `checkpoints/` of a run.

    Args:
        folder: need not exist before the first save.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __bool__(self) -> bool:
        """Whether a checkpoint was written, whole or not."""
        return bool(self._found())

    def save(
        self, epoch: int, batch: int, tensors: Mapping[str, Tensor], position: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint and drop all but the newest two.

        Args:
            epoch: epochs done in the run.
            batch: batches done of the next one.
            tensors: what `train.saving` packed.
            position: plain JSON, kept beside the hash.
        Raises: StorageError: the disk refused; the checkpoints before it are as they were.
        """
        name = f"epoch-{epoch:04d}-batch-{batch:06d}"
        self._write(name, tensors, {"epoch": epoch, "batch": batch, **position})
        found = self._found()
        for old in found[:-KEPT]:
            self._remove(old)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
        """The newest checkpoint that is whole: tensors, position, and a line for each one passed over.

        Returns None where there is none at all.
        Raises: RunError: there are some, and none is whole.
        """
        passed: list[str] = []
        for path in reversed(self._found()):
            try:
                tensors, position = _read(path)
            except RunError as error:
                reason = str(error).rstrip(".")
                passed.append(f"Checkpoint {path.stem} is damaged ({reason}): it is passed over.")
                continue
            return tensors, position, passed
        if passed:
            raise RunError(
                f"No checkpoint of {self.folder.parent} is whole, so it cannot be continued. "
                f"Train anew. {' '.join(passed)}"
            )
        return None

    def save_best(self, epoch: int, tensors: Mapping[str, Tensor], why: Mapping[str, Any]) -> None:
        """Write the weights of the best epoch so far, then drop those of the one before."""
        name = f"best-epoch-{epoch:04d}"
        self._write(name, tensors, {"epoch": epoch, **why})
        for old in self.folder.glob("best-epoch-*.json"):
            if old.stem != name:
                self._remove(old)

    def load_best(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Weights and reason of the best epoch; None where none was kept.

        Raises: RunError: they are damaged.
        """
        found = sorted(self.folder.glob("best-epoch-*.json"), key=_age)
        return _read(found[-1]) if found else None

    def sweep(self) -> None:
        """Remove what a kill left half done: temporary files, and tensors that have no JSON."""
        store.sweep(self.folder)
        for tensors in self.folder.glob("*.safetensors"):
            if not tensors.with_suffix(".json").exists():
                store.remove(tensors)

    def _write(self, name: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        digest = store.write_tensors(self.folder / f"{name}.safetensors", tensors)
        store.write_json(self.folder / f"{name}.json", {"sha256": digest, **record})

    def _remove(self, path: Path) -> None:
        """The JSON goes first: without it, the tensors count for nothing."""
        store.remove(path)
        store.remove(path.with_suffix(".safetensors"))

    def _found(self) -> list[Path]:
        """The JSON files of all checkpoints, oldest first."""
        return sorted(self.folder.glob("epoch-*.json"), key=_age)


def _age(path: Path) -> tuple[int, str]:
    """By number, so a longer name is a later one."""
    return len(path.name), path.name


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    record = store.read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("sha256"), str):
        raise RunError(f"{path} does not say what its tensors' SHA-256 is.")
    return store.read_tensors(path.with_suffix(".safetensors"), sha256=record["sha256"]), record
