"""What an application (vision, text …) tells a Learner: a Protocol, so that layers point down only.

A Learner without one works with tensors alone. With one it can predict on a file, say what it chose,
measure baselines and write a run folder from which everything can be built again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from drivetrain.train.choice import Choices
    from drivetrain.train.learner import Learner
    from drivetrain.train.run import Run


class Application(Protocol):
    """The questions a Learner asks of its application."""

    @property
    def choices(self) -> Choices:
        """What was decided for the person."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the model's scores; empty for numbers."""
        ...

    def record(self) -> dict[str, Any]:
        """What `run.json` says of task, data and settings; plain JSON."""
        ...

    def begin_run(self, run: Run) -> None:
        """Write what a new run folder holds before training: split and quarantine."""
        ...

    def model_record(self) -> dict[str, Any]:
        """How to build the model again and prepare an input for it; plain JSON."""
        ...

    def train(self, learner: Learner, epochs: int | None) -> None:
        """Train as the application thinks best."""
        ...

    def results(self, learner: Learner) -> dict[str, Any]:
        """Result on the validation items with interval and baselines; plain JSON."""
        ...

    def export(self, learner: Learner, folder: str | os.PathLike[str], **options: Any) -> Any:
        """Write the model as a bundle, and give what verifying it found."""
        ...

    def predict(self, learner: Learner, source: Any) -> Any:
        """The prediction for one input as people have it."""
        ...

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Loss and metrics on labelled data from elsewhere."""
        ...
