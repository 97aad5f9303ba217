"""A bundle is what was made, to the byte, or `verify` says what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from drivetrain import store
from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.verify import verify
from drivetrain.errors import BundleError
from tests.bundle.small import CLASSES, WEIGHTS, made, proved, recompute, resign, rewrite

AGAIN = "Take it anew from where it came from."


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return made(tmp_path / "bundle")


def refused(folder: Path, **options: str) -> str:
    with pytest.raises(BundleError) as caught:
        verify(folder, recompute, **options)
    return str(caught.value)


@pytest.mark.row(17)
def test_a_sound_bundle_is_tensors_json_text_and_pictures(bundle: Path) -> None:
    found = proved(bundle)
    files = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
    assert files == [
        *("README.md", "bundle.json", "config.json", "golden.json", "golden.safetensors"),
        *("golden/0.png", "golden/1.png", "model.safetensors"),
    ]
    assert found.largest_difference == 0
    assert (found.files, found.golden) == (8, 2)
    assert found.bytes == sum((bundle / name).stat().st_size for name in files)
    assert found.sha256 == store.file_sha256(bundle / "bundle.json")
    assert str(found) == (
        f"{bundle} is sound: 8 files, {found.bytes:,} bytes.\n"
        "2 golden examples and the test pattern calculated by torch: the largest difference is 0, "
        "allowed is 0.0001.\n"
        f"SHA-256 of bundle.json: {found.sha256}"
    )
    assert found.to_json()["largest_difference"] == 0.0


def test_any_changed_byte_of_any_file_is_found(bundle: Path) -> None:
    """Each byte of the small files, and each 7th of bundle.json, in two of its bits."""
    missed = []
    for path in sorted(bundle.rglob("*")):
        if not path.is_file():
            continue
        before = path.read_bytes()
        for place in range(0, len(before), 7 if path.name == manifests.NAME else 3):
            for bit in (1, 128):
                path.write_bytes(
                    before[:place] + bytes([before[place] ^ bit]) + before[place + 1 :]
                )
                try:
                    proved(bundle)
                except BundleError:
                    continue
                missed.append((path.name, place, bit))
        path.write_bytes(before)
    assert missed == []
    assert proved(bundle).largest_difference == 0


@pytest.mark.parametrize("change", ["cut", "longer", "empty"])
def test_a_file_of_another_length_is_found(bundle: Path, change: str) -> None:
    for path in sorted(bundle.rglob("*")):
        if path.is_file():
            before = path.read_bytes()
            path.write_bytes({"cut": before[:-1], "longer": before + b"\n", "empty": b""}[change])
            assert str(bundle) in refused(bundle)
            path.write_bytes(before)


def test_missing_and_strange_files_are_named(bundle: Path, tmp_path: Path) -> None:
    for name in ("README.md", "golden/1.png"):
        broken = shutil.copytree(bundle, tmp_path / name.replace("/", "-"))
        (broken / name).unlink()
        assert refused(broken) == f"{broken} cannot be used: {name} is missing. {AGAIN}"
    (bundle / "notes.txt").write_text("hello")
    assert refused(bundle) == (
        f"{bundle} cannot be used: it holds 'notes.txt', which is no part of a bundle. Remove it."
    )
    (bundle / "notes.txt").unlink()
    (bundle / "predict.py").write_text("import os")
    assert refused(bundle) == (
        f"{bundle} cannot be used: it holds 'predict.py', which bundle.json does not name. {AGAIN}"
    )
    (bundle / "predict.py").unlink()
    (bundle / "bundle.json").unlink()
    assert refused(bundle) == f"{bundle} is not a bundle: it has no bundle.json."
    assert refused(tmp_path / "none") == (
        f"{tmp_path / 'none'} is not a bundle: there is no such folder."
    )


def test_what_git_and_the_hub_leave_is_no_reason_to_refuse(bundle: Path) -> None:
    (bundle / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    left = bundle / ".cache" / "huggingface" / "download" / "golden"
    left.mkdir(parents=True)
    (left / "0.png.metadata").write_text("x")
    assert proved(bundle).files == 8


def test_changed_on_purpose_with_new_hashes_the_answers_still_tell(bundle: Path) -> None:
    """Weights, preprocessing, labels: who changes them must change the answers too."""
    cases = {
        "weights": lambda f: rewrite(
            f, "model.safetensors", store.tensor_bytes({"w": WEIGHTS * 1.01})
        ),
        "preprocessing": lambda f: resign(f, preprocessing={"scale": 0.51}),
        "labels": lambda f: resign(f, classes=CLASSES[::-1]),
        "examples": lambda f: rewrite(f, "golden/0.png", b"\x01\x08"),
    }
    for name, change in cases.items():
        changed = shutil.copytree(bundle, bundle.with_name(name))
        change(changed)
        said = refused(changed)
        assert "gives other answers than it was made with: golden outputs differ by" in said, name
    changed = bundle.with_name("examples")
    assert refused(changed) == (
        f"{changed} gives other answers than it was made with: golden outputs differ by 0.125, allowed "
        "is 0.0001. Do not use it here; export it again, or install the versions that its bundle.json "
        "names."
    )
    labels = refused(bundle.with_name("labels"))
    assert "golden outputs differ by 0 (golden/1.png gets another label), allowed" in labels


def test_the_sha256_of_the_export_proves_the_very_bundle(bundle: Path) -> None:
    known = proved(bundle).sha256
    assert verify(bundle, recompute, sha256=known.upper()).sha256 == known
    resign(bundle, training={"data": "other pets"})  # of no use to any answer
    now = proved(bundle).sha256
    assert refused(bundle, sha256=known) == (
        f"{bundle} is not the bundle that was asked for: the SHA-256 of its bundle.json is {now}. "
        "Ask whoever made it which one is right."
    )


def test_a_difference_within_the_tolerance_is_reported(bundle: Path) -> None:
    weights = WEIGHTS.clone()
    weights[0, 0] += 2e-5
    rewrite(bundle, "model.safetensors", store.tensor_bytes({"w": weights}))
    found = proved(bundle)
    assert 0 < found.largest_difference <= found.tolerance
    weights[0, 0] = torch.nan
    rewrite(bundle, "model.safetensors", store.tensor_bytes({"w": weights}))
    assert "golden outputs differ by inf" in refused(bundle)
