"""Gradients of any formula over arrays: reverse-mode automatic differentiation.

A `Value` is an array that remembers which values it was computed from, and for each of them how to turn
the gradient of the result into its own. `backward` walks from the result to the start in reverse and adds
up what arrives at each value: the chain rule, once along every edge.

    w = Value([[1.0, 2.0]])
    loss = ((x @ w.T - y) ** 2).mean()
    loss.backward()
    w.grad

Twin of `torch.autograd` in float64, first derivatives only. In the rules, g is the gradient of the final
result by what the operation gives, and has its shape. Review: Baydin et al. 2015, arXiv:1502.05767.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drivetrain.reference.broadcasting import undone

Rule = Callable[[np.ndarray], np.ndarray]
Axes = int | tuple[int, ...] | None


class Value:
    """An array in a computation.

    Args:
        data: numbers or an array, kept as float64.
        parents: of a result: each value it was computed from, and the rule from g to that value's
            gradient. A rule need not undo broadcasting: `backward` does it for all of them.
    """

    __array_ufunc__ = (
        None  # so that `array * value` asks the value, and not each number of the array
    )

    def __init__(self, data: Any, parents: Sequence[tuple[Value, Rule]] = ()) -> None:
        self.data = np.asarray(data, dtype=np.float64)
        self.parents = tuple(parents)
        self.grad = np.zeros_like(self.data)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.data.shape

    def __repr__(self) -> str:
        return f"Value({self.data.tolist()})"

    # --- the way back ---------------------------------------------------------------------------------

    def backward(self) -> None:
        """Fill `grad` of everything this number was computed from.

        Values that were given keep what earlier calls put there and get more added, as in torch; set
        their `grad` to 0 between steps.

        Raises: ValueError: this is not one number.
        """
        if self.data.size != 1:
            raise ValueError(
                f"`backward` starts from one number, and this value has shape {self.shape}: take the "
                "mean or the sum first."
            )
        order = self._ancestors_first()
        for value in order:
            if value.parents:
                value.grad = np.zeros_like(value.data)
        self.grad = self.grad + 1  # by itself it changes as much as it changes
        for value in reversed(order):  # all that a value went into has been dealt with before it
            for parent, rule in value.parents:
                parent.grad = parent.grad + undone(rule(value.grad), parent.shape)

    def _ancestors_first(self) -> list[Value]:
        """This value and all before it, each after everything it was computed from.

        With a list of what is still to do in place of recursion: a long chain is as deep as it is long.
        """
        order: list[Value] = []
        seen: set[int] = set()
        todo: list[tuple[Value, bool]] = [(self, False)]
        while todo:
            value, parents_done = todo.pop()
            if parents_done:
                order.append(value)
            elif id(value) not in seen:
                seen.add(id(value))
                todo.append((value, True))
                todo.extend((parent, False) for parent, _ in value.parents)
        return order

    # --- arithmetic -----------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Value:
        a, b = self, as_value(other)
        return Value(a.data + b.data, [(a, lambda g: g), (b, lambda g: g)])

    def __mul__(self, other: Any) -> Value:
        a, b = self, as_value(other)
        return Value(a.data * b.data, [(a, lambda g: g * b.data), (b, lambda g: g * a.data)])

    def __pow__(self, power: float) -> Value:
        back: Rule = lambda g: g * power * self.data ** (power - 1)  # noqa: E731
        return Value(self.data**power, [(self, back)])

    def __matmul__(self, other: Any) -> Value:
        """(…, N, K) @ (…, K, M): entry nm took a_nk · b_km, so each gets g_nm times the other."""
        a, b = self, as_value(other)
        if a.data.ndim < 2 or b.data.ndim < 2:
            raise ValueError(
                f"`@` needs two matrices, got shapes {a.shape} and {b.shape}: reshape a vector to a row "
                "(1, K) or a column (K, 1)."
            )
        by_a: Rule = lambda g: g @ np.swapaxes(b.data, -1, -2)  # noqa: E731
        by_b: Rule = lambda g: np.swapaxes(a.data, -1, -2) @ g  # noqa: E731
        return Value(a.data @ b.data, [(a, by_a), (b, by_b)])

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Any) -> Value:
        return self + -as_value(other)

    def __truediv__(self, other: Any) -> Value:
        return self * as_value(other) ** -1.0

    def __radd__(self, other: Any) -> Value:
        return as_value(other) + self

    def __rsub__(self, other: Any) -> Value:
        return as_value(other) - self

    def __rmul__(self, other: Any) -> Value:
        return as_value(other) * self

    def __rtruediv__(self, other: Any) -> Value:
        return as_value(other) / self

    def __rmatmul__(self, other: Any) -> Value:
        return as_value(other) @ self

    # --- functions of each number -----------------------------------------------------------------------

    def exp(self) -> Value:
        """e^x, which is its own slope."""
        y = np.exp(self.data)
        return Value(y, [(self, lambda g: g * y)])

    def log(self) -> Value:
        """The natural logarithm, of slope 1/x."""
        return Value(np.log(self.data), [(self, lambda g: g / self.data)])

    def relu(self) -> Value:
        """max(0, x), of slope 1 above 0 and 0 elsewhere."""
        return Value(np.maximum(self.data, 0), [(self, lambda g: g * (self.data > 0))])

    def abs(self) -> Value:
        """|x|, of slope -1, 0 or 1."""
        return Value(np.abs(self.data), [(self, lambda g: g * np.sign(self.data))])

    def tanh(self) -> Value:
        """Between -1 and 1, of slope 1 - y²."""
        y = np.tanh(self.data)
        return Value(y, [(self, lambda g: g * (1 - y**2))])

    def sigmoid(self) -> Value:
        """1 / (1 + e^-x), of slope y (1 - y); as (1 + tanh(x/2)) / 2 it cannot overflow."""
        return ((self * 0.5).tanh() + 1) * 0.5

    # --- over axes --------------------------------------------------------------------------------------

    def sum(self, axis: Axes = None, keepdims: bool = False) -> Value:
        """Every number that was added gets the whole g."""
        back: Rule = lambda g: _widened(g, axis, keepdims, self.shape)  # noqa: E731
        return Value(self.data.sum(axis=axis, keepdims=keepdims), [(self, back)])

    def mean(self, axis: Axes = None, keepdims: bool = False) -> Value:
        """The sum, divided by how many."""
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def max(self, axis: Axes = None, keepdims: bool = False) -> Value:
        """Only the largest gets g; where several are equal they share it, as in `torch.amax`."""
        top = self.data.max(axis=axis, keepdims=True)
        is_top = self.data == top
        share = is_top / is_top.sum(axis=axis, keepdims=True)
        back: Rule = lambda g: share * _widened(g, axis, keepdims, self.shape)  # noqa: E731
        return Value(self.data.max(axis=axis, keepdims=keepdims), [(self, back)])

    # --- the same numbers in another order --------------------------------------------------------------

    def reshape(self, *shape: int) -> Value:
        """g goes back to the old shape."""
        return Value(self.data.reshape(shape), [(self, lambda g: g.reshape(self.shape))])

    def transpose(self, *axes: int) -> Value:
        """Axes in another order, reversed where none is given; g goes back by the inverse order."""
        order = axes or tuple(reversed(range(self.data.ndim)))
        inverse = tuple(np.argsort(order))
        return Value(self.data.transpose(order), [(self, lambda g: g.transpose(inverse))])

    @property
    def T(self) -> Value:
        """The last two axes change places."""
        count = self.data.ndim
        return self.transpose(*range(count - 2), count - 1, count - 2)

    def __getitem__(self, index: Any) -> Value:
        """What was picked gets its g, what was picked twice both; the rest gets nothing."""

        def back(g: np.ndarray) -> np.ndarray:
            whole = np.zeros_like(self.data)
            np.add.at(whole, index, g)
            return whole

        return Value(self.data[index], [(self, back)])


def as_value(x: Any) -> Value:
    """Numbers and arrays become values that nobody asks the gradient of."""
    return x if isinstance(x, Value) else Value(x)


def where(condition: np.ndarray, a: Any, b: Any) -> Value:
    """`a` where the condition holds, else `b`; each gets g where it was taken."""
    a, b = as_value(a), as_value(b)
    rules = [(a, lambda g: np.where(condition, g, 0.0)), (b, lambda g: np.where(condition, 0.0, g))]
    return Value(np.where(condition, a.data, b.data), rules)


def concatenate(values: Sequence[Value], axis: int = 0) -> Value:
    """One after the other along an axis; each gets its own part of g."""
    ends = np.cumsum([value.shape[axis] for value in values])

    def part(number: int) -> Rule:
        return lambda g: np.split(g, ends[:-1], axis=axis)[number]

    joined = np.concatenate([value.data for value in values], axis=axis)
    return Value(joined, [(value, part(number)) for number, value in enumerate(values)])


def _widened(g: np.ndarray, axis: Axes, keepdims: bool, shape: tuple[int, ...]) -> np.ndarray:
    """A gradient of what was summed up, in the shape from before."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)
