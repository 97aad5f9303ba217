"""Our own reverse mode beside torch's: every operation, any mixture of them, and whole nets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from drivetrain.reference import autograd as twin
from drivetrain.reference.autograd import Value
from drivetrain.reference.descent import numeric_gradient
from tests.reference.gradients import assert_equal_to_torch, normal, same

A, B = normal(3, 4), normal(3, 4, seed=1)
CUBE = normal(2, 3, 4)
TIES = np.array([[1.0, 5.0, 5.0], [2.0, 2.0, 2.0], [3.0, 0.0, -1.0]])
MASK = normal(3, 4, seed=2) > 0


def case(name: str, ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: np.ndarray):
    return pytest.param(ours, theirs, arrays, id=name)


def both(name: str, f: Callable[..., Any], *arrays: np.ndarray):
    """Where Value and Tensor are written alike."""
    return case(name, f, f, *arrays)


OPERATIONS = [
    both("add", lambda a, b: a + b, A, B),
    both("add a number on both sides", lambda a: 2 + a + 3.5, A),
    both("subtract", lambda a, b: a - b, A, B),
    both("subtract from a number", lambda a: 2 - a - 1, A),
    both("multiply", lambda a, b: a * b, A, B),
    both("multiply by a number on both sides", lambda a: 2 * a * 3, A),
    both("divide", lambda a, b: a / b, A, B),
    both("divide a number", lambda a: 2 / a / 3, A),
    both("minus", lambda a: -a, A),
    both("square", lambda a: a**2, A),
    both("cube", lambda a: a**3, A),
    both("root", lambda a: a**0.5, np.abs(A)),
    both("one over", lambda a: a**-1, A),
    both("used twice", lambda a: a * a + a, A),
    both("row of a matrix", lambda a, b: a * b + b, A, normal(4, seed=3)),
    both("column of a matrix", lambda a, b: a / b - b, A, normal(3, 1, seed=3)),
    both("outer", lambda a, b: a * b, normal(3, 1), normal(4, seed=1)),
    both("one number of a cube", lambda a, b: a * b, CUBE, np.asarray(0.7)),
    both("matrix product", lambda a, b: a @ b, A, normal(4, 5, seed=1)),
    both("stack of matrices", lambda a, b: a @ b, CUBE, normal(2, 4, 5, seed=1)),
    both("one matrix for a stack", lambda a, b: a @ b, CUBE, normal(4, 5, seed=1)),
    both("a stack for one matrix", lambda a, b: a @ b, A, normal(2, 4, 5, seed=1)),
    both("exp", lambda a: a.exp(), A),
    both("log", lambda a: a.log(), np.abs(A)),
    both("relu", lambda a: a.relu(), A),
    both("abs", lambda a: a.abs(), np.append(A, 0.0)),
    both("relu at 0", lambda a: a.relu(), np.array([-1.0, 0.0, 1.0])),
    both("tanh", lambda a: a.tanh(), A),
    both("sigmoid", lambda a: a.sigmoid(), 10 * A),
    both("sum", lambda a: a.sum(), CUBE),
    both("mean", lambda a: a.mean(), CUBE),
    case("max", lambda a: a.max(), torch.amax, CUBE),
    case("max of equals", lambda a: a.max(), torch.amax, TIES),
    case("max of equals in rows", lambda a: a.max(1), partial(torch.amax, dim=1), TIES),
    both("reshape", lambda a: a.reshape(4, 3), A),
    both("reshape to what is left", lambda a: a.reshape(-1, 2), A),
    case("transpose", lambda a: a.transpose(2, 0, 1), lambda a: a.permute(2, 0, 1), CUBE),
    case("transpose all", lambda a: a.transpose(), lambda a: a.permute(2, 1, 0), CUBE),
    case("T", lambda a: a.T, lambda a: a.mT, CUBE),
    both("one row", lambda a: a[1], A),
    both("a slice", lambda a: a[1:, ::2], A),
    both("a new axis", lambda a: a[:, None] * a, A),
    both("rows, one of them twice", lambda a: a[[0, 2, 0]], A),
    both("places", lambda a: a[np.arange(3), [1, 0, 1]], A),
    both("by a mask", lambda a: a[MASK], A),
    case(
        "where",
        lambda a, b: twin.where(MASK, a, b),
        lambda a, b: torch.where(torch.from_numpy(MASK), a, b),
        *(A, normal(4, seed=1)),
    ),
    case(
        "concatenate",
        lambda a, b: twin.concatenate([a, b, a], axis=1),
        lambda a, b: torch.cat([a, b, a], dim=1),
        *(A, normal(3, 2, seed=1)),
    ),
] + [
    case(
        f"{name} over {axis}, keepdims={keepdims}",
        lambda a, name=name, axis=axis, keepdims=keepdims: getattr(a, name)(axis, keepdims),
        lambda a, name=name, axis=axis, keepdims=keepdims: getattr(
            torch, "amax" if name == "max" else name
        )(a, dim=axis, keepdim=keepdims),
        CUBE,
    )
    for name in ("sum", "mean", "max")
    for axis in (0, -1, (0, 2))
    for keepdims in (False, True)
]


@pytest.mark.row(157)
@pytest.mark.parametrize(("ours", "theirs", "arrays"), OPERATIONS)
def test_every_operation_has_torchs_value_and_gradient(
    ours: Callable[..., Value], theirs: Callable[..., Tensor], arrays: tuple[np.ndarray, ...]
) -> None:
    assert_equal_to_torch(ours, theirs, *arrays)


SMOOTH: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b * b + 1),
    lambda a, b: (a * 0.1).exp() + b.tanh(),
    lambda a, b: (a * a + 1).log() * b.sigmoid(),
    lambda a, b: a.relu() + (b - a).abs(),
]
SHAPES: list[tuple[int, ...]] = [(), (4,), (1, 4), (3, 1), (3, 4), (2, 3, 4), (2, 1, 1)]


@pytest.mark.row(157)
@given(
    shapes=st.lists(st.sampled_from(SHAPES), min_size=2, max_size=4),
    program=st.lists(
        st.tuples(st.sampled_from(range(len(SMOOTH))), st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
        max_size=8,
    ),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_any_chain_of_operations_has_torchs_gradient(
    shapes: list[tuple[int, ...]], program: list[tuple[int, int, int]], seed: int
) -> None:
    """Each step takes two of what there is so far, so that values are used again and again."""

    def run(*starts: Any) -> Any:
        values = list(starts)
        for operation, first, second in program:
            a, b = values[first % len(values)], values[second % len(values)]
            values.append(SMOOTH[operation](a, b).tanh())  # so that numbers stay near 1
        return values[-1] * sum(value.sum() for value in values)

    assert_equal_to_torch(
        run, run, *[normal(*shape, seed=seed + i) for i, shape in enumerate(shapes)]
    )


@pytest.mark.row(157)
def test_gradients_are_those_of_trying() -> None:
    def loss(w: Any) -> Value:
        scores = twin.as_value(normal(6, 4)) @ w
        return (scores.exp() / scores.exp().sum(1, True)).max(1).log().mean()

    w = Value(normal(4, 3, seed=1))
    loss(w).backward()
    same(numeric_gradient(lambda array: float(loss(array).data), w.data), w.grad, atol=1e-8)


@pytest.mark.row(157)
@pytest.mark.parametrize("steps", [5])
def test_a_net_trained_by_it_goes_where_torchs_goes(steps: int) -> None:
    x, y = normal(16, 7), normal(16, 2, seed=1)
    arrays = [normal(7, 5, seed=2), normal(5, seed=3), normal(5, 2, seed=4), normal(2, seed=5)]
    ours = [Value(array) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    optimizer = torch.optim.SGD(theirs, lr=0.05)

    def loss(inputs: Any, targets: Any, weights: list[Any]) -> Any:
        W1, b1, W2, b2 = weights
        return (((inputs @ W1 + b1).relu() @ W2 + b2 - targets) ** 2).mean()

    for _ in range(steps):
        loss(x, y, ours).backward()
        optimizer.zero_grad()
        loss(torch.from_numpy(x), torch.from_numpy(y), theirs).backward()
        optimizer.step()
        for value, tensor in zip(ours, theirs, strict=True):
            assert tensor.grad is not None
            same(value.grad, tensor.grad)
            value.data = value.data - 0.05 * value.grad
            value.grad = np.zeros_like(value.data)
            same(value.data, tensor)


def test_gradients_add_up_in_what_was_given_and_start_anew_in_between() -> None:
    a = Value(3.0)
    between = a * a
    result = between * 2
    result.backward()
    result.backward()
    t = torch.tensor(3.0, requires_grad=True)
    for _ in range(2):
        (t * t * 2).backward()
    assert t.grad is not None
    assert a.grad == t.grad.item() == 24
    assert (between.grad, result.grad) == (2, 1)


def test_a_chain_longer_than_pythons_stack_goes_back() -> None:
    x = Value(1.0)
    y = x
    for _ in range(5000):
        y = y * 1.0001
    y.backward()
    assert x.grad == pytest.approx(1.0001**5000)


def test_an_array_on_the_left_asks_the_value() -> None:
    w = Value(normal(4, 2))
    array = normal(3, 4, seed=1)
    product = array @ w
    assert isinstance(product, Value)
    assert isinstance(array[:, :2] * product, Value)
    assert repr(Value([1, 2])) == "Value([1.0, 2.0])"


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(ValueError) as caught:
        Value([1.0, 2.0]).backward()
    assert str(caught.value) == (
        "`backward` starts from one number, and this value has shape (2,): take the mean or the "
        "sum first."
    )
    with pytest.raises(ValueError) as caught:
        _ = Value([1.0, 2.0]) @ Value([[1.0], [2.0]])
    assert str(caught.value) == (
        "`@` needs two matrices, got shapes (2,) and (2, 1): reshape a vector to a row (1, K) or a "
        "column (K, 1)."
    )
