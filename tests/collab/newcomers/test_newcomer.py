"""Somebody new, by whatever is known."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.collab.newcomers.cold import ColdStart, fit_cold_start
from drivetrain.collab.newcomers.facts import Facts
from drivetrain.collab.newcomers.fold_in import fold_in
from drivetrain.collab.newcomers.newcomer import newcomer
from drivetrain.errors import ConfigError
from tests.collab.newcomers.made import Made, made

MEANS = np.linspace(1, 5, 61)
POPULARITY = np.random.default_rng(0).permutation(61)


@pytest.fixture(scope="module")
def people() -> Made:
    return made()


@pytest.fixture(scope="module")
def cold(people: Made) -> ColdStart:
    return fit_cold_start(people.factors, people.facts, "user", ratings=people.table)


def test_nothing_known_means_what_is_popular_and_says_so(people: Made, cold: ColdStart) -> None:
    for found in (newcomer(people.factors), newcomer(people.factors, cold=cold)):
        assert (found.vector, found.sources) == (None, ())
        assert found.sentence == (
            "Nothing is known of this user: this is what is popular, the same for everybody."
        )
        np.testing.assert_allclose(found.scores(people.factors, MEANS), MEANS, rtol=1e-6)
        order = found.order(people.factors, POPULARITY)
        assert POPULARITY[order].tolist() == sorted(POPULARITY[1:], reverse=True)
        assert 0 not in order
    unseen = newcomer(people.factors, items=[0, 0], ratings=[5, 4])
    assert unseen.sentence == (
        "Of what this user rated, training saw nothing: this is what is popular, the same for everybody."
    )
    blank = newcomer(people.factors, facts=np.full(5, np.nan), cold=cold)
    assert blank.vector is None


def test_facts_alone_make_a_vector(people: Made, cold: ColdStart) -> None:
    found = newcomer(people.factors, facts=people.new_facts[0], cold=cold)
    assert found.vector is not None
    assert (found.sources, found.sentence) == (("facts",), "Made from facts alone, no ratings.")
    vector, bias = cold.vector(people.new_facts[0])
    raw = people.factors.items @ vector + people.factors.item_bias + bias
    np.testing.assert_allclose(
        found.scores(people.factors, MEANS), people.factors.ranged(raw.astype("f")), rtol=1e-5
    )
    order = found.order(people.factors, POPULARITY)
    assert order.tolist() == (np.argsort(-raw[1:], kind="stable") + 1).tolist()


def test_ratings_start_at_what_facts_say(people: Made, cold: ColdStart) -> None:
    facts = people.new_facts[1]
    both = newcomer(people.factors, items=[3, 0, 9], ratings=[5, 1, 2], facts=facts, cold=cold)
    expected = fold_in(people.factors, [3, 9], [5, 2], prior=cold.vector(facts))
    assert both.vector is not None
    np.testing.assert_allclose(both.vector, expected[0], atol=1e-6)
    assert both.sources == ("facts", "ratings")
    assert both.sentence == "Made from 2 ratings, starting at what facts say."
    alone = newcomer(people.factors, items=[3], ratings=[5])
    assert alone.sources == ("ratings",)
    assert alone.sentence == "Made from 1 rating, starting at the mean user."


def test_facts_that_are_worth_nothing_are_not_believed() -> None:
    people = made(link=0.0, seed=1)
    draw = np.random.default_rng(0)
    tried = []
    for _ in range(8):  # chance may speak for facts that say nothing, but not each time
        values = people.facts.values.copy()
        values[1:] = draw.permutation(values[1:])
        tried.append(fit_cold_start(people.factors, Facts(people.facts.names, values), "user"))
    cold = next(model for model in tried if not model.uses_facts)
    found = newcomer(people.factors, facts=people.new_facts[0], cold=cold)
    assert found.sentence == (
        "Facts did no better than the mean user, and there are no ratings: this is what is popular, the "
        "same for everybody."
    )
    assert not cold.weight.any()
    np.testing.assert_array_equal(*cold.vectors(people.new_facts[:2])[0])
    rated = newcomer(people.factors, items=[3], ratings=[5], facts=people.new_facts[0], cold=cold)
    assert rated.sources == ("ratings",)


def test_facts_need_a_model_of_users(people: Made, cold: ColdStart) -> None:
    with pytest.raises(ConfigError) as caught:
        newcomer(people.factors, facts=people.new_facts[0])
    assert str(caught.value) == "`facts` of a new user need `cold`, fitted with side='user'."
