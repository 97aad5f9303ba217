"""The Predictor: its answers equal the model's on inputs prepared by hand, and bad files do no harm."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from drivetrain import store
from drivetrain.data.items import Quarantined
from drivetrain.errors import DataError, RunError
from drivetrain.metrics import wilson_interval
from drivetrain.models import build_from, create_model
from drivetrain.train.run import Run
from drivetrain.vision import predictor as module
from drivetrain.vision.decode import PictureError, open_picture
from drivetrain.vision.predictor import Prediction, Predictor, load

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
CLASSES = ("dog", "cat", "owl")  # on purpose not sorted


class Brightest(nn.Module):
    """The channel with the most light wins: red is class 0, green is 1, blue is 2."""

    def forward(self, x: Tensor) -> Tensor:
        return 4 * x.mean(dim=(2, 3))


def plain_predictor(**options: Any) -> Predictor:
    settings: dict[str, Any] = {
        "size": (8, 8),
        "resize": "crop",
        "mean": (0.5,) * 3,
        "std": (1.0,) * 3,
    }
    return Predictor(Brightest(), CLASSES, **settings | options)


COLOURS = {"dog": (250, 20, 10), "cat": (10, 250, 20), "owl": (20, 10, 250)}


def colour(path: Path, label: str, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    red, green, blue = COLOURS[label]
    Image.new("RGB", (10, 10), (red, green, blue - shade if blue > shade else shade)).save(path)
    return path


def noise(path: Path, width: int = 40, height: int = 30) -> Path:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(path)
    return path


def message(error: type[Exception], function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


# --- one picture ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
@pytest.mark.parametrize("resize", ["crop", "squish", "pad"])
def test_an_answer_is_the_models_on_the_picture_prepared_by_hand(tmp_path, size, resize):
    path = noise(tmp_path / "a.png")
    model = create_model("resnet_tiny", num_classes=3, pretrained=False, seed=3).model
    predictor = Predictor(model, CLASSES, size=size, resize=resize, mean=MEAN, std=STD)
    answer = predictor.predict(path)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    inputs = (open_picture(path, size=size, resize=resize) / 255 - mean) / std
    with torch.no_grad():
        probs = model.eval()(inputs[None]).softmax(dim=1)[0]
    ours = torch.tensor([answer.probabilities[name] for name in CLASSES])
    torch.testing.assert_close(ours, probs, atol=1e-6, rtol=1e-5)
    assert answer.label == CLASSES[int(probs.argmax())]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)


def test_classes_stand_in_the_order_of_the_scores(tmp_path: Path):
    for label in CLASSES:
        answer = plain_predictor().predict(colour(tmp_path / f"{label}.png", label))
        assert answer.label == label
        assert tuple(answer.probabilities) == CLASSES


def test_a_training_model_predicts_in_evaluation_mode(tmp_path: Path):
    model = create_model("resnet_tiny", num_classes=3, pretrained=False, seed=3).model
    before = store.weights_sha256(model.state_dict())
    predictor = Predictor(model.train(), CLASSES, size=(16, 16), resize="crop", mean=MEAN, std=STD)
    path = noise(tmp_path / "a.png")
    assert predictor.predict(path) == predictor.predict(path)  # no dropout
    assert store.weights_sha256(model.state_dict()) == before  # no running statistics


def test_bytes_are_answered_as_the_file_is(tmp_path: Path):
    path = colour(tmp_path / "a.png", "cat")
    by_path, by_bytes = (plain_predictor().predict(source) for source in (path, path.read_bytes()))
    assert by_bytes == Prediction("", by_path.label, by_path.probabilities)
    assert by_path.input == str(path)


def test_an_answer_prints_and_becomes_json():
    answer = Prediction("a.png", "cat", {"cat": 0.875, "dog": 0.125})
    assert str(answer) == "cat (87.5%)"
    assert answer.to_json() == {
        "input": "a.png",
        "label": "cat",
        "probabilities": {"cat": 0.875, "dog": 0.125},
    }


def test_a_bad_picture_is_refused_by_name(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(PictureError) as caught:
        plain_predictor().predict(tmp_path / "a.png")
    assert str(caught.value) == f"{tmp_path / 'a.png'}: The file is empty."
    assert repr(plain_predictor(size=(8, 9))) == "Predictor(3 classes, 8 x 9 pixels)"


# --- many pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [64, 2, 1])
def test_many_are_answered_in_order_and_bad_ones_said(tmp_path: Path, monkeypatch, batch: int):
    monkeypatch.setattr(module, "BATCH", batch)
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    sources = [
        colour(tmp_path / "1.png", "owl"),
        bad,
        colour(tmp_path / "2.png", "cat"),
        tmp_path / "1.png",
        tmp_path / "gone.png",
        str(bad),
        colour(tmp_path / "3.png", "dog"),
        tmp_path / "1.png",
    ]
    answers = plain_predictor().predict_many(iter(sources))
    said = [a.label if isinstance(a, Prediction) else a.reason for a in answers]
    assert said == [
        "owl",
        "not-a-picture",
        "cat",
        "owl",
        "unreadable",
        "not-a-picture",
        "dog",
        "owl",
    ]
    names = [a.input if isinstance(a, Prediction) else a.id for a in answers]
    assert names == [str(source) for source in sources]


def test_many_are_answered_as_each_alone_is(tmp_path: Path):
    paths = [colour(tmp_path / f"{label}.png", label, 5) for label in CLASSES]
    predictor = plain_predictor()
    assert predictor.predict_many(paths) == [predictor.predict(path) for path in paths]


def test_no_pictures_have_no_answers(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"")
    assert plain_predictor().predict_many([]) == []
    assert plain_predictor().predict_many([tmp_path / "a.png"]) == [
        Quarantined(str(tmp_path / "a.png"), "empty", "The file is empty.")
    ]


# --- labelled pictures from elsewhere -------------------------------------------------------------


def labelled(root: Path) -> Path:
    """Four pictures, of which three are right: one cat lies among the dogs."""
    for number, (said, shown) in enumerate(
        [("dog", "dog"), ("dog", "cat"), ("cat", "cat"), ("owl", "owl")]
    ):
        colour(root / said / f"{number}.png", shown, number)
    return root


def test_measuring_counts_what_is_right(tmp_path: Path):
    found = plain_predictor().evaluate(labelled(tmp_path))
    assert found["metrics"]["accuracy"] == 0.75
    assert found["metrics"]["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["interval"] == list(wilson_interval(3, 4))
    assert (found["items"], found["quarantined"], found["trained_on"]) == (4, [], 0)
    assert found["source"] == str(tmp_path)


def test_unknown_classes_and_bad_files_are_set_aside_and_not_measured(tmp_path: Path):
    labelled(tmp_path)
    colour(tmp_path / "wolf" / "1.png", "dog")
    (tmp_path / "dog" / "bad.png").write_bytes(b"")
    colour(tmp_path / "cover.png", "dog")
    found = plain_predictor().evaluate(tmp_path)
    assert (found["metrics"]["accuracy"], found["items"]) == (0.75, 4)
    assert {entry["id"]: (entry["reason"], entry["detail"]) for entry in found["quarantined"]} == {
        "cover.png": ("no-label", "It lies in no class folder."),
        "wolf/1.png": ("unknown-class", "The model does not know 'wolf'."),
        "dog/bad.png": ("empty", "The file is empty."),
    }


def test_only_unknown_classes_say_what_is_known(tmp_path: Path):
    colour(tmp_path / "wolf" / "1.png", "dog")
    colour(tmp_path / "fox" / "1.png", "dog")
    assert message(DataError, plain_predictor().evaluate, tmp_path) == (
        f"No picture of {tmp_path} has a label that the model knows. "
        "It has 'fox', 'wolf'; the model knows 'dog', 'cat', 'owl'."
    )


def test_only_bad_files_name_the_first(tmp_path: Path):
    colour(tmp_path / "cover.png", "dog")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    assert message(DataError, plain_predictor().evaluate, tmp_path) == (
        f"None of the 2 pictures in {tmp_path} can be used. "
        "The first: cat/1.png: The file is empty."
    )


@pytest.mark.parametrize(
    ("parts", "measured"),
    [(("train", "val", "test"), "val"), (("train", "test"), "train"), (("train",), "train")],
)
def test_of_a_source_with_parts_one_is_measured(tmp_path: Path, parts, measured: str):
    for part in parts:
        colour(tmp_path / part / "dog" / "1.png", "dog" if part == measured else "cat")
    found = plain_predictor().evaluate(tmp_path)
    assert (found["metrics"]["accuracy"], found["items"]) == (1.0, 1)


@pytest.mark.parametrize(
    ("parts", "items"), [(("test", "test"), 2), (("valid", "test"), 1), (("train", "test"), 1)]
)
def test_a_table_is_measured_also_where_it_is_all_test(tmp_path: Path, parts, items: int):
    colour(tmp_path / "1.png", "dog")
    colour(tmp_path / "2.png", "cat")
    rows = f"1.png,dog,{parts[0]}\n2.png,cat,{parts[1]}\n"
    (tmp_path / "t.csv").write_text(f"path,label,split\n{rows}")
    assert plain_predictor().evaluate(tmp_path / "t.csv")["items"] == items


def test_pictures_that_trained_the_model_are_counted_by_their_bytes(tmp_path: Path):
    labelled(tmp_path)
    known = {
        "train/elsewhere.png": store.file_sha256(tmp_path / "dog" / "0.png"),
        "train/other.png": "0" * 64,
    }
    assert plain_predictor().evaluate(tmp_path, known=known)["trained_on"] == 1


# --- from a folder --------------------------------------------------------------------------------


def saved(folder: Path, **changes: Any) -> nn.Module:
    built = create_model("resnet_tiny", num_classes=3, pretrained=False, seed=5)
    description = {
        "application": "vision",
        "model": built.description,
        "classes": list(CLASSES),
        "preprocessing": {"size": [12, 16], "resize": "pad", "mean": MEAN, "std": STD},
        "num_threads": 1,
    }
    Run.create(folder).save_model(built.model.state_dict(), description | changes)
    return built.model


def test_a_model_folder_is_all_it_needs(tmp_path: Path):
    model = saved(tmp_path / "run")
    shutil.move(tmp_path / "run" / "model", tmp_path / "moved")
    predictor = load(tmp_path / "moved", build=build_from)
    assert (predictor.classes, predictor.size, predictor.resize) == (CLASSES, (12, 16), "pad")
    assert (predictor.normalise.mean, predictor.normalise.std) == (MEAN, STD)
    assert store.weights_sha256(predictor.model.state_dict()) == store.weights_sha256(
        model.state_dict()
    )
    assert predictor.predict(noise(tmp_path / "a.png")).label in CLASSES
    summary = predictor.summary()
    assert summary.input_shapes == ((1, 3, 12, 16),)
    assert summary.parameters == sum(p.numel() for p in model.parameters())


def test_a_model_of_another_kind_is_refused(tmp_path: Path):
    saved(tmp_path, application="text")
    assert message(RunError, load, tmp_path, build=build_from) == (
        f"{tmp_path} is not a model for pictures."
    )


def test_weights_that_do_not_fit_the_description_are_refused(tmp_path: Path):
    other = create_model("resnet_tiny", num_classes=4, pretrained=False).description
    saved(tmp_path, model=other, classes=["a", "b", "c", "d"])
    text = message(RunError, load, tmp_path, build=build_from)
    assert text.startswith(f"{tmp_path} holds the weights of another model (other shape: ")


@pytest.mark.parametrize("missing", ["classes", "preprocessing", "model", "mean"])
def test_a_description_that_lacks_something_is_refused(tmp_path: Path, missing: str):
    saved(tmp_path)
    path = tmp_path / "model" / "model.json"
    description = store.read_json(path)
    del (description if missing in description else description["preprocessing"])[missing]
    store.write_json(path, description)
    assert message(RunError, load, tmp_path, build=build_from) == (
        f"The model in {tmp_path} cannot be used: its model.json has no '{missing}'. "
        "Restore it from a copy."
    )


def test_classes_that_are_not_as_many_as_the_scores_are_refused(tmp_path: Path):
    saved(tmp_path, classes=["dog", "cat"])
    assert message(RunError, load, tmp_path, build=build_from) == (
        f"The model in {tmp_path} cannot be used: it gives 3 scores for 2 classes. "
        "Restore it from a copy."
    )
