"""The script of a run of ratings: reading, splitting, counting codes; the model and its batches."""

from drivetrain.collab.ejecting.ratings import eject_part

__all__ = ["eject_part"]
