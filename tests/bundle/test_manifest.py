"""bundle.json is a stranger's: each entry is checked before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivetrain import store
from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.opening import read_manifest
from drivetrain.errors import BundleError
from tests.bundle.small import contents, made

AGAIN = "Take it anew from where it came from."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(tmp_path / "bundle") / "bundle.json"


def set_entry(path: Path, place: list[Any], value: Any) -> None:
    """Change one entry, with a `digest` that fits, as the text is written."""
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    content.pop("digest", None)
    content["digest"] = manifests.digest_of(content)
    path.write_bytes(store.json_bytes(content))


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_manifest(path)
    return str(caught.value)


@pytest.mark.row(17)
def test_what_is_written_is_read(path: Path) -> None:
    found = read_manifest(path)
    assert isinstance(found, Manifest)
    assert found == contents().manifest.with_files(
        {name: data for name, data in contents().files().items() if name != "bundle.json"}
    )
    assert store.json_bytes(found.to_json()) == path.read_bytes()


CASES: list[tuple[list[Any], Any, str]] = [
    (
        ["application"],
        "audio",
        "has 'audio' as `application`, expected one of vision, tabular, text, collab.",
    ),
    (["classes"], [], "has [] as `classes`, expected a list of 1 to 100000 labels."),
    (["classes"], ["a", "a"], "has a label twice among its `classes`."),
    (["classes"], ["a", 1], "has 1 as `classes`, expected labels of 1 to 1000 letters."),
    (["num_threads"], 0, "has 0 as `num_threads`, expected a whole number from 1 to 1024."),
    (["num_threads"], True, "has True as `num_threads`, expected a whole number from 1 to 1024."),
    (["tolerance"], 1, "has 1 as `tolerance`, expected a number from 0 to 0.01."),
    (["tolerance"], ..., "has no `tolerance`."),
    (["architecture"], "x", "has 'x' as `architecture`, expected an object."),
    (["more"], 1, "has the unknown entry 'more'."),
    (["versions"], {"torch": 2}, "has {'torch': 2} as `versions`, expected names and versions."),
    (
        ["signature", "inputs", 0, "shape", 1],
        10**9,
        "`inputs[0]`, has 1000000000 as `shape`, expected `batch`, `tokens`, or sizes from 1 to 1000000.",
    ),
    (
        ["signature", "inputs", 0, "dtype"],
        "object",
        "`inputs[0]`, has 'object' as `dtype`, expected one of uint8, int64, float32, float64, bool.",
    ),
    (
        ["files", "README.md", "bytes"],
        -1,
        "'README.md', has -1 as `bytes`, expected a whole number from 0 to 8589934592.",
    ),
    (
        ["files", "README.md", "sha256"],
        "0" * 63,
        f"has '{'0' * 63}' as `sha256`, expected a text of the form [0-9a-f]{{64}}.",
    ),
    (["files", "model.safetensors"], ..., "does not name model.safetensors among its `files`."),
    (
        ["onnx"],
        {"largest_difference": 0.0, "tolerance": 0.001, "opset": 18},
        "does not say the same of model.onnx under `onnx` and `files`.",
    ),
]


@pytest.mark.parametrize(("place", "value", "sentence"), CASES, ids=lambda v: str(v)[:30])
def test_a_wrong_entry_is_refused_by_name(
    path: Path, place: list[Any], value: Any, sentence: str
) -> None:
    set_entry(path, place, value)
    said = refused(path)
    assert said.startswith(str(path))
    assert said.endswith(f"{sentence} {AGAIN}")


def test_another_form_is_refused_with_what_to_do(path: Path) -> None:
    set_entry(path, ["format"], 2)
    assert refused(path) == (
        f"{path} has the form '2', this version of Drivetrain reads 1. "
        "Open it with the version that made it."
    )


def test_the_same_entries_in_another_text_are_a_change(path: Path) -> None:
    """Spaces, order of digits, an escape: nothing of it matters, and all of it was not written so."""
    text = path.read_text()
    for changed in (
        text.replace('"format": 1', '"format":  1'),
        text.replace("0.0001", "1e-4"),
        text.replace('"cat"', '"\\u0063at"'),
        text.rstrip("\n"),
        text.replace('"num_threads": 1', '"num_threads": 2'),
    ):
        assert changed != text
        path.write_text(changed)
        assert refused(path) == (
            f"{path} was changed after it was written: its text is not that of its `digest`. {AGAIN}"
        )


def test_labels_of_any_script_survive(tmp_path: Path) -> None:
    from dataclasses import replace

    small = contents()
    manifest = replace(small.manifest, classes=("Käfer", "甲虫", "a\u202eb\x1b[2J"))
    path = tmp_path / "bundle.json"
    files = {name: data for name, data in small.files().items() if name != "bundle.json"}
    path.write_bytes(store.json_bytes(manifest.with_files(files).to_json()))
    assert read_manifest(path).classes == manifest.classes
