"""Far values: found by the definition, grouped, shown with and without, and never dropped."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.ensemble import RandomForestRegressor

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.outliers import outlier_report, with_and_without


def planted(rows: int = 500) -> Frame:
    r = np.random.default_rng(0)
    year = r.integers(1990, 2012, size=rows).astype(np.float64)
    year[:40] = 1000
    hours = r.normal(5_000, 800, size=rows).clip(2_600, 7_400)
    hours[30:50] = 99_999
    hours[60:90] = np.nan
    state = np.array(["Ohio", "Texas"], dtype=object)[r.integers(0, 2, size=rows)]
    state[:3] = "Guam"
    return Frame({"year": year, "hours": hours, "state": Factor.of(state.tolist())})


@pytest.mark.row(69)
def test_far_values_are_found_and_rows_are_grouped_by_what_is_far_in_them():
    frame = planted()
    found = outlier_report(frame)
    assert [(c.name, c.num_low, c.num_high, c.repeated, c.num_repeated) for c in found.columns] == [
        ("year", 40, 0, "1000", 40), ("hours", 0, 20, "99999", 20), ("state", 0, 3, "Guam", 3),
    ]  # fmt: skip
    assert [(group.name, len(group.rows)) for group in found.groups] == [
        ("year low", 27), ("hours high", 10), ("year low, hours high", 10), ("year low, state rare", 3),
    ]  # fmt: skip
    assert found.groups[3].rows.tolist() == [0, 1, 2]
    assert found.rows.tolist() == list(range(50))
    assert [(group.name, len(group.rows)) for group in found.by_column] == [
        ("year low", 40), ("hours high", 20), ("state rare", 3),
    ]  # fmt: skip
    assert found.by_column[1].rows.tolist() == list(range(30, 50))


@pytest.mark.row(69)
def test_nothing_is_dropped_or_changed():
    frame = planted()
    before = {name: frame[name] for name in frame.names}
    year = frame.numbers("year").copy()
    found = outlier_report(frame)
    assert len(frame) == 500 and all(frame[name] is before[name] for name in frame.names)
    np.testing.assert_array_equal(frame.numbers("year"), year)
    assert str(found).splitlines()[-1] == (
        "Nothing was dropped. `with_and_without` shows what training without such rows does."
    )


@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=1, max_size=60
    )
)
def test_numbers_are_far_by_the_definition_and_groups_share_no_row(values):
    column = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    found = outlier_report(Frame({"x": column, "y": column[::-1].copy()}))
    rows = [row for group in found.groups for row in group.rows.tolist()]
    assert len(rows) == len(set(rows)) and sorted(rows) == found.rows.tolist()
    there = column[~np.isnan(column)]
    if len(there) == 0:
        assert found.columns == ()
        return
    distance = np.abs(there - np.median(there))
    mad = np.median(distance)
    if mad > 0 and "x" not in [name for name, _ in found.heaps]:
        named = {row for g in found.by_column if g.columns[0][0] == "x" for row in g.rows.tolist()}
        z_times_mad = 0.6745 * np.abs(column - np.median(there))
        far = np.flatnonzero(z_times_mad > 3.5 * mad * (1 + 1e-9))
        near = np.flatnonzero(z_times_mad < 3.5 * mad * (1 - 1e-9))
        assert set(far.tolist()) <= named and not named & set(near.tolist())


def test_column_in_which_most_are_equal_falls_back_on_other_spreads():
    r = np.random.default_rng(0)
    x = np.zeros(100)
    x[:30] = r.normal(size=30)  # the median distance is 0, that of the quartiles too
    x[30] = 50
    assert outlier_report(Frame({"x": x})).rows.tolist() == [30]
    x = np.where(np.arange(100) < 45, np.arange(100) % 7 - 3.0, 0.0)  # quartiles differ
    x[99] = 40
    assert outlier_report(Frame({"x": x})).rows.tolist() == [99]
    assert outlier_report(Frame({"x": np.full(9, 3.0)})).columns == ()


def test_dates_are_far_like_numbers():
    days = np.datetime64("2020-01-01", "us") + np.arange(60) * np.timedelta64(1, "D")
    days[7], days[9] = np.datetime64("1900-01-01"), np.datetime64("NaT")
    found = outlier_report(Frame({"day": days}))
    assert found.rows.tolist() == [7] and found.columns[0].num_low == 1
    assert found.columns[0].low.startswith("2019-")


def test_rare_categories_are_taken_all_or_none_of_equally_rare_ones():
    def rows_of(words, **settings):
        return outlier_report(Frame({"w": Factor.of(words)}), **settings).rows.tolist()

    common = ["a"] * 197
    assert rows_of([*common, "b", "c", None]) == [197, 198]  # 1% of 200 rows is two
    assert rows_of([*common, "b", "c", "d"]) == []  # three would be too many, and none is rarer
    assert rows_of([*common, "b", "c", "d"], rare=0.02) == [197, 198, 199]
    assert rows_of([str(i) for i in range(300)]) == []  # where every word is rare, none is
    assert rows_of([None] * 5) == []


def test_column_of_two_heaps_is_told_and_left_out():
    r = np.random.default_rng(0)
    x = np.concatenate([r.normal(0, 1, size=60), r.normal(100, 1, size=40)])
    found = outlier_report(Frame({"x": x}))
    assert found.columns == () and found.heaps == (("x", 0.4),)
    assert str(found) == (
        "No far values in 100 rows of 1 columns.\n"
        "Left out, since too many values would be far, which is a shape and no outlier: x (40%)."
    )


@pytest.mark.row(69)
def test_training_with_and_without_each_group_is_shown():
    frame = planted()
    asked = []

    def fit_score(kept):
        asked.append(int(kept.sum()))
        return 1.0 + (500 - kept.sum()) / 1_000, 0.03

    report = outlier_report(frame)
    found = with_and_without(fit_score, report)
    assert asked == [500, 460, 480, 497, 450]
    assert [one.without for one in found.refits] == [
        "year low (40 rows)", "hours high (20 rows)", "state rare (3 rows)", "any of these (50 rows)",
    ]  # fmt: skip
    assert [one.is_within for one in found.refits] == [False, True, True, False]
    assert str(found).splitlines()[-1] == (
        "Nothing was dropped: training takes all rows unless you leave some out."
    )
    asked.clear()
    with_and_without(fit_score, report, groups=report.groups, most=2)
    assert asked == [500, 473, 490, 463]


def test_prints_columns_and_groups_and_is_plain_json():
    found = outlier_report(planted())
    lines = str(found).splitlines()
    assert lines[0] == "50 of 500 rows have a far value in 3 of 3 columns."
    assert lines[2].startswith("year ") and lines[2].endswith("all of them 1000")
    assert next(line for line in lines if "year low, hours high" in line).split()[0] == "10"
    record = json.loads(json.dumps(found.to_json()))
    assert record["groups"][3] == {
        "columns": [["year", "low"], ["state", "rare"]],
        "ids": [0, 1, 2],
    }
    assert outlier_report(Frame({"x": np.zeros(4)})).to_json()["groups"] == []


def test_refusals():
    frame = planted()
    with pytest.raises(
        ConfigError, match=r"needs `far` above 0 and `rare` in \[0, 1\)\. Got 0 and 0\.01\.$"
    ):
        outlier_report(frame, far=0)
    with pytest.raises(DataError, match=r"^`outlier_report` got a frame without rows\.$"):
        outlier_report(frame.take([]))
    everything = outlier_report(Frame({"x": np.r_[np.zeros(9), 99.0]}))
    group = type(everything.groups[0])((("x", "low"),), np.arange(10), np.arange(10))
    with pytest.raises(DataError) as caught:
        with_and_without(lambda kept: (0, 0), everything, groups=[group])
    assert str(caught.value) == (
        "`with_and_without` would leave no rows to train with without x low (10 rows)."
    )


@pytest.mark.slow
@pytest.mark.row(69)
def test_year_1000_of_the_bulldozers_is_a_code_and_training_without_it_is_worse(shared_data):
    folder = shared_data("bulldozers")

    def read(name):
        with open(folder / name, newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = {
            n: np.array([float(r[n]) for r in rows]) for n in ("YearMade", "ModelID", "SalePrice")
        }
        words = {
            n: Factor.of([r[n] or None for r in rows])
            for n in ("ProductSize", "Enclosure", "Coupler_System")
        }
        return Frame({**numbers, **words})

    train, valid = read("train.csv"), read("valid.csv")
    report = outlier_report(train.drop(["SalePrice"]))
    year = report.columns[0]
    assert (year.name, year.repeated, year.num_repeated) == ("YearMade", "1000", 1_023)

    def design(frame):
        words = [
            frame.factor(n).recoded(train.factor(n).levels).codes
            for n in ("ProductSize", "Enclosure", "Coupler_System")
        ]
        return np.stack([frame.numbers("YearMade"), frame.numbers("ModelID"), *words], axis=1)

    X, y = design(train), np.log(train.numbers("SalePrice"))
    X_valid, y_valid = design(valid), np.log(valid.numbers("SalePrice"))

    def fit_score(kept):
        forest = RandomForestRegressor(30, min_samples_leaf=5, random_state=0).fit(X[kept], y[kept])
        squared = (forest.predict(X_valid) - y_valid) ** 2
        return squared.mean(), squared.std() / np.sqrt(len(squared))

    found = with_and_without(fit_score, report, most=1)
    assert found.refits[0].without.startswith("YearMade low (1,2")
    assert not found.refits[0].is_within
