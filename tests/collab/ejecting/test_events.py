"""Models of events, ejected, and run where Drivetrain cannot be imported: the same bits and lists."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings, strategies as st

import drivetrain as dt
from drivetrain import store
from drivetrain.cli import program
from drivetrain.collab.data import CollabData
from drivetrain.collab.ejecting.als import eject_model
from drivetrain.collab.ejecting.data import count_of_each
from drivetrain.collab.ejecting.lists import measure_lists
from drivetrain.collab.factors import Factors
from drivetrain.collab.lists import values_of
from drivetrain.collab.measure import measure_ranking
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import DataError, EjectError
from drivetrain.samples import sample_folder
from drivetrain.train.run import Run
from tests.collab.ejecting.runs import SHORTER, SMALL, check, repeated, text_of, trained, watched
from tests.eject import replay
from tests.tabular.tables import real, write

Source = Callable[[Path], CollabData]
Make = Callable[[Path], dt.Learner]


def events(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same without ratings."""
    return {name: cells for name, cells in columns.items() if name != "rating"}


def file_of(folder: Path, columns: dict[str, list[Any]]) -> Path:
    """Events as a file."""
    return write(folder / "t.csv", events(columns))


# --- data -----------------------------------------------------------------------------------------


def at_random(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, watched()))


def at_random_with_a_test(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, watched()), valid=0.1, test=0.15, seed=3)


def in_time_with_a_test(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, watched()), split="time", test=0.1)


def last_of_each_user(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, watched()), split="last")


def last_in_the_order_of_the_file(folder: Path) -> CollabData:
    columns = {name: cells for name, cells in watched().items() if name != "time"}
    return dt.collab.gather(file_of(folder, columns), split="last")


def rows_that_were_given(folder: Path) -> CollabData:
    columns = watched()
    columns["user"][150] = "?"
    columns["item"][20] = ""
    rows = [*range(3, 90, 4), 20, 21, 150, 299]
    return dt.collab.gather(file_of(folder, columns), valid=rows)


def repeated_events(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, repeated()))


def repeated_in_the_order_of_the_file(folder: Path) -> CollabData:
    columns = {name: cells for name, cells in repeated().items() if name != "time"}
    return dt.collab.gather(file_of(folder, columns), duplicates="all")


def repeated_and_split_in_time(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, repeated()), split="time", duplicates="first")


def ratings_left_aside(folder: Path) -> CollabData:
    columns = watched()
    columns["rating"][3:5] = ["", "seven"]  # what is no rating is an event all the same
    return dt.collab.gather(write(folder / "t.csv", columns), implicit=True)


def gaps(folder: Path) -> CollabData:
    columns = watched()
    columns["user"][5], columns["item"][9], columns["time"][30] = "", "NA", "null"
    return dt.collab.gather(file_of(folder, columns))


def without_a_header_and_packed(folder: Path) -> CollabData:
    path = folder / "t.csv.gz"
    columns = {name: watched()[name] for name in ("user", "item", "time")}
    path.write_bytes(gzip.compress(text_of(columns, ";").encode("utf-8-sig")))
    names = ["who", "what", "when"]
    return dt.collab.gather(path, names=names, user="who", item="what", time="when")


def parquet(folder: Path) -> CollabData:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = watched()
    words = pa.array([f"film {n}" for n in columns["item"]]).dictionary_encode()
    users = [None if n == 20 else float(n) for n in columns["user"]]
    pq.write_table(pa.table({"user": users, "movie": words}), folder / "t.parquet")
    return dt.collab.gather(folder / "t.parquet")


def all_was_seen_by_some(folder: Path) -> CollabData:
    """Of three users nothing is left to compare what they came to with."""
    columns: dict[str, list[Any]] = {name: watched()[name] for name in ("user", "item")}
    for user in (7, 8, 9):
        for item in sorted(set(columns["item"])):
            columns["user"].append(user)
            columns["item"].append(item)
    return dt.collab.gather(file_of(folder, columns))


def few_items(folder: Path) -> CollabData:
    """Fewer than a list has places."""
    columns = watched()
    return dt.collab.gather(file_of(folder, columns | {"item": [n % 7 for n in columns["item"]]}))


def very_many_users(folder: Path) -> CollabData:
    """More than the lists of whom are looked at."""
    draw = np.random.default_rng(1)
    users = np.repeat(np.arange(2400), 4)
    items = draw.random((2400, 30)).argsort(axis=1)[:, :4].ravel()
    path = write(folder / "t.csv", {"user": users.tolist(), "item": items.tolist()})
    return dt.collab.gather(path, split="last", seed=4)


DATA: list[Source] = [
    at_random,
    at_random_with_a_test,
    in_time_with_a_test,
    last_of_each_user,
    last_in_the_order_of_the_file,
    rows_that_were_given,
    repeated_events,
    repeated_in_the_order_of_the_file,
    repeated_and_split_in_time,
    ratings_left_aside,
    gaps,
    without_a_header_and_packed,
    parquet,
    all_was_seen_by_some,
    few_items,
    very_many_users,
]


# --- trained on pairs of items --------------------------------------------------------------------


def on_pairs(data: CollabData, **options: Any) -> dt.Learner:
    """A small model after two epochs."""
    size = 512 if len(data.users) > 1000 else 32
    return trained(data, **({"batch_size": size} | options))


def another_seed_than_the_data(folder: Path) -> dt.Learner:
    data = dt.collab.gather(file_of(folder, watched()), test=0.1, seed=3)
    return on_pairs(data, seed=7)


def momentum_averaged_and_clipped(folder: Path) -> dt.Learner:
    callbacks = ["ema", "clip_gradients", {"name": "accumulate", "steps": 2}]
    return on_pairs(at_random(folder), callbacks=callbacks, optimizer="momentum")


def best_of_several_stages(folder: Path) -> dt.Learner:
    callbacks = ["save_best", {"name": "early_stopping", "patience": 1}]
    learner = dt.collab.learner(at_random(folder), callbacks=callbacks, **SMALL)
    learner.fit(3, 3e-2)
    learner.fit_one_cycle(2, 5e-3, callbacks=["unknown_rows"])
    return learner


def one_batch_smaller_than_others(folder: Path) -> dt.Learner:
    learner = on_pairs(at_random(folder), batch_size=239)  # one event is left over
    assert len(learner.loaders.train.data) == 240  # pyright: ignore[reportAttributeAccessIssue]
    return learner


FITS: list[Make] = [
    another_seed_than_the_data,
    momentum_averaged_and_clipped,
    best_of_several_stages,
    one_batch_smaller_than_others,
]


@pytest.mark.row(31)
def test_pairs_of_items_end_with_the_same_bits_and_lists(tmp_path: Path) -> None:
    text = check(on_pairs(at_random(tmp_path)), tmp_path)
    assert 'ITEM = "item"  # the column of what they came to' in text
    assert "VALID_SHARE = 0.2  # of the events, drawn at random, that validate" in text
    assert "yield (triples[rows], torch.ones(len(rows)))" in text
    assert "weights = [weight for weight in model.parameters() if weight.requires_grad]" in text
    assert "loss = F.binary_cross_entropy_with_logits(preds, targets)" in text
    for word in ("RATING", "TIME", "drop_null", "kept", "MOST_USERS", "np.pad", "param_groups("):
        assert word not in text, word
    assert len(text.splitlines()) < 440


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA, ids=lambda data: data.__name__)
def test_pairs_of_every_data_end_with_the_same_bits(data: Source, tmp_path: Path) -> None:
    check(on_pairs(data(tmp_path)), tmp_path, alone=True)


@pytest.mark.slow
@pytest.mark.parametrize("make", FITS, ids=lambda make: make.__name__)
def test_pairs_of_every_training_end_with_the_same_bits(make: Make, tmp_path: Path) -> None:
    check(make(tmp_path), tmp_path, alone=True)


@pytest.mark.slow
@pytest.mark.parametrize("level", SHORTER)
@pytest.mark.parametrize("make", [another_seed_than_the_data, best_of_several_stages])
def test_shorter_scripts_end_with_the_same_bits(make: Make, level: str, tmp_path: Path) -> None:
    text = check(make(tmp_path), tmp_path, level=level)
    assert "from drivetrain" in text and "(nn.Module):" not in text


# --- fitted by least squares in turn --------------------------------------------------------------

FEW: dict[str, Any] = {"num_factors": 4, "rounds": 3, "progress": False}


def check_fitted(data: CollabData, folder: Path, *, alone: bool = False, **options: Any) -> str:
    """Fit, eject, run, and compare weights, metrics and the sums; returns the script."""
    model = dt.collab.fit(data, out=folder / "run", **(FEW | options))
    script = eject_model(folder / "run", folder / "ejected.py")
    run = replay.replayed_alone if alone else replay.replayed_here
    answer = run(script, folder / "out", Path(data.recipe["source"]))
    compare_fitted(answer, folder / "run", folder / "out")
    assert answer["weights_sha256"] == store.weights_sha256(model.net.state_dict())
    text = script.read_text("utf-8")
    assert "import drivetrain" not in text and "from drivetrain" not in text
    return text


def compare_fitted(answer: dict[str, Any], run: Path, out: Path) -> None:
    """What a script said and saved is what the run has."""
    results = Run.open(run).read()["results"]
    assert answer["weights_sha256"] == results["weights_sha256"]
    saved = store.read_tensors(out / "model.safetensors")
    assert store.weights_sha256(saved) == answer["weights_sha256"]
    assert replay.same_numbers(answer["metrics"], results["metrics"]["valid"])
    rows = [row for row in store.read_lines(run / "log.jsonl") if "loss" in row]
    assert answer["printed"] == [f"round {r['round']}  loss {r['loss']:.6g}" for r in rows]


def repeated_ratings(folder: Path) -> CollabData:
    return dt.collab.gather(write(folder / "t.csv", repeated()))


def every_rating_of_a_pair(folder: Path) -> CollabData:
    return dt.collab.gather(write(folder / "t.csv", repeated()), duplicates="all", split="time")


def nobody_known_validates(folder: Path) -> CollabData:
    return dt.collab.gather(file_of(folder, watched()), split="cold_users")


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [*DATA, repeated_ratings, every_rating_of_a_pair, nobody_known_validates],
    ids=lambda data: data.__name__,
)
def test_every_fit_ends_with_the_same_bits(data: Source, tmp_path: Path) -> None:
    text = check_fitted(data(tmp_path), tmp_path, alone=True)
    assert ("measure_lists" in text) is (data is not nobody_known_validates)
    assert ("MOST_USERS = 2000" in text) is (data is very_many_users)
    assert ("np.pad(" in text) is (data is few_items)
    assert ("LIKED_FROM" in text) is (data in (repeated_ratings, every_rating_of_a_pair))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"seed": 7, "alpha": 0.5, "regularization": 0.1},
        {"num_threads": 2, "num_factors": 24},
        {"num_factors": 20, "regularization": 1e-9, "alpha": 1e6},  # float32 is not enough for some
    ],
)
def test_every_setting_ends_with_the_same_bits(options: dict[str, Any], tmp_path: Path) -> None:
    check_fitted(at_random(tmp_path), tmp_path, alone=True, **options)


def test_the_command_line_ejects_what_was_fitted(tmp_path: Path) -> None:
    data = file_of(tmp_path, repeated())
    run, script, out = tmp_path / "run", tmp_path / "plays.py", tmp_path / "out"
    dt.collab.fit(data, out=run, **FEW)
    done = CliRunner().invoke(program, ["eject", str(run), "-o", str(script)])
    assert done.exit_code == 0, done.output
    text = script.read_text("utf-8")
    weights = Run.open(run).read()["results"]["weights_sha256"]
    assert done.stdout == (
        f"{script}: {len(text.splitlines())} lines, the model 'als'.\n"
        f"Run it  python {script} --data {data} --out OUT\n"
        f"It ends with weights_sha256 {weights}, as the run did.\n"
    )
    compare_fitted(replay.replayed_here(script, out, data), run, out)
    assert "count_of_each(users, items, times)  # events of one pair are counted" in text
    assert "ALPHA = 3.0  # how much more an event counts than none" in text
    assert "RatingTable" not in text and len(text.splitlines()) < 430
    refused = CliRunner().invoke(program, ["eject", str(run), "-o", str(script), "--level", "loop"])
    assert refused.exit_code == 2
    assert (
        "--level loop is for runs that were trained in steps: 'als' has no training loop. Leave it out."
        in refused.output
    )


# --- what is refused ------------------------------------------------------------------------------


def test_a_run_in_steps_is_not_for_the_script_of_a_fit(tmp_path: Path) -> None:
    data = at_random(tmp_path)
    dt.collab.learner(data, out=tmp_path / "run", **SMALL).train(1)
    with pytest.raises(
        EjectError,
        match=rf"^{re.escape(str(tmp_path / 'run'))} was trained in steps\. Eject it by `drivetrain "
        r"eject`, or by its Learner\.$",
    ):
        eject_model(tmp_path / "run", tmp_path / "e.py")


def test_events_that_have_changed_are_refused(tmp_path: Path) -> None:
    path, run = file_of(tmp_path, watched(60)), tmp_path / "run"
    dt.collab.fit(path, out=run, **FEW)
    path.write_text(path.read_text() + "7,95,1000000000\n")
    with pytest.raises(
        EjectError,
        match=rf"^The rows of {re.escape(str(path))} are not those that {re.escape(str(run))} was fitted "
        r"on\. Put them back, or fit anew\.$",
    ):
        eject_model(run, tmp_path / "e.py")


def test_events_from_memory_are_refused(tmp_path: Path) -> None:
    dt.collab.fit(events(watched(60)), out=tmp_path / "run", **FEW)
    with pytest.raises(
        DataError,
        match=r"^This run was trained on a data frame, which only the program that made it has\. Give it "
        r"as a file to go on in another process\.$",
    ):
        eject_model(tmp_path / "run", tmp_path / "e.py")


# --- the functions of a script --------------------------------------------------------------------

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 5)), min_size=1)


@given(PAIRS)
def test_events_of_a_pair_are_counted(rows: list[tuple[int, int, int]]) -> None:
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    kept, counts = count_of_each(users, items, times)
    in_time = sorted(range(len(rows)), key=lambda row: times[row])  # stable
    last = {rows[row][:2]: row for row in in_time}
    assert kept.tolist() == sorted(last.values())
    pairs = [row[:2] for row in rows]
    assert counts.tolist() == [pairs.count(pairs[row]) for row in kept]
    assert counts.dtype == np.float32


@settings(max_examples=50)  # each draws a thousand intervals
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12), st.booleans()), min_size=1),
    st.integers(2, 12),
    st.integers(1, 6),
    st.booleans(),
    st.integers(0, 3),
)
def test_lists_are_worth_what_the_library_says(
    rows: list[tuple[int, int, bool]], k: int, most: int, has_bias: bool, seed: int
) -> None:
    users, items, is_train = (np.array(column) for column in zip(*rows, strict=True))
    draw = np.random.default_rng(seed)
    # few different numbers, so that many scores are equal
    tables = [draw.integers(-1, 2, (size, 3)).astype(np.float32) for size in (7, 13)]
    bias = draw.integers(0, 2, 13).astype(np.float32) * has_bias
    factors = Factors(*tables, np.zeros(7, np.float32), bias)
    # all users have trained, as those of a run
    users = np.concatenate([users, np.arange(1, 7)])
    items = np.concatenate([items, np.full(6, 12)])
    is_train = np.concatenate([is_train, np.ones(6, bool)])
    parts = [
        RatingTable(
            users[rows].astype(np.int32),
            items[rows].astype(np.int32),
            np.ones(int(rows.sum()), np.float32),
            None,
            7,
            13,
        )
        for rows in (is_train, ~is_train)
    ]
    arguments: dict[str, Any] = {"k": k, "seed": seed}
    try:
        wanted = measure_ranking(
            factors.scores, *parts, relevant_from=0.0, max_users=most, **arguments
        )
    except DataError:  # there is nothing to find
        return
    pairs = [np.stack([part.users, part.items], axis=1) for part in parts]
    found = measure_lists(*tables, bias if has_bias else None, *pairs, most_users=most, **arguments)
    assert found == values_of(wanted)
    assert list(found) == list(values_of(wanted))


# --- films ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_films_as_events_end_with_the_same_bits(tmp_path: Path) -> None:
    data = dt.collab.gather(sample_folder("films") / "ratings.csv", implicit=True)
    learner = dt.collab.learner(data, progress=False)
    learner.train(2)
    check(learner, tmp_path, alone=True)
    check_fitted(data, tmp_path, alone=True, num_factors=64)


@pytest.mark.slow
def test_films_of_many_people_end_with_the_same_bits(tmp_path: Path) -> None:
    data = dt.collab.gather(real("ml-100k/u.data"), implicit=True)
    learner = dt.collab.learner(data, progress=False)
    learner.train(2)
    text = check(learner, tmp_path, alone=True)
    assert 'COLUMN_NAMES = ("user", "item", "rating", "time")  # the file has no header' in text
    check_fitted(data, tmp_path, alone=True, num_factors=64, rounds=4)
