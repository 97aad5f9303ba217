"""Any model of tables by its name, the net among them, fitted to the training rows and ready to predict.

Nothing here looks at the validation rows: `models.fit` measures there too, and the leaderboard compares.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drivetrain._registry import did_you_mean, lookup
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.tabular import fitting
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.fitting import FITTERS, Fitted
from drivetrain.tabular.learner import learner
from drivetrain.tabular.models import TabularModel
from drivetrain.train.choice import Choices

NET = "net"
NET_SETTINGS = (
    "layers", "epochs", "lr", "batch_size", "weight_decay", "dropout", "embedding_dropout", "y_range",
)  # fmt: skip
"""Settings of the net that are plain values."""


def settings_of(name: str) -> tuple[str, ...]:
    """What a model can be told.

    Raises: UnknownNameError: no such model.
    """
    lookup(dict.fromkeys([*FITTERS, NET]), name, what="model")
    if name == NET:
        return NET_SETTINGS
    known = inspect.signature(FITTERS[name].fit).parameters
    return tuple(key for key in known if key not in ("data", "seed", "num_threads"))


def train(
    name: str, data: TabularData, settings: Mapping[str, Any], *, num_threads: int = 1
) -> TabularModel:
    """Fit a model to the training rows of `data`; its `seed` decides all that is drawn.

    Args:
        name: of `fitting.FITTERS`, or `net`.
        data: the table; its validation rows are not looked at, and it need not have any.
        settings: of the model; see `settings_of`.
        num_threads: that a library may use.

    Raises: UnknownNameError, ConfigError, DataError: no such model or setting, or the rows do not do.
    """
    known = settings_of(name)
    for key in settings:
        if key not in known:
            raise ConfigError(
                f"'{name}' has no setting '{key}'.{did_you_mean(key, known)} "
                f"It has: {', '.join(known) or 'none'}."
            )
    began = time.perf_counter()
    if name == NET:
        found = _net(data, settings, num_threads)
    else:
        fitted = fitting.fit(name, data, num_threads=num_threads, **settings)
        found = TabularModel(
            name,
            fitted.estimator,
            reader=data.reader,
            preprocess=data.preprocess,
            target=data.target,
            fitted=fitted,
            data=data,
        )
    found.seconds = time.perf_counter() - began
    return found


def _net(data: TabularData, settings: Mapping[str, Any], num_threads: int) -> TabularModel:
    # its choices are its own: those of the table say what the table's owner was told
    own = replace(data, choices=Choices())
    made = learner(own, num_threads=num_threads, progress=False, **settings)
    made.loaders = Loaders(made.loaders.train)  # no epoch ends with a look at the validation rows
    made.train()
    application: Any = made.application
    found = application.model(made)
    found.data = data
    found.fitted = Fitted(
        found.estimator, {**application.settings, **application.plan, **dict(settings)}
    )
    return found
