"""The matrix of a convolution: where its weights stand, and that its product is the convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from drivetrain.reference import convolution_matrix as twin
from tests.reference.arrays import assert_equal, normal, torchs_gradients
from tests.reference.test_convolution import CASES


@pytest.mark.row(135)
def test_a_kernel_of_four_on_nine_pixels_is_a_matrix_of_sixteen_cells_and_four_weights() -> None:
    weight = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    matrix = twin.layout((3, 3), weight.shape).matrix(weight)
    assert matrix.tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]
    assert matrix.shape == (4, 9)
    assert np.count_nonzero(matrix) == 16
    assert len(np.unique(matrix[matrix != 0])) == 4


@pytest.mark.row(135)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_whole_numbers_the_product_is_conv2d_to_the_last_bit(dtype: type) -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):  # sums of whole numbers have no rounding, whatever the order
        x = draw.integers(-9, 10, (1, 1, 3, 3)).astype(dtype)
        weight = draw.integers(-9, 10, (1, 1, 2, 2)).astype(dtype)
        layout = twin.layout((3, 3), weight.shape)
        wanted = F.conv2d(torch.from_numpy(x), torch.from_numpy(weight)).numpy().reshape(-1)
        for found in (layout.matrix(weight) @ x.reshape(-1), layout.product(weight, x.reshape(-1))):
            assert found.dtype == dtype
            assert np.array_equal(found, wanted)


@pytest.mark.row(135)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_of_the_shared_weights_are_torchs(case: tuple) -> None:
    channels, kernels, height, width, kernel, stride, padding = case
    x, weight = normal(0, 1, channels, height, width), normal(1, kernels, channels, *kernel)
    layout = twin.layout((height, width), weight.shape, stride=stride, padding=padding)
    found = layout.product(weight, x.reshape(-1))
    np.testing.assert_allclose(layout.matrix(weight) @ x.reshape(-1), found, atol=1e-12)
    pull = normal(2, len(found))
    output, gradients = torchs_gradients(
        lambda *parts: F.conv2d(*parts, stride=stride, padding=padding).flatten(), (x, weight), pull
    )
    assert_equal(found, output)
    of_x, of_weight = layout.gradients(weight, x.reshape(-1), pull)
    assert_equal(of_x.reshape(x.shape), gradients[0])
    assert_equal(of_weight, gradients[1])


@pytest.mark.parametrize("case", CASES[:2])
def test_the_matrix_turned_is_the_transposed_convolution(case: tuple) -> None:
    channels, kernels, height, width, kernel, stride, padding = case
    weight = normal(1, kernels, channels, *kernel)
    layout = twin.layout((height, width), weight.shape, stride=stride, padding=padding)
    out = F.conv2d(
        torch.zeros(1, channels, height, width).double(), torch.from_numpy(weight),
        stride=stride, padding=padding,
    )  # fmt: skip
    y = torch.from_numpy(normal(2, *out.shape))
    back = F.conv_transpose2d(y, torch.from_numpy(weight), stride=stride, padding=padding)
    # Rows that no kernel reached, because the last step did not fit, are not in torch's answer.
    reached = (layout.matrix(weight).T @ y.numpy().reshape(-1)).reshape(channels, height, width)
    assert_equal(reached[:, : back.shape[2], : back.shape[3]], back[0])


def test_a_layer_of_its_own_weights_would_have_many_more() -> None:
    layout = twin.layout((28, 28), (4, 1, 3, 3), padding=1)
    assert layout.shape == (3136, 784)
    assert layout.shape[0] * layout.shape[1] == 2_458_624  # a linear layer's; here 36 are learnt
    assert len(np.unique(layout.numbers)) == 36
    assert len(layout.numbers) == 4 * 82**2  # per side 26 places meet 3 pixels, and 2 meet 2
