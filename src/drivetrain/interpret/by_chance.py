"""How often chance alone would do this: tails of two distributions, without scipy.

- a share: of K marked ones among N, n are drawn; that k of them or more are marked is the upper tail of
  the hypergeometric distribution (Fisher's exact test, one-sided).
- a mean: Student's t with degrees of freedom that need not be whole, by the continued fraction of the
  incomplete beta function (Abramowitz & Stegun 26.5.8; evaluated as Lentz 1976,
  doi:10.1364/AO.15.000668). Two means with spreads of their own are compared as Welch 1947,
  doi:10.1093/biomet/34.1-2.28, and with the spread of all numbers together as Pitman 1937,
  doi:10.2307/2984124: as if the numbers were dealt out to the two groups at random. Of the two the larger
  chance is told. Few numbers with a long tail to the right have too small a mean together with too small
  a spread, and Welch's test heeds that; with one to the left it is taken in, where the other is not.
"""

from __future__ import annotations

from math import exp, isinf, lgamma, log, log1p, sqrt

import numpy as np

_TINY = 1e-300


def drawn_or_more(marked: int, drawn: int, all_marked: int, everything: int) -> float:
    """The chance that `marked` or more of the items that are drawn are marked ones.

    Args:
        marked: k, of the drawn ones.
        drawn: n items, without replacement.
        all_marked: K of them there are.
        everything: N items.

    >>> round(drawn_or_more(3, 3, 5, 10), 4)  # 5/10 * 4/9 * 3/8
    0.0833
    """
    low, high = max(0, drawn + all_marked - everything), min(drawn, all_marked)
    if marked <= low:
        return 1.0
    if marked > high:
        return 0.0
    k = np.arange(marked, high + 1, dtype=np.float64)[:-1]
    # each chance over the one before it; as logarithms, since their product may be out of range
    ratios = (all_marked - k) * (drawn - k) / ((k + 1) * (everything - all_marked - drawn + k + 1))
    first = (
        _log_ways(all_marked, marked)
        + _log_ways(everything - all_marked, drawn - marked)
        - _log_ways(everything, drawn)
    )
    return min(1.0, float(np.exp(first + np.append(0.0, np.cumsum(np.log(ratios)))).sum()))


def _log_ways(of: int, chosen: int) -> float:
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)


def student_or_more(t: float, freedom: float) -> float:
    """The chance that a number of Student's distribution is `t` or more.

    Args:
        t: any number.
        freedom: degrees of freedom, above 0.

    >>> round(student_or_more(2.2622, 9), 4)
    0.025
    """
    if isinf(t):
        return 0.0 if t > 0 else 1.0
    x = freedom / (freedom + t * t)
    tail = 0.5 * _beta_share(x, t * t / (freedom + t * t), freedom / 2, 0.5)
    return tail if t >= 0 else 1.0 - tail


def _beta_share(x: float, rest: float, a: float, b: float) -> float:
    """The incomplete beta function I_x(a, b), regularised; `rest` is 1 - x with all its digits."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    power = lgamma(a + b) - lgamma(a) - lgamma(b)
    power += a * (log(x) if x < 0.5 else log1p(-rest)) + b * log(rest)
    if x < (a + 1) / (a + b + 2):  # where the fraction is quick
        return exp(power) * _fraction(x, a, b) / a
    return 1.0 - exp(power) * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return found


def _apart(number: float) -> float:
    """The number, or one that is not 0."""
    return number if abs(number) > _TINY else _TINY


def mean_or_more(inside: np.ndarray, outside: np.ndarray) -> float:
    """The chance that the mean inside would be this far above the one outside, or more; with care.

    Args:
        inside: (n,) numbers, two or more.
        outside: (m,) numbers, two or more.
    """
    return max(welch_or_more(inside, outside), dealt_or_more(inside, outside))


def dealt_or_more(inside: np.ndarray, outside: np.ndarray) -> float:
    """The same, where all numbers are dealt out to the two groups at random."""
    both = np.concatenate([inside, outside])
    apart = float(inside.mean() - outside.mean())
    square = float(both.var(ddof=1)) * (1 / len(inside) + 1 / len(outside))
    if square <= 0:
        return 1.0
    return student_or_more(apart / sqrt(square), len(both) - 2)


def welch_or_more(inside: np.ndarray, outside: np.ndarray) -> float:
    """The chance that the mean inside would be this far above the one outside, or more.

    Args:
        inside: (n,) numbers, two or more.
        outside: (m,) numbers, two or more.
    """
    of_in, of_out = (
        float(inside.var(ddof=1)) / len(inside),
        float(outside.var(ddof=1)) / len(outside),
    )
    apart, square = float(inside.mean() - outside.mean()), of_in + of_out
    if square <= 0:
        return float(apart <= 0)
    freedom = square**2 / (of_in**2 / (len(inside) - 1) + of_out**2 / (len(outside) - 1))
    return student_or_more(apart / sqrt(square), freedom)
