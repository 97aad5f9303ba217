"""Dropout: in training some numbers are put to zero, drawn anew each time. Twin of `torch.nn.Dropout`.

A layer that cannot rely on any single number learns to use all of them. What stays is divided by the
share that stays, so that sums are on average what they were; so at predict time nothing is left to do.
Paper: Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html (which scales at predict time
instead).

Which numbers are drawn together is all that the kinds of dropout differ in, and a mask says it by its
shape, as it broadcasts:

    (B, H)         each number by itself: `torch.nn.Dropout`
    (B, C, 1, 1)   a channel as a whole: `torch.nn.Dropout2d`
    (B, 1, H)      the same numbers at every time: `drivetrain.nn.dropouts.VariationalDropout`
    (V, 1)         a word's whole vector: `drivetrain.nn.dropouts.EmbeddingDropout`
    (B, 1, 1, 1)   all that a residual block adds for an item: `StochasticDepth`
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mask(shape: Sequence[int], p: float, draw: np.random.Generator) -> np.ndarray:
    """What to multiply by: 0 with probability p, else 1 / (1 - p); on average 1.

    >>> np.unique(mask((4, 5), 0.5, np.random.default_rng(0))).tolist()
    [0.0, 2.0]

    Raises: ValueError: p is not in [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(
            f"Dropout got p = {p}, expected 0 to below 1: it is the share that is lost."
        )
    stays = draw.random(tuple(shape)) >= p
    return stays / (1 - p)


def dropout(x: np.ndarray, drawn: np.ndarray | None) -> np.ndarray:
    """x times its mask in training; x itself at predict time, when none is drawn."""
    return x if drawn is None else x * drawn


def dropout_gradient(pull: np.ndarray, drawn: np.ndarray | None) -> np.ndarray:
    """The same mask again: what was dropped gets no gradient, what was scaled up gets more.

    So the mask has to be kept from the way forward, and must not be drawn twice.
    """
    return pull if drawn is None else pull * drawn
