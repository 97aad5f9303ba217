"""How a script finds its pictures: in folders, or in the list of a CSV.

A script has none of the library's ways around what is odd in a folder or list. So what its few lines
would find is compared with what the run has, and where the two differ the run is refused.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain.eject.modules import Import
from drivetrain.errors import EjectError
from drivetrain.vision.data import VisionData
from drivetrain.vision.decode import PICTURE_SUFFIXES
from drivetrain.vision.ejecting.corrected import correct, corrections_of
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.targets import labels_of


@dataclass(frozen=True)
class Finding:
    """How pictures are found, as texts of the function `load`."""

    head: str
    """Its beginning, which makes `folder` and `paths`, of a CSV also `rows`."""
    label: str
    """The label of `path`, an expression."""
    part: str
    """Whether `path` is of a part, a question with `{}` in the place of TRAIN or VALID."""
    uses: dict[str, Any] = field(default_factory=dict)
    """What the beginning calls; see `eject.parts.Written`."""


def find(draft: Draft) -> Finding:
    """How the pictures of a run are found.

    Raises: EjectError: a plain script would not find the very same pictures and labels.
    """
    data = draft.data
    refuse_functions(data)
    if data.recipe.get("test") is not None:
        raise EjectError(
            "Pictures are sealed for a test by `test`, and a script would find them with the others. "
            "Move them into a folder test/ beside train/, and train there; or eject with `--level "
            "loop`, whose script leaves the finding to Drivetrain."
        )
    return _in_csv(draft) if data.recipe["from"] == "csv" else _in_folders(draft)


def refuse_functions(data: VisionData) -> None:
    """Raises: EjectError: functions of the user's own found the pictures."""
    if data.recipe["from"] == "items":
        raise EjectError(
            "Functions of your own found and labelled the pictures, and a script has no list of what "
            "they said. Write that as a CSV of paths and labels, and train on it: vision.from_csv"
        )


# --- in folders -----------------------------------------------------------------------------------


def _in_folders(draft: Draft) -> Finding:
    data = draft.data
    suffixes = {Path(item.id).suffix.lower() for item in data.items}
    skip = _set_aside(draft, suffixes)
    draft.setting("SUFFIXES", tuple(sorted(suffixes)), "file names that are taken for pictures")
    if _has_hidden(data):
        skip += ' and "/." not in f"/{path.relative_to(folder).as_posix()}"'
    label = "path.relative_to(folder).parts[0]"
    if data.recipe["from"] == "names":
        draft.setting("PATTERN", data.recipe["pattern"], "where a file's name holds its label")
        label = "re.search(PATTERN, path.name)[1]"
        draft.lifter.add_import(Import("re"))
    elif data.split.method == "folders" or data.split.test:
        label = "path.relative_to(folder).parts[1]"
    if data.split.test:
        opened = {item.id.partition("/")[0] for item in data.items if item.id in data.hashes}
        reason = "folders that are looked into; the test stays sealed"
        draft.setting("OPENED", tuple(sorted(opened)), reason)
        skip += " and path.relative_to(folder).parts[0] in OPENED"
    if data.split.method == "folders":
        for name in ("train", "valid"):
            members = {data.items[i].id.partition("/")[0] for i in getattr(data.split, name)}
            draft.setting(f"{name}_FOLDERS".upper(), tuple(sorted(members)))
    part = "path.relative_to(folder).parts[0] in {}_FOLDERS"
    uses: dict[str, Any] = {}
    made = corrections_of(data, lambda name: Path(name).suffix.lower() in suffixes)
    if made.relabelled:
        label = f"RELABELLED.get(path.relative_to(folder).as_posix(), {label})"
    return Finding(_WALK.format(skip=skip) + correct(draft, made, uses), label, part, uses)


def _set_aside(draft: Draft, suffixes: set[str]) -> str:
    """What leaves out the pictures that were set aside, where the script would find any."""
    aside = {
        q.id: q.reason for q in draft.data.quarantined if Path(q.id).suffix.lower() in suffixes
    }
    if not aside:
        return ""
    reasons = ", ".join(sorted(set(aside.values())))
    draft.setting("SET_ASIDE", tuple(sorted(aside)), f"pictures that cannot be used: {reasons}")
    return " and path.relative_to(folder).as_posix() not in SET_ASIDE"


def _has_hidden(data: VisionData) -> bool:
    """Whether hidden pictures lie in the folder, which are left out.

    Raises: EjectError: a link to a folder was followed, which the script does not do.
    """
    found = {
        path.relative_to(data.source).as_posix()
        for path in data.source.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    }
    known = {item.id for item in data.items} | {q.id for q in data.quarantined}
    if not known <= found:
        raise EjectError(
            f"{data.source} holds links to folders, which a script does not follow. Copy the pictures "
            "into one folder, and train there."
        )
    return any("/." in f"/{name}" for name in found)


_WALK = '''
def load(folder: Path) -> tuple[Part, Part]:
    """Find, split and open the pictures below a folder: (train, valid)."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES{skip}]
    paths = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
'''

# --- in the list of a CSV -------------------------------------------------------------------------


def _in_csv(draft: Draft) -> Finding:
    data, recipe = draft.data, draft.data.recipe
    path_column, part_column = recipe["path_column"], recipe["part_column"]
    text = data.source.read_text("utf-8-sig")
    separator = max(",;\t", key=text.splitlines()[0].count)
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    draft.setting("PATH_COLUMN", path_column, "of the CSV: where a picture lies")
    if data.targets is None:
        columns = (recipe["label_column"],)
        draft.setting("LABEL_COLUMN", columns[0], "what is to be seen on it")
        label = "rows[path][LABEL_COLUMN].strip()"
    else:
        columns = data.targets.names
        draft.setting("TARGETS", columns, "columns of what is to be seen on it")
        label = "rows[path][TARGETS[0]].strip()"
    listed = {
        (row.get(path_column) or "").strip(): tuple(
            [(row.get(column) or "").strip() for column in columns]
        )
        for row in rows
    }
    aside = {q.id for q in data.quarantined}
    made = corrections_of(data, lambda _: True)
    for name, new in made.relabelled.items():
        names = dict(zip(columns, listed.get(name, ()), strict=False))
        listed[name] = (new,) if data.targets is None else tuple((names | new).values())
    kept = {item.id: labels_of(item) for item in data.items}
    passed = aside.union(made.left_out)
    if {name: labels for name, labels in listed.items() if name not in passed} != kept:
        raise EjectError(
            f"{data.source} lists pictures in a way that a plain script would read otherwise "
            "(twice, with blanks, or with paths as on Windows). Write each picture once, as it "
            "lies in the folder."
        )
    if data.split.test:
        raise EjectError("A CSV with a test part cannot be ejected yet. Leave its rows out.")
    skip = ""
    if aside & listed.keys():
        seen = tuple(sorted(aside & listed.keys()))
        draft.setting("SET_ASIDE", seen, "pictures that cannot be used")
        skip = " if row[PATH_COLUMN].strip() not in SET_ASIDE"
    if part_column:
        draft.setting("PART_COLUMN", part_column, "whether a picture trains or validates")
        for name in ("train", "valid"):
            members = {data.items[i].id for i in getattr(data.split, name)}
            said = {row[part_column] for row in rows if row[path_column].strip() in members}
            draft.setting(f"{name}_PARTS".upper(), tuple(sorted(said)))
    draft.lifter.add_import(Import("csv"))
    beside = os.path.relpath(recipe["folder"], data.source.parent)
    root = "table.parent" if beside == "." else f"table.parent / {beside!r}"
    head = _READ.format(separator=separator, root=root, skip=skip)
    uses: dict[str, Any] = {}
    head += correct(draft, made, uses)
    return Finding(head, label, "rows[path][PART_COLUMN] in {}_PARTS", uses)


_READ = '''
def load(table: Path) -> tuple[Part, Part]:
    """Read the list, split and open the pictures: (train, valid)."""
    folder = {root}
    with table.open(newline="", encoding="utf-8-sig") as file:
        listed = csv.DictReader(file, delimiter={separator!r})
        rows = {{folder / row[PATH_COLUMN].strip(): row for row in listed{skip}}}
    paths = sorted(rows, key=lambda path: path.relative_to(folder).as_posix())
'''
