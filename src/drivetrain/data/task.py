"""The Task: a frozen description of a problem, from which its data can be built again.

It answers four questions: what kinds the inputs and the target have, how items are found, how they
are split, how they are labelled. JSON in, JSON out; it holds no data and no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from drivetrain import _strict
from drivetrain.errors import RunError


@dataclass(frozen=True)
class Task:
    """What is learnt from what."""

    application: str
    """Which application builds it: `vision`, `text`, `tabular` or `collab`."""
    inputs: str
    """Kind of the inputs, such as `picture`."""
    target: str
    """Kind of the target: `class` or `number`."""
    classes: tuple[str, ...] = ()
    """The labels in the order of the model's outputs; empty for numbers."""
    source: str = ""
    """Where the items were found: a folder, a file, or the name of a sample."""
    found_by: str = ""
    """How items are found, in words."""
    labelled_by: str = ""
    """How an item gets its label, in words."""
    split_by: str = ""
    """How items are split, in words."""
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    """What is done to an input before the model sees it, learnt on the training items only."""
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The labels of each target by its name, where there are several; else empty, and not in JSON."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        fields = asdict(self)  # copies, also of what stands inside `preprocessing`
        targets = {name: list(labels) for name, labels in fields.pop("targets").items()}
        fields |= {"targets": targets} if targets else {}
        return fields | {
            "classes": list(self.classes),
            "preprocessing": dict(fields["preprocessing"]),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """The Task that `to_json` wrote.

        Args:
            data: what `to_json` gave.

        Raises: RunError: a field is missing or unknown.
        """
        try:
            targets = {name: tuple(labels) for name, labels in data.get("targets", {}).items()}
            return cls(**{**data, "classes": tuple(data["classes"]), "targets": targets})
        except (AttributeError, KeyError, TypeError) as error:
            raise RunError(
                f"The task is not one that this version of Drivetrain wrote: {_strict.short(error)}."
            ) from error
