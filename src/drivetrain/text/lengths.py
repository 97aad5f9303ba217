"""How long texts are in tokens, and which of their words a vocabulary does not hold.

    length_statistics(tokens.lengths(), max_len=512, batch_size=64)
    vocabulary_coverage(tokenizer, {"train": train_texts, "valid": valid_texts})

Each answer prints itself and is plain JSON (`to_json`); the lengths draw themselves (`plot`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.interpret import drawing, text as words
from drivetrain.interpret.token_page import visible
from drivetrain.randomness import permutation
from drivetrain.text.base import Tokenizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class LengthGroup:
    """How long some texts are, in tokens."""

    name: str
    count: int
    tokens: int
    """In all of them."""
    quantiles: tuple[float, ...]
    """At `QUANTILES`."""
    empty: int
    """Texts of no token."""


@dataclass(frozen=True)
class LengthStatistics:
    """How long texts are, and what that costs."""

    everything: LengthGroup
    groups: tuple[LengthGroup, ...]
    """By class, where classes were given."""
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    """Texts between two edges, the histogram; the last edge belongs to the last bin."""
    max_len: int | None
    cut_texts: int
    """Texts that are longer."""
    cut_tokens: int
    """Tokens of them that a model of this length does not see."""
    batch_size: int | None
    padding: tuple[tuple[str, float], ...]
    """(order, share of the tokens in batches that are padding): shuffled, and by length."""

    @property
    def cut_share(self) -> float:
        """Share of all tokens that is cut off."""
        return self.cut_tokens / self.everything.tokens if self.everything.tokens else 0.0

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "quantiles_at": list(QUANTILES),
            "everything": _plain(self.everything),
            "groups": [_plain(group) for group in self.groups],
            "histogram": {"edges": list(self.edges), "counts": list(self.counts)},
            "max_len": self.max_len,
            "cut_texts": self.cut_texts,
            "cut_tokens": self.cut_tokens,
            "batch_size": self.batch_size,
            "padding": dict(self.padding),
        }

    def __str__(self) -> str:
        names = ["shortest", *[f"{100 * at:.0f}%" for at in QUANTILES[1:-1]], "longest"]
        rows = [
            [
                words.cut(group.name),
                f"{group.count:,}",
                f"{group.tokens:,}",
                words.number(group.tokens / group.count if group.count else 0),
                *[f"{value:,.0f}" for value in group.quantiles],
            ]
            for group in (self.everything, *self.groups)
        ]
        lines = [words.table(["tokens in texts", "texts", "tokens", "mean", *names], rows)]
        if self.everything.empty:
            count = self.everything.empty
            lines.append(f"{count:,} {'text has' if count == 1 else 'texts have'} no token.")
        if self.max_len is not None:
            lines.append(
                f"{self.cut_texts:,} texts ({words.share(self.cut_texts, self.everything.count)}) are "
                f"longer than {self.max_len:,} tokens: "
                f"{words.share(self.cut_tokens, self.everything.tokens)} of all tokens is cut off."
            )
        if self.padding:
            told = "; ".join(f"{order} {share:.1%}" for order, share in self.padding)
            lines.append(f"Padding in batches of {self.batch_size}: {told}.")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """The histogram, with the length at which texts are cut.

        Raises: MissingPackageError: there is no matplotlib.
        """
        figure = drawing.new_figure(6.5, 3.2)
        axes = figure.subplots()
        axes.stairs(self.counts, self.edges, fill=True, color=drawing.PLAIN)
        axes.set_xlabel("tokens in a text")
        axes.set_ylabel("texts")
        if self.edges[0] > 0 and self.edges[-1] / self.edges[0] > 20:
            axes.set_xscale("log")
        if self.max_len is not None:
            axes.axvline(self.max_len, color="0.2", linestyle="--")
            axes.annotate(
                f" cut at {self.max_len:,}", (self.max_len, 1), xycoords=("data", "axes fraction"),
                va="top", fontsize=8,
            )  # fmt: skip
        axes.grid(axis="y", alpha=0.3)
        drawing.bare(axes)
        return figure


def length_statistics(
    lengths: np.ndarray | Sequence[int],
    *,
    targets: np.ndarray | Tensor | Sequence[int] | None = None,
    classes: Sequence[str] = (),
    max_len: int | None = None,
    batch_size: int | None = None,
    bins: int = 30,
    seed: int = 42,
) -> LengthStatistics:
    """How long texts are.

    Args:
        lengths: (D,) tokens of each text, as `TokenArray.lengths()`.
        targets: (D,) class numbers, to look at each class apart.
        classes: their names.
        max_len: tokens that a model sees of a text.
        batch_size: to say how many tokens of a batch are padding, shuffled and sorted by length; texts
            are cut to `max_len` before.
        bins: of the histogram.
        seed: of the shuffle.

    Raises: ShapeError: there is no text, or not as many targets. ConfigError: a number is out of range.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if sizes.ndim != 1 or not len(sizes):
        raise ShapeError(f"`lengths` must be (D,) with D above 0. Got {sizes.shape}.")
    for name, value in (("max_len", max_len), ("batch_size", batch_size), ("bins", bins)):
        if value is not None and value < 1:
            raise ConfigError(f"`{name}` must be at least 1. Got {value}.")
    groups = []
    if targets is not None:
        numbers = np.asarray(targets)
        if numbers.shape != sizes.shape:
            raise ShapeError(f"There are {numbers.shape} targets for {sizes.shape} lengths.")
        groups = [
            _length_group(classes[int(n)] if classes else str(n), sizes[numbers == n])
            for n in np.unique(numbers)
        ]
    low, high = int(sizes.min()), int(sizes.max())
    edges = np.linspace(low, high + 1, min(bins, high + 1 - low) + 1)
    if low > 0 and high > 20 * low:
        edges = np.geomspace(low, high + 1, bins + 1)
        edges[0], edges[-1] = low, high + 1
    counts, _ = np.histogram(sizes, edges)
    over = np.maximum(sizes - max_len, 0) if max_len is not None else np.zeros(1, np.int64)
    padding: list[tuple[str, float]] = []
    if batch_size is not None:
        seen = sizes if max_len is None else np.minimum(sizes, max_len)
        order = permutation(len(seen), seed=seed, epoch=0).numpy()
        padding = [
            ("shuffled", padded_share(seen[order], batch_size)),
            ("sorted by length", padded_share(np.sort(seen)[::-1], batch_size)),
        ]
    return LengthStatistics(
        _length_group("all", sizes),
        tuple(groups),
        tuple(edges.tolist()),
        tuple(counts.tolist()),
        max_len,
        int((over > 0).sum()),
        int(over.sum()),
        batch_size,
        tuple(padding),
    )


def padded_share(lengths: np.ndarray, batch_size: int) -> float:
    """Share of the tokens that is padding where texts are put into batches in this order.

    >>> padded_share(np.array([4, 2, 1, 1]), 2)
    0.2
    """
    if not len(lengths):
        return 0.0
    starts = np.arange(0, len(lengths), batch_size)
    rows = np.diff(np.append(starts, len(lengths)))
    total = int((np.maximum.reduceat(lengths, starts) * rows).sum())
    return (total - int(lengths.sum())) / total if total else 0.0


def _length_group(name: str, sizes: np.ndarray) -> LengthGroup:
    at = np.quantile(sizes, QUANTILES)
    return LengthGroup(
        name, len(sizes), int(sizes.sum()), tuple(at.tolist()), int((sizes == 0).sum())
    )


def _plain(group: LengthGroup) -> dict[str, Any]:
    return asdict(group) | {"quantiles": list(group.quantiles)}


@dataclass(frozen=True)
class SplitCoverage:
    """How much of some texts a vocabulary holds."""

    split: str
    texts: int
    tokens: int
    unknown: int
    """Tokens that have no id of their own."""
    texts_with_unknown: int
    distinct_unknown: int | None
    """Different words among them; None of a tokenizer whose unknown tokens cannot be told apart."""
    words: tuple[tuple[str, int], ...]
    """(word, times) of those that are met most often."""

    @property
    def share(self) -> float:
        """Share of the tokens that is unknown."""
        return self.unknown / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class VocabularyCoverage:
    """How much of each split a vocabulary holds."""

    kind: str
    vocab_size: int
    splits: tuple[SplitCoverage, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "kind": self.kind,
            "vocab_size": self.vocab_size,
            "splits": [
                asdict(split)
                | {"words": [list(word) for word in split.words], "share": split.share}
                for split in self.splits
            ],
        }

    def __str__(self) -> str:
        rows = [
            [
                one.split,
                f"{one.texts:,}",
                f"{one.tokens:,}",
                f"{one.share:.2%}",
                f"{words.share(one.texts_with_unknown, one.texts)}",
                "-" if one.distinct_unknown is None else f"{one.distinct_unknown:,}",
            ]
            for one in self.splits
        ]
        headings = ["split", "texts", "tokens", "unknown", "texts with one", "different"]
        lines = [
            f"A {self.kind} vocabulary of {self.vocab_size:,}",
            words.table(headings, rows),
        ]
        for one in self.splits:
            if one.words:
                most = ", ".join(f"{words.cut(visible(word))} {n:,}" for word, n in one.words)
                lines.append(f"{one.split}: {most}")
        return "\n".join(lines)


def vocabulary_coverage(
    tokenizer: Tokenizer, splits: Mapping[str, Sequence[str]], *, most: int = 20
) -> VocabularyCoverage:
    """Which share of each split's tokens the vocabulary does not hold, and which words they are.

    Args:
        tokenizer: whose vocabulary is asked.
        splits: name -> texts.
        most: words that are listed of each split.
    """
    found = []
    for name, texts in splits.items():
        tokens = tokenizer.encode(texts)
        is_unknown = np.zeros(len(tokens.ids), dtype=bool)
        if tokenizer.unk_id is not None:
            is_unknown = np.asarray(tokens.ids == tokenizer.unk_id)
        places = np.flatnonzero(is_unknown)
        owners = np.searchsorted(tokens.offsets, places, side="right") - 1
        with_unknown, firsts = np.unique(owners, return_index=True)
        counts: Counter[str] = Counter()
        can_be_told = True
        parts = np.split(places, firsts[1:]) if len(places) else []
        for d, here in zip(with_unknown.tolist(), parts, strict=True):
            read = tokenizer.tokens(str(texts[d]))  # before the vocabulary
            if len(read) != tokens.offsets[d + 1] - tokens.offsets[d]:
                can_be_told = False
                break
            counts.update(read[i] for i in (here - tokens.offsets[d]).tolist())
        unknown_word = None if tokenizer.unk_id is None else tokenizer.vocab.words[tokenizer.unk_id]
        if set(counts) == {unknown_word}:
            can_be_told = False
        ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        found.append(
            SplitCoverage(
                name,
                len(texts),
                len(tokens.ids),
                len(places),
                len(with_unknown),
                len(counts) if can_be_told else None,
                tuple(ranked[:most]) if can_be_told else (),
            )
        )
    return VocabularyCoverage(tokenizer.kind, len(tokenizer.vocab), tuple(found))
