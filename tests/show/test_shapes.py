"""Shapes: what axes are, broadcasting, convolution and matmul sizes; and what does not fit, by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import drivetrain as dt
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.show.shapes import broadcast, conv, describe, matmul

SIZES = st.lists(st.sampled_from([1, 2, 3, 5]), max_size=4).map(tuple)


# --- describe -------------------------------------------------------------------------------------


@pytest.mark.row(23)
def test_a_tensor_is_told_by_rank_shape_dtype_and_which_axis_is_which() -> None:
    found = describe(torch.zeros(64, 28, 28, requires_grad=True))
    assert found.values["rank"] == 3
    assert found.values["shape"] == [64, 28, 28]
    assert found.values["dtype"] == "float32"
    assert found.values["device"] == "cpu"
    assert found.values["axes"] == ["64 matrices", "28 rows", "28 columns"]
    assert str(found).splitlines()[:6] == [
        "rank 3, shape (64, 28, 28): a stack of matrices",
        "",
        "  axis  size  of what   the first of them",
        "  0     64    matrices  t[0, :, :]",
        "  1     28    rows      t[:, 0, :]",
        "  2     28    columns   t[:, :, 0]",
    ]
    assert "It records what is done with it, for gradients." in str(found)


@pytest.mark.row(23)
def test_axes_may_be_named_and_each_needs_a_name() -> None:
    found = describe(torch.zeros(2, 3), axes=("users", "films"))
    assert found.values["axes"] == ["2 users", "3 films"]
    with pytest.raises(ShapeError) as error:
        describe(torch.zeros(2, 3), axes=("users",))
    assert str(error.value) == (
        "`describe` got 1 names of axes for a tensor of shape (2, 3), which has 2."
    )


@pytest.mark.row(24)
def test_an_array_and_lists_are_told_from_a_tensor() -> None:
    array, lists = describe(np.zeros((2, 3), np.float32)), describe([[1, 2], [3, 4]])
    assert array.values["kind"] == "numpy array"
    assert lists.values["kind"] == "nested lists"
    assert lists.values["dtype"] == "int64"
    assert "it knows neither devices nor gradients" in str(lists)
    assert describe(3).values["shape"] == []


@pytest.mark.row(24)
@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        (
            [[1, 2], [3, 4], [5]],
            "These nested lists are ragged: row [2] with 1, where the others have 2. Make all rows "
            "equally "
            "long: pad the short ones, cut the long ones, or keep a list of tensors.",
        ),
        (
            [[[1, 2], [3, 4]], [[1, 2], [3]]],
            "These nested lists are ragged: row [1][1] with 1, where the others have 2. Make all "
            "rows equally "
            "long: pad the short ones, cut the long ones, or keep a list of tensors.",
        ),
        (
            [[1, 2], 3, [3, 4]],
            "These nested lists are no array: at [1] stands 3, a single number, and the others at "
            "this "
            "depth are not. A tensor has numbers at one depth only.",
        ),
        (
            [1, [2], 3],
            "These nested lists are no array: at [1] stands a list, and the others at this depth "
            "are not. A "
            "tensor has numbers at one depth only.",
        ),
    ],
)
def test_ragged_lists_are_refused_with_the_odd_row(lists: list, sentence: str) -> None:
    with pytest.raises(ShapeError) as error:
        describe(lists)
    assert str(error.value) == sentence


# --- broadcasting ---------------------------------------------------------------------------------


@pytest.mark.row(28)
@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES)
def test_broadcasting_is_numpys_and_what_is_refused_there_is_refused_here(a, b) -> None:
    try:
        expected = list(np.broadcast_shapes(a, b))
    except ValueError:
        with pytest.raises(ShapeError, match="cannot be broadcast: at axis"):
            broadcast(a, b)
    else:
        assert broadcast(a, b).result == expected


@pytest.mark.row(28)
def test_broadcasting_as_a_table() -> None:
    assert str(broadcast((64, 28, 28), (28, 28))) == (
        "(64, 28, 28) with (28, 28) gives (64, 28, 28)\n"
        "\n"
        "  axis  first  second  result  why\n"
        "  0     64     -       64      the second has no such axis: counted as 1, and repeated 64 "
        "times\n"
        "  1     28     28      28      equal\n"
        "  2     28     28      28      equal\n"
        "\n"
        "Axes are aligned at the last one; two sizes fit where they are equal or one of them is "
        "1.\n"
        "Nothing is copied: what is repeated is read again from the same place in memory."
    )


@pytest.mark.row(28)
@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        (
            ((3,), (4,)),
            "Shapes (3,) and (4,) cannot be broadcast: at axis 0 of the result (the last) the "
            "first has 3 and "
            "the second has 4, and neither is 1. Element by element they must be equally long; for "
            "every "
            "pair of them give the first as (3, 1): `x[:, None]`.",
        ),
        (
            ((64, 28, 28), (64,)),
            "Shapes (64, 28, 28) and (64,) cannot be broadcast: at axis 2 of the result (the last) "
            "the first "
            "has 28 and the second has 64, and neither is 1. Give the second axes of size 1, as "
            "(64, 1, 1): `x[:, None, None]`.",
        ),
        (
            ((3, 4), (4, 3)),
            "Shapes (3, 4) and (4, 3) cannot be broadcast: at axis 0 of the result (2 from the "
            "end) the first "
            "has 3 and the second has 4, and neither is 1. Turn the second round, to (3, 4): "
            "`x.T`.",
        ),
        (
            ((2, 5), (3, 5)),
            "Shapes (2, 5) and (3, 5) cannot be broadcast: at axis 0 of the result (2 from the "
            "end) the first "
            "has 2 and the second has 3, and neither is 1. Sizes must be equal, or one of them 1: "
            "reshape "
            "one, or take a part of it.",
        ),
    ],
)
def test_what_cannot_be_broadcast_is_named_with_its_cure(shapes, sentence: str) -> None:
    with pytest.raises(ShapeError) as error:
        broadcast(*shapes)
    assert str(error.value) == sentence


@pytest.mark.row(28)
@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES)
def test_a_cure_that_is_offered_works(a, b) -> None:
    try:
        broadcast(a, b)
    except ShapeError as error:
        text = str(error)
        tensors = {"first": torch.zeros(a), "second": torch.zeros(b)}
        if "axes of size 1, as" in text:
            name = text.split("Give the ")[1].split()[0]
            places = text.split("`x[")[1].split("]")[0].split(", ")
            index = tuple(None if place == "None" else slice(None) for place in places)
            cured = tensors | {name: tensors[name][index]}
            assert (cured["first"] + cured["second"]).ndim == max(len(a), len(b))
        elif "`x.T`" in text:
            assert (tensors["first"] + tensors["second"].T).ndim == 2


# --- convolution ----------------------------------------------------------------------------------


@pytest.mark.row(134)
@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 40),
    k=st.integers(1, 6),
    p=st.integers(0, 4),
    s=st.integers(1, 5),
    d=st.integers(1, 3),
)
def test_a_size_is_what_torchs_convolution_gives(n: int, k: int, p: int, s: int, d: int) -> None:
    layer = nn.Conv1d(1, 1, k, stride=s, padding=p, dilation=d, bias=False, dtype=torch.float64)
    if d * (k - 1) + 1 > n + 2 * p:
        with pytest.raises(ShapeError, match="does not fit"):
            conv(n, k, padding=p, stride=s, dilation=d)
        return
    found = conv(n, k, padding=p, stride=s, dilation=d)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        assert found.result == layer(torch.ones(1, 1, n, dtype=torch.float64)).shape[-1]
        # What is left over at the end is under no kernel: changing it changes nothing.
        real = max(0, found.values["left_over"][0] - p)
        x = torch.ones(1, 1, n, dtype=torch.float64)
        x[..., n - real :] = 7.0
        assert torch.equal(layer(x), layer(torch.ones_like(x))) or real == 0
    keeps = found.values["same_padding"][0]
    if keeps is not None:
        assert conv(n, k, padding=keeps, dilation=d).result == n


@pytest.mark.row(134)
def test_the_chains_of_the_course() -> None:
    found = conv(28, 3, padding=1, stride=2, layers=5)
    assert found.values["sizes"] == [28, 14, 7, 4, 2, 1]
    assert "(28 + 2·1 - 3) // 2 + 1 = 27 // 2 + 1" in str(found)
    assert conv(28, 3, padding=1).result == 28
    assert conv(5, 3).result == 3
    pictures = conv((64, 1, 28, 28), 3, out_channels=4)
    assert pictures.result == [64, 4, 26, 26]
    assert pictures.values["weight"] == [4, 1, 3, 3]
    layer = nn.Conv2d(1, 4, 3)
    assert list(layer.weight.shape) == pictures.values["weight"]
    assert list(layer(torch.zeros(64, 1, 28, 28)).shape) == pictures.result


@pytest.mark.row(134)
def test_what_is_lost_is_said_and_what_is_skipped() -> None:
    assert "the last 2 of the 29: under no kernel" in str(conv(29, 2, stride=5))
    assert "The stride 5 is longer than the kernel reaches (2)" in str(conv(29, 2, stride=5))
    assert "1 of the padding at the end" in str(conv(28, 3, padding=1, stride=2))
    assert "2p would have to be 3. Use an odd kernel." in " ".join(conv(28, 4).notes)
    wide = conv((28, 30), (3, 5), padding=(1, 2), stride=2)
    assert wide.result == [14, 15]
    assert "height 28" in str(wide)


@pytest.mark.row(134)
def test_wrong_numbers_of_a_convolution_are_refused() -> None:
    for call, kind, sentence in (
        (
            lambda: conv(2, 5),
            ShapeError,
            "The kernel of 5 does not fit on 2 + 2·0 = 2. Use a smaller kernel, more padding or "
            "fewer layers.",
        ),
        (
            lambda: conv(8, 3, stride=2, layers=3),
            ShapeError,
            "In layer 3 the kernel of 3 does not fit on 1 + 2·0 = 1. Use a smaller kernel, more "
            "padding or "
            "fewer layers.",
        ),
        (
            lambda: conv(28, 3, stride=0),
            ConfigError,
            "`stride` must be a whole number from 1 up. Got 0.",
        ),
        (
            lambda: conv(28, out_channels=4),
            ConfigError,
            "`out_channels` needs a size with channels, such as (64, 1, 28, 28).",
        ),
    ):
        with pytest.raises(kind) as error:
            call()
        assert str(error.value) == sentence


# --- matmul ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES)
def test_matmul_is_torchs(a, b) -> None:
    try:
        expected = list(torch.matmul(torch.zeros(a), torch.zeros(b)).shape)
    except RuntimeError:
        with pytest.raises(ShapeError):
            matmul(a, b)
    else:
        assert matmul(a, b).result == expected


def test_matmul_counts_and_names_the_axis_that_does_not_fit() -> None:
    found = matmul((64, 784), (784, 30), (30, 1))
    assert found.result == [64, 1]
    assert found.values["multiplications"] == 64 * 784 * 30 + 64 * 30
    with pytest.raises(ShapeError) as error:
        matmul((3, 4), (5, 4))
    assert str(error.value) == (
        "(3, 4) @ (5, 4) is not possible: the last axis of the left has 4, and the last but one "
        "axis of the "
        "right has 5. Turn the right one round: `b.mT`, (4, 5)."
    )


def test_answers_are_json_and_part_of_the_package() -> None:
    for found in (
        dt.show.describe(torch.zeros(2, 3)),
        dt.show.broadcast((3, 1), (4,)),
        dt.show.conv(28),
        dt.show.matmul((2, 3), (3, 4)),
    ):
        document = json.loads(json.dumps(found.to_json()))
        assert document["title"] == found.title
        assert "<table" in found._repr_html_()
