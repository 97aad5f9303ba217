"""Changes to labels as a file of their own: what a source has stays as it is.

    patch = Patch.of(journal.decisions(), names)
    patch.write("birds.patch.json")
    applied = Patch.read("birds.patch.json").apply(hashes, labels)
    applied.labels, applied.kept                       # what a training then sees

A patch names items by the SHA-256 of their content, so that it fits wherever they lie and whatever they
are called, and no others. It says of each what label it had: an item whose label is another by now is
left as it is, and told of. Without the patch everything is as before: that is how it is taken back.
Patches of several people merge; where they disagree, neither is taken, and both are told.

Where items have several targets a change of a label says of which (`Patch.targets`); an item is left
out as a whole. A file without targets is of version 1, as it always was. One with them is of version 2,
which an older Drivetrain refuses instead of reading half of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.clean.journal import Decision
from drivetrain.errors import DataError, ShapeError

VERSION, PLAIN_VERSION = 2, 1
"""Of a file that names targets, and of one that names none."""
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
    target: str = ""
    """Whose label changes, where there are several; empty: of the only one, or of the item as a whole."""


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
    others: tuple[str, ...] = ()
    """Targets of the patch whose labels were not asked for."""

    @classmethod
    def of_targets(cls, made: Sequence[Applied], others: Sequence[str] = ()) -> Applied:
        """What happened to items with several labels each, of what happened to those of each target.

        Args:
            made: of each target, of the same items; the first one's labels are those of the answer.
            others: targets of the patch that the items have not.
        """
        return cls(
            labels=made[0].labels,
            kept=tuple(all(row) for row in zip(*(one.kept for one in made), strict=True)),
            relabelled=sum(one.relabelled for one in made),
            left_out=sum(one.left_out for one in made),
            stale=tuple(name for one in made for name in one.stale),
            missing=sum(one.missing for one in made),
            others=tuple(others),
        )

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
        if self.others:
            told.append(
                f"What it says of {' and '.join(self.others)} is not looked at, which "
                f"{'are' if len(self.others) > 1 else 'is'} not learnt here."
            )
        return tuple(told)


@dataclass(frozen=True)
class Patch:
    """Item (SHA-256 of its content, hex) -> what becomes of it."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    """Hash of an item -> its change, which names no target."""
    targets: Mapping[str, Mapping[str, Change]] = field(default_factory=dict)
    """Target -> hash of an item -> its other label of that target."""

    def __post_init__(self) -> None:
        named = {
            target: {item: replace(change, target=target) for item, change in changes.items()}
            for target, changes in self.targets.items()
            if changes
        }
        object.__setattr__(self, "targets", named)

    def __len__(self) -> int:
        return len(self.changes) + sum(map(len, self.targets.values()))

    def all(self) -> Iterator[tuple[str, Change]]:
        """Each change with the hash of its item, those that name no target first."""
        yield from self.changes.items()
        for changes in self.targets.values():
            yield from changes.items()

    @classmethod
    def of(
        cls,
        decisions: Mapping[str, Decision],
        names: Mapping[str, str] | None = None,
        targets: Mapping[str, Mapping[str, Decision]] | None = None,
    ) -> Patch:
        """The patch of what stands in a journal; what is kept as it is needs no change.

        Args:
            decisions: item -> what stands of it, where there is one target.
            names: item -> what it is called, for people.
            targets: of several, target -> item -> what stands of its label. What is left out is so as a
                whole, whatever its labels are.
        """
        called = names or {}
        changes = {
            item: Change(
                decision.label if decision.action == "relabel" else None,
                decision.was,
                called.get(item, ""),
            )
            for item, decision in decisions.items()
            if decision.action in ("relabel", "delete")
        }
        labels: dict[str, dict[str, Change]] = {}
        for target, stands in (targets or {}).items():
            for item, decision in sorted(stands.items()):
                if decision.action == "delete":
                    changes[item] = Change(None, None, called.get(item, ""))
                elif decision.action == "relabel":
                    change = Change(decision.label, decision.was, called.get(item, ""))
                    labels.setdefault(target, {})[item] = change
        return cls(dict(sorted(changes.items())), dict(sorted(labels.items())))

    def apply(self, hashes: Sequence[str], labels: Sequence[str], target: str = "") -> Applied:
        """What the patch makes of a source's items. An item that is there twice is changed twice.

        Args:
            hashes: (N,) SHA-256 of each item's content.
            labels: (N,) the label of each.
            target: what the labels are of; empty where that has no name. Changes that name another one
                are not looked at.

        Raises: ShapeError: not as many labels as hashes. DataError: a label is changed twice.
        """
        if len(hashes) != len(labels):
            raise ShapeError(f"A patch got {len(hashes)} items and {len(labels)} labels.")
        if self.targets:
            own = joined(self.changes, self.targets.get(target, {}))
            others = tuple(name for name in self.targets if name != target)
            return replace(Patch(own).apply(hashes, labels), others=others)
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
            _inverted(self.changes),
            {target: _inverted(changes) for target, changes in self.targets.items()},
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
            said = " or ".join(map(_said, changes))
            others = f" {len(apart) - 1:,} more are." if len(apart) > 1 else ""
            raise DataError(
                f"{name} is decided differently in these patches: {said}.{others} Take all but one of "
                "the changes out of the patches, or decide it once more with `drivetrain clean`."
            )
        return agreed

    def to_json(self) -> dict[str, Any]:
        """As it is written: of version 1 where no target is named."""
        plain = {
            "format": _FORMAT,
            "version": VERSION if self.targets else PLAIN_VERSION,
            "changes": _plain(self.changes),
        }
        if not self.targets:
            return plain
        named = {target: _plain(changes) for target, changes in sorted(self.targets.items())}
        return {**plain, "targets": named}

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
        version = value.get("version")
        if type(version) is not int or version not in (PLAIN_VERSION, VERSION):
            raise DataError(
                f"{path} is a patch of version {version!r}, and {VERSION} is known. Use a newer "
                "Drivetrain."
            )
        changes = value.get("changes")
        named = value.get("targets", {}) if version == VERSION else {}
        if not isinstance(changes, dict):
            raise DataError(f"{path} is a patch without its `changes`. Restore it from a copy.")
        if not isinstance(named, dict) or not all(isinstance(one, dict) for one in named.values()):
            raise DataError(f"{path} is a patch without sound `targets`. Restore it from a copy.")
        return cls(
            _changes_of(changes, path),
            {target: _changes_of(one, path, of_target=True) for target, one in named.items()},
        )


Setting = Patch | Mapping[str, Any] | store.StrPath
"""A patch, its JSON, or its file."""


def merge(patches: Iterable[Patch]) -> tuple[Patch, dict[str, tuple[Change, ...]]]:
    """All changes that nobody contradicts, and those that somebody does: item -> the different ones.

    Of one item, labels of different targets are no contradiction; leaving it out is one to each of them.
    The order of the patches does not matter.
    """
    found: dict[tuple[str, str], dict[_Said, Change]] = {}
    for patch in patches:
        for item, change in patch.all():
            alike = found.setdefault((item, change.target), {})
            known = alike.get((change.label, change.was))
            if known is None or (change.name and change.name < (known.name or "\U0010ffff")):
                alike[change.label, change.was] = change
    by_item: dict[str, list[Change]] = {}
    for (item, _), alike in found.items():
        by_item.setdefault(item, []).extend(alike.values())
    changes: dict[str, Change] = {}
    targets: dict[str, dict[str, Change]] = {}
    apart: dict[str, tuple[Change, ...]] = {}
    for item, all_ in sorted(by_item.items()):
        each = [len(found[item, change.target]) == 1 for change in all_]
        is_left_out = any(change.label is None and not change.target for change in all_)
        if is_left_out and any(change.target for change in all_):
            each = [False] * len(all_)
        for change, is_alone in zip(all_, each, strict=True):
            if is_alone and change.target:
                targets.setdefault(change.target, {})[item] = change
            elif is_alone:
                changes[item] = change
        different = [change for change, is_alone in zip(all_, each, strict=True) if not is_alone]
        if different:
            apart[item] = tuple(sorted(different, key=_order))
    return Patch(changes, dict(sorted(targets.items()))), apart


_Said = tuple[str | None, str | None]


def joined(changes: Mapping[str, Change], more: Mapping[str, Change]) -> dict[str, Change]:
    """Changes that name no target, and those that name one, as what happens to its labels.

    Raises: DataError: they give one item two labels.
    """
    found = dict(changes)
    for item, change in more.items():
        known = found.get(item)
        if known is None or known.label == change.label:
            found[item] = change
        elif known.label is not None:
            raise DataError(
                f"{change.name or known.name or item[:12]} is decided differently in this patch: "
                f"{_said(known)} or {_said(change)}. Take one of the two out of it."
            )
    return found


def _order(change: Change) -> tuple[str, str, str, str]:
    return change.target, change.label or "", change.was or "", change.name


def _said(change: Change) -> str:
    if change.label is None:
        return "left out"
    return f"'{change.label}'" + (f" of {change.target}" if change.target else "")


def _inverted(changes: Mapping[str, Change]) -> dict[str, Change]:
    return {
        item: Change(change.was, change.label, change.name)
        for item, change in changes.items()
        if change.label is not None and change.was is not None
    }


def _plain(changes: Mapping[str, Change]) -> dict[str, Any]:
    return {
        item: {"label": change.label, "was": change.was, "name": change.name}
        for item, change in sorted(changes.items())
    }


def _changes_of(
    value: Mapping[str, Any], path: store.StrPath, *, of_target: bool = False
) -> dict[str, Change]:
    """Changes as they were written; those of a target give a label, and leave nothing out."""
    found = {}
    for item, change in value.items():
        fits = (
            isinstance(change, dict)
            and change.keys() <= {"label", "was", "name"}
            and all(isinstance(change.get(name), str | None) for name in ("label", "was"))
            and isinstance(change.get("name", ""), str)
            and not (of_target and change.get("label") is None)
            and len(item) == 64
            and set(item) <= set("0123456789abcdef")
        )
        if not fits:
            raise DataError(
                f"{path} is no sound patch: the change of item {item[:12]!r} is not as written."
            )
        found[item] = Change(change.get("label"), change.get("was"), change.get("name", ""))
    return found
