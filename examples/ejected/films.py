"""Train a matrix factorisation with biases to predict rating from user and item.

Written by Drivetrain: the steps of the run, and its weights to the last bit (on the same kind of
machine, with the same versions).

    python films.py --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pyarrow import csv
from safetensors.torch import save_file
from torch import Tensor, nn

# --- Settings -------------------------------------------------------------------------------------

SEED = 42  # the same seed gives the same bits
USER = "user"  # the column of who rates
ITEM = "item"  # the column of what is rated
RATING = "rating"  # the column of what is predicted
VALID_SHARE = 0.2  # of the ratings, drawn at random, that validate
BATCH_SIZE = 64  # 144 steps an epoch
VALID_BATCH_SIZE = 16384  # ratings at once where nothing is learnt
NUM_FACTORS = 50  # numbers in a vector: tastes that can be told apart
Y_RANGE = (0.0, 5.5)  # the ratings, 1 to 5, and a little more: a sigmoid reaches no end
NUM_BATCHES = 144  # of training, an epoch
EPOCHS = 3  # passes over the training items
LR = 0.005  # peak learning rate
WEIGHT_DECAY = 0.87  # how much weights are pulled towards zero at each step
PCT_START = 0.25  # share of the steps in which the rate rises
DIV = 25.0  # the first rate is the peak divided by this
DIV_FINAL = 1e5  # the last rate is the peak divided by this
MOMS = (0.95, 0.85, 0.95)  # momentum at the start, at the peak of the rate and at the end
NUM_THREADS = 1  # torch threads; another number may round otherwise


# --- Randomness: every draw is a function of the seed and of what it is for -----------------------


def derive(purpose: str, *ids: int | str) -> int:
    """A 63-bit number that depends on all its arguments and on nothing else."""
    text = "\x1f".join((str(SEED), purpose, *map(str, ids)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def permutation(n: int, *, epoch: int, purpose: str = "shuffle") -> Tensor:
    """The order of `n` items in an epoch: (n,) int64, each index once."""
    generator = torch.Generator().manual_seed(derive(purpose, epoch))
    return torch.randperm(n, generator=generator)


# --- Data -----------------------------------------------------------------------------------------

# The codes of the parts.
TRAIN, VALID, TEST = 0, 1, 2


def places(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) for each name its place among all of them, in order."""
    coded = column.combine_chunks().dictionary_encode()
    order = np.argsort(coded.dictionary.to_pylist())
    return np.argsort(order)[coded.indices.to_numpy()]


def codes(names: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """(N,) int32: those that train are counted from 1, in order; 0 stands for all others."""
    known = np.unique(names[is_train])
    return np.where(np.isin(names, known), np.searchsorted(known, names) + 1, 0).astype(np.int32)


def random_parts(count: int) -> np.ndarray:
    """(N,) int8, the part of each rating: a share of them validates."""
    order = permutation(count, epoch=0, purpose="split").numpy()
    num_valid = round(VALID_SHARE * count)
    found = np.zeros(count, dtype=np.int8)
    found[order[:num_valid]] = VALID
    return found


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, items and ratings, (N,) each."""
    types = {USER: pa.string(), ITEM: pa.string(), RATING: pa.float64()}
    table = csv.read_csv(
        path, convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types))
    )
    return places(table[USER]), places(table[ITEM]), table[RATING].to_numpy().astype(np.float32)


class Part(NamedTuple):
    """The ratings that train, or those that validate."""

    pairs: Tensor  # (N, 2) int32: the codes of user and item; 0 is one that does not train
    ratings: Tensor  # (N,) float32


def load(path: Path) -> tuple[Part, Part]:
    """Read and split the ratings; users and items have the codes that training gives them."""
    users, items, ratings = read(path)
    parts = random_parts(len(ratings))
    pairs = np.stack([codes(users, parts == TRAIN), codes(items, parts == TRAIN)], axis=1)

    def part(which: int) -> Part:
        rows = parts == which
        return Part(torch.from_numpy(pairs[rows]), torch.from_numpy(ratings[rows]))

    return part(TRAIN), part(VALID)


def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs and their ratings, in another order each epoch."""
    order = permutation(len(part.ratings), epoch=epoch)
    for rows in order.split(BATCH_SIZE):
        yield (part.pairs[rows], part.ratings[rows])


# --- Model ----------------------------------------------------------------------------------------


def factor_table(num_rows: int, num_factors: int) -> nn.Embedding:
    """Vectors that start close to zero, the row for unknown at zero."""
    table = nn.Embedding(num_rows, num_factors)
    nn.init.trunc_normal_(table.weight, std=0.01, a=-0.02, b=0.02)
    with torch.no_grad():
        table.weight[0] = 0.0
    return table


def sigmoid_range(scores: Tensor, low: float, high: float) -> Tensor:
    """Scores squeezed between `low` and `high`: 0 becomes the middle, and none leaves the range."""
    return torch.sigmoid(scores) * (high - low)


def count_rows_(counts: Tensor, codes: Tensor) -> None:
    """Fill `counts`, (R,) int64, with how often each code stands in `codes`; the unknown one never."""
    counts.copy_(torch.bincount(codes, minlength=len(counts)))
    counts[0] = 0


def mean_row_(table: nn.Embedding, counts: Tensor) -> None:
    """Make row 0 of a table the mean of its rows, weighted by `counts`, (R,) int64."""
    with torch.no_grad():
        shares = counts / counts.sum().clamp(min=1)
        table.weight[0] = shares.to(table.weight.dtype) @ table.weight


class DotProduct(nn.Module):
    """The dot product of two vectors, with a bias each."""

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.user_factors = factor_table(num_users, NUM_FACTORS)
        self.item_factors = factor_table(num_items, NUM_FACTORS)
        self.user_bias = factor_table(num_users, 1)
        self.item_bias = factor_table(num_items, 1)
        self.user_counts = nn.Buffer(torch.zeros(num_users, dtype=torch.int64))
        self.item_counts = nn.Buffer(torch.zeros(num_items, dtype=torch.int64))
        self.low, self.high = Y_RANGE

    def forward(self, pairs: Tensor) -> Tensor:
        users, items = pairs[:, 0], pairs[:, 1]
        scores = (self.user_factors(users) * self.item_factors(items)).sum(1)  # (B,)
        scores = scores + (self.user_bias(users) + self.item_bias(items)).squeeze(1)
        return sigmoid_range(scores, self.low, self.high)

    def count(self, pairs: Tensor) -> None:
        """Learn how often each user and item stands in the training pairs, (N, 2)."""
        count_rows_(self.user_counts, pairs[:, 0])
        count_rows_(self.item_counts, pairs[:, 1])

    def fill_unknown(self) -> None:
        """Make the rows for unknown the mean of the others, weighted by how often each was rated."""
        mean_row_(self.user_factors, self.user_counts)
        mean_row_(self.item_factors, self.item_counts)
        mean_row_(self.user_bias, self.user_counts)
        mean_row_(self.item_bias, self.item_counts)


def make_model(train: Part) -> DotProduct:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive("init", "ratings"))
    num_users, num_items = (train.pairs.amax(dim=0) + 1).tolist()  # the highest code trains
    model = DotProduct(num_users, num_items)
    model.count(train.pairs)
    return model


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
    squares = []
    with torch.inference_mode():
        for pairs, targets in zip(
            *(column.split(VALID_BATCH_SIZE) for column in valid), strict=True
        ):
            preds = model(pairs)
            losses.append(F.mse_loss(preds, targets))
            counts.append(len(targets))
            squares.append((preds.double() - targets.double()).square())
    return {
        "valid_loss": weighted_mean(losses, counts),
        "rmse": (float(torch.cat(squares).sum()) / sum(counts)) ** 0.5,
    }


def fit(model: nn.Module, train: Part, valid: Part) -> None:
    """Train under the 1cycle policy (`fit_one_cycle`)."""
    weights = list(model.parameters())
    groups = [{"params": weights, "lr": LR, "weight_decay": WEIGHT_DECAY}]
    optimizer = torch.optim.AdamW(
        groups, lr=0.001, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=True
    )
    step = 0
    for epoch in range(EPOCHS):
        model.train()
        losses, counts = [], []
        for pairs, targets in train_batches(train, epoch):
            progress = step / (EPOCHS * NUM_BATCHES)
            for group in optimizer.param_groups:
                group["lr"] = LR * one_cycle(progress)
                group["betas"] = one_cycle_momentum(progress), *group["betas"][1:]
            preds = model(pairs)
            loss = F.mse_loss(preds, targets)
            losses.append(loss.detach())
            counts.append(len(targets))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        row = {"epoch": epoch, "train_loss": weighted_mean(losses, counts)}
        model.fill_unknown()
        row |= evaluate(model, valid)
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
    parser.add_argument("--data", type=Path, required=True, help="the ratings, a CSV file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained weights")
    arguments = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    train, valid = load(arguments.data)
    model = make_model(train)
    fit(model, train, valid)
    row = evaluate(model, valid)
    metrics = {"loss": row.pop("valid_loss"), **row}
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(weights, arguments.out / "model.safetensors")
    print(json.dumps({"weights_sha256": weights_sha256(weights), "metrics": metrics}))


if __name__ == "__main__":
    main()
