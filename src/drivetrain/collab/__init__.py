"""Ratings: from a table of who rated what to a recommender that can be read and questioned.

    learner = dt.collab.learner("ratings.csv", titles="films.csv")   # factorisation, with a Learner's methods
    learner.train()
    learner.recommend("user 7", k=10)

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.collab.bundle import load, open_bundle, verify
    from drivetrain.collab.bundling.exporting import export
    from drivetrain.collab.data import CollabData, from_csv, from_table, gather
    from drivetrain.collab.factors import Factors
    from drivetrain.collab.learner import learner, reopen, resume
    from drivetrain.collab.model import CollabModel

__all__ = [
    "CollabData",
    "CollabModel",
    "Factors",
    "export",
    "from_csv",
    "from_table",
    "gather",
    "learner",
    "load",
    "open_bundle",
    "reopen",
    "resume",
    "verify",
]

_HOMES = {
    "bundle": ("load", "open_bundle", "verify"),
    "bundling.exporting": ("export",),
    "data": ("CollabData", "from_csv", "from_table", "gather"),
    "factors": ("Factors",),
    "learner": ("learner", "reopen", "resume"),
    "model": ("CollabModel",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
