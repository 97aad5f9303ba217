"""The Wilson interval: published numbers, bounds, coverage, refusals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from drivetrain.errors import ConfigError, InputError
from drivetrain.metrics import wilson_interval


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E,
        # table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_numbers(correct, total, low, high):
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(total=st.integers(1, 10_000), share=st.floats(0, 1))
def test_holds_the_seen_share_within_zero_and_one(total, share):
    correct = round(share * total)
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    mirrored = wilson_interval(total - correct, total)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


def test_ends_are_exact_at_none_and_all():
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0


def test_grows_with_confidence_and_shrinks_with_items():
    widths = [high - low for low, high in (wilson_interval(8, 10, c) for c in (0.5, 0.9, 0.99))]
    assert widths == sorted(widths)
    wide, narrow = wilson_interval(8, 10), wilson_interval(800, 1000)
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 5


def test_holds_the_true_share_about_as_often_as_it_says():
    """Exact coverage at n=50, averaged over shares: near 0.95, which the textbook interval misses."""
    n = 50
    ends = [wilson_interval(k, n) for k in range(n + 1)]
    coverages = []
    for p in (0.1, 0.3, 0.5, 0.7, 0.9, 0.95):
        chances = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        inside = [low <= p <= high for low, high in ends]
        coverages.append(sum(c for c, here in zip(chances, inside, strict=True) if here))
    assert sum(coverages) / len(coverages) == pytest.approx(0.95, abs=0.01)
    assert min(coverages) > 0.92


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_counts_that_cannot_be_are_refused(correct, total):
    with pytest.raises(InputError) as caught:
        wilson_interval(correct, total)
    assert str(caught.value) == (
        f"`wilson_interval` got {correct} correct of {total}, expected a total of 1 or more and "
        "0 to total correct."
    )


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_confidence_outside_zero_and_one_is_refused(confidence):
    with pytest.raises(ConfigError) as caught:
        wilson_interval(1, 2, confidence)
    assert str(caught.value) == (
        f"`confidence` is a probability between 0 and 1, such as 0.95. Got {confidence}."
    )
