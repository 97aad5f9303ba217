"""`drivetrain samples`: what is embedded, and a sample as a folder to look at."""

from __future__ import annotations

import json
from pathlib import Path

import click

from drivetrain.cli import common, layout


@click.command(short_help="List the embedded data sets, or write one as a folder.")
@click.argument("name", required=False)
@click.option(
    "--to",
    "--out",
    "to",
    type=click.Path(path_type=Path),
    help="Write NAME to this folder, which must be new or empty.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "--seed",
    type=common.SEED,
    expose_value=False,
    help="Changes nothing: a sample is always the same.",
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
def command(name: str | None, to: Path | None, as_json: bool) -> None:
    """List the embedded data sets, tell more of NAME, or write it as a folder.

    \b
    drivetrain samples
    drivetrain samples digits
    drivetrain samples digits --to digits/
    """
    from drivetrain._registry import lookup
    from drivetrain.samples import SAMPLES, write_sample

    if name is None:
        if to is not None:
            raise click.UsageError("Say which sample is to be written: NAME is missing.")
        text = layout.table([(s.name, s.task, f"{s.items:,}", s.what) for s in SAMPLES.values()])
        more = [
            ("Train on one", "drivetrain train digits"),
            ("Write one", "drivetrain samples digits --to FOLDER"),
        ]
        _print([_record(each) for each in SAMPLES], f"{text}\n\n{layout.table(more)}", as_json)
        return
    sample = lookup(SAMPLES, name, what="sample")
    if to is None:
        rows = [
            ("Shows", sample.what),
            ("Items", f"{sample.items:,}"),
            ("Source", sample.source),
            ("Licence", sample.licence),
            (
                "Needs",
                f"{sample.package}: pip install "
                f"'drivetrain[{_EXTRAS.get(sample.task, sample.task)}]'",
            ),
        ]
        _print(_record(name), layout.table(rows), as_json)
        return
    folder = write_sample(name, to)
    items, parts = ("rows", sample.tables) if sample.is_table else ("pictures", ["train/", "test/"])
    text = f"Wrote {sample.items:,} {items} to {folder}: "
    if sample.task == "collab":
        text += f"{parts[0]} to learn from; {parts[1]} and {parts[2]} say more of items and users."
    else:
        text += f"{parts[0]} to learn from, {parts[1]} to try it on."
    _print(_record(name) | {"folder": str(folder)}, text, as_json)


_EXTRAS = {"vision": "samples", "collab": "tabular"}
"""Task -> the extra that its samples need, where it is called otherwise."""


def _record(name: str) -> dict[str, str | int]:
    from drivetrain.samples import SAMPLES

    sample = SAMPLES[name]
    fields = ("name", "task", "what", "items", "licence", "source", "package", "version")
    return {field: getattr(sample, field) for field in fields}


def _print(document: object, text: str, as_json: bool) -> None:
    # not common.answer: that loads torch, and a list of samples should be there at once
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        common.show(text)
