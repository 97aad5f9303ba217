"""How sure a share is: the Wilson score interval for k hits among n items.

Paper: Wilson 1927, doi:10.1080/01621459.1927.10502953. Unlike p ± z·sqrt(p(1-p)/n) it stays in
[0, 1], and says something for 0 or n hits. Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from math import sqrt
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
    if not 0 < confidence < 1:
        raise ConfigError(
            f"`confidence` is a probability between 0 and 1, such as 0.95. Got {confidence}."
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    centre = share + z**2 / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    # The exact ends at 0 and `total` hits are 0 and 1; rounding would leave 1e-17.
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == total else (centre + half) / scale
    return low, high
