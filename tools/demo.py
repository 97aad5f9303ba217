"""The demo: what a person would type, and what comes back.

Three commands of `drivetrain`: write the sample of handwritten digits as a folder, train on it, and
predict on pictures of its `test` folder, which training does not look at. Each command is shown
before it runs. Running it again makes a new run beside the old one.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "digits"


def main() -> int:
    """Run the demo; the answer is the exit code."""
    started = time.perf_counter()
    pictures, run = Path("samples", SAMPLE), new_folder(Path("runs"), "demo")
    answers = run.with_name(f"{run.name}-predictions.json")
    if not (ROOT / pictures).is_dir():
        drivetrain("samples", SAMPLE, "--to", pictures)
    drivetrain("train", pictures, "--out", run)
    shown = one_of_each_class(pictures / "test")
    drivetrain("predict", run, *shown, "--out", answers)
    predictions = json.loads((ROOT / answers).read_text("utf-8"))
    right = sum(each.get("label") == Path(each["input"]).parent.name for each in predictions)
    print(
        f"\nOf {len(shown)} pictures that training had not seen, {right} are predicted right: each "
        "stands in a folder named by what it shows.\n"
        f"The run, with its model, is {run}; the answers are {answers}; the pictures are "
        f"{pictures}.\nThe demo took {time.perf_counter() - started:.0f} s."
    )
    return 0


def drivetrain(*words: str | Path) -> None:
    """Show a command of the command line and run it; a failure ends the demo with its exit code."""
    texts = [str(word) for word in words]
    quoted = [shlex.quote(text) for text in texts]
    apart = " " if len(quoted) < 6 else " \\\n    "  # a long command stands on several lines
    print(f"\n$ drivetrain {apart.join(quoted)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "drivetrain", *texts], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


def new_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or with -2, -3 … where that is taken."""
    folder, number = parent / name, 1
    while (ROOT / folder).exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def one_of_each_class(test: Path) -> list[Path]:
    """The first picture of each class of the part that training does not see."""
    classes = sorted(folder for folder in (ROOT / test).iterdir() if folder.is_dir())
    return [min(folder.iterdir()).relative_to(ROOT) for folder in classes]


if __name__ == "__main__":
    sys.exit(main())
