"""An optimizer on a curve: the steps that it makes down a function of one number, and their picture.

>>> descend(lambda w: w**2, 3.0, lr=0.1, num_steps=3)
[3.0, 2.4, 1.92, 1.536]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim import Optimizer

from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.optim.optimizers import optimizer as optimizer_by_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def descend(
    function: Callable[[Tensor], Tensor],
    start: float,
    *,
    lr: float,
    num_steps: int,
    optimizer: str | Callable[..., Optimizer] = "sgd",
) -> list[float]:
    """Where a weight stands before the first step and after each; float64, rounded to 12 decimals.

    Args:
        function: of one number, differentiable: () -> ().
        start: where the weight begins.
        lr: learning rate.
        num_steps: steps to make; fewer come back where the weight is no longer finite.
        optimizer: a name of `optim.OPTIMIZERS`, or what makes one from a list of parameters.
    """
    weight = torch.tensor(float(start), dtype=torch.float64, requires_grad=True)
    make = optimizer_by_name(optimizer) if isinstance(optimizer, str) else optimizer
    stepper = make([weight], lr=lr)
    path = [float(start)]
    for _ in range(num_steps):
        stepper.zero_grad()
        function(weight).backward()
        stepper.step()
        if not math.isfinite(weight.item()):
            break
        path.append(round(weight.item(), 12))
    return path


def plot_descent(
    function: Callable[[Tensor], Tensor],
    start: float,
    *,
    lrs: Sequence[float],
    num_steps: int = 10,
    optimizer: str | Callable[..., Optimizer] = "sgd",
) -> Figure:
    """The curve with the steps of each learning rate on it: one panel a rate.

    Args:
        function: of one number, which also takes a tensor of many: (N,) -> (N,).
        start: where every rate begins.
        lrs: learning rates, one or more.
        num_steps: steps of each.
        optimizer: as in `descend`.

    Returns: a `matplotlib.figure.Figure`.
    Raises: ConfigError: no rate is given. MissingPackageError: there is no matplotlib.
    """
    if not lrs:
        raise ConfigError("`plot_descent` needs a learning rate or more: `lrs=(0.1, 1.01)`.")
    require("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    paths = [
        descend(function, start, lr=lr, num_steps=num_steps, optimizer=optimizer) for lr in lrs
    ]
    figure = Figure(figsize=(4.5 * len(lrs), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(lrs), squeeze=False)[0]
    for axes, lr, path in zip(all_axes, lrs, paths, strict=True):
        reach = max(abs(w) for w in path)
        line = torch.linspace(-1.1 * reach, 1.1 * reach, 401, dtype=torch.float64)
        heights = function(torch.tensor(path, dtype=torch.float64))
        axes.plot(line.numpy(), function(line).detach().numpy(), color="0.6")
        axes.plot(path, heights.detach().numpy(), "o-", markersize=4, linewidth=1)
        grows = float(heights[-1]) > float(heights[0])
        axes.set_title(f"lr {lr:g}: {'diverges' if grows else 'comes down'}")
        axes.set_xlabel("weight")
        axes.set_ylabel("loss")
    return figure
