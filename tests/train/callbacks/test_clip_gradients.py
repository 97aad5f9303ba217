"""ClipGradients: the bound holds at each step, by the norm or by value."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.train import loop
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from tests.train.callbacks.cutting import fit_state, sha


class Gradients(dt.Callback):
    """All gradients of each step as one vector."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.seen: list[torch.Tensor] = []

    def before_step(self, state: Any) -> None:
        self.seen.append(torch.cat([p.grad.flatten().clone() for p in state.model.parameters()]))


def clipped(clip: ClipGradients, *others: dt.Callback) -> tuple[Gradients, Gradients, list[Any]]:
    norms: list[Any] = []

    class Note(dt.Callback):
        def after_step(self, state: Any) -> None:
            norms.append(clip.last_norm)

    before, after = Gradients(0), Gradients(1000)
    loop.fit(fit_state(clip, before, after, Note(), *others))
    return before, after, norms


@pytest.mark.parametrize("bound", [0.1, 0.5])
def test_by_the_norm_the_direction_stays(bound: float) -> None:
    before, after, norms = clipped(ClipGradients(bound))
    found = [float(vector.norm()) for vector in before.seen]
    assert norms == pytest.approx(found)
    assert max(found) > bound
    for old, new, norm in zip(before.seen, after.seen, found, strict=True):
        torch.testing.assert_close(new, old * min(1.0, bound / (norm + 1e-6)))


def test_the_bound_is_a_norm_of_1_by_default() -> None:
    class Steep(dt.Callback):
        def after_loss(self, state: Any) -> None:
            state.loss = state.loss * 100

    _, after, norms = clipped(ClipGradients(), Steep())
    assert min(norms) > 1
    assert [float(vector.norm()) for vector in after.seen] == pytest.approx([1.0] * 15, rel=1e-4)


def test_by_value_each_number_is_bounded() -> None:
    before, after, norms = clipped(ClipGradients(max_value=0.01))
    for old, new in zip(before.seen, after.seen, strict=True):
        assert torch.equal(new, old.clamp(-0.01, 0.01))
    assert norms == [None] * 15


def test_a_bound_that_is_never_reached_changes_no_bit() -> None:
    plain, loose = fit_state(), fit_state(ClipGradients(max_norm=1e6))
    loop.fit(plain)
    loop.fit(loose)
    assert sha(loose) == sha(plain)


def test_what_others_do_to_gradients_is_clipped_as_well() -> None:
    class Double(dt.Callback):
        def before_step(self, state: Any) -> None:
            for parameter in state.model.parameters():
                parameter.grad.mul_(2)

    _, after, _ = clipped(ClipGradients(0.1), Double())
    assert max(float(vector.norm()) for vector in after.seen) <= 0.1


def test_several_batches_are_clipped_together_once_a_step() -> None:
    before, after, norms = clipped(ClipGradients(0.1), Accumulate(2))
    assert len(norms) == 3 * 3  # 2 + 2 + 1 batches an epoch
    assert max(float(vector.norm()) for vector in before.seen) > 0.1
    assert max(float(vector.norm()) for vector in after.seen) <= 0.1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"max_norm": 1.0, "max_value": 1.0},
            "`ClipGradients` clips by `max_norm` or by `max_value`, and got both. "
            "Use two of them, one a bound.",
        ),
        ({"max_norm": 0}, "`ClipGradients` needs `max_norm` above 0. Got 0."),
        ({"max_value": -1.0}, "`ClipGradients` needs `max_value` above 0. Got -1.0."),
    ],
)
def test_wrong_arguments_are_answered(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClipGradients(**options)
    assert str(caught.value) == sentence
