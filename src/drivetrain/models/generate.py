"""Writing: a language model's own continuation of a text, token after token.

At each step the model scores every word; temperature, top-k and top-p (Holtzman et al. 2019,
arXiv:1904.09751) say from which of them, and how boldly, the next one is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.models.language import LanguageModel
from drivetrain.randomness import derive


def generate(
    model: LanguageModel,
    prompt_ids: Sequence[int],
    num_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 42,
    banned: Sequence[int] = (),
    stop: int | None = None,
) -> list[int]:
    """The tokens that the model writes after a prompt.

    The model is read in evaluation mode and is afterwards in the mode in which it was; what it
    carried is forgotten. The same arguments give the same tokens.

    Args:
        model: a language model.
        prompt_ids: the text so far, 1 token or more.
        num_tokens: how many to write, 0 or more.
        temperature: what scores are divided by: below 1 bolder, above 1 more various; 0 takes the
            highest score each time.
        top_k: draw from the k highest scores only.
        top_p: draw from the fewest words that have this share of the probability together, after
            temperature and `top_k`.
        seed: of the draws.
        banned: tokens that are never written.
        stop: a token after which nothing more is written; it is the last one given.

    Returns: `num_tokens` tokens, or fewer with `stop`; the prompt is not among them.
    Raises: ConfigError: an argument is out of range.
    """
    words = model.head.bias.shape[0]
    check_writing(words, prompt_ids, num_tokens, temperature, top_k, top_p, banned)
    device = model.head.bias.device
    generator = torch.Generator().manual_seed(derive(seed, "generate"))
    context = model.encoder.context
    barred = torch.tensor(sorted(set(banned)), dtype=torch.int64, device=device)
    was_training = model.training
    model.eval()
    written: list[int] = []
    try:
        with torch.inference_mode():
            unread = list(prompt_ids)
            for _ in range(num_tokens):
                if context is not None:  # no state: all that it can look at is read again
                    unread = [*prompt_ids, *written][-context:]
                tokens = torch.tensor([unread], device=device)
                scores = last_scores(model, tokens).index_fill(0, barred, -torch.inf)
                token = pick(scores.cpu(), temperature, top_k, top_p, generator)
                written.append(token)
                unread = [token]
                if token == stop:
                    break
    finally:
        model.train(was_training)
    return written


def last_scores(model: LanguageModel, tokens: Tensor) -> Tensor:
    """Scores (V,) of the word after the last of (1, T) tokens; no other position is scored."""
    features = model.output_dropout(model.encoder(tokens)[:, -1:])
    return model.head(features, model.encoder.embedding.weight)[0, 0]


def pick(
    scores: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator,
) -> int:
    """One word of (V,) scores, by the rules that `generate` states."""
    if temperature == 0:
        return int(scores.argmax())
    # Largest first and in float64: a temperature near 0 must not overflow.
    values, order = (
        (scores.double() - scores.max()).div(temperature).sort(descending=True, stable=True)
    )
    if top_k is not None:
        values = values[:top_k]
    probs = values.softmax(dim=0)
    if top_p is not None:
        before = probs.cumsum(dim=0) - probs  # share of the words that stand before it
        probs = torch.where(before < top_p, probs, 0)
    return int(order[torch.multinomial(probs, 1, generator=generator)])


def check_writing(
    words: int,
    prompt_ids: Sequence[int],
    num_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    banned: Sequence[int],
) -> None:
    """Raises: ConfigError: an argument of `generate` is out of range."""
    if len(prompt_ids) == 0:
        raise ConfigError("`generate` needs a prompt of at least one token. Got none.")
    wrong = [token for token in (*prompt_ids, *banned) if not 0 <= token < words]
    if wrong:
        raise ConfigError(
            f"`generate` got the token {wrong[0]}, expected tokens in 0..{words - 1}, the model's words."
        )
    if num_tokens < 0:
        raise ConfigError(f"`generate` got num_tokens {num_tokens}, expected 0 or more.")
    if not 0 <= temperature < float("inf"):
        raise ConfigError(f"`generate` got temperature {temperature}, expected 0 or more.")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"`generate` got top_k {top_k}, expected 1 or more.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(f"`generate` got top_p {top_p}, expected above 0, at most 1.")
    if len(set(banned)) >= words:
        raise ConfigError(
            "`generate` got every word of the model as banned. Leave it one to write."
        )
