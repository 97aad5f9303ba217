"""A model of tables from a stranger, held against itself before it answers anybody.

Each part is read by its own class; here is what they must have in common: the columns that the reader
gives are those that the preprocessing knows, and what the model answers is of the target's kind. The last
is asked of the model itself, on rows that are made up from what it knows of its columns.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from drivetrain._strict import shown
from drivetrain.data.frame import Frame
from drivetrain.errors import BundleError, NonFiniteError
from drivetrain.tabular.columns.dates import date_parts
from drivetrain.tabular.estimators import Estimator, Prepared
from drivetrain.tabular.preprocess import CategoryColumn, NumberColumn, Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.target import Target

USED = ("number", "category", "date")
"""Kinds of columns that models see."""
MOST_TARGETS = 1_000
MOST_LETTERS = 1_000
"""Of a name that is printed beside each answer."""
UNSEEN = "never seen in training"
"""A level that no table has."""
BETWEEN = 8
"""Made-up rows whose values lie within those of training."""
_SOME, _OTHER = 0.6180339887, 0.7548776662
"""Steps that fill (0, 1) evenly whatever their number: the golden ratio's, and the one for two axes."""
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds from 1970 to the start of the year 1 and the end of 9999."""


def check_columns(reader: Reader, preprocess: Preprocess, target: Target) -> None:
    """Whether these are parts of one model.

    Raises: BundleError: they are not; the message says where they differ.
    """
    features, schema = reader.features, reader.schema
    if not all(len(name) <= MOST_LETTERS for name in features):
        _refuse(f"has a column whose name is longer than {MOST_LETTERS} letters")
    if not features or len(set(features)) != len(features):
        _refuse("names no column, or one twice")
    for name in features:
        if name not in schema or schema[name].kind not in USED:
            _refuse(f"uses the column {shown(name)}, of which it does not say how it is read")
    dates = [name for name in features if schema[name].kind == "date"]
    if list(reader.dates) != dates:
        _refuse("does not say the same of its dates in two places")
    numbers, categories = [], []
    for name in features:
        if schema[name].kind == "category":
            categories.append(name)
        elif schema[name].kind == "date":
            numbers += date_parts(name, reader.dates[name])
        else:
            numbers.append(name)
    if [column.name for column in preprocess.numbers] != numbers:
        _refuse("prepares other columns of numbers than it reads")
    if [column.name for column in preprocess.categories] != categories:
        _refuse("prepares other categories than it reads")
    if len({*numbers, *categories}) != len(numbers) + len(categories):
        _refuse("prepares a column twice")
    for column in preprocess.categories:
        words = (*column.levels, *column.rare)
        if len(set(words)) != len(words) or column.mode not in (None, *column.levels):
            _refuse(f"has levels of {shown(column.name)} that are not told apart")
    _check_target(target, features)


def _check_target(target: Target, features: Sequence[str]) -> None:
    names, classes = target.names, target.classes
    are_words = all(isinstance(word, str) for word in (*names, *classes))
    if not are_words or not all(1 <= len(word) <= MOST_LETTERS for word in (*names, *classes)):
        _refuse(f"predicts what is not named in 1 to {MOST_LETTERS} letters")
    if not 1 <= len(set(names)) == len(names) <= MOST_TARGETS:
        _refuse("does not name what it predicts")
    if set(names) & set(features):
        _refuse("predicts a column that it is given")
    if target.kind not in ("class", "number") or not isinstance(target.reason, str):
        _refuse("does not say whether it predicts classes or numbers")
    if target.kind == "number" and not classes:
        return
    is_class = target.kind == "class" and len(names) == 1 and len(classes) >= 1
    if not is_class or target.is_log or len(set(classes)) != len(classes):
        _refuse("has classes that do not fit what it predicts")


def check_answers(
    estimator: Estimator, preprocess: Preprocess, target: Target, rows: Frame
) -> None:
    """Whether a model answers, for made-up rows, as one of its target must.

    Raises: BundleError: its answers are of another kind. NonFiniteError: they are NaN or infinite.
    """
    with np.errstate(all="ignore"):
        found = estimator.predict(Prepared(preprocess, rows))
    width = target.num_outputs
    expected = (len(rows), width)
    if target.kind == "number" and width == 1:
        expected = (len(rows),)
    if found.shape != expected or found.dtype != np.float64:
        _refuse(f"answers with numbers of shape {found.shape}, expected {expected}")
    check_finite(found)
    if target.kind == "class":
        sums = np.abs(found.sum(axis=1) - 1)
        if found.min() < 0 or sums.max() > 1e-3:
            _refuse("answers with numbers that are no probabilities")


def check_finite(answers: np.ndarray) -> None:
    """Raises: NonFiniteError: an answer (N,) or (N, V) is NaN or infinite."""
    is_good = np.isfinite(answers)
    if not is_good.all():
        bad = int(np.flatnonzero(~is_good.reshape(len(answers), -1).all(axis=1))[0])
        raise NonFiniteError(
            f"The model's answer for row {bad + 1} is NaN or infinite: its weights or its preprocessing "
            "are damaged, or the row's numbers lie beyond all reason.",
            items=(f"row {bad + 1}",),
        )


def made_up_rows(reader: Reader, preprocess: Preprocess) -> list[dict[str, Any]]:
    """Rows that anybody may see: usual, lowest, highest, beyond, missing, and some in between.

    They are made of what the model knows of its columns, ranges and levels, and of no row of a table.
    """
    numbers = {column.name: column for column in preprocess.numbers}
    categories = {column.name: column for column in preprocess.categories}
    rows: list[dict[str, Any]] = []
    for row in range(5 + BETWEEN):
        made = {}
        for place, name in enumerate(reader.features):
            if name in categories:
                made[name] = _word(categories[name], row, place, preprocess.unseen)
            elif name in reader.dates:
                made[name] = _date(numbers[f"{name}.elapsed"], row, place)
            else:
                made[name] = _number(numbers[name], row, place)
        rows.append(made)
    return rows


def _number(column: NumberColumn, row: int, place: int) -> float | None:
    span = column.high - column.low
    step = (_SOME * (row - 4) + _OTHER * place) % 1
    with np.errstate(all="ignore"):
        values = (column.fill, column.low, column.high, column.high + span, None)
        found = values[row] if row < len(values) else column.low + span * step
    return None if found is None or not np.isfinite(found) else round(found, 6)


def _word(column: CategoryColumn, row: int, place: int, unseen: str) -> str | None:
    levels = column.levels
    if not levels or row == 4:
        return None
    usual = levels[0] if column.mode is None else column.mode
    beyond = UNSEEN if unseen != "error" else usual
    words = (usual, levels[0], levels[-1], beyond)
    return words[row] if row < len(words) else levels[(row * (place + 3) + place) % len(levels)]


def _date(column: NumberColumn, row: int, place: int) -> datetime.datetime | None:
    seconds = _number(column, row, place)
    if seconds is None:
        return None
    whole = round(min(max(seconds, _FIRST), _LAST))
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=whole)


def shown_features(reader: Reader, preprocess: Preprocess) -> Mapping[str, str]:
    """The columns that a table has to have, each in words: what it holds, and between which bounds."""
    numbers = {column.name: column for column in preprocess.numbers}
    categories = {column.name: column for column in preprocess.categories}
    found = {}
    for name in reader.features:
        if name in categories:
            levels = categories[name].levels
            some = ", ".join(levels[:5]) + (", …" if len(levels) > 5 else "")
            count = "1 word" if len(levels) == 1 else f"one of {len(levels):,} words"
            found[name] = f"{count}: {some}" if levels else "a word"
        elif name in reader.dates:
            column = numbers[f"{name}.elapsed"]
            ends = [_date(column, row, 0) for row in (1, 2)]
            low, high = (end.date().isoformat() if end else "?" for end in ends)
            found[name] = f"a date, {low} to {high} in training"
        else:
            found[name] = f"a number, {numbers[name].low:g} to {numbers[name].high:g} in training"
    return found


def _refuse(why: str) -> NoReturn:
    raise BundleError(f"The model of tables {why}. Take it anew from where it came from.")
