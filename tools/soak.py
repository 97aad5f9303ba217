"""Kill trainings a thousand times and count the bits that differ: `make soak`, `make soak KILLS=100`.

Asks the same questions as the tests under tests/reliability, more often: kills of three kinds of
training, every state that a cut can leave of three saves to the byte, every failing operation of every
kind. Writes docs/soak.md. A failure prints the line that repeats it:

    python tools/soak.py --replay mlp:op=12:again=None:workers=0
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.reliability.disks import ERRORS, SHORT  # noqa: E402 - found by the line above
from tests.reliability.forks import Forks  # noqa: E402
from tests.reliability.kills import Kill, plan, references, shapes, trial  # noqa: E402
from tests.reliability.oracles import broken_by_failure, broken_states, operations  # noqa: E402

PAGE = ROOT / "docs" / "soak.md"


def kills(count: int, seed: int, folder: Path, workers: int) -> tuple[int, list[str]]:
    """Kill `count` trainings, shared by `workers` fork servers. Returns: kills that came, failures."""
    done = [0]
    began = time.monotonic()

    def work(number: int) -> tuple[int, list[str]]:
        mine = folder / f"worker-{number}"
        pictures = shapes(mine / "shapes")
        killed, different = 0, []
        with Forks(pictures) as forks:
            known = references(forks, mine)
            share = count // workers + (number < count % workers)
            for index, kill in enumerate(plan(share, known, seed=seed + number)):
                one, difference = trial(forks, kill, known, mine / f"trial-{index}")
                killed += one
                if difference:
                    different.append(f"{kill}: {difference}")
                    sys.stderr.write(f"\ndifferent: --replay {kill}\n")
                done[0] += 1
                if done[0] % 20 == 0:
                    seconds = time.monotonic() - began
                    sys.stderr.write(f"\r{done[0]} of {count} trials, {seconds:.0f} s ")
        return killed, different

    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(work, range(workers)))
    sys.stderr.write("\n")
    return sum(killed for killed, _ in answers), [d for _, found in answers for d in found]


def failing(folder: Path) -> tuple[int, list[str]]:
    """Fail each operation of a table's and a plain net's training, in each way."""
    count, problems = 0, []
    folder.mkdir()
    for kind in ("mini", "mlp", "table"):
        reference = folder / f"{kind}-reference"
        names = operations(kind, reference)
        for error in ERRORS:
            for number, name in enumerate(names, start=1):
                if error == SHORT and name != "write":
                    continue
                count += 1
                place = folder / f"{kind}-{error}-{number}"
                problem = broken_by_failure(kind, place, reference, number, error)
                if problem:
                    problems.append(f"{kind}, {error} in operation {number} ({name}): {problem}")
                shutil.rmtree(place, ignore_errors=True)
            sys.stderr.write(f"\r{count} failing operations ")
    sys.stderr.write("\n")
    return count, problems


def bound(trials: int) -> str:
    """What no failure in `trials` says of the rate of failures, with 95% confidence."""
    return f"below {3 / trials:.2%} with 95% confidence" if trials else "nothing"


def main() -> int:
    """Ask, print, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--replay", help="one kill, as a failure printed it")
    parser.add_argument("--no-page", action="store_true", help="leave docs/soak.md as it is")
    options = parser.parse_args()
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="drivetrain-soak-", dir=base))
    began = time.monotonic()
    try:
        if options.replay:
            return _replay(options.replay, folder)
        num_killed, different = kills(options.kills, options.seed, folder, options.workers)
        num_states, broken = broken_states(folder / "states", step=1)
        num_failed, problems = failing(folder / "failing")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    minutes = (time.monotonic() - began) / 60
    import torch

    import drivetrain

    lines = [
        "# Soak",
        "",
        "Written by `make soak`; not edited by hand.",
        "",
        "| what | tried | failed |",
        "| --- | ---: | ---: |",
        f"| trainings ended by SIGKILL and resumed; compared with the uncut one in weights, optimizer, "
        f"log and order of the items | {num_killed:,} kills in {options.kills:,} trials "
        f"| {len(different)} |",
        f"| states of the disk after a kill or a power cut during three saves | {num_states:,} "
        f"| {len(broken)} |",
        f"| operations on the disk that fail once (full, broken, forbidden, interrupted, short) "
        f"| {num_failed:,} | {len(problems)} |",
        "",
        f"Of {options.kills:,} trials none failing says: {bound(options.kills)}. Kinds: pictures, a "
        "table, a plain net; half of the kills at the k-th operation on the disk, half at any moment, a "
        "fifth of them killed once more while resuming.",
        "",
        f"Measured {datetime.date.today().isoformat()} in {minutes:.0f} minutes with the seed "
        f"{options.seed}: drivetrain {drivetrain.__version__}, torch {torch.__version__}, python "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}.",
        "",
        *[f"- {line}" for line in (*different, *broken, *problems)],
    ]
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    if not options.no_page:
        PAGE.write_text(text, encoding="utf-8")
    return 1 if different or broken or problems else 0


def _replay(text: str, folder: Path) -> int:
    found = re.fullmatch(r"(\w+):(op|after)=([\d.]+):again=(None|\d+):workers=(\d+)", text)
    if found is None:
        print(f"{text!r} is not a kill, such as mlp:op=12:again=None:workers=0")
        return 2
    kind, where, value, again, workers = found.groups()
    kill = Kill(
        kind,
        at=int(value) if where == "op" else None,
        after=float(value) if where == "after" else None,
        again=None if again == "None" else int(again),
        workers=int(workers),
    )
    with Forks(shapes(folder / "shapes")) as forks:
        killed, difference = trial(forks, kill, references(forks, folder), folder / "trial")
    print(f"killed {killed} times; {difference or 'nothing differs'}")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
