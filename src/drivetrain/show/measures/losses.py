"""The lines of each loss of `drivetrain.losses`, for one item and for the mean of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.show.working import Working


class Case:
    """What a loss is written for: outputs, targets and options; item or mean."""

    def __init__(
        self,
        work: Working,
        preds: Tensor,
        targets: Tensor,
        options: Mapping[str, Any],
        is_mean: bool,
        classes: Sequence[str],
    ) -> None:
        self.work, self.preds, self.targets = work, preds, targets
        self.options, self.is_mean, self.classes = options, is_mean, classes
        self.said = ""
        """What the title adds, such as the true class."""

    def option(self, name: str, usual: Any = None) -> Any:
        """An option of the loss; None is as if it were not given."""
        value = self.options.get(name, usual)
        return usual if value is None else value

    def class_name(self, index: int) -> str:
        """A class as its index and what it is called."""
        return f"{index} ({self.classes[index]})" if index < len(self.classes) else str(index)


# --- classes --------------------------------------------------------------------------------------


def _cross_entropy(case: Case) -> str:
    if case.targets.is_floating_point():
        return _soft(case)
    return _indices(case, gamma=None)


def _focal(case: Case) -> str:
    return _indices(case, gamma=float(case.option("gamma", 2.0)))


def _indices(case: Case, *, gamma: float | None) -> str:
    # A weighted mean of one is divided by its weight: the table of many writes that out.
    is_weighted_mean = case.is_mean and case.option("weight") is not None
    if case.targets.numel() == 1 and not is_weighted_mean:
        return _one_class(case, gamma=gamma)
    return _many_classes(case, gamma=gamma)


def _softmax(work: Working, axis: str = "") -> None:
    work.line("top", f"max(z{axis})", "the highest score, taken off so that exp cannot overflow")
    work.line("e", "exp(z - top)", "e to the power of each score")
    work.line("total", f"sum(e{axis})", "their sum")
    work.line("p", "e / total", "softmax: the probability of each class")
    work.line(
        "logp", "z - top - log(total)", "its natural logarithm, without the rounding of log(p)"
    )


def _one_class(case: Case, *, gamma: float | None) -> str:
    """One target: readable, with the true class as an index."""
    work, true = case.work, int(case.targets)
    scores = case.preds.flatten()
    work.put("z", scores, "the scores (logits), one a class")
    if true == case.option("ignore_index", -100):
        work.put("counts", 0, f"the target {true} is left out of the loss", "setting")
        work.line("loss", "counts * sum(z)", "nothing")
        return "loss = 0: the target does not count"
    case.said = f": the true class is {case.class_name(true)}"
    weight = case.option("weight")
    smoothing = case.option("label_smoothing", 0.0) if gamma is None else 0.0
    _softmax(work)
    formula = "loss = -log p[true],  p = softmax(z)"
    if weight is not None:
        by_class = torch.as_tensor(weight, dtype=torch.float64)
        work.put("w", by_class, "a weight for each class", "setting")
    times = "" if weight is None else f"w[{true}] * "
    nll = f"-{times}logp[{true}]"
    if gamma is not None:
        work.put("gamma", gamma, "how little the easy ones count", "setting")
        work.line("easy", f"1 - p[{true}]", "what is missing to certainty")
        work.line("loss", f"-{times}easy ** gamma * logp[{true}]", "the loss")
        return "loss = -(1 - p[true])^γ · log p[true],  p = softmax(z)"
    if smoothing:
        work.put(
            "s", smoothing, "the share of the target that is spread over all classes", "setting"
        )
        work.line("truth", nll, "cross-entropy with the true class")
        spread = "-mean(logp)" if weight is None else "-sum(w * logp) / " + str(len(scores))
        work.line("spread", spread, "cross-entropy with all classes alike")
        work.line("loss", "(1 - s) * truth + s * spread", "the loss")
        return "loss = (1 - s)·(-log p[true]) + s·mean(-log p),  p = softmax(z)"
    work.line("loss", nll, "minus the logarithm of the true class's probability")
    return formula if weight is None else "loss = -w[true] · log p[true],  p = softmax(z)"


def _many_classes(case: Case, *, gamma: float | None) -> str:
    """Many targets at once: scores (C, N), the true classes as a table of 0 and 1 (C, N)."""
    work = case.work
    count = case.preds.shape[1]
    scores = case.preds.movedim(1, 0).flatten(1)  # (C, N)
    targets = case.targets.flatten()
    kept = targets != case.option("ignore_index", -100)
    truth = F.one_hot(torch.where(kept, targets, 0), count).T * kept  # (C, N)
    work.put("z", scores, "the scores (logits): a row a class, a column a target")
    work.put("true", truth, "1 at the true class of each target, else 0")
    weight = case.option("weight")
    if weight is not None:
        by_class = torch.as_tensor(weight, dtype=torch.float64).reshape(-1, 1)
        work.put("w", by_class, "a weight for each class", "setting")
    _softmax(work, ", axis=0")
    w = "" if weight is None else "w * "
    if gamma is not None:
        work.put("gamma", gamma, "how little the easy ones count", "setting")
        work.line(
            "each", f"-sum({w}true * (1 - p) ** gamma * logp, axis=0)", "the loss of each target"
        )
    elif smoothing := case.option("label_smoothing", 0.0):
        work.put(
            "s", smoothing, "the share of the target that is spread over all classes", "setting"
        )
        work.line("counts", "sum(true, axis=0)", "1 where the target counts")
        work.line("truth", f"-sum({w}true * logp, axis=0)", "cross-entropy with the true class")
        work.line(
            "spread", f"-sum({w}logp, axis=0) / {count}", "cross-entropy with all classes alike"
        )
        work.line("each", "(1 - s) * truth + s * spread * counts", "the loss of each target")
    else:
        work.line("each", f"-sum({w}true * logp, axis=0)", "the loss of each target")
    if not case.is_mean:
        work.line("loss", "mean(each)", "their mean, those that are left out counting 0")
    elif weight is not None:
        work.line("loss", "sum(each) / sum(w * true)", "the weighted mean")
    elif bool(kept.all()):
        work.line("loss", "mean(each)", "their mean")
    else:
        work.line("loss", "sum(each) / sum(true)", "their mean, over those that count")
    focus = "(1 - p)^γ · " if gamma is not None else ""
    return f"loss = mean of {focus}-log p[true],  p = softmax(z) over the classes"


def _soft(case: Case) -> str:
    if not case.targets.is_floating_point():
        return _cross_entropy(case)
    work = case.work
    if case.option("weight") is not None:
        raise ConfigError("Class weights with shares of classes are not written out here.")
    count = case.preds.shape[1]
    scores = case.preds.movedim(1, 0).flatten(1)
    shares = case.targets.double().movedim(1, 0).flatten(1)
    one = scores.shape[1] == 1
    axis = "" if one else ", axis=0"
    work.put("z", scores[:, 0] if one else scores, "the scores (logits), one a class")
    work.put("t", shares[:, 0] if one else shares, "the share of each class in the target")
    if smoothing := case.option("label_smoothing", 0.0):
        work.put("s", smoothing, "the share that is spread over all classes", "setting")
        work.line("target", f"(1 - s) * t + s / {count}", "the shares, smoothed")
    _softmax(work, axis)
    t = "target" if case.option("label_smoothing", 0.0) else "t"
    work.line("each" if not one else "loss", f"-sum({t} * logp{axis})", "cross-entropy")
    if not one:
        work.line("loss", "mean(each)", "their mean")
    return "loss = -Σ t · log p,  p = softmax(z)"


def _summed(case: Case) -> str:
    """Several targets: the cross-entropy of each, times its weight, added up."""
    work, sizes = case.work, list(case.options["sizes"])
    weights = case.option("weights", [1.0] * len(sizes))
    count = len(case.targets)
    parts = zip(case.preds.split(sizes, dim=1), case.targets.unbind(dim=1), weights, strict=True)
    added = []
    for number, (scores, codes, weight) in enumerate(parts, 1):
        if not weight:  # not looked at at all
            continue
        one = "" if count == 1 else ", axis=0"
        work.put(f"w{number}", weight, f"how much target {number} counts", "setting")
        if count == 1:
            work.put(f"z{number}", scores[0], f"the scores (logits) of target {number}")
        else:
            true = F.one_hot(codes, scores.shape[1]).T
            what = f"the scores (logits) of target {number}: a row a class, a column an item"
            work.put(f"z{number}", scores.T, what)
            work.put(f"true{number}", true, "1 at the true class of each item, else 0")
        z, top, logp = f"z{number}", f"top{number}", f"logp{number}"
        work.line(top, f"max({z}{one})", "the highest score, taken off")
        work.line(
            logp,
            f"{z} - {top} - log(sum(exp({z} - {top}){one}))",
            "the logarithm of each class's probability, its softmax",
        )
        nll = (
            f"-{logp}[{int(codes)}]" if count == 1 else f"-mean(sum(true{number} * {logp}, axis=0))"
        )
        work.line(f"loss{number}", nll, f"the cross-entropy of target {number}")
        added.append(f"w{number} * loss{number}")
    if count == 1:
        true = " and ".join(map(str, case.targets[0].tolist()))
        case.said = f": the true classes are {true}"
    work.line("loss", " + ".join(added), "each times its weight, added up")
    return "loss = Σ w · (-log p[true]),  p = softmax(z) over the classes of a target"


# --- yes or no ------------------------------------------------------------------------------------


def _pairs(case: Case, pred: str, target: str) -> bool:
    """Put predictions x and targets y in, and say whether there is one of each."""
    one = case.preds.numel() == 1
    preds, targets = case.preds, case.targets.double()
    if not case.is_mean and preds.ndim > 1:
        preds, targets = preds[0], targets[0]
    case.work.put("x", preds.reshape(()) if one else preds, pred)
    case.work.put("y", targets.reshape(()) if one else targets, target)
    return one


def _finish(case: Case, one: bool, expression: str, meaning: str) -> None:
    if one:
        case.work.line("loss", expression, meaning)
        return
    case.work.line("each", expression, f"{meaning} of each")
    case.work.line("loss", "mean(each)", "their mean")


def _bce(case: Case) -> str:
    one = _pairs(case, "the score (logit)", "1 for yes, 0 for no")
    work = case.work
    work.line("p", "sigmoid(x)", "the probability of yes")
    yes, no = "log(1 + exp(-abs(x))) + relu(-x)", "log(1 + exp(-abs(x))) + relu(x)"
    work.line("if_yes", yes, "-log p, written so that it cannot overflow")
    work.line("if_no", no, "-log(1 - p), likewise")
    weight = case.option("pos_weight")
    if weight is None:
        _finish(case, one, "y * if_yes + (1 - y) * if_no", "cross-entropy")
        return "loss = -(y · log p + (1 - y) · log(1 - p)),  p = sigmoid(x)"
    value = torch.as_tensor(weight, dtype=torch.float64)
    work.put(
        "w", value.reshape(()) if value.numel() == 1 else value, "what a yes counts", "setting"
    )
    _finish(case, one, "y * w * if_yes + (1 - y) * if_no", "cross-entropy")
    return "loss = -(w · y · log p + (1 - y) · log(1 - p)),  p = sigmoid(x)"


def _binary_focal(case: Case) -> str:
    one = _pairs(case, "the score (logit)", "1 for yes, 0 for no")
    work = case.work
    work.put("gamma", float(case.option("gamma", 2.0)), "how little the easy ones count", "setting")
    work.line("s", "where(y > 0.5, x, -x)", "the score for the right answer")
    work.line("p", "sigmoid(s)", "the probability given to it")
    work.line("logp", "-log(1 + exp(-abs(s))) - relu(-s)", "its logarithm")
    expression = "-sigmoid(-s) ** gamma * logp"
    alpha = case.option("alpha")
    if alpha is not None:
        work.put("alpha", float(alpha), "what a yes counts; a no counts 1 - alpha", "setting")
        expression = f"(alpha * y + (1 - alpha) * (1 - y)) * ({expression})"
    _finish(case, one, expression, "focal loss")
    return "loss = -(1 - p)^γ · log p,  p the probability given to the right answer"


def _mnist_loss(case: Case) -> str:
    one = _pairs(case, "the score (logit)", "1 for yes, 0 for no")
    case.work.line("p", "sigmoid(x)", "the probability of yes")
    _finish(case, one, "abs(p - y)", "the distance from the target")
    return "loss = |p - y|,  p = sigmoid(x): 1 - p for a yes, p for a no"


# --- numbers --------------------------------------------------------------------------------------


def _numbers(case: Case) -> bool:
    return _pairs(case, "the prediction", "the target")


def _mse(case: Case) -> str:
    one = _numbers(case)
    case.work.line("d", "x - y", "the mistake")
    _finish(case, one, "d ** 2", "its square")
    return "loss = (x - y)²"


def _mae(case: Case) -> str:
    one = _numbers(case)
    case.work.line("d", "x - y", "the mistake")
    _finish(case, one, "abs(d)", "its size")
    return "loss = |x - y|"


def _huber(case: Case) -> str:
    one = _numbers(case)
    case.work.put(
        "delta",
        float(case.option("delta", 1.0)),
        "the mistake from which on it is a line",
        "setting",
    )
    case.work.line("d", "abs(x - y)", "the size of the mistake")
    expression = "where(d <= delta, d ** 2 / 2, delta * (d - delta / 2))"
    _finish(case, one, expression, "half its square, or the line")
    return "loss = d²/2 up to δ, then δ(d - δ/2);  d = |x - y|"


def _quantile(case: Case) -> str:
    one = _numbers(case)
    case.work.put("q", float(case.option("q", 0.5)), "the share that is to lie below", "setting")
    case.work.line("above", "y - x", "how far the target lies above")
    _finish(case, one, "max(q * above, (q - 1) * above)", "its cost")
    return "loss = q · (y - x) where the prediction is too low, (1 - q) · (x - y) where too high"


# --- masks ----------------------------------------------------------------------------------------


def _dice(case: Case) -> str:
    work = case.work
    batch, count = case.preds.shape[:2]
    kept = case.targets != case.option("ignore_index", -100)
    truth = F.one_hot(torch.where(kept, case.targets, 0), count).movedim(-1, 1) * kept.unsqueeze(1)
    work.put("z", case.preds.flatten(2), "the scores: item, class, pixel")
    work.put("true", truth.flatten(2), "1 at the true class of each pixel, else 0")
    work.put("counts", kept.reshape(batch, 1, -1), "1 where the pixel counts")
    work.put(
        "smooth",
        float(case.option("smooth", 1.0)),
        "pixels added above and below the line",
        "setting",
    )
    pixels = case.preds.flatten(2).shape[2]
    work.line(
        "top", f"reshape(max(z, axis=1), {batch}, 1, {pixels})", "the highest score of each pixel"
    )
    work.line("e", "exp(z - top)", "e to the power of each score")
    work.line(
        "p",
        f"counts * e / reshape(sum(e, axis=1), {batch}, 1, {pixels})",
        "softmax over the classes",
    )
    work.line("overlap", "sum(p * true, axis=2)", "what is found of each class")
    work.line("areas", "sum(p, axis=2) + sum(true, axis=2)", "predicted and true area")
    work.line("each", "1 - (2 * overlap + smooth) / (areas + smooth)", "of each item and class")
    work.line("loss", "mean(each)", "their mean")
    return "loss = 1 - (2 · overlap + smooth) / (areas + smooth)"


WRITTEN: dict[str, Callable[[Case], str]] = {
    "binary_cross_entropy_with_logits": _bce,
    "binary_focal": _binary_focal,
    "cross_entropy": _cross_entropy,
    "dice": _dice,
    "focal": _focal,
    "huber": _huber,
    "mae": _mae,
    "mnist_loss": _mnist_loss,
    "mse": _mse,
    "quantile": _quantile,
    "soft_cross_entropy": _soft,
    "summed_cross_entropy": _summed,
    "token_cross_entropy": _cross_entropy,
}
"""Name of a loss -> what writes its lines, and gives the formula for people."""
