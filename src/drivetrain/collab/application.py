"""What a Learner of ratings knows beyond tensors: its data, its record, its result beside baselines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from drivetrain import store
from drivetrain.collab.baselines import RATING_BASELINES
from drivetrain.collab.data import CollabData
from drivetrain.collab.lists import interval_of as lists_interval, list_baselines, ranked, values_of
from drivetrain.collab.measure import RatingResult, measure_ratings
from drivetrain.collab.model import CollabModel, model_of
from drivetrain.collab.sealing import opened, seal_of
from drivetrain.collab.seen import Seen, write_seen
from drivetrain.data.loaders import Loaders
from drivetrain.data.ratings import RatingTable
from drivetrain.train.application import DataApplication
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run
from drivetrain.train.sealed import Opened, Seal


class CollabApplication(DataApplication[CollabData]):
    """What a Learner of ratings knows beyond tensors. Made by `learner`.

    Args:
        data: the ratings.
        name: of the model, one of `MODELS`.
        description: of the model; see `models.factorization`.
        settings: what `learner` was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr"}`.
    """

    def __init__(
        self,
        data: CollabData,
        name: str,
        description: dict[str, Any],
        settings: dict[str, Any],
        plan: dict[str, Any],
    ) -> None:
        super().__init__(data, settings, plan)
        self.name = name
        self.description = description
        self._seen: Seen | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """None: ratings are numbers."""
        return ()

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        return self.recorded({"name": self.name, **self.description}, notes=self.data.notes)

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return seal_of(self.data)

    def open_sealed(self, learner: Learner) -> Opened:
        """The sealed ratings, measured. `Learner.test` counts the look."""
        return opened(self.model(learner), self.data)

    def loaders(self) -> Loaders:
        """The loaders of the ratings, as the settings say."""
        return self.data.loaders(batch_size=self.settings["batch_size"])

    def count(self, learner: Learner) -> None:
        """Tell the model how often each user and item stands in the ratings that train."""
        train: Any = learner.loaders.train
        model: Any = learner.model
        model.count(train.data.tensors[0])

    @property
    def seen(self) -> Seen:
        """What training knows of users and items beside their vectors."""
        if self._seen is None:
            self._seen = Seen.of(self.data)
        return self._seen

    def begin_run(self, run: Run) -> None:
        """Write `split.json`, `quarantine.jsonl` and `model/ratings.safetensors`."""
        run.write_split(self.data.split_record())
        run.write_quarantine(entry.to_json() for entry in self.data.quarantined)
        write_seen(run.folder / "model", self.seen)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to predict."""
        return {
            "application": "collab",
            "name": self.name,
            "model": self.description,
            "users": self.data.users.to_json(),
            "items": self.data.items.to_json(),
            "titles": list(self.data.titles[1:]),
            "columns": {"user": self.data.columns.user, "item": self.data.columns.item},
            "rating": self.data.columns.rating,
            "seen_sha256": self.seen.sha256(),
            "num_threads": self.settings["num_threads"],
        }

    def results(self, learner: Learner) -> dict[str, Any]:
        """The result with its interval, beside the baselines, on the validation ratings."""
        found, valid = self.evaluate_once(learner), self.data.pairs("valid")
        assert found.preds is not None, "validation ratings, kept"
        measured = self._measured(found.preds.numpy(), valid)
        return {
            "task": "collab",
            "model": self.name,
            "metrics": {
                "valid": {
                    "loss": found.loss,
                    **{name: getattr(measured, name).value for name in ("rmse", "mse", "mae")},
                    **found.metrics,  # to the last digit as training and a script of it have them
                }
            },
            "interval": interval_of(measured),
            "baselines": self.baselines(),
            "lists": self.lists(learner),
            "items": self.data.counts(),
        }

    def find_baselines(self) -> dict[str, Any]:
        """Means: of all ratings, of the item, of user and item."""
        train, valid = self.data.pairs("train"), self.data.pairs("valid")
        made = {}
        for name, fit in RATING_BASELINES.items():
            measured = self._measured(fit(train).predict(valid.users, valid.items), valid)
            made[name] = {"rmse": measured.rmse.value, "interval": interval_of(measured)}
        return made

    def lists(self, learner: Learner) -> dict[str, Any] | None:
        """What lists of the highest predictions are worth, beside popularity; None where nobody can tell.

        A model of ratings is not trained to make lists: it predicts how an item is rated by whoever
        rates it, not what a person comes to.
        """
        measured = ranked(self.model(learner).scores, self.data)
        if measured is None:
            return None
        return {
            "k": measured.k,
            "liked_from": measured.relevant_from,
            "metrics": values_of(measured),
            "interval": lists_interval(measured),
            "baselines": list_baselines(self.data, ("popularity",)),
        }

    def _measured(self, predicted: np.ndarray, valid: RatingTable) -> RatingResult:
        """The errors of predictions; of users whom training does not know, each is still a person."""
        unknown = (valid.users == 0) | (valid.items == 0)
        return measure_ratings(predicted, valid.ratings, valid.users, is_unknown=unknown)

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about ratings; see `collab.ejecting`."""
        from drivetrain.collab.ejecting import eject_part

        return eject_part(self, learner, lifter, level)

    def model(self, learner: Learner) -> CollabModel:
        """The Learner's model, to ask; it sees what is trained later."""
        return model_of(
            learner.model,
            self.name,
            self.data,
            self.seen,
            num_threads=learner.num_threads,
            device=learner.device,
        )

    def predict(self, learner: Learner, source: Any) -> Any:
        """The rating of a pair, or of all pairs of a source; see `CollabModel.predict`."""
        return self.model(learner).predict(source)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Metrics on ratings from elsewhere; see `CollabModel.evaluate`."""
        return self.model(learner).evaluate(source)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Any:
        """A bundle of the Learner's model; see `collab.bundling`."""
        from drivetrain.collab.bundling import export_learner

        return export_learner(self, learner, folder, **options)


class CollabLearner(Learner):
    """A Learner of ratings."""

    def recommend(self, user: Any, k: int = 10, **options: Any) -> Any:
        """What a user may like; see `CollabModel.recommend`."""
        application: Any = self._need_application("recommend")
        return application.model(self).recommend(user, k, **options)


def interval_of(measured: RatingResult) -> list[float] | None:
    """(low, high) of the root mean squared error as JSON has it; None where there is too little."""
    found = [measured.rmse.low, measured.rmse.high]
    return found if all(map(math.isfinite, found)) else None
