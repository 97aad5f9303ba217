"""What an application brings to the script of its run: its data, its model, its validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from drivetrain.eject.form import PAIR, Form
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.settings import Setting

LEVELS = {
    "loop": "your loop, our pieces: data, model, loss and optimizer are imported from Drivetrain",
    "data": "your loop and your data: model, loss and optimizer are imported from Drivetrain",
    "all": "everything: nothing is imported from Drivetrain",
}
"""How deep a script goes."""


@dataclass
class Written:
    """A function or class that a part writes for this very run.

    `text` uses names of `uses`, which are lifted, and of the script.
    """

    text: str
    section: str
    uses: Mapping[str, Any] = field(default_factory=dict)
    """By the name in the text: a function or class, or "module:name"."""


@dataclass
class Part:
    """What a script needs to know of data and model."""

    title: str
    """The first sentence of the script: what is trained on what."""
    settings: Sequence[Setting]
    written: Sequence[Written]
    load: str
    """Statements of `main` that make what training needs, from `arguments.data` on."""
    fit_arguments: str
    """What the functions that train are given, such as `model, train, valid`."""
    batches: str
    """The training batches of an epoch, an expression."""
    num_batches: int | None
    validate: str
    """A dict with what a validation adds to the row; empty where there is none."""
    layer_groups: str
    measure: str
    """What the result is measured by, an expression; empty: it is the last row of training."""
    result: str
    """The metrics of the result, an expression that reads `row`."""
    known: Mapping[str, Mapping[str, Known]] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    pinned: Sequence[str] = ()
    form: Form = PAIR
    data_help: str = "where the data lies"
    needs_data: bool = True
    """Whether the script reads what `--data` names."""
    draws: bool = True
    """Whether anything draws from torch's global generator while it trains, such as dropout."""
    note: str = ""
    """A second paragraph for the script's docstring."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Files that lie beside the script and that it reads: what their names end in in the place of the
    script's `.py` -> their text."""
    parameters: Sequence[tuple[str, str]] = ()
    """Parameters of the functions that train, after `model`, with their types."""


class Ejects(Protocol):
    """An application that a run can be ejected from."""

    def eject_part(self, learner: Any, lifter: Lifter, level: str) -> Part:
        """The part of a script that is the application's.

        Raises: EjectError: something of it has no plain form.
        """
        ...
