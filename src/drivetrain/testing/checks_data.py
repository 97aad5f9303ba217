"""Checks of loaders: the same epoch gives the same batches, and each item once."""

from __future__ import annotations

import inspect
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, RandomSampler

from drivetrain.data.loaders import BatchLoader
from drivetrain.losses import check_pair
from drivetrain.randomness import preserved, set_all_generators
from drivetrain.testing.subject import (
    Subject,
    equal,
    expect,
    loss_of,
    size_of,
    skip,
    structure_of,
    tensors_in,
)
from drivetrain.train import loop
from drivetrain.train.learner import Learner

MOST = 64
"""Batches of a whole epoch that a check reads; where there are more, it is left out."""


def loaders_can_be_iterated_again(subject: Subject) -> None:
    """A loader gives as many batches in a second pass as in the first, else the second epoch is empty."""
    for name, loader in _loaders(subject.whole()):
        # A `DataLoader` may hand out the same iterator, begun anew: its workers stay.
        used_up = not isinstance(loader, DataLoader) and iter(loader) is iter(loader)
        expect(
            not used_up,
            f"The {name} loader is used up after one pass: all passes share an iterator. Give "
            "an object whose `__iter__` begins anew: a list, a `BatchLoader`, a `DataLoader`.",
        )
    learner = subject.make()
    for name, loader in _loaders(learner):
        first = len(subject.batches_of(loader, learner))
        second = len(subject.batches_of(loader, learner))
        expect(
            first == second,
            f"The {name} loader gave {first} batches in the first pass and {second} in the next. "
            "Let each pass begin at the first batch.",
        )


def an_epoch_repeats_its_batches(subject: Subject) -> None:
    """The batches of an epoch depend on seed and epoch alone, else no result can be had again."""
    one, other = subject.make(), subject.make()
    for (name, loader), (_, again) in zip(_loaders(one), _loaders(other), strict=True):
        first = subject.batches_of(loader, one, epoch=1)
        for what, second in (
            ("drawn again", subject.batches_of(loader, one, epoch=1)),
            ("of an equal Learner", subject.batches_of(again, other, epoch=1)),
        ):
            number = _first_difference(first, second)
            expect(
                number is None,
                f"Batch {number} of epoch 1 of the {name} loader is another one when {what}. Derive "
                "what is drawn from seed, epoch and item (`drivetrain.randomness`), or draw from "
                "torch's, numpy's or Python's global generator, which the loop sets.",
            )


def an_epoch_can_begin_in_the_middle(subject: Subject) -> None:
    """An epoch begun at a later batch gives the batches it has there, else a cut run cannot go on."""
    learner = subject.make()
    train = learner.loaders.train
    whole = subject.batches_of(train, learner)
    with preserved():
        rest = [
            loop.to_device(batch, learner.device)
            for batch in loop.epoch_of(train, learner.seed, 0, start=1)
        ]
    number = _first_difference(whole[1:], rest)
    expect(
        number is None,
        "Epoch 0 of the training loader, begun at batch 1, goes on otherwise than the whole "
        "epoch. `batches(epoch, start=1)` must leave out the first batch and change no other.",
    )


def a_shuffled_loader_changes_its_order(subject: Subject) -> None:
    """A loader that shuffles has another order in each epoch, else the same items always meet."""
    learner = subject.make()
    train = learner.loaders.train
    shuffles = getattr(train, "shuffle", False) is True
    if not shuffles and not isinstance(getattr(train, "sampler", None), RandomSampler):
        skip("The training loader does not say that it shuffles.")
    epochs = [subject.batches_of(train, learner, epoch=e) for e in range(3)]
    count = sum(map(size_of, epochs[0]))
    differ = not (equal(epochs[0], epochs[1]) and equal(epochs[0], epochs[2]))
    ids = getattr(train, "item_ids", None)
    if differ and ids is not None:  # augmented pictures are others in any order
        orders = [[ids(e, n) for n in range(len(epochs[0]))] for e in range(3)]
        differ = orders[0] != orders[1] or orders[0] != orders[2]
    if count < 4:
        skip(f"There are {count} items: too few to tell two orders apart.")
    expect(
        differ,
        "Epochs 0, 1 and 2 of the training loader have the same order, though it says that it "
        "shuffles. Make the order a function of (seed, epoch): `randomness.permutation`.",
    )


def an_epoch_holds_each_item_once(subject: Subject) -> None:
    """Each item comes once an epoch, else some items weigh more than others and nobody sees it."""
    learner = subject.whole()
    for name, loader in _loaders(learner):
        found = _item_ids(loader, learner)
        if found is None:
            _expect_same_items(subject, learner, name, loader)
            continue
        twice = [item for item, times in Counter(found).items() if times > 1]
        expect(
            not twice,
            f"Items come more than once in epoch 0 of the {name} loader: {', '.join(twice[:5])}. "
            "Draw without replacement.",
        )
        missing = _number_of_items(loader) - len(found)
        expect(
            missing == 0 or _drops_last(loader),
            f"{missing} items never come in epoch 0 of the {name} loader. Let the last batch be smaller, "
            "or say that it is left out (`drop_last=True`).",
        )


def validation_keeps_its_order(subject: Subject) -> None:
    """Validation batches are the same in every epoch, else its numbers cannot be compared."""
    learner = subject.make()
    valid = learner.loaders.valid
    if valid is None:
        skip("There is no validation loader.")
    first, later = (subject.batches_of(valid, learner, epoch=e) for e in (0, 1))
    number = _first_difference(first, later)
    expect(
        number is None,
        f"Batch {number} of the validation is another one in epoch 1 than in epoch 0. Give a loader "
        "that neither shuffles nor augments.",
    )


def batches_have_one_structure(subject: Subject) -> None:
    """All batches are nested alike and keep their dtypes, so what works for the first works for all."""
    learner = subject.make()
    for name, loader in _loaders(learner):
        batches = subject.batches_of(loader, learner)
        first = structure_of(batches[0])
        for number, batch in enumerate(batches):
            expect(
                structure_of(batch) == first,
                f"Batch {number} of the {name} loader is {structure_of(batch)}, and batch 0 is {first}. "
                "Give all batches the same form: `(inputs, targets)` or a dict.",
            )
            _, _, targets = loop.call_of(batch)
            sizes = {t.shape[0] for _, t in tensors_in(targets) if t.ndim}
            inputs = {t.shape[0] for _, t in tensors_in(loop.call_of(batch)[:2]) if t.ndim}
            expect(
                not sizes or bool(inputs & sizes),
                f"Batch {number} of the {name} loader has inputs of {sorted(inputs)} rows for targets "
                f"of {sorted(sizes)} rows. The first dimension is the item's.",
            )


def batches_hold_finite_numbers(subject: Subject) -> None:
    """Inputs and targets hold no NaN and no infinity: one would stop the training."""
    learner = subject.make()
    for name, loader in _loaders(learner):
        for number, batch in enumerate(subject.batches_of(loader, learner)):
            for part, tensor in tensors_in(batch, "batch"):
                expect(
                    not tensor.is_floating_point() or bool(tensor.isfinite().all()),
                    f"`{part}` of batch {number} of the {name} loader holds NaN or infinity. "
                    "Repair these items, or leave them out.",
                )


def batches_fit_the_forward(subject: Subject) -> None:
    """A batch names what the model's `forward` takes: by position, or in a dict by name."""
    learner = subject.make()
    forward: Any = getattr(learner.model, "function", learner.model.forward)
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError):
        skip("The model does not say what it takes.")
    for name, loader in _loaders(learner):
        args, kwargs, _ = loop.call_of(subject.batches_of(loader, learner)[0])
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            given = [*(f"#{n}" for n in range(len(args))), *kwargs]
            raise AssertionError(
                f"A batch of the {name} loader does not fit `forward{signature}`: {error}. It gives "
                f"{', '.join(given)}. In a tuple all but the last are inputs, in a dict all but "
                "`targets`."
            ) from error


def targets_fit_the_loss(subject: Subject) -> None:
    """Outputs, targets and loss belong together: a wrong pair may run, and learn nothing."""
    learner = subject.make()
    batch = subject.batch(learner)
    with preserved():
        loss = loss_of(learner, batch)
        args, kwargs, targets = loop.call_of(batch)
        check_pair(learner.loss_fn, learner.model(*args, **kwargs), targets)
    expect(
        isinstance(loss, torch.Tensor) and loss.numel() == 1 and loss.is_floating_point(),
        f"The loss of the first batch is {getattr(loss, 'shape', type(loss).__name__)}, expected one "
        "number. Take the mean over the items.",
    )
    expect(
        math.isfinite(float(loss.detach())),
        f"The loss of the first batch is {float(loss.detach()):g}. Look at its inputs, and at the "
        "logarithms and divisions of the loss.",
    )
    expect(
        loss.requires_grad,
        "The loss of the first batch has no gradient. Leave out `.detach()`, `.item()`, `argmax` and "
        "`no_grad` on the way from the parameters to it.",
    )


def a_loader_knows_its_length(subject: Subject) -> None:
    """`len(loader)` is the number of its batches: rates and the end of a fit are planned by it."""
    learner = subject.whole()
    for name, loader in _loaders(learner):
        told = loop.length(loader)
        if told is None:
            skip(f"The {name} loader has no length.")
        if told > MOST:
            skip(f"The {name} loader has {told} batches: too many to count in a check.")
        with preserved():
            batches = itertools.islice(loop.epoch_of(loader, learner.seed, 0), told + 1)
            found = sum(1 for _ in batches)
        expect(
            found == told,
            f"The {name} loader says that it has {told} batches and gave "
            f"{found if found < told else 'more'}. Let `__len__` count batches, not items.",
        )


# --- how it is done ---------------------------------------------------------------------------------


def _loaders(learner: Learner) -> list[tuple[str, Iterable[Any]]]:
    found = [("training", learner.loaders.train)]
    if learner.loaders.valid is not None:
        found.append(("validation", learner.loaders.valid))
    return found


def _first_difference(first: list[Any], second: list[Any]) -> int | None:
    for number, (one, other) in enumerate(itertools.zip_longest(first, second)):
        if not equal(one, other):
            return number
    return None


def _item_ids(loader: Any, learner: Learner) -> list[str] | None:
    """The items of epoch 0 where they are known without reading them all; None where not."""
    if hasattr(loader, "item_ids"):
        number = loop.length(loader) or 0
        found = [loader.item_ids(0, n) for n in range(number)]
        batch = next(iter(loader))
        expect(
            not isinstance(loader, BatchLoader) or size_of(batch) == len(found[0]),
            f"The first batch holds {size_of(batch)} items, and `item_ids` names {len(found[0])}.",
        )
        return [one for ids in found for one in ids]
    sampler = getattr(loader, "batch_sampler", None)
    if sampler is None:
        return None
    with preserved():
        set_all_generators(learner.seed, "loader", 0)
        return [str(index) for indices in sampler for index in indices]


def _number_of_items(loader: Any) -> int:
    return len(loader.data if hasattr(loader, "data") else loader.dataset)


def _drops_last(loader: Any) -> bool:
    return bool(getattr(loader, "drop_last", False))


def _expect_same_items(
    subject: Subject, learner: Learner, name: str, loader: Iterable[Any]
) -> None:
    """For a loader that does not name its items: two epochs hold the same ones, or the same targets."""
    count = loop.length(loader)
    if count is None or count > MOST:
        skip(
            f"The {name} loader does not name its items, and "
            + ("has no length." if count is None else f"its {count} batches are too many to read.")
        )
    epochs = [subject.batches_of(loader, learner, epoch=e) for e in range(2)]
    items = [_contents(batches) for batches in epochs]
    targets = [_contents([loop.call_of(b)[2] for b in batches]) for batches in epochs]
    expect(
        items[0] == items[1] or targets[0] == targets[1],
        f"Epochs 0 and 1 of the {name} loader do not hold the same items: "
        f"{sum((targets[0] - targets[1]).values())} targets of the first are not in the second. "
        "Draw each item once an epoch, without replacement.",
    )


def _contents(batches: list[Any]) -> Counter[bytes]:
    """The rows of all tensors, each counted."""
    found: Counter[bytes] = Counter()
    for batch in batches:
        tensors = [tensor for _, tensor in tensors_in(batch) if tensor.ndim]
        for row in zip(*tensors, strict=False):
            found[b"".join(_bytes(part) for part in row)] += 1
    return found


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


CHECKS = (
    loaders_can_be_iterated_again,
    a_loader_knows_its_length,
    an_epoch_repeats_its_batches,
    an_epoch_can_begin_in_the_middle,
    a_shuffled_loader_changes_its_order,
    an_epoch_holds_each_item_once,
    validation_keeps_its_order,
    batches_have_one_structure,
    batches_hold_finite_numbers,
    batches_fit_the_forward,
    targets_fit_the_loss,
)
