"""Several targets of a picture, such as a leaf's disease and its variety: their names and classes.

One body sees, a head for each target decides (`nn.heads`), and the loss is the weighted sum of their
cross-entropies (`losses.several`). Scores of all targets stand side by side in one tensor, (B, C_1 + …
+ C_T), and class indices in (B, T), so that every loop, callback and checkpoint takes them as they are;
here they are taken apart again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from drivetrain import losses, metrics
from drivetrain._registry import did_you_mean
from drivetrain.data.items import Item
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.losses.several import check_weights, summed_cross_entropy
from drivetrain.metrics.of_target import OfTarget
from drivetrain.train.choice import Choices
from drivetrain.train.predictions import Predictions

MOST_NUMBERED = 100
"""Classes that may be called by whole numbers; more of them are a quantity."""

FIRST = ("accuracy",)
"""Metrics of each target, in every case."""


@dataclass(frozen=True)
class Targets:
    """What is told of each picture: T names, and the classes of each."""

    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    """Labels of each target, in the order of its scores."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """C_1 … C_T, classes of each target."""
        return tuple(map(len, self.classes))

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The columns of each target's scores: the first, and the one after the last."""
        return list(pairwise(accumulate(self.sizes, initial=0)))

    def codes(self, items: Sequence[Item]) -> Tensor:
        """(N, T) int64, the class indices of each item."""
        numbers = [{name: code for code, name in enumerate(found)} for found in self.classes]
        rows = [
            [number[label] for number, label in zip(numbers, labels_of(item), strict=True)]
            for item in items
        ]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(self.names))

    def to_json(self) -> list[dict[str, Any]]:
        """`[{name, classes}, …]`."""
        pairs = zip(self.names, self.classes, strict=True)
        return [{"name": name, "classes": list(classes)} for name, classes in pairs]

    def split(self, found: Predictions) -> Predictions:
        """The record of all targets with one of each in `parts`; losses there are unweighted."""
        parts = {}
        for place, (name, (start, stop)) in enumerate(zip(self.names, self.spans, strict=True)):
            scores, codes = found.outputs[:, start:stop], found.targets[:, place]
            parts[name] = Predictions(
                ids=found.ids,
                targets=codes,
                outputs=scores,
                losses=losses.cross_entropy(scores, codes, reduction="none"),
                classes=self.classes[place],
            )
        return Predictions(found.ids, found.targets, found.outputs, found.losses, (), parts)


def labels_of(item: Item) -> tuple[str, ...]:
    """An item's label of each target."""
    return (item.label, *item.others)


def are_numbers(classes: Sequence[str]) -> bool:
    """Whether labels are a quantity, and not names: all are numbers, and very many, or not whole.

    >>> are_numbers(["1", "2", "3"]), are_numbers(["0.71", "1.3", "2"])
    (False, True)
    """
    try:
        values = [float(label.replace(",", ".")) for label in classes]
    except ValueError:
        return False
    if not all(map(math.isfinite, values)):  # "nan" and "inf" are words too
        return False
    return len(values) > MOST_NUMBERED or not all(value.is_integer() for value in values)


def check_names(names: Sequence[str] | str) -> tuple[str, ...]:
    """The targets that were asked for.

    Raises: ConfigError: there is none, or one of them twice.
    """
    found = (names,) if isinstance(names, str) else tuple(names)
    if not found or not all(isinstance(name, str) and name.strip() for name in found):
        raise ConfigError(
            f"`targets` are the names of one or more columns of labels. Got {names!r}."
        )
    twice = [name for place, name in enumerate(found) if name in found[:place]]
    if twice:
        raise ConfigError(f"The target {twice[0]!r} is given twice. Name each column once.")
    return found


def weights_of(asked: Mapping[str, Any] | None, targets: Targets | None) -> tuple[float, ...]:
    """The weight of each target, in their order; 1 where none is given.

    Raises: ConfigError: a weight of something that is no target, or one that is out of range.
    """
    asked = {} if asked is None else asked
    if not isinstance(asked, Mapping):
        raise ConfigError(
            f"`target_weights` gives a number for a target's name, such as {{'variety': 0.5}}. "
            f"Got {asked!r}."
        )
    if targets is None:
        if asked:
            raise ConfigError(
                "`target_weights` weighs several targets against each other, and there is one. Name them "
                "by `targets`, or leave the weights out."
            )
        return ()
    for name in asked:
        if name not in targets.names:
            raise ConfigError(
                f"`target_weights` has a weight of {name!r}, which is no target."
                f"{did_you_mean(str(name), targets.names)} Targets: {', '.join(targets.names)}."
            )
    return check_weights([asked.get(name, 1.0) for name in targets.names], targets.names)


def loss_of(asked: Any, targets: Targets, weights: Sequence[float], choices: Choices) -> Any:
    """The loss for several targets: what was asked for, else their summed cross-entropy.

    Raises: ConfigError: a loss by its name, which would be of one target.
    """
    own = summed_cross_entropy.__name__
    loss: Any = asked
    named = asked.get("name") if isinstance(asked, Mapping) else asked
    is_own = asked is None or named == own
    if isinstance(asked, Mapping) and not is_own:
        losses.loss_from_record(asked)  # says so where it was a function of somebody's own
    if isinstance(named, str) and not is_own:
        raise ConfigError(
            f"The loss '{named}' is of one target, and there are {len(targets.names)}. Leave it out: the "
            "sum of their cross-entropies is used; or give a function of your own, (scores of all "
            "targets (B, C), class indices (B, T)) -> ()."
        )
    parts = [
        name if weight == 1 else f"{weight:g} x {name}"
        for name, weight in zip(targets.names, weights, strict=True)
    ]
    choices.choose(
        "loss",
        None if is_own else losses.loss_record(loss)["name"],
        usual=own,
        reason=f"the cross-entropies of {len(parts)} targets, added: {' + '.join(parts)}",
        change='--set target_weights={"NAME": WEIGHT}',
    )
    if not is_own:
        return loss
    return functools.partial(summed_cross_entropy, sizes=targets.sizes, weights=tuple(weights))


def metrics_of(asked: Sequence[Any], targets: Targets) -> list[OfTarget]:
    """Each metric of each target: `disease accuracy`, `disease error_rate`, …, target by target.

    Args:
        asked: names, records or objects; accuracy comes first in every case.

    Raises: ConfigError: an object that cannot be made anew for each target.
    """
    names = {metrics.metric(one).name for one in asked}
    wanted = [*(name for name in FIRST if name not in names), *asked]
    return [
        OfTarget(_fresh(one), name, place=place, start=start, stop=stop)
        for place, (name, (start, stop)) in enumerate(
            zip(targets.names, targets.spans, strict=True)
        )
        for one in wanted
    ]


def _fresh(asked: Any) -> Any:
    """A metric that counts for one target alone.

    Raises: ConfigError: an object, which cannot count for each target apart.
    """
    if isinstance(asked, str | Mapping):
        return metrics.metric(asked)
    record = metrics.record_of(asked)
    if "options" not in record:
        raise ConfigError(
            f"The metric `{record['name']}` is one object, and there are several targets, each of which "
            f"needs its own. Give a name of {', '.join(sorted(metrics.METRICS)[:4])} …"
        )
    return metrics.metric(record)


def place_of(asked: str | None, targets: Targets | None) -> int | None:
    """Which of several targets is meant, by its place; the first where none is named. None of one target.

    Args:
        asked: a name.
        targets: of the model; None of one target.

    Raises: UnknownNameError: there is no such target. ConfigError: a name, and the model is of one.
    """
    if targets is None:
        if asked is not None:
            raise ConfigError(
                f"The target {asked!r} was asked for, and this model is of one: leave it out."
            )
        return None
    if asked is None:
        return 0
    if asked not in targets.names:
        raise UnknownNameError(
            f"There is no target {asked!r}.{did_you_mean(asked, targets.names)} Targets: "
            f"{', '.join(targets.names)}."
        )
    return targets.names.index(asked)


def several(names: Sequence[str], what: str) -> str:
    """Why something cannot be done with several targets, and what can."""
    return (
        f"{what} is of one target, and this model has {len(names)}: {', '.join(names)}. Train one of "
        f"them alone for it: --target {names[0]!r}."
    )
