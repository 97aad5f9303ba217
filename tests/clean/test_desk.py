"""clean/desk.py: what an edit has to say, and that it is kept before it is answered."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import pytest

from drivetrain import _disk
from drivetrain.clean.journal import Journal
from drivetrain.clean.queue import Item, Queue
from drivetrain.errors import ConfigError, ConflictError, StorageError
from tests.clean.desks import item_hash, make_desk, make_items, make_queue, predictions_of

FORM = "An edit is an object of item, action, seen, key, and where it belongs label."


def edit_of(desk: Any, at: int = 0, action: str = "delete", **fields: Any) -> dict[str, Any]:
    hash_ = desk.queue.rows[at].item.hash
    return {"item": hash_, "action": action, "seen": 0, "key": f"key {at} {action}", **fields}


def test_an_edit_is_on_the_disk_when_it_is_answered(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "j.jsonl")
    said = desk.edit(edit_of(desk, 0, "relabel", label="pug"))
    assert said["number"] == said["edit"] == 1
    assert said["decision"] == {"action": "relabel", "label": "pug", "by": "ada", "number": 1}
    stands = Journal(tmp_path / "j.jsonl").decisions()[said["item"]]
    assert (stands.label, stands.was) == ("pug", desk.queue.rows[0].item.label)
    assert desk.state(1) == {"number": 1}
    assert desk.state(0)["decisions"] == {said["item"]: said["decision"]}
    undone = desk.turn("undo", {"key": "u"})
    assert (undone["item"], undone["decision"]) == (said["item"], None)
    assert desk.turn("redo", {"key": "r"})["decision"] == said["decision"]
    assert desk.turn("redo", {"key": "r2"}) == {
        "edit": None, "item": None, "decision": None, "number": 3, "entry": None, "entries": {},
    }  # fmt: skip


def test_a_repeat_changes_nothing_and_a_stale_edit_is_refused(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "j.jsonl")
    first = edit_of(desk, 0, "relabel", label="pug")
    assert desk.edit(first) == desk.edit(first)
    assert len(desk.journal.edits) == 1
    with pytest.raises(
        ConflictError,
        match=rf"^Item {first['item'][:12]} has changed since it was shown: ada decided 'relabel'\. "
        r"Look again\.$",
    ):
        desk.edit(edit_of(desk, 0, "keep"))


def test_copies_with_other_labels_are_changed_with_the_one_that_is_shown(tmp_path: Path) -> None:
    items = make_items(6)
    twin = item_hash("twin")
    items[0], items[1] = (Item(twin, one.name, one.label) for one in items[:2])
    queue = Queue.of(items, predictions_of(items))
    desk = make_desk(tmp_path / "j.jsonl", queue)
    body = {"item": twin, "action": "relabel", "label": "tabby", "seen": 0, "key": "k"}
    desk.edit(body)
    applied = desk.patch().apply([twin, twin], ["beagle", "pug"])
    assert applied.labels == ("tabby", "tabby") and applied.stale == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"item": "0" * 64}, "There is no item '000000000000' in the queue. Load it anew."),
        ({"item": "../../etc/x"}, "There is no item '../../etc/x' in the queue. Load it anew."),
        ({"action": "undo"}, "Unknown action 'undo'. Known: relabel, delete, keep, clear."),
        ({"label": "cat"}, "'cat' is no label of this data. Choose one that is."),
        ({"label": "pug"}, "The action 'delete' has no label."),
        ({"action": "relabel"}, "The action 'relabel' needs a label."),
        ({"seen": True}, FORM),
        ({"key": ""}, FORM),
        ({"key": "x" * 65}, FORM),
        ({"by": "eve"}, FORM),
    ],
)  # fmt: skip
def test_an_edit_that_says_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    desk = make_desk(tmp_path / "j.jsonl")
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        desk.edit({**edit_of(desk), **change})
    assert not (tmp_path / "j.jsonl").exists()


class Full(_disk.Disk):
    """A disk that fails one operation, by name."""

    def __init__(self, operation: str, takes: int = 0) -> None:
        self.operation, self.takes = operation, takes

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.operation != "write":
            return super().write(descriptor, data)
        if self.takes:
            taken, self.takes = self.takes, 0
            return super().write(descriptor, data[:taken])
        raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self, descriptor: int) -> None:
        if self.operation == "sync":
            raise OSError(errno.EIO, "Input/output error")
        super().sync(descriptor)


@pytest.mark.parametrize("disk", [Full("write"), Full("write", 40), Full("sync")])
def test_after_a_write_that_failed_the_desk_knows_what_the_disk_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Full
) -> None:
    path = tmp_path / "j.jsonl"
    desk = make_desk(path)
    desk.edit(edit_of(desk, 0))
    body = edit_of(desk, 1, "keep")
    with monkeypatch.context() as patched:
        patched.setattr(_disk, "disk", disk)
        with pytest.raises(StorageError):
            desk.edit(body)
    again = desk.edit(body)  # with its key: kept once, whether or not the first was
    desk.edit(edit_of(desk, 2))
    assert [edit.number for edit in Journal(path).edits] == [1, 2, 3]
    assert Journal(path).edits == desk.journal.edits and Journal(path).damaged == 0
    assert again["edit"] == 2


def test_what_is_shown_is_looked_up_by_its_hash_alone(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "j.jsonl", make_queue(41, "text"))
    row = max(desk.queue.rows, key=lambda one: len(one.item.text))
    assert desk.item(row.item.hash)["text"] == row.item.text
    assert desk.item("0" * 64) is None and desk.picture(row.item.hash) is None
