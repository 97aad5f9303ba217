"""A disk that is full: refused before the first step, or one sentence later; and then the run goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain.errors import StorageError
from drivetrain.train.run import Run
from tests.reliability import jobs

SIZE = 400_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let anybody mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # a Learner may still hold its lock


def fill(folder: Path, leave: int) -> Path:
    """Take all space but `leave` bytes; the file that has to go for more."""
    path = folder / "ballast"
    path.write_bytes(bytes(max(shutil.disk_usage(folder).free - leave, 0)))
    return path


def test_a_run_that_two_checkpoints_do_not_fit_is_refused_before_the_first_step(
    small_disk: Path,
) -> None:
    points = torch.randn(32, 64)
    loader = dt.BatchLoader(dt.TensorData(points, points[:, :1]), batch_size=8)
    model = nn.Linear(64, 256)
    learner = dt.Learner(
        model, loader, lambda a, b: a.mean(), progress=False, out=small_disk / "run"
    )
    before = model.weight.clone()
    with pytest.raises(
        StorageError,
        match=rf"^The disk of {re.escape(str(small_disk / 'run'))} has 0\.4 MB free, and two checkpoints "
        r"need 0\.5 MB\. Free space, or choose another folder\.$",
    ):
        learner.fit(1)
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("level", range(20))
def test_a_disk_that_fills_while_training_is_one_sentence_and_the_run_goes_on(
    small_disk: Path, tmp_path: Path, level: int
) -> None:
    class Fill(dt.Callback):
        def after_batch(self, state: object) -> None:
            if not (small_disk / "ballast").exists() and getattr(state, "step", 0) == 4:
                fill(small_disk, level * 2048)

    jobs.train("mlp", tmp_path / "reference")
    learner = jobs.make("mlp", small_disk / "run")
    learner.callbacks.append(Fill())
    said = ""
    try:
        jobs.fit("mlp", learner)
    except StorageError as error:
        said = str(error)
    assert list((small_disk / "run").rglob("*.tmp")) == []
    if said:
        assert re.fullmatch(
            r"Could not \S+ (to )?.*: No space left on device\. Free space or choose another folder\.",
            said,
        )
        (small_disk / "ballast").unlink()
        del learner
        jobs.resume("mlp", small_disk / "run")
    seen = tmp_path / "run.seen"
    shutil.copy(small_disk / "run.seen", seen)
    shutil.copytree(small_disk / "run", tmp_path / "run")
    assert Run.open(tmp_path / "run").read()["results"]
    ours, theirs = jobs.outcome(tmp_path / "run"), jobs.outcome(tmp_path / "reference")
    for one in (ours, theirs):
        one["callbacks"].pop("Fill", None)
    assert ours == theirs
    assert jobs.order(tmp_path / "run") == jobs.order(tmp_path / "reference")
