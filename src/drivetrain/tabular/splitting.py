"""How a table is split: by time where its rows have dates, else by class; or as asked, with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.data.split import (
    Split,
    group_split,
    random_split,
    split_by_mask,
    stratified_codes,
    time_split,
)
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.columns.kinds import Schema
from drivetrain.tabular.target import find_target
from drivetrain.train.choice import Choices
from drivetrain.train.split_seed import seed_of

SPLITS = ("stratified", "random", "time", "group")
"""What can be asked for by name."""

_CHANGE = "--set split=time|stratified|random|group"


def split_table(
    frame: Frame,
    target: Sequence[str],
    schema: Schema,
    features: Sequence[str],
    options: Mapping[str, Any],
    choices: Choices,
) -> Split:
    """The split that the table asks for, or that was asked for; recorded as a choice.

    Args:
        frame: rows that have a target.
        target: its columns.
        schema: kinds of the columns.
        features: columns that models see.
        options: of `gather`.
        choices: to which the split is added.

    Raises: ConfigError: an option is wrong. DataError: a part has no row.
    """
    asked, valid = options["split"], options["valid"]
    time = time_column(schema, features, options)
    if asked is not None and asked not in SPLITS:
        raise ConfigError(f"`split` must be one of {', '.join(SPLITS)}. Got {asked!r}.")
    if isinstance(valid, list):
        positions = np.isin(frame.ids, np.array(valid, dtype=np.int64))
        choices.add("split", "given", reason="positions of the rows, as asked", change=_CHANGE)
        return _by_mask(positions, "given")
    if isinstance(valid, str):
        if time is None:
            raise ConfigError(
                f"`valid={valid!r}` is a date, and the table has no column of dates. Give a share, such "
                "as 0.2, or `time='COLUMN'`."
            )
        choices.add("split", "time", reason=f"'{time}' from {valid} on validates", change=_CHANGE)
        return _by_mask(times_of(frame, time) >= _date(valid), "time")
    if not 0 < valid < 1:
        raise ConfigError(f"`valid` is the share for validation, between 0 and 1. Got {valid}.")
    how = asked or ("group" if options["groups"] else "time" if time is not None else None)
    if how == "time":
        return _by_time(frame, time, options, choices)
    if how == "group":
        return _by_group(frame, options, choices)
    if how is not None and time is not None and not options["because"]:
        raise ConfigError(
            f"The rows have dates ('{time}'), and a model is used on rows that come later: validating on "
            f"rows from among the training ones would flatter it. Split by time, or say why not: "
            f"split='{how}', because='…'."
        )
    return _by_draw(frame, target, options, choices)


def time_column(schema: Schema, features: Sequence[str], options: Mapping[str, Any]) -> str | None:
    """The column that tells when a row was: the one asked for, or the first of dates."""
    return options["time"] or next((n for n in features if schema[n].kind == "date"), None)


def times_of(frame: Frame, name: str) -> np.ndarray:
    """(N,) dates or numbers by which rows are in order.

    Raises: ConfigError: the column holds words.
    """
    values = frame[name]
    if isinstance(values, Factor):
        raise ConfigError(f"`time`: the column '{name}' holds words, not dates or numbers.")
    return values


def group_codes(values: Values) -> np.ndarray:
    """(N,) int64, a number a group; rows without one are a group each."""
    if isinstance(values, Factor):
        codes = values.codes.astype(np.int64)
        is_missing = codes < 0
    else:
        is_missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
        codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    found = codes.copy()
    found[is_missing] = len(values) + np.arange(int(is_missing.sum()))
    return found


def _by_mask(is_valid: np.ndarray, method: str) -> Split:
    for what, mask in (("validation", is_valid), ("training", ~is_valid)):
        if not mask.any():
            raise DataError(f"`valid` leaves no row for {what}. Choose another date or other rows.")
    return split_by_mask(is_valid, method)


def _by_time(frame: Frame, time: str | None, options: Mapping[str, Any], choices: Choices) -> Split:
    if time is None:
        raise ConfigError("`split='time'` needs a column of dates, or `time='COLUMN'`.")
    valid = options["valid"]
    reason = (
        f"the last {valid:.0%} by '{time}' validate: a model is used on rows that come later"
        if options["split"] is None
        else f"as asked, by '{time}'"
    )
    choices.add("split", "time", reason=reason, change="--set split=random --set because='WHY'")
    return time_split(times_of(frame, time), valid=valid)


def _by_group(frame: Frame, options: Mapping[str, Any], choices: Choices) -> Split:
    groups = options["groups"]
    if groups is None:
        raise ConfigError("`split='group'` needs `groups='COLUMN'`.")
    reason = f"rows of one '{groups}' stay together"
    choices.add("split", "group", reason=reason, change=_CHANGE)
    codes = group_codes(frame[groups])
    return group_split(codes, valid=options["valid"], seed=_seed(options))


def _by_draw(
    frame: Frame, target: Sequence[str], options: Mapping[str, Any], choices: Choices
) -> Split:
    """Rows drawn at random: of every class alike, unless there are none or it was asked otherwise."""
    how, valid, seed = options["split"], options["valid"], _seed(options)
    found = find_target(frame, target, kind=options["target_kind"], is_log=options["log_target"])
    because = f"as asked, because {options['because']}" if options["because"] else "as asked"
    if how == "random" or found.kind == "number":
        reason = because if how else "the target is a number, and no column is a date"
        choices.add("split", "random", reason=reason, change=_CHANGE)
        return random_split(len(frame), valid=valid, seed=seed)
    reason = because if how else "the same share of every class, and no column is a date"
    choices.add("split", "stratified", reason=reason, change=_CHANGE)
    return stratified_codes(found.values(frame), valid=valid, seed=seed)


def _seed(options: Mapping[str, Any]) -> int:
    return seed_of(options["seed"], options.get("split_seed"))


def _date(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "us")
    except ValueError:
        raise ConfigError(
            f"`valid` is a share, a date such as '2012-04-01', or positions. Got {text!r}."
        ) from None
