"""The sweep itself: one candidate after the other until the time is up, and the board of them.

FOLDER/sweep.json      what was asked, and the candidates
FOLDER/<candidate>/    a run of each
FOLDER/measured/       what each is worth, with the errors of the items
FOLDER/baselines.json  what simple models reach on the same items, made once
FOLDER/board.json      the board; `sweep.html` is the same as a page
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.cli import exits, layout
from drivetrain.errors import DataError, RunError

if TYPE_CHECKING:
    from drivetrain.train.paired import Errors
    from drivetrain.train.sweeping import Board, Candidate, Row

FORM = 1
"""Of `sweep.json`."""
LATE = 4.0
"""Times its minutes, and one more, after which a candidate is ended."""
REST = 0.1
"""Share of all the time that may be left over: with less than that no other candidate begins."""
BARE = 1.5
"""Times what a candidate took beside its training: so much has to be left for another one to begin."""

Runner = Callable[[Mapping[str, Any], float], Any]
"""(spec, seconds after which it is ended) -> how it ended; see `cli.trial.Ended`."""


def sweep_into(
    folder: Path,
    asked: Mapping[str, Any],
    wanted: Sequence[Candidate],
    *,
    minutes: float,
    began: float | None = None,
    runner: Runner | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Board:
    """Try candidates until the time is up; those that have a result already are left as they are.

    Args:
        folder: of the sweep; made where it is not there.
        asked: the same for all; see `cli.sweep`. Its `minutes` are the most that a candidate has.
        wanted: in the order in which they are tried; at least one of those without a result is.
        minutes: for all.
        began: when they began, by `clock`; by default now.
        runner: trains and measures one; by default in a process of its own.
        clock: answers seconds.

    Raises: DataError: the data cannot be used. RunError: the folder holds something else, or another
        program
        works in it. KeyboardInterrupt: it was stopped. StorageError: the disk refused.
    """
    from drivetrain import store
    from drivetrain.cli.trial import read_measured
    from drivetrain.locks import FolderLock
    from drivetrain.train.sweeping import DONE, WAITING, Row, board

    began, is_begun, bare = clock() if began is None else began, False, 0.0
    is_any = any(_is_done(folder, one) for one in wanted)
    store.make_folders(folder)
    lock = FolderLock(folder)
    rows: list[Row] = []
    errors: dict[str, Errors] = {}
    try:
        _begin(folder, asked, wanted)
        for number, one in enumerate(wanted, 1):
            place = f"{number} of {len(wanted)}  {one.name}"
            found = read_measured(folder, one.name)
            if found is None or found[0].state != DONE:
                left = minutes - (clock() - began) / 60
                share = share_of(left, asked["minutes"])
                if found is not None and found[0].state == WAITING:  # less was too short already
                    share = max(share, min(left, asked["minutes"]))
                if is_begun and left < max(REST * minutes, BARE * bare):
                    note = "the time was up: the same line goes on with it"
                    rows.append(Row(one.name, WAITING, one.reason, note=note))
                    continue
                tell(f"{place}: {one.reason}")
                is_begun, its_began = True, clock()
                told = {**asked, "minutes": share, "may_wait": is_any}
                found = _tried(folder, told, one, runner, is_again=found is not None)
                if found[0].state == DONE:
                    beside = (clock() - its_began - (found[0].seconds or 0.0)) / 60
                    bare, is_any = beside if bare == 0.0 else min(bare, beside), True
            row = replace(found[0], name=one.name, reason=one.reason)
            rows.append(row)
            if found[1] is not None:
                errors[one.name] = found[1]
            tell(f"{place}: {_outcome(row) if row.state == DONE else row.note}")
    finally:
        lock.release()
    made = board(rows, errors)
    store.write_json(folder / "board.json", made.to_json())
    return made


def share_of(left: float, each: float) -> float:
    """Minutes of the next candidate: what is left is divided among as many as it takes at `each` or less.

    At least a hundredth of `each`, for the first one, which is tried however short the time is.

    >>> [share_of(left, 1.0) for left in (9.0, 1.5, 0.75)]
    [1.0, 0.75, 0.75]
    """
    count = max(1, math.ceil(left / each - 1e-9))
    return max(min(each, left / count), 0.01 * each)


def _is_done(folder: Path, one: Candidate) -> bool:
    from drivetrain.cli.trial import read_measured

    found = read_measured(folder, one.name)
    return found is not None and found[0].state == "done"


def question(asked: Any) -> Any:
    """What a sweep asks, without how long each may take: with more time the same sweep goes on."""
    if not isinstance(asked, Mapping):
        return None
    return {name: value for name, value in asked.items() if name != "minutes"}


def _begin(folder: Path, asked: Mapping[str, Any], wanted: Sequence[Candidate]) -> None:
    """Note what is asked and tried.

    Raises: RunError: the folder holds a sweep that asks something else, or what is none.
    """
    from drivetrain import store
    from drivetrain.locks import LOCK
    from drivetrain.train.run import said_as_damage

    path = folder / "sweep.json"
    known: dict[str, Any] = {}
    if path.is_file():
        before = store.read_json(path)
        if not isinstance(before, dict) or question(before.get("asked")) != question(asked):
            raise RunError(
                f"{folder} holds a sweep of other data, another seed, or other settings. Choose another "
                "folder with --out, or ask the same."
            )
        with said_as_damage(path):
            known = {str(one["name"]): one for one in before["candidates"]}
    elif any(one.name != LOCK for one in folder.iterdir()):
        raise RunError(f"{folder} holds files, and no sweep. Choose another folder with --out.")
    known |= {one.name: one.to_json() for one in wanted}
    store.write_json(
        path, {"format": FORM, "asked": dict(asked), "candidates": list(known.values())}
    )


def _tried(
    folder: Path,
    asked: Mapping[str, Any],
    one: Candidate,
    runner: Runner | None,
    *,
    is_again: bool,
) -> tuple[Row, Errors | None]:
    """The row of a candidate, after a process has trained and measured it.

    Raises: DataError: the data cannot be used, whatever is trained on it. KeyboardInterrupt: it was
        stopped.
    """
    from drivetrain.cli.trial import (
        DATA_CODE,
        STOPPED_CODES,
        read_measured,
        run_trial,
        write_failed,
    )

    run = run_folder(folder, one.name, is_again=is_again)
    spec = {**asked, **one.to_json(), "kind": "candidate"}
    spec |= {"folder": str(folder.resolve()), "run": str(run)}
    limit = 60 * (LATE * asked["minutes"] + 1)
    ended = run_trial(spec, limit=limit) if runner is None else runner(spec, limit)
    if ended.code in STOPPED_CODES:
        raise KeyboardInterrupt
    found = read_measured(folder, one.name)
    if ended.code == DATA_CODE and found is not None:
        raise DataError(found[0].note)
    if found is None or (ended.code != 0 and found[0].state != "failed"):
        write_failed(folder, one.name, str(run), ended.why)
        found = read_measured(folder, one.name)
    assert found is not None, "written just now"
    return found


def run_folder(folder: Path, name: str, *, is_again: bool) -> Path:
    """Where a candidate is trained: one that was cut goes on there, one that failed begins anew."""
    from drivetrain.locks import LOCK

    def numbered(number: int) -> Path:
        return folder.resolve() / (name if number == 1 else f"{name}-again-{number}")

    number = 1
    while numbered(number + 1).exists():
        number += 1
    found = numbered(number)
    is_bare = not found.exists() or all(one.name == LOCK for one in found.iterdir())
    if is_bare or ((found / "run.json").is_file() and not is_again):
        return found
    return numbered(number + 1)


def _outcome(row: Row) -> str:
    seconds = "-" if row.seconds is None else layout.duration(row.seconds)
    return f"error {layout.number(row.error)} after {seconds}"


def tell(text: str) -> None:
    """A line of progress on stderr."""
    sys.stderr.write(exits.visible(text) + "\n")
    sys.stderr.flush()
