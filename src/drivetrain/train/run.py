"""A Run: the folder that is the truth about one training.

    run.json           task, model, journal, settings, choices, versions, fingerprint, results
    split.json         which item trained, validated, is sealed
    log.jsonl          one row an epoch
    quarantine.jsonl   items set aside, with reasons
    checkpoints/       the newest two and the best; see `train.checkpoints`
    model/             the model that predicts: model.safetensors, model.json
    .lock              held by the process that trains

Every file goes through `drivetrain.store`; opening a run executes nothing from it.
"""

from __future__ import annotations

import datetime
import platform
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from drivetrain import __version__, store
from drivetrain.errors import RunError, StorageError
from drivetrain.locks import LOCK, FolderLock
from drivetrain.train.checkpoints import Checkpoints

FORMAT = 1
"""Version of the folder's form, written into `run.json`."""

MOST_LETTERS = 80
"""Of a name that becomes part of a folder's name: file systems allow 255 bytes."""


class Run:
    """One run folder, opened or new.

    Args:
        folder: the run's folder; `create` makes one, `open` reads one.
    """

    def __init__(self, folder: store.StrPath) -> None:
        self.folder = Path(folder)
        self._lock: FolderLock | None = None

    @classmethod
    def create(cls, folder: store.StrPath) -> Run:
        """Make a new run folder and hold it.

        Raises: RunError: the folder already holds something, or another program is making a run in it.
            StorageError: it cannot be made.
        """
        run = cls(folder)
        try:
            store.make_folders(run.folder)
            run.acquire()
            taken = any(path.name != LOCK for path in run.folder.iterdir())
        except StorageError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"Could not make the run folder {run.folder}: {reason}.") from error
        if taken:
            run.release()
            raise RunError(
                f"{run.folder} already holds files. Choose another folder with --out, "
                f"or continue it with: drivetrain resume {shlex.quote(str(run.folder))}"
            )
        return run

    @classmethod
    def create_dated(cls, parent: store.StrPath, name: str) -> Run:
        """Make `parent/<date>-<name>`, with -2, -3 … where that is taken.

        Making the folder is what claims it, so two programs never share one.
        """
        today = datetime.date.today().isoformat()
        safe = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:MOST_LETTERS] or "run"
        for number in range(1, 10_000):
            folder = Path(parent) / (f"{today}-{safe}" + (f"-{number}" if number > 1 else ""))
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir()
            except FileExistsError:
                if folder.parent.is_dir():
                    continue
                raise StorageError(
                    f"Could not make the run folder {folder}: a file is in its way."
                ) from None
            except OSError as error:
                reason = error.strerror or str(error)
                raise StorageError(f"Could not make the run folder {folder}: {reason}.") from error
            run = cls(folder)
            run.acquire()
            return run
        raise StorageError(
            f"Could not make a run folder in {parent}: too many of today's names are taken."
        )

    @classmethod
    def open(cls, folder: store.StrPath) -> Run:
        """Open a run folder that exists.

        Raises: RunError: there is no run in it, or one of a later form.
        """
        run = cls(folder)
        if not run.folder.is_dir():
            raise RunError(f"{folder} is not a run folder: there is no such folder.")
        if not (run.folder / "run.json").exists():
            raise RunError(f"{folder} is not a run folder: it has no run.json.")
        record = run.read()
        found = record.get("format")
        if found is None:
            raise RunError(
                f"{folder} is not a run folder: its run.json was not written by Drivetrain."
            )
        if found != FORMAT:
            version = (record.get("versions") or {}).get("drivetrain", "of another version")
            raise RunError(
                f"{folder} has the form {found}, this version of Drivetrain reads {FORMAT}. "
                f"Open it with the version that made it: Drivetrain {version}."
            )
        return run

    def read(self) -> dict[str, Any]:
        """The content of `run.json`."""
        value = store.read_json(self.folder / "run.json")
        if not isinstance(value, dict):
            raise RunError(f"{self.folder / 'run.json'} does not hold a JSON object.")
        return value

    def write(self, record: Mapping[str, Any]) -> None:
        """Write `run.json` whole."""
        store.write_json(self.folder / "run.json", {"format": FORMAT, **record})

    def write_split(self, split: Mapping[str, Any]) -> None:
        """Write `split.json`."""
        store.write_json(self.folder / "split.json", split)

    def read_split(self) -> dict[str, Any]:
        """The content of `split.json`."""
        return store.read_json(self.folder / "split.json")

    def write_quarantine(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write `quarantine.jsonl`, one line an item."""
        lines = b"".join(store.json_line(entry) for entry in entries)
        store.write_bytes(self.folder / "quarantine.jsonl", lines)

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to `log.jsonl`."""
        store.append_line(self.folder / "log.jsonl", dict(row))

    def read_log(self) -> list[dict[str, Any]]:
        """The rows of `log.jsonl`; of several rows for one epoch (a run cut and resumed) the last."""
        rows = {
            row["epoch"]: row
            for row in store.read_lines(self.folder / "log.jsonl")
            if isinstance(row, dict) and "epoch" in row
        }
        return [rows[epoch] for epoch in sorted(rows)]

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's checkpoints."""
        return Checkpoints(self.folder / "checkpoints")

    # --- one writer -------------------------------------------------------------------------------

    def acquire(self) -> None:
        """Hold the folder for this process, until `release` or the process's end.

        Raises: RunError: another one trains in it.
        """
        if self._lock is None:
            self._lock = FolderLock(self.folder)

    def release(self) -> None:
        """Let others train in the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- the model that predicts ------------------------------------------------------------------

    def save_model(self, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
        """Write `model/`: the weights, and JSON that says how to build the model and prepare inputs."""
        digest = store.write_tensors(self.folder / "model" / "model.safetensors", tensors)
        store.write_json(
            self.folder / "model" / "model.json",
            {"format": FORMAT, "sha256": digest, **description},
        )

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"


def versions() -> dict[str, str]:
    """Versions that a result can depend on."""
    return {
        "drivetrain": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def read_model(folder: store.StrPath) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and description of the model in a run folder, or in a `model/` folder by itself.

    Raises: RunError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if not folder.exists():
        raise RunError(f"{folder} does not exist. Give the folder of a run, or of a model.")
    if (folder / "model" / "model.json").exists():
        folder = folder / "model"
    if not (folder / "model.json").exists():
        unfinished = (folder / "run.json").exists()
        raise RunError(
            f"{folder} has no model yet: its training did not finish. "
            f"Finish it with: drivetrain resume {shlex.quote(str(folder))}"
            if unfinished
            else f"{folder} is neither a run folder nor a model folder: it has no model.json."
        )
    description = store.read_json(folder / "model.json")
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise RunError(
            f"{folder / 'model.json'} is not of a form that this version of Drivetrain reads."
        )
    tensors = store.read_tensors(folder / "model.safetensors", sha256=description.get("sha256"))
    return tensors, description
