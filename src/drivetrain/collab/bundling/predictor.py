"""The predictor of a bundle of ratings: predicts pairs and recommends, and says what it cannot know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from drivetrain.collab.answers import RatingPredictions
from drivetrain.collab.model import CollabModel
from drivetrain.errors import NonFiniteError

LEAST_FOR_SHIFT = 20
"""Of fewer pairs the share of unknown ones says little."""
NO_HISTORY = (
    "The bundle does not hold who rated what, so items that the user rated before may be among these. "
    "Give them in `deny`."
)


class CollabPredictor(CollabModel):
    """Answers of a bundle.

    Args:
        has_history: it knows who rated what.
        usual_unknown: share of the validation pairs of which the user or the item was unknown.
        options: as `CollabModel` has them.
    """

    def __init__(
        self, *given: Any, has_history: bool, usual_unknown: float, **options: Any
    ) -> None:
        super().__init__(*given, **options)
        self.has_history = has_history
        self.usual_unknown = usual_unknown

    def _pairs(self, users: list[Any], items: list[Any], notes: Any) -> RatingPredictions:
        found = super()._pairs(users, items, notes)
        if not np.isfinite(found.values).all():
            raise NonFiniteError(
                "The model's predictions are NaN or infinite: its weights are damaged. Restore it from a "
                "copy, or train anew."
            )
        count, usual = len(found), self.usual_unknown
        if count < LEAST_FOR_SHIFT:
            return found
        share = 1 - float(found.is_known.mean())
        if share <= usual + 3 * (max(usual * (1 - usual), 0.01) / count) ** 0.5:
            return found
        said = (
            f"Of {share:.0%} of these pairs the user or the item is unknown, of those that the model was "
            f"measured on {usual:.0%}: expect larger errors than it is said to have."
        )
        return replace(found, notes=(*found.notes, said))

    def recommend(self, user: Any, k: int = 10, **options: Any) -> Any:
        """What a user may like; see `collab.recommend.recommend`."""
        found = super().recommend(user, k, **options)
        is_told = self.has_history or not options.get("exclude_seen", True)
        return found if is_told else replace(found, notes=(*found.notes, NO_HISTORY))
