"""Baselines: what a result about texts must beat to mean something.

The majority class (or the mean) reads nothing. Naive Bayes and logistic (ridge) regression read which
words are in a text and not their order. All see the same split as the model; they are scikit-learn's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain.errors import MissingPackageError
from drivetrain.text.data import TextData
from drivetrain.text.goal import Goal
from drivetrain.text.measure import Measured, measure

MOST_WORDS = 50_000
"""Words and pairs of words that are counted."""


def baselines(data: TextData, part: str = "valid") -> dict[str, Measured]:
    """What simple models of the training texts reach on a part, by name.

    Without scikit-learn it is the majority class or the mean alone.
    """
    _, train, targets = data.part("train")
    _, texts, true = data.part(part)
    goal = data.goal
    assert goal is not None and targets is not None and true is not None, "texts with targets"
    found = {_first(goal): measure(goal, _constant(goal, targets, len(texts)), true)}
    try:
        require("sklearn.feature_extraction.text", extra="text")
    except MissingPackageError:
        return found
    for name, outputs in _of_words(goal, train, targets, texts).items():
        found[name] = measure(goal, outputs, true)
    return found


def _first(goal: Goal) -> str:
    return "mean" if goal.kind == "number" else "majority"


def _constant(goal: Goal, targets: np.ndarray, count: int) -> np.ndarray:
    """The same answer for all: the most frequent class, shares of labels, or the mean."""
    if goal.kind == "number":
        return np.full(count, float(goal.shown(targets).mean()))
    if goal.kind == "labels":
        return np.tile(targets.mean(axis=0, dtype=np.float64), (count, 1))
    shares = np.bincount(targets, minlength=len(goal.classes)) / len(targets)
    return np.tile(shares, (count, 1))


def _of_words(
    goal: Goal, train: list[str], targets: np.ndarray, texts: list[str]
) -> dict[str, np.ndarray]:
    words: Any = require("sklearn.feature_extraction.text", extra="text")
    linear: Any = require("sklearn.linear_model", extra="text")
    bayes: Any = require("sklearn.naive_bayes", extra="text")
    many: Any = require("sklearn.multiclass", extra="text")
    counter = words.CountVectorizer(
        max_features=MOST_WORDS, token_pattern=r"(?u)\b\w+\b", dtype=np.float64
    )
    try:
        counts = counter.fit_transform(train)
    except ValueError:  # no word at all, such as texts of signs only
        return {}
    weigh = words.TfidfTransformer(sublinear_tf=True)
    weighted = weigh.fit_transform(counts)
    asked = counter.transform(texts)
    asked_weighted = weigh.transform(asked)
    if goal.kind == "number":
        ridge = linear.Ridge(alpha=1.0, solver="lsqr").fit(weighted, targets)
        return {"tfidf_ridge": goal.shown(ridge.predict(asked_weighted))}
    models = {
        "naive_bayes": (bayes.MultinomialNB(), counts, asked),
        "tfidf_logistic": (linear.LogisticRegression(C=10.0, max_iter=1000), weighted, asked_weighted),
    }  # fmt: skip
    found = {}
    for name, (model, known, unknown) in models.items():
        if goal.kind == "labels":
            constant = [k for k in range(targets.shape[1]) if len(set(targets[:, k].tolist())) < 2]
            outputs = _constant(goal, targets, len(texts))
            varied = [k for k in range(targets.shape[1]) if k not in constant]
            if varied:
                fitted = many.OneVsRestClassifier(model).fit(known, targets[:, varied].astype(int))
                chances = fitted.predict_proba(unknown)  # of a single label (N, 2): no and yes
                outputs[:, varied] = chances[:, -len(varied) :]
        else:
            fitted = model.fit(known, targets)
            outputs = np.zeros((len(texts), len(goal.classes)))
            outputs[:, fitted.classes_] = fitted.predict_proba(unknown)
        found[name] = outputs
    return found
