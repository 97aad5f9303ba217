"""The loss of several targets: against torch by hand, weight 0, and what it refuses."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain import losses
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.losses.several import check_weights, summed_cross_entropy

pytestmark = pytest.mark.row(118)


def batch(
    sizes: tuple[int, ...], count: int, seed: int, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (B, sum of sizes) and class indices (B, T)."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, sum(sizes), generator=draw, dtype=dtype)
    codes = [torch.randint(size, (count,), generator=draw) for size in sizes]
    return scores, torch.stack(codes, dim=1)


@given(
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=4).map(tuple),
    count=st.integers(1, 9),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_it_is_the_weighted_sum_of_torchs_cross_entropies_and_so_is_its_gradient(
    sizes: tuple[int, ...], count: int, seed: int, data: Any
) -> None:
    some = st.lists(st.floats(0, 4), min_size=len(sizes), max_size=len(sizes))
    weights = data.draw(some.filter(lambda found: sum(found) > 0))
    scores, targets = batch(sizes, count, seed)
    own, by_hand = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    found = summed_cross_entropy(own, targets, sizes=sizes, weights=weights)
    expected = torch.zeros((), dtype=torch.float64)
    start = 0
    for place, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        logits, start = by_hand[:, start : start + size], start + size
        expected = expected + weight * nn.CrossEntropyLoss()(logits, targets[:, place])
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(own.grad, by_hand.grad)
    each = summed_cross_entropy(scores, targets, sizes=sizes, weights=weights, reduction="none")
    assert each.shape == (count,)
    torch.testing.assert_close(each.mean(), found.detach())


@given(
    sizes=st.lists(st.integers(2, 6), min_size=2, max_size=4).map(tuple),
    seed=st.integers(0, 2**31),
    bad=st.sampled_from([torch.inf, -torch.inf, torch.nan, 1e30]),
)
@settings(max_examples=20, deadline=None)
def test_a_weight_of_0_leaves_the_bits_of_the_others_whatever_its_scores_are(
    sizes: tuple[int, ...], seed: int, bad: float
) -> None:
    scores, targets = batch(sizes, 5, seed, torch.float32)
    own, alone = scores.clone(), scores[:, : sizes[0]].clone().requires_grad_()
    own[:, sizes[0] :] = bad
    own.requires_grad_()
    weights = (1.0,) + (0.0,) * (len(sizes) - 1)
    found = summed_cross_entropy(own, targets, sizes=sizes, weights=weights)
    expected = F.cross_entropy(alone, targets[:, 0])
    assert torch.equal(found, expected)
    found.backward()
    expected.backward()
    assert own.grad is not None and alone.grad is not None
    assert torch.equal(own.grad[:, : sizes[0]], alone.grad)
    assert not own.grad[:, sizes[0] :].any()


def test_without_weights_each_target_counts_once() -> None:
    scores, targets = batch((3, 2), 4, seed=0)
    plain = summed_cross_entropy(scores, targets, sizes=(3, 2))
    assert torch.equal(plain, summed_cross_entropy(scores, targets, sizes=(3, 2), weights=(1, 1)))


def test_the_loss_of_each_item_is_found_through_a_partial() -> None:
    scores, targets = batch((3, 2), 4, seed=0)
    loss = functools.partial(summed_cross_entropy, sizes=(3, 2), weights=(1.0, 0.5))
    each = losses.per_item(loss, scores, targets)
    first = F.cross_entropy(scores[:, :3], targets[:, 0], reduction="none")
    second = F.cross_entropy(scores[:, 3:], targets[:, 1], reduction="none")
    torch.testing.assert_close(each, first + 0.5 * second)


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (
            torch.zeros(4, 6),
            torch.zeros(4, 2, dtype=torch.int64),
            "`summed_cross_entropy` got scores of shape (4, 6), expected (B, 5): 3 + 2, a score for each "
            "class of each target.",
        ),
        (
            torch.zeros(4, 5),
            torch.zeros(4, dtype=torch.int64),
            "`summed_cross_entropy` got targets of shape (4,), expected (4, 2): a column of class "
            "indices for each target.",
        ),
    ],
)
def test_widths_that_do_not_fit_are_refused(
    scores: torch.Tensor, targets: torch.Tensor, message: str
) -> None:
    for loss in (summed_cross_entropy, check_first):
        with pytest.raises(ShapeError) as caught:
            loss(scores, targets, sizes=(3, 2))
        assert str(caught.value) == message


def check_first(scores: torch.Tensor, targets: torch.Tensor, **options: Any) -> None:
    losses.check_pair(functools.partial(summed_cross_entropy, **options), scores, targets)


def test_a_class_that_a_target_does_not_have_is_refused_before_training() -> None:
    targets = torch.tensor([[0, 0], [0, 2]])
    with pytest.raises(ShapeError) as caught:
        check_first(torch.zeros(2, 5), targets, sizes=(3, 2))
    assert str(caught.value) == (
        "`summed_cross_entropy` got target 2, expected class indices in 0..1: the model gives 2 scores "
        "per item. Make its last layer as wide as there are classes, numbered from 0."
    )


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "much", True])
def test_a_weight_is_a_number_from_0_up(weight: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        check_weights([1.0, weight], ["disease", "variety"])
    assert str(caught.value) == (
        f"The weight of the target 'variety' must be a number from 0 up. Got {weight!r}."
    )


def test_weights_that_are_all_0_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_weights([0, 0.0], ["disease", "variety"])
    assert str(caught.value) == (
        "The weights of disease, variety are all 0: there is nothing to learn. Give one of them a weight "
        "above 0."
    )
