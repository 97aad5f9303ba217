"""`drivetrain evaluate`: how good a trained model is on labelled pictures from elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from drivetrain.cli import common, report


@click.command(short_help="Measure a trained model on labelled pictures.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--on",
    "source",
    required=True,
    help="Labelled pictures: a folder, a CSV file, or the name of a sample.",
)
@common.options()
def command(run: Path, source: str, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Measure the model of RUN on labelled pictures, with a 95% interval and baselines beside it.

    \b
    drivetrain evaluate runs/2026-01-31-photos --on other-photos/
    """
    path = common.find_source(source)

    from drivetrain import vision

    with common.stdout_kept():
        measured = vision.evaluate(run, path)
    common.answer(measured, report.measured(measured), as_json=as_json, copy=out)
