"""From a stage of the journal to an optimizer and to the function that moves its rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from drivetrain import optim
from drivetrain.optim.groups import param_groups
from drivetrain.train.journal import Stage
from drivetrain.train.modules import LayerGroup

OptimizerFactory = Callable[..., Optimizer]


def optimizer_of(
    stage: Stage,
    made_by: Optimizer | OptimizerFactory,
    model: nn.Module,
    groups: Sequence[LayerGroup],
) -> Optimizer:
    """The optimizer of a stage, at the stage's rates.

    A factory makes a fresh one over torch groups, one a layer group and a kind of decay. An instance is
    used with the groups, the decay and the memory that it has; the stage's rates are those of its groups.
    """
    if isinstance(made_by, Optimizer):
        for group, lr in zip(made_by.param_groups, stage.lrs, strict=True):
            group["lr"] = group["max_lr"] = lr
        return made_by
    optimizer = made_by(
        param_groups(groups, lrs=stage.lrs, weight_decay=stage.weight_decay, model=model)
    )
    for group in optimizer.param_groups:
        group["max_lr"] = group["lr"]
    return optimizer


def own_rates(optimizer: Optimizer) -> list[float]:
    """The rates an optimizer instance was made with, one a group, whatever a schedule did since."""
    return [group.get("max_lr", group["lr"]) for group in optimizer.param_groups]


def schedule_of(stage: Stage, optimizer: Optimizer) -> Callable[[float], None] | None:
    """The function that sets rates and momentum for a progress in [0, 1]; None where nothing moves.

    Each optimizer group's rate is its `max_lr` times the stage's schedule.
    """
    if stage.schedule["name"] == "constant" and stage.momentum is None:
        return None
    factor = optim.schedule(**_options(stage.schedule))
    momentum = optim.schedule(**_options(stage.momentum)) if stage.momentum else None
    groups = optimizer.param_groups

    def set_rates(progress: float) -> None:
        now = factor(progress)
        for group in groups:
            group["lr"] = group["max_lr"] * now
        if momentum is not None:
            beta = momentum(progress)
            for group in groups:
                if "betas" in group:
                    group["betas"] = (beta, group["betas"][1])
                elif group.get("momentum"):
                    group["momentum"] = beta

    return set_rates


def _options(record: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they were before JSON made lists of tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
