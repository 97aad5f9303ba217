"""Gain beside permutation importance: what is flagged, and what is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.association import Link
from drivetrain.interpret.comparison import compare_importance
from drivetrain.interpret.importance import ColumnImportance, Importance, permutation_importance
from tests.interpret.models import numbers, of_matrix


def importance(**columns: tuple[float, float]) -> Importance:
    found = [
        ColumnImportance(n, (a + b) / 2, 0.0, a, b, ((a + b) / 2,)) for n, (a, b) in columns.items()
    ]
    ordered = tuple(sorted(found, key=lambda column: -column.mean))
    return Importance(ordered, 1.0, True, 100, 1, 0.95)


@pytest.mark.row(93)
def test_agreement_is_silent_however_wide_the_intervals():
    shuffled = importance(a=(0.5, 0.6), b=(0.1, 0.3), c=(0.05, 0.25), d=(-0.01, 0.01))
    found = compare_importance({"a": 6, "c": 3, "b": 2, "d": 0.5}, shuffled)
    assert found.flagged == ()
    assert [(c.name, c.gain_rank, c.best_rank, c.worst_rank) for c in found.columns] == [
        ("a", 1, 1, 1), ("c", 2, 2, 3), ("b", 3, 2, 3), ("d", 4, 4, 4),
    ]  # fmt: skip
    assert sum(column.gain for column in found.columns) == pytest.approx(1.0)
    assert str(found).splitlines()[-1] == "Gain and shuffling do not contradict each other."


@pytest.mark.row(93)
def test_only_the_column_that_is_out_of_place_is_flagged_and_not_those_it_displaced():
    shuffled = importance(a=(0.5, 0.6), b=(0.3, 0.4), c=(0.1, 0.2), noise=(-0.01, 0.01))
    found = compare_importance({"noise": 5, "a": 3, "b": 2, "c": 1}, shuffled)
    assert [column.name for column in found.flagged] == ["noise"]
    assert found.flagged[0].sentence == (
        "'noise' is 1st of 4 by gain (0.455) but 4th by shuffling (cost 0): splits on it gained on the "
        "training rows what does not carry over to these. Gain favours columns with many different "
        "values."
    )
    shuffled = importance(a=(0.5, 0.6), b=(0.3, 0.4), c=(0.1, 0.2), d=(0.01, 0.05))
    found = compare_importance({"b": 5, "c": 3, "d": 2, "a": 1}, shuffled)
    assert [column.name for column in found.flagged] == ["a"]
    assert found.flagged[0].sentence == (
        "'a' is 4th of 4 by gain (0.091) but 1st by shuffling (cost 0.5500): the predictions lean on it "
        "more than the splits' gain says. Gain is counted on the training rows, and is shared out where "
        "several columns can make the same split."
    )


def test_near_equal_gains_contradict_nothing_and_the_ratio_says_how_near():
    shuffled = importance(a=(0.5, 0.6), b=(0.1, 0.2))
    assert compare_importance({"a": 1.0, "b": 1.2}, shuffled).flagged == ()
    assert [c.name for c in compare_importance({"a": 1.0, "b": 1.3}, shuffled).flagged] == ["b"]
    assert [c.name for c in compare_importance({"a": 1, "b": 1.2}, shuffled, ratio=1).flagged] == [
        "b"
    ]


def test_column_whose_stand_in_is_there_is_told_of_it():
    one = importance(a=(0.5, 0.6), b=(0.1, 0.2))
    linked = Importance(one.columns, 1.0, True, 100, 1, 0.95, (Link("b", "c", 0.98),))
    found = compare_importance({"a": 1, "b": 4}, linked)
    assert found.flagged[0].sentence == (
        "'b' is 1st of 2 by gain (0.800) but 2nd by shuffling (cost 0.1500): it goes together with c, "
        "which can stand in for it when it is shuffled."
    )


@pytest.mark.row(93)
def test_noise_of_many_values_is_unmasked_in_a_real_forest():
    """Fully grown trees learn the training rows by heart with it; on new rows it is worth nothing."""
    r = np.random.default_rng(0)
    frame = numbers(1, 900, 2).with_column("flag", r.integers(0, 2, size=900).astype(np.float64))
    chance = 0.5 + 0.25 * (2 * frame.numbers("flag") - 1)
    y = (r.random(900) < chance).astype(int)
    train, valid = frame.take(range(400)), frame.take(range(400, 900))
    model = RandomForestClassifier(30, random_state=0).fit(train.matrix(), y[:400])
    gain = dict(zip(frame.names, model.feature_importances_, strict=True))
    assert min(gain["c0"], gain["c1"]) > 1.5 * gain["flag"]
    shuffled = permutation_importance(
        of_matrix(model.predict_proba, frame.names), valid, y[400:],
        lambda t, p: float(((p[:, 1] - t) ** 2).mean()), higher_is_better=False,
    )  # fmt: skip
    found = compare_importance(gain, shuffled)
    assert [column.name for column in found.flagged] == ["flag"]  # one of three is out of place
    assert found.flagged[0].gain_rank == 3
    assert (found.flagged[0].best_rank, found.flagged[0].worst_rank) == (1, 1)


def test_prints_a_table_and_is_plain_json():
    shuffled = importance(a=(0.5, 0.6), b=(0.1, 0.2))
    found = compare_importance({"a": 1, "b": 4}, shuffled)
    assert str(found).splitlines()[:3] == [
        "column    gain  rank    cost  rank by shuffling",
        "b       0.8000     1  0.1500                  2  disagree",
        "a       0.2000     2  0.5500                  1",
    ]
    assert json.loads(json.dumps(found.to_json()))["flagged"] == ["b"]


def test_refusals():
    shuffled = importance(a=(0.5, 0.6), b=(0.1, 0.2))
    with pytest.raises(DataError) as caught:
        compare_importance({"a": 1, "c": 1}, shuffled)
    assert str(caught.value) == (
        "`compare_importance` needs the same columns in both importances. In one only: b and c."
    )
    with pytest.raises(DataError, match=r"got no gain above 0: the trees have not split\.$"):
        compare_importance({"a": 0, "b": 0}, shuffled)
    with pytest.raises(ConfigError, match=r"needs a `ratio` of 1 or more\. Got 0\.5\.$"):
        compare_importance({"a": 1, "b": 1}, shuffled, ratio=0.5)
