"""The gain and its intervals, the size of an experiment, and what to measure next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.levers import optimise, sample_size
from tests.levers.made import demand, problem, shop

PRICE = {"price": {"low": 1, "high": 20}}


def test_a_spread_becomes_the_interval_of_the_objective() -> None:
    # Profit (p - 3) * demand, so a doubt of 2 in demand is one of 2 (p - 3) in profit.
    asked = problem("(price - 3) * prediction", PRICE, context={"season": 0.0}, today={"price": 8})
    found = optimise(asked, demand, shop(), spread=lambda f: np.full(len(f), 2.0))
    best = float(found.settings["price"])
    half = 1.959964 * np.hypot(2 * (best - 3), 2 * (8 - 3))
    assert found.gain.source == "spread"
    assert found.gain.interval == pytest.approx((found.gain.gain - half, found.gain.gain + half))
    assert found.gain.gain == pytest.approx((best - 3) * (100 - 5 * best) - 5 * 60)
    assert "The interval is the model's own doubt about each row" in str(found)


def test_members_share_what_they_err_in() -> None:
    # All members err by the same amount everywhere: of a difference nothing is left.
    asked = problem("prediction", PRICE, context={"season": 0.0}, today={"price": 8})

    def members(frame: Frame) -> np.ndarray:
        return demand(frame) + np.array([[-9.0], [0.0], [9.0]])

    found = optimise(asked, demand, shop(), members=members)
    assert found.gain.source == "members"
    assert found.gain.interval == pytest.approx((found.gain.gain, found.gain.gain))


def test_without_a_doubt_there_is_no_interval_and_that_is_said() -> None:
    found = optimise(problem("prediction", PRICE, today={"price": 8}), demand, shop())
    assert found.gain.interval is None and found.gain.seen_interval is None
    assert "the model does not say how sure it is, so there is no interval" in str(found)
    assert "Give the model's errors on validation rows (residuals)" in str(found)


def test_an_objective_that_does_not_ask_the_model_is_exact() -> None:
    found = optimise(problem("-(price - 8) ** 2", PRICE, today={"price": 5}), demand, shop())
    assert found.gain.interval == (found.gain.gain, found.gain.gain)
    assert "The objective does not ask the model, so this is exact." in str(found)


def test_outcomes_widen_the_interval_of_what_would_be_seen() -> None:
    draw = np.random.default_rng(0)
    rows = shop(100)
    asked = problem("prediction", PRICE, context={"season": 0.0}, today={"price": 8})
    found = optimise(asked, demand, shop(), rows=rows, residuals=draw.normal(0, 10, 4000), seed=3)
    assert found.gain.seen_interval is not None
    low, high = found.gain.seen_interval
    # The difference of two means of 100 rows, each with a standard deviation of 10.
    assert (high - low) / 2 == pytest.approx(1.96 * 10 * np.sqrt(2 / 100), rel=0.15)
    assert low < found.gain.gain < high
    assert found.gain.experiment is not None
    assert found.gain.experiment.spread == pytest.approx(10, rel=0.03)
    assert found.gain.experiment.per_group == sample_size(
        found.gain.gain, found.gain.experiment.spread
    )


@pytest.mark.slow
def test_what_would_be_seen_holds_the_difference_about_as_often_as_it_says() -> None:
    asked = problem(
        "prediction", {"price": {"choices": [6, 8]}}, context={"season": 0.0}, today={"price": 8}
    )
    hits = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        rows = shop(50, seed=seed)
        found = optimise(
            asked, demand, shop(), rows=rows, residuals=draw.normal(0, 10, 300), seed=seed
        )
        seen = 10 + draw.normal(0, 10, 50).mean() - draw.normal(0, 10, 50).mean()
        assert found.gain.seen_interval is not None
        low, high = found.gain.seen_interval
        hits += low <= seen <= high
    assert 33 <= hits <= 40  # 38 are to be expected, with a standard deviation of 1.4


def test_where_today_is_best_no_gain_is_made_up() -> None:
    asked = problem("prediction", {"price": {"choices": [5, 8]}}, today={"price": 5})
    found = optimise(asked, demand, shop(), spread=lambda f: np.ones(len(f)))
    assert (found.gain.gain, found.gain.interval) == (0.0, (0.0, 0.0))
    assert "No better settings were found than today's" in str(found)
    assert "Experiment: there is no gain to look for." in str(found)


def test_residuals_that_are_none_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        optimise(problem("prediction", PRICE), demand, shop(), residuals=[np.nan])
    assert str(caught.value) == (
        "`residuals` are finite numbers, outcome - prediction, one or more."
    )


# --- experiments ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 3), st.floats(0.2, 5), st.sampled_from([0.7, 0.8, 0.9]))
def test_a_size_has_the_power_it_says_by_the_exact_distribution(
    gain: float, spread: float, power: float
) -> None:
    from scipy import stats

    n = sample_size(gain, spread, power=power)

    def exact(rows: int) -> float:
        bound = stats.t.ppf(0.975, 2 * rows - 2)
        centre = gain / spread * np.sqrt(rows / 2)
        return float(
            stats.nct.sf(bound, 2 * rows - 2, centre) + stats.nct.cdf(-bound, 2 * rows - 2, centre)
        )

    if n > 8:  # of fewer, one row changes much
        assert exact(n) > power - 0.01
        assert exact(n - 2) < power + 0.02


def test_a_textbook_size_and_its_sentence() -> None:
    assert sample_size(0.5, 1.0) == 64
    assert sample_size(0.5, 1.0, 2.0) > 2 * sample_size(0.5, 1.0)
    found = optimise(
        problem("prediction", PRICE, context={"season": 0.0}, today={"price": 8}),
        demand,
        shop(),
        residuals=np.random.default_rng(0).normal(0, 10, 500),
    )
    text = str(found)
    assert "divided by lot, would show a gain of" in text
    assert "with a probability of 80% (two-sided test of the difference of means at 5%" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            {"gain": 0, "spread": 1},
            "`sample_size` needs a gain that is not 0 and spreads of 0 or more. Got 0, 1 and 1.",
        ),
        (
            {"gain": 1, "spread": 1, "power": 0.01},
            "`sample_size` needs 0 < level < power < 1, such as 0.05 and 0.8. Got 0.05 and 0.01.",
        ),
    ],
)
def test_a_size_of_what_cannot_be_is_refused(words: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sample_size(**words)
    assert str(caught.value) == sentence


# --- what to measure next ---------------------------------------------------------------------------


def test_what_may_beat_the_best_and_is_little_known_is_to_be_measured() -> None:
    draw = np.random.default_rng(0)
    known = draw.uniform(0, 6, 380)
    data = Frame({"x": np.concatenate([known, draw.uniform(6, 10, 20)])})

    def predict(frame: Frame) -> np.ndarray:
        return -((frame.numbers("x") - 5) ** 2) / 10

    def spread(frame: Frame) -> np.ndarray:
        return np.where(frame.numbers("x") > 6, 2.0, 0.01)

    found = optimise(
        problem("prediction", {"x": {"low": 0, "high": 10}}), predict, data, spread=spread
    )
    assert float(found.settings["x"]) == pytest.approx(5, abs=0.01)
    first, *_ = found.measure
    assert float(first.settings["x"]) > 6 and first.rows_near < 100
    assert first.doubt == 2.0
    assert all(abs(float(m.settings["x"]) - 5) >= 0.99 for m in found.measure)
    assert f"x {float(first.settings['x']):.5g}: predicted" in str(found)
    assert "which may beat the best" in first.reason


def test_without_a_doubt_what_is_nearly_as_good_and_rare_is_to_be_measured() -> None:
    draw = np.random.default_rng(0)
    data = Frame({"x": np.concatenate([draw.uniform(0, 5, 395), draw.uniform(5, 10, 5)])})
    found = optimise(
        problem("prediction", {"x": {"low": 0, "high": 10}}),
        lambda f: -((f.numbers("x") - 4.9) ** 2),
        data,
    )
    assert found.measure, "somewhere near the best"
    for each in found.measure:
        assert each.doubt is None
        assert abs(float(each.settings["x"]) - 4.9) < 3
    rows = [each.rows_near for each in found.measure]
    assert rows == sorted(rows)
