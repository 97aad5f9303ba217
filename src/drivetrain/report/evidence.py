"""What an application hands to a report: plain values of its data, its predictions and its model.

The report itself knows no pictures, texts, rows or ratings: whoever brings an `Evidence` of his own
gets the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivetrain.data.frame import Values
from drivetrain.interpret.map_items import MapItems
from drivetrain.models.summary import Summary
from drivetrain.train.predictions import Predictions


@dataclass(frozen=True)
class Look:
    """A picture of an item."""

    data: bytes
    """PNG or JPEG, made by this program."""
    caption: str = ""
    pixels: bool = False
    """It is tiny, and shown with its pixels as squares."""


@dataclass(frozen=True)
class Shown:
    """An item as a person can look at it."""

    id: str
    label: str = ""
    """What is true of it."""
    looks: tuple[Look, ...] = ()
    text: str = ""
    cells: tuple[tuple[str, str], ...] = ()
    """Name and value of the columns of a row."""


@dataclass(frozen=True)
class Gallery:
    """Pictures with captions under one heading."""

    title: str
    looks: Sequence[Look]
    notes: Sequence[str] = ()
    """Sentences above them."""
    part: str = "data"
    """Where it belongs: `data`, or `model`."""
    columns: int = 0
    """Pictures of a row; 0: as many as there is room for."""


@dataclass(frozen=True)
class Amounts:
    """A histogram of what is known of the data, such as how many ratings users have."""

    title: str
    values: np.ndarray
    below: str
    """What the values are."""
    of: str
    """What is counted."""


@dataclass(frozen=True)
class Baseline:
    """A simple rule that was measured for the report, beside those of the run."""

    name: str
    what: str
    """How it answers, in a few words."""
    value: float
    """In the run's first metric."""
    low: float | None
    high: float | None


def nothing(positions: Sequence[int]) -> list[Shown]:
    """For evidence without items to look at."""
    return []


@dataclass(frozen=True)
class Evidence:
    """All that a report says beyond what the run's record and log say."""

    noun: str = "items"
    """Of items, in the plural: pictures, texts, rows, ratings."""
    classes: tuple[str, ...] = ()
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Part -> items of each class."""
    numbers: np.ndarray | None = None
    """(N,) targets of training, in their own unit, where they are numbers."""
    target: str = ""
    """The name of what is predicted."""
    amounts: Sequence[Amounts] = ()
    samples: Sequence[Shown] = ()
    """A few items of training."""
    predictions: Predictions | None = None
    """Of the validation items; numbers in their own unit."""
    show: Callable[[Sequence[int]], list[Shown]] = nothing
    """The items of the predictions at these positions."""
    facts: Mapping[str, Values] = field(default_factory=dict)
    """What is known of those items, (N,) each, for the slices."""
    layers: Summary | None = None
    baselines: Sequence[Baseline] = ()
    notes: Sequence[str] = ()
    """What could not be looked at, and why."""
    galleries: Sequence[Gallery] = ()
    map: MapItems | None = None
    """The items by what the model takes for alike."""
    facts_of_model: Sequence[tuple[str, Any]] = ()
    """Name and value of what is to be known of a model that has no layers."""
    targets: Mapping[str, Evidence] = field(default_factory=dict)
    """Where there are several targets: what is known of each by its name; `classes`, `counts`, `show`,
    `facts`, `baselines` and `map` are then there, and not here."""
    together: np.ndarray | None = None
    """(M, T) int64, of several targets the class indices of the training items."""
