"""Operations on each number by itself: activations, arithmetic of two tensors, comparisons, conversions.

The tables hold, for each of ATen's names, the formula for people and the expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from drivetrain.show.ops.look import Look, Worked, ravel
from drivetrain.show.record import Value

ONE: Mapping[str, tuple[str, str]] = {
    "abs": ("y = |x|", "abs(x)"),
    "ceil": ("y = the smallest whole number from x up", "-floor(-x)"),
    "cos": ("y = cos x", "cos(x)"),
    "erf": ("y = erf x", "erf(x)"),
    "exp": ("y = e^x", "exp(x)"),
    "expm1": ("y = e^x − 1", "exp(x) - 1"),
    "floor": ("y = the largest whole number up to x", "floor(x)"),
    "hardsigmoid": ("y = min(max(x + 3, 0), 6) / 6", "clip(x + 3, 0, 6) / 6"),
    "hardswish": ("y = x · min(max(x + 3, 0), 6) / 6", "x * clip(x + 3, 0, 6) / 6"),
    "isinf": ("y = 1 where x is +∞ or −∞", "(x == x) * (x - x != x - x)"),
    "isnan": ("y = 1 where x is no number", "x != x"),
    "log": ("y = ln x", "log(x)"),
    "log10": ("y = log₁₀ x = ln x / ln 10", "log(x) / log(10)"),
    "log1p": ("y = ln(1 + x)", "log(1 + x)"),
    "log2": ("y = log₂ x = ln x / ln 2", "log(x) / log(2)"),
    "log_sigmoid_forward": (
        "y = ln σ(x) = min(x, 0) − ln(1 + e^−|x|)",
        "min(x, 0) - log(1 + exp(-abs(x)))",
    ),
    "logical_not": ("y = 1 where x is 0, else 0", "x == 0"),
    "mish": ("y = x · tanh(ln(1 + e^x))", "x * tanh(max(x, 0) + log(1 + exp(-abs(x))))"),
    "neg": ("y = −x", "-x"),
    "reciprocal": ("y = 1 / x", "1 / x"),
    "relu": ("y = max(0, x)", "relu(x)"),
    "relu6": ("y = min(max(0, x), 6)", "clip(x, 0, 6)"),
    "rsqrt": ("y = 1 / √x", "rsqrt(x)"),
    "selu": (
        "y = 1.0507 · (x where x > 0, else 1.6733 · (e^x − 1))",
        "1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * (exp(min(x, 0)) - 1))",
    ),
    "sgn": ("y = the sign of x", "(x > 0) - (x < 0)"),
    "sigmoid": ("y = 1 / (1 + e^−x)", "sigmoid(x)"),
    "sign": ("y = the sign of x", "(x > 0) - (x < 0)"),
    "silu": ("y = x / (1 + e^−x)", "x * sigmoid(x)"),
    "sin": ("y = sin x", "sin(x)"),
    "sqrt": ("y = √x", "sqrt(x)"),
    "square": ("y = x²", "x ** 2"),
    "tanh": ("y = tanh x", "tanh(x)"),
}
"""Of one tensor."""

TWO: Mapping[str, tuple[str, str]] = {
    "div": ("y = a / b", "a / b"),
    "eq": ("y = 1 where a = b, else 0", "a == b"),
    "ge": ("y = 1 where a ≥ b, else 0", "a >= b"),
    "gt": ("y = 1 where a > b, else 0", "a > b"),
    "le": ("y = 1 where a ≤ b, else 0", "a <= b"),
    "logical_and": ("y = 1 where a and b are not 0, else 0", "(a != 0) * (b != 0)"),
    "logical_or": ("y = 1 where a or b is not 0, else 0", "max(a != 0, b != 0)"),
    "lt": ("y = 1 where a < b, else 0", "a < b"),
    "maximum": ("y = the larger of a and b", "max(a, b)"),
    "minimum": ("y = the smaller of a and b", "min(a, b)"),
    "mul": ("y = a · b", "a * b"),
    "ne": ("y = 1 where a ≠ b, else 0", "a != b"),
    "pow": ("y = a^b", "a ** b"),
    "remainder": ("y = a − b · ⌊a / b⌋", "a - b * floor(a / b)"),
}
"""Of two tensors, or a tensor and a number."""


def one(look: Look) -> Worked:
    """Any of `ONE`."""
    formula, expression = ONE[look.op.name]
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    return _result(look, formula, expression)


def two(look: Look) -> Worked:
    """Any of `TWO`."""
    formula, expression = TWO[look.op.name]
    second = "exponent" if "exponent" in look.op.args else "other"
    _pair(look, "self", second)
    rounding = look.op.args.get("rounding_mode")
    if rounding == "floor":
        return _result(look, "y = ⌊a / b⌋", "floor(a / b)")
    if rounding == "trunc":
        return _result(look, "y = a / b without its decimals", _truncated("(a / b)"))
    return _result(look, formula, expression)


def _pair(look: Look, first: str, second: str) -> None:
    look.take("a", look.op.args[first], look.same_place(first), "the first number")
    look.take("b", look.op.args[second], look.same_place(second), "the second number")


def add(look: Look) -> Worked:
    """`add`, `sub` and `rsub`, with their factor alpha."""
    _pair(look, "self", "other")
    alpha = look.arg("alpha", 1)
    sign, symbol = ("+", "+") if look.op.name == "add" else ("-", "−")
    if look.op.name == "rsub":
        return _scaled(look, alpha, "y = b − {}a", "b - {}a")
    return _scaled(look, alpha, f"y = a {symbol} {{}}b", f"a {sign} {{}}b")


def _scaled(look: Look, alpha: float, formula: str, expression: str) -> Worked:
    if alpha == 1:
        return _result(look, formula.format(""), expression.format(""))
    look.setting("alpha", alpha, "the factor of the second number")
    return _result(look, formula.format("α·"), expression.format("alpha * "))


def clamp(look: Look) -> Worked:
    """`clamp`, `clamp_min`, `clamp_max`, `hardtanh`."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    low = look.arg("min", look.arg("min_val"))
    high = look.arg("max", look.arg("max_val"))
    expression, formula = "x", "x"
    for name, bound, words in (("low", low, "the lowest"), ("high", high, "the highest")):
        if bound is None:
            continue
        place = 0
        if isinstance(bound, Value):
            place = int(look.same_place("min" if name == "low" else "max"))
        look.take(name, bound, place, f"{words} that is let through", role="setting")
        kind = "max" if name == "low" else "min"
        expression, formula = f"{kind}({expression}, {name})", f"{kind}({formula}, {name})"
    return _result(look, f"y = {formula}", expression)


def gelu(look: Look) -> Worked:
    """x·Φ(x), or its approximation by tanh. Paper: Hendrycks & Gimpel 2016, arXiv:1606.08415."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    if look.arg("approximate", "none") == "tanh":
        lines = [
            ("inner", "0.7978845608028654 * (x + 0.044715 * x ** 3)", "√(2/π) · (x + 0.044715 x³)"),
            ("y", "0.5 * x * (1 + tanh(inner))", "the result"),
        ]
        return look.done("y = ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))", lines, bound=_bound(look))
    lines = [
        (
            "share",
            "0.5 * (1 + erf(x / 1.4142135623730951))",
            "Φ(x): a standard normal number is below x",
        ),
        ("y", "x * share", "the result"),
    ]
    return look.done("y = x·Φ(x) = x·½·(1 + erf(x / √2))", lines, bound=_bound(look))


def leaky_relu(look: Look) -> Worked:
    """x, or a part of it below 0."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.setting("slope", look.arg("negative_slope", 0.01), "the slope below 0")
    return _result(look, "y = x where x > 0, else slope·x", "where(x > 0, x, slope * x)")


def prelu(look: Look) -> Worked:
    """The same with a slope that is learnt."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.take("slope", look.arg("weight"), look.same_place("weight"), "the slope below 0")
    return _result(look, "y = x where x > 0, else slope·x", "where(x > 0, x, slope * x)")


def elu(look: Look) -> Worked:
    """An exponential below 0."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.setting("alpha", look.arg("alpha", 1), "how far below 0 it goes")
    look.setting("scale", look.arg("scale", 1), "the factor of the whole")
    look.setting("input_scale", look.arg("input_scale", 1), "the factor of x below 0")
    return _result(
        look,
        "y = scale · (x where x > 0, else α·(e^(input_scale·x) − 1))",
        "scale * where(x > 0, x, alpha * (exp(input_scale * min(x, 0)) - 1))",
    )


def celu(look: Look) -> Worked:
    """An exponential below 0 that is as steep as x where they meet."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.setting("alpha", look.arg("alpha", 1), "how far below 0 it goes")
    return _result(
        look,
        "y = x where x > 0, else α·(e^(x/α) − 1)",
        "where(x > 0, x, alpha * (exp(min(x, 0) / alpha) - 1))",
    )


def softplus(look: Look) -> Worked:
    """A smooth ReLU; far above 0 it is x itself."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.setting("beta", look.arg("beta", 1), "how sharp the bend is")
    look.setting("threshold", look.arg("threshold", 20), "above it x is taken as it is")
    return _result(
        look,
        "y = ln(1 + e^(β·x)) / β, or x where β·x > threshold",
        "where(beta * x > threshold, x, (max(beta * x, 0) + log(1 + exp(-abs(beta * x)))) / beta)",
    )


def threshold(look: Look) -> Worked:
    """x above a threshold, else a number."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.setting("threshold", look.arg("threshold"), "what x has to be above")
    look.setting("otherwise", look.arg("value"), "what is given else")
    return _result(
        look, "y = x where x > threshold, else a number", "where(x > threshold, x, otherwise)"
    )


def where(look: Look) -> Worked:
    """One of two numbers, by a condition."""
    look.take("c", look.arg("condition"), look.same_place("condition"), "the condition, 1 or 0")
    _pair(look, "self", "other")
    return _result(look, "y = a where c is 1, else b", "where(c, a, b)")


def masked_fill(look: Look) -> Worked:
    """A number where a mask is set."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    look.take("m", look.arg("mask"), look.same_place("mask"), "the mask, 1 or 0")
    look.take("value", look.op.args["value"], 0, "what stands where the mask is 1")
    return _result(look, "y = value where m is 1, else x", "where(m, value, x)")


def glu(look: Look) -> Worked:
    """Half of the numbers, each let through as far as its partner of the other half says."""
    source, dim = look.arg("self"), look.arg("dim", -1)
    shape = tuple(source.tensor.shape)
    dim %= len(shape)
    half = shape[dim] // 2
    other = tuple(i + half if d == dim else i for d, i in enumerate(look.index))
    look.take("a", source, ravel(look.index, shape), "the number of the first half")
    look.take("b", source, ravel(other, shape), "its partner of the second half")
    return _result(look, "y = a · σ(b)", "a * sigmoid(b)")


def nan_to_num(look: Look) -> Worked:
    """NaN and infinities replaced: a plain number stays."""
    look.take("x", look.arg("self"), look.same_place("self"), "the number that comes in")
    top = torch.finfo(look.value.tensor.dtype).max
    look.setting("instead", look.arg("nan", 0.0), "stands for NaN")
    look.setting("high", look.arg("posinf", top), "stands for +infinity")
    look.setting("low", look.arg("neginf", -top), "stands for −infinity")
    return _result(
        look,
        "y = x, where it is a number",
        "where(x != x, instead, clip(where(x == x, x, 0), low, high))",
    )


def fused(look: Look) -> Worked:
    """`addcmul`, `addcdiv` and `lerp`: a number and a product, a quotient, or a way towards another."""
    look.take("x", look.arg("self"), look.same_place("self"), "the first number")
    if look.op.name == "lerp":
        look.take("a", look.arg("end"), look.same_place("end"), "where to")
        look.take("share", look.op.args["weight"], look.same_place("weight"), "how much of the way")
        return _result(look, "y = x + share·(a − x)", "x + share * (a - x)")
    look.take("a", look.arg("tensor1"), look.same_place("tensor1"), "the second number")
    look.take("b", look.arg("tensor2"), look.same_place("tensor2"), "the third number")
    look.setting("value", look.arg("value", 1), "the factor")
    if look.op.name == "addcmul":
        return _result(look, "y = x + value·a·b", "x + value * a * b")
    return _result(look, "y = x + value·a / b", "x + value * a / b")


def bits(look: Look) -> Worked | None:
    """`bitwise_and`, `_or`, `_xor` and `_not` of truths; of whole numbers they are not shown."""
    if look.value.tensor.dtype is not torch.bool:
        return None
    if look.op.name == "bitwise_not":
        look.take("x", look.arg("self"), look.same_place("self"), "the truth that comes in")
        return _result(look, "y = not x", "1 - x")
    _pair(look, "self", "other")
    formula, expression = {
        "bitwise_and": ("y = a and b", "a * b"),
        "bitwise_or": ("y = a or b", "max(a, b)"),
        "bitwise_xor": ("y = a or b, not both", "a != b"),
    }[look.op.name]
    return _result(look, formula, expression)


def convert(look: Look) -> Worked:
    """Another type: whole numbers lose their decimals, truths are 1 or 0, else only precision goes."""
    source = look.arg("self")
    look.take("x", source, look.same_place("self"), "the number that comes in")
    target, before = look.value.tensor.dtype, source.tensor.dtype
    words = f"from {_short(before)} to {_short(target)}"
    if target is torch.bool:
        return _result(look, f"y = 1 where x is not 0, else 0 ({words})", "x != 0")
    if before.is_floating_point and not target.is_floating_point:
        return _result(look, f"y = x without its decimals ({words})", _truncated("x"))
    return _result(look, f"y = x ({words})", "x")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _truncated(text: str) -> str:
    return f"where({text} < 0, -floor(-{text}), floor({text}))"


def _result(look: Look, formula: str, expression: str) -> Worked:
    return look.done(formula, [("y", expression, "the result")], bound=_bound(look))


def _bound(look: Look) -> float:
    """Eight roundings, of the result or of a number that went in."""
    sizes = [np.abs(piece.term.value).max(initial=0.0) for piece in look.pieces]
    largest = max((float(s) for s in sizes if np.isfinite(s)), default=0.0)
    own = abs(look.own)
    return 8 * look.unit * (own if np.isfinite(own) else 0.0) + look.unit * min(largest, 1e6)


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **dict.fromkeys(ONE, one),
    **dict.fromkeys(TWO, two),
    **dict.fromkeys(("add", "sub", "rsub"), add),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh"), clamp),
    **dict.fromkeys(("addcmul", "addcdiv", "lerp"), fused),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"), bits),
    "gelu": gelu,
    "leaky_relu": leaky_relu,
    "_prelu_kernel": prelu,
    "elu": elu,
    "celu": celu,
    "glu": glu,
    "softplus": softplus,
    "threshold": threshold,
    "where": where,
    "masked_fill": masked_fill,
    "nan_to_num": nan_to_num,
    "_to_copy": convert,
}
"""ATen's name -> what explains it."""
