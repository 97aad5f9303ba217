"""A patch applied to the source itself: files move between class folders, and into a dated trash.

    done = apply(patch, Source.of(run_record))
    undo(source)                                     # as it was

What is to be moved is written down before the first file moves, in the trash: so that what a kill cut in
the middle can be taken back as well. Nothing is removed or overwritten, and each move is one step of the
file system. A file is found by its content: what is called otherwise by now is changed all the same,
and what has changed by now is left alone. A folder named test is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from drivetrain import _disk, store
from drivetrain.clean.patch import Change, Patch
from drivetrain.errors import DataError, RunError, StorageError

TRASH = ".drivetrain-trash"
"""In the source; hidden, so that no training finds what is in it."""
PLAN = "plan.json"
UNDONE = "undone.json"
SEALED = "test"


@dataclass(frozen=True)
class Source:
    """A folder of files in class folders, perhaps below part folders."""

    folder: Path
    classes: tuple[str, ...]
    hash_of: Callable[[Path], str] = store.file_sha256
    """A file -> the hash by which a patch knows it."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Source:
        """The source of a run, by its `run.json`.

        Raises: DataError: it is no folder of pictures in class folders, or is not there.
        """
        task, data = record.get("task"), record.get("data")
        is_fit = (
            isinstance(task, Mapping)
            and isinstance(data, Mapping)
            and task.get("application") == "vision"
            and data.get("from") == "folder"
            and isinstance(data.get("source"), str)
            and isinstance(task.get("classes"), list)
        )
        if not (is_fit and isinstance(task, Mapping) and isinstance(data, Mapping)):
            raise DataError(
                "Only files in class folders and CSV files can be changed in place. Write a patch, and "
                "train with it: drivetrain clean RUN --apply; drivetrain train SOURCE --patch FILE"
            )
        folder = Path(data["source"])
        if not folder.is_dir():
            raise DataError(f"{folder} is not there any more. Put it back.")
        return cls(folder, tuple(map(str, task["classes"])))


@dataclass(frozen=True)
class Done:
    """What was moved."""

    source: Path
    trash: Path | None
    """Where the plan is, and what was removed; None where nothing was to be done."""
    relabelled: int
    removed: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain."""
        return {
            "source": str(self.source),
            "trash": None if self.trash is None else str(self.trash),
            "relabelled": self.relabelled,
            "removed": self.removed,
            "notes": list(self.notes),
        }


def apply(patch: Patch, source: Source) -> Done:
    """Move the files that a patch names.

    Raises: DataError: a label that is no class, or a link in a folder's place. StorageError: the disk
        refused; what has moved until then is taken back by `undo`.
    """
    for change in patch.changes.values():
        if change.label is not None and change.label not in source.classes:
            raise DataError(
                f"{change.label!r} is no class of {source.folder}. Choose one that is: "
                f"{', '.join(source.classes[:6])}."
            )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
    trash = source.folder / TRASH / now
    moves, stale = _planned(patch, source, PurePosixPath(TRASH, now, "removed"))
    notes = [
        f"{len(stale)} files have a label by now that the patch does not know, and stay: "
        f"{', '.join(stale[:3])}{' …' if len(stale) > 3 else ''}."
    ] * bool(stale)
    if not moves:
        return Done(source.folder, None, 0, 0, tuple(notes))
    store.write_json(trash / PLAN, {"moves": moves})
    for old, new in moves:
        _move(_inside(source.folder, old), _inside(source.folder, new))
    removed = sum(new.startswith(TRASH) for _, new in moves)
    return Done(source.folder, trash, len(moves) - removed, removed, tuple(notes))


def undo(source: Source) -> Done:
    """Take the last `apply` back that was not, as far as it had come.

    A file that has moved on since stays where it is.
    Raises: RunError: there is none. StorageError: the disk refused; it can be called again.
    """
    trash = next(_plans(source.folder), None)
    if trash is None:
        raise RunError(f"{source.folder} has no change in place that could be taken back.")
    moves = _moves_of(trash / PLAN)
    relabelled = removed = 0
    for old, new in reversed(moves):
        there, here = _inside(source.folder, new), _inside(source.folder, old)
        if there.exists() and not here.exists():
            _move(there, here)
            removed += new.startswith(TRASH)
            relabelled += not new.startswith(TRASH)
    store.write_json(trash / UNDONE, {"moves": relabelled + removed})
    return Done(source.folder, trash, relabelled, removed)


def _planned(
    patch: Patch, source: Source, removed: PurePosixPath
) -> tuple[list[tuple[str, str]], list[str]]:
    """Moves (old, new) relative to the source, and files whose label is another by now."""
    moves: list[tuple[str, str]] = []
    stale: list[str] = []
    taken: set[str] = set()
    for path, steps, depth in _files(source):
        change = patch.changes.get(source.hash_of(path))
        if change is None or change.label == steps[depth]:
            continue
        name = "/".join(steps)
        if change.was not in (None, steps[depth]):
            stale.append(name)
            continue
        new = _free(source.folder, _target(change, steps, depth, removed), taken)
        taken.add(new)
        moves.append((name, new))
    return moves, stale


def _files(source: Source) -> Iterator[tuple[Path, tuple[str, ...], int]]:
    """Each file in a class folder, its steps from the source, and which of them is the class."""
    for path in sorted(source.folder.rglob("*")):
        steps = path.relative_to(source.folder).parts
        if len(steps) < 2 or any(step.startswith(".") for step in steps):
            continue
        depth = 0 if steps[0] in source.classes else 1
        if len(steps) < depth + 2 or steps[depth] not in source.classes:
            continue
        if depth and steps[0].lower() == SEALED:
            continue
        if path.is_file() and not _is_linked(source.folder, steps):
            yield path, steps, depth


def _target(change: Change, steps: tuple[str, ...], depth: int, removed: PurePosixPath) -> str:
    if change.label is None:
        return str(removed.joinpath(*steps))
    return "/".join((*steps[:depth], change.label, *steps[depth + 1 :]))


def _free(folder: Path, name: str, taken: set[str]) -> str:
    """The name, or with a number where it is taken: nothing is overwritten."""
    path, number = PurePosixPath(name), 1
    found = name
    while found in taken or (folder / found).exists() or (folder / found).is_symlink():
        number += 1
        found = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    return found


def _inside(folder: Path, name: str) -> Path:
    """A file below the folder, through no link. Raises: DataError: it is not."""
    steps = PurePosixPath(name).parts
    is_plain = bool(steps) and not any(step in ("..", "/", ".") or "\\" in step for step in steps)
    if not is_plain or PurePosixPath(name).is_absolute() or _is_linked(folder, steps):
        raise DataError(
            f"{name!r} leads out of {folder}. Restore {TRASH} from a copy, or remove it."
        )
    return folder.joinpath(*steps)


def _is_linked(folder: Path, steps: tuple[str, ...]) -> bool:
    path = folder
    for step in steps:
        path = path / step
        if path.is_symlink():
            return True
    return False


def _move(old: Path, new: Path) -> None:
    try:
        store.make_folders(new.parent)
        _disk.disk.rename(old, new)
        _disk.disk.sync_folder(new.parent)
        _disk.disk.sync_folder(old.parent)
    except OSError as error:
        raise StorageError(
            f"Could not move {old} to {new}: {error.strerror or error}. What has moved is taken back by: "
            "drivetrain clean RUN --undo"
        ) from error


def _plans(folder: Path) -> Iterator[Path]:
    """Folders of the trash whose changes stand, the newest first."""
    if _is_linked(folder, (TRASH,)) or not (folder / TRASH).is_dir():
        return
    for trash in sorted((folder / TRASH).iterdir(), reverse=True):
        if (trash / PLAN).is_file() and not (trash / UNDONE).exists():
            yield trash


def _moves_of(path: Path) -> list[tuple[str, str]]:
    found = store.read_json(path)
    moves = found.get("moves") if isinstance(found, dict) else None
    fits = isinstance(moves, list) and all(
        isinstance(move, list) and len(move) == 2 and all(isinstance(name, str) for name in move)
        for move in moves
    )
    if not fits:
        raise DataError(f"{path} is no plan of moves. Restore it from a copy.")
    return [(str(old), str(new)) for old, new in moves or ()]
