"""The validation of a run as a function of its script: loss and metrics over all items."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from drivetrain.eject.choices import loss_text
from drivetrain.eject.fold import literal
from drivetrain.eject.inline import PAIR, Form
from drivetrain.eject.lift import Import, Lifter
from drivetrain.eject.parts import Written
from drivetrain.eject.text import loss_call
from drivetrain.eject.tree import unparse
from drivetrain.errors import EjectError
from drivetrain.losses import LOSSES
from drivetrain.metrics import METRICS
from drivetrain.metrics.classification import Accuracy, ErrorRate
from drivetrain.optim.schedules import SCHEDULES
from drivetrain.optim.steppers import STEPPERS

EVALUATE = '''
def evaluate(model: nn.Module{parameter}) -> dict[str, float]:
    """Mean loss and metrics over the validation items."""
    model.eval()
    {before}
    with torch.inference_mode():
        for {head} in {batches}:{unpack}
            preds = model({inputs})
            losses.append({loss})
            counts.append({count})
            {each}
    return {answer}
'''


METRIC_LIKE = frozenset(LOSSES) | frozenset(STEPPERS) | frozenset(SCHEDULES)
"""Functions of the library that are called as some metrics are."""

_TAKEN = frozenset("model losses counts preds targets inputs valid epoch num_right batch".split())


@dataclass
class Validation:
    """What the script has of it."""

    written: list[Written]
    row: str
    """The row's part, with `{}` in the place of the call."""
    result: str
    """The run's metrics, likewise."""


def validation(
    learner: Any,
    lifter: Lifter,
    batches: str,
    *,
    source: str = "valid",
    kind: str = "Iterable",
    epoch: str = "",
    form: Form = PAIR,
) -> Validation:
    """The function `evaluate`, and how its answer is used.

    Args:
        learner: whose loss and metrics they are.
        batches: an expression of the validation batches.
        source: what those come from, a parameter of `evaluate`.
        kind: the type of the source.
        epoch: the name of a further parameter.
        form: of the batches.
    """
    call = loss_call(loss_text(learner.loss_fn, lifter).text or "", "preds", "targets")
    before, each, answers = (
        ["losses, counts = [], []"],
        [],
        ['"valid_loss": weighted_mean(losses, counts)'],
    )
    uses: dict[str, Any] = {"weighted_mean": "drivetrain.train.batches:weighted_mean"}
    plain = [
        m for m in learner.metrics if type(m) in (Accuracy, ErrorRate) and m.ignore_index is None
    ]
    if plain:
        before.append("num_right = 0")
        each.append(
            "num_right += int((preds.argmax(dim=1) == targets).sum())"
            if _are_classes(learner)
            else "num_right += int(((preds > 0) == (targets > 0.5)).sum())"
        )
    for metric in learner.metrics:
        if metric in plain:
            share = "num_right" if type(metric) is Accuracy else "(sum(counts) - num_right)"
            answers.append(f"{metric.name!r}: {share} / sum(counts)")
            continue
        made = _lifted(metric, lifter, uses)
        called = re.sub(r"\W", "_", metric.name)
        called = f"{called}_metric" if called in _TAKEN or called in METRIC_LIKE else called
        before.append(f"{called} = {made}")
        each.append(f"{called}.update(preds, targets)")
        answers.append(f"{metric.name!r}: float({called}.compute())")
    if form is not PAIR:
        uses["num_items"] = "drivetrain.train.batches:num_items"
    unpack = "".join(f"\n            {line}" for line in form.unpack.splitlines())
    written = Written(
        EVALUATE.format(
            parameter=f", {source}: {kind}" + (f", {epoch}: int" if epoch else ""),
            before="\n    ".join(before),
            batches=batches,
            head=form.head,
            unpack=unpack,
            inputs=form.call,
            count=form.count,
            loss=call,
            each="\n            ".join(each) or "pass",
            answer="{" + ", ".join(answers) + "}",
        ).replace("            pass\n", ""),
        "train",
        uses,
    )
    if kind == "Iterable":
        lifter.add_import(Import("collections.abc", "Iterable"))
    lifter.add_import(Import("torch", "nn"))
    lifter.add_import(Import("torch"))
    return Validation([written], "{}", '{{"loss": row.pop("valid_loss"), **row}}')


def _are_classes(learner: Any) -> bool:
    import torch

    from drivetrain.train.batches import call_of, to_device

    batch = to_device(next(iter(learner.loaders.valid)), learner.device)
    args, kwargs, _ = call_of(batch)
    learner.model.eval()
    with torch.inference_mode():
        preds = learner.model(*args, **kwargs)
    return preds.ndim > 1 and preds.shape[1] > 1


def _lifted(metric: Any, lifter: Lifter, uses: dict[str, Any]) -> str:
    """What makes a metric in the script."""
    kind = type(metric)
    if kind not in METRICS.values() and not hasattr(kind, "options"):
        if inspect.signature(kind).parameters:
            raise EjectError(
                f"The metric `{kind.__name__}` is an object whose arguments a script cannot tell. "
                "Give one of `metrics.METRICS`, or a class that is made without arguments."
            )
        uses[kind.__name__] = kind
        return f"{kind.__name__}()"
    options = []
    for key, value in metric.options().items():
        written = literal(value)
        if written is None:
            raise EjectError(
                f"The metric `{metric.name}` has the option {key}={value!r}, which a script cannot write."
            )
        options.append(f"{key}={unparse(written)}")
    uses[kind.__name__] = kind
    return f"{kind.__name__}({', '.join(options)})"
