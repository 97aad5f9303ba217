"""A map of the validation texts of a run: by what its last layer is given, or a layer gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.errors import ConfigError
from drivetrain.interpret.head_inputs import head_inputs
from drivetrain.interpret.map_items import MapItems
from drivetrain.text.data import Report, TextData
from drivetrain.text.learner import reopen
from drivetrain.text.mapping import in_order, mapped
from drivetrain.text.reporting import predictions


def map_items(
    folder: store.StrPath, *, layer: str | None = None, report: Report | None = None
) -> MapItems:
    """The validation texts, their vectors, and what the model says of each.

    Arguments and errors as `vision.mapping.map_items`. ConfigError: a language model, whose texts have
    nothing to be told apart by.
    """
    learner = reopen(folder, callbacks=(), progress=False, report=report)
    if (Path(folder) / "model" / "model.json").exists():
        learner.load(folder)
    application: Any = learner.application
    data: TextData = application.data
    goal = data.goal
    if goal is None:
        raise ConfigError(
            f"{folder} is a language model, and predicts the next word: it has no vector for a text. "
            "Draw a map of a classifier that was trained from it."
        )
    with head_inputs(learner.model, layer) as caught:
        found = predictions(learner, goal)
    return mapped(caught, found, in_order(data, application.settings["max_len"]), goal.name)
