"""Finding items: files in sorted order, each with an id that does not move with the folder."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from drivetrain.errors import DataError


@dataclass(frozen=True)
class Item:
    """One labelled thing of a data set."""

    id: str
    """Stable name: the path relative to the source, with forward slashes."""
    path: Path
    """Where its bytes are."""
    label: str
    """What the person says it is."""
    others: tuple[str, ...] = ()
    """Further labels, where there are several targets: `label` is that of the first."""


@dataclass(frozen=True)
class Quarantined:
    """An item that was set aside, and why. Originals are never touched."""

    id: str
    """The item's id."""
    reason: str
    """A short code: `truncated`, `empty`, `not-a-picture`, `no-label` …"""
    detail: str
    """One plain sentence."""

    def to_json(self) -> dict[str, str]:
        """The record as JSON: `{id, reason, detail}`."""
        return {"id": self.id, "reason": self.reason, "detail": self.detail}


def find_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """All files below `folder` whose suffix is one of `suffixes` (case ignored), sorted by id.

    Hidden files and folders (a leading dot) are left out. Links to folders are followed once: a loop
    of links ends where it meets a folder already seen.

    Raises: DataError: `folder` is not a readable folder, or one below it cannot be listed.
    """
    if not folder.exists():
        raise DataError(f"{folder} does not exist. Give a folder of pictures or a CSV file.")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give a folder of pictures or a CSV file.")
    wanted = {suffix.lower() for suffix in suffixes}
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in wanted
        ]
    return sorted(found, key=lambda path: item_id(path, folder))


def item_id(path: Path, source: Path) -> str:
    """The id of a file: its path relative to `source`, forward slashes on every system."""
    try:
        return path.relative_to(source).as_posix()
    except ValueError:
        return path.as_posix()


def _refuse(error: OSError) -> None:
    reason = error.strerror or str(error)
    raise DataError(
        f"{error.filename} cannot be read: {reason}. Give yourself the right to list it."
    )
