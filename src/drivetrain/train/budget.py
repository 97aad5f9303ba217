"""A time budget: how many epochs, on which share of the items, at which size, end in so many seconds.

    budget = plan(learner, 60)
    budget.apply(learner)
    learner.fit_one_cycle(budget.epochs)

The steps are timed first (`train.timing`); the rest is arithmetic on those times, in `choose`, which
looks at no clock. The plan is made once: it is plain JSON, so that a run that is cut goes on with the
same epochs and the same items. `callbacks.time_budget.TimeBudget` ends a fit whose plan was wrong.

What is cut, in this order: epochs; then, where not even one fits, the size of the inputs, if the
application offers smaller ones; then items. Epochs that do not fill the budget are made one more, on a
share of the items.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from drivetrain.data.loaders import BatchLoader, TensorData
from drivetrain.data.padded import PaddedData
from drivetrain.errors import ConfigError
from drivetrain.randomness import permutation
from drivetrain.train import loop, timing
from drivetrain.train.choice import Choice

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

FILLED = 0.9
"""A plan that uses less of the budget takes one epoch more, on a share of the items."""

OVER = 1.1
"""What `TimeBudget` lets training take of the budget, where the plan was wrong."""

CLEARLY = 1.2
"""Times its budget from which a plan is said to be longer."""

MEASURING = 0.05
"""Share of the budget that each of the measurements may take, about."""

MOST_EPOCHS = 1000
"""A budget far beyond what the items are worth is not filled."""

METHODS = ("fit", "fit_one_cycle", "fine_tune")


@dataclass(frozen=True)
class Costs:
    """What training costs, in seconds."""

    step: float
    """A step that trains all layers."""
    steps: int
    """Steps an epoch, on all items."""
    valid: float = 0.0
    """A validation."""
    epoch: float = 0.0
    """What else comes after each epoch: its checkpoint."""
    head_step: float = 0.0
    """A step that trains the head alone …"""
    head_epochs: int = 0
    """… and for how many epochs that is done first."""
    fixed: float = 0.0
    """What comes once: before the first step and after the last."""
    per_share: float = 0.0
    """What comes once and grows with the share of the items: baselines."""

    def steps_of(self, fraction: float) -> int:
        """Steps an epoch on a share of the items, at least one."""
        return max(1, math.ceil(self.steps * fraction - 1e-9))

    def seconds(self, epochs: int, fraction: float = 1.0) -> float:
        """The whole training: the epochs of the head, `epochs` of all layers, and what comes once."""
        steps = self.steps_of(fraction)
        work = steps * (self.head_epochs * self.head_step + epochs * self.step)
        after = (self.head_epochs + epochs) * (self.valid + self.epoch)
        return self.fixed + self.per_share * fraction + work + after

    def most_epochs(self, seconds: float) -> int:
        """As many as end in `seconds` on all items; 0 where not one does."""
        each = self.steps * self.step + self.valid + self.epoch
        if each <= 0:
            return MOST_EPOCHS
        return min(max(math.floor((seconds - self.seconds(0)) / each + 1e-9), 0), MOST_EPOCHS)

    def largest_share(self, epochs: int, seconds: float) -> float:
        """The largest share of the items with which `epochs` end in `seconds`: whole steps, below 1.

        One step an epoch where even that takes longer.
        """
        for steps in range(self.steps - 1, 1, -1):
            if self.seconds(epochs, steps / self.steps) <= seconds + 1e-9:
                return steps / self.steps
        return 1 / self.steps


@dataclass(frozen=True)
class Smaller:
    """A smaller form of the inputs that an application offers."""

    value: Any
    """What the setting becomes; plain JSON."""
    change: Callable[[Any], Any]
    """Makes a batch that small, for timing only."""
    seconds: float = 0.0
    """What it costs once, such as opening the pictures again."""


@dataclass(frozen=True)
class Budget:
    """A plan. Printed, it is what was cut and why, a line each."""

    seconds: float
    """What was asked for."""
    epochs: int
    """Of the training, those of the head alone not counted."""
    fraction: float = 1.0
    """Share of the training items that are used, in (0, 1]."""
    size: Any = None
    """The smaller size of the inputs; None where they stay as they are."""
    predicted_seconds: float = 0.0
    """From the start of the clock to the result."""
    after_seconds: float = 0.0
    """Of those, what comes when the last step is done: the result, the model."""
    reasons: tuple[Choice, ...] = field(default=())
    """What was decided, why, and how to decide otherwise; the cuts among them."""

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON."""
        return asdict(self) | {"reasons": [asdict(reason) for reason in self.reasons]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Budget:
        """The plan that `to_json` wrote."""
        return cls(**{**data, "reasons": tuple(Choice(**reason) for reason in data["reasons"])})

    @property
    def is_too_long(self) -> bool:
        """Whether it is the least that trains, and takes clearly longer than what was asked for."""
        return self.predicted_seconds > CLEARLY * self.seconds

    def limit(self, *, elapsed: float) -> float:
        """Seconds of training after which `TimeBudget` ends it.

        A plan that is longer than its budget may be done.

        Args:
            elapsed: of the budget, before training.
        """
        allowed = OVER * max(self.seconds, self.predicted_seconds)
        return max(allowed - elapsed - self.after_seconds, 0.01 * self.seconds)

    def apply(self, learner: Learner) -> None:
        """Let the Learner train on the plan's share of the items, drawn by its seed.

        Raises: ConfigError: the training loader is no `BatchLoader`, whose items can be chosen.
        """
        if self.fraction < 1:
            learner.loaders = replace(
                learner.loaders,
                train=share_of(learner.loaders.train, self.fraction, seed=learner.seed),
            )

    def __str__(self) -> str:
        return "\n".join(
            f"{reason.what}: {reason.value}: {reason.reason}" for reason in self.reasons
        )


# --- choosing ---------------------------------------------------------------------------------------


def choose(
    costs: Costs,
    seconds: float,
    *,
    epochs: int | None = None,
    smaller: Sequence[tuple[Any, Costs]] = (),
    divisible: bool = True,
) -> tuple[int, float, Any, Costs]:
    """Epochs, share of the items, smaller size or None, and the costs of that size.

    Args:
        costs: at the size that is there.
        seconds: that are left.
        epochs: never more than these; None fills the budget.
        smaller: sizes with their costs, the largest first.
        divisible: whether items can be left out.

    >>> costs = Costs(step=0.1, steps=50, valid=1.0)  # an epoch takes 6 seconds
    >>> choose(costs, 62)[:3]
    (10, 1.0, None)
    >>> choose(costs, 62, epochs=3)[:3]
    (3, 1.0, None)
    >>> choose(costs, 9)[:3]  # one epoch and a half: two on 70% of the items
    (2, 0.7, None)
    >>> choose(costs, 3)[:3]
    (1, 0.4, None)
    """
    sizes: list[tuple[Any, Costs]] = [(None, costs), *smaller]
    fitting = [one for one in sizes if one[1].most_epochs(seconds)]
    if fitting:
        size, found = fitting[0]
    else:  # a smaller size costs something too: the one that leaves most items, the largest of equals
        size, found = max(sizes, key=lambda one: one[1].largest_share(1, seconds))
    most = found.most_epochs(seconds)
    wanted = most + 1 if epochs is None else min(epochs, most + 1)
    if wanted <= most:
        return wanted, 1.0, size, found
    if not divisible or found.steps < 2:
        return max(most, 1), 1.0, size, found
    if most and found.seconds(most) >= FILLED * seconds:
        return most, 1.0, size, found
    if most >= MOST_EPOCHS:
        return most, 1.0, size, found
    share = found.largest_share(most + 1, seconds)
    if most and found.seconds(most + 1, share) > seconds + 1e-9:  # one step is too much already
        return most, 1.0, size, found
    return most + 1, share, size, found


def plan(
    learner: Learner,
    seconds: float,
    epochs: int | None = None,
    *,
    method: str | None = None,
    head_epochs: int = 1,
    spent: float = 0.0,
    after: float = 0.0,
    after_per_share: float = 0.0,
    passes: int = 0,
    smaller: Sequence[Smaller] = (),
    folder: Path | None = None,
    clock: timing.Clock = time.perf_counter,
) -> Budget:
    """Time a few steps of a Learner, which is left as it was, and choose what fits.

    Args:
        learner: ready to train; its training loader has a length.
        seconds: the budget, start-up, measuring, validations and checkpoints included.
        epochs: never more than these; None fills the budget.
        method: `fit`, `fit_one_cycle` or `fine_tune`, whose first epoch trains the head alone; by
            default `fit_one_cycle`.
        head_epochs: of `fine_tune`: so many epochs train the head alone, or little more.
        spent: of the budget, before this call.
        after: of the budget, that the caller needs when training is done, beside one more validation.
        after_per_share: the same, for what is done with the training items that are used.
        passes: how often all validation items are predicted when training is done, beside that once.
        smaller: sizes of the inputs that may be chosen, the largest first.
        folder: where checkpoints are going to be written; by default the run's. None: nowhere.
        clock: answers seconds.
    Raises: ConfigError: the budget is not above 0, the loader has no length, no such method.
    """
    began = clock()
    batches = loop.length(learner.loaders.train)
    _check(seconds, epochs, method, batches)
    assert batches is not None, "checked"
    if folder is None and learner.run is not None:
        folder = learner.run.folder
    saving = timing.seconds_a_checkpoint(learner, folder, clock=clock) if folder else 0.0
    heads = head_epochs if method == "fine_tune" else 0
    groups = len(learner.layer_groups)
    enough = MEASURING * seconds

    def costs(change: Callable[[Any], Any] | None, once: float) -> Costs:
        def step(frozen: int) -> float:
            return timing.seconds_a_step(
                learner, frozen_groups=frozen, enough=enough, change=change, clock=clock
            )

        whole = step(0)  # first, so that it is what warms up
        valid = timing.seconds_a_validation(learner, enough=enough, change=change, clock=clock)
        return Costs(
            step=whole,
            steps=batches,
            valid=valid,
            epoch=saving,
            head_step=step(max(groups - heads, 0)) if heads else 0.0,
            head_epochs=heads,
            # a checkpoint before each fit; model, record and one more validation at the end
            fixed=once + after + (1 + passes) * valid + saving * (heads + 3),
            per_share=after_per_share,
        )

    full = costs(None, 0.0)
    left = seconds - spent - (clock() - began)
    sizes: list[tuple[Any, Costs]] = []
    for one in smaller:
        if full.most_epochs(left) or (sizes and sizes[-1][1].most_epochs(left)):
            break
        sizes.append((one.value, costs(one.change, one.seconds)))
        left = seconds - spent - (clock() - began)
    divisible = isinstance(learner.loaders.train, BatchLoader)
    number, share, size, of = choose(full, left, epochs=epochs, smaller=sizes, divisible=divisible)
    predicted = seconds - left + of.seconds(number, share)
    return Budget(
        seconds=seconds,
        epochs=number,
        fraction=share,
        size=size,
        predicted_seconds=predicted,
        after_seconds=(1 + passes) * of.valid + after + of.per_share * share + 2 * saving,
        reasons=_reasons(seconds, epochs, number, share, size, full, predicted),
    )


def _reasons(
    seconds: float,
    asked: int | None,
    epochs: int,
    share: float,
    size: Any,
    full: Costs,
    predicted: float,
) -> tuple[Choice, ...]:
    """The plan's choices, in words."""
    change = "a larger --budget"
    one = full.steps * full.step + full.valid + full.epoch
    count = "one" if full.head_epochs == 1 else full.head_epochs
    head = f" after {count} of the head alone" if full.head_epochs else ""
    if predicted > CLEARLY * seconds:
        fit = f"the least that trains at all, and longer than the budget: about {_time(predicted)}"
    else:
        fit = f"about {_time(predicted)} of them are used"
    found = [Choice("budget", f"{_time(seconds)}", fit, "--budget 5m")]
    if asked is not None and epochs < asked:
        why = f"cut from {asked}: an epoch takes about {_time(one)}, and no more{head} fit"
    elif asked is not None:
        why = "as asked"
    else:
        why = f"as many as fit{head}: one on all items takes about {_time(one)}"
    found.append(Choice("epochs", epochs, why, f"--epochs N, or {change}"))
    if size is not None:
        why = "cut: at full size not even one epoch fits"
        found.append(Choice("size", size, why, f"--size N, or {change}"))
    if share < 1:
        why = (
            f"cut: {epochs} on all training items would not fit"
            if epochs > 1
            else ("cut: not even one epoch on all training items fits")
        )
        found.append(
            Choice("fraction", share, f"{why}; of every class alike, drawn by the seed", change)
        )
    return tuple(found)


def _check(seconds: float, epochs: int | None, method: str | None, batches: int | None) -> None:
    if not 0 < seconds < math.inf:
        raise ConfigError(f"A time budget must be above 0 seconds. Got {seconds}.")
    if epochs is not None and epochs < 1:
        raise ConfigError(f"`epochs` must be at least 1. Got {epochs}.")
    if method is not None and method not in METHODS:
        raise ConfigError(f"`method` must be one of {', '.join(METHODS)}. Got '{method}'.")
    if batches is None:
        raise ConfigError(
            "A time budget needs a training loader with a length. Give `epochs` to `fit` instead, and "
            "the callback `TimeBudget` to end it."
        )


def _time(seconds: float) -> str:
    if seconds >= 120:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


# --- a share of the items ---------------------------------------------------------------------------


def choose_items(
    count: int, fraction: float, *, seed: int, labels: Sequence[Any] | None = None
) -> Tensor:
    """Indices of a share of the items, ascending, (M,) int64; a function of the arguments alone.

    Args:
        count: N items.
        fraction: in (0, 1].
        seed: of the choice.
        labels: (N,) of the items: then every class gives the same share, rounded down, at least one item.

    >>> choose_items(8, 0.5, seed=1, labels=list("aaaaaabb")).tolist()
    [0, 1, 5, 7]
    """
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"`fraction` is a share of the items, above 0 and up to 1. Got {fraction}."
        )
    members: dict[str, list[int]] = {}
    for index in range(count):
        members.setdefault("" if labels is None else str(labels[index]), []).append(index)
    chosen: list[int] = []
    for name, group in members.items():
        order = permutation(len(group), seed=seed, epoch=0, purpose=f"share {name}")
        chosen += [group[i] for i in order[: max(1, int(fraction * len(group) + 1e-9))].tolist()]
    return torch.tensor(sorted(chosen), dtype=torch.int64)


class Share:
    """Some items of any batch-first data set, as a data set.

    Args:
        data: N items.
        indices: (M,) int64, which of them.
    """

    def __init__(self, data: Any, indices: Tensor) -> None:
        self.data = data
        self.indices = indices
        self.ids = _Picked(getattr(data, "ids", None), indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, indices: Tensor) -> Any:
        return self.data.__getitems__(self.indices[indices])


class _Picked(Sequence[str]):
    """The names of some items, by their places; of items without names their indices."""

    def __init__(self, ids: Sequence[str] | None, indices: Tensor) -> None:
        self.ids = ids
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        index = int(self.indices[place])
        return str(index) if self.ids is None else self.ids[index]


def share_of(loader: Any, fraction: float, *, seed: int) -> BatchLoader:
    """A loader of a share of another's items; each is varied as it was among all of them.

    Where the items have integer targets, every class gives the same share.

    Args:
        loader: a `BatchLoader`, which is left as it is; what comes back is of the same class.
        fraction: in (0, 1].
        seed: of the choice.
    Raises: ConfigError: `loader` is no `BatchLoader`, or `fraction` is out of range.
    """
    if not isinstance(loader, BatchLoader):
        raise ConfigError(
            f"Items can be left out of a `BatchLoader`, not of a {type(loader).__name__}."
        )
    data = loader.data
    indices = choose_items(len(data), fraction, seed=seed, labels=_labels(data))
    transform = loader.transform
    found = copy.copy(loader)
    found.data = _part(data, indices)
    if transform is not None:
        found.transform = lambda batch, at, epoch: transform(batch, indices[at], epoch)
    return found


def _part(data: Any, indices: Tensor) -> Any:
    """Some items of a data set; tensors and documents are cut out once, so that a step costs no more."""
    if isinstance(data, PaddedData):
        tokens = data.tokens.take(indices.numpy())
        ids = _Picked(data.ids, indices)
        return PaddedData(tokens, data.targets[indices], pad_id=data.pad_id, ids=ids)
    if isinstance(data, TensorData) and type(data).__getitems__ is TensorData.__getitems__:
        found: Any = copy.copy(data)
        found.tensors = tuple([tensor[indices] for tensor in data.tensors])
        found.ids = _Picked(getattr(data, "ids", None), indices)
        return found
    return Share(data, indices)


def _labels(data: Any) -> list[int] | None:
    """The classes of all items, where the data set holds them as one tensor of integers."""
    tensors = getattr(data, "tensors", None)
    targets = getattr(data, "targets", tensors[-1] if tensors else None)
    if isinstance(targets, Tensor) and targets.ndim == 1 and not targets.is_floating_point():
        return targets.tolist()
    return None
