"""Golden examples: a few inputs that travel with a bundle, and what the model answered for them.

A bundle that gives other answers for its own examples is broken, whatever the cause: a changed byte,
another version of a library, another machine. The inputs are kept as they enter the calculation, after
resizing, and without loss. Beside them stands a test pattern, which anybody may see and which goes
through all of the preprocessing: a bundle that no example may travel with proves itself by it alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import manifest as manifests, opening, reading
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.manifest import Manifest, TargetOf
from drivetrain.errors import BundleError

MOST_TENSOR_BYTES = 1 << 30
MOST_TARGETS = 1_000
"""Numbers that a model predicts at once."""


@dataclass(frozen=True)
class GoldenItem:
    """One example."""

    file: str
    """The input, as a path within the bundle."""
    label: str = ""
    """What the person says it is; empty where numbers are predicted."""
    predicted: str = ""
    """What the model said when the bundle was made; as `label`."""
    value: tuple[float, ...] = ()
    """The true number, or one a target, where numbers are predicted."""
    labels: tuple[tuple[str, str], ...] = ()
    """Of several targets each with what the person says it is; `said`: with what the model said."""
    said: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`{file, label, predicted}`, or `{file, value}`; of several targets `{name: label}` of each."""
        if self.labels:
            return {"file": self.file, "label": dict(self.labels), "predicted": dict(self.said)}
        if self.value:
            return {"file": self.file, "value": list(self.value)}
        return {"file": self.file, "label": self.label, "predicted": self.predicted}


@dataclass(frozen=True)
class Golden:
    """The examples of a bundle, which may be none, and what was calculated."""

    items: tuple[GoldenItem, ...]
    expected: Mapping[str, Tensor]
    """Name -> (N, …), what was calculated for them: `logits`, `features`, and what the guard said; and
    the same, after `pattern_`, for the test pattern."""

    def files(self) -> dict[str, bytes]:
        """`golden.json` and `golden.safetensors`."""
        value = {"items": [item.to_json() for item in self.items]}
        return {
            manifests.GOLDEN: store.json_bytes(value),
            manifests.GOLDEN_TENSORS: store.tensor_bytes(self.expected),
        }


def chosen(targets: Sequence[int], count: int) -> list[int]:
    """Positions of at most `count` items that cover the classes: one of each, then a second of each.

    >>> chosen([0, 0, 0, 1, 2, 2], 4)
    [0, 3, 4, 1]
    """
    rounds: dict[int, int] = {}
    ranked = []
    for position, target in enumerate(targets):
        rounds[target] = rounds.get(target, -1) + 1
        ranked.append((rounds[target], target, position))
    return [position for _, _, position in sorted(ranked)[:count]]


def read_golden(folder: Path, manifest: Manifest) -> Golden:
    """The examples of a bundle.

    Raises: BundleError: they are not those that were written, or not examples.
    """
    where = str(folder / manifests.GOLDEN)
    fields = Fields(opening.parse_listed(folder, manifests.GOLDEN, manifest), where)
    items = []
    for entry in fields.inners("items", most=manifests.MOST_GOLDEN):
        file = entry.text("file", pattern=r"golden/[0-9a-z]{1,20}\.[a-z]{1,8}")
        if file not in manifest.files:
            entry.wrong("file", "a file of the bundle", file)
        if manifest.targets:
            told = [_of_targets(entry, name, manifest) for name in ("label", "predicted")]
            items.append(GoldenItem(file, labels=told[0], said=told[1]))
        elif manifest.classes:
            label, predicted = (entry.text(name) for name in ("label", "predicted"))
            for name, said in (("label", label), ("predicted", predicted)):
                if said not in manifest.classes:
                    entry.wrong(name, "one of the bundle's classes", said)
            items.append(GoldenItem(file, label, predicted))
        else:
            items.append(GoldenItem(file, value=_numbers(entry)))
        entry.end()
    fields.end()
    travelling = {name for name in manifest.files if name.startswith("golden/")}
    if travelling != {item.file for item in items}:
        fields.refuse("does not name the files in golden/, each once")
    expected = reading.read_tensors(
        folder / manifests.GOLDEN_TENSORS,
        sha256=manifest.files[manifests.GOLDEN_TENSORS].sha256,
        require_finite=True,
        limit=MOST_TENSOR_BYTES,
    )
    return Golden(tuple(items), expected)


def check_items(folder: Path, items: Sequence[GoldenItem], file: str, *, what: str) -> None:
    """Whether all examples are in the one file in which an application keeps them.

    Args:
        folder: of the bundle.
        items: its examples, one or more.
        file: where they have to be, as a path within the bundle.
        what: they are, as in "rows".

    Raises: BundleError: some are elsewhere.
    """
    if {item.file for item in items} != {file}:
        raise BundleError(f"{folder} has golden examples that are no {what}. Take it anew.")


def _of_targets(entry: Fields, name: str, manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """A class of each target, in their order."""
    fields = entry.inner(name)
    found = [(one.name, fields.word(one.name, one.classes)) for one in manifest.targets]
    fields.end()
    return tuple(found)


def _numbers(entry: Fields) -> tuple[float, ...]:
    """The numbers of `value`."""
    value = entry.take("value")
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_TARGETS:
        entry.wrong("value", f"a list of 1 to {MOST_TARGETS} numbers", value)
    return Fields({"value": value}, entry.where).numbers("value", len(value), -1e300, 1e300)


def largest_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The largest |found - expected| over all outputs, each divided by its largest |expected|, or by 1
    where that is below 1. Infinite where one is not finite, or where a yes became a no.

    Raises: BundleError: other outputs, or of other shapes.
    """
    if set(expected) != set(found):
        raise BundleError(
            f"The golden outputs are {', '.join(sorted(expected))}, and {', '.join(sorted(found))} "
            "were calculated. Take the bundle anew from where it came from."
        )
    return max((_difference(name, expected[name], found[name]) for name in expected), default=0.0)


def _difference(name: str, expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        raise BundleError(
            f"The golden output `{name}` is {tuple(expected.shape)} {expected.dtype}, and "
            f"{tuple(found.shape)} {found.dtype} was calculated. "
            "Take the bundle anew from where it came from."
        )
    if not expected.is_floating_point():
        return 0.0 if torch.equal(expected, found) else math.inf
    if not bool(found.isfinite().all()):
        return math.inf
    expected, found = expected.double(), found.double()
    scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    return float((found - expected).abs().max()) / scale if expected.numel() else 0.0


def predicted_of_targets(
    logits: Tensor, targets: Sequence[TargetOf]
) -> list[tuple[tuple[str, str], ...]]:
    """Each target's name and its label with the highest score, for each item (N, C_1 + … + C_T)."""
    parts = logits.split([len(one.classes) for one in targets], dim=1)
    said = [predicted(part, one.classes) for one, part in zip(targets, parts, strict=True)]
    names = [one.name for one in targets]
    return [tuple(zip(names, labels, strict=True)) for labels in zip(*said, strict=True)]


def predicted(logits: Tensor, classes: Sequence[str]) -> list[str]:
    """The label with the highest score for each item (N, C)."""
    return [classes[int(index)] for index in logits.argmax(dim=1)]
