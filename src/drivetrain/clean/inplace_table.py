"""A patch applied to a CSV itself: labels are written anew, rows left out, all else stays to the byte.

    done = apply(patch, TableSource(path, "mood", hashes))
    undo(path)                                       # byte for byte as it was

The file as it was is copied into a dated trash beside it before the new one takes its place in one step
of the file system. A row is found by its content, as in a patch; a row whose label is another by now is
left alone. Before anything is written, the rows are cut a second time, with the place of each cell, and
the labels found so must be those that reading found: what is read in another way is not changed in place.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from drivetrain import store
from drivetrain.clean.inplace import TRASH, Done
from drivetrain.clean.patch import Patch
from drivetrain.data.tables.csv_dialect import find_dialect
from drivetrain.data.tables.reading import DEFAULT_MISSING, open_table
from drivetrain.errors import DataError, RunError

PLAN = "table.json"
UNDONE = "table-undone.json"
_BOMS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@dataclass(frozen=True)
class TableSource:
    """A CSV with a column of labels."""

    path: Path
    """Of the file."""
    column: str
    """The labels."""
    hashes: Mapping[int, str]
    """Position of a row, counted from 0 after the header -> hash of its content; of those that may
    change."""
    classes: tuple[str, ...] = ()
    """Labels that may be given; empty where the target is a number."""
    delimiter: str | None = None
    """As it was given; None where it is found."""
    encoding: str | None = None
    """As it was given; None where it is found."""
    missing: Sequence[str] = DEFAULT_MISSING
    """Words that mean a value is missing."""


class Cell(NamedTuple):
    """Where a row stands in the text, and in it the cell of one column."""

    start: int
    end: int
    """Of the row, its line end included."""
    cell: tuple[int, int] | None
    """None where the row has not so many fields."""
    word: str
    """What the cell says, without quotes."""


def apply(patch: Patch, source: TableSource) -> Done:
    """Write the labels that a patch gives into the file, and leave out the rows that it leaves out.

    Args:
        patch: what is to change.
        source: where.

    Returns: what was changed, and where the file as it was is kept.
    Raises: DataError: the file cannot be changed so, or a label is no class. StorageError: the disk
        refused; the file is as it was then.
    """
    path = source.path
    for change in patch.changes.values():
        if change.label is not None and source.classes and change.label not in source.classes:
            raise DataError(
                f"{change.label!r} is no class of {path}. Choose one that is: "
                f"{', '.join(source.classes[:6])}."
            )
    file = _opened(source)
    edits: dict[int, str | None] = {}
    stale: list[str] = []
    for row, hash_ in sorted(source.hashes.items()):
        change = patch.changes.get(hash_)
        now = file.labels.get(row) or ""
        if change is None or now == change.label:
            continue
        if change.was not in (None, now):
            stale.append(f"row {row + 1}")
            continue
        edits[row] = change.label
    notes = [
        f"{len(stale)} rows have a label by now that the patch does not know, and stay: "
        f"{', '.join(stale[:3])}{' …' if len(stale) > 3 else ''}."
    ] * bool(stale)
    if not edits:
        return Done(path, None, 0, 0, tuple(notes))
    try:
        after = file.bom + _edited(file, edits).encode(file.encoding)
    except UnicodeEncodeError as error:
        raise DataError(
            f"The label {error.object[error.start : error.end]!r} cannot be written in {file.encoding}, "
            f"the encoding of {path}. Save the file as UTF-8, and train anew."
        ) from None
    now_ = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%f")
    trash = path.parent / TRASH / now_
    sha256 = store.write_bytes(trash / "files" / path.name, file.before)
    removed = sum(label is None for label in edits.values())
    plan = {"file": path.name, "before": sha256, "after": _sha256(after)}
    store.write_json(trash / PLAN, {**plan, "rows": len(edits), "removed": removed})
    store.write_bytes(path, after)
    return Done(path, trash, len(edits) - removed, removed, tuple(notes))


def undo(path: Path) -> Done:
    """Take the last `apply` on a file back that was not: its bytes are then what they were.

    Args:
        path: of the file.

    Returns: what was taken back.
    Raises: RunError: there is none, or the file has been changed since. StorageError: the disk refused.
    """
    path = path.absolute()
    trash, plan = next(_plans(path), (None, {}))
    if trash is None:
        raise RunError(f"{path} has no change in place that could be taken back.")
    now = store.file_sha256(path)
    rows, removed = plan["rows"], plan["removed"]
    if now == plan["after"]:
        kept = trash / "files" / path.name
        before = kept.read_bytes()
        if _sha256(before) != plan["before"]:
            raise RunError(f"{kept} is damaged: {path} stays as it is. Restore it from a copy.")
        store.write_bytes(path, before)
    elif now == plan["before"]:  # it was cut before the file was replaced
        rows = removed = 0
    else:
        raise RunError(
            f"{path} has been changed since, and stays as it is. As it was before, it is in {trash}."
        )
    store.write_json(trash / UNDONE, {"rows": rows})
    return Done(path, trash, rows - removed, removed)


@dataclass(frozen=True)
class _File:
    before: bytes
    text: str
    encoding: str
    bom: bytes
    delimiter: str
    cells: list[Cell]
    labels: dict[int, str | None]
    """By the position of the row."""


def _opened(source: TableSource) -> _File:
    """The file, read and cut.

    Raises: DataError: the file is no plain CSV, or is read in another way than it is cut here.
    """
    path = source.path
    if path.is_symlink() or not path.is_file():
        raise DataError(f"{path} is not there, or is a link: give the file itself.")
    opened = open_table(
        path, delimiter=source.delimiter, encoding=source.encoding, missing=source.missing
    )
    table, report = opened.read(), opened.report
    before = path.read_bytes()
    plain = (
        "It is not changed in place. Write a patch, and train with it: drivetrain clean RUN --apply; "
        "drivetrain train SOURCE --patch FILE"
    )
    if report.format != "csv" or before[:2] == b"\x1f\x8b" or before[:4] == b"\x28\xb5\x2f\xfd":
        raise DataError(f"{path} is no plain CSV, whose rows could be written anew. {plain}")
    encoding = report.encoding or "utf-8"
    bom = _BOMS.get(encoding, b"") if report.has_bom else b""
    try:
        text = before[len(bom) :].decode(encoding)
        is_exact = bom + text.encode(encoding) == before and "\0" not in text
    except UnicodeError:
        text, is_exact = "", False
    if not is_exact or _sha256(before) != report.sha256:
        raise DataError(f"{path} holds places that are no text in {encoding}. {plain}")
    dialect = find_dialect(text, is_whole=True, source=str(path), delimiter=report.delimiter)
    place = list(dialect.names).index(source.column)
    cells = list(_cells(text, dialect.delimiter, dialect.start, place))
    rows = opened.row_ids.tolist()
    labels = dict(zip(rows, _words(table.column(source.column)), strict=True))
    for row, label in labels.items():
        found = cells[row] if row < len(cells) else None
        word = None if found is None or found.cell is None else found.word.strip()
        if (None if word in source.missing or word == "" else word) != label:
            raise DataError(
                f"Row {row + 1} of {path} is read otherwise than it is written, perhaps for a quote "
                f"that is never closed. {plain}"
            )
    return _File(before, text, encoding, bom, dialect.delimiter, cells, labels)


def _words(column: Any) -> list[str | None]:
    return [None if value is None else str(value) for value in column.to_pylist()]


def _cells(text: str, delimiter: str, start: int, place: int) -> Iterator[Cell]:
    """The rows of a text, blank lines left out; a quote counts where a field begins."""
    mark = re.escape(delimiter)
    pattern = re.compile(rf'(?:"((?:[^"]++|"")*+)("|\Z))?([^{mark}\r\n]*+)({mark}|\r\n|\r|\n|\Z)')
    at = row = start
    fields, cell, word, is_blank = 0, None, "", True
    while at < len(text) or at > row:
        match = pattern.match(text, at)
        assert match is not None, "every text begins with a field, if an empty one"
        quoted, _, rest, ending = match.groups()
        if fields == place:
            cell = at, match.start(4)
            word = rest if quoted is None else quoted.replace('""', '"') + rest
        fields += 1
        is_blank = is_blank and fields == 1 and quoted is None and rest == ""
        at = match.end()
        if ending != delimiter:
            if not is_blank:
                yield Cell(row, at, cell, word)
            row, fields, cell, word, is_blank = at, 0, None, "", True
            if ending == "":
                return
        else:
            is_blank = False


def _edited(file: _File, edits: Mapping[int, str | None]) -> str:
    """The text with its edits; what no edit is about is copied as it stands."""
    pieces, at, text = [], 0, file.text
    for row in sorted(edits):
        label, found = edits[row], file.cells[row]
        assert found.cell is not None, "rows that are read have all their fields"
        if label is None:
            pieces.append(text[at : found.start])
            at = found.end
            continue
        start, end = found.cell
        new = _quoted(label, file.delimiter, was_quoted=text[start:end].startswith('"'))
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])


def _quoted(label: str, delimiter: str, *, was_quoted: bool) -> str:
    needs = was_quoted or any(sign in label for sign in (delimiter, '"', "\r", "\n"))
    return '"' + label.replace('"', '""') + '"' if needs else label


def _plans(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders of the trash with a change of this file that stands, the newest first."""
    folder = path.parent / TRASH
    if folder.is_symlink() or not folder.is_dir():
        return
    for trash in sorted(folder.iterdir(), reverse=True):
        if not (trash / PLAN).is_file() or (trash / UNDONE).exists():
            continue
        plan = store.read_json(trash / PLAN)
        form = {"file": str, "before": str, "after": str, "rows": int, "removed": int}
        if not isinstance(plan, dict) or any(
            not isinstance(plan.get(name), kind) for name, kind in form.items()
        ):
            raise DataError(f"{trash / PLAN} is no plan of a change. Restore it from a copy.")
        if plan["file"] == path.name:
            yield trash, plan


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
