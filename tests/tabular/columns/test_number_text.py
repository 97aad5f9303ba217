"""Numbers as people write them: one format a column, found over all words, and read by it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.tabular.columns.number_text import (
    find_number_format,
    is_number_format,
    parse_numbers,
)


def found(*words: str) -> tuple[str | None, float, list[float]]:
    column = pa.array(words, pa.string())
    form, share = find_number_format(column, np.ones(len(words), dtype=np.int64))
    numbers, is_number = parse_numbers(column, form)
    assert (np.isnan(numbers) == ~is_number).all()
    assert is_number.mean() == pytest.approx(share)
    assert form is None or is_number_format(form)
    return form, share, np.where(is_number, numbers, -9999.0).tolist()


@pytest.mark.parametrize(
    ("words", "form", "numbers"),
    [
        (["1", "-2.5", "+3", ".5", "5.", "1e3", "2E-2"], None, [1, -2.5, 3, 0.5, 5, 1e3, 0.02]),
        (["1,234.5", "7", "1,234,567"], "thousands comma", [1234.5, 7, 1234567]),
        (["1.234,5", "7", "1.234.567"], "decimal comma, thousands point", [1234.5, 7, 1234567]),
        (["1,5", "2", "-0,25"], "decimal comma", [1.5, 2, -0.25]),
        (["1 234", "12", "1 234 567"], "thousands space", [1234, 12, 1234567]),
        (["1\u202f234,5", "12"], "decimal comma, thousands space", [1234.5, 12]),
        (["1'234.50", "12"], "thousands apostrophe", [1234.5, 12]),
        (["12%", "3.5 %", "-1%"], "percent", [12, 3.5, -1]),
        (["$5", "-$1.50", "$ 7", "US$8"], "currency", [5, -1.5, 7, 8]),
        (["5 €", "6€", "7,50 EUR"], "decimal comma, currency", [5, 6, 7.5]),
        (["$1,234.50", "($7.00)"], "thousands comma, currency, brackets for minus", [1234.5, -7]),
        (["(3)", "4"], "brackets for minus", [-3, 4]),
        (["True", "false", "TRUE"], "true/false", [1, 0, 1]),
        (["10:30", "0:05", "23:59:59.5"], "time of day in seconds", [37800, 300, 86399.5]),
        (["inf", "1", "-Infinity"], None, [np.inf, 1, -np.inf]),
        (["1,234", "5,678"], "thousands comma", [1234, 5678]),  # the likelier of two readings
        (["0,123", "5,678"], "decimal comma", [0.123, 5.678]),  # no group begins with a zero
        (["1.234", "5.678"], None, [1.234, 5.678]),
        (["1.234", "1,5"], "decimal comma, thousands point", [1234, 1.5]),
        (["−5", "−6,5"], "decimal comma", [-5, -6.5]),
    ],
)
def test_a_column_is_read_as_it_is_written(words, form, numbers):
    assert found(*words) == (form, 1.0, pytest.approx(numbers))


@pytest.mark.parametrize(
    "word",
    [
        "",
        "abc",
        "1e",
        "1.2.3",
        "--5",
        "5-",
        "0x1F",
        "1_000",
        "A1",
        "1,23,4",
        "½",
        "٣",
        "nan",
        "%",
        "$",
    ],
)
def test_what_is_no_number_is_none(word):
    form, share, _ = found("1", word)
    assert (form, share) == (None, 0.5)


def test_words_alone_are_no_numbers():
    assert found("male", "female") == (None, 0.0, [-9999.0, -9999.0])
    assert find_number_format(pa.array([], pa.string()), np.zeros(0, dtype=np.int64)) == (None, 0.0)


def test_the_share_counts_cells_and_not_words():
    words = pa.array(["1", "x"])
    assert find_number_format(words, np.array([99, 1])) == (None, 0.99)


def test_plain_numbers_are_read_beside_words_for_true_and_false():
    numbers, is_number = parse_numbers(pa.array(["true", "0", "1", "maybe"]), "true/false")
    assert numbers[:3].tolist() == [1, 0, 1]
    assert is_number.tolist() == [True, True, True, False]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_what_python_writes_is_read_to_the_last_bit(numbers):
    words = list(dict.fromkeys(map(repr, numbers)))
    read, is_number = parse_numbers(pa.array(words), None)
    assert is_number.all()
    assert read.tolist() == [float(word) for word in words]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20), st.sampled_from(",.' "))
@settings(max_examples=100, deadline=None)
def test_groups_of_three_digits_are_read_back(numbers, mark):
    form = {
        ",": "thousands comma",
        ".": "decimal comma, thousands point",
        "'": "thousands apostrophe",
        " ": "thousands space",
    }[mark]
    words = pa.array([f"{number:,}".replace(",", mark) for number in numbers])
    assert parse_numbers(words, form)[0].tolist() == numbers


@pytest.mark.parametrize(
    "text", ["", "percent, percent", "currency, percent", "thousands", "x, percent"]
)
def test_a_format_that_none_writes_is_none(text):
    assert not is_number_format(text)
