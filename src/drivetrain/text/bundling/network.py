"""What a bundle of texts calculates: from ids to scores, and to the features that the guard reads.

Plain functions, so that the script of a bundle has the very same ones. Texts of about one length are
calculated together, whatever their order, since padding costs time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.bundle.manifest import Port
from drivetrain.data.padded import padded
from drivetrain.data.tokens import TokenArray
from drivetrain.models import document, pretrained_encoder

BATCH = 32
"""Texts that are calculated at once."""

KINDS = {
    "document": (document.create_document_classifier, document.document_classifier_shapes),
    "transformer": (
        pretrained_encoder.create_transformer_classifier,
        pretrained_encoder.transformer_classifier_shapes,
    ),
}
"""Name of an architecture -> what makes the model of a description, and the shapes of its tensors."""


def create(architecture: Mapping[str, Any]) -> Any:
    """The model of an architecture, its weights still to be loaded, in evaluation mode."""
    make, _ = KINDS[architecture["name"]]
    return make(architecture["description"]).eval()


def scores_and_features(model: Any, tokens: TokenArray, pad_id: int) -> tuple[Tensor, Tensor]:
    """Scores (N, C) of texts as ids, and what the head saw of each, (N, F); float32. N is 1 or more."""
    scores, features = [], []
    order = np.argsort(tokens.lengths(), kind="stable")  # texts of about one length together
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            ids, lengths = padded(tokens.take(order[start : start + BATCH]), pad_id=pad_id)
            features.append(model.features(ids, lengths))
            scores.append(model.head(features[-1]))
    back = torch.from_numpy(np.argsort(order))
    return torch.cat(scores)[back], torch.cat(features)[back]


def ports(
    kind: str, num_classes: int, num_features: int, vocab_size: int
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and outputs of a bundle of texts, which predicts a `class`, `labels` or a `number`."""
    tokens = Port(
        "tokens",
        "int64",
        ("batch", "tokens"),
        (0.0, float(vocab_size - 1)),
        "The ids that the tokenizer gives, padded at the end.",
    )
    lengths = Port(
        "lengths", "int64", ("batch",), None, "How many of a text's ids are not padding."
    )
    logits = Port(
        "logits",
        "float32",
        ("batch",) if kind == "number" else ("batch", num_classes),
        None,
        _SCORES[kind],
    )
    features = Port(
        "features",
        "float32",
        ("batch", num_features),
        None,
        "What the model's head sees of a text: where the guard judges whether it is known.",
    )
    return (tokens, lengths), (logits, features)


_SCORES = {
    "class": "A score for each class, in the order of `classes`; their softmax are the probabilities.",
    "labels": "A score for each label, in the order of `classes`; its sigmoid is the probability.",
    "number": "The number, less the `mean` and divided by the `scale` of `preprocessing`.",
}


def num_features_of(model: Any) -> int:
    """F: what goes into the head."""
    width: int = (
        model.num_features if hasattr(model, "num_features") else 3 * model.encoder.num_features
    )
    return width


def num_words_of(model: Any) -> int:
    """Ids that the model has a vector for."""
    embedding = model.embedding if hasattr(model, "embedding") else model.encoder.embedding
    return embedding.weight.shape[0]


def made_up_texts(words: Sequence[str], special: int, *, joined_by: str) -> list[str]:
    """Texts that nobody wrote, which go through everything that texts go through.

    Nothing, a word, words in a row, capitals and runs and HTML and signs that the rules know, letters of
    other scripts, words that the vocabulary hardly holds, and more words than are read at once.

    Args:
        words: of the vocabulary.
        special: so many of them, at the beginning, are marks.
        joined_by: what stands between two words.
    """
    known = [word for word in words[special : special + 2_000] if word.isprintable()] or ["a"]
    some = [known[7 * n % len(known)] for n in range(12)]
    many = [known[13 * n % len(known)] for n in range(200)]
    return [
        "",
        known[0],
        joined_by.join(some),
        f"SO {known[-1].upper()}!!! I&#39;m&lt;br /&gt;<br />sooooo and/or #1 no no no no 10:30 ...",
        "l'été 電影 प्रेम Фильм \u200b👍🏽 naïve",
        "qzxv wqzjk zzxqj",
        joined_by.join(many),
    ]
