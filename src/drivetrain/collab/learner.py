"""The recommender in one call: reads ratings, chooses, and says what and why.

learner = learner("ratings.csv", titles="films.csv")
learner.train()
learner.predict({"user": "7", "item": "50"})
learner.application.model(learner).recommend("7")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from drivetrain import store
from drivetrain._registry import did_you_mean
from drivetrain.collab.application import CollabApplication, CollabLearner
from drivetrain.collab.checking import warned
from drivetrain.collab.data import CollabData, gather
from drivetrain.collab.events import bpr_learner
from drivetrain.errors import ConfigError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models.factorization import create_factorization
from drivetrain.models.tabular import embedding_dim
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.unknown_rows import UnknownRows
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

MODELS = ("dot_bias", "dot", "net")
"""Names of models that predict ratings."""
EVENTS = "bpr"
"""Name of the model of events; `als`, which needs no Learner, is fitted by `collab.fit`."""
FACTORS = 50
LAYERS = (100, 50)
SMALLEST_BATCH, LARGEST_BATCH, STEPS = 64, 16_384, 300
"""A batch has so many ratings that an epoch takes about `STEPS` steps, within these bounds."""
EPOCH_DECAY = 0.625
"""Rate times weight decay, over the steps of an epoch: so much of a vector's logarithm goes."""


def learner(
    source: CollabData | Any,
    *,
    model: str | None = None,
    num_factors: int | None = None,
    layers: Sequence[int] | None = None,
    batch_norm: bool | None = None,
    dropout: float = 0.0,
    y_range: Sequence[float] | bool | None = None,
    metrics: Sequence[Any] = (),
    loss_fn: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    weight_decay: float | None = None,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    **data_options: Any,
) -> CollabLearner:
    """A Learner that predicts how a user rates an item; what is not given is chosen, and said.

    Args:
        source: a CSV or Parquet file, a frame of pandas, polars or Arrow, or `CollabData`.
        model: `dot_bias` (a dot product with biases), `dot` (without) or `net` (dense layers); of events
            `bpr` (see `implicit.bpr`).
        num_factors: numbers in a vector; of `net` by default by how many users and items there are.
        layers, batch_norm, dropout: of `net`; see `models.factorization.RatingNet`. By default its layers
            are normalised.
        y_range: (low, high) that predictions stay within; by default a little wider than the ratings;
            False for no limit.
        metrics: names or objects; the root mean squared error comes first.
        loss_fn: a name or a function; by default the mean squared error.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one; by default AdamW as fastai sets it.
        batch_size: ratings a batch.
        lr: peak learning rate of `train`.
        epochs: of `train`.
        weight_decay: how strongly vectors are drawn to zero: against learning ratings by heart.
        seed: of split, weights and order.
        num_threads: torch threads.
        callbacks: objects or names of `train.callbacks.CALLBACKS`, used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        data_options: `user`, `item`, `titles`, `split` …, see `gather`.

    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    if isinstance(source, CollabData):
        if data_options:
            raise ConfigError(
                f"`{next(iter(data_options))}` is settled in the data. Give it where they are gathered."
            )
        data = source
    else:
        if model == EVENTS and data_options.get("rating") is None:  # asked for by name: so be it
            data_options.setdefault("implicit", True)
        data = gather(source, **({} if seed is None else {"seed": seed}), **data_options)
    seed = data.seed if seed is None else seed
    choices = data.choices
    reason = "a vector and a bias for each user and item: small, readable, hard to beat"
    if data.is_implicit:
        reason = "there are no ratings: what happened shall score above what did not"
    name = choices.choose(
        "model",
        model,
        usual=EVENTS if data.is_implicit else MODELS[0],
        reason=reason,
        change="--model " + "|".join((*MODELS, EVENTS)),
    )
    if (name == EVENTS) != data.is_implicit:
        raise ConfigError(
            f"These rows have no rating: each says that something happened. Use the model '{EVENTS}', "
            "`collab.fit`, or give `rating`."
            if data.is_implicit
            else f"'{EVENTS}' learns from events. To leave the ratings aside, give `implicit=True`."
        )
    if name == EVENTS:
        given = {
            "layers": layers,
            "batch_norm": batch_norm,
            "y_range": y_range,
            "loss_fn": loss_fn,
            "metrics": metrics or None,
            "dropout": dropout or None,
        }
        wrong = [key for key, value in given.items() if value is not None]
        if wrong:
            raise ConfigError(
                f"`{wrong[0]}` is for models of ratings, and '{EVENTS}' is one of events."
            )
        return bpr_learner(
            data,
            num_factors=num_factors,
            optimizer=optimizer,
            batch_size=batch_size,
            lr=lr,
            epochs=epochs,
            weight_decay=weight_decay,
            seed=seed,
            num_threads=num_threads,
            callbacks=callbacks,
            device=device,
            progress=progress,
            announce=announce,
            out=out,
        )
    if name not in MODELS:
        raise ConfigError(
            f"There is no model '{name}' of ratings.{did_you_mean(name, (*MODELS, EVENTS))} Known: "
            f"{', '.join((*MODELS, EVENTS))}."
        )
    if name != "net" and (layers is not None or batch_norm is not None or dropout):
        raise ConfigError("`layers`, `batch_norm` and `dropout` are for the model 'net'.")
    ranges = _y_range(y_range, data, choices)
    description = _description(
        name, data, num_factors, layers, batch_norm, dropout, ranges, choices
    )
    net = create_factorization(description, seed=seed)
    loss = chosen_loss(loss_fn, "number", choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="collab.learner")
    asked = [metric_by_name(m) for m in metrics]
    num_train = data.counts()["train"]
    usual_size = _batch_size(num_train)
    size = chosen(
        "batch_size",
        batch_size,
        choices,
        usual=usual_size,
        reason=steps_an_epoch(num_train, usual_size),
    )
    usual_lr = 5e-3 if size < 256 else 7e-3 if size < 1024 else 1e-2
    plan = {
        "method": "fit_one_cycle",
        "epochs": chosen(
            "epochs",
            epochs,
            choices,
            usual=5,
            reason="soon after that vectors learn ratings by heart; the history shows it",
        ),
        "lr": chosen(
            "lr",
            lr,
            choices,
            usual=usual_lr,
            reason="a rate that suits batches of this size; `lr_find` looks for a better one",
        ),
    }
    usual_decay = _weight_decay(num_train, size, plan["lr"], has_range=ranges is not None)
    decay = choices.choose(
        "weight_decay",
        weight_decay,
        usual=usual_decay,
        reason="draws vectors to zero unless many ratings ask for them; too little learns by heart",
        change="--set weight_decay=NUMBER",
    )
    settings: dict[str, Any] = {
        "batch_size": size,
        "weight_decay": decay,
        "num_threads": chosen(
            "num_threads",
            num_threads,
            choices,
            usual=1,
            reason="small steps finish sooner than threads can share them",
        ),
        **parts_record(asked, loss, make_optimizer),
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    say_seed(seed, choices)
    application = CollabApplication(data, name, description, settings, plan)
    loaders = application.loaders()
    train: Any = loaders.train
    net.count(train.data.tensors[0])
    found = CollabLearner(
        net,
        loaders,
        loss,
        make_optimizer,
        metrics=usual_first(("rmse",), asked),
        callbacks=_with_unknown(callbacks),
        lr=plan["lr"],
        weight_decay=decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    return introduced(found, data, warned, announce=announce, out=out)


def _with_unknown(
    callbacks: Sequence[Callback | str | Mapping[str, Any]],
) -> list[Callback | str | Mapping[str, Any]]:
    """The callbacks, and what fills the rows for unknown; it is there already where a run goes on."""
    given = list(callbacks)
    return given if any(isinstance(one, UnknownRows) for one in given) else [UnknownRows(), *given]


def _description(
    name: str,
    data: CollabData,
    num_factors: int | None,
    layers: Sequence[int] | None,
    batch_norm: bool | None,
    dropout: float,
    y_range: list[float] | None,
    choices: Choices,
) -> dict[str, Any]:
    counts = {"num_users": len(data.users), "num_items": len(data.items)}
    if name != "net":
        factors = choices.choose(
            "num_factors",
            num_factors,
            usual=FACTORS,
            reason="numbers in a vector: tastes that can be told apart",
            change="--set num_factors=N",
        )
        return {
            "kind": "dot",
            **counts,
            "num_factors": factors,
            "bias": name == "dot_bias",
            "y_range": y_range,
        }
    dims = {
        side: embedding_dim(counts[f"num_{side}s"]) if num_factors is None else num_factors
        for side in ("user", "item")
    }
    choices.add(
        "num_factors",
        list(dims.values()),
        reason="as asked" if num_factors is not None else "of users and of items: 1.6 n^0.56",
        change="--set num_factors=N",
    )
    widths = choices.choose(
        "layers",
        None if layers is None else list(layers),
        usual=list(LAYERS),
        reason="two layers over the two vectors",
        change="--set layers=[100,50]",
    )
    return {
        "kind": "net",
        **counts,
        "user_dim": dims["user"],
        "item_dim": dims["item"],
        "layers": widths,
        "batch_norm": batch_norm is None or batch_norm,
        "dropout": dropout,
        "y_range": y_range,
    }


def _y_range(
    asked: Sequence[float] | bool | None, data: CollabData, choices: Choices
) -> list[float] | None:
    change = "--set y_range=[0,5.5], or false"
    if asked is False:
        choices.add("y_range", "none", reason="as asked", change=change)
        return None
    if asked is None or asked is True:
        low, high = data.rating_range()
        span = high - low if high > low else 1.0
        found = [low - span / 4, high + span / 8]
        reason = f"the ratings, {low:g} to {high:g}, and a little more: a sigmoid reaches no end"
        return choices.add("y_range", found, reason=reason, change=change)
    values = list(asked)
    if len(values) != 2 or not values[0] < values[1]:
        raise ConfigError(f"`y_range` is (low, high). Got {asked!r}.")
    return choices.add("y_range", [float(v) for v in values], reason="as asked", change=change)


def _batch_size(num_train: int) -> int:
    size = SMALLEST_BATCH
    while size < LARGEST_BATCH and num_train >= 2 * size * STEPS:
        size *= 2
    return size


def _weight_decay(num_train: int, batch_size: int, lr: float, *, has_range: bool) -> float:
    """So strong that an epoch at the peak rate takes `EPOCH_DECAY`, whatever the batch size.

    Without a range vectors must be long enough to make a whole rating: a tenth of it.
    """
    steps = max(1, -(-num_train // batch_size))
    decay = EPOCH_DECAY if has_range else EPOCH_DECAY / 10
    return float(f"{decay / (lr * steps):.2g}")
