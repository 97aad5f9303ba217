"""Schedules: ends and turns, torch's OneCycleLR as oracle, options checked before training."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, strategies as st

from drivetrain.errors import ConfigError, InputError, UnknownNameError
from drivetrain.optim import SCHEDULES, cosine, linear, one_cycle, one_cycle_momentum, schedule
from drivetrain.optim.schedules import constant, exponential

REQUIRED = {"exponential": {"start": 1e-7, "end": 10.0}}


def made(name: str):
    return schedule(name, **REQUIRED.get(name, {}))


# --- known answers --------------------------------------------------------------------------------


def test_ends_are_exact():
    assert (linear(0.0, start=0.3, end=0.7), linear(1.0, start=0.3, end=0.7)) == (0.3, 0.7)
    assert (cosine(0.0, start=0.3, end=0.7), cosine(1.0, start=0.3, end=0.7)) == (0.3, 0.7)
    assert exponential(0.0, start=1e-7, end=10.0) == 1e-7
    assert exponential(1.0, start=1e-7, end=10.0) == 10.0
    assert constant(0.4, value=0.9) == 0.9


def test_one_cycle_rises_to_one_at_a_quarter_and_falls_to_almost_nothing():
    assert one_cycle(0.0) == 1 / 25
    assert one_cycle(0.125) == pytest.approx((1 / 25 + 1) / 2)
    assert one_cycle(0.25) == 1.0
    assert one_cycle(0.625) == pytest.approx(0.5, abs=1e-5)
    assert one_cycle(1.0) == 1e-5


def test_momentum_is_lowest_where_the_rate_is_highest():
    values = [one_cycle_momentum(t) for t in (0.0, 0.25, 1.0)]
    assert values == [0.95, 0.85, 0.95]
    grid = [i / 400 for i in range(401)]
    assert max(grid, key=one_cycle) == min(grid, key=one_cycle_momentum) == 0.25


def test_exponential_goes_by_equal_ratios():
    values = [exponential(i / 10, start=1e-5, end=1.0) for i in range(11)]
    ratios = [b / a for a, b in pairwise(values)]
    assert ratios == pytest.approx([math.sqrt(10)] * 10)


@pytest.mark.parametrize(("pct_start", "div", "div_final"), [(0.25, 25.0, 1e5), (0.4, 10.0, 1e3)])
def test_one_cycle_equals_torchs_where_both_can_say_the_same(pct_start, div, div_final):
    """Torch ends at step N - 1, and its last divisor divides the first rate, not the highest."""
    steps = 100
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=2.0,
        total_steps=steps + 1,
        # The turn at step 100 · pct_start: torch puts it at pct_start · total_steps - 1.
        pct_start=(steps * pct_start + 1) / (steps + 1),
        div_factor=div,
        final_div_factor=div_final / div,
        base_momentum=0.85,
        max_momentum=0.95,
    )
    for step in range(steps + 1):
        group = optimizer.param_groups[0]
        settings = {"pct_start": pct_start}
        rate = 2.0 * one_cycle(step / steps, div=div, div_final=div_final, **settings)
        assert rate == pytest.approx(group["lr"], rel=1e-9, abs=1e-12)
        momentum = one_cycle_momentum(step / steps, **settings)
        assert momentum == pytest.approx(group["momentum"], rel=1e-9)
        optimizer.step()
        if step < steps:
            scheduler.step()


# --- contract -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@given(progress=st.floats(0, 1))
def test_is_a_finite_pure_function_of_progress(name, progress):
    curve = made(name)
    value = curve(progress)
    assert isinstance(value, float)
    assert math.isfinite(value)
    assert value == curve(progress) == SCHEDULES[name](progress, **REQUIRED.get(name, {}))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_has_no_jumps(name):
    values = [made(name)(i / 2000) for i in range(2001)]
    span = max(values) - min(values)
    assert all(abs(b - a) <= 0.011 * max(span, 1e-9) for a, b in pairwise(values))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_holds_nothing_but_its_name_and_options(name):
    """So a journal of the two can make it again."""
    curve = made(name)
    assert curve.func is SCHEDULES[name]
    assert (curve.args, curve.keywords) == ((), REQUIRED.get(name, {}))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("progress", [-0.01, 1.01, float("nan"), float("inf")])
def test_progress_outside_zero_and_one_is_refused(name, progress):
    with pytest.raises(InputError) as caught:
        made(name)(progress)
    assert str(caught.value) == (
        f"`{name}` got progress {progress}, expected the share of training done, from 0 (start) to 1 "
        "(end). Divide the step by the number of steps."
    )


# --- refusals, all before training ----------------------------------------------------------------


def test_unknown_schedule_is_answered():
    with pytest.raises(UnknownNameError) as caught:
        schedule("cosin")
    assert str(caught.value) == (
        "Unknown schedule 'cosin'. Did you mean 'cosine'? Known: constant, cosine, exponential, "
        "linear, one_cycle, one_cycle_momentum."
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "one_cycle",
            {"pct_strat": 0.3},
            "Schedule 'one_cycle' has no option 'pct_strat'. Did you mean 'pct_start'? "
            "Options: pct_start, div, div_final.",
        ),
        (
            "linear",
            {"progress": 0.5},
            "Schedule 'linear' has no option 'progress'. Options: start, end.",
        ),
        (
            "exponential",
            {},
            "Schedule 'exponential' needs the options start and end: "
            "schedule('exponential', start=..., end=...).",
        ),
        (
            "exponential",
            {"start": 0.1},
            "Schedule 'exponential' needs the option end: "
            "schedule('exponential', start=..., end=...).",
        ),
        (
            "exponential",
            {"start": 0.0, "end": 1.0},
            "`exponential` needs `start` and `end` above 0, got start=0.0 and end=1.0. "
            "Use `linear` or `cosine` to reach zero.",
        ),
        (
            "one_cycle",
            {"pct_start": 1.0},
            "`one_cycle` needs `pct_start`, the share of training before the turn, above 0 and "
            "below 1, got 1.0.",
        ),
        (
            "one_cycle_momentum",
            {"pct_start": 0.0},
            "`one_cycle_momentum` needs `pct_start`, the share of training before the turn, above 0 "
            "and below 1, got 0.0.",
        ),
        (
            "one_cycle",
            {"div": 0.0},
            "`one_cycle` divides the highest rate by `div` and `div_final`, so both must be above 0, "
            "got div=0.0 and div_final=100000.0.",
        ),
    ],
)
def test_wrong_option_is_refused_when_the_schedule_is_made(name, options, message):
    with pytest.raises(ConfigError) as caught:
        schedule(name, **options)
    assert str(caught.value) == message
