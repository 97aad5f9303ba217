"""Pooling by hand beside torch's and `nn.ConcatPool2d`: values, gradients, and who gets them in a tie."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from drivetrain.nn import ConcatPool2d
from drivetrain.reference import pooling as twin
from tests.reference.arrays import assert_equal, normal, torchs_gradients

CASES = [(2, None), (3, 1), (3, 2), (2, 3)]


@pytest.mark.row(141)
def test_any_bear_or_mostly_bear() -> None:
    picture = np.array([[[[1.0, 9.0], [1.0, 1.0]]]])
    assert twin.max_pool(picture, 2).item() == 9
    assert twin.average_pool(picture, 2).item() == 3
    assert twin.concat_pool(picture).tolist() == [[3, 9]]
    assert ConcatPool2d()(torch.tensor(picture)).tolist() == [[3, 9]]


@pytest.mark.row(141)
@pytest.mark.parametrize(("kernel", "stride"), CASES)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_values_and_gradients_are_torchs(kind: str, kernel: int, stride: int | None) -> None:
    pool, gradient, theirs = {
        "max": (twin.max_pool, twin.max_pool_gradient, F.max_pool2d),
        "average": (twin.average_pool, twin.average_pool_gradient, F.avg_pool2d),
    }[kind]
    x = normal(0, 2, 3, 8, 7)
    found = pool(x, kernel, stride)
    pull = normal(1, *found.shape)
    output, (wanted,) = torchs_gradients(lambda x: theirs(x, kernel, stride), [x], pull)
    assert_equal(found, output)
    assert_equal(gradient(x, pull, kernel, stride), wanted)


@pytest.mark.row(141)
def test_both_side_by_side_are_the_layer_of_the_library() -> None:
    x, pull = normal(0, 3, 4, 5, 6), normal(1, 3, 8)
    output, (wanted,) = torchs_gradients(ConcatPool2d(), [x], pull)
    assert_equal(twin.concat_pool(x), output)
    assert_equal(twin.concat_pool_gradient(x, pull), wanted)


def test_in_a_tie_pooling_gives_to_the_first_and_the_whole_picture_to_all() -> None:
    x, pull = np.ones((1, 1, 2, 2)), np.array([[[[8.0]]]])
    _, (first,) = torchs_gradients(lambda x: F.max_pool2d(x, 2), [x], pull)
    assert first.flatten().tolist() == [8, 0, 0, 0]
    assert_equal(twin.max_pool_gradient(x, pull, 2), first)
    both = np.array([[0.0, 8.0]])
    _, (shared,) = torchs_gradients(ConcatPool2d(), [x], both)
    assert shared.flatten().tolist() == [2, 2, 2, 2]
    assert_equal(twin.concat_pool_gradient(x, both), shared)
