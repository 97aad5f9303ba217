"""Mixup and CutMix against their twin, which works one number and one pixel at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import drivetrain as dt
from drivetrain.data.loaders import Loaders
from drivetrain.reference import mixup as twin
from drivetrain.train.callbacks.cutmix import CutMix, box
from drivetrain.train.callbacks.mixup import Mixup
from drivetrain.train.state import FitState


def items(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def state_with(batch: Any, loss_fn: Any, step: int = 5) -> FitState:
    return FitState(
        model=torch.nn.Identity(),
        loaders=Loaders([]),
        loss_fn=loss_fn,
        optimizer=torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1),
        epochs=1,
        batch=batch,
        step=step,
    )


def one_step(callback: Any, state: FitState, preds: torch.Tensor) -> None:
    """The loop's lines between which a mixing callback works."""
    callback.before_batch(state)
    state.preds, state.targets = preds, state.batch[-1]
    state.loss = state.loss_fn(state.preds, state.targets)


def drawn(callback: Any, count: int) -> tuple[list[int], list[float]]:
    shares = callback._shares.tolist()
    return callback._partners.tolist(), shares * (count // len(shares))


@pytest.mark.parametrize("per_item", [False, True])
@pytest.mark.parametrize("kind", ["classes", "numbers", "soft", "yes or no"])
def test_mixup_equals_its_twin_with_any_loss(kind: str, per_item: bool) -> None:
    inputs, scores = items(6, 3, 4), items(6, 5)
    pairs: dict[str, tuple[Any, torch.Tensor, torch.Tensor, Any]] = {
        "classes": ("cross_entropy", scores, torch.arange(6) % 5, _ce),
        "numbers": ("mse", scores, items(6, 5) * 2, lambda p, t: (p - t).square().mean()),
        "soft": ("soft_cross_entropy", scores, items(6, 5).softmax(1), _soft_ce),
        "yes or no": (
            lambda p, t: F.binary_cross_entropy_with_logits(p, t),  # takes no reduction
            scores[:, 0],
            torch.tensor([0.0, 1, 1, 0, 1, 0]),
            F.binary_cross_entropy_with_logits,
        ),
    }
    loss, preds, targets, of_item = pairs[kind]
    loss_fn = dt.losses.loss(loss) if isinstance(loss, str) else loss
    preds = preds.clone().requires_grad_()
    callback = Mixup(per_item=per_item)
    state = state_with((inputs, targets), loss_fn)
    one_step(callback, state, preds)
    order, shares = drawn(callback, 6)
    assert len(set(shares)) == (6 if per_item else 1)
    torch.testing.assert_close(state.batch[0], twin.mixup(inputs, order, shares))
    assert state.batch[1] is targets
    callback.after_loss(state)
    by_hand = twin.mixed_loss(of_item, preds, targets, order, shares)
    torch.testing.assert_close(state.loss, by_hand)
    ours = torch.autograd.grad(state.loss, preds)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(by_hand, preds)[0])


def _ce(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return logits.logsumexp(0) - logits[target]


def _soft_ce(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return -(target * logits.log_softmax(0)).sum()


@pytest.mark.parametrize("per_item", [False, True])
def test_under_cross_entropy_it_is_the_papers_mean_of_the_targets(per_item: bool) -> None:
    preds, targets = items(6, 5), torch.arange(6) % 5
    callback = Mixup(1.0, per_item=per_item)
    state = state_with((items(6, 2), targets), dt.losses.cross_entropy)
    one_step(callback, state, preds)
    order, shares = drawn(callback, 6)
    callback.after_loss(state)
    soft = twin.soft_targets(targets.tolist(), 5, order, shares)
    torch.testing.assert_close(state.loss, F.cross_entropy(preds, soft))


@pytest.mark.parametrize("per_item", [False, True])
@pytest.mark.parametrize("step", range(8))
def test_cutmix_equals_its_twin(step: int, per_item: bool) -> None:
    pictures, preds, targets = items(6, 2, 9, 7), items(6, 5), torch.arange(6) % 5
    callback = CutMix(per_item=per_item)
    state = state_with((pictures, targets), dt.losses.cross_entropy, step)
    one_step(callback, state, preds)
    order, shares = drawn(callback, 6)
    # Where the box is, is seen where the picture is not its own; the twin cuts it anew.
    boxes = [_box_of(pictures, state.batch[0], item, order[item]) for item in range(6)]
    mixed, by_area = twin.cutmix(pictures, order, boxes)
    assert torch.equal(state.batch[0], mixed)
    for item in range(6):
        if order[item] != item and (per_item or boxes[item] != (0, 0, 0, 0)):
            assert shares[item] == pytest.approx(by_area[item])
    callback.after_loss(state)
    torch.testing.assert_close(
        state.loss, twin.mixed_loss(_ce, preds, targets, order, shares), rtol=1e-5, atol=1e-6
    )


def _box_of(
    before: torch.Tensor, after: torch.Tensor, item: int, partner: int
) -> tuple[int, int, int, int]:
    changed = (before[item] != after[item]).any(dim=0).nonzero()
    if not len(changed):
        return 0, 0, 0, 0
    (top, left), (bottom, right) = changed.min(dim=0)[0].tolist(), changed.max(dim=0)[0].tolist()
    return top, bottom + 1, left, right + 1


def test_the_box_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(side) for side in rng.integers(1, 40, size=2))
        row, column = int(rng.integers(height)), int(rng.integers(width))
        share = float(rng.beta(1, 1))
        assert box(height, width, share, row, column) == twin.cut_box(
            height, width, share, row, column
        )


def test_a_box_that_is_not_cut_off_has_the_share_that_was_drawn() -> None:
    assert box(100, 60, 0.75, 50, 30) == (25, 75, 15, 45)  # half of each side: a quarter of it
    assert box(8, 8, 1.0, 3, 3) == (3, 3, 3, 3)  # nothing
    assert box(8, 8, 0.0, 4, 4) == (0, 8, 0, 8)  # all
