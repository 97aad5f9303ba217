"""`drivetrain evaluate`: how good a trained model is on labelled data from elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from drivetrain.cli import common, pictures, ratings, tables, texts


@click.command(short_help="Measure a model on labelled pictures, rows, texts or ratings.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--on",
    "source",
    required=True,
    help="Labelled data: a folder of pictures or texts, a CSV or Parquet file, or the name of a sample.",
)
@common.options()
def command(run: Path, source: str, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Measure the model of RUN on labelled pictures or rows, with a 95% interval and baselines beside it.

    \b
    drivetrain evaluate runs/2026-01-31-photos --on other-photos/
    drivetrain evaluate runs/2026-01-31-census --on other.csv
    """
    path = common.find_source(source)

    application = common.application_of(run)
    if application in ("text", "collab"):
        home = texts if application == "text" else ratings
        with common.stdout_kept():
            measured = home.evaluate(run, path)
        common.answer(measured, home.measured(measured), as_json=as_json, copy=out)
        return

    from drivetrain import tabular, vision

    is_table = application == "tabular"
    with common.stdout_kept():
        measured = tabular.load(run).evaluate(path) if is_table else vision.evaluate(run, path)
    text = tables.measured(measured) if is_table else pictures.measured(measured)
    common.answer(measured, text, as_json=as_json, copy=out)
