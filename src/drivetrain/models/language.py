"""Language models: which token comes next, for each token of a text.

An encoder makes a vector of all that was read so far, and its product with the vector of every word
of the vocabulary scores that word as the next one. With tied weights these are the vectors of the
encoder's input: one matrix, read twice (Press & Wolf 2016, arXiv:1608.05859; Inan et al. 2016,
arXiv:1611.01462).

    >>> model = create_language_model(language_description("rnn", 100), seed=0)
    >>> tokens = torch.zeros(4, 7, dtype=torch.int64)
    >>> model(tokens).shape  # (B, V, T), as losses and metrics want it
    torch.Size([4, 100, 7])

Letters: B batch, T time, V words, E features.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.models.decoder import DecoderEncoder
from drivetrain.models.recurrent import KINDS, RecurrentEncoder
from drivetrain.nn.dropouts import VariationalDropout
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded


class LanguageModel(nn.Module):
    """Scores of every word as the next one, at each position.

    Args:
        encoder: answers `num_features`, `embedding`, `layer_groups()`, and `forward(tokens)` with
            (B, T, E): a `RecurrentEncoder` or a `DecoderEncoder`.
        vocab_size: V.
        tie_weights: score with the encoder's own word vectors; otherwise with another matrix, which
            begins uniform in ±0.1.
        output_dropout: share of the encoder's features that is dropped, the same at each time.
    """

    keeps_outputs = False
    """Whether `raw_output` and `dropped_output` of each training batch are kept, for who asks."""

    def __init__(
        self,
        encoder: RecurrentEncoder | DecoderEncoder,
        vocab_size: int,
        *,
        tie_weights: bool = True,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.output_dropout = VariationalDropout(output_dropout)
        self.head = WordScores(encoder.num_features, vocab_size, tie_weights=tie_weights)
        self.raw_output: Tensor | None = None
        """(B, T, E) of the last batch, as the encoder gives it."""
        self.dropped_output: Tensor | None = None
        """The same after the dropout."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the next word: (B, T) int64 -> (B, V, T), classes second as torch has them.

        The memory is that of `scores`: the words of a position lie side by side.
        """
        return self.scores(tokens).transpose(1, 2)

    def scores(self, tokens: Tensor) -> Tensor:
        """The same with the words last: (B, T) int64 -> (B, T, V)."""
        raw = self.encoder(tokens)
        dropped = self.output_dropout(raw)  # (B, T, E)
        if self.keeps_outputs and self.training:
            self.raw_output, self.dropped_output = raw, dropped
        return self.head(dropped, self.encoder.embedding.weight)

    def reset(self) -> None:
        """The next batch begins other texts."""
        self.encoder.reset()

    def layer_groups(self) -> list[list[nn.Module]]:
        """Those of the encoder; then the head, and with it the words' vectors where they are its weights.

        So what is trained first, where a model is fine-tuned on other texts, are its words.
        """
        vectors, *layers = self.encoder.layer_groups()
        if self.head.has_tied_weights:
            return [*layers, [*vectors, self.head]]
        return [vectors, *layers, [self.head]]


class WordScores(nn.Module):
    """Features to a score for every word: (B, T, E), the words' vectors (V, E) -> (B, T, V).

    Args:
        num_features: E.
        vocab_size: V.
        tie_weights: score with the vectors that are handed over; otherwise with a matrix of its own.
    """

    def __init__(self, num_features: int, vocab_size: int, *, tie_weights: bool) -> None:
        super().__init__()
        self.has_tied_weights = tie_weights
        if not tie_weights:
            self.weight = nn.Parameter(torch.empty(vocab_size, num_features))
            nn.init.uniform_(self.weight, -0.1, 0.1)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Scores, not probabilities: the loss has the softmax."""
        return F.linear(features, vectors if self.has_tied_weights else self.weight, self.bias)


# --- by description -------------------------------------------------------------------------------

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "awd_lstm": {
            "kind": "lstm",
            "embedding_dim": 400,
            "hidden_dim": 1152,
            "num_layers": 3,
            "embedding_dropout": 0.02,
            "input_dropout": 0.25,
            "weight_dropout": 0.2,
            "hidden_dropout": 0.15,
            "output_dropout": 0.1,
            "initial_range": 0.5,
        },
        **{
            kind: {
                "kind": kind,
                "embedding_dim": 200,
                "hidden_dim": 400,
                "num_layers": 2,
                "embedding_dropout": 0.0,
                "input_dropout": 0.1,
                "weight_dropout": 0.0,
                "hidden_dropout": 0.1,
                "output_dropout": 0.1,
                "initial_range": 0.5,
            }
            for kind in ("lstm", "gru", "rnn")
        },
        "decoder": {
            "kind": "decoder",
            "embedding_dim": 256,
            "num_heads": 4,
            "num_layers": 4,
            "context": 256,
            "dropout": 0.1,
            "output_dropout": 0.1,
            "initial_range": 0.1,
        },
    }
)
"""Sizes and dropouts by name. Those of `awd_lstm` are fastai's for language models: the paper's net
with 1152 units and with dropouts for texts a hundred times as long as the paper's.

`initial_range`: in fastai's ±0.1 words' vectors tell recurrent layers next to nothing, and what is learnt
first is how frequent words are. On 150 steps of two novels (4,000 words) perplexity is 198 with 0.1, 168
with 0.25, 82 with 0.5 and 78 with 1 (`lstm`); with 0.1 and 0.5 it is 336 and 72 (`gru`), 199 and 81
(`rnn`), 138 and 76 (`awd_lstm` of 400 units). A decoder scales its vectors itself, and scores with them:
126 with 0.03, 75 with 0.1, 201 with 0.5."""

DROPOUTS = (
    *("embedding_dropout", "input_dropout", "weight_dropout", "hidden_dropout"),
    *("dropout", "output_dropout"),
)
MOST_WORDS, MOST_WIDTH, MOST_LAYERS = 10_000_000, 65_536, 128

RANGE = "initial_range"
"""Of an encoder's description: its words' vectors begin uniform in ± this. A description without it is
of a time before there was such an entry, when all began in ±0.1."""
MOST_RANGE = 100.0

_RECURRENT = (
    *("kind", "vocab_size", "embedding_dim", "hidden_dim", "num_layers"),
    *("embedding_dropout", "input_dropout", "weight_dropout", "hidden_dropout"),
)
_DECODER = (
    *("kind", "vocab_size", "embedding_dim", "num_heads", "num_layers", "context", "dropout"),
)


def language_description(
    preset: str,
    vocab_size: int,
    *,
    drop_mult: float = 1.0,
    tie_weights: bool = True,
    **changes: Any,
) -> dict[str, Any]:
    """What `create_language_model` takes, plain JSON: a preset, its dropouts scaled, then changed.

    Args:
        preset: one of `PRESETS`.
        vocab_size: words.
        drop_mult: what all the preset's dropouts are multiplied by; 0 for none, less than 1 for more
            text, more for less.
        tie_weights: as in `LanguageModel`.
        changes: sizes and dropouts by name, as they are and not multiplied.

    Raises: UnknownNameError: no such preset, or nothing of that name to change. ConfigError: a dropout
        is 1 or more after it was multiplied.
    """
    found = dict(lookup(PRESETS, preset, what="preset of a language model"))
    for name in DROPOUTS:
        if name in found:
            found[name] = found[name] * drop_mult
    for name, value in changes.items():
        lookup(found, name, what=f"setting of '{preset}'")
        found[name] = value
    output_dropout = found.pop("output_dropout")
    description = {
        "encoder": {"vocab_size": vocab_size, **found},
        "tie_weights": tie_weights,
        "output_dropout": output_dropout,
    }
    return checked_language(description)


def create_language_model(
    description: Mapping[str, Any], *, seed: int | None = None
) -> LanguageModel:
    """The model that a description stands for, its random weights drawn from the seed.

    Args:
        description: as `language_description` makes it; it may come from a file.
        seed: of the weights; None where they are loaded afterwards.

    Raises: ConfigError: it is not such a description.
    """
    found = checked_language(description)
    with seeded(0 if seed is None else seed, "init", "language"):
        encoder = create_encoder(found["encoder"])
        return LanguageModel(
            encoder,
            found["encoder"]["vocab_size"],
            tie_weights=found["tie_weights"],
            output_dropout=found["output_dropout"],
        )


def language_model_shapes(
    description: Mapping[str, Any],
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the model a description stands for; takes no memory."""
    with shapes_only():
        model = create_language_model(description)
    return {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}


def create_encoder(description: Mapping[str, Any]) -> RecurrentEncoder | DecoderEncoder:
    """The encoder of a checked description, its weights drawn from torch's global generator."""
    options = dict(description)
    kind = options.pop("kind")
    if kind == "decoder":
        return DecoderEncoder(**options)
    return RecurrentEncoder(**options, kind=kind)


def checked_language(description: Any) -> dict[str, Any]:
    """The description, after everything in it was looked at: a file may hold anything.

    Raises: ConfigError: it is no description of a language model.
    """
    names = ("encoder", "tie_weights", "output_dropout")
    if not isinstance(description, Mapping) or set(description) != set(names):
        raise ConfigError(f"A language model's description needs the entries {', '.join(names)}.")
    if type(description["tie_weights"]) is not bool:
        raise ConfigError("A language model's `tie_weights` is true or false.")
    check_dropout("A language model", "output_dropout", description["output_dropout"])
    return {**description, "encoder": checked_encoder(description["encoder"])}


def checked_encoder(description: Any) -> dict[str, Any]:
    """The same for an encoder's description.

    Raises: ConfigError: it is none.
    """
    kind = description.get("kind") if isinstance(description, Mapping) else None
    known = (*KINDS, "decoder")
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(
            f"A text encoder's description needs a `kind` of {', '.join(known)}. Got {str(kind)[:40]}."
        )
    names = _DECODER if kind == "decoder" else _RECURRENT
    if {*description, RANGE} != {*names, RANGE}:
        raise ConfigError(
            f"The description of a text encoder of kind {kind} needs the entries {', '.join(names)}."
        )
    for name in names[1:]:
        value = description[name]
        if name in DROPOUTS:
            check_dropout("A text encoder", name, value)
            continue
        most = {"vocab_size": MOST_WORDS, "num_layers": MOST_LAYERS}.get(name, MOST_WIDTH)
        if type(value) is not int or not 1 <= value <= most:
            raise ConfigError(
                f"A text encoder got {name} {str(value)[:40]}, expected a whole number from 1 to {most}."
            )
    width = description.get(RANGE, 0.1)
    if type(width) not in (int, float) or not 0 < width <= MOST_RANGE:
        raise ConfigError(
            f"A text encoder got {RANGE} {str(width)[:40]}, expected a number above 0, {MOST_RANGE:g} at "
            "most."
        )
    return dict(description)


def check_dropout(owner: str, name: str, value: Any) -> None:
    """Raises: ConfigError: it is no share to drop."""
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise ConfigError(f"{owner} got {name} {str(value)[:40]}, expected 0 to below 1.")
