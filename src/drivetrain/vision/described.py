"""What a folder says of its model, checked before anything is made of it.

Runs and bundles come from anywhere: a type, a number or a name that is not what it has to be is
refused here, in words, and not met as an exception in the middle of building or predicting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivetrain.bundle.manifest import TargetOf
from drivetrain.models.device import MOST_THREADS
from drivetrain.vision.resize_methods import RESIZE_METHODS, check_size

MOST_CLASSES = 1_000_000
MOST_TARGETS = 1_000
MOST_WEIGHT = 1e9
LABEL_LETTERS = 1_000
LARGEST_SCALE = 1e6
"""Of mean and std, and of 1 / std: pixels lie in [0, 1], and anything near this is a mistake."""


@dataclass(frozen=True)
class Described:
    """A model of pictures as its folder describes it, apart from its weights."""

    model: Mapping[str, Any]
    """What `models.build_from` takes; its own content is checked there."""
    classes: tuple[str, ...]
    size: tuple[int, int]
    """(height, width)"""
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_threads: int | None
    targets: tuple[TargetOf, ...] = ()
    """Where there are several; `classes` is empty then."""


def read_description(description: Mapping[str, Any]) -> Described:
    """Check `model.json`, or what a bundle says of the same.

    Raises: ValueError: with what is wrong with it, as a clause.
    """
    model, prepared = description.get("model"), description.get("preprocessing")
    for what, value in (("model", model), ("preprocessing", prepared)):
        if not isinstance(value, Mapping):
            raise ValueError(f"its model.json has no '{what}'")
    assert isinstance(model, Mapping) and isinstance(prepared, Mapping)
    for name in ("size", "resize", "mean", "std"):
        if name not in prepared:
            raise ValueError(f"its model.json has no '{name}'")
    targets = _targets(description["targets"]) if "targets" in description else ()
    classes = () if targets else _classes(description.get("classes"))
    scores = model.get("num_classes", len(classes))
    if targets and scores != [len(one.classes) for one in targets]:
        raise ValueError("its heads do not give a score for each class of its targets")
    if not targets and (type(scores) is not int or scores != len(classes)):
        raise ValueError(f"it gives {str(scores)[:40]} scores for {len(classes)} classes")
    if not isinstance(prepared["resize"], str) or prepared["resize"] not in RESIZE_METHODS:
        raise ValueError(f"its 'resize' is none of {', '.join(RESIZE_METHODS)}")
    mean, std = (_channels(name, prepared[name]) for name in ("mean", "std"))
    if not all(value >= 1 / LARGEST_SCALE for value in std):
        raise ValueError("its 'std' is not above 0")
    threads = description.get("num_threads")
    if threads is not None and not (type(threads) is int and 1 <= threads <= MOST_THREADS):
        raise ValueError(f"its 'num_threads' is not a number from 1 to {MOST_THREADS}")
    return Described(
        model, classes, _size(prepared["size"]), prepared["resize"], mean, std, threads, targets
    )


def _targets(value: Any) -> tuple[TargetOf, ...]:
    if not isinstance(value, list) or not 1 < len(value) <= MOST_TARGETS:
        raise ValueError(f"its 'targets' are not a list of 2 to {MOST_TARGETS}")
    found: dict[str, TargetOf] = {}
    for one in value:
        name = one.get("name") if isinstance(one, Mapping) else None
        if not isinstance(name, str) or not 0 < len(name) <= LABEL_LETTERS or name in found:
            raise ValueError("one of its 'targets' has no name of its own")
        assert isinstance(one, Mapping), "it has a name"
        weight = one.get("weight")
        if (
            not isinstance(weight, int | float)
            or isinstance(weight, bool)
            or not 0 <= weight <= MOST_WEIGHT
        ):
            raise ValueError(f"the 'weight' of {name!r} is not a number from 0 to {MOST_WEIGHT:g}")
        found[name] = TargetOf(name, _classes(one.get("classes")), float(weight))
    if not any(one.weight for one in found.values()):
        raise ValueError("the weights of its 'targets' are all 0")
    return tuple(found.values())


def _classes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_CLASSES:
        raise ValueError("its model.json has no 'classes'")
    if not all(isinstance(label, str) and len(label) <= LABEL_LETTERS for label in value):
        raise ValueError(f"its 'classes' are not texts of at most {LABEL_LETTERS} letters")
    if len(set(value)) != len(value):
        raise ValueError("two of its 'classes' have the same name")
    return tuple(value)


def _size(value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("its 'size' is not a height and a width")
    try:
        return check_size((value[0], value[1]))
    except ValueError as error:
        raise ValueError("its 'size' is not a height and a width in pixels") from error


def _channels(name: str, value: Any) -> tuple[float, ...]:
    """Pictures have three channels."""
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(type(one) in (int, float) for one in value)
        or not all(abs(one) <= LARGEST_SCALE and math.isfinite(one) for one in value)
    ):
        raise ValueError(f"its '{name}' is not three numbers, one a channel")
    return tuple(float(one) for one in value)
