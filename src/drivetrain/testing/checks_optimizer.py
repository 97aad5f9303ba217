"""Checks of the optimizer: what it holds, that it learns, and that no step leaves anything behind."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import torch
from torch.optim import Optimizer

from drivetrain.data.loaders import Loaders
from drivetrain.optim.groups import param_groups
from drivetrain.testing.subject import (
    Subject,
    at,
    differing,
    each,
    expect,
    gradients_of,
    listed,
    skip,
    weights_of,
)
from drivetrain.train.callback import CancelFit
from drivetrain.train.learner import Learner

STEPS = 40
"""Steps on one batch within which the loss must have fallen."""
TINY = 1e-4
"""Gradients below this share of the largest one may be rounding, and move nothing."""
FACTORS = (1.0, 0.1, 10.0, 100.0)
"""Times the Learner's rate: what is tried, since the rate is chosen for more than a few steps."""


def every_parameter_is_in_the_optimizer_once(subject: Subject) -> None:
    """Each parameter that trains is in the optimizer once: left out it stays, twice it overshoots."""
    learner = subject.make()
    optimizer = _optimizer(learner)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    named = {id(p): n for n, p in learner.model.named_parameters() if p.requires_grad}
    missing = [name for key, name in named.items() if key not in held]
    expect(
        not missing,
        f"The optimizer does not hold {listed(missing)}, so nothing trains it. Give it "
        "`model.parameters()` of this model, and all groups that its factory is called with.",
    )
    twice = [named[key] for key in named if held.count(key) > 1]
    expect(not twice, f"The optimizer holds {listed(twice)} more than once. Give each once.")


def norms_and_biases_have_no_decay(subject: Subject) -> None:
    """Weight decay is for weights: on norms and biases it only makes the fit worse."""
    learner = subject.make()
    if isinstance(learner.optimizer, Optimizer):
        skip("An optimizer instance has the groups and the decay that it was made with.")
    learner.weight_decay = 0.1
    names = {id(p): name for name, p in learner.model.named_parameters()}
    groups = learner.layer_groups
    kept = {
        id(p)
        for group in param_groups(groups, lrs=[1.0] * len(groups), weight_decay=1.0)
        if not group["weight_decay"]
        for p in group["params"]
    }
    decayed = [
        names[id(p)]
        for group in _optimizer(learner).param_groups
        if group.get("weight_decay", 0.0)
        for p in group["params"]
        if id(p) in kept and id(p) in names
    ]
    expect(
        not decayed,
        f"The optimizer decays {listed(decayed)}. Let the factory keep the groups it is called "
        "with: each brings its own `weight_decay`.",
    )


def training_lowers_the_loss(subject: Subject) -> None:
    """On one batch, again and again, the loss falls; if it does not, nothing can be learnt at all."""
    tried = []
    for factor in FACTORS:
        learner = subject.make()
        learner.callbacks = []  # those that mix, smooth or drop would make the loss another one
        learner.loaders = Loaders([subject.batch(learner)])
        lr = None
        if factor != 1.0:
            lr = factor * max(group["lr"] for group in _optimizer(learner).param_groups)
        try:
            learner.fit(STEPS, lr)
        except ArithmeticError as error:  # too high a rate
            tried.append(str(error).split(". ")[0])
            continue
        losses = [row["train_loss"] for row in learner.history]
        first, last = losses[0], sum(losses[-3:]) / 3
        if math.isfinite(last) and last < first:
            return
        tried.append(f"{first:.4g} to {last:.4g} at {factor:g} times the rate")
    raise AssertionError(
        f"The loss of one batch did not fall in {STEPS} steps: {'; '.join(tried)}. Look whether inputs "
        "and targets are a pair, whether the loss is lower for better outputs, and which way "
        "the optimizer steps."
    )


def training_moves_the_weights(subject: Subject) -> None:
    """A parameter with a gradient has moved after an epoch: the optimizer steps on this very model."""
    learner = subject.make()
    gradients = gradients_of(subject.make(), subject.batch(subject.make()))
    sizes = {n: float(g.abs().max()) for n, g in gradients.items() if g is not None and g.numel()}
    before = weights_of(learner)
    learner.fit(1)
    moved = set(differing(before, weights_of(learner)))
    still = [
        name
        for name, size in sizes.items()  # a bias before a batchnorm has one, of rounding alone
        if size > TINY * max(sizes.values()) and name in before and name not in moved
    ]
    expect(
        not still,
        f"{listed(still)} did not move in an epoch, though it has a gradient. Make the optimizer from "
        "the parameters of this model, with a rate above 0.",
    )


def no_gradient_is_left(subject: Subject) -> None:
    """After a fit no gradient stands in the parameters: it would be added to the next fit's first."""
    learner = subject.make()
    subject.train(learner)
    left = [
        n for n, p in learner.model.named_parameters() if p.grad is not None and bool(p.grad.any())
    ]
    expect(
        not left,
        f"Gradients are left in {listed(left)} after a fit. Let `optimizer.zero_grad` clear them, and do "
        "not call `backward` in `after_step` or later.",
    )


def no_graph_outlives_its_step(subject: Subject) -> None:
    """Nothing keeps a step's loss and outputs alive: memory would grow with every step."""
    learner = subject.make()
    seen: list[tuple[weakref.ref[Any], weakref.ref[Any]]] = []
    alive: list[bool] = []

    def note(state: Any) -> None:
        if isinstance(state.preds, torch.Tensor):
            seen.append((weakref.ref(state.preds), weakref.ref(state.loss)))

    def look(state: Any) -> None:
        if len(seen) > 1:
            if any(_has_graph(ref()) for ref in seen[-2]):
                gc.collect()  # it costs a tenth of a second
            alive.append(any(_has_graph(ref()) for ref in seen[-2]))

    learner.fit(1, callbacks=[each("after_loss", note, order=-1000), each("after_batch", look)])
    if not alive:
        skip("An epoch has one batch, or the outputs are no tensor.")
    expect(
        not any(alive),
        "The loss or the outputs of a step, with their graph, are still held a step later. Keep "
        "`loss.detach()` or `float(loss)` in lists, and no output in an attribute of the model.",
    )


def what_the_optimizer_remembers_can_be_kept(subject: Subject) -> None:
    """The optimizer's memory is numbers and tensors of parameters: that is what a checkpoint holds."""
    learner = subject.make()
    found: list[str] = []

    def look(state: Any) -> None:
        parameters = {id(p) for p in learner.model.parameters()}
        for parameter, memory in state.optimizer.state.items():
            if id(parameter) not in parameters:
                found.append(f"something for {type(parameter).__name__}, no parameter of the model")
                continue
            found.extend(
                f"`{key}` of type {type(value).__name__}"
                for key, value in memory.items()
                if not isinstance(value, torch.Tensor | int | float)
            )

    learner.fit(1, callbacks=[each("after_epoch", look)])
    expect(
        not found,
        f"The optimizer remembers {found[0] if found else ''}, which no checkpoint can hold. Keep "
        "tensors and numbers in `optimizer.state[parameter]`.",
    )


def rates_are_printed_for_each_layer_group(subject: Subject) -> None:
    """`learner.rates()` has a line for each layer group, so that everybody sees what trains how fast."""
    learner = subject.make()
    groups = learner.layer_groups
    if isinstance(learner.optimizer, Optimizer) and len(learner.optimizer.param_groups) != len(
        groups
    ):
        skip("The optimizer instance has other groups than the model's layer groups.")
    table = learner.rates().splitlines()
    expect(
        len(table) == len(groups) + 1,
        f"`rates()` printed {len(table)} lines for {len(groups)} layer groups and a heading.",
    )
    told = [line.split()[0] for line in table[1:]]
    expect(
        told == [str(index) for index in range(len(groups))],
        f"`rates()` numbers the layer groups {', '.join(told)}. Let the layers' names be one line each.",
    )


# --- how it is done ---------------------------------------------------------------------------------


def _optimizer(learner: Learner) -> Optimizer:
    """The optimizer of a fit, as it is before the first step."""
    found: list[Optimizer] = []

    def take(state: Any) -> None:
        found.append(state.optimizer)
        raise CancelFit

    learner.fit(1, callbacks=[at("before_fit", 1, take)])
    return found[0]


def _has_graph(value: Any) -> bool:
    return value is not None and getattr(value, "grad_fn", None) is not None


CHECKS = (
    every_parameter_is_in_the_optimizer_once,
    norms_and_biases_have_no_decay,
    training_lowers_the_loss,
    training_moves_the_weights,
    no_gradient_is_left,
    no_graph_outlives_its_step,
    what_the_optimizer_remembers_can_be_kept,
    rates_are_printed_for_each_layer_group,
)
