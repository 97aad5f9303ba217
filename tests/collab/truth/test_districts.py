"""Patrols by records: what is known of the urn, and what the corrections do."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from scipy import stats

from drivetrain.collab.truth.districts import (
    Policing,
    compare_districts,
    districts_table,
    simulate_districts,
)
from drivetrain.collab.truth.show_feedback import plot_districts
from drivetrain.errors import ConfigError


@pytest.mark.row(20)
def test_equal_districts_drift_from_an_equal_share_and_weights_keep_them_near() -> None:
    found = compare_districts(Policing(rates=(0.3, 0.3), start=(5, 5)), rounds=300, cities=300)
    drift = {name: one.mean_drift() for name, one in found.items()}
    plain, explored, weighted, both = (drift[name][0] for name in found)
    assert plain[0] == 0  # they begin alike
    assert plain[-1] > 0.09
    assert drift["as it is"][1][-1] > drift["exploration"][2][-1]  # intervals lie apart
    assert explored[-1] < 0.75 * plain[-1]
    assert weighted[-1] < 0.02
    assert both[-1] < 0.02
    # most cities end far from the truth as it is, and none with weights
    ends = found["as it is"].shares[:, -1, 0]
    assert (np.abs(ends - 0.5) > 0.05).mean() > 0.6
    assert np.abs(found["inverse weighting"].shares[:, -1, 0] - 0.5).max() < 0.08
    # the mean over cities stays at the truth nevertheless: one has to look at each
    assert ends.mean() == pytest.approx(0.5, abs=4 * ends.std() / np.sqrt(300))


@pytest.mark.row(20)
def test_greedy_patrols_give_all_to_one_district() -> None:
    found = compare_districts(
        Policing(allocation="greedy"), exploration=0.2, rounds=400, cities=200
    )
    assert list(found) == ["as it is", "exploration", "both"]
    largest = {name: one.shares[:, -1].max(axis=1) for name, one in found.items()}
    assert largest["as it is"].min() > 0.98
    # exploration alone: the share of the patrols, 1 - e / 2
    assert np.median(largest["exploration"]) == pytest.approx(0.9, abs=0.03)
    assert np.abs(found["both"].shares[:, -1, 0] - 0.5).mean() < 0.03
    assert found["as it is"].patrolled[:, -1].max(axis=1).min() > 0.95


def test_one_patrol_a_day_is_a_polya_urn() -> None:
    """After n finds those in the first district are beta-binomial, exactly."""
    one = Policing(rates=(1, 1), start=(2, 3), patrols=1)
    found = simulate_districts(one, rounds=12, cities=20_000, seed=3)
    counts = np.bincount(np.round(found.shares[:, -1, 0] * 17 - 2).astype(int), minlength=13)
    expected = stats.betabinom(12, 2, 3).pmf(np.arange(13)) * 20_000
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_the_share_tends_to_a_random_limit_that_is_beta() -> None:
    one = Policing(rates=(0.6, 0.6), start=(3, 2), patrols=1)
    found = simulate_districts(one, rounds=600, cities=1000, seed=1)
    assert stats.kstest(found.shares[:, -1, 0], stats.beta(3, 2).cdf).pvalue > 0.001
    assert found.shares[:, -1, 0].mean() == pytest.approx(0.6, abs=0.03)
    # and it settles: what chance gave a city early it keeps
    late = np.abs(found.shares[:, -1, 0] - found.shares[:, 300, 0])
    assert late.mean() < 0.03
    assert found.mean_drift()[0][-1] > 0.15


def test_of_unequal_districts_the_higher_gets_more_than_its_share() -> None:
    plain = Policing(rates=(0.3, 0.2), start=(5, 5))
    found = compare_districts(plain, rounds=365, cities=200)
    assert plain.truth.tolist() == pytest.approx([0.6, 0.4])
    assert found["as it is"].band()[1][-1] > 0.75  # and it tends to 1
    ends = found["inverse weighting"].shares[:, -1, 0]
    assert ends.mean() == pytest.approx(0.6, abs=4 * ends.std() / np.sqrt(200))


def test_weights_undo_an_unequal_start() -> None:
    found = compare_districts(Policing(start=(8, 2)), rounds=365, cities=200)
    assert found["as it is"].shares[:, -1, 0].mean() == pytest.approx(0.8, abs=0.04)
    assert found["both"].shares[:, -1, 0].mean() == pytest.approx(0.5, abs=0.02)


def test_reports_act_like_exploration() -> None:
    """As many reports as finds: greedy patrols end at 1 - 1/4, as with an exploration of one half."""
    reported = Policing(allocation="greedy", reported=1.0)
    explored = Policing(allocation="greedy", exploration=0.5)
    ends = [
        np.median(simulate_districts(one, rounds=800, cities=100).shares[:, -1].max(axis=1))
        for one in (reported, explored)
    ]
    assert ends == pytest.approx([0.75, 0.75], abs=0.02)


def test_more_districts_than_two_and_exploring_always() -> None:
    even = Policing(rates=(0.2, 0.2, 0.4), start=(4, 4, 4), exploration=1.0)
    found = simulate_districts(even, rounds=300, cities=100)
    np.testing.assert_allclose(found.shares[:, -1].mean(axis=0), even.truth, atol=0.02)
    np.testing.assert_allclose(found.patrolled[:, -1].mean(axis=0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(found.shares.sum(axis=2), 1, atol=1e-12)


def test_what_is_drawn_comes_from_the_seed() -> None:
    first, again, other = (
        simulate_districts(rounds=20, cities=5, seed=seed).shares for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_record_the_table_and_the_picture() -> None:
    found = compare_districts(rounds=250, cities=20)
    one = found["as it is"]
    record = json.loads(json.dumps(one.to_json()))
    assert record["truth"] == [0.5, 0.5]
    assert len(record["rounds"]) == len(record["share"]["median"]) == 101
    assert (record["rounds"][0], record["rounds"][-1]) == (0, 250)
    assert record["drift"]["low"][-1] < record["drift"]["mean"][-1] < record["drift"]["high"][-1]
    text = str(one)
    assert text.startswith(
        "The first district's share of the records; the truth is 50.0%. 20 cities."
    )
    assert text.splitlines()[2].split()[:3] == ["0", "50.0%", "50.0%"]
    table = districts_table(found, [0, 250])
    assert len(table.splitlines()) == 9
    figure = plot_districts(found)
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == list(found)
    figure.savefig(io.BytesIO(), format="png")
    with pytest.raises(ConfigError) as caught:
        plot_districts({})
    assert str(caught.value) == "`plot_districts` needs a variant or more. Got none."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rates": (0.3,)},
            "`rates` must be two or more probabilities above 0 and at most 1. Got [0.3].",
        ),
        (
            {"start": (0, 5)},
            "`start` must be 2 numbers of records above 0, one a district. Got [0, 5].",
        ),
        ({"patrols": 0}, "`patrols` must be 1 or more. Got 0."),
        ({"allocation": "even"}, "`allocation` must be 'proportional' or 'greedy'. Got 'even'."),
        ({"exploration": 2}, "`exploration` must be 0 to 1. Got 2."),
        ({"reported": -1}, "`reported` must be 0 or more. Got -1."),
        (
            {"allocation": "greedy", "weighting": True},
            "Inverse weighting of greedy patrols needs `exploration` above 0: where no patrol is ever "
            "sent, there is no record to weigh.",
        ),
    ],
)
def test_rules_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Policing(**settings)
    assert str(caught.value) == message


def test_simulations_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        simulate_districts(cities=1)
    assert str(caught.value) == (
        "`simulate_districts` needs 1 round or more and 2 cities or more. Got 365 and 1."
    )
    with pytest.raises(ConfigError) as caught:
        simulate_districts(rounds=10**6, cities=1000)
    assert str(caught.value) == (
        "1,000 cities, 1,000,000 rounds and 2 districts are more than the 134,217,728 shares that can "
        "be kept. Simulate fewer cities."
    )
