"""`drivetrain tune`: settings of a model of tables found by trying, and whether that helped."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, exits, layout, settings, tables

if TYPE_CHECKING:
    from drivetrain.tabular.tuning.tuned import Tuned


@click.command(short_help="Search for a model's settings on a table, and say if it helped.")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Column of the table that is predicted.")
@click.option(
    "--model",
    default="boosting",
    show_default=True,
    help="boosting, forest, extra_trees, tree or linear; net with --nets.",
)
@click.option(
    "--trials",
    type=settings.TREES["num_trees"],
    default=30,
    show_default=True,
    help="Settings to try, besides the default ones.",
)
@click.option(
    "--minutes",
    type=settings.LEARNER["minutes"],
    default=1.0,
    show_default=True,
    help="About so long in all; trials that do not fit in are left out, and said.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=3,
    show_default=True,
    metavar="NUMBER",
    help="Parts of the training rows that take turns in validating a trial.",
)
@click.option(
    "--metric",
    help="accuracy or log_loss of classes, rmse or mae of numbers; by default the first.",
)
@click.option("--nets", is_flag=True, help="Search the settings of a net all the same.")
@click.option(
    "--valid",
    type=settings.TABLE["valid"],
    help="Share of the rows kept for the end; or a date, from which on they are.",
)
@click.option(
    "--drop", multiple=True, metavar="COLUMN", help="Leave out this column. May be repeated."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="COLUMN=KIND",
    help="A column is a number, category, date, text or id. May be repeated.",
)
@click.option(
    "--split",
    type=settings.TABLE["split"],
    help="How the table is split; by default rows with dates by time, others by class.",
)
@click.option("--because", help="Why a table with dates is to be split otherwise; it is recorded.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting, such as num_trees=200; one of the model is not searched. May be repeated.",
)
@common.options(
    out="Folder of the run; by default runs/<date>-<name>.",
    seed="Of everything random; the same seed gives the same settings, where the time suffices for all "
    "trials. By default 42.",
)
def command(
    table: Path,
    target: str,
    model: str,
    trials: int,
    minutes: float,
    folds: int,
    metric: str | None,
    nets: bool,
    drop: tuple[str, ...],
    kinds: tuple[str, ...],
    pairs: tuple[str, ...],
    as_json: bool,
    seed: int | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Search for a model's settings on the training rows of TABLE.

    Each trial is measured on folds of the training rows. The validation rows are looked at once, at the
    end, with the tuned and with the default settings: where the difference may be chance, the default
    settings are recommended. The run holds the recommended model.

    \b
    drivetrain tune census.csv --target salary
    drivetrain tune census.csv --target salary --model forest --trials 20 --minutes 5
    """
    given = settings.merge(options, settings.parse(pairs))
    data_options = settings.take(given, settings.TABLE)
    own = {name: value for name, value in given.items() if name not in data_options}
    wrong = [name for name in own if name not in {**settings.TREES, **settings.NET}]
    if wrong:
        raise click.UsageError(f"'{wrong[0]}': not for tuning.")
    if seed is not None:
        data_options["seed"] = seed
    data_options |= {"drop": drop, "kinds": tables.kinds_of(kinds)}
    names = [name.strip() for name in target.split(",")] if "," in target else target

    from drivetrain import tabular
    from drivetrain.tabular.tune import searched, tune
    from drivetrain.tabular.tuning.scoring import scoring_of
    from drivetrain.train.run import Run

    path = common.find_source(str(table))
    searched(model, own, nets=nets)  # a slip is answered before the table is read
    with common.stdout_kept(), common.counter() as count:
        data = tabular.gather(path, names, report=count, **data_options)
        scoring_of(data.target, metric)
        run = Run.create(out) if out else Run.create_dated("runs", path.stem)
        try:
            if not as_json:
                exits.tell(tables.found(data, run.folder))
            found = tune(
                data,
                model=model,
                trials=trials,
                minutes=minutes,
                folds=folds,
                metric=metric,
                settings=own,
                nets=nets,
            )
            found.write(run)
        except KeyboardInterrupt as error:
            raise exits.StoppedError(
                "Stopped. A search keeps nothing before its end: the same line begins it anew."
            ) from error
        finally:
            run.release()
    document = run.read()["results"]
    common.answer(document, _result(found, document), as_json=as_json)


def _result(found: Tuned, document: dict[str, Any]) -> str:
    run = shlex.quote(document["run"])
    return "\n".join(
        [
            str(found),
            "",
            f"{found.name} with the {'tuned' if found.helped else 'default'} settings predicts, after "
            f"{layout.duration(document['seconds'])}. The run is in {document['run']}",
            "Next",
            f"  drivetrain predict {run} TABLE",
            f"  drivetrain evaluate {run} --on TABLE",
        ]
    )
