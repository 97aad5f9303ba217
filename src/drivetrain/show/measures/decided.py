"""Metrics of decided classes: shares of right answers, counts of a class, agreement beyond chance."""

from __future__ import annotations

import numpy as np
import torch

from drivetrain.show.measures.case import Case, Write

# --- shares of right answers -------------------------------------------------------------------------


def _put_decided(case: Case, threshold: float = 0.0) -> None:
    kind, preds, targets = case.flat()
    work = case.work
    if kind == "classes":
        work.put("decided", preds.argmax(dim=1), "the class with the highest score, of each item")
        work.put("true", targets, "the true class of each")
        return
    work.put("x", preds.flatten(), "the score of each answer")
    work.put("true", (targets.flatten() > 0.5), "1 for yes, 0 for no")
    work.put("threshold", threshold, "above it a score means yes", "setting")
    work.line("decided", "x > threshold", "1 where yes is said")


def _accuracy(case: Case) -> str:
    _put_decided(case, case.option("threshold", 0.0))
    case.work.line("right", "decided == true", "1 where the answer is right")
    case.work.line("count", "sum(right)", "how many are right")
    case.work.line("share", "mean(right)", "the share of right answers")
    return "accuracy = right answers / answers"


def _error_rate(case: Case) -> str:
    _put_decided(case)
    case.work.line("wrong", "decided != true", "1 where the answer is wrong")
    case.work.line("count", "sum(wrong)", "how many are wrong")
    case.work.line("share", "mean(wrong)", "the share of wrong answers")
    return "error_rate = wrong answers / answers = 1 - accuracy"


def _top_k(case: Case) -> str:
    _, preds, targets = case.flat()
    true = targets.unsqueeze(1)
    score = preds.gather(1, true)
    index = torch.arange(preds.shape[1])
    work = case.work
    work.put("z", preds, "the scores: a row an item, a column a class")
    work.put("own", score, "the score of the true class, of each item")
    work.put(
        "before",
        (index < true),
        "1 for classes before the true one: of equal scores the first wins",
    )
    work.put("k", case.option("k"), "how many classes are named", "setting")
    work.line(
        "rank", "sum((z > own) + (z == own) * before, axis=1)", "classes ahead of the true one"
    )
    work.line("share", "mean(rank < k)", "the share of items with fewer than k ahead")
    return "top-k accuracy = items whose true class is among the k highest / items"


# --- counts of a class -------------------------------------------------------------------------------


def _put_counts(case: Case) -> bool:
    """Put in what was decided and what is true, and count; True where there are several classes."""
    kind, preds, _ = case.flat()
    work = case.work
    if kind == "binary":
        _put_decided(case)
        work.line("tp", "sum(decided * true)", "said yes, and it is: true positives")
        work.line("predicted", "sum(decided)", "said yes")
        work.line("actual", "sum(true)", "it is yes")
        work.line("fp", "predicted - tp", "said yes, and it is not: false alarms")
        work.line("fn", "actual - tp", "said no, and it is yes: misses")
        return False
    if kind == "classes":
        count = preds.shape[1]
        _put_decided(case)
        work.put("classes", np.arange(count).reshape(-1, 1), "the classes, one a row", "setting")
        work.line("says", "decided == classes", "a row a class: 1 where it was decided")
        work.line("is_so", "true == classes", "a row a class: 1 where it is true")
    else:
        _, read, wanted, counted = case.read()
        keep = torch.ones_like(wanted, dtype=torch.bool) if counted is None else counted
        labels = read.shape[1]
        for name, value, meaning in (
            ("says", (read > 0) & keep, "a row a label: 1 where yes is said"),
            ("is_so", (wanted > 0.5) & keep, "a row a label: 1 where it is yes"),
        ):
            work.put(name, value.movedim(1, 0).reshape(labels, -1), meaning)
    names = f" ({', '.join(case.classes)})" if case.classes else ""
    work.line("tp", "sum(says * is_so, axis=1)", f"found, of each class{names}")
    work.line("predicted", "sum(says, axis=1)", "how often each was decided")
    work.line("actual", "sum(is_so, axis=1)", "how often each is true")
    return True


def _averaged(case: Case, above: str, below: str, name: str) -> None:
    work = case.work
    many = _put_counts(case)
    if not many:
        work.line(name, f"where({below} > 0, ({above}) / ({below}), 0)", "their quotient")
        return
    if not case.option("background", True):
        for count in ("tp", "predicted", "actual"):
            work.line(f"{count}_1", f"{count}[1:]", "without class 0, the background")
            above = above.replace(count, f"{count}_1")
            below = below.replace(count, f"{count}_1")
    actual = "actual" if case.option("background", True) else "actual_1"
    predicted = actual.replace("actual", "predicted")
    average = case.option("average")
    if average == "micro":
        work.line(name, f"sum({above}) / sum({below})", "all classes counted together")
        return
    work.line("below", below, "what is divided by, of each class")
    # Where nothing is below the line the quotient is 0; max keeps the division from 0 / 0.
    work.line(
        "each", f"where(below > 0, ({above}) / max(below, 1e-300), 0)", f"{name} of each class"
    )
    if average == "weighted":
        work.line(
            name,
            f"sum(each * {actual}) / sum({actual})",
            "their mean, each by how often it is true",
        )
        return
    work.line("there", f"{predicted} + {actual} > 0", "1 for classes that occur or were decided")
    work.line(name, "sum(each * there) / sum(there)", "the plain mean over those")


def _precision(case: Case) -> str:
    _averaged(case, "tp", "predicted", "precision")
    return "precision = true positives / all that was taken for the class"


def _recall(case: Case) -> str:
    _averaged(case, "tp", "actual", "recall")
    return "recall = true positives / all that is of the class"


def _f1(case: Case) -> str:
    _averaged(case, "2 * tp", "actual + predicted", "f1")
    return "F1 = 2·tp / (actual + predicted), the harmonic mean of precision and recall"


def _f_beta(case: Case) -> str:
    square = repr(float(case.option("beta")) ** 2)
    _averaged(case, f"(1 + {square}) * tp", f"{square} * actual + predicted", "f")
    return "F = (1 + β²)·tp / (β²·actual + predicted)"


def _dice(case: Case) -> str:
    _averaged(case, "2 * tp", "actual + predicted", "dice")
    return "Dice = 2 · overlap / (true area + predicted area)"


def _jaccard(case: Case) -> str:
    _averaged(case, "tp", "actual + predicted - tp", "iou")
    return "IoU = overlap / area that either covers"


# --- agreement ---------------------------------------------------------------------------------------


def _put_matrix(case: Case) -> int:
    kind, preds, _ = case.flat()
    count = preds.shape[1] if kind == "classes" else 2
    work = case.work
    _put_decided(case)
    work.put("classes", np.arange(count).reshape(-1, 1), "the classes, one a row", "setting")
    work.line("says", "decided == classes", "a row a class: 1 where it was decided")
    work.line("is_so", "true == classes", "a row a class: 1 where it is true")
    work.line(
        "matrix",
        "matmul(is_so, transpose(says))",
        "the confusion matrix: rows are true ones",
    )
    work.line("n", "sum(matrix)", "all items")
    work.line("actual", "sum(matrix, axis=1)", "how often each class is true")
    work.line("predicted", "sum(matrix, axis=0)", "how often each was decided")
    return count


def _kappa(case: Case) -> str:
    count = _put_matrix(case)
    power = {"none": 0, "linear": 1, "quadratic": 2}[case.option("weights")]
    away = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :])
    cost = away**power if power else (away > 0)
    work = case.work
    work.put("cost", cost, "what taking one class for another costs", "setting")
    work.line("seen", "sum(matrix * cost)", "the disagreement there is")
    work.line(
        "chance",
        f"sum(reshape(actual, {count}, 1) * predicted * cost) / n",
        "what chance would give",
    )
    work.line("kappa", "1 - seen / chance", "how much of that is avoided")
    return "kappa = 1 - disagreement / disagreement by chance"


def _matthews(case: Case) -> str:
    _put_matrix(case)
    work = case.work
    work.line("right", "sum(says * is_so)", "answers that are right")
    work.line(
        "together", "right * n - sum(actual * predicted)", "how true and decided vary together"
    )
    work.line("of_actual", "n ** 2 - sum(actual ** 2)", "how the true ones vary")
    work.line("of_predicted", "n ** 2 - sum(predicted ** 2)", "how the decided ones vary")
    work.line(
        "r",
        "where(of_predicted > 0, together / (sqrt(of_actual) * sqrt(max(of_predicted, 1e-300))), 0)",
        "their correlation",
    )
    return "r = (right · n - Σ actual · predicted) / √((n² - Σ actual²) (n² - Σ predicted²))"


WRITTEN: dict[str, Write] = {
    "accuracy": _accuracy,
    "binary_accuracy": _accuracy,
    "dice": _dice,
    "error_rate": _error_rate,
    "f1": _f1,
    "f_beta": _f_beta,
    "jaccard": _jaccard,
    "kappa": _kappa,
    "matthews": _matthews,
    "precision": _precision,
    "recall": _recall,
    "top_5_accuracy": _top_k,
}
"""Name of a metric -> what writes its lines."""
