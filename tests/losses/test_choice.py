"""losses.choice: the loss for a kind of target, with its reason; what being wrong costs."""

from __future__ import annotations

import pytest
import torch

from drivetrain import losses
from drivetrain.errors import UnknownNameError


@pytest.mark.row(15)
def test_loss_is_high_when_wrong_and_sure_or_right_and_unsure():
    rows = {prob: round(loss, 4) for prob, loss in losses.loss_table()}
    assert rows == {0.99: 0.0101, 0.51: 0.6733, 0.01: 4.6052}


@pytest.mark.row(15)
def test_loss_falls_as_the_true_class_gets_more_probability():
    values = [loss for _, loss in losses.loss_table([0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


@pytest.mark.row(114)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("class", "cross_entropy"),
        ("number", "mse"),
        ("binary", "binary_cross_entropy_with_logits"),
        ("mask", "cross_entropy"),
        ("shares", "soft_cross_entropy"),
        ("tokens", "token_cross_entropy"),
    ],
)
def test_choice_of_loss_comes_with_its_reason(kind, name):
    choice = losses.choose_loss(kind)
    assert choice.name == name
    assert choice.fn is losses.LOSSES[name]
    assert choice.reason.endswith(".")
    assert len(choice.reason) > 40
    assert set(choice.others) <= set(losses.LOSSES) - {name}


def test_unknown_kind_of_target_is_answered():
    with pytest.raises(UnknownNameError) as caught:
        losses.choose_loss("clas")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "Unknown kind of target 'clas'. Did you mean 'class'? "
        "Known: binary, class, mask, number, shares, tokens."
    )


@pytest.mark.row(114)
def test_a_choice_says_what_why_and_how_to_choose_otherwise():
    assert str(losses.choose_loss("number")) == (
        "mse: The target is a number: mean squared error makes the prediction the average of what is "
        "seen; `mae` makes it the median, and heeds outliers less. "
        'To change it give `loss_fn="NAME"`: "mae", "huber", "quantile", or your own.'
    )


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        (torch.tensor([0, 3, 1]), "class"),
        (torch.tensor([0, 3, 1], dtype=torch.uint8), "class"),
        (torch.zeros(2, 8, 8, dtype=torch.int64), "mask"),
        (torch.tensor([0.5, 1.5]), "number"),
        (torch.tensor([0.0, 1.0]), "number"),
        (torch.tensor([[0.5], [1.0]]), "number"),
        (torch.tensor([[0.5, 2.0], [1.0, 3.0]]), "number"),
        (torch.tensor([[1.5, -0.5], [1.0, 0.0]]), "number"),
        (torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), "binary"),
        (torch.tensor([True, False]), "binary"),
        (torch.tensor([[0.7, 0.3], [1.0, 0.0]]), "shares"),
    ],
)
def test_kind_of_targets_is_read_from_type_shape_and_values(targets, kind):
    assert losses.kind_of_targets(targets) == kind
