"""How a script reads texts of a table: the rows of a CSV or Parquet file."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivetrain._optional import require
from drivetrain.eject.corrections import Corrections
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.errors import EjectError
from drivetrain.text import reading as library
from drivetrain.text.base import PAIR_MARK
from drivetrain.text.data import TextData
from drivetrain.text.ejecting.corrected import (
    Row,
    before_patch,
    corrected_rows,
    corrections_of_rows,
)
from drivetrain.text.ejecting.read_function import Reading


@dataclass(frozen=True)
class _Plan:
    """A table, and the short way in which a script reads it."""

    data: TextData
    pieces: Sequence[tuple[str, str | None]]
    """Words and columns of which a text is put together."""
    texts: Sequence[str]
    """The columns of the text."""
    targets: Sequence[str]
    further: str | None
    """The column of groups, times or parts."""
    is_parquet: bool
    trims: bool
    """Whether blanks around cells go."""
    rows: Sequence[Row]
    """Those of the run."""
    table: Any
    drops: bool
    """Whether rows without a text or a label are left out."""


def reading_of_table(data: TextData, lifter: Lifter, whole: Sequence[str] | None) -> Reading:
    """How the script of a run reads the texts of a table.

    Args:
        lifter: is told what is imported.
        whole: as of `reading.reading_of`.

    Raises: EjectError: no short way gives what the run read.
    """
    recipe = data.recipe
    source = Path(recipe["source"])
    assert data.template is not None, "a table"
    before = before_patch(data)
    after = data.texts if whole is None else list(whole)
    wanted = after if recipe.get("patch") is None else before.texts
    if data.are_pairs and any(text.count(PAIR_MARK) > 1 for text in wanted):
        raise EjectError(
            f"A text of {source} holds the character U+001E, by which pairs are parted here. Take it "
            "out, and train anew."
        )
    names = _columns_of(data)
    pieces = library.template_of(data.template, names)
    texts = list(dict.fromkeys(name for _, name in pieces if name is not None))
    # the target's name is that of its columns, put together
    targets = recipe["target"] if len(recipe["target"] or ()) > 1 else []
    if not targets and data.goal is not None:
        targets = [data.goal.name]
    further = recipe["group"] or recipe["time"] or recipe["split_column"]
    columns = [*texts, *targets, *([further] if further else [])]
    is_parquet = source.suffix.lower() in (".parquet", ".pq")
    for trims in (False, True):
        table = _read(source, columns, is_parquet, recipe["delimiter"])
        found = _rows(table, pieces, texts, targets, further, trims)
        same_texts = [one.text for one in found] == wanted
        labels = [str(one) for one in before.labels]
        if same_texts and (not targets or [str(one.label) for one in found] == labels):
            break
    else:
        raise _otherwise(source)
    made, kept = corrections_of_rows(before, found, table, targets, source)
    said = float if data.goal is not None and data.goal.kind == "number" else str
    labels = [said(one.label) for one in kept] == [said(one) for one in data.labels]
    if [one.text for one in kept] != after or (targets and not labels):
        raise _otherwise(source)
    plan = _Plan(
        data,
        pieces,
        texts,
        targets,
        further,
        is_parquet=is_parquet,
        trims=trims,
        rows=kept,
        table=table,
        drops=len(found) < table.num_rows,
    )
    return _written(plan, made, lifter)


def _otherwise(source: Path) -> EjectError:
    return EjectError(
        f"{source} is read in a way that a short script would not (its encoding, quotes or rows set "
        "aside). Write it anew with `pandas.read_csv` and `to_parquet`, and train from that."
    )


def _columns_of(data: TextData) -> list[str]:
    from drivetrain.data.tables.reading import open_table

    recipe = data.recipe
    opened = open_table(
        recipe["source"],
        delimiter=recipe["delimiter"],
        encoding=recipe["encoding"],
        missing=(),
    )
    return list(opened.names)


def _read(source: Path, columns: Sequence[str], is_parquet: bool, delimiter: str | None) -> Any:
    pa = require("pyarrow", extra="tabular")
    try:
        if is_parquet:
            return require("pyarrow.parquet", extra="tabular").read_table(
                source, columns=list(columns)
            )
        csv = require("pyarrow.csv", extra="tabular")
        return csv.read_csv(
            source,
            parse_options=csv.ParseOptions(delimiter=delimiter or ",", newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=list(columns),
                column_types={name: pa.string() for name in columns},
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise EjectError(
            f"{source} is read in a way that a short script would not: {error}. Write it anew as a "
            "Parquet file, and train from that."
        ) from error


def _rows(
    table: Any,
    pieces: Sequence[tuple[str, str | None]],
    texts: Sequence[str],
    targets: Sequence[str],
    further: str | None,
    trims: bool,
) -> list[Row]:
    """The rows that are kept, as the script reads them."""
    found = []
    for at, row in enumerate(table.to_pylist()):
        cells = {name: row[name] or "" for name in texts}
        if trims:
            cells = {name: cell.strip() for name, cell in cells.items()}
        told = [row[name] for name in targets]
        if trims:
            told = [one.strip() if isinstance(one, str) else one for one in told]
        label = told[0] if len(told) == 1 else tuple(told)
        if any(cell.strip() for cell in cells.values()) and not any(map(_is_missing, told)):
            value = None if further is None else row[further]
            found.append(Row(at, library.filled(pieces, cells), label, value))
    return found


def _is_missing(label: Any) -> bool:
    return label is None or (isinstance(label, str) and not label.strip())


def _written(plan: _Plan, made: Corrections, lifter: Lifter) -> Reading:
    """The function `read`, of what is known of the table."""
    reading = Reading(help=f"the table, a {'Parquet' if plan.is_parquet else 'CSV'} file")
    data, pieces, texts, targets = plan.data, plan.pieces, plan.texts, plan.targets
    further, found, table = plan.further, plan.rows, plan.table
    corrected, uses = corrected_rows(
        reading, made, "LABELS" if len(targets) > 1 else "LABEL", lifter
    )
    settings = [Setting("LABEL", name, "the column of what is told of a text") for name in targets]
    if len(targets) > 1:
        settings = [Setting("LABELS", tuple(targets), "the columns of what is told of a text")]
    strip = ".strip()" if plan.trims else ""
    if len(texts) == 1:
        settings.insert(0, Setting("TEXT", texts[0], "the column of the texts"))
    cells = ["TEXT"] if len(texts) == 1 else [repr(name) for name in texts]
    kind_of = "" if data.goal is None else data.goal.kind
    blank = " or ".join(f"row[{cell}].strip()" for cell in cells)
    is_plain = len(pieces) == 1 and not pieces[0][0]
    text = f"row[TEXT]{strip}" if is_plain else _f_string(pieces, strip)
    if data.are_pairs:
        text = f"({', '.join(f'row[{name!r}]{strip}' for name in texts)})"
    label = (
        f"row[LABEL]{strip}" if any(isinstance(one.label, str) for one in found) else "row[LABEL]"
    )
    if kind_of == "class" and not all(isinstance(one.label, str) for one in found):
        label = f"str({label})"
    label_columns = ["*LABELS"] if len(targets) > 1 else ["LABEL"]
    told = [value for name in targets for value in table.column(name).to_pylist()]
    is_blank = any(one is not None and _is_missing(one) for one in told)
    is_known = " and (row[LABEL] or '').strip()" if is_blank else " and row[LABEL] is not None"
    if len(targets) > 1:
        label = f"tuple(row[name]{strip} for name in LABELS)"
        if made.relabelled:  # what a patch gives is one label, in the place of all
            label = f"row.get(LABELS, {label})"
        is_known = " and None not in [row[name] for name in LABELS]"
        if is_blank:
            is_known = " and all((row[name] or '').strip() for name in LABELS)"
    if not targets:
        is_known, label_columns = "", []
    columns = [*(["TEXT"] if len(texts) == 1 else cells), *label_columns]
    extra = ""
    if further is not None:
        extra = "groups" if data.recipe["group"] else "times" if data.recipe["time"] else "parts"
        name = {"groups": "GROUPS", "times": "TIME", "parts": "PART"}[extra]
        reason = {
            "groups": "texts with the same value here stay together",
            "times": "the column that texts are split by",
            "parts": "the column that says which texts validate",
        }[extra]
        settings.append(Setting(name, further, reason))
        columns.append(name)
    nulls = any(table[name].null_count for name in texts)
    cell_fix = (
        f"    rows = [{{name: value or '' if name in {tuple(texts)!r} else value "
        "for name, value in row.items()} for row in rows]\n"
        if nulls
        else ""
    )
    keep = ""
    if plan.drops:
        keep = f"    rows = [row for row in rows if ({blank}){is_known}]\n"
    listed = f"[{', '.join(columns)}]"
    delimiter = data.recipe["delimiter"] or ","
    if plan.is_parquet:
        open_lines = f"rows = parquet.read_table(path, columns={listed}).to_pylist()"
        imports = [Import("pyarrow", "parquet")]
    else:
        given = "" if delimiter == "," else f"delimiter={delimiter!r}, "
        open_lines = (
            f"types = dict.fromkeys({listed}, pa.string())\n"
            "    table = csv.read_csv(\n"
            "        path,\n"
            f"        parse_options=csv.ParseOptions({given}newlines_in_values=True),\n"
            "        convert_options=csv.ConvertOptions(include_columns=list(types), "
            "column_types=types),\n"
            "    )\n"
            "    rows = table.to_pylist()"
        )
        imports = [Import("pyarrow", "csv"), Import("pyarrow", "", "pa")]
    kind = "str" if kind_of == "class" else "Any"
    beside = {"groups": ", [str(row[GROUPS]) for row in rows]", "times": ", [row[TIME] for row in rows]",
              "parts": ", [row[PART] in VALID_PARTS for row in rows]", "": ""}[extra]  # fmt: skip
    if extra == "parts":
        valid = set(data.split.valid)
        said = tuple(sorted({str(found[row].further) for row in valid}))
        test = tuple(sorted({str(found[row].further) for row in data.split.test}))
        settings.append(Setting("VALID_PARTS", said, ""))
        if test:
            settings.append(Setting("TEST_PARTS", test, "the test stays sealed"))
            keep += "    rows = [row for row in rows if row[PART] not in TEST_PARTS]\n"
    of_text = "tuple[str, str]" if data.are_pairs else "str"
    answer = f"tuple[list[{of_text}], list[{kind}]{', list[Any]' if extra else ''}]"
    also = {"": "", "groups": ", and the group of each", "times": ", and the time of each",
            "parts": ", and whether each validates"}[extra]  # fmt: skip
    what, given = " and what is told of them", f", [{label} for row in rows]"
    if not targets:
        answer, what, given, beside, also, extra = "list[str]", "", "", "", "", ""
    body = _READ_TABLE.format(
        kind=answer, open=open_lines, corrected=corrected, fix=cell_fix, keep=keep, text=text, told=what,
        given=given, beside=beside, also=also,
    )  # fmt: skip
    reading.written.append(Written(body, "data", uses))
    reading.settings = [*settings, *reading.settings]
    reading.imports = [*imports, Import("pathlib", "Path"), Import("typing", "Any")]
    reading.extra = extra
    return reading


def _f_string(pieces: Sequence[tuple[str, str | None]], strip: str) -> str:
    """An f-string that makes the text of `row`."""
    parts: list[ast.expr] = []
    for words, name in pieces:
        if words:
            parts.append(ast.Constant(words))
        if name is not None:
            value = ast.parse(f"row[{name!r}]{strip}", mode="eval").body
            parts.append(ast.FormattedValue(value, -1))
    return ast.unparse(ast.JoinedStr(parts))


_READ_TABLE = '''
def read(path: Path) -> {kind}:
    """Texts{told}, in the order of the table{also}."""
    {open}
{corrected}{fix}{keep}    texts = [{text} for row in rows]
    return texts{given}{beside}
'''
