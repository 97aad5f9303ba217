"""The script of a run of ratings or events: reading, splitting, codes; the model and its batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain.collab.ejecting.pairwise import PairwiseWriter
from drivetrain.collab.ejecting.ratings import RatingWriter

if TYPE_CHECKING:
    from drivetrain.collab.application import CollabApplication
    from drivetrain.eject.lift import Lifter
    from drivetrain.eject.parts import Part
    from drivetrain.train.learner import Learner


def eject_part(
    application: CollabApplication, learner: Learner, lifter: Lifter, level: str
) -> Part:
    """The part of a script that is about ratings, or about events.

    Raises: EjectError: they came from memory, or something of the run has no plain form.
    """
    writer = PairwiseWriter if application.data.is_implicit else RatingWriter
    return writer(application, learner, lifter, level).part()


__all__ = ["eject_part"]
