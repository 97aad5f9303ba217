"""Changes to labels as a file of their own: what a source has stays as it is.

    patch = Patch.of(journal.decisions(), names)
    patch.write("birds.patch.json")
    applied = Patch.read("birds.patch.json").apply(hashes, labels)
    applied.labels, applied.kept                       # what a training then sees

A patch names items by the SHA-256 of their content, so that it fits wherever they lie and whatever they
are called, and no others. It says of each what label it had: an item whose label is another by now is
left as it is, and told of. Without the patch everything is as before: that is how it is taken back.
Patches of several people merge; where they disagree, neither is taken, and both are told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.clean.journal import Decision
from drivetrain.errors import DataError, ShapeError

VERSION = 1
_FORMAT = "drivetrain-patch"


@dataclass(frozen=True)
class Change:
    """What becomes of one item: another label, or left out."""

    label: str | None
    """The new label; None: left out."""
    was: str | None = None
    """The label it had when it was decided; None: whatever it has."""
    name: str = ""
    """What the item was called, for people."""


@dataclass(frozen=True)
class Applied:
    """A source's items as a patch leaves them."""

    labels: tuple[str, ...]
    """(N,) labels; of items that are left out the old ones."""
    kept: tuple[bool, ...]
    """(N,) whether the item stays."""
    relabelled: int
    left_out: int
    stale: tuple[str, ...]
    """Items whose label is neither what it was nor what it is to be: left as they are."""
    missing: int
    """Changes whose item is not in the source."""

    def notes(self) -> tuple[str, ...]:
        """What happened, in sentences."""
        told = [
            f"The patch gives {self.relabelled} items another label and leaves {self.left_out} out."
        ]
        if self.stale:
            told.append(
                f"{len(self.stale)} items have a label by now that the patch does not know, and were "
                f"left as they are: {', '.join(self.stale[:3])}{' …' if len(self.stale) > 3 else ''}."
            )
        if self.missing:
            told.append(f"{self.missing} items of the patch are not in this source.")
        return tuple(told)


@dataclass(frozen=True)
class Patch:
    """Item (SHA-256 of its content, hex) -> what becomes of it."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    """Hash of an item -> its change."""

    def __len__(self) -> int:
        return len(self.changes)

    @classmethod
    def of(cls, decisions: Mapping[str, Decision], names: Mapping[str, str] | None = None) -> Patch:
        """The patch of what stands in a journal; what is kept as it is needs no change.

        Args:
            decisions: item -> what stands of it.
            names: item -> what it is called, for people.
        """
        called = names or {}
        return cls(
            {
                item: Change(
                    decision.label if decision.action == "relabel" else None,
                    decision.was,
                    called.get(item, ""),
                )
                for item, decision in sorted(decisions.items())
                if decision.action in ("relabel", "delete")
            }
        )

    def apply(self, hashes: Sequence[str], labels: Sequence[str]) -> Applied:
        """What the patch makes of a source's items. An item that is there twice is changed twice.

        Args:
            hashes: (N,) SHA-256 of each item's content.
            labels: (N,) the label of each.

        Raises: ShapeError: not as many labels as hashes.
        """
        if len(hashes) != len(labels):
            raise ShapeError(f"A patch got {len(hashes)} items and {len(labels)} labels.")
        new, kept, stale = list(labels), [True] * len(labels), []
        relabelled = left_out = 0
        for row, (item, label) in enumerate(zip(hashes, labels, strict=True)):
            change = self.changes.get(item)
            if change is None or label == change.label:
                continue
            if change.was not in (None, label):
                stale.append(change.name or item[:12])
            elif change.label is None:
                kept[row] = False
                left_out += 1
            else:
                new[row] = change.label
                relabelled += 1
        missing = len(self.changes.keys() - set(hashes))
        return Applied(tuple(new), tuple(kept), relabelled, left_out, tuple(stale), missing)

    def inverted(self) -> Patch:
        """The patch that takes relabellings back where they were written into the source.

        What was left out is not in it: nothing was removed from the source.
        """
        return Patch(
            {
                item: Change(change.was, change.label, change.name)
                for item, change in self.changes.items()
                if change.label is not None and change.was is not None
            }
        )

    @classmethod
    def of_setting(cls, given: Setting | Sequence[Setting]) -> Patch:
        """A patch as data is given one: itself, its JSON as a run records it, its file, or several.

        Raises: DataError: several decide differently of an item; see `merge`. As `read`.
        """
        if isinstance(given, Patch):
            return given
        if isinstance(given, Mapping):
            return cls.from_json(given)
        if isinstance(given, str | os.PathLike):
            return cls.read(given)
        agreed, apart = merge(cls.of_setting(one) for one in given)
        if apart:
            item, changes = next(iter(apart.items()))
            name = next((change.name for change in changes if change.name), item[:12])
            said = " or ".join("left out" if c.label is None else f"'{c.label}'" for c in changes)
            others = f" {len(apart) - 1:,} more are." if len(apart) > 1 else ""
            raise DataError(
                f"{name} is decided differently in these patches: {said}.{others} Take all but one of "
                "the changes out of the patches, or decide it once more with `drivetrain clean`."
            )
        return agreed

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "format": _FORMAT,
            "version": VERSION,
            "changes": {
                item: {"label": change.label, "was": change.was, "name": change.name}
                for item, change in sorted(self.changes.items())
            },
        }

    def write(self, path: store.StrPath) -> Path:
        """Write it as JSON, for people to read and for version control.

        Args:
            path: of the file; one that is there is replaced.

        Returns: the path.
        Raises: StorageError.
        """
        store.write_text(path, store.to_json(self.to_json(), indent=2) + "\n")
        return Path(path)

    @classmethod
    def read(cls, path: store.StrPath) -> Patch:
        """Read what `write` wrote.

        Args:
            path: of the file.

        Returns: the patch.
        Raises: RunError: it is missing, or no JSON. DataError: it is no patch, or of a later version.
        """
        return cls.from_json(store.read_json(path), path)

    @classmethod
    def from_json(cls, value: Any, path: store.StrPath = "The patch") -> Patch:
        """What `to_json` gave; `path` is named in errors.

        Args:
            value: plain JSON.
            path: what it was read from, for a message.

        Raises: DataError: as `read`.
        """
        if not isinstance(value, dict) or value.get("format") != _FORMAT:
            raise DataError(f"{path} is no patch: expected a file that `drivetrain clean` wrote.")
        if value.get("version") != VERSION:
            raise DataError(
                f"{path} is a patch of version {value.get('version')!r}, and {VERSION} is known. Use a "
                "newer Drivetrain."
            )
        changes = value.get("changes")
        if not isinstance(changes, dict):
            raise DataError(f"{path} is a patch without its `changes`. Restore it from a copy.")
        return cls({item: _change_of(item, change, path) for item, change in changes.items()})


Setting = Patch | Mapping[str, Any] | store.StrPath
"""A patch, its JSON, or its file."""


def merge(patches: Iterable[Patch]) -> tuple[Patch, dict[str, tuple[Change, ...]]]:
    """All changes that nobody contradicts, and those that somebody does: item -> the different ones.

    The order of the patches does not matter.
    """
    found: dict[str, dict[tuple[str | None, str | None], Change]] = {}
    for patch in patches:
        for item, change in patch.changes.items():
            alike = found.setdefault(item, {})
            known = alike.get((change.label, change.was))
            if known is None or (change.name and change.name < (known.name or "\U0010ffff")):
                alike[change.label, change.was] = change
    agreed = {item: next(iter(all_.values())) for item, all_ in found.items() if len(all_) == 1}
    apart = {
        item: tuple(sorted(all_.values(), key=lambda c: (c.label or "", c.was or "", c.name)))
        for item, all_ in found.items()
        if len(all_) > 1
    }
    return Patch(dict(sorted(agreed.items()))), dict(sorted(apart.items()))


def _change_of(item: str, value: Any, path: store.StrPath) -> Change:
    fits = (
        isinstance(value, dict)
        and value.keys() <= {"label", "was", "name"}
        and all(isinstance(value.get(name), str | None) for name in ("label", "was"))
        and isinstance(value.get("name", ""), str)
        and len(item) == 64
        and set(item) <= set("0123456789abcdef")
    )
    if not fits:
        raise DataError(
            f"{path} is no sound patch: the change of item {item[:12]!r} is not as written."
        )
    return Change(value.get("label"), value.get("was"), value.get("name", ""))
