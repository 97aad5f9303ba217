"""Reading texts: from files, columns and strings, whatever is in them.

What a text can bring is given a defined answer here, in linear time: its encoding is found, bytes that
are no text become U+FFFD, NULs go, line ends become `\\n`. Each repair is counted and told as a
sentence; a text of which nothing is left is set aside by name. Letters that are seldom seen
(right-to-left, zero-width) are left as they are: they mean something.
"""

from __future__ import annotations

import codecs
import os
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain._registry import did_you_mean
from drivetrain.data.items import Quarantined, find_files, item_id
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.base import PAIR_MARK

SUFFIXES = (".txt", ".text", ".md")
"""Of files that hold a text."""
PARTS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}
"""Names of folders that say in which part their files are."""
UNLABELLED = ("unsup", "unsupervised", "unlabelled", "unlabeled")
"""Names of folders whose texts belong to no class."""
LARGEST_FILE = 1 << 31
"""Bytes of a file that is read as one text."""
BINARY = 0.1
"""Share of NULs and control characters from which on a file is no text, if there are more than 8."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(range(9)) + bytes(range(14, 32))
_SURROGATES = re.compile("[\ud800-\udfff]")
_SAID = {
    "bad": ("holds bytes that are no text: each is U+FFFD now", "hold bytes that are no text"),
    "cp1252": ("is no UTF-8 and is read as Windows' cp1252", "are no UTF-8 and are read as cp1252"),
    "utf-16": ("is UTF-16 or UTF-32, as its mark says", "are UTF-16 or UTF-32, as their mark says"),
    "nul": ("holds NULs, which are left out", "hold NULs, which are left out"),
    "crlf": ("has other line ends than \\n: made the same", "have other line ends than \\n"),
    "surrogate": ("holds halves of characters: U+FFFD now", "hold halves of characters: U+FFFD now"),
}  # fmt: skip


class Repairs:
    """What was repaired, counted, with the first name of each."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, name: str) -> None:
        """One more text, by its name."""
        self._count[what] += 1
        self._first.setdefault(what, name)

    def notes(self) -> list[str]:
        """A sentence for each kind of repair."""
        found = []
        for what, (one, many) in _SAID.items():
            count = self._count[what]
            if count == 1:
                found.append(f"{self._first[what]} {one}.")
            elif count:
                found.append(f"{count:,} texts {many}, such as {self._first[what]}.")
        return found


@dataclass
class Texts:
    """Texts as they were found, before anything is learnt from them."""

    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """(N,) names: path relative to the source, or `row 1`."""
    labels: list[Any] = field(default_factory=list)
    """(N,) what a person says of each; None where nothing."""
    parts: list[str | None] | None = None
    """(N,) train, valid or test, where the source says so."""
    columns: dict[str, list[Any]] = field(default_factory=dict)
    """Further columns of a table: of groups, of time."""
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sha256: str = ""

    def add(self, name: str, text: str, label: Any, repairs: Repairs) -> bool:
        """Keep a text, tidied, or set it aside; whether it was kept."""
        found = tidied(text, name, repairs)
        if not found.strip():
            self.quarantined.append(Quarantined(name, "empty", "The text is empty."))
            return False
        self.texts.append(found)
        self.ids.append(name)
        self.labels.append(label)
        return True


def decoded(data: bytes, name: str, repairs: Repairs) -> str:
    """The text of a file's bytes.

    A mark at the start says the encoding. Else it is UTF-8; where that does not fit, it is UTF-8 with
    damage if it has more sound characters of several bytes than broken ones, and cp1252 otherwise.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            if encoding != "utf-8":
                repairs.add("utf-16", name)
            text = data[len(mark) :].decode(encoding, errors="replace")
            if "\ufffd" in text:
                repairs.add("bad", name)
            return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    sound = sum(map(len, re.findall(r"[^\x00-\x7f\ufffd]+", text)))
    if broken > sound:
        try:
            found = data.decode("cp1252")
        except UnicodeDecodeError:
            pass
        else:
            repairs.add("cp1252", name)
            return found
    repairs.add("bad", name)
    return text


def tidied(text: str, name: str, repairs: Repairs) -> str:
    """The text without NULs and halves of characters, its lines ending in `\\n`."""
    if "\0" in text:
        repairs.add("nul", name)
        text = text.replace("\0", "")
    if "\r" in text:
        repairs.add("crlf", name)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() and _SURROGATES.search(text):
        repairs.add("surrogate", name)
        text = _SURROGATES.sub("\ufffd", text)
    return text


def read_file(path: Path, name: str, repairs: Repairs) -> str | Quarantined:
    """The text of a file, or why there is none."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return Quarantined(name, "too-large", "The file is larger than 2 GB. Cut it.")
        data = path.read_bytes()
    except OSError as error:
        return Quarantined(name, "unreadable", f"It cannot be read: {error.strerror}.")
    has_mark = any(data.startswith(mark) for mark, _ in _BOMS)
    if not has_mark and data:
        controls = len(data) - len(data.translate(None, _CONTROLS))
        if controls > max(8, BINARY * len(data)):
            return Quarantined(name, "not-a-text", "It holds bytes of a program or a picture.")
    return decoded(data, name, repairs)


def read_folder(folder: Path, *, labelled: bool) -> Texts:
    """The texts of a folder in the order of their names.

    Folders train, valid and test at the top say the part; the folder below, or at the top where there are
    none, is the class. Without `labelled` all files are taken and no class is looked for.

    Raises: DataError: it is no folder, or holds no text; or texts are not in folders of their class.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give a folder of texts, or a table.")
    found, repairs = Texts(), Repairs()
    parts: list[str | None] = []
    unlabelled, loose = 0, []
    for path in find_files(folder, SUFFIXES):
        name = item_id(path, folder)
        steps = name.split("/")[:-1]
        part = PARTS.get(steps[0].lower()) if steps else None
        below = steps[1:] if part is not None else steps
        label = below[0] if below else None
        if labelled and label is not None and label.lower() in UNLABELLED:
            unlabelled += 1
            continue
        if labelled and label is None:
            loose.append(name)
            continue
        text = read_file(path, name, repairs)
        if isinstance(text, Quarantined):
            found.quarantined.append(text)
        elif found.add(name, text, label, repairs):
            parts.append(part)
    if labelled and loose and not found.texts:
        raise DataError(
            f"The texts of {folder} are not in folders of their class: {loose[0]} is in none. Put each "
            "into a folder with the name of its class, or give a table with a column of labels."
        )
    found.quarantined += [
        Quarantined(name, "no-label", "It is in no folder of a class.") for name in loose
    ]
    if not found.texts:
        raise DataError(
            f"{folder} holds no text. Texts are files that end in {', '.join(SUFFIXES)}."
        )
    found.parts = parts if any(parts) else None
    if unlabelled:
        many = f"{unlabelled:,} texts without a class were"
        texts = "1 text without a class was" if unlabelled == 1 else many
        found.notes.append(f"{texts} left out.")
    found.notes += repairs.notes()
    return found


# --- tables ---------------------------------------------------------------------------------------

PAIR = "pair"
"""`compose` of two columns that a transformer reads as two texts."""
TARGET_NAMES = (
    *("label", "labels", "target", "class", "category", "sentiment", "score", "rating", "topic"),
    "y",
)
"""Names of columns that are taken for the target where none is named, in this order."""
FEW_WORDS = 4.0
"""Words on average from which on a column is taken for text."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read as what."""

    texts: tuple[str, ...]
    target: tuple[str, ...]
    reason: str
    """Why these are the texts."""


def read_table(
    source: Any,
    *,
    text_columns: Sequence[str] = (),
    target: Sequence[str] | None = None,
    compose: str | None = None,
    keep: Sequence[str] = (),
    labelled: bool = True,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> tuple[Texts, Columns]:
    """The texts of a table, each with its label.

    Args:
        source: a CSV or Parquet file, a frame, a mapping of columns.
        text_columns: the columns of the text; none for the one that looks like it.
        target: the columns of the label; None looks for it.
        compose: how several columns become one text, see `template_of`; `PAIR` for two that stay two.
        keep: further columns that are needed.
        labelled: whether there is to be a label.
        delimiter, encoding: of a CSV.

    Raises: DataError: there is no such column, or none that looks like text.
    """
    from drivetrain.data.tables.reading import open_table

    opened = open_table(source, delimiter=delimiter, encoding=encoding, missing=())
    names = opened.names
    if compose == PAIR:
        _check_columns(names, text_columns)
        compose = pair_template(text_columns)
    if compose is not None:
        asked = tuple(dict.fromkeys(n for _, n in template_of(compose, names) if n is not None))
        if text_columns and set(text_columns) != set(asked):
            raise ConfigError(
                "`compose` and `text_columns` name different columns. Give one of them."
            )
        text_columns = asked
    _check_columns(names, [*text_columns, *(target or ()), *keep])
    table = opened.read()
    columns = _columns(table, names, text_columns, target, keep, labelled)
    pieces = template_of(compose or usual_template(columns.texts), names)
    cells = {name: table.column(name).to_pylist() for name in columns.texts}
    rows = opened.row_ids.tolist()
    found, repairs = Texts(sha256=opened.report.sha256), Repairs()
    found.notes += opened.report.notes
    found.quarantined += opened.report.quarantined
    labels = [table.column(name).to_pylist() for name in columns.target]
    kept: list[int] = []
    for place, row in enumerate(rows):
        name = f"row {row + 1}"
        values = {column: _text_of(cells[column][place]) for column in cells}
        if not any(value.strip() for value in values.values()):
            found.quarantined.append(Quarantined(name, "empty", "The text is empty."))
            continue
        label = tuple(column[place] for column in labels)
        one = label[0] if len(label) == 1 else (label or None)
        if labelled and (one is None or (isinstance(one, tuple) and None in one)):
            found.quarantined.append(Quarantined(name, "no-label", "It has no label."))
            continue
        if found.add(name, filled(pieces, values), one, repairs):
            kept.append(place)
    if not found.texts:
        raise DataError(f"{opened.source} has no row with a text{' and a label' * labelled}.")
    for name in keep:
        values = table.column(name).to_pylist()
        found.columns[name] = [values[place] for place in kept]
    found.notes += repairs.notes()
    return found, columns


def usual_template(columns: Sequence[str]) -> str:
    """`{review}` of one column; `TEXT1: {title}; TEXT2: {review}` of several."""
    if len(columns) == 1:
        return "{" + columns[0] + "}"
    return "; ".join(f"TEXT{n}: {{{name}}}" for n, name in enumerate(columns, start=1))


def pair_template(columns: Sequence[str]) -> str:
    """`{question}`, the mark of a pair, `{answer}`.

    Raises: ConfigError: these are not two columns.
    """
    if len(set(columns)) != 2:
        raise ConfigError(
            "`compose='pair'` is for two columns: text_columns=['FIRST', 'SECOND']. "
            f"Got {', '.join(columns) or 'none'}."
        )
    return PAIR_MARK.join("{" + name + "}" for name in columns)


def template_of(compose: str, columns: Sequence[str]) -> list[tuple[str, str | None]]:
    """A template cut into (words, the column after them), such as `TEXT1: {context}; ANC1: {anchor}`.

    Names of columns stand in braces, and nothing else does: no index, attribute, conversion or format.

    Raises: ConfigError: it is no such template, or names no column.
    """
    try:
        parts = list(string.Formatter().parse(compose))
    except ValueError as error:
        raise ConfigError(f"`compose` is no template: {error}.") from None
    for _, name, form, conversion in parts:
        if name is not None and (form or conversion or name not in columns):
            raise ConfigError(
                f"`compose` holds names of columns in braces. Got '{{{name}}}'."
                f"{did_you_mean(name, columns)} There are: {', '.join(columns[:40])}."
            )
    if all(name is None for _, name, _, _ in parts):
        raise ConfigError("`compose` names no column. Write one in braces: 'TITLE: {title}'.")
    return [(words, name) for words, name, _, _ in parts]


def filled(pieces: Sequence[tuple[str, str | None]], values: Mapping[str, str]) -> str:
    """The text of a row: words of the template with the values between them."""
    return "".join(words + ("" if name is None else values[name]) for words, name in pieces)


def check_source(source: Any) -> str | None:
    """The absolute path of a source that is one; None for what is in memory."""
    if isinstance(source, str | os.PathLike):
        return os.path.abspath(os.path.expanduser(os.fspath(source)))
    return None


def _text_of(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _check_columns(known: Sequence[str], asked: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise DataError(
                f"There is no column '{name}'.{did_you_mean(name, known)} There are: "
                f"{', '.join(known[:40])}."
            )


def _columns(
    table: Any,
    names: Sequence[str],
    texts: Sequence[str],
    target: Sequence[str] | None,
    keep: Sequence[str],
    labelled: bool,
) -> Columns:
    """Which columns are what, as asked or by their looks."""
    taken = {*(target or ()), *keep}
    reason = "as asked"
    if not texts:
        looks = {name: _words(table, name) for name in names if name not in taken}
        best = max(looks, key=lambda name: looks[name], default=None)
        if best is None or not looks[best]:
            raise DataError(
                f"No column looks like text. Say which one is: text_columns=['COLUMN']. There are: "
                f"{', '.join(names[:40])}."
            )
        texts = (best,)
        others = sorted((n for n in looks if n != best), key=lambda n: -looks[n])
        next_one = f", the next '{others[0]}' {looks[others[0]]:.0f}" if others else ""
        reason = f"'{best}' has {looks[best]:.0f} words a row on average{next_one}"
    if not labelled:
        return Columns(tuple(texts), (), reason)
    if target is None:
        left = [name for name in names if name not in {*texts, *keep}]
        lower = {name.lower(): name for name in left}
        found = next((lower[n] for n in TARGET_NAMES if n in lower), None)
        if found is None and len(left) == 1:
            found = left[0]
        if found is None:
            raise DataError(
                f"Which column is to be predicted? Say so with target='COLUMN'. There are: "
                f"{', '.join(left[:40])}."
            )
        target = (found,)
    both = [name for name in target if name in texts]
    if both:
        raise ConfigError(f"'{both[0]}' is the text and the target: give it once.")
    return Columns(tuple(texts), tuple(target), reason)


def _words(table: Any, name: str, rows: int = 1000) -> float:
    """Words of a column's cells on average; 0 where it holds no strings."""
    values = [v for v in table.column(name).slice(0, rows).to_pylist() if v is not None]
    if not values or not all(isinstance(value, str) for value in values):
        return 0.0
    return sum(len(value.split()) for value in values) / len(values)


def looks_like_text(source: str | os.PathLike[str], target: str | None = None) -> str | None:
    """The column that makes a table one of texts: its cells have many words, and differ from row to row.

    Beside it there may be the target and one column more, such as an id; with more, it is a table like
    others. None where it is not one of texts.

    Raises: DataError: it is no table.
    """
    from drivetrain.data.tables.reading import open_table

    opened = open_table(source, missing=())
    first = next(iter(opened.batches(1000)), None)
    if first is None or len(opened.names) > 3:
        return None
    columns = {name: first.column(name).to_pylist() for name in opened.names if name != target}
    for name, cells in columns.items():
        values = [value for value in cells if isinstance(value, str)]
        if len(values) < 2 or len(set(values)) < 0.7 * len(values):
            continue
        if sum(len(value.split()) for value in values) / len(values) >= FEW_WORDS:
            return name
    return None
