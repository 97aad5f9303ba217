"""The learning rate finder: train a few steps with ever higher rates and watch the loss.

Paper: Smith 2015, arXiv:1506.01186, sec. 3.3. What differs: rates rise by equal ratios, the loss is
smoothed as a debiased moving average, and the curve is read in several ways (`SUGGESTIONS`). Four of
them carry the names of fastai's and agree with its numbers on the same curve; `halfway` is our own and
the default: it has no threshold, so the unit of the loss does not matter, and asks for no slope, so a
noisy step does not move it far. It is bold; `minimum` is the careful one where training under it jumps.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.optim.schedules import exponential
from drivetrain.train.callback import FIRST, Callback, CancelFit
from drivetrain.train.state import FitState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHING = 0.98
"""Weight of the past in the moving average of the loss."""

BLOWN_UP = 4.0
"""The search ends where the smoothed loss exceeds this many times its lowest value."""

SKIP_END = 5
"""Rates at the end that suggestions do not look at: there the loss blows up."""

DEFAULT = "halfway"
"""The suggestion that is `RateSearch.suggestion`."""


# --- reading a curve --------------------------------------------------------------------------------


def halfway(losses: Sequence[float]) -> int:
    """The index at which the loss has first fallen halfway from its start to its lowest value.

    There it falls steadily: a rate that learns, and still well below those that blow up.

    >>> halfway([5.0, 5.0, 4.0, 2.9, 2.0, 1.0, 9.0])
    3
    """
    middle = (losses[0] + min(losses)) / 2
    return next(index for index, loss in enumerate(losses) if loss <= middle)


def valley(losses: Sequence[float]) -> int:
    """The index in the middle of the longest descent.

    A descent is a row of ever lower losses, between which higher ones may stand: the longest decreasing
    subsequence, the first of those to be complete where there are several. It is taken to begin as many
    places before its end as it has members, so higher losses in between push the answer towards the
    end. Then a third and half a third of its length, both cut to whole steps, are gone along it.

    >>> valley([9.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 9.0])
    3
    """
    lowest: list[float] = []  # negated: the best last member of the descents of each length, rising
    length = end = 0
    for index, loss in enumerate(losses):
        place = bisect_left(lowest, -loss)
        lowest[place : place + 1] = [-loss]
        if place + 1 > length:
            length, end = place + 1, index
    return max(end - length + int(length / 3) + int(length / 6), 0)


def steep(losses: Sequence[float]) -> int:
    """The index after which the loss falls most to the next rate, of equal ratios between rates.

    Anywhere on the curve: where a loss that has blown up comes down again, that may be the steepest.

    >>> steep([5.0, 4.5, 3.0, 2.5, 2.4])
    1
    """
    falls = [losses[i + 1] - losses[i] for i in range(len(losses) - 1)]
    return falls.index(min(falls))


def minimum(losses: Sequence[float]) -> int:
    """The index of the lowest loss; the rate suggested is a tenth of the rate there.

    >>> minimum([5.0, 4.0, 3.0, 4.0])
    2
    """
    return min(range(len(losses)), key=losses.__getitem__)


def slide(losses: Sequence[float], *, gap: int = 15, threshold: float = 0.005) -> int:
    """The index where an interval, slid down from the highest rate, first has equal slopes at its ends.

    Coming from the blow-up the slopes differ; where they no longer do, the curve falls or lies evenly,
    and the interval's lower end is a rate that is safely below trouble. Given here is the last lower end
    at which they still differed. The threshold is in units of the loss, so scaled losses answer
    differently.

    Args:
        losses: smoothed, one a rate.
        gap: steps from the interval's lower end to its upper end; fewer where there are fewer losses.
        threshold: slopes (loss a step, by central differences) this close are equal.

    >>> slide([5.0, 5.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 4.0, 9.0], gap=3, threshold=1.5)
    4
    """
    last = len(losses) - 1
    slopes = [
        (losses[min(i + 1, last)] - losses[max(i - 1, 0)]) / (min(i + 1, last) - max(i - 1, 0))
        for i in range(last + 1)
    ]
    upper = last
    lower = found = max(upper - gap, 0)
    while lower >= 0 and abs(slopes[upper] - slopes[lower]) > threshold:
        found = lower
        upper, lower = upper - 1, lower - 1
    return found


@dataclass(frozen=True)
class Suggestion:
    """One way to read a rate from a curve."""

    index: Callable[[Sequence[float]], int]
    """From the smoothed losses to the place of the rate."""
    meaning: str
    """In words, for a table."""
    factor: float = 1.0
    """What the rate at that place is multiplied by."""


SUGGESTIONS: Mapping[str, Suggestion] = MappingProxyType(
    {
        "halfway": Suggestion(halfway, "the loss has fallen halfway to its lowest value"),
        "valley": Suggestion(valley, "middle of the longest descent"),
        "steep": Suggestion(steep, "the loss falls fastest, be it before or after a blow-up"),
        "minimum": Suggestion(minimum, "a tenth of the rate with the lowest loss", factor=0.1),
        "slide": Suggestion(slide, "the slope no longer changes, coming from the blow-up"),
    }
)
"""By name, the default first."""


def suggest(
    lrs: Sequence[float], losses: Sequence[float], *, num_steps: int | None = None
) -> dict[str, float]:
    """What each of `SUGGESTIONS` reads from a curve.

    They leave out the first tenth of the steps, where the moving average is of few batches and falls and
    rises with their noise, and the last `SKIP_END`, unless fewer than three would remain.

    Args:
        lrs: (S,) the rates, rising by equal ratios.
        losses: (S,) the smoothed loss at each.
        num_steps: steps that were planned, a tenth of which is skipped; by default S.
    Raises: ConfigError: there are fewer than 2 losses, or not as many as rates.

    >>> suggest([1.0, 10.0, 100.0], [3.0, 2.0, 1.0])["halfway"]
    10.0
    """
    if len(losses) < 2 or len(lrs) != len(losses):
        raise ConfigError(
            "`suggest` needs one loss a rate and at least 2 of them. "
            f"Got {len(lrs)} rates and {len(losses)} losses."
        )
    first = (len(lrs) if num_steps is None else num_steps) // 10
    last = len(lrs) - SKIP_END
    kept = slice(first, last) if last - first >= 3 else slice(None)
    rates, curve = lrs[kept], losses[kept]
    return {name: float(rates[way.index(curve)]) * way.factor for name, way in SUGGESTIONS.items()}


@dataclass(frozen=True)
class RateSearch:
    """What a search found. Printed, it is a table of the suggestions."""

    lrs: tuple[float, ...]
    """(S,) the rates tried, rising."""
    losses: tuple[float, ...]
    """(S,) the smoothed loss at each rate."""
    suggestions: dict[str, float]
    """A rate for each way to read the curve, by the names of `SUGGESTIONS`."""

    @property
    def suggestion(self) -> float:
        """The rate at which the loss has fallen halfway from its start to its lowest value."""
        return self.suggestions[DEFAULT]

    @property
    def has_fallen(self) -> bool:
        """Whether the loss ever was below its start; else no suggestion means anything."""
        return min(self.losses) < self.losses[0]

    def table(self) -> str:
        """A line a suggestion: its name, its rate, how it reads the curve."""
        return "\n".join(
            f"{name:<8} {lr:>8.2g}  {SUGGESTIONS[name].meaning}"
            for name, lr in self.suggestions.items()
        )

    def plot(self) -> Figure:
        """The loss against the rate, with each suggestion marked on it.

        Returns: a `matplotlib.figure.Figure`; a notebook shows it, `figure.savefig("lr.png")` writes it.
        Raises: MissingPackageError: there is no matplotlib.
        """
        require("matplotlib", extra="plot")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, color="0.3")
        for name, lr in self.suggestions.items():
            label = f"{name} {lr:.2g}"
            axes.plot([lr], [self._loss_at(lr)], "o", label=label, zorder=3, clip_on=False)
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("smoothed loss")
        axes.grid(alpha=0.3)
        axes.legend(title="suggestions")
        return figure

    def _loss_at(self, lr: float) -> float:
        """The loss at a rate, on a straight line between its neighbours, which are equal ratios apart."""
        if lr <= self.lrs[0]:
            return self.losses[0]
        above = min(bisect_left(self.lrs, lr), len(self.lrs) - 1)
        low, high = math.log(self.lrs[above - 1]), math.log(self.lrs[above])
        share = (math.log(lr) - low) / (high - low)
        return self.losses[above - 1] * (1 - share) + self.losses[above] * share

    def __str__(self) -> str:
        best = minimum(self.losses)
        warning = (
            ""
            if self.has_fallen
            else "\nThe loss never fell: no rate can be recommended. Are inputs and targets a pair?"
        )
        return (
            f"suggested lr: {self.suggestion:.2g} "
            f"(lowest loss {self.losses[best]:.4f} at {self.lrs[best]:.2g}, "
            f"{len(self.lrs)} rates tried){warning}\n{self.table()}"
        )


# --- the search -------------------------------------------------------------------------------------


class RateFinder(Callback):
    """Raises the rate at each step and notes the loss; ends the fit when the loss has blown up.

    The training loader and the loss are left as they were found; `undone` does the same for model and
    optimizer.

    Args:
        start: first rate.
        end: last rate.
        num_steps: rates to try, at least 2.
    Raises: ConfigError: the rates do not rise from above 0, or there are fewer than 2 steps.
    """

    order = FIRST

    def __init__(self, *, start: float = 1e-7, end: float = 10.0, num_steps: int = 100) -> None:
        if not 0 < start < end < math.inf or num_steps < 2:
            raise ConfigError(
                "`lr_find` needs 0 < start < end and at least 2 steps. "
                f"Got start={start}, end={end}, num_steps={num_steps}."
            )
        self.start, self.end, self.num_steps = start, end, num_steps
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self._average = 0.0
        self._last = math.nan
        self._undo = ExitStack()

    def before_fit(self, state: FitState) -> None:
        """Note what stands in the loader and in the loss."""
        self._undo.enter_context(unmoved(state.loaders.train))
        if isinstance(state.loss_fn, nn.Module):
            self._undo.enter_context(unchanged(state.loss_fn))

    def before_batch(self, state: FitState) -> None:
        """Set the next rate."""
        step = len(self.losses)
        lr = exponential(step / (self.num_steps - 1), start=self.start, end=self.end)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        self.lrs[step:] = [lr]

    def after_loss(self, state: FitState) -> None:
        """Note the loss; end where it has blown up, and after the last rate."""
        self._last = float(state.loss.detach())
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * self._last
        smooth = self._average / (1 - SMOOTHING ** len(self.lrs))
        if not math.isfinite(smooth) or smooth > self._limit():
            raise CancelFit
        self.losses.append(smooth)
        if len(self.losses) == self.num_steps:
            raise CancelFit

    def after_fit(self, state: FitState) -> None:
        """Put back what stood in the loader and in the loss."""
        self._undo.close()

    def found(self) -> RateSearch:
        """What the steps so far say.

        Raises: ConfigError: there was no batch, or the loss was not finite from the first or second step
            on.
        """
        if not self.lrs:
            raise ConfigError("`lr_find` got no batch: the training loader is empty.")
        if not self.losses:
            raise ConfigError(
                f"`lr_find` got a loss of {self._last} at the first step, before any rate was used. Look "
                "for values that are not finite in inputs, targets and weights."
            )
        if len(self.losses) < 2:
            raise ConfigError(
                "`lr_find` saw no finite loss after the first step. Start lower: `lr_find(start=1e-9)`."
            )
        lrs = tuple(self.lrs[: len(self.losses)])
        losses = tuple(self.losses)
        return RateSearch(lrs, losses, suggest(lrs, losses, num_steps=self.num_steps))

    def _limit(self) -> float:
        """The smoothed loss from which on the search has blown up.

        A multiple of the lowest, where that is above 0; a loss that is not (a log-density's) has no such
        multiple, and there the scale is how far it has come.
        """
        if not self.losses:
            return math.inf
        best = min(self.losses)
        scale = best if best > 0 else max(-best, self.losses[0] - best)
        return best + (BLOWN_UP - 1) * scale


# --- as if it had not been --------------------------------------------------------------------------


@contextmanager
def undone(model: nn.Module, optimizer: object) -> Iterator[None]:
    """Put back all that a fit in the block changes in model and optimizer, also after an error.

    Weights, buffers (also those that no state dict holds), modes, what is frozen, gradients. Of
    `optimizer` what it remembers and its rates, where it is an instance and not a factory.
    """
    with ExitStack() as stack:
        stack.enter_context(unchanged(model))
        if isinstance(optimizer, Optimizer):
            stack.enter_context(_forgetful(optimizer))
        yield


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Put back all that training changes in a module: values, modes, what is frozen, gradients.

    Gradients that stood there before are out of the way in the block, and there again after it.
    """
    modules = list(module.modules())
    modes = [part.training for part in modules]
    extra = [
        copy.deepcopy(part.get_extra_state()) if _has_extra_state(part) else None
        for part in modules
    ]
    slots = [(part, {**part._parameters}, {**part._buffers}) for part in modules]
    tensors = {
        id(tensor): tensor
        for _, parameters, buffers in slots
        for tensor in (*parameters.values(), *buffers.values())
        if tensor is not None
    }
    values = {key: tensor.detach().clone() for key, tensor in tensors.items()}
    frozen = {key: not tensor.requires_grad for key, tensor in tensors.items()}
    grads = {key: tensor.grad for key, tensor in tensors.items() if tensor.is_leaf}
    for tensor in tensors.values():
        if tensor.is_leaf:
            tensor.grad = None
    try:
        yield
    finally:
        for part, parameters, buffers in slots:  # a buffer may have been replaced, or made
            part._parameters.clear()
            part._parameters.update(parameters)
            part._buffers.clear()
            part._buffers.update(buffers)
        with torch.no_grad():
            for key, tensor in tensors.items():
                tensor.copy_(values[key])
        for key, grad in grads.items():
            tensors[key].requires_grad_(not frozen[key])
            tensors[key].grad = grad
        for part, training, state in zip(modules, modes, extra, strict=True):
            part.training = training
            if _has_extra_state(part):
                part.set_extra_state(state)


@contextmanager
def unmoved(loader: Any) -> Iterator[None]:
    """Put back where a loader stands: its epoch, and the generators that are its own.

    What the loop itself tells a loader (`drivetrain.train.loop.start_epoch`), and what a torch
    `DataLoader` and its samplers draw from when they are given a `generator`.
    """
    inside = [getattr(loader, name, None) for name in ("sampler", "batch_sampler")]
    parts = [part for part in (loader, *inside) if part is not None]
    epochs = [
        (part, part.epoch)
        for part in parts
        if hasattr(part, "set_epoch") and hasattr(part, "epoch")
    ]
    generators: dict[int, tuple[torch.Generator, Tensor]] = {}
    for part in parts:
        own = getattr(part, "generator", None)
        if isinstance(own, torch.Generator):
            generators[id(own)] = (own, own.get_state())
    try:
        yield
    finally:
        for part, epoch in epochs:
            part.set_epoch(epoch)
        for generator, state in generators.values():
            generator.set_state(state)


@contextmanager
def _forgetful(optimizer: Optimizer) -> Iterator[None]:
    """Put back what an optimizer remembers, and the settings of its groups."""
    kind = type(optimizer)
    if (
        kind.state_dict is not Optimizer.state_dict
        or kind.load_state_dict is not Optimizer.load_state_dict
    ):  # it keeps more than torch's own do, and says how
        memory = copy.deepcopy(optimizer.state_dict())
        try:
            yield
        finally:
            optimizer.load_state_dict(memory)
        return
    # Not by `load_state_dict`, which would cast what is remembered to the dtype of the parameter.
    state = {parameter: copy.deepcopy(kept) for parameter, kept in optimizer.state.items()}
    settings = [
        {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    try:
        yield
    finally:
        optimizer.state.clear()
        optimizer.state.update(state)
        for group, kept in zip(optimizer.param_groups, settings, strict=True):
            params = group["params"]
            group.clear()
            group.update(params=params, **kept)


def _has_extra_state(module: nn.Module) -> bool:
    return type(module).get_extra_state is not nn.Module.get_extra_state
