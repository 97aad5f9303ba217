"""Dropout by hand: shares and scale of the mask, and torch's and our layers once their mask is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain.nn.dropouts import VariationalDropout
from drivetrain.randomness import seeded
from drivetrain.reference import dropout as twin
from tests.reference.arrays import assert_equal, normal


@given(p=st.floats(0, 0.95), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_mask_holds_two_numbers_and_its_mean_is_one(p: float, seed: int) -> None:
    drawn = twin.mask((100, 100), p, np.random.default_rng(seed))
    stays = drawn > 0
    assert np.all(drawn[stays] == 1 / (1 - p))
    spread = np.sqrt(p * (1 - p) / drawn.size)  # of a share of so many draws
    assert abs(stays.mean() - (1 - p)) <= 6 * spread
    assert abs(drawn.mean() - 1) <= 6 * spread / (1 - p)


LAYERS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "number": (nn.Dropout(0.3), (6, 8), (6, 8)),
    "channel": (nn.Dropout2d(0.3), (6, 8, 3, 3), (6, 8, 1, 1)),
    # Half, since its mask is drawn in float32, where 1 / 0.7 would be rounded and 1 / 0.5 is not.
    "times": (VariationalDropout(0.5), (6, 5, 8), (6, 1, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_multiply_by_a_mask_of_this_shape_on_the_way_there_and_back(name: str) -> None:
    layer, shape, of_mask = LAYERS[name]
    layer.train()
    with seeded(3, "mask"):
        drawn = layer(torch.ones(shape, dtype=torch.float64)).numpy()
    one_each = drawn[tuple(slice(None) if n > 1 else slice(0, 1) for n in of_mask)]
    assert np.array_equal(np.broadcast_to(one_each, shape), drawn)  # alike along axes of length 1
    by_hand = twin.mask(of_mask, layer.p, np.random.default_rng(0))
    assert by_hand.shape == of_mask
    np.testing.assert_allclose(np.unique(by_hand), np.unique(drawn), rtol=1e-12)
    x, pull = normal(0, *shape), normal(1, *shape)
    tensor = torch.tensor(x, requires_grad=True)
    with seeded(3, "mask"):
        output = layer(tensor)
    (gradient,) = torch.autograd.grad((output * torch.from_numpy(pull)).sum(), tensor)
    assert_equal(twin.dropout(x, one_each), output)
    assert_equal(twin.dropout_gradient(pull, one_each), gradient)


@pytest.mark.parametrize("name", LAYERS)
def test_at_predict_time_nothing_is_dropped(name: str) -> None:
    layer, shape, _ = LAYERS[name]
    x = normal(0, *shape)
    assert torch.equal(layer.eval()(torch.from_numpy(x)), torch.from_numpy(x))
    assert twin.dropout(x, None) is x
    assert twin.dropout_gradient(x, None) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_a_share_outside_is_refused(p: float) -> None:
    with pytest.raises(ValueError) as caught:
        twin.mask((2, 2), p, np.random.default_rng(0))
    assert str(caught.value) == (
        f"Dropout got p = {p}, expected 0 to below 1: it is the share that is lost."
    )
