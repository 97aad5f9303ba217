"""Train a net to predict rentals from 6 columns of a table.

Written by Drivetrain: the steps of the run, and its weights to the last bit (on the same kind of
machine, with the same versions).

    python rentals.py --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pyarrow import csv
from safetensors.torch import save_file
from torch import Tensor, nn

# --- Settings -------------------------------------------------------------------------------------

SEED = 42  # the same seed gives the same bits
TARGET = "rentals"  # what is predicted: a number with 156 different values
# columns of numbers; a date stands where the numbers that it becomes will
NUMBERS = ("day", "temperature", "holiday", "price")
DATES = ("day",)  # columns of dates
CATEGORIES = ("station", "weather")  # columns of words or codes
TIME = "day"  # the column that rows are split by
MISSING = ("",)  # words that mean a value is missing
VALID = 0.2  # the last 20% by 'day' validate: a model is used on rows that come later
BATCH_SIZE = 64  # 55 steps an epoch
VALID_BATCH_SIZE = 1024  # rows at once where nothing is learnt
LAYERS = (200, 100)  # hidden layers: two layers suffice for most tables
# the training targets and a tenth more: a sigmoid keeps predictions within
Y_RANGE = ((-18.6, 204.6),)
NUM_BATCHES = 55  # of training, an epoch
EPOCHS = 3  # passes over the training items
LR = 0.01  # peak learning rate
WEIGHT_DECAY = 0.01  # how much weights are pulled towards zero at each step; not norms and biases
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


def permutation(n: int, *, epoch: int) -> Tensor:
    """The order of `n` items in an epoch: (n,) int64, each index once."""
    generator = torch.Generator().manual_seed(derive("shuffle", epoch))
    return torch.randperm(n, generator=generator)


# --- Data -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factor:
    """A column of words: codes into `levels`."""

    codes: np.ndarray  # (N,) int32, -1 where there is no word
    levels: tuple[str, ...]  # Each word once, in the order of the codes

    def __getitem__(self, indices: Any) -> Factor:
        return Factor(self.codes[indices], self.levels)

    def recoded(self, levels: Sequence[str]) -> Factor:
        """The same words as codes into other levels; what is not among them is missing (-1)."""
        place = {word: code for code, word in enumerate(levels)}
        table = np.array([place.get(word, -1) for word in self.levels] + [-1], dtype=np.int32)
        return Factor(table[self.codes], tuple(levels))


def as_words(column: pa.ChunkedArray) -> Factor:
    """A column of words as codes into its levels."""
    words = column.combine_chunks().dictionary_encode()
    return Factor(words.indices.fill_null(-1).to_numpy(), tuple(words.dictionary.to_pylist()))


def distinct_times(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in order, the rows of each, and where a row stands: -1 without one."""
    is_known = ~np.isnat(times)
    values, inverse, counts = np.unique(times[is_known], return_inverse=True, return_counts=True)
    places = np.full(len(times), -1, dtype=np.int64)
    places[is_known] = inverse
    return values, counts.astype(np.int64), places


def time_split(times: np.ndarray) -> np.ndarray:
    """The last rows in time validate: (N,) bool. Rows of one time stay together."""
    _, counts, places = distinct_times(times)
    after = counts.sum() - np.cumsum(counts)[:-1]  # rows later than each time but the last
    cut = np.argmin(np.abs(after - VALID * counts.sum()))  # the last time that trains
    return places > cut


def date_parts(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """A date as numbers, by name: (N,) float64, NaN where it is missing."""
    moments = values.astype("datetime64[us]")
    is_missing = np.isnat(moments)
    # Any date will do where there is none: its numbers are written over with NaN.
    moments = np.where(is_missing, np.datetime64(0, "us"), moments)
    days = moments.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]")
    day = (days - months.astype("datetime64[D]")).astype(np.int64)
    day_of_year = (days - years.astype("datetime64[D]")).astype(np.int64)
    month = months.astype(np.int64) % 12
    day_of_week = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    # A week belongs to the year of its Thursday.
    thursday = days + (3 - day_of_week).astype("timedelta64[D]")
    week = (thursday - thursday.astype("datetime64[Y]").astype("datetime64[D]")).astype(
        np.int64
    ) // 7
    ends_month = (days + np.timedelta64(1, "D")).astype("datetime64[M]") != months
    starts_month = day == 0
    seconds = moments.astype(np.int64)
    parts = {
        "year": years.astype(np.int64) + 1970,
        "month": month + 1,
        "week": week + 1,
        "day": day + 1,
        "day_of_week": day_of_week,
        "day_of_year": day_of_year + 1,
        "is_month_end": ends_month,
        "is_month_start": starts_month,
        "is_quarter_end": ends_month & (month % 3 == 2),
        "is_quarter_start": starts_month & (month % 3 == 0),
        "is_year_end": ends_month & (month == 11),
        "is_year_start": starts_month & (month == 0),
        "elapsed": seconds / 1e6,
    }
    return {f"{name}.{part}": np.where(is_missing, np.nan, found) for part, found in parts.items()}


@dataclass(frozen=True)
class NumberColumn:
    """What is known of a column of numbers."""

    fill: float  # Stands for what is missing
    has_flag: bool  # Whether training had missing ones, so that a column says which they are
    mean: float  # Of the training rows, filled; of log(1 + x) where that is taken
    std: float  # As `mean`; 1 where all are equal


def filled(values: np.ndarray, stand_in: float) -> np.ndarray:
    """(N,) with a number in the place of each missing one."""
    return np.where(np.isnan(values), stand_in, values)


def learn_fill(values: np.ndarray) -> float:
    """What stands for missing numbers, learnt of the training rows."""
    present = values[~np.isnan(values)]
    return float(np.median(present))


def learn_number(values: np.ndarray) -> NumberColumn:
    """What is to be known of a column of numbers, from its training rows."""
    stand_in = learn_fill(values)
    full = filled(values, stand_in)
    std = float(full.std())
    return NumberColumn(
        fill=stand_in,
        has_flag=bool(np.isnan(values).any()),
        mean=float(full.mean()),
        std=std if std > 0 else 1.0,
    )


def rows_of_levels(words: Factor) -> dict[str, int]:
    """Rows of each level that occurs."""
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    return {words.levels[i]: int(counts[i]) for i in np.flatnonzero(counts)}


def learn_levels(words: Factor) -> tuple[str, ...]:
    """The levels that training rows have, in order: the i-th has the code i + 1."""
    return tuple(sorted(rows_of_levels(words)))


def level_codes(words: Factor, levels: Sequence[str]) -> np.ndarray:
    """(N,) int64: i + 1 for the i-th level, 0 where a row has none of them."""
    return words.recoded(levels).codes.astype(np.int64) + 1


def standardised(values: np.ndarray, column: NumberColumn) -> np.ndarray:
    """(N,) filled, of mean 0 and standard deviation 1 over the training rows."""
    return (filled(values, column.fill) - column.mean) / column.std


class Part(NamedTuple):
    """The rows that train, or those that validate, as the net sees them."""

    codes: Tensor  # (N, C) int64: which of its levels each category has; 0 is missing or unseen
    numbers: Tensor  # (N, D) float32: standardised, then flags of what was missing
    targets: Tensor  # (N,) float32


def read(path: Path) -> dict[str, Any]:
    """Numbers as float64 (NaN: missing), dates as datetime64, words as codes into levels."""
    types = (
        dict.fromkeys((*NUMBERS, TARGET), pa.float64())
        | dict.fromkeys(CATEGORIES, pa.string())
        | dict.fromkeys(DATES, pa.timestamp("us"))
    )
    table = csv.read_csv(
        path,
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=MISSING,
            strings_can_be_null=True,
        ),
    )
    return {
        name: as_words(table[name]) if name in CATEGORIES else table[name].to_numpy()
        for name in types
    }


def load(path: Path) -> tuple[Part, Part]:
    """Read and split the table, and learn from the training rows how the net is to see them."""
    columns = read(path)
    targets = columns.pop(TARGET)
    is_valid = time_split(columns[TIME])
    train, valid = np.flatnonzero(~is_valid), np.flatnonzero(is_valid)
    columns = {
        part: values
        for name, column in columns.items()
        for part, values in (date_parts(name, column) if name in DATES else {name: column}).items()
    }
    numbers = {
        name: learn_number(column[train])
        for name, column in columns.items()
        if name not in CATEGORIES
    }
    levels = {name: learn_levels(columns[name][train]) for name in CATEGORIES}

    def part(rows: np.ndarray) -> Part:
        codes = [level_codes(columns[name][rows], levels[name]) for name in CATEGORIES]
        scaled = [standardised(columns[name][rows], numbers[name]) for name in numbers]
        flags = [np.isnan(columns[name][rows]) for name in numbers if numbers[name].has_flag]
        return Part(
            torch.from_numpy(np.stack(codes, axis=1)),
            torch.from_numpy(np.stack([*scaled, *flags], axis=1).astype(np.float32)),
            torch.from_numpy(targets[rows].astype(np.float32)),
        )

    return part(train), part(valid)


def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Codes, numbers and targets, in another order each epoch."""
    order = permutation(len(part.targets), epoch=epoch)
    for rows in order.split(BATCH_SIZE):
        yield (part.codes[rows], part.numbers[rows], part.targets[rows])


def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The same in the order of the table."""
    for rows in torch.arange(len(part.targets)).split(VALID_BATCH_SIZE):
        yield (part.codes[rows], part.numbers[rows], part.targets[rows])


# --- Model ----------------------------------------------------------------------------------------


def embedding_dim(num_levels: int) -> int:
    """Numbers in the vector of a category with so many levels: 1.6 n^0.56, at most 600."""
    return min(600, round(1.6 * num_levels**0.56))


class TabularNet(nn.Module):
    """Scores for rows of a table."""

    def __init__(self, level_counts: Sequence[int], num_numbers: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList()
        width = num_numbers
        for count in level_counts:
            self.embeddings.append(nn.Embedding(count, embedding_dim(count)))
            width += embedding_dim(count)
        for embedding in self.embeddings:
            nn.init.trunc_normal_(embedding.weight, std=0.01, a=-0.02, b=0.02)
        self.normalise = nn.BatchNorm1d(num_numbers)
        blocks = []
        for size in LAYERS:
            # the batchnorm shifts anyway, so the layer before it needs no bias
            blocks += [nn.Linear(width, size, bias=False), nn.ReLU(), nn.BatchNorm1d(size)]
            width = size
        self.hidden = nn.Sequential(*blocks)
        self.head = nn.Linear(width, 1)
        self.low = nn.Buffer(torch.tensor([low for low, _ in Y_RANGE]))  # (num_outputs,)
        self.span = nn.Buffer(torch.tensor([high - low for low, high in Y_RANGE]))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        vectors = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
        parts = [torch.cat(vectors, 1), self.normalise(numbers)]
        scores = self.head(self.hidden(torch.cat(parts, 1)))  # (B, num_outputs)
        scores = self.low + self.span * torch.sigmoid(scores)
        return scores.squeeze(1)


def make_model(train: Part) -> TabularNet:
    """The net before training; its random weights follow from the seed."""
    torch.manual_seed(derive("init", "tabular"))
    level_counts = (train.codes.amax(dim=0) + 1).tolist()  # every level stands in a training row
    return TabularNet(level_counts, train.numbers.shape[1])


# --- Loss and metrics -----------------------------------------------------------------------------


def mse(preds: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error: large mistakes count most; in squared units of the target."""
    return F.mse_loss(preds, targets.to(preds.dtype))


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
                is_kept = "bias" in name or isinstance(module, nn.BatchNorm1d)
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
    squares = []
    with torch.inference_mode():
        for codes, numbers, targets in valid_batches(valid):
            preds = model(codes, numbers)
            losses.append(mse(preds, targets))
            counts.append(len(targets))
            squares.append((preds.double() - targets.double()).square())
    return {
        "valid_loss": weighted_mean(losses, counts),
        "rmse": (float(torch.cat(squares).sum()) / sum(counts)) ** 0.5,
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
        for codes, numbers, targets in train_batches(train, epoch):
            progress = step / (EPOCHS * NUM_BATCHES)
            for group in optimizer.param_groups:
                group["lr"] = LR * one_cycle(progress)
                group["betas"] = one_cycle_momentum(progress), *group["betas"][1:]
            preds = model(codes, numbers)
            loss = mse(preds, targets)
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
    parser.add_argument("--data", type=Path, required=True, help="the table, a CSV file")
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
