"""The picture classifier in one call, from a folder to an answer; small made pictures, no timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, DataError, RunError, UnknownNameError
from drivetrain.train.run import Run

SIDE = 16


def make_pictures(folder: Path, per_class: int = 24, side: int = SIDE) -> Path:
    """Birds are a bright blob on blue, forests are green stripes; each picture differs in its noise."""
    generator = torch.Generator().manual_seed(0)
    for name in ("bird", "forest"):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            noise = torch.rand(side, side, 3, generator=generator) * 60
            if name == "bird":
                noise[..., 2] += 150
                noise[side // 4 : side // 2, side // 4 : side // 2] += 40
            else:
                noise[::2, :, 1] += 150
            pixels = noise.clamp(0, 255).to(torch.uint8).numpy()
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("photos") / "photos")


def learner(source: Any, model: str | None = None, **options: Any) -> dt.Learner:
    return dt.vision.learner(source, model, progress=False, **options)


def weights(of: dt.Learner) -> str:
    return store.weights_sha256(of.model.state_dict())


@pytest.mark.row(1)
def test_three_lines_train_two_classes_to_no_error_and_predict(pictures: Path) -> None:
    bird_or_forest = learner(pictures)
    bird_or_forest.train(3)
    answer = bird_or_forest.predict(pictures / "bird" / "00.png")
    assert bird_or_forest.history[-1]["error_rate"] == 0.0
    assert answer.label == "bird"
    assert list(answer.probabilities) == ["bird", "forest"]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)


@pytest.mark.row(11)
@pytest.mark.row(103)
def test_the_same_bits_for_any_number_of_workers(pictures: Path) -> None:
    found = set()
    for num_workers, cache_bytes in ((0, 0), (1, 0), (2, 0), (2, 2**30)):
        data = dt.vision.from_folder(
            pictures, num_workers=num_workers, cache_bytes=cache_bytes, seed=3
        )
        trained = learner(data)
        trained.train(2)
        found.add((weights(trained), *(row["train_loss"] for row in trained.history)))
    assert len(found) == 1


def test_every_choice_has_a_value_a_reason_and_a_way_to_change_it(pictures: Path) -> None:
    choices = {choice.what: choice for choice in learner(pictures).choices}
    assert set(choices) >= {
        *("size", "split", "resize", "model", "weights", "loss", "batch_size", "augment"),
        *("num_threads", "method", "epochs", "lr", "seed"),
    }
    assert all(choice.reason and choice.change for choice in choices.values())
    assert choices["model"].value == "resnet_tiny"
    assert choices["size"].value == [SIDE, SIDE]


def test_what_is_asked_for_is_used_and_said(pictures: Path) -> None:
    trained = learner(
        pictures, "resnet_tiny", size=20, valid=0.5, batch_size=6, augment=False, lr=0.02, seed=7
    )
    choices = {choice.what: choice for choice in trained.choices}
    assert (choices["size"].value, choices["size"].reason) == ([20, 20], "as asked")
    assert (choices["batch_size"].value, choices["lr"].value) == (6, 0.02)
    assert trained.application is not None
    assert len(trained.application.data.split.valid) == 24
    inputs, targets = next(iter(trained.loaders.train))
    assert inputs.shape == (6, 3, 20, 20)
    assert targets.dtype == torch.int64
    assert trained.seed == 7


def test_the_result_stands_beside_its_baselines(pictures: Path, tmp_path: Path) -> None:
    trained = learner(pictures, out=tmp_path / "run")
    trained.train(2)
    result = Run.open(tmp_path / "run").read()["results"]
    assert result == trained.result()
    assert set(result) == {
        *("run", "task", "model", "metrics", "interval", "baselines", "items", "epochs"),
        *("seconds", "weights_sha256"),
    }
    assert result["items"] == {"train": 38, "valid": 10, "test": 0, "quarantined": 0}
    assert result["epochs"] == 2
    majority = result["baselines"]["majority_class"]
    assert (majority["accuracy"], majority["correct"], majority["count"]) == (0.5, 5, 10)
    assert result["baselines"]["nearest_mean_image"]["accuracy"] == 1.0
    low, high = result["interval"]
    assert low <= result["metrics"]["valid"]["accuracy"] <= high


def test_a_run_folder_holds_what_the_design_names(pictures: Path, tmp_path: Path) -> None:
    learner(pictures, out=tmp_path / "run").train(1)
    names = {
        path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*")
    }
    assert names >= {
        *("run.json", "split.json", "log.jsonl", "quarantine.jsonl"),
        *(f"checkpoints/epoch-0001-batch-000000{end}" for end in (".json", ".safetensors")),
        *("model/model.json", "model/model.safetensors"),
    }
    record = Run.open(tmp_path / "run").read()
    assert record["task"]["classes"] == ["bird", "forest"]
    assert {"drivetrain", "torch", "numpy", "python"} <= set(record["versions"])
    assert all(set(c) == {"what", "value", "reason", "change"} for c in record["choices"])


def test_a_loaded_run_predicts_what_the_learner_predicts(pictures: Path, tmp_path: Path) -> None:
    trained = learner(pictures, out=tmp_path / "run")
    trained.train(2)
    loaded = dt.vision.load(tmp_path / "run")
    for name in ("bird/03.png", "forest/11.png"):
        assert loaded.predict(pictures / name) == trained.predict(pictures / name)


def test_evaluate_on_a_folder_says_what_was_trained_on(pictures: Path, tmp_path: Path) -> None:
    trained = learner(pictures, out=tmp_path / "run")
    trained.train(3)
    result = dt.vision.evaluate(tmp_path / "run", pictures)
    assert result["items"] == 48
    assert result["trained_on"] == 38
    assert result["metrics"]["accuracy"] == 1.0
    again = trained.evaluate(pictures)
    assert again == result
    fresh = make_pictures(tmp_path / "others", per_class=3, side=20)
    assert dt.vision.evaluate(tmp_path / "run", fresh)["trained_on"] == 0


class Cut(dt.Callback):
    order = 1000

    def after_epoch(self, state: Any) -> None:
        raise KeyboardInterrupt


def test_a_cut_run_resumes_to_the_same_weights(pictures: Path, tmp_path: Path) -> None:
    whole = learner(pictures, seed=5)
    whole.train(3)
    cut = learner(pictures, seed=5, out=tmp_path / "run", callbacks=[Cut()])
    with pytest.raises(KeyboardInterrupt):
        cut.train(3)
    with pytest.raises(RunError) as caught:
        dt.vision.load(tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'} has no model yet: its training did not finish. "
        f"Finish it with: drivetrain resume {tmp_path / 'run'}"
    )
    chosen = Run.open(tmp_path / "run").read()["choices"]
    resumed = dt.vision.resume(tmp_path / "run", callbacks=[], progress=False)
    assert weights(resumed) == weights(whole)
    assert Run.open(tmp_path / "run").read()["choices"] == chosen
    assert resumed.result()["metrics"] == whole.result()["metrics"]
    assert dt.vision.load(tmp_path / "run").predict(pictures / "bird" / "00.png").label == "bird"


def test_resume_refuses_pictures_that_have_changed(tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "photos", per_class=6)
    cut = learner(folder, out=tmp_path / "run", callbacks=[Cut()])
    with pytest.raises(KeyboardInterrupt):
        cut.train(2)
    (folder / "bird" / "00.png").unlink()
    with pytest.raises(RunError) as caught:
        dt.vision.resume(tmp_path / "run")
    assert str(caught.value) == (
        f"The pictures in {folder} are not those that {tmp_path / 'run'} began with"
        ": 1 missing, such as bird/00.png. Put them back, or train anew."
    )


def test_bad_pictures_are_set_aside_by_name_and_the_run_goes_on(tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "photos", per_class=8)
    good = (folder / "bird" / "00.png").read_bytes()
    (folder / "bird" / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "bird" / "empty.jpg").write_bytes(b"")
    (folder / "forest" / "notes.jpg").write_text("these are notes")
    trained = learner(folder, out=tmp_path / "run")
    trained.train(1)
    lines = store.read_lines(tmp_path / "run" / "quarantine.jsonl")
    assert {(line["id"], line["reason"]) for line in lines} == {
        ("bird/cut.png", "truncated"),
        ("bird/empty.jpg", "empty"),
        ("forest/notes.jpg", "not-a-picture"),
    }
    assert trained.result()["items"]["quarantined"] == 3


@pytest.mark.row(114)
def test_the_loss_is_chosen_with_its_reason_and_can_be_overridden(pictures: Path) -> None:
    chosen = learner(pictures)
    assert chosen.loss_fn is dt.losses.cross_entropy
    assert "one of several classes" in next(c.reason for c in chosen.choices if c.what == "loss")

    def half(preds: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return dt.losses.cross_entropy(preds, targets) / 2

    own = learner(pictures, loss_fn=half)
    own.train(1)
    assert own.loss_fn is half
    wrong = learner(pictures, loss_fn="mse")
    with pytest.raises(dt.errors.ShapeError, match="use `cross_entropy`"):
        wrong.train(1)


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        (
            {"loss_fn": "cross_entrpy"},
            UnknownNameError,
            "Unknown loss 'cross_entrpy'. Did you mean",
        ),
        ({"model": "resnet_tny"}, UnknownNameError, "Unknown model 'resnet_tny'. Did you mean"),
        ({"metrics": ["acuracy"]}, UnknownNameError, "Unknown metric 'acuracy'. Did you mean"),
        ({"augment": {"flp": 1}}, ConfigError, "Augmentation has no setting 'flp'. Did you mean"),
        ({"size": 0}, ConfigError, "`size` must be a number of pixels"),
        ({"valid": 1.5}, ConfigError, "`valid` is the share for validation, between 0 and 1."),
    ],
)
def test_wrong_names_are_answered(
    pictures: Path, options: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind) as caught:
        learner(pictures, **options)
    assert str(caught.value).startswith(sentence)


def test_an_unknown_option_is_answered(pictures: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        learner(pictures, batchsize=8)
    assert str(caught.value).startswith(
        "`learner` has no option 'batchsize'. Did you mean 'batch_size'?"
    )


def test_one_class_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "photos", per_class=3)
    for path in (folder / "forest").iterdir():
        path.unlink()
    with pytest.raises(DataError) as caught:
        learner(folder)
    assert str(caught.value) == (
        f"{folder} holds one class, 'bird': there is nothing to tell apart. "
        "Add a folder with pictures of something else."
    )


def test_data_that_is_made_takes_no_more_options(pictures: Path) -> None:
    data = dt.vision.from_folder(pictures)
    with pytest.raises(ConfigError) as caught:
        learner(data, size=32)
    assert str(caught.value) == ("size: the data is made already. Give it to `vision.from_folder`.")


@pytest.mark.slow
@pytest.mark.row(1)
@pytest.mark.row(8)
def test_photos_fine_tune_a_pretrained_body(tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "photos", per_class=16, side=96)
    trained = learner(folder, size=64, out=tmp_path / "run")
    assert trained.application is not None
    before = {k: v.clone() for k, v in trained.model.state_dict().items() if k.startswith("body")}
    trained.freeze()
    trained.fit(1)
    after = trained.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    trained.fine_tune(1)
    assert trained.history[-1]["error_rate"] == 0.0
    assert dt.vision.load(tmp_path / "run").predict(folder / "bird" / "00.png").label == "bird"


def test_a_run_cut_before_its_first_stage_is_trained_by_its_plan(
    pictures: Path, tmp_path: Path
) -> None:
    whole = learner(pictures, seed=5, epochs=2)
    whole.train()
    learner(pictures, seed=5, epochs=2, out=tmp_path / "run")
    resumed = dt.vision.resume(tmp_path / "run", callbacks=[], progress=False)
    assert weights(resumed) == weights(whole)


def test_photos_are_photos_at_any_size_asked_for(tmp_path: Path) -> None:
    data = dt.vision.from_folder(make_pictures(tmp_path / "x", per_class=4, side=80), size=32)
    assert data.size == (32, 32)
    assert not data.are_small


def test_a_single_picture_is_refused_for_its_single_class(tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "photos", per_class=1)
    (folder / "forest" / "00.png").unlink()
    with pytest.raises(
        DataError, match=r"holds one class, 'bird': there is nothing to tell apart\."
    ):
        learner(folder)


def test_the_factory_says_what_it_found_and_chose(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = dt.vision.learner(pictures)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{made.application.data}\n{made.choices}\nA quick look for leaks ")
    assert said.err.count("\n") == f"{made.application.data}\n{made.choices}\n".count("\n") + 1
    assert said.err.startswith("2 classes (bird, forest): 38 train, 10 valid\n  size  ")
    learner(pictures)
    assert capsys.readouterr().err == ""


def test_a_run_begun_with_weights_of_a_file_resumes_with_them_or_says_so(
    pictures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "body.safetensors"
    teacher = learner(pictures, seed=1)
    store.write_tensors(file, teacher.model.body.state_dict())
    whole = learner(pictures, pretrained=file, seed=5, epochs=1)
    whole.train()
    learner(pictures, pretrained=file, seed=5, epochs=1, out=tmp_path / "run")
    resumed = dt.vision.resume(tmp_path / "run", callbacks=[], progress=False)
    assert weights(resumed) == weights(whole)
    learner(pictures, pretrained=file, seed=5, epochs=1, out=tmp_path / "other")
    store.write_tensors(file, learner(pictures, seed=2).model.body.state_dict())
    with pytest.raises(
        RunError, match=r"the weights it began with are not here: .* or train anew\."
    ):
        dt.vision.resume(tmp_path / "other", progress=False)
