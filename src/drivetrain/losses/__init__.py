"""Losses: how wrong a batch of predictions is, as one number that has a gradient.

Each is a plain function `(predictions, targets) -> ()`, the mean over the batch, and carries
nothing; `reduction="none"` gives the values before the mean. Lower is better for all of them. A loss
is for the optimizer, which needs a gradient everywhere; a metric (`drivetrain.metrics`) is for
people, and is another object.

- `classes`: one of several classes an item, or a share of each: cross-entropy and focal.
- `binary`: yes or no for each score: cross-entropy, focal, `mnist_loss`.
- `numbers`: squared, absolute, Huber and quantile error.
- `masks`: a class for each pixel, judged by overlap: Dice.
- `several`: several targets of an item, each with classes of its own: the sum of their cross-entropies.
- `tokens`: the next token at each position of a text.
- `table`: all of them by name, with options; as a record that a run can store.
- `choice`: the loss for a kind of target, with the reason.
- `check`: pairs that do not fit, refused before training: several would run, and learn nothing.
- `items`: the loss of each item, for any loss.

    >>> import torch
    >>> focal_2 = loss("focal", gamma=2.0)
    >>> focal_2(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]))
    tensor(0.0457)

Twin: drivetrain.reference.losses.
"""

from drivetrain.losses.binary import binary_cross_entropy_with_logits, binary_focal, mnist_loss
from drivetrain.losses.check import check_pair
from drivetrain.losses.choice import LossChoice, choose_loss, kind_of_targets, loss_table
from drivetrain.losses.classes import cross_entropy, focal, soft_cross_entropy
from drivetrain.losses.common import LossFunction, Reduction
from drivetrain.losses.items import per_item
from drivetrain.losses.masks import dice
from drivetrain.losses.numbers import huber, mae, mse, quantile
from drivetrain.losses.several import summed_cross_entropy
from drivetrain.losses.table import LOSSES, loss, loss_from_record, loss_record
from drivetrain.losses.tokens import token_cross_entropy

__all__ = [
    "LOSSES",
    "LossChoice",
    "LossFunction",
    "Reduction",
    "binary_cross_entropy_with_logits",
    "binary_focal",
    "check_pair",
    "choose_loss",
    "cross_entropy",
    "dice",
    "focal",
    "huber",
    "kind_of_targets",
    "loss",
    "loss_from_record",
    "loss_record",
    "loss_table",
    "mae",
    "mnist_loss",
    "mse",
    "per_item",
    "quantile",
    "soft_cross_entropy",
    "summed_cross_entropy",
    "token_cross_entropy",
]
