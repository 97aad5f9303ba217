"""Which settings of a model a search tries, and in which range; the reason stands beside each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from drivetrain._optional import require
from drivetrain.tabular.tuning.training import NET


@dataclass(frozen=True)
class Knob:
    """A setting that is searched, and in which range."""

    name: str
    low: float
    """Whole numbers where this one is."""
    high: float
    because: str
    """What it does, and why this range."""
    is_log: bool = False
    """Steps are factors and not sums."""
    most: float | None = None
    """Share of a fold's training rows that it cannot be above."""

    def distribution(self, rows: int) -> Any:
        """Optuna's form of the range, for so many training rows."""
        optuna = require("optuna", extra="tune")
        high = self.high
        if self.most is not None:
            high = max(min(high, int(self.most * rows)), self.low + 1)
        if isinstance(self.low, int):
            return optuna.distributions.IntDistribution(self.low, int(high), log=self.is_log)
        return optuna.distributions.FloatDistribution(self.low, high, log=self.is_log)


_LEAF = Knob(
    "min_samples_leaf", 1, 200, is_log=True, most=0.1,
    because="small leaves follow single rows, large ones average what differs",
)  # fmt: skip
_FEATURES = Knob(
    "max_features", 0.1, 1.0,
    because="fewer columns a split make trees that differ more, and whose mean is steadier",
)  # fmt: skip

_BOOSTING = (
    Knob(
        "learning_rate", 0.01, 0.3, is_log=True,
        because="small steps need more trees, whose number is found by itself for each rate",
    ),
    Knob(
        "num_leaves", 4, 256, is_log=True, most=0.25,
        because="how many columns a tree can combine; 4 is pairs, 256 learns single rows",
    ),
    _LEAF,
)  # fmt: skip

SPACES: Mapping[str, tuple[Knob, ...]] = MappingProxyType(
    {
        "boosting": _BOOSTING,
        "boosting_sets": _BOOSTING,
        "forest": (
            _LEAF,
            _FEATURES,
            Knob(
                "max_samples", 0.2, 1.0,
                because="fewer rows a tree make trees that differ more, and grow faster",
            ),
        ),
        "extra_trees": (_LEAF, _FEATURES),
        "tree": (
            _LEAF,
            Knob(
                "max_leaf_nodes", 2, 512, is_log=True, most=0.25,
                because="one tree has nothing but its size to keep it from learning single rows",
            ),
        ),
        "linear": (
            Knob(
                "penalty", 1e-4, 1e4, is_log=True,
                because="from next to none to weights near zero; its scale depends on the rows",
            ),
        ),
        NET: (
            Knob("lr", 1e-3, 3e-2, is_log=True, because="`lr_find` looks for it in seconds"),
            Knob("dropout", 0.0, 0.5, because="keeps a net from learning single rows"),
            Knob("weight_decay", 1e-3, 0.3, is_log=True, because="the same by another way"),
            Knob("epochs", 2, 30, is_log=True, because="nets of tables overfit soon"),
        ),
    }
)  # fmt: skip
"""Model -> the settings that are searched. The number of trees is not: boosting finds its own, and to a
forest more trees do no harm."""
