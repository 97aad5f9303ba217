"""New rows beside training rows: silent on the same source, names columns, sees what hides together."""

from __future__ import annotations

import csv
import json
from datetime import datetime

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from drivetrain.bundle.two_sample import chi_squared
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import domain
from drivetrain.interpret.domain import holm, out_of_domain


def of_sklearn(X, y, seed):
    forest = RandomForestClassifier(12, min_samples_leaf=3, random_state=seed).fit(X, y)
    return lambda rows: forest.predict_proba(rows)[:, 1], forest.feature_importances_


def table(seed: int, rows: int) -> Frame:
    """Columns that hang together, are skewed, repeat, are missing, and are words."""
    r = np.random.default_rng(seed)
    x = r.normal(size=rows)
    count = r.poisson(2, size=rows).astype(np.float64)
    count[r.random(rows) < 0.1] = np.nan
    words = [None if p < 0.05 else "abcdefgh"[int(7.99 * p * p)] for p in r.random(rows)]
    return Frame({
        "x": x,
        "lognormal": np.exp(x + r.normal(size=rows)),
        "count": count,
        "word": Factor.of(words, levels=list("abcdefgh")),
        "day": np.datetime64("2020-01-01", "us") + r.integers(0, 99, size=rows) * np.timedelta64(1, "D"),
        "flag": Factor.of(np.where(r.random(rows) < 0.02, "yes", "no").tolist(), levels=["no", "yes"]),
    })  # fmt: skip


@pytest.mark.row(19)
@pytest.mark.parametrize("size", [20, 200])
def test_no_alarm_in_at_least_95_of_100_samples_of_the_same_source(size):
    train = table(0, 1_000)
    found = [out_of_domain(train, table(seed, size), with_forest=False) for seed in range(1, 101)]
    assert sum(one.is_shifted for one in found) <= 5
    assert sum(bool(one.moved) for one in found) <= 5
    assert min(one.p_value for one in found) < 0.2  # it is no test that never says anything


@pytest.mark.row(19)
def test_no_alarm_with_the_forest_on_samples_of_the_same_source():
    train = table(0, 300)
    found = [
        out_of_domain(train, table(seed, 150), grow=of_sklearn, folds=2) for seed in range(1, 9)
    ]
    assert sum(one.is_shifted for one in found) == 0
    assert 0.4 < np.mean([one.separation.area for one in found]) < 0.6


@pytest.mark.slow
@pytest.mark.row(19)
@pytest.mark.parametrize(("size", "grow"), [(80, None), (400, of_sklearn)])
def test_no_alarm_with_a_forest_in_at_least_95_of_100_samples(size, grow):
    train = table(0, 200)
    found = [
        out_of_domain(train, table(seed, size), grow=grow, folds=2 if grow is None else 5)
        for seed in range(1, 101)
    ]
    assert sum(one.is_shifted for one in found) <= 5
    assert 0.48 < np.mean([one.separation.area for one in found]) < 0.53


@pytest.mark.row(19)
def test_columns_that_moved_are_named_and_those_alone():
    train, new = table(0, 800), table(1, 400)
    new = new.with_column("x", new.numbers("x") + 0.7)
    word = new.factor("word")
    new = new.with_column("word", Factor(np.where(word.codes == 0, 5, word.codes), word.levels))
    count = new.numbers("count").copy()
    count[:120] = np.nan  # nothing moved but the share of missing ones
    found = out_of_domain(train, new.with_column("count", count), grow=of_sklearn)
    assert found.is_shifted and set(found.moved) == {"x", "word", "count"}
    assert set(found.giving_away[:3]) >= {"x", "word"}
    assert found.separation.area > 0.7 and found.p_value < 1e-6
    assert found.text == (
        f"The 400 new rows are not like the 800 of training (p = {found.p_value:.2g}, level 0.01). 3 "
        f"of 6 columns moved: {found.moved[0]}, {found.moved[1]} and {found.moved[2]}. A forest tells "
        f"them apart with an area under the ROC curve of {found.separation.area:.3f}, by "
        + ", ".join(found.giving_away[:-1]) + f" and {found.giving_away[-1]}."
    )  # fmt: skip


@pytest.mark.row(19)
def test_forest_sees_a_change_of_how_columns_go_together_that_no_column_shows():
    r = np.random.default_rng(0)
    a, b = r.normal(size=600), r.normal(size=600)
    train = Frame({"a": a, "b": a + b / 4})
    new = Frame({"a": a[::2], "b": r.permutation(a + b / 4)[::2]})
    alone = out_of_domain(train, new, with_forest=False)
    assert not alone.is_shifted and alone.separation is None and alone.giving_away == ()
    both = out_of_domain(train, new, grow=of_sklearn)
    assert both.is_shifted and both.moved == () and both.separation.area > 0.75
    assert "No column moved by itself: how they go together did. A forest tells them" in both.text
    assert set(both.giving_away) == {"a", "b"}


def test_own_forest_is_the_default_and_says_the_same_each_time():
    train, new = table(0, 100), table(1, 60)
    new = new.with_column("x", new.numbers("x") + 2)
    found = out_of_domain(train, new, folds=2)
    assert found.is_shifted and found.giving_away[0] == "x"
    assert sum(column.importance for column in found.columns) == pytest.approx(1.0)
    assert out_of_domain(train, new, folds=2) == found


def test_numbers_are_tested_as_by_scipy_and_words_as_by_the_guard():
    old, new = table(0, 500), table(7, 300)
    found = {c.name: c for c in out_of_domain(old, new, with_forest=False).columns}
    for name in ("x", "lognormal"):
        scipys = stats.ks_2samp(old.numbers(name), new.numbers(name), method="asymp")
        assert found[name].p_value == pytest.approx(scipys.pvalue)
        assert found[name].distance == pytest.approx(scipys.statistic)
    for name in ("word", "flag"):
        counts = [np.bincount(f.factor(name).codes + 1, minlength=9) for f in (old, new)]
        p_value, distance = chi_squared(*map(torch.from_numpy, counts))
        assert found[name].p_value == pytest.approx(p_value)
        assert found[name].distance == pytest.approx(distance)


def test_word_tests_agree_with_the_guard_however_rare_the_words():
    r = np.random.default_rng(0)
    for _ in range(200):
        kinds = int(r.integers(2, 30))
        chances = r.dirichlet(np.full(kinds, 0.3))
        sizes = r.integers(5, 300, size=2)
        old, new = (r.choice(kinds, p=chances, size=n) for n in sizes)
        counts = [np.bincount(part, minlength=kinds) for part in (old, new)]
        occurring = counts[0] + counts[1] > 0
        p_value, distance = chi_squared(*(torch.from_numpy(c[occurring]) for c in counts))
        ours = domain._kinds_test(old.astype(float), new.astype(float))
        assert ours[1] == pytest.approx(distance)
        assert ours[0] == pytest.approx(p_value, abs=1e-12)


def test_words_of_one_table_only_count_as_a_change_and_order_of_levels_does_not():
    words = ["a", "b"] * 200
    old = Frame({"w": Factor.of(words, levels=["a", "b"])})
    turned = Frame({"w": Factor.of(words[:100], levels=["b", "z", "a"])})
    same = out_of_domain(old, turned, with_forest=False)
    assert same.columns[0].distance == 0.0 and same.p_value == 1.0
    strange = out_of_domain(old, Frame({"w": Factor.of(["z"] * 40)}), with_forest=False)
    assert strange.moved == ("w",) and strange.columns[0].distance == 1.0


def test_holm_is_the_definition():
    r = np.random.default_rng(0)
    for _ in range(20):
        p = r.random(int(r.integers(1, 9))) ** 3
        corrected = holm(p)
        for level in (0.01, 0.05, 0.3):
            rejected = set()
            for step, place in enumerate(np.argsort(p)):
                if p[place] > level / (len(p) - step):
                    break
                rejected.add(int(place))
            assert set(np.flatnonzero(corrected <= level).tolist()) == rejected


def test_area_is_scikit_learns_and_equal_scores_tell_nothing():
    r = np.random.default_rng(0)
    y = r.integers(0, 2, size=200)
    scores = np.round(y + r.normal(size=200), 1)
    assert domain._area(scores, y)[0] == pytest.approx(roc_auc_score(y, scores))
    assert domain._area(np.full(200, 0.3), y) == (0.5, 1.0)


def test_large_tables_are_drawn_down(monkeypatch):
    monkeypatch.setattr(domain, "MOST_ROWS", 100)
    found = out_of_domain(table(0, 3_000), table(1, 150), with_forest=False)
    assert (found.num_train, found.num_new) == (100, 100)


def test_prints_a_table_and_is_plain_json():
    train, new = table(0, 300), table(1, 100)
    new = new.with_column("x", new.numbers("x") + 50)
    found = out_of_domain(train, new, grow=of_sklearn)
    lines = str(found).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("column "))
    assert lines[start].split() == ["column", "distance", "p", "p", "corrected", "forest"]
    assert lines[start + 1].split()[:2] == ["x", "1.000"] and "moved" in lines[start + 1]
    record = json.loads(json.dumps(found.to_json()))
    assert record["is_shifted"] and len(record["separation"]["areas"]) == 5
    silent = out_of_domain(train, table(3, 100), with_forest=False)
    assert silent.text == (
        f"No shift seen between 300 rows and 100 new ones (p = {silent.p_value:.2g}, level 0.01)."
    )


def test_refusals():
    train, new = table(0, 40), table(1, 40)
    with pytest.raises(
        DataError, match=r"compares columns of both tables\. Not in both: x and y\.$"
    ):
        out_of_domain(train, new.drop(["x"]), names=["x", "y", "word"])
    with pytest.raises(DataError) as kind:
        out_of_domain(train, new.with_column("x", new["day"]))
    assert str(kind.value) == (
        "`out_of_domain` got the column 'x' of another kind in each table. Read both the same way."
    )
    with pytest.raises(DataError) as few:
        out_of_domain(train, new.take([0, 1, 2]))
    assert str(few.value) == (
        "`out_of_domain` got 40 rows and 3 new ones, expected 5 or more of each."
    )
    assert not out_of_domain(train, new.take([0]), with_forest=False).is_shifted
    with pytest.raises(
        ConfigError, match=r"needs a `level` in \(0, 1\) and 2 `folds` or more\. Got 0 and 5\.$"
    ):
        out_of_domain(train, new, level=0)


@pytest.mark.slow
@pytest.mark.row(19)
def test_auctions_of_april_are_given_away_by_their_date(shared_data):
    """As in the book: rows that come later differ in the date above all, and in the running number."""
    folder = shared_data("bulldozers")

    def read(name):
        with open(folder / name, newline="") as file:
            rows = list(csv.DictReader(file))
        days = [datetime.strptime(row["saledate"], "%m/%d/%Y %H:%M") for row in rows]
        numbers = {
            n: np.array([float(r[n]) for r in rows]) for n in ("SalesID", "MachineID", "YearMade")
        }
        words = {
            n: Factor.of([r[n] or None for r in rows])
            for n in ("ProductSize", "state", "Enclosure")
        }
        return Frame({**numbers, **words, "saledate": np.array(days, dtype="datetime64[us]")})

    train, new = read("train.csv"), read("valid.csv")
    found = out_of_domain(train, new)
    assert found.is_shifted and found.giving_away[0] == "saledate"
    assert {"saledate", "SalesID", "state"} <= set(found.moved)
    assert found.separation.area > 0.99
    mixed = train.take(np.random.default_rng(0).permutation(len(train)))
    halves = out_of_domain(mixed.take(range(5_000)), mixed.take(range(5_000, len(train))))
    assert not halves.is_shifted
