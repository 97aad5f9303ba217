"""The gate for texts: what is wrong with them before a model learns from them.

found = check("reviews.csv", "label")
print(found)
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from drivetrain.clean.duplicates import Duplicates
from drivetrain.clean.near_texts import equal_texts, near_texts, words_of
from drivetrain.gate.findings import Finding, Findings
from drivetrain.gate.items import (
    alike_classes,
    duplicates_across,
    duplicates_within,
    imbalance,
    label_conflicts,
    unreadable,
)
from drivetrain.gate.telling import before_training
from drivetrain.gate.worth import Worth, metric_of, nearest_is_right, worth_of_copies
from drivetrain.text.data import TextData, gather

MODEL = "the nearest text of training"
MOST_LETTERS = 5_000_000
"""Of texts that are looked through quickly: about two seconds."""
CELLS = 1024
"""Numbers of a text's vector: words fall into them by a hash, with either sign."""


def check(source: Any, target: str | Sequence[str] | None = None, **options: Any) -> Findings:
    """Look at texts before a model learns from them.

    Args:
        source: a folder, a table, or a list of strings; see `text.data.gather` for it and the options.
        target: the column of the label.
        options: of `gather`.

    Returns: the findings, the gravest first; print them.
    Raises: what reading raises.
    """
    return check_data(gather(source, target, **options))


def check_quickly(data: TextData) -> Findings:
    """The same without the test part, and without measuring; of many texts equal ones alone."""
    return _checked(data, sealed=False, quick=True)


def warned(data: TextData) -> str:
    """What `learner` and `language_learner` write of texts before a training; see `gate.telling`."""
    target = f", {data.goal.name!r}" if data.goal is not None and data.recipe["target"] else ""
    labelled = ", labelled=False" if data.goal is None else ""
    source = repr(data.recipe["source"]) if isinstance(data.recipe["source"], str) else "texts"
    return before_training(check_quickly(data), f"dt.text.check({source}{target}{labelled})")


def check_data(data: TextData, *, sealed: bool = True) -> Findings:
    """The same of texts that are read already.

    Args:
        sealed: look whether texts of the test part are in training too; their labels are not looked at.
    """
    return _checked(data, sealed=sealed, quick=False)


def _checked(data: TextData, *, sealed: bool, quick: bool) -> Findings:
    parts = [""] * len(data.texts)
    for part in ("train", "valid", "test"):
        for at in getattr(data.split, part):
            parts[at] = part
    asked = [at for at, part in enumerate(parts) if part and (sealed or part != "test")]
    ids = [data.ids[at] for at in asked]
    texts = [data.texts[at] for at in asked]
    left_out = []
    is_large = quick and sum(map(len, texts)) > MOST_LETTERS
    pairs = equal_texts(texts) if is_large else near_texts(texts)
    if quick:
        left_out.append("what a leak is worth.")
    if is_large:
        left_out.append("near duplicates: there are too many texts for a few seconds.")
    found = Duplicates.of(pairs, ids, parts=[parts[at] for at in asked])
    if not sealed and len(data.split.test):
        left_out.append(f"{len(data.split.test):,} texts of the test part: they are sealed.")
    is_class = data.goal is not None and data.goal.kind == "class"
    labels = [str(data.labels[at]) if is_class and parts[at] != "test" else "" for at in asked]

    def worth(copies: np.ndarray) -> Worth | None:
        return _worth(data, texts, asked, found.parts, copies)

    across = duplicates_across(found, what="texts", worth=None if quick else worth)
    if data.goal is None:  # a language repeats itself: no such finding stops a training
        across = (replace(one, level="warning") for one in across)
    findings: list[Finding] = [
        *across,
        *label_conflicts(found.groups, labels, ids, what="texts"),
        *duplicates_within(found, what="texts"),
        *unreadable(data.quarantined, len(data.texts), what="texts"),
    ]
    if is_class:
        findings += imbalance(labels, found.parts, what="texts")
        findings += alike_classes(labels, found.parts, what="texts")
    looked = [
        f"{len(texts):,} texts for equal ones (but for case, blanks and signs) and for near ones: half "
        "of their runs of four words in common."
    ]
    return Findings.of(
        data.source, findings, counts=data.counts(), looked=looked, left_out=left_out
    )


def _worth(
    data: TextData,
    texts: Sequence[str],
    asked: Sequence[int],
    parts: Sequence[str],
    copies: np.ndarray,
) -> Worth | None:
    """What copies add to the score of the nearest text of training; None of lists of labels."""
    if data.targets is None or data.targets.ndim != 1:
        return None
    train = np.array([at for at, part in enumerate(parts) if part == "train"])
    valid = np.array([at for at, part in enumerate(parts) if part == "valid"])
    targets, vectors = data.targets[np.array(asked)], vectors_of(texts)
    right = nearest_is_right(vectors[train], targets[train], vectors[valid], targets[valid])
    return worth_of_copies(right, np.isin(valid, copies), metric=metric_of(targets), model=MODEL)


def vectors_of(texts: Sequence[str]) -> np.ndarray:
    """(N, CELLS) float32: words counted in cells, a word of many repetitions by its logarithm.

    Which cell, and with which sign, a hash of the word says (Weinberger et al. 2009, arXiv:0902.2206).
    """
    found = np.zeros((len(texts), CELLS), dtype=np.float32)
    cells: dict[str, tuple[int, float]] = {}
    for row, text in enumerate(texts):
        for word, count in Counter(words_of(text)).items():
            if word not in cells:
                number = int.from_bytes(
                    hashlib.blake2b(word.encode(), digest_size=4).digest(), "little"
                )
                cells[word] = number >> 1 & CELLS - 1, 1.0 if number & 1 else -1.0
            cell, sign = cells[word]
            found[row, cell] += sign * (1 + math.log(count))
    return found
