"""Models of ratings, ejected, and run where Drivetrain cannot be imported: the same bits."""

from __future__ import annotations

import gzip
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import drivetrain as dt
from drivetrain.collab.ejecting.data import codes, mean_of_each, one_of_each
from drivetrain.collab.ejecting.reading import places, places_of_numbers
from drivetrain.errors import EjectError
from tests.collab.ejecting.runs import SHORTER, SMALL, check, repeated, text_of, trained, watched
from tests.tabular.tables import real, write

Make = Callable[[Path], dt.Learner]


# --- models ---------------------------------------------------------------------------------------


def with_biases(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), metrics=["mae"])


def without_biases(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), model="dot", y_range=[0, 6])


def without_a_range(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", watched())
    return trained(table, y_range=False, metrics=["mse", "r2"], loss_fn="huber")


def normalised_net(folder: Path) -> dt.Learner:
    options = {"layers": [12, 6], "dropout": 0.2, "batch_size": 239}  # one rating is left over
    return trained(write(folder / "t.csv", watched()), model="net", **options)


def net_without_norms(folder: Path) -> dt.Learner:
    options = {"layers": [8], "batch_norm": False, "y_range": False, "num_factors": None}
    return trained(write(folder / "t.csv", watched()), model="net", **options)


def momentum_averaged_and_clipped(folder: Path) -> dt.Learner:
    callbacks = ["ema", "clip_gradients", {"name": "accumulate", "steps": 2}]
    table = write(folder / "t.csv", watched())
    return trained(table, callbacks=callbacks, optimizer="momentum")


def best_of_several_stages(folder: Path) -> dt.Learner:
    callbacks = ["save_best", {"name": "early_stopping", "patience": 1}]
    table = write(folder / "t.csv", watched())
    learner = dt.collab.learner(table, callbacks=callbacks, **SMALL)
    learner.fit(3, 3e-2)
    learner.fit_one_cycle(2, 5e-3, callbacks=["ema"])
    return learner


class Interrupted(dt.Callback):
    """Presses Ctrl-C at a step."""

    in_script = False

    def __init__(self, step: int) -> None:
        self.step = step

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            signal.raise_signal(signal.SIGINT)


def resumed(folder: Path) -> dt.Learner:
    learner = dt.collab.learner(write(folder / "t.csv", watched()), **SMALL)
    try:
        learner.fit_one_cycle(3, 1e-2, callbacks=[Interrupted(9)])
    except KeyboardInterrupt:
        learner.resume(callbacks=[])
    return learner


# --- splits ---------------------------------------------------------------------------------------


def at_random_with_a_test(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), valid=0.1, test=0.15, seed=3)


def in_time(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), split="time")


def in_time_with_a_test(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), split="time", test=0.1)


def last_of_each_user(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), split="last")


def last_of_each_user_with_a_test(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), split="last", test=0.1)


def last_in_the_order_of_the_file(folder: Path) -> dt.Learner:
    columns = {name: cells for name, cells in watched().items() if name != "time"}
    return trained(write(folder / "t.csv", columns), split="last")


def cold_users(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), split="cold_users")


def cold_items_with_a_test(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), split="cold_items", test=0.1)


def rows_that_were_given(folder: Path) -> dt.Learner:
    columns = watched()
    columns["rating"][20], columns["user"][150] = "", "?"
    rows = [*range(3, 90, 4), 20, 21, 150, 299]
    return trained(write(folder / "t.csv", columns), valid=rows)


def rows_in_a_row(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), valid=list(range(240, 300)))


# --- files ----------------------------------------------------------------------------------------


def without_a_header(folder: Path) -> dt.Learner:
    path = folder / "t.data"
    path.write_text(text_of(watched(), "\t"))
    return trained(path)


def names_given(folder: Path) -> dt.Learner:
    path = folder / "t.csv"
    path.write_text(text_of(watched()))
    return trained(
        path, names=["who", "what", "how", "when"], user="who", item="what", rating="how"
    )


def words_with_blanks(folder: Path) -> dt.Learner:
    columns = watched()
    columns["user"] = [f" Ö{n % 9} {n}" if n % 2 else f"ö{n} " for n in columns["user"]]
    columns["item"] = [f"b{n}" if n % 2 else f"A{n:04d}" for n in columns["item"]]
    return trained(write(folder / "t.csv", columns))


def numbers_longer_than_a_word(folder: Path) -> dt.Learner:
    columns = watched()
    columns["user"] = [9**40 + n if n % 2 else n for n in columns["user"]]
    columns["item"] = [2**63 + n for n in columns["item"]]
    return trained(write(folder / "t.csv", columns))


def gaps_and_slips(folder: Path) -> dt.Learner:
    columns = watched(1000, seed=8)
    for name, cells in columns.items():
        cells += [cell + 100 if name == "user" else cell for cell in cells]
    columns["user"][5], columns["item"][9], columns["time"][30] = "", "NA", "null"
    columns["rating"][2:5] = ["n/a", "seven", "inf"]
    columns["rating"][77] = 400  # far from all others
    return trained(write(folder / "t.csv", columns))


def out_of_a_given_range(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", watched()), rating_range=[1.5, 4.5])


def repeated_the_last(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", repeated()))


def repeated_the_first_in_the_file(folder: Path) -> dt.Learner:
    columns = {name: cells for name, cells in repeated().items() if name != "time"}
    return trained(write(folder / "t.csv", columns), duplicates="first")


def repeated_their_mean(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", repeated()), duplicates="mean", split="time")


def repeated_all(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", repeated()), duplicates="all")


def dates(folder: Path) -> dt.Learner:
    columns = watched()
    days = [np.datetime64("2021-01-01T00:00:00") + n % 10**6 for n in columns["time"]]
    return trained(write(folder / "t.csv", columns | {"time": list(map(str, days))}), split="time")


def odd_text(folder: Path) -> dt.Learner:
    """Windows' letters and line ends, semicolons, a quoted line end, a short row, a further column."""
    columns = watched()
    rows = [
        f"Zoë {user};{item};{rating};schön"
        for user, item, rating in zip(*list(columns.values())[:3], strict=True)
    ]
    rows[17] = "zu kurz"
    rows[40] = '"zwei\nZeilen";110;2;gut'
    text = "\r\n".join([" user ;item;rating;Wort", *rows, ""])
    path = folder / "t.csv"
    path.write_bytes(text.encode("cp1252"))
    return trained(path)


def packed_with_a_mark_in_front(folder: Path) -> dt.Learner:
    path = folder / "t.csv.gz"
    text = "user,item,rating,time\n" + text_of(watched())
    path.write_bytes(gzip.compress(text.encode("utf-8-sig")))
    return trained(path)


def parquet(folder: Path) -> dt.Learner:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = watched()
    days = np.datetime64("2022-03-01T00:00:00") + np.array(columns["time"]) % 10**6
    users = [None if n == 20 else float(n) for n in columns["user"]]
    words = pa.array([f"film {n}" for n in columns["item"]]).dictionary_encode()
    ratings = [np.nan if n == 31 else one for n, one in enumerate(columns["rating"])]
    table = {"user": users, "movie": words, "rating": ratings, "date": pa.array(days)}
    path = folder / "t.parquet"
    pq.write_table(pa.table(table), path)
    return trained(path, split="time")


def parquet_of_numbers(folder: Path) -> dt.Learner:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = watched()
    table = columns | {"user": pa.array(columns["user"], pa.uint16())}
    path = folder / "t.parquet"
    pq.write_table(pa.table(table), path)
    return trained(path, split="last")


def another_seed_than_the_data(folder: Path) -> dt.Learner:
    data = dt.collab.gather(write(folder / "t.csv", watched()), split="cold_users", seed=3)
    return trained(data, seed=7)


RUNS: list[Make] = [
    with_biases,
    without_biases,
    without_a_range,
    normalised_net,
    net_without_norms,
    momentum_averaged_and_clipped,
    best_of_several_stages,
    resumed,
    at_random_with_a_test,
    in_time,
    in_time_with_a_test,
    last_of_each_user,
    last_of_each_user_with_a_test,
    last_in_the_order_of_the_file,
    cold_users,
    cold_items_with_a_test,
    rows_that_were_given,
    rows_in_a_row,
    without_a_header,
    names_given,
    words_with_blanks,
    numbers_longer_than_a_word,
    gaps_and_slips,
    out_of_a_given_range,
    repeated_the_last,
    repeated_the_first_in_the_file,
    repeated_their_mean,
    repeated_all,
    dates,
    odd_text,
    packed_with_a_mark_in_front,
    parquet,
    parquet_of_numbers,
    another_seed_than_the_data,
]


@pytest.mark.row(31)
def test_a_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    text = check(with_biases(tmp_path), tmp_path)
    assert 'USER = "user"  # the column of who rates' in text
    assert "VALID_SHARE = 0.2  # of the ratings, drawn at random, that validate" in text
    assert "Y_RANGE = (0.0, 5.5)  # the ratings, 1 to 5, and a little more" in text
    assert "model.fill_unknown()" in text


@pytest.mark.slow
@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_every_run_ends_with_the_same_bits_without_drivetrain(make: Make, tmp_path: Path) -> None:
    check(make(tmp_path), tmp_path, alone=True)


@pytest.mark.slow
@pytest.mark.parametrize("level", SHORTER)
@pytest.mark.parametrize(
    "make", [cold_users, normalised_net, names_given, another_seed_than_the_data]
)
def test_shorter_scripts_end_with_the_same_bits(make: Make, level: str, tmp_path: Path) -> None:
    text = check(make(tmp_path), tmp_path, level=level)
    assert "from drivetrain" in text and "(nn.Module):" not in text


# --- what it reads like ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_script_has_nothing_that_its_run_did_not_need(tmp_path: Path) -> None:
    text = trained(write(tmp_path / "t.csv", watched())).eject(tmp_path / "e.py").read_text("utf-8")
    assert len(text.splitlines()) < 320
    for word in (
        *("TIME", "MISSING", "drop_null", "lexsort", "kept", "TEST_SHARE", "places(", "isfinite"),
        *("set_generators", "param_groups(", "split_by_decay", "num_terms(", "raise ", "hasattr"),
    ):
        assert word not in text, word
    assert "F.mse_loss(preds, targets)" in text


@pytest.mark.slow
def test_settings_say_what_was_found_in_the_file(tmp_path: Path) -> None:
    text = gaps_and_slips(tmp_path).eject(tmp_path / "e.py").read_text("utf-8")
    assert 'MISSING = ("", "NA", "inf", "n/a", "null", "seven")  # words that mean' in text
    assert "RATING_RANGE = (-3.0, 9.0)  # what lies further off is a slip" in text
    text = repeated_their_mean(tmp_path).eject(tmp_path / "e.py").read_text("utf-8")
    assert "# of several ratings their mean counts" in text
    assert 'TIME = "time"  # the column of when it was rated' in text


# --- what is refused ------------------------------------------------------------------------------


def test_a_frame_from_memory_is_refused(tmp_path: Path) -> None:
    learner = trained(watched(60))
    with pytest.raises(
        EjectError,
        match=r"^The run was trained on a data frame, and a script needs a file to read\. Write the "
        r"frame to a file \(`frame\.to_parquet\('ratings\.parquet'\)`\), and train on that\.$",
    ):
        learner.eject(tmp_path / "e.py")


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", watched(60))
    learner = trained(path)
    path.write_text(path.read_text().replace("3.5", "4.5", 1))
    with pytest.raises(
        EjectError,
        match=rf"^{re.escape(str(path))} is not the file any more that the run was trained on\. Put that "
        r"back, and eject again\.$",
    ):
        learner.eject(tmp_path / "e.py")


def test_names_that_pyarrow_cannot_order_as_the_run_did_are_refused(tmp_path: Path) -> None:
    columns = watched(60)
    columns["user"] = [f"{n:03d}" if k % 2 else n for k, n in enumerate(columns["user"])]
    columns["user"][:2] = ["007", "7"]  # two people, and one number
    learner = trained(write(tmp_path / "t.csv", columns))
    with pytest.raises(
        EjectError,
        match=r"^A script cannot read t\.csv \(its column 'user'\) as simply as it has to, and get what "
        r"the run got\. Save the ratings anew, such as by `pandas\.read_csv\(…\)\.to_csv\(…, "
        r"index=False\)`, and train on that\.$",
    ):
        learner.eject(tmp_path / "e.py")


def test_too_many_given_rows_are_refused(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    pairs = draw.choice(200 * 100, 11_000, replace=False)
    columns = {"user": pairs // 100, "item": pairs % 100, "rating": draw.integers(1, 6, 11_000)}
    learner = trained(
        write(tmp_path / "t.csv", columns), valid=range(0, 10_100, 2), batch_size=4096
    )
    with pytest.raises(
        EjectError,
        match=r"^The 5,050 validation rows were given by their positions, which are too many to write "
        r"into a script\. Split by time, by user or at random\.$",
    ):
        learner.eject(tmp_path / "e.py")


# --- the functions of a script --------------------------------------------------------------------

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 5)), min_size=1)


@given(PAIRS, st.sampled_from(["last", "first"]))
def test_one_rating_of_each_pair_stays(rows: list[tuple[int, int, int]], keep: str) -> None:
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    kept = one_of_each(users, items, times, keep)
    wanted: dict[tuple[int, int], int] = {}
    in_time = sorted(range(len(rows)), key=lambda row: times[row])  # stable
    for row in in_time if keep == "last" else reversed(in_time):
        wanted[rows[row][:2]] = row
    assert kept.tolist() == sorted(wanted.values())


@given(PAIRS)
def test_ratings_of_a_pair_become_their_mean(rows: list[tuple[int, int, int]]) -> None:
    users, items, ratings = (np.array(column) for column in zip(*rows, strict=True))
    kept, means = mean_of_each(users, items, ratings.astype(np.float32), None)
    for row in kept:
        same = (users == users[row]) & (items == items[row])
        assert means[row] == np.float32(ratings[same].mean())
        assert row == np.flatnonzero(same)[-1]
    assert len(kept) == len({row[:2] for row in rows})


@given(st.lists(st.integers(-3, 9), min_size=1), st.data())
def test_codes_count_who_trains_in_order(names: list[int], data: st.DataObject) -> None:
    is_train = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    )
    known = sorted({name for name, trains in zip(names, is_train, strict=True) if trains})
    wanted = [known.index(name) + 1 if name in known else 0 for name in names]
    if known:
        assert codes(np.array(names), is_train).tolist() == wanted


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
        min_size=1,
    )
)
def test_places_are_those_of_sorted_names(names: list[str]) -> None:
    pa = pytest.importorskip("pyarrow")
    order = sorted(set(names))
    found = places(pa.chunked_array([names], pa.string()))
    assert found.tolist() == [order.index(name) for name in names]


@given(st.lists(st.integers(-(10**30), 10**30), min_size=1))
def test_places_of_numbers_know_no_largest(numbers: list[int]) -> None:
    pa = pytest.importorskip("pyarrow")
    order = sorted(set(numbers))
    found = places_of_numbers(pa.chunked_array([list(map(str, numbers))], pa.string()))
    assert found.tolist() == [order.index(number) for number in numbers]


# --- real ratings ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_films_of_many_people_end_with_the_same_bits(tmp_path: Path) -> None:
    learner = dt.collab.learner(real("ml-100k/u.data"), progress=False, batch_size=1024)
    learner.train(1)
    text = check(learner, tmp_path, alone=True)
    assert 'COLUMN_NAMES = ("user", "item", "rating", "time")  # the file has no header' in text
    assert len(text.splitlines()) < 325
