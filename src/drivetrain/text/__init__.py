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
    from drivetrain.text.checking import check
    from drivetrain.text.corpus import texts_of_files, tokenize_corpus, train_on_corpus
    from drivetrain.text.data import TextData, from_csv, from_folder, from_table, from_texts, gather
    from drivetrain.text.duplicates import find_duplicates
    from drivetrain.text.encoder import load_encoder, open_encoder, save_encoder
    from drivetrain.text.general import general_model
    from drivetrain.text.language import language_learner
    from drivetrain.text.learner import learner
    from drivetrain.text.lengths import length_statistics, vocabulary_coverage
    from drivetrain.text.looking import (
        confidently_wrong,
        confused_pairs,
        most_lost,
        nearest_decision,
    )
    from drivetrain.text.model import TextModel
    from drivetrain.text.packaged import packaged_encoders
    from drivetrain.text.rules import rules_table
    from drivetrain.text.runs import export, reopen, resume, test
    from drivetrain.text.sentences import SentenceEncoder, fit_sentences
    from drivetrain.text.show import explain_page, explain_texts
    from drivetrain.text.similarity import similarity
    from drivetrain.text.sizes import vocab_size_table
    from drivetrain.text.steps import steps
    from drivetrain.text.tokenizer import train_tokenizer
    from drivetrain.text.unfreezing import gradual_unfreeze
    from drivetrain.text.writer import load_writer

__all__ = [
    "SentenceEncoder",
    "TextData",
    "TextModel",
    "TextPrediction",
    "TextPredictions",
    "check",
    "confidently_wrong",
    "confused_pairs",
    "explain_page",
    "explain_texts",
    "export",
    "find_duplicates",
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
    "length_statistics",
    "load",
    "load_encoder",
    "load_writer",
    "most_lost",
    "nearest_decision",
    "open_encoder",
    "packaged_encoders",
    "reopen",
    "resume",
    "rules_table",
    "save_encoder",
    "similarity",
    "steps",
    "test",
    "texts_of_files",
    "tokenize_corpus",
    "train_on_corpus",
    "train_tokenizer",
    "verify",
    "vocab_size_table",
    "vocabulary_coverage",
]

_HOMES = {
    "answers": ("TextPrediction", "TextPredictions"),
    "bundle": ("load", "verify"),
    "checking": ("check",),
    "corpus": ("texts_of_files", "tokenize_corpus", "train_on_corpus"),
    "data": ("TextData", "from_csv", "from_folder", "from_table", "from_texts", "gather"),
    "duplicates": ("find_duplicates",),
    "encoder": ("load_encoder", "open_encoder", "save_encoder"),
    "general": ("general_model",),
    "language": ("language_learner",),
    "learner": ("learner",),
    "lengths": ("length_statistics", "vocabulary_coverage"),
    "looking": ("confidently_wrong", "confused_pairs", "most_lost", "nearest_decision"),
    "model": ("TextModel",),
    "packaged": ("packaged_encoders",),
    "rules": ("rules_table",),
    "runs": ("export", "reopen", "resume", "test"),
    "sentences": ("SentenceEncoder", "fit_sentences"),
    "show": ("explain_page", "explain_texts"),
    "similarity": ("similarity",),
    "sizes": ("vocab_size_table",),
    "tokenizer": ("train_tokenizer",),
    "steps": ("steps",),
    "unfreezing": ("gradual_unfreeze",),
    "writer": ("load_writer",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
