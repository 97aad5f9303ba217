"""The sides of `ratings.py`: the loop one writes by hand, fastai's learner, and a script for Surprise.

    python ratings_sides.py '{"train": "train.csv", "valid": "valid.csv", "seed": 42, …}'

The script runs in the environment of `requirements-ratings.lock`, which has scikit-surprise, and prints
JSON.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

FACTORS = 50
Y_RANGE = (0.0, 5.5)
Epochs = list[tuple[float, float]]
"""Seconds since training began and the mean squared error on the validation ratings, an epoch each."""


# --- by hand --------------------------------------------------------------------------------------


class HandWritten:
    """The loop one writes with PyTorch alone: an order an epoch, slices, fused AdamW, 1cycle.

    A call trains an epoch, with the mean training loss, and validates where there is something.

    Args:
        sizes: users and items, the unknown one counted.
        train, valid: pairs (N, 2) and ratings (N,).
    """

    def __init__(
        self,
        sizes: tuple[int, int],
        train: tuple[Any, Any],
        valid: tuple[Any, Any] | None,
        *,
        batch_size: int,
        lr: float,
        weight_decay: float,
    ) -> None:
        import torch

        self.net = _dot_product_bias(*sizes)
        self.train, self.valid = train, valid
        self.batch_size, self.lr = batch_size, lr
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(),
            lr=lr, betas=(0.9, 0.99), eps=1e-5, weight_decay=weight_decay, fused=True,
        )  # fmt: skip

    def __call__(self) -> tuple[float, float]:
        import torch
        import torch.nn.functional as F

        net, optimizer, size = self.net, self.optimizer, self.batch_size
        pairs, ratings = self.train
        order = torch.randperm(len(ratings))
        pairs, ratings = pairs[order], ratings[order]
        steps = math.ceil(len(ratings) / size)
        total = torch.zeros(())
        net.train()
        for step in range(steps):
            self._move_rates(step / steps)
            rows = slice(step * size, (step + 1) * size)
            targets = ratings[rows]
            loss = F.mse_loss(net(pairs[rows]), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.detach() * len(targets)
        if self.valid is None:
            return total.item() / len(ratings), math.nan
        net.eval()
        with torch.inference_mode():
            pairs, targets = self.valid
            valid_loss = F.mse_loss(net(pairs), targets).item()
        return total.item() / len(ratings), valid_loss

    def _move_rates(self, progress: float) -> None:
        """1cycle: the rate up for a quarter and down again, the momentum the other way."""
        if progress < 0.25:
            share = (1 - math.cos(math.pi * progress / 0.25)) / 2
            rate, momentum = 1 / 25 + (1 - 1 / 25) * share, 0.95 - 0.1 * share
        else:
            share = (1 - math.cos(math.pi * (progress - 0.25) / 0.75)) / 2
            rate, momentum = 1 + (1e-5 - 1) * share, 0.85 + 0.1 * share
        group = self.optimizer.param_groups[0]
        group["lr"], group["betas"] = self.lr * rate, (momentum, 0.99)


def _dot_product_bias(num_users: int, num_items: int) -> Any:
    """The chapter's class, a vector and a bias for each user and item."""
    import torch
    from torch import Tensor, nn

    def embedding(num_rows: int, num_factors: int) -> nn.Embedding:
        table = nn.Embedding(num_rows, num_factors)
        nn.init.trunc_normal_(table.weight, std=0.01, a=-0.02, b=0.02)
        return table

    class DotProductBias(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users, self.user_bias = embedding(num_users, FACTORS), embedding(num_users, 1)
            self.items, self.item_bias = embedding(num_items, FACTORS), embedding(num_items, 1)

        def forward(self, pairs: Tensor) -> Tensor:
            users, items = pairs[:, 0], pairs[:, 1]
            scores = (self.users(users) * self.items(items)).sum(1)
            scores = scores + self.user_bias(users).squeeze(1) + self.item_bias(items).squeeze(1)
            return torch.sigmoid(scores) * (Y_RANGE[1] - Y_RANGE[0]) + Y_RANGE[0]

    return DotProductBias()


# --- fastai ---------------------------------------------------------------------------------------


def fastai_learner(
    frame: Any, splits: tuple[list[int], list[int]], *, batch_size: int, plain: bool
) -> Any:
    """fastai's `collab_learner` over a frame of user, item and rating.

    Args:
        splits: rows that train, rows that validate.
        plain: `TabDataLoader` for training, which has each row once an epoch; its own loader draws rows
            with replacement.
    """
    collab: Any = importlib.import_module("fastai.collab")
    tab: Any = importlib.import_module("fastai.tabular.all")
    rows = collab.TabularCollab(
        frame, [tab.Categorify], ["user", "item"], y_names=["rating"],
        y_block=tab.TransformBlock(), splits=splits,
    )  # fmt: skip
    loaders = rows.dataloaders(bs=batch_size, **({"dl_type": tab.TabDataLoader} if plain else {}))
    return collab.collab_learner(loaders, n_factors=FACTORS, y_range=Y_RANGE)


def fastai_epoch(
    learner: Any, lr: float, weight_decay: float, *, validate: bool
) -> Callable[..., None]:
    """An epoch of 1cycle with its default callbacks, its output into memory."""
    tab: Any = importlib.import_module("fastai.tabular.all")

    class NoValidation(tab.Callback):
        def before_validate(self) -> None:
            raise tab.CancelValidException

    def fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            learner.fit_one_cycle(1, lr, wd=weight_decay, cbs=[] if validate else [NoValidation()])

    return fit


def fastai_epochs(learner: Any, epochs: int, lr: float, weight_decay: float) -> Epochs:
    """A whole training; time and error after each epoch."""
    tab: Any = importlib.import_module("fastai.tabular.all")
    found: Epochs = []

    class Note(tab.Callback):
        order = 90  # after the Recorder, which has the loss

        def after_epoch(self) -> None:
            found.append((time.process_time() - began, float(self.recorder.log[2])))

    with contextlib.redirect_stdout(io.StringIO()):
        began = time.process_time()
        learner.fit_one_cycle(epochs, lr, wd=weight_decay, cbs=[Note()])
    return found


# --- Surprise, in its own environment -------------------------------------------------------------


def surprise_epochs(
    train: str, valid: str, *, seed: int, epochs: Sequence[int], settings: dict[str, Any]
) -> dict[str, Any]:
    """`surprise.SVD` trained anew for each number of epochs: it does not tell how far it is between.

    Args:
        train, valid: CSV files without a header: user, item, rating.
        settings: of `SVD`.
    """
    surprise: Any = importlib.import_module("surprise")
    reader = surprise.Reader(line_format="user item rating", sep=",", rating_scale=(1, 5))
    trainset = surprise.Dataset.load_from_file(train, reader=reader).build_full_trainset()
    with open(valid, newline="") as file:
        testset = [(user, item, float(rating)) for user, item, rating in csv.reader(file)]
    found: Epochs = []
    for count in epochs:
        model = surprise.SVD(n_epochs=count, random_state=seed, **settings)
        began = time.process_time()
        model.fit(trainset)
        seconds = time.process_time() - began
        found.append((seconds, surprise.accuracy.mse(model.test(testset), verbose=False)))
    return {"epochs": found}


if __name__ == "__main__":
    print(json.dumps(surprise_epochs(**json.loads(sys.argv[1]))))
