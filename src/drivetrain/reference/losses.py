"""Losses from their formulas, with their gradients by hand. Twin of `drivetrain.losses`.

Letters: B items, C classes; x the scores, y the targets, p the probabilities. Every loss answers
one number an item (`per_item`) or their mean; every gradient is that of the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_softmax(x: Tensor) -> Tensor:
    """log(e^x_c / sum of e^x over the classes), for x of (B, C).

    e^1000 is infinite, so the highest score is taken off first: it cancels in the fraction.
    """
    shifted = x - x.max(dim=1, keepdim=True).values  # (B, C), the highest is 0
    return shifted - shifted.exp().sum(dim=1, keepdim=True).log()


def cross_entropy_per_item(x: Tensor, y: Tensor) -> Tensor:
    """-log p[true class], (B,), for scores (B, C) and class indices (B,)."""
    return -log_softmax(x)[torch.arange(len(y)), y]


def cross_entropy(x: Tensor, y: Tensor) -> Tensor:
    """The mean of `cross_entropy_per_item`."""
    return cross_entropy_per_item(x, y).mean()


def cross_entropy_gradient(x: Tensor, y: Tensor) -> Tensor:
    """(p - onehot(y)) / B: what is given to wrong classes is pushed down, the true one up."""
    gradient = log_softmax(x).exp()
    gradient[torch.arange(len(y)), y] -= 1
    return gradient / len(y)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x)."""
    return 1 / (1 + (-x).exp())


def binary_cross_entropy_per_score(x: Tensor, y: Tensor) -> Tensor:
    """-y log p - (1 - y) log(1 - p) with p = sigmoid(x).

    Worked out, it is max(x, 0) - x y + log(1 + e^-|x|), in which nothing can overflow.
    """
    return x.clamp(min=0) - x * y + torch.log1p((-x.abs()).exp())


def binary_cross_entropy(x: Tensor, y: Tensor) -> Tensor:
    """The mean of `binary_cross_entropy_per_score`."""
    return binary_cross_entropy_per_score(x, y).mean()


def binary_cross_entropy_gradient(x: Tensor, y: Tensor) -> Tensor:
    """(sigmoid(x) - y) / number of scores."""
    return (sigmoid(x) - y) / x.numel()


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean of (x - y)^2."""
    return ((x - y) * (x - y)).sum() / x.numel()


def mse_gradient(x: Tensor, y: Tensor) -> Tensor:
    """2 (x - y) / number of values: twice as wrong pulls twice as hard."""
    return 2 * (x - y) / x.numel()


def mae(x: Tensor, y: Tensor) -> Tensor:
    """Mean of |x - y|."""
    return torch.where(x > y, x - y, y - x).sum() / x.numel()


def mae_gradient(x: Tensor, y: Tensor) -> Tensor:
    """sign(x - y) / number of values: every mistake pulls equally hard."""
    return ((x > y).to(x.dtype) - (x < y).to(x.dtype)) / x.numel()


def mnist_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean of 1 - p where the answer is yes, of p where it is no; p = sigmoid(x)."""
    p = sigmoid(x)
    return torch.where(y == 1, 1 - p, p).mean()


def mnist_loss_gradient(x: Tensor, y: Tensor) -> Tensor:
    """p (1 - p), towards the right answer: almost nothing where p is near 0 or 1, right or wrong."""
    p = sigmoid(x)
    return torch.where(y == 1, -1.0, 1.0).to(x.dtype) * p * (1 - p) / x.numel()
