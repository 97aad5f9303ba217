"""From a file to columns, in a script that predicts: cells read as their columns were in training."""

from __future__ import annotations

import textwrap

from drivetrain.data.frame import Factor
from drivetrain.eject.parts import Written
from drivetrain.tabular.columns import date_text, dates, number_text
from drivetrain.tabular.columns.number_text import parse_numbers
from drivetrain.tabular.columns.parsing import same_words
from drivetrain.tabular.rows import Reader


def reading_written(reader: Reader) -> list[Written]:
    """The function `read`, and those for the kinds of columns that the model has."""
    used = [reader.schema[name] for name in reader.features]
    kinds = {column.kind for column in used}
    numbers = {column.number_format for column in used if column.kind == "number"}
    codes = {column.number_format for column in used if column.kind == "category"}
    found, branches = [Written(_COLUMNS, "settings")], []
    if numbers == {None}:
        found.append(Written(_PLAIN_NUMBERS, "open", {"plain": number_text._plain}))
    elif numbers:
        found.append(Written(_ANY_NUMBERS, "open", {"parse_numbers": parse_numbers}))
    if "date" in kinds:
        found.append(Written(_DATES, "settings"))
        found.append(Written(_READ_DATES, "open", {"parse_dates": date_text.parse_dates}))
    if codes == {None}:
        found.append(Written(_PLAIN_WORDS, "open", {"Factor": Factor}))
    elif codes:
        uses = {"Factor": Factor, "same_words": same_words}
        found.append(Written(_ANY_WORDS, "open", uses))
    for kind, line in (
        ("number", "columns[column.name] = numbers_of(column, cells)"),
        ("category", "columns[column.name] = words_of(column, cells)"),
        (
            "date",
            "columns |= parts_of(column.name, dates_of(column, cells), DATES[column.name])",
        ),
    ):
        if kind in kinds:
            word = "elif" if branches else "if"
            branches += [f"{word} column.kind == {kind!r}:", f"    {line}"]
    if len(kinds) == 1:
        branches = [branches[1].strip()]
    uses = {"parts_of": dates._parts} if "date" in kinds else {}
    body = textwrap.indent("\n".join(branches), "        ")
    return [
        *found,
        Written(_READ_CSV, "open"),
        Written(_READ.format(branches=body), "open", uses),
    ]


_COLUMNS = '''
class Column(NamedTuple):
    """A column that the model needs, and how its cells are written."""

    name: str
    kind: str
    date_format: str | None
    number_format: str | None


COLUMNS = [
    Column(one["name"], one["kind"], one["date_format"], one["number_format"])
    for one in READER["schema"]["columns"]
    if one["name"] in READER["features"]
]
COLUMNS.sort(key=lambda one: READER["features"].index(one.name))
MISSING = sorted({"", *(word.strip() for word in READER["missing"])})
'''

_DATES = """
DATES = READER["dates"]  # and whether they tell the time of day
"""

_PLAIN_NUMBERS = '''
def numbers_of(column: Column, cells: pa.Array) -> np.ndarray:
    """(N,) float64, NaN where there is no number."""
    if pa.types.is_string(cells.type):
        words = cells.dictionary_encode()
        numbers, is_number = plain(compute.replace_substring_regex(words.dictionary, "^[−–]", "-"))
        note_unread(column, words.dictionary, ~is_number)
        numbers = np.append(numbers, np.nan)[words.indices.fill_null(-1).to_numpy()]
    else:
        kind = pa.uint8() if pa.types.is_boolean(cells.type) else pa.float64()
        numbers = cells.cast(kind).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isinf(numbers), np.nan, numbers)
'''

_ANY_NUMBERS = '''
def numbers_of(column: Column, cells: pa.Array) -> np.ndarray:
    """(N,) float64, NaN where there is no number."""
    if pa.types.is_string(cells.type):
        words = cells.dictionary_encode()
        numbers, is_number = parse_numbers(words.dictionary, column.number_format)
        if column.number_format is not None and not is_number.all():
            others, are_numbers = parse_numbers(words.dictionary, None)
            if are_numbers.all():  # this table holds the same numbers written plainly
                numbers, is_number = others, are_numbers
        note_unread(column, words.dictionary, ~is_number)
        numbers = np.append(numbers, np.nan)[words.indices.fill_null(-1).to_numpy()]
    else:
        kind = pa.uint8() if pa.types.is_boolean(cells.type) else pa.float64()
        numbers = cells.cast(kind).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isinf(numbers), np.nan, numbers)
'''

_READ_DATES = '''
def dates_of(column: Column, cells: pa.Array) -> np.ndarray:
    """(N,) datetime64, NaT where there is no date."""
    if not pa.types.is_string(cells.type):
        return cells.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    words = cells.dictionary_encode()
    dates = parse_dates(words.dictionary, column.date_format or "%Y-%m-%d").values
    if np.isnat(dates).any():  # this form is the same everywhere
        iso = parse_dates(words.dictionary, "%Y-%m-%d").values
        dates = np.where(np.isnat(dates), iso, dates)
    note_unread(column, words.dictionary, np.isnat(dates))
    return np.append(dates, np.datetime64("NaT"))[words.indices.fill_null(-1).to_numpy()]
'''

_AS_WORDS = '''
def words_of(column: Column, cells: pa.Array) -> Factor:
    """Words as codes into their levels, -1 where there is none."""
    if pa.types.is_floating(cells.type):
        numbers = [None if x is None or x != x else x for x in cells.to_pylist()]
        shown = [str(int(x)) if x is not None and x.is_integer() else repr(x) for x in numbers]
        pairs = zip(numbers, shown, strict=True)
        cells = pa.array([None if x is None else word for x, word in pairs], pa.string())
    words = {words}.dictionary_encode()
    return Factor(words.indices.fill_null(-1).to_numpy(), tuple(words.dictionary.to_pylist()))
'''
_PLAIN_WORDS = _AS_WORDS.format(words="cells.cast(pa.string())")
_ANY_WORDS = _AS_WORDS.format(words="same_words(cells.cast(pa.string()), column.number_format)")

_READ_CSV = '''
def header(records: Any) -> list[str]:
    """The columns' names, from the first row."""
    return [" ".join(name.split()) for name in next(records, [])]


def read_csv(path: str) -> tuple[pa.Table, list[int]]:
    """The columns that the model needs, as words, and which rows they are of."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        gone: dict[str, list[str]] = {}
        for delimiter in ",\t;|":
            file.seek(0)
            names = header(csv.reader(file, delimiter=delimiter))
            gone[delimiter] = [column.name for column in COLUMNS if column.name not in names]
        delimiter = min(gone, key=lambda one: len(gone[one]))
        if gone[delimiter]:
            raise ValueError(f"the first row does not name the columns {gone[delimiter]}")
        file.seek(0)
        records = csv.reader(file, delimiter=delimiter)
        names = header(records)
        rows, numbers = [], []
        for number, row in enumerate(row for row in records if row):
            if len(row) == len(names):
                rows.append(row)
                numbers.append(number)
            else:
                says = f"row {number + 1} has {len(row)} fields, and the header {len(names)}"
                print(f"{path}: {says}: left out", file=sys.stderr)
    places = {column.name: names.index(column.name) for column in COLUMNS}
    cells = {name: pa.array([row[at] for row in rows], pa.string()) for name, at in places.items()}
    return pa.table(cells), numbers


def read_parquet(path: str) -> tuple[pa.Table, list[int]]:
    """The columns that the model needs, and which rows they are of."""
    with parquet.ParquetFile(path) as file:
        gone = [column.name for column in COLUMNS if column.name not in file.schema_arrow.names]
        if gone:
            raise ValueError(f"the table lacks the columns {gone}")
        table = file.read(columns=[column.name for column in COLUMNS])
    return table, list(range(table.num_rows))
'''

_READ = '''
def note_unread(column: Column, words: pa.Array, is_bad: np.ndarray) -> None:
    """Say which words are no numbers, or no dates: they count as missing."""
    if is_bad.any():
        one = words[int(np.flatnonzero(is_bad)[0])].as_py()
        says = f"{{column.name}}: {{one!r}} is no {{column.kind}} and counts as missing"
        print(says, file=sys.stderr)


def read(path: str) -> tuple[dict[str, Any], list[int]]:
    """The model's columns of a CSV or Parquet file, and which rows they are of."""
    with open(path, "rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    table, numbers = read_parquet(path) if is_parquet else read_csv(path)
    columns: dict[str, Any] = {{}}
    for column in COLUMNS:
        cells = table[column.name].combine_chunks()
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_large_string(cells.type) or pa.types.is_null(cells.type):
            cells = cells.cast(pa.string())
        if pa.types.is_string(cells.type):
            cells = compute.utf8_trim_whitespace(cells)
            cells = compute.if_else(compute.is_in(cells, pa.array(MISSING)), None, cells)
{branches}
    return columns, numbers
'''
