"""The function `read` of a script of a table: each column in the way that gives what the run read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drivetrain.eject.known import Known
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.text import indented
from drivetrain.tabular.columns import date_text
from drivetrain.tabular.ejecting.corrected import found_rows, with_labels, with_targets, without
from drivetrain.tabular.ejecting.data import TableWriter
from drivetrain.tabular.ejecting.reading import PLAIN, TRIMMED, WORDS


def read_written(table: TableWriter) -> Written:
    """The function `read`, and the constants that name the columns."""
    table.name_columns()
    reading = table.reading
    uses: dict[str, Any] = {}
    extra = _extra_settings(table)
    texts = {way.text for way in reading.ways.values()}
    for way in reading.ways.values():
        uses |= {function.__name__: function for function in way.uses}
    _know_dates(table)
    table.lifter.add_import(Import("numpy", "", "np"))
    table.lifter.add_import(Import("pathlib", "Path"))
    table.lifter.add_import(Import("typing", "Any"))
    if reading.is_parquet:
        table.lifter.add_import(Import("pyarrow", "parquet"))
        names = f"[{_starred(table.bases)}]"
        lines = [f"names = {names}", "table = parquet.read_table(path, columns=names)"]
        if any("MISSING" in text for text in texts):
            table.setting("MISSING", reading.missing, "words that mean a value is missing")
    else:
        table.lifter.add_import(Import("pyarrow", "csv"))
        table.setting("MISSING", reading.missing, "words that mean a value is missing")
        lines = [
            f"types = {_types(table, extra)}",
            f"table = csv.read_csv({_csv_options(table)})",
        ]
    beside, made = _corrected(table, uses)
    lines += made
    lines += _values(table, extra, "names" if reading.is_parquet else "types")
    if any("compute." in text for text in texts):
        table.lifter.add_import(Import("pyarrow", "compute"))
    table.lifter.add_import(Import("pyarrow", "", "pa"))
    what = [
        *(["numbers as float64 (NaN: missing)"] if PLAIN in texts else []),
        *(["dates as datetime64"] if table.dates else []),
        *(["words as codes into levels"] if "as_words" in uses else []),
    ]
    text = _READ.format(what=_capital(", ".join(what)), body=indented(lines, 1))
    return Written(beside + text, "data", uses)


def _corrected(table: TableWriter, uses: dict[str, Any]) -> tuple[str, list[str]]:
    """Statements that make the corrections of a patch, and those of `read` that follow them."""
    made = table.corrections
    if not len(made):
        return "", []
    written, files = made.write("positions of rows, from 0", table.setting, table.lifter)
    table.beside |= files
    rows = ["*RELABELLED"] * bool(made.relabelled) + ["*LEFT_OUT"] * bool(made.left_out)
    uses["found_rows"] = found_rows
    lines = [made.check(f"found_rows(table, [{', '.join(rows)}])", uses, table.setting)]
    if made.relabelled and len(table.goal.names) > 1:
        uses["with_targets"] = with_targets
        lines.append("table = with_targets(table, TARGETS, RELABELLED)")
    elif made.relabelled:
        uses["with_labels"] = with_labels
        lines.append("table = with_labels(table, TARGET, RELABELLED)")
    if made.left_out:
        uses["without"] = without
        lines.append("table = without(table, LEFT_OUT)")
    for one in written:
        uses |= one.uses
    return "".join(f"{one.text}\n\n" for one in written), lines


def _know_dates(table: TableWriter) -> None:
    """The patterns of dates that are read as words are made now."""
    ways = table.reading.ways.values()
    forms = sorted({way.written for way in ways if way.written})
    patterns = {form: date_text._pattern(form) for form in forms}
    found = repr(patterns[forms[0]]) if len(forms) == 1 else f"{patterns!r}[date_format]"
    if not set(forms) & date_text.EPOCHS.keys():
        table.known["drivetrain.tabular.columns.date_text:parse_dates"] = {
            "date_format in EPOCHS": Known(False)
        }
    table.instead["drivetrain.tabular.columns.date_text:_pattern"] = (
        f"def _pattern(date_format):\n    return {found}\n"
    )


def _extra_settings(table: TableWriter) -> dict[str, str]:
    """Constants for columns that are read in a way of their own, by the text of it."""
    found: dict[str, str] = {}
    for way in table.reading.ways.values():
        if way.setting and way.text not in found:
            members = tuple(n for n, w in table.reading.ways.items() if w.text == way.text)
            count = sum(name.startswith(way.setting) for name in found.values())
            name = f"{way.setting}_{count + 1}" if count else way.setting
            found[way.text] = table.setting(name, members, way.reason)
    return found


def _types(table: TableWriter, extra: dict[str, str]) -> str:
    """What `pyarrow` reads each column as, an expression."""
    types = {name: way.type for name, way in table.reading.ways.items()}
    by_type: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    for constant, members in table.bases.items():
        plain = [name for name in members if name not in table.dates]
        usual = "string" if constant == "CATEGORIES" else types[(plain or list(members))[0]]
        usual = "float64" if constant == "NUMBERS" and plain else usual
        by_type.setdefault(usual, []).append(constant)
        said |= dict.fromkeys(members, usual)
    parts = [_types_of(by, constants) for by, constants in by_type.items()]
    if table.dates and any(said[name] != "timestamp" for name in table.dates):
        parts.append(_types_of("timestamp", ["DATES"]))
        said |= dict.fromkeys(table.dates, "timestamp")
    for text, constant in extra.items():
        members = [n for n, w in table.reading.ways.items() if w.text == text]
        if any(said[name] != types[name] for name in members):
            parts.append(_types_of(types[members[0]], [constant]))
            said |= {name: types[name] for name in members}
    assert said == types, "each column is read as its way says"
    return " | ".join(parts)


def _csv_options(table: TableWriter) -> str:
    reading = table.reading
    options = ["path"]
    for name, values in (("Read", reading.read), ("Parse", reading.parse)):
        if values:
            listed = ", ".join(f"{key}={_option(key, one)}" for key, one in values.items())
            options.append(f"{name.lower()}_options=csv.{name}Options({listed})")
    if "column_names" in reading.read:
        table.setting(
            "COLUMN_NAMES", tuple(reading.read["column_names"]), "of all columns, in order"
        )
    forms = f", timestamp_parsers={reading.forms!r}" if reading.forms else ""
    options.append(
        "convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types), "
        f"null_values=MISSING, strings_can_be_null=True{forms})"
    )
    return ", ".join(options)


def _values(table: TableWriter, extra: dict[str, str], names: str) -> list[str]:
    """Statements that give the columns as arrays."""
    ways = table.reading.ways
    chain = [(f"name in {constant}", text) for text, constant in extra.items()]
    rest = {name: way.text for name, way in ways.items() if way.text not in extra}
    others = [[n for n in of if n not in table.dates] for of in table.bases.values()]
    for of in (table.dates, *others):
        texts = {rest[name] for name in of if name in rest}
        assert len(texts) <= 1, "what is not read as the others of its kind has a constant"
    for text in (WORDS.text, TRIMMED.text, *dict.fromkeys(rest.values())):
        members = [name for name, one in rest.items() if one == text]
        if members and text != PLAIN:
            chain.append((_is_one_of(table, members), text))
            rest = {name: one for name, one in rest.items() if one != text}
    if rest:
        default = PLAIN
    else:
        default = chain.pop()[1]
    if len(chain) <= 1:
        value = _of(default, "table[name]")
        if chain:
            value = f"{_of(chain[0][1], 'table[name]')} if {chain[0][0]} else {value}"
        return [f"return {{name: {value} for name in {names}}}"]
    lines = ["", "def values(name: str) -> Any:", "    column = table[name]"]
    for condition, text in chain:
        lines += [f"    if {condition}:", f"        return {_of(text, 'column')}"]
    lines += [f"    return {_of(default, 'column')}", ""]
    return [*lines, f"return {{name: values(name) for name in {names}}}"]


def _is_one_of(table: TableWriter, members: Sequence[str]) -> str:
    """Whether `name` is one of these columns, an expression."""
    if set(members) == set(table.dates):
        return "name in DATES"
    bases = {
        constant: tuple(name for name in of if name in members)
        for constant, of in table.bases.items()
        if set(of) & set(members)
    }
    whole = {c: m for c, m in bases.items() if set(m) == set(table.bases[c]) or c != "NUMBERS"}
    names = list(whole)
    if len(names) == 1:
        return f"name in {names[0]}" if names[0] in _MANY else f"name == {names[0]}"
    return f"name in ({_starred(names)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of(text: str, column: str) -> str:
    """The expression of a way for a column. No `format`: signs of a date's form may be in it."""
    return text.replace("{}", column)


def _starred(constants: Any) -> str:
    """`*NUMBERS, TARGET`."""
    return ", ".join(f"*{name}" if name in _MANY else name for name in constants)


def _types_of(by: str, constants: Sequence[str]) -> str:
    arrow = 'pa.timestamp("us")' if by == "timestamp" else f"pa.{by}()"
    if len(constants) == 1 and constants[0] not in ("TARGET", "TIME", "GROUPS"):
        return f"dict.fromkeys({constants[0]}, {arrow})"
    if len(constants) == 1:
        return f"{{{constants[0]}: {arrow}}}"
    return f"dict.fromkeys(({_starred(constants)}), {arrow})"


def _option(key: str, value: Any) -> str:
    if key == "invalid_row_handler":
        return 'lambda row: "skip"'
    return "COLUMN_NAMES" if key == "column_names" else repr(value)


_MANY = ("NUMBERS", "CATEGORIES", "TARGETS", "DATES")
"""Constants that name several columns."""

_READ = '''
def read(path: Path) -> dict[str, Any]:
    """{what}."""
{body}
'''
