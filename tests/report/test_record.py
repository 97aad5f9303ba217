"""What a run's record says, read for people; and what is no record is refused."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.metrics import METRICS, metric
from drivetrain.report.evidence import Evidence
from drivetrain.report.outcome import verdict
from drivetrain.report.record import Result, Score, better, command_of, result_of
from tests.report.hostile import record_of

UNIT = st.floats(0, 1)


def result(own: Score, *others: Score, higher: bool = True) -> Result:
    return Result("accuracy", higher, own, others, {}, {}, None, None, "")


@given(UNIT, UNIT, st.floats(0, 0.3), st.floats(0, 0.3), st.booleans())
def test_who_beats_whom_is_the_same_from_both_sides(
    a: float, b: float, wide_a: float, wide_b: float, higher: bool
) -> None:
    one, other = Score("a", a, a - wide_a, a + wide_a), Score("b", b, b - wide_b, b + wide_b)
    there, back = result(one, higher=higher), result(other, higher=higher)
    for ask in ("beats", "may_beat"):
        said, answered = getattr(there, ask)(other), getattr(back, ask)(one)
        assert (said is None) == (answered is None)
        assert said is None or said != answered
    if there.beats(other) is not None:  # what is certain is likely
        assert there.may_beat(other) == there.beats(other)


def test_overlapping_intervals_leave_it_open_and_apart_ones_do_not() -> None:
    own = Score("net", 0.8, 0.7, 0.9)
    assert result(own).beats(Score("rule", 0.6, 0.5, 0.69)) is True
    assert result(own).beats(Score("rule", 0.65, 0.55, 0.75)) is None
    assert result(own).may_beat(Score("rule", 0.65, 0.55, 0.75)) is True
    assert result(own).may_beat(Score("rule", 0.75, 0.65, 0.85)) is None
    assert result(own, higher=False).beats(Score("rule", 0.6, 0.5, 0.69)) is False


def test_a_verdict_claims_no_more_than_was_measured() -> None:
    def said(low: float | None, other: Score) -> str:
        high = None if low is None else 0.9
        return verdict(result(Score("net", 0.8, low, high), other), Evidence())

    rule = "the best simple rule (rule, {})"
    assert said(0.7, Score("rule", 0.6, 0.5, 0.69)) == (
        f"It beats {rule.format('0.6000')} by more than chance."
    )
    assert said(0.7, Score("rule", 0.65, 0.55, 0.75)) == (
        f"It is likely better than {rule.format('0.6500')}, though their intervals touch."
    )
    assert said(0.7, Score("rule", 0.79, 0.7, 0.88)) == (
        f"It cannot be told from {rule.format('0.7900')}: either may be the better one."
    )
    assert said(None, Score("rule", 0.6)) == (
        f"It is better than {rule.format('0.6000')}; how much of that is chance was not measured."
    )
    assert said(0.7, Score("rule", 0.95, 0.93, 0.97)) == (
        f"It is worse than {rule.format('0.9500')}: use that one, or find out why."
    )


def test_the_first_metric_is_the_one_that_baselines_are_measured_by() -> None:
    found = result_of(
        {
            "model": "net",
            "metrics": {"valid": {"loss": 2.0, "mae": 1.0, "rmse": 1.5}},
            "baselines": {"mean": {"rmse": 3.0, "interval": [2.5, 3.5]}},
            "interval": None,
        }
    )
    assert found is not None
    assert (found.metric, found.higher_is_better, found.own.value) == ("rmse", False, 1.5)
    assert (found.own.low, found.baselines[0].high) == (None, 3.5)


@pytest.mark.parametrize(
    "value", [None, 3, {}, {"metrics": 1}, {"metrics": {"valid": []}}, {"metrics": {"valid": {}}}]
)
def test_what_is_no_result_gives_none(value: object) -> None:
    assert result_of(value) is None


def test_the_line_that_trains_it_again_has_what_was_asked(tmp_path: Path) -> None:
    asked = [
        {"what": "epochs", "value": 3, "reason": "as asked", "change": "--epochs N"},
        {"what": "lr", "value": 0.01, "reason": "as asked", "change": "--set lr=RATE"},
        {"what": "size", "value": [64, 32], "reason": "as asked", "change": "--size N"},
        {"what": "model", "value": "resnet_tiny", "reason": "small", "change": "--model NAME"},
    ]
    record = record_of(tmp_path / "run", choices=asked, data={"source": "my photos; rm -rf /"})
    line, unsaid = command_of(record)
    square = {**asked[2], "value": [64, 64]}
    again = command_of(record_of(tmp_path / "square", choices=[square], data={"source": "x"}))
    assert again == ("drivetrain train x --size 64 --seed 7", [])
    assert shlex.split(line) == [
        "drivetrain", "train", "my photos; rm -rf /", "--epochs", "3", "--set", "lr=0.01",
        "--seed", "7",
    ]  # fmt: skip
    assert unsaid == ["size"]


def test_the_line_of_a_table_names_target_and_net(tmp_path: Path) -> None:
    record = record_of(
        tmp_path / "run", choices=[], data={"source": "t.csv", "target": ["price"]}, plan={},
        task={"application": "tabular"},
    )  # fmt: skip
    assert command_of(record)[0] == (
        "drivetrain train t.csv --task tabular --target price --model net --seed 7"
    )


def test_the_log_gives_the_epochs_and_the_losses_between_them(tmp_path: Path) -> None:
    record = record_of(tmp_path / "run")
    assert [row["epoch"] for row in record.epochs] == [0, 1, 2, 3]
    assert record.batches[1] == (1.1, None, 0.9)


def test_a_damaged_choice_is_refused(tmp_path: Path) -> None:
    record = record_of(tmp_path / "run", choices=[{"what": 1}])
    with pytest.raises(
        RunError,
        match=rf"^{re.escape(str(tmp_path))}/run/run\.json cannot be used: a choice in it is not one "
        r"that Drivetrain wrote\. Restore it from a copy\.$",
    ):
        record.choices  # noqa: B018


def test_no_run_is_said_as_such(tmp_path: Path) -> None:
    from drivetrain.report.record import open_record

    store.write_json(tmp_path / "run.json", {"format": 1})
    with pytest.raises(RunError, match=r"its 'task' is missing, or not what it has to be\."):
        open_record(tmp_path)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_which_way_a_metric_is_better_is_said_as_the_metric_says_it(name: str) -> None:
    is_higher = metric(name).higher_is_better
    assert better(name) == ("more" if is_higher else "less")
    assert better(metric(name).name) == better(name)
    told = {
        "metrics": {"valid": {name: 0.4}},
        "interval": [0.35, 0.45],
        "baselines": {"rule": {name: 0.2, "interval": [0.15, 0.25]}},
    }
    found = result_of(told)
    assert found is not None
    assert found.beats(found.baselines[0]) is is_higher


def test_of_a_metric_of_ones_own_no_way_is_said() -> None:
    assert better("profit") == ""
