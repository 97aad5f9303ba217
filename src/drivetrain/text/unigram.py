"""Learning the parts of the unigram model, and how likely each is.

Paper: Kudo 2018, arXiv:1804.10959, section 3.2: from all short strings of the texts those are thrown out,
a quarter at a time, that the texts' likelihood needs least; between, expectation and maximisation (EM)
find how likely each is. Here the sums of all pieces of text are done at once: the ways to cut a piece
are a graph whose edges are parts, and a step adds up the edges that end at the same letter of all pieces.

Hugging Face's trainer does the same, and gives other words on every run: it adds up in the order of a
hash table that is new each time. Here every sum has one order. Differences from the paper: what a part
is worth is taken from expected counts, not from the best cut alone.
Twin: drivetrain.reference.tokenizers.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from drivetrain.errors import DataError
from drivetrain.text.vocab import SPECIAL_PIECES, build_vocab

LONGEST_PART = 16
"""Letters of a part."""
MOST_PIECES = 200_000
"""Different pieces that are learnt from, the most frequent ones."""
SEEDS = 6
"""Parts to begin with, as a multiple of the vocabulary's size."""
KEPT = 0.75
"""Share of the parts that stay each time."""
STEPS = 2
"""Steps of EM before parts are thrown out."""
LEAST = 1e-8
"""The probability that a single character has at least: a piece of 33 is then still above 1e-264."""


def learn_scores(
    counts: Mapping[str, int], vocab_size: int, min_freq: int
) -> tuple[tuple[str, ...], list[float]]:
    """The words of the unigram model and their log-probabilities (nats), the likeliest first.

    Args:
        counts: piece of text -> how often, at most 33 letters each.
        vocab_size: words at most, special ones among them. Characters take half of it at most.
        min_freq: of a character. What is left out parts a piece.
    Raises: DataError: no character is met as often.
    """
    pieces = known_pieces(counts, vocab_size, min_freq)
    chosen = sorted(pieces, key=lambda piece: -pieces[piece])[:MOST_PIECES]
    times = np.array([pieces[piece] for piece in chosen], np.float64)
    size = vocab_size - len(SPECIAL_PIECES)
    parts, weights = seeds({piece: pieces[piece] for piece in chosen}, SEEDS * size)
    is_single = np.array([len(part) == 1 for part in parts])
    numbers = {part: number for number, part in enumerate(parts)}
    graph = Graph(chosen, numbers)
    others = Graph(parts, numbers, without_whole=True)
    alive = np.ones(len(parts), bool)
    probs = normalised(weights, alive, is_single)
    while True:
        for _ in range(STEPS - 1):
            probs = normalised(graph.expected(probs, times), alive, is_single)
        expected = graph.expected(probs, times)
        probs = normalised(expected, alive, is_single)
        num_alive = int(alive.sum())
        if num_alive <= size:
            break
        left = max(size, int(num_alive * KEPT))
        # What the likelihood loses when a part is written by the best cut of the others.
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = expected * (np.log(probs) - np.log(others.best(probs)))
        loss[is_single] = np.inf
        loss[~alive] = -np.inf
        alive[np.argsort(-loss, kind="stable")[left:]] = False
        probs = normalised(np.where(alive, probs, 0.0), alive, is_single)
    order = [number for number in np.argsort(-probs, kind="stable").tolist() if probs[number] > 0]
    words = (*SPECIAL_PIECES, *(parts[number] for number in order))
    scores = np.log(probs[order]).tolist()
    return words, [0.0] * len(SPECIAL_PIECES) + scores


def known_pieces(counts: Mapping[str, int], vocab_size: int, min_freq: int) -> dict[str, int]:
    """Pieces of the most frequent characters alone; any other character parts a piece."""
    letters: dict[str, int] = {}
    for piece, n in counts.items():
        for letter in piece:
            letters[letter] = letters.get(letter, 0) + n
    most = max(vocab_size // 2, 1)
    chosen = build_vocab(letters, min_freq=min_freq, max_vocab=most, special=()).words
    if not chosen:
        raise DataError(f"No character of the texts is met {min_freq} times.")
    known = re.compile(f"[{re.escape(''.join(chosen))}]+")
    pieces: dict[str, int] = {}
    for piece, n in counts.items():
        for part in known.findall(piece):
            pieces[part] = pieces.get(part, 0) + n
    return pieces


def seeds(pieces: Mapping[str, int], most: int) -> tuple[list[str], np.ndarray]:
    """Parts to begin with, and how often each is met.

    All characters, and of the longer strings that are met twice or more those that cover the most
    letters. Strings that cover as many stand in the order in which they are first met.
    """
    met: dict[str, int] = {}
    for piece, n in pieces.items():
        for start in range(len(piece)):
            for end in range(start + 1, min(start + LONGEST_PART, len(piece)) + 1):
                part = piece[start:end]
                met[part] = met.get(part, 0) + n
    singles = [part for part in met if len(part) == 1]
    longer = [part for part in met if len(part) > 1 and met[part] > 1]
    longer.sort(key=lambda part: -met[part] * len(part))
    parts = singles + longer[: max(most - len(singles), 0)]
    return parts, np.array([met[part] for part in parts], np.float64)


def normalised(weights: np.ndarray, alive: np.ndarray, is_single: np.ndarray) -> np.ndarray:
    """(V,) probabilities in proportion to weights; those of single characters at least `LEAST`."""
    probs = np.where(alive, weights, 0.0) / weights[alive].sum()
    return np.where(is_single, np.maximum(probs, LEAST), probs)


class Graph:
    """All ways to cut some strings into parts. A node is a place between letters, an edge is a part.

    Args:
        strings: not empty.
        numbers: part -> its number.
        without_whole: leave out the edge over a whole string of more than one letter.
    """

    def __init__(
        self, strings: Sequence[str], numbers: Mapping[str, int], *, without_whole: bool = False
    ) -> None:
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        self.first = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
        self.last = self.first + lengths
        self.num_nodes = int(self.last[-1]) + 1
        found: tuple[array[int], ...] = tuple(array("q") for _ in range(4))
        add_string, add_start, add_end, add_part = (column.append for column in found)
        for number, string in enumerate(strings):
            size = len(string)
            for start in range(size):
                for end in range(start + 1, min(start + LONGEST_PART, size) + 1):
                    part = numbers.get(string[start:end])
                    if part is not None and not (without_whole and 1 < size == end - start):
                        add_string(number)
                        add_start(start)
                        add_end(end)
                        add_part(part)
        self.string, start, end, self.part = (
            np.frombuffer(column, np.int64) if len(column) else np.zeros(0, np.int64)
            for column in found
        )
        self.from_node = self.first[self.string] + start
        self.to_node = self.first[self.string] + end
        self.by_end = _steps(end, self.to_node)
        self.by_start = _steps(start, self.from_node)[::-1]

    def forward(self, probs: np.ndarray, combine: np.ufunc = np.add) -> np.ndarray:
        """(nodes,) the probability of the letters before each place, over all cuts; or of the best."""
        reached = np.zeros(self.num_nodes)
        reached[self.first] = 1.0
        for edges, groups, nodes in self.by_end:
            values = reached[self.from_node[edges]] * probs[self.part[edges]]
            reached[nodes] = combine.reduceat(values, groups)
        return reached

    def expected(self, probs: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(V,) how often each part is expected in the strings, which are met (strings,) `times`."""
        before = self.forward(probs)
        after = np.zeros(self.num_nodes)
        after[self.last] = 1.0
        for edges, groups, nodes in self.by_start:
            values = after[self.to_node[edges]] * probs[self.part[edges]]
            after[nodes] = np.add.reduceat(values, groups)
        share = (times / before[self.last])[self.string]
        weight = before[self.from_node] * probs[self.part] * after[self.to_node] * share
        return np.bincount(self.part, weights=weight, minlength=len(probs))

    def best(self, probs: np.ndarray) -> np.ndarray:
        """(strings,) the probability of each string's best cut; 0 where there is none."""
        return self.forward(probs, np.maximum)[self.last]


def _steps(place: np.ndarray, node: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each place in turn: its edges, where those of one node begin among them, and the nodes."""
    order = np.lexsort((node, place))
    place = place[order]
    steps = []
    for edges in np.split(order, np.flatnonzero(np.diff(place)) + 1):
        if len(edges):
            nodes = node[edges]
            groups = np.concatenate([[0], np.flatnonzero(np.diff(nodes)) + 1])
            steps.append((edges, groups, nodes[groups]))
    return steps
