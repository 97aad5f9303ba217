"""`drivetrain explain`: what a model of a table, of texts or of ratings says, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, layout
from drivetrain.errors import RunError

if TYPE_CHECKING:
    from drivetrain.tabular import Explainer

MOST_COLUMNS = 3
"""Columns that are swept where none is named: the most important ones."""


@click.command(short_help="Ask a model why: rows of a table, words of a text, axes of taste.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--on", "source", help="Labelled rows to ask about; by default the validation rows.")
@click.option("--model", "name", help="Of a leaderboard: which model; by default the best.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="COLUMN",
    help="Sweep this column; by default the three most important. May be repeated.",
)
@click.option(
    "--row",
    "rows",
    multiple=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Take the answer for row N of the source apart. May be repeated.",
)
@click.option(
    "--new", help="A table of other rows: are they of another kind, and by which columns?"
)
@click.option(
    "--pictures", type=click.Path(path_type=Path), help="Also draw all of it into this folder."
)
@click.option(
    "--text",
    "texts",
    multiple=True,
    metavar="TEXT",
    help="Of a run of texts: which words of this one speak for the answer. May be repeated.",
)
@click.option(
    "--page", type=click.Path(path_type=Path), help="Of texts: also write them, coloured, as HTML."
)
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="ITEM",
    help="Of a run of ratings: what is nearest to this item. May be repeated.",
)
@common.options(seed="Of the shuffles and of the rows that are drawn. By default 42.")
def command(
    run: Path,
    source: str | None,
    name: str | None,
    columns: tuple[str, ...],
    rows: tuple[int, ...],
    new: str | None,
    pictures: Path | None,
    texts: tuple[str, ...],
    page: Path | None,
    items: tuple[str, ...],
    as_json: bool,
    seed: int | None,
    out: Path | None,
) -> None:
    """Say which columns RUN's model leans on, what it answers as one is swept, and why rows got theirs.

    Of a run of texts: what each word adds to the answer. Of a run of ratings: which items are liked by
    all, and what the axes of taste have at their ends.

    \b
    drivetrain explain runs/2026-01-31-census
    drivetrain explain runs/2026-01-31-census --column age --row 12
    drivetrain explain runs/2026-01-31-census --new july.csv --pictures why/
    drivetrain explain runs/2026-01-31-reviews --text "A film to fall asleep over."
    drivetrain explain runs/2026-01-31-ratings --item f012
    """
    if not run.exists():
        raise RunError(f"{run} does not exist. Give the folder of a run, or of a model.")
    is_text = (application := common.application_of(run)) == "text"
    of_tables = {"--on": source, "--model": name, "--column": columns, "--row": rows, "--new": new}
    if application == "collab" or items:
        others = {**of_tables, "--text": texts, "--page": page}
        given = [option for option, value in others.items() if value]
        _explain_ratings(run, application, items, pictures, given, as_json=as_json, out=out)
        return
    if is_text or texts or page is not None:
        of_tables["--pictures"] = pictures
        given = [option for option, value in of_tables.items() if value]
        _explain_texts(run, is_text, texts, page, given, as_json=as_json, out=out)
        return
    seed = 42 if seed is None else seed
    with common.stdout_kept():
        asked = _explainer(run, source, name)
        found = _answers(asked, columns, rows, new, seed)
        if pictures is not None:
            _draw(found, pictures)
    document = {name: answer.to_json() for name, answer in found.items()}
    text = "\n\n".join(f"{_title(name)}\n{answer}" for name, answer in found.items())
    if pictures is not None:
        text += f"\n\n{len(found)} pictures are in {pictures}"
    common.answer({"model": asked.model.name, **document}, text, as_json=as_json, copy=out)


def _explain_texts(
    run: Path,
    is_text: bool,
    texts: tuple[str, ...],
    page: Path | None,
    given: list[str],
    *,
    as_json: bool,
    out: Path | None,
) -> None:
    from drivetrain import store
    from drivetrain.errors import ConfigError

    if not is_text:
        raise ConfigError(f"{run} is no run of texts: --text and --page are for those.")
    if given:
        raise ConfigError(f"{run} is a run of texts, and {given[0]} is for tables. Use --text.")
    if not texts:
        raise ConfigError(f"{run} is a run of texts: say which one to take apart with --text.")
    from drivetrain.text.model import load
    from drivetrain.text.show import explain_page

    with common.stdout_kept():
        found = load(run).explain(texts)
        if page is not None:
            store.write_text(page, explain_page(found))
    shown = "\n\n".join(one.lines(colour=sys.stdout.isatty() and not as_json) for one in found)
    if page is not None:
        shown += f"\n\nThe page is {page}"
    common.answer([one.to_json() for one in found], shown, as_json=as_json, copy=out)


def _explain_ratings(
    run: Path,
    application: str,
    items: tuple[str, ...],
    pictures: Path | None,
    given: list[str],
    *,
    as_json: bool,
    out: Path | None,
) -> None:
    from drivetrain.cli import ratings
    from drivetrain.errors import ConfigError

    if application != "collab":
        raise ConfigError(f"{run} is no run of ratings: --item is for those.")
    if given:
        raise ConfigError(f"{run} is a run of ratings, and {given[0]} is not for those.")
    with common.stdout_kept():
        found = ratings.explained(run, items, pictures)
    shown = "\n\n".join(str(part) for parts in found.values() for part in parts)
    if pictures is not None:
        shown += f"\n\nThe map of items is in {pictures}"
    document = {name: [part.to_json() for part in parts] for name, parts in found.items()}
    common.answer(document, shown, as_json=as_json, copy=out)


def _explainer(run: Path, source: str | None, name: str | None) -> Explainer:
    from drivetrain import tabular
    from drivetrain.errors import ConfigError
    from drivetrain.tabular.explain import explain_run
    from drivetrain.train.run import Run

    folder = run if name is None else run / "models" / name
    if name is not None and not folder.is_dir():
        known = sorted(path.name for path in (run / "models").glob("*") if path.is_dir())
        has = f"It has: {', '.join(known)}." if known else "It has one model: leave --model out."
        raise ConfigError(f"{run} has no model '{name}'. {has}")
    model = tabular.load(folder)
    if source is not None:
        return tabular.explain(model, common.find_source(source))
    return explain_run(model, Run.open(run).read().get("data"))


def _answers(
    asked: Explainer, columns: tuple[str, ...], rows: tuple[int, ...], new: str | None, seed: int
) -> dict[str, Any]:
    from drivetrain.errors import ConfigError

    found: dict[str, Any] = {}
    importance = asked.importance(seed=seed)
    found["importance"] = importance
    try:
        gains = asked.impurity_importance()
    except ConfigError:  # no trees
        gains = None
    if gains is not None and any(gains.values()):
        from drivetrain.interpret.comparison import compare_importance

        found["both_importances"] = compare_importance(gains, importance)
    chosen = columns or [column.name for column in importance.columns[:MOST_COLUMNS]]
    for name in chosen:
        found[f"partial_dependence {name}"] = asked.partial_dependence(
            name, num_points=12, seed=seed
        )
    places = {int(position): place for place, position in enumerate(asked.frame.ids)}
    for number in rows:
        if number - 1 not in places:
            raise ConfigError(
                f"Row {number} is not among the {len(places):,} rows that are asked about: "
                f"{_some(places)}. Others are reached by --on TABLE."
            )
        found[f"row {number}"] = asked.waterfall(places[number - 1])
    if new is not None:
        found["out_of_domain"] = asked.out_of_domain(common.find_source(new), seed=seed)
    return found


def _some(places: dict[int, int]) -> str:
    return layout.shorten([str(position + 1) for position in places], most=8)


_TITLES = {
    "importance": "What shuffling a column costs",
    "both_importances": "Beside it, the gain of the trees' splits",
    "out_of_domain": "Are the other rows of another kind?",
}


def _title(name: str) -> str:
    if name.startswith("partial_dependence "):
        return f"The answer as {name.partition(' ')[2]} is swept"
    if name.startswith("row "):
        return f"Why {name} got its answer"
    return _TITLES[name]


def _draw(found: dict[str, Any], folder: Path) -> None:
    import io

    from drivetrain import store

    for number, (name, answer) in enumerate(found.items(), start=1):
        image = io.BytesIO()
        answer.plot().savefig(image, format="svg")
        safe = "".join(sign if sign.isalnum() else "-" for sign in name)
        store.write_bytes(folder / f"{number:02}-{safe}.svg", image.getvalue())
