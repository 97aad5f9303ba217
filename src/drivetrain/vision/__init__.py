"""Pictures: from a folder or a CSV to a model that tells its classes apart.

Names are loaded on first use, so that a bundle predicts without the training stack.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivetrain.vision.answers import Prediction
    from drivetrain.vision.augment import Augment, AugmentSettings
    from drivetrain.vision.bundle import load, verify
    from drivetrain.vision.data import VisionData, from_csv, from_folder, from_names
    from drivetrain.vision.decode import PictureError, open_picture
    from drivetrain.vision.learner import evaluate, export, learner, reopen, resume
    from drivetrain.vision.normalise import Normalise
    from drivetrain.vision.predictor import Predictor
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
    "export",
    "from_csv",
    "from_folder",
    "from_names",
    "learner",
    "load",
    "open_picture",
    "reopen",
    "resize_folder",
    "resume",
    "verify",
]

_HOMES = {
    "answers": ("Prediction",),
    "augment": ("Augment", "AugmentSettings"),
    "bundle": ("load", "verify"),
    "data": ("VisionData", "from_csv", "from_folder", "from_names"),
    "decode": ("PictureError", "open_picture"),
    "learner": ("evaluate", "export", "learner", "reopen", "resume"),
    "normalise": ("Normalise",),
    "predictor": ("Predictor",),
    "resize": ("resize_folder",),
}
"""Module -> the public names that it holds."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'drivetrain.vision' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"drivetrain.vision.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)


class _Vision(ModuleType):
    """This package, in which `learner` is the function and not the module that holds it.

    Python, when it has imported a module, puts it into its package under its name; here that would take
    the place of the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME_OF.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Vision
