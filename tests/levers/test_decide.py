"""Settings that maximise an objective: closed forms, limits, words, plateaus, rows, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError, NonFiniteError, ShapeError
from drivetrain.levers import Decision, Problem, optimise
from tests.levers.made import demand, problem, shop

PRICE = {"price": {"low": 1, "high": 20}}


@pytest.mark.row(13)
def test_the_best_of_a_linear_quadratic_problem_is_the_closed_form() -> None:
    # Demand 100 - 5 p + 10 season at a mean season s, a profit of (p - 3) * demand: best at p = 11.5 + s.
    data = shop()
    found = optimise(
        problem("(price - cost) * prediction", PRICE, context={"cost": 3}), demand, data
    )
    mean = float(data.numbers("season").mean())
    best = ((100 + 10 * mean) / 5 + 3) / 2
    assert found.settings["price"] == pytest.approx(best, abs=1e-3)
    assert found.gain.best == pytest.approx(5 * (best - 3) ** 2, rel=1e-6)
    assert found.gain.num_rows == 400


@pytest.mark.row(13)
def test_a_model_that_was_fitted_to_noise_gives_the_closed_form_of_what_it_learnt() -> None:
    draw = np.random.default_rng(1)
    data = shop(1000)
    sold = demand(data) + draw.normal(0, 5, 1000)
    X = np.column_stack([np.ones(1000), data.numbers("price"), data.numbers("season")])
    b0, b1, b2 = np.linalg.lstsq(X, sold, rcond=None)[0]

    def fitted(frame: Frame) -> np.ndarray:
        return b0 + b1 * frame.numbers("price") + b2 * frame.numbers("season")

    asked = problem("(price - 3) * prediction", PRICE, context={"season": 0.5})
    found = optimise(asked, fitted, data, residuals=sold - fitted(data))
    learnt = ((b0 + 0.5 * b2) / -b1 + 3) / 2
    assert found.settings["price"] == pytest.approx(learnt, abs=1e-3)
    assert found.settings["price"] == pytest.approx(((100 + 5) / 5 + 3) / 2, abs=0.3)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_concave_quadratics_on_a_box_are_solved_as_least_squares_solves_them(
    seed: int, count: int
) -> None:
    from scipy.optimize import lsq_linear

    draw = np.random.default_rng(seed)
    root = draw.normal(size=(count, count)) + np.eye(count)
    shift = root @ draw.uniform(-0.5, 1.5, count)
    names = [f"x{j}" for j in range(count)]
    data = Frame.from_matrix(draw.uniform(0, 1, (100, count)), names)
    asked = problem(
        "prediction",
        {name: {"low": 0, "high": 1} for name in names},
        search={"stay_within": False},
    )
    found = optimise(
        asked, lambda frame: -np.sum((frame.matrix(names) @ root.T - shift) ** 2, axis=1), data
    )
    oracle = lsq_linear(root, shift, bounds=(0, 1), tol=1e-14)
    assert -found.gain.best == pytest.approx(2 * oracle.cost, abs=1e-5)
    if np.linalg.cond(root) < 20:
        np.testing.assert_allclose([found.settings[n] for n in names], oracle.x, atol=1e-3)


def test_what_is_minimised_is_lowest_at_the_best() -> None:
    asked = Problem.from_dict(
        {
            "objective": {"minimise": "(prediction - 40) ** 2"},
            "levers": PRICE,
            "context": {"season": 0.0},
        }
    )
    found = optimise(asked, demand, shop())
    assert found.settings["price"] == pytest.approx(12, abs=1e-2)
    assert found.gain.gain == pytest.approx(found.gain.today - found.gain.best)
    assert found.gain.gain > 0
    assert f"{found.gain.gain:.4g} less" in str(found)


def test_limits_are_kept_also_on_a_slant() -> None:
    # Nearest point to (8, 9) on price + adverts = 10 is (4.5, 5.5).
    asked = problem(
        "-(price - 8) ** 2 - (adverts - 9) ** 2",
        {"price": {"low": 0, "high": 15}, "adverts": {"low": 0, "high": 10}},
        limits=[{"expression": "price + adverts", "at_most": 10}],
    )
    found = optimise(asked, demand, shop())
    assert found.settings["price"] == pytest.approx(4.5, abs=1e-3)
    assert found.settings["adverts"] == pytest.approx(5.5, abs=1e-3)
    ((limit, value),) = found.limits
    assert str(limit) == "price + adverts at most 10" and value <= 10 + 1e-6


def test_a_limit_may_be_on_what_is_predicted() -> None:
    asked = problem(
        "(price - 3) * prediction",
        PRICE,
        context={"season": 0.0},
        limits=[{"expression": "prediction", "at_least": 60}],
    )
    found = optimise(asked, demand, shop())
    assert found.settings["price"] == pytest.approx(8, abs=1e-3)
    assert found.limits[0][1] == pytest.approx(60, abs=1e-2)


def test_words_and_steps_are_chosen_among() -> None:
    worth = {"shop": 0.0, "street": 8.0, "web": 5.0}

    def predict(frame: Frame) -> np.ndarray:
        channel = frame.factor("channel")
        return np.array([worth[w] for w in channel.levels])[channel.codes] + demand(frame)

    levers = {
        "price": {"low": 1, "high": 20, "whole": True},
        "channel": {"choices": ["shop", "web"]},
    }
    asked = problem('prediction * price - 30 * (channel == "web")', levers, context={"season": 0.0})
    found = optimise(asked, predict, shop())
    # (105 - 5 p) p - 30 with the web, (100 - 5 p) p in the shop: 521 at 10 and 11 against 500 at 10.
    assert found.settings["channel"] == "web"
    assert found.settings["price"] in (10.0, 11.0)
    assert found.today == {"price": found.today["price"], "channel": "shop"}
    (equal,) = found.equal
    assert (equal.lever, equal.values) == ("price", (10.0, 11.0))
    assert found.places[1].holds_words and str(found.places[1]).startswith("in ")


def test_numbers_that_the_data_holds_as_words_are_chosen_among_too() -> None:
    draw = np.random.default_rng(0)
    data = Frame({"size": Factor.of(draw.choice(["1", "2", "5"], 200).tolist())})

    def predict(frame: Frame) -> np.ndarray:
        column = frame.factor("size")
        return np.array([float(level) for level in column.levels])[column.codes]

    found = optimise(problem("prediction", {"size": {"choices": [1, 2]}}), predict, data)
    assert found.settings == {"size": "2"}


def test_on_a_plateau_the_range_is_told_and_the_setting_nearest_the_data_taken() -> None:
    draw = np.random.default_rng(3)
    data = Frame({"x": np.concatenate([draw.normal(6.5, 0.2, 150), draw.uniform(0, 10, 150)])})
    found = optimise(
        problem("prediction", {"x": {"low": 0, "high": 10}}),
        lambda frame: ((frame.numbers("x") > 4) & (frame.numbers("x") <= 7)).astype(float),
        data,
    )
    (equal,) = found.equal
    assert equal.low == pytest.approx(4, abs=1e-4) and equal.high == pytest.approx(7, abs=1e-4)
    assert 6 < float(found.settings["x"]) < 7, "where half of the rows lie"
    assert f"Equally good: x {equal.low:.5g} to {equal.high:.5g}." in str(found)


def test_the_search_stays_in_the_data_and_says_what_lies_outside() -> None:
    data = shop()
    asked = problem("prediction", {"price": {"low": -20, "high": 20}}, context={"season": 0.0})
    found = optimise(asked, demand, data)
    low, high = data.numbers("price").min(), data.numbers("price").max()
    assert low - 0.1 < float(found.settings["price"]) < low + 0.6, "the lowest price that was seen"
    assert found.beyond is not None and float(found.beyond.settings["price"]) < 0
    assert "Outside the data the model promises" in str(found)
    (curve,) = found.curves
    inside = np.array(curve.settings)[curve.is_inside]
    assert inside.min() == pytest.approx(low, abs=0.6)
    assert inside.max() == pytest.approx(high, abs=0.6)

    free = Problem.from_dict(asked.to_json() | {"search": {"stay_within": False}})
    loose = optimise(free, demand, data)
    assert loose.settings["price"] == pytest.approx(-20, abs=1e-6)
    assert loose.reach.lever_share == 1.0 and loose.beyond is None
    assert "The search was not kept to the data (stay_within = false)." in str(loose)


def test_a_context_that_is_foreign_to_the_data_is_told_and_still_decided_for() -> None:
    asked = problem("(price - 3) * prediction", PRICE, context={"season": 40.0})
    found = optimise(asked, demand, shop())
    assert found.reach.context_is_foreign and found.reach.outside_share == 1.0
    assert "The rows themselves are unlike the data, whatever the levers are set to" in str(found)


def test_the_rows_of_a_file_are_decided_for(tmp_path) -> None:
    (tmp_path / "rows.csv").write_text(
        "season,adverts,channel,budget\n1,5,web,3\n1,,street,5\n0.5,7,boat,4\n"
    )
    (tmp_path / "p.toml").write_text(
        '[objective]\nmaximise = "(price - budget) * prediction"\nover = "sum"\n'
        '[levers.price]\nlow = 1\nhigh = 20\n[context]\nrows = "rows.csv"\n'
    )
    from drivetrain.levers import read_problem

    found = optimise(read_problem(tmp_path / "p.toml"), demand, shop())
    # Σ (p - budget_i)(100 - 5 p + 10 season_i): the derivative Σ (100 + 10 s_i + 5 b_i) = 30 p.
    assert found.settings["price"] == pytest.approx((300 + 25 + 60) / 30, abs=1e-3)
    total = sum(
        (found.settings["price"] - b) * (100 - 5 * found.settings["price"] + 10 * s)
        for s, b in ((1, 3), (1, 5), (0.5, 4))
    )
    assert found.gain.best == pytest.approx(total)
    assert "the sum over 3 rows" in str(found)


def test_a_lever_that_no_column_has_counts_in_the_objective_alone() -> None:
    asked = problem(
        "prediction - (subsidy - 2) ** 2",
        {"price": {"low": 5, "high": 10}, "subsidy": {"low": 0, "high": 4}},
        context={"season": 0.0},
        today={"subsidy": 0},
    )
    found = optimise(asked, demand, shop())
    assert found.settings["subsidy"] == pytest.approx(2, abs=1e-3)
    assert found.notes == (
        "'subsidy' is no column of the data: the model does not see it, it only counts in the objective.",
    )
    assert "no column of the data" in str(found)


def test_probabilities_are_asked_for_by_their_class() -> None:
    def predict(frame: Frame) -> np.ndarray:
        yes = 1 / (1 + np.exp(frame.numbers("price") - 8))
        return np.column_stack([1 - yes, yes])

    asked = problem("price * probability.yes", PRICE)
    found = optimise(asked, predict, shop(), classes=["no", "yes"])
    # price * sigmoid(8 - price) is highest where 1 = price * (1 - yes).
    best = float(found.settings["price"])
    assert best * (1 - 1 / (1 + np.exp(best - 8))) == pytest.approx(1, abs=1e-3)
    assert found.gain.experiment is not None, "what comes of a probability is known"


def test_caution_takes_what_is_surer() -> None:
    data = Frame({"x": np.random.default_rng(0).uniform(0, 10, 300)})

    def spread(frame: Frame) -> np.ndarray:
        return np.maximum(frame.numbers("x") - 5, 0)

    levers = {"x": {"low": 0, "high": 10}}
    bold = optimise(problem("prediction", levers), lambda f: f.numbers("x"), data, spread=spread)
    wary = optimise(
        problem("prediction", levers, search={"caution": 1.5}),
        lambda f: f.numbers("x"),
        data,
        spread=spread,
    )
    assert float(bold.settings["x"]) > 9
    assert float(wary.settings["x"]) == pytest.approx(5, abs=0.01)


def test_members_of_the_model_are_as_good_as_a_spread_for_caution() -> None:
    data = Frame({"x": np.random.default_rng(0).uniform(0, 10, 300)})
    slopes = np.linspace(-1, 1, 9)[:, None]

    def members(frame: Frame) -> np.ndarray:
        return frame.numbers("x") + slopes * np.maximum(frame.numbers("x") - 5, 0)

    found = optimise(
        problem("prediction", {"x": {"low": 0, "high": 10}}, search={"caution": 2}),
        lambda f: f.numbers("x"),
        data,
        members=members,
    )
    assert float(found.settings["x"]) == pytest.approx(5, abs=0.01)


def same(one: Decision, other: Decision) -> bool:
    return one.to_json() == other.to_json() and str(one) == str(other)


def test_the_same_seed_gives_the_same_decision_and_nothing_global_moves() -> None:
    levers = {"price": {"low": 1, "high": 20}, "adverts": {"low": 0, "high": 10}}
    asked = problem("(price - 3) * prediction - (adverts - 4) ** 2", levers)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - that nobody has drawn from it
    data = shop(100)
    residuals = np.random.default_rng(0).normal(0, 3, 50)
    first, again = (
        optimise(asked, demand, data, residuals=residuals, spread=lambda f: np.ones(len(f)), seed=7)
        for _ in range(2)
    )
    assert same(first, again)
    other = optimise(asked, demand, data, residuals=residuals, seed=8)
    assert float(other.settings["price"]) == pytest.approx(float(first.settings["price"]), abs=1e-3)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_the_model_is_not_asked_without_end() -> None:
    asked_rows = 0

    def counted(frame: Frame) -> np.ndarray:
        nonlocal asked_rows
        asked_rows += len(frame)
        # A tree's steps, over which a climb by slopes would stumble for ever.
        return np.floor(demand(frame) / 7) * 7

    levers = {"price": {"low": 1, "high": 20}, "adverts": {"low": 0, "high": 10}}
    optimise(problem("(price - 3) * prediction", levers), counted, shop())
    assert asked_rows < 800_000


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"levers": {"prise": {"low": 1, "high": 2}}},
            "The problem does not fit the data: The lever 'prise' is no column of the data and is in no "
            "expression. Did you mean 'price'?",
        ),
        (
            {"levers": {"channel": {"low": 1, "high": 2}}},
            "The problem does not fit the data: The lever 'channel' has bounds, and the column holds "
            "words. Give choices, of: shop, street, web.",
        ),
        (
            {"levers": {"channel": {"choices": ["web", "wev", "phone"]}}},
            "The problem does not fit the data: 2 mistakes. The lever 'channel' has the choice 'wev', "
            "which the data never has, so the model knows nothing of it. Did you mean 'web'? The lever "
            "'channel' has the choice 'phone', which the data never has, so the model knows nothing of "
            "it.",
        ),
        (
            {"levers": {"price": {"choices": ["low", "high"]}}},
            "The problem does not fit the data: The lever 'price' has words as choices, and the column "
            "holds numbers.",
        ),
        (
            {"levers": {"day": {"low": 1, "high": 2}}},
            "The problem does not fit the data: The lever 'day' is a column of dates, which cannot be a "
            "lever.",
        ),
        (
            {"context": {"seasn": 1}},
            "The problem does not fit the data: [context] 'seasn' is no column of the data and is in no "
            "expression. Did you mean 'season'?",
        ),
        (
            {"context": {"channel": "wep", "season": "warm", "day": 3}},
            "The problem does not fit the data: 3 mistakes. [context] 'channel' is 'wep', which the data "
            "never has. Did you mean 'web'? [context] 'season' is 'warm', and the column holds numbers. "
            "[context] 'day' has to be a date, such as 2026-01-31: the column holds dates.",
        ),
        (
            {"objective": {"maximise": "prediction * prize"}},
            "The problem does not fit the data: The expression 'prediction * prize' names 'prize', "
            "which is no lever, context or column. Did you mean 'price'?",
        ),
        (
            {"objective": {"maximise": "probability.yes"}},
            "The problem does not fit the data: The expression 'probability.yes' asks for the "
            "probability of 'yes', which is no class of the model. Its classes: none, it predicts a "
            "number.",
        ),
        (
            {
                "objective": {"maximise": "prediction - grant"},
                "levers": {"grant": {"low": 0, "high": 1}},
            },
            "The problem does not fit the data: [today] has to say what 'grant' is now: it is no "
            "column of the data.",
        ),
        (
            {
                "levers": {"channel": {"choices": ["web", "shop"]}},
                "today": {"channel": "phone"},
            },
            "The problem does not fit the data: [today] 'channel' is 'phone', which the data never has.",
        ),
        (
            {"levers": PRICE, "search": {"caution": 1}},
            "`caution` is 1, and the model does not say how sure it is. Give spread= or members=, or "
            "leave `caution` out.",
        ),
        (
            {"limits": [{"expression": "price", "at_most": 0}]},
            "No settings within the bounds keep all limits. What is broken by the nearest, price 1: "
            "the limit 'price' at most 0",
        ),
        (
            {"levers": {"price": {"low": 40, "high": 50}}},
            "No settings within the bounds keep all limits. What is broken by the nearest, price 40: "
            "stay_within = 0.95: the levers stay in the data",
        ),
    ],
)
def test_a_problem_that_does_not_fit_is_refused(sections: dict[str, Any], sentence: str) -> None:
    data = shop(60).with_column("day", np.full(60, np.datetime64("2026-01-31", "us")))
    whole = {"objective": {"maximise": "prediction"}, "levers": PRICE} | sections
    with pytest.raises(ConfigError) as caught:
        optimise(Problem.from_dict(whole), demand, data)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith((".", "?"))


def test_an_objective_that_is_no_number_anywhere_is_refused() -> None:
    with pytest.raises(NonFiniteError) as caught:
        optimise(problem("log(0 - 1 - price)", PRICE), demand, shop(60))
    assert str(caught.value) == (
        "The objective 'log(0 - 1 - price)' is not a finite number for any setting that was tried. "
        "Look for a division by 0, or a log or root of what is below 0."
    )


def test_settings_where_the_objective_is_no_number_are_passed_over() -> None:
    found = optimise(problem("log(price - 5) - price / 4", PRICE), demand, shop())
    assert found.settings["price"] == pytest.approx(9, abs=1e-3)


def test_what_the_model_answers_is_checked() -> None:
    data = shop(60)
    asked = problem("prediction", PRICE)
    with pytest.raises(ShapeError, match=r"`predict` gave an array of shape \(\d+, 2\), expected"):
        optimise(asked, lambda f: np.ones((len(f), 2)), data)
    with pytest.raises(NonFiniteError, match=r"`predict` gave 1 values? that"):
        optimise(asked, lambda f: np.where(np.arange(len(f)) == 0, np.nan, 1.0), data)
    with pytest.raises(ShapeError, match="`members` gave an array of shape"):
        optimise(asked, demand, data, members=lambda f: np.ones((1, len(f))))
    with pytest.raises(ConfigError, match=r"gives probabilities\. Write probability\.yes"):
        optimise(asked, lambda f: np.ones((len(f), 2)), data, classes=["no", "yes"])


def test_rows_that_lack_what_the_model_needs_are_refused() -> None:
    data = shop(60)
    with pytest.raises(ConfigError) as caught:
        optimise(problem("prediction", PRICE), demand, data, rows=data.select(["season"]))
    assert str(caught.value) == (
        "The problem does not fit the data: The rows have no 'adverts', 'channel', which the model "
        "needs. Add the columns, or one value for each to [context]."
    )
    words = data.with_column("season", Factor.of(["x"] * 60))
    with pytest.raises(ConfigError, match="'season' holds words, and that of the data numbers"):
        optimise(problem("prediction", PRICE), demand, data, rows=words)
    with pytest.raises(DataError, match="The data has no rows"):
        optimise(problem("prediction", PRICE), demand, data.take([]))
