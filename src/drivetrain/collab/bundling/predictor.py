"""The predictor of a bundle of ratings: predicts pairs and recommends, and says what it cannot know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from drivetrain.bundle.shift import ShiftReport
from drivetrain.collab.answers import RatingPredictions
from drivetrain.collab.bundling.guard import RatingGuard
from drivetrain.collab.bundling.guarded import GuardedRatings
from drivetrain.collab.bundling.network import OnnxNet
from drivetrain.collab.factors import Factors
from drivetrain.collab.model import CollabModel
from drivetrain.collab.table.columns import find_columns
from drivetrain.collab.table.rows import Rows, read_rows
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import NonFiniteError
from drivetrain.models.device import threads

NO_HISTORY = (
    "The bundle does not hold who rated what, so items that were rated before may be among these. Leave "
    "them out by name: `deny`, or --without."
)


class CollabPredictor(CollabModel):
    """Answers of a bundle.

    Args:
        has_history: it knows who rated what.
        guard: judges pairs and tables of them; None: nobody does.
        options: as `CollabModel` has them.
    """

    def __init__(
        self,
        *given: Any,
        has_history: bool,
        guard: RatingGuard | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*given, **options)
        self.has_history = has_history
        self.guard = guard

    @property
    def factors(self) -> Factors | None:
        """As of a `CollabModel`; what calculates pairs makes no difference to vectors."""
        return Factors.of(self.net.torch_net if isinstance(self.net, OnnxNet) else self.net)

    def shift(self, source: Any) -> ShiftReport | None:
        """Whether a table of pairs, or of ratings, is of another kind than the validation's ratings.

        Where the table has ratings, they are compared too.

        Args:
            source: a path, a frame, a list of mappings.

        Returns: None without a guard, and where the table is of too few people to say it.
        Raises: DataError: the table lacks a column, or nothing in it can be used.
        """
        if self.guard is None:
            return None
        table = open_table(source)
        known = {role: name if name in table.names else None for role, name in self.columns.items()}
        rating = self.rating if self.rating in table.names else None
        columns = find_columns(table.names, {**known, "rating": rating, "time": None})
        columns = replace(columns, rating=rating, time=None)
        return self._shift_of(read_rows(table, columns), has_ratings=rating is not None)

    def evaluate(self, source: Any) -> dict[str, Any]:
        """As of a `CollabModel`; and `shift`: what `shift` says of the ratings.

        Raises: DataError: there are no ratings in it. ConfigError: the model predicts none.
        """
        found = super().evaluate(source)
        report = self.shift(source)
        if report is not None and report.drifted:
            found["notes"] = [*found["notes"], report.text]
        return found | {"shift": None if report is None else report.to_json()}

    def recommend(self, user: Any, k: int = 10, **options: Any) -> Any:
        """What a user may like; see `collab.recommend.recommend`."""
        with threads(self.num_threads):
            found = super().recommend(user, k, **options)
        is_told = self.has_history or not options.get("exclude_seen", True)
        return found if is_told else replace(found, notes=(*found.notes, NO_HISTORY))

    def _shift_of(self, rows: Rows, *, has_ratings: bool) -> ShiftReport | None:
        assert self.guard is not None, "asked for by who has one"
        users = self.users.codes(rows.user_names)[rows.users]
        items = self.items.codes(rows.item_names)[rows.items]
        values = self._finite(self.outputs(users, items))
        given = rows.ratings if has_ratings else None
        return self.guard.shift(users, items, values, owners=rows.users, ratings=given)

    def _pairs(self, users: list[Any], items: list[Any], notes: Any) -> RatingPredictions:
        found = super()._pairs(users, items, notes)
        self._finite(found.values)
        guard = self.guard
        if guard is None:
            return found
        user_codes = self.users.codes(found.users)
        item_codes = np.array([self.item_code(item) for item in found.items], np.int32)
        judged = guard.judge(user_codes, item_codes, found.values, self.outputs)
        if judged.mean_user is not None:
            self._finite(judged.mean_user)
        _, owners = np.unique(np.array(found.users, object).astype(str), return_inverse=True)
        report = guard.shift(user_codes, item_codes, found.values, owners=owners)
        told = [guard.says_unknown(found.is_known)]
        told += [report.text] if report is not None and report.drifted else []
        return GuardedRatings(
            found.users,
            found.items,
            found.titles,
            found.values,
            found.is_known,
            notes=(*found.notes, *(said for said in told if said)),
            guard=guard,
            judged=judged,
            shift=report,
        )

    def _finite(self, values: np.ndarray) -> np.ndarray:
        """A damaged or foreign model is told by what it answers, and not passed on as a rating."""
        if not np.isfinite(values).all():
            raise NonFiniteError(
                "The model's predictions are NaN or infinite: its weights are damaged. Restore it from a "
                "copy, or train anew."
            )
        return values
