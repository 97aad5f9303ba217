"""Many numbers to one: sums, means, extremes, variances, running sums, softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from drivetrain.show.ops.look import Look, Worked, grid, of_sum
from drivetrain.show.record import Value


def along(look: Look, source: Value, dims: Any, keep: bool) -> np.ndarray:
    """Flat positions of the numbers that an output number is made of, an axis for each reduced one."""
    shape = tuple(source.tensor.shape)
    if dims is None or dims == []:
        reduced = set(range(len(shape)))
    else:
        reduced = {d % len(shape) for d in ([dims] if isinstance(dims, int) else dims)}
    rest = iter(look.index)
    axes: list[Any] = []
    for d, size in enumerate(shape):
        if d in reduced:
            axes.append(range(size))
            if keep:
                next(rest)
        else:
            axes.append(next(rest))
    return grid(shape, *axes)


def _taken(look: Look) -> np.ndarray:
    source = look.arg("self")
    dims = look.op.args.get("dim")
    places = along(look, source, dims, bool(look.arg("keepdim", False)))
    return look.take("x", source, places, "the numbers that are put together").astype(np.float64)


def total(look: Look) -> Worked:
    """`sum`."""
    x = _taken(look)
    return look.done("y = Σ x", [("y", "sum(x)", "the sum")], bound=of_sum(x, look.unit))


def mean(look: Look) -> Worked:
    """`mean`."""
    x = _taken(look)
    lines = [("y", "mean(x)", f"the sum divided by {x.size}")]
    bound = of_sum(x, look.unit) / max(1, x.size) + 2 * look.unit * abs(look.own)
    return look.done(f"y = Σ x / {x.size}", lines, bound=bound)


def largest(look: Look) -> Worked:
    """`amax`."""
    _taken(look)
    return look.done("y = the largest x", [("y", "max(x)", "the largest")])


def smallest(look: Look) -> Worked:
    """`amin`."""
    _taken(look)
    return look.done("y = the smallest x", [("y", "min(x)", "the smallest")])


def both_ends(look: Look) -> Worked:
    """`aminmax`: the smallest and the largest."""
    kind = "max" if look.output else "min"
    _taken(look)
    return look.done(f"y = the {kind}imum of x", [("y", f"{kind}(x)", "it")])


def times(look: Look) -> Worked | None:
    """`prod`, of so few numbers that it can be written out."""
    x = _taken(look)
    if not 0 < x.size <= 64 or x.ndim != 1:
        return None
    product = " * ".join(f"x[{i}]" for i in range(x.size))
    return look.done(
        "y = Π x", [("y", product, "the product")], bound=x.size * look.unit * abs(look.own)
    )


def log_sum_exp(look: Look) -> Worked:
    """`logsumexp`; the largest is taken off, so that no power overflows."""
    _taken(look)
    lines = [
        ("m", "max(x)", "the largest"),
        ("s", "sum(exp(x - m))", "the sum of the powers of e, the largest taken off"),
        ("y", "m + log(s)", "the logarithm of the whole sum"),
    ]
    return look.done("y = ln Σ e^x", lines, bound=16 * look.unit * max(1.0, abs(look.own)))


def negative_log_likelihood(look: Look) -> Worked | None:
    """`nll_loss` of (B, C) log probabilities without class weights: of each row, less its target's."""
    source, target = look.arg("self"), look.arg("target")
    if look.op.args.get("weight") is not None or source.tensor.ndim != 2 or look.output > 0:
        return None
    classes, ignored = source.tensor.shape[1], look.arg("ignore_index", -100)
    rows = np.arange(source.tensor.shape[0]) if not look.index else np.asarray([look.index[0]])
    truth = look.take("target", target, rows, "the true classes").astype(np.int64)
    kept = truth != ignored
    x = look.take("x", source, (rows * classes + truth)[kept], "their log probabilities")
    reduction = look.arg("reduction", 1) if not look.index else 2
    if not kept.any() and reduction == 2:
        return look.done("y = 0, for a row that is ignored", [("y", "sum(x)", "nothing")])
    name = "mean" if reduction == 1 else "sum"
    lines = [("y", f"-{name}(x)", f"the {name}, its sign turned")]
    return look.done("y = −ln p", lines, bound=of_sum(x, look.unit))


def some(look: Look) -> Worked:
    """`any` and `all` of truths."""
    _taken(look)
    if look.op.name == "any":
        return look.done("y = 1 where any x is not 0", [("y", "max(x != 0)", "any")])
    return look.done("y = 1 where all x are not 0", [("y", "min(x != 0)", "all")])


def variance(look: Look) -> Worked:
    """`var`, `std` and `var_mean`; divided by the count less a correction."""
    x = _taken(look)
    if look.op.name == "var_mean" and look.output == 1:
        return look.done("y = Σ x / n", [("y", "mean(x)", "the mean")], bound=of_sum(x, look.unit))
    correction = look.op.args.get("correction")
    if correction is None:
        correction = 0 if look.op.args.get("unbiased") is False else 1
    look.setting("n", x.size - correction, f"{x.size} numbers, less {correction}")
    lines = [
        ("m", "mean(x)", "the mean"),
        ("v", "sum((x - m) ** 2) / n", "the mean square of the distances"),
    ]
    spread = (x - x.mean()) ** 2
    bound = 8 * look.unit * abs(look.own) + of_sum(spread, look.unit) / max(1, x.size)
    if look.op.name == "std":
        lines.append(("y", "sqrt(v)", "its root"))
        return look.done("y = √(Σ (x − mean)² / n)", lines, bound=bound)
    return look.done("y = Σ (x − mean)² / n", lines, bound=bound)


def norm(look: Look) -> Worked | None:
    """`norm` and `linalg_vector_norm`, of order 1, 2 or infinity."""
    order = look.op.args.get("ord", look.op.args.get("p", 2))
    order = 2 if order is None else order
    if order not in (1, 2, float("inf")):
        return None
    x = _taken(look)
    formula, expression = {
        1: ("y = Σ |x|", "sum(abs(x))"),
        2: ("y = √Σ x²", "sqrt(sum(x ** 2))"),
        float("inf"): ("y = the largest |x|", "max(abs(x))"),
    }[order]
    bound = of_sum(np.abs(x), look.unit) if order == 1 else 64 * look.unit * abs(look.own)
    return look.done(formula, [("y", expression, "the norm")], bound=bound)


def running_sum(look: Look) -> Worked:
    """`cumsum`: everything up to here."""
    source, dim = look.arg("self"), look.op.args["dim"]
    shape = tuple(source.tensor.shape)
    dim %= max(1, len(shape))
    axes: list[Any] = list(look.index)
    if shape:
        axes[dim] = range(look.index[dim] + 1)
    x = look.take("x", source, grid(shape, *axes), "the numbers up to here").astype(np.float64)
    return look.done("y = Σ x", [("y", "sum(x)", "the sum so far")], bound=of_sum(x, look.unit))


def softmax(look: Look) -> Worked:
    """`softmax` and `log_softmax`; the largest score is taken off, so that no power overflows."""
    source, dim = look.arg("self"), look.op.args["dim"]
    shape = tuple(source.tensor.shape)
    axes: list[Any] = list(look.index)
    dim %= max(1, len(shape))
    place = 0
    if shape:
        place, axes[dim] = look.index[dim], range(shape[dim])
    places = grid(shape, *axes).reshape(-1)
    own = np.zeros(places.shape)
    own[place] = 1.0
    look.take("x", source, places, "the scores", weights=own)
    lines = [
        ("m", "max(x)", "the largest score"),
        ("e", "exp(x - m)", "its powers of e, the largest taken off"),
        ("s", "sum(e)", "their sum"),
    ]
    if look.op.name == "_log_softmax":
        lines.append(("y", f"x[{place}] - m - log(s)", "the logarithm of the share"))
        return look.done("y = x − ln Σ e^x", lines, bound=8 * look.unit * abs(look.own))
    if look.op.name == "_safe_softmax" and not np.isfinite(source.tensor.reshape(-1)[places].max()):
        return look.done("y = 0 where all scores are −∞", [("y", "0 * sum(x == x)", "no share")])
    lines.append(("y", f"e[{place}] / s", "the share of this one"))
    return look.done("y = e^x / Σ e^x", lines, bound=16 * look.unit)


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    "sum": total,
    "mean": mean,
    "amax": largest,
    "amin": smallest,
    **dict.fromkeys(("any", "all"), some),
    **dict.fromkeys(("var", "std", "var_mean"), variance),
    **dict.fromkeys(("norm", "linalg_vector_norm"), norm),
    "cumsum": running_sum,
    "aminmax": both_ends,
    "prod": times,
    "logsumexp": log_sum_exp,
    "nll_loss_forward": negative_log_likelihood,
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax"), softmax),
}
"""ATen's name -> what explains it."""
