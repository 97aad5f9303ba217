"""Tables: from a CSV, a Parquet file or a data frame to models that can be asked why.

    board = dt.tabular.leaderboard("adult.csv", "salary")   # models of every kind, side by side
    model = dt.tabular.fit("adult.csv", "salary", "forest") # one of them
    learner = dt.tabular.learner("adult.csv", "salary")     # the net, with a Learner's methods

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.tabular.answers import RowPrediction, RowPredictions
    from drivetrain.tabular.bundle import load, verify
    from drivetrain.tabular.bundling.exporting import export
    from drivetrain.tabular.bundling.guarded import GuardedRow, GuardedRows
    from drivetrain.tabular.bundling.predictor import TablePredictor
    from drivetrain.tabular.checking import check
    from drivetrain.tabular.columns.kinds import Column, Schema
    from drivetrain.tabular.data import TabularData
    from drivetrain.tabular.describe import Description, describe
    from drivetrain.tabular.estimator import TabularClassifier, TabularRegressor
    from drivetrain.tabular.explain import Explainer, explain
    from drivetrain.tabular.gathering import from_csv, from_frame, from_parquet, gather
    from drivetrain.tabular.leaderboard import Leaderboard, leaderboard
    from drivetrain.tabular.learner import learner
    from drivetrain.tabular.models import TabularModel, fit, test
    from drivetrain.tabular.preprocess import Preprocess
    from drivetrain.tabular.runs import reopen, resume
    from drivetrain.tabular.steps import steps
    from drivetrain.tabular.tune import tune
    from drivetrain.tabular.tuning.tuned import Tuned

__all__ = [
    "Column",
    "Description",
    "Explainer",
    "GuardedRow",
    "GuardedRows",
    "Leaderboard",
    "Preprocess",
    "RowPrediction",
    "RowPredictions",
    "Schema",
    "TablePredictor",
    "TabularClassifier",
    "TabularData",
    "TabularModel",
    "TabularRegressor",
    "Tuned",
    "check",
    "describe",
    "explain",
    "export",
    "fit",
    "from_csv",
    "from_frame",
    "from_parquet",
    "gather",
    "leaderboard",
    "learner",
    "load",
    "reopen",
    "resume",
    "steps",
    "test",
    "tune",
    "verify",
]

_HOMES = {
    "answers": ("RowPrediction", "RowPredictions"),
    "bundle": ("load", "verify"),
    "checking": ("check",),
    "data": ("TabularData",),
    "describe": ("Description", "describe"),
    "estimator": ("TabularClassifier", "TabularRegressor"),
    "explain": ("Explainer", "explain"),
    "bundling.exporting": ("export",),
    "bundling.guarded": ("GuardedRow", "GuardedRows"),
    "columns.kinds": ("Column", "Schema"),
    "gathering": ("from_csv", "from_frame", "from_parquet", "gather"),
    "leaderboard": ("Leaderboard", "leaderboard"),
    "learner": ("learner",),
    "models": ("TabularModel", "fit", "test"),
    "bundling.predictor": ("TablePredictor",),
    "preprocess": ("Preprocess",),
    "runs": ("reopen", "resume"),
    "tune": ("tune",),
    "tuning.tuned": ("Tuned",),
    "steps": ("steps",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
