"""`drivetrain predict`: what is on these pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common, exits, layout
from drivetrain.errors import DataError


@click.command(short_help="Say what is on pictures.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument(
    "inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@common.options()
def command(
    run: Path, inputs: tuple[Path, ...], as_json: bool, seed: int | None, out: Path | None
) -> None:
    """Predict the label of each INPUT, a picture or a folder of pictures, with the model of RUN.

    A file that cannot be read as a picture is named on stderr with the reason, and the others are
    answered. The exit code is 2 only when there is no answer at all.

    With --json: a list with {input, label, probabilities} for each picture, in the order given, and
    {input, error, reason} for each that could not be read.

    \b
    drivetrain predict runs/2026-01-31-photos new.jpg
    drivetrain predict runs/2026-01-31-photos holiday/ --json
    """
    from drivetrain import vision

    with common.stdout_kept():
        predictor = vision.load(run)
        records = [_record(each) for each in predictor.predict_many(_pictures(inputs))]
    for record in records:
        if "error" in record:
            exits.print_line(f"{record['input']}: {record['error']}")
    answered = [record for record in records if "error" not in record]
    if answered or as_json:
        common.answer(records, _table(answered), as_json=as_json, copy=out)
    if not answered and len(records) == 1:
        raise exits.RefusedError
    if not answered:
        raise DataError(f"None of the {len(records)} inputs could be predicted.")


def _record(answer: Any) -> dict[str, Any]:
    """A `Prediction` as JSON; of a `Quarantined` the sentence, and its reason code for programs."""
    if hasattr(answer, "probabilities"):
        return answer.to_json()
    return {"input": answer.id, "error": answer.detail, "reason": answer.reason}


def _pictures(inputs: tuple[Path, ...]) -> list[Path]:
    """Files as they are given; a folder stands for the pictures in it, in sorted order."""
    from drivetrain.data.items import find_files
    from drivetrain.vision.decode import PICTURE_SUFFIXES

    pictures: list[Path] = []
    for path in inputs:
        found = find_files(path, PICTURE_SUFFIXES) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{path} holds no pictures. Give pictures, or folders that hold some.")
        pictures += found
    return pictures


def _table(records: list[dict[str, Any]]) -> str:
    rows = []
    for record in records:
        (_, share), *others = layout.best(record["probabilities"])
        rest = ", ".join(f"{label} {layout.percent(p)}" for label, p in others)
        rows.append((record["input"], record["label"], layout.percent(share), rest))
    return layout.table(rows)
