"""The language of objectives: what it works out, what it refuses, and that no text hurts."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Factor
from drivetrain.errors import ConfigError
from drivetrain.levers import parse
from drivetrain.levers.expression import unknown_classes, unknown_names

COLUMNS = {
    "a": np.array([1.0, -2.0, 4.0]),
    "b": np.array([0.5, 3.0, 0.0]),
    "Machine Hours": np.array([10.0, 20.0, 30.0]),
    "channel": Factor.of(["web", "shop", "web"]),
}
LANGUAGE = (
    "An expression holds numbers, names, + - * / **, comparisons of two values, and the functions "
    "abs, exp, log, max, min, sqrt."
)


def value(text: str) -> np.ndarray:
    return parse(text).evaluate(
        COLUMNS,
        prediction=np.array([100.0, 200.0, 300.0]),
        probability={"yes": np.array([0.1, 0.2, 0.3]), "very good": np.array([0.9, 0.8, 0.7])},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a - 3) * prediction", [-200.0, -1000.0, 300.0]),
        ("2 ** a + -b / 2", [1.75, -1.25, 16.0]),
        ("-2 ** 2", -4.0),
        ('200 * probability.yes - 3 * (channel == "web")', [17.0, 40.0, 57.0]),
        ('probability["very good"]', [0.9, 0.8, 0.7]),
        ('"shop" != channel', [1.0, 0.0, 1.0]),
        ('min(column["Machine Hours"], 15) + max(a, b, 2)', [12.0, 18.0, 19.0]),
        ("(a >= 1) * (b < 1)", [1.0, 0.0, 1.0]),
        ("a == 1", [1.0, 0.0, 0.0]),
        ("sqrt(abs(a)) + log(exp(b))", [1.5, math.sqrt(2) + 3, 2.0]),
        ("1e3", 1000.0),
        ("a\n+ b", [1.5, 1.0, 4.0]),
    ],
)
def test_an_expression_is_worked_out_row_by_row(text: str, expected: object) -> None:
    np.testing.assert_allclose(value(text), expected, rtol=1e-12)


def test_an_expression_says_what_it_uses() -> None:
    found = parse('(price - column["unit cost"]) * prediction + probability.yes')
    assert found.names == {"price", "unit cost"}
    assert (found.classes, found.uses_prediction, found.needs_model) == ({"yes"}, True, True)
    assert not parse("price * 2").needs_model


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "An expression is a text such as '(price - cost) * prediction'."),
        ("a ^ 2", "'a ^ 2' has a ^. Write a power with **."),
        ("a % b", f"'a % b' is not in the language. {LANGUAGE}"),
        (
            "1 + mn(a, b)",
            "'mn(a, b)' calls 'mn', which is no function here. Did you mean 'min'? It stands in the "
            "expression '1 + mn(a, b)'.",
        ),
        ("log(a, b)", "'log(a, b)' gives log 2 values; it takes one value."),
        ("max(a)", "'max(a)' gives max 1 values; it takes 2 values or more."),
        ("a b", f"The expression 'a b' cannot be read, at letter 3. {LANGUAGE}"),
        (
            "a < b < 3",
            "'a < b < 3' compares more than two values. Multiply comparisons: (a < b) * (b < c).",
        ),
        (
            "a > 1 and b > 1",
            "'a > 1 and b > 1' joins with a word. A comparison is 1 or 0: for 'and' multiply, for 'or' "
            "use max.",
        ),
        (
            "x.__class__",
            '\'x.__class__\' is none of probability.CLASS, probability["any class"] and column["any '
            'name"].',
        ),
        ("__import__('os')", "\"__import__('os')\" calls '__import__', which is no function here."),
        ("(lambda: 1)()", f"'(lambda: 1)()' is not in the language. {LANGUAGE}"),
        ("[x for x in a]", f"'[x for x in a]' is not in the language. {LANGUAGE}"),
        ("min(*a)", f"'min(*a)' is not in the language. {LANGUAGE}"),
        ("f'{a}'", f"\"f'{{a}}'\" is not in the language. {LANGUAGE}"),
        ("1j", "'1j' is not a number."),
        ("True", "'True' is not a number."),
        ("2 ** 1000", "'2 ** 1000' has an exponent above 100."),
        ("1" * 40, f"'{'1' * 40}' is larger than 1e+15."),
        ("min", "'min' is a function: give it its values in brackets."),
        ("probability", "'probability' stands alone. Say which: probability.yes."),
        (
            'prediction == "web"',
            "'prediction == \"web\"' compares a word. What there is: a column, == or !=, a word, as in "
            'channel == "web".',
        ),
        (
            "+".join(["a"] * 100),
            f"The expression '{'+'.join(['a'] * 100)[:79]}…' is too large: at most 256 parts, 64 "
            "inside one another.",
        ),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_a_reason(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "channel * 2",
            "'channel' holds words, which have no arithmetic. Compare it: channel == \"shop\" is 1 or 0.",
        ),
        (
            'channel == "wep"',
            "'channel' is never 'wep'. Did you mean 'web'? It is one of: shop, web.",
        ),
        ('a == "web"', "'a' does not hold words, and is compared with 'web'."),
        ("channnel + 1", "There is no 'channnel'. Did you mean 'channel'?"),
    ],
)
def test_a_column_of_the_wrong_kind_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value(text)
    assert str(caught.value) == sentence


def test_unknown_names_and_classes_are_answered_with_the_nearest() -> None:
    found = parse("(prise - 3) * probability.yess")
    assert list(unknown_names(found, ["price"])) == [
        "The expression '(prise - 3) * probability.yess' names 'prise', which is no lever, context or "
        "column. Did you mean 'price'?"
    ]
    assert list(unknown_classes(found, ["no", "yes"])) == [
        "The expression '(prise - 3) * probability.yess' asks for the probability of 'yess', which is no "
        "class of the model. Did you mean 'yes'? Its classes: no, yes."
    ]


def test_a_class_named_like_python_s_own_is_a_name_and_nothing_else() -> None:
    assert parse("probability.__class__").classes == {"__class__"}


HOSTILE = [
    "9**9**9**9",
    "10**100**100**100",
    "(" * 400 + "1" + ")" * 400,
    "-" * 999 + "1",
    "~" * 500 + "a",
    "a" + "[0]" * 300,
    "a" + ".b" * 400,
    "\x00",
    "a\\",
    '"' * 999,
    "f" * 999,
    "1" * 1000,
    "a if " * 200,
    "lambda:" * 140 + "1",
    "{" * 500,
    "'\\d' == a",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_end_at_once_in_a_number_or_a_named_error(text: str) -> None:
    began = time.process_time()
    try:
        found = parse(text).evaluate({"a": np.ones(1), "fff": np.ones(1)})
    except ConfigError:
        pass
    else:
        assert found.dtype == np.float64
    assert time.process_time() - began < 1.0


PIECES = st.sampled_from(
    "a b prediction probability .yes ['x'] ( ) [ ] + - * / ** , < == ! \"web\" channel min( log( max( "
    "1 2.5 "
    "1e9 __class__ . ; lambda : if else not and \n \\ 💥 ' := @ ~ f'{ column".split(" ")
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_any_text_is_worked_out_or_refused(pieces: list[str]) -> None:
    text = " ".join(pieces)
    try:
        found = value(text)
    except ConfigError:
        return
    assert found.shape in ((), (3,))
    assert found.dtype == np.float64


A, B = np.array([1.5, -2.0]), np.array([0.25, 7.0])
SIGNS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


@st.composite
def formulas(draw: st.DrawFn, depth: int = 4) -> tuple[str, np.ndarray]:
    """A text, and what numpy makes of it."""
    if depth == 0 or draw(st.booleans()):
        if draw(st.booleans()):
            return draw(st.sampled_from([("a", A), ("b", B)]))
        number = round(draw(st.floats(-50, 50)), 3)
        return repr(number), np.array([number, number])
    (left, x), (right, y) = draw(formulas(depth - 1)), draw(formulas(depth - 1))
    sign = draw(st.sampled_from(sorted(SIGNS)))
    with np.errstate(all="ignore"):
        return f"({left} {sign} {right})", SIGNS[sign](x, y)


@settings(max_examples=100, deadline=None)
@given(formulas())
def test_arithmetic_equals_numpy_s(pair: tuple[str, np.ndarray]) -> None:
    text, expected = pair
    found = np.broadcast_to(parse(text).evaluate({"a": A, "b": B}), 2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
