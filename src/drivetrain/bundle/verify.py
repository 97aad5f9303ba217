"""Proof that a bundle is the one that was made, and that it gives here the answers it gave there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from drivetrain import _strict, store
from drivetrain.bundle import golden, manifest as manifests, opening
from drivetrain.bundle.golden import GoldenItem
from drivetrain.bundle.manifest import Manifest
from drivetrain.errors import BundleError

Recompute = Callable[[Path, Manifest, tuple[GoldenItem, ...]], Mapping[str, Tensor]]
"""Calculates the outputs of a bundle for its golden examples anew, by name."""


@dataclass(frozen=True)
class Verified:
    """What was found sound."""

    folder: str
    sha256: str
    """Of `bundle.json`, which stands for the whole bundle."""
    application: str
    files: int
    """Held against their SHA-256."""
    bytes: int
    """Of all of them."""
    golden: int
    """Examples that were calculated anew, beside the test pattern."""
    largest_difference: float
    """Of what was calculated from what is recorded; see `golden.largest_difference`."""
    tolerance: float
    engine: str
    """What calculated: `torch` or `onnx`."""

    def named(self, folder: str) -> Verified:
        """The same of a folder that has another name by now."""
        return replace(self, folder=folder)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "bundle": self.folder,
            "sha256": self.sha256,
            "application": self.application,
            "files": self.files,
            "bytes": self.bytes,
            "golden": self.golden,
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
            "engine": self.engine,
        }

    def __str__(self) -> str:
        examples = (
            f"{self.golden} golden {'example' if self.golden == 1 else 'examples'} and the test"
        )
        return (
            f"{self.folder} is sound: {self.files} files, {self.bytes:,} bytes.\n"
            f"{examples if self.golden else 'The test'} pattern calculated by {self.engine}: the largest "
            f"difference is {self.largest_difference:.3g}, allowed is {self.tolerance:g}.\n"
            f"SHA-256 of bundle.json: {self.sha256}"
        )


def verify(
    folder: store.StrPath,
    recompute: Recompute,
    *,
    engine: str = "torch",
    sha256: str | None = None,
) -> Verified:
    """Check every file of a bundle, and calculate its golden examples anew.

    Args:
        recompute: the application's.
        engine: what `recompute` calculates with.
        sha256: of `bundle.json`, as `export` printed it: the proof that it is the very bundle.

    Raises: BundleError: what is wrong, in one sentence.
    """
    folder = Path(folder)
    manifest = opening.open_manifest(folder)
    found = opening.sha256_of(folder)
    if sha256 is not None and sha256.lower() != found:
        raise BundleError(
            f"{folder} is not the bundle that was asked for: the SHA-256 of its {manifests.NAME} is "
            f"{found}. Ask whoever made it which one is right."
        )
    for name, record in manifest.files.items():
        if _sha256(folder / name, record.bytes) != record.sha256:
            raise BundleError(
                f"{folder / name} was changed: its SHA-256 is not the one recorded. "
                "Take it anew from where it came from."
            )
    known = golden.read_golden(folder, manifest)
    outputs = recompute(folder, manifest, known.items)
    difference = golden.largest_difference(known.expected, outputs)
    tolerance = manifest.tolerance
    if engine == "onnx" and manifest.onnx is not None:
        tolerance = manifest.onnx.tolerance
    labels: list[Any] = [item.said or item.predicted for item in known.items]
    if known.items and manifest.targets:
        labels = golden.predicted_of_targets(outputs["logits"], manifest.targets)
    if known.items and manifest.classes:
        scores = outputs["logits" if "logits" in outputs else "outputs"]
        labels = golden.predicted(scores, manifest.classes)
    other = [
        one.file
        for one, label in zip(known.items, labels, strict=True)
        if (one.said or one.predicted) != label
    ]
    if difference > tolerance or other:
        which = f" ({other[0]} gets another label)" if other else ""
        raise BundleError(
            f"{folder} gives other answers than it was made with: golden outputs differ by "
            f"{difference:.3g}{which}, allowed is {tolerance:g}. Do not use it here; export it again, or "
            "install the versions that its bundle.json names."
        )
    return Verified(
        folder=str(folder),
        sha256=found,
        application=manifest.application,
        files=len(manifest.files) + 1,
        bytes=sum(record.bytes for record in manifest.files.values())
        + (folder / manifests.NAME).stat().st_size,
        golden=len(known.items),
        largest_difference=difference,
        tolerance=tolerance,
        engine=engine,
    )


def _sha256(path: Path, limit: int) -> str:
    """SHA-256 of a plain file, read in pieces.

    Raises: BundleError: it is none, or longer than `limit`.
    """
    digest = hashlib.sha256()
    try:
        descriptor, _ = _strict.open_regular(path, limit=limit)
        with open(descriptor, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read: {error}. Take it anew from where it came from."
        ) from error
    return digest.hexdigest()
