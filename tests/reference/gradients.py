"""A formula in twins beside the same in torch: values and gradients in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.reference.autograd import Value


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def same(found: Any, expected: Any, atol: float = 1e-10) -> None:
    """Arrays, numbers or tensors of one shape and, to 1e-10, of the same numbers."""
    found, expected = (
        x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (found, expected)
    )
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def assert_equal_to_torch(
    ours: Callable[..., Value], theirs: Callable[..., Tensor], *arrays: np.ndarray
) -> None:
    """The result, and the gradient of a weighted sum of it by every array.

    The weights differ from number to number, so that a gradient in the wrong place does not pass.
    """
    values = [Value(array) for array in arrays]
    tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    found, expected = ours(*values), theirs(*tensors)
    same(found.data, expected)
    weights = normal(*found.shape, seed=99)
    (found * weights).sum().backward()
    (expected * torch.from_numpy(np.asarray(weights))).sum().backward()
    for value, tensor in zip(values, tensors, strict=True):
        assert tensor.grad is not None
        same(value.grad, tensor.grad)
