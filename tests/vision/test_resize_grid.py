"""What each way to resize loses: said, and measured on pictures made so that it can be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import vision
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.vision.grids import PictureGrid
from drivetrain.vision.resize_grid import resize_effect

pytest.importorskip("PIL", reason="pictures need Pillow")

SIDES = st.integers(8, 900)
METHODS = ("crop", "squish", "pad")


def save(path: Path, pixels: np.ndarray) -> Path:
    from PIL import Image

    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """300 x 200: white, with a red square of 80 pixels in the middle."""
    pixels = np.full((200, 300, 3), 255, np.uint8)
    pixels[60:140, 110:190, 1:] = 0
    return save(tmp_path / "photo.png", pixels)


def test_the_cells_are_bit_for_bit_what_a_loader_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            pixels = rng.integers(0, 256, (30 + 5 * number, 50, 3), dtype=np.uint8)
            save(tmp_path / name / f"{number}.png", pixels)
    grid = vision.resize_grid(tmp_path / "a" / "3.png", size=24)
    assert grid.pixels.shape == (3, 3, 24, 24) and grid.pixels.dtype == torch.uint8
    for cell, method in zip(grid.cells, METHODS, strict=True):
        assert cell.title == method
        data = vision.from_folder(tmp_path, size=24, resize=method, seed=1, num_workers=1)
        loaders = data.loaders(
            mean=(0.5,) * 3, std=(0.25,) * 3, augment=vision.AugmentSettings.none()
        )
        normalise = vision.Normalise((0.5,) * 3, (0.25,) * 3)
        found = []
        for loader in (loaders.train, loaders.valid):
            for number, (inputs, _) in enumerate(loader):
                names = loader.item_ids(0, number)
                found += [inputs[row] for row, name in enumerate(names) if name == "a/3.png"]
        (given_to_model,) = found
        assert torch.equal(given_to_model, normalise.normalised(cell.pixels[None])[0])


def test_what_is_said_is_what_happens_to_a_square(photo: Path) -> None:
    grid = vision.resize_grid(photo, size=150)
    sides = {}
    for cell, fact in zip(grid.cells, grid.facts, strict=True):
        is_red = (cell.pixels[0].int() - cell.pixels[1].int()) > 128
        wide, high = int(is_red.any(0).sum()), int(is_red.any(1).sum())
        sides[cell.title] = (wide, high)
        assert max(wide / high, high / wide) == pytest.approx(fact["distortion"], abs=0.06)
        assert (cell.pixels == 0).all(0).float().mean() == pytest.approx(fact["padding"], abs=0.001)
    assert sides == {"crop": (60, 60), "squish": (40, 60), "pad": (40, 40)}
    by = {fact["method"]: fact for fact in grid.facts}
    assert by["crop"]["cut"] == pytest.approx(1 / 3)
    assert by["squish"]["distortion"] == pytest.approx(1.5)
    assert by["pad"]["padding"] == pytest.approx(1 / 3)
    assert [cell.said for cell in grid.cells] == [
        "33.3% is cut off; 1.3 pixels become one",
        "1.50 times as long one way as the other; 2.0 pixels become one",
        "33.3% is border; 2.0 pixels become one",
    ]
    assert grid.notes == (f"{photo} is 300 x 200 pixels, and becomes 150 x 150.",)
    assert json.loads(json.dumps(grid.to_json()))["cells"][0]["cut"] == by["crop"]["cut"]


@settings(max_examples=100, deadline=None)
@given(h=SIDES, w=SIDES, height=SIDES, width=SIDES)
def test_what_is_lost_is_within_its_bounds(h: int, w: int, height: int, width: int) -> None:
    ratio = (w / h) / (width / height)
    unequal = max(ratio, 1 / ratio)
    crop = resize_effect("crop", (h, w), (height, width))
    squish = resize_effect("squish", (h, w), (height, width))
    pad = resize_effect("pad", (h, w), (height, width))
    assert crop.cut == pytest.approx(1 - 1 / unequal) and crop.distortion == 1
    assert squish.distortion == pytest.approx(unequal) and squish.cut == 0
    assert 0 <= pad.padding < 1 and pad.cut == 0
    assert crop.shrunk <= pad.shrunk + 1e-9 and crop.shrunk <= squish.shrunk
    turned = resize_effect("crop", (w, h), (width, height))
    assert turned.cut == pytest.approx(crop.cut)  # the same on its side


def test_a_picture_that_fits_loses_nothing() -> None:
    for method in METHODS:
        assert str(resize_effect(method, (64, 64), 64)) == "nothing is lost; as large as it is"
    assert str(resize_effect("pad", (32, 32), 64)) == "nothing is lost; made 2.0 times as large"


def test_it_is_written_as_a_png_that_holds_the_cells(photo: Path, tmp_path: Path) -> None:
    from PIL import Image

    grid = vision.resize_grid(photo, size=100, methods=("squish", "crop"))
    file = grid.write(tmp_path / "grid.png")
    with Image.open(file) as opened:
        pixels = np.array(opened)
    assert np.array_equal(pixels, grid.image())
    tops = range(len(pixels) - 100)
    (top,) = [y for y in tops if (pixels[y : y + 100, 10:110] == row_of(grid, 0)).all()]
    assert (pixels[top : top + 100, 120:220] == row_of(grid, 1)).all()
    with pytest.raises(ConfigError) as caught:
        grid.write(tmp_path / "grid.jpg")
    assert (
        str(caught.value) == f"A grid of pictures is written as .png. Got {tmp_path / 'grid.jpg'}."
    )


def row_of(grid: PictureGrid, place: int) -> np.ndarray:
    return grid.cells[place].pixels.permute(1, 2, 0).numpy()


def test_wrong_arguments_are_refused(photo: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'squish'"):
        vision.resize_grid(photo, methods=("sqish",))
    with pytest.raises(ConfigError) as caught:
        vision.resize_grid(photo, methods=())
    assert str(caught.value) == "`resize_grid` got no methods. Take some of crop, squish, pad."
    with pytest.raises(ConfigError) as caught:
        resize_effect("crop", (0, 5), 64)
    assert str(caught.value) == "A picture has (height, width), each at least 1. Got (0, 5)."
    with pytest.raises(vision.PictureError):
        vision.resize_grid(b"no picture")
