"""Every loss worked out equals the loss itself, for an item and for the mean; and by a second reader."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f

import drivetrain as dt
from drivetrain import losses
from drivetrain.errors import InputError, ShapeError
from drivetrain.losses.several import summed_cross_entropy
from drivetrain.show.loss import loss_of
from tests.show.independent import recalculate


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def classes(*shape: int, count: int = 4, seed: int = 1) -> Tensor:
    return torch.randint(0, count, shape, generator=torch.Generator().manual_seed(seed))


SCORES, TRUE = draw(6, 4), classes(6)
LEFT_OUT = TRUE.clone().index_fill_(0, torch.tensor([4]), -100)
SHARES = draw(6, 4, seed=2).softmax(1)
X, YES = draw(6, seed=3), (draw(6, seed=4) > 0).float()
MASKS, PIXELS = draw(3, 4, 5, 5, seed=5), classes(3, 5, 5)
PIXELS[0, 0, 0] = -100
WEIGHTS = [1.0, 2.0, 3.0, 0.5]

CASES: list[tuple[str, dict[str, Any], Tensor, Tensor]] = [
    ("cross_entropy", {}, SCORES, TRUE),
    ("cross_entropy", {}, SCORES, LEFT_OUT),
    ("cross_entropy", {"label_smoothing": 0.1}, SCORES, LEFT_OUT),
    ("cross_entropy", {"weight": WEIGHTS}, SCORES, LEFT_OUT),
    ("cross_entropy", {"weight": WEIGHTS, "label_smoothing": 0.1}, SCORES, LEFT_OUT),
    ("cross_entropy", {}, MASKS, PIXELS),
    ("token_cross_entropy", {"label_smoothing": 0.2}, MASKS.flatten(2), PIXELS.flatten(1)),
    ("focal", {}, SCORES, LEFT_OUT),
    ("focal", {"gamma": 0.5, "weight": WEIGHTS}, SCORES, TRUE),
    ("soft_cross_entropy", {"label_smoothing": 0.2}, SCORES, SHARES),
    ("soft_cross_entropy", {}, SCORES, TRUE),
    ("binary_cross_entropy_with_logits", {}, X, YES),
    ("binary_cross_entropy_with_logits", {"pos_weight": 3.0}, X, YES),
    ("binary_cross_entropy_with_logits", {"pos_weight": WEIGHTS}, SCORES, (SHARES > 0.3).float()),
    ("binary_focal", {"alpha": 0.25}, X, YES),
    ("binary_focal", {}, SCORES, (SHARES > 0.3).float()),
    ("mnist_loss", {}, X, YES),
    ("mse", {}, X, YES),
    ("mae", {}, SCORES, SHARES),
    ("huber", {"delta": 0.5}, X, YES),
    ("quantile", {"q": 0.9}, X[:, None], YES[:, None]),
    ("dice", {}, MASKS, PIXELS),
]


def test_there_is_a_case_for_every_loss_of_the_library() -> None:
    assert {name for name, *_ in CASES} == set(losses.LOSSES)


@pytest.mark.parametrize(("name", "options", "preds", "targets"), CASES)
def test_a_loss_worked_out_is_the_loss(
    name: str, options: dict[str, Any], preds: Tensor, targets: Tensor
) -> None:
    function = losses.loss(name, **options)
    mean = loss_of(function, preds, targets)
    torch.testing.assert_close(
        float(mean.result), float(function(preds.double(), targets)), rtol=1e-10, atol=1e-12
    )
    recalculate(json.dumps(mean.to_json()))
    each = losses.per_item(function, preds.double(), targets)
    for item in range(len(preds)):
        found = loss_of(function, preds, targets, item=item)
        torch.testing.assert_close(float(found.result), float(each[item]), rtol=1e-10, atol=1e-12)
        recalculate(json.dumps(found.to_json()))


@pytest.mark.row(117)
def test_cross_entropy_from_softmax_as_the_course_has_it() -> None:
    found = loss_of("cross_entropy", torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]), item=0)
    assert round(float(found.result), 5) == 0.40761
    assert found.steps[-1].expression == "-logp[2]"


@pytest.mark.parametrize(
    ("torchs", "preds", "targets"),
    [
        (nn.CrossEntropyLoss(torch.tensor(WEIGHTS), label_smoothing=0.1), SCORES, LEFT_OUT),
        (f.cross_entropy, SCORES, TRUE),
        (f.mse_loss, X, YES),
        (nn.HuberLoss(delta=0.3), X, YES),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0)), X, YES),
        (nn.L1Loss(), X, YES),
    ],
)
def test_torchs_own_losses_are_known(torchs: Any, preds: Tensor, targets: Tensor) -> None:
    found = loss_of(torchs, preds, targets)
    assert found.agrees
    assert float(found.own) == float(torchs(preds, targets))


def test_one_target_of_an_item_with_many() -> None:
    found = loss_of("cross_entropy", MASKS, PIXELS, item=1, at=(2, 3))
    expected = f.cross_entropy(MASKS[1, :, 2, 3][None].double(), PIXELS[1, 2, 3][None])
    assert abs(float(found.result) - float(expected)) < 1e-12
    label = loss_of("mse", SCORES, SHARES, item=1, at=(3,))
    assert (
        abs(float(label.result) - float((SCORES[1, 3].double() - SHARES[1, 3].double()) ** 2))
        < 1e-12
    )
    with pytest.raises(ShapeError) as error:
        loss_of("cross_entropy", MASKS, PIXELS, item=1, at=(2, 9))
    assert str(error.value) == "`at` must be a place in (5, 5), the targets of an item. Got (2, 9)."


def mine(preds: Tensor, targets: Tensor) -> Tensor:
    """A loss of one's own."""
    return (preds - targets).abs().max()


def test_of_a_loss_of_ones_own_stands_what_goes_in_and_what_comes_out() -> None:
    for given, sentence in (
        (
            mine,
            "The loss `mine` is not one whose formula is written here. Written: "
            f"{', '.join(losses.LOSSES)}.",
        ),
        (
            nn.MSELoss(reduction="sum"),
            "The loss `MSELoss` is written here as a mean, and its reduction is another.",
        ),
    ):
        found = loss_of(given, X, YES)
        assert found.formula == sentence
        assert not found.is_shown and not found.agrees
        assert float(found.result) == float(found.own) == float(given(X, YES))
        assert found.term("x").value.shape == tuple(X.shape)
        assert str(found).endswith("  not worked out: the run's own value is repeated")
    found = loss_of(mine, X, YES, item=2)
    assert found.title == "mine of item 2, as a batch of its own: not shown"
    assert float(found.own) == float(mine(X[2:3], YES[2:3]))
    with pytest.raises(ShapeError, match=r"^There is no item 99 in a batch of \d+\.$"):
        loss_of(mine, X, YES, item=99)


# --- of a Learner ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learner() -> dt.Learner:
    data = dt.BatchLoader(dt.TensorData(draw(10, 3), classes(10, count=2)), batch_size=4)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    return dt.Learner(model, (data, data), "cross_entropy", progress=False)


def test_the_loss_of_a_validation_item_is_that_of_the_predictions(learner: dt.Learner) -> None:
    record = learner.predictions()
    state = torch.get_rng_state()
    for item in (0, 3, 4, 9, "7"):
        found = dt.show.loss(learner, item=item)
        assert found.agrees
        torch.testing.assert_close(
            float(found.own), float(record.losses[int(item)]), rtol=1e-6, atol=1e-7
        )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in learner.model.modules()) == learner.model.training


def test_without_an_item_it_is_the_mean_of_the_first_batch(learner: dt.Learner) -> None:
    found = dt.show.loss(learner)
    assert found.title == "cross_entropy of 4 items: the mean"
    assert abs(float(found.result) - float(learner.predictions().losses[:4].mean())) < 1e-6


def test_items_that_are_not_there_are_refused(learner: dt.Learner) -> None:
    for item, sentence in (
        (10, "There is no item 10: there are 10, counted from 0."),
        (-1, "Items are counted from 0. Got -1."),
        ("cat.png", "The items have no names: give a number from 0 up. Got 'cat.png'."),
    ):
        with pytest.raises(InputError) as error:
            dt.show.loss(learner, item=item)
        assert str(error.value) == sentence


@pytest.mark.row(118)
def test_the_loss_of_several_targets_is_added_up_target_by_target() -> None:
    preds, targets = draw(6, 5), torch.tensor([[0, 2], [1, 0]] * 3)
    loss_fn = functools.partial(summed_cross_entropy, sizes=(2, 3), weights=(1.0, 0.5))
    for item in (None, 0, 3):
        found = loss_of(loss_fn, preds, targets, item=item)
        assert found.agrees
        rows = slice(None) if item is None else slice(item, item + 1)
        parts = [
            f.cross_entropy(preds[rows, span], targets[rows, place])
            for place, span in enumerate((slice(0, 2), slice(2, 5)))
        ]
        torch.testing.assert_close(float(found.result), float(parts[0] + 0.5 * parts[1]))
        assert found.steps[-1].expression == "w1 * loss1 + w2 * loss2"
    alone = loss_of(loss_fn, preds, targets, item=3, at=(1,))
    assert alone.title.startswith("cross_entropy of item 3, target 2: the true class is ")
    torch.testing.assert_close(
        float(alone.result), float(f.cross_entropy(preds[3:4, 2:], targets[3:4, 1]))
    )
    with pytest.raises(ShapeError) as caught:
        loss_of(loss_fn, preds, targets, item=3, at=(2,))
    assert str(caught.value) == "`at` must be one of the 2 targets, 0 to 1. Got (2,)."


@pytest.mark.row(118)
def test_a_target_of_weight_0_is_not_looked_at() -> None:
    preds = torch.tensor([[1.0, 2.0, torch.inf, 0.0], [0.0, 1.0, 0.0, 0.0]])
    loss_fn = functools.partial(summed_cross_entropy, sizes=(2, 2), weights=(2.0, 0.0))
    found = loss_of(loss_fn, preds, torch.tensor([[0, 1], [1, 1]]))
    assert found.agrees
    assert [term.name for term in found.terms] == ["w1", "z1", "true1"]
