"""Records of predictions that tests make."""

from __future__ import annotations

import numpy as np
import torch

from drivetrain.train.predictions import Predictions


def of_classes(
    targets: np.ndarray, preds: np.ndarray, num_classes: int, **fields: object
) -> Predictions:
    """A record in which these classes are predicted, each with the logit 3."""
    outputs = 3.0 * torch.nn.functional.one_hot(torch.from_numpy(preds), num_classes).double()
    return of_scores(outputs, torch.from_numpy(targets), **fields)


def of_scores(outputs: torch.Tensor, targets: torch.Tensor, **fields: object) -> Predictions:
    """A record of any outputs; ids are `item 0` …, losses 0."""
    given = {"classes": (), **fields}
    return Predictions(
        ids=[f"item {index}" for index in range(len(outputs))],
        targets=targets,
        outputs=outputs,
        losses=torch.zeros(len(outputs)),
        classes=given["classes"],  # pyright: ignore[reportArgumentType]
    )
