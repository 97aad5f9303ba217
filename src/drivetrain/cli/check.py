"""`drivetrain check`: what is wrong with data before a model learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, exits, ratings, settings, tables, texts

if TYPE_CHECKING:
    from drivetrain.gate.findings import Findings


@click.command(short_help="Look for leaks, repeats and conflicts before training.")
@click.argument("source")
@click.option(
    "--task",
    type=click.Choice(["vision", "tabular", "text", "language", "collab"]),
    help="What is learnt from what; by default as the source looks.",
)
@click.option("--target", "label_column", metavar="COLUMN", help="Column that is predicted.")
@click.option(
    "--text", "text_columns", multiple=True, metavar="COLUMN", help="Column that holds the text."
)
@click.option(
    "--pattern", help="Labels are in the file names: a regular expression with one group."
)
@click.option("--valid", type=settings.TABLE["valid"], help="Share for validation; as of train.")
@click.option("--split", type=settings.SPLITS, metavar="HOW", help="How it is split; as of train.")
@click.option("--because", "reasons", multiple=True, metavar="WHY", help="Why, for each --accept.")
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="NAME",
    help="A finding that is to be let pass; a reason follows with --because. May be repeated.",
)
@click.option("--drop", multiple=True, metavar="COLUMN", help="Leave out this column of a table.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="COLUMN=KIND",
    help="A column of a table is a number, category, date, text or id.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Time for near duplicates of pictures; by default all pairs are compared.",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting of the data, such as groups=patient. May be repeated.",
)
@common.options(
    out="Also write the JSON document to this file.", seed="Of the split. By default 42."
)
def command(
    source: str,
    task: str | None,
    text_columns: tuple[str, ...],
    accepted: tuple[str, ...],
    reasons: tuple[str, ...],
    drop: tuple[str, ...],
    kinds: tuple[str, ...],
    seconds: float | None,
    pairs: tuple[str, ...],
    as_json: bool,
    seed: int | None,
    out: Path | None,
    **options: Any,
) -> int:
    """Check SOURCE: exact and near duplicates within and across the split, somebody on both sides, time
    order, columns that give the target away, labels that contradict each other, unreadable items.

    The gravest first, each with what it adds to a score and what to do. The exit code is 0 where nothing
    critical is left, else 2.

    \b
    drivetrain check photos/
    drivetrain check people.csv --target lives
    drivetrain check people.csv --target lives --accept target-proxy:boat --because "known before"
    """
    given = settings.merge(options, settings.parse(pairs))
    if seed is not None:
        given["seed"] = seed
    if text_columns:
        given["text_columns"] = list(text_columns)
    passed, because = paired(accepted, reasons)
    if because is not None:
        given["because"] = because
    with common.stdout_kept():
        found = findings_of(common.find_source(source), source, task, given, drop, kinds, seconds)
        found = found.accepted(passed)
    common.answer(found.to_json(), str(found), as_json=as_json, copy=out)
    return exits.DONE if found.is_clear else exits.WRONG_INPUT


def paired(
    accepted: tuple[str, ...], reasons: tuple[str, ...]
) -> tuple[dict[str, str], str | None]:
    """Finding -> why it is let pass, and the reason that is left for the split.

    One reason stands for all findings; of several each has its own, in their order.

    Raises: UsageError: more or fewer reasons than findings.
    """
    if not accepted:
        if len(reasons) > 1:
            raise click.UsageError("--because is given twice, and nothing is accepted.")
        return {}, reasons[0] if reasons else None
    if len(reasons) not in (1, len(accepted)):
        raise click.UsageError(
            f"--accept is given {len(accepted)} times and --because {len(reasons)} times: give one "
            "reason for all, or one for each in the same order."
        )
    every = reasons * len(accepted) if len(reasons) == 1 else reasons
    return dict(zip(accepted, every, strict=True)), None


def findings_of(
    path: Path,
    source: str,
    task: str | None,
    given: Mapping[str, Any],
    drop: tuple[str, ...],
    kinds: tuple[str, ...],
    seconds: float | None,
) -> Findings:
    """The findings of a source, by the application that `train` would choose for it."""
    asked = {**given, "drop": drop, "kinds": kinds}
    if isinstance(given.get("valid"), str) and not tables.is_table(path, task, given):
        raise click.UsageError("--valid: a date is for tables; here it is a share, such as 0.2.")
    seed = {"seed": given["seed"]} if "seed" in given else {}
    if ratings.is_ratings(path, task, asked) is not None:
        from drivetrain.collab.checking import check

        chosen = _only(given, settings.RATING_DATA, path, "ratings")
        return check(path, **common.beside(source, path), **chosen, **seed)
    if texts.is_texts(path, task, asked) is not None:
        from drivetrain.text.checking import check

        chosen = _only(given, {**settings.TEXT_DATA, "label_column": None}, path, "texts")
        target = chosen.pop("label_column", None)
        return check(path, target, labelled=task != "language", **chosen, **seed)
    if tables.is_table(path, task, given):
        from drivetrain.tabular.checking import check

        chosen = _only(given, {**settings.TABLE, "label_column": None}, path, "a table")
        target = chosen.pop("label_column", None)
        if target is None:
            raise click.UsageError(
                f"Which column of {path} is to be predicted? Say so with --target COLUMN."
            )
        return check(path, target, drop=drop, kinds=tables.kinds_of(kinds), **chosen, **seed)
    from drivetrain.vision.checking import check

    known = {**settings.DATA, **settings.CSV, **settings.NAMES}
    chosen = _only(given, known, path, "pictures")
    with common.counter() as count:
        return check(path, seconds=seconds, report=count, **chosen, **seed)


def _only(
    given: Mapping[str, Any], known: Mapping[str, Any], path: Path, what: str
) -> dict[str, Any]:
    """The settings that are of this kind of source. Raises: UsageError: one is not."""
    wrong = [name for name in given if name not in known and name != "seed"]
    if wrong:
        raise click.UsageError(f"'{wrong[0]}': {path} is {what}, which have no such setting.")
    return {name: value for name, value in given.items() if name in known}
