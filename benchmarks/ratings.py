"""Ratings on MovieLens 100K: an epoch, and how soon they are told well, against fastai and Surprise.

fastai's own training loader for ratings draws rows with replacement, so that an epoch misses a third of
them; its `TabDataLoader` does not. Both are measured. The hand-written loop is the same arithmetic
without a library. All have the same 80,000 ratings to train and 20,000 to validate.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure import ROOT, Goal, Result, data_folder, finish, median, ratio, skip, take_turns
from ratings_sides import (
    FACTORS,
    Y_RANGE,
    Epochs,
    HandWritten,
    fastai_epoch,
    fastai_epochs,
    fastai_learner,
)

import drivetrain as dt
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.progress import Progress

BATCH, LR, DECAY = 64, 5e-3, 0.1
EPOCHS = 5
"""Of fastai's recipe: the course's."""
TARGET = 0.83
SEEDS = (42, 43, 44)
PYTHON = "DRIVETRAIN_BENCH_SURPRISE"
"""Names the Python that has Surprise; `run.py` sets it."""
OURS, HAND = "Drivetrain", "hand-written loop, fused AdamW"
DEFAULT, PLAIN = "fastai 2.8.12, its own loader", "fastai 2.8.12, TabDataLoader"
SURPRISE, TUNED = "Surprise 1.1.5, SVD", "Surprise 1.1.5, SVD, 60 epochs at 0.01, reg 0.1"
SETTINGS: dict[str, tuple[int, dict[str, Any]]] = {
    SURPRISE: (20, {}),
    TUNED: (60, {"lr_all": 0.01, "reg_all": 0.1}),
}
"""Epochs and what `SVD` is given: its defaults, and what suits these ratings better."""
STEPS_OF = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60)
"""Epochs after which Surprise is asked."""


def measure(options: argparse.Namespace) -> Result:
    """Epochs in turn, then whole trainings, on one thread."""
    folder = data_folder()
    if folder is None or not (folder / "ml-100k" / "u.data").exists():
        skip("ml-100k is not here; set DRIVETRAIN_DATA")
        raise AssertionError("skip ends the process")
    torch.set_num_threads(1)
    quick = options.quick
    data = read(folder / "ml-100k" / "u.data", quick=quick)
    frame, splits = fastai_rows(data)
    steps = -(-len(splits[0]) // BATCH)
    trained = take_turns(
        {
            HAND: hand_written(data, validate=False),
            OURS: ours_epoch(data, validate=False),
            DEFAULT: fastai_fit(frame, splits, plain=False, validate=False),
            PLAIN: fastai_fit(frame, splits, plain=True, validate=False),
        },
        rounds=1 if quick else 5, warm_up=0 if quick else 1, clock=time.process_time,
    )  # fmt: skip
    whole = take_turns(
        {
            HAND: hand_written(data, validate=True),
            OURS: ours_epoch(data, validate=True),
            DEFAULT: fastai_fit(frame, splits, plain=False, validate=True),
            PLAIN: fastai_fit(frame, splits, plain=True, validate=True),
        },
        rounds=1 if quick else 5, warm_up=0 if quick else 1, clock=time.process_time,
    )  # fmt: skip
    runs = trainings(data, frame, splits, quick=quick)
    reached = {name: [reaches(epochs, TARGET) for epochs in of] for name, of in runs.items()}
    final = {name: [epochs[-1][1] for epochs in of] for name, of in runs.items()}
    rows = [
        [
            f"{part}, {name}",
            f"{median(taken):.2f} s",
            f"{median(taken) / steps * 1e6:,.0f} us a step",
            f"{ratio(times, name, HAND):.2f}",
        ]
        for part, times in (("an epoch", trained), ("with validation", whole))
        for name, taken in times.items()
    ]
    rows += [
        [
            f"whole training, {name}",
            f"{median([epochs[-1][0] for epochs in runs[name]]):.1f} s",
            told_reached(reached[name]),
            " ".join(f"{loss:.4f}" for loss in final[name]),
        ]
        for name in runs
    ]
    mean = {name: sum(losses) / len(losses) for name, losses in final.items()}
    ours_seconds = median([seconds or float("inf") for seconds in reached[OURS]])
    goals = [
        Goal("an epoch, Drivetrain / hand-written", ratio(trained, OURS, HAND), 1.05),
        Goal("with validation, Drivetrain / hand-written", ratio(whole, OURS, HAND), 1.05),
        Goal(
            "an epoch, fastai's own loader / Drivetrain", ratio(trained, DEFAULT, OURS), 5.0, True
        ),
        Goal("an epoch, TabDataLoader / Drivetrain", ratio(trained, PLAIN, OURS), 5.0, True),
        Goal("with validation, fastai's own / Drivetrain", ratio(whole, DEFAULT, OURS), 5.0, True),
        Goal("with validation, TabDataLoader / Drivetrain", ratio(whole, PLAIN, OURS), 5.0, True),
        Goal("error by default, Drivetrain", mean[OURS], TARGET),
        Goal("error by default, Drivetrain - fastai's own loader", mean[OURS] - mean[DEFAULT], 0.0),
        Goal("error by default, Drivetrain - TabDataLoader", mean[OURS] - mean[PLAIN], 0.0),
        Goal(
            f"seconds to {TARGET}, Drivetrain / TabDataLoader",
            ours_seconds / (median([s or float("inf") for s in reached[PLAIN]])),
            1.0,
        ),
    ]
    if TUNED in runs:
        goals += [
            Goal("error by default, Drivetrain - Surprise's SVD", mean[OURS] - mean[SURPRISE], 0.0),
            Goal("error, Drivetrain by default - SVD tuned", mean[OURS] - mean[TUNED], 0.0),
            Goal(
                f"seconds to {TARGET}, Drivetrain / SVD tuned",
                ours_seconds / (median([s or float("inf") for s in reached[TUNED]])),
                1.0,
            ),
        ]
    return Result(
        case="ratings",
        title=f"MovieLens 100K: a dot product of {FACTORS} factors with biases, batch {BATCH}",
        columns=[
            "part, program",
            "seconds",
            f"a step, or to an error of {TARGET}",
            "of the hand-written loop, or final errors",
        ],
        rows=rows,
        how=(
            "One torch thread, CPU time of the process, medians. All have the same 80,000 training and "
            "20,000 validation ratings (random, seed 42). An epoch: batch "
            f"{BATCH}, AdamW with betas (0.9, 0.99), eps 1e-5 and decay {DECAY}, 1cycle at {LR}, range "
            f"{Y_RANGE}; programs in turn; ratios are medians over rounds. Whole training: each "
            f"as it comes (fastai: its documentation's {EPOCHS} epochs of 1cycle at {LR}, decay {DECAY}, "
            "batch 64; Surprise: `SVD()`, and with settings found for these ratings), mean squared error "
            f"for the seeds {', '.join(map(str, SEEDS))} of weights and order; seconds from the start of "
            "training, validation after each epoch within them (not Surprise's, which is asked after "
            f"every 5 epochs, each time trained from the start)."
        ),
        goals=goals,
        raw={"epoch": trained, "with_validation": whole, "trainings": runs},
    )  # fmt: skip


def read(path: Path, *, quick: bool) -> Any:
    """All ratings; for a quick look a tenth of them."""
    if not quick:
        return dt.collab.from_csv(path, seed=42)
    with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
        short = Path(folder) / "u.data"
        with path.open() as file:
            short.write_text("".join(next(file) for _ in range(10_000)))
        return dt.collab.from_csv(short, seed=42)


# --- an epoch -------------------------------------------------------------------------------------


def hand_written(data: Any, *, validate: bool) -> Callable[[], object]:
    """A hand-written loop over the data's codes."""
    parts = {part: data.part(part).tensors() for part in ("train", "valid")}
    return HandWritten(
        (len(data.users), len(data.items)), parts["train"], parts["valid"] if validate else None,
        batch_size=BATCH, lr=LR, weight_decay=DECAY,
    )  # fmt: skip


def ours_epoch(data: Any, *, validate: bool) -> Callable[[], object]:
    """A Learner with its default callbacks; the bar is on although this is no terminal."""
    learner = dt.collab.learner(
        data, batch_size=BATCH, lr=LR, weight_decay=DECAY, y_range=Y_RANGE, num_factors=FACTORS,
        num_threads=1, progress=False, announce=False,
        callbacks=[Progress(stream=io.StringIO(), bar=True)],
    )  # fmt: skip
    if not validate:
        learner.loaders = dt.Loaders(learner.loaders.train)
    return lambda: learner.fit_one_cycle(1, LR)


def fastai_rows(data: Any) -> tuple[Any, tuple[list[int], list[int]]]:
    """The same ratings as a frame, and our split of its rows."""
    pandas: Any = importlib.import_module("pandas")
    table = data.table
    names = [[ids.names[code] for code in codes.tolist()] for ids, codes in named(data)]
    frame = pandas.DataFrame({"user": names[0], "item": names[1], "rating": table.ratings})
    return frame, (data.rows("train").tolist(), data.rows("valid").tolist())


def named(data: Any) -> list[tuple[Any, Any]]:
    """Names and codes of users and items; of what training does not know "" stands for all."""
    return [(data.users, data.table.users), (data.items, data.table.items)]


def fastai_fit(frame: Any, splits: Any, *, plain: bool, validate: bool) -> Callable[[], None]:
    """fastai's epoch."""
    learner = fastai_learner(frame, splits, batch_size=BATCH, plain=plain)
    return fastai_epoch(learner, LR, DECAY, validate=validate)


# --- whole trainings ------------------------------------------------------------------------------


def trainings(data: Any, frame: Any, splits: Any, *, quick: bool) -> dict[str, list[Epochs]]:
    """Each program as it comes, for each seed, in turn."""
    programs: dict[str, Callable[[int], Epochs]] = {
        OURS: lambda seed: ours_epochs(data, seed),
        DEFAULT: lambda seed: fastai_seed(frame, splits, seed, plain=False),
        PLAIN: lambda seed: fastai_seed(frame, splits, seed, plain=True),
    }
    python = os.environ.get(PYTHON)
    found: dict[str, list[Epochs]] = {}
    with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
        if python:
            write_parts(data, Path(folder))
            for name in SETTINGS:
                programs[name] = lambda seed, name=name: surprise_side(
                    python, folder, seed, name, quick=quick
                )
        for number, seed in enumerate(SEEDS[:1] if quick else SEEDS):
            order = list(programs) if number % 2 == 0 else list(reversed(programs))
            for name in order:
                found.setdefault(name, []).append(programs[name](seed))
                seconds, loss = found[name][-1][-1]
                print(f"seed {seed}, {name}: {loss:.4f} in {seconds:.1f} s", flush=True)
    return {name: found[name] for name in programs}


class Note(Callback):
    """Keeps time and error after each epoch."""

    def __init__(self) -> None:
        self.found: Epochs = []

    def before_fit(self, state: Any) -> None:
        self.began = time.process_time()

    def after_epoch(self, state: Any) -> None:
        self.found.append((time.process_time() - self.began, state.evaluation.loss))


def ours_epochs(data: Any, seed: int) -> Epochs:
    """`collab.learner(data).train()`."""
    note = Note()
    learner = dt.collab.learner(
        data, seed=seed, num_threads=1, progress=False, announce=False, callbacks=[note]
    )
    learner.train()
    return note.found


def fastai_seed(frame: Any, splits: Any, seed: int, *, plain: bool) -> Epochs:
    """fastai's documented recipe."""
    tab: Any = importlib.import_module("fastai.tabular.all")
    tab.set_seed(seed, reproducible=True)
    learner = fastai_learner(frame, splits, batch_size=64, plain=plain)
    return fastai_epochs(learner, EPOCHS, LR, DECAY)


def surprise_side(python: str, folder: str, seed: int, name: str, *, quick: bool) -> Epochs:
    """Surprise in its own environment; the epochs are so many trainings."""
    last, settings = SETTINGS[name]
    asked = {
        "train": f"{folder}/train.csv",
        "valid": f"{folder}/valid.csv",
        "seed": seed,
        "epochs": [last] if quick else [count for count in STEPS_OF if count <= last],
        "settings": settings,
    }
    script = ROOT / "benchmarks" / "ratings_sides.py"
    done = subprocess.run(
        [python, str(script), json.dumps(asked)], stdout=subprocess.PIPE, check=True, text=True
    )
    return [(seconds, loss) for seconds, loss in json.loads(done.stdout.splitlines()[-1])["epochs"]]


def write_parts(data: Any, folder: Path) -> None:
    """train.csv and valid.csv: user, item, rating, without a header."""
    users, items = ([ids.names[code] for code in codes.tolist()] for ids, codes in named(data))
    ratings = data.table.ratings.tolist()
    for part in ("train", "valid"):
        with (folder / f"{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows(
                (users[row], items[row], ratings[row]) for row in data.rows(part).tolist()
            )


def reaches(epochs: Epochs, target: float) -> float | None:
    """Seconds after which the error is first at most the target; None where it never is."""
    return next((seconds for seconds, loss in epochs if loss <= target), None)


def told_reached(seconds: list[float | None]) -> str:
    """The median, or how many of the seeds came so far."""
    there = [found for found in seconds if found is not None]
    if len(there) == len(seconds):
        return f"{median(there):.1f} s"
    return "never" if not there else f"{len(there)} of {len(seconds)}"


if __name__ == "__main__":
    finish(measure, __doc__)
