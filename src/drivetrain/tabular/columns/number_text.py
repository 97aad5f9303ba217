"""Numbers as people write them: 1,234.5 or 1.234,5, 12%, $5, (3.20), 1 234, true, 10:30.

How a column is written is settled once, over all its different words (`find_number_format`), and is
a short text such as `decimal comma, currency`; `parse_numbers` then reads any words by it. A percent
sign and a currency's name are taken off: 12% is 12. Plain numbers, with a point and an exponent if
need be, are read under every format that does not give the point or the comma another meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivetrain._optional import require

if TYPE_CHECKING:
    import pyarrow as pa

BOOLEAN = "true/false"
CLOCK = "time of day in seconds"
PERCENT = "percent"
CURRENCY = "currency"
CODES = "codes"
"""Of a column of categories: its words are whole numbers, and 3.0 is the same as 3."""
BRACKETS = "brackets for minus"
DECIMAL_COMMA = "decimal comma"
GROUPS = {
    "thousands comma": ",",
    "thousands point": ".",
    "thousands space": " ",
    "thousands apostrophe": "'",
}
"""Marks between groups of three digits."""
WORDS = (BOOLEAN, CLOCK, CODES, DECIMAL_COMMA, *GROUPS, PERCENT, CURRENCY, BRACKETS)
"""What a format is made of, in this order, joined by `, `."""

_PLAIN = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_INFINITE = r"^[+-]?(?i:inf|infinity)$"
_SIGNS = (
    r"(?:(?:US|CA|AU|NZ|HK|R)?\$|[€£¥₹₽₩₺₴]|"
    r"(?i:usd|eur|gbp|jpy|chf|cny|inr|sek|nok|dkk|pln|czk|aud|cad|nzd|brl|zar|rub))"
)
_CLOCK = r"^(?P<h>\d{1,3}):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d(?:\.\d+)?))?$"
_LAYOUTS = (  # tried in this order: where two read as many words, the first is taken
    (),
    ("thousands comma",),
    (DECIMAL_COMMA,),
    (DECIMAL_COMMA, "thousands point"),
    ("thousands space",),
    (DECIMAL_COMMA, "thousands space"),
    ("thousands apostrophe",),
)
_MARKS = {
    DECIMAL_COMMA: ",",
    "thousands comma": r"\d,\d{3}",
    "thousands point": r"\d\.\d{3}",
    "thousands space": "\\d[ \u00a0\u202f\u2009]\\d{3}",
    "thousands apostrophe": r"\d['’]\d{3}",
}
"""What a word has to hold for a layout to be tried."""


def is_number_format(text: str) -> bool:
    """Whether a text is a format as `find_number_format` gives it, or `codes`."""
    parts = text.split(", ")
    return parts == [word for word in WORDS if word in parts]


def find_number_format(words: pa.StringArray, counts: np.ndarray) -> tuple[str | None, float]:
    """The format under which most cells are numbers, and their share.

    Args:
        words: (D,) different words, none null.
        counts: (D,) cells of each.
    Returns: the format, None for plain numbers; and a share in [0, 1].
    """
    pa = require("pyarrow", extra="tabular")
    total = int(counts.sum())
    if not total:
        return None, 0.0
    plain = _matches(words, _PLAIN) | _matches(words, _INFINITE)
    share = float(counts[plain].sum() / total)
    if plain.all():
        return None, share
    if not plain.any() and _matches(words, r"^(?i:true|false)$").all():
        return BOOLEAN, 1.0
    # Most columns of words end here: no layout makes a number of a word that has other letters.
    odd = ~plain & _matches(words, rf"^[^\pL]*(?:{_SIGNS})?[^\pL]*\d[^\pL]*(?:{_SIGNS})?[^\pL]*$")
    if counts[odd].sum() == 0:
        return None, share
    rest = words.filter(pa.array(odd))
    both = words.filter(pa.array(odd | plain))  # 1.234 is plain, and has a group beside 1,5
    clock = float(counts[_matches(words, _CLOCK)].sum() / total)
    if not plain.any() and clock > 0.5:
        return CLOCK, clock
    marks = [
        mark
        for mark, pattern in (
            (PERCENT, r"%\s*\)?$"),
            (CURRENCY, rf"^[(+−–-]*\s*{_SIGNS}|{_SIGNS}\s*\)?$"),
            (BRACKETS, r"^\(.*\)$"),
        )
        if _matches(rest, pattern).any()
    ]
    best = None
    for layout in _LAYOUTS:
        if all(_matches(both, _MARKS[word]).any() for word in layout):
            chosen = [word for word in WORDS if word in (*layout, *marks)]
            found = float(counts[_read(words, chosen)[1]].sum() / total)
            if found > share:
                best, share = ", ".join(chosen), found
    return best, share


def parse_numbers(
    words: pa.StringArray, number_format: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that words stand for.

    Args:
        words: (D,) none null, blanks around them taken off.
        number_format: as `find_number_format` gives it.
    Returns: (D,) float64, NaN where a word is no number, and (D,) bool, whether it is one. An infinite
        number is one, and stays infinite.
    """
    return _read(words, number_format.split(", ") if number_format else [])


def _read(words: pa.StringArray, chosen: list[str]) -> tuple[np.ndarray, np.ndarray]:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    if BOOLEAN in chosen:
        lower = pc.utf8_lower(words)
        # numbers beside the words: another table may hold 0 and 1 where the first held words
        is_true = pc.equal(lower, "true").to_numpy(zero_copy_only=False)
        is_false = pc.equal(lower, "false").to_numpy(zero_copy_only=False)
        numbers, is_number = _plain(words)
        return np.where(
            is_true, 1.0, np.where(is_false, 0.0, numbers)
        ), is_number | is_true | is_false
    if CLOCK in chosen:
        return _clock(words)
    words = pc.replace_substring_regex(words, r"^[−–]", "-")
    if BRACKETS in chosen:
        words = pc.replace_substring_regex(words, r"^\(\s*(.*?)\s*\)$", r"-\1")
    if CURRENCY in chosen:
        words = pc.replace_substring_regex(words, rf"^([+-]?)\s*{_SIGNS}\s*([+-]?)", r"\1\2")
        words = pc.replace_substring_regex(words, rf"\s*{_SIGNS}$", "")
    if PERCENT in chosen:
        words = pc.replace_substring_regex(words, r"\s*%$", "")
    point = "," if DECIMAL_COMMA in chosen else "."
    group = next((GROUPS[word] for word in chosen if word in GROUPS), "")
    if point == "." and not group:
        return _plain(words)
    if group == " ":
        words = pc.replace_substring_regex(words, "[\u00a0\u202f\u2009]", " ")
    elif group == "'":
        words = pc.replace_substring(words, "’", "'")
    mark, comma = (f"\\{c}" if c in ".," else c for c in (group, point))
    whole = r"\d+" if not group else rf"(?:[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|\d+)"
    fits = _matches(
        words, rf"^[+-]?(?:{whole}(?:{comma}\d*)?|{comma}\d+)(?:[eE][+-]?\d+)?$"
    ) | _matches(words, _INFINITE)
    if group:
        words = pc.replace_substring(words, group, "")
    words = pc.replace_substring(words, point, ".")
    numbers, is_number = _plain(pc.if_else(pa.array(fits), words, ""))
    return numbers, is_number


def _plain(words: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    is_number = _matches(words, _PLAIN)
    is_infinite = _matches(words, _INFINITE)
    numbers = np.full(len(words), np.nan)
    numbers[is_number] = pc.cast(words.filter(pa.array(is_number)), pa.float64()).to_numpy(
        zero_copy_only=False
    )
    if is_infinite.any():
        is_minus = pc.starts_with(words, "-").to_numpy(zero_copy_only=False)
        numbers[is_infinite] = np.where(is_minus, -np.inf, np.inf)[is_infinite]
    return numbers, is_number | is_infinite


def _clock(words: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Times of day as seconds since midnight; plain numbers are seconds already."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    numbers, is_number = _plain(words)
    fits = _matches(words, _CLOCK)
    if fits.any():
        parts = pc.extract_regex(words.filter(pa.array(fits)), pattern=_CLOCK)
        h, m, s = (
            pc.cast(pc.replace_substring_regex(part, "^$", "0"), pa.float64()).to_numpy(
                zero_copy_only=False
            )
            for part in parts.flatten()
        )
        numbers[fits] = h * 3600 + m * 60 + s
    return numbers, is_number | fits


def _matches(words: pa.StringArray, pattern: str) -> np.ndarray:
    pc = require("pyarrow.compute", extra="tabular")
    return pc.match_substring_regex(words, pattern).to_numpy(zero_copy_only=False)
