"""How a script reads its texts: the shortest way that gives the very texts of the run.

The library's reader takes any file; a script reads one source. So short ways are tried on the source
itself, and one is taken only where what it gives was compared with what the library read.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain._optional import require
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError
from drivetrain.text import reading as library
from drivetrain.text.base import PAIR_MARK
from drivetrain.text.data import TextData

MOST_ASIDE = 1_000
"""Names of files that were set aside, which a script lists."""


@dataclass
class Reading:
    """The function `read` of a script, and what it answers."""

    written: list[Written]
    settings: list[Setting]
    extra: str = ""
    """What `read` gives beside texts and labels: `parts`, `groups` or `times`."""
    imports: list[Import] = field(default_factory=list)
    help: str = ""
    """What the source is, for `--data`."""


def reading_of(data: TextData, lifter: Lifter, texts: Sequence[str] | None = None) -> Reading:
    """How the script of a run reads its texts.

    Args:
        texts: as they stand in the source, where those of the run were cut; a table's.

    Raises: EjectError: they came from memory, or no short way gives what the run read.
    """
    kind = data.recipe["from"]
    if kind == "texts" or not isinstance(data.recipe["source"], str):
        raise EjectError(
            "The texts came from memory, and a script reads them from a file. Write them into a CSV or "
            "Parquet file, and train from that."
        )
    if data.recipe.get("test") is not None:
        raise EjectError(
            "Texts are sealed for a test by `test`, and a script would read them with the others. Give "
            "them a folder test/ beside train/, or a column that says test, and train from that; or "
            "eject with `--level loop`, whose script leaves the reading to Drivetrain."
        )
    if any(one.reason == "class-not-in-training" for one in data.quarantined):
        if data.split.method != "folders":
            raise EjectError(
                "Some validation texts are of a class that no training text has, so the split cannot be "
                "told from what was kept. Leave those texts out of the source, and train anew."
            )
    found = _folder(data, lifter) if kind == "folder" else _table(data, texts)
    for one in found.imports:
        lifter.add_import(one)
    return found


# --- folders --------------------------------------------------------------------------------------


def _folder(data: TextData, lifter: Lifter) -> Reading:
    source = Path(data.recipe["source"])
    sealed = {data.ids[row].partition("/")[0] for row in data.split.test}
    opened = [row for part in ("train", "valid") for row in getattr(data.split, part)]
    wanted = {data.ids[row]: row for row in sorted(opened)}
    suffixes = sorted({Path(name).suffix.lower() for name in wanted})
    settings = [Setting("SUFFIXES", tuple(suffixes), "file names that are taken for texts")]
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.suffix.lower() in suffixes and path.is_file()
    }
    missing = sorted(wanted.keys() - found)
    if missing:
        raise EjectError(
            f"{source} holds links to folders, which a script does not follow ({missing[0]}). Copy the "
            "texts into one folder, and train there."
        )
    skips = []
    extra = found - wanted.keys()
    if any("/." in f"/{name}" for name in extra):
        skips.append('"/." not in f"/{path.relative_to(folder).as_posix()}"')
        extra = {name for name in extra if "/." not in f"/{name}"}
    if sealed:
        reason = "the test stays sealed"
        settings.append(Setting("TEST_FOLDERS", tuple(sorted(sealed)), reason))
        skips.append("path.relative_to(folder).parts[0] not in TEST_FOLDERS")
        extra = {name for name in extra if name.partition("/")[0] not in sealed}
    unlabelled = {
        step
        for name in extra
        for step in name.split("/")[:-1]
        if step.lower() in library.UNLABELLED
    }
    if unlabelled:
        settings.append(Setting("NO_CLASS", tuple(sorted(unlabelled)), "folders without a class"))
        skips.append("not set(path.relative_to(folder).parts) & set(NO_CLASS)")
        extra = {name for name in extra if not set(name.split("/")) & unlabelled}
    if extra:
        if len(extra) > MOST_ASIDE:
            raise EjectError(
                f"{len(extra)} files of {source} were not used, more than a script can list. Take them "
                "out of the folder, and train anew."
            )
        reasons = sorted({one.reason for one in data.quarantined if one.id in extra})
        said = f"files that cannot be used: {', '.join(reasons)}"
        settings.append(Setting("SET_ASIDE", tuple(sorted(extra)), said))
        skips.append("path.relative_to(folder).as_posix() not in SET_ASIDE")
    texts = {name: data.texts[row] for name, row in wanted.items()}
    way, uses = way_of_files(source, texts, lifter)
    label = _label_of(wanted, data)
    part = ""
    if data.split.method == "folders":
        valid = {data.ids[row].partition("/")[0] for row in data.split.valid}
        settings.append(Setting("VALID_FOLDERS", tuple(sorted(valid)), "of texts that validate"))
        part = "[path.relative_to(folder).parts[0] in VALID_FOLDERS for path in paths]"
    text = _READ_FOLDER.format(
        kind="tuple[list[str], list[str], list[bool]]" if part else "tuple[list[str], list[str]]",
        skip="".join(f"\n        and {one}" for one in skips),
        way=way,
        label=label,
        parts=f", {part}" if part else "",
        also=", and whether each validates" if part else "",
    )
    return Reading(
        [Written(text, "data", uses)],
        settings,
        extra="parts" if part else "",
        imports=[Import("pathlib", "Path")],
        help="the folder of the texts",
    )


def way_of_files(
    source: Path, wanted: dict[str, str], lifter: Lifter
) -> tuple[str, dict[str, Any]]:
    """How a file becomes a text: as Python reads it, or as the library does."""
    for encoding in ("utf-8", "utf-8-sig"):
        try:
            if all((source / n).read_text(encoding) == text for n, text in wanted.items()):
                return f'path.read_text("{encoding}")', {}
        except UnicodeDecodeError:
            break
    without_repairs(lifter)
    uses = {"decoded": library.decoded, "tidied": library.tidied}
    return "tidied(decoded(path.read_bytes()))", uses


def without_repairs(lifter: Lifter) -> None:
    """`decoded` and `tidied` without saying what they repair."""
    for function in (library.decoded, library.tidied):
        node = _Silent().visit(lifter.pieces[lifter.need(function)].node)
        del node.args.args[1:]  # a name, and where repairs are counted


class _Silent(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_told = isinstance(node.value, ast.Call) and dotted(node.value.func) == "repairs.add"
        return None if is_told else self.generic_visit(node)


def _label_of(wanted: dict[str, int], data: TextData) -> str:
    """An expression of the class of `path`."""
    for place in (0, 1):
        names = {name: name.split("/") for name in wanted}
        if all(
            len(steps) > place + 1 and steps[place] == data.labels[wanted[name]]
            for name, steps in names.items()
        ):
            return f"path.relative_to(folder).parts[{place}]"
    raise EjectError(
        f"Some texts of {data.source} are in folders train, valid or test, and others are in none, so a "
        "short script cannot tell their classes. Put all of them into one of the two forms."
    )


# --- tables ---------------------------------------------------------------------------------------


def _table(data: TextData, whole: Sequence[str] | None) -> Reading:
    recipe = data.recipe
    source = Path(recipe["source"])
    assert data.template is not None, "a table"
    wanted = data.texts if whole is None else list(whole)
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
        same_texts = [one[0] for one in found] == wanted
        labels = [str(one) for one in data.labels]
        if same_texts and (not targets or [str(one[1]) for one in found] == labels):
            break
    else:
        raise EjectError(
            f"{source} is read in a way that a short script would not (its encoding, quotes or rows set "
            "aside). Write it anew with `pandas.read_csv` and `to_parquet`, and train from that."
        )
    return _table_reading(data, pieces, texts, targets, further, is_parquet, trims, found, table)


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
) -> list[tuple[str, Any, Any]]:
    """(text, label, further) of the rows that are kept, as the script reads them."""
    found = []
    for row in table.to_pylist():
        cells = {name: row[name] or "" for name in texts}
        if trims:
            cells = {name: cell.strip() for name, cell in cells.items()}
        told = [row[name] for name in targets]
        if trims:
            told = [one.strip() if isinstance(one, str) else one for one in told]
        label = told[0] if len(told) == 1 else tuple(told)
        if any(cell.strip() for cell in cells.values()) and not any(map(_is_missing, told)):
            value = None if further is None else row[further]
            found.append((library.filled(pieces, cells), label, value))
    return found


def _is_missing(label: Any) -> bool:
    return label is None or (isinstance(label, str) and not label.strip())


def _table_reading(
    data: TextData,
    pieces: Sequence[tuple[str, str | None]],
    texts: Sequence[str],
    targets: Sequence[str],
    further: str | None,
    is_parquet: bool,
    trims: bool,
    found: Sequence[tuple[str, Any, Any]],
    table: Any,
) -> Reading:
    settings = [Setting("LABEL", name, "the column of what is told of a text") for name in targets]
    if len(targets) > 1:
        settings = [Setting("LABELS", tuple(targets), "the columns of what is told of a text")]
    strip = ".strip()" if trims else ""
    if len(texts) == 1:
        settings.insert(0, Setting("TEXT", texts[0], "the column of the texts"))
    cells = ["TEXT"] if len(texts) == 1 else [repr(name) for name in texts]
    kind_of = "" if data.goal is None else data.goal.kind
    drops = len(found) < table.num_rows
    blank = " or ".join(f"row[{cell}].strip()" for cell in cells)
    is_plain = len(pieces) == 1 and not pieces[0][0]
    text = f"row[TEXT]{strip}" if is_plain else _f_string(pieces, strip)
    if data.are_pairs:
        text = f"({', '.join(f'row[{name!r}]{strip}' for name in texts)})"
    label = f"row[LABEL]{strip}" if any(isinstance(one[1], str) for one in found) else "row[LABEL]"
    if kind_of == "class" and not all(isinstance(one[1], str) for one in found):
        label = f"str({label})"
    label_columns = ["*LABELS"] if len(targets) > 1 else ["LABEL"]
    told = [value for name in targets for value in table.column(name).to_pylist()]
    is_blank = any(one is not None and _is_missing(one) for one in told)
    is_known = " and (row[LABEL] or '').strip()" if is_blank else " and row[LABEL] is not None"
    if len(targets) > 1:
        label = f"tuple(row[name]{strip} for name in LABELS)"
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
    if drops:
        keep = f"    rows = [row for row in rows if ({blank}){is_known}]\n"
    listed = f"[{', '.join(columns)}]"
    delimiter = data.recipe["delimiter"] or ","
    if is_parquet:
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
        said = tuple(sorted({str(found[row][2]) for row in valid}))
        test = tuple(sorted({str(found[row][2]) for row in data.split.test}))
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
        kind=answer, open=open_lines, fix=cell_fix, keep=keep, text=text, told=what, given=given,
        beside=beside, also=also,
    )  # fmt: skip
    return Reading(
        [Written(body, "data")],
        settings,
        extra=extra,
        imports=[*imports, Import("pathlib", "Path"), Import("typing", "Any")],
        help=f"the table, a {'Parquet' if is_parquet else 'CSV'} file",
    )


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


_READ_FOLDER = '''
def read(folder: Path) -> {kind}:
    """Texts and their classes, in the order of their paths{also}."""
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file(){skip}
    ]
    paths.sort(key=lambda path: path.relative_to(folder).as_posix())
    texts = [{way} for path in paths]
    return texts, [{label} for path in paths]{parts}
'''

_READ_TABLE = '''
def read(path: Path) -> {kind}:
    """Texts{told}, in the order of the table{also}."""
    {open}
{fix}{keep}    texts = [{text} for row in rows]
    return texts{given}{beside}
'''
