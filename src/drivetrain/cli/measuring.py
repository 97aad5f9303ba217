"""A finished run, measured for a comparison: its errors item by item, and how long an answer takes.

The error is one for which less is better, whatever metric the run is about: the share of wrong
answers, the root mean squared error in the target's own unit, or of lists what they lack to the best
NDCG.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.errors import ConfigError, RunError

if TYPE_CHECKING:
    import numpy as np

    from drivetrain.train.application import Evaluated
    from drivetrain.train.learner import Learner
    from drivetrain.train.paired import Errors
    from drivetrain.train.predictions import Predictions

LISTS = "1 - ndcg"
"""The error of lists: 0 where everybody's liked items stand first."""
LONG = 2.0
"""Seconds of a prediction of all items that is not made twice."""
_TURNED = {"accuracy": "error_rate", "binary_accuracy": "error_rate", "ndcg": LISTS}
"""Metrics of which the error is 1 minus the value."""


def measure_run(run: Path, learner: Learner | None = None) -> tuple[dict[str, Any], Errors]:
    """What a finished run is worth, as a row of a sweep has it, and its errors by item.

    Args:
        run: its folder.
        learner: that was trained into it just now, whose data need not be read again.

    Returns: (entries of `sweeping.Row` and a few more that are kept for whoever asks, the errors).
    Raises: RunError: no finished run. DataError: its data is gone. ConfigError: what it predicts is not
        compared.
    """
    from drivetrain.train.run import Run, read_model

    record = Run.open(run).read()
    application = record["task"]["application"]
    made = {
        "vision": _of_pictures,
        "tabular": _of_table,
        "text": _of_texts,
        "collab": _of_ratings,
    }[application](run, record, learner)
    metric, errors, predict_ms = made
    tensors, _ = read_model(run)
    interval = errors.interval()
    results = record["results"]
    model = record.get("model")
    pretrained = model.get("pretrained") if isinstance(model, dict) else None
    low, high = (None, None) if interval is None else interval
    return {
        "metric": metric,
        "error": errors.error,
        "low": low,
        "high": high,
        "seconds": _seconds(record),
        "predict_ms": predict_ms,
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "weights": "" if pretrained is None else "pretrained" if pretrained else "random",
        "fingerprint": record.get("fingerprint", ""),
        "sealed": record.get("items", results.get("items", {})).get("test", 0),
        "size": record["data"].get("size"),
        "epochs": results.get("epochs"),
        "rules": _rules(_baselines(results), metric),
        "note": _cut(record),
    }, errors


def _of_pictures(
    run: Path, record: Mapping[str, Any], learner: Learner | None
) -> tuple[str, Errors, float]:
    from drivetrain import vision

    if learner is not None and (kept := _kept(learner)):
        return _answer(learner.predictions(found=kept.evaluation), kept.seconds)
    if learner is None:
        learner = vision.reopen(run, callbacks=(), progress=False)
        learner.load(run)
    return _answers(learner.predictions)


def _of_table(
    run: Path, record: Mapping[str, Any], learner: Learner | None
) -> tuple[str, Errors, float]:
    from drivetrain.tabular.gathering import gather_again
    from drivetrain.tabular.models import load
    from drivetrain.tabular.reporting import predictions

    application: Any = None if learner is None else learner.application
    data = gather_again(record["data"]) if application is None else application.data
    model = load(run) if application is None else application.model(learner)
    return _answers(lambda: predictions(model, data))


def _of_texts(
    run: Path, record: Mapping[str, Any], learner: Learner | None
) -> tuple[str, Errors, float]:
    from drivetrain import text
    from drivetrain.text.reporting import predictions

    if learner is None:
        learner = text.reopen(run, callbacks=(), progress=False)
        learner.load(run)
    application: Any = learner.application
    goal = application.data.goal
    if goal is None:
        raise ConfigError(f"{run} is a language model: it is not compared with others.")
    if kept := _kept(learner):
        return _answer(predictions(learner, goal, found=kept.evaluation), kept.seconds)
    return _answers(lambda: predictions(learner, goal))


def _of_ratings(
    run: Path, record: Mapping[str, Any], learner: Learner | None
) -> tuple[str, Errors, float]:
    import numpy as np

    from drivetrain import collab
    from drivetrain.collab.data import gather_again
    from drivetrain.collab.lists import PRIMARY, ranked
    from drivetrain.collab.model import load
    from drivetrain.train.paired import SHARE, errors_of

    application: Any = None if learner is None else learner.application
    data = gather_again(record["data"]) if application is None else application.data
    if "ndcg" in record["results"]["metrics"]["valid"]:
        model = load(run)
        began = time.perf_counter()
        measured = ranked(model.scores, data)
        if measured is None:
            raise ConfigError(
                f"{run} cannot be compared: no known user has an event in validation."
            )
        spent = 1000 * (time.perf_counter() - began) / measured.num_users
        lacks = 1 - np.asarray(measured.per_user[PRIMARY], dtype=np.float64)
        return LISTS, errors_of(SHARE, [str(code) for code in measured.users], lacks), spent
    if learner is None:
        learner = collab.reopen(run, callbacks=(), progress=False)
        learner.load(run)
    if kept := _kept(learner):
        found = learner.predictions(found=kept.evaluation)
        return _answer(found, kept.seconds, groups=data.pairs("valid").users)
    return _answers(learner.predictions, groups=data.pairs("valid").users)


def _kept(learner: Learner) -> Evaluated | None:
    """The pass over the validation items that the result of a training just now was made of."""
    application: Any = learner.application
    return application.evaluated


def _answers(
    predict: Callable[[], Predictions], groups: np.ndarray | None = None
) -> tuple[str, Errors, float]:
    """Errors by item, and milliseconds an item: the second time, since the first one chooses kernels.

    Where the first one takes long, that no longer matters, and it is the only one.
    """
    began = time.perf_counter()
    found = predict()
    if time.perf_counter() - began < LONG:
        began = time.perf_counter()
        found = predict()
    return _answer(found, time.perf_counter() - began, groups)


def _answer(
    found: Predictions, seconds: float, groups: np.ndarray | None = None
) -> tuple[str, Errors, float]:
    """Errors by item, and milliseconds an item, of predictions that took so many seconds."""
    import numpy as np
    import torch

    from drivetrain.train.paired import RMSE, SHARE, errors_of

    spent = 1000 * seconds / len(found)
    targets, outputs = found.targets.cpu(), found.outputs.cpu()
    if not bool(torch.isfinite(outputs).all()):
        raise RunError("Its answers are no numbers: the training diverged. A lower rate may help.")
    # what is true is part of the name, so that a label that was changed makes it another item
    ids = [f"{one}\0{true}" for one, true in zip(found.ids, targets.tolist(), strict=True)]
    if found.parts:  # several targets: the share of them that is wrong
        apart = [part.outputs.argmax(dim=1) != part.targets for part in found.parts.values()]
        wrong = torch.stack(apart).double().mean(dim=0).cpu().numpy()
        return "error_rate", errors_of(SHARE, ids, wrong, groups), spent
    if not targets.is_floating_point() and targets.ndim == 1:
        wrong = (outputs.argmax(dim=1) != targets).numpy().astype(np.float64)
        return "error_rate", errors_of(SHARE, ids, wrong, groups), spent
    if found.classes and targets.shape == outputs.shape:  # several labels: the share that is wrong
        wrong = ((outputs > 0) != (targets > 0.5)).double().mean(dim=1).numpy()
        return "error_rate", errors_of(SHARE, ids, wrong, groups), spent
    squares = (outputs.reshape(targets.shape) - targets).double().square()
    each = squares if squares.ndim == 1 else squares.flatten(1).mean(dim=1)
    return "rmse", errors_of(RMSE, ids, each.numpy(), groups), spent


def _seconds(record: Mapping[str, Any]) -> float:
    """Spent in training the model that predicts; of a table's board, on that line of it."""
    results = record["results"]
    for entry in results.get("leaderboard", ()):
        if entry["model"] == results["model"]:
            return float(entry["seconds"])
    return float(results["seconds"])


def _cut(record: Mapping[str, Any]) -> str:
    """What was left out to end in time; empty where nothing was."""
    settings, epochs = record.get("settings"), record["results"].get("epochs")
    if not isinstance(settings, dict) or not isinstance(epochs, int):
        return ""
    told = {0: "not one whole epoch", 1: "1 epoch"}.get(epochs, f"{epochs} epochs")
    share = settings.get("fraction", 1.0) * settings.get("train_fraction", 1.0)
    usual = settings.get("usual_epochs", 0)
    if share < 1:
        return f"{told} on {share:.0%} of the training items"
    return f"{told} of the usual {usual}" if epochs < usual else ""


def _baselines(results: Mapping[str, Any]) -> Any:
    """Those of a run; of several targets the mean of each rule's accuracies, as its error is a mean."""
    targets = results.get("targets")
    if not isinstance(targets, dict) or "baselines" in results:
        return results.get("baselines")
    each = [own["baselines"] for own in targets.values()]
    names = [name for name in each[0] if all(name in own for own in each)]
    return {
        name: {"accuracy": sum(own[name]["accuracy"] for own in each) / len(each)} for name in names
    }


def _rules(found: Any, metric: str) -> dict[str, Any]:
    """Simple rules by the same error: name -> `{error, low, high}`."""
    told = {}
    for name, entry in found.items() if isinstance(found, dict) else ():
        for own, value in entry.items():
            if (_TURNED.get(own, own)) != metric or not isinstance(value, int | float):
                continue
            ends = entry.get("interval") or (None, None)
            low, high = ends
            if own in _TURNED:
                value, low, high = (
                    1 - value,
                    None if high is None else 1 - high,
                    None if low is None else 1 - low,
                )
            told[name] = {"error": value, "low": low, "high": high}
    return told
