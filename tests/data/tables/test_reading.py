"""Reading tables: every source, every odd file with its sentence, nothing but tables and "
"DataErrors."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.tables.reading import DEFAULT_MISSING, open_table
from drivetrain.errors import DataError
from drivetrain.tabular.columns.kinds import infer_schema, parse_frame


def put(tmp_path: Path, data: bytes | str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def cells(source, **options) -> dict[str, list]:
    return open_table(source, **options).read().to_pydict()


def refusal(source, **options) -> str:
    """What reading the source is refused with; the folder of a path left out."""
    with pytest.raises(DataError) as caught:
        open_table(source, **options).read()
    text = str(caught.value)
    return text.replace(f"{source.parent}/", "") if isinstance(source, Path) else text


# ---- layouts of text


@pytest.mark.parametrize(
    ("text", "delimiter", "expected"),
    [
        ("a,b\n1,2\n", ",", {"a": ["1"], "b": ["2"]}),
        ("a,b\n1,2", ",", {"a": ["1"], "b": ["2"]}),
        ("a\tb\n1,5\t2,5\n3,5\t4,5\n", "\t", {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}),
        ("a;b\n1,5;2\n3,5;4\n", ";", {"a": ["1,5", "3,5"], "b": ["2", "4"]}),
        ("a|b\nx;y|2\n", "|", {"a": ["x;y"], "b": ["2"]}),
        ('"a;a";b\n"1;2;3";2\n', ";", {"a;a": ["1;2;3"], "b": ["2"]}),
        ("a\n1\n2\n", ",", {"a": ["1", "2"]}),
        ("text\nHello, world\nBye\n", "\t", {"text": ["Hello, world", "Bye"]}),
        ("a;b;c\nx,y;1;2\nz;3;4\n", ";", {"a": ["x,y", "z"], "b": ["1", "3"], "c": ["2", "4"]}),
        (
            'a,b\n"x ""y"" z","l1\nl2"\n"p,q",r"s\n',
            ",",
            {"a": ['x "y" z', "p,q"], "b": ["l1\nl2", 'r"s']},
        ),
        ('a,b\n"x"y,2\n', ",", {"a": ["xy"], "b": ["2"]}),
        ("\n\n a , b \n\n1,2\n\n\n3,4\n\n", ",", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a,b\n,2\n", ",", {"a": [None], "b": ["2"]}),
        ('a\n""\n1\n', ",", {"a": [None, "1"]}),
        ("a\nx\x00y\n", ",", {"a": ["xy"]}),
        ("sep=|\na|b\n1|2\n", "|", {"a": ["1"], "b": ["2"]}),
    ],
)
def test_the_delimiter_is_found_and_cells_are_cut(tmp_path, text, delimiter, expected):
    source = open_table(put(tmp_path, text))
    assert source.read().to_pydict() == expected
    assert source.report.delimiter == delimiter
    assert source.names == tuple(expected)


def test_a_delimiter_that_is_given_holds(tmp_path):
    path = put(tmp_path, "a b\n1 2\n")
    assert cells(path, delimiter=" ") == {"a": ["1"], "b": ["2"]}
    assert refusal(path, delimiter=";;") == (
        "The delimiter is one character, such as ',' or '\\t', and no quote. Got ';;'."
    )


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (b"a,b\n1,2\n3,4\n", "LF"),
        (b"a,b\r\n1,2\r\n3,4\r\n", "CRLF"),
        (b"a,b\r1,2\r3,4\r", "CR"),
        (b"a,b\r\n1,2\n3,4\r", "mixed"),
        (b'a,b\r\n1,"2\n"\r\n3,4\r\n', "CRLF"),
    ],
)
def test_every_line_end_ends_a_row(tmp_path, data, ends):
    source = open_table(put(tmp_path, data))
    assert source.read().to_pydict() == {"a": ["1", "3"], "b": ["2", "4"]}
    assert source.report.line_ends == ends
    mixed = ("Line ends are mixed (LF, CRLF, CR); each of them ends a row.",)
    assert source.report.notes[:1] == (mixed if ends == "mixed" else source.report.notes[:1])


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1"]
)
def test_the_encoding_is_found(tmp_path, codec):
    text = "naïve,b\ncafé,1\nthé,2\n" + ("\x81,3\n" if codec == "latin-1" else "")
    source = open_table(put(tmp_path, text.encode(codec)))
    found = source.read().to_pydict()
    assert found["naïve"][:2] == ["café", "thé"]
    report = source.report
    assert report.encoding == {
        "utf-8-sig": "utf-8",
        "utf-16": "utf-16-le",
        "utf-32": "utf-32-le",
    }.get(codec, codec)
    assert report.has_bom == (codec in ("utf-8-sig", "utf-16", "utf-32"))
    expected = {
        "cp1252": "The file is not UTF-8 and was read as Windows-1252 (cp1252).",
        "latin-1": "The file is not UTF-8 and was read as Latin-1.",
        "utf-16-le": "The file is not UTF-8 and was read as UTF-16-LE.",
    }.get(codec)
    assert report.notes == (
        (f"{expected} If letters look wrong, give `encoding`.",) if expected else ()
    )


def test_utf_8_with_a_damaged_byte_stays_utf_8(tmp_path):
    source = open_table(put(tmp_path, "a,b\né,ü\nö,ß\n".encode() + b"x\xff,1\n"))
    assert source.read().to_pydict() == {"a": ["é", "ö", "x\ufffd"], "b": ["ü", "ß", "1"]}
    assert source.report.notes == (
        "1 place could not be decoded as UTF-8; U+FFFD (\ufffd) stands there.",
    )


def test_an_encoding_that_is_given_holds_or_is_refused(tmp_path):
    path = put(tmp_path, "a,b\né,1\n".encode("cp1252"))
    assert cells(path, encoding="cp1252") == {"a": ["é"], "b": ["1"]}
    assert cells(path, encoding="iso8859-5")["a"] == ["щ"]
    assert refusal(path, encoding="utf-8") == (
        "t.csv is not written in 'utf-8': it cannot be read so at 1 place. Leave `encoding` out "
        "to have it "
        "found."
    )
    for wrong in ("klingon", "hex", "rot13", "idna", "unicode_escape", "a\0b", ""):
        assert refusal(path, encoding=wrong) == (
            f"The encoding {wrong!r} is unknown. Give one such as 'utf-8', 'cp1252', 'latin-1' or "
            f"'utf-16'."
        )


def test_a_late_letter_that_is_not_utf_8_is_met_before_the_first_batch(tmp_path):
    path = put(tmp_path, b"a,b\n" + b"x,1\n" * 600_000 + b"\xe9,2\n")
    source = open_table(path)
    assert source.report.encoding == "cp1252"
    assert source.read()["a"][-1].as_py() == "é"


# ---- odd headers and rows


@pytest.mark.parametrize(
    ("text", "names", "notes"),
    [
        (
            "a,a,a\n1,2,3\n",
            ("a", "a (2)", "a (3)"),
            ["2 columns have the name of an earlier one and are called 'a (2)', 'a (3)' here."],
        ),
        (
            "a,a,a (2)\n1,2,3\n",
            ("a", "a (3)", "a (2)"),
            ["1 column has the name of an earlier one and is called 'a (3)' here."],
        ),
        (
            "a,, \n1,2,3\n",
            ("a", "column 2", "column 3"),
            ["2 columns have no name and are called 'column 2', 'column 3' here."],
        ),
        (
            "a,b,\n1,2\n3,4\n",
            ("a", "b"),
            ["A delimiter stands at the end of the header, and at no row's end."],
        ),
        (
            "a,b\n1,2,\n3,4,\n",
            ("a", "b", "column 3"),
            [
                "A delimiter stands at the end of every row: the last column is empty.",
                "1 column has no name and is called 'column 3' here.",
            ],
        ),
        (
            "a,b\nr1,1,2\nr2,3,4\n",
            ("column 1", "a", "b"),
            [
                "Every row has one field more than the header: the first is taken as the rows' "
                "names.",
                "1 column has no name and is called 'column 1' here.",
            ],
        ),
        (
            "1,2\n3,4\n",
            ("1", "2"),
            [
                "The first row, taken as the columns' names, holds nothing but numbers ('1' …): "
                "the file may have "
                "no header. Put a row of names on top, or give `names`."
            ],
        ),
        ('"a\nb",c\n1,2\n', ("a b", "c"), []),
        (
            "sep=;\na;b\n1;2\n",
            ("a", "b"),
            ["The first line says that the delimiter is ';'; it is no header."],
        ),
    ],
)
def test_names_are_made_whole_and_it_is_said(tmp_path, text, names, notes):
    source = open_table(put(tmp_path, text))
    assert source.read().column_names == list(names)
    assert list(source.report.notes) == notes


def test_ragged_rows_are_set_aside_by_number_and_the_rest_is_read(tmp_path):
    source = open_table(put(tmp_path, 'a,b\n1,2\n3\n\n"x\ny",4,5\n6,7\n8,9\n10,11\n'))
    assert source.read().to_pydict() == {"a": ["1", "6", "8", "10"], "b": ["2", "7", "9", "11"]}
    assert source.row_ids.tolist() == [0, 3, 4, 5] and source.row_ids.dtype == np.int64
    assert source.report.rows == 4
    few, many = source.report.quarantined
    assert few.to_json() == {
        "id": "row 2",
        "reason": "too-few-fields",
        "detail": "Row 2 has 1 field, and the header 2: '3'.",
    }
    assert (many.id, many.reason) == ("row 3", "too-many-fields")
    assert many.detail == (
        "Row 3 has 3 fields over 2 lines, perhaps by a quote that is not closed, and the header 2: "
        "'\"x y\",4,5'."
    )


def test_ragged_rows_over_many_blocks_keep_their_numbers(tmp_path):
    rows = [f"{n},{n}" if n % 1000 else f"{n}" for n in range(150_000)]
    source = open_table(put(tmp_path, "a,b\n" + "\n".join(rows)))
    table = source.read()
    assert source.row_ids.tolist() == [n for n in range(150_000) if n % 1000]
    assert table["a"].to_pylist() == [str(n) for n in source.row_ids.tolist()]
    assert [row.id for row in source.report.quarantined][:3] == ["row 1", "row 1001", "row 2001"]


def test_more_rows_set_aside_than_are_listed_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("drivetrain.data.tables.reading.MOST_RECORDS", 2)
    source = open_table(put(tmp_path, "a,b\n" + "1\n" * 5 + "1,2\n" * 5))
    assert source.read().num_rows == 5
    assert len(source.report.quarantined) == 2
    assert source.report.notes == ("3 more rows were set aside than are listed.",)


def test_where_most_rows_are_ragged_it_is_no_table(tmp_path):
    assert refusal(put(tmp_path, "a,b\n1,2\n3\n4,5,6\n7\n9,10\n")) == (
        "3 of the 5 rows of t.csv have more or fewer fields than the header. Row 2 has 1 field, "
        "and the "
        "header 2: '3'. The file was cut at ',': if that is not its delimiter, give `delimiter`; "
        "if its "
        "first lines are no header, take them out."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'a,b\n1,2\n3,"x\n4,5\n6,7\n8,9\n',
            "t.csv cannot be cut into rows: Row 2 has a quote that is never closed: 4 lines are "
            "one cell. 3 lines "
            "ran into others that way. Close the quote, or take it out.",
        ),
        (
            'a,b\n1,2\n"3,x\n4,5\n6,7\n8,9\n',
            "t.csv cannot be cut into rows: Row 2 has 1 field over 4 lines, perhaps by a quote "
            "that is not "
            "closed, and the header 2: '\"3,x 4,5 6,7 8,9'. 3 lines ran into others that way. "
            "Close the quote, or "
            "take it out.",
        ),
        ('a,"b\n1,2\n', "t.csv names 2 columns and has no rows."),
    ],
)
def test_a_quote_that_is_never_closed_is_said_and_not_read_over(tmp_path, text, message):
    assert refusal(put(tmp_path, text)) == message


def test_a_quote_that_is_open_in_the_last_row_is_a_note(tmp_path):
    source = open_table(put(tmp_path, 'a,b\n1,2\n3,4\n5,6\n7,"x\n8,9'))
    assert source.read()["b"].to_pylist() == ["2", "4", "6", "x\n8,9"]
    assert source.report.notes == ("Row 4 has a quote that is never closed: 2 lines are one cell.",)


def test_cells_longer_than_a_block_are_read_and_rows_are_not_read_twice(tmp_path, monkeypatch):
    long = "y" * 3_000_000
    data = "a,b\n" + "x,1\n" * 400_000 + "ragged\n" + f"{long},2\n" + "z,3\n"
    source = open_table(put(tmp_path, data))
    table = source.read()
    assert table.num_rows == 400_002
    assert table["a"][-2].as_py() == long
    assert source.row_ids[-2:].tolist() == [400_001, 400_002]
    assert [row.id for row in source.report.quarantined] == ["row 400001"]
    monkeypatch.setattr("drivetrain.data.tables.reading.LONGEST_ROW", 1 << 20)
    assert re.fullmatch(
        r"A row of t\.csv, after the first \d{3},\d{3}, is longer than 1 MB\. Perhaps a quote that opens "
        r"in it is never closed\.",
        refusal(tmp_path / "t.csv"),
    )


# ---- what is no table


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "t.csv", "t.csv is empty."),
        (b"\xef\xbb\xbf", "t.csv", "t.csv is empty: there is nothing but blanks in it."),
        (b" \r\n\n", "t.csv", "t.csv is empty: there is nothing but blanks in it."),
        (b"a,b,c\n", "t.csv", "t.csv names 3 columns and has no rows."),
        (b"a", "t.csv", "t.csv names 1 column and has no rows."),
        (
            b"sep=;\n",
            "t.csv",
            "t.csv is empty: its first line names a delimiter, and nothing follows.",
        ),
        (
            b"a" * 2_000_000,
            "t.csv",
            "The first row of t.csv does not end within 1,048,576 characters. It is not a text "
            "table, or a quote "
            "that opens in it is never closed.",
        ),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(99),
            "t.csv",
            "t.csv is not a text table: it is a PNG picture.",
        ),
        (
            b"PK\x03\x04" + bytes(99),
            "t.xlsx",
            "t.xlsx is not a text table: it is a zip archive or an Excel workbook. Save the "
            "sheet as CSV.",
        ),
        (
            bytes(range(256)) * 4,
            "t.csv",
            "t.csv is not a text table: 108 of its first 1024 bytes stand for no character. Give "
            "a CSV or Parquet "
            "file.",
        ),
        (
            b"a,b\n1,2\n",
            "t.parquet",
            "t.parquet is not a Parquet file, or a damaged one: it does not begin as one.",
        ),
        (
            b"PAR1" + b"x" * 40,
            "t.parquet",
            "t.parquet is not a Parquet file that can be read: Parquet magic bytes not found in "
            "footer. Either "
            "the file is corrupted or this is not a parquet file.",
        ),
        (
            gzip.compress(bytes(np.random.default_rng(0).integers(48, 58, 9999, np.uint8)))[:-20],
            "t.csv.gz",
            "t.csv.gz cannot be unpacked: it is damaged or cut off (Compressed file ended before "
            "the "
            "end-of-stream marker was reached).",
        ),
        (b"\x28\xb5\x2f\xfd" + b"x" * 40, "t.csv.zst", None),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, data, name, message):
    found = refusal(put(tmp_path, data, name))
    if message is None:
        assert found.startswith(f"{name} cannot be unpacked: it is damaged or cut off (")
    else:
        assert found == message


def test_a_path_that_is_no_file_is_refused_in_a_sentence(tmp_path):
    put(tmp_path, "a\n1\n", "titanic.csv")
    assert refusal(tmp_path / "titanik.csv") == (
        "titanik.csv does not exist. Did you mean 'titanic.csv'?"
    )
    assert refusal(tmp_path / "x").startswith("x does not exist.")
    assert refusal(tmp_path / "titanic.csv" / "x").endswith("x does not exist.")
    assert refusal(f"{tmp_path}") == f"{tmp_path} is a folder. Give a single CSV or Parquet file."
    assert refusal("/dev/null") == (
        "/dev/null is a device, a pipe or a socket. Give a CSV or Parquet file."
    )
    assert refusal(f"{tmp_path}/a\0b") == f"{tmp_path}/a\0b cannot be read: embedded null byte."


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            5,
            "A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got int.",
        ),
        (
            None,
            "A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got "
            "NoneType.",
        ),
        (
            [1],
            "A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got "
            "list.",
        ),
        (
            [],
            "A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got "
            "list.",
        ),
        (
            np.zeros((2, 2)),
            "A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got "
            "ndarray.",
        ),
        ({}, "The data frame has no column that can be used."),
        (pd.DataFrame(), "The data frame has no column that can be used."),
        (pl.DataFrame({"a": [[1]]}), "The data frame has no column that can be used."),
        ({"a": []}, "The data frame names 1 column and has no rows."),
        ({"a": "abc"}, "The column 'a' has to be a list or an array of values. Got str."),
        ({"a": 5}, "The column 'a' has to be a list or an array of values. Got int."),
        ({"a": np.zeros((2, 2))}, "The column 'a' has to hold one value a row. Got shape (2, 2)."),
        ({"a": [1], "b": [1, 2]}, "The column 'b' has 2 rows, and 'a' has 1."),
    ],
)
def test_what_is_no_frame_is_refused_in_a_sentence(source, message):
    assert refusal(source) == message


def test_a_series_is_no_table():
    for series in (pl.Series([1, 2]), pd.Series([1, 2])):
        with pytest.raises(DataError, match=r"^The Series is not a table with columns: "):
            open_table(series)


# ---- missing values


def test_words_for_missing_are_null_everywhere_and_are_counted(tmp_path):
    text = "a,b\n?,1\n NA ,2\nx,?\n ,3\n y ,4\n"
    for source in (put(tmp_path, text), pd.read_csv(io.StringIO(text), keep_default_na=False)):
        opened = open_table(source)
        assert opened.read().to_pydict() == {
            "a": [None, None, "x", None, "y"],
            "b": ["1", "2", None, "3", "4"],
        }
        assert opened.report.notes == (
            "Blanks around 1 word were taken off, in 'a'.",
            "'?' was read as missing: 2 cells, in 'a', 'b'.",
            "'NA' was read as missing: 1 cell, in 'a'.",
        )


def test_the_words_for_missing_can_be_chosen(tmp_path):
    path = put(tmp_path, "a,b\nNA,-999\nx,\n")
    assert cells(path, missing=["-999"]) == {"a": ["NA", "x"], "b": [None, None]}
    assert cells(path, missing="x") == {"a": ["NA", None], "b": ["-999", None]}
    assert cells(path, missing=[]) == {"a": ["NA", "x"], "b": ["-999", None]}


@pytest.mark.parametrize("word", DEFAULT_MISSING)
def test_every_default_word_is_missing(word):
    assert cells({"a": [word, "x"]}) == {"a": [None, "x"]}


def test_a_word_that_may_be_meant_is_asked_about():
    table = {
        "fence": ["None"] * 8 + ["wood"] * 8,
        "pool": ["None"] * 16,
        "b": ["?"] * 8 + ["x"] * 8,
    }
    assert open_table(table).report.notes == (
        "'None' was read as missing: 24 cells, in 'fence', 'pool'.",
        "'?' was read as missing: 8 cells, in 'b'.",
        "'None' stands in many rows of 'fence' and was read as missing. If it is a value like "
        "others, leave it "
        "out of `missing`.",
    )


# ---- frames and Parquet


def typed() -> pa.Table:
    day = datetime.date(2012, 1, 31)
    moment = datetime.datetime(2012, 1, 31, 10, 0, 0, 5)
    return pa.table(
        {
            "text": ["x", None],
            "large": pa.array(["x", None], pa.large_string()),
            "view": pa.array(["x", None], pa.string_view()),
            "category": pa.array(["x", None]).dictionary_encode(),
            "bytes": pa.array([b"x", None], pa.binary()),
            "odd bytes": pa.array([b"\xff\x00", None], pa.binary(2)),
            "bool": [True, None],
            "int8": pa.array([1, None], pa.int8()),
            "uint64": pa.array([2**63, None], pa.uint64()),
            "half": pa.array([np.float16(0.5), None], pa.float16()),
            "float": pa.array([0.5, None], pa.float32()),
            "decimal": pa.array([decimal.Decimal("1.25"), None], pa.decimal128(5, 2)),
            "date": pa.array([day, None], pa.date32()),
            "date64": pa.array([day, None], pa.date64()),
            "s": pa.array([moment.replace(microsecond=0), None], pa.timestamp("s")),
            "ns": pa.array([moment, None], pa.timestamp("ns")),
            "zone": pa.array(
                [moment.replace(microsecond=0), None], pa.timestamp("ms", tz="Europe/Berlin")
            ),
            "time": pa.array([datetime.time(10, 30), None], pa.time32("s")),
            "span": pa.array([datetime.timedelta(seconds=1.5), None], pa.duration("ms")),
            "null": pa.nulls(2),
            "list": [[1], None],
            "struct": [{"a": 1}, None],
        }
    )


@pytest.mark.parametrize("kind", ["frame", "parquet"])
def test_columns_of_every_type_are_brought_to_a_few(tmp_path, kind):
    source = typed()
    if kind == "parquet":
        table = typed().drop_columns(["view"])
        pq.write_table(table, tmp_path / "t.parquet")
        source = tmp_path / "t.parquet"
    opened = open_table(source)
    table = opened.read()
    assert set(map(str, table.schema.types)) == {
        "string", "bool", "int8", "uint64", "double", "timestamp[us]", "timestamp[us, "
        "tz=Europe/Berlin]",
    }  # fmt: skip
    first = {name: table[name][0].as_py() for name in table.column_names if name != "zone"}
    moment = datetime.datetime(2012, 1, 31, 10)
    expected = {
        "text": "x", "large": "x", "view": "x", "category": "x", "bytes": "x", "odd bytes": "ff00",
        "bool": True, "int8": 1, "uint64": 2**63, "half": 0.5, "float": 0.5, "decimal": 1.25,
        "date": datetime.datetime(2012, 1, 31), "date64": datetime.datetime(2012, 1, 31),
        "s": moment, "ns": moment.replace(microsecond=5), "time": 37_800.0, "span": 1.5, "null": None,
    }  # fmt: skip
    if kind == "parquet":
        del expected["view"]
    assert first == expected
    assert all(column.null_count >= 1 for column in table.columns)
    assert sorted(opened.report.notes) == [
        "The column 'list' holds list<item: int64> and was left out."
        if kind == "frame"
        else "The column 'list' holds list<element: int64> and was left out.",
        "The column 'odd bytes' holds bytes that are no text, shown in hexadecimal digits.",
        "The column 'span' holds lengths of time; they were read as seconds.",
        "The column 'struct' holds struct<a: int64> and was left out.",
        "The column 'time' holds times of day; they were read as seconds.",
    ]
    zone = table["zone"].combine_chunks().view(pa.int64())[0].as_py()
    assert np.datetime64(zone, "us") == np.datetime64("2012-01-31T10:00", "us")


def test_dates_that_no_calendar_has_are_missing_and_it_is_said():
    table = pa.table({"a": pa.array([2**62, 0, -(2**62), None], pa.timestamp("s"))})
    opened = open_table(table)
    assert opened.read()["a"].to_pylist() == [None, datetime.datetime(1970, 1, 1), None, None]
    assert opened.report.notes == (
        "Dates of 'a' outside the years 1 to 9999 were read as missing.",
    )


def test_nanoseconds_are_rounded_down_as_text_is():
    table = pa.table({"a": pa.array([-1, -1000, 1, 1999], pa.timestamp("ns"))})
    read = open_table(table).read()["a"].combine_chunks().view(pa.int64()).to_pylist()
    assert read == [-1, -1, 0, 1]


def test_a_pandas_index_is_a_column_where_it_has_a_name():
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 6])
    assert cells(frame) == {"a": [1, 2]}
    assert cells(frame.rename_axis("day")) == {"day": [5, 6], "a": [1, 2]}
    deep = pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["n", "w"])
    )
    assert cells(deep) == {"n": [1, 2], "w": ["x", "y"], "a": [1, 2]}


def test_odd_frames_of_pandas_are_read():
    twins = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert cells(twins) == {"a": [1], "a (2)": [2]}
    pairs = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("x", "y"), ("x", "z")]))
    assert cells(pairs) == {"x y": [1], "x z": [2]}
    assert cells(pd.DataFrame({0: [1.5]})) == {"0": [1.5]}
    mixed = open_table(pd.DataFrame({"a": [1, "x", None, datetime.date(2012, 1, 1)]}))
    assert mixed.read()["a"].to_pylist() == ["1", "x", None, "2012-01-01"]
    assert mixed.report.notes == (
        "The column 'a' mixes values of several types; all were read as text.",
    )
    assert cells({"a": [1, "x"]}) == {"a": ["1", "x"]}
    assert cells({"a": [1, None, float("nan")]}) == {"a": [1, None, None]}


def test_anything_that_speaks_arrow_is_a_table():
    class Stream:
        def __init__(self, table):
            self.table = table

        def __arrow_c_stream__(self, requested_schema=None):
            return self.table.__arrow_c_stream__(requested_schema)

    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    for source in (
        Stream(table),
        table,
        table.to_batches()[0],
        table.to_reader(),
        pl.DataFrame(table),
    ):
        assert cells(source) == {"a": [1, 2], "b": ["x", "y"]}
    assert cells(table.slice(1)) == {"a": [2], "b": ["y"]}


def test_rows_given_as_dicts_are_a_table():
    assert cells([{"a": 1}, {"b": "x", "a": 2}]) == {"a": [1, 2], "b": [None, "x"]}


def test_parquet_is_told_by_content_and_packed_csv_too(tmp_path):
    table = pa.table({"a": ["1", "2"]})
    pq.write_table(table, tmp_path / "odd.csv")
    source = open_table(tmp_path / "odd.csv")
    assert source.read().to_pydict() == {"a": ["1", "2"]}
    assert (source.report.format, source.report.delimiter) == ("parquet", None)
    text = b"a,b\n1,2\n"
    for name, data in (
        ("t.gz", gzip.compress(text)),
        ("t", pa.compress(text, "zstd", asbytes=True)),
    ):
        assert cells(put(tmp_path, data, name)) == {"a": ["1"], "b": ["2"]}


def test_parquet_of_pandas_loses_its_nameless_index(tmp_path):
    pd.DataFrame({"a.b": [1, 2], "a": [3, 4]}, index=[7, 8]).to_parquet(tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet") == {"a.b": [1, 2], "a": [3, 4]}
    assert cells(tmp_path / "t.parquet", columns=["a"]) == {"a": [3, 4]}


def test_a_parquet_file_with_twins_or_without_rows_is_refused(tmp_path):
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet") == (
        "t.parquet has two columns of one name, which cannot be told apart."
    )
    pq.write_table(pa.table({"a": pa.array([], pa.int8())}), tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet") == "t.parquet names 1 column and has no rows."


# ---- columns, batches, reports


def test_columns_can_be_chosen_in_any_order(tmp_path):
    table = pa.table({"alpha": ["1"], "b": ["2"], "c": ["3"]})
    pq.write_table(table, tmp_path / "t.parquet")
    for source in (put(tmp_path, "alpha,b,c\n1,2,3\n"), tmp_path / "t.parquet", table):
        opened = open_table(source, columns=["c", "alpha"])
        assert opened.read().to_pydict() == {"c": ["3"], "alpha": ["1"]}
        assert opened.names == ("c", "alpha")
        assert refusal(source, columns=["alpa"]).endswith(
            "has no column 'alpa'. Did you mean 'alpha'? There are: alpha, b, c."
        )
        assert (
            refusal(source, columns=["b", "b"]) == "`columns` names one or more different columns."
        )
        assert refusal(source, columns=[]) == "`columns` names one or more different columns."


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_batches_are_the_table_in_pieces(tmp_path, kind):
    frame = pl.DataFrame(
        {"a": [f" w{n % 7}" for n in range(1000)], "b": [str(n) for n in range(1000)]}
    )
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    source = open_table(
        {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet", "frame": frame}[kind]
    )
    batches = list(source.batches(64))
    assert max(batch.num_rows for batch in batches) <= 64
    notes = source.report.notes
    assert pa.Table.from_batches(batches).equals(source.read().combine_chunks())
    assert source.report.notes == notes == ("Blanks around 1,000 words were taken off, in 'a'.",)
    assert source.row_ids.tolist() == list(range(1000))


def test_batches_may_be_left_before_their_end(tmp_path):
    path = put(tmp_path, "a,b\n" + "x,1\n" * 500_000)
    source = open_table(path)
    for _ in range(5):
        batches = source.batches(10)
        assert next(batches).num_rows == 10
        batches.close()
    assert source.report.rows == 500_000


def test_a_report_is_plain_json_and_is_made_without_reading_first(tmp_path):
    path = put(tmp_path, b"\xef\xbb\xbfa;b\r\n1;2\r\n3\r\n")
    report = open_table(path).report
    assert json.loads(json.dumps(report.to_json())) == {
        "source": str(path), "format": "csv", "rows": 1, "delimiter": ";", "encoding": "utf-8",
        "has_bom": True, "line_ends": "CRLF",
        "quarantined": [{"id": "row 2", "reason": "too-few-fields",
                         "detail": "Row 2 has 1 field, and the header 2: '3'."}],
        "notes": [], "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip


def test_the_hash_of_a_file_is_that_of_its_bytes_also_where_it_is_packed(tmp_path):
    for name, data in (("a.csv", b"a\n1\n"), ("a.gz", gzip.compress(b"a\n1\n"))):
        path = put(tmp_path, data, name)
        assert open_table(path).report.sha256 == hashlib.sha256(data).hexdigest()


def test_the_hash_of_a_frame_is_that_of_its_content():
    def sha256(source):
        return open_table(source).report.sha256

    table = pa.table(
        {
            "a": [1.5, None],
            "b": ["x", None],
            "c": [True, None],
            "d": [datetime.date(2012, 1, 1), None],
        }
    )
    same = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert sha256(table) == sha256(same) == sha256(pl.from_arrow(table)) == sha256(table.slice(0))
    seen = {sha256(table)}
    for other in (
        table.rename_columns(["x", "b", "c", "d"]),
        table.set_column(0, "a", [pa.array([1.25, None])]),
        table.set_column(0, "a", [pa.array([1.5, 0.0])]),
        table.set_column(1, "b", [pa.array(["x", "y"])]),
        table.set_column(2, "c", [pa.array([True, False])]),
        table.slice(0, 1),
    ):
        seen.add(sha256(other))
    assert len(seen) == 7
    assert sha256({"a": ["ab", "c"]}) != sha256({"a": ["a", "bc"]})


@pytest.mark.slow
def test_batches_of_a_file_larger_than_the_memory_allowed(tmp_path):
    """600 MB of text, read by a process that may hold 450 MB more than it does after its "
    "imports."""
    path = tmp_path / "big.csv"
    line = "".join(f"{n}.25,word {n % 100},2012-01-{n % 28 + 1:02}\n" for n in range(50_000))
    with open(path, "w") as file:
        file.write("a,b,c\n")
        for _ in range(400):
            file.write(line)
    assert path.stat().st_size > 450 << 20
    program = (
        "import resource, sys\n"
        "import pyarrow.csv, pyarrow.compute, pyarrow.parquet\n"
        "from drivetrain.data.tables.reading import open_table\n"
        "def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, rows = most(), 0\n"
        "for batch in open_table(sys.argv[1]).batches(): rows += batch.num_rows\n"
        "print(rows, most() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    rows, grown = map(int, done.stdout.split())
    assert rows == 20_000_000
    assert grown < 150 << 10  # in kilobytes


# ---- round trips


LETTERS = st.text(st.sampled_from("ab1 ,;|\t\"'\n\r.é€"), max_size=8)


@st.composite
def grids(draw):
    wide = draw(st.integers(2, 5))
    rows = st.lists(LETTERS, min_size=wide, max_size=wide)
    return draw(st.lists(rows, min_size=1, max_size=8))


@given(grids(), st.sampled_from(",;|\t"), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_python_writes_as_csv_is_read_cell_by_cell(
    tmp_path_factory, grid, delimiter, ends, has_bom
):
    path = tmp_path_factory.mktemp("trip") / "t.csv"
    with open(path, "w", encoding="utf-8-sig" if has_bom else "utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=ends, quoting=csv.QUOTE_ALL)
        writer.writerow([f"c{n}" for n in range(len(grid[0]))])
        writer.writerows(grid)
    source = open_table(path, missing=[])
    read = [list(row.values()) for row in source.read().to_pylist()]
    assert read == [[cell.strip() or None for cell in row] for row in grid]
    assert source.report.delimiter == delimiter
    assert source.report.quarantined == ()


@given(grids())
@settings(max_examples=100, deadline=None)
def test_what_polars_quotes_where_it_must_is_read_cell_by_cell(tmp_path_factory, grid):
    path = tmp_path_factory.mktemp("trip") / "t.csv"
    frame = pl.DataFrame({f"c{n}": [row[n] for row in grid] for n in range(len(grid[0]))})
    frame.write_csv(path)
    read = [list(row.values()) for row in open_table(path, missing=[]).read().to_pylist()]
    assert read == [[cell.strip() or None for cell in row] for row in grid]


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_table_or_a_data_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert is_table_or_refusal(path)


# ---- damaged files


def is_table_or_refusal(path: Path) -> bool:
    try:
        source = open_table(path)
        table = source.read()
        parse_frame(table, infer_schema(table), row_ids=source.row_ids)
        return source.report.rows == table.num_rows
    except DataError as error:
        return str(error) != ""


def samples(tmp_path: Path) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({
        "n": rng.normal(size=50), "i": rng.integers(0, 9, 50),
        "w": [f'a "b", {n % 5}' for n in range(50)],
        "d": [datetime.datetime(2012, 1, 1) + datetime.timedelta(hours=n) for n in range(50)],
        "b": [n % 2 == 0 if n % 7 else None for n in range(50)], "l": [[n] for n in range(50)],
        "c": pl.Series([f"w{n % 3}" for n in range(50)], dtype=pl.Categorical),
    })  # fmt: skip
    made = {}
    flat = frame.drop("l")
    flat.write_csv(tmp_path / "s.csv")
    made["csv"] = (tmp_path / "s.csv").read_bytes()
    made["gz"] = gzip.compress(made["csv"])
    made["zst"] = pa.compress(made["csv"], "zstd", asbytes=True)
    for compression in ("none", "snappy", "zstd"):
        pq.write_table(
            frame.to_arrow(), tmp_path / "s.parquet", compression=compression, row_group_size=20
        )
        made[f"parquet {compression}"] = (tmp_path / "s.parquet").read_bytes()
    return made


def damage_them(tmp_path: Path, rounds: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    path = tmp_path / "damaged"
    done = 0
    for name, data in samples(tmp_path).items():
        for _ in range(rounds):
            damaged = bytearray(data)
            for place in rng.integers(0, len(data), rng.integers(1, 6)).tolist():
                damaged[place] = int(rng.integers(0, 256))
            if rng.random() < 0.2:
                del damaged[int(rng.integers(0, len(damaged))) :]
            path.write_bytes(damaged)
            assert is_table_or_refusal(path), name
            done += 1
    return done


def test_a_damaged_file_is_a_table_or_a_data_error(tmp_path):
    assert damage_them(tmp_path, 35, seed=0) == 210


@pytest.mark.slow
def test_three_thousand_damaged_files_are_tables_or_data_errors(tmp_path):
    assert damage_them(tmp_path, 500, seed=1) == 3000
