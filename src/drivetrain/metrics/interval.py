"""How sure a value is: intervals in closed form, and the quantiles that they need.

- a share: the score interval of Wilson 1927, doi:10.1080/01621459.1927.10502953. Unlike
  p ± z·sqrt(p(1-p)/n) it stays in [0, 1], and says something for 0 or n hits.
- a mean: mean ± t·s/sqrt(n) with Student's t (`Ratio` in means.py).
- a mean of squares, and its root: the same on the scale of logarithms, `of_squares`.
- a correlation: Fisher's z, atanh(r) ± z·se.
- the area under the ROC curve: DeLong (ranking.py).

What has none of these is drawn again from its own items: bootstrap.py.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from math import atanh, cos, exp, isnan, pi, sin, sqrt, tanh
from statistics import NormalDist

from drivetrain.errors import ConfigError, InputError


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The range that holds the true share with the given confidence, as far as chance goes.

    It speaks of chance in which items were drawn, not of items that differ from those met later.

    Args:
        correct: items that were right, in 0..total.
        total: items that were looked at, 1 or more.
        confidence: in (0, 1).

    Returns: (low, high), in [0, 1].
    Raises: InputError: counts that cannot be. ConfigError: a confidence outside (0, 1).

    >>> [round(end, 4) for end in wilson_interval(90, 100)]
    [0.8256, 0.9448]
    """
    if total < 1 or not 0 <= correct <= total:
        raise InputError(
            f"`wilson_interval` got {correct} correct of {total}, expected a total of 1 or more and "
            "0 to total correct."
        )
    low, high = wilson_of_share(correct / total, total, confidence)
    # The exact ends at 0 and `total` hits are 0 and 1; rounding would leave 1e-17.
    return (0.0 if correct == 0 else low), (1.0 if correct == total else high)


def wilson_of_share(share: float, total: float, confidence: float) -> tuple[float, float]:
    """`wilson_interval` for a number of items that need not be whole: an effective one."""
    z = two_sided(confidence)
    centre = share + z**2 / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def two_sided(confidence: float) -> float:
    """The z for which a standard normal number lies in ±z with this probability.

    Raises: ConfigError: a confidence outside (0, 1).
    """
    check_confidence(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def check_confidence(confidence: float) -> None:
    """Raises: ConfigError: a confidence outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ConfigError(
            f"`confidence` is a probability between 0 and 1, such as 0.95. Got {confidence}."
        )


def two_sided_student(confidence: float, freedom: int) -> float:
    """The t for which a number of Student's distribution lies in ±t with this probability.

    Up to 200 degrees of freedom the finite series of Abramowitz & Stegun 26.7.3 and 26.7.4 is
    inverted by halving; beyond, three terms of its expansion about the normal quantile (26.7.5), off
    by less than 1e-7.

    Args:
        confidence: in (0, 1).
        freedom: degrees of freedom, 1 or more.

    Raises: ConfigError: a confidence outside (0, 1).

    >>> round(two_sided_student(0.95, 9), 4)
    2.2622
    """
    z = two_sided(confidence)
    if freedom > 200:
        first = (z**3 + z) / 4
        second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
        return z + first / freedom + second / freedom**2 + third / freedom**3
    low, high = 0.0, pi / 2  # of the angle whose tangent is t / sqrt(freedom)
    for _ in range(60):
        middle = (low + high) / 2
        inside = _student_inside(middle, freedom) < confidence
        low, high = (middle, high) if inside else (low, middle)
    return sqrt(freedom) * sin(low) / cos(low)


def _student_inside(angle: float, freedom: int) -> float:
    """The probability of lying in ±t, where tan(angle) = t / sqrt(freedom)."""
    c, s = cos(angle), sin(angle)
    term, total = (c, 0.0) if freedom % 2 else (1.0, 0.0)
    for k in range(2 + freedom % 2, freedom + 1, 2):  # the powers of the cosine
        total += term
        term *= c * c * (k - 1) / k
    if freedom % 2:
        return 2 / pi * (angle + s * total)
    return s * total


def of_squares(mean: float, error: float, t: float) -> tuple[float, float] | None:
    """Of a mean of squares: mean · exp(±t · error / mean), to first order mean ± t · error.

    Few squares are skewed: the mean of those that lack a large one is small, and so is its error. On the
    scale of logarithms (as is usual of variances; Bartlett & Kendall 1946) the intervals of twenty
    errors hold the truth 92 times in 100 where they are normal, and not 90; of five 91, and not 82. Where
    a few errors count for nearly all neither does: of 20 that are lognormal 70, and not 63.

    Args:
        mean: of the squares.
        error: its standard error.
        t: that Student's distribution stays within.

    Returns: None where the mean is 0, or the upper end would be beyond all numbers.
    """
    if not mean > 0 or not t * error < 500 * mean:
        return None
    factor = exp(t * error / mean)
    return mean / factor, mean * factor


def fisher_interval(
    correlation: float, count: int, confidence: float, *, spread: float = 1.0
) -> tuple[float, float] | None:
    """Of a correlation, by Fisher's z: atanh(r) is near normal with variance `spread` / (n - 3).

    Paper: Fisher 1921. `spread` is 1 for Pearson's r, and 1 + r²/2 for Spearman's (Bonett & Wright
    2000, doi:10.1007/BF02294183). None for three items or fewer, for an r of NaN, and for one of 1 or -1,
    of which the formula knows nothing: four numbers are in order by chance once in 24 times.
    """
    z = two_sided(confidence)
    if isnan(correlation) or count <= 3 or abs(correlation) >= 1:
        return None
    middle, half = atanh(correlation), z * sqrt(spread / (count - 3))
    return tanh(middle - half), tanh(middle + half)
