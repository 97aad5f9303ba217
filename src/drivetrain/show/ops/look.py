"""What a family of operations is given to explain one output element, and what it answers.

def relu(look: Look) -> Worked:
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    return look.done("y = max(0, x)", [("y", "relu(x)", "kept where positive")])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from drivetrain.show.calculation import Term
from drivetrain.show.record import Op, Value

Index = tuple[int, ...]
Line = tuple[str, str, str]


@dataclass(frozen=True)
class Piece:
    """A term and where its numbers stand."""

    term: Term
    origin: Value | None
    """The tensor they were read from; None for what is no tensor."""
    places: np.ndarray
    """int64 of the term's shape: flat positions in the origin, -1 for padding."""


@dataclass(frozen=True)
class Worked:
    """One output element, worked out."""

    formula: str
    pieces: tuple[Piece, ...]
    lines: tuple[Line, ...]
    own: np.ndarray
    bound: float
    """How far float32 (or what the run computed in) may be off, absolute."""
    follow: tuple[tuple[Value, int], ...]
    """Of each tensor the element that mattered most: tensor and flat position."""
    is_shown: bool = True


@dataclass
class Look:
    """One output element of one operation."""

    op: Op
    value: Value
    """Which output."""
    index: Index
    """Where in it."""
    pieces: list[Piece] = field(default_factory=list)
    _follow: dict[int, tuple[Value, int]] = field(default_factory=dict)

    def arg(self, name: str, default: Any = None) -> Any:
        """An argument of the operation."""
        found = self.op.args.get(name)
        return default if found is None else found

    @property
    def own(self) -> float:
        """What the run computed."""
        return float(numbers(self.value, np.asarray(ravel(self.index, self.value.tensor.shape))))

    @property
    def unit(self) -> float:
        """Half a unit in the last place of 1, of the type that the run computed in."""
        dtype = self.value.tensor.dtype
        return torch.finfo(dtype).eps / 2 if dtype.is_floating_point else 2.0**-24

    @property
    def output(self) -> int:
        """Which of the operation's outputs it is."""
        return next(i for i, v in enumerate(self.op.outputs) if v is self.value)

    def same_place(self, name: str) -> np.ndarray:
        """() the flat position in an argument that is broadcast to the output's shape."""
        return np.asarray(broadcast_place(self.arg(name), self.value.tensor.shape, self.index))

    def take(
        self,
        name: str,
        origin: Any,
        places: Any,
        meaning: str,
        *,
        role: str = "",
        weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """Put numbers of a tensor (or one written number) into the formula.

        Args:
            name: in the formula.
            origin: a `Value`; or a number, which becomes a setting.
            places: flat positions in it, -1 for a padded 0.
            meaning: in words; where they come from is added.
            role: instead of what the origin says.
            weights: of the places' shape, how much each matters; by default its size.

        Returns: float64, of the shape of `places`.
        """
        if not isinstance(origin, Value):
            return self.setting(name, float(origin), meaning)
        positions = np.asarray(places, dtype=np.int64)
        values = numbers(origin, positions)
        where = source_of(origin, positions)
        term = Term(
            name, f"{meaning}: {where}" if where else meaning, values, role or role_of(origin)
        )
        self.pieces.append(Piece(term, origin, positions))
        if positions.size and not origin.is_learned and (positions >= 0).any():
            size = np.abs(values if weights is None else weights)
            size = np.where(positions < 0, -1.0, np.where(np.isnan(size), 0.0, size))
            place = int(positions.reshape(-1)[int(size.reshape(-1).argmax())])
            self._follow.setdefault(id(origin), (origin, place))
        return values

    def follow(self, value: Value, place: int) -> None:
        """Say which element of a tensor mattered most, where it is not the one that `take` chose."""
        self._follow[id(value)] = (value, place)

    def setting(self, name: str, value: Any, meaning: str, *, role: str = "setting") -> np.ndarray:
        """Put in what is no tensor of the run: a number somebody chose, a size, a mask."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iub" else np.float64)
        self.pieces.append(
            Piece(Term(name, meaning, array, role), None, np.full(array.shape, -1, dtype=np.int64))
        )
        return array.astype(np.float64)

    def done(self, formula: str, lines: Sequence[Line], *, bound: float = 0.0) -> Worked:
        """The answer."""
        return Worked(
            formula=formula,
            pieces=tuple(self.pieces),
            lines=tuple(lines),
            own=np.asarray(self.own),
            bound=bound,
            follow=tuple(self._follow.values()),
        )


# --- places ------------------------------------------------------------------------------------------


def ravel(index: Index, shape: Sequence[int]) -> int:
    """The flat position of an index."""
    place = 0
    for position, size in zip(index, shape, strict=True):
        place = place * size + position
    return place


def unravel(place: int, shape: Sequence[int]) -> Index:
    """The index of a flat position."""
    index = []
    for size in reversed(shape):
        index.append(place % size)
        place //= size
    return tuple(reversed(index))


def grid(shape: Sequence[int], *axes: Any) -> np.ndarray:
    """Flat positions of all combinations of indices: one number, or a list or range, for each axis.

    Axes that are given one number are dropped.

    >>> grid((2, 3), 1, range(3))
    array([3, 4, 5])
    """
    place = np.zeros((), dtype=np.int64)
    for size, axis in zip(shape, axes, strict=True):
        along = np.asarray(axis, dtype=np.int64)
        place = (place * size)[..., None] + along if along.ndim else place * size + along
    return place


def broadcast_place(value: Value | float, shape: Sequence[int], index: Index) -> int:
    """The flat position in a tensor that stands at `index` once it is broadcast to `shape`."""
    if not isinstance(value, Value):
        return 0
    own = tuple(value.tensor.shape)
    tail = index[len(index) - len(own) :] if own else ()
    return ravel(tuple(0 if size == 1 else i for size, i in zip(own, tail, strict=True)), own)


def numbers(value: Value, places: np.ndarray) -> np.ndarray:
    """The numbers at flat positions, float64 (int64 of whole numbers), 0 at -1."""
    tensor = value.tensor.detach()
    is_float = tensor.dtype.is_floating_point
    if places.ndim == 0:
        one = tensor[unravel(int(places), tensor.shape)].item() if places >= 0 else 0
        return np.asarray(one, dtype=np.float64 if is_float else np.int64)
    safe = np.maximum(places, 0)
    if tensor.numel() == 0:
        taken = tensor.new_zeros(safe.shape)
    elif tensor.is_contiguous():
        taken = tensor.view(-1)[torch.from_numpy(safe).to(tensor.device)]
    else:  # without a copy of the whole
        index = np.unravel_index(safe, tuple(tensor.shape))
        taken = tensor[tuple(torch.from_numpy(i).to(tensor.device) for i in index)]
    array = taken.cpu().to(torch.float64 if is_float else torch.int64).numpy()
    return np.where(places < 0, 0, array).astype(array.dtype)


# --- words -------------------------------------------------------------------------------------------


def role_of(value: Value) -> str:
    """Of a term, by where its numbers come from; "step" is what an operation of the run gave."""
    kind = (value.root or value).kind
    return {
        "parameter": "weight",
        "buffer": "state",
        "constant": "setting",
        "computed": "step",
    }.get(kind, "input")


def source_of(value: Value, places: np.ndarray) -> str:
    """Where numbers come from, in words."""
    origin = value.root or value
    if origin.kind in ("parameter", "buffer"):
        return f"the {origin.kind} {origin.name}"
    if origin.kind == "constant":
        return ""
    where = origin.name if origin.kind == "input" else _gave(value)
    if places.ndim == 0 and places >= 0 and value.tensor.ndim:
        where += f" {list(unravel(int(places), value.tensor.shape))}"
    return where


def _gave(value: Value) -> str:
    assert value.op is not None
    return f"what {value.op.name} in {value.op.path} gave"


def listed(index: Sequence[int]) -> str:
    """An index as it is written: [0, 3, 5, 7]."""
    return f"[{', '.join(map(str, index))}]"


# --- rounding ------------------------------------------------------------------------------------------


def of_sum(terms: np.ndarray, unit: float) -> float:
    """How far a sum in a short type may be from the exact one.

    Every partial sum s is rounded by at most unit·|s|, either way; so the errors add up like a random
    walk, of deviation below unit·√Σs². Six deviations, and one rounding of each product. A sum in blocks
    or lanes, as libraries do it, has smaller partial sums.
    """
    flat = np.asarray(terms, dtype=np.float64).reshape(-1)
    if not flat.size or not np.isfinite(flat).all():
        return 0.0
    partial = np.cumsum(flat)
    return unit * float(
        6 * np.sqrt((partial**2).sum()) + abs(partial[-1]) + 2 * np.sqrt((flat**2).sum())
    )
