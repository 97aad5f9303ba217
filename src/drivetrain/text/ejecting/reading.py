"""How a script reads its texts: the shortest way that gives the very texts of the run.

The library's reader takes any file; a script reads one source. So short ways are tried on the source
itself, and one is taken only where what it gives was compared with what the library read.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from drivetrain.eject.corrections import Corrections
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError
from drivetrain.text import reading as library
from drivetrain.text.data import TextData
from drivetrain.text.ejecting.corrected import Before, before_patch
from drivetrain.text.ejecting.read_function import Reading
from drivetrain.text.ejecting.table_reading import reading_of_table

MOST_ASIDE = 1_000
"""Names of files that were set aside, which a script lists."""


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
    found = _folder(data, lifter) if kind == "folder" else reading_of_table(data, lifter, texts)
    for one in found.imports:
        lifter.add_import(one)
    return found


# --- folders --------------------------------------------------------------------------------------


def _folder(data: TextData, lifter: Lifter) -> Reading:
    source = Path(data.recipe["source"])
    reading = Reading(help="the folder of the texts", imports=[Import("pathlib", "Path")])
    sealed = {data.ids[row].partition("/")[0] for row in data.split.test}
    opened = [row for part in ("train", "valid") for row in getattr(data.split, part)]
    wanted = {data.ids[row]: row for row in sorted(opened)}
    suffixes = sorted({Path(name).suffix.lower() for name in wanted})
    reading.setting("SUFFIXES", tuple(suffixes), "file names that are taken for texts")
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.suffix.lower() in suffixes and path.is_file()
    }
    before = before_patch(data)
    place = {name: at for at, name in enumerate(before.names)}
    made = _corrections(before, wanted, found)
    missing = sorted(wanted.keys() - found)
    if missing:
        raise EjectError(
            f"{source} holds links to folders, which a script does not follow ({missing[0]}). Copy the "
            "texts into one folder, and train there."
        )
    skips = []
    extra = found - wanted.keys() - set(made.left_out)
    if any("/." in f"/{name}" for name in extra):
        skips.append('"/." not in f"/{path.relative_to(folder).as_posix()}"')
        extra = {name for name in extra if "/." not in f"/{name}"}
    if sealed:
        reason = "the test stays sealed"
        reading.setting("TEST_FOLDERS", tuple(sorted(sealed)), reason)
        skips.append("path.relative_to(folder).parts[0] not in TEST_FOLDERS")
        extra = {name for name in extra if name.partition("/")[0] not in sealed}
    unlabelled = {
        step
        for name in extra
        for step in name.split("/")[:-1]
        if step.lower() in library.UNLABELLED
    }
    if unlabelled:
        reading.setting("NO_CLASS", tuple(sorted(unlabelled)), "folders without a class")
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
        reading.setting("SET_ASIDE", tuple(sorted(extra)), said)
        skips.append("path.relative_to(folder).as_posix() not in SET_ASIDE")
    texts = {name: before.texts[place[name]] for name in (*wanted, *made.left_out)}
    way, uses = way_of_files(source, texts, lifter)
    label = _label_of({name: before.labels[place[name]] for name in wanted}, source)
    corrected = _corrected(reading, made, way, uses, lifter)
    if made.relabelled:
        label = f"RELABELLED.get(path.relative_to(folder).as_posix(), {label})"
    part = ""
    if data.split.method == "folders":
        valid = {data.ids[row].partition("/")[0] for row in data.split.valid}
        reading.setting("VALID_FOLDERS", tuple(sorted(valid)), "of texts that validate")
        part = "[path.relative_to(folder).parts[0] in VALID_FOLDERS for path in paths]"
    text = _READ_FOLDER.format(
        kind="tuple[list[str], list[str], list[bool]]" if part else "tuple[list[str], list[str]]",
        skip="".join(f"\n        and {one}" for one in skips),
        corrected=corrected,
        way=way,
        label=label,
        parts=f", {part}" if part else "",
        also=", and whether each validates" if part else "",
    )
    reading.written.append(Written(text, "data", uses))
    reading.extra = "parts" if part else ""
    return reading


def _corrections(before: Before, wanted: Collection[str], found: Collection[str]) -> Corrections:
    """What a patch did to files.

    Args:
        before: all texts of the folder.
        wanted: files that train or validate.
        found: all that the script finds.
    """
    left_out = {before.names[at] for at in before.left_out}.intersection(found)
    relabelled = {before.names[at]: label for at, label in before.relabelled.items()}
    relabelled = {name: relabelled[name] for name in sorted(relabelled) if name in wanted}
    cells = [
        [name, text]
        for name, text in sorted(zip(before.names, before.texts, strict=True))
        if name in relabelled or name in left_out
    ]
    return Corrections(relabelled, tuple(sorted(left_out)), cells)


def _corrected(
    reading: Reading, made: Corrections, way: str, uses: dict[str, Any], lifter: Lifter
) -> str:
    """Statements of `read` between the paths and their texts."""
    if not len(made):
        return ""
    found = f"[[name, {way}] for name, path in named.items() if {made.has('name')}]"
    lines = _NAMED + reading.correct(made, "paths of texts", found, uses, lifter)
    return lines + (_LEFT_OUT if made.left_out else "")


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


def _label_of(labels: dict[str, Any], source: Path) -> str:
    """An expression of the class of `path`, given that of each name."""
    names = {name: name.split("/") for name in labels}
    for place in (0, 1):
        if all(
            len(steps) > place + 1 and steps[place] == labels[name] for name, steps in names.items()
        ):
            return f"path.relative_to(folder).parts[{place}]"
    raise EjectError(
        f"Some texts of {source} are in folders train, valid or test, and others are in none, so a "
        "short script cannot tell their classes. Put all of them into one of the two forms."
    )


_READ_FOLDER = '''
def read(folder: Path) -> {kind}:
    """Texts and their classes, in the order of their paths{also}."""
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file(){skip}
    ]
    paths.sort(key=lambda path: path.relative_to(folder).as_posix())
{corrected}    texts = [{way} for path in paths]
    return texts, [{label} for path in paths]{parts}
'''

_NAMED = """    named = {path.relative_to(folder).as_posix(): path for path in paths}
"""

_LEFT_OUT = """    paths = [path for name, path in named.items() if name not in LEFT_OUT]
"""
