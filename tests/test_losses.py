"""losses: known answers, the choice of a loss, and pairs that are refused before training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drivetrain import losses
from drivetrain.errors import ShapeError, UnknownNameError
from drivetrain.train.loop import weighted_mean


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- known answers --------------------------------------------------------------------------------


@pytest.mark.row(15)
def test_loss_is_high_when_wrong_and_sure_or_right_and_unsure():
    rows = {prob: round(loss, 4) for prob, loss in losses.loss_table()}
    assert rows == {0.99: 0.0101, 0.51: 0.6733, 0.01: 4.6052}


@pytest.mark.row(15)
def test_loss_falls_as_the_true_class_gets_more_probability():
    values = [loss for _, loss in losses.loss_table([0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


@pytest.mark.parametrize("num_classes", [2, 3, 10, 37])
def test_equal_scores_cost_the_log_of_the_number_of_classes(num_classes):
    x = torch.zeros(4, num_classes)
    y = torch.arange(4) % num_classes
    torch.testing.assert_close(losses.cross_entropy(x, y), torch.tensor(float(num_classes)).log())


def test_mnist_loss_known_answers():
    preds, targets = torch.tensor([0.9, 0.4, 0.2]).logit(), torch.tensor([1, 0, 1])
    torch.testing.assert_close(losses.mnist_loss(preds, targets), torch.tensor(1.3 / 3))
    raw = torch.tensor([0.9, 0.4, 0.2])
    torch.testing.assert_close(losses.mae(raw, targets), torch.tensor(1.3 / 3))


def test_mse_and_mae_known_answers():
    preds, targets = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 4.0, 2.0])
    assert losses.mse(preds, targets).item() == pytest.approx(20 / 3)
    assert losses.mae(preds, targets).item() == 2.0


# --- contract: every loss in the table ------------------------------------------------------------

GOOD = {
    "cross_entropy": (noise(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])),
    "binary_cross_entropy_with_logits": (noise(6), torch.tensor([0, 1, 1, 0, 1, 0])),
    "mnist_loss": (noise(6), torch.tensor([0, 1, 1, 0, 1, 0])),
    "mse": (noise(6), noise(6, seed=1)),
    "mae": (noise(6), noise(6, seed=1)),
}


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_each_loss_is_a_scalar_mean_of_its_items_with_a_gradient(name):
    loss, (preds, targets) = losses.LOSSES[name], GOOD[name]
    preds = preds.clone().requires_grad_()
    value = loss(preds, targets)
    assert value.shape == ()
    assert value.dtype == preds.dtype
    items = loss(preds, targets, reduction="none")
    assert items.shape == targets.shape
    torch.testing.assert_close(items.mean(), value)
    value.backward()
    assert preds.grad is not None
    assert bool(preds.grad.abs().sum() > 0)


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_each_loss_accepts_its_own_kind_of_pair(name):
    losses.check_pair(losses.LOSSES[name], *GOOD[name])


# --- row 41: batches ------------------------------------------------------------------------------


@pytest.mark.row(41)
def test_mean_over_equal_batches_is_the_loss_of_all_items():
    x, y = noise(64, 5).double(), torch.arange(64) % 5
    parts = [losses.cross_entropy(a, b) for a, b in zip(x.split(16), y.split(16), strict=True)]
    torch.testing.assert_close(torch.stack(parts).mean(), losses.cross_entropy(x, y))


@pytest.mark.row(41)
def test_smaller_last_batch_weighs_less():
    x, y = noise(50, 5).double(), torch.arange(50) % 5
    x[48:] *= 20  # the last batch of 2 is very wrong, so a plain mean over batches shows
    parts = [losses.cross_entropy(a, b) for a, b in zip(x.split(16), y.split(16), strict=True)]
    whole = losses.cross_entropy(x, y).item()
    assert weighted_mean(parts, [16, 16, 16, 2]) == pytest.approx(whole, rel=1e-12)
    assert abs(torch.stack(parts).mean().item() - whole) > 0.1


# --- per_item -------------------------------------------------------------------------------------


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
    preds, targets = GOOD["cross_entropy"]
    items = losses.per_item(loss_fn, preds, targets)
    assert items.shape == (6,)
    torch.testing.assert_close(items.mean(), loss_fn(preds, targets))


def test_per_item_leaves_the_module_as_it_was():
    module = nn.CrossEntropyLoss()
    losses.per_item(module, *GOOD["cross_entropy"])
    assert module.reduction == "mean"


def test_per_item_averages_what_remains_of_an_item():
    preds, targets = noise(4, 2, 3), noise(4, 2, 3, seed=1)
    items = losses.per_item(losses.mse, preds, targets)
    torch.testing.assert_close(items, (preds - targets).square().mean(dim=(1, 2)))


def test_per_item_asks_a_loss_of_ones_own_once_per_item():
    preds, targets = GOOD["mse"]
    items = losses.per_item(Doubled(), preds, targets)
    torch.testing.assert_close(items, 2 * (preds - targets).square())
    assert losses.per_item(Doubled(), preds[:0], targets[:0]).shape == (0,)


def test_per_item_refuses_batches_of_different_length():
    with pytest.raises(ShapeError) as caught:
        losses.per_item(losses.mse, noise(3), noise(2))
    assert str(caught.value) == (
        "`per_item` got 3 predictions and 2 targets, expected one target for each prediction."
    )


# --- row 114: the choice and the refusals ---------------------------------------------------------


@pytest.mark.row(114)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("class", "cross_entropy"),
        ("number", "mse"),
        ("binary", "binary_cross_entropy_with_logits"),
    ],
)
def test_choice_of_loss_comes_with_its_reason(kind, name):
    choice = losses.choose_loss(kind)
    assert choice.name == name
    assert choice.fn is losses.LOSSES[name]
    assert choice.reason.endswith(".")
    assert len(choice.reason) > 40


def test_unknown_kind_of_target_is_answered():
    with pytest.raises(UnknownNameError) as caught:
        losses.choose_loss("clas")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "Unknown kind of target 'clas'. Did you mean 'class'? Known: binary, class, number."
    )


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
@pytest.mark.parametrize("name", ["mse", "mae", "mnist_loss", "binary_cross_entropy_with_logits"])
def test_losses_themselves_never_broadcast(name, preds, targets):
    with pytest.raises(ShapeError, match=rf"^`{name}` got predictions of shape \(4"):
        losses.LOSSES[name](preds, targets)


@pytest.mark.parametrize(
    ("loss_fn", "preds", "targets"),
    [
        (nn.CrossEntropyLoss(), noise(4, 3), torch.tensor([0, -100, 2, 1])),
        (nn.CrossEntropyLoss(), noise(4, 3), noise(4, 3).softmax(1)),
        (losses.cross_entropy, noise(2, 3, 5, 5), torch.zeros(2, 5, 5, dtype=torch.int64)),
        (losses.mse, noise(4, 3), torch.ones(4, 3, dtype=torch.int64)),
        (losses.binary_cross_entropy_with_logits, noise(4, 3), torch.ones(4, 3)),
        (
            losses.binary_cross_entropy_with_logits,
            noise(4),
            torch.tensor([True, False, True, True]),
        ),
        (Doubled(), (noise(4), noise(4)), "anything"),
        (lambda preds, targets: preds, None, None),
    ],
    ids=[
        "ignored items",
        "probabilities per class",
        "a class per pixel",
        "whole numbers",
        "many labels",
        "bools",
        "own loss object",
        "own function",
    ],
)
def test_pairs_that_fit_pass(loss_fn, preds, targets):
    losses.check_pair(loss_fn, preds, targets)
