"""Language models in one call: the next word, learnt from texts without labels.

learner = language_learner("books/")
learner.train()
learner.generate("Once upon", num_tokens=40)
learner.save_encoder("encoder")                 # for `learner(..., encoder="encoder")`
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import losses, store
from drivetrain.data.loaders import Loaders
from drivetrain.data.stream import StreamLoader
from drivetrain.errors import ConfigError, DataError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models.language import PRESETS, create_language_model, language_description
from drivetrain.text.application import TextLearner, write_data
from drivetrain.text.checking import warned
from drivetrain.text.data import TextData
from drivetrain.text.encoder import load_encoder, open_encoder, save_encoder
from drivetrain.text.general import RECORD as GENERAL_RECORD, open_general
from drivetrain.text.learner import as_data, check_no_pairs
from drivetrain.text.writer import Writer
from drivetrain.train.application import DataApplication
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.carry_state import CarryState
from drivetrain.train.callbacks.rnn_regularization import RNNRegularization
from drivetrain.train.factory import (
    chosen,
    chosen_optimizer,
    introduced,
    parts_record,
    say_seed,
    usual_first,
)
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.parts import as_callbacks
from drivetrain.train.run import Run

MODEL = "lstm"
SEQ_LEN = 72
METRICS = ("perplexity", "accuracy")


class LanguageApplication(DataApplication[TextData]):
    """What a Learner of a language knows beyond tensors. Made by `language_learner`.

    Args:
        data: the texts.
        description: of the model; see `models.language`.
        settings: what `language_learner` was told or chose.
        plan: how `train` trains: `{"method", "epochs", "lr"}`.
    """

    def __init__(
        self,
        data: TextData,
        description: dict[str, Any],
        settings: dict[str, Any],
        plan: dict[str, Any],
    ) -> None:
        super().__init__(data, settings, plan)
        self.description = description

    @property
    def classes(self) -> tuple[str, ...]:
        """None: the words are the tokenizer's."""
        return ()

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        model = {"name": self.settings["model"], "network": "language", **self.description}
        return self.recorded(model, notes=self.data.notes)

    def begin_run(self, run: Run) -> None:
        """Write `split.json` and `quarantine.jsonl`."""
        write_data(run, self.data)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to write."""
        return {
            "application": "text",
            "network": "language",
            "model": self.description,
            "tokenizer": self.data.tokenizer.to_json(),
            "num_threads": self.settings["num_threads"],
        }

    def results(self, learner: Learner) -> dict[str, Any]:
        """Perplexity beside that of the words' frequencies, on the validation texts."""
        found = learner.evaluate()
        return {
            "task": "language",
            "model": self.settings["model"],
            "metrics": {"valid": {"loss": found.loss, **found.metrics}},
            "interval": None,
            "baselines": self.baselines(),
            "items": self.data.counts()
            | {f"{part}_tokens": len(self.data.tokens(part).ids) for part in ("train", "valid")},
        }

    def find_baselines(self) -> dict[str, Any]:
        """What the frequencies of the words alone give: `unigram` and, without any, `uniform`."""
        words = len(self.data.tokenizer.vocab)
        found = unigram_perplexity(
            self.data.tokens("train").ids, self.data.tokens("valid").ids, words
        )
        return {
            "unigram": {"perplexity": found, "interval": None},
            "uniform": {"perplexity": float(words), "interval": None},
        }

    def writer(self, learner: Learner) -> Writer:
        """The Learner's model, to write with."""
        model: Any = learner.model
        return Writer(model, self.data.tokenizer, num_threads=learner.num_threads)

    def predict(self, learner: Learner, source: Any) -> str:
        """What comes after a text; see `Writer.generate`."""
        return self.writer(learner).generate(source)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Perplexity on texts from elsewhere, as `TextModel.evaluate` gives its figures."""
        data = as_data(source, None, None, {}, labelled=False)
        tokens = self.data.tokenizer.encode(data.texts)
        settings = self.settings
        loader = StreamLoader(
            tokens,
            batch_size=min(settings["batch_size"], max(1, len(tokens.ids) // 2)),
            seq_len=settings["seq_len"],
        )
        found = learner.evaluate(loader)
        return {
            "source": data.source,
            "items": len(data.texts),
            "left_out": 0,
            "metrics": {"loss": found.loss, **found.metrics},
            "interval": None,
            "notes": data.notes,
        }

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about texts; see `text.ejecting.language`."""
        from drivetrain.text.ejecting.language import eject_part

        return eject_part(self, learner, lifter, level)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Any:
        """Refused: a bundle answers about texts, and a language model writes them."""
        raise ConfigError(
            "A language model has no bundle. `save_encoder` keeps its encoder, `save` all of it."
        )

    def save_encoder(self, learner: Learner, folder: store.StrPath) -> None:
        """Write the encoder for another stage; see `text.encoder`."""
        save_encoder(
            learner.model, self.data.tokenizer, folder, description=self.description["encoder"]
        )


class LanguageLearner(TextLearner):
    """A Learner of a language: it can write."""

    def generate(self, prompt: str = "", *, num_tokens: int = 40, **options: Any) -> str:
        """The prompt and what the model writes after it; see `Writer.generate`."""
        application: Any = self.application
        return application.writer(self).generate(prompt, num_tokens=num_tokens, **options)


def language_learner(
    source: TextData | Any,
    *,
    model: str | None = None,
    encoder: store.StrPath | None = None,
    metrics: Sequence[Any] = (),
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    weight_decay: float = 0.01,
    drop_mult: float = 0.5,
    sizes: Mapping[str, Any] | None = None,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    **data_options: Any,
) -> LanguageLearner:
    """A Learner of the next word; what is not given is chosen, and said.

    Args:
        source: a folder of texts or one text; a table with a column of texts; a list of strings; or
            `TextData`. Labels are not read.
        model: a preset of `models.language.PRESETS`; by default a small LSTM.
        encoder: a folder of `save_encoder` or of a general model: what training begins with.
        metrics: besides perplexity and accuracy.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one.
        batch_size: rows a batch.
        seq_len: tokens of a row.
        lr, epochs: of `train`.
        weight_decay: for all but norms and biases.
        drop_mult: what the preset's dropouts are multiplied by.
        sizes: of the model by name, such as `{"embedding_dim": 100}`.
        seed: of split, weights and order.
        num_threads, callbacks, device, progress, announce, out: as of `text.learner`.
        data_options: `valid`, `tokens`, `text_columns` …, see `gather`.

    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    data = as_data(source, None, seed, data_options, labelled=False)
    check_no_pairs(data)
    seed = data.seed if seed is None else seed
    choices, words = data.choices, len(data.tokenizer.vocab)
    saved = None if encoder is None else open_encoder(encoder)
    name = choices.choose(
        "model",
        model,
        usual=MODEL if saved is None else _preset_of(saved.description["kind"]),
        reason="small enough for two cores" if saved is None else "that of the encoder given",
        change="--model awd_lstm|gru|rnn|decoder",
    )
    changes = dict(sizes or {})
    if saved is not None:
        own = {k: v for k, v in saved.description.items() if k not in ("kind", "vocab_size")}
        changes = {k: v for k, v in own.items() if not k.endswith("dropout")} | changes
    description = language_description(name, words, drop_mult=drop_mult, **changes)
    net = create_language_model(description, seed=seed)
    if saved is not None and encoder is not None:
        shared, new = load_encoder(net, data.tokenizer, saved)
        if (Path(encoder) / GENERAL_RECORD).is_file():  # what scores the words comes along
            weights = open_general(encoder).over(data.tokenizer).weights
            if {n: t.shape for n, t in weights.items()} == {
                n: t.shape for n, t in net.state_dict().items()
            }:
                net.load_state_dict(dict(weights))
        choices.add(
            "weights",
            "pretrained",
            reason=f"{shared:,} words keep their vector, {new:,} new ones begin with the mean",
            change="leave `encoder` out",
        )
    make_optimizer = chosen_optimizer(optimizer, choices, factory="text.language_learner")
    count = len(data.tokens("train").ids)
    asked = [metric_by_name(m) for m in metrics]
    usual_seq = description["encoder"].get("context") or SEQ_LEN
    usual_batch = 64 if count >= 2_000_000 else 32 if count >= 100_000 else 8
    settings: dict[str, Any] = {
        "model": name,
        "sizes": dict(sizes or {}),
        "drop_mult": drop_mult,
        "batch_size": chosen(
            "batch_size",
            batch_size,
            choices,
            usual=usual_batch,
            reason=f"{count:,} tokens are read in so many rows side by side",
        ),
        "seq_len": choices.choose(
            "seq_len",
            seq_len,
            usual=usual_seq,
            reason="tokens that gradients reach back",
            change="--set seq_len=N",
        ),
        "weight_decay": weight_decay,
        "num_threads": chosen(
            "num_threads",
            num_threads,
            choices,
            usual=min(2, os.cpu_count() or 1) if count >= 100_000 else 1,
            reason="layers of this size gain little from more",
        ),
        **parts_record(asked, losses.token_cross_entropy, make_optimizer),
        "encoder": None if encoder is None else os.path.abspath(encoder),
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    plan = {
        "method": "fit_one_cycle",
        "epochs": chosen(
            "epochs",
            epochs,
            choices,
            usual=2 if count >= 1_000_000 else 5 if count >= 100_000 else 10,
            reason="the history shows whether more would help",
        ),
        "lr": chosen(
            "lr",
            lr,
            choices,
            usual=5e-3 if saved is None else 3e-3,
            reason="a rate that suits this model; `lr_find` looks for a better one",
        ),
    }
    say_seed(seed, choices)
    application = LanguageApplication(data, description, settings, plan)
    found = LanguageLearner(
        net,
        _loaders(data, settings),
        losses.token_cross_entropy,
        make_optimizer,
        metrics=usual_first(METRICS, asked),
        callbacks=_callbacks(callbacks, name),
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    return introduced(found, data, warned, announce=announce, out=out)


def unigram_perplexity(train: np.ndarray, valid: np.ndarray, vocab_size: int) -> float:
    """Perplexity of the words' frequencies in training on the validation tokens.

    Each word counts one more than it was met, so that none is impossible.

    Args:
        train: (N,) ids. valid: (M,) ids, 1 or more.

    >>> round(unigram_perplexity(np.array([0, 0, 1, 1]), np.array([0, 1]), 2), 4)
    2.0
    """
    counts = np.bincount(train, minlength=vocab_size) + 1.0
    surprise = -np.log(counts / counts.sum())
    return float(np.exp(surprise[valid].mean()))


def _loaders(data: TextData, settings: Mapping[str, Any]) -> Loaders:
    size, length = settings["batch_size"], settings["seq_len"]
    if not data.split.valid:
        raise DataError("No text validates. Give `valid`, the share for it.")
    valid = data.tokens("valid")
    train = StreamLoader(
        data.tokens("train"), batch_size=size, seq_len=length, shuffle=True, seed=data.seed
    )
    rows = min(size, max(1, len(valid.ids) // 2))
    return Loaders(train, StreamLoader(valid, batch_size=rows, seq_len=length))


def _callbacks(given: Sequence[Callback | str | Mapping[str, Any]], model: str) -> list[Callback]:
    """Those that were given, and those that a model of a stream needs."""
    own = list(as_callbacks(given))
    if not any(isinstance(one, CarryState) for one in own):
        own.insert(0, CarryState())
    if model == "awd_lstm" and not any(isinstance(one, RNNRegularization) for one in own):
        own.append(RNNRegularization())
    return own


def _preset_of(kind: str) -> str:
    """The first preset of a kind of layers that is not the largest."""
    return next(
        name for name, sizes in PRESETS.items() if sizes["kind"] == kind and name != "awd_lstm"
    )
