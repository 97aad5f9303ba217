"""`samples` and `resize`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from drivetrain.samples import SAMPLES


def test_samples_lists_every_sample_with_what_it_is(run) -> None:
    result = run("samples")
    assert (result.exit_code, result.stderr) == (0, "")
    listed = result.stdout.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(SAMPLES)
    for line, sample in zip(listed, SAMPLES.values(), strict=True):
        assert f"{sample.items:,}" in line
        assert line.endswith(sample.what)


def test_samples_as_json(run) -> None:
    documents = json.loads(run("samples", "--json").stdout)
    assert [document["name"] for document in documents] == list(SAMPLES)
    assert json.loads(run("samples", "digits", "--json").stdout) == documents[0]
    assert documents[0]["items"] == 1797
    assert documents[0]["licence"] == "CC BY 4.0"


def test_one_sample_is_told_more_of(run) -> None:
    assert run("samples", "shapes").stdout == (
        "Shows    one circle, square or triangle of 24 x 24 pixels, of equal area, anywhere\n"
        "Items    300\n"
        "Source   drawn by code\n"
        "Licence  Apache-2.0\n"
        "Needs    pillow: pip install 'drivetrain[samples]'\n"
    )


@pytest.mark.parametrize("option", ["--to", "--out"])
def test_a_sample_is_written_where_one_says_and_only_once(run, option: str) -> None:
    result = run("samples", "shapes", option, "new/shapes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "Wrote 300 pictures to new/shapes: train/ to learn from, test/ to try it on.\n"
    )
    assert len(list(Path("new/shapes").glob("train/*/*.png"))) == 240
    again = run("samples", "shapes", option, "new/shapes", "--json")
    assert json.loads(again.stdout)["folder"] == "new/shapes"


def test_an_unknown_sample_and_a_folder_in_use_are_refused(run) -> None:
    Path("mine").write_text("")
    for words, sentence in (
        (
            ["digit"],
            "Unknown sample 'digit'. Did you mean 'digits'? Known: digits, films, rentals, reviews, "
            "shapes.",
        ),
        (
            ["shapes", "--to", "."],
            ". already holds other files. Give a folder that is new or empty.",
        ),
    ):
        result = run("samples", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"drivetrain: {sentence}\n"


@pytest.fixture
def large() -> Path:
    """Two pictures of 60 x 40 and one broken file, in two folders."""
    for name in ("large/a/1.png", "large/b/2.png", "large/b/broken.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), "red").save(name)
    Path("large/b/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return Path("large")


@pytest.mark.row(104)
@pytest.mark.parametrize(
    ("method", "size"),
    [(None, (30, 20)), ("crop", (20, 20)), ("squish", (20, 20)), ("pad", (20, 20))],
)
def test_resize_copies_the_tree_and_lists_what_it_could_not_copy(
    run, large: Path, method: str | None, size: tuple[int, int]
) -> None:
    words = [] if method is None else ["--method", method]
    result = run("resize", large, "small", "--size", 20, *words)
    assert result.exit_code == 0
    assert sorted(p.relative_to("small").as_posix() for p in Path("small").rglob("*.*")) == [
        "a/1.png",
        "b/2.png",
    ]
    with Image.open("small/a/1.png") as picture:
        assert picture.size == size
    width, height = size
    assert f"(width, height): (60, 40) before, ({width}, {height}) now" in result.stdout
    assert f"(height, width, channels): ({height}, {width}, 3)" in result.stdout
    assert "b/broken.png" in result.stdout
    with Image.open("large/a/1.png") as picture:
        assert picture.size == (60, 40)


@pytest.mark.row(104)
def test_resize_as_json(run, large: Path) -> None:
    document = json.loads(run("resize", large, "small", "--size", 20, "--json").stdout)
    assert document["dst"] == "small"
    assert document["written"][0] == {
        "id": "a/1.png",
        "target": "a/1.png",
        "before": [60, 40],
        "after": [30, 20],
    }
    assert [entry["id"] for entry in document["quarantined"]] == ["b/broken.png"]


def test_resize_refuses_a_folder_in_use_and_one_without_pictures(run, large: Path) -> None:
    shutil.copytree(large, "used")
    assert run("resize", large, "used", "--size", 20).stderr == (
        "drivetrain: used is not empty. Nothing is overwritten: choose a new folder.\n"
    )
    Path("empty").mkdir()
    result = run("resize", "empty", "new", "--size", 20)
    assert result.exit_code == 2
    assert result.stderr.startswith("drivetrain: empty holds no pictures. Looked for: ")
