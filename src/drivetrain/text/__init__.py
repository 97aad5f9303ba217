"""Text: from a folder, a table or strings to language models, classifiers and scorers.

    learner = dt.text.learner("reviews.csv", "label")       # texts told apart
    learner = dt.text.language_learner("books/")            # the next word, from text without labels

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.text.answers import TextPrediction, TextPredictions
    from drivetrain.text.bundle import load, verify
    from drivetrain.text.data import TextData, from_csv, from_folder, from_table, from_texts, gather
    from drivetrain.text.encoder import load_encoder, open_encoder, save_encoder
    from drivetrain.text.general import general_model
    from drivetrain.text.language import language_learner, load_writer
    from drivetrain.text.learner import export, gradual_unfreeze, learner, reopen, resume
    from drivetrain.text.model import TextModel
    from drivetrain.text.packaged import packaged_encoders
    from drivetrain.text.sentences import SentenceEncoder, fit_sentences
    from drivetrain.text.similarity import similarity
    from drivetrain.text.tokenizer import train_tokenizer

__all__ = [
    "SentenceEncoder",
    "TextData",
    "TextModel",
    "TextPrediction",
    "TextPredictions",
    "export",
    "fit_sentences",
    "from_csv",
    "from_folder",
    "from_table",
    "from_texts",
    "gather",
    "general_model",
    "gradual_unfreeze",
    "language_learner",
    "learner",
    "load",
    "load_encoder",
    "load_writer",
    "open_encoder",
    "packaged_encoders",
    "reopen",
    "resume",
    "save_encoder",
    "similarity",
    "train_tokenizer",
    "verify",
]

_HOMES = {
    "answers": ("TextPrediction", "TextPredictions"),
    "bundle": ("load", "verify"),
    "data": ("TextData", "from_csv", "from_folder", "from_table", "from_texts", "gather"),
    "encoder": ("load_encoder", "open_encoder", "save_encoder"),
    "general": ("general_model",),
    "language": ("language_learner", "load_writer"),
    "learner": ("export", "gradual_unfreeze", "learner", "reopen", "resume"),
    "model": ("TextModel",),
    "packaged": ("packaged_encoders",),
    "sentences": ("SentenceEncoder", "fit_sentences"),
    "similarity": ("similarity",),
    "tokenizer": ("train_tokenizer",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
