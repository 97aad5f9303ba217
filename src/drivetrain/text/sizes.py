"""How large a vocabulary should be: the same text at several sizes, as a table.

A larger vocabulary writes a sentence with fewer ids, so a model has fewer steps to take; but each word
is a row of the embedding, which is learnt from the few places where the word stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drivetrain.errors import DataError
from drivetrain.text.tokenizer import train_tokenizer

_SENTENCE_ENDS = re.compile(r"[.!?]++(?=\s|$)|[。！？]++|\n+")


@dataclass(frozen=True)
class SizeRow:
    """One size of the vocabulary."""

    asked: int
    """The size that was asked for."""
    vocab_size: int
    """What the texts gave."""
    tokens_per_sentence: float
    letters_per_token: float
    unknown: float
    """Share of the tokens that are xxunk, in 0..1."""
    embedding_parameters: int


@dataclass(frozen=True)
class SizeTable:
    """Sizes of a vocabulary side by side; print it."""

    kind: str
    embedding_dim: int
    num_sentences: int
    rows: tuple[SizeRow, ...]

    def __str__(self) -> str:
        head = ("vocabulary", "tokens a sentence", "letters a token", "unknown", "embedding")
        cells = [
            (
                f"{row.vocab_size:,}",
                f"{row.tokens_per_sentence:.1f}",
                f"{row.letters_per_token:.2f}",
                f"{row.unknown:.2%}",
                f"{row.embedding_parameters:,}",
            )
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        title = (
            f"{self.kind}, {self.num_sentences:,} sentences, {self.embedding_dim} numbers a word"
        )
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (head, *cells)
        ]
        return "\n".join([title, *lines])


def vocab_size_table(
    texts: Iterable[str],
    sizes: Sequence[int] = (200, 1_000, 10_000),
    kind: str = "bpe",
    *,
    embedding_dim: int = 400,
) -> SizeTable:
    """Train a tokenizer of each size on the texts, and tell what it makes of them.

    A sentence ends with `.`, `!` or `?` before a blank, with a full-width one, or with its line.

    Args:
        sizes: of the vocabulary, at most; a text may not give as many words.
        kind: as in `train_tokenizer`; words are taken from one meeting on.
        embedding_dim: numbers that stand for a word: 400 in AWD-LSTM.
    Raises: DataError: there is no text.
    """
    chosen = list(texts)
    sentences = sum(1 for text in chosen for part in _SENTENCE_ENDS.split(text) if part.strip())
    if not sentences:
        raise DataError("There is no text to take a vocabulary from: all texts are empty.")
    letters = sum(map(len, chosen))
    rows = []
    for size in sizes:
        tokenizer = train_tokenizer(chosen, kind, vocab_size=size, min_freq=1)
        tokens = tokenizer.encode(chosen)
        inner = len(tokens.ids) - len(tokens)  # without the marks of the starts
        rows.append(
            SizeRow(
                asked=size,
                vocab_size=len(tokenizer.vocab),
                tokens_per_sentence=inner / sentences,
                letters_per_token=letters / inner,
                unknown=float((tokens.ids == tokenizer.unk_id).mean()),
                embedding_parameters=len(tokenizer.vocab) * embedding_dim,
            )
        )
    return SizeTable(kind, embedding_dim, sentences, tuple(rows))
