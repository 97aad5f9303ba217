"""Facts about users and items as numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.collab.newcomers.fact_columns import Words, as_number, as_word, as_year, fit_column
from drivetrain.collab.newcomers.facts import FactEncoder, Facts, read_facts
from drivetrain.collab.table.ids import Ids
from drivetrain.errors import BundleError, ConfigError, DataError, ShapeError
from tests.tabular.tables import csv_of, real, write

PEOPLE: dict[str, list[Any]] = {
    "who": ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"],
    "age": [20, 30, None, 40, 50, 20, 30, 999],
    "job": ["writer", "writer", "doctor", "doctor", "writer", None, "smith", "pirate"],
    "member": ["yes", "no", "no", "yes", "no", "no", "no", "yes"],
    "since": ["1999-05-01", "2001-01-31", "1999-12-31", None, "2003-02-01", "2001-01-01",
              "1999-01-01", "1900-01-01"],
    "likes": ["Comedy|Drama", "Drama", "Comedy", "Drama|War", "Comedy", "Drama", "Comedy", "War"],
    "zip": ["02215", "85711", "94043", "32067", "43537", "15213", "98101", "10003"],
    "planet": ["Earth"] * 8,
    "note": [None] * 8,
}  # fmt: skip
KNOWN = Ids(["u1", "u2", "u3", "u4", "u5", "u6", "u7"])  # u8 was not seen in training


@pytest.fixture(scope="module")
def people() -> Facts:
    return read_facts(PEOPLE, KNOWN, key="who")


def column(facts: Facts, name: str) -> list[float]:
    return facts.values[1:, facts.names.index(name)].tolist()


def test_each_kind_of_column_becomes_numbers(people: Facts) -> None:
    assert people.names == (
        "age", "age missing",
        "job=writer", "job=doctor", "job=(rare)", "job missing",
        "member",
        "since", "since missing",
        "likes=Comedy", "likes=Drama", "likes=(rare)",
    )  # fmt: skip
    assert (people.values.shape, people.values.dtype) == ((8, 12), np.float32)
    ages = np.array([20, 30, 40, 50, 20, 30])
    z = (ages - ages.mean()) / ages.std()
    expected = [z[0], z[1], 0, z[2], z[3], z[4], z[5]]  # the missing one is the mean
    np.testing.assert_allclose(column(people, "age"), expected, atol=1e-6)
    assert column(people, "age missing") == [0, 0, 1, 0, 0, 0, 0]
    assert column(people, "job=writer") == [1, 1, 0, 0, 1, 0, 0]
    assert column(people, "job=(rare)") == [0, 0, 0, 0, 0, 0, 1]  # the only smith
    assert column(people, "job missing") == [0, 0, 0, 0, 0, 1, 0]
    assert column(people, "member") == [1, 0, 0, 1, 0, 0, 0]
    years = np.array([1999, 2001, 1999, 2003, 2001, 1999])
    np.testing.assert_allclose(
        np.array(column(people, "since"))[[0, 1, 2, 4, 5, 6]],
        (years - years.mean()) / years.std(),
        atol=1e-6,
    )
    assert column(people, "likes=Drama") == [1, 1, 0, 1, 0, 1, 0]
    assert column(people, "likes=Comedy") == [1, 0, 1, 0, 1, 0, 1]


def test_what_became_of_each_column_is_said(people: Facts) -> None:
    assert people.notes[-8:] == (
        "'age': a number and whether it is missing.",
        "'job': 2 levels, those of few rows as one and whether it is missing.",
        "'member': 0 or 1.",
        "'since': the year of a date and whether it is missing.",
        "'likes': 2 levels, those of few rows as one.",
        "'zip' was left out: it has 7 different words in 7 rows, such as '02215'.",
        "'planet' was left out: it is 'Earth' in every row.",
        "'note' was left out: it is empty.",
    )


def test_only_rows_that_training_saw_are_learnt_from(people: Facts) -> None:
    changed = {**PEOPLE, "age": [*PEOPLE["age"][:7], -5], "job": [*PEOPLE["job"][:7], "writer"]}
    other = read_facts(changed, KNOWN, key="who")
    np.testing.assert_array_equal(other.values, people.values)
    assert people.is_known.tolist() == [False] + [True] * 7


def test_somebody_without_a_row_has_no_facts() -> None:
    found = read_facts(PEOPLE, Ids(["u1", "stranger", "u3", "u4", "u5"]), key="who")
    assert np.isnan(found.values[2]).all()
    assert found.is_known.tolist() == [False, True, False, True, True, True]
    assert found.notes[0] == "There are no facts of 1 of the 5 ids."
    doubled = {"who": ["u1", "u2", "u1"], "age": [1, 2, 3]}
    found = read_facts(doubled, Ids(["u1", "u2"]), key="who")
    np.testing.assert_allclose(found.values[1:, 0], [1, -1])  # 3 and 2
    assert found.notes[0] == "1 row has an id that comes again below; the last row counts."


def test_a_new_row_is_encoded_like_those_of_the_table(people: Facts) -> None:
    for place in range(7):
        row = {name: values[place] for name, values in PEOPLE.items()}
        np.testing.assert_array_equal(people.facts_of(row), people.values[place + 1])
    assert people.encoder is not None
    whole = people.encoder.encode(PEOPLE)
    np.testing.assert_array_equal(whole.values[:7], people.values[1:])
    assert whole.ids == tuple(PEOPLE["who"])
    assert whole.unknown == {"job": 2, "likes": 2}  # smith, pirate; War twice


def test_levels_that_training_did_not_have_are_counted(people: Facts) -> None:
    assert people.encoder is not None
    found = people.encoder.encode_row({"age": "old", "job": "astronaut", "likes": "Drama|Opera"})
    assert found.unknown == {"age": 1, "job": 1, "likes": 1}
    assert found.note == (
        "Values that training did not have, or in few rows: 'age' (1), 'job' (1) and 'likes' (1)."
    )
    values = dict(zip(people.names, found.values[0].tolist(), strict=True))
    assert (values["age"], values["age missing"]) == (0, 1)
    assert (values["job=(rare)"], values["job=writer"]) == (1, 0)
    assert (values["likes=Drama"], values["likes=(rare)"]) == (1, 1)
    assert np.isnan(people.facts_of({})).all()  # nothing is known
    assert np.isnan(people.facts_of({"zip": "02215"})).all()  # of which nothing was made
    with pytest.raises(DataError) as caught:
        people.facts_of({"jobs": "writer"})
    assert str(caught.value) == (
        "There is no fact 'jobs'. Did you mean 'job'? There are: age, job, member, since, likes."
    )


def test_an_encoder_comes_back_from_json(people: Facts) -> None:
    assert people.encoder is not None
    record = json.loads(json.dumps(people.encoder.to_json()))
    back = FactEncoder.from_json(record)
    assert back.to_json() == record
    assert back.names == people.names
    np.testing.assert_array_equal(back.encode(PEOPLE).values, people.encoder.encode(PEOPLE).values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": 2},
            "A record of facts has 2 as `format`, expected a whole number from 1 to 1. Take it anew "
            "from where it came from.",
        ),
        ({"more": 1}, "A record of facts has the unknown entry 'more'. Take it anew from where it "
         "came from."),
        ({"key": 3}, "A record of facts has 3 as `key`, expected a text of 1 to 1000 letters. Take it "
         "anew from where it came from."),
    ],
)  # fmt: skip
def test_a_record_that_was_changed_is_refused(
    people: Facts, change: dict[str, Any], message: str
) -> None:
    assert people.encoder is not None
    with pytest.raises(BundleError) as caught:
        FactEncoder.from_json(people.encoder.to_json() | change)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "eval"},
        {"spread": 0},
        {"mean": float("nan")},
        {"levels": ["a", "a"]},
        {"levels": "abc"},
        {"has_rare": 1},
        {"why": None},
        {"name": "job"},
    ],
)
def test_a_column_that_was_changed_is_refused(people: Facts, change: dict[str, Any]) -> None:
    assert people.encoder is not None
    record = people.encoder.to_json()
    record["columns"][0] |= change
    with pytest.raises(BundleError, match="A record of facts"):
        FactEncoder.from_json(record)


def test_files_with_and_without_a_header_say_the_same(tmp_path: Path, people: Facts) -> None:
    whole = read_facts(write(tmp_path / "people.csv", PEOPLE), KNOWN)
    np.testing.assert_array_equal(whole.values, people.values)
    assert whole.encoder is not None
    assert whole.encoder.key == "who"  # found by what it holds
    bare = tmp_path / "bare.csv"
    bare.write_text(csv_of(PEOPLE).partition("\n")[2])
    found = read_facts(bare, KNOWN, names=tuple(PEOPLE))
    np.testing.assert_array_equal(found.values, people.values)
    assert found.names == people.names
    less = read_facts(PEOPLE, KNOWN, drop=["age", "likes"])
    assert [name for name in less.names if name.startswith(("age", "likes"))] == []


def test_a_frame_says_the_same_as_words() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "item": [1, 2, 3, 4],
            "length": [90.0, None, 120.0, 95.0],
            "shown": pd.to_datetime(["1995-01-01", "1996-06-01", None, "1995-02-02"]),
            "is_new": [True, False, False, True],
        }
    )
    ids = Ids(["1", "2", "3", "4"])
    found = read_facts(frame, ids)
    words = {
        "item": ["1", "2", "3", "4"],
        "length": ["90", "", "120", "95"],
        "shown": ["01-Jan-1995", "06/01/1996", "", "1995-02-02"],
        "is_new": ["1", "0", "0", "1"],
    }
    other = read_facts(words, ids)
    assert found.names == other.names == (
        "length", "length missing", "shown", "shown missing", "is_new",
    )  # fmt: skip
    np.testing.assert_array_equal(found.values, other.values)


def test_tables_without_facts_or_ids_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        read_facts(PEOPLE, Ids(["x1", "x2"]))
    assert str(caught.value) == (
        "No column of the table of facts holds more than few of the 2 ids that training saw, such as "
        "'x1'. Name the column of the ids by `key`."
    )
    with pytest.raises(DataError) as caught:
        read_facts(PEOPLE, Ids(["x1", "x2"]), key="age")
    assert str(caught.value) == (
        "The column 'age' of facts holds none or few of the 2 ids that training saw, such as 'x1'. "
        "Name the column of the ids by `key`."
    )
    with pytest.raises(DataError) as caught:
        read_facts(PEOPLE, KNOWN, key="whom")
    assert str(caught.value).startswith(
        "The table of facts has no column 'whom'. Did you mean 'who'? There are: who, age, job"
    )
    with pytest.raises(DataError) as caught:
        read_facts({"who": ["u1", "u2"], "zip": ["a", "b"]}, KNOWN)
    assert str(caught.value) == (
        "No column of the table of facts says anything. 'zip' was left out: it has 2 different words "
        "in 2 rows, such as 'a'."
    )
    with pytest.raises(ConfigError) as caught:
        read_facts(PEOPLE, KNOWN, key="who", drop=["who"])
    assert str(caught.value) == "The column 'who' holds the ids and cannot be in `drop`."
    twins = {"who": ["u1", "u2", "u3"], "a": [1.5, 2.5, None], "a missing": [0, 1, 1]}
    with pytest.raises(DataError) as caught:
        read_facts(twins, KNOWN, key="who")
    assert str(caught.value) == "Two columns of facts would be called 'a missing'. Rename one."


def test_a_matrix_made_by_hand_is_one_too() -> None:
    values = np.array([[np.nan, np.nan], [1, np.nan], [np.nan, np.nan]], np.float32)
    facts = Facts(("a", "b"), values)
    assert facts.is_known.tolist() == [False, True, False]
    assert len(facts) == 3
    with pytest.raises(ConfigError) as caught:
        facts.facts_of({"a": 1})
    assert str(caught.value) == (
        "These facts were given as numbers: give those of a new row as numbers too."
    )
    with pytest.raises(ShapeError) as caught:
        Facts(("a",), values)
    assert str(caught.value) == ("`Facts` needs values (M, 1), a column for each name. Got (3, 2).")


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(
        st.one_of(
            st.none(),
            st.sampled_from(["a", "b", "a|b", "c", "0", "1", "02", "1995-01-02"]),
            st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_any_column_is_encoded_alike_row_by_row(values: list[Any]) -> None:
    words = Words.of_values(values)
    found = fit_column("c", words)
    whole, _ = found.encode(words)
    assert whole.shape == (len(values), len(found.outputs))
    assert np.isfinite(whole).all()
    for place, value in enumerate(values):
        alone, _ = found.encode(Words.of_values([value]))
        np.testing.assert_array_equal(alone[0], whole[place])
    if found.kind in ("number", "date") and found.spread != 1.0:
        numbers = whole[:, 0].astype(np.float64)
        assert abs(numbers.mean()) < 1e-3
        assert 0 < numbers.std() < 1.001


@pytest.mark.parametrize(
    ("word", "year"),
    [
        ("01-Jan-1995", 1995), ("1995-01-31", 1995), ("1995/1/31 10:00", 1995), ("1.2.1995", 1995),
        ("1995-01-31T10:00:00Z", 1995), ("Jan 31, 1995", 1995), ("31 January 1995", 1995),
        ("1995", np.nan), ("Toy Story (1995)", np.nan), ("", np.nan), ("1/2/95", np.nan),
    ],
)  # fmt: skip
def test_years_of_dates(word: str, year: float) -> None:
    np.testing.assert_equal(as_year(word), year)


def test_numbers_are_told_from_codes() -> None:
    assert [as_number(word) for word in ("7", "-0.5", "1e3", ".5", "+2")] == [7, -0.5, 1000, 0.5, 2]
    for word in ("", ".", "007", "0x10", "1_000", "inf", "nan", "1,5", "٣"):
        assert np.isnan(as_number(word))
    assert [as_word(value) for value in (np.int64(3), np.float32(2.5), np.bool_(True), b"x")] == [
        "3", "2.5", "1", "b'x'",
    ]  # fmt: skip


def test_films_of_movielens_are_read_as_they_come() -> None:
    genres = [
        line.split("|")[0] for line in real("ml-100k/u.genre").read_text().splitlines() if line
    ]
    names = ["film", "title", "released", "on video", "link", *genres]
    ids = Ids([str(i) for i in range(1, 1683)])
    found = read_facts(real("ml-100k/u.item"), ids, names=names)
    assert found.names == ("released", "released missing", *genres)
    assert found.encoder is not None
    assert found.encoder.key == "film"
    left_out = [column.name for column in found.encoder.columns if column.kind == "none"]
    assert left_out == ["title", "on video", "link"]
    toy_story = dict(zip(found.names, found.values[1].tolist(), strict=True))
    assert [g for g in genres if toy_story[g]] == ["Animation", "Children's", "Comedy"]
    released = found.encoder.columns[names.index("released") - 1]
    year = toy_story["released"] * released.spread + released.mean
    assert year == pytest.approx(1995, abs=1e-3)
    assert found.values[267, 1] == 1.0  # the one whose date is missing
    users = read_facts(
        real("ml-100k/u.user"),
        Ids([str(i) for i in range(1, 944)]),
        names=["user", "age", "sex", "occupation", "zip"],
    )
    assert users.encoder is not None
    assert (users.encoder.key, len(users.names)) == ("user", 1 + 2 + 21)
    assert "'zip' was left out: it has 795 different words in 943 rows" in users.notes[-1]
