"""Texts that a model is wrong about, sure of, or undecided on, and classes that it takes for each other.

Made of the `Predictions` of an evaluation and of the texts. Each answer prints itself and is plain JSON.

    most_lost(predictions, texts)              # the highest losses, with what the model said
    confidently_wrong(predictions, texts)      # where wrong labels are found
    confused_pairs(predictions, texts)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.interpret import drawing, text as words
from drivetrain.interpret.token_page import visible
from drivetrain.metrics.confusion import ConfusionMatrix
from drivetrain.train.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 240
"""Letters of a text that are shown."""

Important = Callable[[str], Sequence[str]]
"""A text -> the words that matter in it, the most important first."""


# --- texts that a model is wrong about ----------------------------------------------------------------


@dataclass(frozen=True)
class LookedAt:
    """A text with what is true, what the model said, and how sure it was."""

    id: str
    target: str
    """What is true."""
    pred: str
    """What the model said."""
    probability: float | None
    """Of what it said; None of numbers."""
    true_probability: float | None
    """Of what is true."""
    loss: float
    text: str
    """Shortened in the middle, on one line."""


@dataclass(frozen=True)
class LookedAtTexts:
    """Texts in an order that says why they are looked at."""

    title: str
    items: tuple[LookedAt, ...]
    total: int
    """Texts that were looked through."""

    def __len__(self) -> int:
        return len(self.items)

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "title": self.title,
            "total": self.total,
            "items": [asdict(item) for item in self.items],
        }

    def __str__(self) -> str:
        lines = [f"{self.title}: {len(self.items):,} of {self.total:,} texts"]
        for item in self.items:
            sure = "" if item.probability is None else f" {item.probability:.1%}"
            true = "" if item.true_probability is None else f" {item.true_probability:.1%}"
            lines.append(
                f"\n{item.id} · loss {words.number(item.loss)} · true {item.target}{true} · "
                f"said {item.pred}{sure}\n{words.wrapped(item.text)}"
            )
        return "\n".join(lines)


def most_lost(
    predictions: Predictions,
    texts: Sequence[str],
    *,
    count: int = 20,
    width: int = WIDTH,
    important: Important | None = None,
) -> LookedAtTexts:
    """The texts with the highest loss, the highest first.

    Args:
        predictions: a record of N texts.
        texts: (N,) in the order of the predictions.
        count: how many at most.
        width: letters of a text that are shown.
        important: which words a text is shortened around; by default its beginning and end are shown.

    Raises: ShapeError: not as many texts as predictions.
    """
    _check(predictions, texts)
    order = torch.argsort(predictions.losses, descending=True, stable=True)
    return _looked_at("Most lost", predictions, texts, order[:count], width, important)


def confidently_wrong(
    predictions: Predictions,
    texts: Sequence[str],
    *,
    count: int = 20,
    width: int = WIDTH,
    important: Important | None = None,
) -> LookedAtTexts:
    """The wrong answers that the model was surest of: where labels are wrong, they are found here.

    Args:
        predictions: a record of N texts.
        texts: (N,) in the order of the predictions.
        count: how many at most.
        width: letters of a text that are shown.
        important: which words a text is shortened around; by default its beginning and end are shown.

    Raises: ShapeError: not as many texts as predictions. ConfigError: the answers are no classes.
    """
    _check(predictions, texts)
    probs = _probabilities(predictions)
    sure, said = probs.max(dim=1)
    wrong = (said != predictions.targets).nonzero().squeeze(1)
    order = wrong[torch.argsort(sure[wrong], descending=True, stable=True)]
    return _looked_at("Surest and wrong", predictions, texts, order[:count], width, important)


def nearest_decision(
    predictions: Predictions,
    texts: Sequence[str],
    *,
    count: int = 20,
    width: int = WIDTH,
    important: Important | None = None,
) -> LookedAtTexts:
    """The texts whose two likeliest classes are closest, right or wrong: what to label next.

    Args:
        predictions: a record of N texts.
        texts: (N,) in the order of the predictions.
        count: how many at most.
        width: letters of a text that are shown.
        important: which words a text is shortened around; by default its beginning and end are shown.

    Raises: ShapeError: not as many texts as predictions. ConfigError: the answers are no classes.
    """
    _check(predictions, texts)
    two = _probabilities(predictions).topk(2, dim=1).values  # (N, 2)
    order = torch.argsort(two[:, 0] - two[:, 1], stable=True)
    return _looked_at(
        "Nearest to the decision", predictions, texts, order[:count], width, important
    )


def _check(predictions: Predictions, texts: Sequence[str]) -> None:
    if len(texts) != len(predictions):
        raise ShapeError(f"There are {len(texts)} texts for {len(predictions)} predictions.")


def _is_classes(predictions: Predictions) -> bool:
    targets = predictions.targets
    return targets.ndim == 1 and not targets.is_floating_point() and predictions.outputs.ndim <= 2


def _probabilities(predictions: Predictions) -> Tensor:
    """(N, C) probabilities; of one output for yes or no, those of both."""
    if not _is_classes(predictions):
        raise ConfigError(
            "Only classes have a decision to be sure of or near to. Got targets of shape "
            f"{tuple(predictions.targets.shape)} and type {predictions.targets.dtype}."
        )
    outputs = predictions.outputs.double()
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        yes = outputs.reshape(-1).sigmoid()
        return torch.stack([1 - yes, yes], dim=1)
    return outputs.softmax(dim=1)


def _looked_at(
    title: str,
    predictions: Predictions,
    texts: Sequence[str],
    order: Tensor,
    width: int,
    important: Important | None,
) -> LookedAtTexts:
    probs = _probabilities(predictions) if _is_classes(predictions) else None
    items = []
    for i in order.tolist():
        chance = true_chance = None
        if probs is not None:
            true, said = int(predictions.targets[i]), int(probs[i].argmax())
            target, pred = (_label(predictions.classes, one) for one in (true, said))
            chance, true_chance = float(probs[i, said]), float(probs[i, true])
        else:
            target, pred = (
                _told(predictions, values[i])
                for values in (predictions.targets, predictions.outputs)
            )
        one = str(texts[i])
        matter = important(one) if important is not None else ()
        items.append(
            LookedAt(
                str(predictions.ids[i]),
                target,
                pred,
                chance,
                true_chance,
                float(predictions.losses[i]),
                shorten(one, width, around=matter),
            )
        )
    return LookedAtTexts(title, tuple(items), len(predictions))


def _label(classes: Sequence[str], number: int) -> str:
    return classes[number] if classes else str(number)


def _told(predictions: Predictions, value: Tensor) -> str:
    """A number; of several labels at once, those that hold (a score above 0, or a target of 1)."""
    if value.ndim == 0 or value.numel() == 1:
        return words.number(float(value))
    if predictions.classes and value.ndim == 1:
        bound = 0.0 if value.is_floating_point() and bool((value < 0).any()) else 0.5
        held = [name for name, one in zip(predictions.classes, value, strict=True) if one > bound]
        return ", ".join(held) or "none"
    return words.listed([words.number(float(one)) for one in value.flatten()])


def shorten(text: str, width: int = WIDTH, *, around: Sequence[str] = ()) -> str:
    """A text on one line, its middle cut out where it is too long.

    >>> shorten("one two three four five six", 16)
    'one two … ve six'
    >>> shorten("one two three four five six seven", 20, around=["four"])
    'one … four … seven'

    Args:
        width: letters in all.
        around: words to keep with what stands around them, the most important first, as far as there is
            room; a word that the text does not hold is passed over.
    """
    if not around and len(text) > 20 * width:  # what is between them is not looked at
        text = f"{text[: 8 * width]} {text[-8 * width :]}"
    line = " ".join(visible(text).split())
    if len(line) <= width:
        return line
    if not around:
        head = (width - 3 + 1) // 2
        return f"{line[:head].rstrip()} … {line[len(line) - (width - 3 - head) :].lstrip()}"
    spans = list(re.finditer(r"\S+", line))
    keep = {0, len(spans) - 1}
    starts = np.array([span.start() for span in spans])
    room = width - sum(spans[i].end() - spans[i].start() for i in keep) - 4
    for reach in (0, 1, 2, 4, 8):  # the words first, then more and more around them
        for word in around:
            at = _found(line, word.strip())
            if at is None:
                continue
            place = int(np.searchsorted(starts, at, side="right")) - 1
            for i in range(max(place - reach, 0), min(place + reach + 1, len(spans))):
                cost = spans[i].end() - spans[i].start() + (1 if {i - 1, i + 1} & keep else 3)
                if i not in keep and cost <= room:
                    keep.add(i)
                    room -= cost
    parts, last = [], -1
    for i in sorted(keep):
        if i != last + 1:
            parts.append("…")
        parts.append(spans[i].group())
        last = i
    return " ".join(parts)


def _found(line: str, word: str) -> int | None:
    """Where a word stands, whatever its case; inside another one where it does not stand by itself."""
    if not word:
        return None
    plain = re.escape(word)
    found = re.search(rf"(?<!\w){plain}(?!\w)", line, re.IGNORECASE)
    found = found or re.search(plain, line, re.IGNORECASE)
    return found.start() if found else None


# --- classes taken for each other ---------------------------------------------------------------------


@dataclass(frozen=True)
class ConfusedPair:
    """Texts of one class that were taken for another."""

    target: str
    pred: str
    count: int
    share: float
    """Of the texts that are of the true class."""
    example: LookedAt
    """The one of the highest loss."""


@dataclass(frozen=True)
class ConfusedPairs:
    """Pairs of classes, the one that is taken for the other most often first."""

    pairs: tuple[ConfusedPair, ...]
    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns what the model said."""

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "classes": list(self.classes),
            "matrix": [list(row) for row in self.matrix],
            "pairs": [asdict(pair) for pair in self.pairs],
        }

    def __str__(self) -> str:
        if not self.pairs:
            return "No text was taken for another class."
        rows = [
            [words.cut(p.target), words.cut(p.pred), f"{p.count:,}", f"{p.share:.1%}", p.example.id]
            for p in self.pairs
        ]
        lines = [words.table(["true", "said", "texts", "of the class", "such as"], rows, left=2)]
        lines += [f"{p.example.id}: {p.example.text}" for p in self.pairs]
        return "\n".join(lines)

    def plot(self) -> Figure:
        """The matrix, a row for each true class, coloured by the share of the row.

        Raises: MissingPackageError: there is no matplotlib.
        """
        counts = np.array(self.matrix, dtype=np.float64).reshape(len(self.matrix), -1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        size = 2.2 + 0.45 * max(len(counts), 3)
        figure = drawing.new_figure(size + 0.8, size)
        axes = figure.subplots()
        picture = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        names = [drawing.label(name, 18) for name in self.classes]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        if len(counts) <= 20:
            for (i, j), value in np.ndenumerate(counts):
                dark = shares[i, j] > 0.5
                axes.text(
                    j, i, f"{value:,.0f}", ha="center", va="center", fontsize=8,
                    color="white" if dark else "0.2",
                )  # fmt: skip
        axes.set_xlabel("said")
        axes.set_ylabel("true")
        figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.8)
        return figure


def confused_pairs(
    predictions: Predictions,
    texts: Sequence[str],
    *,
    count: int = 10,
    width: int = WIDTH,
    important: Important | None = None,
) -> ConfusedPairs:
    """Which classes are taken for which, with an example of each.

    Args:
        predictions: a record of N texts.
        texts: (N,) in the order of the predictions.
        count: how many at most.
        width: letters of a text that are shown.
        important: which words a text is shortened around; by default its beginning and end are shown.

    Raises: ShapeError: not as many texts as predictions. ConfigError: the answers are no classes.
    """
    _check(predictions, texts)
    probs = _probabilities(predictions)
    confusion = ConfusionMatrix()
    confusion.update(probs, predictions.targets.to(probs.device))
    matrix = confusion.to_numpy()
    off = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-off, axis=None, kind="stable")[: min(count, int((off > 0).sum()))]
    said = probs.argmax(dim=1)
    pairs = []
    for cell in order.tolist():
        true, taken = divmod(cell, len(matrix))
        rows = ((predictions.targets == true) & (said == taken)).nonzero().squeeze(1)
        worst = rows[predictions.losses[rows].argmax()].view(1)
        example = _looked_at("", predictions, texts, worst, width, important).items[0]
        number = int(off[true, taken])
        pairs.append(
            ConfusedPair(
                _label(predictions.classes, true),
                _label(predictions.classes, taken),
                number,
                number / int(matrix[true].sum()),
                example,
            )
        )
    names = tuple(_label(predictions.classes, i) for i in range(len(matrix)))
    return ConfusedPairs(tuple(pairs), names, tuple(map(tuple, matrix.tolist())))
