"""`drivetrain recommend`: what a user may like, with reasons; or what everybody may, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common, exits
from drivetrain.errors import ConfigError


@click.command(short_help="Say what a user may like, and why; or write it for everybody.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("users", metavar="USER...", nargs=-1)
@click.option(
    "--k",
    "-k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="So many items for each user.",
)
@click.option("--all", "everybody", is_flag=True, help="For every user of the ratings; with --out.")
@click.option("--seen", is_flag=True, help="Also what the user has rated.")
@click.option(
    "--only", multiple=True, metavar="ITEM", help="Nothing but this item. May be repeated."
)
@click.option("--without", multiple=True, metavar="ITEM", help="Not this item. May be repeated.")
@click.option(
    "--search",
    type=click.Choice(["exact", "graph"]),
    default="exact",
    show_default=True,
    help="Compare all items, or find nearly the best by a graph of them: for very many items.",
)
@common.options(
    out="With --all, or many users: a table, .parquet or .csv, written as it is made. Else a copy of "
    "the JSON document.",
    seed="Of the graph that --search graph makes. By default 42.",
)
def command(
    run: Path,
    users: tuple[str, ...],
    k: int,
    everybody: bool,
    seen: bool,
    only: tuple[str, ...],
    without: tuple[str, ...],
    search: str,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Say which items the model of RUN expects each USER to rate highest, best first, and why.

    A user whom the model does not know gets the items that most people rated, and is told so.

    With --json: {user, by, items, notes}, a list of them for several users; each item has {rank, item,
    title, value, parts, near}: the prediction taken apart, and the nearest of what the user liked.

    \b
    drivetrain recommend runs/2026-01-31-ratings u007
    drivetrain recommend runs/2026-01-31-ratings u007 --k 3 --without f012
    drivetrain recommend runs/2026-01-31-ratings --all --out everybody.parquet
    """
    is_table = out is not None and out.suffix.lower() in (".csv", ".parquet")
    if everybody == bool(users):
        raise click.UsageError(
            "--all is for everybody: name no USER beside it."
            if users
            else "Missing argument 'USER...': name one, or give --all."
        )
    if everybody and not is_table:
        raise click.UsageError("--all needs --out FILE.parquet or FILE.csv.")
    application = common.application_of(run)
    if application != "collab" and run.exists():  # opening says what is wrong with none
        raise ConfigError(f"{run} is of the kind '{application}': only ratings recommend.")

    from drivetrain.cli import ratings
    from drivetrain.collab.recommend import item_index, recommend_to

    options: dict[str, Any] = {"exclude_seen": not seen, "allow": only or None, "deny": without}
    with common.stdout_kept(), common.counter() as count:
        model = ratings.opened(run)
        if search == "graph":
            options["index"] = item_index(model, seed=42 if seed is None else seed)
        if is_table:
            assert out is not None
            wanted = None if everybody else users
            written = recommend_to(model, wanted, out, k, report=count, **options)
            answers = []
        else:
            written = None
            answers = [model.recommend(user, k, **options) for user in users]
    if written is not None:
        for note in (*written.notes, *ratings.not_left_out(model, seen=seen)):
            exits.print_line(note)
        text = f"{written.rows:,} recommendations for {written.users:,} users are in {out}"
        common.answer(written.to_json(), text, as_json=as_json)
        return
    documents = [one.to_json() for one in answers]
    told = [f"For {one.user}\n{one}" if len(answers) > 1 else str(one) for one in answers]
    document = documents[0] if len(documents) == 1 else documents
    common.answer(document, "\n\n".join(told), as_json=as_json, copy=out)
