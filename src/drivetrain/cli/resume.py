"""`drivetrain resume`: a training that was stopped goes on to the end it would have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common, exits, pictures, ratings, tables, texts


@click.command(short_help="Continue a training that was stopped.")
@click.argument("run", type=click.Path(path_type=Path))
@common.options(seed="Not used: a run keeps the seed it began with.")
def command(run: Path, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Continue RUN from its last whole epoch, with the same data, settings and seed.

    The result is the one the run would have had without the stop. A run that is finished is left as
    it is, and its result is printed. A leaderboard of a table is made again from its start.

    \b
    drivetrain resume runs/2026-01-31-photos
    """
    from drivetrain import collab, tabular, text as text_application, vision
    from drivetrain.tabular.leaderboard import finish
    from drivetrain.train.run import Run, said_as_damage

    application = common.application_of(run)
    is_table = application == "tabular"
    try:
        with common.stdout_kept(), common.counter() as count:
            if is_table and "board" in Run.open(run).read():
                finish(run)
            else:
                others: dict[str, Any] = {"text": text_application, "collab": collab}
                home = tabular if is_table else others.get(application, vision)
                home.resume(run, report=count)
    except KeyboardInterrupt as error:
        raise exits.stopped(run, error) from error
    with said_as_damage(run / "run.json"):
        document = {**Run.open(run).read()["results"], "run": str(run)}  # it may have been moved
        of = {"tabular": tables.result, "text": texts.result, "collab": ratings.result}
        say = of.get(application, pictures.result)
        text = say(document)
    common.answer(document, text, as_json=as_json, copy=out)
