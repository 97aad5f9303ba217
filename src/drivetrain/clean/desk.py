"""What the cleaning page may ask and do: the queue, the decisions, and edits that go to the journal.

    desk = Desk(queue, Journal(path), by="ada")
    desk.edit({"item": hash, "action": "relabel", "label": "owl", "seen": 0, "key": "…"})
    desk.state()["decisions"]

No HTTP here: the server hands in what a request said, and every door is checked here once more. Items
are looked up in the queue by their hash, and nothing a request says becomes a path.

An answer to an edit is given when the journal has it on the disk. One lock orders all edits.

Where items have several targets an edit says of which label it is. Its answer tells what stands of all
entries of the item, since leaving it out is of all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from drivetrain.clean.journal import ACTIONS, Decision, Edit, Journal
from drivetrain.clean.patch import Patch
from drivetrain.clean.queue import Queue, Row, entry_of
from drivetrain.errors import ConfigError, DrivetrainError, StorageError

LONGEST_KEY = 64
"""Letters of the key of an edit."""

Picture = Callable[[str], bytes]
"""Hash of an item -> a PNG of it, made by us: no byte of the source's file reaches the browser."""


class Desk:
    """A queue and the journal of what is decided of it.

    Args:
        queue: the items.
        journal: of the run; this process holds its lock.
        by: who decides.
        title: of the page.
        run: names the run; under it the browser keeps what it could not send.
        picture: makes the PNG of an item; None where no item is a picture.
    """

    def __init__(
        self,
        queue: Queue,
        journal: Journal,
        *,
        by: str = "",
        title: str = "",
        run: str = "",
        picture: Picture | None = None,
    ) -> None:
        self.queue = queue
        self.journal = journal
        self.by = by
        self.title = title
        self.run = run
        self._picture = picture
        self._lock = threading.Lock()

    def page(self) -> dict[str, Any]:
        """What the page begins with."""
        known = {"title": self.title, "run": self.run, "by": self.by}
        return {**known, **self.queue.to_json(), **self.state()}

    def state(self, known: int | None = None) -> dict[str, Any]:
        """What stands: `{number, decisions}`; the number alone where `known` is the newest already."""
        with self._lock:
            number = self._newest
            if known == number:
                return {"number": number}
            decisions = self._decisions()
        return {
            "number": number,
            "decisions": {
                row.item.entry: _said(decisions[row.item.target][row.item.hash])
                for row in self.queue.rows
                if row.item.hash in decisions[row.item.target]
            },
        }

    def item(self, hash_: str) -> dict[str, Any] | None:
        """A text or row in full; None where there is no such item."""
        row = self.queue.by_hash.get(hash_)
        if row is None:
            return None
        cells = None if row.item.cells is None else [list(cell) for cell in row.item.cells]
        return {"hash": hash_, "text": row.item.text, "cells": cells}

    def picture(self, hash_: str) -> bytes | None:
        """The PNG of an item; None where there is no such picture.

        Raises: DrivetrainError: its file is gone or damaged by now.
        """
        row = self.queue.by_hash.get(hash_)
        if row is None or row.item.kind != "picture" or self._picture is None:
            return None
        return self._picture(hash_)

    def edit(self, body: Any) -> dict[str, Any]:
        """Decide: `{item, action, seen, key}`, `label` of a relabelling, and `target` where there are
        several. Returns when it is kept.

        Raises: ConfigError: it says something else, or names no item or label of the queue.
            ConflictError: somebody has decided since. StorageError: it was not kept.
        """
        needed = {"item": str, "action": str, "seen": int, "key": str}
        if self.queue.targets:
            needed["target"] = str
        said = _checked(body, needed, {"label": str})
        row = self._row(said)
        if row is None:
            raise ConfigError(f"There is no item {said['item'][:12]!r} in the queue. Load it anew.")
        if said["action"] not in ACTIONS:
            raise ConfigError(
                f"Unknown action {said['action'][:20]!r}. Known: {', '.join(ACTIONS)}."
            )
        label = said.get("label")
        if label is not None and label not in self.queue.labels_of(row):
            raise ConfigError(f"{label[:40]!r} is no label of this data. Choose one that is.")
        # copies with other labels are the same content: whatever they are called, they get this one
        was = None if row.also else row.item.label
        return self._kept(
            lambda: self.journal.decide(
                said["item"],
                said["action"],
                label=label,
                was=was,
                by=self.by,
                key=said["key"],
                seen=said["seen"],
                target=row.item.target,
            )
        )

    def turn(self, action: str, body: Any) -> dict[str, Any]:
        """Undo or redo: `{key}`. `edit` is None where there is nothing to.

        Raises: ConfigError, StorageError: as `edit`.
        """
        said = _checked(body, {"key": str}, {})
        turn = self.journal.undo if action == "undo" else self.journal.redo
        return self._kept(lambda: turn(by=self.by, key=said["key"]))

    def patch(self) -> Patch:
        """What was decided, as a patch."""
        names = {hash_: row.item.name for hash_, row in self.queue.by_hash.items()}
        with self._lock:
            return patch_of(self.journal, names)

    def standing(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What stands of the entry that an edit is about: `{item, entry, decision}`."""
        row = self._row(body)
        with self._lock:
            decisions = {} if row is None else self.journal.decisions(row.item.target)
        stands = decisions.get(body["item"])
        return {
            "item": body["item"],
            "entry": body["item"] if row is None else row.item.entry,
            "decision": None if stands is None else _said(stands),
        }

    def _row(self, said: Mapping[str, Any]) -> Row | None:
        return self.queue.by_entry.get(entry_of(said["item"], said.get("target", "")))

    def _decisions(self) -> dict[str, dict[str, Decision]]:
        """Target -> item -> what stands; one nameless target where there are not several."""
        return {name: self.journal.decisions(name) for name in self.queue.targets or ("",)}

    @property
    def _newest(self) -> int:
        return self.journal.edits[-1].number if self.journal.edits else 0

    def _kept(self, write: Callable[[], Edit | None]) -> dict[str, Any]:
        with self._lock:
            try:
                edit = write()
            except StorageError:
                self._reread()
                raise
            if edit is None:
                return {
                    "edit": None, "item": None, "decision": None, "number": self._newest,
                    "entry": None, "entries": {},
                }  # fmt: skip
            entries = {
                entry_of(edit.item, name): decisions.get(edit.item)
                for name, decisions in self._decisions().items()
            }
            entry = entry_of(edit.item, edit.target)
            told = {name: None if one is None else _said(one) for name, one in entries.items()}
            return {
                "edit": edit.number,
                "item": edit.item,
                "entry": entry,
                "decision": told.get(entry),
                "entries": told,
                "number": self._newest,
            }

    def _reread(self) -> None:
        """After a failed write the disk says what was kept: the line may be whole, or torn."""
        try:
            self.journal = Journal(self.journal.path)
        except DrivetrainError:  # it cannot be read now either: what is known stays
            return


def patch_of(journal: Journal, names: Mapping[str, str]) -> Patch:
    """What was decided in a journal, as a patch.

    Args:
        journal: of a run.
        names: item -> what it is called, for people.
    """
    if journal.targets:
        return Patch.of({}, names, {name: journal.decisions(name) for name in journal.targets})
    return Patch.of(journal.decisions(), names)


def _said(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action,
        "label": decision.label,
        "by": decision.by,
        "number": decision.number,
    }


def _checked(body: Any, needed: Mapping[str, type], allowed: Mapping[str, type]) -> dict[str, Any]:
    """What a request says, with the fields that it has to have and none but known ones."""
    kinds = {**needed, **allowed}
    fits = (
        isinstance(body, dict)
        and needed.keys() <= body.keys() <= kinds.keys()
        and all(type(value) is kinds[name] for name, value in body.items())
        and 0 < len(body["key"]) <= LONGEST_KEY
    )
    if not fits:
        raise ConfigError(
            f"An edit is an object of {', '.join(needed)}"
            f"{''.join(f', and where it belongs {name}' for name in allowed)}."
        )
    return dict(body)
