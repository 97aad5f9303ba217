"""The small convolutional nets: counts and costs that are known, what they see, and how they learn."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain.randomness import seeded
from drivetrain.reference import convnets as twin
from tests.reference.arrays import assert_equal, normal

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def torchs(net: tuple[twin.Conv, ...]) -> nn.Sequential:
    model = nn.Sequential()
    with seeded(6, "net"):
        for layer in net:
            channels = layer.in_channels, layer.out_channels
            model.append(nn.Conv2d(*channels, layer.kernel, layer.stride, layer.padding))
            if layer.has_relu:
                model.append(nn.ReLU())
    return model.double()


def drawn(net: tuple[twin.Conv, ...], seed: int = 0) -> twin.Weights:
    """Kernels of He's spread, biases of 0."""
    draw = np.random.default_rng(seed)
    return [
        (
            draw.normal(
                scale=np.sqrt(2 / (layer.in_channels * layer.kernel**2)),
                size=(layer.out_channels, layer.in_channels, layer.kernel, layer.kernel),
            ),
            np.zeros(layer.out_channels),
        )
        for layer in net
    ]


@pytest.mark.row(136)
def test_parameters_of_the_simple_net() -> None:
    counts = [layer.num_parameters for layer in twin.SIMPLE_CNN]
    assert counts == [40, 296, 1168, 4640, 578]
    assert sum(counts) == 6722
    model = torchs(twin.SIMPLE_CNN)
    theirs = [sum(p.numel() for p in m.parameters()) for m in model if isinstance(m, nn.Conv2d)]
    assert theirs == counts


@pytest.mark.row(136)
def test_the_broken_net_ends_in_a_picture_and_is_refused_with_the_reason() -> None:
    out = torchs(twin.BROKEN_CNN)(torch.zeros(64, 1, 28, 28).double())
    assert out.shape == (64, 1, 28, 28)
    with pytest.raises(ValueError) as caught:
        twin.check_ends_in_classes(twin.BROKEN_CNN, 28, 2)
    assert str(caught.value) == (
        "The net makes 1 × 28 × 28 numbers of a picture of 28 × 28, and 2 classes need 2 × 1 × 1: one "
        "number a class. Halve the sides with stride 2 until one place is left, or take the mean over "
        "all places, and give the last layer one kernel a class."
    )
    twin.check_ends_in_classes(twin.SIMPLE_CNN, 28, 2)
    with pytest.raises(ValueError, match=r"makes 2 × 1 × 1 numbers .* 10 classes need 10 × 1 × 1"):
        twin.check_ends_in_classes(twin.SIMPLE_CNN, 28, 10)


@pytest.mark.row(137)
def test_multiplications_in_three_columns() -> None:
    table = [
        twin.cost(layer, n)
        for layer, n in zip(twin.SIMPLE_CNN, twin.sizes(twin.SIMPLE_CNN, 28)[:-1], strict=True)
    ]
    assert [row.input_grid for row in table] == [28_224, 56_448, 56_448, 73_728, 2_304]
    assert [row.output_grid for row in table] == [7_056, 14_112, 18_432, 18_432, 576]
    assert [row.without_padding for row in table] == [6_724, 12_800, 12_800, 12_800, 256]


@pytest.mark.row(137)
@given(
    n=st.integers(3, 16),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)
@settings(max_examples=25, deadline=None)
def test_products_with_the_picture_itself_are_counted_by_convolving_ones(
    n: int, kernel: int, stride: int, padding: int
) -> None:
    if kernel > n + 2 * padding:
        return
    layer = twin.Conv(2, 3, kernel, stride, padding)
    ones = torch.ones(1, 2, n, n).double(), torch.ones(3, 2, kernel, kernel).double()
    out = nn.functional.conv2d(*ones, stride=stride, padding=padding)
    found = twin.cost(layer, n)
    assert found.without_padding == int(out.sum())
    assert found.output_grid == 2 * 3 * kernel**2 * out[0, 0].numel()
    assert found.without_padding <= found.output_grid


@pytest.mark.row(137)
def test_two_layers_of_stride_2_see_seven_by_seven() -> None:
    net = twin.SIMPLE_CNN[:2]
    assert twin.receptive_field(net) == 7
    seen = twin.seen(net, 28, (3, 3))
    assert seen.sum() == 49
    rows, columns = np.nonzero(seen)
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == 7
    model, x = torchs(net), torch.zeros(1, 1, 28, 28).double().requires_grad_()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1)
    (gradient,) = torch.autograd.grad(model(x)[0, 0, 3, 3], x)
    assert np.array_equal(gradient[0, 0].numpy() != 0, seen)


@pytest.mark.row(137)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_the_formula_is_the_gradient_of_a_place_far_from_the_rim(
    shapes: list[tuple[int, int]],
) -> None:
    net = [twin.Conv(1, 1, kernel, stride, 0) for kernel, stride in shapes]
    side = twin.receptive_field(net)
    seen = twin.seen(net, side, (0, 0))  # exactly one place fits
    rows, columns = np.nonzero(seen)
    # A kernel smaller than its stride skips pixels; the outermost two are seen all the same.
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == side
    if all(kernel >= stride for kernel, stride in shapes):
        assert seen.all()


@pytest.mark.row(136)
def test_three_steps_of_training_are_torchs() -> None:
    net, x = twin.SIMPLE_CNN, normal(1, 6, 1, 28, 28)
    targets = np.array([0, 1, 1, 0, 1, 0])
    weights, model = drawn(net), torchs(net)
    with torch.no_grad():
        parameters = list(model.parameters())
        flat = [part for layer in weights for part in layer]
        for parameter, part in zip(parameters, flat, strict=True):
            parameter.copy_(torch.from_numpy(part))
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        preds = model(torch.from_numpy(x)).flatten(1)
        loss = nn.functional.cross_entropy(preds, torch.from_numpy(targets))
        loss.backward()
        by_hand, pulls = twin.gradients(net, weights, x, targets)
        assert_equal(np.array(by_hand), loss)
        assert_equal(twin.scores(net, weights, x)[-1].reshape(6, 2), preds)
        for pull, parameter in zip(
            [part for layer in pulls for part in layer], parameters, strict=True
        ):
            assert parameter.grad is not None
            assert_equal(pull, parameter.grad)
        twin.sgd_step(weights, pulls, 0.1)
        optimizer.step()
        for part, parameter in zip(flat, parameters, strict=True):
            assert_equal(part, parameter)


def threes_and_sevens(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first pictures (N, 1, 28, 28) in [0, 1] that are a 3 or a 7, and 1 where it is a 3."""
    folder = Path(os.environ.get("DRIVETRAIN_DATA", SHARED)) / "mnist"
    if not folder.exists():
        pytest.skip("mnist is not on this machine: set DRIVETRAIN_DATA to where the data sets lie")
    pictures = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    digits = np.frombuffer(labels, np.uint8)
    chosen = np.nonzero((digits == 3) | (digits == 7))[0][:count]
    x = np.frombuffer(pictures, np.uint8).reshape(-1, 1, 28, 28)[chosen] / 255
    return x, (digits[chosen] == 3).astype(int)


@pytest.mark.row(136)
def test_the_simple_net_learns_threes_from_sevens() -> None:
    x, targets = threes_and_sevens("train", 1500)
    new, truth = threes_and_sevens("t10k", 1000)
    net, weights, draw = twin.SIMPLE_CNN, drawn(twin.SIMPLE_CNN, 1), np.random.default_rng(0)
    for _ in range(2):
        for rows in np.split(draw.permutation(1500), 30):
            _, pulls = twin.gradients(net, weights, x[rows], targets[rows])
            twin.sgd_step(weights, pulls, 0.1)
    answers = twin.scores(net, weights, new)[-1].reshape(len(new), 2).argmax(axis=1)
    assert (answers == truth).mean() > 0.95
