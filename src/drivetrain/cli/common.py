"""What the commands share: the options of every verb, the source, and how an answer is printed."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from drivetrain._registry import did_you_mean
from drivetrain.cli import exits, layout
from drivetrain.errors import DataError

SEED = click.IntRange(min=0)
SEED.name = "number"  # click says "integer range"
Command = TypeVar("Command", bound=Callable[..., Any])


def options(
    *, out: str = "", seed: str = "", short_out: bool = False
) -> Callable[[Command], Command]:
    """The options that every verb takes: --json, --seed, --out, --debug.

    Args:
        out: what `--out` means for this verb; by default a copy of the JSON document.
        seed: what `--seed` means; by default nothing, since most verbs draw nothing at random.
        short_out: `-o` is the same as `--out`.
    """
    all_options = (
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
        click.option(
            "--seed",
            type=SEED,
            help=seed or "Changes nothing: this command draws nothing at random.",
        ),
        click.option(
            *(("-o",) if short_out else ()),
            "--out",
            type=click.Path(path_type=Path),
            help=out or "Also write the JSON document to this file.",
        ),
        click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks."),
    )

    def add(command: Command) -> Command:
        for option in reversed(all_options):
            command = option(command)
        return command

    return add


UNREAD = {
    (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar"): (
        "is an archive. Unpack it, and give the folder or the table in it."
    ),
    (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"): (
        "is a workbook. Save its sheet as CSV, and give that."
    ),
    (".json", ".jsonl", ".feather", ".arrow", ".orc", ".h5", ".sav", ".dta", ".sas7bdat", ".rds"): (
        "is of a kind that is not read. Save it as CSV or Parquet, and give that."
    ),
    (".pkl", ".pickle", ".joblib"): (
        "is a pickle, which runs whatever is in it. Save the table as CSV or Parquet, and give that."
    ),
}
"""Endings of files that people have their data in -> what to do with them."""


def find_source(source: str) -> Path:
    """The folder or file that a person named; the name of a sample gives its folder in the cache.

    What is on the disk comes first: a sample never hides a person's own folder.
    Raises: DataError: it is neither, or a file of a kind that has to be unpacked or saved as another one.
        Also what making a sample raises.
    """
    from drivetrain.samples import SAMPLES, sample_folder

    path = Path(source).expanduser()
    if path.exists():
        kind = next((k for ends, k in UNREAD.items() if path.name.lower().endswith(ends)), None)
        if kind is not None and path.is_file():
            raise DataError(f"{source} {kind}")
        return path
    if "://" in source:
        raise DataError(
            f"'{source}' is an address, and nothing is downloaded. Save what is there, and give the file "
            "or the folder."
        )
    if source in SAMPLES:
        folder = sample_folder(source)
        return folder / SAMPLES[source].tables[0] if SAMPLES[source].is_table else folder
    raise DataError(
        f"There is no folder, file or sample '{source}'.{did_you_mean(source, SAMPLES)} "
        "List the samples with: drivetrain samples"
    )


def beside(source: str | None, path: Path) -> dict[str, Path]:
    """What lies beside the ratings of an embedded sample: titles, facts of items and of users."""
    from drivetrain.samples import SAMPLES

    if source not in SAMPLES or Path(source).exists() or SAMPLES[source].task != "collab":
        return {}
    _, items, users = SAMPLES[source].tables
    return {
        "titles": path.with_name(items),
        "item_facts": path.with_name(items),
        "user_facts": path.with_name(users),
    }


def application_of(folder: Path) -> str:
    """The application that a run, a model folder or a bundle says it is of.

    `vision` where it says none that there is: opening it as one then says what is wrong.
    Raises: RunError: the record of a run is damaged, or is of a model of somebody's own.
    """
    from drivetrain import store
    from drivetrain.errors import DrivetrainError
    from drivetrain.train.run import refuse_own

    for name in ("bundle.json", "run.json", "model.json", "model/model.json"):
        if not (folder / name).is_file():
            continue
        try:
            record = store.read_json(folder / name)
        except DrivetrainError:
            if name == "run.json":  # what it is of is told nowhere else
                raise
            continue
        if name == "run.json":
            refuse_own(record, folder)
        if isinstance(record, dict):
            task = record.get("task")
            said = record if name != "run.json" else task if isinstance(task, dict) else {}
            if said.get("application") in ("tabular", "text", "collab"):
                return said["application"]
    return "vision"


def how_to_change(run: Path) -> str:
    """Where it is said how each choice of a run is made otherwise."""
    return f"how to change each: drivetrain why {shlex.quote(str(run))}"


class Counter(Protocol):
    """Told what is done, how many so far, and of how many where that is known."""

    def __call__(self, what: str, done: int, total: int | None = None, /) -> None:
        """Say so where it is time to."""
        ...


@contextlib.contextmanager
def counter() -> Iterator[Counter]:
    """Says on stderr how far a long look at files is: in place in a terminal, else every 30 seconds."""
    in_place = sys.stderr.isatty()
    step = 0.2 if in_place else 30.0
    next_time = time.monotonic() + step

    def count(what: str, done: int, total: int | None = None, /) -> None:
        nonlocal next_time
        if time.monotonic() < next_time:
            return
        next_time = time.monotonic() + step
        text = f"{what}: {done:,}" + ("" if total is None else f" of {total:,}")
        if in_place:
            exits.show_in_place(text)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    try:
        if in_place:
            with contextlib.redirect_stderr(exits.Wiping(sys.stderr)):  # pyright: ignore[reportArgumentType]
                yield count
        else:
            yield count
    finally:
        exits.wipe()


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Inside, whatever is printed goes to stderr: stdout is for the answer."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def answer(document: Any, text: str, *, as_json: bool, copy: Path | None = None) -> None:
    """Print the answer as JSON or as text, and keep a copy of the JSON where that is wanted.

    In a terminal the text is as wide as that; a file or a pipe gets its lines whole.
    """
    from drivetrain import store

    if copy is not None:
        store.write_json(copy, document)
    if as_json:
        # ASCII, with the rest as \u escapes: it passes any pipe and holds names that are no valid text
        click.echo(json.dumps(json.loads(store.to_json(document)), indent=2))
    else:
        show(text)


def show(text: str) -> None:
    """Print text for people: as wide as the terminal; a file or a pipe gets its lines whole."""
    click.echo(layout.fitted(exits.visible(text), layout.columns()))
