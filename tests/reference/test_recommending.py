"""Metrics of recommended lists beside their twins, which look at one user at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings, strategies as st

from drivetrain.data.ratings import Lists
from drivetrain.metrics import recommending as fast
from drivetrain.reference import recommending as twin

NUM_ITEMS = 9


@st.composite
def people(draw: st.DrawFn) -> tuple[np.ndarray, list[list[int]]]:
    """Lists (M, k) with nothing at some places, and what each user likes or rated: any codes, also 0."""
    count, k = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    rows = []
    for _ in range(count):
        items = draw(st.permutations(range(1, NUM_ITEMS)))[:k]
        gone = draw(st.lists(st.sampled_from([None, 0, -1]), min_size=k, max_size=k))
        rows.append([item if no is None else no for item, no in zip(items, gone, strict=True)])
    own = draw(
        st.lists(
            st.lists(st.integers(0, NUM_ITEMS - 1), max_size=7), min_size=count, max_size=count
        )
    )
    return np.array(rows, dtype=np.int32), own


def as_lists(own: list[list[int]]) -> Lists:
    owners = np.repeat(np.arange(len(own)), [len(one) for one in own])
    return Lists.from_codes(
        owners, np.array([code for one in own for code in one], dtype=np.int32), len(own)
    )


def as_twin(rows: np.ndarray) -> list[list[int | None]]:
    return [[item if item > 0 else None for item in row] for row in rows.tolist()]


def number(value: float | None) -> float:
    return np.nan if value is None else value


@given(drawn=people())
@settings(deadline=None, max_examples=40)
def test_metrics_of_each_user_and_their_means_equal_the_twins(drawn) -> None:
    rows, own = drawn
    hits = fast.find_hits(rows, as_lists(own))
    assert set(fast.PER_USER) == set(twin.PER_USER)
    found = {name: metric(hits) for name, metric in fast.PER_USER.items()}
    means = fast.mean_over_users(found)
    for name in fast.PER_USER:
        single = [
            twin.PER_USER[name](shown, {item for item in liked if item > 0})
            for shown, liked in zip(as_twin(rows), own, strict=True)
        ]
        np.testing.assert_allclose(
            found[name], [number(one) for one in single], rtol=1e-12, atol=1e-15
        )
        wanted = number(twin.mean(single))
        np.testing.assert_allclose(means[name].value, wanted, rtol=1e-12, atol=1e-15)
        assert means[name].num_owners == sum(one is not None for one in single)


@given(
    drawn=people(),
    popularity=st.lists(st.integers(0, 50), min_size=NUM_ITEMS, max_size=NUM_ITEMS),
    catalogue=st.sets(st.integers(1, NUM_ITEMS - 1), min_size=1),
)
@example(  # somebody rated nothing but what nobody else did
    drawn=(np.tile(np.arange(1, 6, dtype=np.int32), (4, 1)), [[], [], [1], [2]]),
    popularity=[0, 0, 1, 0, 0, 0, 0, 0, 0],
    catalogue={1},
)
@settings(deadline=None, max_examples=40)
def test_what_lists_do_to_the_catalogue_equals_the_twins(drawn, popularity, catalogue) -> None:
    rows, own = drawn
    shown, rated = as_twin(rows), [[item if item > 0 else None for item in one] for one in own]
    counts = np.array(popularity)
    np.testing.assert_allclose(
        fast.novelty(rows, counts, 50), [number(twin.novelty(one, popularity, 50)) for one in shown]
    )
    listed, of_own = (
        fast.mean_of_lists(rows, counts),
        fast.mean_of_codes(as_lists(own), counts),
    )
    np.testing.assert_allclose(
        listed, [number(twin.mean_popularity(one, popularity)) for one in shown]
    )
    np.testing.assert_allclose(
        of_own, [number(twin.mean_popularity(one, popularity)) for one in rated]
    )
    codes = np.array(sorted(catalogue))
    assert fast.coverage(rows, NUM_ITEMS, codes) == twin.coverage(shown, catalogue)
    np.testing.assert_allclose(
        fast.gini(counts), number(twin.gini(popularity)), rtol=1e-9, atol=1e-12
    )
    both = ~(np.isnan(listed) | np.isnan(of_own))
    if of_own[both].sum():
        wanted = twin.popularity_ratio(shown, rated, popularity)
        np.testing.assert_allclose(
            fast.popularity_ratio(listed, of_own).value, number(wanted), rtol=1e-9
        )
