"""From the name of a pretrained encoder to a tokenizer and a model that are ready to fine-tune.

A name is looked for among the encoders of installed packages, then as a folder, then in the Hugging Face
cache. Nothing is fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivetrain.errors import ConfigError, MissingPackageError
from drivetrain.models.pretrained_encoder import (
    TransformerClassifier,
    create_transformer_classifier,
    most_positions,
    transformer_description,
)
from drivetrain.models.pretrained_folder import (
    PretrainedEncoder,
    cached_folder,
    check_folder_sizes,
    find_encoder,
    load_encoder,
    look_at_folder,
)
from drivetrain.text.packaged import PACKAGES, packaged_folder, short_name
from drivetrain.text.transformer_tokenizer import TransformerTokenizer

USUAL_LEN = 256
"""Tokens of a text unless said otherwise: what a token costs grows with the length."""


@dataclass(frozen=True)
class StartingTransformer:
    """A pretrained encoder with a new head, and the tokenizer it was trained with."""

    model: TransformerClassifier
    """In training mode, on the CPU."""
    tokenizer: TransformerTokenizer
    description: dict[str, Any]
    """JSON from which `create_transformer_classifier` makes the same model, without its weights."""
    origin: str
    """Where the weights come from, as words in a sentence."""
    licence: str
    """Of the weights; "not stated" where nothing on this disk says it."""
    sha256: str
    """Of the file of weights."""
    note: str
    """One sentence for who trains it."""


def find_transformer(name: str | os.PathLike[str]) -> PretrainedEncoder:
    """The pretrained encoder of a name, looked at and not built.

    Args:
        name: "minilm" and other packaged ones, a folder, or a name on the hub that is in the cache.

    Raises: ConfigError: it is not on this disk, or not an encoder that is read here.
        MissingPackageError: its package is not installed. DataError: a file is not sound.
    """
    short = short_name(str(name))
    if short is None or Path(name).is_dir():
        return find_encoder(name)
    origin = f"{PACKAGES[short].name}, package {PACKAGES[short].distribution}"
    return look_at_folder(packaged_folder(short), str(name), origin)


def is_transformer(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a pretrained encoder: packaged, a folder of one, or in the cache.

    Builds nothing and asks nobody. A packaged one counts where its package is not installed, too.
    """
    if short_name(str(name)) is not None or (Path(name) / "config.json").is_file():
        return True
    try:
        return cached_folder(str(name)) is not None
    except MissingPackageError:
        return False


def starting_transformer(
    name: str | os.PathLike[str],
    *,
    num_outputs: int,
    squeeze: bool = False,
    max_len: int | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.1,
    hidden_dropout: float = 0.1,
    pooling: str | None = None,
    seed: int = 42,
) -> StartingTransformer:
    """A pretrained encoder with a new head, drawn from the seed.

    Args:
        name: see `find_transformer`.
        num_outputs: scores a text gets.
        squeeze: one output is given as (B,).
        max_len: tokens of a text, its marks included; None: 256, or fewer where the encoder reads fewer.
        hidden, dropout, hidden_dropout: of the head; see `transformer_description`.
        pooling: "mean", "first" or "last"; None: what the encoder's kind needs.
        seed: of the head.

    Raises: ConfigError, DataError, MissingPackageError: as `find_transformer`; and `max_len` is more than
        the encoder reads.
    """
    found = find_transformer(name)
    check_folder_sizes(found)
    tokenizer = TransformerTokenizer.from_folder(found.folder)
    types = found.config.get("type_vocab_size")
    has_types = type(types) is int and types > 1
    description = transformer_description(
        found.config,
        num_outputs,
        pooling=pooling or found.pooling,
        separator_id=tokenizer.separator_id if has_types else None,
        hidden=hidden,
        dropout=dropout,
        hidden_dropout=hidden_dropout,
        squeeze=squeeze,
    )
    model = create_transformer_classifier(description, seed=seed)
    most = most_positions(model.encoder)
    length = min(USUAL_LEN, most, found.max_len or most) if max_len is None else max_len
    if length > most:
        raise ConfigError(f"`max_len` must be at most {most} for '{name}'. Got {max_len}.")
    if len(tokenizer.vocab) > num_words(model):
        raise ConfigError(
            f"The tokenizer of {found.origin} has {len(tokenizer.vocab)} words, and its encoder "
            f"{num_words(model)}. Take both from one model."
        )
    load_encoder(model.encoder, found)
    return StartingTransformer(
        model=model,
        tokenizer=tokenizer.with_max_len(length),
        description=description,
        origin=found.origin,
        licence=licence_of(found),
        sha256=found.sha256(),
        note=f"{name} starts from trained weights ({found.origin}); texts are read up to {length} "
        f"tokens, and the head sees {_POOLED[description['pooling']]}.",
    )


_POOLED = {
    "mean": "the mean over a text's tokens",
    "first": "the state of a text's first token",
    "last": "the state of a text's last token",
}


def num_words(model: TransformerClassifier) -> int:
    """Words that an encoder has a vector for."""
    embedding: Any = model.embedding
    return embedding.weight.shape[0]


def licence_of(found: PretrainedEncoder) -> str:
    """What is known of the licence of weights: of a package, or from the card in the folder."""
    short = short_name(found.name)
    if short is not None:
        return PACKAGES[short].licence
    card = found.folder / "README.md"
    if card.is_file():
        with open(card, encoding="utf-8", errors="replace") as file:
            line = re.search(r"^license:\s*([\w.-]{1,60})\s*$", file.read(4_000), re.MULTILINE)
        if line:
            return line[1]
    return "not stated"
