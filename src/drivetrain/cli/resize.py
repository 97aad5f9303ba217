"""`drivetrain resize`: large photos made small once, so that every epoch reads little."""

from __future__ import annotations

import os
from pathlib import Path

import click

from drivetrain.cli import common, settings


@click.command(short_help="Copy a folder of pictures at a small size.")
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dst", type=click.Path(path_type=Path))
@click.option(
    "--size", type=settings.DATA["size"], required=True, help="Side of the result, in pixels."
)
@click.option(
    "--method",
    type=click.Choice(["shrink", "crop", "squish", "pad"]),
    default="shrink",
    show_default=True,
    help="shrink keeps the proportions and covers the square; the others make squares: crop loses "
    "the ends of the longer side, squish changes the proportions, pad adds a black border.",
)
@common.options()
def command(
    src: Path, dst: Path, size: int, method: str, as_json: bool, seed: int | None, out: Path | None
) -> None:
    """Copy every picture below SRC to DST, in the same folders, as small as training at SIZE allows.

    Pictures that cannot be read are listed with the reason and left out. SRC is not touched, and
    nothing in DST is overwritten.

    \b
    drivetrain resize photos/ photos-224/ --size 224
    """
    from drivetrain.vision import resize_folder

    with common.stdout_kept(), common.counter() as count:
        done = resize_folder(
            src,
            dst,
            size=size,
            resize=method,
            num_workers=os.cpu_count() or 1,
            progress=lambda number: count("pictures", number),
        )
    common.answer(done.to_json(), str(done), as_json=as_json, copy=out)
