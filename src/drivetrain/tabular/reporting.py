"""What a run of a table gives to its report, whatever model predicts: a net, trees, an average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import RunError
from drivetrain.interpret.head_inputs import head_inputs
from drivetrain.interpret.map_items import MapItems
from drivetrain.interpret.text import number
from drivetrain.models.summary import Summary, summarize
from drivetrain.report.evidence import Evidence, Shown
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import AverageEstimator, NetEstimator, TreeEstimator
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.mapping import mapped, net_of
from drivetrain.tabular.measure import TINY
from drivetrain.tabular.models import TabularModel, load
from drivetrain.tabular.streaming.first import Report
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run, check_form, said_as_damage

SAMPLES = 6
MOST_FACTS = 60
"""Columns that are looked at for slices."""


def evidence(folder: store.StrPath, *, report: Report | None = None) -> Evidence:
    """What the report of a run of a table is made of.

    Raises: RunError: no finished run of a table there, or its table is not the one it began with.
        DataError: it is gone.
    """
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"data": dict, "fingerprint": str}, path)
    model = load(folder)
    with said_as_damage(path):
        data = gather_again(record["data"], report=report)
    if data.fingerprint() != record["fingerprint"]:
        raise RunError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or train "
            "anew."
        )
    frame, targets = data.part("valid")
    is_class = data.target.kind == "class"
    counts = {}
    numbers = None
    own = data.target.shown(data.part("train")[1]) if not is_class else None
    if is_class:
        for part in ("train", "valid"):
            found = np.bincount(data.part(part)[1], minlength=len(data.classes))
            counts[part] = found.tolist()
    elif own is not None and own.ndim == 1:
        numbers = own
    found, items = _with_map(model, data, frame)
    return Evidence(
        noun="rows",
        classes=data.classes,
        counts=counts,
        numbers=numbers,
        target=data.target.name,
        samples=shown(*_first(data), _labels(data, data.part("train")[1][:SAMPLES])),
        predictions=found,
        show=_Show(frame, _labels(data, targets)),
        facts=facts(frame),
        layers=_layers(model, data),
        map=items,
        facts_of_model=_about(model),
    )


def _with_map(
    model: TabularModel, data: TabularData, frame: Frame
) -> tuple[Predictions, MapItems | None]:
    """The record of the validation rows, and their vectors where a net predicts."""
    net = net_of(model)
    if net is None:
        return predictions(model, data), None
    with head_inputs(net.net) as caught:
        found = predictions(model, data)
    rows = shown(frame, [""] * len(frame))
    return found, mapped(caught, found, rows, data.target.name)


def predictions(model: TabularModel, data: TabularData, part: str = "valid") -> Predictions:
    """The record of the rows of a part, whatever the model is.

    Of classes the outputs are logarithms of probabilities, and losses the log loss; numbers are in the
    target's own unit, and their losses are squared distances.
    """
    frame, targets = data.part(part)
    found = np.ascontiguousarray(model.predict_frame(frame))
    ids = data.ids[:]
    names = [ids[row] for row in data.rows[part].tolist()]
    if data.target.kind == "class":
        outputs = torch.from_numpy(np.log(np.maximum(found, TINY)))
        true = torch.from_numpy(targets)
        losses = -outputs.gather(1, true[:, None])[:, 0]
        return Predictions(names, true, outputs, losses, data.classes)
    true = torch.from_numpy(np.ascontiguousarray(data.target.shown(targets)))
    outputs = torch.from_numpy(found).reshape(true.shape)
    losses = (outputs - true).square()
    return Predictions(names, true, outputs, losses if losses.ndim == 1 else losses.mean(dim=1))


class _Show:
    """Rows by their positions among the validation rows."""

    def __init__(self, frame: Frame, labels: Sequence[str]) -> None:
        self.frame = frame
        self.labels = labels

    def __call__(self, positions: Sequence[int]) -> list[Shown]:
        rows = np.array(positions, dtype=np.int64)
        return shown(self.frame.take(rows), [self.labels[place] for place in positions])


def shown(frame: Frame, labels: Sequence[str]) -> list[Shown]:
    """The rows of a frame with their values by column; the parts of a date as one."""
    columns = {name: _texts(values) for name, values in whole(frame).items()}
    return [
        Shown(
            f"row {int(frame.ids[row]) + 1}",
            labels[row],
            cells=tuple((name, texts[row]) for name, texts in columns.items()),
        )
        for row in range(len(frame))
    ]


def facts(frame: Frame) -> dict[str, Values]:
    """The columns as they are cut into slices: parts of a date beside the date, without its flags."""
    found = whole(frame)
    for date in _dates(frame):
        for part in ("month", "day_of_week"):
            if f"{date}.{part}" in frame.names:
                found[f"{date}.{part}"] = frame[f"{date}.{part}"]
    return dict(list(found.items())[:MOST_FACTS])


def whole(frame: Frame) -> dict[str, Values]:
    """Columns as people have them: of a date that was taken apart, the date."""
    dates = _dates(frame)
    found: dict[str, Values] = {}
    for name in frame.names:
        date = name.rpartition(".")[0]
        if date in dates:
            if date not in found:
                seconds = np.asarray(frame[f"{date}.elapsed"], dtype=np.float64)
                known = np.nan_to_num(seconds).astype(np.int64).astype("datetime64[s]")
                known[np.isnan(seconds)] = np.datetime64("NaT")
                found[date] = known
        else:
            found[name] = frame[name]
    return found


def _dates(frame: Frame) -> set[str]:
    """Names of the dates that were taken apart."""
    names = set(frame.names)
    found = {n.removesuffix(".elapsed") for n in names if n.endswith(".elapsed")}
    return {name for name in found if {f"{name}.year", f"{name}.day_of_week"} <= names}


def _texts(values: Any) -> list[str]:
    if isinstance(values, Factor):
        return ["missing" if word is None else word for word in values.values()]
    if values.dtype.kind == "M":
        texts = np.datetime_as_string(values.astype("datetime64[s]")).tolist()
        return [text.removesuffix("T00:00:00").replace("T", " ") for text in texts]
    return ["missing" if np.isnan(v) else number(v) for v in values.astype(float).tolist()]


def _first(data: TabularData) -> tuple[Frame]:
    return (data.frame.take(data.rows["train"][:SAMPLES]),)


def _labels(data: TabularData, targets: np.ndarray) -> list[str]:
    if data.target.kind == "class":
        return [data.classes[code] for code in targets.tolist()]
    own = data.target.shown(targets)
    rows = own.tolist() if own.ndim == 1 else own.mean(axis=1).tolist()
    return [number(value) for value in rows]


def _layers(model: TabularModel, data: TabularData) -> Summary | None:
    if not isinstance(model.estimator, NetEstimator):
        return None
    codes, numbers, _ = data.tensors("valid")
    net = model.estimator.net
    device = next(net.parameters()).device
    loss = "cross_entropy" if data.target.kind == "class" else "mse"
    return summarize(net, (codes[:1].to(device), numbers[:1].to(device)), loss=loss)


def _about(model: TabularModel) -> list[tuple[str, Any]]:
    """What is to be known of a model without layers."""
    estimator: Any = model.estimator
    if isinstance(estimator, AverageEstimator):
        weights = getattr(estimator, "weights", [])
        parts = [
            f"{name} {float(weight):.0%}"
            for name, weight in zip(estimator.names, weights, strict=False)
        ]
        return [("a weighted mean of", ", ".join(parts) or ", ".join(estimator.names))]
    if isinstance(estimator, TreeEstimator):
        ensemble: Any = estimator.ensemble
        return [("trees", f"{ensemble.num_trees:,}"), ("kind", model.name)]
    if isinstance(estimator, NetEstimator):
        return []
    return [("kind", f"{model.name} ({estimator.kind})")]
