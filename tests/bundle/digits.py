"""A small digits model and its features: what a guard is fitted on, and what it is shown.

Kinds of pictures come as (N, 8, 8) float in [0, 1]. The net is a plain one, trained in a second or so.
"""

from __future__ import annotations

import functools
import string
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from drivetrain.randomness import seeded
from drivetrain.samples import digits

LOOK_LIKE_DIGITS = "BDGIOQSZ"


@dataclass(frozen=True)
class Part:
    """Pictures through the net."""

    logits: Tensor
    features: Tensor
    targets: Tensor


class Net(nn.Module):
    """Two convolutions, mean and maximum over the picture, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
        )
        self.head = nn.Linear(128, 10)

    def features(self, x: Tensor) -> Tensor:
        maps = self.body(x)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


@functools.cache
def pictures() -> tuple[Tensor, Tensor]:
    """The 1,797 digits: (N, 8, 8) in [0, 1], (N,) int64."""
    found = list(digits.pictures())
    pixels = np.stack([np.frombuffer(one.pixels, np.uint8).reshape(8, 8) for one in found])
    labels = [int(one.path.split("/")[1]) for one in found]
    return torch.tensor(pixels).float() / 255, torch.tensor(labels)


@functools.cache
def trained(seed: int, epochs: int = 10) -> tuple[Net, Tensor]:
    """A net, and the order in which the digits are taken: it was trained on the first 700."""
    x, y = pictures()
    with seeded(seed, "digits test"):
        order = torch.randperm(len(x))
        train = order[:700]
        net = Net()
        optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
        for _ in range(epochs):
            for batch in train[torch.randperm(len(train))].split(50):
                loss = F.cross_entropy(net(x[batch][:, None]), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net.eval(), order


@torch.no_grad()
def through(net: Net, x: Tensor, targets: Tensor | None = None) -> Part:
    features = net.features(x[:, None])
    return Part(net.head(features), features, torch.empty(0) if targets is None else targets)


def parts(seed: int, epochs: int = 10) -> tuple[Net, Part, Part, Part]:
    """The net, and its train (700), valid (550) and test (547) parts."""
    net, order = trained(seed, epochs)
    x, y = pictures()
    numbers = order[:700], order[700:1250], order[1250:]
    train, valid, test = (through(net, x[part], y[part]) for part in numbers)
    return net, train, valid, test


def letters(count: int, seed: int) -> Tensor:
    """Capital letters, but those that look like digits, drawn at the digits' size and slant."""
    r = np.random.default_rng(seed)
    known = [letter for letter in string.ascii_uppercase if letter not in LOOK_LIKE_DIGITS]
    drawn = []
    for _ in range(count):
        canvas = Image.new("L", (64, 64))
        font = ImageFont.load_default(size=float(r.uniform(62, 72)))
        letter = known[r.integers(len(known))]
        stroke = int(r.integers(1, 4))
        ImageDraw.Draw(canvas).text(
            (32, 32), letter, fill=255, font=font, anchor="mm", stroke_width=stroke
        )
        turned = canvas.rotate(float(r.uniform(-10, 10)), resample=Image.Resampling.BILINEAR)
        drawn.append(np.asarray(turned.resize((8, 8), Image.Resampling.BOX)))
    return torch.tensor(np.stack(drawn)).float() / 255


def foreign(seed: int = 0, count: int = 200) -> dict[str, Tensor]:
    """Pictures that are no digits."""
    r = np.random.default_rng(seed)
    ink = pictures()[0]
    values = ink.flatten()[torch.tensor(r.integers(ink.numel(), size=(count, 64)))]
    steps = torch.linspace(0, 1, 8).expand(count, 8, 8) * torch.tensor(r.random((count, 1, 1)))
    return {
        "letters": letters(count, seed),
        "uniform noise": torch.tensor(r.random((count, 8, 8))).float(),
        "noise with the digits' own ink": values.reshape(count, 8, 8),
        "digits in white on black turned round": 1 - ink[:count],
        "ramps": steps.float(),
    }
