"""Labels that a patch corrected, as the script of the run says them.

A few stand in its head, by where each item is found in the source:

    RELABELLED = {"cat/07.png": "dog"}
    LEFT_OUT = ("cat/09.png",)

Many lie in a JSON file beside the script, which knows its SHA-256. Only what the patch did to this run is
said: a change whose item is not in the source, or has another label by now, did nothing.

A patch knows its items by their content, and a script by their places. So that no other picture, text or
row is taken for one that was corrected, the script holds the SHA-256 of what stood in these places, and
stops where something else does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written

Set = Callable[[str, Any, str], str]
"""(name, value, reason) -> the name: writes a constant at the head of a script."""
MOST = 100
"""Corrections that stand in the script itself."""
SUFFIX = ".labels.json"
"""Takes the place of a script's `.py` in the name of the file beside it."""


@dataclass(frozen=True)
class Corrections:
    """What a patch did to the items of a run; each is named by its place in the source."""

    relabelled: Mapping[Any, Any] = field(default_factory=dict)
    """Place -> the label that it is trained with."""
    left_out: Sequence[Any] = ()
    """Places of items that are in no part of the run."""
    found: Sequence[Any] = ()
    """What stands in these places of the source, as the script reads it: see `stop_if_other`."""

    def __len__(self) -> int:
        return len(self.relabelled) + len(self.left_out)

    @property
    def is_long(self) -> bool:
        """Whether they lie in a file beside the script."""
        return len(self) > MOST

    def has(self, place: str) -> str:
        """Whether a place, an expression, is one of theirs; an expression."""
        asked = {"RELABELLED": self.relabelled, "LEFT_OUT": self.left_out}
        return " or ".join(f"{place} in {name}" for name, members in asked.items() if members)

    def note(self, item: str, items: str) -> str:
        """A sentence for the head of a script; nothing where there are none.

        Args:
            item, items: what one and several are called, such as "picture" and "pictures".
        """
        told = []
        if self.relabelled:
            count = len(self.relabelled)
            what = f"the label of 1 {item}" if count == 1 else f"the labels of {count:,} {items}"
            told.append(f"{what} {'was' if count == 1 else 'were'} corrected (RELABELLED)")
        if self.left_out:
            count = len(self.left_out)
            what = f"1 {item} was" if count == 1 else f"{count:,} {items} were"
            told.append(f"{what} left out (LEFT_OUT)")
        if not told:
            return ""
        where = (
            f" They lie in the file that ends in {SUFFIX}, beside this one." if self.is_long else ""
        )
        return f"By a patch of `drivetrain clean`, {' and '.join(told)}.{where}"

    def write(
        self, what: str, setting: Set, lifter: Lifter
    ) -> tuple[list[Written], dict[str, str]]:
        """What a script says of them: `RELABELLED` and `LEFT_OUT`, each only where it has any.

        Args:
            what: they are named by, such as "paths of pictures".
            setting: writes a constant at the head of the script.
            lifter: is told what is imported.

        Returns: statements, and files beside the script by what their names end in.
        """
        if not len(self):
            return [], {}
        for module in ("hashlib", "json"):
            lifter.add_import(Import(module))
        lifter.add_import(Import("typing", "Any"))
        if self.is_long:
            return self._beside(setting, lifter)
        if self.relabelled:
            reason = f"{what} -> labels that were corrected by hand"
            setting("RELABELLED", dict(self.relabelled), reason)
        if self.left_out:
            setting("LEFT_OUT", tuple(self.left_out), f"{what}: left out by hand")
        return [], {}

    def _beside(self, setting: Set, lifter: Lifter) -> tuple[list[Written], dict[str, str]]:
        record = {
            "relabelled": {str(place): label for place, label in self.relabelled.items()},
            "left_out": list(self.left_out),
        }
        text = store.to_json(record, indent=1) + "\n"
        lines = [beside(text, setting, lifter)]
        if self.relabelled:
            are_rows = all(isinstance(place, int) for place in self.relabelled)
            made = 'LABELS["relabelled"]'
            if are_rows:  # the names in a JSON object are words
                made = f"{{int(row): label for row, label in {made}.items()}}"
            lines.append(f"RELABELLED = {made}")
        if self.left_out:
            lines.append('LEFT_OUT = set(LABELS["left_out"])')
        return [Written("\n".join(lines), "data", {"read_beside": read_beside})], {SUFFIX: text}

    def check(self, found: str, uses: dict[str, Any], setting: Set) -> str:
        """A statement that stops where the source holds something else.

        Args:
            found: an expression of what `self.found` holds.
            uses: is given what the statement calls.
            setting: writes a constant at the head of the script.
        """
        reason = "of what was corrected, as the source has it"
        setting("CORRECTED_SHA256", sha256_of(self.found), reason)
        uses["stop_if_other"] = stop_if_other
        return f"stop_if_other({found}, CORRECTED_SHA256)"


@dataclass(frozen=True)
class Option:
    """The patch of a run as an argument of the library's own function that reads the data."""

    text: str = ""
    """Of the argument, such as `, patch=PATCH`; empty where there is no patch."""
    written: Sequence[Written] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    """See `parts.Part`."""
    note: str = ""
    """A sentence for the head of the script."""


def as_option(asked: Mapping[str, Any] | None, setting: Set, lifter: Lifter) -> Option:
    """The patch of a run for a script that leaves the reading to the library.

    Args:
        asked: as the run records it; None: there is none.
        setting: writes a constant at the head of the script.
        lifter: is told what is imported.
    """
    if asked is None:
        return Option()
    note = "Labels are corrected by a patch of `drivetrain clean`"
    count = len(asked["changes"]) + sum(map(len, asked.get("targets", {}).values()))
    if count <= MOST:
        setting("PATCH", dict(asked), "labels that are corrected")
        return Option(", patch=PATCH", note=f"{note} (PATCH).")
    text = store.to_json(asked, indent=1) + "\n"
    line = beside(text, setting, lifter)
    written = [Written(line, "data", {"read_beside": read_beside})]
    note += f", which lies in the file that ends in {SUFFIX}, beside this one."
    return Option(", patch=LABELS", written, {SUFFIX: text}, note)


def beside(text: str, setting: Set, lifter: Lifter) -> str:
    """A statement that makes `LABELS` of a file beside the script; it calls `read_beside`.

    Args:
        text: of the file, JSON.
        setting: writes a constant at the head of the script.
        lifter: is told what is imported.
    """
    reason = f"of the file beside this one that ends in {SUFFIX}"
    setting("LABELS_SHA256", hashlib.sha256(text.encode()).hexdigest(), reason)
    lifter.add_import(Import("pathlib", "Path"))
    return f'LABELS = read_beside(Path(__file__).with_suffix("{SUFFIX}"), LABELS_SHA256)'


def file_beside(script: store.StrPath) -> Path | None:
    """The file that a script which was written reads from beside itself; None where it reads none."""
    path = Path(script)
    reads = f'.with_suffix("{SUFFIX}")' in path.read_text("utf-8")
    return path.with_suffix(SUFFIX) if reads else None


# --- what a script calls --------------------------------------------------------------------------


def sha256_of(found: Sequence[Any]) -> str:
    """SHA-256 of plain values as JSON, in hex; what is not plain as its text, such as a date."""
    said = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()


def stop_if_other(found: Sequence[Any], sha256: str) -> None:
    """Stop where what was corrected by hand is not what it was in the run."""
    if sha256_of(found) != sha256:
        raise SystemExit(
            "What was corrected by hand (RELABELLED, LEFT_OUT) does not stand in this data as it did in "
            "that of the run: something in these places, or its label, is another by now. Give the data "
            "of the run."
        )


def read_beside(path: Path, sha256: str) -> Any:
    """The JSON of a file beside this script; its line ends do not matter."""
    if not path.is_file():
        raise SystemExit(f"{path} is missing, which lies beside this script. Put it back.")
    text = path.read_text("utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise SystemExit(
            f"{path} is not the file that was written with this script. Put that back."
        )
    return json.loads(text)
