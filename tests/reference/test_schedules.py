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
