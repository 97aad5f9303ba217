"""Shapes, steps and axes of the small tensor beside torch's; ragged lists named by their odd row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.reference import tensors as twin

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def counted(shape: tuple[int, ...]) -> tuple[twin.Tensor, torch.Tensor]:
    theirs = torch.arange(math.prod(shape)).reshape(shape)
    return twin.Tensor(list(range(theirs.numel())), shape, twin.steps_of(shape)), theirs


@pytest.mark.row(23)
@given(shape=SHAPES)
@settings(max_examples=60, deadline=None)
def test_rank_shape_and_steps_are_torchs(shape: tuple[int, ...]) -> None:
    ours, theirs = counted(shape)
    assert ours.rank == theirs.ndim
    assert ours.steps == theirs.stride()
    assert ours.tolist() == theirs.tolist()
    assert list(ours) == theirs.flatten().tolist()


@pytest.mark.row(23)
@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple), draw=st.data())
@settings(max_examples=60, deadline=None)
def test_views_read_the_same_row_from_another_start_with_other_steps(
    shape: tuple[int, ...], draw: Any
) -> None:
    ours, theirs = counted(shape)
    first, second = (draw.draw(st.integers(0, len(shape) - 1)) for _ in range(2))
    i = draw.draw(st.integers(-shape[0], shape[0] - 1))
    for view, tensor in (
        (ours.transpose(first, second), theirs.transpose(first, second)),
        (ours[i], theirs[i]),
        (ours[i].transpose(-1, 0), theirs[i].transpose(-1, 0)),
    ):
        assert view.numbers is ours.numbers  # nothing is copied
        assert (view.shape, view.steps) == (tuple(tensor.shape), tensor.stride())
        assert view.start == tensor.storage_offset()
        assert view.tolist() == tensor.tolist()
    swapped = ours.transpose(first, second).reshape(-1, shape[0])
    assert swapped.tolist() == theirs.transpose(first, second).reshape(-1, shape[0]).tolist()


@pytest.mark.row(24)
@pytest.mark.parametrize(
    "nested",
    [3, 2.5, True, [], [[], []], [True, False], [True, 2], [1, 2.5], [[True], [0.5]], [[[1, 2]]]],
)
def test_nested_lists_are_read_as_torch_reads_them(nested: Any) -> None:
    ours, theirs = twin.tensor(nested), torch.tensor(nested)
    assert ours.shape == tuple(theirs.shape)
    assert f"torch.{twin.dtype_of(twin.flat(nested))}" == str(theirs.dtype)
    assert ours.tolist() == theirs.tolist()
    assert [type(number) for number in ours] == [
        type(number) for number in theirs.flatten().tolist()
    ]


@pytest.mark.row(24)
@pytest.mark.parametrize(
    ("nested", "message"),
    [
        (
            [[1, 2, 3], [4, 5, 6], [7, 8]],
            "x[2] has shape (2,), but x[0] has (3,), as do 2 of 3. The rows of a tensor are all alike: "
            "fill up or cut x[2], or leave it out.",
        ),
        (
            [[1, 2], [4, 5, 6], [7, 8, 9]],  # the odd one is the first
            "x[0] has shape (2,), but x[1] has (3,), as do 2 of 3. The rows of a tensor are all alike: "
            "fill up or cut x[0], or leave it out.",
        ),
        (
            [[[1, 2], [3, 4]], [[5, 6], [7]]],
            "x[1][1] has shape (1,), but x[1][0] has (2,), as do 1 of 2. The rows of a tensor are all "
            "alike: fill up or cut x[1][1], or leave it out.",
        ),
        (
            [1, 2, [3]],
            "x[2] has shape (1,), but x[0] has (), as do 2 of 3. The rows of a tensor are all alike: "
            "fill up or cut x[2], or leave it out.",
        ),
        ([1, "two"], "x[1] is 'two', a str: a tensor holds numbers, in lists."),
        ([1, None], "x[1] is None, a NoneType: a tensor holds numbers, in lists."),
    ],
)
def test_what_is_no_tensor_is_refused_by_the_place_that_is_odd(nested: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        twin.tensor(nested)
    assert str(caught.value) == message
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        torch.tensor(nested)


def test_places_and_shapes_that_are_not_there() -> None:
    x = twin.tensor([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(IndexError) as caught:
        x[2]
    assert str(caught.value) == "Index 2 is beyond axis 0 of shape (2, 3): it has 2 places."
    with pytest.raises(IndexError) as caught:
        x[0][0][0]
    message = "A tensor of rank 0 is one number: it has no axis to count along."
    assert str(caught.value) == message
    for shape in ((4,), (-1, 4), (-1, -1), (-2, -3)):
        with pytest.raises(ValueError) as caught:
            x.reshape(*shape)
        assert str(caught.value) == f"Shape (2, 3) holds 6 numbers, which {shape} cannot take."


@pytest.mark.row(23)
def test_a_tensor_in_words() -> None:
    pictures = twin.tensor(np.zeros((64, 28, 28)).tolist())
    assert twin.described(pictures, ["pictures", "rows", "columns"]) == (
        "rank 3, shape (64, 28, 28), float32: 50176 numbers\n"
        "axis 0: 64 pictures, 784 apart in the row\n"
        "axis 1: 28 rows, 28 apart in the row\n"
        "axis 2: 28 columns, 1 apart in the row"
    )
    assert twin.described(twin.tensor(7)) == "rank 0, shape (), int64: 1 number"
