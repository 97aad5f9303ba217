"""A fitted model of a table: the same `predict evaluate save` whatever is inside.

    model = dt.tabular.fit("adult.csv", "salary", "forest")
    model.predict({"age": 39, "education": "Bachelors", ...})
    model.evaluate("others.csv")
    model.save("runs/adult-forest")
    dt.tabular.load("runs/adult-forest").predict("new.parquet")

Loading executes nothing: tensors are safetensors, all else is JSON, and both are checked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from drivetrain import store
from drivetrain.data.frame import Frame
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError, DrivetrainError, RunError
from drivetrain.tabular import fitting, sealing
from drivetrain.tabular.answers import (
    ROWS,
    RowPrediction,
    RowPredictions,
    Written,
    answer_file,
)
from drivetrain.tabular.columns.kinds import parse_frame
from drivetrain.tabular.columns.parsing import Unread
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import Estimator, Prepared, unpack
from drivetrain.tabular.fitting import Fitted
from drivetrain.tabular.gathering import gather, gather_again
from drivetrain.tabular.measure import Measured, measure, prepared_metrics
from drivetrain.tabular.preprocess import Notes, Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.sealing import SealedRows
from drivetrain.tabular.streaming.batches import add_notes, rechunked, settled
from drivetrain.tabular.streaming.first import Report
from drivetrain.tabular.target import Target
from drivetrain.train import sealed
from drivetrain.train.run import (
    Run,
    check_form,
    read_model,
    said_as_damage,
    versions,
    write_model,
)
from drivetrain.train.sealed import Opened, TestResult, sealed_record


class Labelled(NamedTuple):
    """What was found where labelled rows were read."""

    source: str
    left_out: int
    """Rows without a target that the model knows."""
    notes: tuple[str, ...]


RECORD: Mapping[str, Any] = {
    "name": str,
    "kind": str,
    "record": dict,
    "reader": {"schema": (dict, list), "features": list, "dates": dict, "missing": list},
    "preprocess": {"categories": list, "numbers": list, "scale": str, "unseen": str},
    "target": {"names": list, "kind": str, "classes": list},
    "trained_on": str,
}
"""What `model.json` has to say; see `train.run.check_form`."""


class TabularModel:
    """A fitted model and all it needs to predict from rows as people have them.

    Args:
        name: of the model, such as `forest`.
        estimator: what predicts.
        reader: brings rows into the model's columns.
        preprocess: what was learnt of the columns.
        target: what is predicted.
        fitted: what fitting told, in the process that fitted it.
        data: what it was fitted on, in the process that fitted it.
        results: what it is worth on the validation rows, plain JSON.
        trained_on: SHA-256 of the source it was fitted on.
    """

    def __init__(
        self,
        name: str,
        estimator: Estimator,
        *,
        reader: Reader,
        preprocess: Preprocess,
        target: Target,
        fitted: Fitted | None = None,
        data: TabularData | None = None,
        results: Mapping[str, Any] | None = None,
        trained_on: str = "",
    ) -> None:
        self.name = name
        self.estimator = estimator
        self.reader = reader
        self.preprocess = preprocess
        self.target = target
        self.fitted = fitted
        self.data = data
        self.results = dict(results or {})
        self.trained_on = data.report.sha256 if data is not None else trained_on
        self.seconds = 0.0
        """Spent in fitting."""

    # --- predicting -------------------------------------------------------------------------------

    def predict(self, source: Any) -> RowPrediction | RowPredictions:
        """The answer for one row given as a dict; the answers for all rows of a source.

        Args:
            source: a dict of values by column; or a list of dicts, a file, or a data frame. It need not
                have the target, nor what the model does not use.

        Raises: DataError: a column that the model needs is missing, or a value cannot be read.
        """
        is_one = isinstance(source, Mapping) and not any(
            isinstance(value, list | tuple | np.ndarray) for value in source.values()
        )
        if is_one:
            return self._answers(self.reader.rows([source]), ())[0]
        frame, notes = self.reader.read(source)
        return self._answers(frame, notes)

    def predict_to(
        self, source: Any, path: store.StrPath, *, report: Report | None = None
    ) -> Written:
        """Answer all rows of a source and write them, batch by batch: neither has to fit into memory.

        Args:
            source: a file, or a data frame.
            path: ends in `.csv` or `.parquet`; the file is what `predict(source).write(path)` writes.
            report: is told how many rows are answered.

        Raises: as `predict`. ConfigError: another ending. StorageError: the disk refused.
        """
        opened = open_table(source, missing=self.reader.missing)
        self.reader.check(opened.names)
        features = self.reader.features
        schema = settled(opened, self.reader.schema, features)
        rows, unread, notes = 0, Unread(), Notes()
        opened = opened.only(features)
        with answer_file(path) as write:
            for ids, table in rechunked(opened.numbered_batches(), ROWS):
                frame, _ = parse_frame(table, schema, names=features, row_ids=ids, unread=unread)
                seen = Notes()
                prepared = Prepared(self.preprocess, self.reader.expand(frame), seen)
                outputs = self.target.shown(self.estimator.predict(prepared))
                write(RowPredictions(self.target, outputs, ids).columns())
                add_notes(notes, seen)
                rows += len(ids)
                if report is not None:
                    report("rows answered", rows, None)
        said = [*opened.report.notes, *unread.sentences(), *notes.sentences()]
        if opened.num_set_aside:
            rows_are = (
                "1 row was" if opened.num_set_aside == 1 else f"{opened.num_set_aside:,} rows were"
            )
            said.append(
                f"{rows_are} set aside and have no answer: {opened.report.quarantined[0].detail}"
            )
        return Written(str(path), rows, tuple(said))

    def predict_frame(self, frame: Frame) -> np.ndarray:
        """Numbers (N,) or (N, T) in the target's unit, or probabilities (N, C), of a prepared frame.

        Args:
            frame: has the model's columns, dates expanded, as `reader.read` gives it.
        """
        found = self.estimator.predict(Prepared(self.preprocess, frame))
        return self.target.shown(found)

    def spread(self, frame: Frame) -> np.ndarray | None:
        """(N,) standard deviation of the answers within the model, of a prepared frame.

        None where the model has one voice, or learnt a logarithm.
        """
        if self.target.is_log:
            return None
        return self.estimator.spread(Prepared(self.preprocess, frame))

    def evaluate(self, source: Any = None) -> dict[str, Any]:
        """Metrics with an interval on labelled rows: of a source, or by default the validation rows.

        Raises: DataError: the target is missing, or no row has a class that the model knows.
        """
        if source is None:
            if self.data is None:
                raise DataError("A model that was loaded has no validation rows. Give a source.")
            return self.measured("valid").to_json()
        frame, targets, said = self.labelled(source)
        seen = Notes()
        outputs = self.estimator.predict(Prepared(self.preprocess, frame, seen))
        found = measure(self.target, outputs, targets)
        return {
            "source": said.source,
            "model": self.name,
            "items": found.count,
            "left_out": said.left_out,
            **found.to_json(),
            "notes": [*said.notes, *seen.sentences()],
        }

    def labelled(self, source: Any) -> tuple[Frame, np.ndarray, Labelled]:
        """Rows of a source whose target the model knows: a prepared frame, targets, what was found.

        Raises: as `evaluate`.
        """
        opened = open_table(source, missing=self.reader.missing)
        table = opened.read()
        names = table.column_names
        gone = [name for name in self.target.names if name not in names]
        if gone:
            raise DataError(f"{opened.report.source} has no column '{gone[0]}', the target.")
        self.reader.check(names)
        wanted = [*self.reader.features, *self.target.names]
        frame, notes = parse_frame(table, self.reader.schema, names=wanted, row_ids=opened.row_ids)
        targets = self.target.values(frame)
        is_known = targets >= 0 if self.target.kind == "class" else ~np.isnan(targets)
        if is_known.ndim == 2:
            is_known = is_known.all(axis=1)
        if not is_known.any():
            raise DataError(
                f"{opened.report.source} has no row whose '{self.target.name}' the model knows."
            )
        if opened.report.sha256 == self.trained_on:
            notes.append(
                "This is what the model was trained on, its training rows among them: on new rows it "
                "will do worse."
            )
        left_out = int((~is_known).sum()) + len(opened.report.quarantined)
        used = self.reader.expand(frame.select(self.reader.features)).take(is_known)
        said = Labelled(opened.report.source, left_out, (*opened.report.notes, *notes))
        return used, targets[is_known], said

    def measured(self, part: str) -> Measured:
        """Metrics on a part of the data that it was fitted on."""
        assert self.data is not None, "the model was fitted in this process"
        frame, targets = self.data.part(part)
        return measure(self.target, self.estimator.predict(self.prepared(frame)), targets)

    def on_sealed(self, rows: SealedRows) -> Opened:
        """The sealed rows, measured; `test` and `Learner.test` count the look."""
        frame, targets, said = self.labelled(rows.table)
        outputs = self.estimator.predict(self.prepared(frame))
        found, preds, true = prepared_metrics(self.target, outputs, targets)
        return sealing.measured(found, preds, true, rows.table, said.left_out)

    def prepared(self, frame: Frame) -> Prepared:
        """A frame in the forms that estimators want."""
        return Prepared(self.preprocess, frame)

    def _answers(self, frame: Frame, notes: Sequence[str]) -> RowPredictions:
        seen = Notes()
        rows = Prepared(self.preprocess, frame, seen)
        outputs = self.target.shown(self.estimator.predict(rows))
        return RowPredictions(self.target, outputs, frame.ids, notes=(*notes, *seen.sentences()))

    # --- keeping ----------------------------------------------------------------------------------

    def model_record(self) -> dict[str, Any]:
        """What `model.json` says; plain JSON."""
        return self._packed()[1]

    def save(self, folder: store.StrPath) -> None:
        """Write a run folder: what was fitted and how, and the model that predicts.

        Raises: RunError: the folder holds something already. StorageError: the disk refused.
        """
        run = Run.create(folder)
        try:
            self.write(run)
        finally:
            run.release()

    def write(self, run: Run) -> None:
        """Write split, quarantine, model and record into a run."""
        if self.data is not None:
            write_data(run, self.data)
        tensors, described = self._packed()
        run.save_model(tensors, described)
        results = self.results | {"run": str(run.folder)}
        run.write(run_record(self.data, self.name, self.settings()) | {"results": results})

    def write_model(self, folder: store.StrPath) -> None:
        """Write a model folder: `model.safetensors` and `model.json`."""
        tensors, described = self._packed()
        write_model(folder, tensors, described)

    def settings(self) -> dict[str, Any]:
        """What it was fitted with."""
        return {} if self.fitted is None else dict(self.fitted.settings)

    def _packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, record = self.estimator.pack()
        return tensors, describe(
            self.name,
            self.estimator.kind,
            record,
            self.reader,
            self.preprocess,
            self.target,
            trained_on=self.trained_on,
        )

    def __repr__(self) -> str:
        return f"TabularModel({self.name}, {self.target.name})"


def describe(
    name: str,
    kind: str,
    record: Mapping[str, Any],
    reader: Reader,
    preprocess: Preprocess,
    target: Target,
    *,
    trained_on: str,
) -> dict[str, Any]:
    """What `model.json` says of a model of tables."""
    return {
        "application": "tabular",
        "name": name,
        "kind": kind,
        "record": dict(record),
        "reader": reader.to_json(),
        "preprocess": preprocess.to_json(),
        "target": target.to_json(),
        "classes": list(target.classes),
        "trained_on": trained_on,
    }


def fit(
    source: TabularData | Any,
    target: str | Sequence[str] | None = None,
    model: str = "forest",
    *,
    num_threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
    **data_options: Any,
) -> TabularModel:
    """Fit one model to a table.

    Args:
        source: a file, a data frame, or `TabularData`.
        target: the column to predict; not given with `TabularData`.
        model: a name of `fitting.FITTERS`; the net is trained by `learner`.
        num_threads: that a library may use; by default one a core.
        settings: of the model, such as `{"num_trees": 300}`.
        data_options: see `gather`.

    Returns: the fitted model.
    Raises: DataError, ConfigError, UnknownNameError: with what is wrong and what to do.
    """
    data = as_data(source, target, data_options)
    began = time.perf_counter()
    fitted = fitting.fit(model, data, num_threads=num_threads or cores(), **(settings or {}))
    found = TabularModel(
        model,
        fitted.estimator,
        reader=data.reader,
        preprocess=data.preprocess,
        target=data.target,
        fitted=fitted,
        data=data,
    )
    found.seconds = time.perf_counter() - began
    found.results = results_of(found)
    return found


def results_of(model: TabularModel) -> dict[str, Any]:
    """A model's worth on the validation rows, as the command line prints it with `--json`."""
    measured = model.measured("valid")
    assert model.data is not None, "measured on its data"
    return {
        "task": "tabular",
        "model": model.name,
        "metrics": {"valid": measured.metrics},
        "interval": None if measured.interval is None else list(measured.interval),
        "items": model.data.counts(),
        "seconds": round(model.seconds, 3),
        "weights_sha256": store.weights_sha256(model.estimator.pack()[0]),
    }


def load(folder: store.StrPath) -> TabularModel:
    """The model of a run folder or a model folder; nothing in the folder is executed.

    Raises: RunError: there is none, it is damaged, or it is not one of tables. BundleError: its tensors
        are not sound.
    """
    tensors, described = read_model(folder)
    path = Path(folder) / "model.json"
    if described.get("application") != "tabular":
        raise RunError(f"{folder} is not a model of tables.")
    return open_model(tensors, described, path)


def test(folder: store.StrPath, *, report: Report | None = None) -> TestResult:
    """Open the sealed rows of a run, and count the look; see `train.sealed`.

    Args:
        folder: of a finished run.
        report: is told how far reading is.

    Returns: metrics on the sealed items, the interval at this look, and how many looks there were.
    Raises: RunError: no run, or nothing was sealed. DataError: the table is gone or has changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """

    def sealed_rows(recipe: Mapping[str, Any]) -> SealedRows:
        rows = gather_again(recipe, report=report).sealed
        if rows is None:
            path = Path(folder) / "run.json"
            raise RunError(f"{path} says no longer which rows were sealed. Restore it.")
        return rows

    return sealed.test_run(
        folder,
        load=load,
        gather=sealed_rows,
        measure=TabularModel.on_sealed,
        weights=lambda model: model.estimator.pack()[0],
    )


def open_model(
    tensors: Mapping[str, Tensor], described: Mapping[str, Any], path: Path
) -> TabularModel:
    """The model that a record and its tensors describe; `path` is named in errors."""
    check_form(described, RECORD, path)
    with said_as_damage(path):
        try:
            reader = Reader.from_json(described["reader"])
            preprocess = Preprocess.from_json(described["preprocess"])
            target = Target.from_json(described["target"])
        except DrivetrainError as error:
            raise RunError(f"{path} cannot be used: {error}") from error
        estimator = unpack(described["kind"], tensors, described["record"], preprocess)
    return TabularModel(
        described["name"],
        estimator,
        reader=reader,
        preprocess=preprocess,
        target=target,
        trained_on=described["trained_on"],
    )


def as_data(
    source: TabularData | Any,
    target: str | Sequence[str] | None,
    options: Mapping[str, Any],
) -> TabularData:
    """The table, read if it is not yet.

    Raises: ConfigError: options or a target for a table that is made already, or no target.
    """
    import inspect

    from drivetrain._registry import did_you_mean
    from drivetrain.errors import ConfigError

    if isinstance(source, TabularData):
        if options or target is not None:
            names = ", ".join([*options, *(["target"] if target is not None else [])])
            raise ConfigError(
                f"{names}: the table is read already. Give it to `tabular.from_csv` or `from_frame`."
            )
        return source
    if target is None:
        raise ConfigError("Which column is to be predicted? Give `target='COLUMN'`.")
    known = inspect.signature(gather).parameters
    for name in options:
        if name not in known:
            raise ConfigError(
                f"There is no option '{name}'.{did_you_mean(name, known)} "
                "`help(drivetrain.tabular.gather)` lists those of the data."
            )
    return gather(source, target, **options)


def write_data(run: Run, data: TabularData) -> None:
    """Write `split.json` and `quarantine.jsonl`."""
    run.write_split(data.split_record() | {"sha256": {}})
    run.write_quarantine(entry.to_json() for entry in data.quarantined)


def run_record(data: TabularData | None, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of a model that no Learner trained."""
    record: dict[str, Any] = {
        "task": {"application": "tabular"},
        "model": {"name": model},
        "settings": dict(settings),
        "versions": versions(),
    }
    if data is not None:
        record |= {
            "task": data.task.to_json(),
            "data": data.recipe,
            "fingerprint": data.fingerprint(),
            "seed": data.seed,
            "choices": data.choices.to_json(),
            "items": data.counts(),
            "notes": data.notes,
            **sealed_record(data.seal),
        }
    return record


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
