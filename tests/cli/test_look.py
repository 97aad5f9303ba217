"""`drivetrain look`: grids of a run, a folder, a file, as a page and as a picture."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivetrain import vision
from tests.browser import browser, opened


def pictures_in(page: Path) -> list[np.ndarray]:
    """Every picture of a page, decoded: (H, W, 3) uint8 each."""
    from PIL import Image

    found = re.findall(r"data:image/png;base64,([^\"]+)", page.read_text("utf-8"))
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_a_run_is_shown_as_it_trained_bit_for_bit(run: Any, trained: Path) -> None:
    result = run("look", trained, "--augment", "--batch", "--count", 3, "--json", "-o", "a.html")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [grid["title"] for grid in document["grids"]] == [
        "Varied in training", "Each change at its ends", "A batch of training",
        "A batch of training, as numbers",
    ]  # fmt: skip
    assert document["bytes"] == Path("a.html").stat().st_size
    learner = vision.reopen(trained, callbacks=(), progress=False)
    varied = vision.augmentation_grid(learner, count=3)
    batch = vision.batch_grid(learner, count=3)
    shown = pictures_in(Path("a.html"))
    for grid, first in ((varied, 0), (batch, len(shown) - 6)):
        for place, cell in enumerate(grid.cells):
            assert np.array_equal(shown[first + place], cell.pixels.permute(1, 2, 0).numpy())
    labels = [cell["title"] for cell in document["grids"][2]["cells"]]
    assert labels == [cell.title for cell in batch.cells]


@pytest.mark.slow
@pytest.mark.row(3)
def test_all_parts_of_a_run_fit_a_phone_and_a_picture_file(run: Any, trained: Path) -> None:
    from PIL import Image

    result = run("look", trained)
    assert result.exit_code == 0, result.output
    assert "look.html (" in result.stdout and "What channels look for" in result.stdout
    with browser() as started:
        size = {"width": 390, "height": 800}
        with opened(started, Path("look.html"), viewport=size, color_scheme="dark") as page:
            assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
            assert page.page.title() == "trained: look"
            assert page.page.locator("main > section").count() >= 7
            broken = "[...document.images].filter(one => !one.naturalWidth).length"
            assert page.page.evaluate(broken) == 0
            assert (page.errors, page.requests) == ([], [])
    assert run("look", trained, "--resize", "--channels", "-o", "l.png").exit_code == 0
    with Image.open("l.png") as picture:
        assert picture.format == "PNG" and picture.height > 400


def test_a_folder_and_a_file_need_no_training(run: Any, photos: Path) -> None:
    result = run("look", photos, "--batch", "--size", 24, "--seed", 3, "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["grids"]) == 2
    file = sorted((photos / "circle").iterdir())[0]
    result = run("look", file, "--json", "-o", "one.png")
    assert result.exit_code == 0, result.output
    titles = [grid["title"] for grid in json.loads(result.stdout)["grids"]]
    assert titles == ["Ways to resize", "Varied in training", "Each change at its ends"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "-o", "look.pdf"], "--out: a file that ends in .html or .png. Got look.pdf."),
        (["RUN", "--size", 64], "--size is the run's own: it is looked at as it trained."),
        (["RUN", "--picture", "x.png", "--resize"], "There is no training picture 'x.png'."),
        (["RUN", "--picture", "circle/99.png"], "There is no training picture 'circle/99.png'."),
        (["RUN", "--augment", "--layer", "body"], "--layer is of --channels: give it as well."),
        (["RUN", "--layer", "body.stme"], "The model has no layer 'body.stme'."),
        (["PHOTOS", "--channels"], "--channels needs a run: nothing was learnt yet."),
        (["FILE", "--batch"], "--batch needs a folder or a run: one picture is no batch."),
        (
            ["FILE", "--picture", "x"],
            "--picture is of a folder or a run: SOURCE is a picture already.",
        ),
        (["nowhere"], "There is no folder, file or sample 'nowhere'."),
        (["EMPTY"], "empty holds no pictures."),
        (["TEXT"], "not a picture"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    run: Any, trained: Path, photos: Path, words: list[Any], said: str
) -> None:
    Path("empty").mkdir()
    Path("notes.txt").write_bytes(b"no picture\r\n")
    file = sorted((photos / "circle").iterdir())[0]
    places = {"RUN": trained, "PHOTOS": photos, "FILE": file, "EMPTY": "empty", "TEXT": "notes.txt"}
    result = run("look", *[places.get(word, word) for word in words])
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())
    assert not list(Path().glob("look*"))
