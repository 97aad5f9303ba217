"""Classifying documents: a text encoder, what it made of the whole document, and a head.

Paper: Howard & Ruder 2018, arXiv:1801.06146, sec. 3.3: the features of a document are those at its
last token, the largest of all positions and their mean, side by side; a long document is read in
pieces, each going on from the state that the piece before ended with, and gradients reach back a
limited number of tokens. Here positions that are padding count nowhere, so a document has the same
scores in whichever batch it stands; in fastai, which pads in front, the padding is read.

Padding is computed and left out, and not packed: packed sequences leave torch's fused kernel, and on a
CPU a batch that is half padding then takes 1.6 times as long, one with little padding twice. So batches
are best made of documents of about one length.

    >>> description = document_description("rnn", 100, 3)
    >>> model = create_document_classifier(description, seed=0).eval()
    >>> tokens = torch.tensor([[5, 6, 7], [8, 1, 1]])
    >>> model(tokens, torch.tensor([3, 1])).shape
    torch.Size([2, 3])

Letters: B batch, T time, E features, C outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.models.decoder import DecoderEncoder
from drivetrain.models.language import (
    DROPOUTS,
    MOST_WIDTH,
    PRESETS,
    RANGE,
    check_dropout,
    checked_encoder,
    create_encoder,
)
from drivetrain.models.recurrent import RecurrentEncoder
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded


class DocumentClassifier(nn.Module):
    """Documents to scores.

    Training reads the last `max_len` tokens of a document at once, with gradients, and what stands
    before them in pieces of `seq_len`, without. Where no gradients are asked for, all is read in
    pieces, so that memory does not grow with the documents. All of it is pooled in either case:
    `max_len` changes gradients and never scores.

    Args:
        encoder: a `RecurrentEncoder` or a `DecoderEncoder`.
        head: (B, 3E) to scores; has the attribute `squeezes` where it gives (B,).
        seq_len: tokens of a piece; of a `DecoderEncoder` its context.
        max_len: tokens that gradients reach, a multiple of `seq_len`. Rounded to whole pieces, it may
            be up to one piece less.

    Raises: ConfigError: `seq_len` or `max_len` do not fit.
    """

    keeps_outputs = False
    """Whether `raw_output`, `dropped_output` and `real` of a training batch are kept, for who asks."""

    def __init__(
        self,
        encoder: RecurrentEncoder | DecoderEncoder,
        head: nn.Module,
        *,
        seq_len: int = 72,
        max_len: int = 1440,
    ) -> None:
        super().__init__()
        check_pieces(encoder.context, seq_len, max_len)
        self.encoder = encoder
        self.head = head
        self.seq_len = seq_len
        self.max_len = max_len
        self.raw_output: Tensor | None = None
        """(B, T, E) of the tokens that gradients reach."""
        self.dropped_output: Tensor | None = None
        """The same: nothing is dropped behind the encoder."""
        self.real: Tensor | None = None
        """(B, T) bool: false where they are of padding."""

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Scores of documents.

        Args:
            tokens: (B, T) int64, padded at the end.
            lengths: (B,) int64, tokens that are real. A document of none is read as one token of
                padding.

        Returns: (B, C) float, unnormalised; (B,) where the head squeezes.
        """
        return self.head(self.features(tokens, lengths))

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the head sees: features at the last token, largest, mean. (B, 3E)"""
        lengths = lengths.clamp(min=1)
        whole = torch.is_grad_enabled()
        if whole:  # before these tokens nothing has a gradient
            before = (lengths - self.max_len).clamp(min=0)
            begin = -(-before // self.seq_len) * self.seq_len  # whole pieces, (B,)
        else:
            begin = lengths
        pool = empty_pool(len(tokens), self.encoder.num_features, self.encoder.embedding.weight)
        state: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, int(begin.max()), self.seq_len):
                rows = (begin > start).nonzero().squeeze(1)  # documents that go on
                piece = tokens[rows, start : start + self.seq_len]
                real = (lengths[rows] - start).clamp(max=piece.shape[1])
                own = [part[:, rows] for part in state]
                outputs, own = self.encoder.read_on(piece, own)
                state = put_back(own, state, rows, len(tokens))
                pool = pooled(pool, outputs, real, rows)
        if not whole:
            return concatenated(pool, lengths)
        left = lengths - begin  # (B,) from 1 to max_len
        columns = begin.unsqueeze(1) + torch.arange(int(left.max()), device=tokens.device)
        rest = tokens.gather(1, columns.clamp(max=tokens.shape[1] - 1))
        outputs, _ = self.encoder.read_on(rest, state)
        if self.keeps_outputs and self.training:
            self.raw_output = self.dropped_output = outputs
            self.real = real_positions(outputs, left)
        return concatenated(pooled(pool, outputs, left), lengths)

    def reset(self) -> None:
        """Nothing is carried from batch to batch."""

    def layer_groups(self) -> list[list[nn.Module]]:
        """Those of the encoder; then the head."""
        return [*self.encoder.layer_groups(), [self.head]]


class Pool(NamedTuple):
    """What is known of documents that come in pieces, each (B, E)."""

    last: Tensor
    """Features at the last position that was real."""
    largest: Tensor
    """The largest of all real positions."""
    total: Tensor
    """Their sum."""


def empty_pool(rows: int, width: int, like: Tensor) -> Pool:
    """The pool before any piece, of the dtype and device of a tensor."""
    zeros = like.new_zeros(rows, width)
    return Pool(zeros, like.new_full((rows, width), -torch.inf), zeros)


def pooled(pool: Pool, outputs: Tensor, real: Tensor, rows: Tensor | None = None) -> Pool:
    """The pool after one more piece.

    Args:
        pool: of B documents.
        outputs: (R, T, E), features of the piece.
        real: (R,) int64, how many of its positions are real, 1 or more.
        rows: (R,) int64, the documents it belongs to; None for all of them.
    """
    is_padding = ~real_positions(outputs, real).unsqueeze(2)  # (R, T, 1)
    last = outputs[torch.arange(len(outputs), device=outputs.device), real - 1]
    largest = outputs.masked_fill(is_padding, -torch.inf).amax(dim=1)
    total = outputs.masked_fill(is_padding, 0).sum(dim=1)
    if rows is None:
        return Pool(last, torch.maximum(pool.largest, largest), pool.total + total)
    return Pool(
        pool.last.index_copy(0, rows, last),
        pool.largest.index_copy(0, rows, torch.maximum(pool.largest[rows], largest)),
        pool.total.index_add(0, rows, total),
    )


def concatenated(pool: Pool, lengths: Tensor) -> Tensor:
    """Last, largest and mean side by side, (B, 3E), of documents of these lengths, (B,)."""
    return torch.cat([pool.last, pool.largest, pool.total / lengths.unsqueeze(1)], dim=1)


def real_positions(outputs: Tensor, real: Tensor) -> Tensor:
    """(B, T) bool: the first `real`, (B,), of each row of (B, T, E)."""
    return torch.arange(outputs.shape[1], device=outputs.device) < real.unsqueeze(1)


def put_back(own: list[Tensor], state: list[Tensor], rows: Tensor, count: int) -> list[Tensor]:
    """The state of all `count` documents after some of them, `rows`, read a piece.

    Documents that have read nothing stand at zero, which is where a text begins.
    """
    if not state:
        state = [part.new_zeros(part.shape[0], count, part.shape[2]) for part in own]
    return [old.index_copy(1, rows, new) for old, new in zip(state, own, strict=True)]


class DocumentHead(nn.Module):
    """Pooled features to scores: batchnorm, dropout, dense; ReLU and again, for each hidden width.

    Shapes: (B, num_features) -> (B, num_outputs), or (B,) with `squeeze`. In training B must be 2 or
    more: a batchnorm cannot take the variance of one item. The head of fastai's text classifiers.

    Args:
        num_features: three times the encoder's.
        num_outputs: C, scores or numbers.
        hidden: widths of the hidden layers.
        dropout: of the pooled features.
        hidden_dropout: before each layer after the first.
        squeeze: one number a document is given as (B,) and not as (B, 1).
    """

    def __init__(
        self,
        num_features: int,
        num_outputs: int,
        *,
        hidden: Sequence[int] = (50,),
        dropout: float = 0.4,
        hidden_dropout: float = 0.1,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width, share = num_features, dropout
        for out in (*hidden, num_outputs):
            if layers:
                layers.append(nn.ReLU())
            # the next batchnorm shifts, and the last layer prefers no class at the start
            layers += [nn.BatchNorm1d(width), nn.Dropout(share), nn.Linear(width, out, bias=False)]
            width, share = out, hidden_dropout
        self.layers = nn.Sequential(*layers)
        self.squeezes = squeeze

    def forward(self, features: Tensor) -> Tensor:
        """Scores, not probabilities: the loss has the softmax."""
        scores = self.layers(features)
        return scores.squeeze(1) if self.squeezes else scores


# --- by description -------------------------------------------------------------------------------

DOCUMENT_DROPOUTS: Mapping[str, Mapping[str, float]] = {
    "awd_lstm": {
        "embedding_dropout": 0.05,
        "input_dropout": 0.4,
        "weight_dropout": 0.5,
        "hidden_dropout": 0.3,
    },
}
"""Where a classifier's encoder drops otherwise than the language model's of the same preset: fastai's."""

_NAMES = (
    *("encoder", "num_outputs", "hidden", "dropout", "hidden_dropout"),
    *("seq_len", "max_len", "squeeze"),
)


def document_description(
    preset: str,
    vocab_size: int,
    num_outputs: int,
    *,
    drop_mult: float = 1.0,
    hidden: Sequence[int] = (50,),
    dropout: float | None = None,
    hidden_dropout: float = 0.1,
    seq_len: int | None = None,
    max_len: int | None = None,
    squeeze: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """What `create_document_classifier` takes, plain JSON.

    Args:
        preset: of the encoder, as in `language_description`; its dropouts are a classifier's.
        vocab_size: words.
        num_outputs: scores a document gets.
        drop_mult: what the encoder's dropouts and `dropout` are multiplied by.
        hidden: widths of the head's hidden layers.
        dropout: of the pooled features, not multiplied; None: 0.4, multiplied.
        hidden_dropout: in the head, not multiplied.
        seq_len: tokens of a piece; None: 72, or the decoder's context.
        max_len: tokens that gradients reach; None: twenty pieces, or two of a decoder.
        squeeze: one output is given as (B,).
        changes: sizes and dropouts of the encoder by name, as they are.

    Raises: UnknownNameError: no such preset, or nothing of that name to change. ConfigError: a value
        is out of range.
    """
    found = {**lookup(PRESETS, preset, what="preset of a text encoder")}
    del (
        found["output_dropout"],
        found[RANGE],
    )  # a language model's: here no vector is a weight as well
    found |= DOCUMENT_DROPOUTS.get(preset, {})
    for name in DROPOUTS:
        if name in found:
            found[name] = found[name] * drop_mult
    for name, value in changes.items():
        lookup(found, name, what=f"setting of '{preset}'")
        found[name] = value
    context = found.get("context")
    piece: int = seq_len or context or 72
    description = {
        "encoder": {"vocab_size": vocab_size, **found},
        "num_outputs": num_outputs,
        "hidden": list(hidden),
        "dropout": 0.4 * drop_mult if dropout is None else dropout,
        "hidden_dropout": hidden_dropout,
        "seq_len": piece,
        "max_len": max_len or (20 if context is None else 2) * piece,
        "squeeze": squeeze,
    }
    return checked_document(description)


def create_document_classifier(
    description: Mapping[str, Any], *, seed: int | None = None
) -> DocumentClassifier:
    """The model that a description stands for, its random weights drawn from the seed.

    Args:
        description: as `document_description` makes it; it may come from a file.
        seed: of the weights; None where they are loaded afterwards.

    Raises: ConfigError: it is not such a description.
    """
    found = checked_document(description)
    with seeded(0 if seed is None else seed, "init", "document"):
        encoder = create_encoder(found["encoder"])
        head = DocumentHead(
            3 * encoder.num_features,
            found["num_outputs"],
            hidden=found["hidden"],
            dropout=found["dropout"],
            hidden_dropout=found["hidden_dropout"],
            squeeze=found["squeeze"],
        )
        return DocumentClassifier(encoder, head, seq_len=found["seq_len"], max_len=found["max_len"])


def document_classifier_shapes(
    description: Mapping[str, Any],
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the model a description stands for; takes no memory."""
    with shapes_only():
        model = create_document_classifier(description)
    return {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}


def checked_document(description: Any) -> dict[str, Any]:
    """The description, after everything in it was looked at: a file may hold anything.

    Raises: ConfigError: it is no description of a document classifier.
    """
    if not isinstance(description, Mapping) or set(description) != set(_NAMES):
        raise ConfigError(
            f"A document classifier's description needs the entries {', '.join(_NAMES)}."
        )
    found = {**description, "encoder": checked_encoder(description["encoder"])}
    for name in ("num_outputs", "seq_len", "max_len"):
        value = found[name]
        most = MOST_WIDTH if name == "num_outputs" else 1 << 30
        if type(value) is not int or not 1 <= value <= most:
            raise ConfigError(
                f"A document classifier got {name} {str(value)[:40]}, expected a whole number from "
                f"1 to {most}."
            )
    check_pieces(found["encoder"].get("context"), found["seq_len"], found["max_len"])
    for name in ("dropout", "hidden_dropout"):
        check_dropout("A document classifier", name, found[name])
    widths = found["hidden"]
    is_list = isinstance(widths, list | tuple) and len(widths) <= 16
    if not is_list or not all(type(v) is int and 1 <= v <= MOST_WIDTH for v in widths):
        raise ConfigError(
            f"A document classifier got hidden {str(widths)[:80]}, expected whole numbers, 1 or more."
        )
    if type(found["squeeze"]) is not bool or (found["squeeze"] and found["num_outputs"] != 1):
        raise ConfigError(
            "A document classifier's `squeeze` is for one output. Got another number of them."
        )
    return found


def check_pieces(context: int | None, seq_len: int, max_len: int) -> None:
    """Raises: ConfigError: pieces that do not fit the encoder or the reach of gradients."""
    if seq_len < 1 or max_len < 1 or max_len % seq_len:
        raise ConfigError(
            f"`DocumentClassifier` got seq_len {seq_len} and max_len {max_len}, expected a `max_len` "
            "of one or more whole pieces of `seq_len` tokens."
        )
    if context is not None and seq_len != context:
        raise ConfigError(
            f"`DocumentClassifier` got seq_len {seq_len} for a `DecoderEncoder` that looks at "
            f"{context} tokens together, expected pieces of as many."
        )
