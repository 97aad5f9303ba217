"""Losses as chains of steps: torch's values and gradients, and those of the formulas by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from drivetrain.reference import losses as by_formula, probability as twin
from drivetrain.reference.autograd import Value
from tests.reference.gradients import assert_equal_to_torch, normal, same

SCORES, CLASSES = 3 * normal(16, 5), np.random.default_rng(1).integers(0, 5, 16)
ONE, ANSWERS = 3 * normal(16), np.random.default_rng(1).integers(0, 2, 16).astype(float)
NUMBERS = normal(16, seed=2)
SHEET = [-4.885, 2.597, 0.592, -2.069, -4.569]
"""Of five classes in the course's workbook, read to three decimals; the picture is a dog, class 1."""
SHEETS_PROBS = [0.00049, 0.87314, 0.11748, 0.00821, 0.00067]
"""What the workbook makes of its own scores, which have more decimals than are shown."""


def softmax(scores: list[float]) -> np.ndarray:
    return twin.softmax(Value([scores])).data[0]


@pytest.mark.row(116)
def test_softmax_of_known_scores() -> None:
    same(softmax([1, 2, 3]), [0.0900, 0.2447, 0.6652], atol=5e-5)
    # Each score is off by half a thousandth at most, and its slopes say what that can do.
    most = 0.0005 * np.abs(twin.softmax_slopes(softmax(SHEET))).sum(axis=1) + 5e-6
    assert bool((np.abs(softmax(SHEET) - SHEETS_PROBS) <= most).all())


@pytest.mark.row(116)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(twin.softmax, torch.softmax), (twin.log_softmax, torch.log_softmax)],
)
def test_softmax_is_torchs_at_ordinary_and_at_huge_scores(
    ours: Callable[[Value], Value], theirs: Callable[..., torch.Tensor]
) -> None:
    for scores in (SCORES, SCORES - 1000, SCORES + 1000, 300 * SCORES):
        assert_equal_to_torch(ours, partial(theirs, dim=1), scores)


@pytest.mark.row(116)
@given(scores=st.lists(st.floats(-50, 50), min_size=2, max_size=6), shift=st.floats(-500, 500))
@settings(max_examples=100, deadline=None)
def test_softmax_is_positive_sums_to_one_and_does_not_feel_a_shift(
    scores: list[float], shift: float
) -> None:
    probs = softmax(scores)
    assert probs.min() > 0
    assert probs.sum() == pytest.approx(1, abs=1e-12)
    same(softmax([score + shift for score in scores]), probs, atol=1e-11)
    order = np.argsort(scores, kind="stable")
    assert bool((np.diff(probs[order]) >= 0).all())


@pytest.mark.row(116)
def test_the_slopes_of_softmax_are_torchs_jacobian() -> None:
    scores = torch.tensor(SHEET, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(partial(torch.softmax, dim=0), scores)
    assert isinstance(jacobian, torch.Tensor)
    found = twin.softmax_slopes(softmax(SHEET))
    same(found, jacobian, atol=1e-12)
    same(found.sum(axis=1), np.zeros(5), atol=1e-12)


LOSSES: list[Any] = [
    pytest.param(
        twin.cross_entropy, F.cross_entropy, "cross_entropy", SCORES, CLASSES, id="classes"
    ),
    pytest.param(
        twin.one_hot_cross_entropy, F.cross_entropy, "cross_entropy", SCORES, CLASSES, id="one-hot"
    ),
    pytest.param(twin.mean_squared, F.mse_loss, "mse", ONE, NUMBERS, id="mse"),
    pytest.param(twin.mean_absolute, F.l1_loss, "mae", ONE, NUMBERS, id="mae"),
    pytest.param(
        twin.mnist_loss,
        lambda x, y: torch.where(y == 1, 1 - x.sigmoid(), x.sigmoid()).mean(),
        *("mnist_loss", ONE, ANSWERS),
        id="mnist",
    ),
]


@pytest.mark.row(117)
@pytest.mark.row(36)
@pytest.mark.row(39)
@pytest.mark.parametrize(("ours", "torchs", "name", "x", "y"), LOSSES)
def test_losses_are_torchs_and_their_gradients_those_by_hand(
    ours: Callable[[Value, np.ndarray], Value],
    torchs: Callable[..., torch.Tensor],
    name: str,
    x: np.ndarray,
    y: np.ndarray,
) -> None:
    targets = torch.from_numpy(y)
    assert_equal_to_torch(lambda x: ours(x, y), lambda x: torchs(x, targets), x)
    preds = Value(x)
    ours(preds, y).backward()
    same(preds.grad, getattr(by_formula, f"{name}_gradient")(torch.from_numpy(x), targets))
    assert torch.autograd.gradcheck(
        lambda x: torchs(x, targets), (torch.from_numpy(x).requires_grad_(),)
    )


@pytest.mark.row(117)
def test_the_cross_entropy_of_one_item_line_by_line() -> None:
    assert sum(line.loss for line in twin.worked([1, 2, 3], 2)) == pytest.approx(0.40761, abs=5e-6)
    lines = twin.worked(SHEET, 1)
    most = 0.0005 * 2 * (1 - lines[1].probability)  # as above: the slopes are p - target
    assert sum(line.loss for line in lines) == pytest.approx(0.13566, abs=most + 5e-6)
    sheets = twin.worked(np.log(SHEETS_PROBS).tolist(), 1)  # scores that give its own probabilities
    missing = 1 - sum(SHEETS_PROBS)  # five decimals of each: together they are not quite 1
    rounding = 5e-6 / SHEETS_PROBS[1] + 5e-6
    assert sum(line.loss for line in sheets) == pytest.approx(0.13566, abs=missing + rounding)
    expected = F.cross_entropy(torch.tensor([SHEET], dtype=torch.float64), torch.tensor([1]))
    assert sum(line.loss for line in lines) == pytest.approx(expected.item(), abs=1e-12)
    same([line.probability for line in lines], softmax(SHEET), atol=1e-12)
    same([line.power for line in lines], np.exp(SHEET), atol=1e-12)
    assert [line.target for line in lines] == [0, 1, 0, 0, 0]
    assert [line.score for line in lines] == SHEET
    # With logarithms to base 10, as the course's workbook takes them, the same row says 0.0589.
    assert -np.log10(SHEETS_PROBS[1]) == pytest.approx(0.0589, abs=5e-5)


@pytest.mark.row(39)
def test_the_first_loss_of_the_course_on_its_own_numbers() -> None:
    preds, answers = Value([0.9, 0.4, 0.2]), np.array([1, 0, 1])
    assert twin.distance_to_answer(preds, answers).data == pytest.approx(0.4333, abs=5e-5)
    assert twin.mnist_loss(preds, answers).data == pytest.approx(0.4460, abs=5e-5)
