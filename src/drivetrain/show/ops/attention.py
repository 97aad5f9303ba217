"""Attention: how much each place counts for this one, and the mean of their values weighed so.

Paper: Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np
import torch

from drivetrain.show.ops.look import Look, Worked, grid, of_sum, ravel
from drivetrain.show.record import Value


def attention(look: Look) -> Worked | None:
    """`scaled_dot_product_attention`, without dropout: (…, T, E), (…, S, E), (…, S, D) -> (…, T, D)."""
    if look.output > 0 or look.arg("dropout_p", 0.0):
        return None
    q, k, v = look.arg("query"), look.arg("key"), look.arg("value")
    *batch, time, feature = look.index
    shape_q, shape_k, shape_v = (tuple(part.tensor.shape) for part in (q, k, v))
    if shape_q[:-2] != shape_k[:-2]:
        return None
    length, width = shape_k[-2], shape_q[-1]
    scale = look.arg("scale") or 1 / sqrt(width)
    places_k = grid(shape_k, *batch, range(length), range(width))
    places_v = grid(shape_v, *batch, range(length), feature)
    look.take("q", q, grid(shape_q, *batch, time, range(width)), "the query of this place")
    keys = look.take("k", k, places_k, "the keys of all places")
    values = look.take("v", v, places_v, f"feature {feature} of the values of all places")
    look.setting("scale", scale, f"1 / √{width}, which keeps the scores in bounds")
    query = look.pieces[0].term.value
    lines = [("s", "matmul(k, q) * scale", "the score of each place")]
    scores = keys @ query * scale
    mask = look.arg("attn_mask", look.arg("attn_bias"))
    if isinstance(mask, Value):
        shape_m = tuple(mask.tensor.shape)
        lead = look.index[:-1][len(look.index) - len(shape_m) :]  # what it has of batch and time
        where = [0 if n == 1 else i for n, i in zip(shape_m, lead, strict=False)]
        last = [0] * length if shape_m[-1] == 1 else range(length)
        places_m = grid(shape_m, *where, last)
        seen = look.take("mask", mask, places_m, "which places may be looked at")
        if mask.tensor.dtype is torch.bool:
            look.setting("never", -np.inf, "the score of a place that may not be looked at")
            lines.append(
                ("a", "where(mask, s, never)", "the scores of those that may be looked at")
            )
            scores = np.where(seen != 0, scores, -np.inf)
        else:
            lines.append(("a", "s + mask", "with the mask added"))
            scores = scores + seen
    elif look.arg("is_causal", False):
        allowed = (np.arange(length) <= time).astype(np.int64)
        look.setting("mask", allowed, "places up to this one")
        look.setting("never", -np.inf, "the score of a later place")
        lines.append(("a", "where(mask, s, never)", "the scores of places up to this one"))
        scores = np.where(allowed, scores, -np.inf)
    else:
        lines.append(("a", "s", "all places may be looked at"))
    lines += [
        ("e", "exp(a - max(a))", "powers of e, the largest score taken off"),
        ("p", "e / sum(e)", "the weight of each place: a softmax"),
        ("y", "sum(p * v)", "the mean of the values, weighed so"),
    ]
    weights = np.exp(scores - scores.max()) if np.isfinite(scores.max()) else np.zeros(length)
    weights = weights / max(weights.sum(), 1e-300)
    # A score that is off by d moves its weight by the share d, and so the mean by at most d·Σp|v − y|.
    best = int(weights.argmax())
    off = of_sum(keys[best] * query * scale, look.unit) + 2 * look.unit * np.abs(scores[best])
    bound = of_sum(weights * values, look.unit) + 2 * off * float(
        (weights * np.abs(values - look.own)).sum()
    )
    look.follow(v, int(places_v[best]))
    look.follow(k, ravel((*batch, best, 0), shape_k))
    return look.done("y = Σ softmax(q·k / √E) · v", lines, bound=float(bound))


HANDLERS: Mapping[str, Callable[[Look], Any]] = dict.fromkeys(
    (
        "scaled_dot_product_attention",
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention",
    ),
    attention,
)
"""ATen's name -> what explains it."""
