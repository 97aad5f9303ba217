"""Checks that a training can be had again: seeds, generators, and looking that changes nothing."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved, set_all_generators
from drivetrain.testing.checks_model import predicted
from drivetrain.testing.subject import (
    Subject,
    differing,
    equal,
    expect,
    expect_same_training,
    listed,
    outputs_of,
    rows_of,
    skip,
    tensors_in,
    weights_of,
)
from drivetrain.train import loop
from drivetrain.train.learner import Learner


def fresh_learners_are_alike(subject: Subject) -> None:
    """Two fresh Learners have the same weights and settings, else nothing else can be compared."""
    one, other = subject.make(), subject.make()
    changed = differing(weights_of(one), weights_of(other))
    expect(
        not changed,
        f"Two Learners that were made alike differ in {listed(changed)}. Set the first weights from a "
        "seed, with `drivetrain.randomness.seeded` around the making of the model.",
    )
    for name in ("seed", "lr", "weight_decay", "num_threads", "device"):
        first, second = getattr(one, name), getattr(other, name)
        expect(
            first == second, f"Two Learners that were made alike have `{name}` {first}, {second}."
        )


def the_same_seed_gives_the_same_bits(subject: Subject) -> None:
    """Two Learners made alike train to the same weights and the same history, to the last bit."""
    learner = subject.make()
    subject.train(learner)
    expect_same_training(
        learner,
        subject.straight(),
        "So two trainings of equal Learners cannot be compared. Draw from torch's global generator, "
        "which the loop sets at each step, or derive it from seed and step; and no clock.",
    )


def another_seed_gives_other_bits(subject: Subject) -> None:
    """With another seed order and dropout are others, so that several seeds say how much is chance."""
    learner = subject.make()
    train = learner.loaders.train
    inner = getattr(train, "inner", train)
    shuffles = bool(getattr(inner, "shuffle", False)) or _samples(inner)
    drops = any(
        isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in learner.model.modules()
    )
    many = len(subject.batches_of(train, learner)) > 1
    if not (drops or (shuffles and many)):
        skip(
            "Nothing in it draws: no dropout, and no loader that says it shuffles several batches."
        )
    weights, _ = subject.straight()
    learner.seed += 1
    if isinstance(inner, BatchLoader):
        inner.seed += 1  # Learners that are made alike may share it
    try:
        subject.train(learner)
    finally:
        if isinstance(inner, BatchLoader):
            inner.seed -= 1
    expect(
        differing(weights_of(learner), weights),
        "Another seed gave the same weights to the last bit, though there is dropout or a shuffling "
        "loader. Let the order be a function of the loader's seed, and dropout draw from torch's "
        "generator.",
    )


def global_generators_do_not_matter(subject: Subject) -> None:
    """What was drawn before a fit changes nothing in it: a cell of a notebook may be run twice."""
    learner = subject.make()
    with preserved():
        set_all_generators(12345, "somebody else")
        subject.train(learner)
    other = subject.make()
    with preserved():
        set_all_generators(54321, "somebody else")
        subject.train(other)
    expect_same_training(
        other,
        (weights_of(learner), rows_of(learner)),
        "It depends on how the global generators stood before the fit: something draws outside of "
        "the steps, such as a callback in `before_fit` or `before_epoch`. Derive it: "
        "`with randomness.seeded(seed, purpose, epoch):`.",
    )


def training_leaves_the_global_generators(subject: Subject) -> None:
    """A fit leaves torch's, numpy's and Python's generators as they were: other code draws from them."""
    learner = subject.make()
    _expect_generators_stay("`fit`", lambda: subject.train(learner))


def looking_leaves_the_global_generators(subject: Subject) -> None:
    """`evaluate`, `predictions`, `predict` and `lr_find` leave the global generators as they were."""
    learner = subject.make()
    batch = subject.batch(learner)
    _expect_generators_stay("the model in evaluation mode", lambda: outputs_of(learner, batch))
    _expect_generators_stay("`lr_find`", lambda: _search(learner))
    if learner.loaders.valid is not None:
        _expect_generators_stay("`evaluate`", lambda: learner.evaluate())
        _expect_generators_stay("`predictions`", lambda: learner.predictions())
    args, kwargs, _ = loop.call_of(batch)
    if not kwargs:
        _expect_generators_stay("`predict`", lambda: learner.predict(args))


def lr_find_leaves_everything(subject: Subject) -> None:
    """After `lr_find` weights, statistics, gradients, modes and optimizer are as if it had not been."""
    learner = subject.make()
    before = _everything(learner)
    with preserved():
        _search(learner)
    changed = _changes(before, _everything(learner))
    expect(
        not changed,
        f"`lr_find` changed {listed(changed)}. It puts back parameters, buffers and extra state: keep "
        "what training changes in these.",
    )


def training_after_lr_find_is_the_same(subject: Subject) -> None:
    """A fit after `lr_find` gives the same bits as without: looking for a rate is no training."""
    learner = subject.make()
    _search(learner)
    subject.train(learner)
    expect_same_training(
        learner,
        subject.straight(),
        "`lr_find` left something behind. Keep what the model or the loss remembers in buffers, and "
        "what a loader remembers in the epoch that it is told.",
    )


def evaluating_changes_nothing(subject: Subject) -> None:
    """`evaluate` leaves weights, running statistics, gradients and what is frozen as they were."""
    learner = subject.make()
    before = _everything(learner, modes=False)
    with preserved():
        learner.evaluate(subject.measured(learner))
    changed = _changes(before, _everything(learner, modes=False))
    expect(
        not changed,
        f"`evaluate` changed {listed(changed)}. Change running statistics only `if self.training`.",
    )


def training_after_evaluating_is_the_same(subject: Subject) -> None:
    """A fit after `evaluate` and `predictions` gives the same bits as without."""
    learner = subject.make()
    with preserved():
        learner.evaluate(subject.measured(learner))
        learner.predictions(subject.measured(learner))
    subject.train(learner)
    expect_same_training(
        learner,
        subject.straight(),
        "Evaluating left something behind. Keep nothing of a batch in the model, the loss or a metric.",
    )


def predict_answers_as_the_model_does(subject: Subject) -> None:
    """`predict` gives the model's outputs for a batch, in evaluation mode, also right after training."""
    learner = subject.make()
    learner.fit(1)
    batch = subject.batch(learner)
    outputs = predicted(learner, batch)
    expect(
        equal(_plain(outputs), _plain(outputs_of(learner, batch))),
        "`predict` does not answer what the model gives in evaluation mode for the same inputs. Leave "
        "`predict` as it is, and let the model depend on its inputs alone.",
    )
    with_graph = [name for name, t in tensors_in(outputs, "outputs") if t.requires_grad]
    expect(not with_graph, f"What `predict` gives carries a graph: {listed(with_graph)}.")


def settings_of_the_process_stay(subject: Subject) -> None:
    """A fit leaves torch's threads, modes and default dtype, and signal handlers, as they were."""
    learner = subject.make()
    before = _settings()
    subject.train(learner)
    after = _settings()
    changed = [name for name in before if before[name] != after[name]]
    expect(
        not changed,
        f"A fit changed {', '.join(f'{n} ({before[n]} to {after[n]})' for n in changed)}. Put back in "
        "`after_fit` what a callback sets: it comes always.",
    )


# --- how it is done ---------------------------------------------------------------------------------


def _search(learner: Learner) -> None:
    """A short `lr_find`; it may find no rate in so few steps, which is no matter here."""
    with contextlib.suppress(ConfigError):
        learner.lr_find(start=1e-7, end=1.0, num_steps=5)


def _samples(loader: Any) -> bool:
    return isinstance(getattr(loader, "sampler", None), torch.utils.data.RandomSampler)


def _plain(value: Any) -> list[torch.Tensor]:
    return [tensor.clone() for _, tensor in tensors_in(value)]


def _expect_generators_stay(what: str, do: Callable[[], Any]) -> None:
    with preserved():
        before = _generators()
        do()
        after = _generators()
    changed = [name for name in before if before[name] != after[name]]
    expect(
        not changed,
        f"{what} changed the global generator of {' and '.join(changed)}. Draw from a generator of your "
        "own, or inside of `drivetrain.randomness.preserved`.",
    )


def _generators() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the legacy generator is what others draw from
    return {
        "torch": torch.default_generator.get_state().numpy().tobytes(),
        "numpy": (name, np.asarray(keys).tobytes(), *rest),
        "Python": random.getstate(),
    }


def _everything(learner: Learner, *, modes: bool = True) -> dict[str, Any]:
    """All that a Learner holds of its model, optimizer and past, by name."""
    model = learner.model
    found: dict[str, Any] = {
        name: t.detach().clone() for name, t in [*model.named_parameters(), *model.named_buffers()]
    }
    found |= {f"{n}.requires_grad": p.requires_grad for n, p in model.named_parameters()}
    found |= {
        f"{n}.grad": None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()
    }
    if modes:
        found |= {f"mode of {n or 'the model'}": m.training for n, m in model.named_modules()}
    if isinstance(learner.optimizer, torch.optim.Optimizer):
        state = learner.optimizer.state_dict()
        found |= {f"optimizer{name}": t.clone() for name, t in tensors_in(state["state"])}
        found["optimizer's groups"] = repr(state["param_groups"])
    found["history"], found["journal"] = len(learner.history), len(learner.journal)
    return found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    missing = object()
    return [
        name
        for name in dict.fromkeys([*before, *after])
        if not _same(before.get(name, missing), after.get(name, missing))
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return equal(one, other)
    return type(one) is type(other) and one == other


def _settings() -> dict[str, Any]:
    found: dict[str, Any] = {
        "torch's threads": torch.get_num_threads(),
        "the gradient mode": torch.is_grad_enabled(),
        "the default dtype": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
    }
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM"):
            found[f"the handler of {name}"] = signal.getsignal(getattr(signal, name))
    return found


CHECKS = (
    fresh_learners_are_alike,
    the_same_seed_gives_the_same_bits,
    another_seed_gives_other_bits,
    global_generators_do_not_matter,
    training_leaves_the_global_generators,
    looking_leaves_the_global_generators,
    lr_find_leaves_everything,
    training_after_lr_find_is_the_same,
    evaluating_changes_nothing,
    training_after_evaluating_is_the_same,
    predict_answers_as_the_model_does,
    settings_of_the_process_stay,
)
