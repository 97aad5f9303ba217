"""The form of a run's batches: how its loop takes them apart and puts them into the model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How the loop of a run puts a batch into the model, as texts."""

    head: str
    """What a batch is taken apart into by the `for`."""
    unpack: str
    """Statements that take it apart further."""
    call: str
    """What the model is called with."""
    part: str
    """What one input is called in `each`."""
    each: str
    """A change of every input, with `{}` in the place of what it makes of `part`."""
    listed: str
    """All inputs as a list."""
    count: str
    """How many items there are."""

    def with_targets(self, name: str) -> Form:
        """The same with another name of the targets in a dict."""
        return dataclasses.replace(self, unpack=self.unpack.replace('"targets"', repr(name)))


PAIR = Form("inputs, targets", "", "inputs", "inputs", "inputs = {}", "[inputs]", "len(targets)")
"""A batch `(inputs, targets)`."""

TUPLE = Form(
    "(*inputs, targets)",
    "",
    "*inputs",
    "part",
    "inputs = [{} for part in inputs]",
    "inputs",
    "num_items(targets)",
)
"""A batch `(a, b, targets)`, or one whose targets are no tensor."""

DICT = Form(
    "batch",
    'inputs = dict(batch)\ntargets = inputs.pop("targets")',
    "**inputs",
    "part",
    "inputs = {{name: {} for name, part in inputs.items()}}",
    "list(inputs.values())",
    "num_items(targets)",
)
"""A batch as a dict."""
