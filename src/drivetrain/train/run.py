"""A Run: the folder that is the truth about one training.

    run.json           task, model, journal, settings, choices, versions, fingerprint, results
    split.json         which item trained, validated, is sealed
    log.jsonl          one row an epoch
    looks.jsonl        when its sealed test part was opened; see `train.sealed`
    quarantine.jsonl   items set aside, with reasons
    checkpoints/       the newest two and the best; see `train.checkpoints`
    model/             the model that predicts: model.safetensors, model.json
    .lock              held by the process that trains

Every file goes through `drivetrain.store`; opening a run executes nothing from it. A run may come from
a stranger: links are refused, since what is read or written through one lies somewhere else.
"""

from __future__ import annotations

import contextlib
import datetime
import platform
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from drivetrain import __version__, _strict, store
from drivetrain.errors import DrivetrainError, RunError, StorageError
from drivetrain.locks import LOCK, FolderLock
from drivetrain.train.checkpoints import Checkpoints

FORMAT = 1
"""Version of the folder's form, written into `run.json`."""

SPLIT_VALUES = 4_000_000
"""Values of `split.json`, which names every item and its hash."""

OWN = (
    *("run.json", "split.json", "log.jsonl", "looks.jsonl", "quarantine.jsonl", "model"),
    *("checkpoints", LOCK),
)
"""What a run reads and writes in its folder."""

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

        Args:
            folder: where the run is to be; it is made.

        Returns: the run, held until it is closed.
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
            shown = shlex.quote(str(run.folder))
            more = f", or continue it with: drivetrain resume {shown}"
            is_run = (run.folder / "run.json").is_file()
            raise RunError(
                f"{run.folder} already holds files. Choose another folder with --out"
                f"{more if is_run else '.'}"
            )
        return run

    @classmethod
    def create_dated(cls, parent: store.StrPath, name: str) -> Run:
        """Make `parent/<date>-<name>`, with -2, -3 … where that is taken.

        Making the folder is what claims it, so two programs never share one.

        Args:
            parent: the folder that holds runs; it is made.
            name: of the run, after the date.

        Returns: the run, held until it is closed.
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

        Args:
            folder: of a run.

        Returns: the run; its record is read, and nothing is written.
        Raises: RunError: there is no run in it, or one of a later form.
        """
        run = cls(folder)
        if not run.folder.is_dir():
            raise RunError(f"{folder} is not a run folder: there is no such folder.")
        check_plain(run.folder)
        if not (run.folder / "run.json").exists():
            raise RunError(f"{folder} is not a run folder: it has no run.json.")
        record = run.read()
        found = record.get("format")
        if found is None:
            raise RunError(
                f"{folder} is not a run folder: its run.json was not written by Drivetrain."
            )
        if found != FORMAT:
            versions = record.get("versions")
            known = isinstance(versions, dict) and str(versions.get("drivetrain", ""))[:40]
            version = known or "of another version"
            raise RunError(
                f"{folder} has the form {str(found)[:40]}, this version of Drivetrain reads {FORMAT}. "
                f"Open it with the version that made it: Drivetrain {version}."
            )
        return run

    def read(self) -> dict[str, Any]:
        """The content of `run.json`."""
        value = store.read_json(self.folder / "run.json")
        if not isinstance(value, dict):
            raise RunError(f"{self.folder / 'run.json'} does not hold a JSON object.")
        return value

    def read_finished(self) -> dict[str, Any]:
        """The content of `run.json` of a run that is trained to its end.

        Raises: RunError: it is not.
        """
        record = self.read()
        if "results" not in record:
            raise RunError(
                f"{self.folder} is not finished. Finish it with: drivetrain resume "
                f"{shlex.quote(str(self.folder))}"
            )
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Write `run.json` whole.

        Args:
            record: the whole record, plain JSON.
        """
        store.write_json(self.folder / "run.json", {"format": FORMAT, **record})

    def write_split(self, split: Mapping[str, Any]) -> None:
        """Write `split.json`."""
        store.write_json(self.folder / "split.json", split)

    def read_split(self) -> dict[str, Any]:
        """The content of `split.json`.

        Raises: RunError: it is missing or damaged.
        """
        return read_split(self.folder / "split.json")

    def write_quarantine(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write `quarantine.jsonl`, one line an item.

        Args:
            entries: one mapping of plain values an item.
        """
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
            if type(row.get("epoch")) is int
        }
        return [rows[epoch] for epoch in sorted(rows)]

    def weights_bytes(self) -> int:
        """Bytes of the largest file of tensors that it has; 0 where it has none yet."""
        files = [self.folder / "model" / "model.safetensors"]
        files += self.checkpoints.folder.glob("*.safetensors")
        return max((path.stat().st_size for path in files if path.is_file()), default=0)

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
        """Write `model/`: the weights, and JSON that says how to build the model and prepare inputs.

        Args:
            tensors: the model's state, by name.
            description: plain JSON.
        """
        write_model(self.folder / "model", tensors, description)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"


def write_model(
    folder: store.StrPath, tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Write a model folder, which `read_model` reads: the weights, and JSON that says what they are."""
    folder = Path(folder)
    digest = store.write_tensors(folder / "model.safetensors", tensors)
    store.write_json(folder / "model.json", {"format": FORMAT, "sha256": digest, **description})


def versions() -> dict[str, str]:
    """Versions that a result can depend on."""
    return {
        "drivetrain": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def is_own(record: Any) -> bool:
    """Whether a record is of a Learner made of a model and loaders: it has no application, no task."""
    return isinstance(record, dict) and "journal" in record and record.get("task") is None


def refuse_own(record: Any, folder: Path) -> None:
    """Refuse, where a model and its data have to be made again, the run of what only Python can make.

    Raises: RunError: the run is of a Learner made of a model and loaders.
    """
    if is_own(record):
        raise RunError(
            f"{folder} is the run of a model and loaders of your own, which only your program can make. "
            f"Make the Learner there as it was, then: learner.open_run({str(folder)!r}), and "
            "learner.resume(), evaluate(…), predict(…) or eject(…)."
        )


def check_form(record: Any, form: Mapping[str, Any], path: Path, *, above: str = "") -> None:
    """Whether a record has the entries it needs, each of its type.

    Args:
        form: name -> type, tuple of types, or the form of an object; further entries are not looked at.
        path: the file it comes from.
        above: where in the file the record stands, with a point at its end.

    Raises: RunError: an entry is missing, or of another type.
    """
    for name, kind in form.items():
        value = record.get(name) if isinstance(record, dict) else None
        if isinstance(kind, Mapping):
            check_form(value, kind, path, above=f"{above}{name}.")
        elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise RunError(
                f"{path} cannot be used: its '{above}{name}' is missing, or not what it has to be. "
                "Restore it from a copy."
            )


@contextlib.contextmanager
def said_as_damage(path: Path) -> Iterator[None]:
    """Inside, only values of a record are read: what they make fail is said as damage of its file.

    Raises: RunError: from what was raised, which `--debug` shows. Errors of the tree pass unchanged.
    """
    try:
        yield
    except DrivetrainError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise RunError(
            f"{path} cannot be used: it holds what Drivetrain does not write "
            f"({type(error).__name__}: {_strict.shown(error, 200)}). Restore it from a copy."
        ) from error


def check_plain(folder: Path) -> None:
    """Refuse links, pipes and devices in the places of a run's, or a model's, own files.

    Raises: RunError: there is one.
    """
    for path in (folder / name for name in (*OWN, "model.json", "model.safetensors")):
        inner = path.iterdir() if path.is_dir() and not path.is_symlink() else ()
        for each in (path, *inner):
            try:
                status = each.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISLNK(status.st_mode):
                raise RunError(f"{each} is a link. Put the file or folder itself in its place.")
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise RunError(f"{each} is a pipe, a socket or a device. Remove it.")
            if each.name in ("log.jsonl", "looks.jsonl") and status.st_nlink > 1:
                raise RunError(
                    f"{each} is a file of another folder too (a hard link), where what is appended would "
                    "stand as well. Put a copy in its place."
                )


def read_split(path: Path) -> dict[str, Any]:
    """The content of a `split.json`.

    Raises: RunError: it is missing or damaged.
    """
    record = store.read_json(path, max_values=SPLIT_VALUES)
    if not isinstance(record, dict) or not isinstance(record.get("sha256", {}), dict):
        raise RunError(f"{path} is not a split that Drivetrain wrote. Restore it from a copy.")
    return record


def read_model(folder: store.StrPath) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and description of the model in a run folder, or in a `model/` folder by itself.

    Raises: RunError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if not folder.exists():
        raise RunError(f"{folder} does not exist. Give the folder of a run, or of a model.")
    check_plain(folder)
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
    if not isinstance(description.get("sha256"), str):
        raise RunError(f"{folder / 'model.json'} does not say what its tensors' SHA-256 is.")
    tensors = store.read_tensors(folder / "model.safetensors", sha256=description["sha256"])
    return tensors, description
