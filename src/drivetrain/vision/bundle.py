"""A bundle of pictures as the one who uses it sees it: open it, predict with it, prove it.

Nothing here needs the training stack. Whatever a bundle says is checked before it is used, and nothing
in it is run: the model is built by its name from this library or from timm, without memory first, and
its tensors are held against that before any are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drivetrain import store
from drivetrain._strict import shown
from drivetrain.bundle import manifest as manifests, opening, reading
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.golden import GoldenItem
from drivetrain.bundle.guard import Guard
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.onnx import OnnxEngine
from drivetrain.bundle.target_guard import TargetsGuard
from drivetrain.bundle.verify import Verified, verify as verify_bundle
from drivetrain.errors import BundleError, ConfigError, UnknownNameError
from drivetrain.models import PictureModel, build_from
from drivetrain.models.device import default_device, threads
from drivetrain.nn.shapes import shapes_only
from drivetrain.vision import predictor as prediction
from drivetrain.vision.decode import RESIZE_METHODS, PictureError, open_picture, picture_size
from drivetrain.vision.network import Network, TorchEngine, pattern, ports
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.predictor import Predictor, channels_last
from drivetrain.vision.target_answers import predictor_of

ENGINES = ("torch", "onnx")
MOST_SIDE, MOST_PIXELS = 4096, 2048 * 2048
"""Largest height or width, and their largest product, that pictures are brought to."""
MOST_GOLDEN_PIXELS = 2**27
"""Of all golden examples together: 1,000 of 366 x 366, 32 of 2048 x 2048."""
PATTERN = "pattern_"
"""Begins the names of what was calculated for the test pattern."""
MODEL_NAME = r"[A-Za-z0-9_.\-]{1,100}"


def load(folder: store.StrPath, *, engine: str = "torch") -> Predictor:
    """The Predictor of a bundle, a run folder or a model folder; nothing in the folder is executed.

    Args:
        engine: `torch`; or `onnx`, which a bundle with a `model.onnx` can be asked for.
    Raises: RunError: there is no model in it, or it is damaged, or not for pictures. BundleError: the
        bundle is not sound. ConfigError: no such engine.
    """
    if engine not in ENGINES:
        raise ConfigError(f"`engine` must be one of {', '.join(ENGINES)}. Got {engine!r}.")
    if os.path.lexists(Path(folder) / manifests.NAME):
        return open_bundle(folder, engine=engine)
    if engine != "torch":
        raise ConfigError(
            f"{folder} is not a bundle, and only those have an ONNX model. "
            "Make one with: drivetrain export RUN -o BUNDLE --onnx"
        )
    return prediction.load(folder, build=build_from, make=predictor_of)


def open_bundle(folder: store.StrPath, *, engine: str = "torch") -> Predictor:
    """The Predictor of a bundle.

    Raises: BundleError: it is not sound, or not for pictures.
    """
    folder = Path(folder)
    return _predictor(folder, opening.open_manifest(folder), engine)


def verify(folder: store.StrPath, *, engine: str = "torch", sha256: str | None = None) -> Verified:
    """Prove a bundle: every file by its SHA-256, and its answers by its golden examples.

    It is calculated on the CPU: what other devices round differently is no change of the bundle.

    Args:
        folder: of the bundle.
        engine: what calculates: `torch` or `onnx`.
        sha256: of `bundle.json`, as `export` gave it; with it the bundle must be that very one.
    Raises: BundleError: it is not sound.
    """

    def recompute(
        folder: Path, manifest: Manifest, items: tuple[GoldenItem, ...]
    ) -> Mapping[str, Tensor]:
        predictor = _predictor(folder, manifest, engine, torch.device("cpu"))
        height, width = predictor.size
        if len(items) * height * width > MOST_GOLDEN_PIXELS:
            raise BundleError(
                f"{folder} has {len(items)} golden examples of {height} x {width} pixels, more than the "
                f"{MOST_GOLDEN_PIXELS} pixels allowed in all. Export it with fewer: --golden N."
            )
        found = outputs(predictor, [pattern(predictor)], prefix=PATTERN)
        starts = range(0, len(items), predictor.batch_size)
        batches = (items[start : start + predictor.batch_size] for start in starts)
        return found | outputs(
            predictor,
            (torch.stack([_golden(folder, manifest, one) for one in batch]) for batch in batches),
        )

    return verify_bundle(folder, recompute, engine=engine, sha256=sha256)


def outputs(
    predictor: Predictor, batches: Iterable[Tensor], *, prefix: str = ""
) -> dict[str, Tensor]:
    """All that a bundle answers, by name; of a guard its judgement too. Nothing for no batches.

    Args:
        batches: pixels (B, 3, H, W) uint8.
        prefix: of the names.
    """
    assert predictor.engine is not None, "the predictor of a bundle has one"
    with threads(predictor.num_threads):
        parts = [predictor.engine(batch) for batch in batches]
        if not parts:
            return {}
        found = {
            "logits": torch.cat([scores for scores, _ in parts]),
            "features": torch.cat([features for _, features in parts]),
        }
        if predictor.guard is not None:
            judged = predictor.guard.judge(found["logits"], found["features"])
            found |= {
                "probs": judged.probs,
                "sets": judged.sets,
                "domain_score": judged.domain_score,
                "in_domain": judged.in_domain,
            }
    return {f"{prefix}{name}": value for name, value in found.items()}


def build(
    architecture: Mapping[str, Any], where: str, *, num_classes: int | Sequence[int]
) -> PictureModel:
    """The model that an architecture names, on torch's meta device: it takes no memory.

    Args:
        architecture: its record.
        where: it stands.
        num_classes: C; of several targets that of each.

    Raises: BundleError: it is no architecture for so many classes. MissingPackageError: it needs timm.
    """
    fields = Fields(architecture, f"{where}, `architecture`,")
    description = {
        "name": fields.text("name", pattern=MODEL_NAME),
        "num_classes": _num_classes(fields, num_classes),
        "in_channels": fields.whole("in_channels", 3, 3),
        "dropout": fields.number("dropout", 0, 0.999),
    }
    fields.end()
    try:
        with shapes_only():
            return build_from(description).eval()
    except UnknownNameError as error:
        raise BundleError(
            f"{where} names the model {shown(description['name'])}, which neither Drivetrain nor this "
            "version of timm has. Install the versions that it names."
        ) from error


def _num_classes(fields: Fields, expected: int | Sequence[int]) -> int | list[int]:
    if isinstance(expected, int):
        return fields.whole("num_classes", expected, expected)
    found = fields.take("num_classes")
    if found != list(expected) or not all(type(one) is int for one in found):
        fields.wrong("num_classes", f"{list(expected)}, the classes of its targets", found)
    return found


def _predictor(
    folder: Path, manifest: Manifest, engine: str, device: torch.device | None = None
) -> Predictor:
    where = str(folder / manifests.NAME)
    if manifest.application != "vision":
        raise BundleError(f"{folder} is not a bundle of pictures.")
    size, resize, normalise = _preprocessing(manifest, where)
    model = _model(folder, manifest, where)
    if ports(size, manifest.sizes or len(manifest.classes), model.num_features) != (
        manifest.inputs,
        manifest.outputs,
    ):
        raise BundleError(
            f"{where} has a `signature` that is not that of its architecture. "
            "Take it anew from where it came from."
        )
    device = device or default_device()
    channels_last(model)
    calculates: Any = (
        OnnxEngine(folder, manifest)
        if engine == "onnx"
        else TorchEngine(Network(model, normalise).to(device))
    )
    return predictor_of(
        model,
        manifest.classes,
        manifest.targets,
        size=size,
        resize=resize,
        mean=normalise.mean,
        std=normalise.std,
        num_threads=_num_threads(manifest),
        device=device,
        engine=calculates,
        guard=_guard(folder, manifest, model.num_features),
    )


def _num_threads(manifest: Manifest) -> int | None:
    """Those that are recorded, as far as this machine has cores for them: the number is a stranger's."""
    count = manifest.num_threads
    return None if count is None else min(count, os.cpu_count() or 1)


def _preprocessing(manifest: Manifest, where: str) -> tuple[tuple[int, int], str, Normalise]:
    fields = Fields(manifest.preprocessing, f"{where}, `preprocessing`,")
    size = fields.numbers("size", 2, 1, MOST_SIDE)
    if any(side != int(side) for side in size):
        fields.refuse("has a `size` that is no whole number of pixels")
    if size[0] * size[1] > MOST_PIXELS:
        fields.refuse(f"has a `size` of more than {MOST_PIXELS} pixels")
    resize = fields.word("resize", tuple(RESIZE_METHODS))
    mean = fields.numbers("mean", 3, -1e3, 1e3)
    std = fields.numbers("std", 3, 1e-6, 1e3)
    fields.end()
    return (int(size[0]), int(size[1])), resize, Normalise(mean, std)


def _model(folder: Path, manifest: Manifest, where: str) -> PictureModel:
    """The model with its weights; they fit it, or no memory is taken for either."""
    empty = build(manifest.architecture, where, num_classes=manifest.sizes or len(manifest.classes))
    tensors = reading.read_tensors(
        folder / manifests.WEIGHTS,
        expected={name: (t.dtype, tuple(t.shape)) for name, t in empty.state_dict().items()},
        sha256=manifest.files[manifests.WEIGHTS].sha256,
        require_finite=True,
    )
    model = build_from(manifest.architecture)
    model.load_state_dict(tensors)
    return model.eval()


def _guard(folder: Path, manifest: Manifest, num_features: int) -> Guard | TargetsGuard | None:
    if manifests.GUARD not in manifest.files:
        return None
    described = opening.parse_listed(folder, manifests.GUARD, manifest)
    tensors = reading.read_tensors(
        folder / manifests.GUARD_TENSORS,
        sha256=manifest.files[manifests.GUARD_TENSORS].sha256,
        require_finite=True,
        limit=1 << 30,
    )
    names = [one.name for one in manifest.targets]
    guard = (
        TargetsGuard.from_parts(described, tensors, names, manifest.sizes)
        if names
        else Guard.from_parts(described, tensors)
    )
    if guard.num_features != num_features:
        raise BundleError(
            f"{folder / manifests.GUARD} is of a model with {guard.num_features} features, this one has "
            f"{num_features}. Take it anew from where it came from."
        )
    return guard


def _golden(folder: Path, manifest: Manifest, item: GoldenItem) -> Tensor:
    """The pixels of a golden example, (3, H, W) uint8; it has the model's size already."""
    height, width = manifest.inputs[0].shape[2:]
    assert isinstance(height, int) and isinstance(width, int), "checked with the signature"
    data = opening.check_file(folder, item.file, manifest)
    try:
        found = picture_size(data)
        if (found.format, found.height, found.width) == ("PNG", height, width):
            return open_picture(data, size=(height, width), resize="squish")
    except PictureError as error:
        raise BundleError(f"{folder / item.file} cannot be used: {error}") from error
    raise BundleError(
        f"{folder / item.file} is {found.format} of {found.height} x {found.width} pixels, expected PNG "
        f"of {height} x {width}. Take it anew from where it came from."
    )
