"""losses.check_pair: wrong pairs are refused with the way out, pairs that fit pass."""

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


@dataclass
class Unhashable:
    """A loss of one's own that cannot be looked up in a table."""

    factor: float = 2.0

    def __call__(self, preds, targets):
        return self.factor * preds[0].mean()


LONG = torch.tensor([0, 1, 2, 0])

REFUSED = {
    "one score per item": (
        losses.cross_entropy,
        noise(4, 1),
        LONG,
        "`cross_entropy` got scores of shape (4, 1), expected (B, C) with a score for each of two or "
        "more classes. For one score per item use `binary_cross_entropy_with_logits`.",
    ),
    "scores without classes": (
        losses.cross_entropy,
        noise(4),
        LONG,
        "`cross_entropy` got scores of shape (4,), expected (B, C) with a score for each of two or "
        "more classes. For one score per item use `binary_cross_entropy_with_logits`.",
    ),
    "float targets": (
        losses.cross_entropy,
        noise(4, 3),
        LONG.float(),
        "`cross_entropy` got float32 targets, expected int64: class indices in 0..2. "
        "For numbers use `mse`; if they are classes, give `targets.long()`.",
    ),
    "int32 targets": (
        losses.cross_entropy,
        noise(4, 3),
        LONG.int(),
        "`cross_entropy` got int32 targets, expected int64: class indices in 0..2. "
        "Give `targets.long()`.",
    ),
    "one-hot targets": (
        losses.cross_entropy,
        noise(4, 3),
        F.one_hot(LONG),
        "`cross_entropy` got targets of shape (4, 3), expected (4,): class indices in 0..2, for "
        "scores of shape (4, 3). For one-hot targets give `targets.argmax(1)`.",
    ),
    "shares of classes": (
        losses.focal,
        noise(4, 3),
        noise(4, 3).softmax(1),
        "`focal` got targets of shape (4, 3), expected (4,): class indices in 0..2, for scores of "
        "shape (4, 3). For a share of each class use `soft_cross_entropy`.",
    ),
    "several labels under cross-entropy": (
        losses.cross_entropy,
        noise(4, 3),
        torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]),
        "`cross_entropy` got targets of shape (4, 3), expected (4,): class indices in 0..2, for "
        "scores of shape (4, 3). For several labels per item, a 0 or 1 for each class, use "
        "`binary_cross_entropy_with_logits`.",
    ),
    "a column of classes": (
        losses.cross_entropy,
        noise(4, 3),
        LONG.unsqueeze(1),
        "`cross_entropy` got targets of shape (4, 1), expected (4,): class indices in 0..2, for "
        "scores of shape (4, 3). Give `targets.squeeze(1)`.",
    ),
    "a mask with a channel": (
        losses.cross_entropy,
        noise(2, 3, 8, 8),
        torch.zeros(2, 1, 8, 8, dtype=torch.int64),
        "`cross_entropy` got targets of shape (2, 1, 8, 8), expected (2, 8, 8): class indices in "
        "0..2, for scores of shape (2, 3, 8, 8). Give `targets.squeeze(1)`.",
    ),
    "a mask of another size": (
        losses.dice,
        noise(2, 3, 4, 4),
        torch.zeros(2, 8, 8, dtype=torch.int64),
        "`dice` got targets of shape (2, 8, 8), expected (2, 4, 4): class indices in 0..2, for "
        "scores of shape (2, 3, 4, 4). Scores and mask must have the same height and width: resize "
        'one of them, a mask with `F.interpolate(..., mode="nearest")`.',
    ),
    "one class for a score per pixel": (
        losses.cross_entropy,
        noise(2, 3, 8, 8),
        torch.tensor([0, 1]),
        "`cross_entropy` got targets of shape (2,), expected (2, 8, 8): class indices in 0..2, for "
        "scores of shape (2, 3, 8, 8). There is one class per picture: average the scores over the "
        "pixels.",
    ),
    "masks for a score per picture": (
        losses.cross_entropy,
        noise(2, 3),
        torch.zeros(2, 8, 8, dtype=torch.int64),
        "`cross_entropy` got targets of shape (2, 8, 8), expected (2,): class indices in 0..2, for "
        "scores of shape (2, 3). They look like masks, a class per pixel: the model must give a "
        "score per pixel.",
    ),
    "a mask with 255": (
        losses.dice,
        noise(1, 2, 2, 2),
        torch.tensor([[[0, 255], [1, 0]]]),
        "`dice` got target 255, expected class indices in 0..1: the model gives 2 scores per item. "
        "In masks 255 is often a border that belongs to no class: give the loss `ignore_index=255`. "
        "Where it is white, the second class, give `targets // 255`.",
    ),
    "Dice of a class per picture": (
        losses.dice,
        noise(4, 3),
        LONG,
        "`dice` got scores of shape (4, 3), expected (B, C, height, width) with a score for each "
        "class of each pixel. For a class per picture use `cross_entropy`.",
    ),
    "weights for other classes": (
        losses.loss("cross_entropy", weight=[1.0, 2.0]),
        noise(4, 3),
        LONG,
        "`cross_entropy` got 2 class weights for 3 scores per item, expected one for each class, in "
        "the order of the classes.",
    ),
    "shares that do not sum to 1": (
        losses.soft_cross_entropy,
        noise(4, 3),
        torch.ones(4, 3),
        "`soft_cross_entropy` got targets that do not sum to 1 over the 3 classes, expected a share "
        "of each class. For several labels per item use `binary_cross_entropy_with_logits`, for "
        "numbers `mse`.",
    ),
    "shares and one class too many": (
        losses.soft_cross_entropy,
        noise(4, 2),
        LONG,
        "`soft_cross_entropy` got target 2, expected class indices in 0..1: the model gives 2 "
        "scores per item. Make its last layer as wide as there are classes, numbered from 0.",
    ),
    "classes under focal for binary": (
        losses.loss("binary_focal", gamma=1.0),
        noise(4, 3),
        LONG,
        "`binary_focal` got scores of shape (4, 3) and targets of shape (4,), expected a 0 or 1 for "
        "each score. If the targets are classes, use `cross_entropy`.",
    ),
    "masks under mse": (
        losses.mse,
        noise(2, 3, 8, 8),
        torch.zeros(2, 8, 8, dtype=torch.int64),
        "`mse` got int64 targets of shape (2, 8, 8) for predictions of shape (2, 3, 8, 8), expected "
        "numbers of that shape. If the targets are classes, use `cross_entropy`.",
    ),
    "a column under huber": (
        losses.loss("huber", delta=2.0),
        noise(4, 1),
        noise(4),
        "`huber` got predictions of shape (4, 1) and targets of shape (4,). "
        "Give `preds.squeeze(-1)`.",
    ),
    "a column under quantile": (
        losses.quantile,
        noise(4),
        noise(4, 1),
        "`quantile` got predictions of shape (4,) and targets of shape (4, 1). "
        "Give `targets.squeeze(-1)`.",
    ),
    "another batch": (
        losses.cross_entropy,
        noise(4, 3),
        LONG[:3],
        "`cross_entropy` got targets of shape (3,), expected (4,): class indices in 0..2, for "
        "scores of shape (4, 3).",
    ),
    "class too high": (
        losses.cross_entropy,
        noise(4, 2),
        LONG,
        "`cross_entropy` got target 2, expected class indices in 0..1: the model gives 2 scores per "
        "item. Make its last layer as wide as there are classes, numbered from 0.",
    ),
    "negative class": (
        losses.cross_entropy,
        noise(4, 3),
        LONG - 1,
        "`cross_entropy` got target -1, expected class indices in 0..2: the model gives 3 scores per "
        "item. Make its last layer as wide as there are classes, numbered from 0.",
    ),
    "integer scores": (
        losses.cross_entropy,
        torch.ones(4, 3, dtype=torch.int64),
        LONG,
        "`cross_entropy` got int64 predictions, expected floats: the model's scores, before any "
        "argmax or rounding, which have no gradient.",
    ),
    "a tuple of outputs": (
        losses.cross_entropy,
        (noise(4, 3), noise(4, 3)),
        LONG,
        "`cross_entropy` got predictions of type tuple, expected a tensor. Write a loss of your own, "
        "(predictions, targets) -> (), that takes them apart.",
    ),
    "targets in a list": (
        losses.mse,
        noise(4),
        [0.0, 1.0, 2.0, 3.0],
        "`mse` got targets of type list, expected a tensor. Write a loss of your own, "
        "(predictions, targets) -> (), that takes them apart.",
    ),
    "column against row": (
        losses.mse,
        noise(4, 1),
        noise(4),
        "`mse` got predictions of shape (4, 1) and targets of shape (4,). Give `preds.squeeze(-1)`.",
    ),
    "row against column": (
        nn.MSELoss(),
        noise(4),
        noise(4, 1),
        "`MSELoss` got predictions of shape (4,) and targets of shape (4, 1). "
        "Give `targets.squeeze(-1)`.",
    ),
    "shapes that broadcast": (
        losses.mae,
        noise(4, 3),
        noise(3),
        "`mae` got predictions of shape (4, 3) and targets of shape (3,). "
        "They must be equal: broadcasting would pair the wrong items.",
    ),
    "classes under mse": (
        F.mse_loss,
        noise(4, 3),
        LONG,
        "`mse_loss` got int64 targets of shape (4,) for predictions of shape (4, 3), expected numbers "
        "of that shape. If the targets are classes, use `cross_entropy`.",
    ),
    "classes under binary": (
        losses.binary_cross_entropy_with_logits,
        noise(4, 3),
        LONG,
        "`binary_cross_entropy_with_logits` got scores of shape (4, 3) and targets of shape (4,), "
        "expected a 0 or 1 for each score. If the targets are classes, use `cross_entropy`.",
    ),
    "numbers under binary": (
        nn.BCEWithLogitsLoss(),
        noise(4),
        torch.tensor([0.0, 1.0, 2.5, 0.0]),
        "`BCEWithLogitsLoss` got target 2.5, expected 0 or 1 for each score. "
        "For one of several classes use `cross_entropy`, for numbers `mse`.",
    ),
    "minus one for no": (
        losses.mnist_loss,
        noise(4),
        torch.tensor([-1, 1, 1, -1]),
        "`mnist_loss` got target -1, expected 0 or 1 for each score. "
        "For one of several classes use `cross_entropy`, for numbers `mse`.",
    ),
    "inside a partial": (
        partial(F.cross_entropy, label_smoothing=0.1),
        noise(4, 3),
        LONG.float(),
        "`cross_entropy` got float32 targets, expected int64: class indices in 0..2. "
        "For numbers use `mse`; if they are classes, give `targets.long()`.",
    ),
    "torch's module": (
        nn.CrossEntropyLoss(),
        noise(4, 2),
        LONG,
        "`CrossEntropyLoss` got target 2, expected class indices in 0..1: the model gives 2 scores "
        "per item. Make its last layer as wide as there are classes, numbered from 0.",
    ),
}


@pytest.mark.row(114)
@pytest.mark.parametrize("case", sorted(REFUSED))
def test_wrong_pair_is_refused_with_the_way_out(case):
    loss_fn, preds, targets, message = REFUSED[case]
    with pytest.raises(ShapeError) as caught:
        losses.check_pair(loss_fn, preds, targets)
    assert str(caught.value) == message


@pytest.mark.row(114)
@pytest.mark.parametrize(
    ("preds", "targets"),
    [
        (noise(4, 1), noise(4)),
        (noise(4, 3), noise(3)),
        (noise(4), noise(5)),
    ],
)
@pytest.mark.parametrize(
    "name",
    "mse mae huber quantile mnist_loss binary_focal binary_cross_entropy_with_logits".split(),
)
def test_losses_themselves_never_broadcast(name, preds, targets):
    with pytest.raises(ShapeError, match=rf"^`{name}` got predictions of shape \(4"):
        losses.LOSSES[name](preds, targets)


@pytest.mark.parametrize(
    ("loss_fn", "preds", "targets"),
    [
        (nn.CrossEntropyLoss(), noise(4, 3), torch.tensor([0, -100, 2, 1])),
        (nn.CrossEntropyLoss(), noise(4, 3), noise(4, 3).softmax(1)),
        (losses.cross_entropy, noise(2, 3, 5, 5), torch.zeros(2, 5, 5, dtype=torch.int64)),
        (
            losses.loss("cross_entropy", ignore_index=255),
            noise(1, 2, 2, 2),
            torch.tensor([[[0, 255], [1, 0]]]),
        ),
        (nn.CrossEntropyLoss(ignore_index=255), noise(3, 2), torch.tensor([0, 255, 1])),
        (losses.soft_cross_entropy, noise(4, 3), LONG),
        (losses.mse, noise(4, 3), torch.ones(4, 3, dtype=torch.int64)),
        (losses.binary_cross_entropy_with_logits, noise(4, 3), torch.ones(4, 3)),
        (
            losses.binary_cross_entropy_with_logits,
            noise(4),
            torch.tensor([True, False, True, True]),
        ),
        (Unhashable(), (noise(4), noise(4)), "anything"),
        (lambda preds, targets: preds, None, None),
    ],
    ids=[
        "ignored items",
        "probabilities per class",
        "a class per pixel",
        "a border in a mask",
        "ignored by torch's module",
        "plain classes under the soft loss",
        "whole numbers",
        "many labels",
        "bools",
        "own loss object",
        "own function",
    ],
)
def test_pairs_that_fit_pass(loss_fn, preds, targets):
    losses.check_pair(loss_fn, preds, targets)
