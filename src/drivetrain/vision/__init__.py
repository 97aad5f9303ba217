"""Pictures: from a folder or a CSV to a model that tells its classes apart.

Names are loaded on first use, so that a bundle predicts without the training stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.vision.answers import Prediction
    from drivetrain.vision.augment import Augment, AugmentSettings
    from drivetrain.vision.augment_grid import (
        augmentation_ends,
        augmentation_grid,
        batch_grid,
    )
    from drivetrain.vision.bundle import load, verify
    from drivetrain.vision.channel_grid import channel_grid
    from drivetrain.vision.checking import check
    from drivetrain.vision.data import VisionData, from_csv, from_folder, from_items, from_names
    from drivetrain.vision.decode import PictureError, open_picture
    from drivetrain.vision.learner import learner
    from drivetrain.vision.normalise import Normalise
    from drivetrain.vision.predictor import Predictor
    from drivetrain.vision.resize import resize_folder
    from drivetrain.vision.resize_grid import resize_grid
    from drivetrain.vision.runs import evaluate, export, reopen, resume, test
    from drivetrain.vision.steps import steps
    from drivetrain.vision.target_answers import TargetAnswers, TargetsPredictor
    from drivetrain.vision.tta import tta

__all__ = [
    "Augment",
    "AugmentSettings",
    "Normalise",
    "PictureError",
    "Prediction",
    "Predictor",
    "TargetAnswers",
    "TargetsPredictor",
    "VisionData",
    "augmentation_ends",
    "augmentation_grid",
    "batch_grid",
    "channel_grid",
    "check",
    "evaluate",
    "export",
    "from_csv",
    "from_folder",
    "from_items",
    "from_names",
    "learner",
    "load",
    "open_picture",
    "reopen",
    "resize_folder",
    "resize_grid",
    "resume",
    "steps",
    "test",
    "tta",
    "verify",
]

_HOMES = {
    "answers": ("Prediction",),
    "augment": ("Augment", "AugmentSettings"),
    "augment_grid": ("augmentation_ends", "augmentation_grid", "batch_grid"),
    "bundle": ("load", "verify"),
    "channel_grid": ("channel_grid",),
    "checking": ("check",),
    "data": ("VisionData", "from_csv", "from_folder", "from_items", "from_names"),
    "decode": ("PictureError", "open_picture"),
    "learner": ("learner",),
    "normalise": ("Normalise",),
    "predictor": ("Predictor",),
    "resize": ("resize_folder",),
    "runs": ("evaluate", "export", "reopen", "resume", "test"),
    "target_answers": ("TargetAnswers", "TargetsPredictor"),
    "resize_grid": ("resize_grid",),
    "tta": ("tta",),
    "steps": ("steps",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
