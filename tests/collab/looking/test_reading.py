"""Biases, nearest items, what factors stand for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.collab.factors import Factors
from drivetrain.collab.looking.reading import (
    cosines,
    distances,
    factor_ends,
    item_biases,
    liking,
    map_items,
    nearest_items,
    user_biases,
)
from drivetrain.errors import ConfigError, DataError, ShapeError
from tests.collab.newcomers.made import fit_dot
from tests.collab.simple_fits import movielens
from tests.tabular.tables import real

TITLES = ("", "A", "B", "C", "D", "E")
COUNTS = np.array([0, 50, 3, 40, 30, 20])


def some_factors(items: int = 5, users: int = 4, width: int = 3, seed: int = 0) -> Factors:
    draw = np.random.default_rng(seed)
    arrays = [draw.normal(size=size).astype(np.float32) for size in ((users + 1, width),
              (items + 1, width), users + 1, items + 1)]  # fmt: skip
    return Factors(*arrays, y_range=(0.0, 5.5))


def with_bias(*values: float) -> Factors:
    zeros = np.zeros((len(values) + 1, 2), np.float32)
    bias = np.array([9.0, *values], np.float32)  # row 0, the unknown one, must not be seen
    return Factors(
        np.zeros((3, 2), np.float32), zeros, np.array([9.0, 0.5, -0.5], np.float32), bias
    )


# --- biases ---------------------------------------------------------------------------------------


def test_both_ends_of_the_biases_are_told_with_ratings() -> None:
    factors = with_bias(0.5, 2.0, -1.0, 0.5, 0.0)
    found = item_biases(factors, TITLES, 3, counts=COUNTS)
    assert [(e.title, e.value, e.num_ratings) for e in found.highest] == [
        ("B", 2.0, 3), ("A", 0.5, 50), ("D", 0.5, 30),
    ]  # fmt: skip
    assert [entry.title for entry in found.lowest] == ["C", "E", "A"]  # of A and D the lower code
    assert str(found) == "\n".join(
        [
            "Items by bias",
            "  highest (value, ratings)",
            "       2.000       3  B",
            "       0.500      50  A",
            "       0.500      30  D",
            "  lowest (value, ratings)",
            "      -1.000      40  C",
            "       0.000      20  E",
            "       0.500      50  A",
        ]
    )
    users = user_biases(factors, ("", "ann", "bo"), 1)
    assert (users.highest[0].title, users.lowest[0].title) == ("ann", "bo")
    assert users.highest[0].num_ratings is None


def test_thin_items_can_be_left_out() -> None:
    found = item_biases(
        with_bias(0.5, 2.0, -1.0, 0.5, 0.0), TITLES, 1, counts=COUNTS, min_ratings=20
    )
    assert (found.highest[0].title, found.left_out) == ("A", 1)
    assert found.name == "Items by bias; 1 with fewer than 20 ratings left out"
    record = json.loads(json.dumps(found.to_json()))
    assert record["left_out"] == 1
    assert record["highest"] == [{"code": 1, "title": "A", "value": 0.5, "num_ratings": 50}]


def test_the_typical_user_is_counted_in() -> None:
    factors = some_factors()
    expected = factors.items.astype(np.float64) @ factors.users[1:].astype(np.float64).mean(0)
    np.testing.assert_allclose(
        liking(factors, "item", "typical"), expected + factors.item_bias, rtol=1e-6
    )
    # what the users give on average is the same number
    means = factors.raw(np.arange(1, 5)).mean(0) - factors.user_bias[1:].mean()
    np.testing.assert_allclose(liking(factors, "item", "typical"), means, rtol=1e-5)
    assert user_biases(factors, range_titles(5), 1, over="typical").highest[0].code in range(1, 5)


def range_titles(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def test_what_cannot_be_listed_is_refused() -> None:
    factors = with_bias(0.5, 2.0, -1.0, 0.5, 0.0)
    with pytest.raises(ShapeError) as caught:
        item_biases(factors, TITLES[:3])
    assert str(caught.value) == "`titles` must hold one a code, 6 with the unknown one. Got 3."
    with pytest.raises(ShapeError) as caught:
        item_biases(factors, TITLES, counts=COUNTS[1:])
    assert str(caught.value) == (
        "`counts` must hold one a code, (6,) with the unknown one. Got (5,)."
    )
    with pytest.raises(ConfigError) as caught:
        item_biases(factors, TITLES, min_ratings=3)
    assert str(caught.value) == (
        "`min_ratings` needs `counts`, the ratings that each had in training."
    )
    with pytest.raises(DataError) as caught:
        item_biases(factors, TITLES, counts=COUNTS, min_ratings=60)
    assert str(caught.value) == "There is none with 60 ratings or more: nothing can be shown."
    with pytest.raises(ConfigError) as caught:
        item_biases(factors, TITLES, 0)
    assert str(caught.value) == "`k` is a whole number from 1 up. Got 0."
    with pytest.raises(ConfigError) as caught:
        item_biases(factors, TITLES, over="mean")
    assert str(caught.value) == "`over` is 'alone' or 'typical'. Got 'mean'."
    without = Factors(
        np.ones((3, 2), "f"), np.ones((6, 2), "f"), np.zeros(3, "f"), np.zeros(6, "f")
    )
    with pytest.raises(DataError) as caught:
        item_biases(without, TITLES)
    assert str(caught.value) == (
        "The model has no biases. Give over='typical' for what the mean vector of the other side makes "
        "of each, or train a model with biases."
    )


# --- nearest --------------------------------------------------------------------------------------


@pytest.mark.row(128)
def test_of_one_direction_the_cosine_is_one_and_ties_keep_the_codes_order() -> None:
    draw = np.random.default_rng(0)
    one = draw.normal(size=50).astype(np.float32)
    vectors = np.stack([np.zeros(50), one, 2 * one, draw.normal(size=50), 3 * one, -one, 0 * one])
    factors = Factors(
        np.zeros((2, 50), "f"), vectors.astype("f"), np.zeros(2, "f"), np.zeros(7, "f")
    )
    found = nearest_items(factors, 1, 6)
    assert [entry.value for entry in found.entries[:2]] == [1.0, 1.0]  # to the last bit
    assert [entry.code for entry in found.entries[:2]] == [2, 4]
    assert (found.entries[-1].code, found.entries[-1].value) == (5, -1.0)
    assert {e.code: e.value for e in found.entries}[6] == 0.0  # a vector of zeros
    assert {entry.code for entry in found.entries} == {2, 3, 4, 5, 6}  # not itself, not the unknown
    near = nearest_items(factors, 1, 3, by="distance")
    assert near.entries[0].code in (3, 2, 6)
    assert near.entries[0].value == pytest.approx(
        np.linalg.norm(vectors[1:] - one, axis=1)[1:].min()
    )
    lost = nearest_items(factors, 6, 3)
    assert [entry.code for entry in lost.entries] == [1, 2, 3]
    assert [entry.value for entry in lost.entries] == [0.0, 0.0, 0.0]
    assert lost.note == (
        "Its vector is all zeros, which has no direction: the order is that of the codes."
    )


@pytest.mark.row(128)
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(1e-30, 1e30),
    width=st.integers(1, 70),
)
def test_cosines_are_torchs_and_do_not_depend_on_lengths(
    seed: int, scale: float, width: int
) -> None:
    draw = np.random.default_rng(seed)
    vectors, one = draw.normal(size=(9, width)), draw.normal(size=width)
    found = cosines(vectors, one)
    expected = torch.cosine_similarity(torch.from_numpy(vectors), torch.from_numpy(one)[None])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-11)
    np.testing.assert_array_equal(cosines(vectors * 2, one * 8), found)
    np.testing.assert_allclose(cosines(vectors * scale, one / scale), found, atol=2e-12)
    np.testing.assert_allclose(
        distances(vectors, one), np.sqrt(((vectors - one) ** 2).sum(1)), rtol=1e-12
    )


def test_thin_neighbours_are_pointed_out_and_can_be_left_out() -> None:
    factors = some_factors()
    found = nearest_items(factors, 1, 4, TITLES, counts=COUNTS)
    assert found.note == "1 of them had fewer than 5 ratings: such a vector was hardly learnt."
    assert str(found).startswith("  nearest to A by cosine (value, ratings)\n")
    assert str(found).endswith(found.note)
    fewer = nearest_items(factors, 1, 4, TITLES, counts=COUNTS, min_ratings=5)
    assert "B" not in [entry.title for entry in fewer.entries]
    assert (len(fewer.entries), fewer.note) == (3, "")
    assert json.loads(json.dumps(found.to_json()))["item"]["title"] == "A"
    # a thin item may itself be asked about
    assert nearest_items(factors, 2, 1, TITLES, counts=COUNTS, min_ratings=5).item.title == "B"


def test_an_item_that_is_not_there_has_no_neighbours() -> None:
    for code in (0, 6, -1, True):
        with pytest.raises(ConfigError) as caught:
            nearest_items(some_factors(), code)
        assert str(caught.value) == (
            f"`item` is the code of an item that training saw, 1 to 5. Got {code!r}."
        )
    with pytest.raises(ConfigError) as caught:
        nearest_items(some_factors(), 1, by="angle")
    assert str(caught.value) == "`by` is 'cosine' or 'distance'. Got 'angle'."


# --- factors and the map --------------------------------------------------------------------------


def test_principal_axes_are_the_same_however_the_model_was_turned() -> None:
    factors = some_factors(items=30, width=4)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    turned = Factors(
        (factors.users @ turn).astype("f"),
        (factors.items @ turn).astype("f"),
        factors.user_bias,
        factors.item_bias,
        factors.y_range,
    )
    titles = range_titles(31)
    for one, other in zip(
        factor_ends(factors, titles, 3), factor_ends(turned, titles, 3), strict=True
    ):
        assert one.share == pytest.approx(other.share, rel=1e-4)
        codes = [{e.code for e in end} for end in (one.highest, one.lowest)]
        assert [{e.code for e in end} for end in (other.highest, other.lowest)] in (
            codes, codes[::-1],
        )  # fmt: skip
    shares = [axis.share or 0.0 for axis in factor_ends(factors, titles, 3, most=9)]
    assert len(shares) == 4
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0)


def test_single_factors_are_told_by_their_spread() -> None:
    items = np.array([[9, 9], [0, 1], [0, 3], [2, -8], [0, 0]], np.float32)
    factors = Factors(np.zeros((2, 2), "f"), items, np.zeros(2, "f"), np.zeros(5, "f"))
    first, second = factor_ends(factors, TITLES[:5], 1, axes="factors")
    assert (first.name, first.highest[0].title, first.lowest[0].title) == ("Factor 1", "B", "C")
    assert (second.name, second.highest[0].title, second.highest[0].value) == ("Factor 0", "C", 2.0)
    assert (first.share or 0) + (second.share or 0) == pytest.approx(1.0)
    with pytest.raises(ConfigError) as caught:
        factor_ends(factors, TITLES[:5], axes="all")
    assert str(caught.value) == "`axes` is 'principal' or 'factors'. Got 'all'."


@pytest.mark.row(127)
def test_a_map_holds_the_most_rated_items_and_the_ends_of_its_axes() -> None:
    factors = some_factors(items=20, width=5)
    counts = np.array([0, *np.random.default_rng(2).permutation(20)])
    titles = tuple(f"film {i}" for i in range(21))
    found = map_items(factors, titles, counts=counts, most=12, k=2)
    assert found.codes.tolist() == (np.argsort(-counts[1:], kind="stable") + 1)[:12].tolist()
    assert found.titles[0] == f"film {found.codes[0]}"
    assert found.num_left_out == 8
    across, up = found.axes
    assert across.highest[0].code == found.codes[found.points[:, 0].argmax()]
    assert up.lowest[0].code == found.codes[found.points[:, 1].argmin()]
    # the points are those of a singular value decomposition, up to sign
    vectors = factors.items[found.codes].astype(np.float64)
    left, values, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.points), np.abs(left[:, :2] * values[:2]), atol=1e-9)
    record = json.loads(json.dumps(found.to_json()))
    assert record["items"][3]["title"] == found.titles[3]
    assert record["axes"][0]["share"] == across.share
    assert str(found).startswith(f"Axis 1, to the right, {across.share:.1%} of the spread\n")


def test_a_map_needs_three_items() -> None:
    with pytest.raises(DataError) as caught:
        map_items(some_factors(items=2), TITLES[:3])
    assert str(caught.value) == ("A map needs three items and vectors of two numbers. Got 2 and 3.")


@pytest.mark.slow
@pytest.mark.row(128)
def test_of_real_films_sequels_are_near_and_the_shawshank_is_liked() -> None:
    table = movielens()
    text = real("ml-100k/u.item").read_text(encoding="latin-1")
    titles = ("", *(line.split("|")[1] for line in text.splitlines()))
    counts = np.bincount(table.items, minlength=1683)
    factors = fit_dot(table)
    near = nearest_items(factors, titles.index("Star Wars (1977)"), 5, titles, counts=counts,
                         min_ratings=50)  # fmt: skip
    assert {"Empire Strikes Back, The (1980)", "Return of the Jedi (1983)"} <= {
        entry.title for entry in near.entries
    }
    best = item_biases(factors, titles, 15, counts=counts, min_ratings=50).highest
    assert "Shawshank Redemption, The (1994)" in [entry.title for entry in best]
