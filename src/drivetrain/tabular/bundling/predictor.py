"""The predictor of a table's bundle: rows as people have them, the model, and the guard.

What only training and measuring need is imported where it is used: a bundle predicts without it, and
without the library that grew its trees. Files and data frames need `pyarrow`, rows as dicts do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain.bundle.shift import ShiftReport
from drivetrain.data.frame import Frame
from drivetrain.models.device import threads
from drivetrain.tabular.answers import RowPrediction, RowPredictions
from drivetrain.tabular.bundling.checked import check_finite
from drivetrain.tabular.bundling.guard import Seen, TableGuard
from drivetrain.tabular.bundling.guarded import LEAST_FOR_SHIFT, GuardedRows
from drivetrain.tabular.estimators import Estimator, Prepared
from drivetrain.tabular.preprocess import Notes, Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.target import Target

if TYPE_CHECKING:
    from drivetrain.tabular.models import TabularModel


class TablePredictor:
    """Answers for rows of a table.

    Args:
        name: of the model, such as `forest`.
        estimator: what predicts.
        reader: brings rows into the model's columns.
        preprocess: what was learnt of the columns.
        target: what is predicted.
        guard: judges the answers.
        num_threads: torch threads.
        trained_on: SHA-256 of the file that it was fitted on; empty where that is not known.
    """

    data = fitted = None
    """What a model has in the process that fitted it."""

    def __init__(
        self,
        name: str,
        estimator: Estimator,
        *,
        reader: Reader,
        preprocess: Preprocess,
        target: Target,
        guard: TableGuard | None = None,
        num_threads: int | None = 1,
        trained_on: str = "",
    ) -> None:
        self.name = name
        self.estimator = estimator
        self.reader = reader
        self.preprocess = preprocess
        self.target = target
        self.guard = guard
        self.num_threads = num_threads
        self.trained_on = trained_on
        self.seen = Seen(preprocess, reader.dates)

    def predict(self, source: Any) -> RowPrediction | RowPredictions:
        """The answer for one row given as a dict; the answers for all rows of a source.

        Args:
            source: a dict of values by column; or a list of dicts, a file, or a data frame.

        Raises: DataError: a column that the model needs is missing, or a value cannot be read.
            NonFiniteError: an answer is NaN or infinite.
        """
        if _is_row(source):
            return self.answers([source])[0]
        return self.answers(source)

    def answers(self, source: Any) -> RowPredictions:
        """The answers for all rows of a source; with a guard they are `GuardedRows`."""
        frame, notes = self.reader.read(source)
        return self.of_frame(frame, notes)

    def shift(self, source: Any) -> ShiftReport | None:
        """Whether the rows of a source come from where the validation rows came from.

        None without a guard, and where all columns are dates.
        """
        frame, _ = self.reader.read(source)
        return None if self.guard is None else self.guard.shift(frame, self.seen)

    def evaluate(self, source: Any) -> dict[str, Any]:
        """Metrics with an interval on labelled rows; see `TabularModel.evaluate`.

        Args:
            source: a file or a frame, with the target.
        """
        return self.model.evaluate(source)

    # --- as of a model: `explain(predictor, "rows.csv")` asks for these ---------------------------

    @property
    def model(self) -> TabularModel:
        """The model without the guard."""
        from drivetrain.tabular.models import TabularModel  # brings metrics and the training stack

        return TabularModel(
            self.name,
            self.estimator,
            reader=self.reader,
            preprocess=self.preprocess,
            target=self.target,
            trained_on=self.trained_on,
        )

    def predict_frame(self, frame: Frame) -> np.ndarray:
        """What the model says of a prepared frame; see `TabularModel.predict_frame`."""
        return self.target.shown(self.estimator.predict(self.prepared(frame)))

    def labelled(self, source: Any) -> Any:
        """The rows of a source whose target the model knows; see `TabularModel.labelled`."""
        return self.model.labelled(source)

    def prepared(self, frame: Frame) -> Prepared:
        """A frame in the forms that estimators want."""
        return Prepared(self.preprocess, frame)

    def of_frame(self, frame: Frame, notes: Sequence[str] = ()) -> RowPredictions:
        """The answers for a frame of the model's columns, dates expanded.

        Args:
            frame: N rows.
            notes: what reading them found; kept with the answers.
        """
        told = Notes()
        with threads(self.num_threads), np.errstate(all="ignore"):
            rows = Prepared(self.preprocess, frame, told)
            outputs = self.estimator.predict(rows)
            check_finite(outputs)
            shown = self.target.shown(outputs)
            check_finite(shown)
            said = (*notes, *told.sentences())
            guard = self.guard
            if guard is None:
                return RowPredictions(self.target, shown, frame.ids, notes=said)
            spread = None if guard.spread_floor is None else self.estimator.spread(rows)
            judged = guard.judge(outputs, spread, frame, self.seen)
            low, high = self._interval(judged.low), self._interval(judged.high)
        is_bounded = low is not None and high is not None and bool(np.isfinite([low, high]).all())
        is_class = self.target.kind == "class"
        return GuardedRows(
            self.target,
            shown if judged.probs is None else judged.probs,
            frame.ids,
            notes=said,
            said=outputs.argmax(axis=1) if is_class else np.zeros(len(frame), dtype=np.int64),
            sets=judged.sets,
            low=low if is_bounded else None,
            high=high if is_bounded else None,
            coverage=guard.coverage,
            domain_score=judged.domain_score,
            in_domain=judged.in_domain,
            false_alarm=guard.false_alarm,
            strange=self.seen.strange(frame),
            shift=guard.shift(frame, self.seen) if len(frame) >= LEAST_FOR_SHIFT else None,
        )

    def _interval(self, ends: np.ndarray | None) -> np.ndarray | None:
        return None if ends is None else self.target.shown(ends)

    def __repr__(self) -> str:
        return f"TablePredictor({self.name}, {self.target.name})"


def _is_row(source: Any) -> bool:
    """Whether a source is one row, and not columns."""
    return isinstance(source, Mapping) and not any(
        isinstance(value, list | tuple | np.ndarray) for value in source.values()
    )
