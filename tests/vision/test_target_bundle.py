"""A bundle of several targets: it answers as the run does, proves itself, and trusts nothing in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import opening
from drivetrain.errors import BundleError
from drivetrain.vision.target_answers import TargetsPredictor
from tests.bundle.small import resign, rewrite
from tests.vision.ejecting.test_predictor import answered_here, check_equal
from tests.vision.leaves import BOTH, CLASSES

pytestmark = pytest.mark.row(118)


@pytest.fixture(scope="module")
def plain(leaves_trained: dt.Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without a guard. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "plain"
    leaves_trained.export(folder, guard=False)
    return folder


@pytest.fixture(scope="module")
def guarded(leaves_trained: dt.Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as it is by default, of the finished run. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "guarded"
    assert leaves_trained.run is not None
    dt.vision.export(leaves_trained.run.folder, folder, golden=4)
    return folder


@pytest.fixture(scope="module")
def paths(leaves_folder: Path) -> list[str]:
    return [str(path) for path in sorted(leaves_folder.rglob("*.png"))]


def test_it_answers_bit_for_bit_as_the_run(
    leaves_trained: dt.Learner, plain: Path, paths: list[str], leaves_folder: Path
) -> None:
    assert leaves_trained.run is not None
    of_run, of_bundle = (dt.vision.load(one) for one in (leaves_trained.run.folder, plain))
    assert isinstance(of_bundle, TargetsPredictor)
    assert of_bundle.predict_many(paths) == of_run.predict_many(paths)
    table = leaves_folder / "leaves.csv"
    assert of_bundle.evaluate(table) == of_run.evaluate(table)
    assert dt.vision.verify(plain).largest_difference == 0


def test_its_guard_calibrates_each_target_and_judges_the_picture_once(
    leaves_trained: dt.Learner, guarded: Path, paths: list[str]
) -> None:
    predictor: Any = dt.vision.load(guarded)
    guard = predictor.guard
    record = leaves_trained.predictions()
    data: Any = leaves_trained.application.data  # pyright: ignore[reportOptionalMemberAccess]
    valid = [str(data.items[place].path) for place in data.split.valid]
    for row, answer in enumerate(predictor.predict_many(valid)):
        for target, temperature in zip(BOTH, guard.temperatures, strict=True):
            scores = record.of(target).outputs[row].double()
            wanted = (scores / temperature.value).softmax(dim=0)
            found = answer[target]
            assert list(found.probabilities.values()) == pytest.approx(wanted.tolist(), rel=1e-5)
            assert found.label in found.guarded.labels
            assert found.guarded.domain == answer.domain
        told = answer.to_json()
        assert list(told) == ["input", "targets", "domain"]
        assert list(told["targets"]["variety"])[3:] == ["set", "coverage"]
    many = predictor.answers(paths)
    assert many.shift is not None
    assert dt.vision.verify(guarded).golden == 4


@pytest.mark.parametrize("which", ["plain", "guarded"])
def test_predict_py_answers_the_same_without_drivetrain(
    request: pytest.FixtureRequest, which: str, paths: list[str]
) -> None:
    bundle = request.getfixturevalue(which)
    check_equal(bundle, paths[:8])
    code, out, _ = answered_here(bundle, paths[0])
    assert code == 0
    assert ", variety " in out and ": disease " in out


def test_the_card_and_the_manifest_say_what_each_target_is(guarded: Path) -> None:
    manifest = opening.open_manifest(guarded)
    assert {one.name: one.classes for one in manifest.targets} == CLASSES
    assert [one.weight for one in manifest.targets] == [1.0, 0.5]
    assert (manifest.classes, manifest.sizes) == ((), (2, 3))
    card = " ".join((guarded / "README.md").read_text("utf-8").split())
    assert "Says 2 things of a picture: its disease, one of 2 classes (blast, tungro); its" in card
    assert "| variety: always the most frequent class |" in card
    config = json.loads((guarded / "config.json").read_text())
    assert config["id2label"]["2"] == "variety: adt"
    golden = json.loads((guarded / "golden.json").read_text())["items"]
    assert {frozenset(one["label"]) for one in golden} == {frozenset(BOTH)}
    assert {one["label"]["disease"] for one in golden} == {"blast", "tungro"}


def _changed(folder: Path, **change: Any) -> None:
    manifest = opening.read_manifest(folder / "bundle.json")
    first, second = manifest.targets
    resign(folder, targets=(first, replace(second, **change)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda at: resign(at, classes=("a",)), "has `classes` beside its `targets`"),
        (lambda at: _changed(at, name="disease"), "has a target twice among its `targets`"),
        (lambda at: _changed(at, classes=("a", "a")), "has a label twice among its `classes`"),
        (lambda at: _changed(at, weight=-1.0), "has -1.0 as `weight`"),
        (lambda at: _changed(at, classes=("a", "b")), "as `num_classes`, expected [2, 2]"),
        (lambda at: resign(at, targets=opening.read_manifest(at / "bundle.json").targets[:1]),
         "has `targets` that are not two or more"),
        (lambda at: _golden(at, "ir64"), "as `variety`, expected one of adt, ir20, ponni"),
    ],
)  # fmt: skip
def test_a_bundle_that_was_changed_with_care_is_refused(
    plain: Path, tmp_path: Path, change: Any, why: str
) -> None:
    bundle = shutil.copytree(plain, tmp_path / "bundle")
    change(bundle)
    with pytest.raises(BundleError) as caught:
        _opened_and_verified(bundle)
    assert why in str(caught.value)


def _opened_and_verified(bundle: Path) -> None:
    dt.vision.load(bundle)
    dt.vision.verify(bundle)


def _golden(folder: Path, label: str) -> None:
    value = json.loads((folder / "golden.json").read_text())
    value["items"][0]["label"]["variety"] = label
    rewrite(folder, "golden.json", store.json_bytes(value))


def test_another_answer_than_the_recorded_one_is_found(plain: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(plain, tmp_path / "bundle")
    value = json.loads((bundle / "golden.json").read_text())
    said = value["items"][0]["predicted"]
    said["variety"] = next(one for one in CLASSES["variety"] if one != said["variety"])
    rewrite(bundle, "golden.json", store.json_bytes(value))
    with pytest.raises(BundleError, match=r"\(golden/0\.png gets another label\)"):
        dt.vision.verify(bundle)


def test_a_bundle_says_nothing_of_how_pictures_were_varied(plain: Path) -> None:
    from drivetrain.errors import ConfigError
    from drivetrain.vision.tta import load_with_tta

    with pytest.raises(ConfigError, match="is a bundle, which does not say how"):
        load_with_tta(plain)


@pytest.mark.slow
def test_onnx_gives_the_same_scores(leaves_trained: dt.Learner, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    leaves_trained.export(tmp_path / "bundle", onnx=True, golden=2)
    assert dt.vision.verify(tmp_path / "bundle", engine="onnx").largest_difference < 1e-3
