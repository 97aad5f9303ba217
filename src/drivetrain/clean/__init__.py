"""Better data: labels that are probably wrong, items that are there twice, and edits that can be undone.

    found = dt.clean.label_issues(targets, probs)       # of probabilities out of fold
    found.order[:20], found.num_flagged

Functions of arrays, whatever application they come from. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.clean.journal import Journal
    from drivetrain.clean.labels import LabelIssues, label_issues
    from drivetrain.clean.patch import Change, Patch, merge

__all__ = ["Change", "Journal", "LabelIssues", "Patch", "label_issues", "merge"]

_HOMES = {
    "journal": ("Journal",),
    "labels": ("LabelIssues", "label_issues"),
    "patch": ("Change", "Patch", "merge"),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
