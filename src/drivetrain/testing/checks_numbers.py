"""Checks of loss, metrics and history: numbers that are of items, whatever the batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from drivetrain import store
from drivetrain.losses import per_item
from drivetrain.metrics import record_of
from drivetrain.randomness import preserved
from drivetrain.testing.subject import (
    EPOCHS,
    Subject,
    each,
    expect,
    expect_same_training,
    listed,
    rows,
    rows_of,
    size_of,
    skip,
)
from drivetrain.train import loop
from drivetrain.train.learner import Learner

REL, ABS = 1e-4, 1e-6
"""Within which two ways to the same number agree: sums in float32 are added in another order."""


def the_loss_is_a_mean_over_items(subject: Subject) -> None:
    """The loss of a data set does not depend on how it is cut into batches: so batch sizes compare."""
    learner = subject.make()
    batch = _batches(subject, learner)[0]
    if size_of(batch) < 2:
        skip("The batches have one item each.")
    whole = _evaluate(learner, [batch]).loss
    apart = _evaluate(learner, list(_parts(batch))).loss
    expect(
        _agree(whole, apart),
        f"The loss of a batch is {whole:.6g}, and {apart:.6g} when the batch is cut into parts. Let the "
        "loss be the mean over its items (`reduction='mean'`), and not their sum. Weights of classes "
        "that are divided by their sum over the batch do the same.",
    )


def the_loss_is_the_mean_of_item_losses(subject: Subject) -> None:
    """The losses of single items have the loss as their mean: lists of the worst are made of them."""
    learner = subject.make()
    batches = _batches(subject, learner)
    with preserved():
        found = learner.predictions(batches)
    loss = _evaluate(learner, batches).loss
    mean = float(found.losses.double().mean())
    expect(
        len(found) == sum(map(size_of, batches)),
        f"There are {len(found)} predictions for {sum(map(size_of, batches))} items.",
    )
    expect(
        _agree(loss, mean),
        f"The validation loss is {loss:.6g}, and the mean of the items' losses {mean:.6g}. Let "
        "`reduction='none'` give the same numbers before their mean.",
    )


def the_valid_loss_is_that_of_the_predictions(subject: Subject) -> None:
    """`evaluate`, `predictions` and the history tell the same loss of the same weights."""
    learner = subject.make()
    if learner.loaders.valid is None:
        skip("There is no validation loader.")
    last: list[float] = []
    learner.fit(1, callbacks=[each("after_validate", lambda s: last.append(s.evaluation.loss))])
    if not last:
        skip("A callback cancels the validation.")
    row = learner.history[-1].get("valid_loss")
    expect(
        row == last[-1],
        f"The history's `valid_loss` is {row}, and the validation gave {last[-1]}. Let no callback write "
        "over this column.",
    )
    with preserved():
        found = learner.predictions()
        outputs, targets = found.outputs, found.targets
        again = _evaluate(learner, learner.loaders.valid).loss
        direct = float(per_item(learner.loss_fn, outputs, targets).double().mean())
    expect(
        _agree(again, direct),
        f"`evaluate` gives a loss of {again:.6g}, and its outputs {direct:.6g}. Let the loss depend on "
        "outputs and targets alone.",
    )


def metrics_say_which_way_is_good(subject: Subject) -> None:
    """A metric has a name and says whether higher is better, else no epoch can be the best one."""
    learner = subject.make()
    metrics = _metrics(learner)
    for metric in metrics:
        expect(
            isinstance(metric.name, str) and bool(metric.name),
            f"The metric `{type(metric).__name__}` has no name. Set `name`, its column.",
        )
        expect(
            isinstance(getattr(metric, "higher_is_better", None), bool),
            f"The metric `{metric.name}` does not say which way is good. Set `higher_is_better`.",
        )
    names = [metric.name for metric in metrics]
    taken = {"epoch", "train_loss", "valid_loss", "seconds"}
    twice = [name for name in names if names.count(name) > 1 or name in taken]
    expect(
        not twice,
        f"Several columns of the history would be called {listed(sorted(set(twice)))}. Give one another "
        "name: `metric(..., name='…')`.",
    )


def metrics_are_recorded_as_json(subject: Subject) -> None:
    """A metric's record is plain JSON, so that a run can say what it was measured by."""
    for metric in _metrics(subject.make()):
        try:
            store.to_json(record_of(metric))
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"The record of the metric `{metric.name}` is no JSON: {error}. Let its options be "
                "numbers, words and lists."
            ) from error


def metrics_do_not_depend_on_the_batches(subject: Subject) -> None:
    """A metric over small batches is the one over all items: a smaller last batch weighs less."""
    learner = subject.make()
    preds, targets = _outputs(subject, learner)
    for metric in _metrics(learner):
        at_once = _value(metric, [(preds, targets)])
        places = _cuts(len(preds))
        parts = zip(preds.split(places), targets.split(places), strict=True)
        streamed = _value(metric, list(parts))
        expect(
            _agree(at_once, streamed),
            f"The metric `{metric.name}` is {at_once:.6g} over {len(preds)} items at once and "
            f"{streamed:.6g} in batches of {places}. Add up sums and counts in `update`, and divide "
            "in `compute`.",
        )


def metrics_begin_anew(subject: Subject) -> None:
    """`reset` makes a metric forget, so that an epoch is measured by itself."""
    learner = subject.make()
    preds, targets = _outputs(subject, learner)
    half = max(1, len(preds) // 2)
    for metric in _metrics(learner):
        first = _value(metric, [(preds, targets)])
        _value(metric, [(preds[:half].neg(), targets[:half])])
        again = _value(metric, [(preds, targets)])
        expect(
            _agree(first, again),
            f"The metric `{metric.name}` is {first:.6g}, and {again:.6g} of the same items after other "
            "ones. Let `reset` clear all that `update` adds to.",
        )


def metrics_leave_what_they_are_given(subject: Subject) -> None:
    """A metric does not write into outputs or targets: the next metric gets the same ones."""
    learner = subject.make()
    preds, targets = _outputs(subject, learner)
    for metric in _metrics(learner):
        kept = preds.clone(), targets.clone()
        _value(metric, [(preds, targets)])
        expect(
            torch.equal(preds, kept[0]) and torch.equal(targets, kept[1]),
            f"The metric `{metric.name}` wrote into what it was given. Work on `preds.clone()`, and use "
            "no method that ends in `_`.",
        )


def metrics_of_predictions_are_those_of_evaluate(subject: Subject) -> None:
    """`evaluate` and the metric of all predictions tell the same number."""
    learner = subject.make()
    metrics = _metrics(learner)
    batches = _batches(subject, learner)
    preds, targets = _outputs(subject, learner)
    told = _evaluate(learner, batches).metrics
    for metric in metrics:
        own = _value(metric, [(preds, targets)])
        expect(
            _agree(told[metric.name], own),
            f"`evaluate` tells {told[metric.name]:.6g} for the metric `{metric.name}`, and it is "
            f"{own:.6g} for all predictions. Let it depend on outputs and targets alone.",
        )


def metrics_change_no_weight(subject: Subject) -> None:
    """Training without metrics gives the same weights: metrics are for people, losses to train by."""
    learner = subject.make()
    _metrics(learner)
    learner.metrics = []
    if any(getattr(callback, "monitor", None) is not None for callback in learner.callbacks):
        skip("A callback goes by what a metric says.")
    subject.train(learner)
    weights, _ = subject.straight()
    expect_same_training(
        learner,
        (weights, rows_of(learner)),
        "A metric changes what is trained. Let it neither write into model or outputs nor draw from "
        "global generators.",
    )


def the_history_keeps_its_columns(subject: Subject) -> None:
    """Each epoch's row has the same columns, filled with plain numbers: tables are made of it."""
    learner = subject.make()
    subject.train(learner)
    if len(learner.history) < EPOCHS:
        skip("A callback ended the fit after one epoch.")
    first = list(learner.history[0])
    for number, row in enumerate(learner.history):
        expect(
            list(row) == first,
            f"The row of epoch {number} has the columns {', '.join(row)}, the first one "
            f"{', '.join(first)}. Let callbacks write their columns in every epoch; NaN where there is "
            "nothing to say.",
        )
        wrong = [k for k, v in row.items() if not isinstance(v, int | float | str | None)]
        expect(
            not wrong,
            f"{listed(wrong)} in the row of epoch {number} is no plain number. Write `float(value)`.",
        )


# --- how it is done ---------------------------------------------------------------------------------


def _metrics(learner: Learner) -> list[Any]:
    if not learner.metrics:
        skip("There are no metrics.")
    return learner.metrics


def _batches(subject: Subject, learner: Learner) -> list[Any]:
    return subject.batches_of(subject.measured(learner), learner)


def _evaluate(learner: Learner, batches: Any) -> Any:
    with preserved():
        return learner.evaluate(batches)


def _outputs(subject: Subject, learner: Learner) -> tuple[Tensor, Tensor]:
    """Outputs and targets of the measured items, on the CPU."""
    with preserved():
        found = loop.evaluate(learner.model, _batches(subject, learner), learner.loss_fn, keep=True)
    if found.preds is None or found.targets is None:
        skip("There are no items to measure.")
    return found.preds, found.targets


def _value(metric: Any, parts: list[tuple[Tensor, Tensor]]) -> float:
    metric.reset()
    for preds, targets in parts:
        metric.update(preds, targets)
    return float(metric.compute())


def _cuts(count: int) -> list[int]:
    """Parts of unequal sizes, the last of one item."""
    first = (count - 1) * 2 // 3
    return [size for size in (first, count - 1 - first, 1) if size]


def _parts(batch: Any) -> Iterator[Any]:
    start = 0
    for size in _cuts(size_of(batch)):
        yield rows(batch, range(start, start + size))
        start += size


def _agree(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=REL, abs_tol=ABS)


CHECKS = (
    the_loss_is_a_mean_over_items,
    the_loss_is_the_mean_of_item_losses,
    the_valid_loss_is_that_of_the_predictions,
    metrics_say_which_way_is_good,
    metrics_are_recorded_as_json,
    metrics_do_not_depend_on_the_batches,
    metrics_begin_anew,
    metrics_leave_what_they_are_given,
    metrics_of_predictions_are_those_of_evaluate,
    metrics_change_no_weight,
    the_history_keeps_its_columns,
)
