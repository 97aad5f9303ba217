"""Patrols go where records are, and records are made where patrols go: the feedback loop of predictive
policing, with districts whose true rates are known.

    found = compare_districts(rates=(0.3, 0.3), rounds=365)
    print(found["as it is"]); print(found["inverse weighting"])

A day: the share of each district in the records is taken for its share of crime, and patrols are sent by
it; each patrol meets a crime with the true rate of its district, and what it meets is added to the
records. Lum & Isaac 2016, doi:10.1111/j.1740-9713.2016.00960.x; Ensign et al. 2018, arXiv:1706.09847.

What is known about it, for equal true rates, so that the truth is an equal share:

- **proportional** patrols, each sent by chance with the probability of the share. With one patrol a day,
  the districts found in are a Pólya urn: the share tends to a limit, but to a random one, distributed as
  Beta(records of the one at first, of the other). The mean over many cities stays at the truth; each city
  drifts, and keeps what chance gave it. With unequal rates the share of the highest tends to 1.
- **greedy** patrols, all sent where the share is highest: one district gets all further records, and its
  share tends to 1.
- **exploration**, a part e of the patrols spread evenly whatever the records say, draws proportional
  shares back to the truth, but slowly, as t^-e. Greedy ones stay at 1 - e / 2: more is found where more
  look, however long it lasts.
- **inverse weighting**, each record counted 1 / (districts x the probability with which a patrol was sent
  there): what is added is, on average, by the true rates, whatever the patrols do. Shares tend to
  the truth. It needs a probability above 0 everywhere: greedy patrols need exploration beside it.
- **reports** by the people who live there do not depend on patrols. As many reports as records made
  by patrols act like an exploration of one half; without weights what patrols find still adds to them.

Letters: D districts, R rounds, S cities that are simulated side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from drivetrain.errors import ConfigError
from drivetrain.interpret.text import table as text_table
from drivetrain.randomness import derive

CONFIDENCE = 0.95
POINTS = 101
"""Rounds at most that are written to JSON."""
_CELLS = 1 << 27  # numbers that a simulation may keep


@dataclass(frozen=True)
class Policing:
    """How patrols are sent and what becomes of records."""

    rates: tuple[float, ...] = (0.3, 0.3)
    """(D,) the probability that a patrol in a district meets a crime, in (0, 1]."""
    start: tuple[float, ...] = (5.0, 5.0)
    """(D,) records before the first round, above 0."""
    patrols: int = 10
    """Sent in a round."""
    allocation: Literal["proportional", "greedy"] = "proportional"
    exploration: float = 0.0
    """The probability that a patrol goes to a district by chance, all alike."""
    weighting: bool = False
    """Records of patrols count by the inverse of how likely a patrol was sent there."""
    reported: float = 0.0
    """Crimes that are reported in a round, as a multiple of what as many evenly spread patrols would
    meet; Poisson distributed, and by the true rates."""

    def __post_init__(self) -> None:
        if len(self.rates) < 2 or not all(0 < rate <= 1 for rate in self.rates):
            raise ConfigError(
                "`rates` must be two or more probabilities above 0 and at most 1. Got "
                f"{list(self.rates)}."
            )
        if len(self.start) != len(self.rates) or not all(
            count > 0 and np.isfinite(count) for count in self.start
        ):
            raise ConfigError(
                f"`start` must be {len(self.rates)} numbers of records above 0, one a district. Got "
                f"{list(self.start)}."
            )
        if self.patrols < 1:
            raise ConfigError(f"`patrols` must be 1 or more. Got {self.patrols}.")
        if self.allocation not in ("proportional", "greedy"):
            raise ConfigError(
                f"`allocation` must be 'proportional' or 'greedy'. Got {self.allocation!r}."
            )
        if not 0 <= self.exploration <= 1:
            raise ConfigError(f"`exploration` must be 0 to 1. Got {self.exploration}.")
        if not 0 <= self.reported < np.inf:
            raise ConfigError(f"`reported` must be 0 or more. Got {self.reported}.")
        if self.weighting and self.allocation == "greedy" and self.exploration == 0:
            raise ConfigError(
                "Inverse weighting of greedy patrols needs `exploration` above 0: where no patrol is "
                "ever sent, there is no record to weigh."
            )

    @property
    def truth(self) -> np.ndarray:
        """(D,) the share of crime of each district."""
        return np.array(self.rates) / sum(self.rates)

    def chances(self, shares: np.ndarray, ties: np.ndarray) -> np.ndarray:
        """Where a patrol is sent, by the shares of the records.

        Args:
            shares: (S, D), of sum 1.
            ties: (S, D) numbers drawn by chance; of equal shares the district of the higher one counts.

        Returns: (S, D) probabilities, of sum 1.
        """
        if self.allocation == "greedy":
            first = np.where(shares >= shares.max(axis=1, keepdims=True), ties, -1).argmax(axis=1)
            shares = np.eye(shares.shape[1])[first]
        return (1 - self.exploration) * shares + self.exploration / shares.shape[1]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "rates": list(self.rates),
            "start": list(self.start),
            "patrols": self.patrols,
            "allocation": self.allocation,
            "exploration": self.exploration,
            "weighting": self.weighting,
            "reported": self.reported,
        }


@dataclass(frozen=True, eq=False)
class Districts:
    """What happened in many cities that began alike."""

    policing: Policing
    shares: np.ndarray
    """(S, R + 1, D) share of the records, at first and after each round."""
    patrolled: np.ndarray
    """(S, R + 1, D) share of all patrols so far; before the first round, of those about to be sent."""
    seed: int

    @property
    def drift(self) -> np.ndarray:
        """(S, R + 1) the share of the records that stands in other districts than it should."""
        return np.abs(self.shares - self.policing.truth).sum(axis=2) / 2

    def band(self, district: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(R + 1,) each: the share of a district's records, at 2.5%, 50% and 97.5% of the cities."""
        tail = (1 - CONFIDENCE) / 2
        low, middle, high = np.quantile(self.shares[:, :, district], [tail, 0.5, 1 - tail], axis=0)
        return low, middle, high

    def mean_drift(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(R + 1,) each: mean drift over cities, and the ends of its 95% interval."""
        drift = self.drift
        half = 1.96 * drift.std(axis=0, ddof=1) / np.sqrt(len(drift))
        return drift.mean(axis=0), drift.mean(axis=0) - half, drift.mean(axis=0) + half

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; of many rounds some."""
        rounds = _some_rounds(self.shares.shape[1] - 1, POINTS)
        low, middle, high = self.band()
        drift, drift_low, drift_high = self.mean_drift()
        return {
            **self.policing.to_json(),
            "seed": self.seed,
            "cities": len(self.shares),
            "truth": self.policing.truth.tolist(),
            "rounds": rounds.tolist(),
            "share": {
                "low": low[rounds].tolist(),
                "median": middle[rounds].tolist(),
                "high": high[rounds].tolist(),
                "mean": self.shares[:, rounds, 0].mean(axis=0).tolist(),
            },
            "drift": {
                "mean": drift[rounds].tolist(),
                "low": drift_low[rounds].tolist(),
                "high": drift_high[rounds].tolist(),
            },
            "patrolled": self.patrolled[:, rounds, 0].mean(axis=0).tolist(),
        }

    def __str__(self) -> str:
        """The first district's share of the records, round by round."""
        low, middle, high = self.band()
        drift = self.mean_drift()[0]
        rows = [
            [
                f"{number:,}",
                f"{100 * middle[number]:.1f}%",
                f"{100 * low[number]:.1f}% to {100 * high[number]:.1f}%",
                f"{100 * drift[number]:.1f}%",
            ]
            for number in _some_rounds(self.shares.shape[1] - 1, 7)
        ]
        head = ["round", "share, median", "of 95% of cities", "mean drift"]
        share = 100 * self.policing.truth[0]
        return "\n".join(
            [
                f"The first district's share of the records; the truth is {share:.1f}%. "
                f"{len(self.shares):,} cities.",
                text_table(head, rows),
            ]
        )


def _some_rounds(last: int, count: int) -> np.ndarray:
    """At most `count` whole numbers from 0 to `last`, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, last, min(count, last + 1)).round().astype(int))


def simulate_districts(
    policing: Policing | None = None, *, rounds: int = 365, cities: int = 500, seed: int = 42
) -> Districts:
    """Send patrols by the records, add what they find, over and over, in many cities side by side.

    Args:
        policing: the rules; by default two districts of equal rates and proportional patrols.
        rounds: days.
        cities: that are simulated, two or more; they differ by chance alone.
        seed: of all that is drawn.

    Returns: what happened day by day; print it, or draw it.
    Raises: ConfigError: fewer than one round or two cities, or more of both than can be kept.
    """
    policing = Policing() if policing is None else policing
    if rounds < 1 or cities < 2:
        raise ConfigError(
            f"`simulate_districts` needs 1 round or more and 2 cities or more. Got {rounds} and "
            f"{cities}."
        )
    rates, count = np.array(policing.rates), len(policing.rates)
    if cities * (rounds + 1) * count > _CELLS:
        raise ConfigError(
            f"{cities:,} cities, {rounds:,} rounds and {count} districts are more than the {_CELLS:,} "
            "shares that can be kept. Simulate fewer cities."
        )
    draw = np.random.default_rng(derive(seed, "districts"))
    records = np.tile(np.array(policing.start, dtype=np.float64), (cities, 1))  # (S, D)
    sent = np.zeros((cities, count))
    shares = np.empty((cities, rounds + 1, count))
    patrolled = np.empty((cities, rounds + 1, count))
    for number in range(rounds + 1):
        shares[:, number] = records / records.sum(axis=1, keepdims=True)
        chances = policing.chances(shares[:, number], draw.random((cities, count)))
        patrolled[:, number] = sent / (number * policing.patrols) if number else chances
        if number == rounds:
            break
        there = draw.multinomial(policing.patrols, chances)
        sent += there
        found = draw.binomial(there, rates)
        if policing.weighting:
            records += np.divide(
                found, count * chances, out=np.zeros_like(chances), where=found > 0
            )
        else:
            records += found
        if policing.reported:
            expected = policing.reported * policing.patrols * rates / count
            records += draw.poisson(expected, (cities, count))
    return Districts(policing, shares, patrolled, seed)


def compare_districts(
    policing: Policing | None = None,
    *,
    exploration: float = 0.2,
    variants: Mapping[str, Policing] | None = None,
    rounds: int = 365,
    cities: int = 500,
    seed: int = 42,
) -> dict[str, Districts]:
    """The loop as it is, and with what is done against it.

    Args:
        policing: the rules as they are.
        exploration: of the patrols, in the variants that have some.
        variants: name -> rules, instead of those made here.
        rounds: days.
        cities: that are simulated, two or more.
        seed: of all that is drawn.

    Raises: ConfigError: as of `simulate_districts`.
    """
    plain = Policing() if policing is None else policing
    if variants is None:
        explored = replace(plain, exploration=exploration)
        base = explored if plain.allocation == "greedy" else plain
        variants = {
            "as it is": plain,
            "exploration": explored,
            "inverse weighting": replace(base, weighting=True),
            "both": replace(explored, weighting=True),
        }
        if base is explored:  # greedy patrols cannot be weighted without exploration
            del variants["inverse weighting"]
    return {
        name: simulate_districts(one, rounds=rounds, cities=cities, seed=seed)
        for name, one in variants.items()
    }


def districts_table(found: Mapping[str, Districts], rounds: Sequence[int] | None = None) -> str:
    """Variants side by side: the first district's share at the end, and how far the cities drifted."""
    rows = []
    for name, one in found.items():
        last = one.shares.shape[1] - 1
        low, middle, high = one.band()
        at = [last] if rounds is None else list(rounds)
        rows += [
            [
                name,
                f"{number:,}",
                f"{100 * middle[number]:.1f}%",
                f"{100 * low[number]:.1f}% to {100 * high[number]:.1f}%",
                f"{100 * one.mean_drift()[0][number]:.1f}%",
                f"{100 * one.patrolled[:, number, 0].mean():.1f}%",
            ]
            for number in at
        ]
    head = ["", "round", "share, median", "of 95% of cities", "mean drift", "patrols, mean"]
    return text_table(head, rows)
