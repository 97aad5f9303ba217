"""The journal: stages as JSON and back, and the recipes that plan them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import RunError
from drivetrain.train import journal
from drivetrain.train.journal import STATUSES, Stage, fine_tune_stages, one_cycle_stage


def again(stage: Stage) -> Stage:
    return Stage.from_json(json.loads(json.dumps(stage.to_json())))


@settings(max_examples=30, deadline=None)
@given(
    epochs=st.integers(1, 1000),
    lrs=st.lists(st.floats(1e-9, 10.0), min_size=1, max_size=4),
    status=st.sampled_from(STATUSES),
    done=st.integers(0, 1000),
)
def test_a_stage_survives_json(epochs: int, lrs: list[float], status: str, done: int):
    stage = one_cycle_stage(epochs, lrs, weight_decay=0.01)
    stage.status, stage.epochs_done, stage.steps_done = status, done, 17 * done
    assert again(stage) == stage
    assert again(Stage("freeze", "freeze", frozen_groups=2)).momentum is None


def test_what_a_stage_says_as_json_does_not_change_with_it():
    stage = one_cycle_stage(1, [0.1], weight_decay=0.0)
    said = stage.to_json()
    stage.lrs.append(0.2)
    stage.schedule["name"] = "constant"
    assert said["lrs"] == [0.1]
    assert said["schedule"]["name"] == "one_cycle"


def test_stages_do_not_share_their_defaults():
    first, second = Stage("fit", "fit(1)"), Stage("fit", "fit(1)")
    first.lrs.append(1.0)
    first.schedule["name"] = "linear"
    assert second.lrs == []
    assert second.schedule == {"name": "constant"}


@pytest.mark.parametrize("status", ["planned", "running", "stopped"])
def test_what_is_planned_or_goes_on_is_open(status: str):
    assert Stage("fit", "fit(1)", status=status).is_open


@pytest.mark.parametrize("status", ["done", "cancelled", "interrupted", "broken"])
def test_what_has_ended_is_not_open(status: str):
    assert not Stage("fit", "fit(1)", status=status).is_open


def test_a_journal_of_another_version_is_refused():
    with pytest.raises(RunError) as caught:
        Stage.from_json({"kind": "fit", "call": "fit(1)", "warmup": 3})
    assert str(caught.value) == (
        "The journal is not one of this version of Drivetrain: "
        "Stage.__init__() got an unexpected keyword argument 'warmup'."
    )
    with pytest.raises(RunError, match=r"^The journal is not one of this version of Drivetrain: "):
        Stage.from_json({"kind": "fit"})


def test_one_cycle_records_the_papers_numbers():
    stage = one_cycle_stage(5, [1e-3, 1e-2], weight_decay=0.1)
    assert (stage.kind, stage.epochs, stage.lrs) == ("fit", 5, [1e-3, 1e-2])
    assert stage.schedule == {"name": "one_cycle", "pct_start": 0.25, "div": 25.0, "div_final": 1e5}
    assert stage.momentum == {
        "name": "one_cycle_momentum",
        "pct_start": 0.25,
        "moms": [0.95, 0.85, 0.95],
    }
    assert stage.status == journal.PLANNED


def test_fine_tuning_is_the_head_alone_and_then_all_layers():
    stages = fine_tune_stages(
        3,
        2e-3,
        head_lrs=[2e-3, 2e-3, 2e-3],
        body_lrs=[1e-5, 1e-4, 1e-3],
        freeze_epochs=1,
        frozen_groups=2,
        keep_frozen=0,
        keep_statistics=True,
        weight_decay=0.01,
    )
    assert [stage.keep_statistics for stage in stages] == [False, False, False, True]
    assert [stage.kind for stage in stages] == ["freeze", "fit", "freeze", "fit"]
    assert [stage.frozen_groups for stage in stages] == [2, 0, 0, 0]
    assert [stage.epochs for stage in stages] == [0, 1, 0, 3]
    assert stages[1].lrs == [2e-3, 2e-3, 2e-3]
    assert stages[3].lrs == [1e-5, 1e-4, 1e-3]
    assert {stage.call for stage in stages} == {"fine_tune(3, lr=0.002)"}
    assert stages[1].schedule["pct_start"] == 0.99
    assert (stages[3].schedule["pct_start"], stages[3].schedule["div"]) == (0.3, 5.0)


def test_a_call_with_a_line_end_is_refused() -> None:
    """A script writes calls in comments, and a foreign journal must not write code there."""
    stage = journal.one_cycle_stage(1, [0.1], weight_decay=0.0)
    record = stage.to_json() | {"call": "fit\nimport os"}
    with pytest.raises(RunError) as error:
        journal.Stage.from_json(record)
    assert str(error.value) == (
        "The journal is not one of this version of Drivetrain: a stage has no such call."
    )
