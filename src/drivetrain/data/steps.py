"""What becomes of one item on its way to a model, step by step, each with its value.

An application fills it in: `dt.vision.steps(data)`, and the same of text, tabular and collab.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError

SHOWN = 8
"""Values of a short tensor that are shown one by one."""
LONGEST = 160
"""Letters of a value on its line."""


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what came of it, and where that came from."""

    name: str
    """Such as `label`, `resized` or `codes`."""
    value: Any
    """What came of it, as it is."""
    said: str = ""
    """How it came about, in a few words."""


@dataclass(frozen=True)
class Steps:
    """The steps of one item, in their order. Print it; `steps["label"]` is the value of one."""

    item: str
    """The item's id."""
    steps: tuple[Step, ...]
    """In the order in which they are taken."""

    def __getitem__(self, name: str) -> Any:
        return lookup({step.name: step.value for step in self.steps}, name, what="step")

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: of each step its name, its value as it is shown, and how it came about."""
        steps = [{"name": s.name, "value": shown(s.value), "said": s.said} for s in self.steps]
        return {"item": self.item, "steps": steps}

    def __str__(self) -> str:
        width = max(len(step.name) for step in self.steps)
        lines = [self.item]
        for step in self.steps:
            lines.append(f"  {step.name:<{width}}  {shown(step.value)}")
            if step.said:
                lines.append(f"  {'':<{width}}  {step.said}")
        return "\n".join(lines)


def shown(value: Any) -> str:
    """A value on one line: a tensor by its shape, dtype and range, a long text cut.

    >>> shown(torch.tensor([[0.0, 2.0, 4.0]]))
    '(1, 3) float32: 0 2 4'
    >>> shown(["the", "film"])
    'the | film'
    """
    if isinstance(value, np.ndarray | np.generic):
        value = torch.as_tensor(np.array(value)) if value.dtype.kind in "biuf" else value.tolist()
    if isinstance(value, Tensor):
        return _shown_tensor(value)
    if isinstance(value, dict):
        text = ", ".join(f"{key} = {one}" for key, one in value.items())
    elif isinstance(value, tuple) and not any(isinstance(one, str) for one in value):
        text = str(value)
    elif isinstance(value, list | tuple):
        text = " | ".join(str(one) for one in value)
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _shown_tensor(value: Tensor) -> str:
    dtype = str(value.dtype).removeprefix("torch.")
    if value.numel() == 1 and value.ndim == 0:
        return f"{value.item():.6g}"
    head = f"{tuple(value.shape)} {dtype}"
    if value.numel() <= SHOWN:
        return f"{head}: {' '.join(f'{one:.4g}' for one in value.flatten().tolist())}"
    wide = value.double()
    return f"{head}: {wide.min():.4g} to {wide.max():.4g}, mean {wide.mean():.4g}"


def place_of(item: int | str, ids: Sequence[str], *, what: str = "items") -> int:
    """Where an item stands: by its place, counted from 0, or by its id.

    Args:
        item: a place or an id.
        ids: of all items.
        what: what they are, for a message.

    Returns: the place.
    Raises: ConfigError: there is no such place. UnknownNameError: no item has this id.
    """
    if isinstance(item, str):
        return lookup({name: at for at, name in enumerate(ids)}, item, what="item")
    if not -len(ids) <= item < len(ids):
        raise ConfigError(f"There is no item {item}: there are {len(ids):,} {what}, from 0 on.")
    return item % len(ids)


def split_reason(data: Any) -> str:
    """Why items are split as they are, as it was chosen; else how.

    Args:
        data: of an application, with `choices` and `task`.

    Returns: a few words.
    """
    choices = data.choices
    return choices["split"].reason if "split" in choices else data.task.split_by
