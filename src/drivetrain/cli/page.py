"""`drivetrain page`: a page that moves, as one HTML file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from drivetrain.cli import common, layout


@click.command(short_help="Write a page with sliders: a fit, a rate, a kernel.")
@click.argument("name", required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The file, such as kernel.html; by default NAME.html here.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--seed", type=common.SEED, help="Of the points of `quadratic`.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
def command(name: str | None, out: Path | None, as_json: bool, seed: int | None) -> None:
    """List the pages, or write page NAME: one file that opens anywhere, without a network.

    \b
    drivetrain page
    drivetrain page quadratic -o quadratic.html
    """
    from drivetrain import pages

    if name is None:
        if out is not None:
            raise click.UsageError("Say which page is to be written: NAME is missing.")
        listed = [{"name": key, "what": what} for key, what in pages.PAGES.items()]
        text = layout.table(pages.PAGES.items())
        text += "\n\nWrite one\n  drivetrain page quadratic -o quadratic.html"
        if as_json:
            click.echo(json.dumps(listed, indent=2))
        else:
            common.show(text)
        return
    if seed is not None and name in pages.PAGES and name != "quadratic":
        raise click.UsageError(f"Page '{name}' draws nothing at random: leave --seed out.")
    settings = {} if seed is None else {"seed": seed}
    path = pages.write(name, out or Path(f"{name}.html"), **settings)
    document = {"page": str(path), "name": name, "bytes": path.stat().st_size}
    text = f"{path}: {pages.PAGES[name]} Open it in a browser."
    common.answer(document, text, as_json=as_json)
