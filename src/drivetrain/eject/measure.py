"""The validation of a run as a function of its script: loss and metrics over all items."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch

from drivetrain.data.loaders import BatchLoader
from drivetrain.eject.choices import loss_text
from drivetrain.eject.form import PAIR, Form
from drivetrain.eject.known import literal
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.text import loss_call
from drivetrain.eject.tree import unparse
from drivetrain.errors import EjectError
from drivetrain.losses import LOSSES
from drivetrain.losses.table import unwrapped
from drivetrain.losses.tokens import token_cross_entropy
from drivetrain.metrics import METRICS
from drivetrain.metrics.classification import Accuracy, ErrorRate
from drivetrain.metrics.foreign import ForeignMetric
from drivetrain.metrics.of_target import OfTarget
from drivetrain.metrics.regression import MAE, MSE, RMSE
from drivetrain.optim.schedules import SCHEDULES
from drivetrain.optim.steppers import STEPPERS
from drivetrain.train.batches import call_of, to_device

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

_TAKEN = frozenset(
    "model losses counts preds targets inputs valid epoch num_right batch squares distances".split()
)


@dataclass
class Validation:
    """What the script has of it."""

    written: list[Written]
    row: str
    """The row's part, with `{}` in the place of the call."""
    result: str
    """The run's metrics, likewise."""


def count_text(loss_fn: Any, form: Form) -> str:
    """An expression of what the mean that a loss gives is over, as `train.batches.num_terms` has it."""
    bare, options = unwrapped(loss_fn)
    if bare is not token_cross_entropy:
        return form.count
    return f"int((targets != {options.get('ignore_index', -100)}).sum())"


def validation(
    learner: Any,
    lifter: Lifter,
    batches: str,
    *,
    source: str = "valid",
    kind: str = "Iterable",
    epoch: str = "",
    form: Form = PAIR,
    counts_items: bool = True,
) -> Validation:
    """The function `evaluate`, and how its answer is used.

    Args:
        learner: whose loss and metrics they are.
        batches: an expression of the validation batches.
        source: what those come from, a parameter of `evaluate`.
        kind: the type of the source.
        epoch: the name of a further parameter.
        form: of the batches.
        counts_items: whether a batch has as many targets as items, and not several an item.
    """
    call = loss_call(loss_text(learner.loss_fn, lifter).text or "", "preds", "targets")
    before, each, answers = (
        ["losses, counts = [], []"],
        [],
        ['"valid_loss": weighted_mean(losses, counts)'],
    )
    uses: dict[str, Any] = {"weighted_mean": "drivetrain.train.batches:weighted_mean"}
    counts_items = counts_items and count_text(learner.loss_fn, form) == form.count
    plain = [
        m
        for m in learner.metrics
        if counts_items and type(m) in (Accuracy, ErrorRate) and m.ignore_index is None
    ]
    if plain:
        before.append("num_right = 0")
        each.append(
            "num_right += int((preds.argmax(dim=1) == targets).sum())"
            if _are_classes(learner)
            else "num_right += int(((preds > 0) == (targets > 0.5)).sum())"
        )
    means = _Means(learner)
    for metric in learner.metrics:
        if isinstance(metric, OfTarget):
            first, step, answer = _of_target(metric, lifter, uses)
            before += [first] if first not in before else []
            each += [step] if step not in each else []
            answers.append(f"{metric.name!r}: {answer}")
            continue
        if means.takes(metric):
            first, step, answer = means.texts(metric)
            before += [first] if first not in before else []
            each += [step] if step not in each else []
            answers.append(f"{metric.name!r}: {answer}")
            continue
        if metric in plain:
            share = "num_right" if type(metric) is Accuracy else "(sum(counts) - num_right)"
            answers.append(f"{metric.name!r}: {share} / sum(counts)")
            continue
        made = _lifted(metric, lifter, uses)
        called = re.sub(r"\W", "_", metric.name)
        called = f"{called}_metric" if called in _TAKEN or called in METRIC_LIKE else called
        before.append(f"{called} = {made}")
        if type(metric) not in METRICS.values() and not hasattr(type(metric), "options"):
            before.append(f"{called}.reset()")  # a person's own may begin to count there alone
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
            count=count_text(learner.loss_fn, form),
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


def _of_target(metric: OfTarget, lifter: Lifter, uses: dict[str, Any]) -> tuple[str, str, str]:
    """What stands before the loop, in it, and as the answer, for a metric of one of several targets."""
    scores = f"preds[:, {metric.start}:{metric.stop}]"
    codes = f"targets[:, {metric.place}]"
    inner: Any = metric.metric
    if type(inner) in (Accuracy, ErrorRate) and inner.ignore_index is None:
        right = f"num_right_{metric.place}"
        step = f"{right} += int(({scores}.argmax(dim=1) == {codes}).sum())"
        share = right if type(inner) is Accuracy else f"(sum(counts) - {right})"
        return f"{right} = 0", step, f"{share} / sum(counts)"
    called = f"metric_{metric.place}_" + re.sub(r"\W", "_", inner.name)
    made = _lifted(inner, lifter, uses)
    return f"{called} = {made}", f"{called}.update({scores}, {codes})", f"float({called}.compute())"


PARTS, ITEMS = 64, 1 << 16
"""Batches, and items, after which `metrics.base.Pending` lets no more wait."""


class _Means:
    """MSE, RMSE and MAE without their classes, where the sums are the same to the last bit.

    The classes add numbers up in pieces: of several numbers an item, batch by batch; of one, as many
    batches at once as `Pending` lets wait. So the loader has to tell how long its batches are.
    """

    def __init__(self, learner: Any) -> None:
        self.learner = learner
        loader = learner.loaders.valid
        is_ours = type(loader) is BatchLoader and loader.transform is None
        self.batch_size = loader.batch_size if is_ours and not loader.shuffle else 0
        self._shape: tuple[int, ...] | None = None

    def takes(self, metric: Any) -> bool:
        """Whether a metric may be written so."""
        if type(metric) not in _COSTS or metric.ignore_index is not None or not self.batch_size:
            return False
        if self._shape is None:
            self._shape = tuple(_first_preds(self.learner).shape)
        return len(self._shape) in (1, 2)

    def texts(self, metric: Any) -> tuple[str, str, str]:
        """What stands before the loop, in it, and as the answer."""
        name, cost = _COSTS[type(metric)]
        made = cost.format("(preds.double() - targets.double())")
        assert self._shape is not None, "asked by `takes`"
        if len(self._shape) == 2:
            first, step = f"{name} = 0.0", f"{name} = {name} + {made}.sum(dim=1).sum()"
            mean = f"float({name}) / (sum(counts) * {self._shape[1]})"
        else:
            first, step = f"{name} = []", f"{name}.append({made})"
            waits = min(PARTS, -(-ITEMS // self.batch_size)) * self.batch_size
            total = f"torch.cat({name}).sum()"
            if len(self.learner.loaders.valid.data) > waits:
                # in pieces, as the metric of the run added them up
                total = f"sum(part.sum() for part in torch.cat({name}).split({waits}))"
            mean = f"float({total}) / sum(counts)"
        return first, step, f"({mean}) ** 0.5" if type(metric) is RMSE else mean


_COSTS: dict[type, tuple[str, str]] = {
    MSE: ("squares", "{}.square()"),
    RMSE: ("squares", "{}.square()"),
    MAE: ("distances", "{}.abs()"),
}


def _are_classes(learner: Any) -> bool:
    preds = _first_preds(learner)
    return preds.ndim > 1 and preds.shape[1] > 1


def _first_preds(learner: Any) -> Any:
    """The outputs of the first validation batch."""
    batch = to_device(next(iter(learner.loaders.valid)), learner.device)
    args, kwargs, _ = call_of(batch)
    learner.model.eval()
    with torch.inference_mode():
        return learner.model(*args, **kwargs)


def _lifted(metric: Any, lifter: Lifter, uses: dict[str, Any]) -> str:
    """What makes a metric in the script."""
    kind = type(metric)
    if kind not in METRICS.values() and not hasattr(kind, "options"):
        if isinstance(metric, ForeignMetric):
            raise EjectError(
                f"The metric `{type(metric.wrapped).__name__}` has no `name` of its own, so that a "
                "script cannot hold it. Give one of `metrics.METRICS`, or a class of yours that has "
                "`name`, a word, and `higher_is_better`, True or False."
            )
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
