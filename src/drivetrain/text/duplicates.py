"""Texts that repeat others, equal or nearly so, within a split and across splits.

A text that trains and validates as well is known by heart, and the score is too good. So look before:

    print(find_duplicates({"train": train_texts, "valid": valid_texts}))
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.interpret import text as words
from drivetrain.randomness import derive
from drivetrain.text.base import check_texts
from drivetrain.text.looking import shorten

LETTERS = 8
"""Letters of a shingle: long enough that different texts share few."""
BINS, ROWS = 256, 4
"""Numbers of a text's sketch, and how many of them make a bucket: 64 buckets a text."""
NEIGHBOURS = 10
"""Texts of a bucket that each is compared with; in all, so the time stays linear."""
COMPARED = 6
"""Pairs of a text and those of a split that are compared exactly: the likeliest by their sketches."""
DRAWS = 32
"""Times that an empty bin draws another one."""
BLOCK_LETTERS = 1 << 22
"""Letters that are looked at in one go."""


@dataclass(frozen=True)
class DuplicatePair:
    """Two texts that are the same or nearly so."""

    first_split: str
    first: str
    """Id of the text; its position where it has no id."""
    second_split: str
    second: str
    share: float
    """Shingles in common, of all shingles of both (Jaccard); 1.0 of equal texts."""
    is_exact: bool
    """Equal but for case and blanks."""
    text: str
    """The second one, shortened."""


@dataclass(frozen=True)
class Duplicates:
    """Texts that repeat others, within a split and across."""

    sizes: tuple[tuple[str, int], ...]
    """(split, texts)."""
    exact: tuple[tuple[str, str, int], ...]
    """(split, other, texts of `other` that equal one of `split`); of one split, those that repeat an
    earlier text of it."""
    near: tuple[tuple[str, str, int], ...]
    """The same of texts that are near to one, and equal to none."""
    pairs: tuple[DuplicatePair, ...]
    """Each text that repeats another, with the one it is nearest to, across splits first."""
    at_least: float
    """Share from which texts count as near."""

    def count(self, split: str, other: str, *, near: bool = False) -> int:
        """Texts of `other` that repeat one of `split`."""
        counts = self.near if near else self.exact
        return sum(n for one, two, n in counts if (one, two) == (split, other))

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        keys = ("split", "other", "texts")
        return {
            "sizes": dict(self.sizes),
            "at_least": self.at_least,
            "exact": [dict(zip(keys, one, strict=True)) for one in self.exact],
            "near": [dict(zip(keys, one, strict=True)) for one in self.near],
            "pairs": [asdict(pair) for pair in self.pairs],
        }

    def __str__(self) -> str:
        sizes = dict(self.sizes)
        rows = [
            [
                f"{other} in {split}" if split != other else f"{split} again",
                f"{exact:,}",
                f"{near:,}",
                f"{sizes[other]:,}",
                words.share(exact + near, sizes[other]),
            ]
            for (split, other, exact), (_, _, near) in zip(self.exact, self.near, strict=True)
        ]
        lines = [words.table(["repeats", "equal", "near", "of", "share"], rows)]
        for pair in self.pairs[:10]:
            kind = "equal" if pair.is_exact else f"{pair.share:.0%}"
            lines.append(
                f"{pair.second_split} {pair.second} = {pair.first_split} {pair.first} ({kind}): "
                f"{words.cut(pair.text, 70)}"
            )
        if len(self.pairs) > 10:
            lines.append(f"and {len(self.pairs) - 10:,} more")
        return "\n".join(lines)


def find_duplicates(
    splits: Mapping[str, Sequence[str]],
    *,
    ids: Mapping[str, Sequence[str]] | None = None,
    at_least: float | None = 0.5,
    letters: int = LETTERS,
    seed: int = 42,
) -> Duplicates:
    """Texts that equal others but for case and blanks, and texts that nearly do.

    Equal texts are found by a hash of 128 bits. Near ones share shingles, runs of `letters` letters: a
    sketch of 256 numbers by one-permutation hashing (Li, Owen & Zhang 2012, arXiv:1208.1259) whose empty
    bins borrow from others (Shrivastava 2017, arXiv:1703.04664) puts a text into 64 buckets, and those
    that share a bucket are compared exactly. A pair whose share of common shingles is s meets with the
    chance 1 - (1 - s⁴)⁶⁴: 98% at 0.5, 99.99% at 0.6; texts of less than about 200 letters have fewer
    numbers of their own, and the chance is lower. No pair is reported that is below `at_least`. Time
    grows with the letters; in a bucket of many, each text is compared with `NEIGHBOURS` others.

    Args:
        splits: name -> texts; a split that others must not repeat, such as train, stands first.
        ids: name -> ids of its texts; by default their positions.
        at_least: share from which two texts are near; None looks for equal ones alone.
        letters: of a shingle; texts that are shorter are one shingle.
        seed: of the hash.

    Raises: ConfigError: a setting is out of range. ShapeError: not as many ids as texts.
    """
    if at_least is not None and not 0 < at_least <= 1:
        raise ConfigError(f"`at_least` must be a share above 0, up to 1. Got {at_least}.")
    if letters < 1:
        raise ConfigError(f"`letters` must be at least 1. Got {letters}.")
    names = list(splits)
    for name in names:
        check_texts(splits[name])
        if ids is not None and name in ids and len(ids[name]) != len(splits[name]):
            raise ShapeError(
                f"`ids` has {len(ids[name])} entries for {len(splits[name])} texts of '{name}'."
            )
    sizes = [len(splits[name]) for name in names]
    owner = np.repeat(np.arange(len(names)), sizes)  # (D,) split of each text
    plain = [normalised(one) for name in names for one in splits[name]]
    first_like = _first_like(plain)  # (D,) the first text that equals it
    firsts = np.flatnonzero(first_like == np.arange(len(plain)))
    apart = _near([plain[i] for i in firsts.tolist()], owner[firsts], at_least, letters, seed)
    near = (firsts[apart[0]], firsts[apart[1]], apart[2])
    found = _best_pairs(owner, first_like, near)
    starts = np.concatenate([[0], np.cumsum(sizes)])

    def identified(i: int) -> tuple[str, str]:
        name = names[owner[i]]
        place = i - int(starts[owner[i]])
        return name, str(ids[name][place]) if ids is not None and name in ids else str(place)

    pairs = []
    for earlier, later, share, is_exact in found:
        one, two = identified(earlier), identified(later)
        place = later - int(starts[owner[later]])
        shown = shorten(splits[two[0]][place], 120)
        pairs.append(DuplicatePair(*one, *two, share, is_exact, shown))
    of = [(names[i], names[j]) for i in range(len(names)) for j in range(i, len(names))]
    counts = Counter((p.first_split, p.second_split, p.is_exact) for p in pairs)
    pairs.sort(key=lambda p: (p.first_split == p.second_split, -p.share))
    return Duplicates(
        tuple(zip(names, sizes, strict=True)),
        tuple((*two, counts[(*two, True)]) for two in of),
        tuple((*two, counts[(*two, False)]) for two in of),
        tuple(pairs),
        1.0 if at_least is None else at_least,
    )


def normalised(text: str) -> str:
    """What two texts that count as equal have in common: letters without case, single blanks.

    >>> normalised("  A\\tFilm \\n")
    'a film'
    """
    line = text if text.isascii() else unicodedata.normalize("NFC", text)
    return " ".join(line.casefold().split())


def _first_like(plain: Sequence[str]) -> np.ndarray:
    """(D,) int64, the number of the first text that equals each; an empty text equals none."""
    seen: dict[bytes, int] = {}
    first = np.arange(len(plain))
    for i, one in enumerate(plain):
        if one:
            key = hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            first[i] = seen.setdefault(key, i)
    return first


Near = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Numbers of two texts, the first below the second, and the share they have in common."""


def _best_pairs(
    owner: np.ndarray, first_like: np.ndarray, near: Near
) -> list[tuple[int, int, float, bool]]:
    """For each text, of its own split and of each before it, the text there that it repeats best."""
    found: dict[tuple[int, int], tuple[int, float, bool]] = {}  # (later, split) -> earlier

    def offer(earlier: int, later: int, share: float, is_exact: bool) -> None:
        key = later, int(owner[earlier])
        if key not in found or (is_exact, share) > (found[key][2], found[key][1]):
            found[key] = earlier, share, is_exact

    # Of texts that are equal, the first in each split, and all of them.
    heads: dict[int, dict[int, int]] = {}
    groups: dict[int, list[int]] = {}
    for i in np.flatnonzero(_is_repeated(first_like)).tolist():
        mine = heads.setdefault(int(first_like[i]), {})
        for earlier in mine.values():
            offer(earlier, i, 1.0, True)
        mine.setdefault(int(owner[i]), i)
        groups.setdefault(int(first_like[i]), []).append(i)
    for one, two, share in zip(*(part.tolist() for part in near), strict=True):
        # What is near to one text is near to all that equal it; one of each split is enough beside all.
        for a, b in ((one, two), (two, one)):
            for left in heads.get(a, {0: a}).values():
                for right in groups.get(b, [b]):
                    offer(min(left, right), max(left, right), share, False)
    return [(earlier, later, share, exact) for (later, _), (earlier, share, exact) in found.items()]


def _is_repeated(first_like: np.ndarray) -> np.ndarray:
    counts = np.bincount(first_like, minlength=len(first_like))
    return counts[first_like] > 1


def _near(
    plain: Sequence[str], owner: np.ndarray, at_least: float | None, letters: int, seed: int
) -> Near:
    """Pairs of different texts that share enough shingles.

    Args:
        owner: (D,) the split of each text.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    some = [i for i, one in enumerate(plain) if one]
    if at_least is None or len(some) < 2:
        return nothing
    key = np.uint64(derive(seed, "shingles") | 1)
    texts = [plain[i] for i in some]
    sketches = np.concatenate(
        [_sketches(*_shingles(texts[a:b], letters, key), b - a) for a, b in _blocks(texts)]
    )  # (D, BINS)
    left, right = _candidates(sketches)
    # The sketch says about how much two have in common: ± 0.03 at 256 numbers, more of short texts.
    alike = np.concatenate(
        [
            (sketches[left[i : i + 65536]] == sketches[right[i : i + 65536]]).mean(axis=1)
            for i in range(0, len(left), 65536)
        ]
        or [np.zeros(0)]
    )
    hopeful = np.flatnonzero(alike >= at_least - 0.25)
    left, right, alike = left[hopeful], right[hopeful], alike[hopeful]
    numbers = np.array(some)
    first = _best_few(right, owner[numbers[left]], alike)
    left, right = left[first], right[first]
    share = _jaccard(texts, left, right, letters, key)
    enough = share >= at_least
    return numbers[left[enough]], numbers[right[enough]], share[enough]


def _best_few(right: np.ndarray, split: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Places of pairs: of a later text and each split of earlier ones, the `COMPARED` likeliest."""
    order = np.lexsort((-alike, split, right))
    right, split = right[order], split[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (right[1:] != right[:-1]) | (split[1:] != split[:-1])
    begins = np.maximum.accumulate(np.where(is_new, np.arange(len(order)), 0))
    return np.sort(order[np.arange(len(order)) - begins < COMPARED])


def _blocks(texts: Sequence[str]) -> list[tuple[int, int]]:
    """(first, end) of texts that together have about `BLOCK_LETTERS` letters."""
    ends = np.cumsum([len(one) for one in texts])
    cuts = np.flatnonzero(np.diff(ends // BLOCK_LETTERS)) + 1
    edges = [0, *cuts.tolist(), len(texts)]
    return list(pairwise(edges))


def _shingles(texts: Sequence[str], letters: int, key: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """(M,) uint64 hashes of all runs of letters, and (M,) int64, the text of each."""
    padded = [one.ljust(letters, "\0") for one in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), "<u4")
    count = len(points) - letters + 1
    hashes = np.zeros(count, np.uint64)
    with np.errstate(over="ignore"):  # wrapping round at 2**64 is meant
        for place in range(letters):
            hashes *= key
            hashes += points[place : place + count]
        hashes = _mixed(hashes)
    owner = np.repeat(np.arange(len(padded)), lengths)
    inside = owner[:count] == owner[letters - 1 :]  # not across two texts
    return hashes[inside], owner[:count][inside]


def _mixed(z: np.ndarray) -> np.ndarray:
    """Bits spread over the whole number (SplitMix64's last steps)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


_EMPTY = np.uint32(0xFFFFFFFF)


def _sketches(hashes: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """(count, BINS) uint32: the least hash in each of as many parts of the range of hashes."""
    bins = (hashes >> np.uint64(56)).astype(np.int64)  # 256 of them
    values = ((hashes >> np.uint64(20)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    sketch = np.full(count * BINS, _EMPTY)
    np.minimum.at(sketch, owner * BINS + bins, values)
    return _filled(sketch.reshape(count, BINS))


def _filled(sketch: np.ndarray) -> np.ndarray:
    """Empty bins take the number of another one, which one is the same for all texts.

    Others are drawn `DRAWS` times; what is then still empty, as in a text of few letters, takes the next
    bin that is not.
    """
    filled = sketch.copy()
    rows, bins = np.nonzero(sketch == _EMPTY)
    for attempt in range(1, DRAWS + 1):
        with np.errstate(over="ignore"):
            drawn = _mixed(
                np.arange(BINS, dtype=np.uint64) * np.uint64(1 << 32) + np.uint64(attempt)
            )
        given = sketch[rows, (drawn >> np.uint64(56)).astype(np.int64)[bins]]
        filled[rows, bins] = given
        left = given == _EMPTY
        rows, bins = rows[left], bins[left]
        if not len(rows):
            return filled
    some = np.unique(rows)
    own = sketch[some]
    places = np.where(own == _EMPTY, 2 * BINS, np.arange(BINS))
    places = np.hstack([places, places + BINS])  # going round
    following = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1][:, :BINS] % BINS
    rest = filled[some]
    still = rest == _EMPTY
    rest[still] = np.take_along_axis(own, following, axis=1)[still]
    filled[some] = rest
    return filled


def _candidates(sketches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of texts that share a bucket, each once: (P,) and (P,), the first below the second."""
    count = len(sketches)
    found: list[np.ndarray] = []
    for start in range(0, BINS, ROWS):
        keys = np.zeros(count, np.uint64)
        with np.errstate(over="ignore"):
            for column in range(start, start + ROWS):
                keys = _mixed(keys + sketches[:, column] + np.uint64(0x9E3779B97F4A7C15))
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        for step in range(1, min(NEIGHBOURS, count - 1) + 1):
            same = ranked[step:] == ranked[:-step]
            if not same.any():
                break
            # a stable sort: within a bucket numbers rise
            found.append(order[:-step][same] * count + order[step:][same])
    pairs = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return pairs // count, pairs % count


def _jaccard(
    texts: Sequence[str], left: np.ndarray, right: np.ndarray, letters: int, key: np.uint64
) -> np.ndarray:
    """(P,) shingles in common as a share of all of both, exactly."""
    share = np.zeros(len(left))
    sizes = np.array([len(one) for one in texts])
    ends = np.cumsum(sizes[left] + sizes[right])
    cuts = (np.flatnonzero(np.diff(ends // BLOCK_LETTERS)) + 1).tolist() if len(ends) else []
    for start, end in pairwise([0, *cuts, len(left)]):
        if start == end:
            continue
        some = np.unique(np.concatenate([left[start:end], right[start:end]]))
        hashes, owner = _shingles([str(texts[i]) for i in some.tolist()], letters, key)
        order = np.lexsort((hashes, owner))
        hashes, owner = hashes[order], owner[order]
        is_new = np.ones(len(hashes), dtype=bool)  # each shingle of a text once
        is_new[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
        sets = Sets(hashes[is_new], np.searchsorted(owner[is_new], np.arange(len(some) + 1)))
        one = sets.take(np.searchsorted(some, left[start:end]))
        two = sets.take(np.searchsorted(some, right[start:end]))
        both = _in_common(one, two, end - start)
        total = np.bincount(one[1], minlength=end - start) + np.bincount(
            two[1], minlength=end - start
        )
        share[start:end] = both / (total - both)
    return share


class Sets(NamedTuple):
    """Sets of hashes, one after another."""

    values: np.ndarray
    """(M,) uint64."""
    offsets: np.ndarray
    """(D + 1,) where each begins."""

    def take(self, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The hashes of some sets, and for each the place of its set among those asked for."""
        starts = self.offsets[sets]
        lengths = self.offsets[sets + 1] - starts
        before = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(before[-1]) + np.repeat(starts - before[:-1], lengths)
        return self.values[places], np.repeat(np.arange(len(sets)), lengths)


def _in_common(
    one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray], count: int
) -> np.ndarray:
    """(count,) hashes that the two sets of each pair share."""
    values, pairs = (np.concatenate(part) for part in zip(one, two, strict=True))
    order = np.lexsort((values, pairs))
    values, pairs = values[order], pairs[order]
    again = (values[1:] == values[:-1]) & (pairs[1:] == pairs[:-1])
    return np.bincount(pairs[1:][again], minlength=count)
