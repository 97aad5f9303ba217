"""Temperature scaling: promises kept, arg max kept, defined where validation says little."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.bundle.calibration import HIGHEST, LOWEST, fit_temperature
from drivetrain.errors import InputError, ShapeError
from drivetrain.metrics import CalibrationError


def drawn(n, factor, seed=0, classes=5):
    """Scores, and targets drawn from their softmax; then the scores times `factor`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=generator)
    targets = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    return factor * logits, targets


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_finds_the_factor_that_scores_were_stretched_by(factor):
    fitted = fit_temperature(*drawn(20_000, factor))
    assert fitted.value == pytest.approx(factor, rel=0.03)
    assert fitted.loss_after <= fitted.loss_before + 1e-3


def test_calibration_error_on_other_items_falls():
    fitted = fit_temperature(*drawn(2_000, 3.0))
    logits, targets = drawn(5_000, 3.0, seed=1)
    errors = []
    for scores in (logits, logits / fitted.value):
        metric = CalibrationError()
        metric.update(scores, targets)
        errors.append(metric.compute())
    assert errors[0] > 0.1 and errors[1] < 0.02


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 50), factor=st.sampled_from([1e-3, 1, 1e3]))
def test_keeps_every_prediction_and_its_range(seed, n, factor):
    logits, targets = drawn(n, factor, seed)
    fitted = fit_temperature(logits, targets)
    assert LOWEST <= fitted.value <= HIGHEST
    probs = fitted.probs(logits)
    assert probs.argmax(dim=1).equal(logits.argmax(dim=1))
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(n, dtype=torch.float64))


@pytest.mark.parametrize("n", [1, 9, 99, 9_999])
def test_where_no_item_is_wrong_it_says_about_n_of_n_plus_1(n):
    logits = 20 * torch.eye(3)[torch.arange(n) % 3]
    fitted = fit_temperature(logits, torch.arange(n) % 3)
    promised = float(fitted.probs(logits).amax(dim=1).mean())
    assert promised == pytest.approx((n + 1 / 3) / (n + 1), abs=1e-3)


def test_scores_that_say_nothing():
    assert fit_temperature(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).value == 1.0
    wrong = fit_temperature(torch.tensor([[5.0, 0.0], [0.0, 5.0]]), torch.tensor([1, 0]))
    assert wrong.value == pytest.approx(HIGHEST, rel=1e-6)


def test_does_not_depend_on_order_or_precision():
    logits, targets = drawn(100, 2.0)
    value = fit_temperature(logits, targets).value
    assert fit_temperature(logits.flip(0), targets.flip(0)).value == pytest.approx(value)
    assert fit_temperature(logits.double(), targets.int()).value == pytest.approx(value)


def test_refusals():
    with pytest.raises(ShapeError, match=r"got targets of shape \(2, 3\) .* expected \(2,\) class"):
        fit_temperature(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(InputError, match=r"targets from 0 to 3, expected class indices in 0\.\.2"):
        fit_temperature(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(
        InputError, match=r"logits with NaN, infinity or more than 1e\+30, first in row 1"
    ):
        fit_temperature(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="expected at least 1 items and a class"):
        fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
