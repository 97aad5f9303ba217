"""From a model of tables to its bundle: calculate the golden answers, fit the guard, write, prove."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.bundle import golden as goldens, manifest as manifests, onnx as onnx_files, write
from drivetrain.bundle.golden import Golden, GoldenItem
from drivetrain.bundle.manifest import Manifest, OnnxRecord
from drivetrain.bundle.verify import Verified
from drivetrain.errors import ConfigError, DataError, MissingPackageError, RunError
from drivetrain.models.device import threads
from drivetrain.tabular import bundle, models
from drivetrain.tabular.bundling.cards import card_of
from drivetrain.tabular.bundling.guard import Seen, TableGuard, fit_table_guard
from drivetrain.tabular.bundling.predictor import TablePredictor
from drivetrain.tabular.columns.schema import Schema
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import Estimator, NetEstimator, unpack
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.measure import measure
from drivetrain.tabular.models import TabularModel, results_of, run_record
from drivetrain.tabular.preprocess import Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.streaming.first import Report
from drivetrain.tabular.target import Target
from drivetrain.train.run import Run, check_form, said_as_damage, versions

GOLDEN = 8
TOLERANCE = 1e-4
"""Of golden outputs on another machine, which may add in another order; on the same one it is 0."""
COVERAGE, FALSE_ALARM = 0.9, 0.05
REASON = "as in the table that it was trained on"
"""Stands for the reason of a column's kind, which names cells."""
BASELINE = "majority"


@dataclass(frozen=True)
class Trained:
    """What a bundle is made of."""

    name: str
    """Of the model, such as `forest`."""
    estimator: Estimator
    reader: Reader
    preprocess: Preprocess
    target: Target
    record: Mapping[str, Any]
    """As `run.json` has it, with `results`."""
    data: TabularData | None
    """The rows; None where they are not needed: no golden examples and no guard."""
    trained_on: str
    """SHA-256 of the source."""


def export(
    run: store.StrPath | TabularModel,
    folder: store.StrPath,
    *,
    report: Report | None = None,
    **options: Any,
) -> Verified:
    """Write a finished run, or a model, as a bundle: a folder that predicts, and proves itself.

    Args:
        run: the run's folder; of a leaderboard its best model is taken. Or a fitted model.
        folder: where to; a bundle that is there is replaced, anything else is not.
        report: is told how far reading the table is.
        options: `golden`, `guard`, `coverage`, `false_alarm`, `onnx`, `script`; see `write_bundle`.

    Returns: what verifying the bundle found.
    Raises: RunError: no run there, or it is not finished; or its table is needed, for golden examples or
        the guard, and is not the one it began with. DataError: that is gone. ConfigError, BundleError,
        StorageError: as `write_bundle`.
    """
    if isinstance(run, TabularModel):
        return export_model(run, folder, **options)
    check_options(folder, options.get("golden", GOLDEN))
    opened = Run.open(run)
    record, path = opened.read_finished(), opened.folder / "run.json"
    model = models.load(run)
    bundle.check_model(model.reader, model.preprocess, model.target, model.estimator)
    check_form(record, {"results": {"metrics": {"valid": dict}}, "task": dict}, path)
    data = None
    if options.get("golden", GOLDEN) or options.get("guard", True):
        try:
            data = _data(record, path, report)
        except (DataError, RunError) as error:
            error.add_note("Without its table it is exported by: --golden 0 --no-guard.")
            raise
    if data is not None and not record["results"].get("baselines"):
        record["results"]["baselines"] = _baselines(data)
    return write_bundle(_trained(model, record, data), folder, **options)


def export_model(model: TabularModel, folder: store.StrPath, **options: Any) -> Verified:
    """Write a model that this process fitted as a bundle; see `write_bundle` for the options.

    Raises: DataError: the model was loaded, so its rows are not here. And as `write_bundle`.
    """
    check_options(folder, options.get("golden", GOLDEN))
    needs_data = bool(options.get("golden", GOLDEN) or options.get("guard", True))
    if model.data is None and needs_data:
        raise DataError(
            "A model that was loaded has no rows for golden examples and for a guard. Export its run: "
            "`tabular.export(RUN, FOLDER)`, or leave both out: `golden=0, guard=False`."
        )
    results = dict(model.results)
    if model.data is not None:
        results = results or results_of(model)
        results.setdefault("baselines", _baselines(model.data))
    record = run_record(model.data, model.name, model.settings()) | {"results": results}
    return write_bundle(_trained(model, record, model.data), folder, **options)


def write_bundle(
    trained: Trained,
    folder: store.StrPath,
    *,
    golden: int = GOLDEN,
    guard: bool = True,
    coverage: float = COVERAGE,
    false_alarm: float = FALSE_ALARM,
    onnx: bool = False,
    script: bool = True,
) -> Verified:
    """Write a bundle: a folder that predicts, and that has proved itself before it gets its name.

    Args:
        folder: where to; a bundle that is there is replaced, anything else is not.
        golden: so many validation rows travel with it, 0 to 1000, to prove its answers by.
        guard: fit what says how sure an answer is, and whether a row is of a kind the model knows.
        coverage: share of rows whose truth is to lie in the guard's set of labels, or interval.
        false_alarm: share of ordinary rows that it may take for strange ones.
        onnx: write `model.onnx` too; only nets have that form.
        script: write `predict.py` too, which predicts without Drivetrain; where ruff, which lays it out,
            is not installed, a warning says that it is left out.

    Returns: what verifying it found.
    Raises: ConfigError: an argument is out of range, or something else lies in the place of the bundle.
        BundleError: it does not prove itself. StorageError: the disk refused.
    """
    check_options(folder, golden)
    if onnx and not isinstance(trained.estimator, NetEstimator):
        raise ConfigError(
            f"`{trained.name}` is a model of kind {trained.estimator.kind}, and only nets have an ONNX "
            "form. Export without --onnx."
        )
    contents = _contents(
        trained,
        title=Path(folder).name,
        num_golden=golden,
        guard={"coverage": coverage, "false_alarm": false_alarm} if guard else None,
        with_onnx=onnx,
        with_script=script,
    )
    return write.write(folder, contents, prove=bundle.verify)


def check_options(folder: store.StrPath, golden: int) -> None:
    """What can be refused before anything is opened.

    Raises: ConfigError.
    """
    if not 0 <= golden <= manifests.MOST_GOLDEN:
        raise ConfigError(f"`golden` must be 0 to {manifests.MOST_GOLDEN}. Got {golden}.")
    write.check_place(folder)


def _trained(model: TabularModel, record: Mapping[str, Any], data: TabularData | None) -> Trained:
    columns = tuple(replace(column, reason=REASON) for column in model.reader.schema.columns)
    reader = replace(model.reader, schema=Schema(columns))
    parts = (reader, model.preprocess, model.target, record, data, model.trained_on)
    return Trained(model.name, model.estimator, *parts)


def _data(record: Mapping[str, Any], path: Path, report: Report | None) -> TabularData:
    """The table that a run was trained on.

    Raises: RunError: it is another one by now. DataError: it is gone.
    """
    check_form(record, {"data": dict, "fingerprint": str}, path)
    with said_as_damage(path):
        data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The table {data.source} is not the one that {path.parent} began with. Put it back, or "
            "train anew."
        )
    return data


def _baselines(data: TabularData) -> dict[str, Any]:
    """What guessing gives: the training rows' shares of the classes, or their mean."""
    _, known = data.part("train")
    _, targets = data.part("valid")
    if data.target.kind == "class":
        shares = np.bincount(known, minlength=len(data.classes)) / len(known)
        found = measure(data.target, np.tile(shares, (len(targets), 1)), targets)
    else:
        found = measure(data.target, np.broadcast_to(known.mean(axis=0), targets.shape), targets)
    interval = None if found.interval is None else list(found.interval)
    return {BASELINE: {found.primary: found.value, "interval": interval}}


def _contents(
    trained: Trained,
    *,
    title: str,
    num_golden: int,
    guard: dict[str, float] | None,
    with_onnx: bool,
    with_script: bool,
) -> write.Contents:
    architecture, tensors = bundle.architecture(trained.name, trained.estimator)
    described = json.loads(store.to_json(architecture))
    predictor = _predictor(trained, described, tensors)
    if guard is not None:
        predictor.guard = _fitted(trained, predictor, guard)
    golden, files = _golden(predictor, trained.data if num_golden else None, num_golden)
    onnx_bytes, onnx_record = _onnx(predictor) if with_onnx else (None, None)
    inputs, outputs = bundle.ports(predictor.estimator, trained.preprocess, trained.target)
    manifest = Manifest(
        application="tabular",
        architecture=described,
        preprocessing={
            "reader": trained.reader.to_json(),
            "preprocess": trained.preprocess.to_json(),
            "target": trained.target.to_json(),
        },
        classes=trained.target.classes,
        inputs=inputs,
        outputs=outputs,
        num_threads=predictor.num_threads,
        tolerance=TOLERANCE,
        training=_told(trained),
        versions=_versions(),
        onnx=onnx_record,
    )
    source = _script(predictor, manifest) if with_script else None
    card, config = card_of(
        manifest,
        trained.record,
        predictor,
        title=title,
        golden=golden,
        has_predictor=source is not None,
    )
    return write.Contents(
        manifest,
        tensors,
        config,
        card,
        golden,
        golden_inputs=files,
        guard=predictor.guard,
        predictor=source,
        onnx=onnx_bytes,
    )


def _script(predictor: TablePredictor, manifest: Manifest) -> str | None:
    """`predict.py`; None, and a warning, where it cannot be laid out."""
    from drivetrain.tabular.ejecting.predictor import predictor_source

    try:
        return predictor_source(predictor, manifest)
    except MissingPackageError as error:
        warnings.warn(f"The bundle gets no {manifests.PREDICTOR}: {error}", stacklevel=5)
        return None


def _predictor(
    trained: Trained, architecture: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> TablePredictor:
    """The model as the bundle is going to have it: built anew of its tensors and its record."""
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    made = unpack(architecture["kind"], copies, architecture["record"], trained.preprocess)
    count = 1
    if isinstance(trained.estimator, NetEstimator) and isinstance(made, NetEstimator):
        count = made.num_threads = trained.estimator.num_threads
    return TablePredictor(
        trained.name,
        made,
        reader=trained.reader,
        preprocess=trained.preprocess,
        target=trained.target,
        num_threads=count,
    )


def _fitted(trained: Trained, predictor: TablePredictor, options: dict[str, float]) -> TableGuard:
    data = trained.data
    assert data is not None, "read, since the guard needs it"
    valid, targets = data.part("valid")
    with threads(predictor.num_threads):
        return fit_table_guard(
            predictor.estimator,
            Seen(trained.preprocess, trained.reader.dates),
            trained.target,
            train=data.part("train")[0],
            valid=valid,
            targets=targets,
            seed=data.seed,
            **options,
        )


def _golden(
    predictor: TablePredictor, data: TabularData | None, count: int
) -> tuple[Golden, dict[str, bytes]]:
    """The examples, and the file that they stand in."""
    reader, target = predictor.reader, predictor.target
    made_up = bundle.made_up_frame(reader, predictor.preprocess)
    expected = bundle.outputs(predictor, made_up, bundle.PATTERN)
    if data is None:
        return Golden((), expected), {}
    frame, targets = data.part("valid")
    chosen = _chosen(target, targets, count)
    rows = [bundle.golden_row(frame, row, reader) for row in chosen]
    found = bundle.outputs(predictor, reader.rows(bundle.golden_cells(rows, reader, bundle.ROWS)))
    if target.kind == "class":
        said = goldens.predicted(found["outputs"], target.classes)
        items = [
            GoldenItem(bundle.ROWS, target.classes[true], label)
            for true, label in zip(targets[chosen].tolist(), said, strict=True)
        ]
    else:
        numbers = target.shown(targets[chosen]).reshape(len(chosen), -1).tolist()
        items = [GoldenItem(bundle.ROWS, value=tuple(one)) for one in numbers]
    return Golden(tuple(items), expected | found), {bundle.ROWS: store.json_bytes({"rows": rows})}


def _chosen(target: Target, targets: np.ndarray, count: int) -> list[int]:
    """Positions of at most `count` rows: some of each class, or from the lowest number to the highest."""
    if target.kind == "class":
        return goldens.chosen(targets.tolist(), count)
    order = np.argsort(targets.reshape(len(targets), -1)[:, 0], kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return order[np.unique(places)].tolist()


def _onnx(predictor: TablePredictor) -> tuple[bytes, OnnxRecord]:
    """The net as ONNX, tried against torch on the made-up rows.

    Raises: ConfigError: torch cannot write it, or its answers are others.
    """
    estimator, preprocess = predictor.estimator, predictor.preprocess
    assert isinstance(estimator, NetEstimator), "looked at before"
    network = bundle.NetScores(estimator, preprocess).eval()
    frame = bundle.made_up_frame(predictor.reader, preprocess)
    codes, numbers = (torch.from_numpy(part) for part in preprocess.net_inputs(frame))
    inputs = bundle.net_inputs(preprocess)
    given = tuple(codes if port.name == "codes" else numbers for port in inputs)
    outputs = (bundle.net_output(predictor.target),)
    return onnx_files.export_tried(
        network, given, inputs, outputs, num_threads=predictor.num_threads
    )


def _told(trained: Trained) -> dict[str, Any]:
    """What `bundle.json` says of the training: no path of the machine it was done on."""
    record = trained.record
    task, results = record["task"], record["results"]
    source = task.get("source")
    return {
        "data": Path(source).name if isinstance(source, str) else "a data frame",
        "labelled_by": task.get("labelled_by", ""),
        "split_by": task.get("split_by", ""),
        "items": record.get("items", {}),
        "results": {
            name: results[name] for name in ("metrics", "interval", "baselines") if name in results
        },
        "seed": record.get("seed"),
        "settings": _settings(trained),
        "weights_sha256": results.get("weights_sha256"),
        "fingerprint": record.get("fingerprint"),
        "source_sha256": trained.trained_on,
    }


def _settings(trained: Trained) -> Any:
    """What the model was fitted with; of a leaderboard's run, this one of its models alone."""
    settings = trained.record.get("settings", {})
    models = settings.get("models") if isinstance(settings, dict) else None
    return models.get(trained.name, {}) if isinstance(models, dict) else settings


def _versions() -> dict[str, str]:
    """Versions that an answer can depend on, of this machine, where the golden outputs are calculated."""
    try:
        return versions() | {"pyarrow": metadata.version("pyarrow")}
    except metadata.PackageNotFoundError:
        return versions()
