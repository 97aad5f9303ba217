"""A bundle of pictures: what it answers, that it proves itself, and that nothing in it is trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import opening
from drivetrain.errors import BundleError, ConfigError, DataError, RunError
from drivetrain.vision import bundle as bundles, network
from tests.bundle.small import resign, rewrite
from tests.vision.test_learner import SIDE, make_pictures

AGAIN = "Take it anew from where it came from."


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("photos") / "photos", per_class=60)


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dt.Learner:
    """A finished Learner with a run folder. Not to be changed."""
    run = tmp_path_factory.mktemp("runs") / "trained"
    learner = dt.vision.learner(pictures, progress=False, out=run)
    learner.train(2)
    return learner


@pytest.fixture(scope="module")
def plain(trained: dt.Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without a guard. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "plain"
    trained.export(folder, guard=False)
    return folder


@pytest.fixture(scope="module")
def guarded(trained: dt.Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as it is by default. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "guarded"
    trained.export(folder)
    return folder


@pytest.fixture
def bundle(plain: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(plain, tmp_path / "bundle")


def refused(function: Any, *args: Any, error: type[Exception] = BundleError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


# --- what it answers ------------------------------------------------------------------------------


@pytest.mark.row(17)
def test_a_bundle_answers_bit_for_bit_as_the_run(
    trained: dt.Learner, plain: Path, pictures: Path
) -> None:
    assert trained.run is not None
    of_run, of_bundle = dt.vision.load(trained.run.folder), dt.vision.load(plain)
    paths = sorted(pictures.glob("*/*.png"))[:70]  # more than a batch
    assert of_bundle.predict_many(paths) == of_run.predict_many(paths)
    assert of_bundle.predict(paths[0]) == of_run.predict(paths[0])


@pytest.mark.row(17)
def test_loading_needs_no_pickle_and_no_training_stack(guarded: Path, pictures: Path) -> None:
    code = """
import sys
events = []
sys.addaudithook(lambda event, args: events.append(event) if event.startswith("pickle") else None)
import drivetrain as dt
answer = dt.vision.load(sys.argv[1]).predict(sys.argv[2])
assert answer.label == "bird" and answer.guarded is not None, answer
assert events == [], events
unwanted = ("drivetrain.train", "drivetrain.optim", "drivetrain.losses", "drivetrain.metrics",
            "drivetrain.vision.learner", "drivetrain.vision.data", "torchvision", "timm", "sklearn",
            "onnx", "onnxruntime", "matplotlib", "torch._dynamo")
print([name for name in unwanted if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(guarded), str(pictures / "bird" / "00.png")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(dt.__file__).parents[1])},
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_examples_cover_the_classes_and_are_the_validation_pictures(
    trained: dt.Learner, plain: Path
) -> None:
    items = json.loads((plain / "golden.json").read_text())["items"]
    assert [item["label"] for item in items] == ["bird", "forest"] * 4
    assert trained.application is not None
    valid = trained.application.data.pictures("valid")
    pixels, _ = valid.__getitems__(torch.arange(len(valid)))
    for item in items:
        kept = dt.vision.open_picture(plain / item["file"], size=SIDE)
        assert (pixels == kept).flatten(start_dim=1).all(dim=1).sum() == 1


def test_the_same_run_makes_the_same_bundle_and_a_learner_makes_it_too(
    trained: dt.Learner, plain: Path, tmp_path: Path
) -> None:
    assert trained.run is not None
    again = dt.vision.export(trained.run.folder, tmp_path / "plain", guard=False)
    assert again.sha256 == dt.vision.verify(plain).sha256


def test_exporting_leaves_the_learner_as_it_was(trained: dt.Learner, tmp_path: Path) -> None:
    before = store.weights_sha256(trained.model.state_dict())
    trained.model.train()
    trained.export(tmp_path / "bundle", guard=False, golden=1)
    assert store.weights_sha256(trained.model.state_dict()) == before
    assert str(next(trained.model.parameters()).device) == str(trained.device)


def test_without_examples_no_picture_travels_and_the_pattern_proves_it(
    trained: dt.Learner, tmp_path: Path
) -> None:
    found = trained.export(tmp_path / "bundle", golden=0, guard=False)
    assert (found.golden, found.largest_difference) == (0, 0)
    assert not (tmp_path / "bundle" / "golden").exists()
    card = " ".join((tmp_path / "bundle/README.md").read_text().split())
    assert "No picture travels with this bundle." in card
    path = tmp_path / "bundle/bundle.json"
    prepared = json.loads(path.read_text())["preprocessing"]
    for change in ({"resize": "squish"}, {"resize": "pad"}, {"mean": [0.5, 0.5, 0.51]}):
        resign(tmp_path / "bundle", preprocessing=prepared | change)
        assert "gives other answers than it was made with" in refused(
            bundles.verify, tmp_path / "bundle"
        )


# --- that it proves itself ------------------------------------------------------------------------


def test_a_changed_byte_anywhere_is_found(bundle: Path) -> None:
    """A dozen bytes of each file, spread over it, its first and last among them."""
    missed = []
    for path in sorted(bundle.rglob("*")):
        if not path.is_file():
            continue
        before = path.read_bytes()
        count = min(12, len(before))
        for step in range(count):
            place = (len(before) - 1) * step // max(1, count - 1)
            path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
            try:
                bundles.verify(bundle)
            except BundleError:
                continue
            missed.append((path.name, place))
        path.write_bytes(before)
    assert missed == []
    assert bundles.verify(bundle).largest_difference == 0


def test_a_changed_weight_is_found_though_every_hash_fits(bundle: Path) -> None:
    tensors = store.read_tensors(bundle / "model.safetensors")
    tensors["head.scores.weight"][0, 0] += 0.5
    rewrite(bundle, "model.safetensors", store.tensor_bytes(tensors))
    assert "gives other answers than it was made with" in refused(bundles.verify, bundle)


def test_predicting_refuses_changed_tensors_too(bundle: Path) -> None:
    data = (bundle / "model.safetensors").read_bytes()
    (bundle / "model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert refused(dt.vision.load, bundle) == (
        f"{bundle / 'model.safetensors'} cannot be used: its SHA-256 is not the one recorded. {AGAIN}"
    )


# --- that nothing in it is trusted ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {
                "architecture": {
                    "name": "../../etc",
                    "num_classes": 2,
                    "in_channels": 3,
                    "dropout": 0.5,
                }
            },
            "`architecture`, has '../../etc' as `name`, expected a text of the form "
            r"[A-Za-z0-9_.\-]{1,100}.",
        ),
        (
            {
                "architecture": {
                    "name": "resnet_tiny",
                    "num_classes": 9,
                    "in_channels": 3,
                    "dropout": 0.5,
                }
            },
            "`architecture`, has 9 as `num_classes`, expected a whole number from 2 to 2.",
        ),
        (
            {"architecture": {"name": "resnet_tiny", "num_classes": 2}},
            "`architecture`, has no `in_channels`.",
        ),
        (
            {
                "preprocessing": {
                    "size": [5000, 16],
                    "resize": "crop",
                    "mean": [0] * 3,
                    "std": [1] * 3,
                }
            },
            "`preprocessing`, has [5000, 16] as `size`, expected 2 numbers from 1 to 4096.",
        ),
        (
            {
                "preprocessing": {
                    "size": [1.5, 16],
                    "resize": "crop",
                    "mean": [0] * 3,
                    "std": [1] * 3,
                }
            },
            "`preprocessing`, has a `size` that is no whole number of pixels.",
        ),
        (
            {
                "preprocessing": {
                    "size": [16, 16],
                    "resize": "crop",
                    "mean": [0] * 3,
                    "std": [0] * 3,
                }
            },
            "`preprocessing`, has [0, 0, 0] as `std`, expected 3 numbers from 1e-06 to 1000.",
        ),
        (
            {
                "preprocessing": {
                    "size": [32, 16],
                    "resize": "crop",
                    "mean": [0] * 3,
                    "std": [1] * 3,
                }
            },
            "has a `signature` that is not that of its architecture.",
        ),
        (
            {
                "architecture": {
                    "name": "resnet9000",
                    "num_classes": 2,
                    "in_channels": 3,
                    "dropout": 0.5,
                }
            },
            "names the model 'resnet9000', which neither Drivetrain nor this version of timm has. "
            "Install the versions that it names.",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_description_is_refused_before_anything_is_built(
    bundle: Path, changes: dict[str, Any], sentence: str
) -> None:
    resign(bundle, **changes)
    said = refused(dt.vision.load, bundle)
    assert said.startswith(str(bundle / "bundle.json"))
    assert said.removesuffix(f" {AGAIN}").endswith(sentence)


def test_a_giant_is_refused_without_its_memory(bundle: Path) -> None:
    """100,000 classes are 200 MB of head; the file has not the tensors, so nothing is allocated."""
    manifest = opening.read_manifest(bundle / "bundle.json")
    classes = tuple(str(number) for number in range(100_000))
    inputs, outputs = network.ports((SIDE, SIDE), 100_000, 64)
    architecture = dict(manifest.architecture) | {"num_classes": 100_000}
    resign(bundle, architecture=architecture, classes=classes, inputs=inputs, outputs=outputs)
    said = refused(dt.vision.load, bundle)
    assert said == (
        f"{bundle / 'model.safetensors'} cannot be used: the tensor 'head.scores.weight' is "
        f"torch.float32 of shape (2, 512), expected torch.float32 of shape (100000, 512). {AGAIN}"
    )


def test_an_example_of_another_size_or_kind_is_refused(bundle: Path) -> None:
    from PIL import Image

    name = json.loads((bundle / "golden.json").read_text())["items"][0]["file"]
    Image.new("RGB", (8, 9)).save(bundle / "other.png")
    data = (bundle / "other.png").read_bytes()
    (bundle / "other.png").unlink()
    rewrite(bundle, name, data)
    assert refused(bundles.verify, bundle) == (
        f"{bundle / name} is PNG of 9 x 8 pixels, expected PNG of 16 x 16. {AGAIN}"
    )
    rewrite(bundle, name, b"\x80\x04.")  # a pickle
    assert refused(bundles.verify, bundle) == (
        f"{bundle / name} cannot be used: The content is not a picture."
    )


def test_links_out_of_the_folder_are_not_followed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model.safetensors").rename(tmp_path / "weights")
    (bundle / "model.safetensors").symlink_to(tmp_path / "weights")
    assert refused(dt.vision.load, bundle) == (
        f"{bundle} cannot be used: 'model.safetensors' is a link. Put the file itself in its place."
    )


# --- what it refuses to make ----------------------------------------------------------------------


def test_what_cannot_be_exported_is_said(trained: dt.Learner, tmp_path: Path) -> None:
    assert refused(trained.export, tmp_path / "b", golden=1001, error=ConfigError) == (
        "`golden` must be 0 to 1000. Got 1001."
    )
    own = dt.Learner(torch.nn.Linear(1, 1), [], "mse", progress=False)
    assert refused(own.export, tmp_path / "b", error=ConfigError) == (
        "`export` needs an application. This Learner was made from a model and loaders: "
        "use `fit`, `evaluate(loader)` and `predict(tensor)`."
    )
    assert refused(dt.vision.export, tmp_path / "none", tmp_path / "b", error=RunError) == (
        f"{tmp_path / 'none'} is not a run folder: there is no such folder."
    )
    assert refused(dt.vision.load, tmp_path, engine="tpu", error=ConfigError) == (
        "`engine` must be one of torch, onnx. Got 'tpu'."
    )


def test_a_run_without_its_pictures_is_exported_without_them(
    trained: dt.Learner, tmp_path: Path
) -> None:
    assert trained.run is not None
    run = shutil.copytree(trained.run.folder, tmp_path / "run")
    record = store.read_json(run / "run.json")
    record["data"]["source"] = str(tmp_path / "gone")
    store.write_json(run / "run.json", record)
    with pytest.raises((RunError, DataError)) as caught:
        dt.vision.export(run, tmp_path / "b")
    assert caught.value.__notes__ == [
        "Without its pictures it is exported by: --golden 0 --no-guard."
    ]
    found = dt.vision.export(run, tmp_path / "b", golden=0, guard=False)
    assert found.largest_difference == 0
    record.pop("results")
    store.write_json(run / "run.json", record)
    assert refused(dt.vision.export, run, tmp_path / "c", error=RunError) == (
        f"{run} is not finished. Finish it with: drivetrain resume {run}"
    )


# --- what it says of itself -----------------------------------------------------------------------


def test_the_card_says_what_a_stranger_needs(plain: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the Hub's client is not installed")
    text = (plain / "README.md").read_text()
    data = hub.ModelCard(text).data.to_dict()
    assert data["library_name"] == "drivetrain"
    assert data["license"] == "unknown"
    for words in (
        "Says which of 2 classes a picture shows: bird, forest.",
        "| **this model** | 1.000 | 0.862 to 1.000 |",
        "| always the most frequent class | 0.500 |",
        "96 to train, 24 to validate",
        "**8 validation pictures travel with this bundle**",
        "Few pictures were there to validate it (24)",
        "It has no guard",
        "brought to 16 x 16 pixels",
        "trained from random ones",
        "dt.vision.load",
    ):
        assert words in " ".join(text.split()), words


def test_the_folder_says_nothing_of_the_machine_it_was_made_on(plain: Path, pictures: Path) -> None:
    for path in plain.rglob("*"):
        if path.is_file():
            assert str(pictures.parent).encode() not in path.read_bytes(), path
    told = json.loads((plain / "bundle.json").read_text())["training"]
    assert told["data"] == pictures.name


def test_the_hubs_config_names_the_classes(plain: Path) -> None:
    found = json.loads((plain / "config.json").read_text())
    assert found["id2label"] == {"0": "bird", "1": "forest"}
    assert found["architecture"]["name"] == "resnet_tiny"


# --- its guard -------------------------------------------------------------------------------------


def noise(folder: Path, count: int) -> list[Path]:
    """Pictures of nothing: what each pixel is has been drawn."""
    from PIL import Image

    generator = torch.Generator().manual_seed(3)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        pixels = torch.randint(0, 256, (SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(path)
    return paths


def test_an_answer_carries_what_the_guard_says(guarded: Path, pictures: Path) -> None:
    answer = dt.vision.load(guarded).predict(pictures / "bird" / "00.png")
    record = answer.to_json()
    assert list(record) == [
        *("input", "label", "probability", "probabilities", "set", "coverage", "domain"),
    ]
    assert record["label"] == "bird"
    assert record["set"] == ["bird"]
    assert record["coverage"] == 0.9
    assert record["probability"] == record["probabilities"]["bird"] == answer.probability
    assert sum(record["probabilities"].values()) == pytest.approx(1)
    assert record["domain"]["in_domain"] is True
    assert record["domain"]["false_alarm"] == 0.05


def test_foreign_pictures_are_flagged_and_a_batch_of_them_has_drifted(
    guarded: Path, pictures: Path, tmp_path: Path
) -> None:
    predictor = dt.vision.load(guarded)
    known = predictor.answers(sorted(pictures.glob("*/*.png")))
    foreign = predictor.answers(noise(tmp_path, 30))
    assert sum(a.guarded.domain.in_domain for a in known.predictions) >= 0.85 * 120
    assert sum(a.guarded.domain.in_domain for a in foreign.predictions) <= 0.2 * 30
    assert known.shift is not None and not known.shift.drifted
    assert foreign.shift is not None and foreign.shift.drifted
    assert predictor.answers(noise(tmp_path, 19)).shift is None  # too few to say


def test_a_guard_that_was_changed_is_found_though_every_hash_fits(
    guarded: Path, tmp_path: Path
) -> None:
    """A threshold beyond which nothing is foreign, in guard.json and all that stands for it."""
    bundle = shutil.copytree(guarded, tmp_path / "bundle")
    described = json.loads((bundle / "guard.json").read_text())
    described["temperature"]["value"] *= 1.01
    rewrite(bundle, "guard.json", store.json_bytes(described))
    assert refused(bundles.verify, bundle)
    assert bundles.verify(guarded).largest_difference == 0


def test_the_card_says_what_the_guard_promises(guarded: Path) -> None:
    card = " ".join((guarded / "README.md").read_text().split())
    assert "The guard says when a picture is unlike those it was trained on" in card
    assert "calibrated on 24 validation items" in card
    assert "| `guard.json`, `guard.safetensors` |" in card


def test_a_guard_of_another_model_is_refused(guarded: Path, pictures: Path, tmp_path: Path) -> None:
    from drivetrain.bundle.guard import fit_guard

    bundle = shutil.copytree(guarded, tmp_path / "bundle")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 7, generator=generator)
    guard = fit_guard(torch.randn(40, 2, generator=generator), torch.arange(40) % 2, features)
    rewrite(bundle, "guard.json", store.json_bytes(guard.to_json()))
    rewrite(bundle, "guard.safetensors", store.tensor_bytes(guard.tensors()))
    assert refused(dt.vision.load, bundle) == (
        f"{bundle / 'guard.json'} is of a model with 7 features, this one has 64. {AGAIN}"
    )


# --- through ONNX ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_through_onnx_runtime_it_answers_the_same(
    trained: dt.Learner, pictures: Path, tmp_path: Path
) -> None:
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="the extra `onnx` is not installed")
    folder = tmp_path / "bundle"
    trained.export(folder, guard=False, onnx=True)
    record = opening.read_manifest(folder / "bundle.json").onnx
    assert record is not None
    assert record.largest_difference < 1e-5
    found = bundles.verify(folder, engine="onnx")
    assert found.engine == "onnx"
    assert found.largest_difference < 1e-5
    paths = sorted(pictures.glob("*/*.png"))[:5]
    by_torch = dt.vision.load(folder).predict_many(paths)
    by_onnx = dt.vision.load(folder, engine="onnx").predict_many(paths)
    for one, other in zip(by_torch, by_onnx, strict=True):
        assert list(other.probabilities.values()) == pytest.approx(
            list(one.probabilities.values()), abs=1e-4
        )


@pytest.mark.slow
def test_photos_of_pets_make_a_bundle_that_tells_rice_from_cats(
    shared_data: Any, tmp_path: Path
) -> None:
    """EfficientNet-Lite0 on real photos: the bundle proves itself, and flags leaves of rice."""
    pets, paddy = shared_data("pets") / "images", shared_data("paddy")
    learner = dt.vision.learner(pets, size=96, epochs=1, progress=False)
    if not learner.application.built.is_pretrained:
        pytest.skip("The package with the trained weights is not installed.")
    learner.train()
    found = learner.export(tmp_path / "pets", golden=3)
    assert found.largest_difference <= 1e-6
    predictor = dt.vision.load(tmp_path / "pets")
    leaves = predictor.answers(sorted(paddy.rglob("*.jpg"))[:60])
    flagged = [not one.guarded.domain.in_domain for one in leaves.predictions]
    assert sum(flagged) >= 0.8 * 60
    assert leaves.shift is not None and leaves.shift.drifted


def test_a_bundle_with_a_timm_model_is_built_by_its_name(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="the extra `vision` is not installed")
    learner = dt.vision.learner(pictures, "resnet18", pretrained=False, size=32, progress=False)
    learner.export(tmp_path / "bundle", guard=False, golden=2)
    assert "timm" in opening.read_manifest(tmp_path / "bundle/bundle.json").versions
    answers = dt.vision.load(tmp_path / "bundle").predict(pictures / "bird" / "00.png")
    assert answers == replace(learner.predict(pictures / "bird" / "00.png"), input=answers.input)
