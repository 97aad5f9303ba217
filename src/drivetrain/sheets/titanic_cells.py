"""Where things stand in the workbook `titanic`, and the formulas of loss and accuracy of its models."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from drivetrain.sheets.passengers import COLUMNS, FEATURES
from drivetrain.sheets.workbook import Sheet

ROWS, SEEN, COMPARE, LINEAR, SIGMOID = "Rows", "Features", "Compare", "Linear", "Sigmoid"
NET, ONE = "Two neurons", "One step"

COUNT = len(FEATURES)
TOP = 8
"""First row of passengers on the sheets of rows and of features."""
LEFT = len(COLUMNS) + 2
"""First column of features on the sheet of rows; on the sheet of features it is the third."""
STEPS_TOP = 5
"""First row of the steps of a model."""
AFTER = 5 + COUNT
"""First column of the scores on the net's sheet."""
TITLES = ("loss", "accuracy", "loss, held out", "accuracy, held out")


def score_formulas(predictions: str, part: str, *, squared: bool) -> tuple[str, str]:
    """Formulas of loss and accuracy of one part, from a formula of its predictions."""
    wrong = f"{predictions}-y_{part}"
    loss = f"AVERAGE(({wrong})^2)" if squared else f"AVERAGE(ABS({wrong}))"
    return loss, f"AVERAGE(IF(({predictions}>0.5)=(y_{part}>0.5),1,0))"


def put_scores(
    sheet: Sheet,
    row: int,
    left: int,
    predictions: Callable[[str], str],
    scores: Tensor,
    *,
    squared: bool,
) -> None:
    """Loss and accuracy of the rows learnt from, then of those held out, in four cells."""
    formulas = [*score_formulas(predictions("train"), "train", squared=squared)]
    formulas += score_formulas(predictions("held"), "held", squared=squared)
    for place, formula in enumerate(formulas):
        sheet.array(row, left + place, 1, 1, formula, [[float(scores[place])]])


TITLES = ("loss", "accuracy", "loss, held out", "accuracy, held out")
