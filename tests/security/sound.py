"""Sound folders that are spoilt by the tests: a run of tiny pictures, and its bundle."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from drivetrain.errors import Interrupted
from drivetrain.train.checkpoints import Checkpoints


@dataclass(frozen=True)
class SoundFolders:
    """What the attacks start from."""

    pictures: Path
    picture: Path
    run: Path
    """Trained to its end; without its checkpoints, which are large."""
    cut: Path
    """Cut after its first epoch, with one checkpoint."""
    bundle: Path


def make(folder: Path) -> SoundFolders:
    """Dark and light pictures of 8 x 8 pixels, a model that tells them apart, and its bundle."""
    from PIL import Image

    from drivetrain import vision

    pictures = folder / "pictures"
    draw = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (pictures / label).mkdir(parents=True)
        for number in range(12):
            noise = level + draw.integers(-30, 30, (8, 8, 3))
            Image.fromarray(noise.astype(np.uint8)).save(pictures / label / f"{number}.png")

    def learner(out: Path):
        return vision.learner(
            str(pictures), "resnet_tiny", size=8, epochs=2, batch_size=8, num_threads=1,
            progress=False, out=out,
        )  # fmt: skip

    learner(folder / "run").train()
    with mock.patch.object(Checkpoints, "save", _save_and_stop), contextlib.suppress(Interrupted):
        learner(folder / "cut").train()
    vision.export(folder / "run", folder / "bundle")
    shutil.rmtree(folder / "run" / "checkpoints")
    picture = pictures / "dark" / "0.png"
    return SoundFolders(pictures, picture, folder / "run", folder / "cut", folder / "bundle")


_save = Checkpoints.save


def _save_and_stop(self: Checkpoints, *args: Any) -> None:
    """Save, and where an epoch is done end the training; one checkpoint is left."""
    if args[0]:
        shutil.rmtree(self.folder)
    _save(self, *args)
    if args[0]:  # epochs done: there is something to remember
        raise Interrupted("Cut by a test.", 2)
