"""Mutations of a sound model folder and bundle: bytes, headers, numbers, JSON; hashes made right.

    python -m tests.security.mutations < job.json     tries some of them, one JSON line each

A mutation is known by its number: the same number and base give the same folder.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import math
import random
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.attack_corpus import Place, join_tensors, split_tensors

from drivetrain.errors import DrivetrainError
from tests import fresh
from tests.security import sound
from tests.security.doors import DOORS, Outcome, Sound, Watch, attempt
from tools import attack_corpus

MEGABYTES = 60.0
"""Most memory for a folder of about 1 MB: twice its size, and 50 MB, and what the allocator keeps."""
SECONDS = 2.0

VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 10**18, 10**60,
    0.0, -0.0, 0.5, 1.0, 1.5, -3.5, 5e-324, 1e-7, 1e30, 1.7e308, "", "a", "nan", "x" * 5000, "\x00",
    "../x", "resnet18", "crop", "pad", [], [0], [1, 2], [[]], [None], ["a", "b"], {},
    {"a": 1}, {"name": {}},
)  # fmt: skip
FLOATS = (
    0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 3.4e38, -3.4e38, 1e20, math.inf, -math.inf, math.nan,
)  # fmt: skip
TYPES = {"F32": ("<f", 4), "F64": ("<d", 8)}
"""Types of floats: how a number is packed, and its bytes."""


# --- one mutation ---------------------------------------------------------------------------------


def mutate(place: Place, number: int) -> str:
    """Spoil a folder in one or two ways. Returns: which."""
    draw = random.Random(number)
    done = [draw.choice(MUTATIONS)]
    if draw.random() < 0.25:
        done.append(draw.choice(MUTATIONS))
    for one in done:
        with contextlib.suppress(
            ValueError, KeyError, IndexError, TypeError, AttributeError, OSError
        ):
            one(place, draw)  # the second may meet what the first left
        if draw.random() < 0.9:
            place.seal()
    return " and ".join(one.__name__.strip("_") for one in done)


def _some_file(place: Place, draw: random.Random) -> Path:
    """The weights half of the time; else any file, one of its names for a model in a run."""
    if draw.random() < 0.5:
        return place.weights
    found = [path for path in sorted(place.weights.parent.rglob("*")) if path.is_file()]
    return draw.choice(found)


def _flip_bytes(place: Place, draw: random.Random) -> None:
    path = _some_file(place, draw)
    data = bytearray(path.read_bytes())
    near = draw.random() < 0.5  # headers stand at the beginning
    for _ in range(draw.choice((1, 1, 2, 8))):
        where = draw.randrange(min(len(data), 4096) if near else len(data))
        data[where] = draw.choice(
            (data[where] ^ 1 << draw.randrange(8), 0, 255, draw.randrange(256))
        )
    path.write_bytes(data)


def _cut(place: Place, draw: random.Random) -> None:
    path = _some_file(place, draw)
    data = path.read_bytes()
    path.write_bytes(
        data[: draw.choice((0, 7, 8, 9, len(data) - 1, draw.randrange(len(data) + 1)))]
    )


def _extend(place: Place, draw: random.Random) -> None:
    path = _some_file(place, draw)
    path.write_bytes(path.read_bytes() + draw.randbytes(draw.choice((1, 4, 8, 1000))))


def _splice(place: Place, draw: random.Random) -> None:
    """A piece of the file is copied to another place in it, or inserted, or taken out."""
    path = _some_file(place, draw)
    data = path.read_bytes()
    start, length = draw.randrange(len(data)), draw.randrange(1, 256)
    piece, to = data[start : start + length], draw.randrange(len(data))
    replaced = draw.choice((len(piece), 0))
    path.write_bytes(data[:to] + draw.choice((piece, b"")) + data[to + replaced :])


def _edit_header(place: Place, draw: random.Random) -> None:
    """An entry of the header of a tensor file gets another value; the bytes stay."""
    path = _tensors_of(place, draw)
    header, data = split_tensors(path.read_bytes())
    _edit(header, draw)
    path.write_bytes(join_tensors(header, data))


def _edit_length(place: Place, draw: random.Random) -> None:
    path = _tensors_of(place, draw)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    new = draw.choice(
        (0, 1, length - 1, length + 1, len(data), len(data) - 8, 2**31, 2**63, 2**64 - 1)
    )
    path.write_bytes(struct.pack("<Q", new) + data[8:])


def _swap_tensors(place: Place, draw: random.Random) -> None:
    """Two tensors change their places, names or shapes."""
    path = _tensors_of(place, draw)
    header, data = split_tensors(path.read_bytes())
    one, other = draw.sample([name for name in header if name != "__metadata__"], 2)
    for key in draw.choice((("shape",), ("data_offsets",), ("dtype",), ("shape", "data_offsets"))):
        header[one][key], header[other][key] = header[other][key], header[one][key]
    path.write_bytes(join_tensors(header, data))


def _reshape(place: Place, draw: random.Random) -> None:
    """A tensor gets another shape or type of as many bytes."""
    path = _tensors_of(place, draw)
    header, data = split_tensors(path.read_bytes())
    entry = header[draw.choice([name for name in header if name != "__metadata__"])]
    bytes_ = entry["data_offsets"][1] - entry["data_offsets"][0]
    dtype, size = draw.choice(
        (("F32", 4), ("I32", 4), ("F16", 2), ("U8", 1), ("BOOL", 1), ("F64", 8))
    )
    count = bytes_ // size
    entry["dtype"] = dtype
    entry["shape"] = draw.choice(
        ([count], [1, count], [count, 1], entry["shape"], entry["shape"][::-1])
    )
    path.write_bytes(join_tensors(header, data))


def _odd_numbers(place: Place, draw: random.Random) -> None:
    """Some weights, or all of one tensor, become NaN, infinite, huge or tiny."""
    path = _tensors_of(place, draw)
    header, data = split_tensors(path.read_bytes())
    names = [n for n, e in header.items() if n != "__metadata__" and e["dtype"] in TYPES]
    entry = header[draw.choice(names)]
    form, size = TYPES[entry["dtype"]]
    start, end = entry["data_offsets"]
    count = (end - start) // size
    few = draw.random() < 0.5
    first = draw.randrange(count)
    last = first + 1 if few else count
    value = struct.pack(form, draw.choice(FLOATS)) * (last - first)
    data = data[: start + size * first] + value + data[start + size * last :]
    path.write_bytes(join_tensors(header, data))


def _edit_json(place: Place, draw: random.Random) -> None:
    path = place.description
    if place.is_bundle and draw.random() < 0.3:
        path = draw.choice(sorted(place.folder.glob("*.json")))
    if path == place.description:
        value = place.read()
        _edit(value, draw)
        place.write(value)
        return
    value = json.loads(path.read_text())
    _edit(value, draw)
    path.write_text(json.dumps(value, indent=2) + "\n")


def _tensors_of(place: Place, draw: random.Random) -> Path:
    if draw.random() < 0.7:
        return place.weights
    return draw.choice(sorted(place.weights.parent.glob("*.safetensors")))


def _edit(tree: Any, draw: random.Random) -> None:
    """Somewhere in a JSON value: another value, another name, an entry less, more or twice."""
    places = list(_places(tree))
    inside, key = draw.choice(places)
    action = draw.randrange(6)
    if action <= 2:
        inside[key] = copy.deepcopy(draw.choice(VALUES))
    elif action == 3:
        other, name = draw.choice(places)
        inside[key] = copy.deepcopy(other[name])
    elif action == 4:
        del inside[key]
    elif isinstance(inside, dict):
        inside[draw.choice(("a", "", "name", "__class__", "x" * 600, "é"))] = inside[key]
    else:
        inside.append(copy.deepcopy(inside[key]))


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a JSON tree, as what holds it and its key there."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree) if isinstance(tree, list) else 0)
    )
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


MUTATIONS: Sequence[Callable[[Place, random.Random], None]] = (
    _flip_bytes, _flip_bytes, _cut, _extend, _splice, _edit_header, _edit_header, _edit_length,
    _swap_tensors, _reshape, _odd_numbers, _odd_numbers, _edit_json, _edit_json, _edit_json, _edit_json,
)  # fmt: skip


# --- many -----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Tally:
    """What came of many mutations."""

    tried: int = 0
    answered: int = 0
    """Opened and predicted in spite of it: a changed byte of a card, or one weight a little different."""
    refused: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    """A line for each that broke a promise, or ended the process."""
    most_seconds: float = 0.0
    most_megabytes: float = 0.0

    def add(self, number: int, outcome: Outcome) -> None:
        """Count one."""
        self.tried += 1
        if outcome.said in ("predicts", "verified"):
            self.answered += 1
        else:
            self.refused += 1
        self.most_seconds = max(self.most_seconds, outcome.seconds)
        self.most_megabytes = max(self.most_megabytes, outcome.megabytes)
        wrong = list(outcome.wrong)
        if outcome.seconds > SECONDS:
            wrong.append(f"{outcome.seconds:.1f} s")
        if outcome.megabytes > MEGABYTES:
            wrong.append(f"{outcome.megabytes:.0f} MB")
        if wrong:
            self.wrong.append(f"{number} {outcome.name} {outcome.door}: {wrong}")


def try_many(numbers: range, base: Path, given: sound.SoundFolders, work: Path) -> Tally:
    """Mutations of one base, as `try_all` says."""
    return try_all([(numbers, base)], given, work)[0]


def try_all(
    parts: Sequence[tuple[range, Path]], given: sound.SoundFolders, work: Path
) -> list[Tally]:
    """Mutations of some bases, a tally each, in a process of their own.

    One that ends costs its case alone: another process goes on behind it.
    """
    tallies = [Tally() for _ in parts]
    left = [(at, number) for at, (numbers, _) in enumerate(parts) for number in numbers]
    while left:
        job = {
            "bases": [str(base) for _, base in parts], "cases": left, "work": str(work),
            "picture": str(given.picture), "pictures": str(given.pictures), "table": str(given.table),
        }  # fmt: skip
        process = fresh.run(
            "from tests.security.mutations import main; main()",
            cwd=attack_corpus.ROOT,
            given=json.dumps(job),
        )
        lines, err = process.stdout.splitlines(), process.stderr
        assert lines or process.returncode, "a process that ends well has tried something"
        for (at, number), line in zip(left, lines, strict=False):
            tallies[at].add(number, Outcome(**json.loads(line)))
        left = left[len(lines) :]
        if process.returncode and left:
            (at, number), *left = left
            tallies[at].tried += 1
            tallies[at].wrong.append(
                f"{number}: the process ended with {process.returncode}: {err[-2000:]}"
            )
    return tallies


def bases_of(given: sound.SoundFolders) -> dict[str, Path]:
    """The folders that are mutated, by kind."""
    return {
        "model folder": given.run / "model",
        "bundle": given.bundle,
        "model folder of tables": given.table_run / "model",
        "bundle of tables": given.table_bundle,
        "bundle of numbers": given.numbers_bundle,
        "bundle of texts": given.text_bundle,
    }


def soak(count: int, *, seed: int, folder: Path) -> int:
    """Try `count` mutations, as many of each kind of folder, and print the tally."""
    given = sound.make(folder)
    began = time.perf_counter()
    failed = 0
    bases = bases_of(given)
    for name, base in bases.items():
        numbers = range(seed * 10**9, seed * 10**9 + count // len(bases))
        work = folder / f"work-{base.name}"
        work.mkdir()
        tally = try_many(numbers, base, given, work)
        failed += len(tally.wrong)
        print(
            f"{name}: {tally.tried} tried, {tally.refused} refused, {tally.answered} answered, "
            f"{len(tally.wrong)} wrong; at most {tally.most_seconds:.2f} s and "
            f"{tally.most_megabytes:.0f} MB"
        )
        print("\n".join(tally.wrong[:20]))
    print(f"{time.perf_counter() - began:.0f} s")
    return 1 if failed else 0


def _prefix(base: Path) -> str:
    """Of the doors of an application."""
    name = "bundle.json" if (base / "bundle.json").exists() else "model.json"
    application = json.loads((base / name).read_text())["application"]
    return {"tabular": "table-", "text": "text-"}.get(application, "")


def main() -> None:
    """Do the job that stands on stdin."""
    job = json.load(sys.stdin)
    given = Sound(Path(job["picture"]), Path(job["pictures"]), Path(job["table"]))
    bases, work = list(map(Path, job["bases"])), Path(job["work"])
    through: dict[Path, tuple[str, ...]] = {}
    import timm  # noqa: F401 - a name may ask for it

    for base in bases:
        doors = ("load", "verify") if (base / "bundle.json").exists() else ("load",)
        through[base] = tuple(f"{_prefix(base)}{door}" for door in doors)
        for door in through[base]:
            with contextlib.suppress(DrivetrainError):
                DOORS[door](base, given)
    watch = Watch()
    for at, number in job["cases"]:
        base = bases[at]
        shutil.rmtree(work / "case", ignore_errors=True)
        (work / "case").mkdir()
        place = attack_corpus.write(
            attack_corpus.Attack("", (), lambda _: None),
            base,
            work / "case" / "folder",
            work / "case" / "out",
        )
        name = mutate(place, number)
        door = through[base][number % len(through[base])]
        outcome = attempt(name, door, place, given, watch)
        sys.stdout.write(json.dumps(dataclasses.asdict(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
