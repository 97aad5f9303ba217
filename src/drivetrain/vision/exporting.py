"""From a run of pictures to its bundle: calculate the golden answers, fit the guard, write, prove."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import golden as goldens, manifest as manifests, onnx as onnx_files, write
from drivetrain.bundle.golden import Golden, GoldenItem
from drivetrain.bundle.guard import Guard, fit_guard
from drivetrain.bundle.manifest import Manifest, OnnxRecord, TargetOf
from drivetrain.bundle.target_guard import TargetsGuard, fit_targets_guard
from drivetrain.bundle.verify import Verified
from drivetrain.errors import ConfigError, MissingPackageError
from drivetrain.models import PictureModel, build_from, model_info
from drivetrain.models.device import threads
from drivetrain.train.run import versions
from drivetrain.vision import bundle, network
from drivetrain.vision.cards import card_of
from drivetrain.vision.data import VisionData
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.predictor import Predictor, channels_last
from drivetrain.vision.target_answers import predictor_of

GOLDEN = 8
TOLERANCE = 1e-4
"""Of golden outputs on another machine, whose kernels add in another order; on the same one it is 0."""
COVERAGE, FALSE_ALARM = 0.9, 0.05


@dataclass(frozen=True)
class Trained:
    """What a bundle is made of: a Learner's model or a finished run's."""

    record: Mapping[str, Any]
    """As `run.json` has it, with `results`."""
    described: Mapping[str, Any]
    """As `model.json` has it."""
    weights: Mapping[str, Tensor]
    data: VisionData | None
    """The pictures; None where they are not needed: no golden examples and no guard."""


def export(
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
        golden: so many validation pictures travel with it, 0 to 1000, to prove its answers by.
        guard: fit what says how sure an answer is, and whether a picture is of a kind the model knows.
        coverage: share of pictures whose true label is to be in the guard's set of labels.
        false_alarm: share of ordinary pictures that it may take for strange ones.
        onnx: write `model.onnx` too.
        script: write `predict.py` too, which predicts without Drivetrain; where ruff, which lays it out,
            is not installed, a warning says that it is left out.

    Returns: what verifying it found.
    Raises: ConfigError: an argument is out of range, or something else lies in the place of the bundle.
        BundleError: it does not prove itself. EjectError: its model has no plain form, which `predict.py`
        needs. StorageError: the disk refused.
    """
    check_options(folder, golden)
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


def _contents(
    trained: Trained,
    *,
    title: str,
    num_golden: int,
    guard: dict[str, float] | None,
    with_onnx: bool,
    with_script: bool,
) -> write.Contents:
    described, record = trained.described, trained.record
    prepared = described["preprocessing"]
    size = (int(prepared["size"][0]), int(prepared["size"][1]))
    predictor = _predictor(trained, size)
    num_features = cast(PictureModel, predictor.model).num_features
    targets = _targets(described)
    sizes = [len(one.classes) for one in targets]
    inputs, outputs = network.ports(size, sizes or len(described["classes"]), num_features)
    if guard is not None:
        predictor.guard = _fitted(predictor, trained, guard)
    pattern = network.pattern(predictor)
    golden, files, pixels = _golden(
        predictor, trained.data if num_golden else None, num_golden, pattern
    )
    onnx_bytes, onnx_record = None, None
    if with_onnx:
        onnx_bytes, onnx_record = _onnx(predictor, torch.cat([pattern, pixels]), inputs, outputs)
    manifest = Manifest(
        application="vision",
        architecture=described["model"],
        preprocessing=prepared,
        classes=() if targets else tuple(described["classes"]),
        inputs=inputs,
        outputs=outputs,
        num_threads=described.get("num_threads"),
        tolerance=TOLERANCE,
        training=_told(record),
        versions=_versions(described["model"]["name"]),
        onnx=onnx_record,
        targets=targets,
    )
    source = _script(predictor, manifest) if with_script else None
    card, config = card_of(
        manifest,
        record,
        title=title,
        train_counts=_counts(trained.data),
        golden=golden,
        guard=predictor.guard,
        has_predictor=source is not None,
    )
    return write.Contents(
        manifest,
        trained.weights,
        config,
        card,
        golden,
        golden_inputs=files,
        guard=predictor.guard,
        predictor=source,
        onnx=onnx_bytes,
    )


def _script(predictor: Predictor, manifest: Manifest) -> str | None:
    """`predict.py`; None, and a warning, where it cannot be laid out."""
    from drivetrain.vision.ejecting.predictor import predictor_source

    try:
        return predictor_source(cast(PictureModel, predictor.model), manifest, predictor.guard)
    except MissingPackageError as error:
        warnings.warn(f"The bundle gets no {manifests.PREDICTOR}: {error}", stacklevel=4)
        return None


def _predictor(trained: Trained, size: tuple[int, int]) -> Predictor:
    """The model as the bundle is going to have it: built anew, on the CPU."""
    described = trained.described
    prepared = described["preprocessing"]
    model = build_from(described["model"])
    model.load_state_dict({name: tensor.cpu() for name, tensor in trained.weights.items()})
    channels_last(model.eval())
    normalise = Normalise(prepared["mean"], prepared["std"])
    return predictor_of(
        model,
        described.get("classes", ()),
        _targets(described),
        size=size,
        resize=prepared["resize"],
        mean=normalise.mean,
        std=normalise.std,
        num_threads=described.get("num_threads"),
        device=torch.device("cpu"),
        engine=network.TorchEngine(network.Network(model, normalise)),
    )


def _targets(described: Mapping[str, Any]) -> tuple[TargetOf, ...]:
    """Several targets, as `model.json` has them; none of one."""
    return tuple(
        TargetOf(one["name"], tuple(one["classes"]), float(one["weight"]))
        for one in described.get("targets", ())
    )


def _fitted(
    predictor: Predictor, trained: Trained, options: dict[str, float]
) -> Guard | TargetsGuard:
    assert trained.data is not None, "opened, since the guard needs it"
    train, valid = trained.data.pictures("train"), trained.data.pictures("valid")
    logits, features = _calculated(predictor, valid)
    _, known = _calculated(predictor, train)
    targets = _targets(trained.described)
    if targets:
        return fit_targets_guard(
            logits,
            valid.targets,
            features,
            names=[one.name for one in targets],
            sizes=[len(one.classes) for one in targets],
            train_features=known,
            train_targets=train.targets,
            seed=trained.record["seed"],
            **options,
        )
    return fit_guard(
        logits,
        valid.targets,
        features,
        train_features=known,
        train_targets=train.targets,
        seed=trained.record["seed"],
        **options,
    )


def _calculated(predictor: Predictor, data: PictureData) -> tuple[Tensor, Tensor]:
    """Scores (N, C) and features (N, F) of all pictures, as they are, without augmentation."""
    assert predictor.engine is not None
    scores, features = [], []
    with threads(predictor.num_threads):
        for indices in torch.arange(len(data)).split(predictor.batch_size):
            pixels, _ = data.__getitems__(indices)
            found = predictor.engine(pixels)
            scores.append(found[0])
            features.append(found[1])
    return torch.cat(scores), torch.cat(features)


def _golden(
    predictor: Predictor, data: VisionData | None, count: int, pattern: Tensor
) -> tuple[Golden, dict[str, bytes], Tensor]:
    """The examples, their files, and their pixels (N, 3, H, W) uint8."""
    expected = bundle.outputs(predictor, [pattern], prefix=bundle.PATTERN)
    if data is None:
        return Golden((), expected), {}, pattern[:0]
    valid = data.pictures("valid")
    first = valid.targets if data.targets is None else valid.targets[:, 0]
    chosen = goldens.chosen(first.tolist(), count)
    pixels, targets = valid.__getitems__(torch.tensor(chosen))
    found = bundle.outputs(predictor, pixels.split(predictor.batch_size))
    names = [f"golden/{number:0{len(str(len(chosen) - 1))}}.png" for number in range(len(chosen))]
    items = _items(names, targets, found["logits"], predictor)
    files = {name: network.png(one) for name, one in zip(names, pixels, strict=True)}
    return Golden(items, expected | found), files, pixels


def _items(
    names: Sequence[str], targets: Tensor, logits: Tensor, predictor: Predictor
) -> tuple[GoldenItem, ...]:
    """What is said of each example: by the person, and by the model."""
    several = getattr(predictor, "told", ())
    if not several:
        said = goldens.predicted(logits, predictor.classes)
        return tuple(
            GoldenItem(name, predictor.classes[target], label)
            for name, target, label in zip(names, targets.tolist(), said, strict=True)
        )
    answered = goldens.predicted_of_targets(logits, several)
    return tuple(
        GoldenItem(
            name,
            labels=tuple(
                (one.name, one.classes[code]) for one, code in zip(several, codes, strict=True)
            ),
            said=labels,
        )
        for name, codes, labels in zip(names, targets.tolist(), answered, strict=True)
    )


def _onnx(
    predictor: Predictor,
    pixels: Tensor,
    inputs: Sequence[manifests.Port],
    outputs: Sequence[manifests.Port],
) -> tuple[bytes, OnnxRecord]:
    """The network as ONNX, tried against torch on the test pattern and the golden pixels.

    Raises: ConfigError: torch cannot write it, or its answers are others.
    """
    engine = predictor.engine
    assert isinstance(engine, network.TorchEngine)
    return onnx_files.export_tried(
        engine.network, pixels, inputs, outputs, num_threads=predictor.num_threads
    )


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.json` says of the training: no path of the machine it was done on."""
    task, results = record["task"], record["results"]
    return {
        "data": Path(task["source"]).name,
        "labelled_by": task["labelled_by"],
        "split_by": task["split_by"],
        "items": record["items"],
        "results": {
            name: results[name]
            for name in ("metrics", "interval", "baselines", "targets")
            if name in results
        },
        "epochs": results["epochs"],
        "seconds": results["seconds"],
        "seed": record["seed"],
        "pretrained": bool(record["model"]["pretrained"]),
        "weights_sha256": results["weights_sha256"],
        "fingerprint": record["fingerprint"],
    }


def _versions(name: str) -> dict[str, str]:
    """Versions that an answer can depend on, of this machine, where the golden outputs are calculated."""
    packages = ["pillow", *(["timm"] if "timm" in model_info(name).builder else [])]
    return versions() | {package: metadata.version(package) for package in packages}


def _counts(data: VisionData | None) -> dict[str, int] | None:
    """Training pictures of each class; of several targets of each of theirs, by both names."""
    if data is None:
        return None
    targets = data.pictures("train").targets
    if data.targets is None:
        return _counted(targets, data.classes)
    known = zip(data.targets.names, data.targets.classes, targets.unbind(dim=1), strict=True)
    return {
        f"{name} {label}": count
        for name, classes, codes in known
        for label, count in _counted(codes, classes).items()
    }


def _counted(targets: Tensor, classes: Sequence[str]) -> dict[str, int]:
    counts = torch.bincount(targets, minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))
