"""From a stage of the journal to an optimizer and to the function that moves its rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from drivetrain import optim
from drivetrain.errors import ConfigError
from drivetrain.optim.groups import param_groups
from drivetrain.optim.schedules import PER_GROUP
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
        for index, (group, lr) in enumerate(zip(made_by.param_groups, stage.lrs, strict=True)):
            group["lr"] = group["max_lr"] = lr
            group["rate_index"] = index  # which of the stage's rates, and schedules, it has
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

    Each optimizer group's rate is its `max_lr` times the stage's schedule, or, where that is a
    `per_group` record, times the schedule of the layer group that it belongs to.

    Raises: ConfigError: a schedule is wrong; there is one a layer group, but another number of them than
        of rates, or optimizer groups that do not tell their layer group.
    """
    if _is_still(stage.schedule) and stage.momentum is None:
        return None
    factors, factor_of = _curves(stage.schedule, stage, optimizer)
    betas, beta_of = _curves(stage.momentum, stage, optimizer) if stage.momentum else ([], [])
    groups = optimizer.param_groups

    def set_rates(progress: float) -> None:
        now = [factor(progress) for factor in factors]
        for group, index in zip(groups, factor_of, strict=True):
            group["lr"] = group["max_lr"] * now[index]
        if betas:
            now = [beta(progress) for beta in betas]
            for group, index in zip(groups, beta_of, strict=True):
                if "betas" in group:
                    group["betas"] = (now[index], *group["betas"][1:])
                elif group.get("momentum"):
                    group["momentum"] = now[index]

    return set_rates


def _is_still(record: Mapping[str, Any]) -> bool:
    """A constant of 1, which leaves the rates where they are."""
    return record["name"] == "constant" and record.get("value", 1.0) == 1.0


def _curves(
    record: Mapping[str, Any], stage: Stage, optimizer: Optimizer
) -> tuple[list[Callable[[float], float]], list[int]]:
    """The schedules of a record, and which of them each optimizer group has."""
    if record["name"] != PER_GROUP:
        return [_curve(record)], [0] * len(optimizer.param_groups)
    records = optim.as_schedule_record(record, len(stage.lrs))["schedules"]
    indices: list[Any] = [
        group.get("rate_index", group.get("layer_group")) for group in optimizer.param_groups
    ]
    if None in indices:
        raise ConfigError(
            "There is a schedule for each layer group, but the optimizer's groups do not say to which "
            "one they belong. Keep the groups that the factory is called with, or set `layer_group` in "
            "each."
        )
    return [_curve(one) for one in records], indices


def _curve(record: Mapping[str, Any]) -> Callable[[float], float]:
    """The schedule of a record, its options as they were before JSON made lists of tuples."""
    options: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return optim.schedule(options.pop("name"), **options)
