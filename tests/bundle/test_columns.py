"""The test of a table's columns: silent on the same source, named where they moved, and no row kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from drivetrain.bundle.columns import (
    BOUNDS,
    ColumnReference,
    bounds_of,
    counted,
    fit_columns,
)
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.two_sample import chi_squared, ks_distance
from drivetrain.errors import BundleError, ConfigError, InputError, ShapeError

KINDS = {"sort": 4, "place": 30}


def rows(count: int, seed: int) -> dict[str, Tensor]:
    """Numbers that hang together, whole numbers, some missing; kinds of which a few are rare."""
    draw = np.random.default_rng(seed)
    size = draw.gamma(2.0, 3.0, count)
    price = size * 3 + draw.normal(0, 1, count)
    price[draw.random(count) < 0.15] = np.nan
    sort = draw.choice(4, count, p=[0.02, 0.5, 0.3, 0.18])
    place = (draw.zipf(1.5, count) - 1).clip(0, 29)
    found = {"size": size, "price": price, "rooms": draw.poisson(3, count).astype(float)}
    return {k: torch.from_numpy(v) for k, v in (found | {"sort": sort, "place": place}).items()}


def fitted(count: int = 1_000, seed: int = 0, **options: Any) -> ColumnReference:
    known = rows(count, seed)
    kinds = {name: (known.pop(name), codes) for name, codes in KINDS.items()}
    return fit_columns(known, kinds, **options)


@pytest.mark.row(19)
@pytest.mark.parametrize(("known", "new"), [(1_000, 500), (200, 40), (300, 3_000)])
def test_at_most_two_alarms_in_a_hundred_batches_of_the_same_source(known: int, new: int):
    """At a level of 1%, each batch against a reference of its own."""
    alarms = sum(fitted(known, 1_000 + seed).test(rows(new, seed)).drifted for seed in range(100))
    assert alarms <= 2


@pytest.mark.row(19)
def test_what_moved_is_named_and_what_did_not_is_not():
    new = rows(400, 1)
    new["price"] = new["price"] * 1.6
    new["sort"] = torch.where(new["sort"] == 1, 2, new["sort"])
    report = fitted().test(new)
    assert report.drifted and report.p_value < 1e-6
    assert {one.feature for one in report.most_moved[: report.num_moved]} == {"price", "sort"}
    assert (report.num_moved, report.num_features, report.num_items) == (2, 5, 400)
    assert "2 of 5 columns moved, most of all sort (distance " in report.text


@pytest.mark.row(19)
@pytest.mark.parametrize("name", ["size", "price"])
def test_more_missing_values_are_a_change(name: str):
    new = rows(400, 2)
    new[name] = torch.where(torch.arange(400) % 3 == 0, torch.nan, new[name])
    report = fitted().test(new)
    assert report.drifted and report.most_moved[0].feature == name


def test_the_distances_are_those_of_the_tests_on_the_values_themselves():
    known, new = rows(1_000, 0), rows(300, 1)
    new["rooms"] += torch.from_numpy(np.random.default_rng(2).poisson(0.4, 300))
    moved = {one.feature: one for one in fitted().test(new).most_moved}
    whole = ks_distance(known["rooms"][:, None], new["rooms"][:, None])
    assert moved["rooms"].distance == pytest.approx(
        float(whole), abs=1e-12
    )  # few values: all bound
    size = ks_distance(known["size"][:, None], new["size"][:, None])
    assert float(size) - 1.5 / BOUNDS < moved["size"].distance <= float(size)
    counts = [torch.bincount(part["place"], minlength=30) for part in (known, new)]
    assert tuple(moved["place"][1:]) == chi_squared(*counts)


def test_columns_that_hold_beside_the_others_are_counted_as_holm_does():
    """Three columns at p = .004, .004 and 1: alone, the second would not pass a third of the level."""
    known = torch.arange(1_000.0)
    reference = fit_columns(dict.fromkeys(["a", "b", "c"], known.double()), {})
    new = {name: known.double() for name in "abc"}
    for name in "ab":
        new[name] = new[name] + 79
    report = reference.test(new)
    first, second, third = report.most_moved
    assert first.p_value == second.p_value < third.p_value == 1.0
    assert 0.01 / 3 < first.p_value < 0.01 / 2, "so a third of the level refuses both"
    assert (report.drifted, report.num_moved) == (False, 0)
    new["a"] = new["a"] + 50
    report = reference.test(new)
    assert report.most_moved[1].p_value == second.p_value
    assert (report.drifted, report.num_moved) == (True, 2), "half of it is left for the second"


@given(
    st.lists(
        st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float)),
        min_size=1,
        max_size=300,
    )
)
def test_no_bound_is_the_largest_value_and_every_row_is_counted_once(values: list[float]):
    column = torch.tensor(values, dtype=torch.float64)
    bounds = bounds_of(column)
    present = column[~column.isnan()]
    assert len(bounds) <= BOUNDS
    assert list(bounds) == sorted(set(bounds))
    assert not len(present) or all(bound < float(present.max()) for bound in bounds)
    counts = counted(column, bounds)
    assert int(counts.sum()) == len(values)
    assert int(counts[0]) == int(column.isnan().sum())
    for place, bound in enumerate(bounds):
        assert int(counts[1 : place + 2].sum()) == int((present <= bound).sum())


def test_what_is_written_is_read_again_and_holds_no_extreme_value():
    known = rows(1_000, 0)
    written = json.loads(json.dumps(fitted().to_json()))
    again = ColumnReference.from_json(
        Fields(written, "here"), numbers=["size", "price", "rooms"], kinds=KINDS
    )
    assert again == fitted()
    assert again.test(rows(90, 5)) == fitted().test(rows(90, 5))
    text = json.dumps(written)
    for name in ("size", "price"):
        present = known[name][~known[name].isnan()]
        assert repr(float(present.max())) not in text
        assert repr(float(present.min())) not in text


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["level"], 0, "has 0.0 as `level`, expected a share between 0 and 1."),
        (["num_items"], 0, "has 0 as `num_items`, expected a whole number from 1 to"),
        (["numbers"], [], "has 0 columns of numbers, expected 3."),
        (["kinds"], [], "has 0 columns of kinds, expected 2."),
        (["numbers", 0, "name"], "x", "has 'x' as `name`, expected 'size'."),
        (["numbers", 0, "bounds", 0], 1e9, "expected ascending numbers."),
        (["numbers", 0, "bounds"], [0.0] * 101, "expected a list of at most 100 numbers."),
        (["numbers", 0, "counts", 0], -1, "expected 102 counts of rows."),
        (["numbers", 0, "counts"], [1, 2], "expected 102 counts of rows."),
        (["kinds", 0, "counts", 1], 1, "and there are 1000."),
        (["kinds", 0, "counts", 1], True, "expected 4 counts of rows."),
        (["kinds", 0, "more"], 1, "has the unknown entry 'more'."),
        (["more"], 1, "has the unknown entry 'more'."),
    ],
)
def test_what_a_stranger_wrote_is_refused(path: list[Any], value: Any, says: str):
    written = json.loads(json.dumps(fitted().to_json()))
    inside = written
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    with pytest.raises(BundleError) as caught:
        ColumnReference.from_json(
            Fields(written, "here"), numbers=["size", "price", "rooms"], kinds=KINDS
        )
    assert says in str(caught.value)


def test_arguments_are_looked_at():
    reference = fitted()
    with pytest.raises(InputError, match=r"^`shift` got no column 'size' of 9 rows\.$"):
        reference.test({"sort": torch.zeros(9, dtype=torch.int64)})
    with pytest.raises(
        ShapeError, match=r"^`shift` got no rows\. Give it a batch; 30 rows or more"
    ):
        reference.test(rows(0, 0))
    codes = rows(9, 0) | {"sort": torch.full((9,), 4)}
    with pytest.raises(
        InputError, match=r"^`shift` got codes from 4 to 4 in 'sort', expected 0\.\.3\.$"
    ):
        reference.test(codes)
    with pytest.raises(ConfigError, match=r"^`fit_columns` got level 0, expected a share between"):
        fitted(level=0)
    with pytest.raises(
        ShapeError, match=r"^`fit_columns` got columns of \[\] rows, expected as many in all\.$"
    ):
        fit_columns({}, {})


def test_a_column_without_any_value_is_compared_by_what_is_missing():
    reference = fit_columns({"a": torch.full((50,), torch.nan).double()}, {})
    assert reference.columns[0].to_json() == {"name": "a", "bounds": [], "counts": [50, 0]}
    assert not reference.test({"a": torch.full((30,), torch.nan).double()}).drifted
    assert reference.test({"a": torch.ones(30).double()}).drifted
