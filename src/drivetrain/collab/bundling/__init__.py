"""A bundle of a model of ratings: what goes into one, and what it answers."""

from drivetrain.collab.bundling.exporting import export_learner

__all__ = ["export_learner"]
