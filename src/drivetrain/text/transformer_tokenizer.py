"""The tokenizer that a pretrained transformer was trained with, from its `tokenizer.json`.

    tokenizer = TransformerTokenizer.from_folder("folder/")
    tokens, cut = tokenizer.encode_counted(texts)
    str(cut)        # "3 of 100 texts were cut to 256 tokens: 1.2% of all tokens are not read."

Hugging Face's `tokenizers` (Rust, Apache-2.0) turns text into ids. The marks of start and end and the
cutting to `max_len` are done here, all texts at once, so that what is cut off is counted; they give what
`transformers` gives. One thing differs on purpose: a text that holds the letters of a mark, such as
"[SEP]", holds letters and no mark.

A text and another one, as in questions and answers, stand in the model's own form for pairs; where both
are too long, the longer one is cut first.

A file may come from a stranger: it is bounded before it is parsed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from drivetrain import _strict
from drivetrain._optional import require
from drivetrain.data.tokens import TokenArray, id_dtype, offsets_of
from drivetrain.errors import BundleError, ConfigError, DataError
from drivetrain.text.base import FORMAT, PAIR_MARK, Tokenizer, check_texts, known_ids
from drivetrain.text.vocab import MOST_WORDS, Vocab

MOST_BYTES = 64 << 20
"""Of a tokenizer.json."""
MOST_VALUES = 8_000_000
MOST_LEN = 1 << 20
BLOCK_LETTERS = 1 << 22
"""Letters of the texts that are looked at in one go: what Rust says of a token takes much memory."""
KEEP = ("start", "end", "both")
_MARKS = {
    "pad": ("[PAD]", "<pad>", "<|padding|>"),
    "unk": ("[UNK]", "<unk>"),
    "bos": ("[CLS]", "<s>", "<bos>"),
    "eos": ("[SEP]", "</s>", "<eos>", "<|endoftext|>"),
}


@dataclass(frozen=True)
class Cut:
    """What cutting texts to a length took away."""

    num_texts: int
    num_cut: int
    """Texts that were too long."""
    num_tokens: int
    """Tokens of all texts before cutting, marks included."""
    num_lost: int
    """Tokens that were cut off."""
    max_len: int | None

    def __str__(self) -> str:
        if not self.num_cut:
            return f"None of {self.num_texts:,} texts had to be cut."
        return (
            f"{self.num_cut:,} of {self.num_texts:,} texts were cut to {self.max_len} tokens: "
            f"{self.num_lost / self.num_tokens:.1%} of all tokens are not read."
        )


@dataclass(frozen=True)
class Frame:
    """The marks around texts: before the first, between two, after the last; each (K,) int32."""

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray

    @property
    def size(self) -> int:
        """Marks in all."""
        return len(self.before) + len(self.between) + len(self.after)


class TransformerTokenizer(Tokenizer):
    """The tokenizer of a pretrained transformer.

    Args:
        text: the content of a `tokenizer.json`.
        max_len: tokens that a text is cut to, its marks included; None: it is not cut.
        keep: what of a text that is too long is kept: its "start", its "end", or "both", half of each.
        special: names "pad", "unk", "bos", "eos" -> the words that stand for them, where known.
        pairs: a text with `PAIR_MARK` in it is two texts, in the model's form for pairs; one without is
            a text alone.

    Raises: DataError: it is not the content of such a file. ConfigError: `max_len` leaves no room.
    """

    kind: ClassVar[str] = "transformer"

    def __init__(
        self,
        text: str,
        *,
        max_len: int | None = None,
        keep: str = "start",
        special: Mapping[str, str] | None = None,
        pairs: bool = False,
    ) -> None:
        self._rust = _parsed(text)
        self._text = text
        self.vocab = Vocab(_words(self._rust))
        self.special = {n: w for n, w in (special or {}).items() if n in _MARKS and w in self.vocab}
        ids = {name: self._mark(name) for name in _MARKS}
        self.unk_id, self.bos_id, self.eos_id = ids["unk"], ids["bos"], ids["eos"]
        self.pad_id: int = ids["pad"] or 0
        self._single, self._pair = _frame(self._rust), _pair_frame(self._rust)
        self.max_len = max_len
        self.keep = keep
        self.pairs = pairs
        if keep not in KEEP:
            raise ConfigError(
                f"`keep` must be one of {', '.join(KEEP)}. Got {_strict.shown(keep)}."
            )
        least = self._pair.size + 2
        if max_len is not None and not (type(max_len) is int and least <= max_len <= MOST_LEN):
            raise ConfigError(
                f"`max_len` must be {least} to {MOST_LEN} tokens for this tokenizer. Got {max_len}."
            )

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        *,
        max_len: int | None = None,
        keep: str = "start",
    ) -> TransformerTokenizer:
        """The tokenizer of a model's folder.

        Raises: ConfigError: the folder has no tokenizer.json. DataError: it is damaged.
        """
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise ConfigError(
                f"{folder} holds no tokenizer.json. Make it once with transformers: "
                "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`."
            )
        special: dict[str, str] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            special |= _special(Path(folder) / name)
        return cls(_read(path), max_len=max_len, keep=keep, special=special)

    def with_max_len(self, max_len: int | None, *, keep: str | None = None) -> TransformerTokenizer:
        """The same, cutting elsewhere."""
        keep = keep or self.keep
        return TransformerTokenizer(
            self._text, max_len=max_len, keep=keep, special=self.special, pairs=self.pairs
        )

    def for_pairs(self) -> TransformerTokenizer:
        """The same, for texts of which each is two with `PAIR_MARK` between them."""
        return TransformerTokenizer(
            self._text, max_len=self.max_len, keep=self.keep, special=self.special, pairs=True
        )

    @property
    def separator_id(self) -> int | None:
        """The mark that ends a text of a pair; None where it has none of one token."""
        marks = self._pair.between
        return int(marks[0]) if len(marks) and (marks == marks[0]).all() else None

    def encode(self, texts: Sequence[str]) -> TokenArray:
        """The ids of each text with the model's marks, cut to `max_len`."""
        return self.encode_counted(texts)[0]

    def encode_counted(self, texts: Sequence[str]) -> tuple[TokenArray, Cut]:
        """As `encode`, and what was cut off."""
        check_texts(texts)
        if not self.pairs:
            return self._framed(self._single, self._bodies(texts))
        parted = [text.partition(PAIR_MARK) for text in texts]
        alone = [row for row, (_, mark, _) in enumerate(parted) if not mark]
        both = [row for row, (_, mark, _) in enumerate(parted) if mark]
        one, cut = self._framed(self._single, self._bodies([texts[row] for row in alone]))
        firsts, seconds = ([parted[row][k] for row in both] for k in (0, 2))
        two, also_cut = self._framed(self._pair, self._bodies(firsts), self._bodies(seconds))
        ids, lengths = (
            np.concatenate([one.ids, two.ids]),
            np.concatenate([one.lengths(), two.lengths()]),
        )
        found = TokenArray(ids, offsets_of(lengths))
        counted = Cut(
            len(texts),
            cut.num_cut + also_cut.num_cut,
            cut.num_tokens + also_cut.num_tokens,
            cut.num_lost + also_cut.num_lost,
            self.max_len,
        )
        return found.take(np.argsort([*alone, *both], kind="stable")), counted

    def encode_pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> TokenArray:
        """The ids of each two texts in the model's form for pairs, cut to `max_len` together.

        Raises: ConfigError: there are not as many of one as of the other.
        """
        return self.encode_pairs_counted(firsts, seconds)[0]

    def encode_pairs_counted(
        self, firsts: Sequence[str], seconds: Sequence[str]
    ) -> tuple[TokenArray, Cut]:
        """As `encode_pairs`, and what was cut off."""
        check_texts(firsts)
        check_texts(seconds)
        if len(firsts) != len(seconds):
            raise ConfigError(
                f"Pairs need as many second texts as first ones. Got {len(firsts)} and {len(seconds)}."
            )
        return self._framed(self._pair, self._bodies(firsts), self._bodies(seconds))

    def tokens(self, text: str) -> list[str]:
        """What the ids of a text stand for; not cut."""
        check_texts([text])
        words = self.vocab.words
        first, mark, second = text.partition(PAIR_MARK) if self.pairs else (text, "", "")
        frame = self._pair if mark else self._single
        ids = [*frame.before, *self._bodies([first]).ids]
        if mark:
            ids += [*frame.between, *self._bodies([second]).ids]
        return [words[i] for i in [*ids, *frame.after]]

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for, without marks, as the model's own decoder writes it."""
        return self._rust.decode(known_ids(ids, len(self.vocab)), skip_special_tokens=True)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values; the tokenizer.json is one text among them."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "tokenizer": self._text,
            "max_len": self.max_len,
            "keep": self.keep,
            "special": dict(self.special),
            **({"pairs": True} if self.pairs else {}),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TransformerTokenizer:
        """The tokenizer of a record, which may come from a stranger.

        Raises: BundleError: it is not one of this kind.
        """
        names = ("format", "kind", "tokenizer", "max_len", "keep", "special")
        where = "The transformer tokenizer's record"
        if not isinstance(record, Mapping) or {*record, "pairs"} != {*names, "pairs"}:
            raise BundleError(f"{where} does not hold {', '.join(names)}.")
        if record["format"] != FORMAT or record["kind"] != cls.kind:
            raise BundleError(f"{where} is not of the format {FORMAT} and this kind.")
        special = record["special"]
        is_special = isinstance(special, dict) and set(special) <= set(_MARKS)
        if not is_special or not all(isinstance(word, str) for word in special.values()):
            raise BundleError(f"{where} has marks that are none of {', '.join(_MARKS)}.")
        text, pairs = record["tokenizer"], record.get("pairs", False)
        if not isinstance(text, str):
            raise BundleError(f"{where} holds no tokenizer.json.")
        if type(pairs) is not bool:
            raise BundleError(f"{where} has `pairs` that is neither true nor false.")
        cut = {"max_len": record["max_len"], "keep": record["keep"]}
        try:
            return cls(text, **cut, special=special, pairs=pairs)
        except (ConfigError, DataError) as error:
            raise BundleError(f"{where} is not sound: {_strict.short(error)}") from error

    def _mark(self, name: str) -> int | None:
        """The id of a mark: as the model's folder says, else by the words that are usual for it."""
        for word in (self.special.get(name), *_MARKS[name]):
            if word is not None and word in self.vocab:
                return self.vocab.index[word]
        return None

    def _bodies(self, texts: Sequence[str]) -> TokenArray:
        """The ids of each text without marks."""
        parts: list[np.ndarray] = []
        for start, stop in _blocks(texts):
            block = [_unicode(text) for text in texts[start:stop]]
            found = self._rust.encode_batch_fast(block, add_special_tokens=False)
            parts += [np.array(encoding.ids, np.int32) for encoding in found]
        ids = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        return TokenArray(ids, offsets_of(np.fromiter(map(len, parts), np.int64, len(parts))))

    def _framed(self, frame: Frame, *bodies: TokenArray) -> tuple[TokenArray, Cut]:
        lengths = [body.lengths() for body in bodies]
        kept = _kept(lengths, None if self.max_len is None else self.max_len - frame.size)
        marks = [frame.before, frame.between, frame.after]
        if len(bodies) == 1:
            marks = [frame.before, frame.after]
        total = np.sum(kept, axis=0) + frame.size
        offsets = offsets_of(total)
        ids = np.empty(int(offsets[-1]), np.int32)
        place = offsets[:-1].copy()  # where the next piece of each text begins
        for number, mark in enumerate(marks):
            for k, token in enumerate(mark):  # a handful, whatever the texts
                ids[place + k] = token
            place += len(mark)
            if number < len(bodies):
                body, count = bodies[number], kept[number]
                steps = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
                ids[np.repeat(place, count) + steps] = body.ids[
                    np.repeat(body.offsets[:-1], count) + steps + self._skipped(body, count, steps)
                ]
                place += count
        whole = np.sum(lengths, axis=0)
        lost = whole - np.sum(kept, axis=0)
        cut = Cut(
            len(bodies[0]),
            int((lost > 0).sum()),
            int(whole.sum()) + frame.size * len(bodies[0]),
            int(lost.sum()),
            self.max_len,
        )
        return TokenArray(ids.astype(id_dtype(len(self.vocab))), offsets), cut

    def _skipped(self, body: TokenArray, count: np.ndarray, steps: np.ndarray) -> np.ndarray | int:
        """How many tokens of its text are left out before each token that is kept."""
        if self.keep == "start":
            return 0
        out = np.repeat(body.lengths() - count, count)
        if self.keep == "end":
            return out
        return np.where(steps < np.repeat((count + 1) // 2, count), 0, out)


def _kept(lengths: Sequence[np.ndarray], room: int | None) -> list[np.ndarray]:
    """Tokens that are kept of each text; of two, the longer is cut first, down to half of the room."""
    if room is None:
        return list(lengths)
    if len(lengths) == 1:
        return [np.minimum(lengths[0], room)]
    first, second = lengths
    short, long = np.minimum(first, second), np.maximum(first, second)
    fits = first + second <= room
    # a short one that leaves the other less than half is cut as well
    is_short = short <= room // 2
    new_short = np.where(fits | is_short, short, room // 2)
    new_long = np.where(fits, long, room - new_short)
    is_first_short = first <= second
    return [
        np.where(is_first_short, new_short, new_long),
        np.where(is_first_short, new_long, new_short),
    ]


def _unicode(text: str) -> str:
    """The text with U+FFFD in the place of halves of characters, which Rust does not take."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _blocks(texts: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Start and stop of texts of about as many letters; a longer text is a block by itself."""
    start, size = 0, 0
    for number, text in enumerate(texts):
        if number > start and size + len(text) > BLOCK_LETTERS:
            yield start, number
            start, size = number, 0
        size += len(text) + 1
    if start < len(texts):
        yield start, len(texts)


# --- from files -----------------------------------------------------------------------------------


def _read(path: Path) -> str:
    try:
        # the Hugging Face cache is made of links to its files
        descriptor, size = _strict.open_regular(path.resolve(), limit=MOST_BYTES)
        with open(descriptor, "rb") as file:
            return file.read(size).decode("utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used: {error}.") from error


def _special(path: Path) -> dict[str, str]:
    """The words that a model's folder names for the marks."""
    if not path.is_file():
        return {}
    try:
        record = json_of(_read(path))
    except ValueError as error:
        raise DataError(f"{path} cannot be used: {error}.") from error
    found = {}
    for mark, names in {
        "pad": ("pad_token",),
        "unk": ("unk_token",),
        "bos": ("cls_token", "bos_token"),
        "eos": ("sep_token", "eos_token"),
    }.items():
        for name in names:
            value = record.get(name) if isinstance(record, dict) else None
            word = value.get("content") if isinstance(value, dict) else value
            if isinstance(word, str) and mark not in found:
                found[mark] = word
    return found


def json_of(text: str) -> Any:
    """The value of a JSON text of a tokenizer. Raises: ValueError: it is not sound."""
    data = text.encode("utf-8")
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has {len(data)} bytes, more than the {MOST_BYTES} allowed")
    return _strict.parse_json(data, max_values=MOST_VALUES)


def _parsed(text: str) -> Any:
    """The Rust tokenizer of a tokenizer.json, without its own padding and cutting.

    Raises: DataError: it is not one.
    """
    tokenizers = require("tokenizers", extra="text")
    try:
        record = json_of(text)
        if not isinstance(record, dict) or not isinstance(record.get("model"), dict):
            raise ValueError("it is not an object that holds a model")
        record |= {"padding": None, "truncation": None}
        rust = tokenizers.Tokenizer.from_str(json.dumps(record, ensure_ascii=False))
    except BaseException as error:
        # Rust's errors have no class of their own, and its panics are not even an Exception
        is_ours = isinstance(error, ValueError | TypeError) or type(error) is Exception
        if not is_ours and type(error).__name__ != "PanicException":
            raise
        raise DataError(f"The tokenizer.json cannot be used: {_reason(error)}.") from error
    rust.encode_special_tokens = True  # letters of a text are never a mark
    return rust


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")


def _words(rust: Any) -> tuple[str, ...]:
    """The word of each id; ids that have none get a name, so that places stay ids.

    Raises: DataError: an id stands for two words, or is too large.
    """
    index: dict[str, int] = rust.get_vocab(with_added_tokens=True)
    size = max(index.values(), default=-1) + 1
    if not 0 < size <= MOST_WORDS or len(set(index.values())) != len(index):
        raise DataError(
            f"The tokenizer.json cannot be used: its {len(index)} words do not have an id each below "
            f"{MOST_WORDS}."
        )
    words = [""] * size
    for word, number in index.items():
        words[number] = word
    if len(index) < size:
        words = [w if w in index else f"<no word {i}>" for i, w in enumerate(words)]
    return tuple(words)


def _frame(rust: Any) -> Frame:
    """The marks around one text, found by looking at one."""
    return _frame_of(rust.encode("a"), 1)


def _pair_frame(rust: Any) -> Frame:
    """The marks around two texts."""
    return _frame_of(rust.encode("a", "a"), 2)


def _frame_of(encoding: Any, count: int) -> Frame:
    ids = np.array(encoding.ids, np.int32)
    owners = [-1 if owner is None else owner for owner in encoding.sequence_ids]
    places = [[i for i, owner in enumerate(owners) if owner == which] for which in range(count)]
    if not all(places):
        # the letter is no token of its own: then marks are whatever is called special
        raise DataError("The tokenizer.json cannot be used: it makes nothing of the letter a.")
    first, last = places[0], places[-1]
    between = ids[first[-1] + 1 : last[0]] if count == 2 else ids[:0]
    return Frame(ids[: first[0]], between, ids[last[-1] + 1 :])
