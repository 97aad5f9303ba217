"""`fine_tune`: seconds and error on pets, clothing and tiny digits, against fastai in the same setting.

Same items and split, body, trained weights, size, batch size, epochs and seeds on both sides. Each run
is a process of its own (`finetune_sides.py`); the two programs take turns, seed by seed. Time is from
the list of files to the trained model, so opening the pictures is inside; imports are not.

Each data set is a case of its own: `finetune_pets.py`, `finetune_clothing.py`, `finetune_digits.py`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from finetune_sides import CORES, SETTINGS
from measure import ROOT, Goal, Result, data_folder, median, skip

SEEDS = (0, 1, 2)

PHOTOS = """EfficientNet-Lite0 with the same ImageNet weights, 128 x 128, batch 64, `fine_tune(3)`: one
epoch of the head, three of all layers."""
HOW = {
    "pets": f"3 breeds, 20% of each class validates, another split each seed. {PHOTOS}",
    "clothing": f"10 classes, its own valid folder. {PHOTOS}",
    "digits": """3 or 7, 700 pictures to train on, 700 to validate. The same small ResNet from the same
random weights, 28 x 28, batch 32, `fit_one_cycle(5, 1e-2)`, no mirroring; Drivetrain takes one thread
by itself.""",
}
COMMON = """Error is the mean over the seeds {seeds}, seconds their median; {cores} torch threads.
fastai works with its quicker number of workers of those tried on the first seed ({workers})."""


def measure(name: str, options: argparse.Namespace) -> Result:
    """Run one data set with every seed on both sides."""
    data = data_folder()
    if data is None:
        skip("no data folder; set DRIVETRAIN_DATA")
        raise AssertionError("skip ends the process")
    seeds = SEEDS[:1] if options.quick else SEEDS
    pairs = pairs_of(name, data, seeds)
    sides = {"Drivetrain": "ours", "fastai 2.8.12": "fastai"}
    common = COMMON.format(
        seeds=", ".join(map(str, seeds)),
        cores=CORES,
        workers=", ".join(map(str, SETTINGS[name].fastai_workers)),
    )
    return Result(
        case=f"finetune_{name}",
        title=f"Training on {name}: error and seconds",
        columns=["program", "error, mean", "error, each seed", "seconds", "CPU seconds"],
        rows=[[label, *cells([pair[side] for pair in pairs])] for label, side in sides.items()],
        how=f"{HOW[name]} {common}".replace("\n", " "),
        goals=goals_of(pairs),
        raw={"runs": [pair[side] for pair in pairs for side in sides.values()]},
    )


def cells(runs: list[dict[str, Any]]) -> list[str]:
    """The figures of one row."""
    errors = [run["error"] for run in runs]
    return [
        f"{sum(errors) / len(errors):.4f}",
        " ".join(f"{error:.3f}" for error in errors),
        f"{median([run['seconds'] for run in runs]):.1f}",
        f"{median([run['cpu'] for run in runs]):.1f}",
    ]


def goals_of(pairs: list[dict[str, dict[str, Any]]]) -> list[Goal]:
    """Time as a ratio; error as a difference, which is also right where fastai makes none."""
    seconds = median([pair["ours"]["seconds"] / pair["fastai"]["seconds"] for pair in pairs])
    error = sum(pair["ours"]["error"] - pair["fastai"]["error"] for pair in pairs) / len(pairs)
    return [
        Goal("seconds, Drivetrain / fastai", seconds, 0.7),
        Goal("mean error, Drivetrain - fastai", error, 0.0),
    ]


def pairs_of(name: str, data: Path, seeds: tuple[int, ...]) -> list[dict[str, dict[str, Any]]]:
    """For each seed one run of each side; fastai first finds its better number of workers."""
    setting = SETTINGS[name]
    pairs = []
    workers = setting.fastai_workers
    for position, seed in enumerate(seeds):
        with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
            table = Path(folder) / "items.csv"
            write_table(data / setting.folder, table, seed)
            given = {"name": name, "table": str(table), "seed": seed}
            turns = [("ours", given), *(("fastai", given | {"num_workers": w}) for w in workers)]
            found = [run(*turn) for turn in (turns if position % 2 == 0 else reversed(turns))]
        ours = next(one for one in found if one["side"] == "ours")
        fastai = min((one for one in found if one is not ours), key=lambda one: one["seconds"])
        workers = (fastai["num_workers"],)
        pairs.append({"ours": ours, "fastai": fastai})
    return pairs


def write_table(folder: Path, table: Path, seed: int) -> None:
    """List the pictures with label and part, so that both sides have the same split."""
    draw = random.Random(seed)
    rows: list[tuple[str, str, str]] = [("path", "label", "part")]
    if (folder / "train").is_dir():
        for part in ("train", "valid"):
            rows += [(str(p), p.parent.name, part) for p in sorted((folder / part).glob("*/*"))]
    else:
        for label in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = sorted(label.iterdir())
            draw.shuffle(files)
            held_out = len(files) // 5
            rows += [(str(p), label.name, "valid") for p in files[:held_out]]
            rows += [(str(p), label.name, "train") for p in files[held_out:]]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def run(side: str, given: dict[str, Any]) -> dict[str, Any]:
    """One training in a process of its own; its figures."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(CORES),
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("finetune_sides.py"), side, json.dumps(given)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    found |= {"set": given["name"], "seed": given["seed"], "side": side}
    note = f", num_workers={given['num_workers']}" if "num_workers" in given else ""
    print(
        f"  {given['name']}, seed {given['seed']}, {side}{note}: "
        f"error {found['error']:.4f}, {found['seconds']:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return found
