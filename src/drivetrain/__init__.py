"""Drivetrain: train a strong model on your own data in minutes, see how, and walk away with it.

    import drivetrain as dt

    learner = dt.vision.learner("photos/")
    learner.fine_tune(3)
    learner.predict("photo.jpg")

Names are loaded on first use: `import drivetrain` by itself touches neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0.dev0"

_EXPORTS = {
    "BatchLoader": "drivetrain.data.loaders:BatchLoader",
    "Callback": "drivetrain.train.callback:Callback",
    "CancelBatch": "drivetrain.train.callback:CancelBatch",
    "CancelEpoch": "drivetrain.train.callback:CancelEpoch",
    "CancelFit": "drivetrain.train.callback:CancelFit",
    "DrivetrainError": "drivetrain.errors:DrivetrainError",
    "Learner": "drivetrain.train.learner:Learner",
    "Loaders": "drivetrain.data.loaders:Loaders",
    "Predictions": "drivetrain.train.predictions:Predictions",
    "Run": "drivetrain.train.run:Run",
    "Task": "drivetrain.data.task:Task",
    "TensorData": "drivetrain.data.loaders:TensorData",
    "clean": "drivetrain.clean",
    "collab": "drivetrain.collab",
    "eject": "drivetrain.eject",
    "errors": "drivetrain.errors",
    "interpret": "drivetrain.interpret",
    "levers": "drivetrain.levers",
    "losses": "drivetrain.losses",
    "metrics": "drivetrain.metrics",
    "models": "drivetrain.models",
    "optim": "drivetrain.optim",
    "pages": "drivetrain.pages",
    "samples": "drivetrain.samples",
    "sheets": "drivetrain.sheets",
    "show": "drivetrain.show",
    "tabular": "drivetrain.tabular",
    "testing": "drivetrain.testing",
    "text": "drivetrain.text",
    "vision": "drivetrain.vision",
}

__all__ = [
    "BatchLoader",
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "DrivetrainError",
    "Learner",
    "Loaders",
    "Predictions",
    "Run",
    "Task",
    "TensorData",
    "__version__",
    "clean",
    "collab",
    "eject",
    "errors",
    "interpret",
    "levers",
    "losses",
    "metrics",
    "models",
    "optim",
    "pages",
    "samples",
    "sheets",
    "show",
    "tabular",
    "testing",
    "text",
    "vision",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'drivetrain' has no attribute '{name}'")
    module, _, attribute = _EXPORTS[name].partition(":")
    value = importlib.import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
