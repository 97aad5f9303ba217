"""From a model of ratings to its bundle: calculate the golden answers, write, prove."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import manifest as manifests, onnx as onnx_files, write
from drivetrain.bundle.golden import Golden, GoldenItem
from drivetrain.bundle.manifest import Manifest, OnnxRecord
from drivetrain.bundle.verify import Verified
from drivetrain.collab import bundle
from drivetrain.collab.bundling.cards import card_of
from drivetrain.collab.bundling.catalogue import Catalogue
from drivetrain.collab.bundling.guard import RatingGuard, fit_rating_guard
from drivetrain.collab.bundling.network import MOST_ONNX_BYTES, PairsNetwork, ports
from drivetrain.collab.bundling.predictor import CollabPredictor
from drivetrain.collab.model import CollabModel, load, scoring
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError, MissingPackageError, RunError
from drivetrain.models.factorization import create_factorization, factorization_shapes
from drivetrain.train.run import Run, read_model, versions

if TYPE_CHECKING:
    from drivetrain.collab.application import CollabApplication
    from drivetrain.train.learner import Learner

GOLDEN = 8
COVERAGE = 0.9
TOLERANCE = 1e-4
"""Of golden outputs on another machine, whose kernels add in another order; on the same one it is 0."""

Report = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Trained:
    """What a bundle is made of."""

    record: Mapping[str, Any]
    """As `run.json` has it, with `results`."""
    model: CollabModel
    description: Mapping[str, Any]
    """See `models.factorization`."""
    weights: Mapping[str, Tensor]
    valid: RatingTable | None
    """In the codes of the model; None where they are not needed: no golden examples and no guard."""


def export_learner(
    application: CollabApplication, learner: Learner, folder: store.StrPath, **options: Any
) -> Verified:
    """A bundle of a Learner's model; see `write_bundle`."""
    from drivetrain.train.keeping import record_of

    trained = Trained(
        record=record_of(learner) | {"results": learner.result()},
        model=application.model(learner),
        description=application.description,
        weights=scoring(learner.model.state_dict()),
        valid=application.data.part("valid"),
    )
    return write_bundle(trained, folder, **options)


def export(
    run: store.StrPath, folder: store.StrPath, *, report: Report | None = None, **options: Any
) -> Verified:
    """Write a run as a bundle: a folder that predicts and recommends, and proves itself.

    Args:
        run: of ratings or events.
        folder: where to.
        report: is told how far reading the ratings is.
        options: as `write_bundle` has them.

    Returns: what verifying it found.
    Raises: RunError, DataError: the run is not finished or damaged, or its ratings are not there.
        ConfigError, BundleError, StorageError: as `write_bundle`.
    """
    with_history, guard = options.get("with_history", True), options.get("guard", True)
    golden = check_options(folder, options.get("golden"), with_history=with_history)
    record = Run.open(run).read_finished()
    model = load(run)
    weights, told = read_model(run)
    valid = None
    if golden or guard:
        try:
            valid = _valid(run, record, model, report)
        except (DataError, RunError) as error:
            error.add_note("Without its ratings it is exported by: --golden 0 --no-guard.")
            raise
    trained = Trained(record, model, told["model"], scoring(weights), valid)
    return write_bundle(trained, folder, **options)


def _valid(
    run: store.StrPath, record: Mapping[str, Any], model: CollabModel, report: Report | None
) -> RatingTable:
    """The validation ratings of a run.

    Raises: DataError: its table is gone. RunError: it is another one by now.
    """
    from drivetrain.collab.data import gather_again

    data = gather_again(record["data"], report=report)
    names = (data.users.names, data.items.names)
    if names != (model.users.names, model.items.names) or (
        data.fingerprint() != record["fingerprint"]
    ):
        raise RunError(
            f"The ratings of {data.source} are not those that {run} began with. Put them back, or train "
            "anew."
        )
    return data.part("valid")


def write_bundle(
    trained: Trained,
    folder: store.StrPath,
    *,
    golden: int | None = None,
    with_history: bool = True,
    guard: bool = True,
    coverage: float = COVERAGE,
    onnx: bool = False,
    script: bool = True,
) -> Verified:
    """Write a bundle: a folder that predicts, and that has proved itself before it gets its name.

    Args:
        folder: where to; a bundle that is there is replaced, anything else is not.
        golden: so many validation pairs travel with it, 0 to 1000, to prove its answers by; None: 8, or
            none without history.
        with_history: put in who rated what, so that recommending leaves it out. It is personal data:
            without it no pair travels either, and made-up pairs prove the bundle.
        guard: fit what says how sure an answer is, whether a pair is one that the model knows, and
            whether a table is of another kind; where there is no validation rating, a warning says that
            it is left out.
        coverage: share of ratings that are to lie in the guard's interval.
        onnx: write `model.onnx` too: predictions of pairs of codes.
        script: write `predict.py` too, which predicts and recommends without Drivetrain; where ruff,
            which lays it out, is not installed, a warning says that it is left out.

    Returns: what verifying it found.
    Raises: ConfigError: an argument is out of range, or something else lies in the place of the bundle.
        BundleError: it does not prove itself. StorageError: the disk refused.
    """
    golden = check_options(folder, golden, with_history=with_history)
    contents = _contents(
        trained,
        title=Path(folder).name,
        num_golden=golden,
        with_history=with_history,
        coverage=coverage if guard else None,
        with_onnx=onnx,
        with_script=script,
    )
    return write.write(folder, contents, prove=bundle.verify)


def check_options(folder: store.StrPath, golden: int | None, *, with_history: bool) -> int:
    """What can be refused before anything is opened.

    Returns: how many validation pairs travel.
    Raises: ConfigError.
    """
    if golden is None:
        golden = GOLDEN if with_history else 0
    if not 0 <= golden <= manifests.MOST_GOLDEN:
        raise ConfigError(f"`golden` must be 0 to {manifests.MOST_GOLDEN}. Got {golden}.")
    if golden and not with_history:
        raise ConfigError(
            "Golden pairs are who rated what, which without history stays at home: made-up pairs prove "
            "such a bundle. Leave `golden` out, or give 0."
        )
    write.check_place(folder)
    return golden


def _contents(
    trained: Trained,
    *,
    title: str,
    num_golden: int,
    with_history: bool,
    coverage: float | None,
    with_onnx: bool,
    with_script: bool,
) -> write.Contents:
    described = json.loads(store.to_json(dict(trained.description)))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.weights.items()}
    predictor = _predictor(trained, described, weights, with_history=with_history)
    if coverage is not None:
        predictor.guard = _fitted(trained, predictor, coverage)
    golden, files = _golden(predictor, trained.valid, num_golden)
    onnx_bytes, onnx_record = _onnx(predictor, weights) if with_onnx else (None, None)
    inputs, outputs = ports(len(predictor.users), len(predictor.items))
    manifest = Manifest(
        application="collab",
        architecture={"name": predictor.name, "description": described},
        preprocessing={
            **{name: predictor.columns[name] for name in ("user", "item")},
            "rating": predictor.rating,
            "mean": predictor.history.mean,
            "has_history": with_history,
        },
        classes=(),
        inputs=inputs,
        outputs=outputs,
        num_threads=predictor.num_threads,
        tolerance=TOLERANCE,
        training=_told(trained.record),
        versions=versions(),
        onnx=onnx_record,
    )
    source = _script(predictor, manifest) if with_script else None
    card, config = card_of(
        manifest,
        trained.record,
        predictor,
        title=title,
        golden=golden,
        has_script=source is not None,
    )
    catalogue = Catalogue(
        predictor.users, predictor.items, predictor.titles, predictor.history, with_history
    )
    return write.Contents(
        manifest,
        weights,
        config,
        card,
        golden,
        golden_inputs=files,
        catalogue=catalogue.tensors(),
        guard=predictor.guard,
        predictor=source,
        onnx=onnx_bytes,
    )


def _predictor(
    trained: Trained,
    description: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    with_history: bool,
) -> CollabPredictor:
    """The model as the bundle is going to have it: built anew, on the CPU."""
    model = trained.model
    found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()}
    if factorization_shapes(description) != found:
        raise ConfigError(f"A model '{model.name}' cannot be made a bundle. `save` keeps it.")
    net = create_factorization(description)
    net.load_state_dict(weights)
    return CollabPredictor(
        net.eval(),
        model.name,
        users=model.users,
        items=model.items,
        titles=model.titles,
        seen=model.history,
        columns=model.columns,
        rating=model.rating,
        num_threads=model.num_threads,
        has_history=with_history,
    )


def _fitted(trained: Trained, predictor: CollabPredictor, coverage: float) -> RatingGuard | None:
    """The guard; None, and a warning, where nothing is there to fit it on."""
    assert trained.valid is not None, "read, since the guard needs it"
    found = fit_rating_guard(
        predictor.outputs,
        trained.model.history.table(),
        trained.valid,
        of_ratings=predictor.of_ratings,
        item_mean=predictor.item_mean,
        coverage=coverage,
    )
    if found is None:
        warnings.warn(
            "The bundle gets no guard: there is no validation rating to fit it on.", stacklevel=5
        )
    return found


def _script(predictor: CollabPredictor, manifest: Manifest) -> str | None:
    """`predict.py`; None, and a warning, where it cannot be laid out."""
    from drivetrain.collab.bundling.script import predictor_source

    try:
        return predictor_source(predictor, manifest)
    except MissingPackageError as error:
        warnings.warn(f"The bundle gets no {manifests.PREDICTOR}: {error}", stacklevel=5)
        return None


def _onnx(predictor: CollabPredictor, weights: Mapping[str, Tensor]) -> tuple[bytes, OnnxRecord]:
    """The network as ONNX, tried against torch on the made-up pairs.

    Raises: ConfigError: it does not fit into such a file, or its answers are others.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if size > MOST_ONNX_BYTES:
        raise ConfigError(
            f"The vectors take {size / 1e9:.1f} GB, and an ONNX file holds {MOST_ONNX_BYTES / 1e9:g} GB. "
            "Export without --onnx; predict.py in the bundle needs no Drivetrain."
        )
    pairs = bundle.pattern_outputs(predictor)[f"{bundle.PATTERN}codes"]
    inputs, outputs = ports(len(predictor.users), len(predictor.items))
    network = PairsNetwork(predictor.net).eval()
    return onnx_files.export_tried(
        network, pairs, inputs, outputs, num_threads=predictor.num_threads
    )


def _golden(
    model: CollabPredictor, valid: RatingTable | None, count: int
) -> tuple[Golden, dict[str, bytes]]:
    """The examples, from the lowest rating to the highest, and the file that they stand in."""
    expected = bundle.pattern_outputs(model)
    if valid is None:
        return Golden((), expected), {}
    known = np.flatnonzero((valid.users > 0) & (valid.items > 0))
    order = known[np.argsort(valid.ratings[known], kind="stable")]
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    chosen = order[places]
    if not len(chosen):
        return Golden((), expected), {}
    users, items = valid.users[chosen].tolist(), valid.items[chosen].tolist()
    pairs = [
        (model.users.names[u], model.items.names[i]) for u, i in zip(users, items, strict=True)
    ]
    told = tuple(GoldenItem(bundle.PAIRS, value=(r,)) for r in valid.ratings[chosen].tolist())
    file = store.json_bytes({"pairs": [list(pair) for pair in pairs]})
    return Golden(told, expected | bundle.outputs(model, pairs)), {bundle.PAIRS: file}


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.json` says of the training: no path of the machine it was done on."""
    task, results = record.get("task", {}), record["results"]
    source = task.get("source")
    return {
        "data": Path(source).name if isinstance(source, str) and source else "ratings",
        "labelled_by": task.get("labelled_by", ""),
        "split_by": task.get("split_by", ""),
        "items": record.get("items", {}),
        "results": {
            name: results[name] for name in ("metrics", "interval", "baselines") if name in results
        },
        "seed": record.get("seed"),
        "weights_sha256": results.get("weights_sha256"),
        "fingerprint": record.get("fingerprint"),
    }
