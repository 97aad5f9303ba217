"""Better data: labels that are probably wrong, items there twice or unlike all others, edits to undo.

    fold_of = dt.clean.assign_folds(5, strata=targets)  # each item is told of by a model without it
    found = dt.clean.label_issues(targets, probs)       # of probabilities out of fold
    found.order[:20], found.num_flagged
    pairs = dt.clean.near_texts(texts)                  # also near_pictures, near_rows
    print(dt.clean.Duplicates.of(pairs, ids, parts=parts))
    odd = dt.clean.find_outliers(dt.clean.Points.of(features, by_angle=True))
    odd.order[:20], odd.flagged                         # far from all others, whatever their labels

Functions of arrays, whatever application they come from. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.clean.duplicates import Duplicates, NearPairs, joined, same_content
    from drivetrain.clean.folds import FoldModel, OutOfFold, assign_folds, out_of_fold
    from drivetrain.clean.journal import Journal
    from drivetrain.clean.labels import LabelIssues, label_issues
    from drivetrain.clean.near_pictures import near_pictures
    from drivetrain.clean.near_rows import near_rows
    from drivetrain.clean.near_texts import near_texts
    from drivetrain.clean.outliers import Outliers, Points, find_outliers
    from drivetrain.clean.patch import Change, Patch, merge
    from drivetrain.clean.queue import Item, Queue
    from drivetrain.clean.row_points import row_points

__all__ = [
    "Change",
    "Duplicates",
    "FoldModel",
    "Item",
    "Journal",
    "LabelIssues",
    "NearPairs",
    "OutOfFold",
    "Outliers",
    "Patch",
    "Points",
    "Queue",
    "assign_folds",
    "find_outliers",
    "joined",
    "label_issues",
    "merge",
    "near_pictures",
    "near_rows",
    "near_texts",
    "out_of_fold",
    "row_points",
    "same_content",
]

_HOMES = {
    "duplicates": ("Duplicates", "NearPairs", "joined", "same_content"),
    "folds": ("FoldModel", "OutOfFold", "assign_folds", "out_of_fold"),
    "journal": ("Journal",),
    "labels": ("LabelIssues", "label_issues"),
    "near_pictures": ("near_pictures",),
    "near_rows": ("near_rows",),
    "near_texts": ("near_texts",),
    "outliers": ("Outliers", "Points", "find_outliers"),
    "patch": ("Change", "Patch", "merge"),
    "queue": ("Item", "Queue"),
    "row_points": ("row_points",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
