"""Import time: fresh processes, by turns; `import drivetrain` against torch and fastai."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from measure import ROOT, Goal, Result, finish, median

STATEMENTS = {
    "Python alone": "pass",
    "import drivetrain": "import drivetrain",
    "drivetrain --help": "import sys; sys.argv[1:] = ['--help']; import drivetrain.cli as c; c.main()",
    "import torch": "import torch",
    "drivetrain.vision and its Learner": "import drivetrain as dt; dt.vision.learner; dt.Learner",
    "from fastai.vision.all import *": "from fastai.vision.all import *",
}


def measure(options: argparse.Namespace) -> Result:
    """Start Python with each statement, in turn."""
    rounds = 2 if options.quick else 7
    cpu: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    wall: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for number in range(rounds + 1):
        for name, statement in STATEMENTS.items():
            seconds, cpu_seconds = start(statement)
            if number:  # the first round fills the byte-code and file caches
                cpu[name].append(cpu_seconds)
                wall[name].append(seconds)
    alone = median(wall["Python alone"])
    ours = median(wall["import drivetrain"]) - alone
    vision, fastai = "drivetrain.vision and its Learner", "from fastai.vision.all import *"
    rows = [[name, f"{median(wall[name]):.3f}", f"{median(cpu[name]):.3f}"] for name in STATEMENTS]
    return Result(
        case="imports",
        title="Import time, fresh processes",
        columns=["process", "seconds", "CPU seconds"],
        rows=rows,
        how=(
            f"Medians of {rounds} processes each, in turn, after one that fills the caches; each figure "
            "holds the start of Python itself."
        ),
        goals=[
            Goal("`import drivetrain` over bare Python, seconds", ours, 0.1),
            Goal(
                "drivetrain.vision / fastai.vision", median(cpu[vision]) / median(cpu[fastai]), 1.0
            ),
        ],
        raw={"wall": wall, "cpu": cpu},
    )


def start(statement: str) -> tuple[float, float]:
    """Wall and CPU seconds of a process that runs `statement`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    clock = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", statement], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - clock
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"`{statement}` ended with exit code {process.returncode}.")
    return seconds, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    finish(measure, __doc__)
