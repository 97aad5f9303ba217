"""`drivetrain why`: each choice of a run, with its reason and how to choose otherwise."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from drivetrain.cli import common, layout


@click.command(short_help="Say why a run is as it is: each choice, its reason.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@common.options()
def command(run: Path, name: str | None, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Print each choice of RUN with its reason and how to choose otherwise; of NAME, that one.

    \b
    drivetrain why runs/2026-01-31-photos
    drivetrain why runs/2026-01-31-photos lr
    """
    from drivetrain._registry import did_you_mean
    from drivetrain.errors import UnknownNameError
    from drivetrain.report.record import open_record, shown_value

    made = open_record(run).choices
    if name is not None:
        names = [choice.what for choice in made]
        made = [choice for choice in made if choice.what == name]
        if not made:
            raise UnknownNameError(
                f"{run} has no choice '{name}'.{did_you_mean(name, names)} It has: "
                f"{', '.join(names) or 'none'}."
            )
    document = [
        {"what": c.what, "value": c.value, "reason": c.reason, "change": c.change} for c in made
    ]
    parts = []
    for choice in made:
        reason = textwrap.wrap(
            choice.reason, layout.line() - 4, break_long_words=False, break_on_hyphens=False
        )
        lines = [f"{choice.what}: {shown_value(choice.value)}", *(f"    {line}" for line in reason)]
        parts.append("\n".join([*lines, f"    to change it: {choice.change}"]))
    text = "\n".join(parts) or f"{run} says of no choice why it was made."
    common.answer(document if name is None else document[0], text, as_json=as_json, copy=out)
