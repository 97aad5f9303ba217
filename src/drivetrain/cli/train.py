"""`drivetrain train`: from a folder to a trained model, with every choice said aloud."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import anew, common, exits, gating, pictures, ratings, settings, tables, texts

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.train.memory import MemoryReport
    from drivetrain.vision import VisionData


@click.command(short_help="Train a model on pictures, texts, a table, ratings, or a sample.")
@click.argument("source", required=False)
@click.option(
    "--task",
    type=click.Choice(["vision", "tabular", "text", "language", "collab"]),
    help="What is learnt from what; by default as the source looks.",
)
@click.option(
    "--model",
    help="Of pictures: one of Drivetrain's or of timm's. Of tables: net, forest, boosting … or, by "
    "default, a leaderboard of all. Of texts: lstm, awd_lstm, gru, decoder, or a transformer. Of "
    "ratings: dot_bias, dot or net.",
)
@click.option("--epochs", type=settings.LEARNER["epochs"], help="Passes over the training items.")
@click.option(
    "--minutes",
    type=settings.LEARNER["minutes"],
    help="End in about so many minutes, start to result: epochs, items, and the size of pictures are cut "
    "to fit; of tables without --model, what the leaderboard tries.",
)
@click.option("--budget", type=settings.Duration(), help="The same as a time: 60s, 2m or 1.5h.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Train one batch only, say how much memory it takes, and keep nothing.",
)
@click.option("--size", type=settings.DATA["size"], help="Side of the square pictures, in pixels.")
@click.option(
    "--valid",
    type=settings.TABLE["valid"],
    help="Share of the items kept for validation; of a table also a date, from which on rows are.",
)
@click.option(
    "--test",
    type=settings.TEST,
    metavar="SHARE|FILE",
    help="Seal a share of the items for `drivetrain test`, or a file or folder of them; nothing "
    "sees them before.",
)
@click.option(
    "--patch",
    type=click.Path(),
    multiple=True,
    callback=lambda _context, _option, given: given[0] if len(given) == 1 else list(given) or None,
    metavar="FILE",
    help="Changes of labels that `drivetrain clean` wrote; the source stays as it is. May be repeated: "
    "those of several people are one where they agree.",
)
@click.option(
    "--pattern", help="Labels are in the file names: a regular expression with one group."
)
@click.option("--path-column", help="Column of the CSV that holds the paths.")
@click.option(
    "--target",
    "--label-column",
    "label_columns",
    multiple=True,
    metavar="COLUMN",
    help="Column of the table that is predicted. Of pictures it may be repeated: one model then tells "
    "all of them.",
)
@click.option(
    "--text",
    "text_columns",
    multiple=True,
    metavar="COLUMN",
    help="Column of the table that holds the text. May be repeated: they are read as one text.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="COLUMN",
    help="Leave out this column of a table. May be repeated.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="COLUMN=KIND",
    help="A column of a table is a number, category, date, text or id. May be repeated.",
)
@click.option(
    "--split",
    type=settings.SPLITS,
    metavar="HOW",
    help="How a table is split: stratified, random, time or group; by default rows with dates by time, "
    "others by class. Ratings: random (the default), time, last, cold_users or cold_items.",
)
@click.option(
    "--split-seed",
    type=settings.SEED,
    help="Of the split alone: runs with other --seed then validate on the same items. By default --seed.",
)
@click.option("--user", metavar="COLUMN", help="Of ratings: the column of users.")
@click.option("--item", metavar="COLUMN", help="Of ratings: the column of items.")
@click.option(
    "--rating", metavar="COLUMN", help="Of ratings: the column of the ratings themselves."
)
@click.option("--time", metavar="COLUMN", help="The column that says when.")
@click.option(
    "--titles", metavar="TABLE", help="Of ratings: a table of items and what they are called."
)
@click.option(
    "--because",
    help="Why a table with dates is to be split otherwise, or a finding let pass; it is recorded.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="NAME",
    help="A critical finding of `drivetrain check` that is let pass, for the reason of --because.",
)
@click.option(
    "--pictures",
    "folder",
    type=click.Path(),
    help="Folder in which the paths of the CSV start; by default the CSV's own.",
)
@click.option(
    "--callback",
    "callbacks",
    type=settings.CallbackRecord(),
    multiple=True,
    metavar="NAME[:KEY=VALUE,…]",
    help="What else happens while it trains, such as ema or mixup:alpha=0.2. May be repeated.",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting, such as batch_size=32. May be repeated.",
)
@common.options(
    out="Folder of the run; by default runs/<date>-<name>.",
    seed="Of everything random; the same seed gives the same weights. By default 42.",
)
def command(
    source: str | None,
    task: str | None,
    drop: tuple[str, ...],
    kinds: tuple[str, ...],
    pairs: tuple[str, ...],
    callbacks: tuple[dict[str, Any], ...],
    budget: float | None,
    dry_run: bool,
    as_json: bool,
    seed: int | None,
    out: Path | None,
    text_columns: tuple[str, ...],
    accept: tuple[str, ...],
    label_columns: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a model on SOURCE and measure it on items it did not learn from.

    SOURCE is a folder of pictures with one sub-folder a class (train/, valid/ and test/ above them are
    understood), a CSV file of paths and labels, a table (CSV or Parquet), texts (a folder of .txt files
    with one sub-folder a class, or a table with a column of text), ratings (a table of user, item and
    rating), or the name of a sample.
    Without SOURCE the sample 'digits' is used. Whatever you do not set is chosen for you and printed
    with its reason.

    \b
    drivetrain train photos/
    drivetrain train photos/ --model resnet18 --epochs 3
    drivetrain train pets/ --pattern '^(.+)_[0-9]+'
    drivetrain train labels.csv --label-column species
    drivetrain train leaves.csv --target disease --target variety
    drivetrain train photos/ --budget 60s
    drivetrain train photos/ --callback ema --callback mixup:alpha=0.2
    drivetrain train census.csv --target salary
    drivetrain train census.csv --target salary --model net --epochs 3
    drivetrain train reviews.csv --target label
    drivetrain train books/ --task language
    drivetrain train ratings.csv --titles films.csv
    """
    began = time.perf_counter()
    if budget is not None and options["minutes"] is not None:
        raise click.UsageError("--minutes and --budget are the same: give one of them.")
    options["minutes"] = options["minutes"] if budget is None else budget
    options |= asked_targets(label_columns)
    given = settings.merge(options, settings.parse(pairs))
    if seed is not None:
        given["seed"] = seed
    given["callbacks"] = callbacks
    accepted = gating.accepted_of(accept, given)
    if text_columns:
        if "text_columns" in given:
            raise click.UsageError("'text_columns' is given twice: by --set and by --text.")
        given["text_columns"] = list(text_columns)
    path = common.find_source(source or _default_sample())
    why = ratings.is_ratings(path, task, {**given, "drop": drop, "kinds": kinds})
    if why is not None:
        if accepted:
            raise click.UsageError("--accept: nothing that is found in ratings stops a training.")
        given |= {"drop": drop, "kinds": kinds}
        ratings.train(
            path,
            given,
            why=why,
            beside=common.beside(source, path),
            out=out,
            as_json=as_json,
            dry_run=dry_run,
            began=began,
        )
        return
    why = texts.is_texts(path, task, {**given, "drop": drop, "kinds": kinds})
    if why is not None:
        given |= {"drop": drop, "kinds": kinds}
        texts.train(
            path,
            given,
            task=task or "text",
            why=why,
            out=out,
            as_json=as_json,
            dry_run=dry_run,
            accepted=accepted,
            began=began,
        )
        return
    if tables.is_table(path, task, given):
        given |= {"drop": drop, "kinds": kinds}
        tables.train(
            path,
            given,
            out=out,
            as_json=as_json,
            dry_run=dry_run,
            accepted=accepted,
            began=began,
        )
        return
    _check_pictures(given, drop=drop, kind=kinds)
    if dry_run:
        memory = _dry_run(path, given)
        common.answer(memory.to_json(), str(memory), as_json=as_json, copy=out)
        return
    learner = _learner(path, source or _default_sample(), given, out, began, accepted)
    if not as_json:
        common.show(pictures.found(learner))
    document = run_to_end(learner, learner.train)
    common.answer(document, pictures.result(document), as_json=as_json)


def asked_targets(columns: tuple[str, ...]) -> dict[str, Any]:
    """What `--target` says: nothing, the column of labels, or several of them."""
    if len(columns) < 2:
        return {"label_column": columns[0]} if columns else {}
    return {"targets": list(columns)}


def run_to_end(learner: Learner, train: Any) -> dict[str, Any]:
    """Train and give the results that the run holds.

    Raises: StoppedError: on Ctrl-C, with the command that continues the run.
    """
    assert learner.run is not None, "the command line trains into a run folder"
    try:
        with common.stdout_kept():
            train()
    except KeyboardInterrupt as error:
        raise exits.stopped(learner.run.folder, error) from error
    return learner.run.read()["results"]


def _check_pictures(given: dict[str, Any], **options: tuple[str, ...]) -> None:
    """Raises: UsageError: an option or a setting that is for tables only."""
    names = [f"--{name}" for name, value in options.items() if value]
    names += [
        f"'{name}'" for name in given if name not in {*settings.PICTURES, "seed", "callbacks"}
    ]
    if names:
        raise click.UsageError(f"{names[0]}: only for tables, and this source is none.")
    if isinstance(given.get("valid"), str):
        raise click.UsageError("--valid: of pictures it is a share, such as 0.2.")


def _learner(
    path: Path,
    name: str,
    given: dict[str, Any],
    out: Path | None,
    began: float,
    accepted: Mapping[str, str],
) -> Learner:
    from drivetrain.train.run import Run

    minutes = given.pop("minutes", None)
    with common.stdout_kept(), common.counter() as count:
        learner = _untrained(path, given, count)
        left = gating.pass_pictures(_data_of(learner), learner.choices, accepted)
        run = Run.create(out) if out else Run.create_dated("runs", Path(name).stem)
        gating.say(left)
        if minutes is not None:
            from drivetrain.vision.learner import plan_within

            epochs = given.get("epochs")
            plan_within(
                learner, minutes, epochs=epochs, began=began, folder=run.folder, report=count
            )
        learner.start_run(run)
        anew.note_words(run.folder)
    return learner


def _data_of(learner: Any) -> VisionData:
    return learner.application.data


def _untrained(path: Path, given: dict[str, Any], count: common.Counter) -> Learner:
    from drivetrain import optim, vision
    from drivetrain.models import model_info
    from drivetrain.train import parts

    if "model" in given:
        model_info(given["model"])  # a typing slip is answered before the pictures are opened
    if "optimizer" in given:
        optim.optimizer(given["optimizer"])
    callbacks = parts.as_callbacks(given["callbacks"])
    data = _data(path, given, count)
    chosen = settings.take(given, settings.LEARNER)
    model = chosen.pop("model", None)
    return vision.learner(data, model, callbacks=callbacks, announce=False, **chosen)


def _dry_run(path: Path, given: dict[str, Any]) -> MemoryReport:
    from drivetrain.train.memory import dry_run

    given.pop("minutes", None)
    with common.stdout_kept(), common.counter() as count:
        return dry_run(_untrained(path, given, count))


def _data(path: Path, given: dict[str, Any], count: common.Counter) -> VisionData:
    """The pictures of the source, by the finder that fits it."""
    from drivetrain import vision

    is_csv = path.suffix.lower() == ".csv" and path.is_file()
    options: dict[str, Any] = {**settings.take(given, settings.DATA), "report": count}
    if "seed" in given:
        options["seed"] = given["seed"]
    for_csv, for_names = settings.take(given, settings.CSV), settings.take(given, settings.NAMES)
    wrong = for_names if is_csv else for_csv
    if not is_csv and path.is_dir() and {"label_column", "targets"} & set(wrong):
        raise click.UsageError(
            f"--target names a column of a table, and {path} is a folder: of pictures its sub-folders "
            "are the classes."
        )
    if wrong:
        names = ", ".join(f"'{name}'" for name in wrong)
        kind = "a folder" if is_csv else "a CSV file"
        raise click.UsageError(f"{names}: only for {kind}, and {path} is none.")
    if is_csv:
        return vision.from_csv(path, **for_csv, **options)
    if for_names:
        return vision.from_names(path, **for_names, **options)
    return vision.from_folder(path, **options)


def _default_sample() -> str:
    from drivetrain.samples.table import DEFAULT

    return DEFAULT
