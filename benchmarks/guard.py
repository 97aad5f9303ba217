"""What the guard of a bundle promises, and what it keeps: coverage, false alarms, foreign inputs, drift.

Models are trained on one part of the data, guards fitted on a second, and all is counted on a third.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import string
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from measure import Goal, Result, data_folder, finish, skip
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.bundle.guard import Guard, fit_guard
from drivetrain.models import create_model, model_info
from drivetrain.randomness import seeded

SPLITS = 10
"""Divisions of the held-out items into those of the guard and those that are counted."""

BATCHES = 100
"""Of 100 items, for the drift test."""

LOOK_LIKE_DIGITS = "BDGIOQSZ"


@dataclass(frozen=True)
class Part:
    """Items through a model: (N, C), (N, F), and (N,) where they have targets."""

    logits: Tensor
    features: Tensor
    targets: Tensor

    def at(self, rows: Tensor) -> Part:
        return Part(self.logits[rows], self.features[rows], self.targets[rows])


@dataclass(frozen=True)
class Case:
    """One trained model: what it learnt from, what it did not, what is none of its business."""

    train: Part
    held: Part
    foreign: dict[str, Part]


def measure(options: argparse.Namespace) -> Result:
    found = data_folder()
    if found is None:
        skip("the data sets are not here: set DRIVETRAIN_DATA to their folder")
    seeds = range(1 if options.quick else 3)
    makers: dict[str, Callable[[Path, int, bool], Case]] = {
        "digits (MNIST)": digits,
        "clothing photos": clothing,
        "census rows": census,
    }
    rows, raw, goals = [], {}, []
    for name, make in makers.items():
        cases = [make(found, seed, options.quick) for seed in seeds]
        for coverage in (0.9, 0.99) if name.startswith("digits") else (0.9, 0.95):
            splits = range(2 if options.quick else SPLITS)
            figures = [promise(case, split, coverage) for case in cases for split in splits]
            stated, kept, size, false, drifted = (
                fmean(each) for each in zip(*figures, strict=True)
            )
            spread = float(np.std([kept - stated for stated, kept, *_ in figures]))
            rows.append(
                [
                    f"{name}, {coverage:.0%} asked for",
                    f"{stated:.3f}",
                    f"{kept:.3f} ± {spread:.3f}",
                    f"{size:.2f}",
                    f"{false:.3f}",
                    f"{drifted:.3f}",
                ]
            )
            goals.append(
                Goal(f"{name}, coverage less stated {coverage:.0%}", abs(kept - stated), 0.02)
            )
            raw[f"{name} {coverage}"] = figures
        goals.append(Goal(f"{name}, false alarms less 5%", abs(false - 0.05), 0.02))
        goals.append(Goal(f"{name}, drift alarms on the same source", drifted, 0.05))
        for kind in cases[0].foreign:
            flagged, drifts = zip(*(strangers(case, kind) for case in cases), strict=True)
            rows.append(
                [
                    f"{name}, shown {kind}",
                    "",
                    "",
                    "",
                    f"{fmean(flagged):.3f}",
                    f"{fmean(drifts):.3f}",
                ]
            )
            raw[f"{name} / {kind}"] = list(flagged)
            if "looking like digits" not in kind and "(mild)" not in kind:
                goals.append(Goal(f"{name}, {kind} flagged", fmean(flagged), 0.8, is_at_least=True))
    return Result(
        case="guard",
        title="The guard of a bundle: what it promises and keeps",
        columns=[
            "",
            "coverage stated",
            "coverage kept",
            "classes a set",
            "flagged",
            "drift alarms",
        ],
        rows=rows,
        how=(
            f"{len(seeds)} seeds. Held-out items were divided {SPLITS} times into two halves, one for "
            "the guard and one to count (± is the standard deviation of single divisions). `flagged` is "
            "the share of items called foreign at 5% false alarms; `drift alarms` the share of batches "
            "of 100 called drifted at level 1%. Features are the means of the "
            "feature maps, for rows the last hidden layer."
        ),
        goals=goals,
        raw=raw,
    )


def guarded(case: Case, split: int, coverage: float) -> tuple[Guard, Part]:
    """A guard fitted on one half of the held-out items, and the other half."""
    n = len(case.held.targets)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(split))
    valid = case.held.at(order[: n // 2])
    guard = fit_guard(
        *(valid.logits, valid.targets, valid.features),
        train_features=case.train.features,
        train_targets=case.train.targets,
        coverage=coverage,
    )
    return guard, case.held.at(order[n // 2 :])


def promise(case: Case, split: int, coverage: float) -> tuple[float, float, float, float, float]:
    """Coverage stated and kept, classes a set, share flagged, share of batches called drifted."""
    guard, test = guarded(case, split, coverage)
    judged = guard.judge(test.logits, test.features)
    kept = judged.sets.gather(1, test.targets[:, None]).double().mean()
    alarms = [
        guard.shift(test.features[rows]).drifted
        for rows in batches(len(test.targets), BATCHES // SPLITS, split)
    ]
    return (
        max(coverage, guard.prediction_sets.expected),
        float(kept),
        float(judged.sets.sum(dim=1).double().mean()),
        1 - float(judged.in_domain.double().mean()),
        fmean(alarms),
    )


def strangers(case: Case, kind: str) -> tuple[float, float]:
    """Of foreign items: share flagged, share of batches called drifted."""
    guard, _ = guarded(case, 0, 0.9)
    part = case.foreign[kind]
    judged = guard.judge(part.logits, part.features)
    alarms = [
        guard.shift(part.features[rows]).drifted for rows in batches(len(part.features), 10, 0)
    ]
    return 1 - float(judged.in_domain.double().mean()), fmean(alarms)


def batches(n: int, count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n, generator=generator)[:100] for _ in range(count)]


# --- digits ----------------------------------------------------------------------------------------


def digits(folder: Path, seed: int, quick: bool) -> Case:
    """A small ResNet on 20,000 digits (2,000 where it must be quick)."""
    x, y = mnist(folder)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train, held = order[: 2_000 if quick else 20_000], order[-8_000:]
    model = create_model(
        "resnet_tiny", num_classes=10, in_channels=1, pretrained=False, seed=seed
    ).model
    with seeded(seed, "guard benchmark"):
        train_net(model, prepared(x[train]), y[train], epochs=4, lr=1e-2, shift=2)
    shown = {
        "letters": letters(500, string.ascii_uppercase, seed, without=LOOK_LIKE_DIGITS),
        "letters looking like digits": letters(500, LOOK_LIKE_DIGITS, seed),
        "uniform noise": noise(500, seed),
        "noise of the digits' ink": shuffled(x[held[:500]], seed),
        "photos of clothing": photos(folder / "clothing", 28, "L")[..., 0],
        "photos of pets": photos(folder / "pets" / "images", 28, "L")[..., 0],
        "digits with noise (mild)": (
            x[held[:500]].float() + 25 * torch.randn(500, 28, 28, generator=generator_of(seed))
        ).clamp(0, 255),
    }
    return Case(
        through(model, prepared(x[train]), y[train]),
        through(model, prepared(x[held]), y[held]),
        {kind: through(model, prepared(pixels)) for kind, pixels in shown.items()},
    )


def mnist(folder: Path) -> tuple[Tensor, Tensor]:
    def read(name: str, start: int) -> Tensor:
        data = gzip.decompress((folder / "mnist" / name).read_bytes())
        return torch.tensor(np.frombuffer(data, np.uint8, offset=start))

    pixels = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    return pixels, read("train-labels-idx1-ubyte.gz", 8).long()


def prepared(pixels: Tensor) -> Tensor:
    return ((pixels.float() / 255 - 0.13) / 0.31)[:, None]


def letters(count: int, known: str, seed: int, without: str = "") -> Tensor:
    r = np.random.default_rng(seed)
    chosen = [letter for letter in known if letter not in without]
    drawn = []
    for _ in range(count):
        canvas = Image.new("L", (56, 56))
        font = ImageFont.load_default(size=float(r.uniform(36, 48)))
        letter, stroke = chosen[r.integers(len(chosen))], int(r.integers(0, 3))
        ImageDraw.Draw(canvas).text(
            (28, 28), letter, fill=255, font=font, anchor="mm", stroke_width=stroke
        )
        turned = canvas.rotate(float(r.uniform(-15, 15)), resample=Image.Resampling.BILINEAR)
        drawn.append(np.asarray(turned.resize((28, 28), Image.Resampling.BOX)))
    return torch.tensor(np.stack(drawn))


def noise(count: int, seed: int) -> Tensor:
    return torch.randint(0, 256, (count, 28, 28), generator=generator_of(seed))


def shuffled(pixels: Tensor, seed: int) -> Tensor:
    order = torch.rand(len(pixels), 784, generator=generator_of(seed)).argsort(dim=1)
    return pixels.flatten(1).gather(1, order).reshape(-1, 28, 28)


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- photos ----------------------------------------------------------------------------------------


def clothing(folder: Path, seed: int, quick: bool) -> Case:
    """EfficientNet-Lite0, `fine_tune(3)`, on 640 photos of ten kinds of clothing."""
    files = sorted((folder / "clothing").glob("*/*/*.jpg"))
    names = sorted({file.parent.name for file in files})
    y = torch.tensor([names.index(file.parent.name) for file in files])
    x = torch.tensor(np.stack([opened(file, 96, "RGB") for file in files]))
    order = torch.randperm(len(x), generator=generator_of(seed))
    train, held = order[:640], order[640:]
    table = [
        (str(file), file.parent.name, "train" if i in set(train.tolist()) else "valid")
        for i, file in enumerate(files)
    ]
    with tempfile.TemporaryDirectory() as place:
        items = Path(place) / "items.csv"
        with items.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "part"), *table])
        data = dt.vision.from_csv(items, size=96, seed=seed)
        learner = dt.vision.learner(data, "tf_efficientnet_lite0", seed=seed, progress=False)
        learner.fine_tune(1 if quick else 3)
    model = learner.model.eval()
    info = model_info("tf_efficientnet_lite0")
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (info.mean, info.std))

    def ready(pixels: Tensor) -> Tensor:
        numbers = (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std
        return numbers.contiguous(memory_format=torch.channels_last)

    generator = generator_of(seed)
    shown = {
        "photos of pets": photos(folder / "pets" / "images", 96, "RGB"),
        "photos of rice leaves": photos(folder / "paddy", 96, "RGB"),
        "digits": mnist_as_photos(folder),
        "uniform noise": torch.randint(0, 256, (200, 96, 96, 3), generator=generator),
        "clothing with noise (mild)": (
            x[held].float() + 40 * torch.randn(len(held), 96, 96, 3, generator=generator)
        ).clamp(0, 255),
    }
    return Case(
        through(model, ready(x[train]), y[train]),
        through(model, ready(x[held]), y[held]),
        {kind: through(model, ready(pixels)) for kind, pixels in shown.items()},
    )


def opened(file: Path, size: int, mode: str) -> np.ndarray:
    """(size, size, C) uint8: the shorter side to `size`, the middle cut out."""
    with Image.open(file) as picture:
        picture = picture.convert(mode)
        scale = size / min(picture.size)
        wide = [max(size, round(side * scale)) for side in picture.size]
        left, top = (wide[0] - size) // 2, (wide[1] - size) // 2
        small = picture.resize((wide[0], wide[1]), Image.Resampling.BILINEAR)
        return np.asarray(small.crop((left, top, left + size, top + size))).reshape(size, size, -1)


def photos(folder: Path, size: int, mode: str) -> Tensor:
    files = sorted(folder.rglob("*.jpg"))[:200]
    return torch.tensor(np.stack([opened(file, size, mode) for file in files]))


def mnist_as_photos(folder: Path) -> Tensor:
    pixels = mnist(folder)[0][:200].float()[:, None]
    return F.interpolate(pixels, 96).permute(0, 2, 3, 1).expand(-1, -1, -1, 3)


# --- rows ------------------------------------------------------------------------------------------

CENSUS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
HIRE = ("temp", "cnt", "hum", "windspeed", "casual", "registered")


class Rows(nn.Module):
    """Two hidden layers over six numbers; answers `forward_features` as models of pictures do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Linear(6, 64), nn.ReLU(), nn.BatchNorm1d(64)),
            *(nn.Linear(64, 32), nn.ReLU(), nn.BatchNorm1d(32)),
        )
        self.head = nn.Linear(32, 2)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def census(folder: Path, seed: int, quick: bool) -> Case:
    """Who earns more than 50,000, from the six numbers of the census; shown hours of bicycle hire."""
    with open(folder / "adult" / "adult.csv", newline="") as file:
        table = list(csv.DictReader(file))
    with open(folder / "bike_sharing" / "hour.csv", newline="") as file:
        hire = list(csv.DictReader(file))[::17]
    x = torch.tensor([[float(row[name]) for name in CENSUS] for row in table])
    y = torch.tensor([row["salary"].strip() == ">50K" for row in table]).long()
    order = torch.randperm(len(x), generator=generator_of(seed))
    train, held = order[:8_000], order[8_000:14_000]
    mean, std = x[train].mean(dim=0), x[train].std(dim=0)
    with seeded(seed, "guard benchmark"):
        model = Rows()
        train_net(model, (x[train] - mean) / std, y[train], epochs=4, lr=5e-3)
    other = torch.tensor([[float(row[name]) for name in HIRE] for row in hire])
    older = x[held] + torch.tensor([30.0, 0, 0, 0, 0, 0])
    return Case(
        through(model, (x[train] - mean) / std, y[train]),
        through(model, (x[held] - mean) / std, y[held]),
        {
            "hours of bicycle hire": through(model, (other - mean) / std),
            "columns in another order": through(
                model, (x[held][:, [4, 2, 0, 5, 1, 3]] - mean) / std
            ),
            "people 30 years older (mild)": through(model, (older - mean) / std),
        },
    )


# --- all -------------------------------------------------------------------------------------------


def train_net(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    lr: float,
    shift: int = 0,
) -> None:
    """AdamW and one cycle; pictures are moved by up to `shift` pixels, a batch at a time."""
    steps = epochs * (len(x) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[: len(x) // 64 * 64].split(64):
            batch = x[rows]
            if shift:
                moves = torch.randint(-shift, shift + 1, (2,)).tolist()
                batch = batch.roll(moves, (2, 3))
            optimizer.zero_grad()
            F.cross_entropy(model(batch), y[rows]).backward()
            optimizer.step()
            scheduler.step()
    model.eval()


@torch.no_grad()
def through(model: nn.Module, x: Tensor, targets: Tensor | None = None) -> Part:
    """Scores, and the means of the feature maps (of rows: the features)."""
    logits, features = [], []
    for batch in x.split(128):
        maps = model.get_submodule("body")(batch)
        logits.append(model.get_submodule("head")(maps))
        features.append(maps.mean(dim=(2, 3)) if maps.ndim == 4 else maps)
    nothing = torch.zeros(len(x), dtype=torch.int64)
    return Part(torch.cat(logits), torch.cat(features), nothing if targets is None else targets)


if __name__ == "__main__":
    finish(measure, __doc__)
