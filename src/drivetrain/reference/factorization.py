"""Factorisation by hand: look-up, dot product, gradients, steps, pairs of items, least squares.

Twin of drivetrain.models.factorization and drivetrain.collab.implicit. Everything is said for one
rating, one triple or one user, and many of them are a Python loop.

Papers: Koren, Bell & Volinsky 2009, doi:10.1109/MC.2009.263 (dot product and biases); Kingma & Ba 2014,
arXiv:1412.6980 (Adam); Rendle et al. 2009, arXiv:1205.2618 (pairs); Hu, Koren & Volinsky 2008,
doi:10.1109/ICDM.2008.22 (least squares in turn).

Letters: u a user and i an item, as row numbers; p the vector of a user and q that of an item, (K,); b and
c their biases; r a rating.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Range = tuple[float, float] | None


# --- a table of vectors: looking one up is a product with a matrix -----------------------------------


def one_hot(codes: Sequence[int], num_rows: int, dtype: type = np.float64) -> np.ndarray:
    """(B, num_rows): a row for each code, with a one at its place and zeros elsewhere."""
    rows = np.zeros((len(codes), num_rows), dtype)
    for row, code in enumerate(codes):
        rows[row, code] = 1
    return rows


def looked_up(codes: Sequence[int], table: np.ndarray) -> np.ndarray:
    """(B, K): one-hot rows times the table. Zeros times rows, and one row times one: that row itself."""
    return one_hot(codes, len(table), table.dtype.type) @ table


# --- the prediction ---------------------------------------------------------------------------------


@dataclass
class Tables:
    """What is learnt, or a gradient of it, which has the same shapes."""

    users: np.ndarray
    """(U, K), a vector p a row."""
    items: np.ndarray
    """(I, K), a vector q a row."""
    user_bias: np.ndarray
    """(U,)."""
    item_bias: np.ndarray
    """(I,)."""

    def zeros(self) -> Tables:
        """Nothing yet, of the same shapes."""
        return Tables(*[np.zeros_like(part) for part in self.parts()])

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The four arrays themselves."""
        return self.users, self.items, self.user_bias, self.item_bias


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), from the side on which e to the power of it stays small."""
    return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))


def score(tables: Tables, u: int, i: int) -> float:
    """s = p · q + b + c: how far their tastes agree, how generous u is, how much all like i."""
    s = tables.user_bias[u] + tables.item_bias[i]
    for k in range(tables.users.shape[1]):
        s += tables.users[u, k] * tables.items[i, k]
    return float(s)


def predicted(tables: Tables, u: int, i: int, y_range: Range = None) -> float:
    """The score itself, or low + (high - low) · σ(s)."""
    s = score(tables, u, i)
    if y_range is None:
        return s
    low, high = y_range
    return low + (high - low) * sigmoid(s)


# --- the gradient of a squared error ----------------------------------------------------------------


def rating_gradient(
    tables: Tables, u: int, i: int, r: float, y_range: Range = None
) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Loss (ŷ - r)² of one rating, and what it would change by: for p, for q, and for each bias.

    By the chain rule: 2 (ŷ - r) for the prediction; for the score times the sigmoid's own slope,
    (high - low) · σ (1 - σ); for p times q, for q times p, and for each bias times 1.
    """
    s = score(tables, u, i)
    if y_range is None:
        prediction, slope = s, 1.0
    else:
        low, high = y_range
        share = sigmoid(s)
        prediction, slope = low + (high - low) * share, (high - low) * share * (1 - share)
    of_score = 2 * (prediction - r) * slope
    p, q = tables.users[u], tables.items[i]
    return (prediction - r) ** 2, of_score * q, of_score * p, of_score


def batch_gradient(
    tables: Tables,
    pairs: Sequence[tuple[int, int]],
    ratings: Sequence[float],
    y_range: Range = None,
) -> tuple[float, Tables]:
    """Mean loss of a batch and its gradient. A user who stands in it twice gets both pulls added up."""
    total, gradient = 0.0, tables.zeros()
    for (u, i), r in zip(pairs, ratings, strict=True):
        loss, of_p, of_q, of_bias = rating_gradient(tables, u, i, r, y_range)
        total += loss / len(pairs)
        gradient.users[u] += of_p / len(pairs)
        gradient.items[i] += of_q / len(pairs)
        gradient.user_bias[u] += of_bias / len(pairs)
        gradient.item_bias[i] += of_bias / len(pairs)
    return total, gradient


# --- steps ------------------------------------------------------------------------------------------


def sgd_step(tables: Tables, gradient: Tables, *, lr: float, weight_decay: float = 0.0) -> None:
    """θ ← θ - lr (g + weight_decay · θ), in place."""
    for θ, g in zip(tables.parts(), gradient.parts(), strict=True):
        θ -= lr * (g + weight_decay * θ)


@dataclass
class Adam:
    """Adam over the four tables; the decay stands beside the step, as in AdamW.

    m and v are the running means of g and g². A row that is in no batch has g = 0 and moves all the same
    for a while, since m takes time to fade.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-5
    weight_decay: float = 0.0
    t: int = 0
    m: list[np.ndarray] = field(default_factory=list)
    v: list[np.ndarray] = field(default_factory=list)

    def step(self, tables: Tables, gradient: Tables) -> None:
        """Move every number of the tables once, in place."""
        if self.t == 0:
            self.m, self.v = list(tables.zeros().parts()), list(tables.zeros().parts())
        self.t += 1
        β1, β2 = self.betas
        for θ, g, m, v in zip(tables.parts(), gradient.parts(), self.m, self.v, strict=True):
            m[:] = β1 * m + (1 - β1) * g
            v[:] = β2 * v + (1 - β2) * g * g
            m_hat, v_hat = m / (1 - β1**self.t), v / (1 - β2**self.t)
            θ -= self.lr * self.weight_decay * θ
            θ -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


# --- events instead of ratings: an item that happened above one that did not --------------------------


def triple_gradient(tables: Tables, u: int, i: int, j: int) -> tuple[float, Tables]:
    """Loss -log σ(d) where d = s(u, i) - s(u, j): u has to do with i and not with j.

    Its slope for d is σ(d) - 1: near 0 where i stands well above j, near -1 where it stands well below.
    Then d is p · (q_i - q_j) + c_i - c_j; u's bias falls out.
    """
    d = score(tables, u, i) - score(tables, u, j)
    loss = float(
        np.log1p(np.exp(-abs(d))) + max(-d, 0)
    )  # log(1 + e^-d) without e of a large number
    of_d = sigmoid(d) - 1
    p, gradient = tables.users[u], tables.zeros()
    gradient.users[u] += of_d * (tables.items[i] - tables.items[j])
    gradient.items[i] += of_d * p
    gradient.items[j] -= of_d * p
    gradient.item_bias[i] += of_d
    gradient.item_bias[j] -= of_d
    return loss, gradient


def triples_gradient(
    tables: Tables, triples: Sequence[tuple[int, int, int]]
) -> tuple[float, Tables]:
    """Mean loss of a batch of triples, and its gradient."""
    total, gradient = 0.0, tables.zeros()
    for u, i, j in triples:
        loss, one = triple_gradient(tables, u, i, j)
        total += loss / len(triples)
        for whole, part in zip(gradient.parts(), one.parts(), strict=True):
            whole += part / len(triples)
    return total, gradient


# --- all pairs at once: least squares, for one side after the other ----------------------------------


def weighted_loss(
    users: np.ndarray,
    items: np.ndarray,
    counts: np.ndarray,
    *,
    alpha: float,
    regularization: float,
) -> float:
    """Σ over all users and items of (1 + alpha r) [(happened - p · q)² + λ (|p|² + |q|²)].

    Args:
        users, items: (U, K), (I, K).
        counts: (U, I) r, how often; 0 where nothing happened, which counts too, if little.
        alpha: what each r adds to the 1 that every pair counts.
        regularization: λ.
    """
    total = 0.0
    for u in range(len(users)):
        for i in range(len(items)):
            r = counts[u, i]
            happened = 1.0 if r > 0 else 0.0
            squares = users[u] @ users[u] + items[i] @ items[i]
            error = (happened - users[u] @ items[i]) ** 2
            total += (1 + alpha * r) * (error + regularization * squares)
    return float(total)


def half_step(
    items: np.ndarray, counts: np.ndarray, *, alpha: float, regularization: float
) -> np.ndarray:
    """The best vector of each user while those of the items stand still, (U, K).

    With one side fixed the loss is a square in the other, lowest where (Σ w (q qᵀ + λ 1)) p = Σ w q: the
    first sum over all items with w = 1 + alpha r, the second over those that happened. For the other
    side give the users' vectors and the transposed counts.
    """
    K = items.shape[1]
    users = np.zeros((len(counts), K))
    for u in range(len(counts)):
        A, right = np.zeros((K, K)), np.zeros(K)
        for i, q in enumerate(items):
            w = 1 + alpha * counts[u, i]
            A += w * (np.outer(q, q) + regularization * np.eye(K))
            if counts[u, i] > 0:
                right += w * q
        users[u] = np.linalg.solve(A, right)
    return users
