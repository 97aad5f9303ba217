"""The net for tables in one call: reads the table, chooses, and says what and why.

learner = learner("adult.csv", "salary")     # or tabular.from_csv(...), for more say
learner.fit_one_cycle(3, 1e-2)
learner.predict({"age": 39, "education": "Bachelors", ...})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from drivetrain import store
from drivetrain.errors import ConfigError
from drivetrain.metrics import metric as metric_by_name
from drivetrain.models.tabular import create_tabular_net, embedding_dim
from drivetrain.tabular.application import TabularApplication
from drivetrain.tabular.checking import warned
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.models import as_data
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
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory


def learner(
    source: TabularData | Any,
    target: str | Sequence[str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    metrics: Sequence[Any] = (),
    loss_fn: str | Mapping[str, Any] | Callable[..., Any] | None = None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None = None,
    y_range: Sequence[float] | Sequence[Sequence[float]] | bool | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    epochs: int | None = None,
    weight_decay: float = 0.01,
    dropout: float = 0.0,
    embedding_dropout: float = 0.0,
    seed: int | None = None,
    num_threads: int | None = None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] = (),
    device: torch.device | str | None = None,
    progress: bool = True,
    announce: bool | None = None,
    out: store.StrPath | None = None,
    **data_options: Any,
) -> Learner:
    """A Learner whose net predicts a column of a table; what is not given is chosen, and said.

    Args:
        source: a CSV or Parquet file, a frame of pandas, polars or Arrow, or `TabularData`.
        target: the column to predict; several columns of numbers are predicted together.
        layers: widths of the hidden layers.
        metrics: names or objects; accuracy and error rate, or the root mean squared error, come first.
        loss_fn: a name or a function; by default cross-entropy, or the mean squared error.
        optimizer: a name of `optim.OPTIMIZERS` or what makes one; by default AdamW as fastai sets it.
        y_range: (low, high) that predicted numbers stay within; by default a little wider than the
            training targets; False for no limit; a pair for each of several targets.
        batch_size: rows a batch.
        lr: peak learning rate of `train`.
        epochs: of `train`.
        weight_decay: for all but norms and biases.
        dropout, embedding_dropout: see `models.tabular.TabularNet`.
        seed: of split, weights and order.
        num_threads: torch threads.
        callbacks: objects or names of `train.callbacks.CALLBACKS`, used in every fit.
        device: where to train.
        progress: show progress on stderr.
        announce: say on stderr what was found and chosen, with reasons; by default as `progress`.
        out: folder of the run; None writes nothing until `save`.
        data_options: `valid`, `split`, `kinds` …, see `gather`.

    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    if seed is not None:
        data_options["seed"] = seed
    data = as_data(source, target, data_options if not isinstance(source, TabularData) else {})
    seed = data.seed if seed is None else seed
    choices, goal = data.choices, data.target
    widths = choices.choose(
        "layers",
        None if layers is None else list(layers),
        usual=[200, 100],
        reason="two layers suffice for most tables",
        change="--set layers=[100,50]",
    )
    if data.preprocess.categories:
        choices.add(
            "embeddings",
            sum(map(embedding_dim, data.preprocess.level_counts)),
            reason=f"numbers that stand for the categories, 1.6 n^0.56 for n levels: {_sizes(data)}",
            change="--kind COLUMN=number, --drop COLUMN",
        )
    ranges = _y_range(y_range, data, choices)
    description: dict[str, Any] = {
        "level_counts": data.preprocess.level_counts,
        "num_numbers": data.preprocess.num_net_numbers,
        "num_outputs": goal.num_outputs,
        "layers": list(widths),
        "dropout": dropout,
        "embedding_dropout": embedding_dropout,
        "y_range": ranges,
        "squeeze": goal.kind == "number" and len(goal.names) == 1,
    }
    net = create_tabular_net(description, seed=seed)
    loss = chosen_loss(loss_fn, goal.kind, choices)
    make_optimizer = chosen_optimizer(optimizer, choices, factory="tabular.learner")
    num_train = data.counts()["train"]
    asked = [metric_by_name(m) for m in metrics]
    usual_size = _batch_size(num_train)
    settings: dict[str, Any] = {
        "batch_size": chosen(
            "batch_size",
            batch_size,
            choices,
            usual=usual_size,
            reason=steps_an_epoch(num_train, usual_size),
        ),
        "weight_decay": weight_decay,
        "num_threads": chosen(
            "num_threads",
            num_threads,
            choices,
            usual=1,
            reason="small layers finish sooner than threads can share them",
        ),
        **parts_record(asked, loss, make_optimizer),
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    plan = {
        "method": "fit_one_cycle",
        "epochs": chosen(
            "epochs",
            epochs,
            choices,
            usual=5 if num_train >= 5_000 else 20,
            reason="nets of tables overfit soon; the history shows whether more would help",
        ),
        "lr": chosen(
            "lr",
            lr,
            choices,
            usual=1e-2 if num_train < 5_000 else 5e-3,
            reason="a rate that suits this net; `lr_find` looks for a better one",
        ),
    }
    say_seed(seed, choices)
    application = TabularApplication(data, description, settings, plan)
    usual = ("accuracy", "error_rate") if goal.kind == "class" else ("rmse",)
    found = Learner(
        net,
        application.loaders(),
        loss,
        make_optimizer,
        metrics=usual_first(usual, asked),
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


def _sizes(data: TabularData) -> str:
    """Levels and numbers of the first categories, as words."""
    columns = zip(data.preprocess.categories, data.preprocess.level_counts, strict=True)
    parts = [f"{column.name} {count}→{embedding_dim(count)}" for column, count in columns]
    return ", ".join(parts[:4]) + (" …" if len(parts) > 4 else "")


def _y_range(
    asked: Sequence[float] | Sequence[Sequence[float]] | bool | None,
    data: TabularData,
    choices: Choices,
) -> list[list[float]] | None:
    goal = data.target
    if goal.kind == "class":
        if asked:
            raise ConfigError(f"`y_range` is for numbers, and '{goal.name}' is a class.")
        return None
    change = "--set y_range=[0,10], or false"
    if asked is False:
        choices.add("y_range", "none", reason="as asked", change=change)
        return None
    if asked is None or asked is True:
        low, high = data.target_range()
        margin = 0.1 * (high - low)
        ranges = [[float(a - m), float(b + m)] for a, b, m in zip(low, high, margin, strict=True)]
        choices.add(
            "y_range",
            ranges[0] if len(ranges) == 1 else "one a target",
            reason="the training targets and a tenth more: a sigmoid keeps predictions within",
            change=change,
        )
        return ranges
    values: list[Any] = list(asked)
    pairs = (
        [values] if all(isinstance(v, int | float) for v in values) else [list(v) for v in values]
    )
    if len(pairs) != goal.num_outputs or any(len(p) != 2 or not p[0] < p[1] for p in pairs):
        raise ConfigError(f"`y_range` is (low, high) for each target. Got {asked!r}.")
    choices.add("y_range", pairs[0] if len(pairs) == 1 else "own", reason="as asked", change=change)
    return [[float(low), float(high)] for low, high in pairs]


def _batch_size(num_train: int) -> int:
    """64; more for long tables, where an epoch would take too many steps."""
    size = 64
    while size < 1024 and num_train > 1500 * size:
        size *= 2
    return size
