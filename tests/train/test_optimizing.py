"""From a stage to rates: one schedule for all, or one a layer group, whoever made the optimizer."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from drivetrain import optim
from drivetrain.errors import ConfigError
from drivetrain.train.journal import Stage, one_cycle_stage
from drivetrain.train.optimizing import optimizer_of, own_rates, schedule_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        self.neck = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2, bias=False)

    def groups(self) -> list[list[nn.Module]]:
        return [[self.body], [self.neck], [self.head]]


def stage(schedule: Any, lrs: tuple[float, ...] = (0.1, 1.0, 10.0), **fields: Any) -> Stage:
    planned = Stage("fit", "fit(1)", epochs=1, lrs=list(lrs), **fields)
    planned.schedule = optim.as_schedule_record(schedule, len(lrs))
    return Stage.from_json(json.loads(json.dumps(planned.to_json())))  # as a resumed run has it


def rates_at(progress: float, of: Stage, made_by: Any = torch.optim.SGD) -> list[tuple[int, float]]:
    net = Net()
    optimizer = optimizer_of(of, made_by, net, net.groups())
    set_rates = schedule_of(of, optimizer)
    assert set_rates is not None
    set_rates(progress)
    return [(group["layer_group"], group["lr"]) for group in optimizer.param_groups]


def test_one_schedule_moves_all_rates() -> None:
    assert rates_at(0.25, stage("linear")) == [
        (0, 0.1 * 0.75), (0, 0.1 * 0.75), (1, 0.75), (1, 0.75), (2, 7.5)
    ]  # fmt: skip


def test_each_layer_group_has_its_own_schedule() -> None:
    planned = stage(["constant", "linear", {"name": "polynomial", "power": 2.0}])
    assert rates_at(0.5, planned) == [(0, 0.1), (0, 0.1), (1, 0.5), (1, 0.5), (2, 2.5)]
    assert rates_at(1.0, planned) == [(0, 0.1), (0, 0.1), (1, 0.0), (1, 0.0), (2, 0.0)]


def test_a_frozen_group_does_not_shift_the_others() -> None:
    """Two optimizer groups and two schedules too few to tell by counting."""
    net = Net()
    net.body.requires_grad_(False)
    net.neck.requires_grad_(False)
    planned = stage(["constant", "constant", "linear"])
    optimizer = optimizer_of(planned, torch.optim.SGD, net, net.groups())
    set_rates = schedule_of(planned, optimizer)
    assert set_rates is not None
    set_rates(0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [5.0]


def test_an_instance_has_a_schedule_for_each_group_of_its_own() -> None:
    net = Net()
    made = torch.optim.SGD(
        optim.param_groups(net.groups()[:1], lrs=[0.1], weight_decay=0.1), lr=0.1
    )
    assert [group["layer_group"] for group in made.param_groups] == [0, 0]
    planned = stage(["constant", "linear"], lrs=(0.1, 1.0))
    set_rates = schedule_of(planned, optimizer_of(planned, made, net, net.groups()))
    assert set_rates is not None
    set_rates(0.75)
    assert [group["lr"] for group in made.param_groups] == [0.1, 0.25]
    assert own_rates(made) == [0.1, 1.0]


def test_momentum_moves_too_and_adams_other_betas_stay() -> None:
    planned = one_cycle_stage(1, [0.1, 1.0, 10.0], weight_decay=0.0)
    net = Net()
    adam = optimizer_of(planned, optim.adamw, net, net.groups())
    second = adam.param_groups[0]["betas"][1]
    set_rates = schedule_of(planned, adam)
    assert set_rates is not None
    set_rates(0.25)
    assert {group["betas"] for group in adam.param_groups} == {(0.85, second)}
    assert [group["lr"] for group in adam.param_groups] == [0.1, 0.1, 1.0, 1.0, 10.0]


def test_momentum_may_differ_between_layer_groups() -> None:
    planned = stage("linear")
    planned.momentum = {
        "name": "per_group",
        "schedules": [{"name": "constant", "value": m} for m in (0.5, 0.6, 0.7)],
    }
    net = Net()
    sgd = torch.optim.SGD
    made = optimizer_of(planned, lambda groups: sgd(groups, momentum=0.9), net, net.groups())
    set_rates = schedule_of(planned, made)
    assert set_rates is not None
    set_rates(0.0)
    assert [group["momentum"] for group in made.param_groups] == [0.5, 0.5, 0.6, 0.6, 0.7]


def test_nothing_moves_under_a_constant_of_one() -> None:
    net = Net()
    for planned in (stage(None), stage({"name": "constant", "value": 1.0})):
        optimizer = optimizer_of(planned, torch.optim.SGD, net, net.groups())
        assert schedule_of(planned, optimizer) is None


def test_a_constant_factor_is_one_the_rates_get() -> None:
    assert [lr for _, lr in rates_at(0.3, stage({"name": "constant", "value": 0.5}))] == [
        0.05, 0.05, 0.5, 0.5, 5.0
    ]  # fmt: skip


def test_another_number_of_schedules_than_of_rates_is_refused() -> None:
    planned = stage("linear")
    planned.schedule = {"name": "per_group", "schedules": [{"name": "linear"}]}
    with pytest.raises(ConfigError, match=r"^Got 1 schedules for 3 layer groups\."):
        rates_at(0.0, planned)


def test_an_optimizer_that_lost_its_groups_is_refused() -> None:
    def merged(groups: list[dict[str, Any]]) -> torch.optim.SGD:
        return torch.optim.SGD([p for group in groups for p in group["params"]], lr=0.1)

    with pytest.raises(ConfigError) as caught:
        rates_at(0.0, stage(["linear", "linear", "cosine"]), merged)
    assert str(caught.value) == (
        "There is a schedule for each layer group, but the optimizer's groups do not say to which one "
        "they belong. Keep the groups that the factory is called with, or set `layer_group` in each."
    )
