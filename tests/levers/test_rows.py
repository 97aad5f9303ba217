"""Rows of a CSV with the kinds of columns that the data has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import DataError
from drivetrain.levers import read_rows

LIKE = Frame(
    {
        "age": np.array([1.0]),
        "day": np.array(["2026-01-01"], dtype="datetime64[us]"),
        "city": Factor.of(["Ulm"], ["Bonn", "Ulm"]),
        "code": Factor.of(["7"]),
    }
)


def rows_of(folder: Path, text: str | bytes) -> Frame:
    path = folder / "rows.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rows(path, like=LIKE)


def test_columns_are_of_the_kinds_that_the_data_has(tmp_path: Path) -> None:
    found = rows_of(
        tmp_path,
        "\ufeffage,day,city,code,extra,note\r\n1,2026-02-01,Ulm,7,2.5,a\r\n,NaT,Kiel,,NA,\r\n",
    )
    assert found.names == ("age", "day", "city", "code", "extra", "note")
    np.testing.assert_array_equal(found.numbers("age"), [1.0, np.nan])
    assert found["day"].astype(str).tolist() == ["2026-02-01T00:00:00.000000", "NaT"]
    assert found.factor("city").levels == ("Bonn", "Ulm", "Kiel")
    assert found.factor("city").values() == ["Ulm", "Kiel"]
    assert found.factor("code").values() == ["7", None]
    np.testing.assert_array_equal(found.numbers("extra"), [2.5, np.nan])
    assert found.factor("note").values() == ["a", None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("age\n", "rows.csv has no rows below its line of names."),
        ("age,age\n1,2\n", "rows.csv has the column 'age' more than once."),
        ("age,city\n1,Ulm\n2\n", "rows.csv, row 2: 1 cells under 2 names."),
        ("age\n1\nold\n", "rows.csv, row 2: 'age' is 'old', no number."),
        ("day\nsoon\n", "rows.csv, row 1: 'day' is 'soon', no date, such as 2026-01-31."),
        ('age\n"1\n', "rows.csv is not CSV: unexpected end of data."),
        (b"age\n\xff\n", "rows.csv is not UTF-8 text, at byte 4."),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/{sentence}"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / "gone.csv", like=LIKE)
    assert str(caught.value) == f"{tmp_path}/gone.csv cannot be read: No such file or directory."
