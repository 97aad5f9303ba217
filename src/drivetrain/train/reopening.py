"""A run's Learner made again from its record: the steps that every application takes.

    again = Recorded.of(folder, "text", "a run of texts")
    again.check(RECORD)                                # `run.json` holds what it has to
    data = again.gathered(gather_again, changed)       # the items are those it began with
    found = learner(data, **again.told(None, progress=True))
    found = again.standing(found, lost="…")            # its journal, weights and choices are the run's

and `went_on(found)` trains it to the end. What an application alone knows it gives: the form of its
record, how its items are gathered, and the words for items that are others now.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import torch

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.train.application import Data, DataApplication
from drivetrain.train.callback import Callback
from drivetrain.train.choice import Choices
from drivetrain.train.keeping import callbacks_from
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run, check_form, said_as_damage

AnyLearner = TypeVar("AnyLearner", bound=Learner)

NUMBER = (int, float)
"""What a number of a record may be."""


class Told(TypedDict):
    """What every factory is told again; the rest is the application's own."""

    metrics: list[Any]
    optimizer: dict[str, Any]
    batch_size: int
    lr: float
    epochs: int
    weight_decay: float
    seed: int
    num_threads: int
    callbacks: Sequence[Callback | str | Mapping[str, Any]]
    progress: bool
    announce: bool


def form_of_run(
    *,
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What `run.json` has to say for a run to be opened again; see `train.run.check_form`.

    Args:
        model, data, settings: the entries that an application needs there, settings beside the usual.
    """
    return {
        "seed": int,
        "fingerprint": str,
        "callbacks": list,
        "choices": list,
        "journal": list,
        "model": dict(model),
        "data": dict(data),
        "plan": {"method": str, "lr": NUMBER, "epochs": int},
        "settings": {
            "batch_size": int,
            "weight_decay": NUMBER,
            **(settings or {}),
            "num_threads": int,
            "metrics": list,
            "loss_fn": dict,
            "optimizer": dict,
            "initial_sha256": str,
        },
    }


@dataclass(frozen=True)
class Recorded:
    """A run that is opened, and what its `run.json` says."""

    run: Run
    folder: store.StrPath
    """As it was given, for messages."""
    record: dict[str, Any]

    @classmethod
    def of(
        cls, folder: store.StrPath, application: str, what: str, *, has: Sequence[str] = ()
    ) -> Recorded:
        """Open a run.

        Args:
            folder: of the run.
            application: whose it has to be.
            what: how to call such a run.
            has: entries without which it is a run of another kind.

        Raises: RunError: no run there, or one of another kind.
        """
        run = Run.open(folder)
        found = cls(run, folder, run.read())
        check_form(found.record, {"task": dict}, found.path)
        others = found.record["task"].get("application") != application
        if others or any(name not in found.record for name in has):
            raise RunError(f"{folder} is not {what}.")
        return found

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self.run.folder / "run.json"

    @property
    def settings(self) -> dict[str, Any]:
        """What the factory was told or chose."""
        return self.record["settings"]

    @property
    def plan(self) -> dict[str, Any]:
        """How it trains."""
        return self.record["plan"]

    def check(self, form: Mapping[str, Any], methods: Sequence[str] = ()) -> None:
        """Whether the record holds what it has to.

        Args:
            form: of the record; see `form_of_run`.
            methods: what the plan may call; without any it is not looked at.

        Raises: RunError: it does not.
        """
        check_form(self.record, form, self.path)
        if methods and self.plan["method"] not in methods:
            raise RunError(f"{self.path} cannot be used: its 'plan.method' is not one of ours.")

    def gathered(
        self, again: Callable[[Mapping[str, Any]], Data], changed: Callable[[Data], str]
    ) -> Data:
        """The items, read again.

        Args:
            again: gathers them by their recipe.
            changed: says of them that they are not those the run began with.

        Raises: RunError: they are others. DataError: they are gone.
        """
        with said_as_damage(self.path):
            data = again(self.record["data"])
        if data.fingerprint() != self.record["fingerprint"]:
            raise RunError(changed(data))
        return data

    def could_hold(self, shapes: Mapping[str, tuple[torch.dtype, Sequence[int]]]) -> bool:
        """Whether tensors of these shapes are no larger than all that the run holds.

        To be asked before memory is taken for them. A run without weights could hold any.
        """
        needed = sum(math.prod(shape) * dtype.itemsize for dtype, shape in shapes.values())
        return not 0 < self.run.weights_bytes() < needed

    def told(
        self,
        callbacks: Sequence[Callback | str | Mapping[str, Any]] | None,
        *,
        progress: bool,
    ) -> Told:
        """What every factory is told, so that it makes the same Learner.

        Args:
            callbacks: in place of those that the run names.
            progress: whether to show progress on stderr.

        Raises: RunError: a callback has no name, so only the script that gave it has it.
        """
        settings, plan = self.settings, self.plan
        return {
            "metrics": settings["metrics"],
            "optimizer": settings["optimizer"],
            "batch_size": settings["batch_size"],
            "lr": plan["lr"],
            "epochs": plan["epochs"],
            "weight_decay": settings["weight_decay"],
            "seed": self.record["seed"],
            "num_threads": settings["num_threads"],
            "callbacks": callbacks_from(self.record["callbacks"])
            if callbacks is None
            else callbacks,
            "progress": progress,
            "announce": False,
        }

    def standing(
        self,
        learner: AnyLearner,
        *,
        lost: str,
        take: Callable[[AnyLearner], None] | None = None,
    ) -> AnyLearner:
        """The Learner where the run stopped, with the run's settings, plan and choices.

        Args:
            learner: as the factory made it.
            lost: how the message goes on where its first weights are needed and are not these.
            take: leaves it the share of the items that its settings name, where its data are whole.

        Raises: RunError: they are; or no checkpoint is whole, or they are of another model.
        """
        application = learner.application
        assert isinstance(application, DataApplication), "made by an application's factory"
        begins_as = application.settings["initial_sha256"]
        if begins_as != self.settings["initial_sha256"] and not self.run.checkpoints:
            raise RunError(f"{self.folder} was cut before its first checkpoint, and {lost}")
        application.plan, application.settings = self.plan, self.settings
        if take is not None:
            take(learner)
        with said_as_damage(self.path):
            # with the reasons of the first time
            application.data.choices = Choices.from_json(self.record["choices"])
            learner.open_run(self.run)
        return learner


def train_anew(source: object) -> str:
    """The command that trains on a source again, to end a message with."""
    return f"Train anew: drivetrain train {shlex.quote(str(source))}"


def went_on(learner: AnyLearner) -> AnyLearner:
    """A Learner that stands where its run stopped, trained to the end of what was planned."""
    if learner.journal:
        learner.resume()
    else:  # cut before its first stage was planned
        learner.train()
    return learner
