"""Events instead of ratings: models that put items in order, and what their order is worth.

    learner = dt.collab.learner("plays.csv", model="bpr")      # a Learner, as of ratings
    model = dt.collab.fit("plays.csv", model="als")            # least squares in turn: no Learner needed

An event says that something happened, not how good it was; so the result is not an error of numbers but
what the lists are worth: of the items that a user came to later, how many stand among the first ten.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from drivetrain import losses, store
from drivetrain._registry import did_you_mean
from drivetrain.collab.application import CollabApplication, CollabLearner
from drivetrain.collab.checking import warned
from drivetrain.collab.data import CollabData, gather
from drivetrain.collab.factors import Factors
from drivetrain.collab.implicit import als, bpr
from drivetrain.collab.lists import interval_of, list_baselines, ranked, values_of
from drivetrain.collab.model import CollabModel, model_of
from drivetrain.collab.seen import Seen, write_seen
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.models.factorization import DotProduct
from drivetrain.train.callback import Callback
from drivetrain.train.factory import (
    chosen,
    chosen_optimizer,
    introduced,
    parts_record,
    say_seed,
    steps_an_epoch,
)
from drivetrain.train.learner import Learner
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.run import Run


class EventsApplication(CollabApplication):
    """What a Learner by `bpr` knows beyond tensors."""

    def loaders(self) -> Loaders:
        """Events, each with an item that did not happen."""
        return parts_of(self.data, self.description["num_factors"], self.settings).loaders

    def count(self, learner: Learner) -> None:
        """Nothing: rows for unknown are not filled in a model of events."""

    def results(self, learner: Learner) -> dict[str, Any]:
        """What lists are worth on the validation events, beside popularity's."""
        found = learner.evaluate()
        measured = ranked(self.model(learner).scores, self.data)
        return {
            "task": "collab",
            "model": self.name,
            "metrics": {"valid": {"loss": found.loss, **found.metrics, **values_of(measured)}},
            "interval": None if measured is None else interval_of(measured),
            "baselines": self.baselines(),
            "items": self.data.counts(),
        }

    def find_baselines(self) -> dict[str, Any]:
        """Popularity: name -> `{ndcg, interval}`."""
        return list_baselines(self.data, ("popularity",))

    def model(self, learner: Learner) -> CollabModel:
        """The Learner's model, to ask; it sees what is trained later."""
        pairwise: Any = learner.model
        return model_of(
            pairwise.scores,
            self.name,
            self.data,
            self.seen,
            num_threads=learner.num_threads,
            device=learner.device,
        )


def parts_of(data: CollabData, num_factors: int, settings: Mapping[str, Any]) -> bpr.BprParts:
    """Model, loaders and loss of BPR over the events of the data."""
    return bpr.bpr_parts(
        data.pairs("train"),
        data.pairs("valid"),
        num_factors=num_factors,
        batch_size=settings["batch_size"],
        seed=settings["seed"],
    )


def bpr_learner(
    data: CollabData,
    *,
    num_factors: int | None,
    optimizer: str | Mapping[str, Any] | OptimizerFactory | None,
    batch_size: int | None,
    lr: float | None,
    epochs: int | None,
    weight_decay: float | None,
    seed: int,
    num_threads: int | None,
    callbacks: Sequence[Callback | str | Mapping[str, Any]],
    device: torch.device | str | None,
    progress: bool,
    announce: bool | None,
    out: store.StrPath | None,
) -> CollabLearner:
    """`collab.learner` for the model `bpr`; what is None is chosen, and said."""
    choices = data.choices
    choices.choose(
        "num_factors",
        num_factors,
        usual=bpr.FACTORS,
        reason="numbers in a vector: tastes that can be told apart",
        change="--set num_factors=N",
    )
    factors = bpr.FACTORS if num_factors is None else num_factors
    num_train = data.counts()["train"]
    usual = bpr.default_batch_size(num_train)
    size = chosen(
        "batch_size", batch_size, choices, usual=usual, reason=steps_an_epoch(num_train, usual)
    )
    plan = {
        "method": "fit_one_cycle",
        "epochs": chosen(
            "epochs",
            epochs,
            choices,
            usual=bpr.EPOCHS,
            reason="each epoch compares every event with another item",
        ),
        "lr": chosen(
            "lr", lr, choices, usual=bpr.LR, reason="a rate that suits batches of this size"
        ),
    }
    decay = choices.choose(
        "weight_decay",
        weight_decay,
        usual=bpr.WEIGHT_DECAY,
        reason="draws vectors to zero; too little learns the events by heart",
        change="--set weight_decay=NUMBER",
    )
    make_optimizer = chosen_optimizer(optimizer, choices, factory="collab.learner")
    settings: dict[str, Any] = {
        "batch_size": size,
        "weight_decay": decay,
        "num_threads": 1 if num_threads is None else num_threads,
        **parts_record((), losses.loss(bpr.LOSS), make_optimizer),
        "seed": seed,
    }
    parts = parts_of(data, factors, settings)
    settings["initial_sha256"] = store.weights_sha256(parts.model.state_dict())
    say_seed(seed, choices)
    application = EventsApplication(data, "bpr", description_of(data, factors), settings, plan)
    found = CollabLearner(
        parts.model,
        parts.loaders,
        parts.loss_fn,
        make_optimizer,
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=decay,
        seed=seed,
        device=device,
        num_threads=settings["num_threads"],
        progress=progress,
        application=application,
    )
    return introduced(found, data, warned, announce=announce, out=out)


FITTED = ("als",)
"""Names of models that are fitted without a Learner."""


def fit(
    source: CollabData | Any,
    *,
    model: str = "als",
    out: store.StrPath | None = None,
    seed: int | None = None,
    progress: bool = True,
    report: Callable[[dict[str, Any]], None] | None = None,
    num_factors: int = als.FACTORS,
    regularization: float = als.REGULARIZATION,
    alpha: float = als.ALPHA,
    rounds: int = als.ROUNDS,
    num_threads: int = 1,
    **data_options: Any,
) -> CollabModel:
    """A recommender by weighted least squares in turn: events, or ratings taken for events.

    Args:
        source: a CSV or Parquet file, a frame, or `CollabData`.
        model: `als`.
        out: folder of a run to write.
        seed: of split and first vectors.
        progress: a line a round on stderr.
        report: is given each round's row instead.
        num_factors, regularization, alpha, rounds, num_threads: see `implicit.als.fit_als`.
        data_options: `user`, `item`, `implicit`, `split` …, see `gather`.

    Raises: DataError, ConfigError: with what is wrong and what to do.
    """
    if model not in FITTED:
        raise ConfigError(
            f"There is no model '{model}' to fit.{did_you_mean(model, FITTED)} Known: "
            f"{', '.join(FITTED)}. Others are trained by `collab.learner`."
        )
    if isinstance(source, CollabData):
        if data_options:
            raise ConfigError(
                f"`{next(iter(data_options))}` is settled in the data. Give it where they are gathered."
            )
        data = source
    else:
        data = gather(source, **({} if seed is None else {"seed": seed}), **data_options)
    seed = data.seed if seed is None else seed
    settings = {
        "num_factors": num_factors,
        "regularization": regularization,
        "alpha": alpha,
        "rounds": rounds,
        "num_threads": num_threads,
        "seed": seed,
    }
    began = time.perf_counter()
    fitted = als.fit_als(
        data.pairs("train"),
        report=report or (_tell if progress else None),
        **settings,
    )
    seconds = time.perf_counter() - began
    seen = Seen.of(data)
    found = model_of(
        net_of(fitted.factors), model, data, seen, num_threads=num_threads, device="cpu"
    )
    measured = ranked(found.scores, data)
    found.results = {
        "task": "collab",
        "model": model,
        "metrics": {"valid": values_of(measured)},
        "interval": None if measured is None else interval_of(measured),
        "baselines": list_baselines(data, ("popularity",)),
        "items": data.counts(),
        "epochs": rounds,
        "seconds": round(seconds, 3),
        "weights_sha256": store.weights_sha256(found.net.state_dict()),
    }
    if out is not None:
        _write(Run.create(out), found, data, fitted, settings)
    return found


def _write(
    run: Run, found: CollabModel, data: CollabData, fitted: als.AlsFit, settings: dict[str, Any]
) -> None:
    """The run's folder: what was fitted and how, and the model that recommends."""
    try:
        run.write_split(data.split_record())
        run.write_quarantine(entry.to_json() for entry in data.quarantined)
        write_seen(run.folder / "model", found.history)
        for row in fitted.history:
            run.log(row)
        record = CollabApplication(
            data,
            found.name,
            description_of(data, settings["num_factors"], bias=False),
            settings,
            {"method": "als", "epochs": settings["rounds"], "lr": 0.0},
        )
        run.save_model(found.net.state_dict(), record.model_record())
        results = found.results | {"run": str(run.folder)}
        found.results = results
        run.write(record.record() | {"seed": settings["seed"], "results": results})
    finally:
        run.release()


def _tell(row: dict[str, Any]) -> None:
    sys.stderr.write(f"round {row['round']}  loss {row['loss']:,.6g}  {row['seconds']:.2f} s\n")


def net_of(factors: Factors) -> DotProduct:
    """A dot product without biases whose vectors are given."""
    users, items = factors.users, factors.items
    net = DotProduct(len(users), len(items), factors.num_factors, bias=False)
    with torch.no_grad():
        for table, values in ((net.user_factors, users), (net.item_factors, items)):
            nn.init.zeros_(table.weight).copy_(torch.from_numpy(np.ascontiguousarray(values)))
    return net.eval()


def description_of(data: CollabData, num_factors: int, *, bias: bool = True) -> dict[str, Any]:
    """Of the dot product that scores; see `models.factorization`."""
    return {
        "kind": "dot",
        "num_users": len(data.users),
        "num_items": len(data.items),
        "num_factors": num_factors,
        "bias": bias,
        "y_range": None,
    }
