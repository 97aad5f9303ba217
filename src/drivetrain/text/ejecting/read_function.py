"""The function `read` of a script of texts, in the making."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from drivetrain.eject.corrections import Corrections
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting


@dataclass
class Reading:
    """The function `read`, and what it answers."""

    written: list[Written] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    extra: str = ""
    """What `read` gives beside texts and labels: `parts`, `groups` or `times`."""
    imports: list[Import] = field(default_factory=list)
    help: str = ""
    """What the source is, for `--data`."""
    beside: dict[str, str] = field(default_factory=dict)
    """Files beside the script; see `eject.parts.Part`."""
    note: str = ""
    """A second paragraph for the script's docstring."""

    def setting(self, name: str, value: Any, reason: str) -> str:
        """A constant of the script; returns its name."""
        self.settings.append(Setting(name, value, reason))
        return name

    def correct(
        self, made: Corrections, place: str, found: str, uses: dict[str, Any], lifter: Lifter
    ) -> str:
        """Statements of `read` that hold what a patch corrected against the source.

        Args:
            made: what the patch did.
            place: the places of texts are, such as "paths of texts".
            found: an expression of what stands in them, `{has}` where it asks for theirs.
            uses: is given what the statements call.
            lifter: is told what is imported.
        """
        written, files = made.write(place, self.setting, lifter)
        self.written += written
        self.beside |= files
        self.note = made.note("text", "texts")
        return f"    {made.check(found, uses, self.setting)}\n"
