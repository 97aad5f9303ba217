"""`drivetrain diff`: two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, layout

if TYPE_CHECKING:
    from drivetrain.train.comparing import RunDiff

LONGEST = 44
"""Letters of a value in the table; `--json` has it whole."""


@click.command(short_help="Compare two runs: what was set, and what came of it.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@common.options()
def command(first: Path, second: Path, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Compare the runs FIRST and SECOND by their records; neither model nor data is read.

    \b
    drivetrain diff runs/digits runs/digits-adam
    """
    from drivetrain.train.comparing import diff_runs

    found = diff_runs(first, second)
    common.answer(found.to_json(), text(found), as_json=as_json, copy=out)


def text(found: RunDiff) -> str:
    """The comparison for people."""
    same = {True: "the same", False: "not the same"}
    lines = [
        f"first   {found.first}\nsecond  {found.second}",
        (
            f"Data: {same[found.same_data]}. Split: {same[found.same_split]}. "
            if found.knows_data
            else ""
        )
        + f"Weights: {same[found.same_weights]}.",
        "",
    ]
    if found.settings:
        rows = [(one.name, _short(one.first), _short(one.second)) for one in found.settings]
        rows.insert(0, ("", "first", "second"))
        lines += ["Set differently", layout.table(rows, indent=2), ""]
    else:
        lines += ["Nothing was set differently.", ""]
    rows = [
        (
            one.name,
            "-" if one.first is None else layout.number(one.first),
            "-" if one.second is None else layout.number(one.second),
            f"{one.better} is better" if one.better else "",
        )
        for one in found.results
    ]
    if found.intervals != (None, None):
        one, other = ["-" if e is None else f"{e[0]:.3f} to {e[1]:.3f}" for e in found.intervals]
        rows.append(("interval", one, other, ""))
    if rows:
        lines += ["Validation", layout.table([("", "first", "second", ""), *rows], indent=2), ""]
    return "\n".join([*lines, found.verdict])


def _short(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    whole = "-" if value is None else value if isinstance(value, str) else json.dumps(value)
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
