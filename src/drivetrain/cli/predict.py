"""`drivetrain predict`: what is on these pictures, in these rows, or in these texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common, exits, layout, ratings, submitting, tables, texts
from drivetrain.errors import ConfigError, DataError


@click.command(short_help="Say what is on pictures or in texts, or predict rows or ratings.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--text",
    "strings",
    multiple=True,
    metavar="TEXT",
    help="Of a model of texts: answer for this one. May be repeated.",
)
@click.option("--user", metavar="USER", help="Of a model of ratings: with --item, one pair.")
@click.option("--item", metavar="ITEM", help="Of a model of ratings: its id, or its title.")
@click.option(
    "--engine",
    type=click.Choice(["torch", "onnx"]),
    default="torch",
    show_default=True,
    help="What calculates; onnx needs a bundle with a model.onnx.",
)
@click.option(
    "--shift",
    is_flag=True,
    help="With --json: an object {predictions, shift} that also says whether the inputs, taken together, "
    "are of another kind than those of the validation were, and of a table in which columns.",
)
@click.option(
    "--tta",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of a run of pictures: test-time augmentation, the mean over N varied copies of each too.",
)
@submitting.LIKE
@common.options(
    out="Also write the JSON document to this file; a .csv is written as a table, see --like too.",
    seed="Of the copies of --tta; by default that of the run.",
)
def command(
    run: Path,
    inputs: tuple[Path, ...],
    strings: tuple[str, ...],
    user: str | None,
    item: str | None,
    engine: str,
    shift: bool,
    tta: int | None,
    like: Path | None,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Predict the label of each INPUT, a picture or a folder of pictures, with the model of RUN; of a
    model of tables, predict the rows of each INPUT, a CSV or Parquet file; of a model of texts, a text
    file, a folder of them, or a table. A language model writes each text on. A model of ratings predicts
    how a user rates an item, for the pairs of a table.

    RUN is the folder of a run or of a bundle. The guard of a bundle marks pictures unlike those that
    the model knows, and names the labels that are possible where there is more than one.

    --out writes a table with a row for each answer where it ends in .csv (of tables also .parquet); with
    --like it has the form of a sample submission.

    A file that cannot be read as a picture is named on stderr with the reason, and the others are
    answered. The exit code is 2 only when there is no answer at all.

    With --json: a list with {input, label, probabilities} for each picture or row, in the order given, or
    {input, value} where numbers are predicted, and {input, error, reason} for each picture that could not
    be read. A bundle with a guard adds {probability, set, coverage, domain}, or {interval, coverage,
    domain}.

    \b
    drivetrain predict runs/2026-01-31-photos new.jpg
    drivetrain predict runs/2026-01-31-photos holiday/ --json
    drivetrain predict runs/2026-01-31-photos test/ --tta 4
    drivetrain predict runs/2026-01-31-census new.csv --out answers.csv
    drivetrain predict runs/2026-01-31-census test.csv --like sample_submission.csv --out submission.csv
    drivetrain predict runs/2026-01-31-reviews --text "The music was never dull."
    drivetrain predict runs/2026-01-31-ratings --user u007 --item f012
    """
    asked = [word for word in (user, item) if word is not None]
    if not inputs and not strings and not asked:
        raise click.UsageError("Missing argument 'INPUT...'.")
    submitting.check(like, out, inputs)
    application = common.application_of(run)
    if tta is not None and (application != "vision" or engine != "torch" or shift):
        raise click.UsageError("--tta: for runs of pictures, without --engine and --shift.")
    if like is not None and application == "collab":
        raise click.UsageError("--like: not for models of ratings; --out FILE.csv writes a table.")
    if strings and application != "text":
        raise click.UsageError(f"--text: {run} is no run of texts.")
    if asked and application != "collab":
        raise click.UsageError(f"--user and --item: {run} is no run of ratings.")
    if application == "collab":
        pair = {"user": user, "item": item}
        ratings.predict(run, inputs, **pair, engine=engine, shift=shift, as_json=as_json, out=out)
        return
    if application == "text":
        if engine != "torch" or shift:
            raise click.UsageError("--engine and --shift: not for models of texts.")
        texts.predict(run, inputs, strings, like=like, as_json=as_json, out=out)
        return
    if application == "tabular":
        options = {"engine": engine, "shift": shift, "like": like}
        tables.predict(run, inputs, **options, as_json=as_json, out=out)
        return

    from drivetrain import vision

    submitting.check_ending(out)
    with common.stdout_kept():
        predictor = vision.load(run, engine=engine) if tta is None else _with_tta(run, tta, seed)
        if shift and predictor.guard is None:
            raise ConfigError(
                f"--shift needs the guard of a bundle, and {run} has none. "
                "Make one with: drivetrain export RUN -o BUNDLE"
            )
        found = predictor.answers(picture_files(inputs))
        records = [record_of(each) for each in found.predictions]
    for record in records:
        if "error" in record:
            exits.print_line(f"{record['input']}: {record['error']}")
    answered = [record for record in records if "error" not in record]
    if answered or as_json:
        text = _table(answered)
        if shift or found.shift is not None:
            text += f"\n{_shift(found.shift, len(answered))}"
        moved = None if found.shift is None else found.shift.to_json()
        document = {"predictions": records, "shift": moved} if shift else records
        if out is not None and submitting.is_table(out):
            if answered:
                text += f"\n{submitting.write(records, inputs, like=like, out=out, in_rows=False)}"
            out = None
        common.answer(document, text, as_json=as_json, copy=out)
    if not answered and len(records) == 1:
        raise exits.RefusedError
    if not answered:
        raise DataError(f"None of the {len(records)} inputs could be predicted.")


def _with_tta(run: Path, copies: int, seed: int | None) -> Any:
    from drivetrain.vision.tta import load_with_tta

    return load_with_tta(run, copies=copies, seed=seed)


def record_of(answer: Any) -> dict[str, Any]:
    """A `Prediction` as JSON; of a `Quarantined` the sentence, and its reason code for programs."""
    if hasattr(answer, "to_json") and not hasattr(answer, "reason"):
        return answer.to_json()
    return {"input": answer.id, "error": answer.detail, "reason": answer.reason}


def picture_files(inputs: tuple[Path, ...]) -> list[Path]:
    """Files as they are given; a folder stands for the pictures in it, in sorted order."""
    from drivetrain.data.items import find_files
    from drivetrain.vision.decode import PICTURE_SUFFIXES

    pictures: list[Path] = []
    for path in inputs:
        if path.suffix.lower() in (".csv", ".tsv", ".parquet") and path.is_file():
            raise DataError(
                f"{path} is a table, and this is a model of pictures. Give the pictures, or a folder of "
                "them; those of a table with labels are measured by: drivetrain evaluate RUN --on TABLE"
            )
        found = find_files(path, PICTURE_SUFFIXES) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{path} holds no pictures. Give pictures, or folders that hold some.")
        pictures += found
    return pictures


def _table(records: list[dict[str, Any]]) -> str:
    rows = []
    for record in records:
        if "targets" in record:
            told = record["targets"].items()
            cells = [f"{t}: {one['label']} {layout.percent(one['probability'])}" for t, one in told]
            doubt = _doubt_of_targets(record)
            rows.append((record["input"], *cells, *([doubt] if doubt else [])))
            continue
        (_, share), *others = layout.best(record["probabilities"])
        rest = ", ".join(f"{label} {layout.percent(p)}" for label, p in others)
        rows.append(
            (record["input"], record["label"], layout.percent(share), rest + _doubt(record))
        )
    return layout.table(rows)


def _doubt(record: dict[str, Any]) -> str:
    """What the guard of a bundle has to say against an answer."""
    if "domain" not in record:
        return ""
    words = []
    if not record["domain"]["in_domain"]:
        words.append("unlike what the model knows")
    if len(record["set"]) > 1:
        words.append(f"one of {layout.shorten(record['set'])}")
    return f"  ! {'; '.join(words)}" if words else ""


def _doubt_of_targets(record: dict[str, Any]) -> str:
    """The same of several targets: the labels that are possible, where one of them has more than one."""
    words = []
    if not record.get("domain", {"in_domain": True})["in_domain"]:
        words.append("unlike what the model knows")
    for name, one in record["targets"].items():
        if len(one.get("set", ())) > 1:
            words.append(f"{name} one of {layout.shorten(one['set'])}")
    return f"  ! {'; '.join(words)}" if words else ""


def _shift(report: Any, count: int) -> str:
    if report is not None:
        return report.text
    return f"{count} pictures are too few to say whether they are of another kind taken together."
