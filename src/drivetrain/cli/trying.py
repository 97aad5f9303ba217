"""One candidate of a sweep, trained as `drivetrain train` would, within its time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.cli import gating, settings, tables

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

SIMPLE = ("majority", "one_r")
"""Models that stand beside one of a table."""
SHORTEST = 0.1
"""Minutes that trees are given, however late it is."""


class DataPhaseError(Exception):
    """Opening the data failed, which it will for every candidate: the cause is why."""


def train_candidate(spec: Mapping[str, Any], *, began: float) -> Learner | None:
    """Train what a spec says into a new run folder.

    Args:
        spec: `{"application", "source", "given", "beside", "model", "own", "accepted", "seed", "minutes",
            "run"}`; see `cli.sweep`.
        began: when the time began, by `time.perf_counter`.

    Returns: the Learner that was trained; None of a model that is fitted without one.
    Raises: DataPhaseError: the data cannot be used. Else what training raises.
    """
    made = {
        "vision": _pictures,
        "tabular": _table,
        "text": _texts,
        "collab": _ratings,
    }[spec["application"]]
    return made(spec, began)


def _pictures(spec: Mapping[str, Any], began: float) -> Learner:
    from drivetrain import vision
    from drivetrain.train.run import Run
    from drivetrain.vision.learner import plan_within

    path, given = Path(spec["source"]), spec["given"]
    size = {"size": spec["own"]["size"]} if "size" in spec["own"] else {}
    options = settings.take(given, settings.DATA) | size | {"seed": spec["seed"]}
    with _data_phase():
        if path.suffix.lower() == ".csv" and path.is_file():
            data = vision.from_csv(path, **settings.take(given, settings.CSV), **options)
        elif "pattern" in given:
            data = vision.from_names(path, given["pattern"], **options)
        else:
            data = vision.from_folder(path, **options)
        gating.pass_pictures(data, data.choices, spec["accepted"])
    learner = vision.learner(data, spec["model"], announce=False)
    run = Run.create(spec["run"])
    plan_within(learner, spec["minutes"], began=began, folder=run.folder)
    learner.start_run(run)
    learner.train()
    return learner


def _table(spec: Mapping[str, Any], began: float) -> Learner | None:
    from drivetrain import tabular
    from drivetrain.tabular.leaderboard import train_into
    from drivetrain.train.run import Run

    given = dict(spec["given"])
    names = given.pop("targets", None) or tables.names_of(given.pop("label_column"))
    options = settings.take(given, settings.TABLE)
    options |= {name: given[name] for name in ("drop", "kinds") if name in given}
    with _data_phase():
        data = tabular.gather(spec["source"], names, seed=spec["seed"], **options)
        gating.pass_table(data, data.choices, spec["accepted"])
    model, own = spec["model"], spec["own"]
    if model == "net":
        learner = tabular.learner(data, announce=False, **own)
        return _train_within(learner, spec, began)
    run = Run.create(spec["run"])
    try:
        train_into(
            run,
            data,
            models=[*dict.fromkeys([*SIMPLE, model])],
            minutes=max(spec["minutes"] - (time.perf_counter() - began) / 60, SHORTEST),
            settings={model: own} if own else None,
            chosen=model,
        )
    finally:
        run.release()
    return None


def _texts(spec: Mapping[str, Any], began: float) -> Learner:
    from drivetrain import text

    given = dict(spec["given"])
    target = given.pop("label_column", None)
    options = settings.take(given, settings.TEXT_DATA) | {"seed": spec["seed"]}
    with _data_phase():
        data = text.gather(spec["source"], target, labelled=True, **options)
        gating.pass_texts(data, data.choices, spec["accepted"])
    learner = text.learner(data, model=spec["model"], announce=False, **spec["own"])
    return _train_within(learner, spec, began)


def _ratings(spec: Mapping[str, Any], began: float) -> Learner | None:
    from drivetrain import collab
    from drivetrain.train.run import Run

    options = dict(spec["beside"]) | settings.take(spec["given"], settings.RATING_DATA)
    if spec["implicit"]:
        options["implicit"] = True
    with _data_phase():
        data = collab.gather(spec["source"], seed=spec["seed"], **options)
    if spec["model"] == "als":
        collab.fit(data, model="als", out=Run(spec["run"]).folder, progress=False, **spec["own"])
        return None
    learner = collab.learner(data, model=spec["model"], announce=False, **spec["own"])
    return _train_within(learner, spec, began)


def _train_within(learner: Learner, spec: Mapping[str, Any], began: float) -> Learner:
    """Train in what fits into the time, which the time of measuring is part of; see `train.within`."""
    from drivetrain.train.run import Run
    from drivetrain.train.within import plan_within

    run = Run.create(spec["run"])
    plan_within(learner, spec["minutes"], began=began, folder=run.folder, passes=1)
    learner.start_run(run)
    learner.train()
    return learner


class _data_phase:  # noqa: N801 - a context, named as what it stands for
    """Inside, the data is opened: what that raises is raised as the cause of a `DataPhaseError`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise DataPhaseError from error
