"""Writing a sample out as a folder: whole or not at all, once."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.errors import DataError, StorageError
from drivetrain.samples.picture import Picture, TextFile, content_version
from drivetrain.samples.table import SAMPLES, Sample

MARKER = ".drivetrain-sample.json"
"""Written last into a sample's folder. The leading dot keeps it out of every search for items."""


def sample_folder(name: str) -> Path:
    """The folder of a sample in the cache; it is made when it is not there, or no longer whole.

    Args:
        name: one of `SAMPLES`.

    Raises: UnknownNameError: no such sample. MissingPackageError: it is read from a package that is
        not installed. StorageError: the cache cannot be written.
    """
    sample = lookup(SAMPLES, name, what="sample")
    folder = cache_folder() / f"{sample.name}-{sample.version}"
    if _is_whole(sample, folder):
        return folder
    if folder.exists():
        _clear_away(folder)
    _make(sample, folder)
    return folder


def write_sample(name: str, folder: str | os.PathLike[str]) -> Path:
    """Write a sample to `folder`, which is made; a folder that already holds it whole is left as it is.

    Args:
        name: one of `SAMPLES`.
        folder: where to.

    Returns: the path of the folder.
    Raises: UnknownNameError: no such sample. MissingPackageError: it is read from a package that is
        not installed. DataError: the folder holds other files. StorageError: the disk refused.
    """
    sample = lookup(SAMPLES, name, what="sample")
    folder = Path(folder)
    if _is_whole(sample, folder):
        return folder
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file. Give a folder that is new or empty.")
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} already holds other files. Give a folder that is new or empty.")
    _make(sample, folder)
    return folder


def cache_folder() -> Path:
    """Where samples are kept: `$XDG_CACHE_HOME/drivetrain/samples`, else below `~/.cache`."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG specification says that a relative path here is to be ignored
    base = Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~"), ".cache")
    return base / "drivetrain" / "samples"


def _make(sample: Sample, folder: Path) -> None:
    """Write the sample beside `folder`, then rename it into place."""
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        _write_items(sample, temporary)
        marker = {"sample": sample.name, "version": sample.version, "items": sample.items}
        (temporary / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
        _put(temporary, folder)
    except OSError as error:
        if _is_whole(sample, folder):  # another program was first
            return
        reason = error.strerror or str(error)
        raise StorageError(
            f"Could not write the sample '{sample.name}' to {folder}: {reason}. Free the place, or "
            f"write it elsewhere: drivetrain samples {sample.name} --to FOLDER"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_items(sample: Sample, folder: Path) -> None:
    # No fsync: all can be made again, and _is_whole finds a copy that a lost power cut short.
    image = None if sample.is_table else require("PIL.Image", extra="samples")
    made: set[Path] = set()

    def each() -> Iterator[Picture | TextFile]:
        for item in sample.writer():
            path = folder / item.path
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            if isinstance(item, TextFile):
                path.write_bytes(item.data)
            else:
                assert image is not None, "a sample has one kind of items"
                size = (item.width, item.height)
                image.frombytes(item.mode, size, item.pixels).save(path)
            yield item

    if not content_version(each()).startswith(sample.version):
        raise DataError(
            f"The installed {sample.package} holds other data for the sample '{sample.name}' than this "
            "version of Drivetrain knows. Install the version that is named in its lock file."
        )


def _put(temporary: Path, folder: Path) -> None:
    """Give the finished folder its name. A folder that is there and empty keeps its identity."""
    os.chmod(temporary, 0o777 & ~_umask())  # mkdtemp gives 0700, a sample is not secret
    if not folder.exists():
        os.rename(temporary, folder)
        return
    for child in sorted(
        temporary.iterdir(), key=lambda child: child.name == MARKER
    ):  # the marker last
        os.rename(child, folder / child.name)


def _is_whole(sample: Sample, folder: Path) -> bool:
    """Does the folder hold this sample, every picture with bytes in it?"""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        wanted = [folder / name for name in sample.tables] or folder.glob("*/*/*.png")
        found = sum(path.stat().st_size > 0 for path in wanted)
    except (OSError, ValueError):
        return False
    expected = {"sample": sample.name, "version": sample.version, "items": sample.items}
    return marker == expected and found == (len(sample.tables) or sample.items)


def _clear_away(folder: Path) -> None:
    """Remove a damaged copy: renamed first, so that nobody meets it half removed."""
    try:
        aside = tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.")
        os.rename(folder, Path(aside, "damaged"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"Could not replace the damaged sample in {folder}: {reason}."
        ) from error
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
