"""A table described: figures as pandas has them, charts that count every row, hints with figures."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings, strategies as st
from sklearn.metrics import r2_score, roc_auc_score

from drivetrain import store
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.report.svg import round_numbers, safe, short
from drivetrain.tabular.describe import Description, describe
from drivetrain.tabular.description.alone import alone, groups_of
from drivetrain.tabular.description.charts import (
    MOST_BARS,
    Chart,
    chart_of,
    date_edges,
    number_edges,
    outcome_of,
)
from drivetrain.tabular.description.hints import row_hashes
from drivetrain.tabular.description.views import date_view, number_view, word_view
from drivetrain.tabular.target import Target, find_target
from tests.tabular.tables import passengers, real, sales, write

VOID = {"meta", "wbr"}


class Checked(HTMLParser):
    """A page read as a browser would, refused where it is not well formed or could do something."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert tag not in ("script", "iframe", "object", "embed", "img", "link", "base", "form")
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has {name}"
            assert name not in ("src", "xlink:href", "action", "srcset")
            assert name != "href" or (value or "").startswith("#"), f"a link to {value}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> within {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def codes(found: Description, level: str | None = None) -> list[str]:
    return [hint.code for hint in found.hints if level in (None, hint.level)]


def sentences(found: Description, code: str) -> list[str]:
    return [hint.sentence for hint in found.hints if hint.code == code]


def chart(found: Description, name: str) -> Chart:
    return next(one for one in found.charts if one.name == name)


# ---- figures


@pytest.mark.row(75)
@pytest.mark.parametrize("seed", range(4))
def test_numbers_are_described_as_by_pandas(seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(3, 300))
    frame = pd.DataFrame(
        {
            "normal": draw.normal(size=rows),
            "tail": draw.lognormal(3, 2, rows).round(2),
            "whole": draw.integers(-5, 5, rows).astype(float),
            "gaps": np.where(draw.random(rows) < 0.4, np.nan, draw.normal(1e6, 3, rows)),
            "same": np.full(rows, 4.5),
        }
    )
    frame.loc[0, "gaps"] = 7.0
    wanted = frame.describe()
    for name in frame:
        view = number_view(name, frame[name].to_numpy())
        shown = [
            view.count,
            view.mean,
            view.std,
            view.min,
            view.q25,
            view.median,
            view.q75,
            view.max,
        ]
        np.testing.assert_allclose(
            np.array(shown, dtype=float), wanted[name].to_numpy(), rtol=1e-9, atol=1e-9
        )
        assert view.missing == frame[name].isna().sum()
        assert view.distinct == frame[name].nunique()
        assert view.zeros == (frame[name] == 0).sum()
        if view.distinct == 1:
            assert view.skew is None
        elif view.count > 2:
            assert view.skew == pytest.approx(frame[name].skew(), rel=1e-6, abs=1e-6)


@pytest.mark.row(75)
@pytest.mark.parametrize("seed", range(4))
def test_words_are_described_as_by_pandas(seed: int) -> None:
    draw = np.random.default_rng(seed)
    words = draw.choice(
        ["a", "b", "c d", "é", None], int(draw.integers(2, 200)), p=[0.4, 0.2, 0.1, 0.1, 0.2]
    )
    wanted = pd.Series(words, dtype=object).describe()
    view = word_view("w", "category", Factor.of(words.tolist()))
    assert (view.count, view.distinct, view.frequency) == (
        wanted["count"], wanted["unique"], wanted["freq"],
    )  # fmt: skip
    assert view.missing == sum(word is None for word in words)
    assert (words == view.top).sum() == view.frequency
    assert sum(rows for _, rows in view.levels) == view.count


@pytest.mark.row(75)
def test_a_whole_table_is_described_as_by_pandas(tmp_path: Path) -> None:
    columns = passengers(500)
    found = describe(write(tmp_path / "p.csv", columns))
    frame = pd.DataFrame(columns)
    wanted = frame[["class", "age"]].describe()
    for view in found.numbers:
        assert (view.mean, view.std) == pytest.approx(tuple(wanted[view.name][["mean", "std"]]))
    objects = frame[["number", "sex", "port", "lives"]].astype(object).describe()
    assert [view.name for view in found.words] == list(objects)
    for view in found.words:
        assert (view.count, view.distinct, view.frequency) == tuple(
            objects[view.name][["count", "unique", "freq"]]
        )


def test_dates_tell_their_step_and_their_gaps() -> None:
    days = np.arange("2012-01-01", "2012-03-01", dtype="datetime64[D]").astype("datetime64[us]")
    view = date_view("day", np.append(np.delete(days, [10, 11, 40]), np.datetime64("NaT")))
    assert (view.first, view.last, view.step) == ("2012-01-01", "2012-02-29", "1 day")
    assert (view.count, view.missing, view.num_gaps) == (57, 1, 2)
    assert (view.longest, view.longest_from, view.longest_to) == (
        "3 days", "2012-01-10", "2012-01-13",
    )  # fmt: skip
    hours = np.datetime64("2012-01-01T05:30", "us") + np.arange(5) * np.timedelta64(90, "m")
    assert date_view("t", hours).step == "90 minutes"
    assert date_view("t", hours).first == "2012-01-01 05:30:00"
    one = date_view("t", hours[:1])
    assert (one.step, one.longest, one.num_gaps) == (None, None, 0)


# ---- charts


@pytest.mark.row(75)
@pytest.mark.parametrize("seed", range(5))
def test_a_histogram_counts_as_numpy_does(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = [
        draw.normal(50, 9, 400), draw.integers(0, 30, 400).astype(float), draw.lognormal(3, 2, 400),
        draw.integers(0, 400, 400) / 50, draw.integers(17, 90, 400).astype(float),
    ][seed]  # fmt: skip
    values[::13] = np.nan
    made = chart_of("x", values, None)
    assert made is not None and made.form == "bins"
    bins = [bar for bar in made.bars if bar.role == "bin"]
    edges = [*(bar.low for bar in bins), bins[-1].high]
    assert [bar.rows for bar in bins] == np.histogram(values[~np.isnan(values)], edges)[0].tolist()
    assert made.bars[-1].role == "missing" and made.bars[-1].rows == 31
    assert 5 <= len(bins) <= 40


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(-(2**60), 2**60).map(float),
            st.integers(-30, 30).map(lambda n: n / 10),
        ),
        min_size=2,
        max_size=40,
    )
)
@example([0.0, 5e-324])
@example([-1.7e308, 1.7e308])
@settings(deadline=None, max_examples=200)
def test_bins_cover_all_values_and_ascend(numbers: list[float]) -> None:
    values = np.array(numbers) + 0.0
    distinct = np.unique(values)
    if len(distinct) < 2:
        return
    edges = number_edges(distinct, values)
    assert edges[0] <= distinct[0] and distinct[-1] <= edges[-1]
    assert (np.diff(edges) > 0).all() and len(edges) <= 60
    made = chart_of("x", values, None)
    assert made is not None and sum(bar.rows for bar in made.bars) == len(values)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.arange(12.0), np.arange(13.0)),
        (np.arange(0, 1000.0), np.arange(0, 1001, 100) * 1.0),
        (np.arange(101) / 100, np.arange(12) / 10),
        (np.arange(0, 50, 2) / 100, None),
        (np.arange(50) * 7.0, None),
    ],
)
def test_bins_hold_equally_many_of_evenly_spaced_values(
    values: np.ndarray, wanted: np.ndarray | None
) -> None:
    edges = number_edges(values, values)
    if wanted is not None:
        np.testing.assert_array_equal(edges, wanted)
    counts = np.histogram(values, edges)[0]
    assert len(set(counts[1:-1].tolist())) == 1, "a comb"


@pytest.mark.parametrize(
    ("first", "last", "label", "bins"),
    [
        ("2012-01-01T08:00", "2012-01-01T08:20", "2012-01-01 08:00", 21),
        ("2012-01-01T08:00", "2012-01-02T07:00", "2012-01-01 08:00", 24),
        ("2012-01-01", "2012-01-31", "2012-01-01", 31),
        ("2012-01-01", "2012-05-31", "week of 2011-12-26", 23),
        ("2011-01-01", "2012-12-31", "2011-01", 24),
        ("2001-02-03", "2008-12-31", "3 months from 2001-01", 32),
        ("1981-01-01", "2012-12-31", "1981", 32),
        ("1905-01-01", "2012-12-31", "5 years from 1905", 22),
    ],
)
def test_dates_are_cut_as_the_calendar_is(first: str, last: str, label: str, bins: int) -> None:
    dates = np.array([first, last], dtype="datetime64[us]")
    edges, labels = date_edges(dates)
    assert labels[0] == label and len(labels) == bins == len(edges) - 1
    assert edges[0] <= dates[0] and dates[1] < edges[-1]
    assert (np.diff(edges) > np.timedelta64(0)).all()


@pytest.mark.row(75)
def test_bars_are_split_by_class_as_a_crosstab_is() -> None:
    columns = passengers(700)
    found = describe(columns, "lives")
    assert found.outcome is not None and found.outcome.classes == ("no", "yes")
    table = pd.crosstab(pd.Series(columns["port"]).fillna("missing"), columns["lives"])
    for bar in chart(found, "port").bars:
        assert bar.by_class == tuple(table.loc[bar.label])
        assert bar.rows == sum(bar.by_class)
    ages = np.array([np.nan if age is None else age for age in columns["age"]])
    lives = np.array(columns["lives"]) == "yes"
    for bar in chart(found, "age").bars[:-1]:
        assert isinstance(bar.low, float) and isinstance(bar.high, float)
        inside = (bar.low <= ages) & (ages < bar.high)
        assert bar.by_class == (int((inside & ~lives).sum()), int((inside & lives).sum()))
    assert chart(found, "age").bars[-1].by_class == tuple(
        int((np.isnan(ages) & is_it).sum()) for is_it in (~lives, lives)
    )
    assert chart(found, "lives").bars[0].by_class == (), "the target is not split by itself"


@pytest.mark.row(75)
def test_bars_have_the_mean_of_a_target_that_is_a_number() -> None:
    columns = sales(400)
    found = describe(columns, "takings")
    wanted = pd.DataFrame(columns).groupby("rain")["takings"].mean()
    for bar in chart(found, "rain").bars:
        assert bar.mean == pytest.approx(wanted[bar.label])
    months = pd.DataFrame(columns).groupby(pd.Series(columns["day"]).str[:7])["takings"]
    assert [bar.mean for bar in chart(found, "day").bars] == pytest.approx(months.mean().tolist())
    assert [bar.label for bar in chart(found, "day").bars] == sorted(months.groups)


def test_many_levels_and_many_classes_are_put_together() -> None:
    draw = np.random.default_rng(0)
    letters = [chr(97 + code) for code in draw.integers(0, 20, 900)]
    kinds = [f"k{code}" for code in draw.integers(0, 9, 900)]
    found = describe({"letter": letters, "kind": kinds}, "kind")
    bars = chart(found, "letter").bars
    assert [bar.role for bar in bars] == ["level"] * MOST_BARS + ["others"]
    assert bars[-1].label == "10 others" and sum(bar.rows for bar in bars) == 900
    assert found.outcome is not None and found.outcome.classes[-1] == "4 others"
    assert all(sum(bar.by_class) == bar.rows for bar in bars)
    eleven = describe({"letter": letters[:0] + [chr(97 + n % 11) for n in range(110)]})
    assert [bar.role for bar in eleven.charts[0].bars] == ["level"] * 11, "no bar for one other"


def test_rows_without_a_target_are_in_the_bars_and_in_no_class() -> None:
    frame = Frame({"x": np.arange(30.0), "y": Factor.of(["a", "b", None] * 10)})
    made = chart_of("x", frame["x"], outcome_of(find_target(frame, ("y",)), frame))
    assert made is not None
    assert sum(bar.rows for bar in made.bars) == 30
    assert sum(sum(bar.by_class) for bar in made.bars) == 20


# ---- each column alone


def test_one_column_is_scored_as_scikit_learn_scores_what_it_foretells() -> None:
    draw = np.random.default_rng(1)
    group = draw.integers(0, 4, 2000)
    is_it = draw.random(2000) < np.array([0.1, 0.4, 0.6, 0.9])[group]
    frame = Frame({"g": Factor.of([str(g) for g in group]), "noise": draw.normal(size=2000)})
    target = Target(("y",), "class", ("no", "yes"))
    found = alone(frame, ["noise", "g"], target, is_it.astype(np.int64))
    assert [one.name for one in found] == ["g", "noise"]
    assert found[0].score == pytest.approx(roc_auc_score(is_it, group), abs=0.01)
    assert found[1].score == pytest.approx(0.5, abs=0.03)
    y = group + draw.normal(0, 0.5, 2000)
    ranks = pd.Series(y).rank()
    best = r2_score(ranks, ranks.groupby(group).transform("mean"))
    told = alone(frame, ["g", "noise"], Target(("y",), "number"), y)
    assert told[0].score == pytest.approx(best, abs=0.01) and told[0].metric == "R²"
    assert told[1].score < 0.02 and told[1].strength == max(0, told[1].score)


def test_a_column_of_names_tells_nothing_by_itself() -> None:
    """Each comes once: foretelling a row by itself would be perfect, and is not done."""
    draw = np.random.default_rng(2)
    frame = Frame({"name": Factor.of([f"n{i}" for i in range(400)])})
    target = Target(("y",), "class", ("a", "b"))
    (one,) = alone(frame, ["name"], target, draw.integers(0, 2, 400))
    assert abs(one.score - 0.5) < 0.08


def test_groups_follow_the_ranks_and_keep_equal_values_together() -> None:
    draw = np.random.default_rng(3)
    values = draw.normal(size=3000).round(2)
    values[::7] = np.nan
    groups = groups_of(values)
    assert (groups == 0).sum() == np.isnan(values).sum()
    ordered = pd.DataFrame({"g": groups, "v": values}).dropna().sort_values("v")
    assert ordered["g"].is_monotonic_increasing
    assert int(ordered.groupby("v")["g"].nunique().to_numpy().max()) == 1


# ---- hints


def noise(rows: int = 600, seed: int = 0) -> dict[str, Any]:
    """Columns that have nothing to do with each other."""
    draw = np.random.default_rng(seed)
    return {
        "a": draw.normal(size=rows), "b": draw.gamma(2.0, size=rows),
        "c": draw.choice(["x", "y", "z"], rows).tolist(), "y": draw.normal(10, 2, rows),
    }  # fmt: skip


@pytest.mark.row(75)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_said_to_leak_where_nothing_does(seed: int) -> None:
    table = noise(seed=seed)
    assert codes(describe(table, "y"), "leak") == []
    table["y"] = (table["y"] > 10).tolist()
    found = describe(table, "y")
    assert codes(found, "leak") == [] and "order" not in codes(found)
    assert "No column was found that does." in found.to_html()


@pytest.mark.row(75)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: t["a"] + t["b"], "'y' is 'a' + 'b' in all 600 rows. "),
        (lambda t: t["a"] - 2 * t["b"] + 3, "'y' is 'a' - 2 · 'b' + 3 in all 600 rows. "),
        (lambda t: 1.8 * t["b"] + 32, "'y' is 1.8 · 'b' + 32 in all 600 rows. That column is "),
        (lambda t: np.round(100 * t["a"] + t["b"], 2), "'y' is 100 · 'a' + 'b' in all 600 rows. "),
        (lambda t: t["b"] * t["p"], "'y' is 'b' × 'p' in all 600 rows. "),
        (lambda t: 4 * t["b"] / t["p"] ** 2, "'y' is 4 × 'b' / 'p'² in all 600 rows. "),
    ],
)  # fmt: skip
def test_columns_that_make_up_the_target_are_found(make: Any, said: str) -> None:
    table = noise() | {"p": np.random.default_rng(5).uniform(1, 9, 600)}
    table["y"] = make(table)
    found = describe(table, "y")
    assert sentences(found, "sum")[0].startswith(said)
    assert found.hints[0].level == "leak" and found.hints[0].figures["exact"] == 600


def test_a_sum_is_found_where_parts_are_missing_now_and_then() -> None:
    table = noise()
    table["y"] = table["a"] + table["b"]
    table["a"] = np.where(np.arange(600) % 10 == 0, np.nan, table["a"])
    assert sentences(describe(table, "y"), "sum")[0].startswith("'y' is 'a' + 'b' in all 540 rows")


def test_a_sum_among_other_columns_is_told_once_and_in_its_plainest_form() -> None:
    table = noise()
    table["total"] = table["a"] + table["b"]
    for target in ("y", None):
        hints = [hint for hint in describe(table, target).hints if hint.code == "sum"]
        assert [hint.level for hint in hints] == ["care"]
        assert hints[0].sentence == ("'total' is 'a' + 'b' in all 600 rows: one of them could go.")


def test_near_sums_are_no_sums() -> None:
    table = noise()
    table["y"] = table["a"] + table["b"] + np.random.default_rng(9).normal(0, 0.01, 600)
    assert "sum" not in codes(describe(table, "y"))


@pytest.mark.row(75)
def test_a_column_that_tells_the_target_alone_is_found_with_its_figure() -> None:
    table = noise(seed=4)
    table["after"] = np.exp(table["y"] / 4) + np.random.default_rng(1).normal(0, 0.05, 600)
    found = describe(table, "y")
    assert found.alone[0].name == "after" and found.alone[0].score > 0.95
    (said,) = sentences(found, "alone")
    assert said == (
        f"'after' tells 'y' almost by itself (R² of ranks {found.alone[0].score:.3f}, where 0 is a guess "
        "and 1 tells all). Is it known before 'y' is? If not, drop it."
    )
    # up and down again: no rank correlation, and yet it tells all
    table["y"] = np.where(np.abs(table["a"]) < 0.7, "in", "out").tolist()
    hints = describe(table, "y").hints
    assert hints[0].code == "alone" and hints[0].columns == ("a",)


@pytest.mark.row(75)
def test_a_copy_of_the_target_in_other_words_is_found() -> None:
    table = noise()
    table["y"] = np.where(table["a"] > 0, "yes", "no").tolist()
    table["code"] = [17 if word == "yes" else 4 for word in table["y"]]
    found = describe(table, "y")
    assert sentences(found, "copy") == ["'code' stands for 'y', value for value. Drop it."]


@pytest.mark.row(75)
def test_ids_and_rows_in_order_of_the_target_are_found() -> None:
    table = noise()
    order = np.argsort(table["y"])
    table = {name: np.array(values)[order].tolist() for name, values in table.items()}
    table["id"] = [f"R{n:05d}" for n in range(600)]
    (hint,) = [hint for hint in describe(table, "y").hints if hint.code == "order"]
    assert hint.columns == ("id",) and hint.level == "leak"
    assert hint.sentence.startswith(
        "'id' only tells rows apart, yet its order tells 'y' (R² of ranks 0.99). Were rows of one kind"
    )
    del table["id"]
    (said,) = sentences(describe(table, "y"), "order")
    assert said.startswith("The rows stand so that their order tells 'y' (R² of ranks 0.99). ")


@pytest.mark.row(75)
def test_a_column_whose_missing_cells_tell_the_target_is_found() -> None:
    table = noise(1000)
    lives = np.arange(1000) % 2 == 0
    table["y"] = np.where(lives, "yes", "no").tolist()
    draw = np.random.default_rng(0)
    gone = np.where(lives, draw.random(1000) < 0.1, draw.random(1000) < 0.9)
    for name in ("boat", "body"):
        table[name] = np.where(gone, np.nan, draw.normal(size=1000))
    found = describe(table, "y")
    (hint,) = [hint for hint in found.hints if hint.code == "missing"]
    assert hint.columns == ("boat", "body") and hint.level == "leak"
    yes = (
        f"{100 * lives[gone].mean():.0f} %"
        if lives[gone].mean() > 0.0995
        else f"{100 * lives[gone].mean():.1f} %"
    )
    assert hint.sentence.startswith(
        "The missing cells of 'boat' and 'body', which are missing together, tell: 'y' is 'yes' in "
        f"{yes} of these {gone.sum()} rows and "
    )
    table["y"] = np.where(gone, 5.0, 9.0) + draw.normal(size=1000)
    number = next(hint for hint in describe(table, "y").hints if hint.code == "missing")
    there = np.asarray(table["y"])
    assert f"{there[gone].mean():.4g} in these {gone.sum()} rows" in number.sentence
    assert f"{there[~gone].mean():.4g} in the others" in number.sentence


def test_missing_cells_that_tell_nothing_are_not_told_of() -> None:
    table = noise(1000)
    table["a"] = np.where(np.random.default_rng(3).random(1000) < 0.5, np.nan, table["a"])
    assert "missing" not in codes(describe(table, "y"))


@pytest.mark.row(75)
def test_repeated_rows_and_contradictions_are_counted() -> None:
    columns = {
        "a": [1, 1, 2, 2, 2],
        "b": ["x", "x", "y", "y", None],
        "y": ["n", "n", "n", "p", "n"],
    }
    table = {name: values * 1 for name, values in columns.items()}
    found = describe(table, "y")
    assert sentences(found, "repeated-rows")[0].startswith("1 row repeats an earlier row in every ")
    assert sentences(found, "contradictions") == [
        "2 rows are equal to another in all other columns and of another 'y': no model can be right on "
        "all of them."
    ]
    many = {name: values * 30 for name, values in columns.items()}
    many["row_id"] = list(range(150))
    assert sentences(describe(many, "y"), "repeated-rows") == [
        "146 rows repeat an earlier row in all but 'row_id'."
    ]


@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.sampled_from(["a", "b", None])), min_size=1, max_size=30
    )
)
@settings(deadline=None, max_examples=60)
def test_rows_have_the_same_hash_where_they_are_the_same(
    rows: list[tuple[int, str | None]],
) -> None:
    numbers = np.array([n if n < 2 else np.nan for n, _ in rows], dtype=np.float64)
    numbers[numbers == 0] *= -1  # -0.0 is 0.0
    frame = Frame({"n": numbers, "w": Factor.of([w for _, w in rows])})
    hashes = row_hashes(frame, frame.names)
    assert len(np.unique(hashes)) == len(set(rows))
    for first in range(len(rows)):
        assert [hashes[first] == other for other in hashes] == [rows[first] == r for r in rows]


@pytest.mark.row(75)
def test_columns_that_say_the_same_are_found() -> None:
    draw = np.random.default_rng(0)
    code = draw.integers(0, 4, 300)
    words = np.array(["n", "e", "s", "w"])[code]
    found = describe(
        {
            "code": code, "copy": code, "word": words.tolist(), "word2": words.tolist(),
            "x": draw.normal(size=300), "z": draw.normal(size=300),
        }
    )  # fmt: skip
    assert sentences(found, "copies") == [
        "'code', 'copy', 'word' and 'word2' say the same in other words: each value of one goes with one "
        "value of the other. One of them is enough."
    ]
    x = draw.normal(size=300)
    same = describe({"x": x, "x2": x, "q": draw.normal(size=300)})
    assert sentences(same, "copies") == [
        "'x' and 'x2' hold the same in every row: one of them is enough."
    ]
    assert "sum" not in codes(same), "told once"


@pytest.mark.row(75)
def test_constant_empty_and_near_unique_columns_and_codes_are_told_of() -> None:
    draw = np.random.default_rng(0)
    years = draw.integers(1990, 2012, 400).astype(float)
    years[:40] = 1000
    table = {
        "same": ["v"] * 400,
        "rare": [None] * 390 + ["a", "b"] * 5,
        "ticket": [f"T{n}" for n in draw.integers(0, 300, 400)],
        "year": years,
        "zeros": np.where(np.arange(400) < 350, 0, np.arange(400)),
        "y": ["common"] * 397 + ["odd"] * 3,
    }
    found = describe(table, "y")
    assert sentences(found, "constant") == ["'same' is the same in every row, and tells nothing."]
    assert sentences(found, "near-unique")[0].startswith("Most words of 'ticket' (")
    assert sentences(found, "mostly-missing")[0].startswith(
        "1 column is empty in half of the rows or more: 'rare' (97.5 %). "
    )
    assert sentences(found, "far-end") == [
        "'year' is 1,000 in 40 rows, the least value, far from all others. Is it a code, for unknown or "
        "for a limit? Then let it be missing."
    ]
    assert sentences(found, "zeros")[0].startswith("Mostly 0: 'zeros' (88 %). ")
    assert sentences(found, "rare-class")[0].startswith("1 class has fewer than 10 rows ('odd'): ")
    assert sentences(found, "unbalanced")[0].startswith(
        "99.2 % of the rows are 'common', so a guess"
    )


def test_a_missing_target_is_said_and_counted() -> None:
    table = noise()
    table["y"] = [None if n % 6 == 0 else str(n % 2) for n in range(600)]
    found = describe(table, "y")
    assert sentences(found, "target-missing") == [
        "'y' is missing in 100 rows. Models set them aside."
    ]
    assert sum(sum(bar.by_class) for bar in chart(found, "c").bars) == 500


@pytest.mark.row(76)
def test_long_tails_get_a_suggestion_and_nothing_is_changed() -> None:
    draw = np.random.default_rng(0)
    fares = draw.lognormal(2.5, 1.2, 800).round(2)
    found = describe(
        {"fare": fares, "age": draw.normal(30, 5, 800), "side": draw.normal(0, 1, 800) ** 3}
    )
    assert list(found.logs) == ["fare"], "numbers below 0 have no logarithm"
    before, after = found.logs["fare"]
    assert before == pytest.approx(pd.Series(fares).skew())
    assert after == pytest.approx(pd.Series(np.log1p(fares)).skew())
    (said,) = sentences(found, "long-tail")
    assert said.startswith(
        f"A long tail: 'fare' (skew {before:.2f}, of its logarithm {after:.2f})."
    )
    assert found.numbers[0].max == fares.max(), "described as it is"
    (tamed,) = found.log_charts
    assert tamed.is_log and sum(bar.rows for bar in tamed.bars) == 800
    assert f"skew {after:.2f} instead of {before:.2f}; nothing was changed" in found.to_html()


@pytest.mark.row(99)
def test_columns_that_go_together_come_with_a_caution() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=500)
    found = describe(
        {"x": x, "near": x + draw.normal(0, 0.1, 500), "band": np.where(x > 0, "up", "down").tolist(),
         "other": draw.normal(size=500)}
    )  # fmt: skip
    assert [cluster.names for cluster in found.clusters] == [("x", "near")]
    assert {frozenset(link[:2]) for link in found.apart} == {
        frozenset({"x", "band"}), frozenset({"near", "band"}),
    }  # fmt: skip
    for shown in (str(found), found.to_html()):
        assert "Going together is not causing." in shown
    assert "Going together" not in describe(noise()).to_html()


# ---- the page


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;`x`"


@pytest.mark.row(75)
@pytest.mark.parametrize("target", [None, "number", "class"])
def test_names_and_cells_of_strangers_do_nothing(target: str | None, tmp_path: Path) -> None:
    names = {part: f"{part} {HOSTILE}" for part in ("word", "number", "class", "id", "day", "void")}
    draw = np.random.default_rng(0)
    table: dict[str, Any] = {
        names["word"]: [
            HOSTILE if n % 3 else "</svg></title><script>x</script>" for n in range(60)
        ],
        names["number"]: [None if n % 20 == 0 else float(n**3) for n in range(60)],
        names["class"]: [f"{n % 2}{HOSTILE}" for n in range(60)],
        names["id"]: [f"{HOSTILE}{n}" for n in range(60)],
        names["day"]: [f"2012-01-{1 + n % 28:02d}" for n in range(60)],
        names["void"]: [HOSTILE] * 60,
        "{braces} \u202eesrever": draw.normal(size=60),
    }
    path = write(tmp_path / "<b>&.csv", table)
    found = describe(path, names[target] if target else None)
    page = found.to_html()
    read = Checked(page)
    assert "<script" not in page and "<img" not in page and "\u202e" not in page
    assert any("<script>alert(1)</script>" in words for words in read.texts), "shown as text"
    assert read.seen.count("svg") == len(found.charts) + len(found.log_charts)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)


@pytest.mark.row(75)
def test_the_page_has_every_view_and_the_numbers_of_every_chart(tmp_path: Path) -> None:
    found = describe(write(tmp_path / "p.csv", passengers(400)), "lives")
    page = found.to_html()
    read = Checked(page)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "What to look at", "Columns", "Each column alone", "Histograms", "Numbers", "Words", "Reading",
    ]  # fmt: skip
    assert read.seen.count("details") == read.seen.count("svg") == 5
    for column in found.schema.columns:
        assert safe(column.reason) in page
    bar = chart(found, "sex").bars[0]
    assert f"<td class='num'>{bar.rows:,}</td>" in page
    assert f"<title>{safe(f'{bar.label}: {bar.rows} rows')}; no " in page
    found.save(tmp_path / "deep" / "page.html")
    assert (tmp_path / "deep" / "page.html").read_text("utf-8") == page


def test_the_page_is_for_light_and_dark_for_phones_and_for_paper() -> None:
    page = describe(noise()).to_html()
    for rule in ("(prefers-color-scheme:dark)", "(max-width:700px)", "@media print"):
        assert rule in page
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    used = set(re.findall(r"var\((--[\w-]+)\)", page))
    assert used <= set(re.findall(r"(--[\w-]+):", page)), "each colour is given"


@given(
    numbers=st.lists(st.one_of(st.none(), st.floats(width=64)), min_size=1, max_size=25),
    words=st.lists(st.one_of(st.none(), st.text(max_size=8)), min_size=25, max_size=25),
    with_target=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_any_table_can_be_described(
    numbers: list[float | None], words: list[str | None], with_target: bool
) -> None:
    table = {"n": numbers, "w": [w.replace("\x00", "") if w else w for w in words[: len(numbers)]],
             "y": [float(i % 3) for i in range(len(numbers))]}  # fmt: skip
    is_fit = with_target and len(numbers) > 1
    found = describe(table, "y" if is_fit else None)
    Checked(found.to_html())
    json.loads(store.to_json(found.to_json()))
    assert str(found)
    for one in found.charts:
        assert sum(bar.rows for bar in one.bars) == len(numbers)


@pytest.mark.parametrize(
    "table",
    [
        {"a": [1.0]},
        {"a": [None, None]},
        {"a": ["x"], "b": [None]},
        {"a": ["x", "y"], "b": [1, 2]},
        {"a": [1e308, -1e308, 5e-324] * 9},
        {"a": np.arange(40) + 1e15},
        {"a": np.datetime64("0001-01-01", "us") + np.arange(3) * np.timedelta64(10**16, "us")},
        {"": [1, 2, 3], " ": ["a", "b", "c"]},
    ],
)
def test_odd_tables_are_described(table: dict[str, Any]) -> None:
    found = describe(table)
    Checked(found.to_html())
    assert found.num_rows == len(next(iter(table.values())))
    assert str(found).startswith("The data frame: ")


def test_the_same_table_gives_the_same_description() -> None:
    first, second = (describe(noise(), "y", seed=3).to_json() for _ in range(2))
    assert store.to_json(first) == store.to_json(second)


# ---- printed, and as JSON


def test_it_prints_as_a_summary(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", passengers(400))
    lines = str(describe(path, "lives")).splitlines()
    assert lines[0] == f"{path}: 400 rows, 6 columns, 3.1 % of the cells missing."
    assert lines[1] == "Target: lives, 2 classes (no and yes)."
    assert lines[3].split() == ["column", "kind", "values", "missing", "different"]
    assert lines[6].split() == ["class", "number", "1", "to", "3,", "median", "2", "3"]
    assert "Good to know" in lines
    assert max(map(len, lines[1:])) <= 106


def test_the_json_has_what_the_page_has() -> None:
    found = describe(passengers(400), "lives")
    record = json.loads(store.to_json(found.to_json()))
    assert record["rows"] == 400 and record["classes"] == ["no", "yes"]
    assert [view["name"] for view in record["numbers"]] == ["class", "age"]
    assert [one["name"] for one in record["charts"]] == ["lives", "sex", "class", "age", "port"]
    assert record["target"]["kind"] == "class" and record["alone"][0]["name"] == "sex"
    assert {"code", "level", "columns", "sentence", "figures"} == set(record["hints"][0])


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("lifes", DataError, r"^`target`: there is no column 'lifes'\. Did you mean 'lives'\? There are"),
        (["lives"], ConfigError, r"^`target` is the name of one column\. Got \['lives'\]\.$"),
        ("same", DataError, r"^The target 'same' has the same value in every row, so there is nothing"),
    ],
)  # fmt: skip
def test_a_wrong_target_is_answered(target: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        describe(passengers(50) | {"same": ["v"] * 50}, target)


def test_kinds_may_be_given() -> None:
    found = describe(passengers(100), "lives", kinds={"class": "category"})
    assert found.schema["class"].kind == "category"
    assert [view.name for view in found.numbers] == ["age"]
    as_number = describe({"a": list(range(40)), "y": [0, 1] * 20}, "y", target_kind="number")
    assert as_number.target is not None and as_number.target.kind == "number"


def test_wide_tables_are_compared_in_part_and_it_is_said() -> None:
    draw = np.random.default_rng(0)
    found = describe({f"c{n}": draw.normal(size=40) for n in range(210)})
    assert len(found.charts) == 200
    assert found.notes == (
        "The first 100 columns were compared in pairs, 110 more by rank correlation alone.",
        "The first 200 columns have a chart, and 10 more have none.",
    )
    assert "… and 150 more columns." in str(found)


def test_small_numbers_for_axes() -> None:
    assert round_numbers(-0.7, 0.7) == [-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6]
    assert str(round_numbers(-1.0, 3.0)[1]) == "0.0", "no -0"
    assert round_numbers(0.0, 2e-309) == [0.0, 2e-309], "no power of ten has so large a reciprocal"
    assert [short(n) for n in (0, 0.5, 1950, 99_999, 1.5e9)] == ["0", "0.5", "1950", "100k", "1.5G"]


# ---- real tables


@pytest.mark.row(75)
@pytest.mark.row(76)
def test_real_passengers() -> None:
    found = describe(real("titanic/train.csv"), "Survived")
    wanted = pd.read_csv(real("titanic/train.csv"))
    for view in found.numbers:
        figures = wanted[view.name].describe()
        assert (view.mean, view.std, view.q25, view.median, view.q75) == pytest.approx(
            tuple(figures[["mean", "std", "25%", "50%", "75%"]])
        )
    assert found.alone[0].name == "Sex"
    assert [round(skew, 2) for skew in found.logs["Fare"]] == [4.79, 0.39]
    assert codes(found, "leak") == []
    cabin = next(hint for hint in found.hints if hint.code == "missing")
    assert (
        cabin.columns == ("Cabin",) and "'1' in 30 % of these 687 rows and 67 %" in cabin.sentence
    )
    Checked(found.to_html())


@pytest.mark.row(75)
def test_real_rentals_are_the_sum_of_two_columns() -> None:
    found = describe(real("bike_sharing/day.csv"), "cnt")
    assert found.hints[0].sentence.startswith("'cnt' is 'casual' + 'registered' in all 731 rows. ")
    assert found.dates[0].step == "1 day" and found.dates[0].num_gaps == 0
    assert [cluster.names for cluster in found.clusters] == [("temp", "atemp")]


@pytest.mark.slow
@pytest.mark.row(75)
def test_real_bulldozers_and_incomes() -> None:
    found = describe(real("bulldozers/train.csv"), "SalePrice")
    assert "'YearMade' is 1,000 in 1,023 rows" in sentences(found, "far-end")[0]
    assert sentences(found, "copies")[0].startswith(
        "'ProductGroup' and 'ProductGroupDesc' say the same"
    )
    assert found.alone[0].name in ("fiModelDesc", "ModelID")
    Checked(found.to_html())
    people = describe(real("adult/adult.csv"), "salary")
    assert "24 rows repeat an earlier row in every column." in " ".join(
        sentences(people, "repeated-rows")
    )
    assert sentences(people, "copies")[0].startswith("'education' and 'education-num' say the same")
    assert "'capital-gain' is 99,999 in 159 rows" in sentences(people, "far-end")[0]
    Checked(people.to_html())
