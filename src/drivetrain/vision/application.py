"""What a Learner of pictures knows beyond tensors: its data, its record, its result beside baselines."""

from __future__ import annotations

from typing import Any

from drivetrain import store
from drivetrain.bundle.manifest import TargetOf
from drivetrain.bundle.verify import Verified
from drivetrain.data.loaders import Loaders
from drivetrain.models import BuiltModel
from drivetrain.train.application import DataApplication
from drivetrain.train.keeping import record_of
from drivetrain.train.learner import Learner
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run
from drivetrain.train.sealed import Opened, Seal
from drivetrain.vision import exporting
from drivetrain.vision.augment import AugmentSettings
from drivetrain.vision.baselines import accuracy_record, majority_class, nearest_mean_image
from drivetrain.vision.data import VisionData
from drivetrain.vision.predictor import Predictor
from drivetrain.vision.sealing import opened
from drivetrain.vision.target_answers import predictor_of
from drivetrain.vision.target_results import results_of


class VisionApplication(DataApplication[VisionData]):
    """What a Learner of pictures knows beyond tensors. Made by `learner`.

    Args:
        data: the pictures.
        built: the model and where it comes from.
        settings: what `learner` was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr", …}`.
        whole: the pictures before a share of them was taken for training; by default `data`.
    """

    def __init__(
        self,
        data: VisionData,
        built: BuiltModel,
        settings: dict[str, Any],
        plan: dict[str, Any],
        *,
        whole: VisionData | None = None,
    ) -> None:
        super().__init__(data, settings, plan)
        self.whole = data if whole is None else whole
        self.built = built
        self._predictor: Predictor | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; of several targets none, each has its own."""
        return self.data.classes if self.data.targets is None else ()

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        return self.recorded(self.built.description | {"pretrained": self.built.is_pretrained})

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return self.data.seal

    def open_sealed(self, learner: Learner) -> Opened:
        """The sealed pictures, measured. `Learner.test` counts the look."""
        return opened(self.predictor(learner), self.data)

    def loaders(self) -> Loaders:
        """The loaders of the pictures, as the settings say."""
        return self.data.loaders(
            mean=self.built.info.mean,
            std=self.built.info.std,
            batch_size=self.settings["batch_size"],
            augment=AugmentSettings.from_json(self.settings["augment"]),
        )

    def begin_run(self, run: Run) -> None:
        """Write `split.json` and `quarantine.jsonl`."""
        split = self.data.split.to_json([item.id for item in self.data.items])
        run.write_split(split | {"sha256": self.data.hashes})
        run.write_quarantine(entry.to_json() for entry in self.data.quarantined)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to predict."""
        return {
            "application": "vision",
            "model": self.built.description,
            "classes": list(self.classes),
            **self._targets_record(),
            "preprocessing": {
                "size": list(self.data.size),
                "resize": self.data.resize,
                "mean": list(self.built.info.mean),
                "std": list(self.built.info.std),
            },
            "num_threads": self.settings["num_threads"],
        }

    def _targets_record(self) -> dict[str, Any]:
        """Names, classes and weights of several targets; nothing of one."""
        if self.data.targets is None:
            return {}
        weights = self.settings["target_weights"]
        said = [one | {"weight": weights[one["name"]]} for one in self.data.targets.to_json()]
        return {"targets": said}

    def results(self, learner: Learner) -> dict[str, Any]:
        """Accuracy with its interval, beside the baselines, on the validation pictures."""
        found = self.evaluate_once(learner)
        if self.data.targets is not None:
            return {
                "task": "vision",
                "model": self.built.description["name"],
                "metrics": {"valid": {"loss": found.loss, **found.metrics}},
                "targets": results_of(self.data, found),
                "items": self.data.counts(),
            }
        correct = round(found.metrics["accuracy"] * found.count)
        train, valid = self.data.pictures("train"), self.data.pictures("valid")
        count = len(self.classes)
        majority = majority_class(train, valid, count)
        return {
            "task": "vision",
            "model": self.built.description["name"],
            "metrics": {"valid": {"loss": found.loss, **found.metrics}},
            "interval": accuracy_record(correct, found.count)["interval"],
            "baselines": {
                "majority_class": majority | {"class": self.classes[majority["class"]]},
                "nearest_mean_image": nearest_mean_image(train, valid, count),
            },
            "items": self.data.counts(),
        }

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about pictures; see `vision.ejecting`."""
        from drivetrain.vision.ejecting.part import eject_part

        return eject_part(self, learner, lifter, level)

    def predictor(self, learner: Learner) -> Predictor:
        """The Learner's model as a `Predictor`, which sees what is trained later."""
        if self._predictor is None or self._predictor.model is not learner.model:
            told = self._targets_record().get("targets", ())
            self._predictor = predictor_of(
                learner.model,
                self.classes,
                [TargetOf(one["name"], tuple(one["classes"]), one["weight"]) for one in told],
                size=self.data.size,
                resize=self.data.resize,
                mean=self.built.info.mean,
                std=self.built.info.std,
                device=learner.device,
            )
        self._predictor.num_threads = learner.num_threads
        return self._predictor

    def split_predictions(self, found: Predictions) -> Predictions:
        """The record with one of each target, where there are several."""
        return found if self.data.targets is None else self.data.targets.split(found)

    def predict(self, learner: Learner, source: Any) -> Any:
        """The answer for one picture, a path or the bytes of a file.

        Returns: a `Prediction`; of several targets `TargetAnswers`.
        """
        return self.predictor(learner).predict(source)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Verified:
        """A bundle of the Learner's model; see `vision.export`."""
        record = record_of(learner) | {"results": learner.result()}
        weights = learner.model.state_dict()
        trained = exporting.Trained(record, self.model_record(), weights, self.data)
        return exporting.export(trained, folder, **options)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Metrics on labelled pictures from elsewhere; see `Predictor.evaluate`."""
        hashes = self.data.hashes
        known = {
            self.data.items[i].id: hashes[self.data.items[i].id] for i in self.data.split.train
        }
        return self.predictor(learner).evaluate(source, known=known)
