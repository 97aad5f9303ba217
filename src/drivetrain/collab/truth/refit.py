"""A Learner's kind of model, fitted to other ratings: to ask what its training ratings did to it.

fit = refit(learner)                        # a Learner of ratings, trained or not
effect_of_capping(fit, data.part("train"), data.part("valid"))
simulate_feedback(fit, data.part("train"), taste=fit(data.part("train")))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivetrain.collab.application import CollabApplication, CollabLearner
from drivetrain.collab.learner import learner as make_learner
from drivetrain.collab.model import CollabModel
from drivetrain.collab.shown import Scorer
from drivetrain.collab.table.splits import TRAIN, VALID
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError
from drivetrain.train.choice import Choices


@dataclass(frozen=True)
class _Asked:
    """A model that is asked by codes."""

    model: CollabModel

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.model.scores(users)

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.model.outputs(users, items)


def refit(learner: CollabLearner) -> Callable[[RatingTable], Scorer]:
    """What makes the same kind of model from other ratings of the same users and items.

    Model, loss, optimizer, batch size, rate, epochs and seed are those of the Learner, trained as its
    `train` does. Weight decay keeps its strength over an epoch, however many steps that takes.

    A user or an item without a rating in the other table keeps the vector it began with, near zero.

    Args:
        learner: a trained one of ratings.

    Returns: a table, whose codes are the Learner's, to a model: its `Factors` where it has them.
    Raises: ConfigError: the Learner is not one of ratings.
    """
    application: Any = learner.application
    if not isinstance(application, CollabApplication):
        raise ConfigError("`refit` needs a Learner of ratings, made by `collab.learner`.")
    settings, plan, data = application.settings, application.plan, application.data
    valid = data.rows("valid")
    steps = _steps(len(data.rows("train")), settings["batch_size"])

    def fit(table: RatingTable) -> Scorer:
        now = replace(
            data,
            table=_joined(table, data.table.take(valid)),
            parts=np.repeat(np.array([TRAIN, VALID], np.int8), [len(table), len(valid)]),
            positions=np.arange(len(table) + len(valid)),
            choices=Choices(),
        )
        decay = settings["weight_decay"] * steps / _steps(len(table), settings["batch_size"])
        found = make_learner(
            now,
            model=application.name,
            **_kind(application.name, application.description),
            loss_fn=settings["loss_fn"],
            optimizer=settings["optimizer"],
            batch_size=settings["batch_size"],
            lr=plan["lr"],
            epochs=plan["epochs"],
            weight_decay=decay,
            seed=learner.seed,
            num_threads=settings["num_threads"],
            device=learner.device,
            progress=False,
        )
        found.train()
        made: Any = found.application
        model: CollabModel = made.model(found)
        return _Asked(model) if model.factors is None else model.factors

    return fit


def _steps(count: int, batch_size: int) -> int:
    return max(1, -(-count // batch_size))


def _kind(name: str, description: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `learner` that make the same model."""
    ranges = {"y_range": False if description["y_range"] is None else description["y_range"]}
    if name != "net":
        return {"num_factors": description["num_factors"], **ranges}
    dims = description["user_dim"], description["item_dim"]
    return {
        # different ones were chosen by how many users and items there are, and are chosen so again
        "num_factors": dims[0] if dims[0] == dims[1] else None,
        "layers": description["layers"],
        "batch_norm": description["batch_norm"],
        "dropout": description["dropout"],
        **ranges,
    }


def _joined(first: RatingTable, second: RatingTable) -> RatingTable:
    """The rows of both; times only where both have them."""
    times = None
    if first.times is not None and second.times is not None:
        times = np.concatenate([first.times, second.times])
    return RatingTable(
        np.concatenate([first.users, second.users]),
        np.concatenate([first.items, second.items]),
        np.concatenate([first.ratings, second.ratings]),
        times,
        first.num_users,
        first.num_items,
    )  # fmt: skip
