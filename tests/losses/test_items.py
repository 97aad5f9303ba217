"""losses.per_item: the loss of each item, for any loss function."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drivetrain import losses
from drivetrain.errors import ShapeError


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CLASSES = noise(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
NUMBERS = noise(6), noise(6, seed=1)


@dataclass
class Doubled:
    """A loss of one's own: an object that cannot be hashed and takes no `reduction`."""

    factor: float = 2.0

    def __call__(self, preds, targets):
        return self.factor * (preds - targets).square().mean()


@pytest.mark.parametrize(
    "loss_fn",
    [
        losses.cross_entropy,
        F.cross_entropy,
        partial(F.cross_entropy, label_smoothing=0.1),
        nn.CrossEntropyLoss(),
        lambda preds, targets: losses.cross_entropy(preds, targets),
    ],
    ids=["ours", "torch function", "partial", "module", "lambda"],
)
def test_per_item_losses_average_to_the_loss(loss_fn):
    preds, targets = CLASSES
    items = losses.per_item(loss_fn, preds, targets)
    assert items.shape == (6,)
    torch.testing.assert_close(items.mean(), loss_fn(preds, targets))


def test_per_item_leaves_the_module_as_it_was():
    module = nn.CrossEntropyLoss()
    losses.per_item(module, *CLASSES)
    assert module.reduction == "mean"


def test_per_item_averages_what_remains_of_an_item():
    preds, targets = noise(4, 2, 3), noise(4, 2, 3, seed=1)
    items = losses.per_item(losses.mse, preds, targets)
    torch.testing.assert_close(items, (preds - targets).square().mean(dim=(1, 2)))


def test_per_item_asks_a_loss_of_ones_own_once_per_item():
    preds, targets = NUMBERS
    items = losses.per_item(Doubled(), preds, targets)
    torch.testing.assert_close(items, 2 * (preds - targets).square())
    assert losses.per_item(Doubled(), preds[:0], targets[:0]).shape == (0,)


def test_per_item_refuses_batches_of_different_length():
    with pytest.raises(ShapeError) as caught:
        losses.per_item(losses.mse, noise(3), noise(2))
    assert str(caught.value) == (
        "`per_item` got 3 predictions and 2 targets, expected one target for each prediction."
    )


def test_per_item_of_dice_is_the_mean_over_the_classes_of_each_picture():
    scores, mask = noise(3, 4, 5, 5), torch.randint(4, (3, 5, 5))
    items = losses.per_item(losses.dice, scores, mask)
    assert items.shape == (3,)
    torch.testing.assert_close(items[1], losses.dice(scores[1:2], mask[1:2]))


def test_per_item_takes_the_options_of_a_loss_along():
    items = losses.per_item(losses.loss("cross_entropy", label_smoothing=0.2), *CLASSES)
    torch.testing.assert_close(
        items, F.cross_entropy(*CLASSES, label_smoothing=0.2, reduction="none")
    )
