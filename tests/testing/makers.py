"""Learners of every kind that can be built here, each as a function that makes it anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import drivetrain as dt
from drivetrain.models.document import create_document_classifier, document_description
from drivetrain.models.resnet import ResidualBlock
from drivetrain.randomness import seeded
from drivetrain.train.callbacks import callback
from tests.train.blobs import Grouped, blob_loaders, blobs, net

Make = Callable[[], dt.Learner]


def learner(model: Any, loaders: Any, *args: Any, **options: Any) -> dt.Learner:
    return dt.Learner(model, loaders, *args, progress=False, **options)


@cache
def line() -> tuple[Tensor, Tensor]:
    """Numbers that a line answers, with some noise: (40, 3) and (40, 1)."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(40, 3, generator=generator)
    noise = 0.1 * torch.randn(40, 1, generator=generator)
    return inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5]]) + noise


def tensor_loaders(*tensors: Tensor, batch_size: int = 8) -> dt.Loaders:
    data = dt.TensorData(*tensors)
    return dt.Loaders(
        dt.BatchLoader(data, batch_size=batch_size, shuffle=True),
        dt.BatchLoader(data, batch_size=batch_size),
    )


def small_net(ins: int = 3, outs: int = 1) -> nn.Module:
    with seeded(4, "test"):
        return nn.Sequential(nn.Linear(ins, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, outs))


class Parabola:
    """a x² + b x + c: no module at all."""

    def __init__(self) -> None:
        self.abc = nn.Parameter(torch.ones(3))

    def parameters(self) -> list[nn.Parameter]:
        return [self.abc]

    def __call__(self, x: Tensor) -> Tensor:
        a, b, c = self.abc
        return a * x * x + b * x + c


class MeanImage:
    """One image, the same answer for every item; it learns the mean of the pictures."""

    def __init__(self) -> None:
        self.image = nn.Parameter(torch.zeros(4, 4))

    def parameters(self) -> list[nn.Parameter]:
        return [self.image]

    def __call__(self, pictures: Tensor) -> Tensor:
        return self.image.expand(len(pictures), 4, 4)


class DotProduct(nn.Module):
    """Ratings: the factors of a person times those of a film, (B,) and (B,) int64 to (B,)."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(5, "test"):
            self.people, self.films = nn.Embedding(7, 3), nn.Embedding(9, 3)

    def forward(self, person: Tensor, film: Tensor) -> Tensor:
        return (self.people(person) * self.films(film)).sum(dim=1)


class Named(nn.Module):
    """Takes its inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(6, "test"):
            self.numbers, self.kinds = nn.Linear(3, 4), nn.Embedding(5, 4)
            self.head = nn.Linear(4, 1)

    def forward(self, *, numbers: Tensor, kinds: Tensor) -> Tensor:
        return self.head(torch.tanh(self.numbers(numbers) + self.kinds(kinds)))


class Recurrent(nn.Module):
    """A GRU with a norm over the layer, of sequences (B, T, 2) to one number."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(7, "test"):
            self.body = nn.GRU(2, 6, batch_first=True)
            self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.body(x)[0][:, -1]))

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.body], [self.norm, self.head]]


def classification(**options: Any) -> dt.Learner:
    return learner(Grouped(), blob_loaders(), **({"metrics": ["accuracy", "f1"]} | options))


def regression(**options: Any) -> dt.Learner:
    options = {"metrics": ["mae", "r2"]} | options
    return learner(small_net(), tensor_loaders(*line()), "mse", **options)


def parabola() -> dt.Learner:
    x = torch.linspace(-2, 2, 40)
    return learner(Parabola(), tensor_loaders(x, 3 * x * x + 2 * x + 1), "mse", lr=0.02)


def mean_image() -> dt.Learner:
    pictures = torch.rand(40, 4, 4, generator=torch.Generator().manual_seed(8))
    return learner(MeanImage(), tensor_loaders(pictures, pictures), "mse", "sgd", lr=0.1)


def ratings() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    people = torch.randint(7, (48,), generator=generator)
    films = torch.randint(9, (48,), generator=generator)
    return people, films, (people - films).float() / 4


def dot_product() -> dt.Learner:
    return learner(DotProduct(), tensor_loaders(*ratings()), "mse", metrics=["rmse"], lr=0.02)


def batches_by_name() -> list[dict[str, Tensor]]:
    inputs, targets = line()
    kinds = torch.arange(40) % 5
    return [
        {
            "numbers": inputs[at : at + 8],
            "kinds": kinds[at : at + 8],
            "targets": targets[at : at + 8],
        }
        for at in range(0, 40, 8)
    ]


def by_name() -> dt.Learner:
    batches = batches_by_name()
    return learner(Named(), (batches, batches), "mae", metrics=["mse"])


def recurrent() -> dt.Learner:
    x = torch.randn(40, 5, 2, generator=torch.Generator().manual_seed(10))
    return learner(Recurrent(), tensor_loaders(x, x.mean(dim=(1, 2))[:, None]), "huber")


def masks() -> dt.Learner:
    generator = torch.Generator().manual_seed(11)
    pictures = torch.rand(24, 1, 6, 6, generator=generator)
    with seeded(12, "test"):
        model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    return learner(
        model, tensor_loaders(pictures, (pictures[:, 0] > 0.5).long()), "cross_entropy",
        metrics=["dice"],
    )  # fmt: skip


def several_labels() -> dt.Learner:
    inputs, _ = line()
    targets = (inputs @ torch.tensor([[1.0, 0.5], [0.0, 1.0], [-1.0, 0.0]]) > 0).float()
    return learner(
        small_net(outs=2), tensor_loaders(inputs, targets), "binary_cross_entropy_with_logits",
        metrics=["binary_accuracy"],
    )  # fmt: skip


def in_float64() -> dt.Learner:
    inputs, targets = (tensor.double() for tensor in line())
    return learner(small_net().double(), tensor_loaders(inputs, targets), "mse")


def torch_loader(num_workers: int = 0, **options: Any) -> dt.Learner:
    data = TensorDataset(*blobs())
    train = DataLoader(data, batch_size=16, shuffle=True, num_workers=num_workers)
    valid = DataLoader(data, batch_size=32, num_workers=num_workers)
    return learner(net(0.3), (train, valid), metrics=["accuracy"], **options)


def no_validation() -> dt.Learner:
    return learner(net(0.1), blob_loaders().train)


def own_optimizer(make: Callable[..., torch.optim.Optimizer], **settings: Any) -> dt.Learner:
    model = net()
    return learner(model, blob_loaders(), None, make(model.parameters(), **settings))


def with_optimizer(name: str, lr: float = 0.01) -> dt.Learner:
    return learner(Grouped(), blob_loaders(), None, name, metrics=["accuracy"], lr=lr)


def pictured(*callbacks: Any) -> dt.Learner:
    """Pictures and a net with a residual block, for callbacks that need them."""
    generator = torch.Generator().manual_seed(13)
    pictures = torch.randn(24, 1, 16, 16, generator=generator)
    targets = torch.arange(24) % 3
    with seeded(14, "test"):
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        model = nn.Sequential(ResidualBlock(1, 4), *head)
    pictures[:, 0, :4, :4] += targets[:, None, None]
    return learner(
        model, tensor_loaders(pictures, targets), metrics=["accuracy"], callbacks=callbacks
    )


def reading(*callbacks: Any) -> dt.Learner:
    """Documents and a recurrent net, for callbacks that need them."""
    tokens = torch.randint(5, (24, 9), generator=torch.Generator().manual_seed(15))
    targets = torch.arange(24) % 3
    tokens[:, 2] = 5 + targets
    description = document_description(
        "rnn", 8, 3, embedding_dim=4, hidden_dim=6, hidden=(), seq_len=4, max_len=12
    )
    return learner(
        create_document_classifier(description, seed=16),
        tensor_loaders(tokens, 4 + tokens[:, 0], targets),
        metrics=["accuracy"],
        callbacks=callbacks,
    )


OPTIONS: dict[str, dict[str, Any]] = {
    "accumulate": {"steps": 2},
    "early_stopping": {"patience": 3},
    "ema": {"decay": 0.9},
    "time_budget": {"minutes": 60.0},
}
"""What callbacks are given with which they have something to do, and do not end a short training."""
PICTURED = ("cutmix", "progressive_resizing", "stochastic_depth")
READING = ("rnn_regularization",)


def with_callback(name: str) -> dt.Learner:
    made = callback(name, **OPTIONS.get(name, {}))
    if name in PICTURED:
        return pictured(made)
    if name in READING:
        return reading(made)
    return classification(metrics=["accuracy"], callbacks=[made], lr=0.01)


BY_HAND: dict[str, Make] = {
    "classification": classification,
    "regression": regression,
    "parabola": parabola,
    "mean image": mean_image,
    "dot product": dot_product,
    "by name": by_name,
    "recurrent": recurrent,
    "masks": masks,
    "several labels": several_labels,
    "float64": in_float64,
    "torch loader": torch_loader,
    "no validation": no_validation,
    "own SGD": lambda: own_optimizer(torch.optim.SGD, lr=0.05, momentum=0.9),
    "own Adam": lambda: own_optimizer(torch.optim.Adam, lr=0.01),
    "own AdamW with amsgrad": lambda: own_optimizer(torch.optim.AdamW, lr=0.01, amsgrad=True),
    "optimizer class": lambda: learner(net(), blob_loaders(), None, torch.optim.NAdam),
}
"""Without an application."""
