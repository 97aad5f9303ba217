"""The vocabulary: which words have an id, and which id.

Ids depend on the texts alone: special words come first in a fixed order, then words by how often they
are met, the more frequent first, and words of one count in the order in which they are first met. Neither
the number of processes nor the hash seed of a run moves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from drivetrain import _strict
from drivetrain.errors import BundleError, ConfigError

UNK, PAD, BOS, EOS = "xxunk", "xxpad", "xxbos", "xxeos"
FLD, REP, WREP, UP, MAJ = "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj"

SPECIAL_WORDS = (UNK, PAD, BOS, EOS, FLD, REP, WREP, UP, MAJ)
"""First in every vocabulary of words, in this order; the ids are 0 to 8."""
SPECIAL_PIECES = (UNK, PAD, BOS, EOS)
"""First in every vocabulary of characters and subwords."""

UNK_ID, PAD_ID, BOS_ID, EOS_ID = range(4)
"""Their ids, the same in every vocabulary."""

MOST_WORDS = 2_000_000
LONGEST = 256
"""Letters of a word that a file may hold."""


@dataclass(frozen=True)
class Vocab:
    """Words by id, and ids by word.

    >>> vocab = Vocab(("xxunk", "xxpad", "film"))
    >>> len(vocab), vocab.index["film"], "film" in vocab, vocab.words[2]
    (3, 2, True, 'film')
    """

    words: tuple[str, ...]
    """Each stands once; its place is its id."""
    index: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Word -> id."""

    def __post_init__(self) -> None:
        index = {word: number for number, word in enumerate(self.words)}
        if len(index) != len(self.words):
            raise ConfigError("A vocabulary holds each word once.")
        object.__setattr__(self, "index", index)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def ids(self, words: Iterable[str], unk_id: int = 0) -> list[int]:
        """The id of each word; `unk_id` for those that have none."""
        index = self.index
        return [index.get(word, unk_id) for word in words]


def build_vocab(
    counts: Mapping[str, int],
    *,
    min_freq: int = 3,
    max_vocab: int = 60_000,
    special: Sequence[str] = SPECIAL_WORDS,
) -> Vocab:
    """The most frequent words.

    >>> counts = {"the": 5, "a": 2, "dog": 3, "cat": 3}
    >>> build_vocab(counts, min_freq=3, max_vocab=4, special=("xxunk",)).words
    ('xxunk', 'the', 'dog', 'cat')

    Args:
        counts: word -> how often it is met, in the order in which the words are first met.
        min_freq: words that are met less often have no id.
        max_vocab: words in all, special ones among them.
        special: come first, whether they are met or not.
    Raises: ConfigError: `min_freq` below 1, or `max_vocab` below the number of special words.
    """
    if min_freq < 1:
        raise ConfigError(f"`min_freq` must be at least 1. Got {min_freq}.")
    if max_vocab < len(special):
        raise ConfigError(
            f"`max_vocab` must be at least {len(special)}, the special words. Got {max_vocab}."
        )
    known = set(special)
    met = [(word, n) for word, n in counts.items() if n >= min_freq and word not in known]
    met.sort(
        key=lambda entry: -entry[1]
    )  # a stable sort: equal counts stay in the order of `counts`
    return Vocab((*special, *(word for word, _ in met[: max_vocab - len(special)])))


def check_words(words: object, special: Sequence[str], where: str) -> tuple[str, ...]:
    """The words of a record that may come from a stranger.

    Raises: BundleError: they are not a list of different words that starts with `special`, or a word
        is empty, too long, or not Unicode text.
    """
    if not isinstance(words, list) or not len(special) <= len(words) <= MOST_WORDS:
        raise BundleError(f"{where}: its words are not a list of {len(special)} to {MOST_WORDS}.")
    if tuple(words[: len(special)]) != tuple(special):
        raise BundleError(f"{where}: its words do not start with {', '.join(special)}.")
    for word in words:
        if not isinstance(word, str) or not 0 < len(word) <= LONGEST:
            raise BundleError(f"{where}: {_strict.shown(word)} is not a word.")
        if not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word):
            raise BundleError(f"{where}: {_strict.shown(word)} is not Unicode text.")
    if len(set(words)) != len(words):
        raise BundleError(f"{where}: a word stands twice in its vocabulary.")
    return tuple(words)
