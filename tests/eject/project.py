"""A person's own module: models, loaders, a loss, a callback and a metric, as people write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import drivetrain as dt
from drivetrain import Callback, CancelBatch

COUNT = 60


def blobs(count: int = COUNT, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Points round as many middles as there are classes."""
    generator = torch.Generator().manual_seed(7)
    targets = torch.arange(count) % classes
    middles = torch.randn(classes, 4, generator=generator) * 2
    return middles[targets] + torch.randn(count, 4, generator=generator), targets


class Net(nn.Module):
    """Two layers with norm and dropout."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(hidden, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.body], [self.head]]


class Curve(nn.Module):
    """Numbers of a point; of one, it by itself."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.net = nn.Linear(4, count)

    def forward(self, x: Tensor) -> Tensor:
        found = self.net(x)
        return found.squeeze(1) if found.shape[1] == 1 else found


def numbers(batch_size: int, count: int) -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Many points to validate on, in batches of this size, with so many numbers each."""
    x, _ = blobs(180)
    y = torch.stack([x.square().sum(dim=1), x.sum(dim=1)], dim=1)[:, :count]
    y = y.squeeze(1) if count == 1 else y
    train = dt.BatchLoader(dt.TensorData(x[:40], y[:40]), batch_size=16, shuffle=True)
    return train, dt.BatchLoader(dt.TensorData(x[40:], y[40:]), batch_size=batch_size)


class Conv(nn.Module):
    """A small net for pictures, with a residual block that can be dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = Block()
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x)).mean(dim=(2, 3)))


class Block(nn.Module):
    """Residual, with a place for stochastic depth."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.drop_path(self.norm(self.conv(x))))


class Parabola:
    """No module at all: a callable with parameters."""

    def __init__(self) -> None:
        self.abc = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))

    def parameters(self) -> list[nn.Parameter]:
        return [self.abc]

    def __call__(self, x: Tensor) -> Tensor:
        a, b, c = self.abc
        return a * x**2 + b * x + c


class TwoInputs(nn.Module):
    """Takes two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.left(a) + self.right(b)


def loaders(batch_size: int = 16) -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Batches of the library's own loader."""
    x, y = blobs()
    train = dt.BatchLoader(dt.TensorData(x[:45], y[:45]), batch_size=batch_size, shuffle=True)
    return train, dt.BatchLoader(dt.TensorData(x[45:], y[45:]), batch_size=32)


def torch_loaders() -> dt.Loaders:
    """Torch's DataLoader, which draws from the global generator."""
    x, y = blobs()
    train = DataLoader(TensorDataset(x[:45], y[:45]), batch_size=16, shuffle=True)
    return dt.Loaders(train, DataLoader(TensorDataset(x[45:], y[45:]), batch_size=32))


def picture_loaders() -> dt.Loaders:
    """Pictures of noise in three colours."""
    _, y = blobs()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(COUNT, 3, 8, 8, generator=generator)
    x += torch.eye(3)[y][:, :, None, None]
    train = dt.BatchLoader(dt.TensorData(x[:45], y[:45]), batch_size=16, shuffle=True)
    return dt.Loaders(train, dt.BatchLoader(dt.TensorData(x[45:], y[45:]), batch_size=32))


def curve_loaders() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Points of a parabola."""
    x = torch.linspace(-2, 2, 40)
    data = dt.TensorData(x, 3 * x**2 + 2 * x + 1)
    return dt.BatchLoader(data, batch_size=8, shuffle=True), dt.BatchLoader(data, batch_size=40)


def number_loaders() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """The sum of three numbers."""
    x, _ = blobs()
    data = dt.TensorData(x, x[:, :3])
    return dt.BatchLoader(data, batch_size=16, shuffle=True), dt.BatchLoader(data, batch_size=32)


def pair_loaders() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    """Batches of two inputs and the targets."""
    x, y = blobs()
    data = dt.TensorData(x, x.flip(1), y)
    return dt.BatchLoader(data, batch_size=16, shuffle=True), dt.BatchLoader(data, batch_size=32)


def dict_loaders() -> tuple[list, list]:
    """Batches as dicts."""
    x, y = blobs()
    batches = [
        {"a": x[i : i + 16], "b": x[i : i + 16].flip(1), "targets": y[i : i + 16]}
        for i in (0, 16, 32)
    ]
    return batches, batches[:1]


class Sharpened(nn.Module):
    """A loss of one's own."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(1.5 * logits, targets)


def hinge(logits: Tensor, targets: Tensor) -> Tensor:
    """Another one, as a function."""
    right = logits.gather(1, targets[:, None])
    return (1 + logits - right).clamp(min=0).mean()


class Margin:
    """A metric of one's own."""

    name = "margin"
    higher_is_better = True
    total: float  # since `reset`, which is called before the first batch
    count: int

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, preds: Tensor, targets: Tensor) -> None:
        top = preds.topk(2, dim=1).values
        self.total += float((top[:, 0] - top[:, 1]).sum())
        self.count += len(preds)

    def compute(self) -> float:
        return self.total / self.count


class GradientNoise(Callback):
    """Adds noise to gradients, less with each step, and skips a batch now and then."""

    def __init__(self, size: float = 0.1) -> None:
        self.size = size
        self.skipped = 0

    def before_fit(self, state) -> None:
        self.skipped = 0

    def before_batch(self, state) -> None:
        if state.step % 4 == 3:
            self.skipped += 1
            raise CancelBatch

    def after_backward(self, state) -> None:
        generator = torch.Generator().manual_seed(state.step)
        for parameter in state.model.parameters():
            if parameter.grad is not None:
                noise = torch.randn(parameter.grad.shape, generator=generator)
                parameter.grad += self.size / (1 + state.step) * noise
