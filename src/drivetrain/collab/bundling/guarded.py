"""What a bundle answers for pairs: the model's prediction, and what the guard says beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drivetrain.bundle.shift import ShiftReport
from drivetrain.collab.answers import RatingPrediction, RatingPredictions
from drivetrain.collab.bundling.guard import Judged, RatingGuard
from drivetrain.collab.bundling.judging import new_in_pair


@dataclass(frozen=True)
class PairDomain:
    """Whether a pair is one that the model knows."""

    in_domain: bool
    """Both sides have ratings enough in training, and the answer lies within the ratings."""
    false_alarm: float
    """Share of the validation pairs of which that was not so."""
    user_ratings: int
    """The user has in training; 0: unknown."""
    item_ratings: int
    """The item has in training; 0: unknown."""
    mean_user: float | None
    """What a user of whom nothing is known would get for this item; None of events."""
    new: tuple[str, ...]
    """What speaks against the answer, in words."""

    def to_json(self) -> dict[str, Any]:
        """The fields; of events without `mean_user`."""
        found = {
            "in_domain": self.in_domain,
            "false_alarm": self.false_alarm,
            "user_ratings": self.user_ratings,
            "item_ratings": self.item_ratings,
        }
        if self.mean_user is not None:
            found["mean_user"] = self.mean_user
        return found | {"new": list(self.new)}


@dataclass(frozen=True)
class GuardedRating(RatingPrediction):
    """How a user would rate an item, and what the guard says of it."""

    interval: tuple[float, float] | None = None
    """(low, high) that holds the true rating in a share of `coverage` of pairs; None of events."""
    coverage: float | None = None
    """Share of pairs of the same kind, as the validation had them, for which that is so."""
    domain: PairDomain | None = None
    """Whether the pair is one that the model knows."""

    def to_json(self) -> dict[str, Any]:
        """`{input, title, value, known, interval, coverage, domain}`; of events without the interval."""
        assert self.domain is not None, "a guarded rating has one"
        found = super().to_json()
        if self.interval is not None:
            found |= {"interval": list(self.interval), "coverage": self.coverage}
        return found | {"domain": self.domain.to_json()}

    def __str__(self) -> str:
        assert self.domain is not None, "a guarded rating has one"
        said = f"user {self.user}, {self.title}: {self.value:.3g}"
        if self.interval is not None:
            low, high = self.interval
            said += f", at {self.coverage:.0%} between {low:.3g} and {high:.3g}"
        return said + (f"  ! {'; '.join(self.domain.new)}" if self.domain.new else "")


@dataclass(frozen=True)
class GuardedRatings(RatingPredictions):
    """The answers for many pairs."""

    guard: RatingGuard | None = None
    judged: Judged | None = None
    shift: ShiftReport | None = None
    """Whether all pairs together are of another kind than those of the validation; None where they are
    of too few people to say it."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return super().__getitem__(index)
        assert self.guard is not None and self.judged is not None, "guarded ratings have both"
        plain, judged = super().__getitem__(index), self.judged
        counts = int(judged.user_ratings[index]), int(judged.item_ratings[index])
        flags = bool(judged.is_near[index]), bool(judged.is_outside[index])
        domain = PairDomain(
            bool(judged.in_domain[index]),
            self.guard.false_alarm,
            *counts,
            None if judged.mean_user is None else float(judged.mean_user[index]),
            tuple(new_in_pair(*counts, self.guard.few, *flags)),
        )
        between = None
        if judged.interval is not None:
            low, high = judged.interval[index].tolist()
            between = (low, high)
        return GuardedRating(
            **vars(plain), interval=between, coverage=self.guard.coverage, domain=domain
        )
