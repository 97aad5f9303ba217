"""The default optimizer: its settings, fused where it can be, groups win over defaults."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from drivetrain.optim import adamw


def test_settings_are_those_documented():
    defaults = adamw([nn.Parameter(torch.ones(2))]).defaults
    assert (defaults["lr"], defaults["betas"], defaults["eps"]) == (1e-3, (0.9, 0.99), 1e-5)
    assert defaults["weight_decay"] == 0.01
    assert defaults["fused"] is True


def test_rate_can_be_given():
    assert adamw([nn.Parameter(torch.ones(2))], lr=0.3).param_groups[0]["lr"] == 0.3


def test_settings_of_a_group_win():
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [one], "lr": 0.5, "weight_decay": 0.0, "name": "a"}, {"params": other}]
    optimizer = adamw(groups, lr=0.1)
    found = [(g["lr"], g["weight_decay"], g.get("name")) for g in optimizer.param_groups]
    assert found == [(0.5, 0.0, "a"), (0.1, 0.01, None)]


def test_groups_may_come_from_a_generator():
    net = nn.Linear(2, 2)
    assert len(adamw(net.parameters()).param_groups[0]["params"]) == 2
    groups = ({"params": [param]} for param in net.parameters())
    assert len(adamw(groups).param_groups) == 2


def test_is_not_fused_where_torch_cannot():
    complex_weight = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    assert adamw([complex_weight]).defaults["fused"] is False
    elsewhere = nn.Parameter(torch.ones(2, device="meta"))
    assert adamw([nn.Parameter(torch.ones(2)), elsewhere]).defaults["fused"] is False


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_steps_on_every_float(dtype):
    weight = nn.Parameter(torch.ones(3, dtype=dtype))
    weight.grad = torch.ones_like(weight)
    adamw([weight], lr=0.5).step()
    torch.testing.assert_close(
        weight.detach(), torch.full((3,), 0.495, dtype=dtype), rtol=1e-2, atol=0
    )
