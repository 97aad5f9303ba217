"""What the applications' factories choose and do alike; each choice is recorded with its reason.

    size = chosen("batch_size", batch_size, choices, usual=64, reason=steps_an_epoch(1000, 64))
    loss = chosen_loss(loss_fn, "class", choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="vision.learner")
    metrics = usual_first(("accuracy",), asked)
    return introduced(Learner(...), data, warned, announce=None, out="runs/birds")

The order of the calls is the order in which a person reads the choices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch

from drivetrain import losses, store
from drivetrain.errors import ConfigError
from drivetrain.metrics import metric as metric_by_name, record_of as metric_record
from drivetrain.train.application import Data
from drivetrain.train.choice import Choices
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.parts import DEFAULT, as_optimizer, optimizer_record
from drivetrain.train.run import Run

T = TypeVar("T")
AnyLearner = TypeVar("AnyLearner", bound=Learner)

CHANGE = {
    "batch_size": "--set batch_size=N",
    "epochs": "--epochs N",
    "lr": "--set lr=RATE",
    "num_threads": "--set num_threads=N",
}
"""How settings that every application has are chosen otherwise, as it is typed."""


def chosen_loss(
    asked: str | Mapping[str, Any] | Callable[..., Any] | None, kind: Any, choices: Choices
) -> Callable[..., Any]:
    """The loss that was asked for, else the one for the kind of target; see `losses.choose_loss`.

    Raises: UnknownNameError: no such loss, or kind.
    """
    usual = losses.choose_loss(kind)
    found = None
    if isinstance(asked, str):
        found = losses.loss(asked)
    elif isinstance(asked, Mapping):
        found = losses.loss_from_record(asked)
    elif asked is not None:
        found = asked
    choices.choose(
        "loss",
        None if found is None else losses.loss_record(found)["name"],
        usual=usual.name,
        reason=usual.reason,
        change="--set loss_fn=NAME",
    )
    return usual.fn if found is None else found


def chosen_optimizer(
    asked: str | Mapping[str, Any] | OptimizerFactory | None, choices: Choices, *, factory: str
) -> OptimizerFactory:
    """What makes the optimizer that was asked for, else AdamW.

    Args:
        factory: the name of the function that makes the model, for the message.

    Raises: ConfigError: it is an optimizer that is made already. UnknownNameError: no such optimizer.
    """
    found = as_optimizer(asked)
    if isinstance(found, torch.optim.Optimizer):
        raise ConfigError(
            f"`{factory}` makes the model, so an optimizer that is made already has other weights in "
            "it. Give what makes one: `optimizer=torch.optim.SGD`, or a name such as 'lamb'."
        )
    name = optimizer_record(found)["name"]
    choices.choose(
        "optimizer",
        None if name == DEFAULT else name,
        usual="adamw",
        reason="finds its way at most rates; with the settings that short trainings want",
        change="--set optimizer=NAME",
    )
    return found


def chosen(what: str, asked: T | None, choices: Choices, *, usual: T, reason: str) -> T:
    """A setting that was asked for, else the usual one with its reason.

    Args:
        what: a name of `CHANGE`.
        asked: the person's value, or None.
        usual: the program's value.
        reason: why that one, in one sentence.
    """
    return choices.choose(what, asked, usual=usual, reason=reason, change=CHANGE[what])


def steps_an_epoch(num_train: int, batch_size: int) -> str:
    """The reason for a number of items a batch.

    >>> steps_an_epoch(100, 64)
    '2 steps an epoch'
    """
    steps = -(-num_train // batch_size)
    return "1 step an epoch" if steps == 1 else f"{steps:,} steps an epoch"


def say_seed(seed: int, choices: Choices) -> None:
    """Record the seed, which is last of all."""
    choices.add("seed", seed, reason="the same seed gives the same bits", change="--seed N")


def parts_record(
    metrics: Iterable[Any], loss: Callable[..., Any], make_optimizer: OptimizerFactory
) -> dict[str, Any]:
    """What settings say of the parts, so that they can be made again: `{metrics, loss_fn, optimizer}`."""
    return {
        "metrics": [metric_record(metric) for metric in metrics],
        "loss_fn": losses.loss_record(loss),
        "optimizer": optimizer_record(make_optimizer),
    }


def usual_first(usual: Iterable[str], asked: Sequence[Any]) -> list[Any]:
    """The metrics that are always measured, then what else was asked for.

    Args:
        usual: names.
        asked: metrics; one of them takes the place of a usual one of its name.
    """
    have = {metric.name for metric in asked}
    return [*(metric_by_name(name) for name in usual if name not in have), *asked]


def introduced(
    learner: AnyLearner,
    data: Data,
    warned: Callable[[Data], str],
    *,
    announce: bool | None,
    out: store.StrPath | None,
) -> AnyLearner:
    """Say on stderr what was found and chosen, and begin the run where there is a folder for one.

    Args:
        learner: that was made.
        data: its data.
        warned: says what may be wrong with them.
        announce: whether to say anything; None: where the Learner shows its progress.
        out: the run's folder.

    Returns: the Learner.
    """
    if learner.progress if announce is None else announce:
        sys.stderr.write(f"{data}\nChosen for you\n{data.choices}\n{warned(data)}\n")
    if out is not None:
        learner.start_run(Run.create(out))
    return learner
