"""Parameter groups: what is decayed, which rate each layer gets, the table, the partition."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from drivetrain.errors import InputError
from drivetrain.optim import adamw, param_groups, rates_table, spread_lrs


class LayerNorm2d(nn.Module):
    """A norm that somebody else wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.GroupNorm(2, 4), LayerNorm2d())
        self.head = nn.Linear(4, 2)

    def groups(self) -> list[list[nn.Module]]:
        return [list(self.stem), list(self.body), [self.head]]


def of(groups, name: str):
    (found,) = [group for group in groups if group["name"] == name]
    return found


# --- what is decayed ------------------------------------------------------------------------------


def test_norms_and_biases_are_not_decayed():
    net = Net()
    groups = param_groups(net.groups(), lrs=[1e-4, 1e-3, 1e-2], weight_decay=0.1, model=net)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = {
        group["name"]: (group["weight_decay"], [names[id(param)] for param in group["params"]])
        for group in groups
    }
    assert found == {
        "0 decay": (0.1, ["stem.0.weight"]),
        "0 no decay": (0.0, ["stem.0.bias", "stem.1.weight", "stem.1.bias"]),
        "1 decay": (0.1, ["body.0.weight"]),
        "1 no decay": (0.0, ["body.1.weight", "body.1.bias", "body.2.scale"]),
        "2 decay": (0.1, ["head.weight"]),
        "2 no decay": (0.0, ["head.bias"]),
    }


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm1d(4),
        nn.BatchNorm2d(4),
        nn.BatchNorm3d(4),
        nn.InstanceNorm2d(4, affine=True),
        nn.LayerNorm(4),
        nn.LayerNorm((4, 4)),
        nn.GroupNorm(2, 4),
        nn.RMSNorm(4),
        LayerNorm2d(),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_no_kind_of_norm_is_decayed(norm):
    groups = param_groups([[norm]], lrs=[0.1], weight_decay=0.5)
    assert [group["weight_decay"] for group in groups] == [0.0]
    assert sum(len(group["params"]) for group in groups) == len(list(norm.parameters()))


def test_other_layers_are_decayed_except_their_biases():
    layers = [nn.Embedding(5, 3), nn.LSTM(3, 4), nn.Conv1d(3, 4, 1), nn.MultiheadAttention(4, 2)]
    groups = param_groups([layers], lrs=[0.1], weight_decay=0.5)
    names = {
        id(param): name for layer in layers for name, param in layer.named_parameters(recurse=True)
    }
    decayed = {names[id(param)] for param in of(groups, "0 decay")["params"]}
    kept = {names[id(param)] for param in of(groups, "0 no decay")["params"]}
    assert all("bias" in name for name in kept)
    assert not any("bias" in name for name in decayed)
    assert {"weight_ih_l0", "in_proj_weight", "weight"} <= decayed


def test_bare_parameter_is_decayed():
    (group,) = param_groups([[nn.Parameter(torch.ones(3))]], lrs=[0.1], weight_decay=0.5)
    assert (group["name"], group["weight_decay"], group["lr"]) == ("0 decay", 0.5, 0.1)


def test_groups_carry_rate_and_layer_group():
    net = Net()
    groups = param_groups(net.groups(), lrs=[1e-4, 1e-3, 1e-2], weight_decay=0.1)
    assert [(group["layer_group"], group["lr"]) for group in groups] == [
        (0, 1e-4), (0, 1e-4), (1, 1e-3), (1, 1e-3), (2, 1e-2), (2, 1e-2),
    ]  # fmt: skip


def test_frozen_parameters_are_left_out_and_empty_groups_too():
    net = Net()
    net.stem.requires_grad_(False)
    net.head.bias.requires_grad_(False)
    groups = param_groups(net.groups(), lrs=[1e-4, 1e-3, 1e-2], weight_decay=0.1, model=net)
    assert [group["name"] for group in groups] == ["1 decay", "1 no decay", "2 decay"]


def test_one_step_decays_weights_and_no_norm_or_bias():
    net = Net()
    optimizer = adamw(param_groups(net.groups(), lrs=[0.1, 0.1, 0.1], weight_decay=0.5, model=net))
    before = {name: param.detach().clone() for name, param in net.named_parameters()}
    for param in net.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    for name, param in net.named_parameters():
        factor = 0.95 if name in ("stem.0.weight", "body.0.weight", "head.weight") else 1.0
        torch.testing.assert_close(param.detach(), before[name] * factor, msg=name)


# --- the partition --------------------------------------------------------------------------------


def refused(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        param_groups(*args, **kwargs)
    return str(caught.value)


def test_another_number_of_rates_is_refused():
    assert refused(Net().groups(), lrs=[0.1], weight_decay=0.1) == (
        "`param_groups` got 1 rate for 3 layer groups, expected one each. "
        "`spread_lrs(lr, num_groups)` makes them."
    )


def test_parameter_in_two_groups_is_refused_by_its_full_name():
    net = Net()
    groups = [[net.stem, net.head], [net.body], [net.head]]
    assert refused(groups, lrs=[0.1] * 3, weight_decay=0.1, model=net) == (
        "Parameter `head.weight` stands in layer groups 0 and 2, so two rates would move it. "
        "Put the layers that share it into one group."
    )


def test_tied_weights_in_two_groups_are_refused_also_without_the_model():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.weight = one.weight
    assert refused([[one], [other]], lrs=[0.1] * 2, weight_decay=0.1) == (
        "Parameter `Linear.weight` stands in layer groups 0 and 1, so two rates would move it. "
        "Put the layers that share it into one group."
    )


def test_tied_weights_in_one_group_are_trained_once():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.weight = one.weight
    groups = param_groups([[one, other]], lrs=[0.1], weight_decay=0.1)
    assert sum(len(group["params"]) for group in groups) == 3


def test_parameter_in_no_group_is_refused():
    net = Net()
    assert refused([[net.stem], [net.body]], lrs=[0.1] * 2, weight_decay=0.1, model=net) == (
        "No layer group holds 2 parameters of the model: `head.weight`, `head.bias`. "
        "Nothing would train them; add their layers to a group in `layer_groups()`."
    )
    assert refused([[net.head]], lrs=[0.1], weight_decay=0.1, model=net) == (
        "No layer group holds 8 parameters of the model: `stem.0.weight`, `stem.0.bias`, "
        "`stem.1.weight`, `stem.1.bias`, `body.0.weight` and 3 more. "
        "Nothing would train them; add their layers to a group in `layer_groups()`."
    )


def test_nothing_to_train_is_refused():
    net = Net().requires_grad_(False)
    expected = (
        "`param_groups` found no parameter to train: all are frozen or there are none. "
        "Unfreeze a layer with `layer.requires_grad_(True)`."
    )
    assert refused(net.groups(), lrs=[0.1] * 3, weight_decay=0.1, model=net) == expected
    assert refused([[nn.ReLU()]], lrs=[0.1], weight_decay=0.1) == expected


# --- rates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lr", "num_groups", "expected"),
    [
        (1e-3, 3, [1e-3, 1e-3, 1e-3]),
        (1, 2, [1.0, 1.0]),
        (slice(1e-2), 3, [1e-3, 1e-3, 1e-2]),
        (slice(1e-2), 1, [1e-2]),
        (slice(1e-6, 1e-4), 3, [1e-6, 1e-5, 1e-4]),
        (slice(1e-6, 1e-4), 1, [1e-4]),
        ([1e-5, 1e-4, 0.0], 3, [1e-5, 1e-4, 0.0]),
        ((1e-5, 1e-4), 2, [1e-5, 1e-4]),
    ],
)
def test_rates_are_spread_over_the_groups(lr, num_groups, expected):
    assert spread_lrs(lr, num_groups) == pytest.approx(expected, rel=1e-12)


def test_spread_goes_by_equal_ratios():
    rates = spread_lrs(slice(1e-5, 3e-3), 5)
    steps = [math.log(b / a) for a, b in pairwise(rates)]
    assert steps == pytest.approx([math.log(300) / 4] * 4)
    assert (rates[0], rates[-1]) == (1e-5, 3e-3)


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        (
            [0.1],
            "`lr` has 1 rate for 3 layer groups. Give one rate per group, one float for all, or "
            "slice(low, high).",
        ),
        (-0.1, "`lr` holds -0.1, expected a finite number from 0 up."),
        (float("nan"), "`lr` holds nan, expected a finite number from 0 up."),
        ([0.1, float("inf"), 0.1], "`lr` holds inf, expected a finite number from 0 up."),
        (
            slice(0.1, None),
            "`lr` is slice(0.1, None, None), expected slice(low, high), or slice(high) for a tenth "
            "of it in all groups but the last.",
        ),
        (
            slice(1e-4, 1e-2, 3),
            "`lr` is slice(0.0001, 0.01, 3), expected slice(low, high), or slice(high) for a tenth "
            "of it in all groups but the last.",
        ),
        (
            slice(0, 1e-2),
            "`lr` is slice(0, 0.01, None), expected both rates above 0: no ratio leads from or to 0.",
        ),
        ("fast", "`lr` is 'fast', expected a number, a list of numbers, or slice(low, high)."),
    ],
)
def test_rates_that_cannot_be_are_refused(lr, message):
    with pytest.raises(InputError) as caught:
        spread_lrs(lr, 3)
    assert str(caught.value) == message


# --- the table ------------------------------------------------------------------------------------


def test_table_shows_layers_parameters_rate_and_state():
    net = Net()
    net.stem.requires_grad_(False)
    net.body[0].requires_grad_(False)
    groups = [*net.groups(), [nn.ReLU()], [nn.Linear(1000, 10), *[nn.ReLU()] * 4]]
    assert rates_table(groups, lrs=[1e-5, 1e-4, 1e-3, 1e-3, 0.003]).splitlines() == [
        "group  layers                          parameters    rate  state",
        "0      Conv2d, BatchNorm2d, ReLU              120       -  frozen",
        "1      Conv2d, GroupNorm, LayerNorm2d         156  0.0001  trainable: 12, rest frozen",
        "2      Linear                                  10   0.001  trainable",
        "3      ReLU                                     0       -  no parameters",
        "4      Linear, ReLU, ReLU, +2              10,010   0.003  trainable",
    ]


def test_table_refuses_another_number_of_rates():
    with pytest.raises(InputError) as caught:
        rates_table(Net().groups(), lrs=[0.1, 0.2])
    assert str(caught.value) == "`rates_table` got 2 rates for 3 layer groups, expected one each."
