"""clean/journal.py and clean/desk.py where items have several targets: what stands of each, and the file
cut anywhere."""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.clean.desk import patch_of
from drivetrain.clean.journal import Edit, Journal
from drivetrain.errors import ConfigError, ConflictError
from tests.clean.desks import TARGETS, item_hash, make_desk, make_several

pytestmark = pytest.mark.row(118)
NAMES = tuple(TARGETS)


def edited(path: Path, count: int, *, seed: int = 0) -> Journal:
    """A journal of so many edits of every kind, of two targets, by two people."""
    journal, draw = Journal(path), random.Random(seed)
    while len(journal.edits) < count:
        by, target = draw.choice(["ada", "bob"]), draw.choice(NAMES)
        hash_ = item_hash(draw.randrange(4))
        what = draw.choice(["relabel", "relabel", "keep", "delete", "clear", "undo", "redo"])
        if what in ("undo", "redo"):
            getattr(journal, what)(by=by)
        else:
            label = draw.choice(TARGETS[target]) if what == "relabel" else None
            journal.decide(hash_, what, label=label, was="x", by=by, target=target)
    return journal


def standing(edits: list[Edit], item: str, target: str) -> tuple[str, str | None] | None:
    """What stands, told once more in another way: from the last edit backwards."""
    undone: set[int] = set()
    settled: set[int] = set()
    for edit in reversed(edits):  # the last word on an edit is what holds
        if edit.action in ("undo", "redo") and edit.of not in settled:
            settled.add(edit.of or 0)
            if edit.action == "undo":
                undone.add(edit.of or 0)
    plain = [e for e in edits if e.action not in ("undo", "redo") and e.number not in undone]
    of_item = [edit for edit in plain if edit.item == item]
    if of_item and of_item[-1].action == "delete":
        return "delete", None
    own = [edit for edit in of_item if edit.target == target and edit.action != "delete"]
    if not own or own[-1].action == "clear":
        return None
    return own[-1].action, own[-1].label


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_labels_of_each_target_stand_by_themselves_and_leaving_out_is_of_all(
    seed: int, count: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = edited(Path(folder) / "j.jsonl", count, seed=seed)
        again = Journal(journal.path)
    assert again.edits == journal.edits
    for target in NAMES:
        decisions = again.decisions(target)
        for number in range(4):
            stands = decisions.get(item_hash(number))
            said = None if stands is None else (stands.action, stands.label)
            assert said == standing(again.edits, item_hash(number), target)


def test_of_two_targets_cut_at_every_byte_it_is_a_prefix_and_goes_on(tmp_path: Path) -> None:
    whole = edited(tmp_path / "whole.jsonl", 12, seed=3)
    assert {edit.target for edit in whole.edits} == set(NAMES)
    data = whole.path.read_bytes()
    cut, seen = tmp_path / "cut.jsonl", set()
    for length in range(len(data) + 1):
        cut.write_bytes(data[:length])
        journal = Journal(cut)
        kept = len(journal.edits)
        assert journal.edits == whole.edits[:kept] and kept == data[: length + 1].count(b"\n")
        if kept in seen:
            continue
        seen.add(kept)
        for target in NAMES:
            for number in range(4):
                stands = journal.decisions(target).get(item_hash(number))
                said = None if stands is None else (stands.action, stands.label)
                assert said == standing(whole.edits[:kept], item_hash(number), target)
        journal.decide(item_hash("new"), "keep", target="keeper")
        again = Journal(cut)
        assert again.edits[:kept] == whole.edits[:kept] and len(again.edits) == kept + 1
    assert len(seen) == len(whole.edits) + 1


def test_what_is_decided_is_counted_label_by_label_and_an_item_left_out_once(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for target in NAMES:
        journal.decide(item_hash(1), "keep", target=target)
        journal.decide(item_hash(2), "keep", target=target)
    assert journal.num_decided == 4
    journal.decide(item_hash(2), "delete", target=NAMES[0])
    journal.decide(item_hash(3), "delete", target=NAMES[1])
    assert journal.num_decided == 4
    one = Journal(tmp_path / "one.jsonl")
    one.decide(item_hash(1), "keep")
    one.decide(item_hash(2), "delete")
    assert one.num_decided == 2


def test_a_journal_of_one_target_says_nothing_of_targets(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.decide(item_hash(1), "relabel", label="pug", was="tabby")
    assert b"target" not in journal.path.read_bytes() and journal.targets == ()
    assert patch_of(journal, {}).to_json()["version"] == 1


def body(row: Any, action: str, **fields: Any) -> dict[str, Any]:
    known = {"item": row.item.hash, "target": row.item.target, "action": action, "seen": 0}
    return {**known, "key": f"{action} {row.item.entry[-20:]}", **fields}


def test_an_edit_is_of_its_target_and_leaving_out_of_all(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "j.jsonl", make_several())
    breed = next(row for row in desk.queue.rows if row.item.target == "breed")
    keeper = desk.queue.by_entry[f"{breed.item.hash} keeper"]
    said = desk.edit(body(breed, "relabel", label="pug"))
    assert said["entry"] == breed.item.entry and said["decision"]["label"] == "pug"
    assert said["entries"] == {breed.item.entry: said["decision"], keeper.item.entry: None}
    assert list(desk.state()["decisions"]) == [breed.item.entry]
    out = desk.edit(body(keeper, "delete"))
    assert set(desk.state()["decisions"]) == {breed.item.entry, keeper.item.entry}
    assert {one["action"] for one in out["entries"].values()} == {"delete"}
    patch = desk.patch()
    assert dict(patch.targets) == {} and patch.changes[breed.item.hash].label is None
    assert patch.changes[breed.item.hash].was is None, "it goes whatever its labels are by now"
    back = desk.turn("undo", {"key": "u"})
    assert back["entry"] == keeper.item.entry and back["decision"] is None
    assert back["entries"][breed.item.entry]["label"] == "pug"
    desk.turn("redo", {"key": "r"})
    again = desk.edit(body(keeper, "relabel", label="shelter", seen=2, key="k"))
    assert again["entries"][breed.item.entry]["label"] == "pug", "it is taken in again"
    patch = desk.patch()
    assert {name: one[breed.item.hash].label for name, one in patch.targets.items()} == {
        "breed": "pug", "keeper": "shelter",
    }  # fmt: skip
    assert patch.targets["keeper"][breed.item.hash].was == keeper.item.label


def test_who_has_not_seen_that_the_item_was_left_out_does_not_overwrite_it(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "j.jsonl", make_several())
    first = desk.queue.rows[0]
    other = next(row for row in desk.queue.rows[1:] if row.item.hash == first.item.hash)
    desk.edit(body(first, "delete"))
    with pytest.raises(ConflictError, match=r"ada decided 'delete'\. Look again\.$"):
        desk.edit(body(other, "keep"))
    assert desk.standing(body(other, "keep")) == {
        "item": other.item.hash,
        "entry": other.item.entry,
        "decision": {"action": "delete", "label": None, "by": "ada", "number": 1},
    }
    desk.edit(body(other, "keep", seen=1))
    assert desk.patch().changes == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target": "colour"}, "There is no item '{item}' in the queue. Load it anew."),
        ({"label": "home"}, "'home' is no label of this data. Choose one that is."),
        ({"target": None},
         "An edit is an object of item, action, seen, key, target, and where it belongs label."),
    ],
)  # fmt: skip
def test_an_edit_of_another_target_or_label_is_refused(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    desk = make_desk(tmp_path / "j.jsonl", make_several())
    row = next(row for row in desk.queue.rows if row.item.target == "breed")
    told = sentence.format(item=row.item.hash[:12])
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        desk.edit({**body(row, "relabel", label="pug"), **change})
    assert not (tmp_path / "j.jsonl").exists()
