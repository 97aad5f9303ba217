"""`drivetrain eject`: a finished run as a plain PyTorch script."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common

LEVELS = ("all", "data", "loop")


@click.command(short_help="Write a run as a plain PyTorch script with the same weights.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="all",
    show_default=True,
    help="How much is written out: everything; loop and data; the loop alone.",
)
@common.options(
    out="The script, such as train_birds.py; one that is there is replaced.", short_out=True
)
def command(run: Path, level: str, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Write RUN as one script that does the same without Drivetrain, to the last bit of the weights.

    It is made of the library's own source, with what is known of the run put in. The pictures that the
    run was trained on must still be where they were.

    \b
    drivetrain eject runs/2026-01-31-photos -o train_photos.py
    python train_photos.py --data photos/ --out again/
    """
    if out is None:
        raise click.UsageError("Missing option '-o': the script's file, such as -o train.py.")

    from drivetrain import eject, tabular, vision

    application = tabular if common.application_of(run) == "tabular" else vision
    with common.stdout_kept(), common.counter() as count:
        learner = application.reopen(run, progress=False, report=count)
        path = eject.write(learner, out, level=level)
    record = learner.run.read() if learner.run is not None else {}
    source = _said(record, "data", "source") or "DATA"
    weights = _said(record, "results", "weights_sha256")
    lines = len(path.read_text("utf-8").splitlines())
    document = {"script": str(path), "level": level, "lines": lines, "weights_sha256": weights}
    place = f"{shlex.quote(str(path))} --data {shlex.quote(source)} --out OUT"
    text = (
        f"{path}: {lines} lines, level '{level}'.\n"
        f"Run it  python {place}\n"
        f"It ends with weights_sha256 {weights}, as the run did."
    )
    common.answer(document, text, as_json=as_json)


def _said(record: Any, part: str, name: str) -> str | None:
    """A text of a part of a run's record; None where there is none, or something else."""
    inside = record.get(part)
    value = inside.get(name) if isinstance(inside, dict) else None
    return value if isinstance(value, str) and value.isprintable() else None
