"""`drivetrain advise`: where a run stands on the ladder, and what to try next."""

from __future__ import annotations

from pathlib import Path

import click

from drivetrain.cli import common


@click.command(short_help="Say what to try next, in the course's order, and why.")
@click.argument("run", type=click.Path(path_type=Path))
@common.options()
def command(run: Path, as_json: bool, seed: int | None, out: Path | None) -> None:
    """Say where RUN stands on the ladder of what to try, the evidence, and the next experiment.

    The order: fit the training data first; then more data, augmentation, a model that generalises
    better, regularisation; a smaller model last. `x` is tried, `>` is where it stands.

    \b
    drivetrain advise runs/digits
    """
    from drivetrain.train.advice import advise

    found = advise(run)
    common.answer(found.to_json(), str(found), as_json=as_json, copy=out)
