"""Columns, short numbers, and the progress of a long look."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given, strategies as st

from drivetrain.cli import common, layout


def test_columns_are_aligned_and_the_last_one_is_left_as_it_is() -> None:
    rows = [("a", "long cell", "x"), ("bbb", "c", "a very long last cell"), ("only",)]
    assert layout.table(rows, indent=1) == (
        " a    long cell  x\n bbb  c          a very long last cell\n only"
    )
    assert layout.table([]) == ""


WIDE = "1  The Inland Mapmaker  3.34    liked by all +0.29, near The Upside Down Parrot (rated 4)"


@pytest.mark.parametrize(
    ("line", "within", "expected"),
    [
        (WIDE, None, WIDE),
        (WIDE, 90, WIDE),
        (
            WIDE,
            70,
            "1  The Inland Mapmaker  3.34    liked by all +0.29, near The Upside\n"
            "                                Down Parrot (rated 4)",
        ),
        (
            WIDE,
            40,
            "1  The Inland Mapmaker  3.34    liked by\n"
            "   all +0.29, near The Upside Down\n"
            "   Parrot (rated 4)",
        ),
        (
            "  a sentence of seven words in all\nshort",
            20,
            "  a sentence of\n  seven words in all\nshort",
        ),
        (f"  drivetrain train {'photos/' * 9}", 20, f"  drivetrain train {'photos/' * 9}"),
    ],
)
def test_in_a_terminal_an_answer_is_as_wide_as_that_and_what_is_typed_stays_whole(
    line: str, within: int | None, expected: str
) -> None:
    assert layout.fitted(line, within) == expected


@given(st.text("ab  .\n", max_size=200), st.integers(30, 90))
def test_no_word_is_lost_where_lines_are_broken(text: str, within: int) -> None:
    found = layout.fitted(text, within)
    assert found.split() == text.split()
    assert all(len(line) <= within or " " not in line.strip() for line in found.split("\n"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97561, "0.976"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (4e-5, "4e-05"),
        (12345, "12,345"),
        ("nan", "nan"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert layout.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.981, "98.1 %"), (0.9994, "99.9 %"), (0.9996, ">99.9 %"), (1.0, ">99.9 %"), (0.0004, "<0.1 %"),
     (0.0, "<0.1 %"), (0.0006, "0.1 %")],
)  # fmt: skip
def test_no_probability_is_shown_as_certain(share: float, text: str) -> None:
    assert layout.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (12.34, "12.3 s"), (3723, "62 min 3 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert layout.duration(seconds) == text


def test_long_lists_of_names_are_cut() -> None:
    assert layout.shorten(["a", "b", "c"], most=3) == "a, b, c"
    assert layout.shorten(["a", "b", "c"], most=2) == "a, b … (3)"


def test_the_likeliest_labels_come_first() -> None:
    assert layout.best({"a": 0.2, "b": 0.5, "c": 0.3}, 2) == [("b", 0.5), ("c", 0.3)]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("drivetrain.cli.common.time.monotonic", lambda: now[0])
    return now


def test_a_count_is_a_sparse_line_where_nobody_watches(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with common.counter() as count:
        for second in range(0, 70, 5):
            clock[0] = second
            count("opening pictures", 100 * second, 7000)
        clock[0] = 100
        count("pictures", 9999)
    assert stderr.getvalue() == (
        "opening pictures: 3,000 of 7,000\nopening pictures: 6,000 of 7,000\npictures: 9,999\n"
    )


def test_a_count_stays_in_its_place_in_a_terminal_and_is_wiped_away(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = _Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    with common.counter() as count:
        clock[0] = 1
        count("a", 1000, 2000)
        count("a", 1001, 2000)  # too soon to be shown
        clock[0] = 2
        count("a", 1, 2)
    assert stderr.getvalue() == (
        "\ra: 1,000 of 2,000" + "\ra: 1 of 2" + " " * 8 + "\r" + " " * 9 + "\r"
    )


def test_what_is_told_while_a_count_stands_begins_a_line_of_its_own(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = _Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    with common.counter() as count:
        clock[0] = 1
        count("rows", 10, 20)
        sys.stderr.write("A look.\n")  # by whoever: a command, or the library under it
        clock[0] = 2
        count("rows", 20, 20)
    assert stderr.getvalue() == (
        "\rrows: 10 of 20"
        + "\r"
        + " " * 14
        + "\rA look.\n"
        + "\rrows: 20 of 20"
        + "\r"
        + " " * 14
        + "\r"
    )


def test_a_terminal_that_is_too_narrow_gets_the_last_column_in_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [("a", "one", "as it is"), ("bb", "two", "a sentence of some words that goes on and on")]
    in_one_line = "a   one  as it is\nbb  two  a sentence of some words that goes on and on"
    assert layout.table(rows) == in_one_line  # a pipe: whoever reads lines has them whole
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    assert layout.table(rows) == (
        "a   one  as it is\nbb  two  a sentence of some words that\n         goes on and on"
    )
    monkeypatch.setenv("COLUMNS", "20")  # no room for words beside the others
    assert layout.table(rows) == in_one_line
    monkeypatch.setenv("COLUMNS", "120")
    assert layout.table(rows) == in_one_line
    assert layout.line() == 100


def test_the_line_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert layout.line() == 100
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    assert layout.line() == 80
