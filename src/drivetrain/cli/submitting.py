"""`--out FILE.csv` and `--like SAMPLE.csv`: answers as a table, or in a sample submission's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.errors import DataError

if TYPE_CHECKING:
    from drivetrain.data.submission import Sample

LIKE = click.option(
    "--like",
    type=click.Path(path_type=Path),
    metavar="SAMPLE.csv",
    help="With --out FILE.csv: fill in this sample submission: its header, its ids in their order, and "
    "classes, 0 and 1, probabilities or numbers as it has them.",
)


def is_table(out: Path | None) -> bool:
    """Whether answers are to be written as a CSV."""
    return out is not None and out.suffix.lower() == ".csv"


def check(like: Path | None, out: Path | None, inputs: Sequence[Path]) -> None:
    """Raises: UsageError: `--like` without a CSV to write, or with nothing to look at."""
    if like is None:
        return
    if not is_table(out):
        raise click.UsageError("--like: say with --out FILE.csv where the submission goes.")
    if not inputs:
        raise click.UsageError("--like: give the INPUT that the sample is of.")


def check_ending(out: Path | None) -> None:
    """Raises: UsageError: a Parquet file of what is no table."""
    if out is not None and out.suffix.lower() == ".parquet":
        raise click.UsageError(
            "--out: these answers are written as .csv, or as .json. Parquet is for models of tables."
        )


def write(
    documents: Sequence[Mapping[str, Any]],
    inputs: Sequence[Path],
    *,
    like: Path | None,
    out: Path,
    in_rows: bool,
    targets: Sequence[str] = (),
) -> str:
    """Write answers as a CSV, and say so in a sentence.

    Args:
        documents: as `--json` has them; `{input, error}` where there is no answer.
        inputs: that were answered.
        like: the sample submission; None for a table of input, answer and probabilities.
        out: the file.
        in_rows: the input is one table, and the answers are for its rows, `row 1` …
        targets: of several numbers a row, their names.
    """
    from drivetrain.data.submission import Sample, outputs_of, table_of, write_csv

    answered = [one for one in documents if "error" not in one]
    if like is None:
        header, rows = table_of(answered)
        write_csv(out, header, rows)
        return f"{len(rows):,} answers are in {out}"
    sample = Sample.read(like)
    outputs, classes = outputs_of(answered)
    if in_rows:
        ids, left_out = _of_rows(sample, inputs, [str(one["input"]) for one in answered])
    else:
        ids, left_out = _of_files(sample, inputs, documents)
    filled = sample.filled(ids, outputs, classes=classes, targets=targets, left_out=left_out)
    filled.write(out)
    return f"{len(filled):,} answers are in {out}, in the form of {like}: {filled.form}"


def _of_files(
    sample: Sample, inputs: Sequence[Path], documents: Sequence[Mapping[str, Any]]
) -> tuple[list[str], dict[str, str]]:
    from drivetrain.data.submission import file_names

    folder = inputs[0] if len(inputs) == 1 and inputs[0].is_dir() else None
    paths = [str(one["input"]) for one in documents]
    names = sample.choose(file_names(paths, folder))
    pairs = list(zip(names, documents, strict=True))
    left_out = {name: str(one["error"]) for name, one in pairs if "error" in one}
    return [name for name, one in pairs if "error" not in one], left_out


def _of_rows(
    sample: Sample, inputs: Sequence[Path], rows: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The ids of rows, from the table's column of that name; without one, their numbers."""
    from drivetrain.data.tables.reading import open_table

    if len(inputs) != 1:
        raise DataError("A submission is of one table. Give one INPUT.")
    path, column = inputs[0], sample.id_column
    places = [int(name.removeprefix("row ")) - 1 for name in rows]
    opened = open_table(path, missing=())
    if column in opened.names:
        chosen = opened.only([column])
        cells = [_text(cell) for cell in chosen.read().column(column).to_pylist()]
        id_of = dict(zip(chosen.row_ids.tolist(), cells, strict=True))
        gone = set(id_of) - set(places)
        left_out = {
            id_of[row]: f"row {row + 1} of {path} was set aside when it was read." for row in gone
        }
        return [id_of[place] for place in places], left_out
    for first in (1, 0):  # such as ImageId: the rows of the table, counted
        if set(sample.ids) == {str(number + first) for number in range(len(sample.ids))}:
            return [str(place + first) for place in places], {}
    raise DataError(
        f"{path} has no column '{column}', and the ids of {sample.path} are no row numbers: nobody can "
        f"tell which row is which. Its columns: {', '.join(opened.names)[:300]}."
    )


def _text(cell: Any) -> str:
    """A cell as a file would hold it."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell).strip()
