"""The net on Adult: reading and preparing, an epoch, accuracy, and one row's prediction, against fastai.

fastai's own training loader for tables draws rows with replacement, so that an epoch misses a third of
them; its `TabDataLoader` does not. Both are measured. The hand-written loop is the same arithmetic
without a library: the same net and batches, fused AdamW, the same 1cycle, the mean training loss, and a
validation pass with accuracy.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measure import Goal, Result, data_folder, finish, median, ratio, take_turns

import drivetrain as dt
from drivetrain.models.tabular import create_tabular_net
from drivetrain.train.callbacks.progress import Progress

BATCH = 64
EPOCHS, RATE = 3, 1e-2
SEEDS = (42, 43, 44)
CATEGORIES = [
    *("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex"),
    "native-country",
]
NUMBERS = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
OURS, HAND = "Drivetrain", "hand-written loop, fused AdamW"
DEFAULT, PLAIN = "fastai 2.8.12, its own loader", "fastai 2.8.12, TabDataLoader"


def measure(options: argparse.Namespace) -> Result:
    """Each part in turn, on one thread."""
    folder = data_folder()
    if folder is None or not (folder / "adult" / "adult.csv").exists():
        print("adult.csv is not here: set DRIVETRAIN_DATA.")
        sys.exit(77)
    path = folder / "adult" / "adult.csv"
    torch.set_num_threads(1)
    data = dt.tabular.from_csv(path, "salary")
    quick = options.quick
    prepared = take_turns(
        {OURS: lambda: ours_data(path), DEFAULT: lambda: fastai_data(path, data)},
        rounds=2 if quick else 7,
    )
    epochs = {
        HAND: HandWritten(data),
        OURS: ours_epoch(data),
        DEFAULT: fastai_epoch(path, data, plain=False),
        PLAIN: fastai_epoch(path, data, plain=True),
    }
    times = take_turns(epochs, rounds=1 if quick else 7, clock=time.process_time)
    row = one_row(path)
    learner = dt.tabular.learner(data, progress=False, num_threads=1)
    learner.fit(1, 1e-3)
    predict = {OURS: lambda: learner.predict(row), DEFAULT: fastai_predict(path, data, row)}
    rows_of = take_turns(predict, rounds=5 if quick else 50, warm_up=3)
    seeds = SEEDS[:1] if quick else SEEDS
    accuracy = {
        OURS: [ours_accuracy(path, seed) for seed in seeds],
        DEFAULT: [fastai_accuracy(path, seed, plain=False) for seed in seeds],
        PLAIN: [fastai_accuracy(path, seed, plain=True) for seed in seeds],
    }
    rows = [
        [
            f"read and prepare, {name}",
            f"{median(taken):.2f} s",
            f"{ratio(prepared, name, OURS):.2f}",
        ]
        for name, taken in prepared.items()
    ]
    rows += [
        [f"epoch, {name}", f"{median(taken):.2f} s", f"{ratio(times, name, HAND):.2f}"]
        for name, taken in times.items()
    ]
    rows += [
        [f"one row, {name}", f"{median(taken) * 1e3:.2f} ms", f"{ratio(rows_of, name, OURS):.1f}"]
        for name, taken in rows_of.items()
    ]
    rows += [
        [f"accuracy, {name}", f"{sum(a) / len(a):.4f}", " ".join(f"{v:.4f}" for v in a)]
        for name, a in accuracy.items()
    ]
    mean = {name: sum(values) / len(values) for name, values in accuracy.items()}
    return Result(
        case="tables",
        title=f"The net on Adult: 32,561 rows, batch {BATCH}, layers 200 and 100",
        columns=["part, program", "median", "ratio, or each seed"],
        rows=rows,
        how=(
            "One torch thread, programs in turn. Reading: wall time from the CSV to batches; ratio to "
            "Drivetrain. An epoch of training and validation: CPU time of the process; ratio to the "
            "hand-written loop. One row's `predict`: wall time in a warm process; ratio to Drivetrain. "
            f"Accuracy: on the same 6,512 rows, {EPOCHS} epochs of 1cycle at {RATE}, seeds "
            f"{', '.join(map(str, seeds))}."
        ),
        goals=[
            Goal("epoch, Drivetrain / hand-written", ratio(times, OURS, HAND), 1.10),
            Goal("epoch, fastai's own loader / Drivetrain", ratio(times, DEFAULT, OURS), 3.0, True),
            Goal("epoch, TabDataLoader / Drivetrain", ratio(times, PLAIN, OURS), 3.0, True),
            Goal(
                "read and prepare, fastai / Drivetrain", ratio(prepared, DEFAULT, OURS), 1.0, True
            ),
            Goal("one row in ms", median(rows_of[OURS]) * 1e3, 2.0),
            Goal("accuracy, Drivetrain - fastai's own", mean[OURS] - mean[DEFAULT], 0.0, True),
            Goal("accuracy, Drivetrain - TabDataLoader", mean[OURS] - mean[PLAIN], 0.0, True),
        ],
        raw={"prepare": prepared, "epoch": times, "row": rows_of, "accuracy": accuracy},
    )


def ours_data(path: Path) -> Any:
    """From the file to the first batch."""
    loaders = dt.tabular.from_csv(path, "salary").loaders(batch_size=BATCH)
    return next(iter(loaders.train))


class HandWritten:
    """The loop one writes without any library; a call is an epoch and a validation."""

    def __init__(self, data: Any) -> None:
        self.train, self.valid = data.tensors("train"), data.tensors("valid")
        learner = dt.tabular.learner(data, progress=False, batch_size=BATCH)
        application: Any = learner.application
        self.net = create_tabular_net(application.description, seed=42)
        decayed = [p for n, p in self.net.named_parameters() if p.ndim > 1 or n == "head.bias"]
        others = [p for n, p in self.net.named_parameters() if p.ndim == 1 and n != "head.bias"]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed}, {"params": others, "weight_decay": 0.0}],
            lr=1e-3, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01, fused=True,
        )  # fmt: skip

    def __call__(self) -> tuple[float, float, float]:
        net, optimizer = self.net, self.optimizer
        codes, numbers, targets = self.train
        total, count = torch.zeros(()), 0
        net.train()
        for indices in torch.randperm(len(targets)).split(BATCH):
            if len(indices) < 2:  # which has no spread, and so no batchnorm
                continue
            loss = F.cross_entropy(net(codes[indices], numbers[indices]), targets[indices])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.detach() * len(indices)
            count += len(indices)
        net.eval()
        right, valid_loss = torch.zeros(()), torch.zeros(())
        with torch.inference_mode():
            for chunk in torch.arange(len(self.valid[2])).split(1024):
                codes, numbers, targets = (part[chunk] for part in self.valid)
                scores = net(codes, numbers)
                valid_loss += F.cross_entropy(scores, targets, reduction="sum")
                right += (scores.argmax(1) == targets).sum()
        rows = len(self.valid[2])
        return total.item() / count, valid_loss.item() / rows, right.item() / rows


def ours_epoch(data: Any) -> Callable[[], None]:
    """A Learner with its default callbacks; the bar is on although this is no terminal."""
    learner = dt.tabular.learner(
        data, batch_size=BATCH, num_threads=1, progress=False,
        callbacks=[Progress(stream=io.StringIO(), bar=True)],
    )  # fmt: skip
    return lambda: learner.fit(1, 1e-3)


def ours_accuracy(path: Path, seed: int) -> float:
    """After three epochs, on the rows that a stratified split with seed 42 sets aside."""
    data = dt.tabular.from_csv(path, "salary")
    learner = dt.tabular.learner(data, batch_size=BATCH, seed=seed, num_threads=1, progress=False)
    learner.fit_one_cycle(EPOCHS, RATE)
    return learner.evaluate().metrics["accuracy"]


def fastai_data(path: Path, data: Any, *, plain: bool = False) -> Any:
    """fastai as its own documentation has it, with our rows for validation."""
    pandas: Any = importlib.import_module("pandas")
    tab: Any = importlib.import_module("fastai.tabular.all")
    frame = pandas.read_csv(path, na_values="?")
    rows = tab.TabularPandas(
        frame, procs=[tab.Categorify, tab.FillMissing, tab.Normalize], cat_names=list(CATEGORIES),
        cont_names=list(NUMBERS), y_names="salary", y_block=tab.CategoryBlock(),
        splits=(data.rows["train"].tolist(), data.rows["valid"].tolist()),
    )  # fmt: skip
    if not plain:
        return rows.dataloaders(bs=BATCH, val_bs=1024)
    kinds = [tab.TabDataLoader(rows.train, bs=BATCH, shuffle=True, drop_last=True),
             tab.TabDataLoader(rows.valid, bs=1024, shuffle=False)]  # fmt: skip
    return tab.DataLoaders(*kinds)


def fastai_learner(path: Path, data: Any, *, plain: bool) -> Any:
    """The same layers."""
    tab: Any = importlib.import_module("fastai.tabular.all")
    loaders = fastai_data(path, data, plain=plain)
    return tab.tabular_learner(loaders, layers=[200, 100], metrics=tab.accuracy)


def fastai_epoch(path: Path, data: Any, *, plain: bool) -> Callable[[], None]:
    """`fit(1)`, its output into memory."""
    learner = fastai_learner(path, data, plain=plain)

    def fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            learner.fit(1, 1e-3)

    return fit


def fastai_accuracy(path: Path, seed: int, *, plain: bool) -> float:
    """After three epochs of 1cycle, on the same rows."""
    tab: Any = importlib.import_module("fastai.tabular.all")
    data = dt.tabular.from_csv(path, "salary")
    tab.set_seed(seed, reproducible=True)
    learner = fastai_learner(path, data, plain=plain)
    with contextlib.redirect_stdout(io.StringIO()):
        learner.fit_one_cycle(EPOCHS, RATE)
        return float(learner.validate()[1])


def one_row(path: Path) -> dict[str, Any]:
    """The first row of the file as a dict of plain values."""
    pandas: Any = importlib.import_module("pandas")
    row = pandas.read_csv(path, na_values="?", nrows=1).iloc[0].to_dict()
    return {name: row[name] for name in (*CATEGORIES, *NUMBERS)}


def fastai_predict(path: Path, data: Any, row: dict[str, Any]) -> Callable[[], Any]:
    """`learner.predict` of a row that is read already."""
    pandas: Any = importlib.import_module("pandas")
    learner = fastai_learner(path, data, plain=False)
    series = pandas.Series(row | {"salary": "<=50K"})

    def predict() -> Any:
        with contextlib.redirect_stdout(io.StringIO()), learner.no_bar(), learner.no_logging():
            return learner.predict(series)

    return predict


if __name__ == "__main__":
    finish(measure, __doc__)
