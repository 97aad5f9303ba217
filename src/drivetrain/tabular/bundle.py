"""A bundle of a model of tables as the one who uses it sees it: open it, predict with it, prove it.

Nothing here needs the training stack, nor the library that grew the trees. Whatever a bundle says is
checked before it is used, and nothing in it is run: types and shapes of its tensors are held against
the file's header before memory is taken, its parts against each other, and its answers, for made-up
rows, against what it says that it predicts.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain import store
from drivetrain._strict import shown
from drivetrain.bundle import manifest as manifests, opening, reading
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.golden import GoldenItem, check_items
from drivetrain.bundle.manifest import Manifest, Port
from drivetrain.bundle.onnx import OnnxEngine
from drivetrain.bundle.verify import Verified, verify as verify_bundle
from drivetrain.data.frame import Frame
from drivetrain.errors import BundleError, ConfigError, DataError, DrivetrainError
from drivetrain.tabular.bundling.checked import check_answers, check_columns, made_up_rows
from drivetrain.tabular.bundling.guard import Seen, TableGuard
from drivetrain.tabular.bundling.guarded import GuardedRows
from drivetrain.tabular.bundling.predictor import TablePredictor
from drivetrain.tabular.estimators import (
    KINDS,
    NET_BATCH,
    AverageEstimator,
    Estimator,
    NetEstimator,
    Prepared,
    TreeEstimator,
    softmax,
    unpack,
)
from drivetrain.tabular.preprocess import Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.target import Target

ENGINES = ("torch", "onnx")
ROWS = "golden/rows.json"
"""The golden examples of a bundle of tables."""
PATTERN = "pattern_"
"""Begins the names of what was calculated for the made-up rows."""
MODEL_NAME = r"[A-Za-z0-9_ .\-]{1,100}"
MOST_TENSORS = 4_096
LETTERS = 100_000
"""Of a word in a golden row."""
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in reading.DTYPES.values()}
Parts = tuple[Reader, Preprocess, Target]


def load(folder: store.StrPath, *, engine: str = "torch") -> Any:
    """The `TablePredictor` of a bundle, or the `TabularModel` of a run folder or a model folder.

    Nothing in the folder is executed.

    Args:
        engine: `torch`; or `onnx`, which a bundle with a `model.onnx` can be asked for.
    Raises: RunError: there is no model in it, or it is damaged, or not of tables. BundleError: it is not
        sound. NonFiniteError: what it answers is NaN or infinite. ConfigError: no such engine.
    """
    if engine not in ENGINES:
        raise ConfigError(f"`engine` must be one of {', '.join(ENGINES)}. Got {engine!r}.")
    if os.path.lexists(Path(folder) / manifests.NAME):
        return open_bundle(folder, engine=engine)
    if engine != "torch":
        raise ConfigError(
            f"{folder} is not a bundle, and only those have an ONNX model. "
            "Make one of a net with: drivetrain export RUN -o BUNDLE --onnx"
        )
    from drivetrain.tabular import models  # runs are the training stack's

    model = models.load(folder)
    check_model(model.reader, model.preprocess, model.target, model.estimator)
    return model


def open_bundle(folder: store.StrPath, *, engine: str = "torch") -> TablePredictor:
    """The predictor of a bundle.

    Raises: BundleError: it is not sound, or not of tables. NonFiniteError: it answers NaN.
    """
    folder = Path(folder)
    return _predictor(folder, opening.open_manifest(folder), engine)


def verify(folder: store.StrPath, *, engine: str = "torch", sha256: str | None = None) -> Verified:
    """Prove a bundle: every file by its SHA-256, and its answers by its golden and made-up rows.

    Args:
        folder: of the bundle.
        engine: what calculates: `torch`, or `onnx` of a net.
        sha256: of `bundle.json`, as `export` gave it; with it the bundle must be that very one.
    Raises: BundleError: it is not sound.
    """

    def recompute(
        folder: Path, manifest: Manifest, items: tuple[GoldenItem, ...]
    ) -> Mapping[str, Tensor]:
        predictor = _predictor(folder, manifest, engine)
        found = outputs(predictor, made_up_frame(predictor.reader, predictor.preprocess), PATTERN)
        if not items:
            return found
        check_items(folder, items, ROWS, what="rows")
        return found | outputs(predictor, _golden(folder, manifest, predictor.reader, len(items)))

    return verify_bundle(folder, recompute, engine=engine, sha256=sha256)


def outputs(predictor: TablePredictor, frame: Frame, prefix: str = "") -> dict[str, Tensor]:
    """All that a bundle answers for rows, by name; of a guard its judgement too."""
    answers = predictor.of_frame(frame)
    found: dict[str, np.ndarray] = {"outputs": answers.outputs}
    if isinstance(answers, GuardedRows):
        found |= {"domain_score": answers.domain_score, "in_domain": answers.in_domain}
        if answers.sets is not None:
            found |= {"probs": answers.outputs, "sets": answers.sets}
            found["outputs"] = predictor.estimator.predict(Prepared(predictor.preprocess, frame))
        elif answers.low is not None and answers.high is not None:
            found |= {"low": answers.low, "high": answers.high}
    return {f"{prefix}{name}": torch.from_numpy(np.array(v)) for name, v in found.items()}


def made_up_frame(reader: Reader, preprocess: Preprocess) -> Frame:
    """The made-up rows as the model's columns."""
    return reader.rows(made_up_rows(reader, preprocess))


def check_model(
    reader: Reader, preprocess: Preprocess, target: Target, estimator: Estimator
) -> None:
    """Whether the parts of a model fit, and it answers as it says.

    Raises: BundleError: they do not. NonFiniteError: it answers NaN.
    """
    check_columns(reader, preprocess, target)
    check_answers(estimator, preprocess, target, made_up_frame(reader, preprocess))


# --- what the architecture says ---------------------------------------------------------------------


def architecture(name: str, estimator: Estimator) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a bundle says of an estimator, and its tensors."""
    tensors, record = estimator.pack()
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    said = {
        key: [str(value.dtype).removeprefix("torch."), list(value.shape)]
        for key, value in tensors.items()
    }
    return {"name": name, "kind": estimator.kind, "record": record, "tensors": said}, tensors


def ports(
    estimator: Estimator, preprocess: Preprocess, target: Target
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and outputs of a model: rows as they are prepared for it, and its answers."""
    inputs: dict[str, Port] = {}
    for one in _leaves(estimator):
        if isinstance(one, NetEstimator | OnnxNet):
            inputs |= {port.name: port for port in net_inputs(preprocess)}
        elif isinstance(one, TreeEstimator):
            inputs["design"] = Port(
                "design",
                "float64",
                ("batch", len(preprocess.design_names)),
                None,
                "Codes of categories, numbers without gaps, and flags of what was missing.",
            )
        else:
            inputs["linear"] = Port(
                "linear",
                "float64",
                ("batch", max(1, len(preprocess.linear_names))),
                None,
                "Scaled numbers, flags of what was missing, and a column for each level.",
            )
    return tuple(inputs.values()), (_answer(target),)


def net_inputs(preprocess: Preprocess) -> tuple[Port, ...]:
    """What a net takes: codes and numbers, those that it has."""
    found = []
    if preprocess.level_counts:
        found.append(
            Port(
                "codes",
                "int64",
                ("batch", len(preprocess.level_counts)),
                (0.0, float(max(preprocess.level_counts) - 1)),
                "Which of its levels each category has; 0 is missing or unknown.",
            )
        )
    if preprocess.num_net_numbers:
        found.append(
            Port(
                "numbers",
                "float32",
                ("batch", preprocess.num_net_numbers),
                None,
                "Standardised numbers, and flags of what was missing.",
            )
        )
    return tuple(found)


def net_output(target: Target) -> Port:
    """What a net gives."""
    meaning = "A score for each class; their softmax are the probabilities."
    if target.kind == "number":
        meaning = "The numbers" + (", as log(1 + y)." if target.is_log else ".")
    return Port("scores", "float32", ("batch", target.num_outputs), None, meaning)


def _answer(target: Target) -> Port:
    if target.kind == "class":
        meaning = "The probability of each class, in the order of `classes`."
        return Port("outputs", "float64", ("batch", len(target.classes)), (0.0, 1.0), meaning)
    meaning = "The number" + (", as log(1 + y)." if target.is_log else ".")
    return Port("outputs", "float64", ("batch", len(target.names)), None, meaning)


def _leaves(estimator: Estimator) -> list[Estimator]:
    if isinstance(estimator, AverageEstimator):
        return [leaf for member in estimator.members for leaf in _leaves(member)]
    return [estimator]


# --- a net through ONNX -----------------------------------------------------------------------------


class OnnxNet:
    """A net that ONNX Runtime calculates.

    Args:
        engine: from codes and numbers, those that it takes, to scores (B, V).
        preprocess: what was learnt of the columns.
        target: what is predicted.
    """

    kind = "net"

    def __init__(self, engine: OnnxEngine, preprocess: Preprocess, target: Target) -> None:
        self.engine = engine
        self.names = [port.name for port in net_inputs(preprocess)]
        self.target = target

    def predict(self, rows: Prepared) -> np.ndarray:
        """See `Estimator`."""
        codes, numbers = map(torch.from_numpy, rows.net)
        given: dict[str, Tensor] = {"codes": codes, "numbers": numbers}
        parts = [
            self.engine(*(given[name][start : start + NET_BATCH] for name in self.names))[0]
            for start in range(0, len(rows), NET_BATCH)
        ]
        scores = torch.cat(parts).double().numpy() if parts else np.zeros((0, 1))
        if self.target.kind == "class":
            return softmax(scores)
        return scores[:, 0] if self.target.num_outputs == 1 else scores

    def spread(self, rows: Prepared) -> np.ndarray | None:
        """See `Estimator`."""
        return None

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Its tensors lie in the ONNX file."""
        return {}, {}


class NetScores(nn.Module):
    """A net from the inputs that it has to scores (B, V), as ONNX calculates it.

    Args:
        estimator: the net.
        preprocess: what was learnt of the columns.
    """

    def __init__(self, estimator: NetEstimator, preprocess: Preprocess) -> None:
        super().__init__()
        self.net = estimator.net.cpu().eval()
        self.has_codes = bool(preprocess.level_counts)
        self.has_numbers = bool(preprocess.num_net_numbers)

    def forward(self, first: Tensor, second: Tensor | None = None) -> tuple[Tensor]:
        """Codes (B, C) int64 and numbers (B, D) float32, or the one that there is -> scores (B, V)."""
        last = first if second is None else second
        codes = first if self.has_codes else torch.zeros(0, 0, dtype=torch.int64)
        numbers = last if self.has_numbers else torch.zeros(0, 0)
        scores = self.net(codes, numbers)
        return (scores.unsqueeze(1) if scores.ndim == 1 else scores,)


# --- opening ----------------------------------------------------------------------------------------


def _predictor(folder: Path, manifest: Manifest, engine: str) -> TablePredictor:
    where = str(folder / manifests.NAME)
    if manifest.application != "tabular":
        raise BundleError(f"{folder} is not a bundle of tables.")
    reader, preprocess, target = _parts(manifest, where)
    name, estimator = _estimator(folder, manifest, where, preprocess)
    opening.check_signature(manifest, ports(estimator, preprocess, target), where)
    try:
        check_model(reader, preprocess, target, estimator)
    except DataError as error:
        raise BundleError(f"{where} cannot be used: {error}") from error
    if engine == "onnx":
        if not isinstance(estimator, NetEstimator):
            raise ConfigError(
                f"{folder} holds a model of kind {estimator.kind}, and only nets have an ONNX form. "
                "Use --engine torch."
            )
        of_net = replace(manifest, inputs=net_inputs(preprocess), outputs=(net_output(target),))
        estimator = OnnxNet(OnnxEngine(folder, of_net), preprocess, target)
    trained_on = manifest.training.get("source_sha256")
    return TablePredictor(
        name,
        estimator,
        reader=reader,
        preprocess=preprocess,
        target=target,
        guard=_guard(folder, manifest, (reader, preprocess, target), estimator),
        num_threads=opening.num_threads(manifest),
        trained_on=trained_on if isinstance(trained_on, str) else "",
    )


def _parts(manifest: Manifest, where: str) -> Parts:
    """What turns rows into inputs, and inputs into answers, each checked by its own class."""
    fields = Fields(manifest.preprocessing, f"{where}, `preprocessing`,")
    values = {name: fields.take(name) for name in ("reader", "preprocess", "target")}
    fields.end()
    for name, value in values.items():
        if not isinstance(value, dict):
            fields.wrong(name, "an object", value)
    try:
        reader = Reader.from_json(values["reader"])
        preprocess = Preprocess.from_json(values["preprocess"])
        target = Target.from_json(values["target"])
    except BundleError:
        raise
    except (DrivetrainError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{where}, `preprocessing`, holds what Drivetrain does not write "
            f"({type(error).__name__}: {shown(error, 200)}). Take it anew from where it came from."
        ) from error
    parts = {"reader": reader, "preprocess": preprocess, "target": target}
    for name, part in parts.items():
        if store.to_json(part.to_json()) != store.to_json(values[name]):
            fields.refuse(f"has a `{name}` that Drivetrain would not write so")
    if target.classes != manifest.classes:
        fields.refuse("has other classes than the bundle")
    check_columns(reader, preprocess, target)
    return reader, preprocess, target


def _estimator(
    folder: Path, manifest: Manifest, where: str, preprocess: Preprocess
) -> tuple[str, Estimator]:
    """The model with its tensors; no memory is taken for any that the record does not name."""
    fields = Fields(manifest.architecture, f"{where}, `architecture`,")
    name = fields.text("name", pattern=MODEL_NAME)
    kind = fields.word("kind", tuple(KINDS))
    record = fields.take("record")
    expected = _expected(fields)
    fields.end()
    tensors = opening.read_weights(folder, manifest, expected)
    try:
        return name, unpack(kind, tensors, record, preprocess)
    except BundleError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(
            f"{where}, `architecture`, holds what Drivetrain does not write "
            f"({type(error).__name__}: {shown(error, 200)}). Take it anew from where it came from."
        ) from error


def _expected(fields: Fields) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of each tensor, as the bundle says."""
    value = fields.take("tensors")
    if not isinstance(value, dict) or not 1 <= len(value) <= MOST_TENSORS:
        fields.wrong("tensors", f"an object of 1 to {MOST_TENSORS} types and shapes", value)
    found = {}
    for name, entry in value.items():
        is_pair = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], list)
        is_known = is_pair and isinstance(entry[0], str) and entry[0] in DTYPES
        sizes = entry[1] if is_known else [-1]
        are_sizes = len(sizes) <= 8 and all(type(n) is int and 0 <= n < 2**40 for n in sizes)
        if not are_sizes or math.prod(sizes) >= 2**40:
            fields.wrong("tensors", "types and shapes", {name: entry})
        found[name] = (DTYPES[entry[0]], tuple(sizes))
    return found


def _guard(
    folder: Path, manifest: Manifest, parts: Parts, estimator: Estimator
) -> TableGuard | None:
    reader, preprocess, target = parts
    if manifests.GUARD not in manifest.files:
        return None
    described = opening.parse_listed(folder, manifests.GUARD, manifest)
    tensors = reading.read_tensors(
        folder / manifests.GUARD_TENSORS,
        sha256=manifest.files[manifests.GUARD_TENSORS].sha256,
        require_finite=True,
        limit=1 << 30,
    )
    seen = Seen(preprocess, reader.dates)
    guard = TableGuard.from_parts(described, tensors, target=target, seen=seen)
    if guard.spread_floor is not None:
        rows = Prepared(preprocess, made_up_frame(reader, preprocess))
        if estimator.spread(rows) is None:
            raise BundleError(
                f"{folder / manifests.GUARD} is of a model with several voices, and this one has one. "
                "Take it anew from where it came from."
            )
    return guard


def _golden(folder: Path, manifest: Manifest, reader: Reader, count: int) -> Frame:
    """The golden rows as the model's columns."""
    path = folder / ROWS
    opening.check_file(folder, ROWS, manifest)
    fields = Fields(reading.read_json(path, max_letters=LETTERS), str(path))
    rows = fields.take("rows")
    fields.end()
    if not isinstance(rows, list) or len(rows) != count:
        fields.refuse(f"does not hold the {count} rows that golden.json names")
    try:
        return reader.rows(golden_cells(rows, reader, str(path)))
    except DataError as error:
        raise BundleError(f"{path} cannot be used: {error}") from error


def golden_cells(rows: list[Any], reader: Reader, where: str) -> list[dict[str, Any]]:
    """Golden rows as they are written, with the cells that `Reader.rows` takes.

    Raises: BundleError: they are no rows of these columns.
    """
    return [_golden_row(row, reader, where) for row in rows]


def _golden_row(row: Any, reader: Reader, where: str) -> dict[str, Any]:
    """The cells of a golden row as `Reader.rows` takes them: numbers, words, dates, or None."""
    fields = Fields(row, where)
    found: dict[str, Any] = {}
    for name in reader.features:
        value, kind = fields.take(name), reader.schema[name].kind
        if value is None or kind == "number":
            found[name] = (
                None if value is None else Fields({name: value}, where).number(name, -1e308, 1e308)
            )
            continue
        if not isinstance(value, str):
            fields.wrong(name, "a text, or null", value)
        found[name] = value
        if kind == "date":
            try:
                found[name] = datetime.datetime.fromisoformat(value)
            except ValueError:
                fields.wrong(name, "a date such as 2026-01-31T08:00:00", value)
    fields.end()
    return found


def golden_row(frame: Frame, row: int, reader: Reader) -> dict[str, Any]:
    """A row of a frame, dates expanded, as it is written into a bundle."""
    found: dict[str, Any] = {}
    for name in reader.features:
        kind = reader.schema[name].kind
        if kind == "category":
            found[name] = frame.factor(name)[[row]].values()[0]
            continue
        value = float(frame.numbers(name if kind == "number" else f"{name}.elapsed")[row])
        found[name] = None if math.isnan(value) else value
        if kind == "date" and found[name] is not None:
            moment = np.datetime64(round(value * 1e6), "us")
            found[name] = moment.item().isoformat()
    return found
