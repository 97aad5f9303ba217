"""Vision input: JPEG files to augmented, normalised batches, against fastai and torchvision v2.

Each reads the same files of 400 x 300 pixels, makes 128 x 128 of them, flips, turns, zooms, tilts and
lights them at random, and gives float batches of 64. Drivetrain keeps no decoded picture here: each
epoch opens every file anew, as the others do.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Goal, Result, data_folder, finish, median, ratio, take_turns
from PIL import Image

from drivetrain.data.loaders import BatchLoader
from drivetrain.vision.augment import Augment, AugmentSettings
from drivetrain.vision.pictures import PictureData

SIZE = 128
BATCH = 64
CORES = 2
MEAN = STD = (0.5, 0.5, 0.5)


def measure(options: argparse.Namespace) -> Result:
    """Epochs over the files of each, in turn."""
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
        paths, origin = make_files(Path(folder), 128 if options.quick else 512)
        ours, fastai = "Drivetrain, 2 threads", "fastai 2.8.12, num_workers=2"
        alone, v2 = "fastai 2.8.12, num_workers=0", "torchvision v2 in a DataLoader, num_workers=2"
        loaders = {
            ours: drivetrain_loader(paths),
            v2: torchvision_loader(paths),
            fastai: fastai_loader(paths, num_workers=CORES),
            alone: fastai_loader(paths, num_workers=0),
        }
        variants = {name: _epoch(loader, len(paths)) for name, loader in loaders.items()}
        times = take_turns(variants, rounds=2 if options.quick else 7)
    best = min((fastai, alone), key=lambda name: median(times[name]))
    rows = [
        [name, f"{len(paths) / median(taken):,.0f}", f"{1 / ratio(times, name, best):.2f}"]
        for name, taken in times.items()
    ]
    return Result(
        case="input",
        title=f"Vision input: 400 x 300 JPEG files to augmented batches of {SIZE} x {SIZE}",
        columns=["program", "pictures a second", "times fastai's better"],
        rows=rows,
        how=(
            f"{len(paths)} files ({origin}) of 400 x 300 pixels, quality 90; two cores, two torch "
            "threads, epochs in turn, wall time, medians; starting the workers is inside. Nothing "
            "decoded is kept between epochs."
        ),
        goals=[
            Goal("Drivetrain / fastai's better", ratio(times, best, ours), 2.0, is_at_least=True),
            Goal("Drivetrain / torchvision v2", ratio(times, v2, ours), 1.0, is_at_least=True),
        ],
        raw={"seconds_an_epoch": times, "pictures": len(paths)},
    )


def make_files(folder: Path, count: int) -> tuple[list[Path], str]:
    """`count` JPEG files of 400 x 300, from real photos where they are, and what they came from."""
    data = data_folder()
    photos = sorted((data / "clothing" / "train").rglob("*.jpg")) if data else []
    random = np.random.default_rng(0)
    for number in range(count):
        if photos:
            with Image.open(photos[number * 7 % len(photos)]) as photo:
                picture = photo.convert("RGB").resize((400, 533)).crop((0, 100, 400, 400))
        else:  # smooth fields with some noise, which a JPEG decoder finds about as hard as photos
            coarse = random.integers(0, 256, (15, 20, 3), dtype=np.uint8)
            smooth = np.asarray(
                Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC)
            )
            noisy = smooth + random.normal(0, 8, smooth.shape)
            picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        label = folder / f"class{number % 3}"
        label.mkdir(exist_ok=True)
        picture.save(label / f"{number:05d}.jpg", quality=90)
    return sorted(folder.rglob("*.jpg")), "photos of the clothing set" if photos else "generated"


def drivetrain_loader(paths: list[Path]) -> Iterable[Any]:
    """Files decoded by threads, augmentation of whole batches."""
    data = PictureData(paths, torch.zeros(len(paths), dtype=torch.int64), size=SIZE)
    names = [str(path) for path in paths]
    return BatchLoader(
        data,
        batch_size=BATCH,
        shuffle=True,
        num_workers=CORES,
        transform=Augment(AugmentSettings(), names, mean=MEAN, std=STD),
    )


def fastai_loader(paths: list[Path], *, num_workers: int) -> Iterable[Any]:
    """The usual DataBlock: resize an item, `aug_transforms` a batch."""
    fv: Any = importlib.import_module("fastai.vision.all")  # its hints do not fit its own use

    block = fv.DataBlock(
        blocks=(fv.ImageBlock, fv.CategoryBlock),
        get_y=fv.parent_label,
        splitter=lambda items: (list(range(len(items))), [0]),
        item_tfms=fv.Resize(SIZE),
        batch_tfms=[*fv.aug_transforms(), fv.Normalize.from_stats(MEAN, STD)],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        loaders = block.dataloaders(paths, bs=BATCH, num_workers=num_workers)
    loaders.train.drop_last = False
    return loaders.train


class TorchvisionFiles(torch.utils.data.Dataset[Any]):
    """A plain data set with transforms of torchvision v2, picture by picture."""

    def __init__(self, paths: list[Path]) -> None:
        from torchvision.transforms import v2

        self.paths = paths
        self.transform = v2.Compose(
            [
                v2.Resize(SIZE),
                v2.RandomCrop(SIZE),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.RandomApply([v2.RandomAffine([-10, 10], scale=(1.0, 1.1))], p=0.75),
                v2.RandomPerspective(0.2, p=0.75),
                v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)], p=0.75),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        with Image.open(self.paths[index]) as picture:
            return self.transform(picture.convert("RGB")), 0


def torchvision_loader(paths: list[Path]) -> Iterable[Any]:
    """torch's DataLoader over `TorchvisionFiles`."""
    return torch.utils.data.DataLoader(
        TorchvisionFiles(paths), batch_size=BATCH, shuffle=True, num_workers=CORES
    )


def _epoch(loader: Iterable[Any], count: int) -> Callable[[], None]:
    def epoch() -> None:
        seen = 0
        for inputs, *_ in loader:
            assert inputs.shape[1:] == (3, SIZE, SIZE) and inputs.dtype == torch.float32
            seen += len(inputs)
        assert seen == count, f"{seen} pictures came, of {count}"

    return epoch


if __name__ == "__main__":
    finish(measure, __doc__)
