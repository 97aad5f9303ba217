"""What an application (vision, text …) tells a Learner: a Protocol, so that layers point down only.

A Learner without one works with tensors alone. With one it can predict on a file, say what it chose,
measure baselines and write a run folder from which everything can be built again. `DataApplication` has
what those of pictures, texts, tables and ratings answer alike.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from drivetrain.train.sealed import Seal, sealed_record

if TYPE_CHECKING:
    from drivetrain.data.task import Task
    from drivetrain.train.choice import Choices
    from drivetrain.train.learner import Learner
    from drivetrain.train.loop import Evaluation
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


class GatheredData(Protocol):
    """Items that were read and split, of whatever kind they are."""

    choices: Choices
    """What was decided for the person."""

    @property
    def task(self) -> Task:
        """The problem as a record."""
        ...

    @property
    def recipe(self) -> dict[str, Any]:
        """From which the same data can be gathered again; plain JSON."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 that is equal where items, labels and split are."""
        ...

    def counts(self) -> dict[str, int]:
        """Items of each part, and those set aside."""
        ...


@dataclass(frozen=True)
class Evaluated:
    """The pass over the validation items that a result was made of."""

    evaluation: Evaluation
    """With all outputs and targets."""
    seconds: float
    """That it took."""


Data = TypeVar("Data", bound=GatheredData)


class DataApplication(Generic[Data]):
    """The answers that do not depend on what the items are. To be inherited from.

    Args:
        data: the items.
        settings: what the factory was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr", …}`.
    """

    evaluated: Evaluated | None = None
    """Of the last result, where it is made of one pass; None before."""
    passes = 1
    """Over the validation items, that a result takes."""

    def __init__(self, data: Data, settings: dict[str, Any], plan: dict[str, Any]) -> None:
        self.data = data
        self.settings = settings
        self.plan = plan
        self.known_baselines: dict[str, Any] | None = None

    @property
    def choices(self) -> Choices:
        """What was decided for the person."""
        return self.data.choices

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return None

    def recorded(self, model: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again.

        Args:
            model: how it says the model.
            more: what else it says of the data.
        """
        return {
            "task": self.data.task.to_json(),
            "model": model,
            "data": self.data.recipe,
            "fingerprint": self.data.fingerprint(),
            "settings": self.settings,
            "plan": self.plan,
            "choices": self.choices.to_json(),
            "items": self.data.counts(),
            **more,
            **sealed_record(self.seal()),
        }

    def baselines(self) -> dict[str, Any]:
        """What simple models reach on the validation items: name -> `{metric: value, "interval"}`.

        The same whatever is trained on this data, so that they are made once; who has them from another
        training on it may give them as `known_baselines`.
        """
        if self.known_baselines is None:
            self.known_baselines = self.find_baselines()
        return self.known_baselines

    def find_baselines(self) -> dict[str, Any]:
        """Make them; none where the application has none of its own."""
        return {}

    def evaluate_once(self, learner: Learner) -> Evaluation:
        """The one pass that a result is made of, kept for who asks about its items next."""
        began = time.perf_counter()
        found = learner.evaluate(keep=True)
        self.evaluated = Evaluated(found, time.perf_counter() - began)
        return found

    def train(self, learner: Learner, epochs: int | None) -> None:
        """Train as planned: the method, with all else that the plan says."""
        plan = dict(self.plan)
        method, chosen = plan.pop("method"), plan.pop("epochs")
        getattr(learner, method)(chosen if epochs is None else epochs, **plan)
