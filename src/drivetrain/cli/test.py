"""`drivetrain test`: what a model is worth on the items that were sealed before it was trained."""

from __future__ import annotations

from pathlib import Path

import click

from drivetrain.cli import common, exits


@click.command(short_help="Open the sealed test part, and count the look.")
@click.argument("run", type=click.Path(path_type=Path))
@common.options()
def command(run: Path, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Measure RUN on the items that were sealed for a test when its data was split.

    Nothing of training has seen them: no weight, no statistic, no choice. That lasts for one look. Each
    look is written down, for this run and for all others on the same items, and from the second on the
    interval is wider: the best of many tries is in part luck.

    \b
    drivetrain train census.csv --target salary --test 0.2
    drivetrain test runs/2026-01-31-census
    """
    from drivetrain import collab, tabular, text, vision

    homes = {"tabular": tabular, "text": text, "collab": collab}
    home = homes.get(common.application_of(run), vision)
    with common.stdout_kept(), common.counter() as count:
        found = home.test(run, report=count)
    if as_json and found.warning is not None:
        exits.print_line(f"warning: {found.warning}")
    common.answer(found.to_json(), str(found), as_json=as_json, copy=out)
