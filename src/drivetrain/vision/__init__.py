"""Pictures: from a folder or a CSV to a model that tells its classes apart."""

from drivetrain.vision.augment import Augment, AugmentSettings
from drivetrain.vision.data import VisionData, from_csv, from_folder, from_names
from drivetrain.vision.decode import PictureError, open_picture
from drivetrain.vision.learner import evaluate, learner, load, reopen, resume
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.predictor import Prediction, Predictor
from drivetrain.vision.resize import resize_folder

__all__ = [
    "Augment",
    "AugmentSettings",
    "Normalise",
    "PictureError",
    "Prediction",
    "Predictor",
    "VisionData",
    "evaluate",
    "from_csv",
    "from_folder",
    "from_names",
    "learner",
    "load",
    "open_picture",
    "reopen",
    "resize_folder",
    "resume",
]
