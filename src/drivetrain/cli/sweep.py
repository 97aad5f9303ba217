"""`drivetrain sweep`: many models and sizes on the same items, each for about a minute, side by side."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, exits, gating, layout, ratings, settings, tables, texts
from drivetrain.cli.train import asked_targets, command as train_command
from drivetrain.errors import DataError, DrivetrainError

if TYPE_CHECKING:
    from drivetrain.train.sweeping import Board, Row

WIDEST = 80
"""Columns of the printed board."""

OF_TRAIN = (
    *("task", "valid", "test", "patch", "pattern", "path_column", "text_columns"),
    *("drop", "kinds", "split", "split_seed", "user", "item", "rating", "time", "titles"),
    *("because", "accept", "folder"),
)
"""Options that are those of `drivetrain train`: what is said of the data."""


class _Names(click.ParamType):
    """`a,b,c`, as a list."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Without blanks, each once."""
        if isinstance(value, list):
            return value
        names = [word.strip() for word in str(value).split(",")]
        if not all(names):
            return self.fail(f"{value!r} is not a list such as resnet18,resnet34.", param, ctx)
        return list(dict.fromkeys(names))


class _Sizes(click.ParamType):
    """`64,128`, as a list of whole numbers."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Each at least 1."""
        if isinstance(value, list):
            return value
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
            return self.fail(f"{value!r} is not a list of sizes such as 64,128.", param, ctx)
        return list(dict.fromkeys(map(int, words)))


@click.command(short_help="Try many models and sizes, and put them side by side.")
@click.argument("source")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="For all of it: what does not fit in waits for another call.",
)
@click.option(
    "--each",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Minutes for a candidate, from opening the data to its result.",
)
@click.option(
    "--models",
    type=_Names(),
    default=[],
    metavar="A,B,…",
    help="What to try; by default what suits the source.",
)
@click.option(
    "--sizes",
    type=_Sizes(),
    default=[],
    metavar="N,M,…",
    help="Sizes to try: of pictures their side, of tables a net's width, of texts a word's numbers, of "
    "ratings a vector's.",
)
@click.option(
    "--target",
    "--label-column",
    "label_columns",
    multiple=True,
    metavar="COLUMN",
    help="Column of the table that is predicted. Of pictures, and of numbers in a table, it may be "
    "repeated: one model then tells all of them.",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting of the data, such as resize=squish. May be repeated.",
)
@common.options(
    out="Folder of the sweep; by default runs/sweep-<name>. What is finished in it is not trained again.",
    seed="Of the split and of each training: the same for all. By default 42.",
)
def command(
    source: str,
    minutes: float,
    each: float,
    models: list[str],
    sizes: list[int],
    as_json: bool,
    seed: int | None,
    out: Path | None,
    pairs: tuple[str, ...],
    accept: tuple[str, ...],
    text_columns: tuple[str, ...],
    label_columns: tuple[str, ...],
    task: str | None,
    **options: Any,
) -> None:
    """Train many models on SOURCE, each for about a minute, and put them side by side.

    All see the same items and are measured on the same ones. The board has error, training time, time
    of an answer, memory and size of each, says which may be as good as the best, and which no other
    beats in error, time and memory at once (*). Each is a run of its own in the folder of the sweep.
    What crashes or runs out of memory is a line of the board. Stopped or killed, the same line goes
    on.

    \b
    drivetrain sweep photos/ --minutes 10
    drivetrain sweep photos/ --models resnet18,tf_efficientnet_lite0 --sizes 64,128
    drivetrain sweep census.csv --target salary --minutes 5
    drivetrain sweep leaves.csv --target disease --target variety
    drivetrain sweep ratings.csv --each 0.5
    """
    began = time.monotonic()
    options |= asked_targets(label_columns)
    given = settings.merge(options, settings.parse(pairs))
    if text_columns:
        given["text_columns"] = list(text_columns)
    accepted = gating.accepted_of(accept, given)
    path = common.find_source(source)
    asked = _asked(path, source, task, given, accepted, 42 if seed is None else seed, each)
    from drivetrain.cli.candidates import candidates
    from drivetrain.cli.sweeping import sweep_into

    with common.stdout_kept():
        wanted = candidates(
            asked["application"],
            path,
            asked["given"],
            models=models,
            sizes=sizes,
            implicit=asked["implicit"],
        )
    folder = out or _default_folder(Path(source).stem or path.resolve().stem, asked)
    try:
        with common.stdout_kept():
            board = sweep_into(folder, asked, wanted, minutes=minutes, began=began)
    except KeyboardInterrupt as error:
        raise exits.StoppedError(
            f"Stopped. What is finished is kept in {folder}: the same line goes on."
        ) from error
    page = _write_page(folder, board, asked)
    document = {"folder": str(folder), "page": str(page), **asked, **board.to_json()}
    common.answer(document, text(board, folder, page), as_json=as_json)
    if board.best is None:
        raise DataError(f"No candidate has a result: see why each failed, in {page}.")


# --- what was asked ----------------------------------------------------------------------------------


def _asked(
    path: Path,
    source: str,
    task: str | None,
    given: dict[str, Any],
    accepted: Mapping[str, str],
    seed: int,
    each: float,
) -> dict[str, Any]:
    """What every candidate is told, plain JSON; the application as `drivetrain train` finds it."""
    if task == "language":
        raise click.UsageError("--task language: a sweep compares classifiers and scorers.")
    application, known = _application(path, task, given)
    given = {name: value for name, value in given.items() if value not in ((), None)}
    is_list = path.is_file() and path.suffix.lower() == ".csv"
    if (
        "targets" in given
        and application != "tabular"
        and not (application == "vision" and is_list)
    ):
        raise click.UsageError(
            f"--target is given {len(given['targets'])} times: several are told of pictures that a CSV "
            f"lists, or are numbers of a table, and {path} is neither."
        )
    wrong = [name for name in given if name not in known]
    if wrong:
        what = {
            "vision": "pictures",
            "tabular": "tables",
            "text": "texts",
            "collab": "ratings",
        }[application]
        raise click.UsageError(
            f"'{wrong[0]}': a sweep sets what is of a model itself, and {path} is read as {what}."
            if wrong[0] in settings.SETTINGS
            else f"--{wrong[0].rstrip('s')}: not for {what}, and {path} is read as {what}."
        )
    if application == "tabular":
        if "label_column" not in given and "targets" not in given:
            raise click.UsageError(
                f"Which column of {path} is to be predicted? Say so with --target COLUMN."
            )
        if "kinds" in given:
            given["kinds"] = tables.kinds_of(given["kinds"])
    if isinstance(given.get("valid"), str) and application != "tabular":
        raise click.UsageError("--valid: here it is a share, such as 0.2.")
    beside = {n: str(p.resolve()) for n, p in common.beside(source, path).items()}
    return {
        "application": application,
        "source": str(path.resolve()),
        "given": _plain(given),
        "beside": beside if application == "collab" else {},
        "implicit": application == "collab" and _is_implicit(path, given),
        "accepted": dict(accepted),
        "seed": seed,
        "minutes": each,
    }


def _application(path: Path, task: str | None, given: dict[str, Any]) -> tuple[str, set[str]]:
    """The application, and the settings of its data."""
    if ratings.is_ratings(path, task, given) is not None:
        return "collab", {*settings.RATING_DATA}
    if texts.is_texts(path, task, given) is not None:
        return "text", {*settings.TEXT_DATA, "label_column"}
    if tables.is_table(path, task, given):
        return "tabular", {*settings.TABLE, "label_column", "targets", "drop", "kinds"}
    return "vision", {*settings.DATA, *settings.CSV, *settings.NAMES} - {"size"}


def _is_implicit(path: Path, given: Mapping[str, Any]) -> bool:
    from drivetrain import collab

    options = settings.take(given, settings.RATING_DATA)
    with common.stdout_kept():
        return collab.gather(path, **options).is_implicit


def _plain(value: Any) -> Any:
    """As it is after it was written as JSON and read again."""
    import json

    from drivetrain import store

    return json.loads(store.to_json(value))


def _default_folder(name: str, asked: Mapping[str, Any]) -> Path:
    """`runs/sweep-<name>`, or the next number of it that is free or of the same question."""
    from drivetrain.cli.sweeping import question

    for number in range(1, 10_000):
        folder = Path("runs") / (f"sweep-{name}" + (f"-{number}" if number > 1 else ""))
        if not folder.exists() or _question(folder) == question(asked):
            return folder
    raise click.UsageError("--out: give the folder of the sweep.")


def _question(folder: Path) -> Any:
    from drivetrain import store
    from drivetrain.cli.sweeping import question

    try:
        found = store.read_json(folder / "sweep.json")
    except (DrivetrainError, OSError):
        return None
    return question(found.get("asked")) if isinstance(found, dict) else None


# --- what came out ------------------------------------------------------------------------------------


def _write_page(folder: Path, board: Board, asked: Mapping[str, Any]) -> Path:
    from drivetrain import store
    from drivetrain.report.sweep import sweep_page

    path = folder / "sweep.html"
    store.write_text(path, sweep_page(board, folder=str(folder), source=asked["source"]))
    return path


def text(board: Board, folder: Path, page: Path) -> str:
    """The board for people, within 80 columns."""
    from drivetrain.report.sweep import conclusions, rules_of

    done, lines = board.done, []
    if done:
        lines = [_table(done), "* no other is as good or better in error, time and memory at once"]
        lines += ["= as good as the first within noise"] if board.as_good else []
        rules = ", ".join(f"{name} {layout.number(error)}" for name, error in rules_of(done[0]))
        cut = "; ".join(f"{row.name}: {row.note}" for row in done if row.note)
        bare = ", ".join(row.name for row in done if row.weights == "random")
        said = list(conclusions(board))
        said += [f"Simple rules on the same items: {rules}."] if rules else []
        said += [f"Cut to end in time: {cut}."] if cut else []
        said += [f"Begun with random weights: {bare}."] if bare else []
        lines += ["", *map(_wrapped, said)]
    lines += [_wrapped(f"{row.name}: {row.note}") for row in board.rows if row.state != "done"]
    lines += ["", f"{page}: open it in a browser."]
    if board.best is not None:
        run = shlex.quote(board.best.run)
        lines += ["Next", f"  drivetrain report {run}", f"  drivetrain eject {run} -o train.py"]
    return "\n".join(lines)


def _wrapped(line: str) -> str:
    from drivetrain.interpret.text import wrapped

    return wrapped(line, WIDEST)


def _table(done: Sequence[Row]) -> str:
    from drivetrain.interpret.text import aligned
    from drivetrain.report.svg import short
    from drivetrain.report.sweep import called_error, size_of, time_of

    ends = [end for row in done for end in (row.error, row.low, row.high) if end is not None]
    said = dict(zip(ends, aligned(ends), strict=True))
    head = ("95% interval", "train", "an item", "memory", "params")
    rows: list[tuple[str, ...]] = [("", "", called_error(done[0].metric), *head)]
    for row in done:
        marks = ("*" if row.is_on_front else " ") + ("=" if row.is_as_good else " ")
        low, high = ("" if end is None else said[end] for end in (row.low, row.high))
        rows.append(
            (
                marks,
                row.name,
                "-" if row.error is None else said[row.error],
                f"{low}-{high}",
                time_of(row.seconds),
                time_of(None if row.predict_ms is None else row.predict_ms / 1000),
                size_of(row.peak_bytes),
                "-" if row.parameters is None else short(row.parameters),
            )
        )
    return _fitted(rows)


def _fitted(rows: Sequence[Sequence[str]]) -> str:
    """Columns with two blanks between, numbers to the right; names are cut in their middle to fit."""
    from drivetrain.interpret.text import cut

    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = WIDEST - sum(widths[2:]) - 2 * (len(widths) - 2) - widths[0] - 1
    widths[1] = max(8, min(widths[1], left))
    lines = []
    for row in rows:
        name = cut(row[1], widths[1])
        cells = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([f"{row[0]:2} {name:{widths[1]}}", *cells]).rstrip())
    return "\n".join(lines)


def _with_options_of_train() -> None:
    """The options that say what the data is, as `drivetrain train` has them."""
    by_name = {one.name: one for one in train_command.params}
    command.params[1:1] = [by_name[name] for name in OF_TRAIN]


_with_options_of_train()
