"""How a text table is laid out: its delimiter, its header, its line ends.

The delimiter is the one that cuts the first rows into the same number of fields, the header's. Fields
are cut as the reader itself cuts them: a quote counts where a field begins, a doubled one inside it
stands for one, and line ends inside quotes belong to the field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from drivetrain.errors import DataError

DELIMITERS = (",", "\t", ";", "|")
ROWS = 200
"""Rows that are looked at."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SEP = re.compile(r'"?sep=(.)"?[ \t]*(\r\n|\r|\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How the text is to be cut."""

    delimiter: str
    names: tuple[str, ...]
    """Of the columns: none blank, none twice."""
    start: int
    """Letters of the text before the first row."""
    line_ends: str | None
    """`LF`, `CRLF`, `CR`, `mixed`; None where there is one line without an end."""
    notes: tuple[str, ...]
    is_bare: bool = False
    """Whether what was taken for the header holds nothing but numbers: perhaps there is none."""


def find_dialect(
    sample: str,
    *,
    is_whole: bool,
    source: str,
    delimiter: str | None,
    given: Sequence[str] | None = None,
) -> Dialect:
    """The layout of a text from its start.

    Args:
        sample: the start of the text; it holds something.
        is_whole: whether that is all.
        source: the file's name, for messages.
        delimiter: the one to use; by default it is found.
        given: names of the columns of a file without a header.

    Raises: DataError: the header does not end within the sample, the delimiter cannot be used, or there
        are more or fewer names than fields.
    """
    notes: list[str] = []
    start = 0
    declared = _SEP.match(sample)
    if declared is not None and delimiter is None:
        delimiter, start = declared[1], declared.end()
        notes.append(f"The first line says that the delimiter is {delimiter!r}; it is no header.")
    if delimiter is not None and (
        len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii()
    ):
        raise DataError(
            f"The delimiter is one character, such as ',' or '\\t', and no quote. Got {delimiter!r}."
        )
    if not sample[start:].strip():
        raise DataError(
            f"{source} is empty: its first line names a delimiter, and nothing follows."
        )
    chosen = delimiter or _best_delimiter(sample, start, is_whole)
    records = _records(sample, chosen, start, is_whole)
    if not records:
        raise DataError(
            f"The first row of {source} does not end within {len(sample):,} characters. It is not a text "
            "table, or a quote that opens in it is never closed."
        )
    if given is not None:
        width = len(records[0][0])
        if width != len(given):
            raise DataError(
                f"{len(given)} names are given for {source}, and its first row has {width} fields, cut "
                f"at {chosen!r}."
            )
        names = unique_names(list(given), notes)
        return Dialect(chosen, names, start, _line_ends(sample), tuple(notes))
    header, body, after = records[0][0], [fields for fields, _ in records[1:]], records[0][1]
    header = _fitted(header, body, notes)
    names = unique_names([" ".join(name.split()) for name in header], notes)
    is_bare = all(_NUMBER.fullmatch(name.strip()) for name in header)
    if is_bare:
        notes.append(
            f"The first row, taken as the columns' names, holds nothing but numbers ({names[0]!r} …): "
            "the file may have no header. Put a row of names on top, or give `names`."
        )
    return Dialect(chosen, names, after, _line_ends(sample), tuple(notes), is_bare)


def unique_names(names: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """The names, with blank ones numbered by place and repeated ones counted; notes say which.

    >>> unique_names(["a", "", "a"], [])
    ('a', 'column 2', 'a (2)')
    """
    taken = set(names)
    seen: Counter[str] = Counter()
    found: list[str] = []
    blank: list[str] = []
    again: list[str] = []
    for place, name in enumerate(names, start=1):
        new, count = name, 1
        if not name:
            new = f"column {place}"
            while new in taken:
                count += 1
                new = f"column {place} ({count})"
            blank.append(new)
        elif seen[name]:
            count = seen[name]
            while new in taken:
                count += 1
                new = f"{name} ({count})"
            again.append(new)
        seen[name] = count
        taken.add(new)
        found.append(new)
    for which, what in ((blank, "no name"), (again, "the name of an earlier one")):
        if which:
            have, are = ("column has", "is") if len(which) == 1 else ("columns have", "are")
            shown = ", ".join(repr(name) for name in which[:5]) + (" …" if len(which) > 5 else "")
            notes.append(f"{len(which)} {have} {what} and {are} called {shown} here.")
    return tuple(found)


def _best_delimiter(sample: str, start: int, is_whole: bool) -> str:
    best, best_score = "", (0.0, 0)
    lone = ""
    for candidate in DELIMITERS:
        records = _records(sample, candidate, start, is_whole)
        if not records:
            continue
        widths = [len(fields) for fields, _ in records]
        if widths[0] < 2:
            if not lone and max(widths) == 1:
                lone = candidate
            continue
        usual = Counter(widths[1:] or widths).most_common(1)[0][0]
        fits = abs(usual - widths[0]) <= 1 and usual > 1
        share = widths.count(usual) / len(widths) if fits else 0.0
        score = (round(share, 2), widths[0])
        if score > best_score:
            best, best_score = candidate, score
    return best or lone or DELIMITERS[0]


def _fitted(header: list[str], body: list[list[str]], notes: list[str]) -> list[str]:
    """The header, with the field that all rows have more, or less, than it."""
    widths = {len(fields) for fields in body}
    if len(widths) != 1:
        return header
    (width,) = widths
    if width == len(header) + 1:
        if not any(fields[-1].strip() for fields in body):
            notes.append("A delimiter stands at the end of every row: the last column is empty.")
            return [*header, ""]
        notes.append(
            "Every row has one field more than the header: the first is taken as the rows' names."
        )
        return ["", *header]
    if width == len(header) - 1 and not header[-1].strip():
        notes.append("A delimiter stands at the end of the header, and at no row's end.")
        return header[:-1]
    return header


@lru_cache(maxsize=16)
def _field(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    # A quote that is never closed takes the rest in one step: nothing is ever tried twice.
    return re.compile(rf'(?:"((?:[^"]++|"")*+)("|\Z))?([^{mark}\r\n]*+)({mark}|\r\n|\r|\n|\Z)')


def _records(
    sample: str, delimiter: str, start: int, is_whole: bool
) -> list[tuple[list[str], int]]:
    """The first rows, each with the place where it ends; blank lines are none."""
    found: list[tuple[list[str], int]] = []
    for fields, end, is_ended in _cut(sample, delimiter, start):
        if fields and (is_ended or is_whole):
            found.append((fields, end))
            if len(found) == ROWS:
                break
    return found


def _cut(text: str, delimiter: str, start: int) -> Iterator[tuple[list[str], int, bool]]:
    """Each row's fields (none for a blank line), where it ends, and whether its end is in the text."""
    pattern = _field(delimiter)
    fields: list[str] = []
    place = start
    while place <= len(text):
        match = pattern.match(text, place)
        if match is None:
            raise AssertionError("every text begins with a field, if an empty one")
        quoted, _, plain, mark = match.groups()
        value = plain if quoted is None else quoted.replace('""', '"') + plain
        fields.append(value)
        place = match.end()
        if mark != delimiter:
            # A CR at the very end of a sample may be half of a CRLF.
            if fields == [""] and quoted is None:
                fields = []
            yield fields, place, mark != "" and not (mark == "\r" and place == len(text))
            fields = []
            if mark == "":
                return


def _line_ends(sample: str) -> str | None:
    """By the ends outside quotes; of all, where there are none outside."""
    outside = "".join(sample.split('"')[::2])
    for text in (outside, sample):
        crlf = text.count("\r\n")
        found = {"CRLF": crlf, "CR": text.count("\r") - crlf, "LF": text.count("\n") - crlf}
        kinds = [name for name, count in found.items() if count]
        if kinds:
            return kinds[0] if len(kinds) == 1 else "mixed"
    return None
