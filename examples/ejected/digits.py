"""Train resnet_tiny to tell pictures of 10 classes apart: 0, 1, 2, …

Written by Drivetrain: the steps of the run, and its weights to the last bit (on the same kind of
machine, with the same versions).

    python digits.py --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

# --- Settings -------------------------------------------------------------------------------------

SEED = 42  # the same seed gives the same bits
CLASSES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")  # in the order of the scores
HEIGHT = 16  # pixels: the pictures are small, 8 pixels at their longer side
WIDTH = 16
BATCH_SIZE = 64  # 18 steps an epoch
SUFFIXES = (".png",)  # file names that are taken for pictures
OPENED = ("train",)  # folders that are looked into; the test stays sealed
VALID = 0.2  # 20% of every class validates, so that rare classes are measured too
MEAN = (0.5, 0.5, 0.5)  # of each colour, as resnet_tiny was made for
STD = (0.5, 0.5, 0.5)
DROPOUT = 0.5  # share of the head's values that are dropped in training
NUM_BATCHES = 18  # of training, an epoch
EPOCHS = 3  # passes over the training items
LR = 0.01  # peak learning rate
WEIGHT_DECAY = 0.01  # how much weights are pulled towards zero at each step; not norms and biases
PCT_START = 0.25  # share of the steps in which the rate rises
DIV = 25.0  # the first rate is the peak divided by this
DIV_FINAL = 1e5  # the last rate is the peak divided by this
MOMS = (0.95, 0.85, 0.95)  # momentum at the start, at the peak of the rate and at the end
NUM_THREADS = 1  # torch threads; another number may round otherwise


# --- Randomness: every draw is a function of the seed and of what it is for -----------------------

WORD = 0xFFFFFFFFFFFFFFFF


def derive(purpose: str, *ids: int | str) -> int:
    """A 63-bit number that depends on all its arguments and on nothing else."""
    text = "\x1f".join((str(SEED), purpose, *map(str, ids)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def set_generators(step: int) -> None:
    """Set torch's global generators (CPU, and CUDA where in use) to the state of a step."""
    # A 63-bit number of which every bit depends on every bit of `z`.
    z = derive("step") + step * 0x9E3779B97F4A7C15
    z &= WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    torch.default_generator.manual_seed((z ^ (z >> 31)) >> 1)


def permutation(n: int, *, epoch: int, purpose: str = "shuffle") -> Tensor:
    """The order of `n` items in an epoch: (n,) int64, each index once."""
    generator = torch.Generator().manual_seed(derive(purpose, epoch))
    return torch.randperm(n, generator=generator)


# --- Data -----------------------------------------------------------------------------------------


def choose_of_each_class(labels: Sequence[str]) -> list[int]:
    """The items that validate: a share of every class, at least one where it has two or more."""
    members_of = {}
    for i, label in enumerate(labels):
        members_of.setdefault(label, []).append(i)
    chosen = []
    for name, members in sorted(members_of.items()):
        count = min(max(round(VALID * len(members)), 1), len(members) - 1)
        order = permutation(len(members), epoch=0, purpose=f"split {name}")
        chosen += [members[i] for i in order[:count].tolist()]
    return sorted(chosen)


def along_row(values: Tensor, width: int) -> Tensor:
    """(C,) or (B, C) -> (1 or B, 1, W * C): the values of one row of pixels in channels last."""
    values = values if values.ndim == 2 else values[None]
    return values.repeat(1, width)[:, None]


def normalised(pictures: Tensor) -> Tensor:
    """(pixels / 255 - mean) / std: (B, C, H, W) uint8 -> the same shape, float32, channels last."""
    scale, shift = 1.0 / (255 * torch.tensor(STD)), (0.0 - torch.tensor(MEAN)) / torch.tensor(STD)

    # `pixels * scale + shift` in float32, channels last.
    _, channels, _, width = pictures.shape
    rows = pictures.to(torch.float32, memory_format=torch.channels_last).permute(0, 2, 3, 1)
    flat = rows.reshape(*rows.shape[:2], width * channels)  # (B, H, W * C): long rows are fast
    flat.mul_(along_row(scale, width))
    flat.add_(along_row(shift, width))
    return flat.view(rows.shape).permute(0, 3, 1, 2)


class Part(NamedTuple):
    """The pictures that train, or those that validate."""

    pixels: Tensor  # (N, height, width, 3) uint8
    targets: Tensor  # (N,) int64: which of CLASSES each is of


def open_picture(path: Path) -> np.ndarray:
    """One picture at the training size, (height, width, 3) uint8."""
    image = Image.open(path)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image.convert("RGB"))


def load(folder: Path) -> tuple[Part, Part]:
    """Find, split and open the pictures below a folder: (train, valid)."""
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.relative_to(folder).parts[0] in OPENED
    ]
    paths = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
    labels = [path.relative_to(folder).parts[1] for path in paths]
    valid = choose_of_each_class(labels)
    train = sorted(set(range(len(paths))) - set(valid))

    def part(indices: Sequence[int]) -> Part:
        with ThreadPoolExecutor() as pool:
            pixels = list(pool.map(open_picture, [paths[i] for i in indices]))
        return Part(
            torch.from_numpy(np.stack(pixels)),
            torch.tensor([CLASSES.index(labels[i]) for i in indices]),
        )

    return part(train), part(valid)


def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (B, 3, height, width) and targets (B,), in another order each epoch."""
    order = permutation(len(part.targets), epoch=epoch)
    for indices in order.split(BATCH_SIZE):
        pictures = part.pixels[indices].permute(0, 3, 1, 2)
        yield (normalised(pictures), part.targets[indices])


def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets in their order, as they are."""
    for indices in torch.arange(len(part.targets)).split(BATCH_SIZE):
        pictures = part.pixels[indices].permute(0, 3, 1, 2)
        yield (normalised(pictures), part.targets[indices])


# --- Model ----------------------------------------------------------------------------------------


class PictureModel(nn.Module):
    """`head(body(x))`."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def kaiming_init_(module: nn.Module) -> None:
    """Draw all weights in `module` anew, in place, from torch's generator."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class PictureHead(nn.Module):
    """Feature maps to one score a class."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(128)
        self.dropout = nn.Dropout(DROPOUT / 2)
        self.hidden = nn.Linear(128, 512, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.hidden_norm = nn.BatchNorm1d(512)
        self.hidden_dropout = nn.Dropout(DROPOUT)
        self.scores = nn.Linear(512, 10, bias=False)
        kaiming_init_(self)

    def forward(self, features: Tensor) -> Tensor:
        x = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)  # (B, 2F)
        x = self.dropout(self.norm(x))
        x = self.hidden_norm(self.act(self.hidden(x)))  # (B, hidden)
        return self.scores(self.hidden_dropout(x))  # (B, num_classes)


def conv_norm(in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1):
    """A convolution that keeps the size at stride 1, without the bias its norm would cancel."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    return conv, nn.BatchNorm2d(out_channels)


class ResidualBlock(nn.Module):
    """`relu(main(x) + shortcut(x))`: the layers learn what to change in x, not x itself."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        layers = [
            *conv_norm(in_channels, width, stride=2),
            nn.ReLU(inplace=True),
            *conv_norm(width, width),
        ]
        self.main = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(*conv_norm(in_channels, width, kernel_size=1, stride=2))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main(x) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network without its head: pictures to feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm(3, 16), nn.ReLU(inplace=True))
        self.layers = nn.ModuleList()
        channels = 16
        for width in (16, 32, 64):
            stage = nn.Sequential(ResidualBlock(channels, width))
            channels = width
            self.layers.append(stage)
        kaiming_init_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.layers:
            x = stage(x)
        return x


def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive("init", "body"))
    body = ResNet()
    torch.manual_seed(derive("init", "head"))
    head = PictureHead()
    return PictureModel(body, head).to(memory_format=torch.channels_last)


# --- Optimizer and schedule -----------------------------------------------------------------------


def half_cosine(progress: float, start: float, end: float) -> float:
    # Two weights that sum to 1, because this form gives `start` and `end` themselves at the ends;
    # start + weight * (end - start) would miss them by a rounding.
    weight = (1 - math.cos(math.pi * progress)) / 2
    return start * (1 - weight) + end * weight


def two_cosines(progress: float, pct_start: float, start: float, middle: float, end: float):
    if progress < pct_start:
        return half_cosine(progress / pct_start, start, middle)
    return half_cosine((progress - pct_start) / (1 - pct_start), middle, end)


def one_cycle(progress: float) -> float:
    """The 1cycle policy for the learning rate, as a factor on the highest rate."""
    return two_cosines(progress, PCT_START, 1 / DIV, 1.0, 1 / DIV_FINAL)


def one_cycle_momentum(progress: float) -> float:
    """The 1cycle policy for momentum: low while the rate is high, and the other way round."""
    return two_cosines(progress, PCT_START, *MOMS)


def split_by_decay(layers) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What is trained of some layers: weights that are decayed; norms and biases, which are not."""
    decayed, kept = [], []
    for layer in layers:
        for module in layer.modules():
            for name, param in module.named_parameters(recurse=False):
                is_kept = "bias" in name or isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
                (kept if is_kept else decayed).append(param)
    return decayed, kept


# --- Training -------------------------------------------------------------------------------------


def weighted_mean(values: Sequence[Tensor], counts: Sequence[int]) -> float:
    """Mean of per-batch means, in float64: each batch weighs as many terms as its mean is over."""
    stacked = torch.stack([value.detach() for value in values]).to(torch.float64)
    weights = torch.tensor(counts, dtype=torch.float64)
    return float((stacked * weights).sum() / weights.sum())


def evaluate(model: nn.Module, valid: Part) -> dict[str, float]:
    """Mean loss and metrics over the validation items."""
    model.eval()
    losses, counts = [], []
    num_right = 0
    with torch.inference_mode():
        for inputs, targets in valid_batches(valid):
            preds = model(inputs)
            losses.append(F.cross_entropy(preds, targets))
            counts.append(len(targets))
            num_right += int((preds.argmax(dim=1) == targets).sum())
    return {
        "valid_loss": weighted_mean(losses, counts),
        "accuracy": num_right / sum(counts),
        "error_rate": (sum(counts) - num_right) / sum(counts),
    }


def fit(model: nn.Module, train: Part, valid: Part) -> None:
    """Train under the 1cycle policy (`fit_one_cycle`)."""
    decayed, kept = split_by_decay([model])
    groups = [
        {"params": decayed, "lr": LR, "weight_decay": WEIGHT_DECAY},
        {"params": kept, "lr": LR, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=0.001, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=True
    )
    step = 0
    for epoch in range(EPOCHS):
        model.train()
        losses, counts = [], []
        for inputs, targets in train_batches(train, epoch):
            set_generators(step)  # what dropout draws from
            progress = step / (EPOCHS * NUM_BATCHES)
            for group in optimizer.param_groups:
                group["lr"] = LR * one_cycle(progress)
                group["betas"] = one_cycle_momentum(progress), *group["betas"][1:]
            preds = model(inputs)
            loss = F.cross_entropy(preds, targets)
            losses.append(loss.detach())
            counts.append(len(targets))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        row = {"epoch": epoch, "train_loss": weighted_mean(losses, counts)} | evaluate(model, valid)
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)


# --- The run --------------------------------------------------------------------------------------


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors in sorted name order: name, dtype, shape, little-endian bytes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """Load, train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder a class")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained weights")
    arguments = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    train, valid = load(arguments.data)
    model = make_model()
    fit(model, train, valid)
    row = evaluate(model, valid)
    metrics = {"loss": row.pop("valid_loss"), **row}
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(weights, arguments.out / "model.safetensors")
    print(json.dumps({"weights_sha256": weights_sha256(weights), "metrics": metrics}))


if __name__ == "__main__":
    main()
