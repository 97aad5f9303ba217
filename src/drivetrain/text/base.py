"""What a tokenizer answers, and what the kinds of this package share."""

from __future__ import annotations

import abc
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from drivetrain import _strict
from drivetrain.data.tokens import TokenArray, id_dtype, offsets_of
from drivetrain.errors import BundleError, ConfigError, DataError
from drivetrain.text.vocab import (
    BOS,
    BOS_ID,
    EOS,
    EOS_ID,
    PAD,
    PAD_ID,
    UNK,
    UNK_ID,
    Vocab,
    check_words,
)  # fmt: skip

FORMAT = 1
PAIR_MARK = "\x1e"
"""Stands between the two texts of a pair where they are one string: ASCII's record separator."""
MOST_KEPT = 1 << 18
"""Pieces whose ids are kept; after that many, keeping starts anew, so that memory is bounded."""
LONGEST_KEPT = 64
"""Letters of a piece whose ids are kept."""


class Tokenizer(abc.ABC):
    """What every tokenizer answers."""

    kind: ClassVar[str]
    """Its name in `train_tokenizer` and in a file."""
    vocab: Vocab
    pad_id: int
    unk_id: int | None
    bos_id: int | None
    eos_id: int | None

    @abc.abstractmethod
    def encode(self, texts: Sequence[str]) -> TokenArray:
        """The ids of each text; an empty text has those of its start and end alone.

        Raises: ConfigError: `texts` is one string. DataError: one of them is no string.
        """

    @abc.abstractmethod
    def tokens(self, text: str) -> list[str]:
        """What the ids of a text stand for, to look at."""

    @abc.abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Raises: DataError: there is no such id."""

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""

    @classmethod
    @abc.abstractmethod
    def from_json(cls, record: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer of a record, which may come from a stranger.

        Raises: BundleError: it is not one of this kind.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.vocab)}>"


class OwnTokenizer(Tokenizer):
    """What the kinds of this package share: their first ids, and how texts become an array.

    Args:
        vocab: starts with xxunk, xxpad, xxbos, xxeos.
        rules: names of rules that are on.
    """

    unk_id: int | None = UNK_ID
    pad_id: int = PAD_ID
    bos_id: int | None = BOS_ID
    eos_id: int | None = EOS_ID

    def __init__(self, vocab: Vocab, rules: frozenset[str]) -> None:
        self.vocab = vocab
        self.rules = rules

    @abc.abstractmethod
    def encode_parts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, (T,) int32, without the marks of its start and end."""

    def encode(self, texts: Sequence[str]) -> TokenArray:
        """The ids of each text; an empty text has those of its start and end alone.

        Raises: ConfigError: `texts` is one string. DataError: one of them is no string.
        """
        check_texts(texts)
        return framed(self.encode_parts(texts), self.rules, len(self.vocab))

    def framed_words(self, found: list[str]) -> list[str]:
        """With the words of its start and end, where the rules say so."""
        start = [BOS] if "add_bos" in self.rules else []
        return start + found + ([EOS] if "add_eos" in self.rules else [])


class Kept(dict[str, bytes]):
    """Piece -> the bytes of its ids (int32), found out when they are first asked for.

    Args:
        make: the ids of a piece.
    """

    def __init__(self, make: Callable[[str], Iterable[int]]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, piece: str) -> bytes:
        ids = array("i", self.make(piece)).tobytes()
        if len(piece) <= LONGEST_KEPT:
            if len(self) >= MOST_KEPT:
                self.clear()
            self[piece] = ids
        return ids


def ids_of(pieces: Iterable[str], kept: Kept) -> np.ndarray:
    """(T,) int32, the ids of pieces one after another."""
    return np.frombuffer(b"".join(map(kept.__getitem__, pieces)), np.int32)


def check_texts(texts: Sequence[str]) -> None:
    """Raises ConfigError for one string or a stream, DataError for what is no string."""
    if isinstance(texts, str) or not hasattr(texts, "__len__"):
        got = "one string" if isinstance(texts, str) else f"a {type(texts).__name__}"
        raise ConfigError(f"`texts` must be a sequence of strings. Got {got}; put it in a list.")
    if set(map(type, texts)) - {str}:
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"Text {number} is no string but {type(text).__name__}.")


def framed(parts: Sequence[np.ndarray], rules: Collection[str], vocab_size: int) -> TokenArray:
    """The documents with the marks of their start and end, where the rules say so."""
    start = np.array([BOS_ID] if "add_bos" in rules else [], np.int32)
    end = np.array([EOS_ID] if "add_eos" in rules else [], np.int32)
    lengths = np.fromiter(map(len, parts), np.int64, len(parts)) + len(start) + len(end)
    flat = [ids for part in parts for ids in (start, part, end)]
    ids = np.concatenate(flat) if flat else np.zeros(0, np.int32)
    return TokenArray(ids.astype(id_dtype(vocab_size)), offsets_of(lengths))


def words_of(ids: Iterable[int], vocab: Vocab) -> list[str]:
    """The word of each id. Raises: DataError: there is no such id."""
    words = vocab.words
    return [words[i] for i in known_ids(ids, len(words))]


def known_ids(ids: Iterable[int], vocab_size: int) -> list[int]:
    """Ids as a list. Raises: DataError: one is not below `vocab_size`."""
    found = ids.tolist() if isinstance(ids, np.ndarray) else [int(i) for i in ids]
    if found and not 0 <= min(found) <= max(found) < vocab_size:
        raise DataError(
            f"Ids must be in 0..{vocab_size - 1}. Got {min(found)} to {max(found)}: "
            "they belong to another vocabulary."
        )
    return found


def without_marks(found: Iterable[str]) -> Iterator[str]:
    """Words without those of padding, start and end; for xxunk, U+FFFD."""
    for word in found:
        if word not in (PAD, BOS, EOS):
            yield "\ufffd" if word == UNK else word


def record_of(tokenizer: OwnTokenizer) -> dict[str, Any]:
    """What the record of every kind holds."""
    return {
        "format": FORMAT,
        "kind": tokenizer.kind,
        "rules": sorted(tokenizer.rules),
        "words": list(tokenizer.vocab.words),
    }


def checked(
    record: Mapping[str, Any], kind: str, special: Sequence[str], known: Collection[str], *more: str
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Words and rules of a record that may come from a stranger. Raises: BundleError."""
    where = f"The {kind} tokenizer's record"
    names = ("format", "kind", "rules", "words", *more)
    if not isinstance(record, Mapping) or set(record) != set(names):
        raise BundleError(f"{where} does not hold {', '.join(names)}.")
    if record["format"] != FORMAT or record["kind"] != kind:
        raise BundleError(f"{where} is not of the format {FORMAT} and this kind.")
    rules = list_of(record["rules"], str, len(known), "rules", kind)
    for name in rules:
        if name not in known:
            raise BundleError(f"{where} holds the rule {_strict.shown(name)}, which is not known.")
    return check_words(record["words"], special, where), frozenset(rules)


def list_of(
    value: Any, kinds: type | tuple[type, ...], most: int, name: str, kind: str
) -> list[Any]:
    """A list of a record. Raises: BundleError: it is none, too long, or holds other things."""
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, list) or len(value) > most or not {*map(type, value)} <= {*allowed}:
        raise BundleError(f"The {kind} tokenizer's {name} are not a list of at most {most} values.")
    return value
