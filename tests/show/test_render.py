"""Calculations and answers as text: aligned, within the width, and honest about what is left out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import drivetrain as dt
from drivetrain.show.loss import loss_of
from drivetrain.show.render import MOST, array_lines, number, sampled
from drivetrain.show.working import Working

SCORES = torch.tensor([[1.0, 2.0, 3.0]])
SIZES = st.lists(st.integers(0, 9), max_size=4).map(tuple)


def test_a_calculation_as_text_whole() -> None:
    found = loss_of("cross_entropy", SCORES, torch.tensor([2]), item=0, classes=["a", "b", "c"])
    text, checked = dt.show.text(found).split("the run   ")
    assert text == (
        "cross_entropy of item 0: the true class is 2 (c)\n"
        "================================================\n"
        "\n"
        "  loss = -log p[true],  p = softmax(z)\n"
        "\n"
        "put in\n"
        "  z   the scores (logits), one a class (3)\n"
        "      1  2  3\n"
        "\n"
        "worked out\n"
        "  top = max(z) = 3                the highest score, taken off so that exp cannot "
        "overflow\n"
        "  e = exp(z - top)                e to the power of each score (3)\n"
        "      0.13534  0.36788        1\n"
        "  total = sum(e) = 1.50321472     their sum\n"
        "  p = e / total                   softmax: the probability of each class (3)\n"
        "      0.090031   0.24473   0.66524\n"
        "  logp = z - top - log(total)     its natural logarithm, without the rounding of log(p) "
        "(3)\n"
        "       -2.4076   -1.4076  -0.40761\n"
        "  loss = -logp[2] = 0.407605964   minus the logarithm of the true class's probability\n"
        "\n"
        "result    0.407605964\n"
    )
    assert checked.startswith("0.4076059") and "agrees: difference " in checked
    assert checked.endswith("allowed 1e-05\nfrom      cross_entropy, drivetrain.losses")


def test_what_differs_is_cried_out() -> None:
    work = Working()
    work.put("x", 2.0, "a number")
    work.line("y", "x * x", "its square")
    found = work.done("a square", "y = x²", 5.0, source="by hand", tolerance=1e-6)
    assert "the run   5   DIFFERS: difference 0.2, allowed 1e-06" in dt.show.text(found)


@settings(deadline=None, max_examples=40)
@given(SIZES, st.sampled_from([60, 80, 96]))
def test_large_arrays_are_sampled_and_say_so(shape: tuple[int, ...], width: int) -> None:
    array = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) / 7
    lines = list(array_lines(array, width=width))
    assert all(len(line) <= width for line in lines)
    if array.size == 0:
        assert lines == ["no numbers"]
        return
    shown = re.fullmatch(r"… ([\d,]+) of ([\d,]+) shown, --full shows all", lines[-1])
    numbers = [word for line in lines[: -1 if shown else None] for word in line.split()]
    if array.size <= MOST:
        assert shown is None and len(numbers) == array.size
    elif shown is not None:
        assert len(numbers) == int(shown[1].replace(",", "")) < array.size
        assert int(shown[2].replace(",", "")) == array.size
    whole = list(array_lines(array, full=True, width=width))
    assert [word for line in whole for word in line.split()] == [
        number(x, 5) for x in array.reshape(-1).tolist()
    ]


def test_the_matrices_of_a_patch_stand_apart() -> None:
    lines = list(array_lines(np.ones((3, 3, 3))))
    assert lines == ["1  1  1"] * 3 + [""] + ["1  1  1"] * 3 + [""] + ["1  1  1"] * 3


def test_a_sample_begins_at_the_corner() -> None:
    rows, shown, total = sampled(np.arange(1000.0).reshape(10, 100))
    assert (rows[0][:3], rows[1][0], shown, total) == ([0.0, 1.0, 2.0], 100.0, 27, 1000)


@pytest.mark.parametrize("width", [80, 96])
def test_lines_keep_within_the_width(width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    preds = torch.randn(30, 9, generator=generator)
    targets = torch.randint(0, 9, (30,), generator=generator)
    for found in (
        loss_of("cross_entropy", preds, targets),
        dt.show.metric_of("roc_auc", preds, targets),
        dt.show.metric_of("f1", preds, targets),
        dt.show.broadcast((5, 1, 3), (4, 1), (3,)),
    ):
        assert max(len(line) for line in dt.show.text(found, width=width).splitlines()) <= width


def test_numbers_are_short_and_never_wrong() -> None:
    assert [number(x) for x in (0.0, 1e-12, 123456.789, -3.0, float("nan"), float("inf"))] == [
        *("0", "1e-12", "123457", "-3", "nan", "inf"),
    ]
    assert number(True) == "1"
