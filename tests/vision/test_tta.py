"""vision/tta.py: plain and varied pictures, averaged; small made pictures, one small net."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, RunError
from drivetrain.randomness import derive, item_keys
from drivetrain.vision.augment import AugmentSettings, augmented
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.tta import (
    Copies,
    changes_nothing,
    evaluate_with_tta,
    load_with_tta,
)
from tests.vision.test_learner import make_pictures

NORMALISE = Normalise((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("photos") / "photos", per_class=20)


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dt.Learner:
    """A Learner that was trained for an epoch, with its run. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    learner = dt.vision.learner(pictures, progress=False, num_threads=1, out=folder)
    learner.train(1)
    learner.result()
    return learner


def run_of(learner: dt.Learner) -> Path:
    assert learner.run is not None
    return learner.run.folder


def some_pixels(count: int = 6, side: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def small_net(classes: int = 3, side: int = 9) -> Any:
    """A fixed linear map of pixels to scores."""
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(classes, 3 * side * side, generator=generator) / side

    def model(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.flatten(1) @ weight.T

    return model


# --- the same as plain ----------------------------------------------------------------------------


@pytest.mark.row(108)
@pytest.mark.parametrize("copies", [0, 1, 3, 4, 7])
@pytest.mark.parametrize("beta", [0.0, 0.25, 0.7])
def test_where_augmentation_changes_nothing_the_bits_are_those_of_plain(
    copies: int, beta: float
) -> None:
    how = Copies(
        settings=AugmentSettings.none(), normalise=NORMALISE, copies=copies, beta=beta, seed=3
    )
    model, pixels = small_net(), some_pixels()
    plain, blended = how.scores(model, pixels)
    assert torch.equal(plain, model(NORMALISE.normalised(pixels)))
    assert torch.equal(blended, plain)


@pytest.mark.row(108)
@pytest.mark.parametrize("options", [{"copies": 0}, {"beta": 1.0}])
def test_without_copies_the_record_is_that_of_the_learner(
    trained: dt.Learner, options: dict[str, Any]
) -> None:
    plain, found = trained.predictions(), dt.vision.tta(trained, **options)
    assert torch.equal(found.outputs, plain.outputs) and torch.equal(found.losses, plain.losses)
    assert list(found.ids) == list(plain.ids) and found.classes == plain.classes
    assert torch.equal(found.targets, plain.targets)


# --- the blend ------------------------------------------------------------------------------------


@pytest.mark.row(108)
def test_it_is_beta_of_plain_and_the_rest_of_the_mean_of_the_copies() -> None:
    settings = AugmentSettings(rotate=20, warp=0.1)
    how = Copies(settings=settings, normalise=NORMALISE, copies=3, beta=0.3, seed=5)
    model, pixels = small_net(), some_pixels()
    _, blended = how.scores(model, pixels)
    plain = model(NORMALISE.normalised(pixels)).double().softmax(1)
    copies = [model(one).double().softmax(1) for one in how.varied(pixels)]
    expected = 0.3 * plain + 0.7 * torch.stack(copies).mean(0)
    torch.testing.assert_close(blended.double().softmax(1), expected, rtol=0, atol=1e-6)
    assert (expected - plain).abs().max() > 0.01


@pytest.mark.row(108)
def test_the_mean_of_copies_has_no_larger_loss_than_the_copies_have() -> None:
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    settings = AugmentSettings(rotate=45, zoom=1.5)
    how = Copies(settings=settings, normalise=NORMALISE, copies=5, beta=0.0, seed=5)
    model, pixels = small_net(), some_pixels()
    _, blended = how.scores(model, pixels)
    loss = torch.nn.functional.cross_entropy
    each = [loss(model(one), targets, reduction="none") for one in how.varied(pixels)]
    of_mean = loss(blended, targets, reduction="none")
    assert (of_mean <= torch.stack(each).mean(0) + 1e-5).all()


def test_scores_that_no_softmax_can_tell_from_0_and_1_stay_finite() -> None:
    model, pixels = small_net(), some_pixels()
    how = Copies(settings=AugmentSettings(), normalise=NORMALISE, seed=5)
    _, blended = how.scores(lambda one: 1e4 * model(one), pixels)
    assert blended.isfinite().all()
    torch.testing.assert_close(blended.softmax(1).sum(1), torch.ones(6))


def test_each_of_several_targets_is_averaged_by_itself() -> None:
    model, pixels = small_net(classes=5), some_pixels()
    how = Copies(settings=AugmentSettings(), normalise=NORMALISE, seed=5, sizes=(2, 3))
    _, blended = how.scores(model, pixels)
    for start, stop in ((0, 2), (2, 5)):
        one = Copies(settings=AugmentSettings(), normalise=NORMALISE, seed=5)
        _, alone = one.scores(lambda x, a=start, b=stop: model(x)[:, a:b], pixels)
        torch.testing.assert_close(blended[:, start:stop].softmax(1), alone.softmax(1))


# --- the copies -----------------------------------------------------------------------------------


@pytest.mark.row(108)
def test_copies_are_varied_as_the_run_was_trained(trained: dt.Learner) -> None:
    application: Any = trained.application
    data, info = application.data.pictures("valid"), application.built.info
    pixels, _ = data.__getitems__(torch.arange(len(data)))
    keys = item_keys([_hash(one) for one in pixels])
    probs = []
    for number in range(2):
        copy = augmented(
            pixels,
            keys,
            settings=AugmentSettings.from_json(application.settings["augment"]),
            mean=info.mean,
            std=info.std,
            seed=derive(trained.seed, "tta"),
            epoch=number,
        )
        with torch.inference_mode():
            probs.append(trained.model.eval()(copy).double().softmax(1))
    found = dt.vision.tta(trained, copies=2, beta=0.0)
    torch.testing.assert_close(
        found.outputs.double().softmax(1), torch.stack(probs).mean(0), rtol=0, atol=1e-5
    )


def _hash(picture: torch.Tensor) -> str:
    import hashlib

    return hashlib.blake2b(picture.contiguous().numpy().tobytes(), digest_size=16).hexdigest()


@pytest.mark.row(108)
def test_what_a_picture_gets_depends_on_its_pixels_and_the_seed_alone() -> None:
    pixels = some_pixels()
    how = Copies(settings=AugmentSettings(), normalise=NORMALISE, seed=3)
    whole = torch.stack(list(how.varied(pixels)))
    alone = torch.stack(list(how.varied(pixels[4:5].clone(memory_format=torch.channels_last))))
    assert torch.equal(whole[:, 4:5], alone)
    turned = torch.stack(list(how.varied(pixels.flip(0))))
    assert torch.equal(turned.flip(1), whole)
    other = Copies(settings=AugmentSettings(), normalise=NORMALISE, seed=4)
    assert not torch.equal(torch.stack(list(other.varied(pixels))), whole)
    assert not torch.equal(whole[0], whole[1])


@pytest.mark.row(108)
def test_the_same_bits_each_time_and_nothing_else_is_moved(trained: dt.Learner) -> None:
    before, state = store.weights_sha256(trained.model.state_dict()), torch.get_rng_state()
    first, again = dt.vision.tta(trained, copies=2), dt.vision.tta(trained, copies=2)
    assert torch.equal(first.outputs, again.outputs)
    assert not torch.equal(first.outputs, dt.vision.tta(trained, copies=2, seed=9).outputs)
    assert store.weights_sha256(trained.model.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_part_may_be_given_as_a_word_as_pictures_or_as_a_loader(trained: dt.Learner) -> None:
    application: Any = trained.application
    found = dt.vision.tta(trained, copies=1)
    for part in (application.data.pictures("valid"), trained.loaders.valid):
        assert torch.equal(dt.vision.tta(trained, part, copies=1).outputs, found.outputs)
    assert len(dt.vision.tta(trained, "train", copies=1)) == application.data.counts()["train"]


# --- a run ----------------------------------------------------------------------------------------


@pytest.mark.row(108)
def test_a_run_is_measured_plain_and_with_copies(trained: dt.Learner, pictures: Path) -> None:
    folder = run_of(trained)
    found = evaluate_with_tta(folder, pictures, copies=2)
    told = found.pop("tta")
    plain = dt.vision.evaluate(folder, pictures)
    assert found["metrics"] == pytest.approx(plain["metrics"], rel=1e-6)
    assert found | {"metrics": None} == plain | {"metrics": None}
    assert (told["copies"], told["beta"]) == (2, 0.25)
    assert evaluate_with_tta(folder, pictures, copies=2)["tta"] == told
    apart = told["difference"]
    fell = found["metrics"]["accuracy"] - told["metrics"]["accuracy"]
    assert apart["error_rate"] == pytest.approx(fell, abs=1e-6)
    low, high = apart["interval"]
    assert low <= apart["error_rate"] <= high
    assert told["metrics"]["loss"] != found["metrics"]["loss"]


@pytest.mark.row(108)
def test_a_run_predicts_as_its_learner_does(trained: dt.Learner, pictures: Path) -> None:
    record = dt.vision.tta(trained, copies=2)
    predictor = load_with_tta(run_of(trained), copies=2)
    answers = predictor.predict_many([pictures / name for name in record.ids])
    for answer, probs in zip(answers, record.probs.tolist(), strict=True):
        assert isinstance(answer, dt.vision.Prediction)
        assert list(answer.probabilities.values()) == pytest.approx(probs, abs=1e-5)
    one = predictor.predict((pictures / record.ids[0]).read_bytes())
    assert one.probabilities == pytest.approx(answers[0].probabilities, abs=1e-5)


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.row(108)
def test_a_model_that_was_trained_without_augmentation_is_refused(
    trained: dt.Learner, pictures: Path, tmp_path: Path
) -> None:
    why = (
        "was trained without augmentation, so what it says of varied pictures was never put right, and "
        "averaging it in would be a guess. Predict without test-time augmentation, or train with "
        "`augment`."
    )
    plain = dt.vision.learner(pictures, augment=False, progress=False, num_threads=1)
    with pytest.raises(ConfigError) as caught:
        dt.vision.tta(plain)
    assert str(caught.value) == f"This model {why}"
    assert len(dt.vision.tta(plain, copies=0)) == 8  # nothing is varied
    folder = tmp_path / "run"
    shutil.copytree(run_of(trained), folder)
    record = store.read_json(folder / "run.json")
    record["settings"]["augment"] = AugmentSettings.none().to_json()
    store.write_json(folder / "run.json", record)
    for call in (load_with_tta, lambda run: evaluate_with_tta(run, pictures)):
        with pytest.raises(ConfigError) as caught:
            call(folder)
        assert str(caught.value) == f"{folder} {why}"


@pytest.mark.parametrize(
    ("settings", "nothing"),
    [
        (AugmentSettings.none(), True),
        (AugmentSettings(flip=0, geometry_p=0, lighting_p=0), True),
        (AugmentSettings(flip=0, geometry_p=0), False),
        (AugmentSettings(flip=0, lighting_p=0), False),
        (AugmentSettings(geometry_p=0, lighting_p=0), False),
        (AugmentSettings(flip=0, flip_vertical=0.5, geometry_p=0, lighting_p=0), False),
    ],
)
def test_settings_without_strength_change_nothing(settings: AugmentSettings, nothing: bool) -> None:
    assert changes_nothing(settings) is nothing
    pixels = some_pixels(40)
    how = Copies(settings=settings, normalise=NORMALISE, copies=2)
    same = all(torch.equal(one, NORMALISE.normalised(pixels)) for one in how.varied(pixels))
    assert same is nothing


def test_arguments_out_of_range_are_refused(trained: dt.Learner, tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("`copies` is a number of varied pictures, 0 or more. Got -1.", {"copies": -1}),
        ("`copies` is a number of varied pictures, 0 or more. Got 1.5.", {"copies": 1.5}),
        ("`beta` is the weight of the plain prediction, in [0, 1]. Got 1.5.", {"beta": 1.5}),
        (
            "`part` is valid, train, pictures or a loader of them. Got 'test'. A sealed test part is "
            "opened by `learner.test()` only.",
            {"part": "test"},
        ),
    ]
    for sentence, options in cases:
        with pytest.raises(ConfigError) as caught:
            dt.vision.tta(trained, **options)
        assert str(caught.value) == sentence
    rows = dt.TensorData(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    other = dt.Learner(torch.nn.Linear(2, 2), dt.BatchLoader(rows), progress=False)
    with pytest.raises(ConfigError) as caught:
        dt.vision.tta(other)
    assert str(caught.value) == (
        "`tta` varies pictures as they were varied in training, and this is no Learner of pictures. Make "
        "one by `vision.learner`."
    )
    with pytest.raises(RunError, match=r"is not a run folder: it has no run\.json"):
        load_with_tta(tmp_path)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(ConfigError) as caught:
        load_with_tta(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is a bundle, which does not say how its model's pictures were varied. Give the run "
        "that it was made of."
    )
