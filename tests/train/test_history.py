"""The history as a table."""

from __future__ import annotations

import json

import pytest

from drivetrain.train.history import History, columns, heading, line


def row(epoch: int, **more) -> dict:
    return {"epoch": epoch, "train_loss": 0.51234, **more, "seconds": 1.26}


def test_no_epochs_are_said():
    assert str(History()) == "no epochs yet"


def test_the_table_is_aligned_and_ends_with_seconds():
    history = History([row(0, valid_loss=0.4, accuracy=0.875), row(10, valid_loss=1.0, accuracy=1)])
    assert str(history) == (
        "epoch  train_loss  valid_loss  accuracy   seconds\n"
        "    0      0.5123      0.4000    0.8750       1.3\n"
        "   10      0.5123      1.0000         1       1.3"
    )


def test_columns_stand_in_order_of_appearance_and_seconds_last():
    rows = [{"epoch": 0, "seconds": 1.0, "a": 1}, {"epoch": 1, "b": 2, "seconds": 1.0}]
    assert columns(rows) == ["epoch", "a", "b", "seconds"]
    assert columns([]) == []
    assert columns([{"epoch": 0}]) == ["epoch"]


def test_a_row_without_a_column_leaves_it_blank():
    history = History([row(0), row(1, accuracy=0.5)])
    assert str(history).splitlines()[1] == "    0      0.5123                 1.3"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0000"),
        (-0.25, "-0.2500"),
        (0.00001234, "1.23e-05"),
        (-0.00001234, "-1.23e-05"),
        (9999.5, "9999.5000"),
        (1234567.891, "1.23e+06"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("nan", "nan"),
        (None, ""),
        (12, "12"),
    ],
)
def test_any_number_fits_its_column_and_is_not_rounded_to_nothing(value, shown: str):
    assert line({"train_loss": value}, ["train_loss"]) == shown.rjust(len("train_loss"))


def test_a_line_is_as_wide_as_its_heading():
    names = ["epoch", "train_loss", "f1", "seconds"]
    wide = line({"epoch": 3, "train_loss": 123456.7, "f1": 1e-7, "seconds": 99.0}, names)
    assert len(wide) == len(heading(names))


def test_rows_are_plain_json():
    history = History([row(0)])
    assert History(json.loads(json.dumps(history))) == history
