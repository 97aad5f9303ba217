"""`drivetrain sheet`: a workbook with live formulas, ready-made or of a run's own small net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, layout

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner


@click.command(short_help="Write a workbook that learns in its cells, or of a run.")
@click.argument("name", metavar="[NAME|RUN]", required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The file, such as descent.xlsx; by default NAME.xlsx here.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Of titanic: a CSV file with the columns of Kaggle's train.csv; by default made rows.",
)
@click.option("--rows", type=click.IntRange(min=2), help="Of a run: rows of the batch. Default 8.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--seed", type=common.SEED, help="Of what a workbook draws at random.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
def command(
    name: str | None,
    out: Path | None,
    data: Path | None,
    rows: int | None,
    as_json: bool,
    seed: int | None,
) -> None:
    """List the workbooks, or write one: NAME, or of RUN, whose small net is put into cells for one batch.

    \b
    drivetrain sheet
    drivetrain sheet descent -o descent.xlsx
    drivetrain sheet titanic --data train.csv
    drivetrain sheet runs/2026-01-31-table -o step.xlsx
    """
    from drivetrain import sheets

    if name is None:
        if any(value is not None for value in (out, data, rows, seed)):
            raise click.UsageError("Say which workbook is to be written: NAME or RUN is missing.")
        listed = [{"name": key, "what": what} for key, (what, _) in sheets.SHEETS.items()]
        text = layout.table((one["name"], one["what"]) for one in listed)
        text += "\n\nWrite one, or one of a run\n  drivetrain sheet descent -o descent.xlsx"
        text += "\n  drivetrain sheet RUN"
        if as_json:
            click.echo(json.dumps(listed, indent=2))
        else:
            common.show(text)
        return
    settings = {
        key: value
        for key, value in (("data", data), ("rows", rows), ("seed", seed))
        if value is not None
    }
    is_run = Path(name).is_dir() or (name not in sheets.SHEETS and len(Path(name).parts) > 1)
    with common.stdout_kept():
        book = _of_run(Path(name), settings) if is_run else _ready(name, settings)
        path = book.save(out or Path(f"{Path(name).resolve().name if is_run else name}.xlsx"))
    document: dict[str, Any] = {
        "workbook": str(path),
        "run" if is_run else "name": name,
        "sheets": [sheet.name for sheet in book.sheets],
        "checks": sum(len(sheet.checks) for sheet in book.sheets),
        "bytes": path.stat().st_size,
    }
    what = book.about if is_run else sheets.SHEETS[name][0]
    text = f"{path}: {what} Open it in Excel or LibreOffice; its guide says what to change."
    common.answer(document, text, as_json=as_json)


def _ready(name: str, settings: dict[str, Any]) -> Any:
    from drivetrain import sheets

    taken = sheets.settings_of(name)
    reasons = {
        "seed": "draws nothing at random",
        "data": "reads no file",
        "rows": "has a batch of its own",
    }
    for key in settings:
        if key not in taken:
            raise click.UsageError(f"Workbook '{name}' {reasons[key]}: leave --{key} out.")
    return sheets.build(name, **settings)


def _of_run(run: Path, settings: dict[str, Any]) -> Any:
    from drivetrain import sheets

    for key in settings:
        if key != "rows":
            raise click.UsageError(f"A run brings its own data and seed: leave --{key} out.")
    return sheets.build(_reopened(run), title=f"One step of {run.resolve().name}", **settings)


def _reopened(run: Path) -> Learner:
    """The Learner of a run as it ended."""
    from drivetrain import collab, tabular, text as texts, vision

    homes: dict[str, Any] = {"tabular": tabular, "text": texts, "collab": collab}
    home = homes.get(common.application_of(run), vision)
    with common.counter() as count:
        return home.reopen(run, progress=False, report=count)
