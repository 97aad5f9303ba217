"""A metric worked out: the numbers that are put in, counts and sums, and the result.

    dt.show.metric(learner, "error_rate")      # over the validation items
    dt.show.metric_of("f1", preds, targets)    # of numbers of one's own

Where a metric asks which class has the highest score, the calculation starts at the decided classes: the
index of a highest number is no arithmetic. It is checked against what the metric itself says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from drivetrain import metrics
from drivetrain.errors import ConfigError, InputError
from drivetrain.metrics.base import BaseMetric
from drivetrain.metrics.of_target import OfTarget
from drivetrain.randomness import preserved
from drivetrain.show.calculation import Calculation
from drivetrain.show.measures import decided, numbers, scored
from drivetrain.show.measures.case import Case, Write
from drivetrain.show.record import unchanged
from drivetrain.show.working import Working
from drivetrain.train.batches import bare, call_of, to_device
from drivetrain.train.learner import Learner
from drivetrain.train.loop import epoch_of

MOST = 1 << 22
"""Numbers of the outputs from which on no further batch is taken."""
WRITTEN: Mapping[str, Write] = MappingProxyType(
    dict(sorted((decided.WRITTEN | scored.WRITTEN | numbers.WRITTEN).items()))
)
"""Name of a metric -> what writes its lines."""


def metric(learner: Learner, name: str | None = None) -> Calculation:
    """A metric over all validation items worked out.

    Where their outputs are very many, as of a language model, the first batches; the title says so.

    Args:
        learner: whose model and validation items are used; nothing of it changes.
        name: of one of its metrics, or of any of `metrics.METRICS`; by default its first.

    Raises: ConfigError: it has no metrics and none is named, or there are no validation items.
        UnknownNameError: no such metric. ShapeError: the metric is for other outputs.
    """
    own = {one.name: one for one in learner.metrics}
    if name is None:
        if not own:
            raise ConfigError(
                "The Learner has no metrics. Name one, such as `metric(learner, 'accuracy')`."
            )
        name = next(iter(own))
    found = own.get(name)
    made = metrics.metric(metrics.record_of(found)) if isinstance(found, BaseMetric) else name
    preds, targets, said = _outputs(learner)
    if isinstance(found, OfTarget):
        made = metrics.metric(metrics.record_of(found.metric))
        preds, targets = found.own(preds, targets)
        said = f" of {found.target}{said}"
    classes = learner.application.classes if learner.application is not None else ()
    found = metric_of(made, preds, targets, classes=classes)
    return dataclasses.replace(found, title=found.title + said)


def _outputs(learner: Learner) -> tuple[Tensor, Tensor, str]:
    """Outputs and targets of the validation batches, and what is left out of them, in words.

    Batches of sequences that differ in length are put together target by target.
    """
    loader = learner.loaders.valid
    if loader is None:
        raise ConfigError("There are no validation items to measure on.")
    found: list[tuple[Tensor, Tensor]] = []
    said = ""
    # One evaluation over all batches: a language model carries its state from one to the next.
    with unchanged(learner.model), torch.no_grad(), preserved():
        for batch in epoch_of(loader, learner.seed, 0):
            if sum(preds.numel() for preds, _ in found) > MOST:
                said = f": the first {len(found)} batches"
                break
            args, kwargs, targets = call_of(to_device(batch, learner.device))
            found.append((bare(learner.model(*args, **kwargs)).cpu(), targets.cpu()))
    if len({preds.shape[1:] for preds, _ in found}) > 1:
        found = [(p.movedim(1, -1).flatten(0, -2), t.flatten()) for p, t in found]
    return torch.cat([p for p, _ in found]), torch.cat([t for _, t in found]), said


def metric_of(
    name: str | metrics.Metric, preds: Tensor, targets: Tensor, *, classes: Sequence[str] = ()
) -> Calculation:
    """A metric of outputs and targets worked out.

    Args:
        name: of one of `metrics.METRICS`, or such a metric with its options.
        preds: (B, …) what the model gave, as the metric takes it.
        targets: (B, …) what is true.
        classes: what the classes are called.

    Raises: ConfigError: the metric is somebody's own. Also what the metric says of outputs that it
        cannot read.
    """
    found = metrics.metric(name)
    kind = type(found).name if isinstance(found, BaseMetric) else ""
    if not isinstance(found, BaseMetric) or kind not in WRITTEN:
        raise ConfigError(
            f"The metric `{found.name}` is not one whose formula is written here. Written: "
            f"{', '.join(WRITTEN)}."
        )
    found.reset()
    found.update(preds, targets)
    own = found.compute()
    if np.isnan(own):
        raise InputError(
            f"`{found.name}` is not defined on these {len(targets):,} items: it gives NaN, so there is "
            "nothing to work out."
        )
    case = Case(Working(), found, preds.detach(), targets.detach(), list(classes))
    formula = WRITTEN[kind](case)
    title = f"{found.name} over {len(targets):,} items"
    source = f"{type(found).__name__}, drivetrain.metrics"
    return case.work.done(title, formula, own, source=source, tolerance=1e-9, parts=case.parts)
