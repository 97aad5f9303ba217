"""interpret/thresholds.py against scikit-learn and a brute search."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import thresholds
from tests.interpret.records import of_scores


def scored(probs: np.ndarray, truth: np.ndarray) -> object:
    outputs = torch.from_numpy(np.log(np.column_stack([1 - probs, probs])))
    return of_scores(outputs, torch.from_numpy(truth), classes=("good", "bad"))


@given(
    st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: 0 < sum(bad for _, bad in rows) < len(rows)
    ),
    st.floats(0, 20),
    st.floats(0, 20),
)
@settings(max_examples=60, deadline=None)
def test_each_point_is_scikit_learns_and_the_best_is_that_of_all(rows, missed, alarm) -> None:
    probs = np.array([percent / 100 for percent, _ in rows])
    truth = np.array([int(bad) for _, bad in rows])
    found = thresholds(scored(probs, truth), cost_missed=missed, cost_alarm=alarm)
    costs = []
    for point in found.points:
        flagged = (probs >= point.at - 1e-9).astype(int)
        assert point.flagged == flagged.sum()
        assert point.recall == pytest.approx(recall_score(truth, flagged))
        assert point.f1 == pytest.approx(f1_score(truth, flagged, zero_division=0.0))
        if point.precision is not None:
            assert point.precision == pytest.approx(precision_score(truth, flagged))
        costs.append(missed * (truth & ~flagged & 1).sum() + alarm * (flagged & ~truth & 1).sum())
        assert point.cost == pytest.approx(costs[-1])
    assert found.best.cost == pytest.approx(min(costs))
    assert len(found.points) == len(set(probs.tolist())) + 1
    json.dumps(found.to_json(), allow_nan=False)


def test_a_missed_one_that_costs_more_lowers_the_threshold() -> None:
    generator = np.random.default_rng(0)
    truth = (generator.random(3000) < 0.1).astype(np.int64)
    probs = 1 / (1 + np.exp(-(generator.normal(size=3000) + 3 * truth - 3)))
    record = scored(probs, truth)
    dear, even = thresholds(record, cost_missed=20), thresholds(record)
    assert dear.best.at < even.best.at
    assert dear.best.missed < even.best.missed
    assert 201 <= len(even.points) <= 202
    assert even.at(0.5).flagged == (probs >= 0.5).sum()
    even.plot().canvas.draw()
    assert str(even).startswith(
        f"{truth.sum():,} of 3,000 items are 'bad'; one that is missed costs 1, a false alarm 1.\n"
    )


def test_flagging_nothing_is_best_where_alarms_cost_too_much() -> None:
    found = thresholds(scored(np.array([0.9, 0.8]), np.array([0, 1])), cost_alarm=100)
    assert np.isinf(found.best.at) and found.best.missed == 1
    assert "flag none" in str(found)
    assert found.to_json()["best"]["at"] is None
    found.plot().canvas.draw()


def test_what_cannot_be_answered_is_refused() -> None:
    record = of_scores(torch.zeros(2, 3), torch.tensor([0, 1]), classes=("a", "b", "cc"))
    for call, error, sentence in (
        (
            lambda: thresholds(record),
            ConfigError,
            r"^`thresholds` has to know which of 3 classes is looked for: "
            r"thresholds\(predictions, 'cc'\)\.$",
        ),
        (
            lambda: thresholds(record, "c"),
            ConfigError,
            r"^`thresholds` got the class 'c'\. Did you mean 'cc'\? Known: a, b and cc\.$",
        ),
        (
            lambda: thresholds(record, "cc"),
            DataError,
            r"^`thresholds` got a record with no item of class 'cc'\.$",
        ),
        (
            lambda: thresholds(record, "a", cost_alarm=-1),
            ConfigError,
            r"^`thresholds` got cost_alarm=-1, expected a number from 0 on\.$",
        ),
    ):
        with pytest.raises(error, match=sentence):
            call()
