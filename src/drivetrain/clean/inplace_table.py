"""A patch applied to a CSV itself: labels are written anew, rows left out, all else stays to the byte.

    done = apply(patch, TableSource(path, "mood", hashes))
    undo(path)                                       # byte for byte as it was

The file as it was is copied into a dated trash beside it before the new one takes its place in one step
of the file system. A row is found by its content, as in a patch; a row whose label is another by now is
left alone. Of several targets each has a column of its own, and only cells of its own change. Before
anything is written, the rows are cut a second time, with the place of each cell, and
the labels found so must be those that reading found: what is read in another way is not changed in place.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    """The labels; where there are several targets, those of the first."""
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
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where there are several, column -> labels that may be given; `classes` is not looked at then."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of labels."""
        return tuple(self.targets) or (self.column,)


class Cell(NamedTuple):
    """Where a cell stands in the text, and what it says."""

    start: int
    end: int
    word: str
    """Without quotes."""


class Line(NamedTuple):
    """Where a row stands in the text, and in it the cells of labels."""

    start: int
    end: int
    """Its line end included."""
    cells: tuple[Cell | None, ...]
    """Of each column; None where the row has not so many fields."""


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
    _check_labels(patch, source)
    file = _opened(source)
    edits: dict[int, dict[int, str] | None] = {}
    stale: list[str] = []
    for row, hash_ in sorted(source.hashes.items()):
        labels, is_left_out, is_stale = _changed(patch, source, hash_, file.labels.get(row))
        if is_stale:
            stale.append(f"row {row + 1}")
        if is_left_out:
            edits[row] = None
        elif labels:
            edits[row] = labels
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
    removed = sum(labels is None for labels in edits.values())
    relabelled = sum(len(labels) for labels in edits.values() if labels is not None)
    plan = {"file": path.name, "before": sha256, "after": _sha256(after)}
    store.write_json(trash / PLAN, {**plan, "rows": relabelled + removed, "removed": removed})
    store.write_bytes(path, after)
    return Done(path, trash, relabelled, removed, tuple(notes))


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
    lines: list[Line]
    labels: dict[int, tuple[str, ...]]
    """By the position of the row, those of each column; empty words where there is none."""


def _check_labels(patch: Patch, source: TableSource) -> None:
    """Raises: DataError: a label that may not be given."""
    for _, change in patch.all():
        classes = source.targets.get(change.target, ()) if change.target else source.classes
        if change.label is not None and classes and change.label not in classes:
            of = f" in the column {change.target!r}" if change.target else ""
            raise DataError(
                f"{change.label!r} is no class of {source.path}{of}. Choose one that is: "
                f"{', '.join(classes[:6])}."
            )


def _changed(
    patch: Patch, source: TableSource, hash_: str, now: tuple[str, ...] | None
) -> tuple[dict[int, str], bool, bool]:
    """The new labels of a row by the place of their column, whether it goes, and whether it is left
    alone since one of its labels is another by now."""
    words = now or ("",) * len(source.columns)
    change = patch.changes.get(hash_)
    if change is not None and change.label is None:
        is_known = change.was is None or change.was in words
        return {}, is_known, not is_known
    asked = [] if change is None or source.targets else [(0, change)]
    for place, column in enumerate(source.targets):
        own = patch.targets.get(column, {}).get(hash_)
        asked += [] if own is None else [(place, own)]
    labels: dict[int, str] = {}
    is_stale = False
    for place, one in asked:
        if one.label is None or words[place] == one.label:
            continue
        if one.was not in (None, words[place]):
            is_stale = True
        else:
            labels[place] = one.label
    return labels, False, is_stale


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
    names = list(dialect.names)
    places = tuple(names.index(column) for column in source.columns)
    lines = list(_lines(text, dialect.delimiter, dialect.start, places))
    columns = [_words(table.column(column)) for column in source.columns]
    labels: dict[int, tuple[str, ...]] = {}
    for row, said in zip(opened.row_ids.tolist(), zip(*columns, strict=True), strict=True):
        cells = lines[row].cells if row < len(lines) else (None,) * len(places)
        for cell, label in zip(cells, said, strict=True):
            word = None if cell is None else cell.word.strip()
            if (None if word in source.missing or word == "" else word) != label:
                raise DataError(
                    f"Row {row + 1} of {path} is read otherwise than it is written, perhaps for a quote "
                    f"that is never closed. {plain}"
                )
        labels[row] = tuple(label or "" for label in said)
    return _File(before, text, encoding, bom, dialect.delimiter, lines, labels)


def _words(column: Any) -> list[str | None]:
    return [None if value is None else str(value) for value in column.to_pylist()]


def _lines(text: str, delimiter: str, start: int, places: Sequence[int]) -> Iterator[Line]:
    """The rows of a text, blank lines left out; a quote counts where a field begins."""
    wanted = {place: number for number, place in enumerate(places)}
    mark = re.escape(delimiter)
    pattern = re.compile(rf'(?:"((?:[^"]++|"")*+)("|\Z))?([^{mark}\r\n]*+)({mark}|\r\n|\r|\n|\Z)')
    at = row = start
    none: list[Cell | None] = [None] * len(places)
    fields, cells, is_blank = 0, none.copy(), True
    while at < len(text) or at > row:
        match = pattern.match(text, at)
        assert match is not None, "every text begins with a field, if an empty one"
        quoted, _, rest, ending = match.groups()
        if fields in wanted:
            word = rest if quoted is None else quoted.replace('""', '"') + rest
            cells[wanted[fields]] = Cell(at, match.start(4), word)
        fields += 1
        is_blank = is_blank and fields == 1 and quoted is None and rest == ""
        at = match.end()
        if ending != delimiter:
            if not is_blank:
                yield Line(row, at, tuple(cells))
            row, fields, cells, is_blank = at, 0, none.copy(), True
            if ending == "":
                return
        else:
            is_blank = False


def _edited(file: _File, edits: Mapping[int, Mapping[int, str] | None]) -> str:
    """The text with its edits; what no edit is about is copied as it stands."""
    pieces, at, text = [], 0, file.text
    for row in sorted(edits):
        labels, line = edits[row], file.lines[row]
        if labels is None:
            pieces.append(text[at : line.start])
            at = line.end
            continue
        changed = []
        for place, label in labels.items():
            cell = line.cells[place]
            assert cell is not None, "rows that are read have all their fields"
            changed.append((cell.start, cell.end, label))
        for start, end, label in sorted(changed):
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
