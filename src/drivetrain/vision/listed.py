"""The four questions as functions of your own: which pictures, what is on each, and which part it is in.

    def label(path: Path) -> str:
        return path.name.rsplit("_", 1)[0]

    data = from_items("photos/", label, items=lambda folder: folder.glob("2026/*.jpg"))

What the functions said is kept with the run, item by item: it is resumed, cleaned and tested without
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from drivetrain.data.items import Item, Quarantined, find_files, item_id
from drivetrain.errors import ConfigError, DataError
from drivetrain.vision.decode import PICTURE_SUFFIXES
from drivetrain.vision.sources import Found

StrPath = str | os.PathLike[str]
GetItems = Callable[[Path], Iterable[StrPath]]
"""The source -> the files that are its items."""
LabelOf = Callable[[Path], str | None]
"""A file -> what is on it; None or an empty string where that is not known."""
PartOf = Callable[[Path], str]
"""A file -> `train`, `valid` or `test`."""

PARTS = ("train", "valid", "test")


def find_items(
    folder: StrPath,
    label: LabelOf,
    *,
    items: GetItems | Iterable[StrPath] | None = None,
    split: PartOf | None = None,
) -> Found:
    """Pictures that functions find, label and split.

    Args:
        folder: the source; ids of items are paths below it.
        label: says what is on a picture. It is asked once for each, in the order of the ids.
        items: gives the files of the source, or the files themselves; those that are not absolute are
            below the source. By default all pictures below it.
        split: says the part of a picture; None: validation is drawn.

    Returns: items in the order of their ids, those without a label set aside.
    Raises: DataError: there are no items, or none with a label. ConfigError: a function answers something
        else than is expected. What a function raises itself, with the item that it was asked about.
    """
    root = Path(folder)
    found: list[Item] = []
    parts: list[str] = []
    aside: list[Quarantined] = []
    paths = _paths(root, items)
    for name in sorted(paths):
        path = paths[name]
        said = _asked(label, path, name, "label")
        if said is None or said == "":
            aside.append(Quarantined(name, "no-label", "`label` gave it none."))
            continue
        if not isinstance(said, str):
            raise ConfigError(
                f"`label` must answer a string, or None where there is no label. For {name} it answered "
                f"{said!r}."
            )
        found.append(Item(name, path, said))
        parts.append("" if split is None else _part(_asked(split, path, name, "split"), name))
    if not found:
        raise DataError(f"`label` gave none of the {len(paths):,} items of {root} a label.")
    return Found(
        found,
        None if split is None else parts,
        aside,
        root,
        found_by="all picture files below the folder" if items is None else f"`{_named(items)}`",
        labelled_by=f"`{_named(label)}`",
        recipe=_recipe(root, found, parts, aside),
    )


def find_again(folder: StrPath, items: Sequence[Sequence[str]]) -> Found:
    """The pictures as `find_items` found them, from what it wrote down.

    Args:
        folder: the source.
        items: (id, label, part) of each; the label is empty of what was set aside, and the part of all
            where validation was drawn.

    Returns: the same as `find_items`.
    Raises: DataError: it is no such list.
    """
    root = Path(folder)
    found: list[Item] = []
    parts: list[str] = []
    aside: list[Quarantined] = []
    for entry in items:
        if len(entry) != 3 or not all(isinstance(word, str) for word in entry):
            raise DataError(f"Expected (id, label, part) of each item. Got {entry!r}.")
        name, label, part = entry
        if not label:
            aside.append(Quarantined(name, "no-label", "`label` gave it none."))
            continue
        found.append(Item(name, root / name, label))
        parts.append(part)
    return Found(
        found,
        parts if any(parts) else None,
        aside,
        root,
        found_by="the list that the run keeps",
        labelled_by="the list that the run keeps",
        recipe=_recipe(root, found, parts, aside),
    )


def _recipe(
    root: Path, found: Sequence[Item], parts: Sequence[str], aside: Sequence[Quarantined]
) -> dict[str, Any]:
    listed = [[i.id, i.label, part] for i, part in zip(found, parts, strict=True)]
    listed += [[entry.id, "", ""] for entry in aside]
    return {"from": "items", "source": os.path.abspath(root), "items": listed}


def _paths(root: Path, items: GetItems | Iterable[StrPath] | None) -> dict[str, Path]:
    """Id -> file. Raises: DataError: none. ConfigError: one is no path, or is given twice."""
    if items is None:
        given: Iterable[StrPath] = find_files(root, PICTURE_SUFFIXES)
    else:
        given = items(root) if callable(items) else items
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"`items` must give paths of files. It gave {given!r}.")
    found: dict[str, Path] = {}
    for one in given:
        if not isinstance(one, str | os.PathLike):
            raise ConfigError(f"`items` must give paths of files. Among them it gave {one!r}.")
        path = Path(one)  # as `root.rglob` gives it, or below the source
        path = path if path.is_absolute() or path.is_relative_to(root) else root / path
        name = item_id(path, root)
        if name in found:
            raise ConfigError(f"`items` gives {name} twice.")
        found[name] = path
    if not found:
        raise DataError(f"There are no items in {root}: `items` gave none.")
    return found


def _asked(function: Callable[[Path], Any], path: Path, name: str, what: str) -> Any:
    try:
        return function(path)
    except Exception as error:
        error.add_note(f"`{what}` was asked about {name}.")
        raise


def _part(said: Any, name: str) -> str:
    if said not in PARTS:
        raise ConfigError(
            f"`split` must answer 'train', 'valid' or 'test'. For {name} it answered {said!r}."
        )
    return said


def _named(what: Any) -> str:
    name = getattr(what, "__name__", None)
    if isinstance(name, str) and name != "<lambda>":
        return name
    return "a function of your own" if callable(what) else "a list of files"
