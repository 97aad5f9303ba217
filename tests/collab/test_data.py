"""Ratings as people have them become codes: read, cleaned, split, counted on the training part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain import store
from drivetrain.collab.data import CollabData, from_csv, from_table, gather, gather_again
from drivetrain.collab.table.splits import PARTS
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError, ShapeError
from tests.collab.made import planted, write

FEW = "user,item,rating\n" + "".join(
    f"{u},{i},{1 + (u + i) % 5}\n" for u in range(6) for i in range(5)
)


def pairs(data: CollabData) -> dict[tuple[str, str], float]:
    """What is rated how, by name; of the training ratings, whose names are all known."""
    table = data.part("train")
    users, items = data.users.names, data.items.names
    return {
        (users[u], items[i]): r
        for u, i, r in zip(
            table.users.tolist(), table.items.tolist(), table.ratings.tolist(), strict=True
        )
    }


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_csv_file_is_read_whatever_its_line_ends(tmp_path: Path, newline: str) -> None:
    data = from_csv(write(tmp_path / "r.csv", FEW, newline=newline))
    assert data.counts() == {"train": 24, "valid": 6, "test": 0, "quarantined": 0}
    assert data.users.names == ("", *map(str, range(6)))
    assert data.rating_range() == (1.0, 5.0)
    assert str(data).endswith(
        "24 ratings to train, 6 to validate; 6 users, 5 items, 100.00% of the pairs"
    )


def test_the_same_ratings_are_the_same_from_csv_parquet_and_frames(tmp_path: Path) -> None:
    columns = planted(20, 10).columns
    frame = pa.table(columns)
    pq.write_table(frame, tmp_path / "r.parquet")
    lines = ["user,item,rating,time"]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    made = [
        from_csv(write(tmp_path / "r.csv", "\n".join(lines))),
        from_table(tmp_path / "r.parquet"),
        from_table(frame),
        from_table(columns),
    ]
    for data in made:
        assert pairs(data) == pairs(made[0])
        assert np.array_equal(data.table.times, made[0].table.times)


def test_a_file_without_a_header_is_user_item_rating_time(tmp_path: Path) -> None:
    rows = "".join(
        f"{u}\t{i}\t{1 + (u * i) % 5}\t{880000000 + u}\n" for u in (7, 8, 9) for i in (3, 4)
    )
    data = from_csv(write(tmp_path / "u.data", rows), valid=0.3)
    assert data.columns.used == ("user", "item", "rating", "time")
    assert data.notes[0] == "The file has no header: its columns are user, item, rating, time."
    assert len(data.table) == 6


def test_columns_are_found_by_their_names_and_it_is_said(tmp_path: Path) -> None:
    text = FEW.replace("user,item,rating", "userId,movieId,stars")
    data = from_csv(write(tmp_path / "r.csv", text))
    assert data.columns.used == ("userId", "movieId", "stars")
    assert data.choices["columns"].reason == "by their names"


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = FEW.replace("user,item,rating", "a,b,c")
    data = from_csv(write(tmp_path / "r.csv", text), user="a", item="b", rating="c")
    assert data.choices["columns"].reason == "as asked"
    with pytest.raises(
        DataError, match=r"No column's name says that it holds the users\. Give `user`\."
    ):
        from_csv(tmp_path / "r.csv")
    with pytest.raises(
        ConfigError, match=re.escape("There is no column 'd' for `user`. Columns: a, b, c.")
    ):
        from_csv(tmp_path / "r.csv", user="d", item="b", rating="c")
    with pytest.raises(ConfigError, match="The column 'a' is given for `user` and `item`"):
        from_csv(tmp_path / "r.csv", user="a", item="a")


def test_rows_without_a_rating_are_events_and_are_counted() -> None:
    columns = {"user": ["a", "a", "a", "b", "b", "c"], "item": ["x", "x", "y", "x", "z", "y"]}
    data = gather(columns, valid=[5])
    assert data.is_implicit
    assert pairs(data)["a", "x"] == 2.0
    assert data.counts()["quarantined"] == 0
    assert (
        "1 row names a user and an item of another row: counted as a further time that it happened."
        in data.notes
    )
    rated = gather({**columns, "rating": [1, 2, 3, 4, 5, 1]}, valid=[5], implicit=True)
    assert pairs(rated) == pairs(data)


def test_numbers_beyond_64_bits_are_exact_names() -> None:
    big = 2**63
    columns = {
        "user": [str(big), str(big + 1), str(big + 2), str(big)],
        "item": ["1", "1", "2", "2"],
        "rating": [1, 2, 3, 4],
    }
    data = gather(columns, valid=[3])
    assert data.users.names == ("", str(big), str(big + 1), str(big + 2))
    assert data.users.code(big + 1) == 2


def test_whole_numbers_with_gaps_keep_their_digits() -> None:
    frame = pa.table({"user": [1.0, None, 3.0, 3.0], "item": [5, 6, 7, 8], "rating": [1, 2, 3, 4]})
    data = gather(frame, valid=[3])
    assert data.users.names == ("", "1", "3")
    assert [one.to_json() for one in data.quarantined] == [
        {"id": "row 2", "reason": "no-user", "detail": "The row names no user."}
    ]


# --- what is set aside ----------------------------------------------------------------------------


def test_rows_that_cannot_be_used_are_set_aside_by_name(tmp_path: Path) -> None:
    bad = "6,,3\n,2,3\n1,0,good\n2,0,inf\n3,0,\n0,0,1,extra\n"
    data = from_csv(write(tmp_path / "r.csv", FEW + bad))
    assert sorted((one.id, one.reason) for one in data.quarantined) == [
        ("row 31", "no-item"),
        ("row 32", "no-user"),
        ("row 33", "no-rating"),
        ("row 34", "no-rating"),
        ("row 35", "no-rating"),
        ("row 36", "too-many-fields"),
    ]
    assert data.counts()["quarantined"] == 6
    details = {one.id: one.detail for one in data.quarantined}
    assert details["row 33"] == "'good' is no rating."
    assert details["row 35"] == "The cell is empty: it is no rating."


def test_ratings_with_a_decimal_comma_are_numbers(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5};i{n % 7};{n % 4},5\r\n" for n in range(35))
    table = tmp_path / "r.csv"
    table.write_bytes(f"\ufeffuser;item;rating\r\n{rows}u1;i9;1,234\r\n".encode())
    data = from_csv(table)
    assert data.counts()["quarantined"] == 1  # three digits: a thousand, or not
    assert [one.detail for one in data.quarantined] == ["'1,234' is no rating."]
    assert data.rating_range() == (0.5, 3.5)


@pytest.mark.parametrize(("keep", "rating"), [("last", 4.0), ("first", 1.0), ("mean", 2.5)])
def test_of_several_ratings_of_a_pair_one_counts(keep: str, rating: float) -> None:
    columns = {
        "user": ["a", "a", "b", "c"],
        "item": ["x", "x", "x", "y"],
        "rating": [4, 1, 3, 2],
        "time": [20, 10, 5, 5],
    }
    data = gather(columns, duplicates=keep, valid=[3])
    assert pairs(data)["a", "x"] == rating
    assert [one.reason for one in data.quarantined] == ["duplicate"]
    assert data.quarantined[0].detail.startswith("User a rated item x more than once:")


def test_all_ratings_of_a_pair_can_be_kept() -> None:
    columns = {"user": ["a", "a", "b"], "item": ["x", "x", "x"], "rating": [4, 1, 3]}
    assert len(gather(columns, duplicates="all", valid=[2]).table) == 3
    with pytest.raises(ConfigError, match="`duplicates` is one of last, first, mean, all"):
        gather(columns, duplicates="none")


def test_a_rating_far_from_all_others_is_set_aside_and_a_range_can_be_given() -> None:
    columns = planted(60, 40, share=0.9).columns
    whole: dict[str, list[Any]] = {
        **columns,
        "rating": [float(min(5, max(1, round(r)))) for r in columns["rating"]],
    }
    whole["rating"][7] = 999.0
    data = gather(whole)
    assert [(one.id, one.reason) for one in data.quarantined] == [("row 8", "out-of-range")]
    assert data.quarantined[0].detail == (
        "The rating 999 lies far from all other ratings. If it is meant, give `rating_range`."
    )
    assert gather(whole, rating_range=(1, 999)).counts()["quarantined"] == 0
    narrow = gather(whole, rating_range=(2, 5))
    assert narrow.rating_range()[0] == 2.0
    with pytest.raises(
        ConfigError, match=re.escape("`rating_range` is (lowest, highest). Got (5, 1).")
    ):
        gather(whole, rating_range=(5, 1))


def test_play_counts_are_no_slips() -> None:
    draw = np.random.default_rng(0)
    columns = {
        "user": [str(k) for k in range(5000)],
        "item": [str(k % 50) for k in range(5000)],
        "plays": draw.geometric(0.05, 5000).tolist(),
    }
    columns["plays"][0] = 4000
    assert gather(columns, rating="plays").counts()["quarantined"] <= 1


def test_nothing_left_is_said() -> None:
    with pytest.raises(
        DataError, match=r"No rating of The data frame can be used: 2 rows are set aside\."
    ):
        gather({"user": ["a", "b"], "item": ["x", "y"], "rating": ["?", "bad"]})


def test_one_user_can_be_learnt_from_but_not_split_by_users() -> None:
    columns = {"user": ["a"] * 10, "item": list("qrstuvwxyz"), "rating": [1, 2, 3, 4, 5] * 2}
    assert len(gather(columns).users) == 2
    with pytest.raises(DataError, match="too few to hold out 1 for validation"):
        gather(columns, split="cold_users")


def test_dates_are_times() -> None:
    columns = {
        "user": ["a", "b", "c", "d"],
        "item": ["x", "x", "y", "y"],
        "rating": [1, 2, 3, 4],
        "date": ["2024-01-02", "2024-01-01T10:00:00", "2023-05-05", "soon"],
    }
    data = gather(columns, split="time", valid=0.34)
    table = data.table
    assert table.times is not None
    assert table.times[data.rows("valid")].min() > table.times[data.rows("train")].max()
    assert [one.detail for one in data.quarantined] == ["'soon' is no time."]


# --- codes and splits -----------------------------------------------------------------------------


def test_who_stands_in_no_training_rating_is_unknown() -> None:
    columns = {"user": ["a", "a", "b", "new"], "item": ["x", "y", "x", "z"], "rating": [1, 2, 3, 4]}
    data = gather(columns, valid=[2, 3])
    assert data.users.names == ("", "a")
    assert data.table.users[data.rows("valid")].tolist() == [0, 0]
    assert data.table.items[data.rows("valid")].tolist() == [1, 0]
    assert "2 of the 2 validation ratings are of users that training does not have." in data.notes


@given(st.sampled_from(["random", "time", "last", "cold_users", "cold_items"]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_every_rating_is_in_one_part_and_the_parts_keep_their_promise(
    split: str, has_test: bool
) -> None:
    data = gather(planted(30, 20).columns, split=split, test=0.1 if has_test else 0.0)
    rows = [data.rows(part) for part in PARTS]
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(len(data.table)))
    assert bool(len(rows[2])) == has_test
    train, valid = data.part("train"), data.part("valid")
    assert train.users.min() > 0 and train.items.min() > 0
    if split == "time":
        assert train.times is not None and valid.times is not None
        assert train.times.max() < valid.times.min()
    if split == "cold_users":
        assert not valid.users.any()
    if split == "cold_items":
        assert not valid.items.any()
    if split == "last":
        assert len(np.unique(valid.users)) == len(valid)


def test_the_order_of_the_rows_does_not_change_codes() -> None:
    columns = planted(20, 15).columns
    order = np.random.default_rng(1).permutation(len(columns["user"]))
    other = {name: [values[k] for k in order] for name, values in columns.items()}
    first, second = (gather(c, split="time") for c in (columns, other))
    assert first.users.names == second.users.names
    assert pairs(first) == pairs(second)


def test_splits_that_cannot_be_are_refused() -> None:
    columns = {k: v for k, v in planted(10, 10).columns.items() if k != "time"}
    with pytest.raises(DataError, match=r"The ratings have no times to be split by\. Give `time`"):
        gather(columns, split="time")
    with pytest.raises(ConfigError, match=r"There is no split 'tme'\. Did you mean 'time'\?"):
        gather(columns, split="tme")
    with pytest.raises(ConfigError, match=r"`valid` is a share of the ratings, below 1\. Got 1\."):
        gather(columns, valid=1.0)
    with pytest.raises(
        ConfigError, match=r"`valid` 0\.6 and `test` 0\.5 leave nothing to train on\."
    ):
        gather(columns, valid=0.6, test=0.5)
    with pytest.raises(
        DataError, match=r"`valid` names 1 rows, which leaves no rating for validation\."
    ):
        gather(columns, valid=[10_000])
    with pytest.raises(ConfigError, match="`valid` names the rows that validate"):
        gather(columns, valid=[1], split="random")


def test_a_recipe_makes_the_same_ratings_again(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", FEW)
    data = from_csv(path, split="cold_items", seed=3)
    recipe = store.json_bytes(data.recipe)
    assert recipe  # plain JSON
    again = gather_again(data.recipe)
    assert again.fingerprint() == data.fingerprint()
    assert gather_again({**data.recipe, "seed": 4}).fingerprint() != data.fingerprint()
    with pytest.raises(DataError, match="This run was trained on a data frame"):
        gather_again(gather(planted(10, 10).columns).recipe)


def test_the_split_is_written_by_row(tmp_path: Path) -> None:
    data = from_csv(write(tmp_path / "r.csv", FEW), valid=[0, 29])
    record = data.split_record()
    assert record["method"] == "given"
    assert record["valid"] == ["row 1", "row 30"]
    assert len(record["train"]) == 28


# --- titles ---------------------------------------------------------------------------------------


def test_titles_come_from_a_table_a_column_or_a_mapping(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", FEW)
    films = write(tmp_path / "films.csv", "item_id,year,title\n0,1990,Émile\n1,1991,Two\n")
    data = from_csv(path, titles=films)
    assert data.titles == ("", "Émile", "Two", "2", "3", "4")
    assert "3 items have no title, such as '2'." in data.notes
    assert from_csv(path, titles={"0": "Nil"}).titles[1] == "Nil"
    bare = write(tmp_path / "u.item", "0|Nil|x\n1|One|y\n2|Café|z\n", encoding="latin-1")
    assert from_csv(path, titles=bare).titles[1:4] == ("Nil", "One", "Café")
    columns = {
        "user": ["a", "b", "a"],
        "item": [1, 1, 2],
        "rating": [1, 2, 3],
        "name": ["X", "X", "Y"],
    }
    assert gather(columns, titles="name", valid=[1]).titles == ("", "X", "Y")
    wrong = write(tmp_path / "wrong.csv", "id,title\n90,Nobody\n91,None of them\n")
    with pytest.raises(DataError, match=r"has a title for none of the 5 items, such as '0'"):
        from_csv(path, titles=wrong)


# --- the records ----------------------------------------------------------------------------------


def test_lists_are_taken_in_the_order_that_is_asked() -> None:
    lists = Lists.from_codes(np.array([2, 0, 2, 0, 0]), np.array([7, 5, 6, 4, 9]), 4)
    assert lists.lengths().tolist() == [3, 0, 2, 0]
    taken = lists.take(np.array([2, 1, 2, 0]))
    assert [taken[k].tolist() for k in range(4)] == [[7, 6], [], [7, 6], [5, 4, 9]]
    assert lists.owners().tolist() == [0, 0, 0, 2, 2]


def test_a_table_needs_columns_of_one_length() -> None:
    with pytest.raises(
        ShapeError, match=r"`RatingTable` needs columns of equal length\. Got lengths \[2, 1, 1\]\."
    ):
        RatingTable(
            np.zeros(2, np.int32), np.zeros(1, np.int32), np.zeros(1, np.float32), None, 1, 1
        )


@pytest.mark.parametrize("name", ["ml-100k"])
def test_real_ratings_are_read_as_they_stand(shared_data, name: str) -> None:
    folder = shared_data(name)
    data = from_csv(folder / "u.data", titles=folder / "u.item")
    assert len(data.table) == 100_000
    assert len(data.users) == 944
    assert data.titles[data.items.code(50)] == "Star Wars (1977)"
    counts = np.bincount(data.table.ratings.astype(int))
    assert counts.tolist() == [0, 6_110, 11_370, 27_145, 34_174, 21_201]
