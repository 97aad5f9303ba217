"""Handing an encoder on from one stage of ULMFiT to the next, across vocabularies.

    save_encoder(language_model, tokenizer, "encoder")
    load_encoder(classifier, its_tokenizer, "encoder")

Paper: Howard & Ruder 2018, arXiv:1801.06146. Words that both vocabularies have keep their vector to the
last bit; a word that is new begins with the mean of all vectors. What is written is a folder of plain
values: the weights as safetensors, words and sizes as JSON, each checked when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain import store
from drivetrain.errors import ConfigError, RunError
from drivetrain.models.language import checked_encoder
from drivetrain.text.base import Tokenizer
from drivetrain.text.general import RECORD as GENERAL_RECORD, open_general, rows_at
from drivetrain.text.tokenizer import tokenizer_from_json

FORMAT = 1
RECORD, TOKENIZER, WEIGHTS = "encoder.json", "tokenizer.json", "encoder.safetensors"
EMBEDDING = "embedding.weight"


@dataclass(frozen=True)
class SavedEncoder:
    """An encoder as it lies in a folder."""

    description: Mapping[str, Any]
    """Of the encoder, as `models.language` has it."""
    tokenizer: Tokenizer
    """What it was trained with."""
    weights: Mapping[str, Tensor]
    """By their names within the encoder."""


def save_encoder(
    model: nn.Module, tokenizer: Tokenizer, folder: store.StrPath, *, description: Mapping[str, Any]
) -> None:
    """Write a model's encoder and the words it knows.

    Args:
        model: has an `encoder`: a language model or a document classifier.
        tokenizer: what the model was trained with.
        folder: whole or not at all; one of that name is replaced.
        description: of the encoder, as `models.language` has it.

    Raises: ConfigError: the model has no encoder, or the description is none. StorageError: the disk
        refused.
    """
    weights = {name: t.detach().cpu() for name, t in encoder_of(model).state_dict().items()}
    data = store.tensor_bytes(weights)
    record = {
        "format": FORMAT,
        "encoder": checked_encoder(description),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    store.write_folder(
        folder,
        {
            WEIGHTS: data,
            TOKENIZER: store.json_bytes(tokenizer.to_json()),
            RECORD: store.json_bytes(record),
        },
    )


def open_encoder(folder: store.StrPath) -> SavedEncoder:
    """The encoder of a folder that `save_encoder` or `GeneralModel.save` wrote.

    Raises: RunError: there is none, or it is damaged. BundleError, ConfigError: its tokenizer or its
        description is not sound.
    """
    folder = Path(folder)
    if (folder / GENERAL_RECORD).is_file():
        general = open_general(folder)
        weights = {
            name.removeprefix("encoder."): tensor
            for name, tensor in general.encoder_weights().items()
        }
        return SavedEncoder(general.description["encoder"], general.tokenizer, weights)
    if not (folder / RECORD).is_file():
        raise RunError(
            f"{folder} holds no encoder: there is no {RECORD}. `save_encoder` writes one."
        )
    record = store.read_json(folder / RECORD, max_values=1_000)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunError(f"{folder} holds no encoder that this version of Drivetrain reads.")
    description = checked_encoder(record.get("encoder"))
    weights = store.read_tensors(folder / WEIGHTS, sha256=str(record.get("sha256")))
    tokenizer = tokenizer_from_json(store.read_json(folder / TOKENIZER))
    words = weights[EMBEDDING].shape[0] if EMBEDDING in weights else -1
    if not words == len(tokenizer.vocab) == description["vocab_size"]:
        raise RunError(f"{folder}: weights, words and record do not fit together. Save it anew.")
    return SavedEncoder(description, tokenizer, weights)


def load_encoder(
    model: nn.Module, tokenizer: Tokenizer, source: store.StrPath | SavedEncoder
) -> tuple[int, int]:
    """Give a model's encoder the weights of a saved one, word by word.

    Args:
        model: has an `encoder` of the same sizes but for the number of words.
        tokenizer: what the model is trained with.
        source: a folder, or what `open_encoder` found in it.

    Returns: the words that both know, and those that begin with the mean.
    Raises: ConfigError: the sizes differ, or the model has no encoder. RunError: as `open_encoder`.
    """
    saved = source if isinstance(source, SavedEncoder) else open_encoder(source)
    encoder = encoder_of(model)
    known = saved.tokenizer.vocab.index
    places = torch.tensor([known.get(word, -1) for word in tokenizer.vocab.words])
    weights = dict(saved.weights)
    weights[EMBEDDING] = rows_at(weights[EMBEDDING], places)
    state = encoder.state_dict()
    differ = sorted(
        name
        for name in {*state, *weights}
        if name not in state or name not in weights or state[name].shape != weights[name].shape
    )
    if differ:
        raise ConfigError(
            f"The saved encoder has other sizes than the model's: '{differ[0]}' differs. Make the model "
            "with the sizes of the encoder that is loaded."
        )
    encoder.load_state_dict(weights)
    shared = int((places >= 0).sum())
    return shared, len(places) - shared


def encoder_of(model: nn.Module) -> nn.Module:
    """The encoder of a model. Raises: ConfigError: it has none."""
    found = getattr(model, "encoder", None)
    if not isinstance(found, nn.Module) or EMBEDDING not in found.state_dict():
        raise ConfigError(f"`{type(model).__name__}` has no encoder of words that could be kept.")
    return found
