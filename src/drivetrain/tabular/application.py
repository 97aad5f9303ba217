"""What a Learner of tables knows beyond tensors: its table, its record, its result beside baselines."""

from __future__ import annotations

from typing import Any

from drivetrain import store
from drivetrain.data.loaders import Loaders
from drivetrain.tabular import models
from drivetrain.tabular.answers import RowPrediction, RowPredictions
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import NetEstimator, Prepared
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.measure import measure
from drivetrain.tabular.models import TabularModel, describe, write_data
from drivetrain.train.application import DataApplication
from drivetrain.train.learner import Learner
from drivetrain.train.run import Run
from drivetrain.train.sealed import Opened, Seal

BASELINES = ("majority", "one_r", "tree", "forest")
"""Simple models that stand beside every result."""


class TabularApplication(DataApplication[TabularData]):
    """What a Learner of tables knows beyond tensors. Made by `learner`.

    Args:
        data: the table.
        description: of the net; see `models.tabular.create_tabular_net`.
        settings: what `learner` was told or chose, so that the same Learner can be made again.
        plan: how `train` trains: `{"method", "epochs", "lr"}`.
    """

    passes = 2  # the loss, and the metrics in the target's own unit

    def __init__(
        self,
        data: TabularData,
        description: dict[str, Any],
        settings: dict[str, Any],
        plan: dict[str, Any],
    ) -> None:
        super().__init__(data, settings, plan)
        self.description = description

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return self.data.classes

    def record(self) -> dict[str, Any]:
        """The part of `run.json` from which data, model and Learner can be built again."""
        return self.recorded({"name": "net", **self.description}, notes=self.data.notes)

    def loaders(self) -> Loaders:
        """The loaders of the rows, as the settings say."""
        return self.data.loaders(batch_size=self.settings["batch_size"])

    def begin_run(self, run: Run) -> None:
        """Write `split.json` and `quarantine.jsonl`."""
        write_data(run, self.data)

    def model_record(self) -> dict[str, Any]:
        """What `model/model.json` needs to predict."""
        record = {"net": self.description, "is_class": self.data.target.kind == "class"}
        data = self.data
        return describe(
            "net",
            "net",
            record,
            data.reader,
            data.preprocess,
            data.target,
            trained_on=data.report.sha256,
        )

    def results(self, learner: Learner) -> dict[str, Any]:
        """The result with its interval, beside the baselines, on the validation rows."""
        found = learner.evaluate()
        target = self.data.target
        frame, targets = self.data.part("valid")
        measured = measure(
            target,
            self.model(learner).estimator.predict(Prepared(self.data.preprocess, frame)),
            targets,
        )
        return {
            "task": "tabular",
            "model": "net",
            "metrics": {"valid": {"loss": found.loss, **found.metrics, **measured.metrics}},
            "interval": None if measured.interval is None else list(measured.interval),
            "baselines": self.baselines(),
            "items": self.data.counts(),
        }

    def find_baselines(self) -> dict[str, Any]:
        """The commonest answer, one rule, and small models of trees."""
        many, made = len(self.data.target.names) > 1, {}
        for name in BASELINES:
            if many and not FITTERS[name].many_targets:
                continue
            found = models.fit(self.data, model=name, num_threads=self.settings["num_threads"])
            measured = found.measured("valid")
            interval = None if measured.interval is None else list(measured.interval)
            made[name] = {measured.primary: measured.value, "interval": interval}
        return made

    def seal(self) -> Seal | None:
        """What was sealed for a test; see `train.sealed`."""
        return self.data.seal

    def open_sealed(self, learner: Learner) -> Opened:
        """The sealed rows, measured. `Learner.test` counts the look."""
        assert self.data.sealed is not None, "`seal` was asked first"
        return self.model(learner).on_sealed(self.data.sealed)

    def eject_part(self, learner: Learner, lifter: Any, level: str) -> Any:
        """The part of an ejected script that is about tables; see `tabular.ejecting.net`."""
        from drivetrain.tabular.ejecting.net import eject_part

        return eject_part(self, learner, lifter, level)

    def model(self, learner: Learner) -> TabularModel:
        """The Learner's net as a model like all others; it sees what is trained later."""
        data = self.data
        is_class = data.target.kind == "class"
        net: Any = learner.model
        return TabularModel(
            "net",
            NetEstimator(net, self.description, is_class, learner.num_threads or 1),
            reader=data.reader,
            preprocess=data.preprocess,
            target=data.target,
            data=data,
        )

    def predict(self, learner: Learner, source: Any) -> RowPrediction | RowPredictions:
        """The answer for a row, or for all rows of a source; see `TabularModel.predict`."""
        return self.model(learner).predict(source)

    def export(self, learner: Learner, folder: store.StrPath, **options: Any) -> Any:
        """A bundle of the Learner's net; see `tabular.export`."""
        from drivetrain.tabular.bundling.exporting import export_model

        return export_model(self.model(learner), folder, **options)

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        """Metrics on labelled rows from elsewhere; see `TabularModel.evaluate`."""
        return self.model(learner).evaluate(source)
