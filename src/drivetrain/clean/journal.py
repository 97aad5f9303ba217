"""What people decided of their items: an append-only file that loses nothing acknowledged.

    journal = Journal("runs/birds/clean/journal.jsonl")
    journal.decide(item, "relabel", label="owl", was="hawk", by="ada", key="browser-17")
    journal.undo(by="ada")
    journal.decisions()                      # item -> Decision, as it stands now

Each line is one edit with a checksum, on the disk before `decide` returns. A file cut anywhere holds
a whole prefix of the edits; a line that was damaged is left out and told of. Undoing is an edit as
well: what was decided before stays in the file.

An edit sent twice with one `key` is made once. One that was made looking at an older decision (`seen`)
is refused, so that a second window never overwrites what the first has decided.

Where items have several targets an edit says of which (`target`), and labels of one target stand and are
undone by themselves. Leaving an item out is of the item as a whole, whatever entry it was decided at; a
later edit of any of its targets takes it in again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.errors import ConfigError, ConflictError, RunError

ACTIONS = ("relabel", "delete", "keep", "clear")
"""What may be decided: another label, to leave the item out, that it is right, and nothing after all."""


@dataclass(frozen=True)
class Edit:
    """A line of the journal."""

    number: int
    """Counted from 1."""
    action: str
    """One of `ACTIONS`, or "undo" or "redo"."""
    item: str
    """SHA-256 of the item's content; of "undo" and "redo", that of the edit that they are about."""
    by: str
    """Who."""
    at: str
    """When, as ISO 8601 in UTC."""
    key: str = ""
    """Made by whoever sent it; an edit with a key that is known already is not made again."""
    label: str | None = None
    """The new label, of "relabel"."""
    was: str | None = None
    """The label that the source has."""
    of: int | None = None
    """The edit that is undone or redone."""
    target: str = ""
    """Of whose label it is, where there are several."""

    def to_json(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: value for name, value in self.__dict__.items() if value not in (None, "")}


@dataclass(frozen=True)
class Decision:
    """What stands of an item."""

    action: str
    """"relabel", "delete" or "keep"."""
    label: str | None
    was: str | None
    by: str
    number: int
    """Of the edit that it comes from: what a window has seen of the item."""


@dataclass
class Journal:
    """The edits of a file, read when it is opened and appended to.

    One process writes; the server holds the lock. Not safe for several threads: the caller locks.

    Args:
        path: of the file; it may not be there yet.
    """

    path: Path
    edits: list[Edit] = field(default_factory=list)
    damaged: int = 0
    """Edits that are missing, since their lines are damaged."""

    def __init__(self, path: store.StrPath) -> None:
        self.path = Path(path)
        self.edits = []
        for line in store.read_lines(self.path):
            self.edits.append(_edit_of(line, self.path))
        self._next = self.edits[-1].number + 1 if self.edits else 1
        self.damaged = self._next - 1 - len(self.edits)
        self._by_key = {edit.key: edit for edit in self.edits if edit.key}

    def decide(
        self,
        item: str,
        action: str,
        *,
        label: str | None = None,
        was: str | None = None,
        by: str = "",
        key: str = "",
        seen: int | None = None,
        target: str = "",
    ) -> Edit:
        """Write an edit to the disk and return it.

        Args:
            item: SHA-256 of the item's content.
            action: one of `ACTIONS`.
            label: the new label, for "relabel".
            was: the label that the source has.
            by: who decides.
            key: of the sender; with one that is known the edit made then is returned.
            seen: number of the item's decision that the sender knows, 0 for none; None: do not ask.
            target: of whose label it is, where there are several.

        Raises: ConfigError: an unknown action, or a label where none belongs or none is given.
            ConflictError: somebody has decided since. StorageError: the disk refused; then nothing was
            decided.
        """
        if action not in ACTIONS:
            raise ConfigError(f"Unknown action {action!r}. Known: {', '.join(ACTIONS)}.")
        if (label is None) == (action == "relabel"):
            raise ConfigError(
                f"The action {action!r} {'needs a' if label is None else 'has no'} label."
            )
        if known := self._by_key.get(key) if key else None:
            return known
        stands = self.decisions(target).get(item)
        if seen is not None and seen != (stands.number if stands else 0):
            who = stands and f"{stands.by or 'somebody'} decided {stands.action!r}"
            raise ConflictError(
                f"Item {item[:12]} has changed since it was shown: {who or 'it was undone'}. Look again."
            )
        return self._append(action, item, by=by, key=key, label=label, was=was, target=target)

    def undo(self, *, by: str = "", key: str = "") -> Edit | None:
        """Take back the last edit of `by` that stands; None where there is none.

        Args:
            by: who takes back.
            key: of the request, so that one that is sent twice counts once.

        Returns: the edit that this wrote; None where nothing of `by` stands.
        """
        return self._turn("undo", by, key)

    def redo(self, *, by: str = "", key: str = "") -> Edit | None:
        """Make the edit again that `by` undid last, unless `by` has decided anything since.

        Args:
            by: who makes it again.
            key: of the request, so that one that is sent twice counts once.

        Returns: the edit that this wrote; None where there is nothing to make again.
        """
        return self._turn("redo", by, key)

    def _turn(self, action: str, by: str, key: str) -> Edit | None:
        if known := self._by_key.get(key) if key else None:
            return known
        done, undone = self._stacks(by)
        of = (done if action == "undo" else undone)[-1:]
        if not of:
            return None
        edit = of[0]
        return self._append(action, edit.item, by=by, key=key, of=edit.number, target=edit.target)

    def _stacks(self, by: str) -> tuple[list[Edit], list[Edit]]:
        """Edits of one person that stand, and those that were undone, each the last one last."""
        done: list[Edit] = []
        undone: list[Edit] = []
        for edit in self.edits:
            if edit.by != by:
                continue
            if edit.action == "undo":
                moved = [one for one in done if one.number == edit.of]
                done = [one for one in done if one.number != edit.of]
                undone += moved
            elif edit.action == "redo":
                moved = [one for one in undone if one.number == edit.of]
                undone = [one for one in undone if one.number != edit.of]
                done += moved
            else:
                done.append(edit)
                undone = []
        return done, undone

    def decisions(self, target: str = "") -> dict[str, Decision]:
        """Item -> what stands: of its edits that were not undone the last one.

        Args:
            target: of whose labels, where there are several.
        """
        off: set[int] = set()
        for edit in self.edits:
            if edit.action == "undo" and edit.of is not None:
                off.add(edit.of)
            elif edit.action == "redo" and edit.of is not None:
                off.discard(edit.of)
        found: dict[str, Decision] = {}
        left_out: dict[str, Decision] = {}
        for edit in self.edits:
            if edit.action in ("undo", "redo") or edit.number in off:
                continue
            left_out.pop(edit.item, None)
            decision = Decision(edit.action, edit.label, edit.was, edit.by, edit.number)
            if edit.action == "delete":
                left_out[edit.item] = decision
            elif edit.target == target:
                found.pop(edit.item, None)
                if edit.action != "clear":
                    found[edit.item] = decision
        return {**found, **left_out}

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that edits are of, sorted; none where there is one that needs no name."""
        return tuple(sorted({edit.target for edit in self.edits if edit.target}))

    @property
    def num_decided(self) -> int:
        """Labels about which something was decided; an item that is left out counts once."""
        stands = {
            (item, "" if decision.action == "delete" else target)
            for target in self.targets or ("",)
            for item, decision in self.decisions(target).items()
        }
        return len(stands)

    def _append(self, action: str, item: str, **fields: Any) -> Edit:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        edit = Edit(self._next, action, item, at=at, **fields)
        store.append_line(self.path, edit.to_json())
        self._next += 1
        self.edits.append(edit)
        if edit.key:
            self._by_key[edit.key] = edit
        return edit


_FORM: Mapping[str, type] = {
    "number": int, "action": str, "item": str, "by": str, "at": str, "key": str, "label": str,
    "was": str, "of": int, "target": str,
}  # fmt: skip


def _edit_of(line: Mapping[str, Any], path: Path) -> Edit:
    wrong = [
        name for name, value in line.items() if name not in _FORM or type(value) is not _FORM[name]
    ]
    if wrong or not {"number", "action", "item", "at"} <= line.keys():
        raise RunError(
            f"{path} is no journal of edits: a line has "
            f"{', '.join(map(repr, wrong)) or 'not all it needs'}. Name another file."
        )
    return Edit(**{"by": "", **line})
