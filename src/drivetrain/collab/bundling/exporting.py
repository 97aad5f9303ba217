"""From a model of ratings to its bundle: calculate the golden answers, write, prove."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import manifest as manifests, write
from drivetrain.bundle.golden import Golden, GoldenItem
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.verify import Verified
from drivetrain.collab import bundle
from drivetrain.collab.bundling.cards import card_of
from drivetrain.collab.bundling.catalogue import Catalogue
from drivetrain.collab.model import CollabModel, load, scoring
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, RunError
from drivetrain.models.factorization import create_factorization, factorization_shapes
from drivetrain.train.run import Run, read_model, versions

if TYPE_CHECKING:
    from drivetrain.collab.application import CollabApplication
    from drivetrain.train.learner import Learner

GOLDEN = 8
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
    valid: RatingTable
    """For golden examples, in the codes of the model."""


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
    record = Run.open(run).read()
    if "results" not in record:
        raise RunError(
            f"{run} is not finished. Finish it with: drivetrain resume {shlex.quote(str(run))}"
        )
    model = load(run)
    weights, told = read_model(run)
    from drivetrain.collab.data import gather_again

    data = gather_again(record["data"], report=report)
    if data.users.names != model.users.names or data.items.names != model.items.names:
        raise RunError(
            f"The ratings of {data.source} are not those that {run} began with. Put them back, or train "
            "anew."
        )
    trained = Trained(record, model, told["model"], scoring(weights), data.part("valid"))
    return write_bundle(trained, folder, **options)


def write_bundle(
    trained: Trained,
    folder: store.StrPath,
    *,
    golden: int = GOLDEN,
    with_history: bool = True,
    guard: bool = True,
    onnx: bool = False,
    script: bool = True,
) -> Verified:
    """Write a bundle: a folder that predicts, and that has proved itself before it gets its name.

    Args:
        folder: where to; a bundle that is there is replaced, anything else is not.
        golden: so many validation pairs travel with it, 0 to 1000, to prove its answers by.
        with_history: put in who rated what, so that recommending leaves it out. It is personal data:
            without it no pair travels either, and made-up pairs prove the bundle.
        guard, script: for the other applications: known and unknown names are told apart in any case, and
            there is no script.
        onnx: refused.

    Returns: what verifying it found.
    Raises: ConfigError: an argument is out of range, or something else lies in the place of the bundle.
        BundleError: it does not prove itself. StorageError: the disk refused.
    """
    if onnx:
        raise ConfigError(
            "Models of ratings have no ONNX form here: what they need most are the names, which ONNX has "
            "no place for. Export without --onnx."
        )
    if not 0 <= golden <= manifests.MOST_GOLDEN:
        raise ConfigError(f"`golden` must be 0 to {manifests.MOST_GOLDEN}. Got {golden}.")
    write.check_place(folder)
    contents = _contents(
        trained,
        title=Path(folder).name,
        num_golden=golden if with_history else 0,
        with_history=with_history,
    )
    return write.write(folder, contents, prove=bundle.verify)


def _contents(
    trained: Trained, *, title: str, num_golden: int, with_history: bool
) -> write.Contents:
    model, valid = trained.model, trained.valid
    described = json.loads(store.to_json(dict(trained.description)))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.weights.items()}
    found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()}
    if factorization_shapes(described) != found:
        raise ConfigError(f"A model '{model.name}' cannot be made a bundle. `save` keeps it.")
    net = create_factorization(described)
    net.load_state_dict(weights)
    seen = model.history
    again = CollabModel(  # as the bundle is going to have it: built anew, on the CPU
        net.eval(),
        model.name,
        users=model.users,
        items=model.items,
        titles=model.titles,
        seen=seen,
        columns=model.columns,
        rating=model.rating,
        num_threads=model.num_threads,
    )
    golden, files = _golden(again, valid, num_golden)
    is_unknown = (valid.users == 0) | (valid.items == 0)
    inputs, outputs = bundle.ports(len(model.users), len(model.items))
    manifest = Manifest(
        application="collab",
        architecture={"name": model.name, "description": described},
        preprocessing={
            **{name: model.columns[name] for name in ("user", "item")},
            "rating": model.rating,
            "mean": seen.mean,
            "usual_unknown": float(is_unknown.mean()) if len(valid) else 0.0,
            "has_history": with_history,
        },
        classes=(),
        inputs=inputs,
        outputs=outputs,
        num_threads=model.num_threads,
        tolerance=TOLERANCE,
        training=_told(trained.record),
        versions=versions(),
    )
    card, config = card_of(
        manifest, trained.record, again, title=title, golden=golden, with_history=with_history
    )
    catalogue = Catalogue(model.users, model.items, model.titles, seen, with_history)
    return write.Contents(
        manifest,
        weights,
        config,
        card,
        golden,
        golden_inputs=files,
        catalogue=catalogue.tensors(),
    )


def _golden(model: CollabModel, valid: RatingTable, count: int) -> tuple[Golden, dict[str, bytes]]:
    """The examples, from the lowest rating to the highest, and the file that they stand in."""
    expected = bundle.pattern_outputs(model)
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
