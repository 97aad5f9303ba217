"""Classifiers and scorers of texts in one call: reads, chooses, and says what and why.

    learner = learner("reviews.csv", "label")        # or a folder with a folder for each class
    learner.train()
    learner.predict("A film to fall asleep over.")

ULMFiT (Howard & Ruder 2018, arXiv:1801.06146) is `language_learner` on texts of the domain, its
`save_encoder`, and `learner(..., encoder="that folder")`, which is then thawed layer by layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain._registry import did_you_mean
from drivetrain.data.loaders import Loaders
from drivetrain.data.padded import LengthLoader
from drivetrain.errors import ConfigError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models.document import create_document_classifier, document_description
from drivetrain.models.language import PRESETS, RANGE
from drivetrain.text.application import TextApplication, TextLearner
from drivetrain.text.checking import warned
from drivetrain.text.data import TextData, gather
from drivetrain.text.encoder import SavedEncoder, load_encoder, open_encoder
from drivetrain.text.pretrained import is_transformer, starting_transformer
from drivetrain.train.callback import Callback
from drivetrain.train.choice import Choices
from drivetrain.train.factory import (
    chosen,
    chosen_loss,
    chosen_optimizer,
    introduced,
    parts_record,
    say_seed,
    steps_an_epoch,
    usual_first,
)
from drivetrain.train.optimizing import OptimizerFactory

MODEL = "lstm"
"""What is trained unless something else is asked for."""
MAX_LEN = 400
"""Tokens of a text that a recurrent model reads unless told otherwise."""


def learner(
    source: TextData | Any,
    target: str | Sequence[str] | None = None,
    *,
    model: str | None = None,
    encoder: store.StrPath | SavedEncoder | None = None,
    metrics: Sequence[Any] = (),
    loss_fn: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    batch_size: int | None = None,
    max_len: int | None = None,
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
) -> TextLearner:
    """A Learner that classifies texts, or predicts a number; what is not given is chosen, and said.

    Args:
        source: a folder of texts, a table, a list of strings with `labels=`, or `TextData`.
        target: the column to predict.
        model: a preset of `models.language.PRESETS` ("awd_lstm", "lstm", "gru", "rnn", "decoder"), or a
            transformer: "minilm", a folder, or a name in the hub's cache; by default a small LSTM.
        encoder: a folder of `save_encoder` or of a general model: what training begins with.
        metrics: names or objects, besides those of the target.
        loss_fn: a name or a function; by default as the target needs it.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one.
        batch_size: texts a batch.
        max_len: tokens of a text at most; of a longer one its start and its end are read.
        lr: peak learning rate of `train`.
        epochs: of `train`.
        weight_decay: for all but norms and biases.
        drop_mult: what the preset's dropouts are multiplied by.
        sizes: of the encoder by name, such as `{"embedding_dim": 100}`.
        seed: of split, weights and order.
        num_threads: torch threads.
        callbacks: objects or names of `train.callbacks.CALLBACKS`, used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        data_options: `valid`, `group`, `compose`, `tokens` …, see `gather`.

    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    data = as_data(source, target, seed, data_options)
    goal, choices = data.goal, data.choices
    if goal is None:
        raise ConfigError("These texts have no targets. Give `target`, or use `language_learner`.")
    seed = data.seed if seed is None else seed
    saved = None if encoder is None else _opened(encoder)
    name = choices.choose(
        "model",
        model,
        usual="saved" if saved is not None else MODEL,
        reason="the sizes of the encoder that was given"
        if saved is not None
        else "small enough for two cores; transformers know the language already: --model minilm",
        change="--model awd_lstm|gru|decoder|minilm",
    )
    squeeze = goal.kind == "number"
    num_train = data.counts()["train"]
    if name not in PRESETS and name != "saved":
        if not is_transformer(name):
            raise ConfigError(
                f"There is no model '{name}' for texts.{did_you_mean(name, PRESETS)} Known: "
                f"{', '.join(PRESETS)}; or a transformer: 'minilm', a folder, a name in the hub's cache."
            )
        if saved is not None or sizes:
            raise ConfigError(
                "`encoder` and `sizes` are for recurrent models; a transformer has its own."
            )
        started = starting_transformer(
            name, num_outputs=goal.num_outputs, squeeze=squeeze, max_len=max_len, seed=seed
        )
        network, description, net = "transformer", started.description, started.model
        data.tokenizer = started.tokenizer.for_pairs() if data.are_pairs else started.tokenizer
        choices.add("weights", "pretrained", reason=started.note, change="--model lstm")
        cut, usual_lr, method, usual_epochs, usual_batch = None, 3e-4, "fine_tune", 2, 16
    else:
        check_no_pairs(data)
        network = "document"
        longest = int(np.quantile(data.tokens("train").lengths(), 0.999))
        cut = choices.choose(
            "max_len",
            max_len,
            usual=MAX_LEN,
            reason=f"of longer texts start and end are read; {_share_longer(data, MAX_LEN):.0%} are "
            f"longer, up to about {longest:,} tokens",
            change="--set max_len=N",
        )
        description = _description(
            name, data, goal.num_outputs, saved, drop_mult, squeeze, cut, sizes or {}
        )
        net = create_document_classifier(description, seed=seed)
        if saved is not None:
            shared, new = load_encoder(net, data.tokenizer, saved)
            choices.add(
                "weights",
                "pretrained",
                reason=f"{shared:,} words keep their vector, {new:,} new ones begin with the mean",
                change="leave `encoder` out",
            )
        usual_lr = 1e-2 if saved is not None else 3e-3
        method = "gradual_unfreeze" if saved is not None else "fit_one_cycle"
        usual_epochs = 3 if saved is not None else 5 if num_train >= 2_000 else 15
        usual_batch = 32 if num_train >= 1_000 else 16 if num_train >= 400 else 8
    loss = chosen_loss(loss_fn, goal.loss_kind, choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="text.learner")
    asked = [metric_by_name(m) for m in metrics]
    settings: dict[str, Any] = {
        "model": name,
        "sizes": dict(sizes or {}),
        "drop_mult": drop_mult,
        "asked_max_len": max_len,
        "max_len": cut,
        "batch_size": chosen(
            "batch_size",
            batch_size,
            choices,
            usual=usual_batch,
            reason=steps_an_epoch(num_train, usual_batch),
        ),
        "weight_decay": weight_decay,
        "num_threads": chosen(
            "num_threads",
            num_threads,
            choices,
            usual=min(2, os.cpu_count() or 1) if network == "transformer" else 1,
            reason="layers of this size gain little from more, and lose much where others work too",
        ),
        **parts_record(asked, loss, make_optimizer),
        "encoder": os.path.abspath(encoder) if isinstance(encoder, str | os.PathLike) else None,
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    plan = {
        "method": method,
        "epochs": chosen(
            "epochs",
            epochs,
            choices,
            usual=usual_epochs,
            reason="the history shows whether more would help",
        ),
        "lr": chosen(
            "lr",
            lr,
            choices,
            usual=usual_lr,
            reason="a rate that suits this model; `lr_find` looks for a better one",
        ),
    }
    say_seed(seed, choices)
    application = TextApplication(data, network, description, settings, plan)
    loaders = application.loaders()
    _say_padding(loaders, choices)
    found = TextLearner(
        net,
        loaders,
        loss,
        make_optimizer,
        metrics=usual_first(goal.metrics, asked),
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    return introduced(found, data, warned, announce=announce, out=out)


def as_data(
    source: Any, target: Any, seed: int | None, options: Mapping[str, Any], **more: Any
) -> TextData:
    """The texts of a source; what are such already are left as they are.

    Raises: ConfigError: `TextData` and options of it.
    """
    if isinstance(source, TextData):
        if target is not None or options:
            given = "target" if target is not None else next(iter(options))
            raise ConfigError(f"`{given}` is settled in the data. Give it where they are gathered.")
        return source
    given = {**options, **more}
    if seed is not None:
        given["seed"] = seed
    return gather(source, target, **given)


def check_no_pairs(data: TextData) -> None:
    """Raises: ConfigError: these are pairs, which only a transformer reads as such."""
    if data.are_pairs:
        raise ConfigError(
            "`compose='pair'` is for transformers, such as model='minilm'. Leave it out, and two columns "
            "become one text: 'TEXT1: …; TEXT2: …'."
        )


def _opened(encoder: store.StrPath | SavedEncoder) -> SavedEncoder:
    return encoder if isinstance(encoder, SavedEncoder) else open_encoder(encoder)


def _description(
    name: str,
    data: TextData,
    num_outputs: int,
    saved: SavedEncoder | None,
    drop_mult: float,
    squeeze: bool,
    max_len: int,
    sizes: Mapping[str, Any],
) -> dict[str, Any]:
    """Of a document classifier: a preset, or the sizes of a saved encoder."""
    words = len(data.tokenizer.vocab)
    if saved is None:
        return document_description(
            name, words, num_outputs, drop_mult=drop_mult, squeeze=squeeze, **sizes
        )
    encoder = dict(saved.description)
    kind = encoder.pop("kind")
    encoder.pop("vocab_size")
    encoder.pop(RANGE, None)  # its vectors are loaded
    preset = name if name in PRESETS else kind
    if preset not in PRESETS or PRESETS[preset]["kind"] != kind:
        raise ConfigError(f"The encoder that was given is of the kind {kind}, and '{name}' is not.")
    usual = document_description(preset, words, num_outputs, drop_mult=drop_mult)["encoder"]
    own = {key: usual[key] if key.endswith("dropout") else value for key, value in encoder.items()}
    return document_description(
        preset, words, num_outputs, drop_mult=drop_mult, squeeze=squeeze, **{**own, **sizes}
    )


def _share_longer(data: TextData, max_len: int) -> float:
    return float((data.tokens("train").lengths() > max_len).mean())


def _say_padding(loaders: Loaders, choices: Choices) -> None:
    train = loaders.train
    assert isinstance(train, LengthLoader), "made by TextData"
    by_length, at_random = train.padding(0), train.padding_at_random(0)
    choices.add(
        "batches",
        "by length",
        reason=f"{by_length.padded:,} tokens of an epoch are padding ({by_length.share:.0%}); at random "
        f"they would be {at_random.padded:,} ({at_random.share:.0%})",
        change="--set batch_size=N",
    )
