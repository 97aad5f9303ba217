"""A bundle of a few kilobytes whose model is one matrix: what the layer does without pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drivetrain import store
from drivetrain.bundle import manifest as manifests, opening, reading
from drivetrain.bundle.golden import Golden, GoldenItem
from drivetrain.bundle.manifest import Manifest, Port
from drivetrain.bundle.verify import Verified, verify
from drivetrain.bundle.write import Contents, write

CLASSES = ("cat", "dog", "owl")
INPUTS = {"golden/0.png": b"\x01\x09", "golden/1.png": b"\x07\x02"}
WEIGHTS = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.5, 0.5]])


def answers(weights: Tensor, scale: float, inputs: list[bytes]) -> dict[str, Tensor]:
    pattern = torch.tensor([[3.0, 4.0]])
    found = {"pattern_logits": pattern @ weights.T * scale}
    if inputs:
        found["logits"] = (
            torch.tensor([[float(b) for b in one] for one in inputs]) @ weights.T * scale
        )
    return found


def recompute(
    folder: Path, manifest: Manifest, items: tuple[GoldenItem, ...]
) -> Mapping[str, Tensor]:
    tensors = reading.read_tensors(
        folder / manifests.WEIGHTS,
        expected={"w": (torch.float32, (3, 2))},
        sha256=manifest.files[manifests.WEIGHTS].sha256,
    )
    inputs = [opening.check_file(folder, item.file, manifest) for item in items]
    return answers(tensors["w"], manifest.preprocessing["scale"], inputs)


def contents(*, weights: Tensor = WEIGHTS, scale: float = 0.5, **options: Any) -> Contents:
    outputs = answers(weights, scale, list(INPUTS.values()))
    labels = [CLASSES[int(index)] for index in outputs["logits"].argmax(dim=1)]
    items = tuple(
        GoldenItem(file, label, label) for file, label in zip(INPUTS, labels, strict=True)
    )
    manifest = Manifest(
        application="vision",
        architecture={"name": "matrix"},
        preprocessing={"scale": scale},
        classes=CLASSES,
        inputs=(Port("pixels", "uint8", ("batch", 2), (0.0, 255.0), "Two numbers."),),
        outputs=(Port("logits", "float32", ("batch", 3), None, "Scores."),),
        num_threads=1,
        tolerance=1e-4,
        training={"data": "pets"},
        versions={"torch": torch.__version__},
    )
    made = Contents(
        manifest,
        {"w": weights},
        {"num_labels": 3},
        "# A card\n",
        Golden(items, outputs),
        golden_inputs=INPUTS,
    )
    return replace(made, **options)


def proved(folder: Path) -> Verified:
    return verify(folder, recompute)


def made(folder: Path, **options: Any) -> Path:
    write(folder, contents(**options), prove=proved)
    return folder


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Change a file and every hash that stands for it, as somebody would who knows how."""
    (folder / name).write_bytes(data)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != manifests.NAME
    }
    manifest = opening.read_manifest(folder / manifests.NAME).with_files(files)
    (folder / manifests.NAME).write_bytes(store.json_bytes(manifest.to_json()))


def resign(folder: Path, **changes: Any) -> None:
    """Change entries of bundle.json, with a `digest` that fits."""
    manifest = replace(opening.read_manifest(folder / manifests.NAME), **changes)
    (folder / manifests.NAME).write_bytes(store.json_bytes(manifest.to_json()))
