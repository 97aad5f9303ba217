"""Texts predicted out of fold: by which words and pairs of words are in them, or the run's own way.

    pool = pool_of(text.reopen("runs/reviews"))
    queue = queue_of(pool, folder=Path("runs/reviews/clean"))

The quick model is that of the baselines, TF-IDF and logistic regression, with pairs of words as well. Of
two classes a second regression stands beside it whose words are weighed by how much more often they come
in one class than in the other (Wang & Manning 2012, "Baselines and bigrams", ACL P12-2018); their
probabilities are averaged as logarithms. How often words come is counted over all texts of the pool,
which tells nothing of labels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from drivetrain._optional import require
from drivetrain.clean.folds import FoldModel, Pool, Report
from drivetrain.clean.near_texts import near_texts
from drivetrain.clean.outliers import Points, Space
from drivetrain.clean.targets import yes_and_no
from drivetrain.data.loaders import BatchLoader
from drivetrain.data.split import Split
from drivetrain.randomness import derive, permutation
from drivetrain.text.cleaning import ByLength, material_of, rows_of
from drivetrain.text.data import TextData
from drivetrain.text.learner import learner as make_learner
from drivetrain.train.choice import Choices
from drivetrain.train.keeping import callbacks_from
from drivetrain.train.learner import Learner

PAIRS_FROM = 2
"""Texts that a word or a pair of words is in, from which on it is counted."""
STRENGTH, WEIGHED_STRENGTH = 10.0, 4.0
"""Of the regressions on plain and on weighed words: one over the penalty."""
TOLERANCE = 1e-5
"""Of the slopes at which fitting ends. At 1e-3 it ends after five steps or twenty, as it happens, and the
error on other reviews differs by three points."""
HELD_OUT = 0.1
"""Of the texts of a fold's training, for the callbacks of the run's own recipe to look at."""


def pool_of(
    learner: Learner,
    *,
    callbacks: Sequence[Mapping[str, Any]] = (),
    report: Report | None = None,
) -> Pool:
    """The texts of a Learner, to be predicted out of fold; sealed ones are not among them.

    Args:
        learner: of the run.
        callbacks: the records of those that the run was trained with, for its own recipe.
        report: is told how far it is.

    Raises: DataError: the texts have no labels.
    """
    application: Any = learner.application
    data: TextData = application.data
    material = material_of(learner)
    rows = np.concatenate(list(rows_of(data).values()))
    texts = [data.texts[row] for row in rows.tolist()]
    words = Words(texts)
    if report is not None:
        report("texts compared", 0, len(texts))
    said = _as_answers if material.several is not None else _as_it_is
    return Pool(
        material,
        {
            "quick": lambda: said(quick_model(texts, material.targets.numpy(), data, words=words)),
            "own": lambda: said(own_model(data, rows, learner, callbacks)),
        },
        lambda: near_texts(texts),
        groups=_groups(data, rows),
        space=words.space(),
    )


def quick_model(
    texts: Sequence[str], targets: np.ndarray, data: TextData, *, words: Words | None = None
) -> FoldModel:
    """Regressions on words and pairs of words; of several labels one for each.

    Args:
        texts: N strings.
        targets: (N,) int64 classes, (N,) floats, or (N, C) of 0 and 1.
        data: of the run: what is to be predicted.
        words: of the same texts, where somebody has counted them.

    Raises: MissingPackageError: there is no scikit-learn.
    """
    require("sklearn", extra="text")
    goal = data.goal
    assert goal is not None, "texts with targets"
    words = Words(texts) if words is None else words

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        del fold  # nothing is drawn
        if goal.kind == "number":
            return _ridge(words, targets, fitted, asked)
        if goal.kind == "labels":
            columns = [
                _two(words, targets[:, place].astype(np.int64), fitted, asked)[:, 1]
                for place in range(targets.shape[1])
            ]
            return np.stack(columns, axis=1)
        return words.chances(targets, fitted, asked, num_classes=len(goal.classes))

    kind = "ridge" if goal.kind == "number" else "logistic"
    what = f"{kind} regression on words and pairs of words"
    settings = {
        "from": PAIRS_FROM,
        "strength": [STRENGTH, WEIGHED_STRENGTH, TOLERANCE],
        "goal": goal.kind,
    }
    return FoldModel(what, settings, answer)


def _as_it_is(model: FoldModel) -> FoldModel:
    return model


def _as_answers(model: FoldModel) -> FoldModel:
    """A model of several labels as one of as many targets, each no or yes."""

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        return yes_and_no(model.answer(fitted, asked, fold))

    return replace(model, answer=answer)


class Words:
    """Counts of words and pairs of words, made when they are first asked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    @cached_property
    def counts(self) -> Any:
        """(N, W) sparse float64."""
        made: Any = require("sklearn.feature_extraction.text", extra="text")
        counter = made.CountVectorizer(
            ngram_range=(1, 2),
            min_df=PAIRS_FROM if len(self.texts) >= 100 else 1,
            token_pattern=r"(?u)\b\w+\b|[!?]",
            dtype=np.float64,
        )
        try:
            return counter.fit_transform(self.texts)
        except ValueError:  # no word at all, such as texts of signs only
            sparse: Any = require("scipy.sparse", extra="text")
            return sparse.csr_matrix((len(self.texts), 1))

    @cached_property
    def weighted(self) -> Any:
        """(N, W) sparse TF-IDF, rows of length 1."""
        made: Any = require("sklearn.feature_extraction.text", extra="text")
        return made.TfidfTransformer(sublinear_tf=True).fit_transform(self.counts)

    def space(self) -> Space:
        """In which texts are measured that may be unlike the others: by the angle of their TF-IDF.

        A text without a word that a second one has is as far from all as can be.
        """
        settings = {"from": PAIRS_FROM}
        return Space("their words", settings, lambda: Points.of(self.weighted, by_angle=True))

    def chances(
        self, targets: np.ndarray, fitted: np.ndarray, asked: np.ndarray, *, num_classes: int
    ) -> np.ndarray:
        """(A, C) probabilities of some texts, from the targets of others.

        Args:
            targets: (N,) int64 classes; those of the asked ones are not looked at.
            fitted: (M,) int64, which texts are learnt from.
            asked: (A,) int64, which are asked about.
            num_classes: C.
        """
        if num_classes == 2:
            return _two(self, targets, fitted, asked)
        return _logistic(self.weighted, targets, fitted, asked, num_classes, STRENGTH)


def _two(words: Words, targets: np.ndarray, fitted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(A, 2): plain and weighed words, averaged as logarithms of probabilities."""
    plain = _logistic(words.weighted, targets, fitted, asked, 2, STRENGTH)
    if len(np.unique(targets[fitted])) < 2:
        return plain
    scaled = words.weighted.multiply(_ratios(words.counts[fitted], targets[fitted])[None]).tocsr()
    weighed = _logistic(scaled, targets, fitted, asked, 2, WEIGHED_STRENGTH)
    found = np.sqrt(np.maximum(plain, 1e-12) * np.maximum(weighed, 1e-12))
    return found / found.sum(axis=1, keepdims=True)


def _ratios(counts: Any, targets: np.ndarray) -> np.ndarray:
    """(W,) logarithm of how much likelier a word is in texts of class 1 than in those of class 0."""
    there = (counts > 0).astype(np.float64)
    shares = []
    for code in (0, 1):
        found = np.asarray(there[targets == code].sum(axis=0)).ravel() + 1.0
        shares.append(found / found.sum())
    return np.log(shares[1] / shares[0])


def _logistic(
    features: Any,
    targets: np.ndarray,
    fitted: np.ndarray,
    asked: np.ndarray,
    num_classes: int,
    strength: float,
) -> np.ndarray:
    """(A, C) probabilities; of a class that the fitted ones lack 0."""
    import warnings

    linear: Any = require("sklearn.linear_model", extra="text")
    found = np.zeros((len(asked), num_classes))
    there = np.unique(targets[fitted])
    if len(there) == 1:
        found[:, there[0]] = 1.0
        return found
    model = linear.LogisticRegression(C=strength, max_iter=1000, tol=TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an end before the last digit is told by the result itself
        model.fit(features[fitted], targets[fitted])
    found[:, model.classes_] = model.predict_proba(features[asked])
    return found


def _ridge(words: Words, targets: np.ndarray, fitted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    linear: Any = require("sklearn.linear_model", extra="text")
    model = linear.Ridge(alpha=1.0, solver="lsqr")
    model.fit(words.weighted[fitted], targets[fitted])
    return model.predict(words.weighted[asked])


def own_model(
    data: TextData, rows: np.ndarray, learner: Learner, callbacks: Sequence[Mapping[str, Any]]
) -> FoldModel:
    """The run's own recipe, from the weights that it began with, trained anew for each fold.

    Its words are those of the run: they were counted in its training texts, without their labels.
    """
    application: Any = learner.application
    settings, plan = application.settings, application.plan
    encoder = settings["encoder"]

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        order = permutation(
            len(fitted), seed=derive(learner.seed, "clean fold", fold), epoch=0, purpose="held out"
        ).numpy()
        count = max(1, round(HELD_OUT * len(fitted)))
        held, train = rows[fitted[order[:count]]], rows[fitted[order[count:]]]
        parts = _with_split(data, train, held)
        found = make_learner(
            parts,
            model=None if settings["model"] == "saved" else settings["model"],
            encoder=encoder,
            metrics=settings["metrics"],
            loss_fn=settings["loss_fn"],
            optimizer=settings["optimizer"],
            batch_size=settings["batch_size"],
            max_len=settings["asked_max_len"],
            lr=plan["lr"],
            epochs=plan["epochs"],
            weight_decay=settings["weight_decay"],
            drop_mult=settings["drop_mult"],
            sizes=settings["sizes"],
            seed=learner.seed,
            num_threads=settings["num_threads"],
            callbacks=callbacks_from(callbacks),
            progress=False,
        )
        made: Any = found.application
        made.plan = plan
        found.train()
        wanted = _with_split(data, train, rows[asked])
        wanted.tokenizer = parts.tokenizer
        by_length = ByLength(wanted.padded("valid", max_len=made.settings["max_len"]))
        said = found.predictions(BatchLoader(by_length, batch_size=settings["batch_size"]))
        outputs = said.outputs.double()
        if data.goal is not None and data.goal.kind == "class":
            outputs = outputs.softmax(dim=1)
        elif data.goal is not None and data.goal.kind == "labels":
            outputs = outputs.sigmoid()
        answers = torch.empty_like(outputs)
        answers[by_length.order] = outputs
        # `rows` of a part are in the order that the split has them
        return answers.numpy()

    recipe = {"settings": settings, "plan": plan, "model": application.description}
    return FoldModel(
        f"{settings['model']}, trained anew as the run was",
        {**recipe, "callbacks": list(callbacks), "seed": learner.seed},
        answer,
    )


def _with_split(data: TextData, train: np.ndarray, valid: np.ndarray) -> TextData:
    """The same texts and words, split otherwise."""
    found = copy.copy(data)
    found.split = Split(tuple(train.tolist()), tuple(valid.tolist()))
    found.choices = Choices()  # what the factory chooses for a fold is not the run's
    found.tokenizer = data.tokenizer
    return found


def _groups(data: TextData, rows: np.ndarray) -> np.ndarray | None:
    """(N,) int64 groups by which the run was split; None where it was not."""
    name = data.recipe.get("group")
    if data.split.method != "group" or name not in data.columns:
        return None
    values = [str(data.columns[name][row]) for row in rows.tolist()]
    return np.unique(np.array(values), return_inverse=True)[1]
