"""Ratings: from a table of who rated what to a recommender that can be read and questioned.

    learner = dt.collab.learner("ratings.csv", titles="films.csv")
    learner.train()
    learner.recommend("user 7", k=10)

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.collab.answers import RatingPrediction, RatingPredictions
    from drivetrain.collab.baselines import ItemMean, Popularity, TrainMean, UserItemMean
    from drivetrain.collab.bundle import load, open_bundle, verify
    from drivetrain.collab.bundling.exporting import export
    from drivetrain.collab.checking import check
    from drivetrain.collab.data import CollabData, from_csv, from_table, gather
    from drivetrain.collab.events import fit
    from drivetrain.collab.factors import Factors
    from drivetrain.collab.learner import learner
    from drivetrain.collab.looking.look_up import look_up
    from drivetrain.collab.looking.reading import (
        factor_ends,
        item_biases,
        map_items,
        nearest_items,
        user_biases,
    )
    from drivetrain.collab.measure import compare_ratings, measure_ranking, measure_ratings
    from drivetrain.collab.model import CollabModel
    from drivetrain.collab.newcomers.cold import fit_cold_start
    from drivetrain.collab.newcomers.facts import Facts, read_facts
    from drivetrain.collab.newcomers.fold_in import fold_in
    from drivetrain.collab.newcomers.newcomer import newcomer
    from drivetrain.collab.recommend import item_index, recommend, recommend_to
    from drivetrain.collab.runs import reopen, resume, test
    from drivetrain.collab.steps import steps
    from drivetrain.collab.truth.concentration import cap_ratings, concentration, effect_of_capping
    from drivetrain.collab.truth.districts import compare_districts, simulate_districts
    from drivetrain.collab.truth.feedback import Mitigation, simulate_feedback
    from drivetrain.collab.truth.refit import refit
    from drivetrain.interpret.components import principal_components

__all__ = [
    "CollabData",
    "CollabModel",
    "Factors",
    "Facts",
    "ItemMean",
    "Mitigation",
    "Popularity",
    "RatingPrediction",
    "RatingPredictions",
    "TrainMean",
    "UserItemMean",
    "cap_ratings",
    "check",
    "compare_districts",
    "compare_ratings",
    "concentration",
    "effect_of_capping",
    "export",
    "factor_ends",
    "fit",
    "fit_cold_start",
    "fold_in",
    "from_csv",
    "from_table",
    "gather",
    "item_biases",
    "item_index",
    "learner",
    "load",
    "look_up",
    "map_items",
    "measure_ranking",
    "measure_ratings",
    "nearest_items",
    "newcomer",
    "open_bundle",
    "principal_components",
    "read_facts",
    "recommend",
    "recommend_to",
    "refit",
    "reopen",
    "resume",
    "simulate_districts",
    "simulate_feedback",
    "steps",
    "test",
    "user_biases",
    "verify",
]

_HOMES = {
    "answers": (
        "RatingPrediction",
        "RatingPredictions",
    ),
    "baselines": (
        "ItemMean",
        "Popularity",
        "TrainMean",
        "UserItemMean",
    ),
    "bundle": (
        "load",
        "open_bundle",
        "verify",
    ),
    "bundling.exporting": ("export",),
    "checking": ("check",),
    "data": (
        "CollabData",
        "from_csv",
        "from_table",
        "gather",
    ),
    "events": ("fit",),
    "factors": ("Factors",),
    "learner": ("learner",),
    "looking.look_up": ("look_up",),
    "looking.reading": (
        "factor_ends",
        "item_biases",
        "map_items",
        "nearest_items",
        "principal_components",
        "user_biases",
    ),
    "measure": (
        "compare_ratings",
        "measure_ranking",
        "measure_ratings",
    ),
    "model": ("CollabModel",),
    "newcomers.cold": ("fit_cold_start",),
    "newcomers.facts": (
        "Facts",
        "read_facts",
    ),
    "newcomers.fold_in": ("fold_in",),
    "newcomers.newcomer": ("newcomer",),
    "recommend": (
        "item_index",
        "recommend",
        "recommend_to",
    ),
    "runs": (
        "reopen",
        "resume",
        "test",
    ),
    "truth.concentration": (
        "cap_ratings",
        "concentration",
        "effect_of_capping",
    ),
    "truth.districts": (
        "compare_districts",
        "simulate_districts",
    ),
    "truth.feedback": (
        "Mitigation",
        "simulate_feedback",
    ),
    "truth.refit": ("refit",),
    "steps": ("steps",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
