"""One candidate of a sweep, trained as `drivetrain train` would, within its time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.cli import gating, settings

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

SHARE = 0.85
"""Of the time that is left when a net begins, what its epochs are planned for; the rest is measuring."""
OVER = 1.3
"""What training may take of that, where the plan was wrong."""
SIMPLE = ("majority", "one_r")
"""Models that stand beside one of a table."""


class DataPhaseError(Exception):
    """Opening the data failed, which it will for every candidate: the cause is why."""


def train_candidate(spec: Mapping[str, Any], *, began: float) -> None:
    """Train what a spec says into a new run folder.

    Args:
        spec: `{"application", "source", "given", "beside", "model", "own", "accepted", "seed", "minutes",
            "run"}`; see `cli.sweep`.
        began: when the time began, by `time.perf_counter`.

    Raises: DataPhaseError: the data cannot be used. Else what training raises.
    """
    made = {
        "vision": _pictures,
        "tabular": _table,
        "text": _texts,
        "collab": _ratings,
    }[spec["application"]]
    made(spec, began)


def _pictures(spec: Mapping[str, Any], began: float) -> None:
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


def _table(spec: Mapping[str, Any], began: float) -> None:
    from drivetrain import tabular
    from drivetrain.tabular.leaderboard import train_into
    from drivetrain.train.run import Run

    given = dict(spec["given"])
    target = given.pop("label_column")
    names = [name.strip() for name in target.split(",")] if "," in target else target
    options = settings.take(given, settings.TABLE)
    options |= {name: given[name] for name in ("drop", "kinds") if name in given}
    with _data_phase():
        data = tabular.gather(spec["source"], names, seed=spec["seed"], **options)
        gating.pass_table(data, data.choices, spec["accepted"])
    model, own = spec["model"], spec["own"]
    if model == "net":
        learner = tabular.learner(data, announce=False, **own)
        _train_within(learner, spec, began)
        return
    run = Run.create(spec["run"])
    try:
        train_into(
            run,
            data,
            models=[*dict.fromkeys([*SIMPLE, model])],
            minutes=spec["minutes"],
            settings={model: own} if own else None,
            chosen=model,
        )
    finally:
        run.release()


def _texts(spec: Mapping[str, Any], began: float) -> None:
    from drivetrain import text

    given = dict(spec["given"])
    target = given.pop("label_column", None)
    options = settings.take(given, settings.TEXT_DATA) | {"seed": spec["seed"]}
    with _data_phase():
        data = text.gather(spec["source"], target, labelled=True, **options)
        gating.pass_texts(data, data.choices, spec["accepted"])
    learner = text.learner(data, model=spec["model"], announce=False, **spec["own"])
    _train_within(learner, spec, began)


def _ratings(spec: Mapping[str, Any], began: float) -> None:
    from drivetrain import collab
    from drivetrain.train.run import Run

    options = dict(spec["beside"]) | settings.take(spec["given"], settings.RATING_DATA)
    if spec["implicit"]:
        options["implicit"] = True
    with _data_phase():
        data = collab.gather(spec["source"], seed=spec["seed"], **options)
    if spec["model"] == "als":
        collab.fit(data, model="als", out=Run(spec["run"]).folder, progress=False, **spec["own"])
        return
    learner = collab.learner(data, model=spec["model"], announce=False, **spec["own"])
    _train_within(learner, spec, began)


def _train_within(learner: Learner, spec: Mapping[str, Any], began: float) -> None:
    """Train in as many of the usual epochs as fit into the time, at least one."""
    from drivetrain.train.callbacks.time_budget import TimeBudget
    from drivetrain.train.run import Run

    application: Any = learner.application
    seconds = max(SHARE * 60 * spec["minutes"] - (time.perf_counter() - began), 1.0)
    usual = int(application.plan["epochs"])
    epochs = min(usual, max(1, _epochs_within(learner, seconds)))
    application.settings["usual_epochs"] = usual
    if epochs < usual:
        application.plan["epochs"] = epochs
        application.choices.add(
            "epochs",
            epochs,
            reason=f"as many of the usual {usual} as end within {spec['minutes']:.2g} min",
            change="--epochs N",
        )
    learner.callbacks.append(TimeBudget(OVER * seconds / 60))
    learner.start_run(Run.create(spec["run"]))
    learner.train()


def _epochs_within(learner: Learner, seconds: float) -> int:
    """How many epochs end in so many seconds, by the time of a few steps, which are taken back."""
    from drivetrain.train import loop
    from drivetrain.train.timing import seconds_a_step, seconds_a_validation

    enough = 0.04 * seconds
    steps = loop.length(learner.loaders.train) or 1
    an_epoch = steps * seconds_a_step(learner, enough=enough)
    an_epoch += seconds_a_validation(learner, enough=enough)
    left = seconds - 3 * enough
    return int(left / an_epoch) if an_epoch > 0 else 1_000_000


class _data_phase:  # noqa: N801 - a context, named as what it stands for
    """Inside, the data is opened: what that raises is raised as the cause of a `DataPhaseError`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            raise DataPhaseError from error
