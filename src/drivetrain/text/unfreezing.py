"""Gradual unfreezing: a pretrained encoder's classifier is trained from the head down.

Paper: Howard & Ruder 2018 (ULMFiT), arXiv:1801.06146, sec. 3.3. A cut training goes on where the journal
ends: `stages_done` tells how many of its stages were planned already.
"""

from __future__ import annotations

from drivetrain.train.learner import Learner

STEP = 2.6
"""Each layer group's rate is that of the one above it divided by this, as in the paper."""


def unfreezing_steps(groups: int, epochs: int, lr: float) -> list[tuple[int, int, list[float]]]:
    """The steps of gradual unfreezing: (groups that are frozen, epochs, a rate for each group).

    The head alone for an epoch, one group more for an epoch at half the rate, then all for `epochs` at
    a third of it. In each, a group's rate is that of the group above divided by 2.6.

    >>> [(frozen, epochs) for frozen, epochs, _ in unfreezing_steps(4, 3, 1e-2)]
    [(3, 1), (2, 1), (0, 3)]
    """
    stages = [(groups - 1, 1, lr), (groups - 2, 1, lr / 2), (0, epochs, lr / 3)]
    return [
        (frozen, count, [rate / STEP ** (groups - 1 - group) for group in range(groups)])
        for frozen, count, rate in stages
        if frozen > 0 or count == epochs
    ]


def gradual_unfreeze(learner: Learner, epochs: int, lr: float = 1e-2, *, done: int = 0) -> None:
    """Train a pretrained encoder's classifier from the head down, so that it forgets little.

    Paper: Howard & Ruder 2018, sec. 3.3.

    Args:
        learner: of a model with layer groups.
        epochs: of the last step, in which all layers train.
        lr: peak rate of the head in the first step.
        done: stages that the journal has of it already, where a training that was cut goes on.
    """
    steps = unfreezing_steps(len(learner.layer_groups), epochs, lr)
    for number, (frozen, count, lrs) in enumerate(steps):
        if 2 * number + 1 < done:
            continue
        if 2 * number >= done:
            learner.freeze(frozen)
        learner.fit_one_cycle(count, lrs)


def stages_done(learner: Learner, epochs: int, lr: float) -> int | None:
    """Stages of gradual unfreezing that the journal consists of; None where it has others."""
    planned = []
    for frozen, count, lrs in unfreezing_steps(len(learner.layer_groups), epochs, lr):
        planned += [("freeze", frozen, 0, []), ("fit", 0, count, lrs)]
    found = [(s.kind, s.frozen_groups, s.epochs, s.lrs) for s in learner.journal]
    return len(found) if found == planned[: len(found)] else None
