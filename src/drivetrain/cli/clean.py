"""`drivetrain clean`: look at doubtful labels in the browser, and write what was decided."""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import common, layout

if TYPE_CHECKING:
    from drivetrain.clean.desk import Desk
    from drivetrain.clean.folds import Pool
    from drivetrain.clean.journal import Journal
    from drivetrain.clean.queue import Material, Queue, Row

FOLDER = "clean"
"""Of a run: the journal, and what the server notes."""
MOST_ITEMS = 2000
MOST_FOLDS = 100
LISTED = 20
MODELS = ("quick", "own")


@dataclass(frozen=True)
class Asked:
    """By which predictions the items are put in order, and of which target."""

    folds: int
    model: str
    seed: int
    target: str | None = None


@click.command(short_help="Look at doubtful labels, correct them, and write a patch.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--folds",
    type=click.IntRange(0, MOST_FOLDS),
    default=5,
    show_default=True,
    help="Predict each item by a model of the other folds, which has not seen it. 0 takes the run's own "
    "model, which has learnt the labels of training.",
)
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="quick",
    show_default=True,
    help="Of the folds: a quick one, in minutes at most, or the run's own recipe, which takes as long as "
    "its training for each fold.",
)
@click.option(
    "--target",
    metavar="NAME",
    help="Of several targets, the labels of this one alone; by default all in one queue.",
)
@click.option("--by", help="Who decides; by default your name on this machine.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the page; by default a free one.")
@click.option("--no-browser", is_flag=True, help="Print the page's address, and open nothing.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=MOST_ITEMS,
    show_default=True,
    help="Items of the page: the worst; those unlike the others come beside them.",
)
@click.option("--list", "listed", type=click.IntRange(min=1), help="Print the worst so many items.")
@click.option("--apply", "is_applied", is_flag=True, help="Write what was decided as a patch.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The patch; by default RUN/clean.patch.json.",
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Change the source itself by what was decided; what is removed goes to a dated trash.",
)
@click.option("--undo", "is_undone", is_flag=True, help="Take the last --in-place back.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--seed", type=common.SEED, help="Of the folds; 42 by default.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
def command(
    run: Path,
    folds: int,
    model: str,
    target: str | None,
    by: str | None,
    port: int | None,
    no_browser: bool,
    limit: int,
    listed: int | None,
    is_applied: bool,
    out: Path | None,
    in_place: bool,
    is_undone: bool,
    as_json: bool,
    seed: int | None,
) -> None:
    """Open a page in the browser with the items of RUN whose labels are most doubtful, worst first.

    What is doubtful is said by models that have not seen the item, nor a copy of it: each of 5 folds is
    predicted from the others, once; the next time the page opens at once.

    Give them another label, leave them out, or keep them, by key or by mouse. Every decision is on the
    disk before the page says "saved". The source stays as it is until you say --in-place.

    Where items have several targets, each label is an entry of the one queue: another label is of that
    target alone, and leaving out is of the item as a whole.

    \b
    drivetrain clean runs/2026-01-31-photos
    drivetrain clean runs/2026-01-31-photos --list 20
    drivetrain clean runs/2026-01-31-photos --folds 10 --model own
    drivetrain clean runs/2026-01-31-photos --apply -o photos.patch.json
    drivetrain train photos/ --patch photos.patch.json
    """
    asked = [listed is not None, is_applied, in_place, is_undone]
    if sum(asked) > 1:
        raise click.UsageError("Say one of --list, --apply, --in-place and --undo.")
    if out is not None and not is_applied:
        raise click.UsageError("-o is where --apply writes its patch.")
    if folds == 1:
        raise click.UsageError(
            "One fold has no others to be predicted from. Say --folds 2 or more, or 0."
        )
    if folds == 0 and model == "own":
        raise click.UsageError(
            "--model is of folds, and --folds 0 has none. Leave one of them out."
        )
    if target is not None and (is_applied or in_place or is_undone):
        raise click.UsageError(
            "--target is of the page and of --list: what was decided is written of all."
        )
    order = Asked(folds, model, 42 if seed is None else seed, target)
    if is_undone:
        _undo(run, as_json)
    elif is_applied:
        _apply(run, out, as_json)
    elif in_place:
        _change(run, as_json)
    elif listed is not None:
        with _may_write(run, order) as may_write:
            queue = _queue(run, order, may_write=may_write)[0]
        head = queue.head(listed)
        outliers = [_outlier(row) for row in queue.outliers]
        common.answer(
            {**head.to_json(), "outliers": outliers}, _listed(head, queue), as_json=as_json
        )
    else:
        _serve(run, order, by, port, limit, as_json=as_json, is_opened=not no_browser)


def _apply(run: Path, out: Path | None, as_json: bool) -> None:
    from drivetrain.clean.desk import patch_of

    journal = _journal(run)
    patch = patch_of(journal, _names(run))
    path = patch.write(out or run / "clean.patch.json")
    left_out = sum(change.label is None for change in patch.changes.values())
    document = {
        "patch": str(path),
        "relabelled": len(patch) - left_out,
        "left_out": left_out,
        "damaged": journal.damaged,
    }
    num_labels = len(patch) - left_out
    each = {target: len(changes) for target, changes in patch.targets.items()}
    what = f"{num_labels:,} items with another label"
    if each:
        document["targets"] = each
        of = _names_of(f"{count:,} of {target}" for target, count in each.items())
        what = f"{num_labels:,} other labels ({of})"
    text = f"{path}: {what}, {left_out:,} left out. Train with it: drivetrain train SOURCE --patch {path}"
    if journal.damaged:
        text += f"\n{journal.damaged:,} edits of the journal are damaged and are not in it."
    common.answer(document, text, as_json=as_json)


def _change(run: Path, as_json: bool) -> None:
    from drivetrain.clean import inplace, inplace_table
    from drivetrain.clean.desk import patch_of

    with _held(run):
        patch = patch_of(_journal(run), _names(run))
        with common.stdout_kept():
            source = _source(run)
            if isinstance(source, inplace_table.TableSource):
                done = inplace_table.apply(patch, source)
            else:
                done = inplace.apply(patch, source)
    left_out = "moved to" if done.source.is_dir() else "left out; the file as it was is in"
    text = (
        f"{done.source}: {done.relabelled:,} relabelled, {done.removed:,} {left_out} {done.trash}. "
        f"Take it back: drivetrain clean {run} --undo"
        if done.relabelled or done.removed
        else f"{done.source}: nothing to change."
    )
    common.answer(done.to_json(), "\n".join([text, *done.notes]), as_json=as_json)


def _undo(run: Path, as_json: bool) -> None:
    from drivetrain.clean import inplace, inplace_table
    from drivetrain.train.run import Run

    with _held(run):
        record = Run.open(run).read()
        where = record["data"].get("source") if isinstance(record.get("data"), dict) else None
        is_table = isinstance(record.get("data"), dict) and record["data"].get("from") == "csv"
        if isinstance(where, str) and (
            is_table or common.application_of(run) in ("tabular", "text")
        ):
            path = Path(where)
            # what was moved has no class by now, so that the items need not be read
            done = (
                inplace.undo(inplace.Source(path, ()))
                if path.is_dir()
                else inplace_table.undo(path)
            )
        else:
            done = inplace.undo(_source(run))
    text = f"{done.source}: as before, {done.relabelled + done.removed:,} changes taken back."
    common.answer(done.to_json(), text, as_json=as_json)


def _serve(
    run: Path,
    order: Asked,
    by: str | None,
    port: int | None,
    limit: int,
    *,
    as_json: bool,
    is_opened: bool,
) -> None:
    from drivetrain.clean.desk import Desk
    from drivetrain.clean.notes import Notes

    with _held(run):
        journal = _journal(run)
        queue, material = _queue(run, order)
        desk = Desk(
            queue.head(limit, with_outliers=True),
            journal,
            by=_who() if by is None else by,
            title=run.resolve().name,
            run=hashlib.sha256(os.fsencode(run.resolve())).hexdigest()[:16],
            picture=material.picture,
        )
        _write_names(run, queue)
        notes = Notes(run / FOLDER)
        server = _server(desk, notes, port)
        with server, notes:
            _say(server, desk, as_json=as_json)
            opened = _opened(server.start_url) if is_opened else nullcontext()
            with opened, suppress(KeyboardInterrupt):
                server.serve_forever(poll_interval=0.2)
    done = desk.journal.num_decided
    click.echo(f"{done:,} decided. Write them: drivetrain clean {run} --apply", err=True)


def _server(desk: Desk, notes: Any, port: int | None) -> Any:
    """On the port asked for; else on that of the last time, where a browser may still hold edits."""
    from drivetrain.clean.server import Server
    from drivetrain.errors import StorageError

    if port is not None:
        server = Server(desk, port=port, log=notes.add)
    else:
        try:
            server = Server(desk, port=notes.last_port(), log=notes.add)
        except StorageError:  # somebody else has it now
            server = Server(desk, log=notes.add)
    notes.keep_port(server.port)
    return server


def _say(server: Any, desk: Desk, *, as_json: bool) -> None:
    flagged = sum(row.is_flagged for row in desk.queue.rows)
    unlike = f" {desk.queue.unlike}" if desk.queue.unlike else ""
    targets = list(desk.queue.targets)
    what = f"labels of {_names_of(targets)}" if targets else "items"
    text = (
        f"{len(desk.queue):,} {what}, worst first, {desk.queue.basis}; {flagged:,} labels are probably "
        f"wrong.{unlike} Open once, on this machine:\n{server.start_url}\nCtrl-C ends it; everything "
        "that is saved stays."
    )
    document = {
        "url": server.start_url,
        "port": server.port,
        "items": len(desk.queue),
        "flagged": flagged,
        "outliers": len(desk.queue.outliers),
        "unlike": desk.queue.unlike,
        "basis": desk.queue.basis,
        **({"targets": targets} if targets else {}),
    }
    common.answer(document, text, as_json=as_json)
    sys.stdout.flush()


@contextmanager
def _opened(url: str) -> Iterator[None]:
    """Open the page in the person's browser, by a file that only they can read.

    An argument of a program can be read by everybody on the machine, and the address is a secret.
    """
    from drivetrain import store

    with tempfile.TemporaryDirectory(prefix="drivetrain-") as folder:  # mode 0700
        file = Path(folder) / "open.html"
        store.write_text(
            file,
            '<!DOCTYPE html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={url}"><title>Drivetrain</title>',
        )
        file.chmod(0o600)
        webbrowser.open(file.as_uri())
        yield


@contextmanager
def _held(run: Path) -> Iterator[None]:
    """The run's journal for this process alone. Raises: RunError: somebody cleans it already."""
    from drivetrain import store
    from drivetrain.errors import RunError, StorageError
    from drivetrain.locks import FolderLock
    from drivetrain.train.run import Run

    Run.open(run)
    folder = _plain(run)
    try:
        store.make_folders(folder)
    except OSError as error:
        raise StorageError(f"Could not make {folder}: {error.strerror or error}.") from error
    try:
        lock = FolderLock(folder)
    except RunError as error:
        raise RunError(
            f"{run} is being cleaned by another process. Use its page, or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _plain(run: Path) -> Path:
    """The folder of the journal. Raises: RunError: a link stands in its place, or in that of a file."""
    from drivetrain.errors import RunError

    folder = run / FOLDER
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if path.is_symlink():
            raise RunError(f"{path} is a link. Put the file or folder itself in its place.")
    return folder


def _journal(run: Path) -> Journal:
    from drivetrain.clean.journal import Journal
    from drivetrain.train.run import Run

    Run.open(run)
    return Journal(_plain(run) / "journal.jsonl")


def _names(run: Path) -> Mapping[str, str]:
    """What items were called when they were last looked at: for people who read a patch."""
    from drivetrain import store

    path = _plain(run) / "names.json"
    found = store.read_json(path) if path.exists() else {}
    return found if isinstance(found, dict) else {}


def _write_names(run: Path, queue: Queue) -> None:
    from drivetrain import store

    names = {row.item.hash: row.item.name for row in queue.rows}
    store.write_json(_plain(run) / "names.json", names)


def _queue(run: Path, order: Asked, *, may_write: bool = True) -> tuple[Queue, Material]:
    """The items in order, and what they are shown by.

    Args:
        may_write: keep predictions of folds, so that the next call begins at once.
    """
    from drivetrain.clean.folds import queue_of
    from drivetrain.clean.queue import check_target

    with common.stdout_kept(), common.counter() as count:
        pool = _pool(run, count)
        if order.target is not None:
            several = pool.material.several
            check_target(order.target, () if several is None else several.names)
        found = queue_of(
            pool,
            folds=order.folds,
            model=order.model,
            folder=_plain(run),
            may_write=may_write,
            seed=order.seed,
            report=count,
        )
    return found if order.target is None else found.of_target(order.target), pool.material


@contextmanager
def _may_write(run: Path, order: Asked) -> Iterator[bool]:
    """Whether predictions of folds may be kept: not where a page is open on the run, or the disk refuses.

    What is there is read in any case.
    """
    from drivetrain.errors import RunError, StorageError
    from drivetrain.train.run import Run

    Run.open(run)
    _plain(run)
    with ExitStack() as stack:
        is_held = order.folds > 0
        if is_held:
            try:
                stack.enter_context(_held(run))
            except (RunError, StorageError):
                is_held = False
        yield is_held


def _pool(run: Path, count: common.Counter) -> Pool:
    from drivetrain.errors import RunError
    from drivetrain.train.run import Run

    record = Run.open(run).read()
    application = common.application_of(run)
    if application == "collab":
        raise RunError(
            f"{run} is a run of ratings, which are no labels: there is nothing to clean."
        )
    if application == "tabular":
        from drivetrain.tabular import folding as tables

        return tables.pool_of(run, report=count)
    found = record.get("callbacks")
    callbacks = found if isinstance(found, list) else []
    if application == "text":
        from drivetrain import text
        from drivetrain.text import folding as texts

        learner = text.reopen(run, callbacks=(), progress=False, report=count)
        return texts.pool_of(learner, callbacks=callbacks, report=count)
    from drivetrain import vision
    from drivetrain.vision import folding as pictures

    learner = vision.reopen(run, callbacks=(), progress=False, report=count)
    return pictures.pool_of(learner, callbacks=callbacks, report=count)


def _source(run: Path) -> Any:
    from drivetrain.clean.inplace import Source
    from drivetrain.train.run import Run

    record = Run.open(run).read()
    application = common.application_of(run)
    if application == "tabular":
        from drivetrain.tabular.in_place import source_of

        return source_of(record)
    if application == "text":
        from drivetrain.text.in_place import source_of

        return source_of(record)
    if application == "vision" and record["data"].get("from") == "csv":
        from drivetrain.vision.in_place import source_of

        return source_of(run)
    return Source.of(record)


def _listed(head: Queue, queue: Queue) -> str:
    rows = []
    for row in head.rows:
        doubt = "" if row.suggested is None else f"{row.suggested} {row.suggested_probability:.0%}"
        if row.predicted is not None:
            doubt = f"{row.predicted:.4g}"
        loss = "" if row.loss is None else f"{row.loss:.3g}"
        said = ["probably wrong"] * row.is_flagged + ["unlike the others"] * row.is_outlier
        of = [row.item.target] if queue.targets else []
        rows.append((row.item.name, *of, row.item.label, doubt, loss, ", ".join(said)))
    of = ["target"] if queue.targets else []
    shown = layout.table([("item", *of, "labelled", "suggested", "loss", ""), *rows])
    labels = f" with labels of {_names_of(queue.targets)}" if queue.targets else ""
    text = f"{shown}\n\n{queue.total:,} items in all{labels}, worst first, {queue.basis}."
    unlike = queue.unlike or "Which items are unlike the others is told with folds alone."
    found = queue.outliers
    if not found:
        return f"{text}\n{unlike}"
    lines = [
        (
            row.item.name,
            " ".join(filter(None, (row.item.target, row.item.label))),
            f"{row.outlier:.1f}",
            row.nearest[1] if row.nearest else "",
        )
        for row in found[: len(head)]
    ]
    more = f"\nand {len(found) - len(lines):,} more" if len(found) > len(lines) else ""
    table = layout.table([("the farthest", "labelled", "spreads", "nearest"), *lines])
    return f"{text}\n\n{unlike}\n\n{table}{more}"


def _names_of(targets: Iterable[str], shown: int = 4) -> str:
    """As a sentence has them: "disease and variety"; of many the first."""
    names = list(targets)
    if len(names) > shown:
        names[shown:] = [f"{len(names) - shown:,} more"]
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _outlier(row: Row) -> dict[str, Any]:
    """Plain: who it is, how far from the others, and what it is nearest to."""
    known = row.to_json()
    wanted = ("hash", "name", "target", "label", "part", "outlier", "nearest")
    return {name: known[name] for name in wanted}


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
