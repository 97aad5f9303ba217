"""Nets of tables, ejected, and run where Drivetrain cannot be imported: the same bits."""

from __future__ import annotations

import gzip
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.eject.parts import LEVELS
from drivetrain.errors import EjectError
from tests.eject import replay
from tests.tabular.tables import csv_of, passengers, real, sales, write

Make = Callable[[Path], dt.Learner]
NET = {"layers": [12, 6], "progress": False, "batch_size": 32}


def trained(source: Any, target: Any, **options: Any) -> dt.Learner:
    """A small net after two epochs."""
    learner = dt.tabular.learner(source, target, **(NET | options))
    learner.fit_one_cycle(2, 1e-2)
    return learner


def mixed(count: int = 180, seed: int = 3) -> dict[str, list[Any]]:
    """Columns of every kind: gaps, rare levels, whole numbers, dates with and without a time."""
    draw = np.random.default_rng(seed)
    days = np.datetime64("2020-01-01") + draw.integers(0, 700, count)
    moments = np.datetime64("2020-01-01T00:00") + draw.integers(0, 10**6, count)
    size = draw.choice(["S", "M", "L", "XL"], count, p=[0.4, 0.3, 0.2, 0.1])
    shop = [f"shop {n:.0f}" for n in draw.exponential(10, count)]
    price = draw.lognormal(2, 1.2, count).round(2)
    return {
        "sold": ["" if n % 17 == 5 else str(day) for n, day in enumerate(days)],
        "size": size.tolist(),
        "price": ["" if n % 11 == 3 else one for n, one in enumerate(price.tolist())],
        "weight": draw.normal(0, 3, count).round(3).tolist(),
        "made": [str(one).replace("T", " ") for one in moments],
        "shop": shop,
        "code": draw.integers(1, 7, count).tolist(),
        "owner": [f"p{n}" for n in draw.integers(0, 25, count)],
        "left": (price * draw.uniform(0.5, 1.5, count)).round(3).tolist(),
        "right": draw.normal(10, 4, count).round(3).tolist(),
        "mark": draw.choice(["bad", "fair", "good"], count).tolist(),
    }  # fmt: skip


def check(learner: dt.Learner, folder: Path, *, alone: bool = False, level: str = "all") -> str:
    """Eject, run, and compare weights, metrics and the last row; returns the script."""
    script, application = folder / "ejected.py", learner.application
    assert application is not None
    learner.eject(script, level=level)
    run = replay.replayed_alone if alone else replay.replayed_here
    run = run if level == "all" else replay.replayed_with_drivetrain
    answer = run(script, folder / "out", Path(application.data.source))
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    saved = store.read_tensors(folder / "out" / "model.safetensors")
    assert store.weights_sha256(saved) == answer["weights_sha256"]
    found = learner.evaluate()
    assert replay.same_numbers(answer["metrics"], {"loss": found.loss, **found.metrics})
    assert replay.row_of(answer["printed"][-1]) == replay.last_row(learner)
    return script.read_text("utf-8")


# --- runs -----------------------------------------------------------------------------------------


def classes_of_words(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", passengers()), "lives")


def classes_of_numbers(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", passengers())
    return trained(table, "class", drop=["lives"], metrics=["f1", "log_loss"])


def one_number(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", passengers()), "age", metrics=["mae", "r2"])


def dates(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", sales()), "takings")


def several_dates_in_several_orders(folder: Path) -> dt.Learner:
    columns = mixed()
    options = {"levels": {"size": ["S", "M", "L"]}, "rare": 2, "log": ["price", "code"]}
    return trained(write(folder / "t.csv", columns), "mark", time="made", **options)


def several_numbers(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    because = "the shops do not change"
    learner = dt.tabular.learner(
        table, ["left", "right"], split="random", because=because, **NET, metrics=["mae"]
    )
    learner.fit(2, 1e-2)
    return learner


def logarithms(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    return trained(table, "left", log_target=True, fill="mode", valid="2021-03-01", time="sold")


def own_range(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    return trained(table, "right", y_range=[-20, 50], fill="constant", constant=-1.5, loss_fn="mae")


def no_range(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    options = {"split": "stratified", "because": "it is a test", "unseen": "mode"}
    return trained(table, "right", y_range=False, **options, optimizer="momentum")


def unseen_levels_as_the_commonest(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    return trained(table, "mark", valid="2020-12-01", unseen="mode", time="sold")


def groups_of_words(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", mixed()), "mark", groups="owner", drop=["sold", "made"])


def groups_of_numbers(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    return trained(table, "right", groups="code", kinds={"code": "number"}, drop=["sold"])


def groups_of_codes(folder: Path) -> dt.Learner:
    columns = mixed() | {"owner": [8 + n % 7 for n in range(180)]}
    table = write(folder / "t.csv", columns)
    return trained(table, "mark", groups="owner", kinds={"owner": "category"})


def rows_in_time_by_a_number(folder: Path) -> dt.Learner:
    table = write(folder / "t.csv", mixed())
    return trained(table, "mark", time="weight", split="time", drop=["sold", "made"])


def rows_in_time_by_what_is_left_out(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", mixed()), "left", time="made", drop=["made"])


def rows_that_were_given(folder: Path) -> dt.Learner:
    rows = [*range(3, 60, 4), 100, 171]
    columns = mixed() | {"left": ["" if n % 29 == 7 else n % 13 for n in range(180)]}
    return trained(write(folder / "t.csv", columns), "left", valid=rows)


def rows_in_a_row(folder: Path) -> dt.Learner:
    columns = passengers() | {"lives": ["" if n % 31 == 2 else n % 2 for n in range(240)]}
    return trained(write(folder / "t.csv", columns), "lives", valid=list(range(190, 240)))


def only_numbers(folder: Path) -> dt.Learner:
    columns = {name: mixed()[name] for name in ("weight", "code", "left", "right")}
    options = {"kinds": {"code": "number"}, "batch_size": 13}  # one row is left over
    return trained(write(folder / "t.csv", columns), "right", **options)


def only_words(folder: Path) -> dt.Learner:
    columns = {name: mixed()[name] for name in ("size", "shop", "owner", "mark")}
    return trained(write(folder / "t.csv", columns), "mark", embedding_dropout=0.1, dropout=0.2)


def without_target_and_with_new_classes(folder: Path) -> dt.Learner:
    marks: list[Any] = ["good" if n % 3 else "bad" for n in range(180)]
    marks[5:9], marks[171:178] = ["", "?", " ", "NA"], ["odd", "good"] * 3 + ["strange"]
    return trained(
        write(folder / "t.csv", mixed() | {"mark": marks}), "mark", valid=list(range(140, 180))
    )


def new_classes_that_are_numbers(folder: Path) -> dt.Learner:
    marks = [n % 3 for n in range(173)] + [7, 8, 7, 1, 8, 2, 7]
    return trained(
        write(folder / "t.csv", mixed() | {"mark": marks}), "mark", valid=list(range(150, 180))
    )


def averaged_and_clipped(folder: Path) -> dt.Learner:
    callbacks = ["ema", "clip_gradients", {"name": "accumulate", "steps": 2}, "label_smoothing"]
    return trained(write(folder / "t.csv", passengers()), "lives", callbacks=callbacks)


def best_and_early(folder: Path) -> dt.Learner:
    callbacks = ["save_best", {"name": "early_stopping", "patience": 1}]
    learner = dt.tabular.learner(
        write(folder / "t.csv", passengers()), "lives", callbacks=callbacks, dropout=0.3, **NET
    )
    learner.fit(6, 3e-2)
    return learner


def several_stages(folder: Path) -> dt.Learner:
    learner = dt.tabular.learner(write(folder / "t.csv", passengers()), "lives", **NET)
    learner.fit(1, 1e-2)
    learner.fit_one_cycle(2, 5e-3, callbacks=["ema"])
    learner.fit(2, 1e-3, schedule={"name": "flat_cosine", "pct_start": 0.5})
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
    learner = dt.tabular.learner(write(folder / "t.csv", passengers()), "lives", dropout=0.1, **NET)
    try:
        learner.fit_one_cycle(3, 1e-2, callbacks=[Interrupted(8)])
    except KeyboardInterrupt:
        learner.resume(callbacks=[])
    return learner


def a_column_without_a_value_in_training(folder: Path) -> dt.Learner:
    columns = passengers() | {"late": [""] * 200 + [float(n) for n in range(40)]}
    return trained(write(folder / "t.csv", columns), "lives", valid=list(range(190, 240)))


# --- files ----------------------------------------------------------------------------------------


def odd_text(folder: Path) -> dt.Learner:
    """Windows' letters and line ends, blanks around words, semicolons, decimal commas, a short row."""
    days = [f"{1 + n % 28:02d}.{1 + n % 12:02d}.2021" for n in range(120)]
    rows = [
        f"{n};  Höhe {n % 5} ;{n % 90},{n % 7};{'Ja' if n % 3 else 'Nein'};{day}"
        for n, day in enumerate(days)
    ]
    rows[17] = "17;zu kurz"
    rows[40] = '40;"zwei\nZeilen";1,5;Ja;01.02.2021'
    text = "\r\n".join(["Nummer;Größe; Länge ;Ziel;Tag", *rows, ""])
    path = folder / "t.csv"
    path.write_bytes(text.encode("cp1252"))
    return trained(path, "Ziel", split="random", because="it is a test")


def odd_numbers(folder: Path) -> dt.Learner:
    """Thousands, money, percent, true and false, words among numbers, times of day, codes."""
    count = 150
    columns = {
        "income": [f"{1000 + 37 * n:,}" for n in range(count)],
        "paid": [f"${n}.50" for n in range(count)],
        "share": [f"{n % 100}%" for n in range(count)],
        "open": [str(n % 3 == 0) for n in range(count)],
        "height": ["unknown" if n == 50 else n * 1.5 for n in range(count)],
        "when": [f"{n % 24:02d}:{n % 60:02d}" for n in range(count)],
        "zip": [f"{10000 + n % 9}.0" if n % 2 else 10000 + n % 9 for n in range(count)],
        "seconds": [1_600_000_000 + 3600 * n for n in range(count)],
        "infinite": ["inf" if n == 3 else n % 17 for n in range(count)],
        "y": [n % 2 for n in range(count)],
    }
    options = {"kinds": {"seconds": "date:epoch s"}, "valid": list(range(120, 150))}
    return trained(write(folder / "t.csv", columns), "y", **options)


def dates_of_two_kinds(folder: Path) -> dt.Learner:
    count = 140
    days = [np.datetime64("2021-01-01") + n for n in range(count)]
    columns = {
        "first": [f"{d.astype(object):%d %b %Y}" for d in days],
        "second": [f"{d.astype(object):%m/%d/%Y} {n % 12 + 1}:30 PM" for n, d in enumerate(days)],
        "third": ["" if n % 9 == 2 else f"{d}T05:00:00+02:00" for n, d in enumerate(days)],
        "y": [float(n % 19) for n in range(count)],
    }
    return trained(write(folder / "t.csv", columns), "y", time="first")


def packed_with_a_mark_in_front(folder: Path) -> dt.Learner:
    path = folder / "t.csv.gz"
    path.write_bytes(gzip.compress(csv_of(passengers()).encode("utf-8-sig")))
    return trained(path, "lives")


def utf16_with_tabs(folder: Path) -> dt.Learner:
    path = folder / "t.tsv"
    path.write_bytes(csv_of(passengers()).replace(",", "\t").encode("utf-16"))
    return trained(path, "lives")


def parquet(folder: Path) -> dt.Learner:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = passengers() | {
        "level": pa.array([n % 4 for n in range(240)], pa.int16()),
        "day": pa.array(np.datetime64("2022-03-01") + np.arange(240) // 2),
        "open": [n % 3 == 0 for n in range(240)],
        "word": [" ?" if n % 7 == 1 else f" w{n % 6}" for n in range(240)],
        "kind": pa.array([f"k{n % 3}" for n in range(240)]).dictionary_encode(),
    }
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path)
    return trained(path, "lives", kinds={"level": "category"})


def streamed(folder: Path) -> dt.Learner:
    return trained(write(folder / "t.csv", passengers()), "lives", stream=True)


RUNS: list[Make] = [
    classes_of_words,
    classes_of_numbers,
    one_number,
    dates,
    several_dates_in_several_orders,
    several_numbers,
    logarithms,
    own_range,
    no_range,
    unseen_levels_as_the_commonest,
    groups_of_words,
    groups_of_numbers,
    groups_of_codes,
    rows_in_time_by_a_number,
    rows_in_time_by_what_is_left_out,
    rows_that_were_given,
    rows_in_a_row,
    only_numbers,
    only_words,
    without_target_and_with_new_classes,
    new_classes_that_are_numbers,
    averaged_and_clipped,
    best_and_early,
    several_stages,
    resumed,
    a_column_without_a_value_in_training,
    odd_text,
    odd_numbers,
    dates_of_two_kinds,
    packed_with_a_mark_in_front,
    utf16_with_tabs,
    parquet,
]


@pytest.mark.row(31)
def test_a_run_on_columns_of_every_kind_ends_with_the_same_bits(tmp_path: Path) -> None:
    text = check(several_dates_in_several_orders(tmp_path), tmp_path)
    assert 'TARGET = "mark"  # what is predicted: it holds words' in text
    assert 'DATES = ("sold", "made")  # columns of dates' in text
    assert 'LOGS = ("price", "code")  # columns of which log(1 + x) is taken' in text
    assert "RARE = 2  # levels of fewer training rows are taken as unknown" in text
    assert "VALID = 0.2  # the last 20% by 'made' validate" in text


@pytest.mark.slow
@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_every_run_ends_with_the_same_bits_without_drivetrain(make: Make, tmp_path: Path) -> None:
    check(make(tmp_path), tmp_path, alone=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "level"),
    [
        *((make, level) for make in (dates, groups_of_words) for level in LEVELS if level != "all"),
        (streamed, "loop"),  # deeper scripts do not stream; that is refused, and tested below
    ],
)
def test_shorter_scripts_end_with_the_same_bits(make: Make, level: str, tmp_path: Path) -> None:
    text = check(make(tmp_path), tmp_path, level=level)
    assert "from drivetrain" in text and "class TabularNet" not in text


# --- what it reads like ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_simple_table_needs_few_lines_and_has_nothing_that_it_does_not_need(
    tmp_path: Path,
) -> None:
    columns = passengers()
    learner = trained(write(tmp_path / "t.csv", columns | {"age": columns["class"]}), "lives")
    text = learner.eject(tmp_path / "e.py").read_text("utf-8")
    assert len(text.splitlines()) < 400
    for word in ("datetime64", "log1p", "Y_RANGE", "isnan", "Dropout", "set_generators", "raise "):
        assert word not in text, word


@pytest.mark.slow
def test_a_table_without_words_has_no_code_for_them(tmp_path: Path) -> None:
    text = only_numbers(tmp_path).eject(tmp_path / "e.py").read_text("utf-8")
    for word in ("Factor", "Embedding", "codes", "CATEGORIES", "pa.string"):
        assert word not in text, word


@pytest.mark.slow
def test_a_table_without_numbers_has_no_code_for_them(tmp_path: Path) -> None:
    text = only_words(tmp_path).eject(tmp_path / "e.py").read_text("utf-8")
    for word in ("NUMBERS", "numbers", "float32", "learn_number"):
        assert word not in text, word


# --- what is refused ------------------------------------------------------------------------------


def test_a_frame_from_memory_is_refused(tmp_path: Path) -> None:
    learner = trained(passengers(60), "lives")
    with pytest.raises(
        EjectError,
        match=r"^The run was trained on a data frame, and a script needs a file to read\. Write the "
        r"frame to a file \(`frame\.to_parquet\('table\.parquet'\)`\), and train on that\.$",
    ):
        learner.eject(tmp_path / "e.py")


def test_a_table_that_was_streamed_is_refused_but_for_its_loop(tmp_path: Path) -> None:
    learner = trained(write(tmp_path / "t.csv", passengers()), "lives", stream=True)
    with pytest.raises(
        EjectError,
        match=r"^The run streamed its table, and a script reads a table whole\. Train with "
        r"`stream=False` \(--set stream=false\) where the table fits into memory; or eject a net with "
        r"`--level loop`, whose script leaves the reading to Drivetrain\.$",
    ):
        learner.eject(tmp_path / "e.py")
    text = learner.eject(tmp_path / "e.py", level="loop").read_text("utf-8")
    assert "data = gather(path, TARGET, stream=True, seed=SEED)" in text


def test_groups_with_gaps_are_refused(tmp_path: Path) -> None:
    columns = mixed() | {"owner": ["" if n == 9 else f"p{n % 9}" for n in range(180)]}
    learner = trained(write(tmp_path / "t.csv", columns), "mark", groups="owner")
    with pytest.raises(
        EjectError,
        match=r"^Rows without a 'owner' are a group each, which a script does not do yet\. Fill the "
        r"column, and train anew\.$",
    ):
        learner.eject(tmp_path / "e.py")


def test_rows_given_by_position_are_refused_where_rows_were_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(csv_of(passengers()) + "one,two\n", encoding="utf-8")
    learner = trained(path, "lives", valid=[*range(5, 200, 3)])
    with pytest.raises(
        EjectError,
        match=r"^The validation rows were given by their positions, and rows that cannot be read are "
        r"among those that are counted\. Take these out of the file, and train anew\.$",
    ):
        learner.eject(tmp_path / "e.py")


def test_a_file_that_no_short_code_reads_alike_is_refused_by_its_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    text = csv_of(passengers()).replace("female", "fe\0male", 1)
    path.write_text(text, encoding="utf-8")  # NULs are taken out when it is read
    learner = trained(path, "lives")
    with pytest.raises(
        EjectError,
        match=r"^A script cannot read t\.csv \(its column 'sex'\) as simply as it has to, and get what "
        r"the run got\. Save the table anew, such as by "
        r"`pandas\.read_csv\(…\)\.to_csv\(…, index=False\)`, and train on that\.$",
    ):
        learner.eject(tmp_path / "e.py")


@pytest.mark.slow
def test_names_of_columns_cannot_become_code(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    day = "day\nraise SystemExit('taken over')  # '\"\"\"\\"
    columns = passengers() | {
        day: pa.array(np.datetime64("2022-03-01") + np.arange(240)),
        '{0}{}\n"""': [float(n % 7) for n in range(240)],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    check(trained(tmp_path / "t.parquet", "lives"), tmp_path)


# --- real tables ----------------------------------------------------------------------------------

REAL = {
    "titanic/train.csv": ("Survived", {}),
    "adult/adult.csv": ("salary", {}),
    "bulldozers/train.csv": ("SalePrice", {"log_target": True, "drop": ["SalesID"]}),
    "bike_sharing/hour.csv": ("cnt", {"drop": ["casual", "registered"]}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_tables_end_with_the_same_bits(name: str, tmp_path: Path) -> None:
    target, options = REAL[name]
    learner = dt.tabular.learner(real(name), target, progress=False, **options)
    learner.fit_one_cycle(1, 1e-2)
    text = check(learner, tmp_path, alone=True)
    assert len(text.splitlines()) < 520
