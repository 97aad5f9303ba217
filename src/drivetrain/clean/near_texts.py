"""Texts that are the same but for case, blanks and signs, and texts that share most of what they say.

    pairs = near_texts(texts)
    pairs.exact                                       # (P,) bool: the same words one after the other

Equal texts are found by their words. Near ones by shingles, runs of `WORDS` words, each as a hash of 64
bits: the share that two texts have in common of all that either has (Jaccard; Broder 1997). Sorting the
hashes of all texts brings those that share one together, and counting how often two meet is what they
share, exactly: no draw decides who is compared. Two things keep that linear in the words:

    a shingle of more than `MOST_SHARED` texts, of a signature or a form, brings each of them together
    with the next one alone: texts that are all one are found as a chain, and those that share only the
    form are told apart when they are compared
    of very many words only shingles with a hash of 0 modulo m are sorted, the same ones of every text

A text of fewer than `LEAST_WORDS` words has only equal ones: there one word is a difference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from drivetrain.clean.duplicates import NearPairs
from drivetrain.errors import ConfigError

WORDS = 4
"""Words of a shingle."""
LEAST = 0.5
"""Share of common shingles from which on two texts are near duplicates. One word of 100 changed leaves
0.92; of different reviews of one film hardly any two have 0.05."""
LEAST_WORDS = 20
"""Words of a text that may be near to another."""
MOST_SHARED = 16
"""Texts that share a shingle and are all brought together by it."""
MOST_SORTED = 20_000_000
"""Shingles that are sorted at once; of more, a share is."""
_WORD = re.compile(r"\w+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def words_of(text: str) -> list[str]:
    """The words as they are compared: without case, blanks, signs, and ways of writing one letter.

    >>> words_of(" It's  a\\tFILM!<br />")
    ['it', 's', 'a', 'film', 'br']
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _WORD.findall(plain.casefold())


def near_texts(texts: Sequence[str], *, least: float = LEAST) -> NearPairs:
    """Pairs of texts that are the same, or nearly.

    Of texts that are equal each is paired with the first of them only; what is near to one of them is
    paired with the first alone.

    Args:
        texts: N strings; those without a word are equal to none.
        least: share of shingles in common, in (0, 1].

    Returns: pairs with `exact` for the same words in the same order; the score is the share in common.
    Raises: ConfigError: `least` is no share.
    """
    if not 0 < least <= 1:
        raise ConfigError(f"`least` is a share above 0, up to 1. Got {least}.")
    rows = _numbered(texts)
    head = _heads(rows)
    firsts = np.flatnonzero(head == np.arange(len(rows)))
    some = firsts[[len(rows[at]) >= LEAST_WORDS for at in firsts.tolist()]]
    left, right, score = _near([_shingles(rows[at]) for at in some.tolist()], least)
    equal = _equal(head)
    first = np.concatenate([equal.first, some[left]])
    second = np.concatenate([equal.second, some[right]])
    order = np.lexsort((second, first))
    exact = np.concatenate([equal.exact, np.zeros(len(left), bool)])
    scores = np.concatenate([equal.score, score])
    return NearPairs(first[order], second[order], scores[order], exact[order], compared=len(texts))


def equal_texts(texts: Sequence[str]) -> NearPairs:
    """Pairs of texts of the same words in the same order alone: each with the first of them."""
    return _equal(_heads(_numbered(texts)))


def _numbered(texts: Sequence[str]) -> list[np.ndarray]:
    """(L,) int64 of each text: its words as numbers, the same word the same number."""
    numbers: dict[str, int] = {}
    return [
        np.fromiter((numbers.setdefault(word, len(numbers)) for word in words_of(text)), np.int64)
        for text in texts
    ]


def _heads(rows: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) int64, the first text that is equal to each; without words, itself."""
    first: dict[bytes, int] = {}
    return np.array(
        [first.setdefault(row.tobytes(), at) if len(row) else at for at, row in enumerate(rows)],
        dtype=np.int64,
    )


def _equal(head: np.ndarray) -> NearPairs:
    again = np.flatnonzero(head < np.arange(len(head)))
    every = np.ones(len(again))
    return NearPairs(head[again], again, every, every.astype(bool), compared=len(head))


def _shingles(numbers: np.ndarray) -> np.ndarray:
    """(K,) uint64 sorted hashes of all runs of words, each once."""
    count = len(numbers) - WORDS + 1
    hashes = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):  # wrapping round at 2**64 is meant
        for place in range(WORDS):
            hashes = _mixed(hashes + numbers[place : place + count].astype(np.uint64) + _FACTOR)
    return np.unique(hashes)


def _mixed(z: np.ndarray) -> np.ndarray:
    """Bits spread over the whole number (the last steps of SplitMix64; Steele et al. 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _near(sets: Sequence[np.ndarray], least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of sets with at least that share in common: first, second, share."""
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    sizes = np.array([len(one) for one in sets], dtype=np.int64)
    if len(sets) < 2:
        return nothing
    every = np.concatenate(sets)
    owner = np.repeat(np.arange(len(sets)), sizes)
    thinned = -(-len(every) // MOST_SORTED)
    if thinned > 1:
        chosen = every % np.uint64(thinned) == 0
        every, owner = every[chosen], owner[chosen]
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    starts = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]]))
    runs = np.diff(np.concatenate([starts, [len(every)]]))
    many = runs > MOST_SHARED
    chained = np.flatnonzero(np.repeat(many, runs)[:-1] & (every[1:] == every[:-1]))
    keys = [owner[chained] * len(sets) + owner[chained + 1]]
    starts, runs = starts[~many], runs[~many]
    keys += [
        owner[starts[runs > j] + i] * len(sets) + owner[starts[runs > j] + j]
        for j in range(1, MOST_SHARED)
        for i in range(j)
    ]  # a pair of texts for each shingle that they share
    met, times = np.unique(np.concatenate(keys), return_counts=True)
    left, right = met // len(sets), met % len(sets)
    # Those that share what many have may have met less often than they share; a tenth of what is asked
    # for is enough to be compared in full.
    enough = times * thinned >= 0.1 * least * np.minimum(sizes[left], sizes[right])
    enough &= least * np.maximum(sizes[left], sizes[right]) <= np.minimum(sizes[left], sizes[right])
    left, right = left[enough], right[enough]
    score = np.array(
        [_jaccard(sets[i], sets[j]) for i, j in zip(left.tolist(), right.tolist(), strict=True)]
    )
    keep = score >= least if len(score) else np.zeros(0, bool)
    return left[keep], right[keep], score[keep] if len(score) else np.zeros(0)


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
