"""`drivetrain verify`: is this bundle whole, and does it answer here as it did there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common


@click.command(short_help="Prove a bundle: its files, and its answers.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    type=click.Choice(["torch", "onnx"]),
    default="torch",
    show_default=True,
    help="What calculates the golden examples.",
)
@click.option("--sha256", metavar="HEX", help="Of bundle.json, as export printed it.")
@common.options()
def command(
    bundle: Path,
    engine: str,
    sha256: str | None,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Hold every file of BUNDLE against its SHA-256, and calculate its golden examples anew.

    Exit code 0: all is as it was when the bundle was made; 2: it is not, and one line says where. No
    code from the folder is run. With --sha256 it must also be the very bundle that was exported, and not
    one that somebody changed with care.

    \b
    drivetrain verify photos-bundle
    """
    from drivetrain import collab, tabular, text, vision

    homes: dict[str, Any] = {"tabular": tabular, "text": text, "collab": collab}
    application = homes.get(common.application_of(bundle), vision)
    with common.stdout_kept():
        found = application.verify(bundle, engine=engine, sha256=sha256)
    common.answer(found.to_json(), str(found), as_json=as_json, copy=out)
