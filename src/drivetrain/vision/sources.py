"""Where labelled pictures come from: class folders, part folders, file names, or a CSV.

Each finder answers a `Found`: items in a stable order, the part of each where the source names parts,
and what was set aside because it has no label. No picture is opened here.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain._registry import did_you_mean
from drivetrain.data.items import Item, Quarantined, find_files, item_id
from drivetrain.errors import ConfigError, DataError
from drivetrain.vision.decode import PICTURE_SUFFIXES

PARTS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}
"""Names of folders that say which part their items belong to."""


@dataclass
class Found:
    """What a finder found, and how; `recipe` is enough to find it again."""

    items: list[Item]
    parts: list[str] | None
    """`train`, `valid` or `test` for each item; None where the source names no parts."""
    set_aside: list[Quarantined]
    source: Path
    found_by: str
    labelled_by: str
    recipe: dict[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    """Names of the targets where there are several: `Item.label` is of the first."""


def find_in_folder(folder: str | Path) -> Found:
    """Pictures in class folders: `folder/cat/1.jpg`, or `folder/train/cat/1.jpg`, `folder/valid/…`.

    The first folder below `folder` (or below a part) is the class; deeper folders do not matter.
    Raises: DataError: no pictures, none in a class folder, or parts mixed with other folders.
    """
    root = Path(folder)
    paths, aside = _pictures(root)
    names = {path.relative_to(root).parts[0] for path in paths if path.parent != root}
    has_parts = _are_parts(names, root)
    depth = 1 if has_parts else 0
    items, parts = [], []
    for path in paths:
        steps = path.relative_to(root).parts
        name = item_id(path, root)
        if len(steps) < depth + 2:
            aside.append(Quarantined(name, "no-label", "It lies in no class folder."))
            continue
        items.append(Item(name, path, steps[depth]))
        parts.append(PARTS[steps[0].lower()] if has_parts else "")
    if not items:
        many = f"{len(paths):,} pictures, none of them"
        raise DataError(
            f"{root} holds {'1 picture, and not' if len(paths) == 1 else many} in a class folder. "
            "Sort them into one folder a class, or label them by name: --pattern '^(.+)_[0-9]+'."
        )
    return Found(
        items,
        parts if has_parts else None,
        aside,
        root,
        found_by="all picture files below the folder, in sorted order",
        labelled_by="the class folder's name",
        recipe={"from": "folder", "source": os.path.abspath(root)},
    )


def find_by_name(folder: str | Path, pattern: str) -> Found:
    """Pictures whose file name holds the label, found by a regular expression with one group.

    `^(.+)_[0-9]+` takes `great_pyrenees` from `great_pyrenees_17.jpg`. The pattern is
    searched in the file's name without its folders.
    Raises: ConfigError: the pattern is not a regular expression with one group. DataError: it fits none.
    """
    root = Path(folder)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"The pattern {pattern!r} is not a regular expression: {error}."
        ) from error
    if expression.groups != 1:
        raise ConfigError(
            f"The pattern {pattern!r} has {expression.groups} groups, expected one: the label, "
            "in parentheses. Example: '^(.+)_[0-9]+'."
        )
    items = []
    paths, aside = _pictures(root)
    for path in paths:
        match = expression.search(path.name)
        if match is None or not match.group(1):
            aside.append(
                Quarantined(item_id(path, root), "no-label", "Its name does not fit the pattern.")
            )
        else:
            items.append(Item(item_id(path, root), path, match.group(1)))
    if not items:
        raise DataError(
            f"The pattern {pattern!r} fits none of the {len(paths)} names in {root}, "
            f"such as {paths[0].name!r}."
        )
    return Found(
        items,
        None,
        aside,
        root,
        found_by="all picture files below the folder, in sorted order",
        labelled_by=f"the file name, by the pattern {pattern}",
        recipe={"from": "names", "source": os.path.abspath(root), "pattern": pattern},
    )


def find_in_csv(
    table: str | Path,
    *,
    folder: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    part_column: str | None = None,
    targets: Sequence[str] = (),
) -> Found:
    """Pictures listed in a CSV (comma, semicolon or tab; UTF-8; any line ends) with their labels.

    Args:
        table: the CSV; its first line names the columns.
        folder: where relative paths start; by default the CSV's own folder.
        path_column: by default a column named path, file, filename, image, image_id … or the first.
        label_column: by default a column named label, class, target … or the other one of two.
        part_column: `train`, `valid` or `test` for each row, or true for validation; by default a column
            named split, part or is_valid, where there is one.
        targets: two or more columns of labels, in place of `label_column`. A row needs a label in each.
    Raises: DataError: no such file, no rows, or columns that cannot be told. ConfigError: no such column.
    """
    table = Path(table)
    rows, columns = _read_table(table)
    if targets:
        path_column = _path_beside(columns, path_column, targets, table)
        label_column, *others = targets
    else:
        path_column, label_column = _path_and_label(columns, path_column, label_column, table)
        others = []
    part_column = _column(columns, part_column, _PART_NAMES, table)
    root = Path(folder) if folder is not None else table.parent
    found: dict[str, tuple[Item, str]] = {}
    aside: dict[str, Quarantined] = {}
    clashes: dict[str, Quarantined] = {}
    for line, row in rows:
        said = (row.get(path_column) or "").strip()
        label = (row.get(label_column) or "").strip()
        more = tuple([(row.get(other) or "").strip() for other in others])
        path = root / said.replace("\\", "/")  # as written on Windows
        # from where it is: a run finds its pictures again by the whole path of the table
        name = posixpath.normpath(item_id(path.absolute(), root.absolute()))
        name = name if said else f"line {line}"
        part = _part(row[part_column], table, line, part_column) if part_column else ""
        if problem := _problem(row, columns, said, label, path, line):
            aside.setdefault(name, Quarantined(name, *problem))
        elif empty := [other for other, one in zip(others, more, strict=True) if not one]:
            text = f"Line {line} has no label in the column {empty[0]!r}."
            aside.setdefault(name, Quarantined(name, "no-label", text))
        elif clash := _clash(found.get(name), (label, *more), part, line):
            clashes.setdefault(name, Quarantined(name, *clash))
        else:
            found[name] = Item(name, path, label, more), part
    for name in clashes:
        del found[name]  # where two rows disagree, neither can be trusted
    aside = {name: entry for name, entry in aside.items() if name not in found} | clashes
    if not found:
        first = next(iter(aside.values()))
        raise DataError(
            f"{table} lists no picture that exists and has a label, in {len(rows):,} rows. "
            f"The first: {first.id}: {first.detail} "
            f"Paths are read from the column {path_column!r}, below {root.absolute()}."
        )
    ordered = [found[name] for name in sorted(found)]
    return Found(
        [item for item, _ in ordered],
        [part for _, part in ordered] if part_column else None,
        list(aside.values()),
        table,
        found_by=f"the column {path_column!r} of the CSV, below {root}",
        labelled_by=f"the column {label_column!r} of the CSV{_lists([i.label for i, _ in ordered])}"
        if not targets
        else f"the columns {', '.join(map(repr, targets))} of the CSV",
        recipe={
            "from": "csv",
            "source": os.path.abspath(table),
            "folder": os.path.abspath(root),
            "path_column": path_column,
            **({"targets": list(targets)} if targets else {"label_column": label_column}),
            "part_column": part_column,
        },
        targets=tuple(targets),
    )


LISTS = 0.2
"""Share of labels with a sign between names from which they are taken for lists."""


def _lists(labels: Sequence[str]) -> str:
    """What is to be said where many labels look like lists of several, such as 'beach;sea'; else nothing.

    That they are: the names between the signs come again in other lists.
    """
    for sign in ";|,":
        several = [label for label in labels if sign in label]
        if len(several) < LISTS * len(labels):
            continue
        names = {name.strip() for label in labels for name in label.split(sign)}
        if len(names) < len(set(labels)):
            return (
                f"; {len(several):,} of {len(labels):,} hold several names, such as {several[0]!r}: each "
                "such list is a class of its own"
            )
    return ""


_PATH_NAMES = (
    "path",
    "file",
    "filename",
    "file_name",
    "fname",
    "image",
    "image_id",
    "picture",
    "id",
)
_LABEL_NAMES = ("label", "labels", "class", "category", "target", "y")
_PART_NAMES = ("split", "part", "is_valid")


UNREAD_SUFFIXES = frozenset(
    ".heic .heif .avif .jxl .jp2 .svg .psd .dng .cr2 .cr3 .nef .arw .raf .orf .rw2".split()
)
"""Pictures as well, such as a telephone's, which Pillow does not open by itself: they are not passed over
without a word."""


def _pictures(root: Path) -> tuple[list[Path], list[Quarantined]]:
    """The pictures, and what is one too but in a format that is not opened."""
    paths, aside = [], []
    for path in find_files(root, PICTURE_SUFFIXES | UNREAD_SUFFIXES):
        suffix = path.suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            paths.append(path)
            continue
        text = f"The format {suffix} is not opened here. Save it as JPEG or PNG."
        aside.append(Quarantined(item_id(path, root), "refused-format", text))
    if not paths:
        others = (
            f" It holds {len(aside):,} of others: {aside[0].id}. {aside[0].detail}" if aside else ""
        )
        raise DataError(
            f"{root} holds no pictures. Looked for: {' '.join(sorted(PICTURE_SUFFIXES))}.{others}"
        )
    return paths, aside


def _are_parts(names: set[str], root: Path) -> bool:
    """Whether the folders with these names are parts.

    Raises: DataError: some are and some are not: as classes, they would teach a model to tell training
        pictures from validation pictures.
    """
    parts = sorted(name for name in names if name.lower() in PARTS)
    others = sorted(names.difference(parts))
    kinds = {PARTS[name.lower()] for name in parts}
    if others and "train" in kinds and len(kinds) > 1:
        said, beside = (", ".join(f"{name}/" for name in some) for some in (parts, others))
        raise DataError(
            f"{root} holds the parts {said} and beside them {beside}, which are none. "
            "Move those elsewhere, or give another folder."
        )
    return "train" in kinds and not others


def _path_and_label(
    columns: Sequence[str], path_column: str | None, label_column: str | None, table: Path
) -> tuple[str, str]:
    """The columns of paths and of labels: as asked, by their usual names, or the one that is left."""
    if len(columns) < 2:
        raise DataError(
            f"{table} has one column, {columns[0]!r}. It needs two: the path of each picture, and "
            "its label."
        )
    label = _column(columns, label_column, _LABEL_NAMES, table)
    path = _column(columns, path_column, _PATH_NAMES, table)
    path = path or next(name for name in columns if name != label)
    rest = [name for name in columns if name != path]
    if label is None and len(rest) == 1:
        label = rest[0]
    if label is None:
        raise DataError(
            f"{table} has the columns {', '.join(columns)}: which holds the label? "
            "Say so with --label-column NAME."
        )
    return path, label


def _path_beside(
    columns: Sequence[str], path_column: str | None, targets: Sequence[str], table: Path
) -> str:
    """The column of paths, where the columns of labels are named.

    Raises: ConfigError: there is no such column, or it holds paths and labels at once.
    """
    for name in targets:
        _column(columns, name, (), table)
    free = [name for name in columns if name not in targets]
    if not free:
        raise ConfigError(
            f"All columns of {table} are targets: {', '.join(columns)}. One of them has to hold the "
            "paths of the pictures."
        )
    path = _column(columns, path_column, (), table) or _column(free, None, _PATH_NAMES, table)
    if path in targets:
        raise ConfigError(
            f"The column {path!r} of {table} is the path of the pictures, and cannot be a target too."
        )
    return path or free[0]


def _problem(
    row: dict[Any, Any], columns: Sequence[str], said: str, label: str, path: Path, line: int
) -> tuple[str, str] | None:
    """Reason and sentence why a row cannot be used by itself."""
    if any(value.strip() for value in row.get(None, ())):
        count = len(row) - 1 + len(row[None])
        return (
            "too-many-values",
            f"Line {line} has {count} values for {len(columns)} columns. "
            "Put a value with the separator in quotes.",
        )
    if not said:
        return "no-path", f"Line {line} names no file."
    if not label:
        return "no-label", f"Line {line} has no label."
    if not os.path.isfile(path):  # unlike Path.is_file it takes a name of any length
        return "missing", "The file does not exist."
    return None


def _clash(
    before: tuple[Item, str] | None, labels: tuple[str, ...], part: str, line: int
) -> tuple[str, str] | None:
    """Reason and sentence why a row cannot be used beside an earlier one of the same file."""
    if before is None:
        return None
    item, earlier = before
    for one, label in zip((item.label, *item.others), labels, strict=True):
        if one != label:
            return "two-labels", f"It is labelled {one!r} and, in line {line}, {label!r}."
    if earlier != part:
        return "two-parts", f"It is in {earlier} and, in line {line}, in {part}."
    return None


def _read_table(table: Path) -> tuple[list[tuple[int, dict[Any, Any]]], list[str]]:
    """The rows, each with the number of its line, and the names of the columns."""
    text = _text_of(table)
    blank = re.match(r"\s*[\r\n]", text)  # lines before the heading
    start = blank.end() if blank else 0
    before = len(re.findall(r"\r\n|\r|\n", text[:start]))
    separator = max(",;\t", key=re.split(r"[\r\n]", text[start:], maxsplit=1)[0].count)
    # newline="": a line break inside quotes stays what it is, and no other sign ends a line
    reader = csv.DictReader(io.StringIO(text[start:], newline=""), delimiter=separator)
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = names
        rows = [(before + reader.line_num, row) for row in reader if any(row.values())]
    except csv.Error as error:
        line = before + reader.line_num
        raise DataError(f"{table}, after line {line}: {error}. Is a quote missing?") from error
    columns = [name for name in names if name]  # trailing separators make nameless columns
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{table} has several columns named {twice[0]!r}. Name each once.")
    if not columns or not rows:
        raise DataError(f"{table} has a heading and no rows.")
    return rows, columns


def _text_of(table: Path) -> str:
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{table} does not exist.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table} is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        ) from error
    except OSError as error:
        raise DataError(f"{table} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise DataError(f"{table} is empty.")
    return text


def _column(
    columns: Sequence[str], asked: str | None, usual: Sequence[str], table: Path
) -> str | None:
    """The column asked for, or the first of the usual names, or None."""
    if asked is None:
        lower = {name.lower(): name for name in columns}
        return next((lower[name] for name in usual if name in lower), None)
    if asked not in columns:
        raise ConfigError(
            f"{table} has no column {asked!r}.{did_you_mean(asked, columns)} "
            f"Columns: {', '.join(columns)}."
        )
    return asked


def _part(value: str | None, table: Path, line: int, column: str) -> str:
    said = (value or "").strip().lower()
    if said in ("true", "1", "yes"):
        return "valid"
    if said in ("false", "0", "no", ""):
        return "train"
    if said not in PARTS:
        raise DataError(
            f"{table}, line {line}: the part is {value!r}, expected train, valid or test. "
            f"If the column {column!r} says something else, give it another name."
        )
    return PARTS[said]
