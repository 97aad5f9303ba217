"""Gradients by hand of the twins in numpy beside finite differences, by `torch.autograd.gradcheck`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drivetrain.reference import (
    attention,
    convolution,
    convolution_matrix,
    depth,
    dropout,
    normalization,
    pooling,
    residual,
    unfolding,
)
from tests.reference.arrays import normal

Forward = Callable[..., np.ndarray]
Backward = Callable[..., Sequence[np.ndarray]]
"""(pull, *inputs) -> the gradient of each input."""


TIGHT = {"atol": 1e-7, "rtol": 1e-6}
"""Steps of 1e-6 in float64 see no further; the usual 1e-3 would not see a slip of a thousandth."""


class ByHand(torch.autograd.Function):
    """A function of torch whose both ways are a twin's."""

    @staticmethod
    def forward(ctx: Any, ways: tuple[Forward, Backward], *inputs: Tensor) -> Tensor:
        ctx.backwards, ctx.arrays = ways[1], [x.detach().numpy() for x in inputs]
        return torch.from_numpy(np.asarray(ways[0](*ctx.arrays)))

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Tensor | None, ...]:
        found = ctx.backwards(pulls[0].numpy(), *ctx.arrays)
        return None, *(torch.from_numpy(np.ascontiguousarray(one)) for one in found)


def batch_norm(scale: np.ndarray, shift: np.ndarray) -> normalization.BatchNorm:
    norm = normalization.BatchNorm(len(scale))
    norm.scale, norm.shift = scale, shift
    return norm


def block(weights: Sequence[np.ndarray]) -> residual.Block:
    """Of kernels, scale and shift of three pairs: the first, the second, the shortcut's."""
    pairs = [
        residual.ConvNorm(weights[at], batch_norm(weights[at + 1], weights[at + 2]), stride)
        for at, stride in ((0, 2), (3, 1), (6, 2))
    ]
    return residual.Block(*pairs)


def block_gradients(pull: np.ndarray, x: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
    of_x, of_weights = block(weights).gradients(x, pull, training=True)
    return [of_x, *of_weights]


def deep(weights: Sequence[np.ndarray]) -> depth.Deep:
    return depth.Deep(list(weights[:3]), list(weights[3:6]), weights[6], has_shortcuts=True)


TARGETS = normal(50, 5)


def deep_gradients(pull: np.ndarray, x: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
    of_weights, of_biases, of_head = deep(weights).gradients(x, TARGETS)
    return [pull * one for one in (*of_weights, *of_biases, of_head)]


STEPS = {"stride": 2, "padding": 1}
CONV = [(2, 2, 5, 4), (3, 2, 3, 2), (3,)]
LAYOUT = convolution_matrix.layout((4, 5), (2, 2, 3, 3), stride=2, padding=1)
MASK = dropout.mask((4, 3), 0.5, np.random.default_rng(0))
CASES: dict[str, tuple[Forward, Backward, list[tuple[int, ...]]]] = {
    "convolution": (
        lambda x, w, b: convolution.convolve(x, w, b, **STEPS),
        lambda pull, x, w, b: convolution.convolve_gradients(x, w, pull, **STEPS),
        CONV,
    ),
    "unfolding": (
        lambda x, w, b: unfolding.convolve(x, w, b, **STEPS),
        lambda pull, x, w, b: unfolding.convolve_gradients(x, w, pull, **STEPS),
        CONV,
    ),
    "convolution_matrix": (
        lambda x, w: LAYOUT.product(w, x),
        lambda pull, x, w: LAYOUT.gradients(w, x, pull),
        [(2 * 4 * 5,), (2, 2, 3, 3)],
    ),
    "max_pool": (
        lambda x: pooling.max_pool(x, 3, 2),
        lambda pull, x: [pooling.max_pool_gradient(x, pull, 3, 2)],
        [(1, 2, 5, 7)],
    ),
    "average_pool": (
        lambda x: pooling.average_pool(x, 3, 2),
        lambda pull, x: [pooling.average_pool_gradient(x, pull, 3, 2)],
        [(1, 2, 5, 7)],
    ),
    "concat_pool": (
        pooling.concat_pool,
        lambda pull, x: [pooling.concat_pool_gradient(x, pull)],
        [(2, 3, 3, 2)],
    ),
    "batch_norm": (
        lambda x, scale, shift: batch_norm(scale, shift)(x, training=True),
        lambda pull, x, scale, shift: batch_norm(scale, shift).gradients(x, pull, training=True),
        [(3, 2, 2, 2), (2,), (2,)],
    ),
    "layer_norm": (
        normalization.layer_norm,
        lambda pull, x, scale, shift: normalization.layer_norm_gradients(x, scale, pull),
        [(2, 3, 4), (4,), (4,)],
    ),
    "dropout": (
        lambda x: dropout.dropout(x, MASK),
        lambda pull, x: [dropout.dropout_gradient(pull, MASK)],
        [(4, 3)],
    ),
    "attention": (
        lambda q, k, v: attention.attention(q, k, v, attention.causal(4)),
        lambda pull, q, k, v: attention.attention_gradients(q, k, v, pull, attention.causal(4)),
        [(2, 4, 3)] * 3,
    ),
    "multi_head": (
        lambda x, *weights: attention.MultiHead(*weights, heads=2)(x),
        lambda pull, x, *weights: list(
            attention.MultiHead(*weights, heads=2).gradients(x, pull).values()
        ),
        [(2, 3, 4), (12, 4), (12,), (4, 4), (4,)],
    ),
    "residual": (
        lambda x, *weights: block(weights)(x, training=True),
        block_gradients,
        [(2, 2, 4, 4), (3, 2, 3, 3), (3,), (3,), (3, 3, 3, 3), (3,), (3,), (3, 2, 1, 1), (3,), (3,)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_gradients_by_hand_are_those_of_finite_differences(name: str) -> None:
    forward, backward, shapes = CASES[name]
    inputs = [
        torch.from_numpy(normal(i, *shape)).requires_grad_() for i, shape in enumerate(shapes)
    ]
    assert torch.autograd.gradcheck(
        lambda *x: ByHand.apply((forward, backward), *x), inputs, **TIGHT
    )


def test_those_of_a_deep_net_too() -> None:
    x = normal(9, 5, 4)
    ways = (
        lambda *weights: np.array(deep(weights).loss(x, TARGETS)),
        lambda pull, *weights: deep_gradients(pull, x, *weights),
    )
    shapes = [(4, 4)] * 3 + [(4,)] * 4
    inputs = [
        torch.from_numpy(normal(i, *shape)).requires_grad_() for i, shape in enumerate(shapes)
    ]
    assert torch.autograd.gradcheck(lambda *w: ByHand.apply(ways, *w), inputs, **TIGHT)


def test_a_slip_in_a_gradient_is_found() -> None:
    ways = (pooling.concat_pool, lambda pull, x: [1.001 * pooling.concat_pool_gradient(x, pull)])
    x = torch.from_numpy(normal(0, 2, 3, 3, 2)).requires_grad_()
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda x: ByHand.apply(ways, x), [x], **TIGHT)
