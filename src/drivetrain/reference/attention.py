"""Attention: every position asks all others, and takes the mean of their values by how well they fit.

A query is compared with every key by their product; a softmax makes shares of the scores, and the answer
is the mean of the values by those shares. Several heads do this side by side, each with its own part of
the numbers. Twins of `torch.nn.functional.scaled_dot_product_attention` and
`torch.nn.MultiheadAttention`. Paper: Vaswani et al. 2017, arXiv:1706.03762, sec. 3.2.

Letters: B batch, T positions that ask, S positions that are asked, E numbers a position, H heads,
D = E / H numbers a head; q queries, k keys, v values; leading axes (…) are batch and heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """Shares over the last axis; less the largest first, so that no exponential is too large."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def shares(q: np.ndarray, k: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """How much of each position an asking one takes: softmax of q · k / √D, (…, T, S).

    The product of two vectors of D random numbers has a spread of √D. Undivided, a long vector would
    leave one share of nearly 1, and next to no gradient.

    Args:
        q, k: (…, T, D) and (…, S, D).
        visible: boolean, as (…, T, S): where it is false nothing is taken.

    Raises: ValueError: a position may look at nothing.
    """
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])  # (…, T, S)
    if visible is not None:
        if not visible.any(axis=-1).all():
            raise ValueError(
                "The mask leaves a position nothing to look at, and shares of nothing cannot add up "
                "to 1. Let each position see itself at least."
            )
        scores = np.where(visible, scores, -np.inf)  # e to the power of it is 0
    return softmax(scores)


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, visible: np.ndarray | None = None
) -> np.ndarray:
    """The mean of the values by their shares: (…, T, D)."""
    return shares(q, k, visible) @ v


def attention_gradients(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, pull: np.ndarray, visible: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of q, k and v, from the pull (…, T, D) on the answer.

    Through the softmax: a share grows at the cost of all others, so what moves a score is how much
    better its pull is than the mean pull of the row. A hidden position has share 0, and gradient 0.
    """
    taken = shares(q, k, visible)
    of_v = np.swapaxes(taken, -1, -2) @ pull
    of_taken = pull @ np.swapaxes(v, -1, -2)
    of_scores = taken * (of_taken - (taken * of_taken).sum(axis=-1, keepdims=True))
    of_scores = of_scores / np.sqrt(q.shape[-1])
    return of_scores @ k, np.swapaxes(of_scores, -1, -2) @ q, of_v


def causal(length: int) -> np.ndarray:
    """A mask for writing: position t sees itself and what was before, (T, T).

    >>> causal(3).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    return np.tril(np.ones((length, length), dtype=bool))


# --- heads ----------------------------------------------------------------------------------------


def split(x: np.ndarray, heads: int) -> np.ndarray:
    """(B, T, E) -> (B, H, T, D): the first D numbers are the first head's, and so on."""
    batch, length, width = x.shape
    if width % heads:
        raise ValueError(f"{width} numbers cannot be shared out evenly among {heads} heads.")
    return x.reshape(batch, length, heads, width // heads).swapaxes(1, 2)


def joined(x: np.ndarray) -> np.ndarray:
    """(B, H, T, D) -> (B, T, E)."""
    batch, heads, length, width = x.shape
    return x.swapaxes(1, 2).reshape(batch, length, heads * width)


@dataclass
class MultiHead:
    """Self-attention with several heads, and the linear layers before and after.

    Heads cost nothing extra: the numbers are shared out among them.
    """

    w_in: np.ndarray
    """(3E, E): makes the queries, the keys and the values, in this order."""
    b_in: np.ndarray
    """(3E,)."""
    w_out: np.ndarray
    """(E, E): mixes what the heads found."""
    b_out: np.ndarray
    """(E,)."""
    heads: int

    def parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q, k and v of each head, (B, H, T, D) each, from (B, T, E)."""
        q, k, v = np.split(x @ self.w_in.T + self.b_in, 3, axis=-1)
        return split(q, self.heads), split(k, self.heads), split(v, self.heads)

    def __call__(self, x: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
        """(B, T, E) -> (B, T, E); `visible` broadcasts to (B, H, T, T)."""
        return joined(attention(*self.parts(x), visible)) @ self.w_out.T + self.b_out

    def gradients(
        self, x: np.ndarray, pull: np.ndarray, visible: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Of `x` and of each weight by its name, from the pull (B, T, E): each step back again."""
        q, k, v = self.parts(x)
        found = joined(attention(q, k, v, visible))
        of_found = split(pull @ self.w_out, self.heads)
        of_parts = attention_gradients(q, k, v, of_found, visible)
        of_in = np.concatenate([joined(part) for part in of_parts], axis=-1)  # (B, T, 3E)
        return {
            "x": of_in @ self.w_in,
            "w_in": np.einsum("bti,btj->ij", of_in, x),
            "b_in": of_in.sum(axis=(0, 1)),
            "w_out": np.einsum("bti,btj->ij", pull, found),
            "b_out": pull.sum(axis=(0, 1)),
        }
