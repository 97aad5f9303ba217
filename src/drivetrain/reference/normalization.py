"""Batch norm and layer norm: numbers are moved to mean 0 and variance 1, then to where it serves.

Both do the same thing to different groups of numbers. Batch norm takes the mean of a channel over all
items of the batch, so items depend on each other in training, and at predict time it needs running
statistics. Layer norm takes the mean of an item over its own numbers, and needs neither.
Twins of `torch.nn.BatchNorm1d`, `BatchNorm2d` and `LayerNorm`.

Papers: Ioffe & Szegedy 2015, arXiv:1502.03167; Ba et al. 2016, arXiv:1607.06450.
Letters as there: γ scale, β shift, μ mean, σ² variance, x̂ the normalised x, ε keeps the root above 0.
"""

from __future__ import annotations

import numpy as np

Axes = tuple[int, ...]


def standardize(x: np.ndarray, axes: Axes, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x̂ = (x - μ) / √(σ² + ε) over the axes, and μ and σ² with those axes kept, of length 1.

    σ² is the mean squared distance from μ: divided by n, not by n - 1.
    """
    mean = x.mean(axis=axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps), mean, variance


def standardize_gradient(x: np.ndarray, pull: np.ndarray, axes: Axes, eps: float) -> np.ndarray:
    """Of x, from the pull on x̂: (pull - mean(pull) - x̂ · mean(pull · x̂)) / √(σ² + ε).

    x moves μ and σ² too. A pull that is the same for the whole group would only move μ, and one along x̂
    only σ²: both are taken out again, and neither has an effect.
    """
    normed, _, variance = standardize(x, axes, eps)
    along = (pull * normed).mean(axis=axes, keepdims=True)
    level = pull.mean(axis=axes, keepdims=True)
    return (pull - level - normed * along) / np.sqrt(variance + eps)


class BatchNorm:
    """Batch norm of (B, C) or (B, C, H, W): a mean, a variance, γ and β for each channel.

    Args:
        channels: C.
        momentum: the share of the new batch in the running statistics; not that of an optimizer.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.eps, self.momentum = eps, momentum
        self.scale, self.shift = np.ones(channels), np.zeros(channels)
        self.running_mean, self.running_var = np.zeros(channels), np.ones(channels)

    def __call__(self, x: np.ndarray, *, training: bool) -> np.ndarray:
        """γ x̂ + β. In training by the batch, which the running statistics then move towards.

        The running variance takes σ² · n / (n - 1): what the batch says of numbers that are not in it.

        Raises: ValueError: in training a channel has a single number, which is its own mean.
        """
        if not training:
            centred = x - self.broadcast(self.running_mean, x)
            normed = centred / np.sqrt(self.broadcast(self.running_var, x) + self.eps)
        else:
            n = x.size // x.shape[1]
            if n < 2:
                raise ValueError(
                    "Batch norm got one number a channel in training, which is its own mean: all would "
                    "become 0. Give a batch of 2 items or more."
                )
            normed, mean, variance = standardize(x, self.axes(x), self.eps)
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean.reshape(-1)
            self.running_var = (1 - m) * self.running_var + m * variance.reshape(-1) * n / (n - 1)
        return self.broadcast(self.scale, x) * normed + self.broadcast(self.shift, x)

    def gradients(
        self, x: np.ndarray, pull: np.ndarray, *, training: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of x, γ and β. By running statistics, which x does not move, x is only scaled."""
        axes = self.axes(x)
        of_normed = pull * self.broadcast(self.scale, x)
        if training:
            normed, _, _ = standardize(x, axes, self.eps)
            of_x = standardize_gradient(x, of_normed, axes, self.eps)
        else:
            root = np.sqrt(self.broadcast(self.running_var, x) + self.eps)
            normed = (x - self.broadcast(self.running_mean, x)) / root
            of_x = of_normed / root
        return of_x, (pull * normed).sum(axis=axes), pull.sum(axis=axes)

    def axes(self, x: np.ndarray) -> Axes:
        """All but the channels."""
        return (0, *range(2, x.ndim))

    def broadcast(self, of_channel: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(C,) beside (B, C) or (B, C, H, W)."""
        return of_channel.reshape(1, -1, *[1] * (x.ndim - 2))


def layer_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, *, eps: float = 1e-5
) -> np.ndarray:
    """γ x̂ + β over the last axis, the same in training and after: (…, E) -> (…, E)."""
    normed, _, _ = standardize(x, (-1,), eps)
    return scale * normed + shift


def layer_norm_gradients(
    x: np.ndarray, scale: np.ndarray, pull: np.ndarray, *, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of x, γ and β; those of γ and β are sums over all but the last axis."""
    normed, _, _ = standardize(x, (-1,), eps)
    others = tuple(range(x.ndim - 1))
    of_x = standardize_gradient(x, pull * scale, (-1,), eps)
    return of_x, (pull * normed).sum(axis=others), pull.sum(axis=others)
