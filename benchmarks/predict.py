"""Predicting one picture: `learner.predict(path)` against fastai's, and against the bare calls.

The body is the same on all sides (EfficientNet-Lite0 with a new head of three classes); weights do not
matter for time.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from input import make_files
from measure import Goal, Result, finish, median, ratio, take_turns
from PIL import Image

import drivetrain as dt

BODY = "tf_efficientnet_lite0"
SIZE = 128


def measure(options: argparse.Namespace) -> Result:
    """One picture after another through each, in turn, with one thread and with two."""
    rounds = 5 if options.quick else 40
    with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
        paths, origin = make_files(Path(folder), 48)
        learner = dt.vision.learner(
            folder, BODY, pretrained=False, size=SIZE, num_threads=1, progress=False
        )
        bare, ours, fastai = "decode + bare model call", "Drivetrain", "fastai 2.8.12"
        calls = {
            bare: bare_call(learner.model),
            ours: learner.predict,
            fastai: fastai_call(paths),
        }
        all_times: dict[int, dict[str, list[float]]] = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            learner.num_threads = threads
            variants = {name: _each(call, paths) for name, call in calls.items()}
            clock = time.process_time if threads == 1 else time.perf_counter
            all_times[threads] = take_turns(variants, rounds=rounds, warm_up=3, clock=clock)
    rows = [
        [
            f"{name}, {threads} thread{'s' if threads > 1 else ''}",
            f"{median(taken) * 1e3:.1f}",
            f"{ratio(times, name, bare):.2f}",
        ]
        for threads, times in all_times.items()
        for name, taken in times.items()
    ]
    one = all_times[1]
    return Result(
        case="predict",
        title=f"Predicting one picture: {BODY}, {SIZE} x {SIZE}",
        columns=["program", "ms a picture", "of the bare calls"],
        rows=rows,
        how=(
            f"JPEG files of 400 x 300 ({origin}), one after another, programs in turn, medians of "
            f"{rounds}; CPU time with one thread, wall time with two. Bare: Pillow opens and "
            "resizes, then one model call and a softmax under `inference_mode`, channels last."
        ),
        goals=[
            Goal("Drivetrain / bare calls", ratio(one, ours, bare), 1.3),
            Goal("fastai / Drivetrain", ratio(one, fastai, ours), 1.0, is_at_least=True),
        ],
        raw={"seconds": {str(threads): times for threads, times in all_times.items()}},
    )


def bare_call(model: torch.nn.Module) -> Callable[[Path], Any]:
    """What one writes by hand: decode, resize, normalise, call."""
    model.eval()

    def call(path: Path) -> Any:
        with Image.open(path) as picture:
            picture.draft("RGB", (SIZE, SIZE))
            small = picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            return model(pixels.float().div_(127.5).sub_(1.0)).softmax(1)

    return call


def fastai_call(paths: list[Path]) -> Callable[[Path], Any]:
    """`learn.predict` of a vision learner with the same body and size."""
    fv: Any = importlib.import_module("fastai.vision.all")  # its hints do not fit its own use

    with contextlib.redirect_stdout(io.StringIO()):
        loaders = fv.ImageDataLoaders.from_path_func(
            paths[0].parent.parent,
            paths,
            fv.parent_label,
            item_tfms=fv.Resize(SIZE),
            batch_tfms=fv.aug_transforms(),
            num_workers=0,
        )
        learner = fv.vision_learner(loaders, BODY, pretrained=False)

    def call(path: Path) -> Any:
        with learner.no_bar():
            return learner.predict(path)

    return call


def _each(call: Callable[[Path], Any], paths: list[Path]) -> Callable[[], Any]:
    """Each call takes the next file."""
    state = {"next": 0}

    def one() -> Any:
        state["next"] = (state["next"] + 1) % len(paths)
        return call(paths[state["next"]])

    return one


if __name__ == "__main__":
    finish(measure, __doc__)
