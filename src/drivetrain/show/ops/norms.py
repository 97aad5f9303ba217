"""Normalisation: over the batch, over the features, over groups of channels.

Papers: Ioffe & Szegedy 2015, arXiv:1502.03167 (batchnorm); Ba et al. 2016, arXiv:1607.06450 (layernorm);
Wu & He 2018, arXiv:1803.08494 (groupnorm); Zhang & Sennrich 2019, arXiv:1910.07467 (RMSNorm).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from drivetrain.show.ops.look import Line, Look, Worked, grid, of_sum, ravel


def batch_norm(look: Look) -> Worked | None:
    """With running statistics in evaluation, with the batch's own in training."""
    if look.output > 0:
        return None
    source = look.arg("input", look.arg("self"))
    shape, channel = tuple(source.tensor.shape), look.index[1]
    place = ravel(look.index, shape)
    eps = look.arg("eps", look.arg("epsilon", 1e-5))
    is_training = look.op.args.get("training", "no_training" not in look.op.name)
    if is_training or look.op.args.get("running_mean") is None:
        places = grid(shape, range(shape[0]), channel, *(range(size) for size in shape[2:]))
        at = tuple(np.argwhere(places == place)[0].tolist())
        mark = (places == place).astype(np.float64)
        x = look.take("x", source, places, "the channel in the whole batch", weights=mark)
        lines: list[Line] = [
            ("m", "mean(x)", "the batch's mean"),
            ("v", "mean((x - m) ** 2)", "the batch's variance"),
        ]
        here, m, v = f"x[{', '.join(map(str, at))}]", float(x.mean()), float(x.var())
        size = float(np.abs(x).max())
    else:
        size = float(look.take("x", source, place, "the number that comes in"))
        m = float(look.take("m", look.arg("running_mean"), channel, "the running mean"))
        v = float(look.take("v", look.arg("running_var"), channel, "the running variance"))
        here, lines = "x", []
    return _normalised(look, here, lines, eps, channel, size, m, v)


def _normalised(
    look: Look, here: str, lines: list[Line], eps: float, place: int, x: float, m: float, v: float
) -> Worked:
    look.setting("eps", eps, "keeps the root from 0")
    lines.append(("z", f"({here} - m) / sqrt(v + eps)", "how many deviations it is from the mean"))
    formula, expression, scale, shift = "y = (x − m) / √(v + ε)", "z", 1.0, 0.0
    if look.op.args.get("weight") is not None:
        scale = float(look.take("g", look.arg("weight"), place, "the scale that is learnt"))
        formula, expression = f"{formula} · γ", "z * g"
    if look.op.args.get("bias") is not None:
        shift = float(look.take("b", look.arg("bias"), place, "the shift that is learnt"))
        formula, expression = f"{formula} + β", f"{expression} + b"
    lines.append(("y", expression, "scaled and shifted" if expression != "z" else "the result"))
    slope = abs(scale) / np.sqrt(v + eps) if v + eps > 0 else 0.0
    # x and m are each rounded when they are multiplied by the slope and subtracted
    bound = look.unit * (6 * slope * (abs(x) + abs(m)) + 4 * abs(shift) + 8 * abs(look.own))
    return look.done(formula, lines, bound=float(bound))


def layer_norm(look: Look) -> Worked | None:
    """Over the last axes of each item."""
    if look.output > 0:
        return None
    source = look.arg("input")
    shape = tuple(source.tensor.shape)
    over = look.op.args.get("normalized_shape") or []
    size = prod(over)
    place = ravel(look.index, shape)
    first, inside = place // size * size, place % size
    places = first + np.arange(size)
    mark = np.zeros(size)
    mark[inside] = 1.0
    x = look.take("x", source, places, "the features of this item", weights=mark).astype(np.float64)
    if "rms" in look.op.name:
        return _root_mean_square(look, x, inside)
    lines: list[Line] = [
        ("m", "mean(x)", "their mean"),
        ("v", "mean((x - m) ** 2)", "their variance"),
    ]
    size_of = float(np.abs(x).max())
    return _normalised(
        look, f"x[{inside}]", lines, look.arg("eps", 1e-5), inside, size_of, x.mean(), x.var()
    )


def _root_mean_square(look: Look, x: np.ndarray, inside: int) -> Worked:
    eps = look.op.args.get("eps")
    eps = 2.0**-23 if eps is None else eps
    look.setting("eps", eps, "keeps the root from 0")
    lines: list[Line] = [("r", "sqrt(mean(x ** 2) + eps)", "the root of their mean square")]
    formula, expression = "y = x / √(mean x² + ε)", f"x[{inside}] / r"
    if look.op.args.get("weight") is not None:
        look.take("g", look.arg("weight"), inside, "the scale that is learnt")
        formula, expression = f"{formula} · γ", f"{expression} * g"
    lines.append(("y", expression, "the result"))
    bound = look.unit * (16 * abs(look.own)) + of_sum(x**2, look.unit) / max(
        1.0, float((x**2).sum())
    )
    return look.done(formula, lines, bound=bound)


def group_norm(look: Look) -> Worked | None:
    """Over groups of channels of each item; with as many groups as channels it is `instance_norm`."""
    if look.output > 0:
        return None
    source = look.arg("input")
    shape = tuple(source.tensor.shape)
    groups = int(look.arg("group", look.arg("num_groups", 1)))
    item, channel = look.index[:2]
    width = shape[1] // groups
    group = channel // width
    places = grid(
        shape, item, range(group * width, (group + 1) * width), *(range(size) for size in shape[2:])
    )
    at = tuple(np.argwhere(places == ravel(look.index, shape))[0].tolist())
    mark = np.zeros(places.shape)
    mark[at] = 1.0
    x = look.take("x", source, places, "the channels of the group", weights=mark).astype(np.float64)
    lines: list[Line] = [
        ("m", "mean(x)", "their mean"),
        ("v", "mean((x - m) ** 2)", "their variance"),
    ]
    here = f"x[{', '.join(map(str, at))}]"
    size = float(np.abs(x).max())
    return _normalised(look, here, lines, look.arg("eps", 1e-5), channel, size, x.mean(), x.var())


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **dict.fromkeys(
        (
            *("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"),
            *(
                "_native_batch_norm_legit_no_training",
                "_batch_norm_with_update",
                "miopen_batch_norm",
            ),
            "_batch_norm_no_update",
        ),
        batch_norm,
    ),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), layer_norm),
    "native_group_norm": group_norm,
}
"""ATen's name -> what explains it."""
