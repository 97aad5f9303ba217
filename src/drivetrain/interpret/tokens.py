"""Which tokens an answer comes from: integrated gradients, and three simpler ways beside it.

Paper: Sundararajan, Taly & Yan 2017, arXiv:1703.01365. The vectors of the tokens go in a straight line
from a baseline to what they are, and what each adds to the score on the way is summed. The parts add up
to score(text) - score(baseline) but for the error of the sum; that gap is reported, and steps are added
until it is small. Here the integral is Gauss-Legendre's and not the paper's sum of equal steps, so that
a smooth model needs fewer.

Any model is taken whose tokens enter one `nn.Embedding`; how it is asked, and that nothing of it stays
changed, is said in `interpret.token_question`.

    >>> weights = torch.tensor([[0.0], [2.0], [-1.0]])
    >>> class Bag(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embedding = nn.Embedding.from_pretrained(weights)
    ...
    ...     def forward(self, tokens, lengths):
    ...         return self.embedding(tokens).sum(dim=(1, 2))
    >>> found = integrated_gradients(Bag(), torch.tensor([[1, 2, 1]]), torch.tensor([3]))
    >>> found.values.round(9).tolist(), found.scores
    ([[2.0, -1.0, 2.0]], (3.0,))

Letters: B texts, T tokens, E features of a vector, V words, C classes, R rows of one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.interpret.token_attributions import TokenAttributions
from drivetrain.interpret.token_question import Call, Question, asking

STEPS, MOST_STEPS = 8, 256
"""Points of the integral: at first, and at most."""
TOLERANCE = 0.02
"""Gap that is small enough, as a share of what was attributed."""
BATCH_TOKENS = 16_384
"""Tokens of one call, which bound the memory."""


def integrated_gradients(
    model: nn.Module,
    tokens: Tensor,
    lengths: Tensor | None = None,
    target: int | Sequence[int] | None = None,
    *,
    baseline: str | int | Tensor = "zero",
    keep: Tensor | None = None,
    score: str | None = None,
    embedding: str | nn.Embedding | None = None,
    call: Call | None = None,
    steps: int = STEPS,
    max_steps: int = MOST_STEPS,
    tolerance: float = TOLERANCE,
    batch_tokens: int = BATCH_TOKENS,
) -> TokenAttributions:
    """What each token adds to a score, by the integral of gradients from a baseline to the text.

    Args:
        model: (tokens, lengths) to (B, C) or (B,) outputs, or to (B, T, C), of which the last real
            position counts; in float32 or float64. It is asked in evaluation mode.
        tokens: (B, T) int64, padded at the end.
        lengths: (B,) int64, tokens that are real; None where all are, and the model takes tokens alone.
        target: the class that is asked about, one for all texts or one for each; by default the one
            the model answers. None of a model with one output.
        baseline: the vector of a token that says nothing: "zero", "mean" of all words, the id of a
            token such as padding, or a tensor (E,).
        keep: (B, T) bool, tokens that stay what they are in the baseline, such as the mark of a start.
        score: one of `SCORES`; by default "log_odds" of classes and "output" of a single one.
        embedding: the layer that tokens enter, or its name; by default `find_embedding`.
        call: how the model is asked, where not `model(tokens, lengths)`.
        steps: points of the integral at first; they are doubled for texts whose gap is too large.
        max_steps: points at most.
        tolerance: gap that is small enough, as a share of what was attributed.
        batch_tokens: tokens of one call.

    Raises: ConfigError: a setting is wrong, no embedding is found, or the model looks at ids elsewhere.
        ShapeError: tensors that do not fit each other.
    """
    if not 1 <= steps <= max_steps:
        raise ConfigError(
            f"`integrated_gradients` needs `steps` from 1 to `max_steps`. Got {steps} and {max_steps}."
        )
    with asking(model, tokens, lengths, target, baseline, keep, score, embedding, call) as question:
        count, width = question.tokens.shape
        values = np.zeros((count, width))
        used = np.full(count, steps)
        left = torch.arange(count)
        while len(left):
            values[left.numpy()] = _integrated(question, left, steps, batch_tokens)
            used[left.numpy()] = steps
            found = question.record("integrated_gradients", values, used, tolerance)
            steps *= 2
            if steps > max_steps:
                break
            left = left[torch.from_numpy(~found.are_complete[left.numpy()])]
        return question.record("integrated_gradients", values, used, tolerance)


def gradient_times_input(
    model: nn.Module,
    tokens: Tensor,
    lengths: Tensor | None = None,
    target: int | Sequence[int] | None = None,
    *,
    baseline: str | int | Tensor = "zero",
    keep: Tensor | None = None,
    score: str | None = None,
    embedding: str | nn.Embedding | None = None,
    call: Call | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> TokenAttributions:
    """The gradient at the text, times how far its vectors are from the baseline's: one step, a check.

    Exact for a linear model; where a score saturates it misses what integrated gradients see.
    Arguments, with their shapes, and errors are those of `integrated_gradients`.

    Args:
        model, tokens, lengths: that is asked, in evaluation mode, and the texts.
        target, baseline, keep, score: what is asked, and what says nothing.
        embedding, call, batch_tokens: how it is asked.
    """
    with asking(model, tokens, lengths, target, baseline, keep, score, embedding, call) as question:
        values = _weighted(question, torch.arange(len(question.tokens)), [1.0], [1.0], batch_tokens)
        used = np.ones(len(values), dtype=np.int64)
        return question.record("gradient_times_input", values, used, TOLERANCE)


def occlusion(
    model: nn.Module,
    tokens: Tensor,
    lengths: Tensor | None = None,
    target: int | Sequence[int] | None = None,
    *,
    baseline: str | int | Tensor = "zero",
    keep: Tensor | None = None,
    score: str | None = None,
    embedding: str | nn.Embedding | None = None,
    call: Call | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> TokenAttributions:
    """By how much the score falls where one token's vector is the baseline's; no gradients, a check.

    It asks the model once for each token. Arguments, with their shapes, and errors are those of
    `integrated_gradients`.

    Args:
        model, tokens, lengths: that is asked, in evaluation mode, and the texts.
        target, baseline, keep, score: what is asked, and what says nothing.
        embedding, call, batch_tokens: how it is asked.
    """
    with asking(model, tokens, lengths, target, baseline, keep, score, embedding, call) as question:

        def without(rows: Tensor, places: Tensor) -> Tensor:
            vectors = question.vectors[rows].clone()  # (R, T, E)
            each = torch.arange(len(rows))
            vectors[each, places] = question.blank[rows, places]
            return question.ask(vectors, rows)

        values = _without_each(question, without, batch_tokens)
        used = np.ones(len(values), dtype=np.int64)
        return question.record("occlusion", values, used, TOLERANCE)


def leave_one_out(
    model: nn.Module,
    tokens: Tensor,
    lengths: Tensor | None = None,
    target: int | Sequence[int] | None = None,
    *,
    baseline: str | int | Tensor = "zero",
    keep: Tensor | None = None,
    score: str | None = None,
    embedding: str | nn.Embedding | None = None,
    call: Call | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> TokenAttributions:
    """By how much the score falls where one token is taken out of the text; no gradients, a check.

    The text is then a token shorter, which `occlusion` leaves as it is. A text of one token keeps it.
    The baseline serves to compare alone. Arguments, with their shapes, and errors are those of
    `integrated_gradients`.

    Args:
        model, tokens, lengths: that is asked, in evaluation mode, and the texts.
        target, baseline, keep, score: what is asked, and what says nothing.
        embedding, call, batch_tokens: how it is asked.
    """
    with asking(model, tokens, lengths, target, baseline, keep, score, embedding, call) as question:
        width = question.tokens.shape[1]

        def without(rows: Tensor, places: Tensor) -> Tensor:
            columns = torch.arange(max(width - 1, 1), device=question.tokens.device)
            # Behind the one that is taken out everything moves up by one.
            take = columns + (columns >= places.to(columns.device).unsqueeze(1)).long()
            shorter = question.tokens[rows].gather(1, take.clamp(max=width - 1))
            return question.ask_tokens(shorter, question.lengths[rows] - 1, rows)

        values = _without_each(question, without, batch_tokens, least=2)
        used = np.ones(len(values), dtype=np.int64)
        return question.record("leave_one_out", values, used, TOLERANCE)


# --- sums ---------------------------------------------------------------------------------------------


def _integrated(question: Question, texts: Tensor, steps: int, batch_tokens: int) -> np.ndarray:
    """(K, T) the integral for some texts."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
    shares, weights = (nodes + 1) / 2, weights / 2
    return _weighted(question, texts, shares.tolist(), weights.tolist(), batch_tokens)


def _weighted(
    question: Question,
    texts: Tensor,
    shares: Sequence[float],
    weights: Sequence[float],
    batch_tokens: int,
) -> np.ndarray:
    """(K, T) the weighted sum over points between baseline and text of gradient times distance."""
    width = question.tokens.shape[1]
    sums = torch.zeros(len(texts), width, dtype=torch.float64)
    # All points of a text one after another; calls may begin and end inside.
    numbers = torch.arange(len(texts)).repeat_interleave(len(shares))
    share = torch.tensor(shares, dtype=torch.float64).repeat(len(texts))
    weight = torch.tensor(weights, dtype=torch.float64).repeat(len(texts))
    size = max(1, batch_tokens // width)
    for start in range(0, len(numbers), size):
        some = slice(start, start + size)
        rows = texts[numbers[some]]
        blank = question.blank[rows]
        apart = question.vectors[rows] - blank  # (R, T, E)
        step = share[some].to(apart).view(-1, 1, 1)
        vectors = (blank + step * apart).requires_grad_()
        with torch.enable_grad():
            total = question.ask(vectors, rows).sum()
            (slope,) = torch.autograd.grad(total, vectors)
        part = (slope * apart).sum(dim=2).double().cpu()  # (R, T)
        sums.index_add_(0, numbers[some], part * weight[some].unsqueeze(1))
    return sums.numpy()


def _without_each(
    question: Question,
    without: Callable[[Tensor, Tensor], Tensor],
    batch_tokens: int,
    least: int = 1,
) -> np.ndarray:
    """(B, T) the score of a text less that without each of its tokens; 0 for tokens that are kept.

    Args:
        least: tokens of a text below which none is taken out.
    """
    width = question.tokens.shape[1]
    counts = (question.lengths >= least).unsqueeze(1)
    rows, places = (question.real & ~question.keep & counts).cpu().nonzero(as_tuple=True)
    values = torch.zeros(len(question.tokens), width, dtype=torch.float64)
    size = max(1, batch_tokens // width)
    for start in range(0, len(rows), size):
        some = rows[start : start + size], places[start : start + size]
        values[some] = question.scores[some[0]] - without(*some).double().cpu()
    return values.numpy()
