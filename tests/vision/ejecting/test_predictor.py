"""`predict.py` of a bundle: it answers as `drivetrain predict` does, to the bit, without Drivetrain."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import drivetrain as dt
from drivetrain.bundle import opening
from drivetrain.cli import program
from drivetrain.errors import BundleError, MissingPackageError
from drivetrain.vision.ejecting import predictor
from tests.eject.cut_short import READER_GONE, ended_by_closed_pipe
from tests.eject.replay import ALONE, without_drivetrain
from tests.vision.test_learner import make_pictures

ALLOWED = {"torch", "numpy", "PIL", "safetensors", "timm", *sys.stdlib_module_names}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dt.Learner:
    """A finished Learner on handwritten digits. Not to be changed."""
    folder = tmp_path_factory.mktemp("digits")
    done = CliRunner().invoke(program, ["samples", "digits", "--to", str(folder / "digits")])
    assert done.exit_code == 0, done.output
    learner = dt.vision.learner(folder / "digits", progress=False)
    learner.train(1)
    return learner


@pytest.fixture(scope="module")
def bundle(trained: dt.Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as it is by default. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "digits"
    trained.export(folder)
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Pictures of every kind that people have, and files that are none."""
    folder = tmp_path_factory.mktemp("mixed")
    generator = np.random.default_rng(0)
    rgb = Image.fromarray(generator.integers(0, 256, (60, 90, 3), dtype=np.uint8))
    rgb.save(folder / "rgb.jpg")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("1").save(folder / "bits.png")
    rgb.convert("P").save(folder / "palette.gif", transparency=0)
    rgb.save(folder / "lossless.webp", lossless=True)
    rgb.save(folder / "plain.bmp")
    rgb.save(folder / "plain.ppm")
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        for suffix in ("jpg", "png", "tif"):
            rgb.save(folder / f"turned{orientation}.{suffix}", exif=exif)
    Image.fromarray(generator.integers(0, 65536, (60, 90), dtype=np.uint16)).save(
        folder / "deep.png"
    )
    rgba = np.dstack([np.asarray(rgb), generator.integers(0, 256, (60, 90), dtype=np.uint8)])
    Image.fromarray(rgba).save(folder / "clear.png")
    large = rgb.resize((2000, 900))
    large.save(folder / "large.jpg")
    rgb.save(folder / "two.mpo", save_all=True, append_images=[large])
    (folder / "wrong_name.png").write_bytes((folder / "rgb.jpg").read_bytes())
    Image.fromarray(generator.random((8, 8), dtype=np.float32)).save(folder / "float.tif")
    Image.new("RGB", (3000, 2)).save(folder / "line.png")
    (folder / "broken.jpg").write_bytes((folder / "large.jpg").read_bytes()[:4000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    return [*map(str, sorted(folder.iterdir())), str(folder / "missing.png")]


BAD = ["broken.jpg", "empty.png", "float.tif", "line.png", "text.jpg", "missing.png"]


def answered_here(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run `predict.py` in this process, without Drivetrain: (exit code, stdout, stderr)."""
    argv, threads = sys.argv, torch.get_num_threads()
    sys.argv = [str(folder / "predict.py"), *words]
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            without_drivetrain(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = argv
        torch.set_num_threads(threads)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def answered_by_the_library(folder: Path, paths: list[str]) -> list[dict[str, Any]]:
    done = CliRunner().invoke(program, ["predict", str(folder), *paths, "--json"])
    return json.loads(done.stdout)


def check_equal(folder: Path, paths: list[str]) -> list[dict[str, Any]]:
    """`predict.py` and `drivetrain predict` answer the same; equality of floats is equality of bits."""
    code, out, err = answered_here(folder, *paths, "--json")
    found, expected = json.loads(out), answered_by_the_library(folder, paths)
    assert [one for one in found if "error" not in one] == [
        one for one in expected if "error" not in one
    ]
    assert [(one["input"], "error" in one) for one in found] == [
        (one["input"], "error" in one) for one in expected
    ]
    bad = [one for one in found if "error" in one]
    assert code == (1 if bad else 0)
    assert [line.partition(": ")[0] for line in err.splitlines()] == [one["input"] for one in bad]
    return found


def test_it_answers_bit_for_bit_as_the_library(trained: dt.Learner, bundle: Path) -> None:
    assert trained.application is not None
    paths = [str(item.path) for item in trained.application.data.items[::12]]  # 150
    found = check_equal(bundle, paths)
    assert len({one["label"] for one in found}) > 5
    assert all(list(one)[1:4] == ["label", "probability", "probabilities"] for one in found)


def test_every_kind_of_file_is_answered_or_named(bundle: Path, mixed: list[str]) -> None:
    found = check_equal(bundle, mixed)
    assert [Path(one["input"]).name for one in found if "error" in one] == BAD


@pytest.mark.parametrize("resize", ["squish", "pad"])
def test_the_other_ways_of_resizing(tmp_path: Path, mixed: list[str], resize: str) -> None:
    pictures = make_pictures(tmp_path / "photos")
    data = dt.vision.from_folder(pictures, size=(24, 36), resize=resize)
    learner = dt.vision.learner(data, "resnet_tiny", progress=False)
    learner.fit(1)
    learner.export(tmp_path / "bundle", golden=0)
    check_equal(tmp_path / "bundle", mixed)


def test_without_a_guard_there_are_probabilities_alone(
    trained: dt.Learner, mixed: list[str], tmp_path: Path
) -> None:
    trained.export(tmp_path / "bundle", guard=False, golden=0)
    found = check_equal(tmp_path / "bundle", mixed)
    assert list(found[0]) == ["input", "label", "probabilities"] or "error" in found[0]
    assert " 0." not in answered_here(tmp_path / "bundle", mixed[0])[1]  # lines, in percent
    assert "guard" not in (tmp_path / "bundle" / "predict.py").read_text()


def test_a_line_for_each_picture(bundle: Path, mixed: list[str]) -> None:
    paths = [path for path in mixed if Path(path).name in ("rgb.jpg", "text.jpg", "grey.png")]
    code, out, err = answered_here(bundle, *paths)
    assert code == 1
    form = (
        r"\S+(grey.png|rgb.jpg): \d [\d.]+%; possible at 90%: \d(, \d)*; "
        r"(known|UNKNOWN) kind of picture"
    )
    assert len(out.splitlines()) == 2
    assert all(re.fullmatch(form, line) for line in out.splitlines()), out
    assert err.count("\n") == 1 and "text.jpg: cannot identify image file" in err


def test_a_reader_that_has_enough_ends_it_quietly(bundle: Path, mixed: list[str]) -> None:
    good = [path for path in mixed if Path(path).name not in BAD]
    assert ended_by_closed_pipe(bundle / "predict.py", *good) == READER_GONE


def test_it_runs_alone_from_any_folder(bundle: Path, mixed: list[str], tmp_path: Path) -> None:
    good = [path for path in mixed if Path(path).name not in BAD]
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", ALONE]
    done = subprocess.run(
        [*command, str(bundle / "predict.py"), *good, "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == answered_by_the_library(bundle, good)
    assert not (bundle / "__pycache__").exists()


def test_it_reads_as_if_written_by_hand(bundle: Path) -> None:
    text = (bundle / "predict.py").read_text()
    assert len(text.splitlines()) < 350
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= ALLOWED
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "100"]
    done = subprocess.run(
        [*ruff, "--select", "E,F,I,B,UP", str(bundle / "predict.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_it_is_part_of_what_the_bundle_proves(bundle: Path, tmp_path: Path) -> None:
    assert "predict.py" in opening.open_manifest(bundle).files
    card = " ".join((bundle / "README.md").read_text().split())
    assert "with torch, numpy, safetensors and Pillow alone: `python predict.py PICTURE...`" in card
    text = (bundle / "predict.py").read_text()
    try:
        (bundle / "predict.py").write_text(text.replace("BATCH_SIZE = 64", "BATCH_SIZE = 65"))
        with pytest.raises(
            BundleError, match=r"predict\.py was changed: its SHA-256 is not the one"
        ):
            dt.vision.verify(bundle)
    finally:
        (bundle / "predict.py").write_text(text)
    assert dt.vision.verify(bundle).largest_difference == 0


def test_labels_cannot_become_code(tmp_path: Path) -> None:
    """A folder's name is data, whoever chose it."""
    pictures = make_pictures(tmp_path / "photos")
    names = ['"""; raise SystemExit(77) ; """', "back\\"]
    for old, new in zip(("bird", "forest"), names, strict=True):
        (pictures / old).rename(pictures / new)
    dt.vision.learner(pictures, "resnet_tiny", progress=False).export(tmp_path / "bundle", golden=0)
    path = str(next(pictures.glob("back*/*.png")))
    (found,) = check_equal(tmp_path / "bundle", [path])
    assert sorted(found["probabilities"]) == names
    text = (tmp_path / "bundle" / "predict.py").read_text()
    assert text.startswith('"""Say which of 2 classes')
    assert "SystemExit" not in "".join(text.splitlines()[1:])


def test_without_ruff_a_bundle_has_no_script_and_says_so(
    trained: dt.Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise MissingPackageError(
            "`ruff` is not installed. Install it with: pip install 'drivetrain[eject]'."
        )

    monkeypatch.setattr(predictor, "ruff_path", missing)
    with pytest.warns(
        UserWarning,
        match=r"^The bundle gets no predict\.py: `ruff` is not installed\. Install it with: "
        r"pip install 'drivetrain\[eject\]'\.$",
    ):
        trained.export(tmp_path / "bundle", guard=False, golden=0)
    assert not (tmp_path / "bundle" / "predict.py").exists()
    assert "predict.py" not in (tmp_path / "bundle" / "README.md").read_text()


def test_no_script_where_none_is_wanted(trained: dt.Learner, tmp_path: Path) -> None:
    trained.export(tmp_path / "bundle", guard=False, golden=0, script=False)
    assert not (tmp_path / "bundle" / "predict.py").exists()


@pytest.mark.slow
def test_a_timm_model_on_photos(
    shared_data: Callable[[str], Path], mixed: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("timm")
    pets, paddy = shared_data("pets"), shared_data("paddy")
    learner = dt.vision.learner(pets / "images", size=96, epochs=1, progress=False)
    assert learner.application is not None
    learner.train(1)
    learner.export(tmp_path / "pets")
    text = (tmp_path / "pets" / "predict.py").read_text()
    assert "import timm" in text
    assert len(text.splitlines()) < 320  # ten of them end quietly where nobody reads on
    photos = [str(item.path) for item in learner.application.data.items[:130:2]]
    odd = sorted(map(str, (pets / "odd_format").iterdir()))
    foreign = [str(path) for path in sorted(paddy.rglob("*.jpg"))[:10]]
    found = check_equal(tmp_path / "pets", [*photos, *odd, *foreign, *mixed])
    assert {one["domain"]["in_domain"] for one in found if "error" not in one} == {True, False}
