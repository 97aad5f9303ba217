"""Opening a bundle: what a stranger wrote into `bundle.json`, checked before anything of it is used.

The text of `bundle.json` must be exactly the one that its entries are written as, so no byte of it is
without a meaning, and every file is held against the SHA-256 that stands there.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from drivetrain import store
from drivetrain._strict import shown
from drivetrain.bundle import reading
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.manifest import (
    APPLICATIONS,
    CATALOGUE,
    FORMAT,
    GUARD,
    GUARD_TENSORS,
    LEFT_BY_OTHERS,
    NAME,
    ONNX,
    OPTIONAL,
    REQUIRED,
    TOKENIZER,
    WEIGHTS,
    FileRecord,
    Manifest,
    OnnxRecord,
    Port,
    TargetOf,
    digest_of,
)
from drivetrain.errors import BundleError
from drivetrain.models.device import MOST_THREADS

MOST_CLASSES = 100_000
MOST_TARGETS = 1_000
MOST_WEIGHT = 1e9
LETTERS_OF_LABEL = 1_000
MOST_BYTES = 64 << 20
"""Of `bundle.json`: a hundred thousand labels fit."""
ANY_SIZE = ("batch", "tokens")
"""Stand for a size that is another each time: items, and the ids of the longest text among them."""
_SHA256 = r"[0-9a-f]{64}"


def open_manifest(folder: store.StrPath) -> Manifest:
    """What a bundle is, where its files are those it names, by name and number of bytes.

    No other file is opened; what is opened later is held against its SHA-256.
    Raises: BundleError: it is no bundle, or a file is missing, there beside, or of another length.
    """
    folder = Path(folder)
    if folder.is_dir() and not os.path.lexists(folder / NAME):
        raise BundleError(f"{folder} is not a bundle: it has no {NAME}.")
    found = reading.check_folder(folder, allowed=(NAME, *REQUIRED, *OPTIONAL, *LEFT_BY_OTHERS))
    manifest = read_manifest(folder / NAME)
    ours = {name: size for name, size in found.items() if _is_part(name)}
    for name in sorted({*manifest.files, *ours}):
        if name not in ours:
            why = f"{name} is missing"
        elif name not in manifest.files:
            why = f"it holds {shown(name)}, which {NAME} does not name"
        elif ours[name] != manifest.files[name].bytes:
            why = f"{name} has {ours[name]} bytes, {manifest.files[name].bytes} are recorded"
        else:
            continue
        raise BundleError(f"{folder} cannot be used: {why}. Take it anew from where it came from.")
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read and check `bundle.json` by itself.

    Raises: BundleError.
    """
    value = reading.read_json(path, limit=MOST_BYTES, max_letters=LETTERS_OF_LABEL * 4)
    version = value.get("format")
    if version != FORMAT:
        raise BundleError(
            f"{path} has the form {shown(repr(version))}, this version of Drivetrain reads {FORMAT}. "
            "Open it with the version that made it."
        )
    given = dict(value)
    digest = given.pop("digest", None)
    manifest = _checked(value, str(path))
    written = store.json_bytes(value)
    if digest != digest_of(given) or reading.read_bytes(path, limit=MOST_BYTES) != written:
        raise BundleError(
            f"{path} was changed after it was written: its text is not that of its `digest`. "
            "Take it anew from where it came from."
        )
    return manifest


def check_file(folder: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of a file that the manifest names.

    Raises: BundleError: they are not those that were written.
    """
    record = manifest.files[name]
    data = reading.read_bytes(folder / name, limit=record.bytes)
    if FileRecord.of(data) != record:
        raise BundleError(
            f"{folder / name} cannot be used: its SHA-256 is not the one recorded. "
            "Take it anew from where it came from."
        )
    return data


def sha256_of(folder: store.StrPath) -> str:
    """SHA-256 of `bundle.json`, which stands for the whole bundle."""
    return hashlib.sha256(reading.read_bytes(Path(folder) / NAME, limit=MOST_BYTES)).hexdigest()


def parse_listed(folder: Path, name: str, manifest: Manifest) -> dict[str, Any]:
    """The JSON object in a file that the manifest names, whose bytes are those that were written.

    Raises: BundleError.
    """
    check_file(folder, name, manifest)
    return reading.read_json(folder / name)


def check_signature(
    manifest: Manifest, ports: tuple[tuple[Port, ...], tuple[Port, ...]], where: str
) -> None:
    """Whether a manifest says the inputs and outputs that a model has.

    Args:
        manifest: of the bundle.
        ports: inputs and outputs of the model that was built.
        where: the manifest's file, for the error.

    Raises: BundleError: it says others.
    """
    if ports != (manifest.inputs, manifest.outputs):
        raise BundleError(
            f"{where} has a `signature` that is not that of its architecture. "
            "Take it anew from where it came from."
        )


def read_weights(folder: Path, manifest: Manifest, expected: reading.Expected) -> dict[str, Tensor]:
    """The weights, held against what the architecture needs before memory is taken for them.

    Args:
        folder: of the bundle.
        manifest: what its `bundle.json` says.
        expected: name -> dtype and shape.

    Raises: BundleError: they are others, not those that were written, or not finite.
    """
    return reading.read_tensors(
        folder / WEIGHTS,
        expected=expected,
        sha256=manifest.files[WEIGHTS].sha256,
        require_finite=True,
    )


def num_threads(manifest: Manifest) -> int | None:
    """Those that are recorded, as far as this machine has cores for them: the number is a stranger's."""
    count = manifest.num_threads
    return None if count is None else min(count, os.cpu_count() or 1)


def _is_part(name: str) -> bool:
    return name != NAME and not name.startswith(".")


def _checked(value: dict[str, Any], where: str) -> Manifest:
    fields = Fields(value, where)
    fields.whole("format", FORMAT, FORMAT)
    application = fields.word("application", APPLICATIONS)
    signature = fields.inner("signature")
    onnx = _onnx(fields)
    targets = _targets(fields) if application == "vision" and "targets" in value else ()
    manifest = Manifest(
        application=application,
        architecture=_plain(fields, "architecture"),
        preprocessing=_plain(fields, "preprocessing"),
        classes=_classes(fields, application, targets),
        inputs=_ports(signature, "inputs"),
        outputs=_ports(signature, "outputs"),
        num_threads=_maybe_whole(fields, "num_threads", 1, MOST_THREADS),
        tolerance=fields.number("tolerance", 0, 0.01),
        onnx=onnx,
        training=_plain(fields, "training"),
        versions=_versions(fields),
        files=_files(fields, application, has_onnx=onnx is not None),
        targets=targets,
    )
    signature.end()
    fields.text("digest", pattern=_SHA256)
    fields.end()
    return manifest


def _plain(fields: Fields, name: str) -> dict[str, Any]:
    value = fields.take(name)
    if not isinstance(value, dict):
        fields.wrong(name, "an object", value)
    return value


def _classes(fields: Fields, application: str, targets: tuple[TargetOf, ...]) -> tuple[str, ...]:
    found = _labels(fields, least=1 if application == "vision" and not targets else 0)
    if targets and found:
        fields.refuse("has `classes` beside its `targets`, each of which has its own")
    return found


def _targets(fields: Fields) -> tuple[TargetOf, ...]:
    found: dict[str, TargetOf] = {}
    entries = fields.inners("targets", most=MOST_TARGETS)
    if len(entries) < 2:
        fields.refuse("has `targets` that are not two or more")
    for entry in entries:
        name = entry.text("name", most=LETTERS_OF_LABEL)
        if name in found:
            fields.refuse("has a target twice among its `targets`")
        classes = _labels(entry, least=1)
        found[name] = TargetOf(name, classes, entry.number("weight", 0, MOST_WEIGHT))
        entry.end()
    targets = tuple(found.values())
    if sum(len(one.classes) for one in targets) > MOST_CLASSES:
        fields.refuse(f"has more than {MOST_CLASSES} classes among its `targets`")
    if not any(one.weight for one in targets):
        fields.refuse("has `targets` whose weights are all 0")
    return targets


def _labels(fields: Fields, *, least: int) -> tuple[str, ...]:
    value = fields.take("classes")
    if not isinstance(value, list) or not least <= len(value) <= MOST_CLASSES:
        fields.wrong("classes", f"a list of {least} to {MOST_CLASSES} labels", value)
    for label in value:
        if not isinstance(label, str) or not 1 <= len(label) <= LETTERS_OF_LABEL:
            fields.wrong("classes", f"labels of 1 to {LETTERS_OF_LABEL} letters", label)
    if len(set(value)) != len(value):
        fields.refuse("has a label twice among its `classes`")
    return tuple(value)


def _ports(signature: Fields, name: str) -> tuple[Port, ...]:
    ports = []
    for entry in signature.inners(name, most=16):
        shape = entry.take("shape")
        if not isinstance(shape, list) or not 1 <= len(shape) <= 8:
            entry.wrong("shape", "a list of 1 to 8 sizes", shape)
        for size in shape:
            if size not in ANY_SIZE and (type(size) is not int or not 1 <= size <= 1_000_000):
                entry.wrong("shape", "`batch`, `tokens`, or sizes from 1 to 1000000", size)
        bounds = entry.take("range")
        if bounds is not None:
            bounds = Fields({"range": bounds}, entry.where).numbers("range", 2, -1e12, 1e12)
        ports.append(
            Port(
                name=entry.text("name", pattern=r"[a-z_]{1,64}"),
                dtype=entry.word("dtype", ("uint8", "int64", "float32", "float64", "bool")),
                shape=tuple(shape),
                range=None if bounds is None else (bounds[0], bounds[1]),
                meaning=entry.text("meaning"),
            )
        )
        entry.end()
    return tuple(ports)


def _maybe_whole(fields: Fields, name: str, low: int, high: int) -> int | None:
    value = fields.take(name)
    return None if value is None else Fields({name: value}, fields.where).whole(name, low, high)


def _onnx(fields: Fields) -> OnnxRecord | None:
    value = fields.take("onnx")
    if value is None:
        return None
    entry = Fields(value, f"{fields.where}, `onnx`,")
    record = OnnxRecord(
        largest_difference=entry.number("largest_difference", 0, 1),
        tolerance=entry.number("tolerance", 0, 0.01),
        opset=entry.whole("opset", 1, 1000),
    )
    entry.end()
    return record


def _versions(fields: Fields) -> dict[str, str]:
    value = _plain(fields, "versions")
    for name, version in value.items():
        if not isinstance(version, str) or len(version) > 100 or len(name) > 100:
            fields.wrong("versions", "names and versions", {name: version})
    return value


def _files(fields: Fields, application: str, *, has_onnx: bool) -> dict[str, FileRecord]:
    names = _plain(fields, "files")
    found = {}
    for name, entry in names.items():
        record = Fields(entry, f"{fields.where}, `files`, {shown(name)},")
        found[name] = FileRecord(
            record.text("sha256", pattern=_SHA256), record.whole("bytes", 0, reading.MOST_BYTES)
        )
        record.end()
    for name in REQUIRED:
        if name not in found:
            fields.refuse(f"does not name {name} among its `files`")
    if (GUARD in found) != (GUARD_TENSORS in found):
        fields.refuse(f"names only one of {GUARD} and {GUARD_TENSORS} among its `files`")
    if (ONNX in found) != has_onnx:
        fields.refuse(f"does not say the same of {ONNX} under `onnx` and `files`")
    if (TOKENIZER in found) != (application == "text"):
        fields.refuse(f"names {TOKENIZER} among its `files` where it is not of texts, or does not")
    if (CATALOGUE in found) != (application == "collab"):
        fields.refuse(
            f"names {CATALOGUE} among its `files` where it is not of ratings, or does not"
        )
    return found
