"""Convolution by unfolding: the loops' numbers in one product, and torch's unfold and fold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

from drivetrain.reference import convolution, unfolding as twin
from tests.reference.arrays import ATOL, assert_equal, normal, torchs_gradients
from tests.reference.test_convolution import CASES


@pytest.mark.parametrize("case", CASES)
def test_columns_and_back_are_torchs(case: tuple) -> None:
    channels, _, height, width, kernel, stride, padding = case
    x = normal(0, 2, channels, height, width)
    columns = twin.unfold(x, kernel, stride=stride, padding=padding)
    assert np.array_equal(
        columns, F.unfold(torch.from_numpy(x), kernel, stride=stride, padding=padding).numpy()
    )
    folded = twin.fold(columns, (height, width), kernel, stride=stride, padding=padding)
    assert_equal(
        folded,
        F.fold(torch.from_numpy(columns), (height, width), kernel, stride=stride, padding=padding),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)
@settings(max_examples=40, deadline=None)
def test_folding_is_the_gradient_of_unfolding(
    seed: int, side: int, kernel: int, stride: int, padding: int
) -> None:
    if kernel > side + 2 * padding:
        return
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(1, 2, side, side))
    columns = twin.unfold(x, (kernel, kernel), stride=stride, padding=padding)
    pull = draw.normal(size=columns.shape)
    back = twin.fold(pull, (side, side), (kernel, kernel), stride=stride, padding=padding)
    assert (columns * pull).sum() == pytest.approx((x * back).sum(), abs=ATOL)  # <Ux, p> = <x, Uᵀp>


@pytest.mark.parametrize("case", CASES)
def test_the_product_gives_the_loops_numbers_and_torchs_gradients(case: tuple) -> None:
    channels, kernels, height, width, kernel, stride, padding = case
    x, weight = normal(0, 2, channels, height, width), normal(1, kernels, channels, *kernel)
    bias, options = normal(2, kernels), {"stride": stride, "padding": padding}
    found = twin.convolve(x, weight, bias, **options)
    assert_equal(found, convolution.convolve(x, weight, bias, **options))
    pull = normal(3, *found.shape)
    output, gradients = torchs_gradients(
        lambda *parts: F.conv2d(*parts, **options), (x, weight, bias), pull
    )
    assert_equal(found, output)
    by_hand = twin.convolve_gradients(x, weight, pull, **options)
    by_loops = convolution.convolve_gradients(x, weight, pull, **options)
    for one, loops, wanted in zip(by_hand, by_loops, gradients, strict=True):
        assert_equal(one, wanted)
        assert_equal(one, loops)


def test_defaults_are_those_of_the_loops() -> None:
    assert twin.convolve.__kwdefaults__ == convolution.convolve.__kwdefaults__
