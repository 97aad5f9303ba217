"""What is wrong with data before a model learns from it, and what that is worth.

    found = dt.vision.check("photos/")                 # also text, tabular, collab
    print(found)                                       # the gravest first
    found = found.accepted({"duplicates-across": "the test of the course has them too"})
    found.is_clear                                     # nothing critical is left

The checks are functions of plain arrays and frames; an application gives them what it has read. Names
are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.gate.findings import Finding, Findings
    from drivetrain.gate.worth import Worth

__all__ = ["Finding", "Findings", "Worth"]

_HOMES = {
    "findings": ("Finding", "Findings"),
    "worth": ("Worth",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
