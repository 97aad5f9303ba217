"""The broadcasting rule beside torch's and numpy's, forwards and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.reference import broadcasting as twin
from tests.reference.gradients import normal, same

SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@pytest.mark.row(28)
@given(shapes=st.lists(SHAPES, min_size=1, max_size=3))
@settings(max_examples=80, deadline=None)
def test_the_rule_is_torchs_for_any_shapes(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast: on axis -"):
            twin.result_shape(*shapes)
        return
    assert twin.result_shape(*shapes) == expected == tuple(torch.broadcast_shapes(*shapes))


@pytest.mark.row(28)
@given(shape=SHAPES, front=SHAPES, stretched=st.lists(st.booleans(), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_readings_and_their_gradients_are_torchs(
    shape: tuple[int, ...], front: tuple[int, ...], stretched: list[bool]
) -> None:
    shape = tuple(1 if one else size for size, one in zip(shape, stretched, strict=False))
    wide = (*front[:2], *(3 if size == 1 else size for size in shape))
    x = torch.from_numpy(np.asarray(normal(*shape))).requires_grad_()
    expected = torch.broadcast_to(x, wide)
    same(twin.broadcast_to(x.detach().numpy(), wide), expected, atol=0)
    g = np.asarray(normal(*wide, seed=1))
    (gradient,) = torch.autograd.grad(expected, x, torch.from_numpy(g))
    same(twin.undone(g, shape), gradient, atol=1e-12)


@pytest.mark.row(28)
def test_the_axes_of_a_batch_less_a_mean_picture() -> None:
    assert twin.aligned((64, 28, 28), (28, 28)) == [
        twin.Axis(-3, (64, None), 64, "missing in (28, 28): repeated 64 times"),
        twin.Axis(-2, (28, 28), 28, "equal"),
        twin.Axis(-1, (28, 28), 28, "equal"),
    ]
    assert twin.result_shape((64, 28, 28), (28, 28)) == (64, 28, 28)
    assert twin.explained((64, 28, 28), (28, 28)) == (
        "axis  (64, 28, 28)  (28, 28)  result  why\n"
        "  -3            64         -      64  missing in (28, 28): repeated 64 times\n"
        "  -2            28        28      28  equal\n"
        "  -1            28        28      28  equal"
    )


@pytest.mark.row(28)
def test_shapes_that_do_not_go_together_name_the_axis() -> None:
    with pytest.raises(ValueError) as caught:
        twin.result_shape((3,), (4,))
    assert str(caught.value) == (
        "Shapes (3,) and (4,) do not broadcast: on axis -1, 3 and 4 differ, and neither is 1. "
        "Put in an axis of size 1, or move axes, so that equal sizes meet."
    )
    with pytest.raises(ValueError, match=r"on axis -2, 28 and 27 differ"):
        twin.result_shape((64, 28, 28), (64, 27, 28))
    assert twin.explained((2, 3), (4, 1)).splitlines()[1] == (
        "  -2       2       4       ?  2 and 4 differ, and neither is 1"
    )


@pytest.mark.row(28)
def test_no_shape_or_one_is_its_own_result() -> None:
    assert twin.result_shape() == ()
    assert twin.aligned((), ()) == []
    assert twin.result_shape((2, 1)) == (2, 1)
