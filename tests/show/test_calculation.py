"""Calculations as data: worked out by steps, compared with the run, written as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from drivetrain.errors import ConfigError
from drivetrain.show.calculation import Calculation, Term, work
from tests.show.independent import recalculate


def line(own: Any = 7.0, tolerance: float = 1e-6, **more: Any) -> Calculation:
    """y = w·x + b at x = 2."""
    terms = [
        Term("x", "the input", np.array(2.0), "input"),
        Term("w", "the slope", np.array(3.0), "weight"),
        Term("b", "the intercept", np.array(1), "weight"),
    ]
    lines = [("s", "w * x", "the product"), ("y", "s + b", "the line")]
    return work(
        "a line", "y = w·x + b", terms, lines, own=own, tolerance=tolerance, source="t", **more
    )


def test_steps_are_worked_out_from_the_terms_and_the_steps_before() -> None:
    found = line()
    assert [float(step.value) for step in found.steps] == [6.0, 7.0]
    assert float(found.result) == 7.0
    assert found.agrees
    assert found.term("w").meaning == "the slope"


@pytest.mark.parametrize(
    ("own", "difference", "agrees"),
    [
        (7.0, 0.0, True),
        (7.0 + 3e-6, 3e-6 / 7.000003, True),  # relative above 1
        (7.1, 0.1 / 7.1, False),
        (np.nan, np.inf, False),
        (np.inf, np.inf, False),
    ],
)
def test_a_result_agrees_within_the_tolerance(own: float, difference: float, agrees: bool) -> None:
    found = line(own)
    assert found.difference == pytest.approx(difference, rel=1e-6)
    assert found.agrees is agrees


def test_a_small_result_is_compared_as_it_is() -> None:
    term = Term("x", "", np.array(1e-9), "input")
    found = work("t", "f", [term], [("y", "x", "")], own=2e-9, tolerance=1e-6, source="")
    assert found.difference == pytest.approx(1e-9)
    assert found.agrees


def test_nan_and_infinity_agree_with_themselves_alone() -> None:
    term = Term("x", "", np.array([np.nan, np.inf, -np.inf]), "input")
    lines = [("y", "x", "")]
    same = work("t", "f", [term], lines, own=[np.nan, np.inf, -np.inf], tolerance=0, source="")
    assert same.agrees
    other = work("t", "f", [term], lines, own=[np.nan, np.inf, np.inf], tolerance=1.0, source="")
    assert not other.agrees


def test_another_shape_never_agrees() -> None:
    assert line([7.0, 7.0], tolerance=10.0).difference == np.inf


def test_what_is_not_worked_out_never_agrees_and_is_counted() -> None:
    repeated = line(is_shown=False)
    assert repeated.difference == 0.0
    assert not repeated.agrees
    whole = line(parts=[line(), repeated])
    assert whole.agrees
    assert not whole.agrees_throughout
    assert whole.not_shown == ("a line",)
    assert [part.is_shown for part in whole.walk()] == [True, False, True]
    assert str(repeated).endswith("not worked out: the run's own value is repeated")


def test_json_holds_every_number_in_full_and_can_be_worked_out_again() -> None:
    exact = 0.1 + 0.2
    terms = [
        Term("x", "some", np.array([[exact, 1 / 3], [-0.0, 5e-324]]), "input"),
        Term("k", "whole numbers", np.array([2**53 - 1, 0]), "setting"),
        Term("e", "nothing", np.zeros((0, 3)), "input"),
        Term("m", "a mask", np.array([-np.inf, np.nan, np.inf]), "setting"),
    ]
    lines = [("y", "x * k + sum(e)", "all")]
    found = work(
        "t",
        "f",
        terms,
        lines,
        own=np.array(terms[0].value * terms[1].value),
        tolerance=0,
        source="s",
    )
    text = json.dumps(found.to_json(), allow_nan=False)
    document = json.loads(text)
    assert document["terms"][0]["value"] == [[exact, 1 / 3], [0.0, 5e-324]]
    assert document["terms"][1]["value"] == [2**53 - 1, 0]
    assert document["terms"][2] == {"name": "e", "meaning": "nothing", "role": "input", "shape": [0, 3],
                                    "value": []}  # fmt: skip
    assert document["terms"][3]["value"] == ["-inf", "nan", "inf"]
    assert recalculate(text).calculations == 1


def test_the_second_reader_notices_a_changed_number() -> None:
    document = line().to_json()
    document["terms"][0]["value"] = 2.001
    with pytest.raises(AssertionError, match=r"a line: w \* x is .* apart"):
        recalculate(json.dumps(document))


def test_it_prints_as_formula_numbers_steps_and_verdict() -> None:
    assert str(line()) == (
        "a line\n"
        "  y = w·x + b\n"
        "  x = 2   the input\n"
        "  w = 3   the slope\n"
        "  b = 1   the intercept\n"
        "  s = w * x = 6   the product\n"
        "  y = s + b = 7   the line\n"
        "  the run's own: 7, the same: 0 apart, 1e-06 allowed"
    )
    assert "DIFFERENT: 0.014 apart" in str(line(7.1))


@pytest.mark.parametrize(
    ("terms", "lines", "sentence"),
    [
        ([("a b", "input")], [("y", "1", "")], "'a b' cannot be a name in the calculation 't'."),
        ([("sum", "input")], [("y", "1", "")], "'sum' cannot be a name in the calculation 't'."),
        (
            [("x", "inputs")],
            [("y", "x", "")],
            "The term 'x' has the role 'inputs', expected one of input, weight, state, setting, step, "
            "result.",
        ),
        (
            [("x", "input"), ("x", "weight")],
            [("y", "x", "")],
            "The name 'x' is there twice in the calculation 't'.",
        ),
        ([("x", "input")], [("x", "x", "")], "The name 'x' is there twice in the calculation 't'."),
        ([("x", "input")], [], "The calculation 't' has no steps."),
        (
            [("x", "input")],
            [("y", "s + x", ""), ("s", "x", "")],
            "There is no 's' for 's + x'. There are: x.",
        ),
    ],
)
def test_what_is_wrong_is_told(
    terms: list[tuple[str, str]], lines: list[tuple[str, str, str]], sentence: str
) -> None:
    given = [Term(name, "", np.array(1.0), role) for name, role in terms]
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        work("t", "f", given, lines, own=1.0, tolerance=0.0, source="")


def test_a_term_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"^The calculation has no term 'z'\. It has: x, w, b\.$"):
        line().term("z")
