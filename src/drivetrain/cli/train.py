"""`drivetrain train`: from a folder to a trained model, with every choice said aloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, exits, report, settings

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.vision import VisionData


@click.command(short_help="Train a model on a folder of pictures, a CSV file, or a sample.")
@click.argument("source", required=False)
@click.option(
    "--task", type=click.Choice(["vision"]), default="vision", help="What is learnt from what."
)
@click.option("--model", help="Name of the model: one of Drivetrain's or of timm's.")
@click.option(
    "--epochs", type=settings.LEARNER["epochs"], help="Passes over the training pictures."
)
@click.option("--size", type=settings.DATA["size"], help="Side of the square pictures, in pixels.")
@click.option(
    "--valid", type=settings.DATA["valid"], help="Share of the pictures kept for validation."
)
@click.option(
    "--pattern", help="Labels are in the file names: a regular expression with one group."
)
@click.option("--path-column", help="Column of the CSV that holds the paths.")
@click.option(
    "--target", "--label-column", "label_column", help="Column of the CSV that holds the labels."
)
@click.option(
    "--pictures",
    "folder",
    type=click.Path(),
    help="Folder in which the paths of the CSV start; by default the CSV's own.",
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
    task: str,
    pairs: tuple[str, ...],
    as_json: bool,
    seed: int | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Train a model on SOURCE and measure it on pictures it did not learn from.

    SOURCE is a folder with one sub-folder a class (train/, valid/ and test/ above them are
    understood), a CSV file of paths and labels, or the name of a sample. Without SOURCE the sample
    'digits' is used. Whatever you do not set is chosen for you and printed with its reason.

    \b
    drivetrain train photos/
    drivetrain train photos/ --model resnet18 --epochs 3
    drivetrain train pets/ --pattern '^(.+)_[0-9]+'
    drivetrain train labels.csv --label-column species
    """
    given = settings.merge(options, settings.parse(pairs))
    if seed is not None:
        given["seed"] = seed
    path = common.find_source(source or _default_sample())
    learner = _learner(path, source or _default_sample(), given, out)
    if not as_json:
        click.echo(report.found(learner))
    document = run_to_end(learner, learner.train)
    common.answer(document, report.result(document), as_json=as_json)


def run_to_end(learner: Learner, train: Any) -> dict[str, Any]:
    """Train and give the results that the run holds.

    Raises: StoppedError: on Ctrl-C, with the command that continues the run.
    """
    assert learner.run is not None, "the command line trains into a run folder"
    try:
        with common.stdout_kept():
            train()
    except KeyboardInterrupt as error:
        raise exits.stopped(learner.run.folder) from error
    return learner.run.read()["results"]


def _learner(path: Path, name: str, given: dict[str, Any], out: Path | None) -> Learner:
    from drivetrain import vision
    from drivetrain.models import model_info
    from drivetrain.train.run import Run

    if "model" in given:
        model_info(given["model"])  # a typing slip is answered before the pictures are opened
    with common.stdout_kept(), common.counter() as count:
        data = _data(path, given, count)
        chosen = settings.take(given, settings.LEARNER)
        learner = vision.learner(data, chosen.pop("model", None), announce=False, **chosen)
        learner.start_run(Run.create(out) if out else Run.create_dated("runs", Path(name).stem))
    return learner


def _data(path: Path, given: dict[str, Any], count: common.Counter) -> VisionData:
    """The pictures of the source, by the finder that fits it."""
    from drivetrain import vision

    is_csv = path.suffix.lower() == ".csv" and path.is_file()
    options: dict[str, Any] = {**settings.take(given, settings.DATA), "report": count}
    if "seed" in given:
        options["seed"] = given["seed"]
    for_csv, for_names = settings.take(given, settings.CSV), settings.take(given, settings.NAMES)
    wrong = for_names if is_csv else for_csv
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
