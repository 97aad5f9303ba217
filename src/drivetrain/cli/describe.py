"""`drivetrain describe`: what is to be seen of a table before any model is trained."""

from __future__ import annotations

from pathlib import Path

import click

from drivetrain.cli import common, exits, settings, tables

PAGES, DOCUMENTS = (".html", ".htm"), (".json",)


@click.command(short_help="Look at a table: figures, histograms, and what may go wrong.")
@click.argument("table")
@click.option("--target", help="Column that is to be predicted: charts are split by it.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="COLUMN=KIND",
    help="A column is a number, category, date, text or id. May be repeated.",
)
@click.option(
    "--target-kind",
    type=settings.TABLE["target_kind"],
    help="Predict a class or a number; by default as the column looks.",
)
@common.options(
    out="Write the page to this file (.html), or the JSON document (.json).",
    seed="Which rows are drawn, where there are more than are compared. By default 42.",
    short_out=True,
)
def command(
    table: str,
    target: str | None,
    kinds: tuple[str, ...],
    target_kind: str | None,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Describe TABLE: each column in figures and a chart, and what in it asks for a look.

    The page is one file that needs no network and runs no script.

    \b
    drivetrain describe people.csv
    drivetrain describe people.csv --target lives -o people.html
    """
    ending = "" if out is None else out.suffix.lower()
    if out is not None and ending not in (*PAGES, *DOCUMENTS):
        raise click.UsageError(
            f"--out: the page is a file that ends in .html, the JSON document one in .json. Got {out}."
        )
    given = tables.kinds_of(kinds)
    from drivetrain.tabular.describe import describe

    with common.stdout_kept():
        found = describe(
            common.find_source(table),
            target,
            kinds=given,
            target_kind=target_kind,
            seed=42 if seed is None else seed,
        )
    text = exits.as_typed(str(found))
    if out is not None and ending in PAGES:
        found.save(out)
        text += f"\n\nThe page is {out}"
    elif out is None:
        text += "\n\nWith its charts as a page: -o page.html"
    common.answer(found.to_json(), text, as_json=as_json, copy=out if ending in DOCUMENTS else None)
