"""How far from the data settings lie: distances, places, gaps, and the share they are told by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.levers.domain import Domain, Space, place_of
from tests.levers.made import shop


def line(values: list[float]) -> Frame:
    return Frame({"x": np.array(values, dtype=np.float64)})


def test_a_distance_is_a_sum_of_scaled_differences() -> None:
    data = Frame(
        {
            "x": np.linspace(0, 10, 101),
            "when": np.datetime64("2026-01-01", "us") + np.arange(101) * np.timedelta64(1, "D"),
            "word": Factor.of(["a"] * 100 + [None]),
        }
    )
    space = Space.of(data, data.names, np.array([0, 50, 100]))
    assert space.scales == pytest.approx((9.0, 90.0, 1.0))
    new = Frame(
        {
            "x": np.array([0.0, 9.0, np.nan]),
            "when": np.array(["2026-01-01", "2026-01-10", "NaT"], dtype="datetime64[us]"),
            "word": Factor.of(["a", "new", None]),
        }
    )
    np.testing.assert_allclose(
        space.distances(new),
        [
            [0, 5 / 9 + 50 / 90, 10 / 9 + 100 / 90 + 1],
            [1 + 0.1 + 1, 4 / 9 + 41 / 90 + 1, 1 / 9 + 91 / 90 + 1],
            [3, 3, 2],
        ],
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(-100, 100), st.floats(0.01, 100))
def test_units_do_not_matter(seed: int, shift: float, scale: float) -> None:
    draw = np.random.default_rng(seed)
    values, asked = draw.normal(size=80), draw.normal(size=7) * 2
    one = Domain.of(line(values.tolist()), ["x"])
    other = Domain.of(line((shift + scale * values).tolist()), ["x"])
    np.testing.assert_allclose(
        one.lever_distance(line(asked.tolist())),
        other.lever_distance(line((shift + scale * asked).tolist())),
        rtol=1e-6,
        atol=1e-9,
    )


def test_new_rows_of_the_same_source_are_as_far_as_the_data_s_own() -> None:
    domain = Domain.of(shop(500, seed=0), ["price", "adverts"])
    new = shop(500, seed=1)
    shares = domain.lever_share(domain.lever_distance(new.select(["price", "adverts"])))
    for share in (0.5, 0.8, 0.95):
        assert (shares <= share).mean() == pytest.approx(share, abs=0.08)


def test_an_odd_row_makes_no_neighbourhood() -> None:
    domain = Domain.of(line([*np.linspace(0, 10, 200), 1000.0]), ["x"])
    limit, _ = domain.bound(0.95)
    near, odd = domain.lever_distance(line([5.0, 1000.0]))
    assert near < limit < odd


def test_between_few_values_is_inside_where_they_are_near_each_other() -> None:
    def is_inside(values: list[float], asked: list[float]) -> list[bool]:
        domain = Domain.of(line(values), ["x"])
        return (domain.lever_distance(line(asked)) <= domain.bound(0.95)[0]).tolist()

    assert is_inside([1, 2, 3, 4, 5] * 40, [2.5, 4.0, 5.4, 5.8, 9.0]) == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert is_inside([0, 100] * 100, [0.0, 10.0, 50.0, 100.0]) == [True, True, False, True]


def test_a_rare_word_is_outside() -> None:
    data = Frame({"word": Factor.of(["a"] * 150 + ["b"] * 48 + ["c"] * 2)})
    domain = Domain.of(data, ["word"])
    found = domain.lever_distance(Frame({"word": Factor.of(["a", "b", "c", "d"])}))
    assert (found <= domain.bound(0.95)[0]).tolist() == [True, True, False, False]


def test_whole_rows_tell_settings_that_are_usual_elsewhere() -> None:
    # Two kinds of rows, each with prices of its own.
    draw = np.random.default_rng(0)
    kind = draw.integers(0, 2, 400)
    data = Frame(
        {
            "price": np.where(kind == 1, 100, 10) + draw.normal(size=400),
            "size": np.where(kind == 1, 5, 1) + draw.normal(size=400) / 10,
        }
    )
    domain = Domain.of(data, ["price"])
    small = domain.from_context(Frame({"price": np.array([0.0]), "size": np.array([1.0])}))
    settings_frame = Frame({"price": np.array([10.0, 100.0])})
    levers = domain.lever_share(domain.lever_distance(settings_frame))
    rows = domain.row_share(domain.row_distances(settings_frame, small)[:, 0])
    assert (levers < 0.9).all()
    assert rows[0] < 0.9 and rows[1] == 1.0


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (50.0, "above 50% of the rows"),
        (-1.0, "below all rows"),
        (101.0, "above all rows"),
        (0.0, "above <1% of the rows"),
        (100.0, "above >99% of the rows"),
    ],
)
def test_the_place_of_a_number_among_the_data(setting: float, sentence: str) -> None:
    place = place_of(line(list(range(101))), "x", setting)
    assert (place.low, place.high, place.smallest, place.largest) == (5.0, 95.0, 0.0, 100.0)
    assert str(place) == sentence


def test_the_place_of_a_word_and_of_no_column() -> None:
    data = Frame({"w": Factor.of(["a", "a", "a", "b"])})
    assert str(place_of(data, "w", "b")) == "in 25% of the rows"
    assert str(place_of(data, "w", "c")) == "in none of the rows"
    assert str(place_of(data, "other", 1.0)) == "no column of the data"
