"""Convolution by loops beside torch's: sizes, values, gradients, and edges found by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

from drivetrain.reference import convolution as twin
from tests.reference.arrays import assert_equal, normal, torchs_gradients

# Channels, kernels, height, width, kernel, stride, padding.
CASES = [
    (1, 1, 5, 5, (3, 3), 1, 0),
    (3, 4, 7, 6, (3, 3), 2, 1),
    (2, 3, 8, 5, (2, 4), 3, 2),
    (3, 2, 4, 4, (1, 1), 1, 0),
    (2, 2, 6, 7, (5, 3), 2, 2),
]


@pytest.mark.row(133)
def test_bright_rows_below_are_found_by_the_kernel_for_top_edges() -> None:
    picture = np.zeros((1, 1, 5, 5))
    picture[:, :, 3:] = 1  # dark above, two bright rows below
    found = twin.convolve(picture, twin.EDGES["top"][None, None])
    assert found[0, 0, :, 0].tolist() == [0, 3, 3]
    assert_equal(
        found, F.conv2d(torch.tensor(picture), torch.tensor(twin.EDGES["top"][None, None]))
    )


@pytest.mark.row(133)
@pytest.mark.parametrize("edge", twin.EDGES)
def test_each_kernel_answers_at_its_own_edge_of_a_square_and_not_on_even_ground(edge: str) -> None:
    picture = np.full((1, 1, 12, 12), 0.25)
    picture[:, :, 3:9, 3:9] = 1
    found = twin.convolve(picture, twin.EDGES[edge][None, None], padding=1)[0, 0, 1:-1, 1:-1]
    row, column = np.unravel_index(found.argmax(), found.shape)
    # One pixel inside or outside of the square's own edge, which runs from 2 to 7 here.
    along = {"top": row, "bottom": 9 - row, "left": column, "right": 9 - column}[edge]
    assert along in (1, 2)
    assert found.max() == pytest.approx(3 * 0.75)
    assert found[0, 0] == found[4, 4] == 0  # even ground, dark and bright
    assert twin.EDGES[edge].sum() == 0


@pytest.mark.row(134)
@pytest.mark.parametrize(
    ("n", "kernel", "stride", "padding", "expected"),
    [(28, 3, 1, 0, 26), (28, 3, 1, 1, 28), (28, 3, 2, 1, 14), (14, 3, 2, 1, 7), (7, 3, 2, 1, 4),
     (4, 3, 2, 1, 2), (2, 3, 2, 1, 1), (5, 3, 1, 0, 3), (224, 7, 2, 3, 112)],
)  # fmt: skip
def test_known_sizes(n: int, kernel: int, stride: int, padding: int, expected: int) -> None:
    assert twin.output_size(n, kernel, stride=stride, padding=padding) == expected


@pytest.mark.row(134)
@given(
    n=st.integers(1, 40),
    kernel=st.integers(1, 9),
    stride=st.integers(1, 5),
    padding=st.integers(0, 4),
)
@settings(max_examples=80, deadline=None)
def test_sizes_are_torchs(n: int, kernel: int, stride: int, padding: int) -> None:
    if kernel > n + 2 * padding:
        with pytest.raises(ValueError, match="does not fit on a side"):
            twin.output_size(n, kernel, stride=stride, padding=padding)
        return
    made = F.conv2d(
        torch.zeros(1, 1, n, n), torch.zeros(1, 1, kernel, kernel), stride=stride, padding=padding
    )
    assert twin.output_size(n, kernel, stride=stride, padding=padding) == made.shape[2]


@pytest.mark.row(134)
def test_a_batch_of_64_pictures_and_four_kernels() -> None:
    found = twin.convolve(np.zeros((2, 1, 28, 28)), np.zeros((4, 1, 3, 3)))
    assert found.shape == (2, 4, 26, 26)
    assert F.conv2d(torch.zeros(64, 1, 28, 28), torch.zeros(4, 1, 3, 3)).shape == (64, 4, 26, 26)


@pytest.mark.row(134)
@given(n=st.integers(1, 60), half=st.integers(0, 6))
def test_the_padding_that_keeps_the_size_keeps_it(n: int, half: int) -> None:
    kernel = 2 * half + 1
    assert twin.output_size(n, kernel, padding=twin.keeping_padding(kernel)) == n


@pytest.mark.row(134)
def test_what_cannot_be_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError) as caught:
        twin.keeping_padding(4)
    assert str(caught.value) == (
        "No whole padding keeps the size under a kernel of 4: it would have to be 3/2. "
        "Take an odd kernel."
    )
    with pytest.raises(ValueError) as caught:
        twin.output_size(2, 7, padding=1)
    assert str(caught.value) == (
        "A kernel of 7 does not fit on a side of 2 pixels with padding 1. Pad by 3 or more, or take "
        "a kernel of 4 or less."
    )


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_torchs(case: tuple, with_bias: bool) -> None:
    channels, kernels, height, width, kernel, stride, padding = case
    x, weight = normal(0, 2, channels, height, width), normal(1, kernels, channels, *kernel)
    bias = normal(2, kernels) if with_bias else np.zeros(kernels)
    found = twin.convolve(x, weight, bias if with_bias else None, stride=stride, padding=padding)
    pull = normal(3, *found.shape)
    output, gradients = torchs_gradients(
        lambda *parts: F.conv2d(*parts, stride=stride, padding=padding), (x, weight, bias), pull
    )
    assert_equal(found, output)
    by_hand = twin.convolve_gradients(x, weight, pull, stride=stride, padding=padding)
    for one, wanted in zip(by_hand, gradients, strict=True):
        assert_equal(one, wanted)


def test_defaults_are_torchs() -> None:
    layer = torch.nn.Conv2d(1, 1, 3)
    defaults = twin.convolve.__kwdefaults__
    assert defaults == {"stride": layer.stride[0], "padding": layer.padding[0]}
