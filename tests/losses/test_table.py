"""losses.table: losses by name with options, and as a record that a run stores."""

from __future__ import annotations

import functools
import json
import pickle  # only to see that a loss with options is plain data; nothing is stored with it

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drivetrain import losses
from drivetrain.errors import ConfigError, UnknownNameError

PAIR = torch.tensor([[1.0, 2.0, 0.0], [0.5, 0.1, 3.0]]), torch.tensor([1, 0])

OPTIONS = {
    "binary_cross_entropy_with_logits": {"pos_weight": 2.0},
    "binary_focal": {"gamma": 1.0, "alpha": 0.25},
    "cross_entropy": {"label_smoothing": 0.1, "weight": [1.0, 2.0, 3.0], "ignore_index": 0},
    "dice": {"smooth": 0.5, "ignore_index": 255},
    "focal": {"gamma": 1.5, "weight": [1.0, 2.0, 3.0], "ignore_index": 0},
    "huber": {"delta": 2.0},
    "mae": {},
    "mnist_loss": {},
    "mse": {},
    "quantile": {"q": 0.9},
    "soft_cross_entropy": {"label_smoothing": 0.1},
    "token_cross_entropy": {"label_smoothing": 0.1, "ignore_index": 1},
}


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_a_loss_with_all_its_options_survives_the_record_and_bytes(name):
    made = losses.loss(name, **OPTIONS[name])
    record = json.loads(json.dumps(losses.loss_record(made)))
    assert record == {"name": name, "options": OPTIONS[name]}
    again = losses.loss_from_record(record)
    assert losses.loss_record(again) == record
    restored = pickle.loads(pickle.dumps(made))  # noqa: S301 - bytes of our own
    assert losses.loss_record(restored) == record


def test_options_are_filled_in():
    made = losses.loss("cross_entropy", label_smoothing=0.1)
    torch.testing.assert_close(made(*PAIR), F.cross_entropy(*PAIR, label_smoothing=0.1))


def test_a_record_reads_through_partials_and_tensors():
    inner = functools.partial(losses.focal, gamma=1.0, weight=torch.tensor([1.0, 2.0, 0.5]))
    assert losses.loss_record(functools.partial(inner, gamma=3.0)) == {
        "name": "focal",
        "options": {"gamma": 3.0, "weight": [1.0, 2.0, 0.5]},
    }


@pytest.mark.parametrize("own", [nn.CrossEntropyLoss(), F.cross_entropy])
def test_a_loss_of_ones_own_is_recorded_by_name_and_cannot_be_built_again(own):
    record = losses.loss_record(own)
    assert set(record) == {"name"}
    with pytest.raises(ConfigError) as caught:
        losses.loss_from_record(record)
    assert str(caught.value) == (
        f"The loss '{record['name']}' is not one of Drivetrain's, so a record cannot build it again. "
        "Give the function as `loss_fn`."
    )


def test_a_slip_in_an_option_is_answered():
    with pytest.raises(ConfigError) as caught:
        losses.loss("focal", gama=2.0)
    assert str(caught.value) == (
        "Loss 'focal' has no option 'gama'. Did you mean 'gamma'? "
        "Options: gamma, weight, ignore_index."
    )


def test_an_option_of_a_loss_without_any_is_answered():
    with pytest.raises(ConfigError) as caught:
        losses.loss("mse", reduction="none")
    assert str(caught.value) == "Loss 'mse' has no option 'reduction'. It has none."


def test_an_unknown_loss_is_answered():
    with pytest.raises(UnknownNameError) as caught:
        losses.loss("hubert")
    assert str(caught.value) == (
        "Unknown loss 'hubert'. Did you mean 'huber'? Known: binary_cross_entropy_with_logits, "
        "binary_focal, cross_entropy, dice, focal, huber, mae, mnist_loss, mse, quantile, "
        "soft_cross_entropy, token_cross_entropy."
    )
