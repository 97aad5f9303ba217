"""What the training loop of a script is put into: texts of expressions, and facts about the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivetrain.eject.form import PAIR, Form
from drivetrain.eject.known import Known


@dataclass
class Surroundings:
    """The same for all fits of a run."""

    layer_groups: str
    """`model.layer_groups()`, or `[[model]]`."""
    num_groups: int
    optimizer: str
    """What makes the optimizer out of `groups`, `{}` in their place."""
    defaults: Mapping[str, Any]
    """What the optimizer has for every group, by name."""
    has_modes: bool
    """The optimizer has `train` and `eval`."""
    loss: Known
    """The loss function and its text."""
    batches: str
    """The training batches of `epoch`."""
    num_batches: int | None
    validate: str
    """An expression of the row that a validation adds; empty where there is none."""
    metrics: Sequence[Any]
    draws: bool = True
    """Whether anything draws from torch's global generator while it trains."""
    form: Form = PAIR
    is_one_group: bool = False
    """All parameters have one rate, and either some are decayed and some are not, or all are."""
    decays_all: bool = False
    """All that is trained is decayed: none of it is a bias or a norm's."""
    trains_all: bool = True
    """No parameter is made so that it is not trained."""
    named: bool = False
    """The optimizer asks its groups which layers they are of."""
    frozen: bool = False
    """Some layers are frozen in some fit."""
    device: Any = None
    fills_unknown: bool = False
    """The model has `fill_unknown`, for the rows of its tables that nothing trains."""
