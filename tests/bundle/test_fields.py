"""Entries from a stranger are taken out one by one, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drivetrain.bundle.fields import Fields
from drivetrain.errors import BundleError

AGAIN = "Take it anew from where it came from."


def refused(function: Callable[[], Any]) -> str:
    with pytest.raises(BundleError) as caught:
        function()
    return str(caught.value)


def test_what_fits_is_given_in_its_type() -> None:
    fields = Fields(
        {"n": 3, "x": 1, "xs": [1, 2.5], "word": "crop", "text": "a", "in": {"y": 1}, "all": [{}]},
        "f",
    )
    assert fields.whole("n", 0, 3) == 3
    x = fields.number("x", 0, 1)
    assert (x, type(x)) == (1.0, float)
    assert fields.numbers("xs", 2, 0, 3) == (1.0, 2.5)
    assert fields.word("word", ("crop", "pad")) == "crop"
    assert fields.text("text", pattern="[a-z]") == "a"
    assert fields.inner("in").whole("y", 1, 1) == 1
    (one,) = fields.inners("all", most=1)
    one.end()
    fields.end()


@pytest.mark.parametrize(
    ("take", "value", "sentence"),
    [
        (
            lambda f: f.whole("v", 0, 3),
            True,
            "has True as `v`, expected a whole number from 0 to 3.",
        ),
        (lambda f: f.whole("v", 0, 3), 2.0, "has 2.0 as `v`, expected a whole number from 0 to 3."),
        (lambda f: f.whole("v", 0, 3), 10**99, f"has 1{'0' * 79}… as `v`, expected a whole number"),
        (lambda f: f.number("v", 0, 1), "1", "has '1' as `v`, expected a number from 0 to 1."),
        (
            lambda f: f.number("v", 0, 1),
            float("nan"),
            "has nan as `v`, expected a number from 0 to 1.",
        ),
        (lambda f: f.numbers("v", 2, 0, 1), [0], "has [0] as `v`, expected 2 numbers."),
        pytest.param(
            lambda f: f.number("v", 0, float("inf")),
            10**400,
            f"has 1{'0' * 79}… as `v`, expected a number from 0 to inf.",
            id="more than a float holds",
        ),
        pytest.param(
            lambda f: f.number("v", float("-inf"), 0),
            -(10**400),
            f"has -1{'0' * 78}… as `v`, expected a number from -inf to 0.",
            id="less than a float holds",
        ),
        pytest.param(
            lambda f: f.numbers("v", 1, 0, float("inf")),
            [10**400],
            f"has [1{'0' * 78}… as `v`, expected 1 numbers from 0 to inf.",
            id="a list with more than a float holds",
        ),
        (
            lambda f: f.numbers("v", 1, 0, 1),
            [None],
            "has [None] as `v`, expected 1 numbers from 0 to 1.",
        ),
        (lambda f: f.text("v"), "", "has '' as `v`, expected a text of 1 to 1000 letters."),
        (lambda f: f.text("v", pattern="[a-z]"), "a\n", "expected a text of the form [a-z]."),
        (lambda f: f.word("v", ("a", "b")), ["a"], "has ['a'] as `v`, expected one of a, b."),
        (lambda f: f.inner("v"), [], "f, `v`, is no JSON object."),
        (
            lambda f: f.inners("v", most=1),
            [{}, {}],
            "as `v`, expected a list of at most 1 objects.",
        ),
        (lambda f: f.take("w"), 1, "f has no `w`."),
        (lambda f: f.end(), 1, "f has the unknown entry 'v'."),
    ],
)
def test_what_does_not_fit_is_refused(
    take: Callable[[Fields], Any], value: Any, sentence: str
) -> None:
    said = refused(lambda: take(Fields({"v": value}, "f")))
    assert said.startswith("f")
    assert sentence.rstrip(".") in said
    assert said.endswith(f". {AGAIN}")
    assert len(said) < 300
    assert "\n" not in said
