"""Words after the course's rules, and single characters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from drivetrain.data.tokens import offsets_of
from drivetrain.errors import BundleError
from drivetrain.text.base import (
    Kept,
    OwnTokenizer,
    checked,
    ids_of,
    record_of,
    without_marks,
    words_of,
)  # fmt: skip
from drivetrain.text.rules import (
    DEFAULT_RULES,
    RULE_NAMES,
    TEXT_RULES,
    check_rules,
    clean,
    expand,
    fold_repeats,
    join,
    word_pattern,
    words as words_after,
)  # fmt: skip
from drivetrain.text.vocab import MAJ, SPECIAL_PIECES, SPECIAL_WORDS, UP, Vocab


class WordTokenizer(OwnTokenizer):
    """Words after the course's rules. Twin: drivetrain.reference.tokenizers.WordTokenizer.

    Args:
        vocab: starts with `SPECIAL_WORDS`.
        rules: names of rules that are on.
    """

    kind = "word"

    def __init__(self, vocab: Vocab, rules: Collection[str] = DEFAULT_RULES) -> None:
        super().__init__(vocab, check_rules(rules))
        index = vocab.index
        self._number_of = lambda word: index.get(word, 0)
        self._kept = Kept(lambda piece: vocab.ids(expand(piece, self.rules)))

    def encode_parts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, (T,) int32, without the marks of its start and end."""
        return encode_words(texts, self.rules, self._kept, self._number_of)

    def tokens(self, text: str) -> list[str]:
        """What the ids of a text stand for, to look at."""
        return words_after(text, self.rules)

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Raises: DataError: there is no such id."""
        return join(words_of(ids, self.vocab), self.rules)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return record_of(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> WordTokenizer:
        """The tokenizer of a record. Raises: BundleError: it is not one of this kind."""
        words, rules = checked(record, cls.kind, SPECIAL_WORDS, RULE_NAMES)
        return cls(Vocab(words), rules)


def encode_words(
    texts: Sequence[str], rules: Collection[str], kept: Kept, number_of: Callable[[str], int]
) -> list[np.ndarray]:
    """The ids of the words of each text, (T,) int32, without the marks of its start and end.

    Args:
        kept: the ids of a piece, by `number_of` as well.
        number_of: the id of a word; those of `SPECIAL_WORDS` differ.
    """
    pattern = word_pattern(rules)
    parts = [ids_of(pattern.findall(clean(text, rules)), kept) for text in texts]
    if "replace_wrep" in rules:
        for d in with_repeats(parts, (number_of(UP), number_of(MAJ))).tolist():
            pieces = pattern.findall(clean(texts[int(d)], rules))
            expanded = {piece: expand(piece, rules) for piece in set(pieces)}
            found = list(chain.from_iterable(map(expanded.__getitem__, pieces)))
            parts[d] = np.fromiter(map(number_of, fold_repeats(found)), np.int32)
    return parts


def with_repeats(parts: Sequence[np.ndarray], marks: tuple[int, int]) -> np.ndarray:
    """(K,) int64, the documents in which an id, or a mark and an id, stands three times in a row.

    A document more than need be does no harm: `fold_repeats` then looks at its words.

    Args:
        parts: (T,) ids of each document.
        marks: the ids that belong to the id after them.
    """
    offsets = offsets_of(np.fromiter(map(len, parts), np.int64, len(parts)))
    ids = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    same = ids[1:] == ids[:-1]
    places = [np.flatnonzero(same[1:] & same[:-1])]
    is_mark = (ids == marks[0]) | (ids == marks[1])
    same = ids[2:] == ids[:-2]
    runs = same[:-3] & same[1:-2] & same[2:-1] & same[3:]  # x y x y x y begins here
    places.append(np.flatnonzero(runs & is_mark[: len(runs)]))
    return np.unique(np.searchsorted(offsets, np.concatenate(places), side="right") - 1)


class CharTokenizer(OwnTokenizer):
    """Every character an id: for scripts without blanks, for codes, and to see how small it can be.

    Args:
        vocab: starts with `SPECIAL_PIECES`, and then holds single characters.
        rules: names of `TEXT_RULES` that are on.
    """

    kind = "char"

    def __init__(self, vocab: Vocab, rules: Collection[str] = frozenset({"add_bos"})) -> None:
        super().__init__(vocab, check_rules(rules, known=TEXT_RULES))
        points = np.array([ord(word) for word in vocab.words[len(SPECIAL_PIECES) :]], np.int64)
        self._ids = np.zeros(0x110000, np.int32)  # by code point; 0 is xxunk
        self._ids[points] = np.arange(len(SPECIAL_PIECES), len(vocab), dtype=np.int32)

    def encode_parts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, (T,) int32, without the marks of its start and end."""
        return [self._ids[code_points(clean(text, self.rules))] for text in texts]

    def tokens(self, text: str) -> list[str]:
        """What the ids of a text stand for, to look at."""
        return self.framed_words(list(clean(text, self.rules)))

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Raises: DataError: there is no such id."""
        return "".join(without_marks(words_of(ids, self.vocab)))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return record_of(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> CharTokenizer:
        """The tokenizer of a record. Raises: BundleError: it is not one of this kind."""
        words, rules = checked(record, cls.kind, SPECIAL_PIECES, TEXT_RULES)
        if any(len(word) != 1 for word in words[len(SPECIAL_PIECES) :]):
            raise BundleError("The char tokenizer's record holds a word of several characters.")
        return cls(Vocab(words), rules)


def code_points(text: str) -> np.ndarray:
    """(T,) uint32, the code point of each character."""
    return np.frombuffer(text.encode("utf-32-le"), "<u4")
