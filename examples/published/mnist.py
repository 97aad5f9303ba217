"""Handwritten digits with small convolutional nets: chapter 13 of the book, six runs, three seeds each.

Each layer halves the picture, 28 -> 14 -> 7 -> 4 -> 2 -> 1, and doubles the channels. The story of the
chapter: at a constant rate of 0.06 training mostly dies (0.1135 is the share of ones: every picture is
called a 1); warming up and cooling down saves it; batch normalisation makes it quick.

    python examples/published/mnist.py [--write]        # some minutes; needs the data folder `mnist`
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from table import Row, data_folder, report
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.randomness import seeded

SEEDS = (42, 43, 44)
ALLOWED = 0.002
"""What published runs of the same cells differ by among themselves."""


# --- data -----------------------------------------------------------------------------------------


def read_idx(path: Path) -> Tensor:
    """The uint8 array of an IDX file: a header (type, number of dimensions, sizes), then the bytes."""
    content = gzip.decompress(path.read_bytes())
    num_dims = content[3]
    sizes = np.frombuffer(content, dtype=">i4", count=num_dims, offset=4)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * num_dims)
    return torch.from_numpy(values.reshape(*sizes).copy())


def digits(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Pictures (N, 1, 28, 28) with pixels in [0, 1], and their digits (N,)."""
    pictures = read_idx(folder / f"{part}-images-idx3-ubyte.gz").unsqueeze(1) / 255
    return pictures, read_idx(folder / f"{part}-labels-idx1-ubyte.gz").long()


def only_3_and_7(pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The threes as class 0 and the sevens as class 1."""
    wanted = (labels == 3) | (labels == 7)
    return pictures[wanted], (labels[wanted] == 7).long()


def loaders(
    train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], batch_size: int, seed: int
) -> dt.Loaders:
    """Training pictures shuffled anew each epoch, the last batch dropped if it is not full."""
    return dt.Loaders(
        dt.BatchLoader(
            dt.TensorData(*train), batch_size=batch_size, shuffle=True, drop_last=True, seed=seed
        ),
        dt.BatchLoader(dt.TensorData(*valid), batch_size=batch_size),
    )


# --- models ---------------------------------------------------------------------------------------


def conv(
    channels: int, out_channels: int, kernel_size: int = 3, *, act: bool = True
) -> list[nn.Module]:
    """A convolution that halves the picture, and a ReLU."""
    layer = nn.Conv2d(channels, out_channels, kernel_size, stride=2, padding=kernel_size // 2)
    return [layer, nn.ReLU()] if act else [layer]


def net_3_or_7() -> nn.Module:
    """6,722 parameters."""
    return nn.Sequential(
        *conv(1, 4),  # (B, 4, 14, 14)
        *conv(4, 8),  # (B, 8, 7, 7)
        *conv(8, 16),  # (B, 16, 4, 4)
        *conv(16, 32),  # (B, 32, 2, 2)
        *conv(32, 2, act=False),  # (B, 2, 1, 1)
        nn.Flatten(),
    )


def net_of_ten() -> nn.Module:
    """30,282 parameters; a larger first kernel, so that 8 channels are made of 25 pixels and not of 9."""
    return nn.Sequential(
        *conv(1, 8, 5),
        *conv(8, 16),
        *conv(16, 32),
        *conv(32, 64),
        *conv(64, 10, act=False),
        nn.Flatten(),
    )


def net_with_batchnorm() -> nn.Module:
    """The same with a batchnorm after each layer, 30,542 parameters.

    After the last one too, as in the book, whose `act=False` leaves out the ReLU alone: so the ten
    scores are normalised over the batch.
    """
    return nn.Sequential(
        *conv(1, 8, 5),
        nn.BatchNorm2d(8),
        *conv(8, 16),
        nn.BatchNorm2d(16),
        *conv(16, 32),
        nn.BatchNorm2d(32),
        *conv(32, 64),
        nn.BatchNorm2d(64),
        *conv(64, 10, act=False),
        nn.BatchNorm2d(10),
        nn.Flatten(),
    )


# --- runs -----------------------------------------------------------------------------------------


def three_or_seven(folder: Path, seed: int) -> float:
    """3 or 7, two epochs of 1cycle; the accuracy."""
    parts = [only_3_and_7(*digits(folder, part)) for part in ("train", "t10k")]
    learner = new_learner(net_3_or_7, loaders(*parts, batch_size=64, seed=seed), seed)
    learner.fit_one_cycle(2, 0.01)
    return learner.history[-1]["accuracy"]


def ten_digits(
    folder: Path,
    seed: int,
    *,
    epochs: int = 1,
    lr: float = 0.06,
    batch_size: int = 512,
    batchnorm: bool = False,
    one_cycle: bool = True,
) -> float:
    """All ten digits; the accuracy after the last epoch."""
    (x, y), (x_valid, y_valid) = digits(folder, "train"), digits(folder, "t10k")
    mean, std = x.mean(), x.std()  # of the training pictures alone
    data = loaders(((x - mean) / std, y), ((x_valid - mean) / std, y_valid), batch_size, seed)
    learner = new_learner(net_with_batchnorm if batchnorm else net_of_ten, data, seed)
    if one_cycle:
        learner.fit_one_cycle(epochs, lr)
    else:
        learner.fit(epochs, lr)
    return learner.history[-1]["accuracy"]


def new_learner(make, data: dt.Loaders, seed: int) -> dt.Learner:
    """A Learner with AdamW as fastai sets it, which is Drivetrain's default."""
    with seeded(seed, "model"):  # PyTorch's own initial weights, drawn from the seed
        model = make()
    return dt.Learner(
        model,
        data,
        "cross_entropy",
        dt.optim.adamw,
        metrics=["accuracy"],
        weight_decay=0.01,
        seed=seed,
        num_threads=1,
        progress=False,
    )


def find_rows(seeds: tuple[int, ...] = SEEDS) -> list[Row]:
    """The six runs of the chapter, once for each seed."""
    folder = data_folder("mnist")

    def row(
        what: str, published: tuple[float, ...], run: Callable[[int], float], **kind: bool
    ) -> Row:
        here = tuple(run(seed) for seed in seeds)
        sys.stderr.write(f"{what}: {', '.join(f'{value:.4f}' for value in here)}\n")
        return Row(what, published, here, ALLOWED, **(kind or {"higher_is_better": True}))

    def ten(**settings) -> Callable[[int], float]:
        return lambda seed: ten_digits(folder, seed, **settings)

    return [
        row(
            "3 or 7, two epochs of 1cycle at 0.01",
            (0.9902, 0.9941),
            lambda seed: three_or_seven(folder, seed),
        ),
        row(
            "ten digits, constant 0.06, batch 64",
            (0.1135, 0.1028),
            ten(batch_size=64, one_cycle=False),
            fails=True,
        ),
        row(
            "ten digits, constant 0.06, batch 512",
            (0.1135, 0.9220),
            ten(one_cycle=False),
            fails=True,
        ),
        row("ten digits, 1cycle 0.06", (0.9743, 0.9751), ten()),
        row("+ batchnorm, 1cycle 0.06", (0.9864, 0.9861), ten(batchnorm=True)),
        row(
            "+ batchnorm, five epochs, 0.1",
            (0.9912, 0.9919),
            ten(batchnorm=True, epochs=5, lr=0.1),
        ),
    ]


HOW = f"""\
Accuracy on the 10,000 test digits (2,038 threes and sevens in the first row), seeds
{", ".join(map(str, SEEDS))}. AdamW with betas (0.9, 0.99), eps 1e-5 and weight decay 0.01, not on
biases and norms; shuffled, last partial batch dropped.

The two runs at a constant rate show a failure: 0.1135 is what calling every picture a 1 gives, and the
other digits' shares are near it. Whether a run fails is chance, here as in print (one published run of
the second reached 0.9220), so what is compared is the lowest of the seeds: training can die at this
rate. The short runs move by 0.0015 and more from seed to seed."""


def main() -> list[Row]:
    """Print the table; the rows."""
    return report("Chapter 13: digits", HOW, "mnist.py", find_rows)


if __name__ == "__main__":
    main()
