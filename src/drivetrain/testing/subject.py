"""What a check works with: fresh Learners that are alike, and short epochs to train them on.

A Learner is checked on the first few batches of each epoch and on a few items of each batch, spread over
it. Each check gets Learners of its own, so none sees what another one did.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from drivetrain.data.loaders import BatchLoader, Loaders
from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved
from drivetrain.train import loop
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.history import History
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run

EPOCHS = 2
"""Epochs of the training that most checks compare with."""


class Skipped(Exception):  # noqa: N818 - nothing is wrong: the check does not apply
    """Raised by a check that has nothing to say about this Learner; the message says why."""


def skip(reason: str) -> NoReturn:
    """Leave a check that does not apply."""
    raise Skipped(reason)


def expect(holds: object, message: str) -> None:
    """Raises: AssertionError: with `message`, if it does not hold; also under `python -O`."""
    if not holds:
        raise AssertionError(message)


class Subject:
    """The Learner that is checked, made anew as often as a check likes.

    Args:
        source: makes a fresh Learner, the same each time; or a Learner, which is copied and left alone.
        folder: an empty one, for run folders.
        batches: of each epoch that are used.
        items: of each batch that are used.
    Raises: ConfigError: `source` cannot be called and is no Learner.
    """

    def __init__(
        self, source: Learner | Callable[[], Learner], folder: Path, *, batches: int, items: int
    ) -> None:
        if not isinstance(source, Learner) and not callable(source):
            raise ConfigError(
                "`check_learner` needs a Learner or a function that makes one. "
                f"Got {type(source).__name__}."
            )
        self.source = source
        self.batches = batches
        self.items = items
        self._folder = folder
        self._numbers = itertools.count(1)
        self._straight: tuple[dict[str, Tensor], list[dict[str, Any]]] | None = None

    # --- Learners -----------------------------------------------------------------------------------

    def whole(self) -> Learner:
        """A fresh Learner with all its data. It is silent, in no run, and was never trained."""
        learner = copied(self.source) if isinstance(self.source, Learner) else made(self.source)
        learner.progress = False
        return learner

    def make(self) -> Learner:
        """A fresh Learner with short epochs, and without its application: that may look at all data."""
        learner = self.whole()
        learner.application = None
        learner.loaders = self.shortened(learner.loaders)
        return learner

    def make_in_run(self) -> Learner:
        """A fresh Learner with short epochs, in a new run folder."""
        learner = self.make()
        learner.start_run(Run.create(self.folder()))
        return learner

    def shortened(self, loaders: Loaders) -> Loaders:
        """The same loaders with short epochs."""
        train, valid = (
            None if loader is None else short(loader, self.batches, self.items)
            for loader in (loaders.train, loaders.valid)
        )
        assert train is not None, "every Learner has a training loader"
        return Loaders(train, valid)

    def folder(self) -> Path:
        """A new path to write to; nothing is there."""
        return self._folder / f"{next(self._numbers)}"

    # --- what most checks need ------------------------------------------------------------------------

    def train(self, learner: Learner, **options: Any) -> None:
        """The training that checks compare with: two epochs of 1cycle at the Learner's own rate."""
        learner.fit_one_cycle(EPOCHS, **options)

    def straight(self) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Weights and history after that training, of a Learner to which nothing else was done."""
        if self._straight is None:
            learner = self.make()
            self.train(learner)
            self._straight = weights_of(learner), rows_of(learner)
        return self._straight

    def cut(self, event: str, count: int) -> tuple[Learner, Path]:
        """A fresh Learner that was killed at an event, and its run folder. Checkpoints: at every step."""
        learner = self.make_in_run()
        assert learner.run is not None, "it was started"
        try:
            self.train(learner, callbacks=[Checkpoint(steps=1), at(event, count, _die)])
        except _Killed:
            return learner, learner.run.folder
        skip(f"The fit was over before `{event}` came {count} times: a callback ended it.")

    def resumed(self, folder: Path) -> Learner:
        """A fresh Learner that went on with the run in `folder` to its end."""
        learner = self.make()
        learner.open_run(Run.open(folder))
        learner.resume(callbacks=[Checkpoint(steps=1)])
        return learner

    def batch(self, learner: Learner) -> Any:
        """The first training batch, as the loop draws it, on the Learner's device."""
        return self.batches_of(learner.loaders.train, learner)[0]

    def batches_of(self, loader: Iterable[Any], learner: Learner, epoch: int = 0) -> list[Any]:
        """The batches of an epoch, as the loop draws them, on the Learner's device."""
        with preserved():
            found = [
                loop.to_device(batch, learner.device)
                for batch in loop.epoch_of(loader, learner.seed, epoch)
            ]
        expect(
            found,
            "The loader gave no batch. Where: the first epoch. Give one that can be iterated again, "
            "with at least one batch.",
        )
        return found

    def measured(self, learner: Learner) -> Iterable[Any]:
        """The validation loader, or without one the training loader."""
        valid = learner.loaders.valid
        return learner.loaders.train if valid is None else valid


def made(make: Callable[[], Learner]) -> Learner:
    """What `make` makes, checked.

    Raises: ConfigError: it is no Learner, or one that is in a run folder.
    """
    learner: Any = make()
    if not isinstance(learner, Learner):
        raise ConfigError(
            "`check_learner` was given a function that makes no Learner. "
            f"Got {type(learner).__name__}."
        )
    if learner.run is not None:
        raise ConfigError(
            "`check_learner` makes several Learners, and each would need a run folder of its own. "
            "Leave out `out`: checks that need a folder take a temporary one."
        )
    return learner


def copied(learner: Learner) -> Learner:
    """A deep copy, as if it had never been trained: no run, journal or history. Its data is shared.

    Raises: ConfigError: something of it cannot be copied.
    """
    bare = copy.copy(learner)
    bare.run = bare.application = bare.kept = None
    bare._given = bare._began = None
    bare.history, bare.journal, bare.seconds = History(), [], 0.0
    shared = [
        part
        for loader in (learner.loaders.train, learner.loaders.valid, learner.loaders.test)
        for part in (getattr(loader, "data", None), getattr(loader, "dataset", None))
        if part is not None
    ]
    try:
        found = copy.deepcopy(bare, {id(part): part for part in shared})
    except Exception as error:  # whatever a part of it raises
        raise ConfigError(
            f"This Learner cannot be copied ({type(error).__name__}: {error}), and a check needs "
            "several that are alike. Give a function that makes a fresh one: "
            "`check_learner(lambda: Learner(...))`."
        ) from error
    found.application = learner.application
    return found


# --- short epochs -----------------------------------------------------------------------------------


def short(loader: Iterable[Any], batches: int, items: int) -> Iterable[Any]:
    """A loader that gives the first `batches` of an epoch, and of each batch at most `items` items."""
    if isinstance(loader, BatchLoader) and type(loader).__iter__ is BatchLoader.__iter__:
        return _ShortBatchLoader(loader, batches, items)
    kind = _ShortSized if hasattr(loader, "__len__") else _Short
    return kind(loader, batches, items)


class _ShortBatchLoader(BatchLoader):
    """Keeps what the loop does with a `BatchLoader`: to begin in the middle of an epoch."""

    def __init__(self, inner: BatchLoader, batches: int, items: int) -> None:
        self.__dict__.update(inner.__dict__)
        self.inner, self.most, self.items = inner, batches, items
        self.data: Any = _NoIds()  # its ids would be those of all items

    def __len__(self) -> int:
        return min(self.most, len(self.inner))

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Any]:
        found: Any = self.inner.batches(epoch, start=start)
        try:
            for batch in itertools.islice(found, max(0, self.most - start)):
                yield spread(batch, self.items)
        finally:
            if hasattr(found, "close"):
                found.close()

    def item_ids(self, epoch: int, number: int) -> list[str]:
        return _spread_list(self.inner.item_ids(epoch, number), self.items)


class _NoIds:
    """Stands in for a data set of which only some items are used."""


class _Short:
    """Any other loader; what the loop asks it for besides batches, it answers as the loader does."""

    def __init__(self, inner: Iterable[Any], batches: int, items: int) -> None:
        self.inner, self.most, self.items = inner, batches, items

    def __iter__(self) -> Iterator[Any]:
        found: Any = iter(self.inner)
        for batch in itertools.islice(found, self.most):
            yield spread(batch, self.items)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("inner", "data"):
            raise AttributeError(name)
        value = getattr(self.inner, name)
        if name == "item_ids":
            return lambda epoch, number: _spread_list(value(epoch, number), self.items)
        return value


class _ShortSized(_Short):
    def __len__(self) -> int:
        return min(self.most, len(self.inner))  # pyright: ignore[reportArgumentType]


class NoLength:
    """A loader that does not know how many batches it has."""

    def __init__(self, inner: Iterable[Any]) -> None:
        self.inner = inner

    def __iter__(self) -> Iterator[Any]:
        return iter(self.inner)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)


def size_of(batch: Any) -> int:
    """Items in a batch, read from its targets."""
    return loop.num_items(loop.call_of(batch)[2])


def spread(batch: Any, items: int) -> Any:
    """At most `items` items of a batch, at equal distances: in sorted data a batch may be one class."""
    count = size_of(batch)
    if count <= items:
        return batch
    return rows(batch, list(range(0, count, math.ceil(count / items))))


def rows(batch: Any, chosen: Sequence[int]) -> Any:
    """The items of a batch at these places; what has not one row an item is left as it is."""
    count = size_of(batch)

    def of(part: Any) -> Any:
        if isinstance(part, Tensor):
            return part[list(chosen)] if part.ndim and part.shape[0] == count else part
        if isinstance(part, Mapping):
            return {key: of(value) for key, value in part.items()}
        if isinstance(part, tuple | list):
            return tuple([of(value) for value in part])
        return part

    return of(batch)


def _spread_list(values: list[str], items: int) -> list[str]:
    return values if len(values) <= items else values[:: math.ceil(len(values) / items)]


# --- looking and comparing --------------------------------------------------------------------------


def tensors_in(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of a nested value, each with a name that says where it stands."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors_in(part, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from tensors_in(part, f"{name}[{number}]")


def structure_of(value: Any) -> Any:
    """How a value is nested, with the dtype and the number of dimensions of each tensor."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of {value.ndim} dimensions"
    if isinstance(value, Mapping):
        return {key: structure_of(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return tuple(structure_of(part) for part in value)
    return type(value).__name__


def equal(one: Any, other: Any) -> bool:
    """Whether two nested values have the same structure and, to the last bit, the same numbers."""
    if structure_of(one) != structure_of(other):
        return False
    pairs = zip(tensors_in(one), tensors_in(other), strict=True)
    return all(same(a, b) for (_, a), (_, b) in pairs)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, where a NaN equals a NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other):
        return True
    return one.is_floating_point() and bool(((one == other) | (one.isnan() & other.isnan())).all())


def weights_of(learner: Learner) -> dict[str, Tensor]:
    """A copy of the state dict's tensors."""
    state = learner.model.state_dict()
    return {
        name: value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)
    }


def rows_of(learner: Learner) -> list[dict[str, Any]]:
    """A copy of the history without its seconds."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in learner.history]


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not the same to the last bit."""
    names = dict.fromkeys([*one, *other])
    return [
        n for n in names if n not in one or n not in other or not same(one[n].cpu(), other[n].cpu())
    ]


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def expect_same_training(
    learner: Learner, straight: tuple[dict[str, Tensor], list[dict[str, Any]]], advice: str
) -> None:
    """Raises: AssertionError: weights or history are not those of the training that nothing disturbed."""
    weights, history = straight
    changed = differing(weights_of(learner), weights)
    expect(not changed, f"The weights differ, first in {listed(changed)}. {advice}")
    found = rows_of(learner)
    for ours, theirs in itertools.zip_longest(found, history, fillvalue={}):
        names = [n for n in {**ours, **theirs} if not _same_cell(ours.get(n), theirs.get(n))]
        expect(
            not names,
            f"The weights are the same, but the history differs in {listed(names)}: "
            f"{ours} and not {theirs}. {advice}",
        )


def _same_cell(one: Any, other: Any) -> bool:
    both_nan = one != one and other != other
    return both_nan or one == other


def outputs_of(learner: Learner, batch: Any) -> Any:
    """What the model answers for a batch in evaluation mode, without a graph."""
    learner.model.eval()
    args, kwargs, _ = loop.call_of(batch)
    with torch.no_grad():
        return _detached(learner.model(*args, **kwargs))


def _detached(value: Any) -> Any:
    """Without a graph: a view of a parameter has one even where no gradients are recorded."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {key: _detached(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return tuple([_detached(part) for part in value])
    return value


def loss_of(learner: Learner, batch: Any, *, training: bool = True) -> Tensor:
    """The loss of a batch, with its graph."""
    if training:
        loop.set_training_mode(learner.model)
    else:
        learner.model.eval()
    args, kwargs, targets = loop.call_of(batch)
    return learner.loss_fn(learner.model(*args, **kwargs), targets)


def gradients_of(learner: Learner, batch: Any) -> dict[str, Tensor | None]:
    """By parameter, the gradient of a batch's loss; the model is left without gradients."""
    parameters = {n: p for n, p in learner.model.named_parameters() if p.requires_grad}
    with preserved():
        loss = loss_of(learner, batch)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return dict(zip(parameters, found, strict=True))


# --- callbacks for checks ---------------------------------------------------------------------------


class _Killed(BaseException):
    """Ends a fit as a kill would: nobody who catches errors catches it."""


def _die(state: Any) -> None:
    raise _Killed


def at(event: str, count: int, do: Callable[[Any], None], *, order: int = 1000) -> Callback:
    """A callback that does something when `event` comes for the `count`-th time."""
    left = [count]

    def handle(self: Any, state: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            do(state)

    one = type("At", (Callback,), {event: handle})()
    one.order = order
    return one


def each(event: str, do: Callable[[Any], None], *, order: int = 1000) -> Callback:
    """A callback that does something whenever `event` comes."""

    def handle(self: Any, state: Any) -> None:
        do(state)

    one = type("Each", (Callback,), {event: handle})()
    one.order = order
    return one
