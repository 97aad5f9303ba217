"""`drivetrain map`: what a model takes for alike, as a page with a dot for each item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from drivetrain.cli import common, layout

PAGES = (".html", ".htm")


@click.command(short_help="Draw what a model takes for alike: a dot an item.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--method",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="pca: a plane through the vectors, and how much of them it holds. umap: neighbours together, "
    "distances without meaning; it needs the package umap-learn.",
)
@click.option("--layer", metavar="NAME", help="Of a net: the output of this layer. See summary.")
@click.option("--column", metavar="NAME", help="Of a table: the embeddings of this column.")
@click.option(
    "--target",
    metavar="NAME",
    help="Of pictures with several targets: whose head, classes and mistakes; by default the first's.",
)
@click.option("--of", type=click.Choice(["items", "users"]), help="Of ratings. By default items.")
@click.option(
    "--items",
    "part",
    type=click.Choice(["valid", "train", "all"]),
    help="Which pictures, texts or rows are drawn; by default those that validate.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1, max=20_000),
    default=3000,
    show_default=True,
    metavar="N",
    help="Of more items so many are drawn, at random.",
)
@common.options(
    out="The page; by default RUN/map.html.",
    seed="Of which items are drawn, and of umap. By default 42.",
    short_out=True,
)
def command(
    run: Path,
    method: str,
    layer: str | None,
    column: str | None,
    target: str | None,
    of: str | None,
    part: str | None,
    most: int,
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Draw the items of RUN as a map: near each other what its last layer takes for alike.

    Those that validate are drawn, and with --items those of training, or all. Of ratings the items'
    vectors are drawn. The page is one file that opens without a network: point at a
    dot, or tap it, and it says what it is, and what the model says; mistakes have a ring.

    With --json: {map, bytes, method, explained, what, told, nearest, items}; each item has {name, group,
    said, wrong, part, x, y}.

    \b
    drivetrain map runs/2026-01-31-photos
    drivetrain map runs/2026-01-31-photos --method umap -o umap.html
    drivetrain map runs/2026-01-31-photos --items all
    drivetrain map runs/2026-01-31-table --column occupation
    drivetrain map runs/2026-01-31-ratings --of users
    """
    if out is not None and out.suffix.lower() not in PAGES:
        raise click.UsageError(f"--out: the map is a file that ends in .html. Got {out}.")
    from drivetrain import store
    from drivetrain.report.map_page import map_page
    from drivetrain.report.maps import drawn
    from drivetrain.report.question import folder_name

    with common.stdout_kept(), common.counter() as count:
        items = _items(run, layer, column, target, of, part, count)
        found = drawn(items, method=method, seed=42 if seed is None else seed, most=most)
        page = map_page(found, folder_name(run))
    path = out or run / "map.html"
    store.write_text(path, page)
    document = {"map": str(path), "bytes": path.stat().st_size, **found.to_json()}
    rows = [
        [name, f"{many:,} {found.items.noun}", f"{wrong:,} wrong" if wrong else ""]
        for name, (many, wrong) in zip(found.groups, found.counts(), strict=True)
        if many
    ]
    lines = [*found.sentences(), ""]
    lines += [layout.table(rows), ""] if rows else []
    lines.append(f"{path} ({path.stat().st_size / 1000:,.0f} kB): open it in a browser.")
    common.answer(document, "\n".join(lines), as_json=as_json)


def _items(
    run: Path,
    layer: str | None,
    column: str | None,
    target: str | None,
    of: str | None,
    part: str | None,
    count: common.Counter,
) -> Any:
    """The items of a run of whatever kind; an option of another kind is refused."""
    application = common.application_of(run)
    of_kind = {"--layer": layer, "--column": column, "--target": target}
    of_kind |= {"--items": part, "--of": of}
    allowed = {
        "vision": {"--layer", "--items", "--target"},
        "text": {"--layer", "--items"},
        "tabular": {"--layer", "--items", "--column"},
    }
    for name, value in of_kind.items():
        if value is not None and name not in allowed.get(application, {"--of"}) and run.exists():
            raise click.UsageError(f"{name} says nothing of a run of the kind '{application}'.")
    if layer is not None and column is not None:
        raise click.UsageError("--layer is of rows, and --column of categories: give one of them.")
    if part is not None and column is not None:
        raise click.UsageError("--items is of rows, and --column of categories: give one of them.")
    items = part or "valid"
    if application == "tabular":
        from drivetrain.tabular.map_run import map_items

        return map_items(run, layer=layer, column=column, items=items, report=count)
    if application == "collab":
        from drivetrain.collab.mapping import map_items

        return map_items(run, of=of or "items", report=count)
    if application == "text":
        from drivetrain.text.map_run import map_items

        return map_items(run, layer=layer, items=items, report=count)
    from drivetrain.vision.mapping import map_items

    return map_items(run, layer=layer, target=target, items=items, report=count)
