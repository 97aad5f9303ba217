"""The small general English model: what ULMFiT starts from, made on two cores and kept.

    model = general_model()                # made once, some minutes; then read from the cache
    language = model.language_model()             # a LanguageModel with its weights
    model.tokenizer, model.record["perplexity"]

Howard & Ruder's begins with a model of 100 million words that took days. This one is sized for two cores
and a quarter of an hour. What is multiplied and added for a token:

| part | products for a token | with E = 200 features, H = 400 units, V = 10,000 words |
|---|---|---|
| LSTM, words to units | 4 · H · (E + H) | 0.96 million |
| LSTM, units to features | 4 · E · (H + E) | 0.48 million |
| scores of all words | E · V | 2.00 million |

That is 3.4 million forward and three times as many with the backward pass, of two operations each: 21
million operations a token. A core of an AMD EPYC does 80 thousand million a second in 32 bits and 140
in 16 bits (bfloat16, where the processor multiplies it); it was measured to train on 4 to 6 thousand
tokens a second, so that the 2.9 million tokens of `wikitext_like` take 8 to 12 minutes on a free core.
The scores are more than half of the work, which is why the vocabulary is small; they are exact, and so is
the perplexity, which is measured on passages that the model did not learn from.

What stands in the cache is a folder of three files, none of which holds code: `general.json` (the record:
sizes, words, perplexity, source and licences of the texts, versions, SHA-256 of the weights),
`tokenizer.json` and `model.safetensors`.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drivetrain import losses, store
from drivetrain.data.loaders import Loaders
from drivetrain.data.stream import StreamLoader
from drivetrain.errors import ConfigError, RunError
from drivetrain.models.language import (
    LanguageModel,
    create_language_model,
    language_description,
    language_model_shapes,
)
from drivetrain.samples.folder import cache_folder
from drivetrain.text.base import Tokenizer
from drivetrain.text.general_texts import (
    GeneralTexts,
    folder_texts,
    general_texts,
    package_versions,
)
from drivetrain.text.tokenizer import tokenizer_from_json, train_tokenizer
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run

FORMAT = 1
RECORD, TOKENIZER, WEIGHTS = "general.json", "tokenizer.json", "model.safetensors"


@dataclass(frozen=True)
class GeneralSettings:
    """Sizes of the model and how it is trained; the defaults are for two cores."""

    vocab_size: int = 10_000
    """Words; the scores of all of them are more than half of the work."""
    embedding_dim: int = 200
    hidden_dim: int = 400
    num_layers: int = 2
    initial_range: float = 0.5
    """The words' vectors begin uniform in ± this. In ±0.1 they tell two layers next to nothing, and for a
    thousand steps no more is learnt than how frequent words are."""
    drop_mult: float = 0.5
    """What the preset's dropouts are multiplied by: one pass over a text does not overfit it."""
    batch_size: int = 32
    """Rows; more would make fewer steps of the same work."""
    seq_len: int = 72
    """Tokens that gradients reach back."""
    epochs: int = 1
    lr: float = 5e-3
    weight_decay: float = 0.01
    valid_tokens: int = 300_000
    """Perplexity is measured on so many tokens at most."""


@dataclass(frozen=True)
class GeneralModel:
    """A language model's weights with the tokenizer they belong to and what is known of them."""

    tokenizer: Tokenizer
    description: Mapping[str, Any]
    """For `create_language_model`."""
    weights: Mapping[str, Tensor]
    """Of the whole language model, by name."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What stands beside the weights; plain JSON."""
    folder: Path | None = None
    """Where it is kept."""

    def language_model(self) -> LanguageModel:
        """The model with its weights, in evaluation mode."""
        model = create_language_model(self.description)
        model.load_state_dict(dict(self.weights))
        return model.eval()

    def over(self, tokenizer: Tokenizer) -> GeneralModel:
        """The same model for the words of another tokenizer; its record stays with this one.

        A word that both know keeps its vector and bias to the last bit; a new one gets the mean of all.
        """
        words = tokenizer.vocab.words
        known = self.tokenizer.vocab.index
        places = torch.tensor([known.get(word, -1) for word in words])
        weights = {  # outside the encoder everything has one row for each word
            name: tensor
            if name.startswith("encoder.") and name != "encoder.embedding.weight"
            else rows_at(tensor, places)
            for name, tensor in self.weights.items()
        }
        encoder = {**self.description["encoder"], "vocab_size": len(words)}
        return GeneralModel(tokenizer, {**self.description, "encoder": encoder}, weights)

    def encoder_weights(self) -> dict[str, Tensor]:
        """The weights without what scores words, by the names they have in a classifier as well."""
        return {name: w for name, w in self.weights.items() if name.startswith("encoder.")}

    def save(self, folder: store.StrPath) -> None:
        """Write the folder so that it is there whole or not at all; one of that name is replaced.

        Raises: StorageError: the disk refused.
        """
        weights = store.tensor_bytes(self.weights)
        record = {
            "format": FORMAT,
            "description": dict(self.description),
            **self.record,
            "weights_sha256": store.weights_sha256(self.weights),
            "file_sha256": hashlib.sha256(weights).hexdigest(),
        }
        store.write_folder(
            folder,
            {
                WEIGHTS: weights,
                TOKENIZER: store.json_bytes(self.tokenizer.to_json()),
                RECORD: store.json_bytes(record),
            },
        )

    def __str__(self) -> str:
        sizes = self.description["encoder"]
        texts = self.record.get("texts", {})
        return (
            f"General model: {len(self.tokenizer.vocab):,} words, {sizes['embedding_dim']} features, "
            f"{sizes['num_layers']} layers; {self.record.get('train_tokens', 0):,} tokens of "
            f"{texts.get('source', 'unknown source')}; "
            f"perplexity {self.record.get('perplexity', float('nan')):.1f}"
        )


def general_model(
    text: store.StrPath | None = None,
    *,
    data: store.StrPath | None = None,
    cache: store.StrPath | None = None,
    settings: GeneralSettings | None = None,
    seed: int = 42,
    num_threads: int | None = None,
    precision: str = "auto",
    progress: bool = True,
) -> GeneralModel:
    """The general model of these texts and settings: from the cache, or made and put there.

    Making it takes a quarter of an hour with the default settings and texts of two million words. A
    program that was stopped goes on where it was when it is called again.

    Args:
        text: a folder of `.txt` files, or one such file.
        data: the folder of data sets, in which `wikitext_like/` is looked for; without it, or where it
            is not there, the texts of Python and its packages are taken, which are weaker.
        cache: where models are kept; by default `$XDG_CACHE_HOME/drivetrain/general`.
        settings: sizes and training; by default `GeneralSettings()`.
        seed: of weights and order.
        num_threads: torch threads; None leaves them as they are.
        precision: "bfloat16", "float32", or "auto": bfloat16 where the processor multiplies it.
        progress: show a bar on stderr.

    Raises: DataError: there is too little text. ConfigError: settings out of range. RunError: another
        program is making it. StorageError: the disk refused.
    """
    settings = settings or GeneralSettings()
    texts, key = _texts_and_key(text, data)
    key = key_of(settings, seed, key)
    base = cache_folder().parent / "general" if cache is None else Path(cache)
    folder = base / key
    if (folder / RECORD).is_file():
        return open_general(folder)
    if texts is None:
        texts = general_texts(None, data=data)
    if progress:
        sys.stderr.write(f"Making the general model of {texts.source}; it is kept in {folder}.\n")
    model = train_general(
        texts,
        settings,
        seed=seed,
        num_threads=num_threads,
        precision=precision,
        progress=progress,
        run_folder=base / f"{key}-training",
    )
    model.save(folder)
    shutil.rmtree(base / f"{key}-training", ignore_errors=True)  # checkpoints, of no more use
    return open_general(folder)


def open_general(folder: store.StrPath) -> GeneralModel:
    """The model in a folder that `GeneralModel.save` wrote; the weights are checked by their hash.

    Raises: RunError: the folder is missing, damaged, or of another version. BundleError: its tokenizer
        is not sound. ConfigError: its description is not one.
    """
    folder = Path(folder)
    record = store.read_json(folder / RECORD, max_values=10_000)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunError(f"{folder} holds no general model that this version reads. Make it again.")
    description = record.get("description")
    shapes = language_model_shapes(description)  # pyright: ignore[reportArgumentType]
    weights = store.read_tensors(folder / WEIGHTS, sha256=str(record.get("file_sha256")))
    found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()}
    tokenizer = tokenizer_from_json(store.read_json(folder / TOKENIZER))
    if found != shapes or len(tokenizer.vocab) != description["encoder"]["vocab_size"]:  # pyright: ignore[reportOptionalSubscript]
        raise RunError(
            f"{folder}: weights, tokenizer and record do not fit together. Make it again."
        )
    return GeneralModel(tokenizer, description, weights, record, folder)  # pyright: ignore[reportArgumentType]


def train_general(
    texts: GeneralTexts,
    settings: GeneralSettings | None = None,
    *,
    seed: int = 42,
    num_threads: int | None = None,
    precision: str = "auto",
    progress: bool = True,
    run_folder: store.StrPath | None = None,
) -> GeneralModel:
    """Train the model; nothing is kept but, where a folder is given, the run.

    Args:
        texts: to learn from and to measure with.
        settings: sizes and training.
        seed, num_threads, precision, progress: as in `general_model`.
        run_folder: of checkpoints; a run that was cut there goes on.

    Raises: ConfigError: settings out of range, or too little text for them.
    """
    settings = settings or GeneralSettings()
    cast = fast_bfloat16() if precision == "auto" else precision == "bfloat16"
    if precision not in ("auto", "bfloat16", "float32"):
        raise ConfigError(
            f"`precision` is 'auto', 'bfloat16' or 'float32'. Got {str(precision)[:40]!r}."
        )
    began = time.perf_counter()
    tokenizer = train_tokenizer(texts.train, "word", vocab_size=settings.vocab_size)
    tokens, valid = tokenizer.encode(texts.train), tokenizer.encode(texts.valid)
    ends = valid.offsets[1:]
    valid = valid.take(range(max(1, int((ends <= settings.valid_tokens).sum()))))
    description = language_description(
        "lstm",
        len(tokenizer.vocab),
        drop_mult=settings.drop_mult,
        embedding_dim=settings.embedding_dim,
        hidden_dim=settings.hidden_dim,
        num_layers=settings.num_layers,
        initial_range=settings.initial_range,
    )
    rows, length = settings.batch_size, settings.seq_len
    train = StreamLoader(tokens, batch_size=rows, seq_len=length, shuffle=True, seed=seed)
    loaders = Loaders(train, StreamLoader(valid, batch_size=rows, seq_len=length))
    model = create_language_model(description, seed=seed)
    learner = Learner(
        model,
        loaders,
        losses.token_cross_entropy,
        metrics=["perplexity"],
        callbacks=["carry_state", *(["mixed_precision"] if cast else [])],
        weight_decay=settings.weight_decay,
        seed=seed,
        num_threads=num_threads,
        progress=progress,
    )
    _train(learner, settings, None if run_folder is None else Path(run_folder))
    steps = len(train) * settings.epochs
    record = {
        "settings": asdict(settings),
        "seed": seed,
        "precision": "bfloat16" if cast else "float32",
        "texts": texts.record(),
        "train_tokens": len(tokens.ids),
        "valid_tokens": len(valid.ids),
        "unknown_share": float((valid.ids == tokenizer.unk_id).mean()),
        "perplexity": learner.history[-1]["perplexity"],
        "perplexities": [row["perplexity"] for row in learner.history],
        "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
        "seconds": round(time.perf_counter() - began, 1),
        "tokens_a_second": round(
            steps * settings.batch_size * settings.seq_len / max(learner.seconds, 1e-9)
        ),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    weights = {name: tensor.detach().clone() for name, tensor in learner.model.state_dict().items()}
    return GeneralModel(tokenizer, description, weights, record)


def _train(learner: Learner, settings: GeneralSettings, folder: Path | None) -> None:
    """One cycle, or the rest of it where a run was cut."""
    if folder is not None and (folder / "run.json").is_file():
        learner.open_run(Run.open(folder))
        learner.resume()
        return
    if folder is not None:
        learner.start_run(Run.create(folder))
    learner.fit_one_cycle(settings.epochs, settings.lr)


def rows_at(rows: Tensor, places: Tensor) -> Tensor:
    """The rows at `places`, (N,) int64; the mean of all rows where that is -1.

    >>> rows_at(torch.tensor([[1.0], [3.0]]), torch.tensor([1, -1])).tolist()
    [[3.0], [2.0]]
    """
    found = rows[places.clamp(min=0)]
    found[places < 0] = rows.mean(0)
    return found


def fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; where it does not, it is slower than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def key_of(settings: GeneralSettings, seed: int, texts: str) -> str:
    """Name of a model's folder: it depends on all that the weights depend on but the machine."""
    value = {"format": FORMAT, "settings": asdict(settings), "seed": seed, "texts": texts}
    return hashlib.sha256(store.json_bytes(value)).hexdigest()[:16]


def _texts_and_key(
    text: store.StrPath | None, data: store.StrPath | None
) -> tuple[GeneralTexts | None, str]:
    """The texts, where reading them is quick, and what stands for them in the key."""
    from drivetrain.text.general_texts import WIKITEXT_LIKE

    if text is None and data is not None and (Path(data) / WIKITEXT_LIKE).is_dir():
        text = Path(data) / WIKITEXT_LIKE
    if text is None:
        return None, store.to_json(package_versions())
    texts = folder_texts(text)
    return texts, texts.sha256()
