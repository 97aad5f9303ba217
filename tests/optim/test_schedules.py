"""Schedules: ends and turns, torch's OneCycleLR as oracle, options checked before training."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch.optim import lr_scheduler

from drivetrain.errors import ConfigError, InputError, UnknownNameError
from drivetrain.optim import (
    SCHEDULES,
    as_schedule_record,
    cosine,
    flat_cosine,
    linear,
    multi_step,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    schedule,
    sgdr,
    step_decay,
    warmup,
)
from drivetrain.optim.schedules import constant, exponential, of_record

UP = {"share": 0.1, "name": "linear", "start": 0.0, "end": 1.0}
FLAT = {"share": 0.2, "name": "constant"}
DOWN = {"share": 0.7, "name": "warmup", "pct_start": 0.5, "start": 1.0, "then": {"name": "cosine"}}

REQUIRED = {
    "exponential": {"start": 1e-7, "end": 10.0},
    "piecewise": {"pieces": [UP, FLAT, DOWN]},
}
JUMPS = {"multi_step", "sgdr", "step_decay"}


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


def test_flat_cosine_is_flat_for_three_quarters():
    assert [flat_cosine(t) for t in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 1.0, 1e-5]
    assert flat_cosine(0.875) == pytest.approx((1 + 1e-5) / 2)


def test_sgdr_by_hand():
    """Cycles of 1, 2 and 4 sevenths; a quarter through a half cosine is (1 + cos 45°) / 2."""
    quarter = (1 + math.sqrt(0.5)) / 2
    values = [sgdr(step / 7) for step in range(8)]
    assert values == pytest.approx([1, 1, 0.5, 1, quarter, 0.5, 1 - quarter, 0], abs=1e-12)
    assert sgdr(0.5, num_cycles=2, mult=1, start=3.0, end=1.0) == 3.0
    assert sgdr(0.25, num_cycles=2, mult=1, start=3.0, end=1.0) == pytest.approx(2.0)


@pytest.mark.parametrize("mult", [1, 2, 3, 1.5])
@pytest.mark.parametrize("num_cycles", [1, 2, 5])
def test_sgdr_restarts_at_each_boundary_itself_and_ends_low(mult, num_cycles):
    lengths = [mult**i for i in range(num_cycles)]
    for cycle in range(num_cycles):
        begin = sum(lengths[:cycle]) / sum(lengths)
        assert sgdr(begin, num_cycles=num_cycles, mult=mult, end=0.1) == 1.0
    assert sgdr(1.0, num_cycles=num_cycles, mult=mult, end=0.1) == 0.1


def test_staircases_drop_at_the_boundary_itself():
    assert [step_decay(t, num_drops=1, gamma=0.5) for t in (0.0, 0.49, 0.5, 1.0)] == [
        1,
        1,
        0.5,
        0.5,
    ]
    values = [multi_step(t, milestones=[0.3, 0.6], gamma=0.5) for t in (0.29, 0.3, 0.6, 1.0)]
    assert values == [1, 0.5, 0.25, 0.25]
    for num_drops in range(1, 30):
        steps = 7 * (num_drops + 1)
        drops = [step_decay(step / steps, num_drops=num_drops, gamma=0.5) for step in range(steps)]
        assert drops == [0.5 ** (step // 7) for step in range(steps)]


def test_polynomial_by_hand():
    assert polynomial(0.5, power=2.0) == 0.25
    assert polynomial(0.75, start=1.0, end=0.2, power=0.5) == pytest.approx(0.6)
    assert (polynomial(0.0, start=0.3, end=0.7), polynomial(1.0, start=0.3, end=0.7)) == (0.3, 0.7)


def test_warmup_rises_to_what_follows():
    then = {"name": "linear", "start": 0.8, "end": 0.4}
    values = [warmup(t, pct_start=0.2, start=0.5, then=then) for t in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert values == pytest.approx([0.4, 0.6, 0.8, 0.6, 0.4])
    assert values[2] == 0.8


def test_pieces_begin_where_their_share_does_however_shares_are_rounded():
    """0.1 + 0.2 is more than 0.3, and 0.1 taken ten times is less than 1."""
    pieces = [{"share": 0.1, "name": "constant", "value": i} for i in range(10)]
    steps = 1000
    values = [piecewise(step / steps, pieces=pieces) for step in range(steps + 1)]
    assert values == [min(step // 100, 9) for step in range(steps + 1)]
    ramp = {"share": 0.7, "name": "linear", "start": 0.0, "end": 1.0}
    pieces = [*pieces[1:2], {"share": 0.2, "name": "constant"}, ramp]
    assert [piecewise(t, pieces=pieces) for t in (0.0, 0.1, 0.3, 1.0)] == [1.0, 1.0, 0.0, 1.0]


def test_pieces_nest():
    inner = {"name": "piecewise", "pieces": [{**UP, "share": 0.5}, {**FLAT, "share": 0.5}]}
    curve = schedule("piecewise", pieces=[{"share": 0.5, **inner}, {"share": 0.5, **inner}])
    assert [curve(t) for t in (0.0, 0.125, 0.25, 0.4, 0.5, 0.625, 1.0)] == [0, 0.5, 1, 1, 0, 0.5, 1]


def test_one_cycle_is_a_composition_of_pieces():
    pieces = [
        {"share": 0.25, "name": "cosine", "start": 1 / 25, "end": 1.0},
        {"share": 0.75, "name": "cosine", "start": 1.0, "end": 1e-5},
    ]
    for step in range(101):
        assert piecewise(step / 100, pieces=pieces) == one_cycle(step / 100)


# --- torch as oracle ------------------------------------------------------------------------------

STEPS = 140


def torchs(make) -> list[float]:
    """The rates of torch's scheduler over STEPS steps, the highest being 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("make", "record"),
    [
        (
            lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=0.9),
            {"name": "polynomial", "power": 0.9},
        ),
        (lambda o: lr_scheduler.PolynomialLR(o, STEPS), {"name": "polynomial"}),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, 0.01), {"name": "cosine", "end": 0.01}),
        (
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, STEPS // 7, 2, eta_min=0.01),
            {"name": "sgdr", "num_cycles": 3, "mult": 2, "end": 0.01},
        ),
        (
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, STEPS // 4),
            {"name": "sgdr", "num_cycles": 4, "mult": 1},
        ),
        (
            lambda o: lr_scheduler.ExponentialLR(o, 0.97),
            {"name": "exponential", "start": 1.0, "end": 0.97**STEPS},
        ),
        (
            lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=STEPS),
            {"name": "linear", "end": 0.2},
        ),
        (
            lambda o: lr_scheduler.StepLR(o, STEPS // 4, gamma=0.3),
            {"name": "step_decay", "num_drops": 3, "gamma": 0.3},
        ),
        (
            lambda o: lr_scheduler.MultiStepLR(o, [42, 98], gamma=0.3),
            {"name": "multi_step", "milestones": [0.3, 0.7], "gamma": 0.3},
        ),
        (
            lambda o: lr_scheduler.SequentialLR(
                o,
                [
                    lr_scheduler.LinearLR(o, 0.25, total_iters=14),
                    lr_scheduler.CosineAnnealingLR(o, STEPS - 14),
                ],
                milestones=[14],
            ),
            {"name": "warmup", "pct_start": 0.1, "start": 0.25, "then": "cosine"},
        ),
        (
            lambda o: lr_scheduler.SequentialLR(
                o,
                [
                    lr_scheduler.LinearLR(o, 0.5, total_iters=14),
                    lr_scheduler.ConstantLR(o, factor=1.0),
                    lr_scheduler.PolynomialLR(o, 98, power=2.0),
                ],
                milestones=[14, 42],
            ),
            {
                "name": "piecewise",
                "pieces": [
                    {"share": 0.1, "name": "linear", "start": 0.5, "end": 1.0},
                    {"share": 0.2, "name": "constant"},
                    {"share": 0.7, "name": "polynomial", "power": 2.0},
                ],
            },
        ),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
@pytest.mark.filterwarnings(
    "ignore:The epoch parameter in `scheduler.step"
)  # torch's own call of it
def test_every_step_equals_torchs_scheduler(make, record):
    curve = of_record(record)
    assert [curve(step / STEPS) for step in range(STEPS)] == pytest.approx(
        torchs(make), rel=1e-9, abs=1e-12
    )


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
def test_both_ends_given_as_whole_numbers_are_floats(name):
    """Values become JSON and torch scalars: an int or numpy's own kind would turn up there."""
    curve = schedule(
        name, **{**REQUIRED.get(name, {}), **({"value": 1} if name == "constant" else {})}
    )
    assert type(curve(0)) is type(curve(1)) is float


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_survives_json(name):
    again = json.loads(json.dumps({"name": name, **REQUIRED.get(name, {})}))
    for step in range(101):
        assert of_record(again)(step / 100) == made(name)(step / 100)


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - JUMPS))
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
        "flat_cosine, linear, multi_step, one_cycle, one_cycle_momentum, piecewise, polynomial, sgdr, "
        "step_decay, warmup."
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
        ("polynomial", {"power": 0}, "`polynomial` needs `power` above 0, got 0."),
        (
            "flat_cosine",
            {"div_final": 0.0},
            "`flat_cosine` divides the highest rate by `div_final`, so it must be above 0, got 0.0.",
        ),
        (
            "flat_cosine",
            {"pct_start": 0.0},
            "`flat_cosine` needs `pct_start`, the share of training before the turn, above 0 and "
            "below 1, got 0.0.",
        ),
        (
            "sgdr",
            {"num_cycles": 1.5},
            "`sgdr` needs a whole number of cycles from 1 up and `mult` from 1 up, "
            "got num_cycles=1.5 and mult=2.0.",
        ),
        (
            "sgdr",
            {"mult": float("nan")},
            "`sgdr` needs a whole number of cycles from 1 up and `mult` from 1 up, "
            "got num_cycles=3 and mult=nan.",
        ),
        (
            "step_decay",
            {"num_drops": 0},
            "`step_decay` needs a whole number of drops from 1 up and `gamma` above 0, "
            "got num_drops=0 and gamma=0.1.",
        ),
        (
            "multi_step",
            {"milestones": [0.7, 0.3]},
            "`multi_step` needs `milestones` that are shares of training: rising, above 0 and "
            "below 1, got [0.7, 0.3].",
        ),
        (
            "multi_step",
            {"milestones": [30, 60]},
            "`multi_step` needs `milestones` that are shares of training: rising, above 0 and "
            "below 1, got [30, 60].",
        ),
        ("multi_step", {"gamma": -1}, "`multi_step` needs `gamma` above 0, got -1."),
        (
            "warmup",
            {"pct_start": 1.0},
            "`warmup` needs `pct_start`, the share of training before the turn, above 0 and "
            "below 1, got 1.0.",
        ),
        (
            "warmup",
            {"then": {"name": "polynomial", "power": -1}},
            "`polynomial` needs `power` above 0, got -1.",
        ),
        (
            "warmup",
            {"then": 3},
            "A schedule is a name, or a dict with `name` and options. Got 3. "
            f"Names: {', '.join(SCHEDULES)}.",
        ),
        (
            "piecewise",
            {"pieces": []},
            "`piecewise` needs `pieces`, a list of one or more such as "
            '{"share": 1.0, "name": "cosine"}. Got [].',
        ),
        (
            "piecewise",
            {"pieces": [{"name": "cosine"}]},
            "Each piece of `piecewise` needs a `share` of training above 0. Got {'name': 'cosine'}.",
        ),
        (
            "piecewise",
            {"pieces": [{"share": 0.5, "name": "cosine"}, {"share": 0.4, "name": "linear"}]},
            "The shares of `piecewise` must add up to 1, the whole training. Got 0.5 + 0.4 = 0.9.",
        ),
        (  # in the middle, where neither end of training shows it
            "piecewise",
            {"pieces": [UP, {"share": 0.2, "name": "linear", "stop": 1.0}, DOWN]},
            "Schedule 'linear' has no option 'stop'. Options: start, end.",
        ),
        (
            "linear",
            {"start": "high"},
            "Schedule 'linear' cannot work with start='high': "
            "can't multiply sequence by non-int of type 'float'.",
        ),
        (
            "linear",
            {"end": float("nan")},
            "Schedule 'linear' with end=nan is not finite at progress 0.",
        ),
    ],
)
def test_wrong_option_is_refused_when_the_schedule_is_made(name, options, message):
    with pytest.raises(ConfigError) as caught:
        schedule(name, **options)
    assert str(caught.value) == message


def test_numbers_that_no_float_holds_are_refused():
    with pytest.raises(
        ConfigError, match=r"^Schedule 'sgdr' cannot work with num_cycles=5000: .*\.$"
    ):
        schedule("sgdr", num_cycles=5000)


def test_an_unknown_name_deep_in_a_composition_is_answered():
    deep = {"share": 1.0, "name": "warmup", "then": "cosin"}
    with pytest.raises(
        UnknownNameError, match=r"^Unknown schedule 'cosin'\. Did you mean 'cosine'\?"
    ):
        schedule("piecewise", pieces=[deep])


# --- what a person may give, as the journal keeps it ------------------------------------------------


@pytest.mark.parametrize(
    ("value", "record"),
    [
        (None, {"name": "constant"}),
        ("cosine", {"name": "cosine"}),
        ({"name": "sgdr", "num_cycles": 2}, {"name": "sgdr", "num_cycles": 2}),
        ({"name": "multi_step", "milestones": (0.5,)}, {"name": "multi_step", "milestones": [0.5]}),
        ({"name": "linear", "end": np.float32(0.5)}, {"name": "linear", "end": 0.5}),
        ({"name": "linear", "end": torch.tensor(0.5)}, {"name": "linear", "end": 0.5}),
        (
            ["cosine", None],
            {"name": "per_group", "schedules": [{"name": "cosine"}, {"name": "constant"}]},
        ),
        (
            {"name": "per_group", "schedules": ("linear", {"name": "cosine"})},
            {"name": "per_group", "schedules": [{"name": "linear"}, {"name": "cosine"}]},
        ),
    ],
)
def test_what_a_person_may_give_becomes_a_record(value, record):
    found = as_schedule_record(value, 2)
    assert found == record
    assert json.loads(json.dumps(found)) == found
    assert as_schedule_record(found, 2) == found


def test_a_record_shares_nothing_with_what_was_given():
    milestones = [0.5]
    found = as_schedule_record({"name": "multi_step", "milestones": milestones}, 1)
    milestones.append(0.7)
    assert found["milestones"] == [0.5]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            ["cosine"],
            "Got 1 schedules for 2 layer groups. Give one schedule for all, or a list with one a "
            "group, from the input to the head.",
        ),
        (
            {"name": "per_group"},
            "A `per_group` schedule holds `schedules`, a list with one a layer group, and nothing "
            "else. Got {'name': 'per_group'}.",
        ),
        (
            {"power": 2.0},
            "A schedule is a name, or a dict with `name` and options. Got {'power': 2.0}. "
            f"Names: {', '.join(SCHEDULES)}.",
        ),
        (
            {"name": "linear", "end": 1j},
            "The options of a schedule are numbers, strings, lists and dicts, so that a journal can "
            "keep them. Got 1j.",
        ),
        (
            ["linear", {"name": "polynomial", "power": 0}],
            "`polynomial` needs `power` above 0, got 0.",
        ),
    ],
)
def test_what_no_journal_could_keep_is_refused(value, message):
    with pytest.raises(ConfigError) as caught:
        as_schedule_record(value, 2)
    assert str(caught.value) == message


def test_a_function_is_refused_as_a_schedule_for_a_journal():
    with pytest.raises(
        ConfigError, match=r"^A schedule is a name, or a dict with `name` and options\."
    ):
        as_schedule_record(lambda progress: 1 - progress, 1)
