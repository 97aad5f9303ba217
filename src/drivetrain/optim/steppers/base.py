# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""What a stepper is, what it works on, and how steppers make a chain.

A stepper is one named step of an optimizer: a function of an `Update`, with what it remembers of each
parameter and the hyperparameters it reads declared beside it. It gets tensors and numbers and nothing
else, so it cannot see a batch, the loss, the loader or the loop.

It works on lists of tensors with torch's multi-tensor functions (`torch._foreach_*`), which are one
kernel for many tensors on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError

# --- what a stepper works on ----------------------------------------------------------------------


@dataclass(slots=True)
class Update:
    """Some parameters on their way through a chain: one group, one device, one dtype.

    The chain builds up a move for each parameter, which is kept as a fraction,

        direction / (divisor · root)

    so that dividing by a root, undoing a bias and stepping cost one pass over memory together. A root
    is a tensor, a divisor a number; both are left out (None) until a stepper puts them in.
    """

    params: list[Tensor]
    grads: list[Tensor]
    """The gradients, never written to; `l2_decay` at the head of a chain puts others in their place."""
    state: Mapping[str, list[Tensor]]
    """What is remembered of each parameter, by the names that the steppers declare; written in place."""
    group: Mapping[str, Any]
    """The hyperparameters as they are at this step."""
    steps: Sequence[float] = ()
    """Number of the step of each parameter, from 1; empty when no stepper of the chain asks."""

    direction: list[Tensor] = field(init=False)
    """Top of the fraction; the gradients at first."""
    roots: list[Tensor] | None = None
    """May be written to."""
    divisors: list[float] | None = None
    is_own: bool = False
    """Whether `direction` may be written to: it is neither the gradients nor something remembered."""

    direction_kept: float | None = None
    """Set while the direction is a running mean that began at 0: the share it keeps at each step."""
    root_kept: float | None = None
    """The same for the mean that the roots are of."""

    def __post_init__(self) -> None:
        self.direction = self.grads

    def take(self, direction: list[Tensor], *, own: bool) -> None:
        """Make `direction` the whole move; `own` says that it may be written to."""
        self.direction, self.is_own = direction, own
        self.roots = self.divisors = self.direction_kept = self.root_kept = None

    def plain(self) -> list[Tensor]:
        """The move as tensors, the fraction worked out; not to be written to."""
        if self.roots is not None or self.divisors is not None:
            self.owned()
        return self.direction

    def owned(self) -> list[Tensor]:
        """The move as tensors, the fraction worked out, in memory that may be written to."""
        if self.roots is not None:
            result = list(torch._foreach_div(self.direction, self.roots))
        elif self.is_own:
            result = self.direction
        else:
            result = [tensor.clone() for tensor in self.direction]
        if self.divisors is not None:
            torch._foreach_div_(result, self.divisors)
        self.take(result, own=True)
        return result

    def add_to(self, tensors: list[Tensor], weights: float | Sequence[float] = 1.0) -> None:
        """Add the move, times a weight (or one a tensor), to `tensors` in place."""
        if isinstance(weights, float | int) and self.divisors is None:
            if self.roots is None:
                torch._foreach_add_(tensors, self.direction, alpha=weights)
            else:
                torch._foreach_addcdiv_(tensors, self.direction, self.roots, value=weights)
            return
        each = [weights] * len(tensors) if isinstance(weights, float | int) else weights
        if self.divisors is not None:
            each = [weight / by for weight, by in zip(each, self.divisors, strict=True)]
        if self.roots is not None:
            torch._foreach_addcdiv_(tensors, self.direction, self.roots, each)
        elif len(set(each)) == 1:
            torch._foreach_add_(tensors, self.direction, alpha=each[0])
        else:
            for tensor, direction, weight in zip(tensors, self.direction, each, strict=True):
                tensor.add_(direction, alpha=weight)


# --- what is remembered ---------------------------------------------------------------------------

Start = Callable[[Tensor], Tensor]
"""From a parameter, before its first step, to what is remembered of it at first."""


def zeros(param: Tensor) -> Tensor:
    """As many zeros as the parameter has elements."""
    return torch.zeros_like(param, memory_format=torch.preserve_format)


def copy(param: Tensor) -> Tensor:
    """The parameter itself, as it was before its first step."""
    return param.detach().clone(memory_format=torch.preserve_format)


def count(param: Tensor) -> Tensor:
    """A count of steps: one float32 on the CPU, as torch keeps it (exact up to 16 million)."""
    return torch.zeros((), dtype=torch.float32)


def total(param: Tensor) -> Tensor:
    """A sum: one float64 on the CPU, whatever the parameter is."""
    return torch.zeros((), dtype=torch.float64)


NUMBERS = frozenset({count, total})
"""Starts that give one number for a parameter, and not a tensor of its shape."""

# --- a stepper ------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Stepper:
    """One named step of an optimizer, made by the decorator `stepper`. A call changes the `Update`."""

    name: str
    function: Callable[[Update], None]
    state: Mapping[str, Start]
    """Entries remembered of each parameter. Steppers of a chain may share `step`, and no other."""
    settings: Mapping[str, Any]
    """Hyperparameters it reads from the group, with their defaults."""
    averages: str | None = None
    """Entry that holds other weights to evaluate with, if there is one: see `Composed.eval`."""

    def __call__(self, update: Update) -> None:
        """Take the step."""
        self.function(update)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:  # a copy of a stepper is the stepper, found by its name
        return self.name


def stepper(
    *,
    state: Mapping[str, Start] | None = None,
    settings: Mapping[str, Any] | None = None,
    averages: str | None = None,
) -> Callable[[Callable[[Update], None]], Stepper]:
    """Make a function of an `Update` a stepper under the function's name.

    Args:
        state: what it remembers of each parameter: a name, and how it starts (`zeros`, `copy`, ...).
        settings: hyperparameters it reads from `update.group`, with their defaults.
        averages: the entry of `state` that holds weights to evaluate with.
    """

    def made(function: Callable[[Update], None]) -> Stepper:
        name = function.__name__  # pyright: ignore[reportFunctionMemberAccess]
        one = Stepper(
            name,
            function,
            MappingProxyType(dict(state or {})),
            MappingProxyType(dict(settings or {})),
            averages,
        )
        object.__setattr__(one, "__doc__", function.__doc__)
        object.__setattr__(one, "__module__", function.__module__)
        return one

    return made


# --- chains ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Steppers in the order they run, under one name. Make one with `chain`."""

    name: str
    steppers: tuple[Stepper, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for one in self.steppers:
            for entry in one.state:
                if entry in seen and entry != "step":
                    raise ConfigError(
                        f"`{seen[entry]}` and `{one.name}` of the chain `{self.name}` would both "
                        f"remember `{entry}`. Leave one of them out."
                    )
                seen[entry] = one.name

    @cached_property
    def state(self) -> dict[str, Start]:
        """What all its steppers remember."""
        return {entry: start for one in self.steppers for entry, start in one.state.items()}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The hyperparameters of all its steppers; of two defaults the first one's counts."""
        settings: dict[str, Any] = {}
        for one in self.steppers:
            for key, value in one.settings.items():
                settings.setdefault(key, value)
        return settings

    @cached_property
    def averages(self) -> str | None:
        """The entry with weights to evaluate with, where a stepper keeps some."""
        return next((one.averages for one in self.steppers if one.averages is not None), None)

    def then(self, *more: Stepper | Chain, name: str | None = None) -> Chain:
        """This chain with more steps at its end."""
        return chain(name or self.name, self, *more)

    def swap(self, old: str, new: Stepper | Chain, *, name: str | None = None) -> Chain:
        """This chain with another step (or a chain of them) in the place of the one called `old`.

        Raises: ConfigError: it has no such step.

        >>> from drivetrain.optim.optimizers import ADAM, MOMENTUM
        >>> from drivetrain.optim.steppers import adam_direction
        >>> MOMENTUM.swap("momentum", adam_direction, name="adam") == ADAM
        True
        """
        names = [one.name for one in self.steppers]
        if old not in names:
            raise ConfigError(
                f"The chain `{self.name}` has no step '{old}'.{did_you_mean(old, names)} "
                f"Steps: {', '.join(names)}."
            )
        parts = [new if one.name == old else one for one in self.steppers]
        return chain(name or self.name, *parts)

    def of(self, param: Tensor, group: Mapping[str, Any]) -> Chain:
        """The chain that moves `param`: this one."""
        return self

    def __iter__(self) -> Iterator[Stepper]:
        return iter(self.steppers)

    def __str__(self) -> str:
        return " > ".join(one.name for one in self.steppers)


@dataclass(frozen=True)
class Split:
    """Two chains, and the question that says which of them moves a parameter."""

    name: str
    question: Callable[[Tensor, Mapping[str, Any]], bool]
    """An importable function of the parameter and its group."""
    if_true: Chain
    if_false: Chain

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The hyperparameters of both; of two defaults the first one's counts."""
        return self.if_false.settings | self.if_true.settings

    def then(self, *more: Stepper | Chain, name: str | None = None) -> Split:
        """Both chains with more steps at their ends."""
        return Split(
            name or self.name, self.question, self.if_true.then(*more), self.if_false.then(*more)
        )

    def of(self, param: Tensor, group: Mapping[str, Any]) -> Chain:
        """The chain that moves `param`."""
        return self.if_true if self.question(param, group) else self.if_false

    def __str__(self) -> str:
        question = getattr(self.question, "__name__", "question")
        return f"{question}: {self.if_true}; else: {self.if_false}"


def chain(name: str, *parts: Stepper | Chain) -> Chain:
    """Steppers, and the steppers of chains, as one chain.

    Raises: ConfigError: two of them would remember something under the same name.
    """
    steppers: list[Stepper] = []
    for part in parts:
        steppers.extend(part.steppers if isinstance(part, Chain) else [part])
    return Chain(name, tuple(steppers))
