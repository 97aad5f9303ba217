"""Runs of every kind, ejected, and run where Drivetrain cannot be imported: the same bits."""

from __future__ import annotations

import functools
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import drivetrain as dt
from tests.eject import project, replay

Make = Callable[[Path], dt.Learner]
OWN = functools.partial(dt.Learner, progress=False, num_threads=1)
PLAIN = {"progress": False, "batch_size": 32}


def pictures(folder: Path, **options: Any) -> dt.Learner:
    """A Learner of the small digits."""
    return dt.vision.learner(folder, **PLAIN | options)


def with_augmentation(digits: Path) -> dt.Learner:
    learner = pictures(digits)
    learner.train(2)
    return learner


def mirrored_and_unmirrored(digits: Path) -> dt.Learner:
    learner = pictures(digits, augment={"flip": 0.5, "flip_vertical": 0.3, "padding": "zeros"})
    learner.fit_one_cycle(2, 1e-2)
    return learner


def without_augmentation(digits: Path) -> dt.Learner:
    learner = pictures(digits, augment=False, optimizer="momentum", size=12)
    learner.fit(2, 1e-2)
    return learner


def discriminative_rates(digits: Path) -> dt.Learner:
    learner = pictures(digits, metrics=["accuracy", "f1"])
    learner.freeze()
    learner.fit(1, 1e-2)
    learner.unfreeze()
    learner.fit_one_cycle(1, slice(1e-4, 1e-2))
    return learner


def accumulated_and_mixed(digits: Path) -> dt.Learner:
    learner = pictures(digits, callbacks=["mixup", {"name": "accumulate", "steps": 3}])
    learner.fit(2, 1e-2)
    return learner


def averaged_and_clipped(digits: Path) -> dt.Learner:
    learner = pictures(digits, callbacks=["ema", "clip_gradients"], loss_fn="focal")
    learner.fit_one_cycle(2, 1e-2)
    return learner


def another_optimizer_and_schedule(digits: Path) -> dt.Learner:
    learner = pictures(digits, optimizer="lamb")
    learner.fit(2, 1e-2, schedule={"name": "flat_cosine", "pct_start": 0.5})
    return learner


def schedule_free(digits: Path) -> dt.Learner:
    learner = pictures(digits, optimizer="schedule_free_adamw")
    learner.fit(2, 1e-2)
    return learner


def cut_and_smoothed(digits: Path) -> dt.Learner:
    learner = pictures(digits, callbacks=["cutmix", "label_smoothing"])
    learner.fit(2, 1e-2, callbacks=[{"name": "progressive_resizing", "step": 4}])
    return learner


def deep_and_best(digits: Path) -> dt.Learner:
    learner = pictures(digits, callbacks=["stochastic_depth", "save_best", "freeze_batchnorm"])
    learner.fit(3, 1e-2)
    return learner


def fine_tuned_after_a_fit(digits: Path) -> dt.Learner:
    learner = pictures(digits)
    learner.fit(1, 1e-2, callbacks=["ema"])
    learner.fine_tune(1, 2e-3)
    learner.fine_tune(2, 1e-3, callbacks=[{"name": "mixup", "per_item": True}])
    return learner


def resumed(digits: Path) -> dt.Learner:
    learner = pictures(digits, callbacks=["ema"])
    try:
        learner.fit_one_cycle(3, 1e-2, callbacks=[Interrupted(5)])
    except KeyboardInterrupt:
        learner.resume(callbacks=[])
    return learner


def stopped_and_trained_otherwise(digits: Path) -> dt.Learner:
    learner = pictures(digits)
    try:
        learner.fit_one_cycle(3, 1e-2, callbacks=[Interrupted(4)])
    except KeyboardInterrupt:
        learner.fit(1, 1e-3)
    return learner


def share_by_names_from_disk(digits: Path) -> dt.Learner:
    data = dt.vision.from_names(digits, r"(\d)\.png", cache_bytes=0, num_workers=0)
    learner = dt.vision.learner(data, fraction=0.5, **PLAIN)
    learner.fit(2, 1e-2)
    return learner


def own_net(_: Path) -> dt.Learner:
    learner = OWN(project.Net, project.loaders, "cross_entropy", metrics=["accuracy"])
    learner.fit_one_cycle(2, 1e-2)
    return learner


def own_net_with_torchs_loader(_: Path) -> dt.Learner:
    make = functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    learner = OWN(project.Net, project.torch_loaders, project.hinge, make)
    learner.fit_one_cycle(2, 1e-2)
    return learner


def own_callback_loss_and_metric(_: Path) -> dt.Learner:
    learner = OWN(
        functools.partial(project.Net, 8),
        functools.partial(project.loaders, batch_size=8),
        project.Sharpened(),
        metrics=[project.Margin()],
        callbacks=[project.GradientNoise(0.2)],
    )
    learner.fit(2, 1e-2)
    return learner


def own_parabola(_: Path) -> dt.Learner:
    learner = OWN(project.Parabola, project.curve_loaders, "mse")
    learner.fit(3, 5e-2, schedule="cosine")
    return learner


def own_everything_at_once(_: Path) -> dt.Learner:
    callbacks = ["mixup", "ema", {"name": "accumulate", "steps": 2}, "clip_gradients"]
    learner = OWN(project.Net, project.loaders, "cross_entropy", "radam", callbacks=callbacks)
    learner.fit(2, 1e-2)
    learner.fine_tune(1)
    return learner


def listed_in_a_table(digits: Path) -> dt.Learner:
    table = digits.parent / "digits.csv"
    paths = sorted(path for path in digits.rglob("*.png"))
    rows = [
        f"{path.relative_to(digits.parent).as_posix()};{path.parent.name};{i % 5 == 0}"
        for i, path in enumerate(paths)
    ]
    table.write_bytes("\r\n".join(["image;label;is_valid", *rows, "missing.png;3;False"]).encode())
    learner = pictures(table)
    learner.fit(2, 1e-2)
    return learner


def parts_with_bad_and_hidden_files(digits: Path) -> dt.Learner:
    folder = digits.parent / "parts"
    if not folder.exists():
        for path in sorted(digits.rglob("*.png")):
            part = "train" if int(path.stem[-1]) % 3 else "valid"
            (folder / part / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / part / path.parent.name / path.name)
        (folder / "train" / "3" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        (folder / "train" / "3" / ".hidden.png").write_bytes(b"")
        (folder / "train" / "lost.png").write_bytes(b"")
        (folder / "valid" / "strange").mkdir()
        any_picture = next(digits.rglob("*.png"))
        shutil.copy(any_picture, folder / "valid" / "strange" / "one.png")
    learner = pictures(folder)
    learner.fit(2, 1e-2)
    return learner


def photos_of_every_kind(digits: Path) -> dt.Learner:
    folder = digits.parent / "photos"
    generator = np.random.default_rng(1)
    for number in range(33):
        place = folder / ("wide" if number % 2 else "tall")
        place.mkdir(parents=True, exist_ok=True)
        height, width = (30, 44) if number % 2 else (50, 28)
        pixels = generator.integers(0, 255, (height, width, 4), dtype=np.uint8)
        pixels[..., 0] //= 1 + number % 2
        image = Image.fromarray(pixels)
        kind = ("RGB", "L", "CMYK", "RGBA")[number % 4]
        suffix = ".png" if kind == "RGBA" else ".jpg"
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        image.convert(kind).save(place / f"{number}{suffix}", exif=exif)
    learner = pictures(folder, size=24, batch_size=13, resize="pad")
    learner.fit(1, 1e-3)
    return learner


class Interrupted(dt.Callback):
    """Presses Ctrl-C at a step."""

    in_script = False

    def __init__(self, step: int) -> None:
        self.step = step

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            signal.raise_signal(signal.SIGINT)


def source_of(learner: dt.Learner) -> Path | None:
    """Where a Learner's pictures come from."""
    return None if learner.application is None else learner.application.data.source


RUNS: list[Make] = [
    with_augmentation,
    mirrored_and_unmirrored,
    without_augmentation,
    discriminative_rates,
    accumulated_and_mixed,
    averaged_and_clipped,
    another_optimizer_and_schedule,
    schedule_free,
    cut_and_smoothed,
    deep_and_best,
    fine_tuned_after_a_fit,
    resumed,
    stopped_and_trained_otherwise,
    share_by_names_from_disk,
    listed_in_a_table,
    parts_with_bad_and_hidden_files,
    photos_of_every_kind,
    own_net,
    own_net_with_torchs_loader,
    own_callback_loss_and_metric,
    own_parabola,
    own_everything_at_once,
]


@pytest.mark.row(31)
@pytest.mark.row(165)
@pytest.mark.parametrize(
    ("make", "alone"),
    [(with_augmentation, True), (own_everything_at_once, False)],
    ids=["with_augmentation", "own_everything_at_once"],
)
def test_two_runs_end_with_the_same_bits_without_drivetrain(
    make: Make, alone: bool, digits: Path, tmp_path: Path
) -> None:
    learner = make(digits)
    replay.check(learner, tmp_path, data=source_of(learner), alone=alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [run for run in RUNS if run is not with_augmentation], ids=lambda make: make.__name__
)
def test_every_run_ends_with_the_same_bits_without_drivetrain(
    make: Make, digits: Path, tmp_path: Path
) -> None:
    learner = make(digits)
    replay.check(learner, tmp_path, data=source_of(learner), alone=True)
