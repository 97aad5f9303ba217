"""Ensembles: the weighted mean of what several models say of the same items.

    found = dt.interpret.ensemble({"small": learner.predictions(), "large": other.predictions()})
    print(found)                                     # members, their mean, the ensemble with its interval
    dt.interpret.ensemble(records, weights="fitted") # on validation, and measured crosswise

Of classes probabilities are averaged, of numbers predictions. By Jensen's inequality the mean's squared
error and cross-entropy are never above the weighted mean of its members', whatever they are; its share
of wrong answers mostly is not either, but may be.

Fitted weights have seen the items that they are measured on. So the figure that is shown is of weights
that were fitted crosswise: those of each fold of the validation items by the other folds. The weights
that are kept for new items are fitted on all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from drivetrain._registry import did_you_mean
from drivetrain.data.folds import k_folds
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import text
from drivetrain.interpret.mixing_weights import (
    crosswise,
    log_loss_weights,
    squared_error_weights,
)
from drivetrain.interpret.outcomes import classified, is_numeric
from drivetrain.train import paired
from drivetrain.train.paired import Difference, Errors
from drivetrain.train.predictions import Predictions

EQUAL, FITTED = "equal", "fitted"
FOLDS = 5
TINY = float(np.finfo(np.float64).tiny)
"""Stands for a probability of 0 where its logarithm is taken."""
LEAST_TO_FIT = 10
"""Items that weights are fitted on at least, two a fold."""

Weights = str | Sequence[float] | Mapping[str, float] | None


@dataclass(frozen=True)
class Score:
    """How good predictions of N items are."""

    error: float
    """Share of wrong classes; of numbers the root mean squared error."""
    interval: tuple[float, float] | None
    """95%, of the error; None for a single item."""
    loss: float
    """Mean cross-entropy in nats; of numbers the mean squared error."""
    squared_error: float
    """Of classes the mean over items of the summed squares of probability minus truth (Brier 1950)."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        interval = None if self.interval is None else list(self.interval)
        return {
            "error": self.error,
            "interval": interval,
            "loss": self.loss,
            "squared_error": self.squared_error,
        }


@dataclass(frozen=True)
class Ensemble:
    """Several models as one, measured on items that none was trained on. Printable."""

    weights: dict[str, float]
    """Of each member, for new items; they add up to 1."""
    how: str
    """`equal`, `fitted` or `given`."""
    folds: int
    """In which fitted weights were measured crosswise; 0 where nothing was fitted."""
    score: Score
    """Of the ensemble; of fitted weights crosswise."""
    members: dict[str, Score]
    mean: Score
    """The mean of the members' figures; it has no interval."""
    best: str
    """The member with the least error, then the least loss."""
    difference: Difference | None
    """The ensemble's error minus the best member's, item by item; None for a single item."""
    predictions: Predictions
    """The record behind `score`, in the order of the first member; of classes log probabilities."""
    is_number: bool
    """Whether numbers are predicted, and not classes."""

    @property
    def error_name(self) -> str:
        """What `error` is."""
        return "rmse" if self.is_number else "error rate"

    @property
    def loss_name(self) -> str:
        """What `loss` is."""
        return "squared error" if self.is_number else "log loss"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the record."""
        apart = self.difference
        return {
            "weights": self.weights,
            "how": self.how,
            "folds": self.folds,
            "items": len(self.predictions),
            "error_is": self.error_name,
            "loss_is": self.loss_name,
            "ensemble": self.score.to_json(),
            "members": {name: score.to_json() for name, score in self.members.items()},
            "mean_of_members": self.mean.to_json(),
            "best": self.best,
            "difference": None
            if apart is None
            else {"error": apart.value, "interval": [apart.low, apart.high]},
        }

    def __str__(self) -> str:
        head = ["", "weight", self.error_name, "95% interval", self.loss_name]
        rows = [
            [text.cut(name), f"{self.weights[name]:.3f}", *_cells(score)]
            for name, score in self.members.items()
        ]
        rows.append(["mean of members", "", *_cells(self.mean)])
        rows.append(["ensemble", "", *_cells(self.score)])
        lines = [text.table(head, rows)]
        if self.folds:
            lines.append(
                f"The ensemble is measured in {self.folds} folds, each with weights that were fitted "
                "on the others; the weights above are fitted on all, for new items."
            )
        if self.difference is not None:
            apart = self.difference
            chance = ": this may be chance" if apart.may_be_none else ""
            lines.append(
                f"Its {self.error_name} minus that of the best member, {self.best}: "
                f"{apart.value:+.4f}, 95% interval {apart.low:+.4f} to {apart.high:+.4f}{chance}."
            )
        return "\n".join(lines)


def ensemble(
    records: Mapping[str, Predictions] | Sequence[Predictions],
    weights: Weights = None,
    *,
    folds: int = FOLDS,
    seed: int = 42,
) -> Ensemble:
    """Put records of the same items together, whatever models made them.

    Args:
        records: of two members or more, by name; names of a list are `1`, `2` …. Their items may be in
            any order, and so may their classes.
        weights: None or `equal`; `fitted`, least cross-entropy or squared error on these items; or
            numbers, 0 or more, in the order of the records or by name, which are scaled to add up to 1.
        folds: in which fitted weights are measured, 2 or more.
        seed: of the folds.

    Returns: the weights, and how good the mean is beside its members; print it.
    Raises: ConfigError: weights or folds that cannot be. DataError: fewer than two records, or they
        are of other items, classes or truths; or too few items to fit on. ShapeError: neither one
        class nor one number an item.
    """
    named = _named(records)
    outputs, targets, start, classes = _aligned(named)
    is_number = not classes
    names = list(named)
    fold_count = 0
    if weights == FITTED:
        _check_fit(len(start), folds)
        fold_count = folds
        fit = _fitter(outputs, targets, is_number)
        parts = [(np.array(f.train), np.array(f.valid)) for f in k_folds(len(start), folds, seed)]
        values = crosswise(outputs, parts, fit)
        found = fit(np.arange(len(start)))
    else:
        found = as_weights(weights, names)
        values = np.tensordot(found, outputs, axes=1)
    how = FITTED if fold_count else EQUAL if weights in (None, EQUAL) else "given"
    scored = {
        name: _scored(start.ids, one, targets, is_number)
        for name, one in zip(names, outputs, strict=True)
    }
    score, errors = _scored(start.ids, values, targets, is_number)
    best = min(names, key=lambda name: (scored[name][0].error, scored[name][0].loss))
    members = {name: one for name, (one, _) in scored.items()}
    return Ensemble(
        weights=dict(zip(names, found.tolist(), strict=True)),
        how=how,
        folds=fold_count,
        score=score,
        members=members,
        mean=_mean(list(members.values())),
        best=best,
        difference=paired.difference(errors, scored[best][1]),
        predictions=_record(start.ids, values, targets, classes),
        is_number=is_number,
    )


def as_weights(weights: Weights, names: Sequence[str]) -> np.ndarray:
    """The weights (M,) that were asked for, adding up to 1.

    Args:
        weights: None or `equal`; or numbers in the order of the names, or by name.
        names: of the members.

    Raises: ConfigError: another word, other names, another number of them, one below 0, or all 0.
    """
    if weights is None or weights == EQUAL:
        return np.full(len(names), 1 / len(names))
    if isinstance(weights, str):
        raise ConfigError(
            f"`weights` are {EQUAL}, {FITTED}, or a number for each member. Got {weights!r}."
            f"{did_you_mean(weights, (EQUAL, FITTED))}"
        )
    if isinstance(weights, Mapping):
        apart = sorted(set(weights) ^ set(names))
        if apart:
            raise ConfigError(
                f"`weights` need a number for each member, {', '.join(names)}. Missing or unknown: "
                f"{', '.join(apart)}."
            )
        weights = [weights[name] for name in names]
    found = np.array(weights, dtype=np.float64)
    if len(found) != len(names) or not np.isfinite(found).all() or (found < 0).any():
        raise ConfigError(
            f"`weights` need {len(names)} numbers, 0 or more, one for each member. "
            f"Got {found.tolist()}."
        )
    if not found.sum() > 0:
        raise ConfigError("`weights` are all 0. Give at least one member a weight above 0.")
    return found / found.sum()


def fitted_weights(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights (M,) of the mean that errs least on N items.

    Args:
        outputs: (M, N, C) probabilities, or (M, N) or (M, N, T) numbers.
        targets: (N,) int64 classes; else numbers of the outputs' shape.
    """
    if targets.dtype.kind == "i":
        return log_loss_weights(outputs[:, np.arange(len(targets)), targets])
    return squared_error_weights((outputs - targets).reshape(len(outputs), -1))


def _fitter(outputs: np.ndarray, targets: np.ndarray, is_number: bool) -> Any:
    assert is_number == (targets.dtype.kind == "f"), "classes are whole numbers"
    return lambda rows: fitted_weights(outputs[:, rows], targets[rows])


def _check_fit(count: int, folds: int) -> None:
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ConfigError(
            f"`folds` is in how many parts fitted weights are measured, 2 or more. Got {folds!r}."
        )
    least = max(LEAST_TO_FIT, 2 * folds)
    if count < least:
        raise DataError(
            f"Weights are fitted on {least} items or more, and there are {count}. Take equal weights."
        )


def _named(
    records: Mapping[str, Predictions] | Sequence[Predictions],
) -> dict[str, Predictions]:
    if isinstance(records, Mapping):
        named = dict(records)
    else:
        named = {str(place): one for place, one in enumerate(records, 1)}
    if len(named) < 2:
        raise DataError(f"`ensemble` needs records of two models or more. Got {len(named)}.")
    several = next((name for name, one in named.items() if one.parts), None)
    if several is not None:
        raise DataError(
            f"The record of {several} is of several targets. Put those of one together, "
            "`record.of(NAME)`, or all of them by `interpret.target_ensemble`."
        )
    return named


def _aligned(
    named: Mapping[str, Predictions],
) -> tuple[np.ndarray, np.ndarray, Predictions, tuple[str, ...]]:
    """Outputs (M, N, …) and targets (N, …) in the first record's order of items and of classes."""
    first, start = next(iter(named.items()))
    place_of = {id_: place for place, id_ in enumerate(start.ids)}
    if len(place_of) != len(start):
        raise DataError(
            f"The record of {first} has two items of one name, so that none can be found."
        )
    stacked, known = [], None
    for name, record in named.items():
        if len(record) != len(start) or set(record.ids) != set(place_of):
            apart = sorted(set(record.ids) ^ set(place_of))
            raise DataError(
                f"The records of {first} and {name} are of other items: {len(apart):,} are in one of "
                f"the two only{f', such as {apart[0]}' if apart else ''}. Only the same items can be "
                "put together."
            )
        order = np.empty(len(start), dtype=np.int64)
        order[[place_of[id_] for id_ in record.ids]] = np.arange(len(start))
        outputs, targets, classes = _values(name, record)
        _refuse_broken(name, record, ~torch.from_numpy(outputs).isfinite())
        if known is None:
            known = targets[order], classes
        if set(classes) != set(known[1]) or targets.shape[1:] != known[0].shape[1:]:
            raise DataError(
                f"{first} and {name} predict other things: {_what(known[1])}, and {_what(classes)}."
            )
        if classes != known[1]:
            columns = [classes.index(label) for label in known[1]]
            outputs, targets = outputs[:, columns], np.argsort(columns)[targets]
        outputs, targets = outputs[order], targets[order]
        agrees = targets == known[0] if classes else np.isclose(targets, known[0], rtol=1e-5)
        if not agrees.all():
            item = start.ids[int(np.argwhere(~agrees)[0][0])]
            raise DataError(
                f"{first} and {name} do not agree on what is true of {item}. Their labels were changed "
                "in between: train both on the same."
            )
        stacked.append(outputs)
    assert known is not None, "two records or more"
    return np.stack(stacked), known[0], start, known[1]


def _values(name: str, record: Predictions) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Probabilities and classes, or numbers; float64 and int64."""
    if not is_numeric(record):
        _refuse_broken(name, record, record.outputs.isnan())
        found = classified("ensemble", record)
        return found.probs, found.targets, found.classes
    if len(record) == 0:
        raise DataError(f"The record of {name} is without items.")
    targets = record.targets.double().cpu().numpy()
    outputs = record.outputs.double().cpu().numpy()
    return outputs.reshape(targets.shape), targets, ()


def _refuse_broken(name: str, record: Predictions, is_broken: torch.Tensor) -> None:
    if bool(is_broken.any()):
        row = int(is_broken.nonzero()[0][0])
        raise DataError(
            f"What {name} says of {record.ids[row]} is NaN or infinite. Leave that model out."
        )


def _what(classes: tuple[str, ...]) -> str:
    return f"the classes {text.listed(list(classes))}" if classes else "numbers"


def _scored(
    ids: Sequence[str], values: np.ndarray, targets: np.ndarray, is_number: bool
) -> tuple[Score, Errors]:
    if is_number:
        squares = np.square(values - targets).reshape(len(targets), -1).mean(axis=1)
        errors = paired.errors_of(paired.RMSE, ids, squares)
        mean = float(squares.mean())
        return Score(errors.error, errors.interval(), mean, mean), errors
    wrong = (values.argmax(axis=1) != targets).astype(np.float64)
    errors = paired.errors_of(paired.SHARE, ids, wrong)
    given = np.maximum(values[np.arange(len(targets)), targets], TINY)
    apart = values - np.eye(values.shape[1])[targets]
    brier = float(np.square(apart).sum(axis=1).mean())
    return Score(errors.error, errors.interval(), -float(np.log(given).mean()), brier), errors


def _mean(scores: Sequence[Score]) -> Score:
    def of(values: Sequence[float]) -> float:
        return math.fsum(values) / len(values)

    return Score(
        of([one.error for one in scores]),
        None,
        of([one.loss for one in scores]),
        of([one.squared_error for one in scores]),
    )


def _record(
    ids: Sequence[str], values: np.ndarray, targets: np.ndarray, classes: tuple[str, ...]
) -> Predictions:
    true = torch.from_numpy(targets)
    if not classes:
        outputs = torch.from_numpy(np.ascontiguousarray(values))
        losses = (outputs - true).square()
        return Predictions(
            ids, true, outputs, losses.flatten(1).mean(1) if losses.ndim > 1 else losses
        )
    outputs = torch.from_numpy(np.log(np.maximum(values, TINY)))
    losses = -outputs.gather(1, true[:, None])[:, 0]
    return Predictions(ids, true, outputs, losses, classes)


def _cells(score: Score) -> list[str]:
    between = (
        "" if score.interval is None else f"{score.interval[0]:.4f} to {score.interval[1]:.4f}"
    )
    return [f"{score.error:.4f}", between, f"{score.loss:.4f}"]
