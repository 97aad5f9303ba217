"""`vision/listed.py`: data made by functions of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import drivetrain as dt
from drivetrain.cli import program
from drivetrain.errors import ConfigError, DataError, EjectError
from drivetrain.samples.shapes import pictures
from drivetrain.vision.listed import find_again, find_items


@pytest.fixture(scope="module")
def heap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 pictures in one folder: what is on each is in its name alone, and one has none."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("heap") / "heap"
    folder.mkdir()
    for picture in pictures():
        _, shape, file = picture.path.split("/")
        number = int(file[-7:-4])
        if number < 13:
            made = Image.frombytes(picture.mode, (picture.width, picture.height), picture.pixels)
            name = f"{number:02}+{shape}" if number < 12 else "99+"
            made.save(folder / f"{name}.png")
    return folder


def label(path: Path) -> str:
    return path.stem.partition("+")[2]


def part(path: Path) -> str:
    number = int(path.name[:2])
    return "valid" if number < 3 else "test" if number == 3 else "train"


@pytest.mark.row(113)
def test_data_of_functions_of_ones_own_trains_and_is_opened_again_without_them(
    heap: Path, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def items(folder: Path) -> list[Path]:
        asked.append(folder)
        return sorted(folder.iterdir(), reverse=True)  # the order does not matter

    learner = dt.vision.learner(
        heap,
        "resnet_tiny",
        label=label,
        items=items,
        split=part,
        epochs=1,
        progress=False,
        out=tmp_path / "run",
    )
    data = learner.application.data  # type: ignore[union-attr]
    assert asked == [heap]
    assert data.counts() == {"train": 24, "valid": 9, "test": 3, "quarantined": 1}
    assert [(q.id, q.reason) for q in data.quarantined] == [("99+.png", "no-label")]
    assert {item.label for item in data.items} == {"circle", "square", "triangle"}
    assert {data.items[at].id[:2] for at in data.split.valid} == {"00", "01", "02"}
    assert (data.task.found_by, data.task.labelled_by) == ("`items`", "`label`")
    learner.train()
    again = dt.vision.reopen(tmp_path / "run", progress=False)
    assert again.application.data.fingerprint() == data.fingerprint()  # type: ignore[union-attr]
    assert again.application.data.quarantined == data.quarantined  # type: ignore[union-attr]
    assert torch.equal(
        torch.cat([p.flatten() for p in again.model.parameters()]),
        torch.cat([p.flatten() for p in learner.model.parameters()]),
    )
    opened = dt.vision.test(tmp_path / "run")
    assert opened.to_json()["items"] == 3
    with pytest.raises(EjectError, match="Functions of your own found and labelled the pictures"):
        learner.eject(tmp_path / "script.py")


@pytest.mark.row(113)
def test_each_intermediate_value_of_an_item_can_be_printed_and_taken(heap: Path) -> None:
    data = dt.vision.from_items(heap, label, split=part, size=16)
    steps = dt.vision.steps(data, "05+circle.png")
    assert [step.name for step in steps] == (
        "item label part opened resized target varied normalised input".split()
    )
    assert (steps["label"], steps["part"], int(steps["target"])) == ("circle", "train", 0)
    assert steps["resized"].shape == (3, 16, 16)
    torch.testing.assert_close(steps["normalised"], steps["resized"] / 127.5 - 1)
    assert "  opened      24 x 24 pixels\n" in str(steps)
    batch = next(iter(data.loaders(mean=(0.5,) * 3, std=(0.5,) * 3, batch_size=64).valid))
    shown = dt.vision.steps(data, data.items[data.split.valid[0]].id)
    assert torch.equal(batch[0][0], shown["normalised"])
    assert [step.name for step in dt.vision.steps(data, "03+square.png")][-1] == "opened"


def test_a_list_of_files_stands_for_a_function_and_paths_may_begin_with_the_folder(
    heap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(heap.parent)
    listed = sorted(Path("heap").glob("*[a-z].png"))[:6]
    one = find_items("heap", label, items=listed)
    other = find_items(heap, label, items=[path.name for path in listed])
    assert [item.id for item in one.items] == [item.id for item in other.items]
    assert [item.id for item in one.items] == [path.name for path in listed]
    assert one.found_by == "`a list of files`"


def test_what_was_found_is_found_again_from_plain_json(heap: Path) -> None:
    found = find_items(heap, label, split=part)
    recipe = json.loads(json.dumps(found.recipe))
    again = find_again(recipe["source"], recipe["items"])
    assert (again.items, again.parts, again.set_aside) == (
        found.items,
        found.parts,
        found.set_aside,
    )
    assert again.recipe == found.recipe


def boom(path: Path) -> str:
    raise KeyError(path.name)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"label": lambda path: 3},
            ConfigError,
            "`label` must answer a string, or None where there is no label. For 00\\+circle.png it "
            "answered 3.",
        ),
        (
            {"label": lambda path: None},
            DataError,
            "`label` gave none of the 37 items of .* a label.",
        ),
        (
            {"split": lambda path: "validation"},
            ConfigError,
            "`split` must answer 'train', 'valid' or 'test'. For 00\\+circle.png it answered "
            "'validation'.",
        ),
        ({"items": lambda folder: []}, DataError, "There are no items in .*: `items` gave none."),
        ({"items": "*.png"}, ConfigError, "`items` must give paths of files. It gave '\\*.png'."),
        ({"items": [1]}, ConfigError, "`items` must give paths of files. Among them it gave 1."),
        ({"items": ["a.png", "a.png"]}, ConfigError, "`items` gives a.png twice."),
    ],
)
def test_what_a_function_may_not_answer_is_said(
    heap: Path, options: dict[str, Callable[..., object]], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        find_items(heap, **{"label": label, **options})  # type: ignore[arg-type]


def test_an_error_of_a_function_says_which_item_it_was_asked_about(heap: Path) -> None:
    with pytest.raises(KeyError) as caught:
        find_items(heap, boom)
    assert caught.value.__notes__ == ["`label` was asked about 00+circle.png."]


def test_files_without_a_label_function_are_refused(heap: Path) -> None:
    text = "`items` is of functions of your own: say by `label` what is on a picture, too."
    with pytest.raises(ConfigError, match=f"^{text}$"):
        dt.vision.learner(heap, items=["a.png"], progress=False)


@pytest.mark.slow
def test_a_run_of_such_data_is_gone_through_on_the_command_line(heap: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    run = tmp_path / "run"
    learner = dt.vision.learner(heap, "resnet_tiny", label=label, epochs=1, progress=False, out=run)
    learner.train()
    for words in (["why", run], ["clean", run, "--list", 3], ["resume", run]):
        done = CliRunner().invoke(program, [str(word) for word in words])
        assert done.exit_code == 0, done.output
    refused = CliRunner().invoke(program, ["clean", str(run), "--in-place"])
    assert refused.exit_code == 2
