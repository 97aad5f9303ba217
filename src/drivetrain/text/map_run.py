"""A map of the texts of a run: by what its last layer is given, or a layer gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.errors import ConfigError
from drivetrain.interpret.head_inputs import head_inputs
from drivetrain.interpret.map_items import PARTS, MapItems, joined
from drivetrain.text.data import Report, TextData
from drivetrain.text.mapping import in_order, mapped
from drivetrain.text.reporting import predictions
from drivetrain.text.runs import reopen


def map_items(
    folder: store.StrPath,
    *,
    layer: str | None = None,
    items: str = "valid",
    report: Report | None = None,
) -> MapItems:
    """The texts of a part, their vectors, and what the model says of each.

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
    cut = application.settings["max_len"]
    with head_inputs(learner.model, layer) as caught:
        found = joined([predictions(learner, goal, part) for part in PARTS[items]])
    texts = [text for part in PARTS[items] for text in in_order(data, cut, part)]
    trained = 0 if items == "valid" else len(data.split.train)
    return mapped(caught, found, texts, goal.name, of=items, trained=trained)
