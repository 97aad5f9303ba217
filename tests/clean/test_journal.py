"""clean/journal.py: edits survive, prefixes are whole, and undo is what a model of it says."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from drivetrain.clean.journal import Decision, Journal
from drivetrain.errors import ConfigError, ConflictError, RunError


def item(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def edited(path: Path, count: int) -> Journal:
    """A journal of so many edits of every kind, by two people."""
    journal = Journal(path)
    for number in range(count):
        by = ("ada", "bob")[number % 2]
        if number % 7 == 5:
            journal.undo(by=by)
        elif number % 11 == 7:
            journal.redo(by=by)
        elif number % 3 == 0:
            journal.decide(item(number % 13), "delete", was="hawk", by=by)
        else:
            journal.decide(item(number % 13), "relabel", label=f"owl {number}", was="hawk", by=by)
    return journal


def test_what_was_decided_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "clean" / "journal.jsonl"
    journal = Journal(path)
    journal.decide(item(1), "relabel", label="owl", was="hawk", by="ada")
    journal.decide(item(2), "delete", by="ada")
    journal.decide(item(3), "keep", by="bob")
    journal.decide(item(2), "clear", by="bob")
    again = Journal(path)
    assert again.edits == journal.edits
    assert again.decisions() == {
        item(1): Decision("relabel", "owl", "hawk", "ada", 1),
        item(3): Decision("keep", None, None, "bob", 3),
    }
    assert again.damaged == 0


def test_undo_takes_back_ones_own_and_redo_makes_it_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.decide(item(1), "relabel", label="owl", by="ada")
    journal.decide(item(1), "relabel", label="kite", by="ada")
    journal.decide(item(2), "delete", by="bob")
    journal.undo(by="ada")
    assert journal.decisions()[item(1)].label == "owl"
    journal.undo(by="ada")
    assert journal.undo(by="ada") is None
    assert set(journal.decisions()) == {item(2)}
    journal.redo(by="ada")
    journal.redo(by="ada")
    assert journal.redo(by="ada") is None
    assert journal.decisions()[item(1)].label == "kite"
    journal.undo(by="ada")
    journal.decide(item(3), "keep", by="ada")
    assert journal.redo(by="ada") is None
    assert Journal(journal.path).decisions() == journal.decisions()


def test_an_edit_that_is_sent_twice_is_made_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    first = journal.decide(item(1), "delete", key="tab-1")
    assert journal.decide(item(1), "delete", key="tab-1") is first
    undone = journal.undo(key="tab-2")
    assert journal.undo(key="tab-2") is undone
    again = Journal(journal.path)
    assert again.decide(item(1), "delete", key="tab-1").number == 1
    assert len(again.edits) == 2


def test_a_window_that_has_not_seen_the_last_decision_does_not_overwrite_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    first = journal.decide(item(1), "delete", by="ada", seen=0)
    with pytest.raises(
        ConflictError,
        match=rf"^Item {item(1)[:12]} has changed since it was shown: ada decided 'delete'\. "
        r"Look again\.$",
    ):
        journal.decide(item(1), "keep", by="bob", seen=0)
    journal.decide(item(1), "keep", by="bob", seen=first.number)
    journal.undo(by="bob")
    journal.undo(by="ada")
    with pytest.raises(
        ConflictError, match=r"has changed since it was shown: it was undone\. Look"
    ):
        journal.decide(item(1), "keep", by="bob", seen=first.number)


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_cut_at_every_byte_it_is_a_prefix_and_goes_on(tmp_path: Path, count: int) -> None:
    whole = edited(tmp_path / "whole.jsonl", count)
    data = whole.path.read_bytes()
    cut = tmp_path / "cut.jsonl"
    seen = set()
    for length in range(len(data) + 1):
        cut.write_bytes(data[:length])
        journal = Journal(cut)
        kept = len(journal.edits)
        assert journal.edits == whole.edits[:kept]
        # a line is whole with its closing brace; its line end is put right by the next edit
        assert kept == data[: length + 1].count(b"\n")
        if kept not in seen:
            seen.add(kept)
            journal.decide(item("new"), "keep")
            again = Journal(cut)
            assert again.edits[:kept] == whole.edits[:kept]
            assert (len(again.edits), again.damaged) == (kept + 1, 0)
    assert len(seen) == len(whole.edits) + 1


@pytest.mark.slow
def test_a_session_of_200_edits_cut_or_damaged_at_any_byte_gives_no_wrong_edit(
    tmp_path: Path,
) -> None:
    whole = edited(tmp_path / "whole.jsonl", 200)
    data = whole.path.read_bytes()
    path = tmp_path / "damaged.jsonl"
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place])
        # a line that only misses its line end is whole
        assert Journal(path).edits == whole.edits[: data[: place + 1].count(b"\n")]
    lines = data.splitlines(keepends=True)
    for place in range(max(map(len, lines))):
        for first in range(4):  # this byte of every fourth line: each byte has its turn
            damaged = [bytearray(line) for line in lines]
            lost: set[int] = set()
            for at in range(first, len(lines), 4):
                if place < len(lines[at]):
                    damaged[at][place] ^= 1
                    lost |= {at, at + 1} if lines[at][place] == ord("\n") else {at}
            path.write_bytes(b"".join(damaged))
            found = Journal(path)
            kept = [edit for at, edit in enumerate(whole.edits) if at not in lost]
            assert found.edits == kept
            # of what was lost at the very end nothing is left that tells of it
            assert found.damaged == kept[-1].number - len(kept)


def test_a_damaged_line_is_left_out_and_counted(tmp_path: Path) -> None:
    journal = edited(tmp_path / "j.jsonl", 10)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"hawk", b"hawj")
    journal.path.write_bytes(b"".join(lines))
    again = Journal(journal.path)
    assert again.damaged == 1
    assert again.edits == journal.edits[:3] + journal.edits[4:]
    assert again.decide(item(1), "keep").number == journal.edits[-1].number + 1


def test_what_is_no_edit_and_no_journal_is_refused(tmp_path: Path) -> None:
    from drivetrain import store

    journal = Journal(tmp_path / "j.jsonl")
    for action, label, sentence in (
        ("relable", "owl", r"^Unknown action 'relable'\. Known: relabel, delete, keep, clear\.$"),
        ("relabel", None, r"^The action 'relabel' needs a label\.$"),
        ("delete", "owl", r"^The action 'delete' has no label\.$"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            journal.decide(item(1), action, label=label)
    assert not journal.path.exists()
    store.append_line(tmp_path / "log.jsonl", {"epoch": 1})
    with pytest.raises(
        RunError,
        match=r"log\.jsonl is no journal of edits: a line has 'epoch'\. Name another file\.$",
    ):
        Journal(tmp_path / "log.jsonl")


class JournalMachine(RuleBasedStateMachine):
    """Against a model that keeps two lists a person: what stands, and what was undone."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.journal = Journal(self.folder / "j.jsonl")
        self.order: list[tuple[int, str, str, str | None]] = []  # number, item, action, label
        self.done: dict[str, list[int]] = {"ada": [], "bob": []}
        self.undone: dict[str, list[int]] = {"ada": [], "bob": []}
        self.off: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(
        by=st.sampled_from(["ada", "bob"]),
        which=st.integers(0, 3),
        action=st.sampled_from(["relabel", "delete", "keep", "clear"]),
    )
    def decide(self, by: str, which: int, action: str) -> None:
        label = f"label {len(self.order)}" if action == "relabel" else None
        edit = self.journal.decide(item(which), action, label=label, by=by)
        self.order.append((edit.number, item(which), action, label))
        self.done[by].append(edit.number)
        self.undone[by] = []

    @rule(by=st.sampled_from(["ada", "bob"]))
    def undo(self, by: str) -> None:
        edit = self.journal.undo(by=by)
        assert (edit is None) == (not self.done[by])
        if self.done[by]:
            self.undone[by].append(self.done[by].pop())
            self.off.add(self.undone[by][-1])

    @rule(by=st.sampled_from(["ada", "bob"]))
    def redo(self, by: str) -> None:
        edit = self.journal.redo(by=by)
        assert (edit is None) == (not self.undone[by])
        if self.undone[by]:
            self.done[by].append(self.undone[by].pop())
            self.off.discard(self.done[by][-1])

    @rule()
    def reload(self) -> None:
        self.journal = Journal(self.journal.path)

    @invariant()
    def stands(self) -> None:
        if not hasattr(self, "journal"):
            return
        expected: dict[str, tuple[str, str | None]] = {}
        for number, which, action, label in self.order:
            if number not in self.off:
                expected.pop(which, None)
                if action != "clear":
                    expected[which] = (action, label)
        found = {k: (d.action, d.label) for k, d in self.journal.decisions().items()}
        assert found == expected


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
