"""A formula is drawn from how it is written."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.errors import ConfigError
from drivetrain.levers.formula import expression_svg, plot_expression


@pytest.mark.row(80)
def test_the_sigmoid_is_drawn() -> None:
    figure = plot_expression("1 / (1 + exp(-x))", -6, 6)
    x, y = figure.axes[0].lines[0].get_data()
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-np.asarray(x))), atol=1e-12)
    assert expression_svg("1/(1+exp(-x))").startswith("<?xml") and "</svg>" in expression_svg("x")


def test_where_it_is_not_finite_there_is_a_gap() -> None:
    _, y = plot_expression("1 / x", -1, 1, num_points=3).axes[0].lines[0].get_data()
    assert np.isnan(y[1]) and list(y[[0, 2]]) == [-1, 1]


@pytest.mark.parametrize(
    ("text", "low", "message"),
    [
        ("x + y", -1, r"^A curve is of a formula with one name, such as x\. Got x, y: x \+ y\.$"),
        ("3", -1, r"^A curve is of a formula with one name, such as x\. Got none: 3\.$"),
        (
            "x",
            7,
            r"^A curve goes from a lower value to a higher one\. Got 7 and 5\.0, 401 points\.$",
        ),
    ],
)
def test_what_is_no_curve_is_refused(text: str, low: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_expression(text, low)


def test_nothing_of_a_formula_is_run() -> None:
    with pytest.raises(ConfigError):
        plot_expression("__import__('os').system('true')")
