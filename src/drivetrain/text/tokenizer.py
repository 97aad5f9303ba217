"""From texts to ids and back: words, characters, and subwords of two kinds.

    tokenizer = train_tokenizer(texts, "word")        # or "char", "bpe", "unigram"
    tokens = tokenizer.encode(["A film about a film."])
    tokenizer.decode(tokens.document(0))

| kind | an id stands for | restored | not in the vocabulary |
|---|---|---|---|
| word | a word after the rules (`text.rules`) | up to the rules | xxunk |
| char | a character | exactly | xxunk |
| bpe | bytes that were often met together | exactly | nothing, from 512 ids on |
| unigram | characters that make a text likely | exactly | characters that training left out: xxunk |

How it is fast: text is cut into pieces by one regular expression, and what a piece becomes is found out
once and kept in a dict, since few pieces make most of a text. So the rules, the merges of BPE and the
search of unigram cost next to nothing, plain Python does them, and a model that is used needs no further
package. Learning subwords is done by Hugging Face's `tokenizers`.

A tokenizer is a value: it is made whole, and never changes what it answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from drivetrain import _strict
from drivetrain._registry import lookup
from drivetrain.errors import BundleError, ConfigError, DataError
from drivetrain.text.base import Kept, Tokenizer, check_texts
from drivetrain.text.rules import DEFAULT_RULES, TEXT_RULES, check_rules, clean, expand
from drivetrain.text.subwords import (
    PIECE,
    BPETokenizer,
    UnigramTokenizer,
    learn_merges,
)  # fmt: skip
from drivetrain.text.transformer_tokenizer import TransformerTokenizer
from drivetrain.text.unigram import learn_scores
from drivetrain.text.vocab import SPECIAL_PIECES, SPECIAL_WORDS, Vocab, build_vocab
from drivetrain.text.words import CharTokenizer, WordTokenizer, encode_words

KINDS: dict[str, type[Tokenizer]] = {
    kind.kind: kind
    for kind in (
        WordTokenizer, CharTokenizer, BPETokenizer, UnigramTokenizer, TransformerTokenizer,
    )
}  # fmt: skip
"""Kind -> its class."""


def tokenizer_from_json(record: Any) -> Tokenizer:
    """The tokenizer that `to_json` wrote, of any kind.

    Raises: BundleError: the record is not one.
    """
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise BundleError("The tokenizer's record is not an object that says its kind.")
    if record["kind"] not in KINDS:
        raise BundleError(
            f"The tokenizer's kind is {_strict.shown(record['kind'])}. Known: {', '.join(KINDS)}."
        )
    return KINDS[record["kind"]].from_json(record)


DEFAULTS = {"word": (60_000, 3), "char": (10_000, 1), "bpe": (10_000, 2), "unigram": (10_000, 2)}
"""Kind -> (vocab_size, min_freq)."""
BLOCK_LETTERS = 1 << 22
"""Letters of the texts that are looked at in one go."""
MOST_COUNTED = 1_000_000
"""Different words that are counted; beyond it those that were met least are dropped."""


def train_tokenizer(
    texts: Iterable[str],
    kind: str = "word",
    *,
    rules: Collection[str] | None = None,
    vocab_size: int | None = None,
    min_freq: int | None = None,
) -> Tokenizer:
    """A tokenizer whose vocabulary is taken from texts; they are gone through once.

    The same texts give the same tokenizer, to the last bit.

    Args:
        kind: "word", "char", "bpe" or "unigram".
        rules: names of the rules that are on; see `rules_table()`. Unless given, all of the course's for
            words, and `add_bos` for the others, which take those of `TEXT_RULES`.
        vocab_size: ids at most: 60,000 for words, else 10,000. BPE holds every byte from 512 on; below,
            only those of the texts.
        min_freq: how often a word, character or pair is met to have an id: 3, 1, 2.
    Raises: DataError: there is no text, or nothing in the texts. ConfigError: an argument is wrong.
    """
    rules, vocab_size, min_freq = training_settings(kind, rules, vocab_size, min_freq)
    counts = Counts()
    for block in blocks(texts):
        counts.add(count(block, kind, rules))
    return tokenizer_of_counts(counts.found, kind, rules, vocab_size, min_freq)


def training_settings(
    kind: str, rules: Collection[str] | None, vocab_size: int | None, min_freq: int | None
) -> tuple[frozenset[str], int, int]:
    """Rules, vocabulary size and least frequency, where not given those of the kind.

    Raises: UnknownNameError: no such kind is learnt. ConfigError: a setting is wrong.
    """
    size, freq = lookup(DEFAULTS, kind, what="kind of tokenizer")
    size = size if vocab_size is None else vocab_size
    freq = freq if min_freq is None else min_freq
    if size < len(SPECIAL_WORDS) or freq < 1:
        raise ConfigError(
            f"`vocab_size` must be at least {len(SPECIAL_WORDS)} and `min_freq` at least 1. "
            f"Got {size} and {freq}."
        )
    if kind == "word":
        chosen = DEFAULT_RULES if rules is None else check_rules(rules)
    else:
        chosen = frozenset({"add_bos"} if rules is None else check_rules(rules, known=TEXT_RULES))
    return chosen, size, freq


def blocks(texts: Iterable[str], letters: int = BLOCK_LETTERS) -> Iterator[list[str]]:
    """Texts in lists of about as many letters; a longer text is a list by itself.

    Raises: ConfigError: `texts` is one string. DataError: a text is no string.
    """
    if isinstance(texts, str):
        check_texts(texts)
    block: list[str] = []
    size = 0
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Text {number} is no string but {type(text).__name__}.")
        if block and size + len(text) > letters:
            yield block
            block, size = [], 0
        block.append(text)
        size += len(text) + 1
    if block:
        yield block


class Counts:
    """How often each word or piece is met, block by block, in memory that is bounded.

    Args:
        most: different words; beyond it those that were met least are dropped.
    """

    def __init__(self, most: int = MOST_COUNTED) -> None:
        self.most = most
        self.found: dict[str, int] = {}
        """Word -> how often, in the order in which they were first met."""

    def add(self, found: Mapping[str, int]) -> None:
        """Add the counts of a block that comes after those that were counted."""
        counts = self.found
        for word, count in found.items():
            counts[word] = counts.get(word, 0) + count
        least = 1
        while len(counts) > self.most:
            least += 1
            counts = {word: count for word, count in counts.items() if count >= least}
        self.found = counts


def count(texts: Sequence[str], kind: str, rules: Collection[str]) -> dict[str, int]:
    """How often what a tokenizer of this kind starts from is met, in the order of the first meeting.

    These are words after the rules, characters, or the pieces that subwords are cut from.
    """
    check_texts(texts)
    if kind == "word":
        return count_words(texts, rules)
    cleaned = [clean(text, rules) for text in texts]
    if kind == "char":
        return dict(Counter(chain.from_iterable(cleaned)))
    pieces = Counter(chain.from_iterable(map(PIECE.findall, cleaned)))
    return {piece: n for piece, n in pieces.items() if not _SPELLS_SPECIAL.search(piece)}


_SPELLS_SPECIAL = re.compile(f"{'|'.join(SPECIAL_PIECES)}|\x00")
"""Pieces that nothing is learnt from: no subword may spell a special one, and NUL parts texts in Rust."""


class _Numbers(dict[str, int]):
    """Word -> number, in the order in which words are first met."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def count_words(texts: Sequence[str], rules: Collection[str]) -> dict[str, int]:
    """How often each word is met after the rules, in the order in which they are first met."""
    numbers = _Numbers((word, number) for number, word in enumerate(SPECIAL_WORDS))
    number_of = numbers.__getitem__
    kept = Kept(lambda piece: map(number_of, expand(piece, rules)))
    parts = encode_words(texts, rules, kept, number_of)
    ids = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    counts = np.bincount(ids, minlength=len(numbers)).tolist()
    return {word: n for word, n in zip(numbers, counts, strict=True) if n}


def tokenizer_of_counts(
    counts: Mapping[str, int], kind: str, rules: Collection[str], vocab_size: int, min_freq: int
) -> Tokenizer:
    """The tokenizer of what `count` counted; see `train_tokenizer`."""
    if not counts:
        raise DataError("There is no text to take a vocabulary from: all texts are empty.")
    if kind == "word":
        return WordTokenizer(build_vocab(counts, min_freq=min_freq, max_vocab=vocab_size), rules)
    if kind == "char":
        vocab = build_vocab(counts, min_freq=min_freq, max_vocab=vocab_size, special=SPECIAL_PIECES)
        return CharTokenizer(vocab, rules)
    if kind == "bpe":
        words, merges = learn_merges(counts, vocab_size, min_freq)
        return BPETokenizer(Vocab(words), merges, rules)
    words, scores = learn_scores(counts, vocab_size, min_freq)
    return UnigramTokenizer(Vocab(words), scores, rules)
