"""Metrics of scores: what probabilities promise, and the order that scores put items in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from drivetrain.metrics.correlation import midranks
from drivetrain.show.measures.case import Case, Write
from drivetrain.show.working import Working

PAIRS = 1 << 20
"""Pairs of a yes and a no up to which the area under the curve is counted pair by pair."""


# --- probabilities -----------------------------------------------------------------------------------


def _put_log_loss(case: Case) -> None:
    kind, preds, targets = case.flat()
    work = case.work
    if kind != "classes":
        work.put("x", preds.flatten(), "the score (logit) of each answer")
        work.put("y", targets.double().flatten(), "1 for yes, 0 for no")
        work.line("p", "sigmoid(x)", "the probability of yes")
        work.line(
            "each",
            "log(1 + exp(-abs(x))) + relu(x) - x * y",
            "-log of the probability given to the truth, written so that it cannot overflow",
        )
        return
    work.put("z", preds, "the scores (logits): a row an item, a column a class")
    work.put("own", preds.gather(1, targets.unsqueeze(1)).squeeze(1), "the score of the true class")
    work.line(
        "top", "max(z, axis=1)", "the highest score of each item, so that exp cannot overflow"
    )
    work.line(
        "total", f"sum(exp(z - reshape(top, {len(preds)}, 1)), axis=1)", "softmax: the sum below"
    )
    work.line("each", "top + log(total) - own", "-log of the true class's probability")


def _log_loss(case: Case) -> str:
    _put_log_loss(case)
    case.work.line("loss", "mean(each)", "the mean, in nats")
    return "log loss = mean of -log(probability given to the truth)"


def _perplexity(case: Case) -> str:
    _put_log_loss(case)
    case.work.line("loss", "mean(each)", "the mean, in nats")
    case.work.line("perplexity", "exp(loss)", "among how many equally likely ones it hesitates")
    return "perplexity = exp(mean of -log p)"


def _brier(case: Case) -> str:
    kind, preds, targets = case.flat()
    work = case.work
    if kind != "classes":
        work.put("x", preds.flatten(), "the score (logit) of each answer")
        work.put("y", targets.double().flatten(), "1 for yes, 0 for no")
        work.line("p", "sigmoid(x)", "the probability of yes")
        work.line("brier", "mean((p - y) ** 2)", "the mean squared distance")
        return "Brier = mean of (p - y)²"
    count = preds.shape[1]
    work.put("z", preds.T, "the scores (logits): a row a class, a column an item")
    work.put("y", torch.nn.functional.one_hot(targets, count).T, "1 at the true class, else 0")
    work.line("e", "exp(z - max(z, axis=0))", "e to the power of each score")
    work.line("p", "e / sum(e, axis=0)", "softmax: the probability of each class")
    half = " / 2" if count == 2 else ""
    work.line("brier", f"mean(sum((p - y) ** 2, axis=0){half})", "the mean squared distance")
    return "Brier = mean of Σ (p - y)² over the classes" + (", halved for two" if half else "")


def _calibration(case: Case) -> str:
    kind, preds, targets = case.flat()
    bins, work = case.option("bins"), case.work
    sure = preds.sigmoid() if kind == "binary" else preds.softmax(dim=1).amax(dim=1)
    right = targets > 0.5 if kind == "binary" else preds.argmax(dim=1) == targets
    edges = np.arange(1, bins) / bins
    what = "of yes" if kind == "binary" else "of the decided class"
    work.put(
        "p", sure, f"the probability {what}, by {'sigmoid' if kind == 'binary' else 'softmax'}"
    )
    work.put("right", right, "1 where it is so")
    work.put("bin_of", np.searchsorted(edges, sure.numpy(), side="left"), "the bin of each item")
    work.put("bins", np.arange(bins).reshape(-1, 1), "the bins, one a row", "setting")
    work.line("within", "bin_of == bins", "a row a bin: 1 where the item is in it")
    work.line("promised", "sum(within * p, axis=1)", "right answers that are promised, of each bin")
    work.line("kept", "sum(within * right, axis=1)", "right answers there are")
    work.line("error", f"sum(abs(promised - kept)) / {len(preds)}", "how far apart, an item")
    return "ECE = Σ over bins of |promised - kept| / items"


# --- orders ------------------------------------------------------------------------------------------


def _questions(case: Case) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, scores and truth of each yes-or-no question that the classes or labels make."""
    scores, truth, counted = case.metric._items()  # pyright: ignore[reportAttributeAccessIssue]
    if case.option("average") == "micro" and scores.shape[1] > 1:
        return [("all", scores[counted], truth[counted])]
    found = []
    for c in range(scores.shape[1]):
        ok = counted[:, c]
        name = case.classes[c] if scores.shape[1] > 1 and c < len(case.classes) else f"class {c}"
        if truth[ok, c].any() and not truth[ok, c].all():
            found.append((name, scores[ok, c], truth[ok, c]))
    return found


def _ranked(case: Case, write: Callable[[Working, np.ndarray, np.ndarray], str]) -> str:
    questions = _questions(case)
    if len(questions) == 1:
        return write(case.work, questions[0][1], questions[0][2])
    formula = ""
    for name, scores, truth in questions:
        work = Working()
        formula = write(work, scores, truth)
        one = type(case.metric)()
        one.update(torch.from_numpy(scores.copy()), torch.from_numpy(truth.astype(np.float64)))
        case.parts.append(
            work.done(
                f"{name} against the rest",
                formula,
                one.compute(),
                source="one class",
                tolerance=1e-9,
            )
        )
    case.work.put(
        "each", [float(part.result) for part in case.parts], "of each class, as above", "step"
    )
    if case.option("average") == "weighted":
        actual = [int(truth.sum()) for _, _, truth in questions]
        case.work.put("actual", actual, "how often each class is true")
        case.work.line(
            "result", "sum(each * actual) / sum(actual)", "their mean, by how often each is true"
        )
    else:
        case.work.line("result", "mean(each)", "their mean")
    return formula


def _write_auc(work: Working, scores: np.ndarray, truth: np.ndarray) -> str:
    yes, no = scores[truth], scores[~truth]
    if len(yes) * len(no) <= PAIRS:
        work.put("yes", yes.reshape(-1, 1), "the scores of items that are yes, one a row")
        work.put("no", no, "the scores of items that are no")
        work.line("won", "sum(yes > no)", "pairs of a yes and a no in the right order")
        work.line("even", "sum(yes == no)", "pairs with equal scores")
        work.line("pairs", f"{len(yes)} * {len(no)}", "all pairs")
    else:
        ranks = midranks(scores)
        work.put("rank", ranks, "the rank of each score from 1 up; equal ones share their mean")
        work.put("true", truth, "1 for yes, 0 for no")
        work.line("count", "sum(true)", "how many are yes")
        work.line(
            "won", "sum(rank * true) - count * (count + 1) / 2", "ordered pairs, equal ones half"
        )
        work.line("even", "0 * count", "they are in it already")
        work.line("pairs", f"count * ({len(scores)} - count)", "all pairs of a yes and a no")
    work.line("auc", "(won + even / 2) / pairs", "the share of pairs in the right order")
    return "AUC = pairs (yes, no) with yes scored higher / all such pairs; equal scores count half"


def _write_average_precision(work: Working, scores: np.ndarray, truth: np.ndarray) -> str:
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], truth[order].astype(np.float64)
    last = np.append(
        sorted_scores[1:] != sorted_scores[:-1], True
    )  # the end of each run of equal ones
    found, taken = np.cumsum(hits)[last], (np.arange(len(hits)) + 1.0)[last]
    work.put("threshold", sorted_scores[last], "each score that occurs, from the highest down")
    work.put("new", np.diff(found, prepend=0.0), "items that are yes and come in at it")
    work.put("found", found, "yes among all that are at or above it")
    work.put("taken", taken, "items at or above it")
    work.line("precision", "found / taken", "share of yes among them")
    work.line("ap", "sum(new * precision) / sum(new)", "its mean, over the items that are yes")
    return "AP = Σ (recall gained at a threshold) · (precision there)"


def _roc_auc(case: Case) -> str:
    return _ranked(case, _write_auc)


def _average_precision(case: Case) -> str:
    return _ranked(case, _write_average_precision)


WRITTEN: dict[str, Write] = {
    "average_precision": _average_precision,
    "brier": _brier,
    "calibration_error": _calibration,
    "log_loss": _log_loss,
    "perplexity": _perplexity,
    "roc_auc": _roc_auc,
}
"""Name of a metric -> what writes its lines."""
