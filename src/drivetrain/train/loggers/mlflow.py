"""A log in MLflow: one MLflow run a training, in a local folder or on a server.

MLflow cannot take back what was logged. A training that goes on after a kill makes the same numbers once
more, to the last bit, so those that the MLflow run has already are left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain._optional import require
from drivetrain.store import StrPath
from drivetrain.train.loggers.base import Kind, RunStart, Status

AT_ONCE = 1000
"""Numbers that MLflow takes in one call."""

_STATUS: dict[Status, str] = {
    "done": "FINISHED",
    "cancelled": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
}


class MLflowLogger:
    """Logs numbers as MLflow metrics and settings as parameters. The run's id is kept in checkpoints.

    Args:
        experiment: its name; made where there is none.
        tracking_uri: a folder, or the address of a server (`http://…`, `sqlite:///…` with all of
            MLflow). MLflow reports its own use to its makers unless `MLFLOW_DISABLE_TELEMETRY` says
            no; where nothing is set, this logger says no.
    Raises: MissingPackageError: MLflow is not installed.
    """

    def __init__(self, experiment: str, tracking_uri: StrPath = "mlruns") -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # training asks no one's server
        require("mlflow", extra="log")
        self.experiment = experiment
        uri = os.fspath(tracking_uri)
        if "://" not in uri:
            uri = Path(uri).absolute().as_uri()
        self.tracking_uri = uri
        if uri.startswith("file:"):  # MLflow 3 wants to be asked twice for a plain folder
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self.run_id = ""
        """MLflow's id of the run; empty before `start`."""
        self._client: Any = None
        self._new: list[Any] = []
        self._has: dict[str, int] = {}

    def start(self, run: RunStart) -> None:
        """Make the MLflow run, or open again the one that the checkpoint names."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._new, self._has = [], {}
        self._client = MlflowClient(tracking_uri=self.tracking_uri)
        if run.continues and self.run_id:
            self._client.update_run(self.run_id, status="RUNNING")
            known = self._client.get_run(self.run_id).data.metrics
            for name in known:
                history = self._client.get_metric_history(self.run_id, name)
                self._has[name] = max(metric.step for metric in history)
            return
        found = self._client.get_experiment_by_name(self.experiment)
        number = found.experiment_id if found else self._client.create_experiment(self.experiment)
        self.run_id = self._client.create_run(number, run_name=run.name).info.run_id
        params = [Param(name, str(value)) for name, value in run.settings.items()]
        self._client.log_batch(self.run_id, params=params)

    def log(self, step: int, values: Mapping[str, float], kind: Kind) -> None:
        """Note the numbers; `flush` sends them."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for name, value in values.items():
            if step > self._has.get(name, -1):
                self._new.append(Metric(name, float(value), now, step))

    def flush(self) -> None:
        """Send what was noted."""
        while self._new:
            self._client.log_batch(self.run_id, metrics=self._new[:AT_ONCE])
            del self._new[:AT_ONCE]

    def finish(self, status: Status) -> None:
        """Send what is left and close the MLflow run; a later fit opens it again."""
        self.flush()
        self._client.set_terminated(self.run_id, _STATUS[status])

    def state_dict(self) -> dict[str, Any]:
        """The id of the MLflow run."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on in the MLflow run of that id."""
        self.run_id = state["run_id"]
