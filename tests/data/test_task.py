"""The Task: JSON in, JSON out, nothing lost, nothing unknown taken."""

from __future__ import annotations

import json

import pytest

from drivetrain import store
from drivetrain.data.task import Task
from drivetrain.errors import RunError

TASK = Task(
    application="vision",
    inputs="picture",
    target="class",
    classes=("cat", "dög", "日本"),
    source="photos",
    found_by="files below the folder",
    labelled_by="name of the folder",
    split_by="stratified, 0.2",
    preprocessing={"size": 64, "mean": [0.5, 0.5, 0.5]},
)


def test_round_trip_through_a_file(tmp_path):
    store.write_json(tmp_path / "task.json", TASK.to_json())
    assert Task.from_json(store.read_json(tmp_path / "task.json")) == TASK


def test_defaults_survive_the_round_trip():
    task = Task("tabular", "row", "number")
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task
    assert task.classes == ()


def test_order_of_classes_is_kept():
    turned = Task("vision", "picture", "class", classes=("b", "a"))
    assert Task.from_json(turned.to_json()).classes == ("b", "a")
    assert turned != Task("vision", "picture", "class", classes=("a", "b"))


def test_is_frozen():
    with pytest.raises(AttributeError):
        TASK.source = "elsewhere"  # pyright: ignore[reportAttributeAccessIssue]


def test_json_does_not_share_its_lists_with_the_task():
    written = TASK.to_json()
    written["preprocessing"]["size"] = 1
    written["preprocessing"]["mean"].append(9.0)
    written["classes"].append("more")
    assert TASK.preprocessing == {"size": 64, "mean": [0.5, 0.5, 0.5]}
    assert len(TASK.classes) == 3


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"colour": "red"}, "Task.__init__() got an unexpected keyword argument 'colour'"),
        ({"classes": None}, "'NoneType' object is not iterable"),
    ],
)
def test_unknown_field_is_said(change, detail):
    with pytest.raises(RunError) as caught:
        Task.from_json(TASK.to_json() | change)
    assert str(caught.value) == (
        f"The task is not one that this version of Drivetrain wrote: {detail}."
    )


@pytest.mark.parametrize("field", ["application", "classes"])
def test_missing_field_is_said(field):
    data = TASK.to_json()
    del data[field]
    with pytest.raises(RunError, match=rf"^The task is not one .*'{field}'\.$"):
        Task.from_json(data)
