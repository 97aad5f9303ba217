"""A time budget for nets of tables, texts and ratings: what is cut, before the run begins.

    plan_within(learner, 1.0)          # a minute, from now to the result
    learner.start_run(run)
    learner.train()

The plan is that of `train.budget`, which pictures have as well: whole epochs with a schedule of their
own length, and a share of the training items where they would not fit. A net of a table soon learns its
rows by heart, so that more than the planned epochs are never made of a budget, however long it is.

What is learnt of the training items beside the weights (words, means, levels, codes) is that of all of
them. The share is drawn by the seed of the data, and a run that is opened again has the same.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.train.budget import Budget, plan, share_of
from drivetrain.train.callbacks.time_budget import TimeBudget

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

FRACTION = "train_fraction"
"""Setting of a run: the share of the training items that its loader gives out."""


def plan_within(
    learner: Learner,
    minutes: float,
    *,
    began: float | None = None,
    folder: Path | None = None,
    passes: int = 0,
) -> Budget:
    """Let `learner.train()` end within so many minutes of `began`, and record what was cut for it.

    To be called before the run is started, so that a run that is cut knows its plan. What the plan
    misjudges ends training at a tenth above the budget (`TimeBudget`).

    Args:
        learner: of an application, not trained yet.
        minutes: above 0.
        began: when the clock started, by `time.perf_counter`; by default now.
        folder: where checkpoints are going to be written.
        passes: how often the caller predicts all validation items when there is a result.
    Raises: ConfigError: `minutes` is not above 0, or the training loader has no length.
    """
    began = time.perf_counter() if began is None else began
    application: Any = learner.application
    seconds, asked = 60 * minutes, application.plan["epochs"]
    method, heads = application.plan["method"], 1
    if method == "gradual_unfreeze":  # as `fine_tune`, with a stage more
        method, heads = "fine_tune", 2
    application.baselines()  # the same whatever is trained: they are kept, and no more to be made
    after = _seconds_of_lists(learner)
    found = plan(
        learner,
        seconds,
        asked,
        method=method,
        head_epochs=heads,
        after=after,
        passes=passes + application.passes - 1,  # one is counted as a result's in any case
        spent=time.perf_counter() - began,
        folder=folder,
    )
    settings, choices = application.settings, application.choices
    for cut in found.reasons:
        if cut.what == "epochs":
            if found.epochs == asked:
                continue  # why there are so many is said
            settings["usual_epochs"] = asked
        reason = cut.reason
        if cut.what == "fraction" and not application.classes:
            reason = reason.replace("of every class alike, ", "")
        choices.add(cut.what, cut.value, reason=reason, change=cut.change)
    application.plan["epochs"] = found.epochs
    if found.fraction < 1:
        settings[FRACTION] = found.fraction
        take_share(learner)
    limit = found.limit(elapsed=time.perf_counter() - began)
    settings["budget"] = found.to_json() | {"limit_seconds": limit}
    learner.callbacks.append(TimeBudget(limit / 60))
    return found


def take_share(learner: Learner) -> None:
    """Let a Learner train on the share of the items that its settings name; without one on all."""
    application: Any = learner.application
    fraction = application.settings.get(FRACTION, 1.0)
    if fraction < 1:
        loaders = application.loaders()
        train = share_of(loaders.train, fraction, seed=application.data.seed)
        learner.loaders = replace(loaders, train=train)
        if hasattr(application, "count"):  # of ratings: how often each user and item trains
            application.count(learner)


def _seconds_of_lists(learner: Learner) -> float:
    """What the lists of a recommender take in its result, in seconds; 0 of other learners."""
    application: Any = learner.application
    if not hasattr(application, "lists"):
        return 0.0
    began = time.perf_counter()
    application.results(learner)
    return time.perf_counter() - began
