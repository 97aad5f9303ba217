"""The two sides of `finetune.py`: one training of Drivetrain or of fastai, its figures as JSON.

python finetune_sides.py ours '{"name": "pets", "table": "items.csv", "seed": 0}'
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

CORES = 2
LITE0 = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Setting:
    """What both sides are given."""

    folder: str
    """Below the data folder."""
    body: str
    """LITE0 is fine-tuned from trained weights; another is trained from random ones."""
    size: int
    epochs: int
    """Of all layers; a fine-tuning has one of the head alone before."""
    batch_size: int = 64
    fastai_workers: tuple[int, ...] = (0, 2)
    """What fastai is tried with."""


SETTINGS = {
    "pets": Setting("pets/images", LITE0, size=128, epochs=3),
    "clothing": Setting("clothing", LITE0, size=128, epochs=3),
    "digits": Setting("mnist/tiny_3_7", "resnet_tiny", size=28, epochs=5, batch_size=32),
}
MAX_LR = 1e-2
"""Of the training from random weights."""


def train_ours(name: str, table: str, seed: int) -> dict[str, Any]:
    """Drivetrain; what is not named here is at its defaults."""
    import timm  # noqa: F401 - imported outside the time, as on the other side

    import drivetrain as dt

    setting, make = SETTINGS[name], dt.vision.learner
    watch = Stopwatch()
    data = dt.vision.from_csv(table, size=setting.size, seed=seed)
    learner = make(
        data,
        setting.body,
        batch_size=setting.batch_size,
        seed=seed,
        progress=False,
    )
    opening = watch.seconds()
    if setting.body == LITE0:
        learner.fine_tune(setting.epochs)
    else:
        learner.fit_one_cycle(setting.epochs, MAX_LR)
    figures = watch.figures()
    row = learner.history[-1]
    return {
        "error": row["error_rate"],
        "loss": row["valid_loss"],
        "errors": [row["error_rate"] for row in learner.history],
        "opening": opening,
        **figures,
    }


def train_fastai(name: str, table: str, seed: int, num_workers: int) -> dict[str, Any]:
    """fastai as its own documentation has it, with the same items, body and weights."""
    fv: Any = importlib.import_module("fastai.vision.all")  # its hints do not fit its own use

    setting = SETTINGS[name]
    with open(table, newline="") as file:
        items = [(row["path"], row["label"], row["part"]) for row in csv.DictReader(file)]
    labels = {path: label for path, label, _ in items}
    parts = [[i for i, item in enumerate(items) if item[2] == part] for part in ("train", "valid")]
    is_photo = setting.body == LITE0
    light = {} if is_photo else {"do_flip": False, "max_warp": 0.1, "max_lighting": 0.1}
    fv.set_seed(seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        weights = write_weights(Path(folder)) if is_photo else None
        watch = Stopwatch()
        block = fv.DataBlock(
            blocks=(fv.ImageBlock, fv.CategoryBlock),
            get_y=lambda path: labels[str(path)],
            splitter=lambda _: parts,
            item_tfms=fv.Resize(setting.size),
            batch_tfms=fv.aug_transforms(**light),
        )
        paths = [Path(path) for path, _, _ in items]
        loaders = block.dataloaders(paths, bs=setting.batch_size, num_workers=num_workers)
        if weights is not None:
            overlay = {"file": str(weights)}
            learner = fv.vision_learner(
                loaders, LITE0, metrics=fv.error_rate, pretrained_cfg_overlay=overlay
            )
        else:
            learner = small_learner(fv, loaders, setting, seed)
        opening = watch.seconds()
        with learner.no_bar():
            if is_photo:
                learner.fine_tune(setting.epochs)
            else:
                learner.fit_one_cycle(setting.epochs, MAX_LR)
        figures = watch.figures()
    rows = learner.recorder.values  # of the last fit: train loss, valid loss, error
    return {
        "error": float(rows[-1][2]),
        "loss": float(rows[-1][1]),
        "errors": [float(row[2]) for row in rows],
        "opening": opening,
        "num_workers": num_workers,
        **figures,
    }


def small_learner(fv: Any, loaders: Any, setting: Setting, seed: int) -> Any:
    """fastai's Learner around Drivetrain's small ResNet: the same weights, the same normalising."""
    from drivetrain.models import create_model

    built = create_model(setting.body, num_classes=loaders.c, pretrained=False, seed=seed)
    loaders.add_tfms([fv.Normalize.from_stats(built.info.mean, built.info.std)], "after_batch")
    return fv.Learner(loaders, built.model, metrics=fv.error_rate)


def write_weights(folder: Path) -> Path:
    """The ImageNet weights that Drivetrain loads, as a file that timm loads by itself."""
    import timm
    from safetensors.torch import save_file

    from drivetrain.models import create_model

    built = create_model(LITE0, num_classes=2)
    if not built.is_pretrained:
        raise RuntimeError(f"The comparison needs trained weights. {built.note}")
    trained: Any = built.model.body
    state = timm.create_model(LITE0, pretrained=False).state_dict() | trained.net.state_dict()
    save_file(
        {key: value.contiguous() for key, value in state.items()}, folder / "lite0.safetensors"
    )
    return folder / "lite0.safetensors"


class Stopwatch:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def seconds(self) -> float:
        """Wall seconds."""
        return time.perf_counter() - self._wall

    def figures(self) -> dict[str, float]:
        """Wall seconds, and CPU seconds of this process and of its workers that have ended."""
        return {"seconds": self.seconds(), "cpu": _cpu() - self._cpu}


def _cpu() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


SIDES = {"ours": train_ours, "fastai": train_fastai}


if __name__ == "__main__":
    torch.set_num_threads(CORES)
    print(json.dumps(SIDES[sys.argv[1]](**json.loads(sys.argv[2]))))
