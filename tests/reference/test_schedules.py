"""The schedules against their twins, at every progress, with defaults and without."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.optim import schedules
from drivetrain.reference import schedules as twin

PROGRESS = st.floats(0, 1)
POSITIVE = st.floats(1e-3, 1e3)
ANY = st.floats(-1e3, 1e3)

OPTIONS = {
    "constant": st.fixed_dictionaries({"value": ANY}),
    "linear": st.fixed_dictionaries({"start": ANY, "end": ANY}),
    "cosine": st.fixed_dictionaries({"start": ANY, "end": ANY}),
    "exponential": st.fixed_dictionaries({"start": POSITIVE, "end": POSITIVE}),
    "one_cycle": st.fixed_dictionaries(
        {"pct_start": st.floats(0.01, 0.99), "div": POSITIVE, "div_final": POSITIVE}
    ),
    "one_cycle_momentum": st.fixed_dictionaries(
        {"pct_start": st.floats(0.01, 0.99), "moms": st.tuples(*[st.floats(0.5, 0.99)] * 3)}
    ),
}

OPTIONS |= {
    "polynomial": st.fixed_dictionaries({"start": ANY, "end": ANY, "power": st.floats(0.1, 5)}),
    "flat_cosine": st.fixed_dictionaries(
        {"pct_start": st.floats(0.01, 0.99), "div_final": POSITIVE}
    ),
    "sgdr": st.fixed_dictionaries(
        {"num_cycles": st.integers(1, 6), "mult": st.floats(1, 3), "start": ANY, "end": ANY}
    ),
    "step_decay": st.fixed_dictionaries(
        {"num_drops": st.integers(1, 9), "gamma": st.floats(0.01, 1)}
    ),
    "multi_step": st.fixed_dictionaries(
        {
            "milestones": st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5, unique=True).map(
                sorted
            ),
            "gamma": st.floats(0.01, 1),
        }
    ),
}


def record(name: str):
    """A schedule with options, as a record."""
    return OPTIONS[name].map(lambda options: {"name": name, **options})


def shared(records):
    """Records as pieces, their shares in the proportion of 1, 2, 3 …"""
    total = sum(range(1, len(records) + 1))
    return [{"share": (i + 1) / total, **one} for i, one in enumerate(records)]


SIMPLE = st.one_of([record(name) for name in sorted(OPTIONS)])
OPTIONS["warmup"] = st.fixed_dictionaries(
    {"pct_start": st.floats(0.01, 0.99), "start": st.floats(0, 1), "then": SIMPLE}
)
NESTED = SIMPLE | record("warmup")
OPTIONS["piecewise"] = st.lists(NESTED, min_size=1, max_size=4).map(
    lambda records: {"pieces": shared(records)}
)


def test_every_schedule_has_a_twin_here():
    assert set(OPTIONS) == set(schedules.SCHEDULES)


@pytest.mark.parametrize("name", sorted(OPTIONS))
@given(data=st.data(), progress=PROGRESS)
@settings(max_examples=60, deadline=None)
def test_value_equals_the_twin(name, data, progress):
    options = data.draw(OPTIONS[name])
    fast = schedules.schedule(name, **options)(progress)
    assert fast == pytest.approx(getattr(twin, name)(progress, **options), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_defaults_equal_the_twin(name):
    def defaults(function):
        return {
            key: parameter.default
            for key, parameter in inspect.signature(function).parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }

    assert defaults(schedules.SCHEDULES[name]) == defaults(getattr(twin, name))
