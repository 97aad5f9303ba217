"""Subwords: byte-pair encoding and the unigram model, used and learnt.

Pieces of a text are cut by one regular expression. What a piece becomes is worked out by plain Python,
once for each that differs; a model that is used needs no further package. The merges of BPE are learnt by
Hugging Face's `tokenizers`, the parts of the unigram model in `text.unigram`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from drivetrain import _strict
from drivetrain._optional import require
from drivetrain.errors import BundleError, ConfigError
from drivetrain.text.base import (
    Kept,
    OwnTokenizer,
    checked,
    ids_of,
    known_ids,
    list_of,
    record_of,
    without_marks,
    words_of,
)  # fmt: skip
from drivetrain.text.rules import TEXT_RULES, check_rules, clean
from drivetrain.text.vocab import SPECIAL_PIECES, UNK, Vocab

# A blank belongs to the word after it. Every character is in exactly one piece, so that pieces put
# together are the text; their lengths are bounded, so that none takes long to look at.
PIECE = re.compile(r" ?(?:[^\W\d_]{1,32}+|\d{1,3}+|(?:[^\w\s]|_){1,16}+)|\s{1,16}(?!\S)|\s")


class BPETokenizer(OwnTokenizer):
    """Byte-pair encoding: a piece is its bytes, and pairs that were often met are put together.

    Paper: Sennrich et al. 2015, arXiv:1508.07909; over bytes: Radford et al. 2019. Words are written as
    GPT-2 writes them, a visible character for each byte (`Ġ` for a blank), so that other programs can
    read them. Twin: drivetrain.reference.tokenizers.

    Args:
        vocab: starts with `SPECIAL_PIECES`; holds both parts and the whole of every merge.
        merges: pairs of words, the one that is done first at the front.
        rules: names of `TEXT_RULES` that are on.
    """

    kind = "bpe"

    def __init__(
        self,
        vocab: Vocab,
        merges: Sequence[tuple[str, str]],
        rules: Collection[str] = frozenset({"add_bos"}),
    ) -> None:
        self.vocab = vocab
        self.merges = tuple(merges)
        self.rules = check_rules(rules, known=TEXT_RULES)
        ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._kept = Kept(lambda piece: vocab.ids(merged(as_letters(piece), ranks)))
        letters = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}
        self._bytes = [b"" for _ in SPECIAL_PIECES] + [
            bytes([letters[letter] for letter in word])
            for word in vocab.words[len(SPECIAL_PIECES) :]
        ]
        self._bytes[0] = "\ufffd".encode()

    def encode_parts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, (T,) int32, without the marks of its start and end."""
        return encode_pieces(texts, self.rules, self._kept)

    def tokens(self, text: str) -> list[str]:
        """What the ids of a text stand for, to look at."""
        found = [_shown(self._bytes[i]) if i > 3 else UNK for i in self._ids(text)]
        return self.framed_words(found)

    def _ids(self, text: str) -> list[int]:
        return ids_of(PIECE.findall(clean(text, self.rules)), self._kept).tolist()

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Raises: DataError: there is no such id."""
        data = b"".join([self._bytes[i] for i in known_ids(ids, len(self.vocab))])
        return data.decode("utf-8", "replace")

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return record_of(self) | {"merges": [f"{a} {b}" for a, b in self.merges]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> BPETokenizer:
        """The tokenizer of a record. Raises: BundleError: it is not one of this kind."""
        words, rules = checked(record, cls.kind, SPECIAL_PIECES, TEXT_RULES, "merges")
        known = set(words[len(SPECIAL_PIECES) :])
        letters = set(BYTE_LETTERS)
        for word in known:
            if not letters.issuperset(word):
                raise BundleError(
                    f"The bpe tokenizer's word {_strict.shown(word)} is not written as bytes."
                )
        merges = []
        for merge in list_of(record["merges"], str, len(words), "merges", cls.kind):
            first, _, second = merge.partition(" ")
            if not {first, second, first + second} <= known:
                raise BundleError(
                    f"The bpe tokenizer's merge {_strict.shown(merge)} is not of words it has."
                )
            merges.append((first, second))
        if len(set(merges)) != len(merges):
            raise BundleError("The bpe tokenizer's record holds a merge twice.")
        return cls(Vocab(words), merges, rules)


class UnigramTokenizer(OwnTokenizer):
    """The unigram model: of all ways to cut a piece, the one whose parts are the most likely.

    Paper: Kudo 2018, arXiv:1804.10959. A character that no part covers is xxunk, and costs 10 nats more
    than the least likely part. Twin: drivetrain.reference.tokenizers.

    Args:
        vocab: starts with `SPECIAL_PIECES`.
        scores: the log-probability of each word, in nats; those of special ones are not used.
        rules: names of `TEXT_RULES` that are on.
    """

    kind = "unigram"

    def __init__(
        self,
        vocab: Vocab,
        scores: Sequence[float],
        rules: Collection[str] = frozenset({"add_bos"}),
    ) -> None:
        self.vocab = vocab
        self.scores = tuple(scores)
        self.rules = check_rules(rules, known=TEXT_RULES)
        parts = {
            word: (score, number)
            for number, (word, score) in enumerate(zip(vocab.words, scores, strict=True))
            if number >= len(SPECIAL_PIECES)
        }
        longest = max(map(len, parts), default=1)
        unknown = min((score for score, _ in parts.values()), default=0.0) - UNKNOWN_COSTS
        self._kept = Kept(lambda piece: most_likely(piece, parts, longest, unknown))

    def encode_parts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, (T,) int32, without the marks of its start and end."""
        return encode_pieces(texts, self.rules, self._kept)

    def tokens(self, text: str) -> list[str]:
        """What the ids of a text stand for, to look at."""
        ids = ids_of(PIECE.findall(clean(text, self.rules)), self._kept).tolist()
        return self.framed_words([self.vocab.words[i].replace(" ", "▁") for i in ids])

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Raises: DataError: there is no such id."""
        return "".join(without_marks(words_of(ids, self.vocab)))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return record_of(self) | {"scores": list(self.scores)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> UnigramTokenizer:
        """The tokenizer of a record. Raises: BundleError: it is not one of this kind."""
        words, rules = checked(record, cls.kind, SPECIAL_PIECES, TEXT_RULES, "scores")
        scores = list_of(record["scores"], (int, float), len(words), "scores", cls.kind)
        if len(scores) != len(words) or not all(-1e9 < score < 1e9 for score in scores):
            raise BundleError("The unigram tokenizer's scores are not a number for each word.")
        return cls(Vocab(words), [float(score) for score in scores], rules)


def encode_pieces(texts: Sequence[str], rules: Collection[str], kept: Kept) -> list[np.ndarray]:
    """The ids of the pieces of each text, (T,) int32."""
    return [ids_of(PIECE.findall(clean(text, rules)), kept) for text in texts]


def merged(letters: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """The words of a piece: the pair of the lowest rank is put together, until no pair has one.

    >>> merged("hello", {("l", "l"): 0, ("h", "e"): 1, ("he", "ll"): 2})
    ['hell', 'o']
    """
    parts = list(letters)
    while len(parts) > 1:
        found = [ranks.get(pair, -1) for pair in itertools.pairwise(parts)]
        known = [rank for rank in found if rank >= 0]
        if not known:
            break
        best, place, after = min(known), 0, []
        while place < len(parts):
            if place < len(found) and found[place] == best:
                after.append(parts[place] + parts[place + 1])
                place += 2
            else:
                after.append(parts[place])
                place += 1
        parts = after
    return parts


UNKNOWN_COSTS = 10.0
"""Nats by which a character that no word covers is less likely than the least likely word."""


def most_likely(
    piece: str, parts: Mapping[str, tuple[float, int]], longest: int, unknown: float
) -> tuple[int, ...]:
    """The ids of the most likely way to cut a piece; of equal ones, that whose last word is longest.

    Args:
        parts: word -> (log-probability, id).
        longest: letters of the longest word.
        unknown: log-probability of a character that no word covers; its id is 0.
    """
    size = len(piece)
    best: list[float] = [0.0] + [-math.inf] * size  # of the letters before each place
    came: list[tuple[int, int]] = [(0, 0)] * (size + 1)  # from where, and by which id
    for start in range(size):
        base = best[start]
        for end in range(start + 1, min(start + longest, size) + 1):
            part = parts.get(piece[start:end])
            if part is not None and base + part[0] > best[end]:
                best[end], came[end] = base + part[0], (start, part[1])
        if piece[start] not in parts and base + unknown > best[start + 1]:
            best[start + 1], came[start + 1] = base + unknown, (start, 0)
    ids, place = [], size
    while place:
        place, number = came[place]
        ids.append(number)
    return tuple(reversed(ids))


def _byte_letters() -> str:
    """The visible character that stands for each byte: its own in Latin-1 where that can be seen."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return "".join([chr(byte if byte in visible else next(others)) for byte in range(256)])


BYTE_LETTERS = _byte_letters()
_TO_LETTERS = dict(enumerate(BYTE_LETTERS))


def as_letters(piece: str) -> str:
    """The bytes of a piece (UTF-8), a visible character each."""
    return piece.encode().decode("latin-1").translate(_TO_LETTERS)


def _shown(data: bytes) -> str:
    """The bytes of a subword to look at: as text, or as numbers where they are part of a character."""
    try:
        return data.decode().replace(" ", "▁")
    except UnicodeDecodeError:
        return f"<{data.hex(' ')}>"


# --- learning ---------------------------------------------------------------------------------------


def learn_merges(
    counts: Mapping[str, int], vocab_size: int, min_freq: int
) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The words and merges of byte-pair encoding, in the order in which they are learnt.

    Pairs of one frequency are taken in the order of their ids, so the answer is one.

    Args:
        counts: piece -> how often.
        vocab_size: words at most; below 512 there is room only for the bytes that are met.
        min_freq: of a pair.
    """
    tokenizers = require("tokenizers", extra="text")
    letters = sorted({letter for piece in counts for letter in as_letters(piece)})
    if vocab_size >= EVERY_BYTE:
        letters = list(BYTE_LETTERS)
    elif len(letters) + len(SPECIAL_PIECES) > vocab_size:
        raise ConfigError(
            f"`vocab_size` must be at least {len(letters) + len(SPECIAL_PIECES)}: "
            f"the texts hold {len(letters)} different bytes. Got {vocab_size}."
        )
    share = -(-sum(counts.values()) // MOST_LEARNT)
    rust = tokenizers.Tokenizer(tokenizers.models.BPE())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=max(min_freq // share, 1),
        special_tokens=list(SPECIAL_PIECES),
        initial_alphabet=letters,
        show_progress=False,
    )
    rust.train_from_iterator(_as_often(counts, share), trainer)
    model = json.loads(rust.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return tuple(words), [(first, second) for first, second in model["merges"]]


EVERY_BYTE = 512
"""From this size on a vocabulary of BPE holds every byte, and so writes every text."""


MOST_LEARNT = 20_000_000
"""Pieces, each as often as it is met, that merges are learnt from; of more texts, an even share."""


def _as_often(counts: Mapping[str, int], share: int) -> Iterator[list[str]]:
    """The bytes of each piece as often as it was met, divided by `share`, in lists not too long."""
    for piece, n in counts.items():
        letters = as_letters(piece)
        for start in range(0, n // share, 10_000):
            yield [letters] * min(10_000, n // share - start)
