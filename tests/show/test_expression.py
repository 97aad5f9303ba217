"""The language of calculations, beside a second reader of it that was written apart."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import ConfigError
from drivetrain.show.expression import FUNCTIONS, evaluate, is_name, names_in
from tests.show.independent import Reader, apart

NAMES = {
    "x": np.array([[0.5, -1.25, 2.0], [3.0, 0.0, -0.75]]),
    "w": np.array([1.0, -2.0, 0.25]),
    "n": np.array(3, dtype=np.int64),
}
EXAMPLES = (
    *("x + n", "-x ** 2", "2 ** -n", "2 ** 3 ** 2", "x * w - n / 4", "(x > 0) - (x < 0)", "x != x"),
    *("x[1, 2]", "x[0]", "x[:, 1]", "x[0, 1:3]", "x[-1, -2]", "x[:, ::2]", "w[1:] - w[:-1]"),
    *("sum(x)", "sum(x, axis=1)", "mean(x, axis=0)", "max(x)", "min(x, axis=-1)", "max(x, w, 0)"),
    *("min(x, 1)", "matmul(x, w)", "dot(w, w)", "matmul(x, transpose(x))", "transpose(x, 1, 0)"),
    *("reshape(x, 3, 2)", "reshape(x, -1)", "concat(w, x[0])", "concat(x, x, axis=1)"),
    *(
        "exp(x)",
        "log(abs(x) + 1)",
        "sqrt(abs(x))",
        "tanh(x)",
        "erf(x)",
        "sigmoid(x * 100)",
        "relu(x)",
    ),
    *(
        "rsqrt(n)",
        "floor(x)",
        "sin(x)",
        "cos(x)",
        "where(x > 0, x, w)",
        "where(x, 2, n)",
        "clip(x, -1, 1)",
        "+n",
        "1e-3",
    ),
    *(
        "where(x < 0, -floor(-x), floor(x))",
        "log(sum(exp(x - max(x)))) + max(x)",
        "1 / 0 * 0",
        ".5",
    ),
)


@pytest.mark.parametrize("text", EXAMPLES)
def test_both_readers_come_to_the_same(text: str) -> None:
    with np.errstate(all="ignore"):
        expected = Reader(text, NAMES).value()
    assert apart(evaluate(text, NAMES), expected) < 1e-14


def test_every_function_stands_in_the_examples() -> None:
    used = {name for text in EXAMPLES for name in re.findall(r"(\w+)\(", text)}
    assert used == set(FUNCTIONS)


def expressions() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(["x", "w", "n", "x[0]", "2", "0.5", "3e-1"])
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
                "({0[0]} {0[1]} {0[2]})".format
            ),
            st.tuples(inner, st.sampled_from("+-*"), inner).map("{0[0]} {0[1]} {0[2]}".format),
            st.tuples(inner, st.sampled_from(["<", ">=", "=="]), inner).map(
                "({0[0]} {0[1]} {0[2]})".format
            ),
            inner.map("-{}".format),
            inner.map("({}) ** 2".format),
            inner.map("tanh({})".format),
            inner.map("relu({})".format),
            st.tuples(inner, inner).map("max({0[0]}, {0[1]})".format),
            inner.map("sum({})".format),
        ),
        max_leaves=8,
    )


@settings(max_examples=60, deadline=None)
@given(expressions())
def test_both_readers_agree_on_any_arithmetic(text: str) -> None:
    with np.errstate(all="ignore"):
        expected = Reader(text, NAMES).value()
    assert apart(evaluate(text, NAMES), expected) < 1e-12


def test_everything_is_worked_out_in_float64_whatever_comes_in() -> None:
    big = np.array([2**40, 2**40], dtype=np.int64)
    found = evaluate("sum(x ** 2)", {"x": big})
    assert found.dtype == np.float64
    assert float(found) == 2.0**81  # int64 would have wrapped round
    assert float(evaluate("x / 2", {"x": np.float32(1)})) == 0.5


def test_names_are_those_of_arrays_alone() -> None:
    assert names_in("sum(x * w) + b[2]") == {"x", "w", "b"}
    assert is_name("x_1")
    assert not any(map(is_name, ("sum", "1x", "lambda", "a b", "é", "")))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x +", "'x +' is no expression: invalid syntax (<unknown>, line 1)."),
        ("y + 1", "There is no 'y' for 'y + 1'. There are: n, w, x."),
        (
            "total(x)",
            "'total(x)' calls 'total', which is no function here.",
        ),
        (
            "1 + sigmod(x)",
            "'sigmod(x)' calls 'sigmod', which is no function here. Did you mean 'sigmoid'? It stands in "
            "'1 + sigmod(x)'.",
        ),
        ("sum(x, w)", "'sum(x, w)' gives sum 2 values."),
        ("exp(x, axis=0)", "'exp(x, axis=0)' gives exp 'axis', which it has not."),
        ("sum(x, axis=n)", "'n' is no written whole number. It stands in 'sum(x, axis=n)'."),
        ("x[n]", "'n' is no written whole number. It stands in 'x[n]'."),
        ("x.shape", "'x.shape' is not in the language of calculations."),
        ("[1, 2]", "'[1, 2]' is not in the language of calculations."),
        ("'a'", "''a'' is not in the language of calculations."),
        ("True", "'True' is not in the language of calculations."),
        ("x if n else w", "'x if n else w' is not in the language of calculations."),
        ("__import__('os')", "'__import__('os')' calls '__import__', which is no function here."),
        ("(lambda: x)()", "'(lambda: x)()' is not in the language of calculations."),
        ("x @ w", "'x @ w' is not in the language of calculations."),
        ("0 < x < 1", "'0 < x < 1' is not in the language of calculations."),
        ("sum", "'sum' is a function, and stands without its values."),
        ("x" + "+x" * 20_000, "An expression has 40,001 letters, at most 20,000 are read."),
    ],
)
def test_what_is_not_in_the_language_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        evaluate(text, NAMES)


def test_depth_has_a_bound() -> None:
    with pytest.raises(ConfigError, match=r"is nested more than 100 deep\."):
        evaluate("-" * 150 + "x", NAMES)


def test_shapes_that_do_not_fit_are_told_with_the_expression() -> None:
    sentence = (
        r"^The expression 'x \+ w' cannot be worked out: .*\. Its arrays: w \(2,\), x \(3,\)\.$"
    )
    with pytest.raises(ConfigError, match=sentence):
        evaluate("x + w", {"x": np.zeros(3), "w": np.zeros(2)})
