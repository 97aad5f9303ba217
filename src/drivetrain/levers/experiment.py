"""How many rows an experiment needs: two groups made by lot, and the difference of their means.

n in each group = (z(1 - level/2) + z(power))² · (s1² + s2²) / gain², and z(1 - level/2)² / 4 more for not
knowing the spreads (Guenther 1981, doi:10.1080/00031305.1981.10479396).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from drivetrain.errors import ConfigError

LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True)
class ExperimentSize:
    """What it takes to see a gain, if it is there."""

    per_group: int
    """Rows with the new settings, and as many with today's."""
    gain: float
    """Of the mean of the objective, a row."""
    spread: float
    """Standard deviation of the objective from row to row, both groups taken together."""
    level: float = LEVEL
    """Chance of seeing a gain where there is none."""
    power: float = POWER
    """Chance of seeing it where it is there."""

    def __str__(self) -> str:
        return (
            f"{self.per_group:,} rows with the new settings and {self.per_group:,} with today's, "
            f"divided by lot, would show a gain of {self.gain:.3g} a row with a probability of "
            f"{self.power:.0%} (two-sided test of the difference of means at {self.level:.0%}; the "
            f"objective of single rows differs by {self.spread:.3g}, and no row changes another). For "
            "half that gain it takes four times as many."
        )


def sample_size(
    gain: float, spread: float, other_spread: float | None = None, *, level: float = LEVEL,
    power: float = POWER,
) -> int:  # fmt: skip
    """Rows a group, so that a two-sided test of the means sees `gain` with this power.

    Args:
        gain: difference of the two means, not 0.
        spread: standard deviation of single outcomes in one group, 0 or more; `other_spread` in the
            other, by default the same.
        level: false alarms, in (0, 1).
        power: in (level, 1).

    Raises: ConfigError: a number that cannot be.

    >>> sample_size(0.5, 1.0)
    64
    """
    other = spread if other_spread is None else other_spread
    if not (gain and math.isfinite(gain)) or not min(spread, other) >= 0:
        raise ConfigError(
            f"`sample_size` needs a gain that is not 0 and spreads of 0 or more. Got {gain}, {spread} "
            f"and {other}."
        )
    if not 0 < level < power < 1:
        raise ConfigError(
            f"`sample_size` needs 0 < level < power < 1, such as 0.05 and 0.8. Got {level} and {power}."
        )
    z = NormalDist().inv_cdf
    alarm = z(1 - level / 2)
    rows = (alarm + z(power)) ** 2 * (spread**2 + other**2) / gain**2 + alarm**2 / 4
    return max(2, math.ceil(rows))
