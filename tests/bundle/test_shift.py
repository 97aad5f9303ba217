"""Drift of a batch: silent on the same source, sees a real one, names the columns."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from drivetrain.bundle.shift import REFERENCE_ITEMS, column_shift, fit_shift
from drivetrain.errors import ConfigError, InputError, ShapeError


def items(n, seed, features=40):
    """Correlated, skewed, and partly 0, as features of a net are."""
    r = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(features, features)) / 4
    return torch.tensor(np.maximum(r.normal(size=(n, features)) @ mixing + 0.3, 0)).float()


@pytest.mark.row(19)
@pytest.mark.parametrize("size", [20, 100, 400])
def test_no_alarm_in_at_least_95_of_100_batches_of_the_same_source(size):
    reference = fit_shift(items(1_000, 0))
    alarms = sum(reference.test(items(size, seed)).drifted for seed in range(1, 101))
    assert alarms <= 5


@pytest.mark.row(19)
def test_a_drift_is_seen_and_its_features_are_named():
    new = items(100, 1)
    new[:, 7] += 0.6
    new[:, 30] = new[:, 30].flip(0) * 3
    report = fit_shift(items(1_000, 0)).test(new)
    assert report.drifted and report.p_value < 1e-3
    assert {moved.feature for moved in report.most_moved[:2]} == {7, 30}
    assert report.num_moved == 2 and report.num_features == 40 and report.num_items == 100
    assert "2 of 40 features moved, most of all" in report.text
    assert report.to_json()["most_moved"][0]["feature"] in (7, 30)


@pytest.mark.row(19)
def test_columns_of_a_table_silent_on_the_same_source_and_named_where_they_moved(shared_data):
    with open(shared_data("adult") / "adult.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("age", "fnlwgt", "education-num", "capital-gain", "hours-per-week")
    names = [*numbers, "workclass", "marital-status", "occupation", "race", "sex", "salary"]

    def table(which):
        return {
            name: [float(rows[i][name]) if name in numbers else rows[i][name] for i in which]
            for name in names
        }

    order = np.random.default_rng(0).permutation(len(rows))
    old, rest = table(order[:2_000]), order[2_000:]
    batches = np.random.default_rng(1).permutation(rest)[:20_000].reshape(100, 200)
    alarms = sum(column_shift(old, table(batch)).drifted for batch in batches)
    assert alarms <= 5

    older = [i for i in rest if float(rows[i]["age"]) >= 45][:200]
    report = column_shift(old, table(older))
    assert report.drifted and report.most_moved[0].feature == "age"
    assert report.most_moved[1].feature == "marital-status"  # the old are not "never married"
    women = column_shift(old, table([i for i in rest if rows[i]["sex"].strip() == "Female"][:200]))
    assert women.most_moved[0].feature == "sex"
    moved = [one.feature for one in women.most_moved[: women.num_moved]]
    assert "fnlwgt" not in moved


def test_missing_values_count_as_a_change():
    r = np.random.default_rng(0)
    old = {"x": r.normal(size=500).tolist(), "kind": ["a", "b"] * 250}
    new = {
        "x": [None if i % 2 else value for i, value in enumerate(r.normal(size=100))],
        "kind": ["a", None] * 50,
    }
    report = column_shift(old, new)
    assert report.num_moved == 2
    assert (
        column_shift(old, {"x": [*r.normal(size=99), float("nan")], "kind": old["kind"]}).drifted
        is False
    )


def test_names_choose_columns_and_kinds_may_be_new():
    old = {"a": [1, 2, 3] * 30, "b": ["x"] * 90, "only old": [0] * 90}
    new = {"a": torch.tensor([1, 2, 3] * 10), "b": ["y"] * 30}
    assert not column_shift(old, new, ["a"]).drifted
    assert column_shift(old, new, ["a", "b"]).most_moved[0] == (
        "b",
        pytest.approx(0, abs=1e-20),
        1.0,
    )
    with pytest.raises(InputError, match=r"not in both: \['only old'\]"):
        column_shift(old, new)


def test_many_items_are_drawn_down_and_few_are_kept():
    assert len(fit_shift(items(3_000, 0)).items) == REFERENCE_ITEMS
    assert len(fit_shift(torch.zeros(600, 5_000)).items) == 200
    assert len(fit_shift(items(3, 0)).items) == 3
    assert fit_shift(items(3_000, 0)).items.equal(fit_shift(items(3_000, 0)).items)


def test_one_item_never_alarms_by_chance_alone():
    reference = fit_shift(items(1_000, 0))
    assert not any(reference.test(items(1, seed)).drifted for seed in range(50))


def test_refusals():
    reference = fit_shift(items(20, 0))
    with pytest.raises(ShapeError, match=r"expected \(items, 40\) floats"):
        reference.test(torch.zeros(3, 39))
    with pytest.raises(ShapeError, match="`shift` got no items"):
        reference.test(torch.zeros(0, 40))
    with pytest.raises(
        InputError, match=r"features with NaN, infinity or more than .* first in row 2"
    ):
        reference.test(torch.full((4, 40), float("nan")).index_fill(0, torch.tensor([0, 1]), 0.0))
    with pytest.raises(ConfigError, match="got level 0, expected a share"):
        fit_shift(items(20, 0), level=0)
    with pytest.raises(InputError, match="no values in column 'a'"):
        column_shift({"a": []}, {"a": [1]})
