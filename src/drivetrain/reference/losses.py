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


def token_cross_entropy(x: Tensor, y: Tensor) -> Tensor:
    """The mean over times of the cross-entropy at each: scores (B, V, T), tokens (B, T)."""
    times = range(y.shape[1])
    return sum(cross_entropy(x[:, :, t], y[:, t]) for t in times) / len(times)  # pyright: ignore[reportReturnType]


def token_cross_entropy_gradient(x: Tensor, y: Tensor) -> Tensor:
    """Of each time its own, divided by the number of times."""
    times = range(y.shape[1])
    each = [cross_entropy_gradient(x[:, :, t], y[:, t]) for t in times]
    return torch.stack(each, dim=2) / len(times)


def smoothed(y: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Shares (B, C) of class indices (B,): 1 - smoothing for the true class, the rest for all alike."""
    shares = torch.full((len(y), num_classes), smoothing / num_classes, dtype=torch.float64)
    shares[torch.arange(len(y)), y] += 1 - smoothing
    return shares


def soft_cross_entropy(x: Tensor, shares: Tensor) -> Tensor:
    """Mean over items of -sum of share_c log p_c: what a message about the shares costs in p's code."""
    return -(shares * log_softmax(x)).sum() / len(x)


def soft_cross_entropy_gradient(x: Tensor, shares: Tensor) -> Tensor:
    """(p - shares) / B, for shares that sum to 1: it rests where the two are equal."""
    return (log_softmax(x).exp() - shares) / len(x)


def weighted_cross_entropy(x: Tensor, y: Tensor, weight: Tensor, ignore: int = -100) -> Tensor:
    """Sum of w[true class] times the loss, over the sum of those w; `ignore` marks items left out."""
    x, y = x[y != ignore], y[y != ignore]
    return (weight[y] * cross_entropy_per_item(x, y)).sum() / weight[y].sum()


def weighted_cross_entropy_gradient(
    x: Tensor, y: Tensor, weight: Tensor, ignore: int = -100
) -> Tensor:
    """w[true class] (p - onehot(y)) / sum of w, and 0 for what is ignored."""
    gradient = torch.zeros_like(x)
    kept = y != ignore
    one_hot = smoothed(y[kept], x.shape[1], 0.0)
    w = weight[y[kept]].unsqueeze(1)  # (B, 1)
    gradient[kept] = w * (log_softmax(x[kept]).exp() - one_hot) / w.sum()
    return gradient


def focal_per_item(x: Tensor, y: Tensor, gamma: float = 2.0) -> Tensor:
    """-(1 - p)^gamma log p, (B,), p that of the true class: easy items are turned down."""
    log_p = -cross_entropy_per_item(x, y)
    return -((1 - log_p.exp()) ** gamma) * log_p


def focal(x: Tensor, y: Tensor, gamma: float = 2.0) -> Tensor:
    """The mean of `focal_per_item`."""
    return focal_per_item(x, y, gamma).mean()


def focal_slope(p: Tensor, gamma: float) -> Tensor:
    """Of -(1 - p)^gamma log p, by log p: gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma."""
    return gamma * (1 - p) ** (gamma - 1) * p * p.log() - (1 - p) ** gamma


def focal_gradient(x: Tensor, y: Tensor, gamma: float = 2.0) -> Tensor:
    """That slope times the slope of log p[true class], which is onehot(y) - p; over B."""
    p = log_softmax(x).exp()
    slope = focal_slope(p[torch.arange(len(y)), y], gamma).unsqueeze(1)  # (B, 1)
    return slope * (smoothed(y, x.shape[1], 0.0) - p) / len(y)


def dice(x: Tensor, y: Tensor, smooth: float = 1.0) -> Tensor:
    """Mean over pictures and classes of 1 - (2 overlap + s) / (area + true area + s).

    Scores (B, C, pixels), class indices (B, pixels); picture by picture, class by class.
    """
    p = log_softmax(x).exp()
    values = []
    for picture in range(x.shape[0]):
        for one in range(x.shape[1]):
            is_it = (y[picture] == one).to(x.dtype)
            overlap = (p[picture, one] * is_it).sum()
            areas = p[picture, one].sum() + is_it.sum()
            values.append(1 - (2 * overlap + smooth) / (areas + smooth))
    return torch.stack(values).mean()


def dice_gradient(x: Tensor, y: Tensor, smooth: float = 1.0) -> Tensor:
    """By the quotient rule to p, then through softmax: p_c (g_c - sum over k of g_k p_k)."""
    p = log_softmax(x).exp()
    by_p = torch.zeros_like(p)
    for picture in range(x.shape[0]):
        for one in range(x.shape[1]):
            is_it = (y[picture] == one).to(x.dtype)
            above = 2 * (p[picture, one] * is_it).sum() + smooth
            below = p[picture, one].sum() + is_it.sum() + smooth
            by_p[picture, one] = -(2 * is_it * below - above) / below**2
    by_p = by_p / (x.shape[0] * x.shape[1])
    return p * (by_p - (by_p * p).sum(dim=1, keepdim=True))


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


def weighted_binary_cross_entropy(x: Tensor, y: Tensor, pos_weight: Tensor | float) -> Tensor:
    """Mean of -w y log p - (1 - y) log(1 - p): a yes counts w times."""
    yes = binary_cross_entropy_per_score(x, torch.ones_like(x))
    no = binary_cross_entropy_per_score(x, torch.zeros_like(x))
    return (pos_weight * y * yes + (1 - y) * no).mean()


def weighted_binary_cross_entropy_gradient(
    x: Tensor, y: Tensor, pos_weight: Tensor | float
) -> Tensor:
    """(w y (p - 1) + (1 - y) p) / number of scores."""
    p = sigmoid(x)
    return (pos_weight * y * (p - 1) + (1 - y) * p) / x.numel()


def binary_focal(x: Tensor, y: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Mean of -a (1 - p)^gamma log p, p of the right answer; a is alpha for yes, 1 - alpha for no."""
    right = torch.where(y == 1, sigmoid(x), 1 - sigmoid(x))
    share = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return (-share * (1 - right) ** gamma * right.log()).mean()


def binary_focal_gradient(
    x: Tensor, y: Tensor, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """The slope of `focal_slope` times that of log p by the score, ±(1 - p)."""
    right = torch.where(y == 1, sigmoid(x), 1 - sigmoid(x))
    sign = torch.where(y == 1, 1.0, -1.0).to(x.dtype)
    share = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return share * focal_slope(right, gamma) * sign * (1 - right) / x.numel()


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


def huber(x: Tensor, y: Tensor, delta: float = 1.0) -> Tensor:
    """Mean of d^2 / 2 where |d| is at most delta, of delta (|d| - delta / 2) beyond; d = x - y."""
    d = (x - y).abs()
    return torch.where(d <= delta, d * d / 2, delta * (d - delta / 2)).mean()


def huber_gradient(x: Tensor, y: Tensor, delta: float = 1.0) -> Tensor:
    """x - y, held between -delta and delta, over the number of values."""
    return (x - y).clamp(-delta, delta) / x.numel()


def quantile(x: Tensor, y: Tensor, q: float = 0.5) -> Tensor:
    """Mean of q (y - x) where x is too low, of (1 - q) (x - y) where it is too high."""
    return torch.where(y > x, q * (y - x), (1 - q) * (x - y)).mean()


def quantile_gradient(x: Tensor, y: Tensor, q: float = 0.5) -> Tensor:
    """-q where x is too low, 1 - q where it is too high: they balance with a share q of y below x."""
    return ((x >= y).to(x.dtype) - q) / x.numel()


def mnist_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean of 1 - p where the answer is yes, of p where it is no; p = sigmoid(x)."""
    p = sigmoid(x)
    return torch.where(y == 1, 1 - p, p).mean()


def mnist_loss_gradient(x: Tensor, y: Tensor) -> Tensor:
    """p (1 - p), towards the right answer: almost nothing where p is near 0 or 1, right or wrong."""
    p = sigmoid(x)
    return torch.where(y == 1, -1.0, 1.0).to(x.dtype) * p * (1 - p) / x.numel()
