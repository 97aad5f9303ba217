"""What a tensor is: numbers in one row, a shape, and steps that say where in the row each number stands.

Words: the *rank* is how many axes there are, the *shape* how long each is, and an *axis* is what one
index counts along. Nothing else is stored: a table with its axes swapped is the same row of numbers read
with other steps, and no number moves. Lists within lists may be ragged; a tensor may not.

Twin of `torch.Tensor` as far as shapes go, and of `torch.tensor`'s reading of nested lists.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Real
from reprlib import repr as shortened
from typing import Any

Shape = tuple[int, ...]


# --- lists within lists -------------------------------------------------------------------------------


def shape_of(nested: Any, name: str = "x") -> Shape:
    """The length of the list, of the lists in it, and so on; () for a number.

    Raises: ValueError: one row has another shape than most of its neighbours: it is named, as `x[2]`.

    >>> shape_of([[1, 2, 3], [4, 5, 6]])
    (2, 3)
    """
    if isinstance(nested, Real):
        return ()
    if isinstance(nested, str) or not isinstance(nested, Sequence):
        raise ValueError(
            f"{name} is {shortened(nested)}, a {type(nested).__name__}: a tensor holds numbers, in lists."
        )
    if not nested:
        return (0,)
    shapes = [shape_of(row, f"{name}[{i}]") for i, row in enumerate(nested)]
    usual = Counter(shapes).most_common(1)[0][0]  # of equally frequent ones, the first
    for i, shape in enumerate(shapes):
        if shape != usual:
            raise ValueError(
                f"{name}[{i}] has shape {shape}, but {name}[{shapes.index(usual)}] has {usual}, as do "
                f"{shapes.count(usual)} of {len(shapes)}. The rows of a tensor are all alike: fill up or "
                f"cut {name}[{i}], or leave it out."
            )
    return (len(nested), *usual)


def flat(nested: Any) -> list[Any]:
    """All numbers in the order in which they are read: the last index runs fastest."""
    if isinstance(nested, Real):
        return [nested]
    return [number for row in nested for number in flat(row)]


def dtype_of(numbers: Sequence[Any]) -> str:
    """The narrowest type that holds them all, as torch chooses it: one float makes all of them floats.

    >>> dtype_of([True, 2]), dtype_of([True, 2, 3.5])
    ('int64', 'float32')
    """
    if not numbers or any(isinstance(number, float) for number in numbers):
        return "float32"
    return "bool" if all(isinstance(number, bool) for number in numbers) else "int64"


# --- one row of numbers, and how to read it -----------------------------------------------------------


def steps_of(shape: Shape) -> Shape:
    """How far apart in the row two neighbours along each axis stand; torch calls it the stride.

    One further along an axis is past all that the axes after it hold.

    >>> steps_of((64, 28, 28))
    (784, 28, 1)
    """
    return tuple(
        math.prod(max(1, size) for size in shape[axis + 1 :]) for axis in range(len(shape))
    )


@dataclass(frozen=True)
class Tensor:
    """A way of reading a row of numbers. Many tensors can read the same row."""

    numbers: list[Any]
    """The row itself, shared and not copied."""
    shape: Shape
    steps: Shape
    """As many as axes."""
    start: int = 0
    """Where in the row the first number stands."""

    @property
    def rank(self) -> int:
        """The number of axes: 0 of a number, 1 of a vector, 2 of a matrix."""
        return len(self.shape)

    def at(self, *index: int) -> Any:
        """The number at an index for each axis: start + i·step + j·step + …"""
        steps = zip(index, self.steps, strict=True)
        return self.numbers[self.start + sum(i * step for i, step in steps)]

    def __getitem__(self, i: int) -> Tensor:
        """What lies at i along axis 0: one axis less, the same row, another start."""
        if not self.shape:
            raise IndexError("A tensor of rank 0 is one number: it has no axis to count along.")
        size = self.shape[0]
        if not -size <= i < size:
            raise IndexError(
                f"Index {i} is beyond axis 0 of shape {self.shape}: it has {size} places."
            )
        start = self.start + (i % size) * self.steps[0]
        return Tensor(self.numbers, self.shape[1:], self.steps[1:], start)

    def transpose(self, first: int, second: int) -> Tensor:
        """Two axes change places: their sizes and their steps do, and the row stays as it is."""
        order = list(range(self.rank))
        order[first], order[second] = order[second], order[first]
        shape, steps = (tuple(kind[axis] for axis in order) for kind in (self.shape, self.steps))
        return Tensor(self.numbers, shape, steps, self.start)

    def reshape(self, *shape: int) -> Tensor:
        """The same numbers in reading order under another shape; one size may be -1, what is left.

        Raises: ValueError: the shape holds more or fewer numbers.
        """
        count = math.prod(self.shape)
        known = math.prod(size for size in shape if size != -1)
        if shape.count(-1) == 1 and known and count % known == 0:
            shape = tuple(count // known if size == -1 else size for size in shape)
        if math.prod(shape) != count or min(shape, default=0) < 0:
            raise ValueError(
                f"Shape {self.shape} holds {count} numbers, which {shape} cannot take."
            )
        return Tensor(list(self), tuple(shape), steps_of(tuple(shape)))

    def __iter__(self) -> Iterator[Any]:
        """Every number in reading order: for each i, each j, …"""
        for index in product(*[range(size) for size in self.shape]):
            yield self.at(*index)

    def tolist(self) -> Any:
        """Lists within lists again."""
        return (
            [row.tolist() for row in map(self.__getitem__, range(self.shape[0]))]
            if self.shape
            else self.at()
        )


def tensor(nested: Any) -> Tensor:
    """Of lists within lists, which must not be ragged; True, 2 and 3.5 together become 1.0, 2.0, 3.5."""
    shape = shape_of(nested)
    numbers = flat(nested)
    kind = {"bool": bool, "int64": int, "float32": float}[dtype_of(numbers)]
    return Tensor([kind(number) for number in numbers], shape, steps_of(shape))


def described(x: Tensor, axes: Sequence[str] = ()) -> str:
    """A tensor in words: rank, shape, type, and what each axis counts, where `axes` says it.

    >>> print(described(tensor([[1, 2, 3], [4, 5, 6]]), ["items", "features"]))
    rank 2, shape (2, 3), int64: 6 numbers
    axis 0: 2 items, 3 apart in the row
    axis 1: 3 features, 1 apart in the row
    """
    dtype, count = dtype_of(list(x)), math.prod(x.shape)
    lines = [f"rank {x.rank}, shape {x.shape}, {dtype}: {count} number{'s' * (count != 1)}"]
    for axis, (size, step) in enumerate(zip(x.shape, x.steps, strict=True)):
        lines.append(
            f"axis {axis}: {size} {axes[axis] if axes else 'places'}, {step} apart in the row"
        )
    return "\n".join(lines)
