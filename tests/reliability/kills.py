"""Kill a training, resume it, compare it with the uncut one: a trial, and a plan of trials."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drivetrain.samples import write_sample
from tests.reliability.forks import Forks
from tests.reliability.jobs import KINDS


@dataclass(frozen=True)
class Kill:
    """Where a training of a kind is ended by SIGKILL."""

    kind: str
    at: int | None = None
    """The operation on the disk, from 1; a write is torn in its middle."""
    after: float | None = None
    """Seconds after the start."""
    again: int | None = None
    """The operation at which the resumed training is killed once more."""
    workers: int = 0
    """Threads of the loader with which it goes on."""

    def __str__(self) -> str:
        where = f"op={self.at}" if self.at is not None else f"after={self.after:.3f}"
        return f"{self.kind}:{where}:again={self.again}:workers={self.workers}"


@dataclass(frozen=True)
class Reference:
    """A training that was never cut."""

    folder: Path
    operations: int
    seconds: float


def shapes(folder: Path) -> Path:
    """A small folder of pictures in three classes: a fifth of the sample `shapes`."""
    write_sample("shapes", folder)
    shutil.rmtree(folder / "test")
    for path in sorted((folder / "train").glob("*/*.png")):
        if int(path.stem.split("-")[-1]) % 5:
            path.unlink()
    return folder


def references(forks: Forks, folder: Path) -> dict[str, Reference]:
    """One whole training a kind."""
    found = {}
    for kind in KINDS:
        answer = forks("train", kind, folder / kind)
        assert answer["signal"] == 0
        found[kind] = Reference(folder / kind, answer["operations"], answer["seconds"])
    return found


def plan(count: int, known: dict[str, Reference], seed: int) -> Iterator[Kill]:
    """Kills in turn over the kinds, half at operations and half at moments, some of them twice."""
    draw = random.Random(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        again = draw.randint(1, known[kind].operations) if number % 5 == 0 else None
        workers = draw.choice((0, 0, 2))
        if number // len(KINDS) % 2:
            after = draw.uniform(0, known[kind].seconds)
            yield Kill(kind, after=after, again=again, workers=workers)
        else:
            at = draw.randint(1, known[kind].operations)
            yield Kill(kind, at=at, again=again, workers=workers)


def trial(forks: Forks, kill: Kill, known: dict[str, Reference], folder: Path) -> tuple[int, str]:
    """Kill and resume. Returns: how often it was killed indeed, and what differs in the end."""
    after = kill.after
    while not forks("train", kill.kind, folder, at=kill.at, after=after)["signal"]:
        assert after is not None, f"{kill}: the training has no such operation"
        after /= 2  # it had ended already: the machine is quicker than it was
        _clear(folder)
    kills = 1
    if kill.again is not None:
        kills += int(forks("resume", kill.kind, folder, at=kill.again)["signal"] != 0)
    forks("resume", kill.kind, folder, workers=kill.workers)
    reference = known[kill.kind].folder
    difference = forks("compare", kill.kind, folder, reference=reference)["difference"]
    _clear(folder)
    return kills, difference


def _clear(folder: Path) -> None:
    shutil.rmtree(folder)
    (folder.parent / f"{folder.name}.seen").unlink(missing_ok=True)
