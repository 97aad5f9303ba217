"""Pictures say what they show: axes with names, today and best, both rankings and chance."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.data.frame import Frame
from drivetrain.levers import optimise
from tests.levers.made import demand, problem, shop
from tests.levers.test_uplift import small, trial


def test_the_objective_is_drawn_along_each_lever() -> None:
    levers = {
        "price": {"low": -5, "high": 25},
        "channel": {"choices": ["shop", "street", "web"]},
        "adverts": {"low": 0, "high": 10, "whole": True},
    }
    found = optimise(
        problem("(price - 3) * prediction - adverts", levers),
        demand,
        shop(),
        spread=lambda f: np.full(len(f), 2.0),
    )
    figure = found.plot()
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in drawn] == ["price", "channel", "adverts"]
    assert drawn[0].get_ylabel() == "objective, mean over the rows"
    assert {text.get_text() for text in drawn[1].get_xticklabels()} == {"shop", "street", "web"}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(labels) == {"doubt of the model, 95%", "outside the data", "today", "best"}
    best = next(line for line in drawn[0].lines if line.get_label() == "best")
    assert best.get_xdata()[0] == found.settings["price"]
    assert "maximise" in figure.get_suptitle()


def test_both_rankings_are_drawn_beside_chance() -> None:
    from drivetrain.levers import fit_uplift

    found = fit_uplift(trial(400, seed=0)[0], "shown", "bought", grow=small, folds=2)
    (axes,) = found.plot().axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["ranked by score", "ranked by uplift", "in an order by chance"]
    assert axes.get_xlabel() == "rows treated, the first of the ranking, %"
    assert axes.get_ylabel() == "change of the mean of bought"
    chance = axes.lines[2]
    assert chance.get_ydata()[1] == found.effect
    assert axes.lines[1].get_ydata()[-1] == pytest.approx(found.effect)


def test_names_that_would_be_formulas_are_drawn_as_they_are() -> None:
    data = Frame({"$x$_1": np.random.default_rng(0).uniform(0, 1, 60)})
    found = optimise(
        problem('column["$x$_1"] * 2', {"$x$_1": {"low": 0, "high": 1}}), lambda f: f, data
    )
    figure = found.plot()
    assert figure.axes[0].get_xlabel() == r"\$x\$_1"
    figure.canvas.draw()
