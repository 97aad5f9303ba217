"""Ratings up to twenty million: seconds and memory of reading, of an epoch, of predicting, as they grow.

The ratings are made: a vector of ten planted factors and a bias for each user and item, noise, half
stars from 0.5 to 5; few items have most of the ratings, and few users give many. 20 million are of
138,000 users and 27,000 items; smaller sets have as many ratings a user, and items as the square root.
Each size is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, Goal, Result, finish

SIZES = (200_000, 2_000_000, 20_000_000)
QUICK = (20_000, 200_000)
USERS, ITEMS = 138_000, 27_000
"""Of the largest size."""
PLANTED, NOISE = 10, 0.8
PIECE = 2_000
"""Users whose ratings are made at once."""
MOST_BYTES = 250
"""Memory a rating that the largest size may take beyond what Python, torch and the weights do."""


def measure(options: argparse.Namespace) -> Result:
    """One child process a size."""
    found: dict[int, dict[str, Any]] = {}
    for size in QUICK if options.quick else SIZES:
        with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
            path = Path(folder) / "ratings.parquet"
            made = write_ratings(path, size, seed=0)
            found[size] = child(path) | made | {"file": path.stat().st_size}
            print(f"{size:,}: {found[size]}", flush=True)
    rows = [cells(one) for one in found.values()]
    largest, before = list(found.values())[-1], list(found.values())[-2]
    grown = largest["ratings"] / before["ratings"]
    return Result(
        case="ratings_large",
        title="Ratings from 200 thousand to 20 million",
        columns=[
            *("ratings", "users, items", "file", "read", "an epoch", "a million, trained"),
            *("results", "MB: read, epoch, results", "bytes a rating", "error, noise"),
        ],
        rows=rows,
        how=(
            "Each size in a process of its own with one torch thread: wall time of `collab.from_table` "
            "on a Parquet file (user, item, rating, time), of an epoch of `fit_one_cycle` with its "
            "validation by `collab.learner(data)` as it comes, of `results` (error with interval, and "
            "the baselines). MB: the most memory the process had in each of them; bytes a rating: the "
            "most of all, without what it had after the imports and the weights with their optimizer, "
            "divided by the ratings. Error: "
            "mean squared, on a fifth drawn at random, after that one epoch; noise: what was put in. "
            "Making the ratings is not counted."
        ),
        goals=[
            Goal("bytes a rating, the largest", bytes_of(largest), MOST_BYTES),
            Goal(
                f"seconds to read, growing with {grown:.0f} times the ratings",
                largest["seconds"]["read"] / before["seconds"]["read"],
                1.5 * grown,
            ),
            Goal(
                f"seconds an epoch, growing with {grown:.0f} times the ratings",
                largest["seconds"]["train"] / before["seconds"]["train"],
                1.5 * grown,
            ),
        ],
        raw={str(size): one for size, one in found.items()},
    )


def cells(one: dict[str, Any]) -> list[str]:
    """The figures of one size."""
    seconds, count = one["seconds"], one["ratings"]
    return [
        f"{count:,}",
        f"{one['users']:,}, {one['items']:,}",
        f"{one['file'] / 1e6:,.1f} MB",
        f"{seconds['read']:.2f} s",
        f"{seconds['train']:.1f} s",
        f"{seconds['train'] / (0.8 * count) * 1e6:.2f} s",
        f"{seconds['results']:.1f} s",
        " ".join(f"{one['memory'][part] / 1e6:,.0f}" for part in ("read", "train", "results")),
        f"{bytes_of(one):,.0f}",
        f"{one['error']:.3f}, {one['noise']:.3f}",
    ]


def bytes_of(one: dict[str, Any]) -> float:
    """Memory a rating, beyond imports and weights."""
    beyond = max(one["memory"].values()) - one["memory"]["import"] - one["weights"]
    return beyond / one["ratings"]


# --- the ratings ----------------------------------------------------------------------------------


def write_ratings(path: Path, count: int, *, seed: int) -> dict[str, Any]:
    """A Parquet file of about so many ratings, in pieces of `PIECE` users; the same for a seed.

    No user rates an item twice. Rows stand by user, and within one by time, as such files do.

    Returns: `ratings` that there are, and `noise`: the mean square of what no model can tell.
    """
    pa: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    share = count / SIZES[-1]
    num_users, num_items = round(USERS * share), round(ITEMS * math.sqrt(share))
    draw = np.random.default_rng(seed)
    item_factors = draw.normal(0, 0.6 / math.sqrt(PLANTED), (num_items, PLANTED)).astype(np.float32)
    item_bias = draw.normal(0, 0.4, num_items).astype(np.float32)
    popular = 1 / (np.arange(num_items) + num_items / 50)
    up_to = np.cumsum(draw.permutation(popular))
    up_to /= up_to[-1]
    activity = draw.lognormal(0, 1, num_users)
    wanted = np.clip(activity / activity.mean() * count / num_users, 20, num_items / 20)
    wanted = np.ceil(wanted * count / wanted.sum()).astype(np.int64)
    schema = pa.schema(
        [("user", pa.int32()), ("item", pa.int32()), ("rating", pa.float32()), ("time", pa.int64())]
    )
    written, squares = 0, 0.0
    with parquet.ParquetWriter(path, schema) as writer:
        for first in range(0, num_users, PIECE):
            counts = wanted[first : first + PIECE]
            users, items = pairs(draw, counts, up_to)
            likes = draw.normal(0, 1.0, (len(counts), PLANTED)).astype(np.float32)
            user_bias = draw.normal(0, 0.4, len(counts)).astype(np.float32)
            true = 3.5 + user_bias[users] + item_bias[items]
            true += (likes[users] * item_factors[items]).sum(1)
            said = true + draw.normal(0, NOISE, len(users))
            said = np.clip(np.round(said * 2) / 2, 0.5, 5).astype(np.float32)
            squares += float(((said - np.clip(true, 0.5, 5)) ** 2).sum())
            times = 1_000_000_000 + 60 * np.arange(len(users)) + draw.integers(0, 60, len(users))
            columns = [(users + first + 1).astype(np.int32), (items + 1).astype(np.int32)]
            writer.write_table(pa.table([*columns, said, times], schema=schema))
            written += len(users)
    return {"ratings": written, "noise": squares / written}


def pairs(
    draw: np.random.Generator, counts: np.ndarray, up_to: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) users, rising from 0, and (N,) items, each once a user, drawn by how popular they are.

    Args:
        counts: (M,) items each user has, at most.
        up_to: (I,) the sum of the shares of an item and those before it.
    """
    num_items = len(up_to)
    tries = np.repeat(np.arange(len(counts)), 2 * counts + 10)
    drawn = np.searchsorted(up_to, draw.random(len(tries))).clip(max=num_items - 1)
    keys = np.unique(tries * num_items + drawn)
    owners = keys // num_items
    order = np.lexsort((draw.random(len(keys)), owners))  # at random within a user
    sizes = np.bincount(owners, minlength=len(counts))
    starts = np.cumsum(sizes) - sizes
    rank = np.arange(len(keys)) - starts[owners]  # `owners` rises, so it stays as it is in `order`
    kept = keys[order][rank < counts[owners]]
    return kept // num_items, kept % num_items


# --- one size -------------------------------------------------------------------------------------


def child(path: Path) -> dict[str, Any]:
    """Measure a file in a process of its own."""
    script = ROOT / "benchmarks" / "ratings_large.py"
    command = [sys.executable, str(script), "--child", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def one_size(path: str) -> dict[str, Any]:
    """Read, train an epoch, and measure the result; time of each part and memory after it."""
    import torch

    import drivetrain as dt

    importlib.import_module("pyarrow.parquet")
    importlib.import_module("drivetrain.collab.learner")
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)
    seconds: dict[str, float] = {}
    memory = {"import": most_memory()}
    began = time.perf_counter()

    def done(part: str) -> None:
        nonlocal began
        seconds[part], memory[part] = time.perf_counter() - began, most_memory()
        began = time.perf_counter()

    data = dt.collab.from_table(path)
    done("read")
    learner = dt.collab.learner(data, num_threads=1, progress=False, announce=False)
    done("learner")
    application: Any = learner.application
    learner.fit_one_cycle(1, application.plan["lr"])
    done("train")
    result = application.results(learner)
    done("results")
    weights = sum(p.numel() * p.element_size() for p in learner.model.parameters())
    return {
        "seconds": seconds,
        "memory": memory,
        "users": len(data.users) - 1,
        "items": len(data.items) - 1,
        "weights": 4 * weights,  # and their gradients, and the two means of AdamW
        "error": result["metrics"]["valid"]["mse"],
        "batch_size": application.settings["batch_size"],
    }


def most_memory() -> int:
    """Bytes that this process had at most since it was last asked.

    `resource.getrusage` would not do: it also counts what the parent had when it started this.
    """
    status = Path("/proc/self/status").read_text()
    most = re.search(r"^VmHWM:\s+(\d+) kB$", status, flags=re.MULTILINE)
    assert most is not None, "Linux tells it"
    Path("/proc/self/clear_refs").write_text("5")  # the mark falls to what is there now
    return int(most[1]) * 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(one_size(sys.argv[2])))
    else:
        finish(measure, __doc__)
