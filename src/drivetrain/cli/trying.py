"""One candidate of a sweep, trained as `drivetrain train` would, within its time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.cli import gating, settings, tables
from drivetrain.errors import RunError

if TYPE_CHECKING:
    from drivetrain.train.budget import Budget
    from drivetrain.train.learner import Learner
    from drivetrain.train.run import Run

SIMPLE = ("majority", "one_r")
"""Models that stand beside one of a table."""
BASELINES = "baselines.json"
"""In the folder of a sweep: what simple models reach, the same for all candidates."""
SHORTEST = 0.1
"""Minutes that trees are given, however late it is."""


class TooShortError(Exception):
    """The time is too short for the least that trains.

    Args:
        seconds: that it takes, from opening the data to the result.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The least that trains takes about {seconds:.0f} s.")
        self.seconds = seconds


class DataPhaseError(Exception):
    """Opening the data failed, which it will for every candidate: the cause is why."""


def train_candidate(spec: Mapping[str, Any], *, began: float) -> Learner | None:
    """Train what a spec says into a new run folder.

    Args:
        spec: `{"application", "source", "given", "beside", "model", "own", "accepted", "seed", "minutes",
            "run", "may_wait"}`; see `cli.sweep`. What may not wait is trained however short its time is.
        began: when the time began, by `time.perf_counter`.

    Returns: the Learner that was trained; None of a model that is fitted without one.
    Raises: DataPhaseError: the data cannot be used. TooShortError: even one epoch on a hundredth of the
        items takes longer. Else what training raises.
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
    plan = plan_within(learner, spec["minutes"], began=began, folder=run.folder)
    _check(plan, spec, run)
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
        return _train_within(learner, spec, began, passes=1)
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
    return _train_within(learner, spec, began, passes=1 if spec["implicit"] else 0)


def _train_within(
    learner: Learner, spec: Mapping[str, Any], began: float, *, passes: int = 0
) -> Learner:
    """Train in what fits into the time; see `train.within`.

    Args:
        passes: over the validation items, that measuring takes beside those of the result.
    """
    from drivetrain.train.run import Run
    from drivetrain.train.within import plan_within

    run = Run.create(spec["run"])
    _share_baselines(learner, spec)
    plan = plan_within(learner, spec["minutes"], began=began, folder=run.folder, passes=passes)
    _check(plan, spec, run)
    learner.start_run(run)
    learner.train()
    return learner


def _share_baselines(learner: Learner, spec: Mapping[str, Any]) -> None:
    """Take the baselines that another candidate left in the folder of the sweep, or leave them there."""
    from drivetrain import store

    application: Any = learner.application
    if "folder" not in spec:
        return
    path, of = Path(spec["folder"]) / BASELINES, application.data.fingerprint()
    with contextlib.suppress(RunError):  # a folder that somebody changed: they are made anew
        known = store.read_json(path) if path.is_file() else None
        told = known if isinstance(known, dict) else {}
        if told.get("fingerprint") == of and isinstance(told.get("baselines"), dict):
            application.known_baselines = told["baselines"]
            return
    store.write_json(path, {"fingerprint": of, "baselines": application.baselines()})


def _check(plan: Budget, spec: Mapping[str, Any], run: Run) -> None:
    if plan.is_too_long and spec.get("may_wait", False):
        run.release()
        raise TooShortError(plan.predicted_seconds)


class _data_phase:  # noqa: N801 - a context, named as what it stands for
    """Inside, the data is opened: what that raises is raised as the cause of a `DataPhaseError`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise DataPhaseError from error
