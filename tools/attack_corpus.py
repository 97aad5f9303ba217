"""Hostile folders, made from harmless markers: what a stranger could send instead of a run or a bundle.

Each attack takes a folder that is sound and spoils one thing in it, hashes made right again, so that it
comes as far as it can. What a payload would do, were it run, is to make one empty folder: the marker.
tests/security sends each through every way there is of opening a folder.

    python tools/attack_corpus.py --list                     the names
    python tools/attack_corpus.py --write RUN OUT            each as a folder of its own
    python tools/attack_corpus.py --soak 100000 [--seed S]   mutations of a small model, as the tests do
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MARKER = "marker"
VICTIM = "victim.txt"
VICTIM_TEXT = "Nobody may change this line.\n"


class Place:
    """A folder that is going to be spoilt.

    Args:
        folder: a copy of a run, or of a bundle.
        outside: a folder beside it, which holds the victim and in which the marker would appear.
    """

    def __init__(self, folder: Path, outside: Path) -> None:
        self.folder = folder
        self.outside = outside
        self.is_bundle = (folder / "bundle.json").exists()
        inner = folder if self.is_bundle or not (folder / "model").is_dir() else folder / "model"
        self.weights = inner / "model.safetensors"
        self.description = folder / "bundle.json" if self.is_bundle else inner / "model.json"
        self.record = folder / "run.json"

    @property
    def position(self) -> Path:
        """The JSON of the newest checkpoint."""
        return max((self.folder / "checkpoints").glob("epoch-*.json"))

    @property
    def marker(self) -> Path:
        """What must never appear."""
        return self.outside / MARKER

    @property
    def victim(self) -> Path:
        """What must never change."""
        return self.outside / VICTIM

    def read(self) -> dict[str, Any]:
        """The description, with a model's names for the entries."""
        value = json.loads(self.description.read_text())
        return _renamed_entry(value, "architecture", "model") if self.is_bundle else value

    def write(self, value: Mapping[str, Any]) -> None:
        """Write the description, so that no hash of it is wrong."""
        value = dict(value)
        if self.is_bundle:
            value = _renamed_entry(value, "model", "architecture")
            value.pop("digest", None)
            value["digest"] = hashlib.sha256(_text(value)).hexdigest()
        self.description.write_bytes(_text(value))

    def seal(self) -> None:
        """Make the hashes right again after a file was spoilt."""
        unreadable = (ValueError, OSError, KeyError, TypeError, AttributeError, RecursionError)
        with contextlib.suppress(*unreadable):  # what is no description has no hashes either
            value = self.read()
            if not self.is_bundle:
                value["sha256"] = _sha256(self.weights)
            else:
                for path in self.folder.rglob("*"):
                    name = path.relative_to(self.folder).as_posix()
                    if name in value["files"]:
                        value["files"][name] = {
                            "sha256": _sha256(path),
                            "bytes": path.stat().st_size,
                        }
            self.write(value)


def _renamed_entry(value: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The same entries in the same order, one under another name."""
    return {new if name == old else name: entry for name, entry in value.items()}


@dataclass(frozen=True)
class Attack:
    """One way of spoiling a folder."""

    name: str
    kinds: tuple[str, ...]
    """Of which folders: `run`, `bundle`; `cut` is a run that waits for `resume`, with a checkpoint;
    `table-run` and `table-bundle` are of a model of tables, `text-bundle` of one of texts."""
    spoil: Callable[[Place], None]


BOTH, RUN, BUNDLE, CUT = ("run", "bundle"), ("run",), ("bundle",), ("cut",)
TABLES, TABLE_RUN, TABLE_BUNDLE = ("table-run", "table-bundle"), ("table-run",), ("table-bundle",)
TEXT_BUNDLE = ("text-bundle",)
RUNS, BUNDLES = RUN + TABLE_RUN, BUNDLE + TABLE_BUNDLE + TEXT_BUNDLE
ALL = BOTH + TABLES + TEXT_BUNDLE


def attacks() -> list[Attack]:
    """All of them; names are unique."""
    found: list[Attack] = []
    for name, payload in PAYLOADS.items():
        found += [
            Attack(f"{name}-as-weights", ALL, _replacing("weights", payload)),
            Attack(f"{name}-as-description", ALL, _replacing("description", payload)),
        ]
    for name in OTHER_FILES:
        for payload in ("pickle-4", "torch-zip", "zip-with-pickle"):
            kinds = RUN if name in _OF_RUNS else BUNDLES
            kinds = TABLE_BUNDLE if name in _OF_TABLES else kinds
            found.append(Attack(f"{payload}-as-{name}", kinds, _file(name, PAYLOADS[payload])))
    for name in ("onnx-above", "onnx-absolute"):
        found.append(Attack(f"{name}-as-model.onnx", BUNDLES, _file("model.onnx", PAYLOADS[name])))
    for name, spoil in TENSORS.items():
        found.append(Attack(name, ALL, _spoilt_tensors(spoil)))
        for file in ("golden", "guard"):
            spoilt = _spoilt_tensors(spoil, f"{file}.safetensors")
            found.append(Attack(f"{name}-{file}", BUNDLES, spoilt))
    found += [Attack(name, BOTH, _edited(edit)) for name, edit in DESCRIPTIONS.items()]
    found += [Attack(f"table-{name}", TABLES, _edited(edit)) for name, edit in TABLE_EDITS.items()]
    found += [Attack(name, TABLE_BUNDLE, spoil) for name, spoil in TABLE_FILES.items()]
    found += [Attack(f"text-{name}", TEXT_BUNDLE, spoil) for name, spoil in TEXT_EDITS.items()]
    found += [Attack(name, RUN, _edited_record(edit)) for name, edit in RECORDS.items()]
    found += [Attack(name, kinds, spoil) for name, (kinds, spoil) in FOLDERS.items()]
    found += [
        Attack(f"{name}-checkpoint", CUT, _checkpoint(edit)) for name, edit in POSITIONS.items()
    ]
    for name, spoil in (TENSORS | MOMENTS).items():
        found.append(Attack(f"{name}-checkpoint", CUT, _spoilt_checkpoint(spoil)))
    for name in ("pickle-0", "pickle-4", "torch-zip", "torch-legacy", "zeros", "nothing"):
        found.append(Attack(f"{name}-as-checkpoint", CUT, _spoilt_checkpoint_file(PAYLOADS[name])))
    for name, text in TEXTS.items():
        found.append(
            Attack(f"{name}-as-checkpoint", CUT, _replacing("position", lambda _, t=text: t()))
        )
        found.append(
            Attack(f"{name}-as-text", ALL, _replacing("description", lambda _, t=text: t()))
        )
        for file in ("golden.json", "guard.json"):
            found.append(Attack(f"{name}-as-{file}", BUNDLES, _file(file, lambda _, t=text: t())))
        rows = _file("golden/rows.json", lambda _, t=text: t())
        found.append(Attack(f"{name}-as-golden-rows", TABLE_BUNDLE, rows))
        for file in ("tokenizer.json", "golden/texts.json"):
            spoil = _file(file, lambda _, t=text: t())
            found.append(Attack(f"{name}-as-{file}", TEXT_BUNDLE, spoil))
        found.append(Attack(f"{name}-as-record", RUN, _replacing("record", lambda _, t=text: t())))
    return found


# --- programs in the clothes of data --------------------------------------------------------------


def _pickle(marker: Path, *, protocol: int = 0, call: str = "posix\nmkdir") -> bytes:
    """A pickle, written by hand, that would call `call(marker)`."""
    head = b"" if protocol < 2 else b"\x80" + bytes([protocol])
    return head + b"c" + call.encode() + b"\n(V" + str(marker).encode() + b"\ntR."


def _zip(files: Mapping[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return memory.getvalue()


def _npy(data: bytes, dtype: str = "|O") -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': (1,), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


def _field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    size, length = b"", len(data)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def _onnx(location: str) -> bytes:
    """An ONNX model whose one tensor lies in another file."""
    entry = _field(1, b"location") + _field(2, location.encode())
    tensor = b"\x08\x01\x10\x01" + _field(8, b"w") + _field(13, entry) + b"\x70\x01"
    return b"\x08\x08" + _field(7, _field(2, b"g") + _field(5, tensor))


def _sourced(text: str) -> Callable[[Path], bytes]:
    return lambda marker: text.replace("MARKER", str(marker)).encode()


def _keras(marker: Path) -> bytes:
    code = {"class_name": "__lambda__", "config": {"value": "4wAAAAAAAAAAAAAA", "defaults": None}}
    layers = [
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": code}},
        {"module": "os", "class_name": "mkdir", "config": {"path": str(marker)}},
    ]
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": layers}}
    return json.dumps(config).encode()


_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
"""With what a checkpoint of old versions of torch begins."""
_SIDE = 2**31 - 1

PAYLOADS: dict[str, Callable[[Path], bytes]] = {
    **{f"pickle-{p}": lambda m, p=p: _pickle(m, protocol=p) for p in range(6)},
    "pickle-system": lambda m: _pickle(Path(f"mkdir {m}"), call="posix\nsystem", protocol=2),
    "pickle-exec": lambda m: _pickle(Path(f"import os; os.mkdir('{m}')"), call="builtins\nexec"),
    "pickle-popen": lambda m: _pickle(m, call="subprocess\nPopen", protocol=3),
    "pickle-import": lambda m: _pickle(Path("evil_module"), call="importlib\nimport_module"),
    "pickle-gzip": lambda m: gzip.compress(_pickle(m)),
    "joblib": lambda m: zlib.compress(b"\x80\x04" + _pickle(m, call="joblib.numpy_pickle\nload")),
    "torch-zip": lambda m: _zip(
        {"archive/data.pkl": _pickle(m, protocol=2), "archive/version": b"3\n"}
    ),
    "torch-legacy": lambda m: _LEGACY + _pickle(m),
    "torch-export": lambda m: _zip(
        {
            "a/archive_format": b"pt2",
            "a/models/model.json": b"{}",
            "a/data/sample_inputs/model.pt": _zip({"archive/data.pkl": _pickle(m)}),
        }
    ),
    "torchscript": lambda m: _zip(
        {
            "m/data.pkl": _pickle(m, protocol=2),
            "m/constants.pkl": _pickle(m, protocol=2),
            "m/code/__torch__.py": f"import os\nos.mkdir({str(m)!r})\n".encode(),
            "m/version": b"3\n",
        }
    ),
    "zip-with-pickle": lambda m: _zip({"../../evil_module.py": b"", "model.pkl": _pickle(m)}),
    "keras-zip": lambda m: _zip({"config.json": _keras(m), "metadata.json": b"{}"}),
    "keras-json": _keras,
    "gguf": lambda m: (
        b"GGUF\x03\x00\x00\x00" + b"\xff" * 16 + f"{{{{ os.mkdir('{m}') }}}}".encode()
    ),
    "npy-objects": lambda m: _npy(_pickle(m)),
    "npz-objects": lambda m: _zip({"arr_0.npy": _npy(_pickle(m))}),
    "npy-huge": lambda m: _npy(b"").replace(b"(1,)", b"(9" + b"9" * 14 + b",)"),
    "onnx-above": lambda m: _onnx("../victim.txt"),
    "onnx-absolute": lambda m: _onnx("/etc/passwd"),
    "hdf5-link": lambda m: b"\x89HDF\r\n\x1a\n" + b"\x00" * 40 + b"external:/etc/passwd\x00//w\x00",
    "yaml-object": _sourced("!!python/object/apply:os.mkdir ['MARKER']\n"),
    "yaml-new": _sourced("!!python/object/new:os.system ['mkdir MARKER']\n"),
    "python-source": _sourced("import os\nos.mkdir('MARKER')\n"),
    "python-expression": _sourced("__import__('os').mkdir('MARKER')"),
    "shell-script": _sourced("#!/bin/sh\nmkdir MARKER\n"),
    "elf": lambda m: b"\x7fELF\x02\x01\x01" + b"\x00" * 200 + str(m).encode(),
    "template": _sourced("{{ ''.__class__.__mro__[1].__subclasses__() }}{% MARKER %}"),
    "xml-entities": _sourced('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
    "bytecode": lambda m: b"\xa7\x0d\x0d\x0a" + b"\x00" * 12 + b"\xe3" + b"\x00" * 40,
    "zeros": lambda m: bytes(4096),
    "ones": lambda m: b"\xff" * 4096,
    "nothing": lambda m: b"",
    "picture": lambda m: (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    ),
}
"""Name -> bytes that some program or other would run, for a path of the marker."""

_OF_RUNS = ("run.json", "split.json", "log.jsonl", "quarantine.jsonl")
_OF_TABLES = ("golden/rows.json",)
OTHER_FILES = (
    *_OF_RUNS,
    *_OF_TABLES,
    *("config.json", "README.md", "predict.py", "model.onnx", "golden.json", "golden.safetensors"),
    *("guard.json", "guard.safetensors", "golden/0.png"),
)


def _replacing(role: str, payload: Callable[[Path], bytes]) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        getattr(place, role).write_bytes(payload(place.marker))
        place.seal()

    return spoil


def _file(name: str, payload: Callable[[Path], bytes]) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        path = place.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(payload(place.marker))
        if place.is_bundle:
            value = place.read()
            value["files"][name] = {"sha256": _sha256(path), "bytes": path.stat().st_size}
            if name.startswith("guard."):  # the two come together
                other = {"guard.json": "guard.safetensors", "guard.safetensors": "guard.json"}[name]
                (place.folder / other).touch()
                value["files"].setdefault(
                    other, {"sha256": _sha256(place.folder / other), "bytes": 0}
                )
            place.write(value)
            place.seal()

    return spoil


# --- tensors --------------------------------------------------------------------------------------

_FLOATS = ("F32", "F64")
Header = dict[str, Any]
Spoiling = Callable[[Header, bytes], tuple[Header | bytes, bytes]]
"""Header and data -> both spoilt; a header of bytes is taken as it is, its length included."""


def split_tensors(data: bytes) -> tuple[Header, bytes]:
    """The header of a safetensors file as an object, and what follows it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join_tensors(header: Header | bytes, data: bytes) -> bytes:
    """A safetensors file from both."""
    if isinstance(header, bytes):
        return header + data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _spoilt_tensors(spoil: Spoiling, name: str = "") -> Callable[[Place], None]:
    def apply(place: Place) -> None:
        path = place.folder / name if name else place.weights
        path.write_bytes(join_tensors(*spoil(*split_tensors(path.read_bytes()))))
        place.seal()

    return apply


def _metadata(**entries: Any) -> Spoiling:
    return lambda header, data: ({"__metadata__": entries, **header}, data)


def _entry(**changes: Any) -> Spoiling:
    """Change the entry of the first tensor."""

    def spoil(header: Header, data: bytes) -> tuple[Header, bytes]:
        name = _first(header)
        return header | {name: {**header[name], **changes}}, data

    return spoil


def _first(header: Header) -> str:
    return next(name for name in header if name != "__metadata__")


def _last(header: Header) -> str:
    named = {name: entry for name, entry in header.items() if name != "__metadata__"}
    return max(named, key=lambda name: named[name]["data_offsets"][1])


def _floats(value: bytes) -> Spoiling:
    """Every float of the first tensor that has floats becomes `value`."""

    def spoil(header: Header, data: bytes) -> tuple[Header, bytes]:
        name = next(n for n, e in header.items() if n != "__metadata__" and e["dtype"] in _FLOATS)
        start, end = header[name]["data_offsets"]
        return header, data[:start] + value * ((end - start) // 4) + data[end:]

    return spoil


def _renamed(new: str) -> Spoiling:
    def spoil(header: Header, data: bytes) -> tuple[Header, bytes]:
        old = _first(header)
        return {new if name == old else name: entry for name, entry in header.items()}, data

    return spoil


def _resized(shape: list[int]) -> Spoiling:
    def spoil(header: Header, data: bytes) -> tuple[Header, bytes]:
        name = _last(header)
        return header | {name: {**header[name], "shape": shape}}, data

    return spoil


def _extra(entry: Mapping[str, Any], data: bytes = b"") -> Spoiling:
    def spoil(header: Header, before: bytes) -> tuple[Header, bytes]:
        end = header[_last(header)]["data_offsets"][1]
        given = dict(entry)
        given.setdefault("data_offsets", [end, end + len(data)])
        return header | {"extra": given}, before + data

    return spoil


def _without(header: Header, data: bytes) -> tuple[Header, bytes]:
    name = _last(header)
    start, end = header[name]["data_offsets"]
    return {k: v for k, v in header.items() if k != name}, data[:start] + data[end:]


def _raw(length: int, text: bytes = b"{}") -> Spoiling:
    return lambda header, data: (struct.pack("<Q", length) + text, data)


def _twice(header: Header, data: bytes) -> tuple[bytes, bytes]:
    text = json.dumps(header)
    name = _first(header)
    text = text[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"
    return struct.pack("<Q", len(text)) + text.encode(), data


def _halved(header: Header, data: bytes) -> tuple[Header, bytes]:
    """Two tensors in the bytes of one."""
    return header | {"body.copy": header[_first(header)]}, data


def _all_whole(header: Header, data: bytes) -> tuple[Header, bytes]:
    """Every float is taken for a whole number."""
    whole = {"dtype": "I32"}
    return {n: e | whole if e.get("dtype") == "F32" else e for n, e in header.items()}, data


def _many(header: Header, data: bytes) -> tuple[Header, bytes]:
    empty = {"dtype": "U8", "shape": [0], "data_offsets": [len(data)] * 2}
    return header | {f"t{number}": empty for number in range(50_000)}, data


TENSORS: dict[str, Spoiling] = {
    "tensors-metadata-target": _metadata(_target_="os.mkdir", path="marker"),
    "tensors-metadata-module": _metadata(
        module="evil_module", auto_map='{"AutoModel": "evil.Model"}'
    ),
    "tensors-metadata-regex": _metadata(pattern="(a+)+$", value="a" * 40 + "!"),
    "tensors-metadata-nested": _metadata(format={"deep": [1]}),
    "tensors-metadata-list": lambda h, d: ({"__metadata__": [1], **h}, d),
    "tensors-metadata-long": _metadata(text="x" * 5_000_000),
    "tensors-overlap": _halved,
    "tensors-hole": _extra({"dtype": "U8", "shape": [1], "data_offsets": [10**6, 10**6 + 1]}),
    "tensors-beyond": _entry(data_offsets=[0, 10**12]),
    "tensors-backwards": _entry(data_offsets=[64, 0]),
    "tensors-negative": _entry(data_offsets=[-64, 0]),
    "tensors-offsets-bool": _entry(data_offsets=[False, True]),
    "tensors-offsets-float": _entry(data_offsets=[0.0, 64.0]),
    "tensors-offsets-three": _entry(data_offsets=[0, 4, 8]),
    "tensors-offsets-text": _entry(data_offsets="0:64"),
    "tensors-shape-huge": _entry(shape=[10**9, 10**9]),
    "tensors-shape-wraps": _entry(shape=[2**32, 2**32, 0]),
    "tensors-shape-negative": _entry(shape=[-1]),
    "tensors-shape-bool": _entry(shape=[True]),
    "tensors-shape-text": _entry(shape="(1,)"),
    "tensors-shape-axes": _resized([1] * 1000),
    "tensors-shape-other": _resized([1, 1, 1]),
    "tensors-dtype-object": _entry(dtype="O"),
    "tensors-dtype-module": _entry(dtype="os:system"),
    "tensors-dtype-list": _entry(dtype=["F32"]),
    "tensors-dtype-int": _all_whole,
    "tensors-name-path": _renamed("../../../etc/passwd"),
    "tensors-name-attribute": _renamed("__class__.__init__.__globals__"),
    "tensors-name-long": _renamed("x" * 1_000_000),
    "tensors-name-empty": _renamed(""),
    "tensors-name-escapes": _renamed("\x1b]0;owned\x07\x1b[2J"),
    "tensors-entry-extra": _entry(module="evil_module"),
    "tensors-entry-null": lambda h, d: (h | {_first(h): None}, d),
    "tensors-missing": _without,
    "tensors-added": _extra({"dtype": "U8", "shape": [3]}, b"abc"),
    "tensors-added-empty": _extra({"dtype": "F64", "shape": [0, 10**9]}),
    "tensors-added-bool": _extra({"dtype": "BOOL", "shape": [4]}, b"\x02\xff\x00\x01"),
    "tensors-many": _many,
    "tensors-twice": _twice,
    "tensors-none": lambda h, d: ({}, b""),
    "tensors-nan": _floats(b"\x00\x00\xc0\x7f"),
    "tensors-infinite": _floats(b"\x00\x00\x80\x7f"),
    "tensors-largest": _floats(b"\xff\xff\x7f\x7f"),
    "tensors-tail": lambda h, d: (h, d + b"MZ" + bytes(100)),
    "tensors-cut": lambda h, d: (h, d[:-1]),
    "tensors-only-header": lambda h, d: (h, b""),
    "tensors-zip-tail": lambda h, d: (h, d + _zip({"data.pkl": _pickle(Path("marker"))})),
    "header-length-huge": _raw(2**63),
    "header-length-most": _raw(2**64 - 1),
    "header-length-100mb": _raw(100_000_000),
    "header-length-none": _raw(0),
    "header-deep": _raw(100_000, b"[" * 100_000),
    "header-deep-names": _raw(600_000, b'{"a":' * 120_000),
    "header-no-json": _raw(5, b"hello"),
    "header-list": _raw(2, b"[]"),
    "header-nan": _raw(7, b'{"a":NaN}'[:7]),
    "header-polyglot": _raw(int.from_bytes(b"PK\x03\x04\x00\x00\x00\x00", "little"), b""),
}

# --- the description ------------------------------------------------------------------------------

Edit = Callable[[dict[str, Any]], None]


def _edited(edit: Edit) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        value = place.read()
        edit(value)
        place.write(value)

    return spoil


def _edited_record(edit: Edit) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        value = json.loads(place.record.read_text())
        edit(value)
        place.record.write_bytes(_text(value))

    return spoil


def _set(path: str, new: Any) -> Edit:
    def edit(value: dict[str, Any]) -> None:
        *above, last = path.split(".")
        for name in above:
            value = value.setdefault(name, {})
        value[last] = new

    return edit


_LONG = "x" * 10_000_000

NAMES = {
    "module": "os:system",
    "own-module": "drivetrain.models.resnet:resnet_tiny",
    "path": "../../../etc/passwd",
    "absolute": "/etc/passwd",
    "hub": "hf_hub:timm/resnet18.a1_in1k",
    "hub-dash": "hf-hub:timm/resnet18.a1_in1k",
    "local-dir": "local-dir:/tmp",
    "url": "https://127.0.0.1:9/model.bin",
    "file-url": "file:///etc/passwd",
    "repo": "timm/resnet18.a1_in1k",
    "tag-path": "resnet18./etc/passwd",
    "tag-unknown": "resnet18.evil",
    "giant": "vit_giant_patch14_224",
    "other": "resnet18",
    "code": "__import__('os').system('true')",
    "dotted": "evil_module.Model",
    "empty": "",
    "long": _LONG,
    "list": ["resnet_tiny"],
    "object": {"_target_": "os.mkdir"},
    "null": None,
    "number": 18,
    "true": True,
    "newline": "resnet_tiny\n",
    "nul": "resnet_tiny\0.so",
    "wide": "ｒesnet_tiny",
    "spaces": " resnet_tiny ",
    "case": "ResNet_Tiny",
}
NUMBERS = {
    "huge": 10**12,
    "larger": 2**63,
    "largest": 10**60,
    "none": 0,
    "negative": -1,
    "true": True,
    "text": "2",
    "half": 1.5,
    "null": None,
    "list": [2],
    "many": 10**9,
}
LABELS = {
    "none": [],
    "null": None,
    "text": "dark,light",
    "twice": ["dark", "dark"],
    "more": ["a", "b", "c"],
    "numbers": [1, 2],
    "nested": [["dark"], ["light"]],
    "objects": [{"_target_": "os.system"}, "light"],
    "long": [_LONG, "light"],
    "path": ["../../../etc/passwd", "/etc/shadow"],
    "escapes": ["\x1b[2J\x1b]0;owned\x07", "li\rght"],
    "direction": ["\u202egnp.exe", "light"],
    "surrogate": ["\ud800", "light"],
    "nul": ["dark\0", "light"],
    "empty": ["", "light"],
    "markup": ["<script>alert(1)</script>", "{{7*7}}"],
    "formula": ["=cmd|' /C calc'!A0", "@x"],
    "many": [str(i) for i in range(200_000)],
    "lines": ["a\nb", "\u2028"],
    "format": ["{0.__class__}", "%s%n"],
}
SIZES = {
    "huge": [10**9, 10**9],
    "wide": [1, 10**9],
    "wraps": [2**32, 2**32],
    "none": [0, 0],
    "negative": [-8, -8],
    "half": [8.5, 8],
    "one": [8],
    "three": [8, 8, 8],
    "text": "8x8",
    "texts": ["8", "8"],
    "true": [True, True],
    "null": None,
    "object": {"height": 8},
    "nested": [[8], [8]],
    "number": 8,
    "16k": [16384, 16384],
}
STATISTICS = {
    "short": [0.5],
    "long": [0.5] * 100_000,
    "texts": ["0.5"] * 3,
    "largest": [1e308] * 3,
    "smallest": [5e-324] * 3,
    "none": [0, 0, 0],
    "negative": [-1.0] * 3,
    "null": None,
    "number": 0.5,
    "nested": [[0.5]] * 3,
    "true": [True] * 3,
    "whole": [10**60] * 3,
}

_MEANS = sorted(set(STATISTICS) - {"none", "negative", "smallest"})  # those are sound means
_APPLICATIONS = ("module", "path", "list", "null", "long")

DESCRIPTIONS: dict[str, Edit] = {
    **{f"name-{key}": _set("model.name", value) for key, value in NAMES.items()},
    **{f"classes-count-{key}": _set("model.num_classes", value) for key, value in NUMBERS.items()},
    **{f"channels-{key}": _set("model.in_channels", value) for key, value in NUMBERS.items()},
    **{
        f"threads-{key}": _set("num_threads", value)
        for key, value in NUMBERS.items()
        if key != "null"
    },
    **{
        f"dropout-{key}": _set("model.dropout", value)
        for key, value in NUMBERS.items()
        if key != "none"
    },
    **{f"labels-{key}": _set("classes", value) for key, value in LABELS.items()},
    **{f"size-{key}": _set("preprocessing.size", value) for key, value in SIZES.items()},
    **{f"mean-{key}": _set("preprocessing.mean", STATISTICS[key]) for key in _MEANS},
    **{f"std-{key}": _set("preprocessing.std", value) for key, value in STATISTICS.items()},
    **{f"resize-{key}": _set("preprocessing.resize", value) for key, value in NAMES.items()},
    **{f"application-{key}": _set("application", NAMES[key]) for key in _APPLICATIONS},
    **{f"format-{key}": _set("format", value) for key, value in NUMBERS.items() if key != "true"},
    "sha256-list": lambda v: v.update(sha256=["0" * 64], files=["x"]),
    "sha256-null": lambda v: v.update(sha256=None, files=None),
    "sha256-other": lambda v: v.update(sha256="0" * 64, files={}),
    "model-list": _set("model", ["resnet_tiny"]),
    "model-null": _set("model", None),
    "model-text": _set("model", "resnet_tiny"),
    "model-target": _set("model._target_", "os.system"),
    "model-pretrained": _set("model.pretrained", True),
    "model-pretrained-path": _set("model.pretrained", "/etc/passwd"),
    "model-checkpoint": _set("model.checkpoint_path", "/tmp/evil.pth"),
    "model-auto-map": _set("model.auto_map", {"AutoModel": "evil_module.Model"}),
    "preprocessing-null": _set("preprocessing", None),
    "preprocessing-target": _set("preprocessing._target_", "os.system"),
    "preprocessing-list": _set("preprocessing", [8, 8]),
    "trust-remote-code": _set("trust_remote_code", True),
    "reduce": _set("__reduce__", ["os.mkdir", ["marker"]]),
    "py-object": _set("py/object", "os.system"),
}


# --- the description of a model of tables ----------------------------------------------------------


def _put(path: str, new: Any) -> Edit:
    """Put a value at a path of a model's record, where a number stands for a place of a list.

    A bundle keeps `reader`, `preprocess` and `target` apart from the model; `model` stands before
    what is of the model itself.
    """

    def edit(value: dict[str, Any]) -> None:
        is_bundle = "preprocessing" in value
        head, _, rest = path.partition(".")
        if head == "model":
            head, _, rest = rest.partition(".")
            inside: Any = value["model"] if is_bundle else value
        else:
            inside = value["preprocessing"] if is_bundle and head in _PREPARING else value
        steps = [head, *(rest.split(".") if rest else [])]
        for name in steps[:-1]:
            inside = inside[int(name) if name.isdigit() else name]
        inside[int(steps[-1]) if steps[-1].isdigit() else steps[-1]] = new

    return edit


def _category(field: str) -> str:
    return f"preprocess.categories.0.{field}"


_PREPARING = ("reader", "preprocess", "target")
_TREES = "model.record.members.0.record"
_NET = "model.record.members.3.record.net"
_FIGURES = NUMBERS | {"large": 1e308, "small": 5e-324, "minus-large": -1e308, "words": "1.0"}
_FORMS = {
    "regex": "(a+)+$",
    "code": "%Y-%m-%d{0.__class__}",
    "many": "%Y%m%d" * 10_000,
    "twice": "%Y-%Y",
    "no-text": 7,
    "list": ["%Y"],
    "path": "../../etc/passwd",
    "nul": "%Y\0%m%d",
    "groups": "%Y-%m-%d(?P<Y>.*)",
    "clock": "epoch centuries",
}
TABLE_EDITS: dict[str, Edit] = {
    **{f"kind-{key}": _put("model.kind", value) for key, value in NAMES.items()},
    **{
        f"kind-{key}": _put("model.kind", key)
        for key in ("trees", "net", "linear", "nets", "majority")
    },
    **{
        f"member-kind-{key}": _put("model.record.members.1.kind", value)
        for key, value in NAMES.items()
    },
    "record-null": _put("model.record", None),
    "record-list": _put("model.record", [1]),
    "record-target": _put("model.record._target_", "os.system"),
    "members-none": _put("model.record.members", []),
    "members-null": _put("model.record.members", None),
    "members-many": _put("model.record.members", [{"name": "a", "kind": "linear"}] * 100_000),
    "members-text": _put("model.record.members", "forest"),
    "members-deep": _put(
        "model.record.members.0", {"name": "a", "kind": "average", "record": {"members": []}}
    ),
    **{
        f"trees-{field}-{key}": _put(f"{_TREES}.{field}", value)
        for field in ("num_features", "num_classes", "format")
        for key, value in NUMBERS.items()
    },
    **{
        f"trees-{field}-{key}": _put(f"{_TREES}.{field}", value)
        for field, values in (
            ("link", ("exp", "softmax", "sigmoid", "os.system", None, ["identity"])),
            ("combine", ("sum", "os.system", None)),
            ("precision", ("float64", "object", "int8", None)),
            ("exponential", ("numpy", "os.system", {})),
            ("kind", ("boosting", "os.system", None)),
        )
        for key, value in enumerate(values)
    },
    "trees-names": _put(f"{_TREES}.feature_names", [_LONG]),
    "trees-names-null": _put(f"{_TREES}.feature_names", None),
    **{
        f"net-{field}-{key}": _put(f"{_NET}.{field}", value)
        for field in ("num_numbers", "num_outputs", "dropout", "embedding_dropout")
        for key, value in NUMBERS.items()
    },
    **{
        f"net-{field}-{key}": _put(f"{_NET}.{field}", value)
        for field in ("layers", "level_counts")
        for key, value in {
            "huge": [10**12],
            "many": [65_536] * 64,
            "very-many": [1] * 100_000,
            "none": [],
            "text": "8",
            "null": None,
            "nested": [[8]],
            "negative": [-1],
            "true": [True],
        }.items()
    },
    "net-range": _put(f"{_NET}.y_range", [[1e308, -1e308]]),
    "net-range-text": _put(f"{_NET}.y_range", "01"),
    "net-squeeze": _put(f"{_NET}.squeeze", True),
    "net-target": _put(f"{_NET}._target_", "os.system"),
    **{f"classes-{key}": _put("classes", value) for key, value in LABELS.items()},
    **{f"target-classes-{key}": _put("target.classes", value) for key, value in LABELS.items()},
    **{f"target-names-{key}": _put("target.names", value) for key, value in LABELS.items()},
    **{f"target-kind-{key}": _put("target.kind", value) for key, value in NAMES.items()},
    "target-kind-numbers": _put("target.kind", "number"),
    "target-log": _put("target.is_log", True),
    "target-feature": _put("target.names", ["price"]),
    "target-null": _put("target", None),
    **{f"levels-{key}": _put(_category("levels"), value) for key, value in LABELS.items()},
    **{f"rare-{key}": _put(_category("rare"), value) for key, value in LABELS.items()},
    **{f"mode-{key}": _put(_category("mode"), value) for key, value in NAMES.items()},
    **{f"category-name-{key}": _put(_category("name"), value) for key, value in NAMES.items()},
    **{
        f"number-{field}-{key}": _put(f"preprocess.numbers.13.{field}", value)
        for field in ("fill", "mean", "std", "largest", "low", "high", "has_flag", "is_log", "name")
        for key, value in _FIGURES.items()
    },
    "numbers-null": _put("preprocess.numbers", None),
    "numbers-none": _put("preprocess.numbers", []),
    "categories-text": _put("preprocess.categories", "weather"),
    "scale": _put("preprocess.scale", "os.system"),
    "scale-list": _put("preprocess.scale", ["standard"]),
    "unseen": _put("preprocess.unseen", {"_target_": "os.system"}),
    "unseen-mode": _put("preprocess.unseen", "mode"),
    "unseen-error": _put("preprocess.unseen", "error"),
    **{f"features-{key}": _put("reader.features", value) for key, value in LABELS.items()},
    **{f"missing-{key}": _put("reader.missing", value) for key, value in LABELS.items()},
    "dates-list": _put("reader.dates", ["day"]),
    "dates-null": _put("reader.dates", None),
    "dates-other": _put("reader.dates", {"../day": True}),
    "dates-text": _put("reader.dates.day", "no"),
    "dates-time": _put("reader.dates.day", True),
    "schema-null": _put("reader.schema", None),
    "schema-none": _put("reader.schema.columns", []),
    "schema-twice": lambda v: _put("reader.schema.columns.1.name", "day")(v),
    "schema-many": _put("reader.schema.columns", [{"name": "a"}] * 100_000),
    **{f"column-kind-{key}": _put("reader.schema.columns.0.kind", v) for key, v in NAMES.items()},
    **{
        f"column-{field}-{key}": _put(f"reader.schema.columns.{place}.{field}", value)
        for place, field in ((0, "date_format"), (3, "number_format"))
        for key, value in _FORMS.items()
    },
    **{f"application-{key}": _put("application", NAMES[key]) for key in _APPLICATIONS},
    "application-vision": _put("application", "vision"),
    "reader-null": _put("reader", None),
    "reader-target": _put("reader._target_", "os.system"),
    "preprocess-null": _put("preprocess", None),
    "preprocess-reduce": _put("preprocess.__reduce__", ["os.mkdir", ["marker"]]),
}


def _json_file(name: str, path: str, new: Any) -> Callable[[Place], None]:
    """Put a value at a path of another JSON file."""

    def spoil(place: Place) -> None:
        file = place.folder / name
        value = inside = json.loads(file.read_text())
        *above, last = (int(step) if step.isdigit() else step for step in path.split("."))
        for step in above:
            inside = inside[step]
        inside[last] = new
        file.write_bytes(_text(value))
        place.seal()

    return spoil


def _text_edits() -> dict[str, Callable[[Place], None]]:
    """Of a bundle of texts: its tokenizer, its examples, its guard, its architecture."""
    words = ["xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj"]
    tokenizer: dict[str, tuple[str, Any]] = {
        "no-kind": ("kind", None),
        "other-kind": ("kind", "../../pickle"),
        "code-kind": ("kind", "__import__('os')"),
        "transformer-kind": ("kind", "transformer"),
        "rules-unknown": ("rules", ["lowercase", "rm -rf"]),
        "rules-number": ("rules", 7),
        "words-none": ("words", []),
        "words-number": ("words", [1, 2, 3]),
        "words-few": ("words", words),
        "words-other-first": ("words", ["a", *words]),
        "words-twice": ("words", [*words, "a", "a"]),
        "words-many": ("words", [*words, *(f"w{n}" for n in range(100_000))]),
        "words-long": ("words", [*words, "x" * 10_000]),
        "words-half": ("words", [*words, "\ud800"]),
        "words-nested": ("words", [[words]]),
        "format": ("format", 2),
        "merges": ("merges", ["a b"]),
    }
    guard: dict[str, tuple[str, Any]] = {
        "guard-shortest": ("shortest", -1),
        "guard-shorter": ("longest", 0),
        "guard-longest": ("longest", 2**60),
        "guard-unknown": ("most_unknown", 2.0),
        "guard-answers": ("answers", {}),
    }
    texts: dict[str, Any] = {
        "texts-none": [], "texts-number": [1], "texts-word": "good", "texts-many": ["a"] * 5_000,
        "texts-long": ["x" * 1_000_000] * 8,
    }  # fmt: skip
    architecture: dict[str, tuple[str, Any]] = {
        "unknown-model": ("model.name", "os.system"),
        "transformer-model": ("model.name", "transformer"),
        "description-none": ("model.description", None),
        "description-number": ("model.description", 7),
        "description-list": ("model.description", []),
        "many-words": ("model.description.encoder.vocab_size", 10_000_000),
        "no-words": ("model.description.encoder.vocab_size", 0),
        "wide": ("model.description.encoder.hidden_dim", 65_536),
        "deep": ("model.description.encoder.num_layers", 128),
        "deeper": ("model.description.encoder.num_layers", 10**9),
        "kind-list": ("model.description.encoder.kind", ["lstm"]),
        "kind-lstm": ("model.description.encoder.kind", "lstm"),
        "encoder-text": ("model.description.encoder", "lstm"),
        "outputs": ("model.description.num_outputs", 3),
        "squeezes": ("model.description.squeeze", True),
        "pieces-none": ("model.description.seq_len", 0),
        "pieces-large": ("model.description.max_len", 2**40),
        "hidden-many": ("model.description.hidden", [50] * 10_000),
        "hidden-text": ("model.description.hidden", "50"),
        "cut-none": ("preprocessing.max_len", 0),
        "cut-text": ("preprocessing.max_len", "10"),
        "cut-short": ("preprocessing.max_len", 3),
        "more-preprocessing": ("preprocessing.rules", []),
        "application": ("application", "tabular"),
        "application-vision": ("application", "vision"),
    }
    found = {f"tokenizer-{n}": _json_file("tokenizer.json", *to) for n, to in tokenizer.items()}
    found |= {name: _json_file("guard.json", *to) for name, to in guard.items()}
    found |= {n: _json_file("golden/texts.json", "texts", to) for n, to in texts.items()}
    found |= {name: _edited(_set(*to)) for name, to in architecture.items()}
    for name in ("tokenizer.json", "golden/texts.json"):
        for payload in ("pickle-4", "zip-with-pickle", "zeros", "nothing"):
            found[f"{payload}-as-{name}"] = _file(name, PAYLOADS[payload])
    return found


TEXT_EDITS = _text_edits()


def _declared(name: str, entry: Any) -> Callable[[Place], None]:
    """What a bundle says of a tensor."""

    def spoil(place: Place) -> None:
        value = place.read()
        value["model"]["tensors"][name] = entry
        place.write(value)

    return spoil


_CELLS = {
    "text": "x",
    "number": 7,
    "large": 1e308,
    "larger": 10**60,
    "list": [1],
    "object": {"_target_": "os.system"},
    "true": True,
    "long": _LONG,
    "date": "9999-12-31T23:59:59.999999",
    "zone": "2024-01-01T00:00:00+05:00",
    "week": "2024-W05",
    "nul": "a\0b",
    "escapes": "\x1b[2J",
}
TABLE_FILES: dict[str, Callable[[Place], None]] = {
    **{
        f"golden-row-{column}-{key}": _json_file("golden/rows.json", f"rows.0.{column}", value)
        for column in ("day", "weather", "price")
        for key, value in _CELLS.items()
    },
    "golden-rows-none": _json_file("golden/rows.json", "rows", []),
    "golden-rows-many": _json_file("golden/rows.json", "rows", [{}] * 100_000),
    "golden-rows-list": _json_file("golden/rows.json", "rows.0", [1, 2]),
    "golden-row-unknown": _json_file("golden/rows.json", "rows.0.__class__", "x"),
    **{
        f"guard-shift-{field}-{key}": _json_file("guard.json", f"shift.{field}", value)
        for field in ("level", "num_items", "numbers", "kinds")
        for key, value in NUMBERS.items()
    },
    **{
        f"guard-counts-{key}": _json_file("guard.json", "shift.numbers.0.counts.0", value)
        for key, value in NUMBERS.items()
    },
    **{
        f"guard-bounds-{key}": _json_file("guard.json", "shift.numbers.0.bounds", value)
        for key, value in STATISTICS.items()
    },
    **{
        f"guard-temperature-{key}": _json_file("guard.json", "temperature.value", value)
        for key, value in NUMBERS.items()
    },
    "guard-name": _json_file("guard.json", "shift.kinds.0.name", "../x"),
    "guard-intervals": _json_file("guard.json", "intervals", [{"half_width": 1}]),
    "guard-no-sets": _json_file("guard.json", "sets", None),
    "guard-floor": _json_file("guard.json", "spread_floor", 1.0),
    "declared-huge": _declared("weights", ["float64", [10**9, 10**9]]),
    "declared-large": _declared("weights", ["float64", [2**39]]),
    "declared-axes": _declared("weights", ["float64", [1] * 1000]),
    "declared-type": _declared("weights", ["object", [4]]),
    "declared-list": _declared("weights", [["float64"], [4]]),
    "declared-null": _declared("weights", None),
    "declared-more": _declared("extra", ["float32", [1]]),
    "declared-path": _declared("../../x", ["float32", [1]]),
}


def _repeated(start: bytes, count: int, end: bytes = b"") -> Callable[[], bytes]:
    return lambda: start * count + end * count


TEXTS: dict[str, Callable[[], bytes]] = {
    "deep-lists": _repeated(b"[", 100_000, b"]"),
    "deep-objects": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep-open": _repeated(b"[", 1_000_000),
    "deep-mixed": lambda: b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000,
    "deep-65": lambda: b'{"format":1,"a":' + b"[" * 65 + b"]" * 65 + b"}",
    "twins": lambda: b'{"format": 1, "format": 2, "application": "vision"}',
    "nan": lambda: b'{"format": 1, "x": NaN}',
    "infinity": lambda: b'{"format": 1, "x": -Infinity}',
    "large-exponent": lambda: b'{"format": 1, "x": 1e999}',
    "long-number": lambda: b'{"format": ' + b"9" * 1_000_000 + b"}",
    "long-text": lambda: b'{"format": 1, "x": "' + b"x" * 10_000_000 + b'"}',
    "quotes": lambda: b'{"format": 1, "x": "' + b'\\"' * 4_000_000,
    "many-objects": lambda: b'{"format": 1, "x": [' + b"{}," * 3_000_000 + b"1]}",
    "many-texts": lambda: b'{"format": 1, "x": [' + b'"",' * 3_000_000 + b"1]}",
    "list": lambda: b"[]",
    "null": lambda: b"null",
    "word": lambda: b'"format"',
    "empty-object": lambda: b"{}",
    "cut": lambda: b'{"format": 1, "model": {"name": "res',
    "comment": lambda: b'{"format": 1, /* */ "x": 2}',
    "byte-order": lambda: b"\xef\xbb\xbf{}",
    "utf-16": lambda: '{"format": 1}'.encode("utf-16"),
    "latin-1": lambda: b'{"format": 1, "x": "\xe9"}',
    "two": lambda: b'{"format": 1}{"format": 1}',
    "nul": lambda: b'{"format": 1}\x00',
    "surrogate": lambda: b'{"format": 1, "x": "\\ud800"}',
}

# --- a run's record, for `resume` -----------------------------------------------------------------

RECORDS: dict[str, Edit] = {
    **{f"record-model-{key}": _set("model.name", value) for key, value in NAMES.items()},
    **{f"record-size-{key}": _set("data.size", value) for key, value in SIZES.items()},
    **{
        f"record-threads-{key}": _set("settings.num_threads", value)
        for key, value in NUMBERS.items()
    },
    "record-plan-method": _set("plan.method", "save"),
    "record-plan-dunder": _set("plan.method", "__init__"),
    "record-plan-list": _set("plan", [1]),
    "record-callback-module": _set("callbacks", [{"name": "os:system", "command": "true"}]),
    "record-callback-class": _set("callbacks", [{"class": "evil_module.Callback"}]),
    "record-callback-option": _set("callbacks", [{"name": "ema", "__class__": "os.system"}]),
    "record-callback-nested": _set("callbacks", [[{"name": "ema"}]]),
    "record-loss": _set("settings.loss_fn", {"name": "os.system", "options": {"command": "true"}}),
    "record-loss-options": _set("settings.loss_fn", {"name": "cross_entropy", "options": [1]}),
    "record-metric": _set("settings.metrics", [{"name": "evil_module.metric", "options": {}}]),
    "record-metric-list": _set("settings.metrics", [["accuracy"]]),
    "record-optimizer": _set("settings.optimizer", {"name": "os.system", "options": {"x": 1}}),
    "record-optimizer-option": _set(
        "settings.optimizer", {"name": "adamw", "options": {"params": "x"}}
    ),
    "record-augment": _set("settings.augment", {"__class__": "os.system"}),
    "record-augment-text": _set("settings.augment", "os.system"),
    "record-pretrained": _set("settings.pretrained", "/etc/passwd"),
    "record-source-etc": _set("data.source", "/etc"),
    "record-source-device": _set("data.source", "/dev/zero"),
    "record-source-nul": _set("data.source", "a\0b"),
    "record-data-kind": _set("data.from", "os.system"),
    "record-data-option": _set("data.__class__", "os.system"),
    "record-data-valid": _set("data.valid", "half"),
    "record-seed-text": _set("seed", "42"),
    "record-seed-huge": _set("seed", 10**60),
    "record-dropout": _set("settings.dropout", 10**12),
    "record-batch-none": _set("settings.batch_size", 0),
    "record-batch-text": _set("settings.batch_size", "8"),
    "record-journal-object": _set("journal", {"kind": "fit"}),
    "record-journal-kind": _set("journal", [{"kind": "os.system"}]),
    "record-journal-list": _set("journal", [[1]]),
    "record-choices": _set("choices", [1, "x", None]),
    "record-choices-other": _set("choices", [{"what": "x", "_target_": "os.system"}]),
    "record-fingerprint": _set("fingerprint", ["x"]),
    "record-task": _set("task", ["vision"]),
    "record-task-application": _set("task.application", "os"),
    "record-versions": lambda v: v.update(
        format=2, versions={"drivetrain": "\x1b[2J" + "x" * 1000}
    ),
    "record-versions-list": lambda v: v.update(format=2, versions=[1]),
    "record-loss-name": _set("loss", {"name": ["x"]}),
    "record-loss-null": _set("loss", None),
    "record-results": _set("results", "\x1b[2J"),
    "record-seconds": _set("seconds", "soon"),
}

# --- checkpoints ----------------------------------------------------------------------------------

POSITIONS: dict[str, Edit] = {
    "position-journal-object": _set("journal", {"kind": "fit"}),
    "position-journal-kind": _set("journal", [{"kind": "os.system"}]),
    "position-journal-empty": _set("journal", []),
    "position-seconds": _set("seconds", "soon"),
    "position-seconds-huge": _set("seconds", 10**60),
    "position-callbacks": _set("callbacks", {"os.system": {"command": "true"}}),
    "position-callbacks-list": _set("callbacks", [1]),
    "position-callbacks-null": _set("callbacks", None),
    "position-sha256": _set("sha256", ["x"]),
    "position-epoch": _set("epoch", "one"),
    **{
        f"position-{field}-{key}": (lambda v, f=field, n=value: v["journal"][0].update({f: n}))
        for field in (
            "epochs",
            "epochs_done",
            "batches_done",
            "steps_done",
            "lrs",
            "kind",
            "schedule",
            "weight_decay",
            "status",
            "call",
            "pending",
            "callbacks",
            "frozen_groups",
        )
        for key, value in (
            ("negative", -1),
            ("text", "x"),
            ("null", None),
            ("list", [[]]),
            ("half", 0.5),
        )
    },
}


def _moments(change: Callable[[str, dict[str, Any], bytes], bytes]) -> Spoiling:
    """Change what the optimizer remembers of its first parameter."""

    def spoil(header: Header, data: bytes) -> tuple[Header, bytes]:
        name = next(n for n in header if n.startswith("optimizer.") and n.endswith("exp_avg"))
        return header, change(name, header, data)

    return spoil


def _renamed_moment(new: str) -> Spoiling:
    def change(name: str, header: Header, data: bytes) -> bytes:
        header[new.replace("OLD", name)] = header.pop(name)
        return data

    return _moments(change)


def _flat_moment(name: str, header: Header, data: bytes) -> bytes:
    start, end = header[name]["data_offsets"]
    header[name]["shape"] = [(end - start) // 4]
    return data


def _whole_moment(name: str, header: Header, data: bytes) -> bytes:
    header[name]["dtype"] = "I32"
    return data


MOMENTS: dict[str, Spoiling] = {
    "moment-unknown": _renamed_moment("optimizer.head.nothing|exp_avg"),
    "moment-attribute": _renamed_moment("OLD.__class__"),
    "moment-no-bar": _renamed_moment("optimizer.head"),
    "moment-callback": _renamed_moment("callback.os.system|x"),
    "moment-callback-no-bar": _renamed_moment("callback.x"),
    "moment-gradient": _renamed_moment("gradient.head.scores.weight"),
    "moment-flat": _moments(_flat_moment),
    "moment-whole": _moments(_whole_moment),
}


def _checkpoint(edit: Edit) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        value = json.loads(place.position.read_text())
        edit(value)
        place.position.write_bytes(_text(value))

    return spoil


def _spoilt_checkpoint(spoil: Spoiling) -> Callable[[Place], None]:
    def apply(place: Place) -> None:
        data = place.position.with_suffix(".safetensors").read_bytes()
        _write_checkpoint(place, join_tensors(*spoil(*split_tensors(data))))

    return apply


def _spoilt_checkpoint_file(payload: Callable[[Path], bytes]) -> Callable[[Place], None]:
    return lambda place: _write_checkpoint(place, payload(place.marker))


def _write_checkpoint(place: Place, data: bytes) -> None:
    place.position.with_suffix(".safetensors").write_bytes(data)
    _checkpoint(_set("sha256", hashlib.sha256(data).hexdigest()))(place)


# --- links, pipes, and files beside ---------------------------------------------------------------


def _link(name: str, target: str) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        path = place.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(target.replace("VICTIM", str(place.victim)))

    return spoil


def _moved(name: str) -> Callable[[Place], None]:
    """The right file, but outside of the folder, and a link to it."""

    def spoil(place: Place) -> None:
        path = place.folder / name
        away = place.outside / path.name
        shutil.rmtree(away, ignore_errors=True)
        away.unlink(missing_ok=True) if not away.is_dir() else None
        shutil.move(path, away)
        path.symlink_to(away)

    return spoil


def _hard(name: str) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        (place.folder / name).unlink(missing_ok=True)
        os.link(place.victim, place.folder / name)

    return spoil


def _pipe(name: str) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        (place.folder / name).unlink(missing_ok=True)
        os.mkfifo(place.folder / name)

    return spoil


def _folder_in_place(name: str) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        (place.folder / name).unlink(missing_ok=True)
        (place.folder / name).mkdir()

    return spoil


def _beside(name: str) -> Callable[[Place], None]:
    """A module of a name that somebody might import, were the folder on the path."""

    def spoil(place: Place) -> None:
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import os\nos.mkdir({str(place.marker)!r})\n")

    return spoil


def _crowd(pattern: str) -> Callable[[Place], None]:
    def spoil(place: Place) -> None:
        for number in range(3000):
            (place.folder / pattern.format(number)).touch()

    return spoil


def _socket(place: Place) -> None:
    path = place.folder / "extra.sock"
    with contextlib.chdir(place.folder), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)  # a path within the folder: those of sockets must be short


_RUN_FILES = ("run.json", "split.json", "log.jsonl", "model/model.safetensors", "model/model.json")
_BUNDLE_FILES = ("bundle.json", "model.safetensors", "config.json")

FOLDERS: dict[str, tuple[tuple[str, ...], Callable[[Place], None]]] = {
    **{f"link-to-passwd-{n}": (RUN, _link(n, "/etc/passwd")) for n in _RUN_FILES},
    **{f"link-above-{n}": (RUN, _link(n, "../../victim.txt")) for n in _RUN_FILES},
    **{f"link-to-itself-{n}": (RUN, _link(n, Path(n).name)) for n in _RUN_FILES},
    **{f"pipe-{n}": (RUN, _pipe(n)) for n in _RUN_FILES},
    **{f"folder-{n}": (RUN, _folder_in_place(n)) for n in _RUN_FILES},
    **{f"link-to-passwd-{n}": (BUNDLE, _link(n, "/etc/passwd")) for n in _BUNDLE_FILES},
    **{f"link-above-{n}": (BUNDLE, _link(n, "../victim.txt")) for n in _BUNDLE_FILES},
    **{f"pipe-{n}": (BUNDLE, _pipe(n)) for n in _BUNDLE_FILES},
    **{f"folder-{n}": (BUNDLE, _folder_in_place(n)) for n in _BUNDLE_FILES},
    "moved-model": (RUN, _moved("model")),
    "moved-run-weights": (RUN, _moved("model/model.safetensors")),
    "moved-bundle-weights": (BUNDLE, _moved("model.safetensors")),
    "link-device": (RUN, _link("model/model.json", "/dev/zero")),
    "link-bundle-device": (BUNDLE, _link("model.safetensors", "/dev/zero")),
    "link-checkpoints": (RUN, _link("checkpoints", "/tmp")),
    "link-log-to-victim": (RUN, _link("log.jsonl", "VICTIM")),
    "link-lock-to-victim": (RUN, _link(".lock", "VICTIM")),
    "hard-log": (RUN, _hard("log.jsonl")),
    "hard-lock": (RUN, _hard(".lock")),
    "hard-sound": (BUNDLES, lambda p: os.link(p.weights, p.outside / "the-same")),
    "hard-weights": (BUNDLE, _hard("model.safetensors")),
    "hard-model": (RUN, _hard("model/model.safetensors")),
    "pipe-lock": (RUN, _pipe(".lock")),
    "link-extra": (BUNDLE, _link("extra.json", "/etc/passwd")),
    "link-golden": (BUNDLE, _link("golden", "/etc")),
    "socket": (BUNDLE, _socket),
    **{
        f"beside-{name}": (ALL, _beside(name))
        for name in (
            "sitecustomize.py",
            "usercustomize.py",
            "__init__.py",
            "conftest.py",
            "json.py",
            "torch.py",
            "drivetrain.py",
            "evil_module.py",
            "modeling_evil.py",
            "predict.py.pth",
            "torch/__init__.py",
            "setup.py",
            "pyproject.toml",
            ".cache/huggingface/evil.py",
        )
    },
    "deep-folders": (BUNDLE, lambda p: p.folder.joinpath(*["a"] * 200).mkdir(parents=True)),
    "many-files": (BUNDLE, _crowd("{}.json")),
    "many-golden": (BUNDLE, _crowd("golden/{}x.png")),
}


# --- making them ----------------------------------------------------------------------------------


def write(attack: Attack, base: Path, folder: Path, outside: Path) -> Place:
    """A copy of `base` in `folder`, spoilt."""
    shutil.copytree(base, folder, symlinks=True)
    outside.mkdir(parents=True, exist_ok=True)
    (outside / VICTIM).write_text(VICTIM_TEXT)
    place = Place(folder, outside)
    attack.spoil(place)
    return place


def of_kind(kind: str) -> Iterator[Attack]:
    """The attacks on a run, or on a bundle."""
    return (attack for attack in attacks() if kind in attack.kinds)


def _text(value: Any) -> bytes:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "surrogatepass")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(words: list[str] | None = None) -> int:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Hostile folders, from harmless markers.")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--write", nargs=2, type=Path, metavar=("FOLDER", "OUT"))
    parser.add_argument("--soak", type=int, metavar="N", help="try N mutations of a small model")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    if given.list:
        for attack in attacks():
            print(f"{attack.name}  {', '.join(attack.kinds)}")
    if given.write:
        base, out = given.write
        kind = "bundle" if (base / "bundle.json").exists() else "run"
        for attack in of_kind(kind):
            name = attack.name.replace("/", "-")
            write(attack, base, out / name / "folder", out / name / "outside")
    if given.soak:
        sys.path.insert(0, str(ROOT))
        from tests.security.mutations import soak

        with tempfile.TemporaryDirectory() as folder:
            return soak(given.soak, seed=given.seed, folder=Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
