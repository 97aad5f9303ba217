"""Where texts come from: a folder, one file, a list of strings, or a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drivetrain.data.items import Quarantined
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.reading import (
    SUFFIXES,
    Columns,
    Repairs,
    Texts,
    read_file,
    read_folder,
    read_table,
)

OF_TABLES = ("compose", "group", "time", "split_column")
"""Options that only a table can follow."""


def read_source(
    source: Any,
    path: str | None,
    labels: Sequence[Any] | None,
    target: Sequence[str] | None,
    text_columns: Sequence[str],
    options: Mapping[str, Any],
) -> tuple[str, Texts, Columns | None]:
    """Read the texts of a source, with their labels.

    Args:
        source: as of `text.data.gather`.
        path: where it lies; None where it is in memory.
        labels: of a list of strings.
        target: the columns of the labels; None looks for one.
        text_columns: the columns of the text; without any they are found.
        options: of `text.data.gather`.

    Returns: its kind ("folder", "file", "texts", "table"), the texts, and the columns of a table.
    Raises: DataError, ConfigError: with what is wrong and what to do.
    """
    labelled: bool = options["labelled"]
    if path is not None and Path(path).is_dir():
        _refuse_columns(target, text_columns, options)
        return "folder", read_folder(Path(path), labelled=labelled), None
    if path is not None and not _is_table(path):
        if labelled:
            raise DataError(f"{path} is one text. Give a folder of texts, or a table with labels.")
        return "file", _one_file(Path(path)), None
    if isinstance(source, list | tuple) and all(isinstance(one, str) for one in source):
        _refuse_columns(target, text_columns, options)
        return "texts", _of_strings(source, labels, labelled), None
    beside = (options["group"], options["time"], options["split_column"])
    found, columns = read_table(
        source,
        text_columns=text_columns,
        target=target,
        compose=options["compose"],
        keep=[name for name in beside if name is not None],
        labelled=labelled,
        delimiter=options["delimiter"],
        encoding=options["encoding"],
    )
    return "table", found, columns


def _refuse_columns(
    target: Sequence[str] | None, texts: Sequence[str], options: Mapping[str, Any]
) -> None:
    """Raises: ConfigError: an option names a column."""
    given = {"target": target, "text_columns": texts, **{name: options[name] for name in OF_TABLES}}
    for name, value in given.items():
        if value:
            raise ConfigError(f"`{name}` names a column of a table, and this source has none.")


def _is_table(path: str) -> bool:
    return not path.lower().endswith(SUFFIXES)


def _of_strings(texts: Sequence[str], labels: Sequence[Any] | None, labelled: bool) -> Texts:
    if labelled and labels is None:
        raise ConfigError("A list of texts needs its labels: `labels=[…]`, one for each.")
    if labels is not None and len(labels) != len(texts):
        raise ConfigError(f"There are {len(labels)} labels for {len(texts)} texts.")
    found, repairs = Texts(), Repairs()
    for place, text in enumerate(texts):
        label = None if labels is None else labels[place]
        if labelled and label is None:
            found.quarantined.append(
                Quarantined(f"text {place + 1}", "no-label", "It has no label.")
            )
            continue
        found.add(f"text {place + 1}", text, label, repairs)
    if not found.texts:
        raise DataError("There is no text: all are empty or without a label.")
    found.notes += repairs.notes()
    return found


def _one_file(path: Path) -> Texts:
    repairs = Repairs()
    text = read_file(path, path.name, repairs)
    if isinstance(text, Quarantined):
        raise DataError(f"{path}: {text.detail}")
    found = Texts()
    if not found.add(path.name, text, None, repairs):
        raise DataError(f"{path} is empty.")
    found.notes += repairs.notes()
    return found
