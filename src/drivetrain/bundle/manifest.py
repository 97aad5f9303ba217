"""`bundle.json`: what a bundle is, and the SHA-256 of everything else in it.

A changed byte is found wherever it is: in another file by that file's SHA-256 here, in this one by
`digest`, which is over all other entries. That finds accidents and careless edits; whoever changes a
bundle on purpose can also write new hashes. Against that stands the SHA-256 of `bundle.json` itself:
`drivetrain export` prints it, and `drivetrain verify --sha256` asks for it. Reading it: `opening`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drivetrain import store

FORMAT = 1
NAME = "bundle.json"
APPLICATIONS = ("vision", "tabular", "text", "collab")

WEIGHTS, CONFIG, CARD, PREDICTOR = "model.safetensors", "config.json", "README.md", "predict.py"
GOLDEN, GOLDEN_TENSORS, GOLDEN_INPUTS = "golden.json", "golden.safetensors", "golden/*"
GUARD, GUARD_TENSORS, ONNX = "guard.json", "guard.safetensors", "model.onnx"
TOKENIZER = "tokenizer.json"
CATALOGUE = "catalogue.safetensors"
"""Names of users and items, titles, and how often and how each item was rated; of ratings."""
REQUIRED = (WEIGHTS, CONFIG, CARD, GOLDEN, GOLDEN_TENSORS)
OPTIONAL = (PREDICTOR, GOLDEN_INPUTS, GUARD, GUARD_TENSORS, ONNX, TOKENIZER, CATALOGUE)

LEFT_BY_OTHERS = (
    *(".gitattributes", ".gitignore", ".DS_Store"),
    *(".cache/huggingface/*", ".cache/huggingface/download/*"),
    ".cache/huggingface/download/golden/*",
)
"""What git, the Hub's client and a Mac leave beside the files: never read, and no reason to refuse."""

MOST_GOLDEN = 1_000
"""Examples of a bundle."""


@dataclass(frozen=True)
class Port:
    """One input or output of what the bundle calculates."""

    name: str
    dtype: str
    """torch's name, such as `uint8`."""
    shape: tuple[int | str, ...]
    """Sizes; `batch` stands for any number of items, `tokens` for the ids of the longest text."""
    range: tuple[float, float] | None
    """Lowest and highest value; None where there is no bound."""
    meaning: str
    """One sentence."""

    def to_json(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "range": None if self.range is None else list(self.range),
            "meaning": self.meaning,
        }


@dataclass(frozen=True)
class TargetOf:
    """One of several targets of a model."""

    name: str
    classes: tuple[str, ...]
    """Labels in the order of its scores."""
    weight: float
    """How much it counts in the loss."""

    def to_json(self) -> dict[str, Any]:
        """The record as JSON."""
        return {"name": self.name, "classes": list(self.classes), "weight": self.weight}


@dataclass(frozen=True)
class FileRecord:
    """What is known of a file."""

    sha256: str
    bytes: int

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """The record of these bytes."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))


@dataclass(frozen=True)
class OnnxRecord:
    """What was found when the ONNX model was made."""

    largest_difference: float
    """From torch's outputs on the golden inputs; see `golden.largest_difference`."""
    tolerance: float
    opset: int

    def to_json(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
            "opset": self.opset,
        }


@dataclass(frozen=True)
class Manifest:
    """What `bundle.json` says."""

    application: str
    """One of `APPLICATIONS`, which knows what the next two mean."""
    architecture: Mapping[str, Any]
    """From which the model is built, without its weights."""
    preprocessing: Mapping[str, Any]
    """How an input as people have it becomes the model's input."""
    classes: tuple[str, ...]
    """Labels in the order of the scores; empty where numbers are predicted, or several targets."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    num_threads: int | None
    """With which the golden outputs were calculated: the last bits can depend on it."""
    tolerance: float
    """How far golden outputs may be from those that another machine calculates."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Told of, never used: data, results, seed."""
    versions: Mapping[str, str] = field(default_factory=dict)
    onnx: OnnxRecord | None = None
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    """Path within the folder -> what it must be; all files but `bundle.json`."""
    targets: tuple[TargetOf, ...] = ()
    """Where there are several: each with its classes, in the order of the scores."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """C_1 … C_T, classes of each of several targets."""
        return tuple(len(one.classes) for one in self.targets)

    def to_json(self) -> dict[str, Any]:
        """The content of `bundle.json`."""
        value: dict[str, Any] = {
            "format": FORMAT,
            "application": self.application,
            "architecture": dict(self.architecture),
            "preprocessing": dict(self.preprocessing),
            "classes": list(self.classes),
            **({"targets": [one.to_json() for one in self.targets]} if self.targets else {}),
            "signature": {
                "inputs": [port.to_json() for port in self.inputs],
                "outputs": [port.to_json() for port in self.outputs],
            },
            "num_threads": self.num_threads,
            "tolerance": self.tolerance,
            "onnx": None if self.onnx is None else self.onnx.to_json(),
            "training": dict(self.training),
            "versions": dict(self.versions),
            "files": {
                name: {"sha256": self.files[name].sha256, "bytes": self.files[name].bytes}
                for name in sorted(self.files)
            },
        }
        return value | {"digest": digest_of(value)}

    def with_files(self, files: Mapping[str, bytes]) -> Manifest:
        """The same with the records of these files."""
        return replace(self, files={name: FileRecord.of(data) for name, data in files.items()})


def digest_of(value: Mapping[str, Any]) -> str:
    """SHA-256 over the text of all entries but `digest` itself."""
    return hashlib.sha256(store.json_bytes(value)).hexdigest()
