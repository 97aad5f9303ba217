"""Several targets of an item, each with a label of its own: what is said of all, taken apart.

    targets = Targets(("disease", "variety"), (("blast", "rot"), ("adt", "ir20")), labels)
    targets.spans                                    # whose columns stand where: [(0, 2), (2, 4)]
    for one in targets.split(predictions):           # a record of each
        ...

Scores of all targets stand side by side, (N, C_1 + … + C_T), and class indices in (N, T), as models of
several targets have them. Of texts with several labels each label is a target, with the classes of
`ANSWERS`. Numbers have a column each, and no classes.

Letters: N items, T targets, C_t classes of target t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from drivetrain.train.predictions import Predictions

ANSWERS = ("no", "yes")
"""Classes of a label that an item has or has not."""


@dataclass(frozen=True)
class Targets:
    """Names, classes and labels of T targets of N items."""

    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    """Labels of each target, in the order of its scores; empty of numbers."""
    labels: tuple[tuple[str, ...], ...]
    """(N, T) what the source says of each item."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """C_1 … C_T; 1 of a number."""
        return tuple(len(classes) or 1 for classes in self.classes)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The columns of each target: the first, and the one after the last."""
        return list(pairwise(accumulate(self.sizes, initial=0)))

    @property
    def are_classes(self) -> bool:
        """Whether labels are told, and not numbers."""
        return bool(self.classes[0])

    def split(self, found: Predictions) -> list[Predictions]:
        """The record of each target; a record without scores is one of each without them."""
        parts = []
        for place, (start, stop) in enumerate(self.spans):
            goals = found.targets[:, place]
            scores = found.outputs[:, start:stop]
            if found.outputs.shape[1] == 0:
                losses = torch.zeros(len(goals))
            elif self.are_classes:
                losses = torch.nn.functional.cross_entropy(scores, goals, reduction="none")
            else:
                scores = scores[:, 0]
                losses = (scores.double() - goals.double()) ** 2
            parts.append(Predictions(found.ids, goals, scores, losses, self.classes[place]))
        return parts


def joined_chances(parts: Sequence[Tensor]) -> np.ndarray:
    """(N, C_1 + … + C_T) float64 probabilities, of the scores (N, C_t) of each target."""
    return torch.cat([scores.double().softmax(dim=1) for scores in parts], dim=1).numpy()


def yes_and_no(chances: np.ndarray) -> np.ndarray:
    """(N, 2T) probabilities of the `ANSWERS` of T labels, from those that an item has them (N, T)."""
    return np.stack([1 - chances, chances], axis=2).reshape(len(chances), -1)
