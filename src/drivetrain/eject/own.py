"""The part of a script for models and loaders that people bring."""

from __future__ import annotations

from typing import Any

from drivetrain.eject.lift import Lifter
from drivetrain.eject.parts import Part
from drivetrain.errors import EjectError


def part(learner: Any, lifter: Lifter, level: str, **given: Any) -> Part:
    """Not yet."""
    raise EjectError("not yet")
