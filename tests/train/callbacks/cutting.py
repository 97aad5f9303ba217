"""Fits made by hand, cut at any moment, and put together again from what a checkpoint would hold."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain import store
from drivetrain.data.stream import StreamLoader
from drivetrain.data.tokens import TokenArray
from drivetrain.losses import cross_entropy
from drivetrain.metrics import metric
from drivetrain.models.language import create_language_model, language_description
from drivetrain.models.resnet import ResidualBlock
from drivetrain.optim import one_cycle
from drivetrain.randomness import seeded
from drivetrain.train import loop, saving
from drivetrain.train.callback import LAST, CancelFit
from drivetrain.train.callbacks.carry_state import CarryState
from drivetrain.train.callbacks.record import Record
from drivetrain.train.history import History
from drivetrain.train.modules import detached
from drivetrain.train.state import FitState
from tests.train.blobs import blobs, net

EPOCHS, BATCHES = 3, 5

Moment = tuple[str, int]
"""`batch` k: after k batches in all. `epoch` n: after n epochs. `valid` n: in the n-th validation."""

MOMENTS: list[Moment] = [
    *(("batch", k) for k in range(1, EPOCHS * BATCHES + 1)),
    *(("epoch", n) for n in range(1, EPOCHS + 1)),
    *(("valid", n) for n in range(1, EPOCHS + 1)),
]

FEW: list[Moment] = [("batch", 2), ("batch", 5), ("batch", 8), ("epoch", 1), ("valid", 2)]
"""Within an epoch, at its last batch, in the next one, between two, and in a validation."""


class Lengthless:
    """A loader that does not know how many batches come."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)


PICTURED = {"CutMix", "ProgressiveResizing", "StochasticDepth"}
"""Callbacks that need pictures, or a residual net: their fits have both."""

READING = {"CarryState", "RNNRegularization"}
"""Callbacks for nets that read: their fits have a text and a recurrent language model."""


def pictures() -> tuple[Tensor, Tensor]:
    """96 grey pictures of 12x12 in three classes: bright above, below, or on the left."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(96) % 3
    found = 0.3 * torch.randn(96, 1, 12, 12, generator=generator)
    found[targets == 0, :, :6] += 1
    found[targets == 1, :, 6:] += 1
    found[targets == 2, :, :, :6] += 1
    return found, targets


def picture_net() -> nn.Module:
    with seeded(1, "test"):
        return nn.Sequential(
            ResidualBlock(1, 4, stride=2),
            ResidualBlock(4, 4),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 3),
        )


def text_loaders() -> tuple[StreamLoader, StreamLoader]:
    """Documents of zeros with some ones and twos: 5 batches an epoch, the last with fewer columns."""
    documents = TokenArray.from_lists(
        [[(n + k) * (n + k) % 7 // 3 for k in range(7 + n % 4)] for n in range(20)]
    )
    train = StreamLoader(documents, batch_size=4, seq_len=9, shuffle=True)
    assert len(train) == BATCHES
    return train, StreamLoader(documents, batch_size=2, seq_len=30)


def reading_net() -> nn.Module:
    description = language_description(
        "awd_lstm", 3, embedding_dim=8, hidden_dim=8, num_layers=2, weight_dropout=0.3
    )
    return create_language_model(description, seed=1)


def loaders(
    *,
    valid: bool = True,
    length: bool = True,
    batch_size: int = 20,
    pictured: bool = False,
    reading: bool = False,
) -> dt.Loaders:
    """96 points or pictures, or a text: 5 batches an epoch, the last of 16."""
    if reading:
        first, second = text_loaders()
        return dt.Loaders(first if length else Lengthless(first), second if valid else None)
    data = dt.TensorData(*(pictures() if pictured else blobs()))
    train: Any = dt.BatchLoader(data, batch_size=batch_size, shuffle=True)
    return dt.Loaders(
        train if length else Lengthless(train),
        dt.BatchLoader(data, batch_size=32) if valid else None,
    )


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """Two groups at two rates."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": parameters[:2], "lr": 0.02}, {"params": parameters[2:], "lr": 0.05}]
    )
    for group in optimizer.param_groups:
        group["max_lr"] = group["lr"]
    return optimizer


def schedule_of(optimizer: torch.optim.Optimizer) -> Callable[[float], None]:
    def set_rates(progress: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = group["max_lr"] * one_cycle(progress)

    return set_rates


def fit_state(
    *callbacks: dt.Callback,
    model: nn.Module | None = None,
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer] = adamw,
    scheduled: bool = True,
    epochs: int = EPOCHS,
    loaders: dt.Loaders | None = None,
    folder: Path | None = None,
    metrics: Sequence[Any] = ("accuracy",),
) -> FitState:
    """A fit on the blobs with dropout and batchnorm, which records its rows."""
    pictured = any(type(one).__name__ in PICTURED for one in callbacks)
    reading = any(type(one).__name__ in READING for one in callbacks)
    if reading and not any(isinstance(one, CarryState) for one in callbacks):
        callbacks = (*callbacks, CarryState())  # what the net has read goes through every cut
    if model is None:
        model = picture_net() if pictured else reading_net() if reading else net(dropout=0.3)
    optimizer = make_optimizer(model)
    return FitState(
        model=model,
        loaders=globals()["loaders"](pictured=pictured, reading=reading)
        if loaders is None
        else loaders,
        loss_fn=cross_entropy,
        optimizer=optimizer,
        epochs=epochs,
        schedule=schedule_of(optimizer) if scheduled else None,
        metrics=[metric(name) for name in metrics],
        callbacks=[Record(History()), *callbacks],
        folder=folder,
    )


def sha(state: FitState) -> str:
    return store.weights_sha256(state.model.state_dict())


def history(state: FitState) -> History:
    return state.callbacks[0].history


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Kept:
    """What a checkpoint holds."""

    tensors: dict[str, Tensor]
    values: str
    """JSON."""
    position: dict[str, Any]


class Cut(dt.Callback):
    """Keeps what a checkpoint would, at one moment, and then kills the fit or stops it by a signal."""

    order = LAST

    def __init__(self, moment: Moment) -> None:
        self.kind, self.number = moment
        self.kept: Kept | None = None

    def after_batch(self, state: FitState) -> None:
        if self.kind == "batch" and state.step == self.number:
            self._keep(state)
            raise Killed

    def after_epoch(self, state: FitState) -> None:
        if self.kind == "epoch" and state.epochs_done == self.number:
            self._keep(state)
            raise Killed

    def after_valid_batch(self, state: FitState) -> None:
        if self.kind == "valid" and state.epochs_done + 1 == self.number:
            state.interrupted = 2
            raise CancelFit

    def after_cancel(self, state: FitState) -> None:
        if self.kind == "valid" and state.interrupted:
            self._keep(state)

    def _keep(self, state: FitState) -> None:
        tensors = saving.pack(state.model, state.optimizer, pending=state.pending)
        callbacks = [one for one in state.callbacks if one is not self]
        remembered, values = saving.pack_callbacks(callbacks)
        self.kept = Kept(
            detached(tensors | remembered),
            json.dumps(values, allow_nan=False),
            {
                "epochs_done": state.epochs_done,
                "batches_done": state.batches_done,
                "step": state.step,
                "pending": state.pending,
            },
        )


def cut_and_resumed(make: Callable[[], FitState], moment: Moment) -> FitState | None:
    """The fit that `make` makes, cut at `moment` and carried to its end by fresh objects.

    None where the fit was over before the moment came.
    """
    first = make()
    cut = Cut(moment)
    first.callbacks = [*first.callbacks, cut]
    with contextlib.suppress(Killed):
        loop.fit(first)
    if cut.kept is None:
        return None
    second, kept = make(), cut.kept
    saving.unpack_model(kept.tensors, second.model, what="the test's checkpoint")
    saving.unpack_optimizer(kept.tensors, second.model, second.optimizer)
    saving.unpack_gradients(kept.tensors, second.model)
    second.saved = saving.unpack_callbacks(kept.tensors, json.loads(kept.values))
    for name, value in kept.position.items():
        setattr(second, name, value)
    history(second)[:] = history(first)[: second.epochs_done]
    loop.fit(second)
    return second


def assert_same(found: FitState, whole: FitState) -> None:
    """Weights to the bit, and every column that is no time."""
    assert sha(found) == sha(whole)
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in history(state)]
        for state in (found, whole)
    ]
    # repr: NaN is as good as NaN.
    assert repr(rows[0]) == repr(rows[1])
    assert (found.epochs_done, found.step) == (whole.epochs_done, whole.step)
