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
@click.option(
    "--tta",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of a run of pictures: also with test-time augmentation, by N varied copies of each.",
)
@common.options(seed="Of the copies of --tta; by default that of the run.")
def command(
    run: Path, source: str, tta: int | None, as_json: bool, seed: int | None, out: Path | None
) -> None:
    """Measure the model of RUN on labelled pictures, rows, texts or ratings, with a 95% interval.

    With --tta each picture is also asked about as training saw it, varied, and the answers are averaged;
    the difference is given with its interval, taken picture by picture.

    \b
    drivetrain evaluate runs/2026-01-31-photos --on other-photos/
    drivetrain evaluate runs/2026-01-31-photos --on other-photos/ --tta 4
    drivetrain evaluate runs/2026-01-31-census --on other.csv
    """
    path = common.find_source(source)

    application = common.application_of(run)
    if tta is not None and application != "vision":
        raise click.UsageError("--tta: for runs of pictures.")
    if application in ("text", "collab"):
        home = texts if application == "text" else ratings
        with common.stdout_kept():
            measured = home.evaluate(run, path)
        common.answer(measured, home.measured(measured), as_json=as_json, copy=out)
        return

    if tta is not None:
        from drivetrain.vision.tta import evaluate_with_tta

        with common.stdout_kept():
            measured = evaluate_with_tta(run, path, copies=tta, seed=seed)
        text = f"{pictures.measured(measured)}\n{pictures.with_tta(measured)}"
        common.answer(measured, text, as_json=as_json, copy=out)
        return

    from drivetrain import tabular, vision

    is_table = application == "tabular"
    with common.stdout_kept():
        measured = tabular.load(run).evaluate(path) if is_table else vision.evaluate(run, path)
    text = tables.measured(measured) if is_table else pictures.measured(measured)
    common.answer(measured, text, as_json=as_json, copy=out)
