"""An embedding is a table, and using it is looking a row up: three ways to the same numbers.

    found = look_up(factors.items, [3, 1])
    found.one_hots() @ factors.items        # the same to the last bit, and V times the work

Words go by an index: word -> row -> vector, the `MATCH` and `OFFSET` of a spreadsheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, DataError, ShapeError


@dataclass(frozen=True, eq=False)
class LookUp:
    """Rows of a table, and how a spreadsheet would find them."""

    keys: tuple[str, ...]
    """(N,) what was looked up: words, or codes as text."""
    codes: np.ndarray
    """(N,) int64 rows of the table, from 0."""
    vectors: np.ndarray
    """(N, F) the table's numbers, in its dtype."""
    num_rows: int
    """V, of the table."""

    def one_hots(self) -> np.ndarray:
        """(N, V) in the table's dtype: 1 in the column of each code, else 0.

        Times the table (V, F) they are `vectors`, to the last bit: each sum has one term that is not
        zero. An embedding leaves the zeros out.
        """
        return (self.codes[:, None] == np.arange(self.num_rows)).astype(self.vectors.dtype)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "keys": list(self.keys),
            "codes": self.codes.tolist(),
            "vectors": self.vectors.tolist(),
        }

    def __str__(self) -> str:
        width = max(map(len, self.keys), default=0)
        lines = [f"{'':{width}}  MATCH  OFFSET"]
        for key, code, vector in zip(self.keys, self.codes, self.vectors, strict=True):
            numbers = " ".join(f"{number:8.4f}" for number in vector[:8])
            more = f"  and {len(vector) - 8} more" if len(vector) > 8 else ""
            lines.append(f"{key:{width}}  {code + 1:5d}  {numbers}{more}")
        return "\n".join(lines)


def look_up(
    table: np.ndarray,
    keys: int | str | Sequence[int] | Sequence[str] | np.ndarray,
    index: Sequence[str] | Mapping[str, int] | None = None,
) -> LookUp:
    """Rows of an embedding's table: word -> index -> vector, as a spreadsheet's MATCH and OFFSET do.

    `MATCH(word, words, 0)` counts from 1, and so does the table that is printed; `codes` count from 0.
    A word that is not there is an error. MATCH without its 0 looks for the nearest instead, and answers
    with the row of another word.

    Args:
        table: (V, F), such as `factors.items`.
        keys: a code or a word, or several.
        index: the words of the rows in order, or word -> row; needed for words.

    Raises: DataError: a word or code that the table does not have. ShapeError: `table` is no (V, F), or
        has another number of rows than there are words. ConfigError: words and no `index`.
    """
    if table.ndim != 2:
        raise ShapeError(f"`look_up` needs a table of shape (V, F). Got {table.shape}.")
    wanted: list[Any] = [keys] if isinstance(keys, str | int | np.integer) else list(keys)
    if all(isinstance(key, int | np.integer) and not isinstance(key, bool) for key in wanted):
        codes = np.array(wanted, dtype=np.int64)
    else:
        codes = _places(wanted, index)
    wrong = codes[(codes < 0) | (codes >= len(table))]
    if len(wrong):
        raise DataError(f"The table has the rows 0 to {len(table) - 1}. Got {wrong[0]}.")
    if index is not None and len(index) != len(table):
        raise ShapeError(f"`index` has {len(index)} words for a table of {len(table)} rows.")
    return LookUp(tuple(map(str, wanted)), codes, table[codes], len(table))


def _places(words: Sequence[Any], index: Sequence[str] | Mapping[str, int] | None) -> np.ndarray:
    if index is None:
        raise ConfigError(
            f"`look_up` needs `index`, the words of the rows, to find {words[0]!r}; or give codes."
        )
    if isinstance(index, Mapping):
        places = index
    else:
        places = {
            word: place for place, word in reversed([*enumerate(index)])
        }  # the first of twins
    missing = [word for word in words if word not in places]
    if missing:
        near = did_you_mean(str(missing[0]), places)
        raise DataError(
            f"{missing[0]!r} is not among the {len(places):,} words of the table.{near}"
        )
    return np.array([places[word] for word in words], dtype=np.int64)
