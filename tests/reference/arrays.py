"""Random arrays for twins in numpy, the same in torch, and a comparison of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

ATOL = 1e-10
"""What a twin may differ from its oracle by, in float64."""


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers, float64."""
    return np.random.default_rng(seed).normal(size=shape)


def as_tensor(array: np.ndarray) -> Tensor:
    """A copy that collects gradients."""
    return torch.tensor(array, requires_grad=True)


def assert_equal(found: np.ndarray | float, wanted: Tensor | np.ndarray) -> None:
    """Same shape, and no further apart than `ATOL`."""
    expected = wanted.detach().numpy() if isinstance(wanted, Tensor) else wanted
    np.testing.assert_allclose(found, expected, atol=ATOL, rtol=0, strict=True)


def torchs_gradients(
    function: Callable[..., Tensor], arrays: Sequence[np.ndarray], pull: np.ndarray
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What a function of tensors gives, and how Σ pull · output moves with each of them."""
    tensors = [as_tensor(array) for array in arrays]
    output = function(*tensors)
    assert output.shape == pull.shape
    return output, torch.autograd.grad((output * torch.from_numpy(pull)).sum(), tensors)
