"""What a run of ratings gives to its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.collab.data import CollabData, Report, RowNames, gather_again
from drivetrain.collab.mapping import mapped
from drivetrain.collab.model import load
from drivetrain.collab.runs import reopen
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import DrivetrainError, RunError
from drivetrain.interpret.map_items import MapItems
from drivetrain.interpret.text import number
from drivetrain.models.summary import summarize
from drivetrain.report.evidence import Amounts, Evidence, Shown
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run, check_form, said_as_damage

SAMPLES = 8


def evidence(folder: store.StrPath, *, report: Report | None = None) -> Evidence:
    """What the report of a run of ratings, or of events, is made of.

    Of events there are no predictions one by one: such a model is measured by its lists.

    Raises: RunError: no run of ratings there, or its ratings are not those it began with. DataError: they
        are gone.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"data": dict, "plan": {"method": str}, "fingerprint": str}, path)
    if record["plan"]["method"] == "als":
        with said_as_damage(path):
            data = gather_again(record["data"], report=report)
        if data.fingerprint() != record["fingerprint"]:
            raise RunError(
                f"The ratings of {data.source} are not those that {folder} began with. Put them back, or "
                "train anew."
            )
        return Evidence(**_known(data), map=_map(folder))
    learner = reopen(folder, callbacks=(), progress=False, report=report)
    if (Path(folder) / "model" / "model.json").exists():
        learner.load(folder)
    application: Any = learner.application
    data = application.data
    if data.is_implicit:
        return Evidence(**_known(data), map=_map(folder))
    train, valid = data.pairs("train"), data.pairs("valid")
    found = learner.predictions()
    outputs = found.outputs.reshape(found.targets.shape)
    example = torch.zeros(1, 2, dtype=torch.int64, device=learner.device)
    return Evidence(
        **_known(data),
        predictions=Predictions(found.ids, found.targets, outputs, found.losses),
        show=_Show(data, valid, found.ids),
        facts=facts(train, valid, len(data.users), len(data.items)),
        layers=summarize(
            learner.model, (example,), loss=application.settings["loss_fn"].get("name")
        ),
        map=_map(folder),
    )


def _map(folder: store.StrPath) -> MapItems | None:
    """The items by their vectors; None of a run that is not finished, or of more than a dot product."""
    try:
        return mapped(load(folder))
    except DrivetrainError:
        return None


def _known(data: CollabData) -> dict[str, Any]:
    """What is known of the data alone."""
    train = data.pairs("train")
    users = np.bincount(train.users, minlength=len(data.users))[1:]
    items = np.bincount(train.items, minlength=len(data.items))[1:]
    what = "events" if data.is_implicit else "ratings"
    names = RowNames(data.positions[data.rows("train")[:SAMPLES]])
    return {
        "noun": what,
        "target": data.columns.rating or "what happened",
        "numbers": None if data.is_implicit else train.ratings.astype(np.float64),
        "amounts": [
            Amounts(f"How many {what} a user has", users, f"{what} of a user", "users"),
            Amounts(f"How many {what} an item has", items, f"{what} of an item", "items"),
        ],
        "samples": _rows(data, train, names, range(min(SAMPLES, len(train)))),
    }


class _Show:
    """Ratings by their positions among those that validate."""

    def __init__(self, data: CollabData, table: RatingTable, ids: Sequence[str]) -> None:
        self.data, self.table, self.ids = data, table, ids

    def __call__(self, positions: Sequence[int]) -> list[Shown]:
        return _rows(self.data, self.table, self.ids, positions)


def _rows(
    data: CollabData, table: RatingTable, ids: Sequence[str], positions: Sequence[int]
) -> list[Shown]:
    found = []
    for place in positions:
        user, item = int(table.users[place]), int(table.items[place])
        cells = (
            (data.columns.user, data.users.names[user] or "not in training"),
            (data.columns.item, data.titles[item] or "not in training"),
        )
        label = "" if data.is_implicit else number(float(table.ratings[place]))
        found.append(Shown(str(ids[place]), label, cells=cells))
    return found


def facts(
    train: RatingTable, valid: RatingTable, num_users: int, num_items: int
) -> dict[str, np.ndarray]:
    """What training knows of the user and the item of each rating, for the slices: (N,) float64 each.

    How many ratings they have, and the mean of those; NaN where there are none.
    """
    found = {}
    sides = (
        ("user", train.users, valid.users, num_users),
        ("item", train.items, valid.items, num_items),
    )
    for name, known, asked, size in sides:
        counts = np.bincount(known, minlength=size).astype(np.float64)
        counts[0] = 0  # nobody training knows
        sums = np.bincount(known, weights=train.ratings, minlength=size)
        means = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
        found[f"ratings of the {name}"] = counts[asked]
        found[f"mean rating of the {name}"] = means[asked]
    return found
