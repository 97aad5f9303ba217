"""vision/checking.py: a folder with planted faults, through the whole gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drivetrain.vision.checking import check, check_data, check_quickly, thumbs_of
from drivetrain.vision.data import from_folder
from tests.clean.planted import KINDS, copy_of, scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 scenes of two classes in train, 16 in valid; not to be changed.

    Four of valid are copies of training pictures, one of each kind, one of them with the other label; one
    is there twice in train, to the byte; one file is no picture.
    """
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(21)
    scenes = [scene(draw, side=256) for _ in range(40)]
    for at, one in enumerate(scenes):
        part = "train" if at < 24 else "valid"
        place = root / part / ("left", "right")[at % 2] / f"{at:02d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        one.save(place, quality=92)
    for at, kind in enumerate(KINDS):
        label = ("left", "right")[(at + (at == 3)) % 2]
        copy_of(scenes[at], kind, draw).save(root / "valid" / label / f"copy{at}.jpg", quality=90)
    again = root / "train" / "left" / "again.jpg"
    again.write_bytes((root / "train" / "left" / "10.jpg").read_bytes())
    (root / "train" / "left" / "broken.jpg").write_bytes(b"no picture")
    return root


def test_what_was_planted_is_found_and_nothing_else(folder: Path) -> None:
    found = check(folder, size=32)
    by_key = {one.key: one for one in found.found}
    assert set(by_key) == {
        "duplicates-across", "duplicates-within:train", "label-conflict", "unreadable",
    }  # fmt: skip
    across = by_key["duplicates-across"]
    assert across.level == "critical" and found.found[0] is across and not found.is_clear
    assert across.items == (
        "valid/left/copy0.jpg = train/left/00.jpg",
        "valid/left/copy2.jpg = train/left/02.jpg",
        "valid/left/copy3.jpg = train/right/03.jpg",
        "valid/right/copy1.jpg = train/right/01.jpg",
    )
    assert by_key["duplicates-within:train"].items == ("train/left/again.jpg = train/left/10.jpg",)
    assert by_key["label-conflict"].items == (
        "train/right/03.jpg (right) = valid/left/copy3.jpg (left)",
    )
    assert by_key["unreadable"].items[0].startswith("train/left/broken.jpg: ")
    assert found.counts == {"train": 25, "valid": 20, "test": 0, "quarantined": 1}


def test_the_copies_are_worth_what_the_nearest_picture_gains(folder: Path) -> None:
    worth = next(one.worth for one in check(folder, size=32).found if one.name.endswith("across"))
    assert worth is not None and worth.metric == "accuracy" and worth.num_items == 20
    # of the four copies three are labelled as their original: the nearest picture is right on them
    assert worth.with_it * 20 == pytest.approx(worth.without * 16 + 3)


def test_a_sealed_part_is_compared_but_its_labels_are_not_looked_at(
    folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    for path in sorted(folder.rglob("*.jpg")):
        part, label, name = path.relative_to(folder).parts
        place = root / {"valid": "test"}.get(part, part) / label / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    data = from_folder(root, size=32)
    found = check_data(data)
    keys = [one.key for one in found.found]
    assert "duplicates-across:test" in keys and "label-conflict" not in keys
    sealed = check_data(data, sealed=False)
    assert "duplicates-across:test" not in [one.key for one in sealed.found]
    assert sealed.left_out == ("20 pictures of the test part: they are sealed.",)


def test_small_pictures_are_compared_by_their_content_alone(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for at in range(8):
        place = tmp_path / ("a", "b")[at % 2] / f"{at}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 20, 3)).astype(np.uint8)).save(place)
    Image.open(tmp_path / "a" / "0.png").save(tmp_path / "b" / "same.png")
    found = check(tmp_path)
    assert found.left_out == (
        "near duplicates: the pictures are too small to tell them from others of a kind.",
    )
    assert "label-conflict" in [one.name for one in found.found]


def test_what_cannot_be_opened_is_grey_and_counted(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    thumbs, lost = thumbs_of([tmp_path / "x.jpg"], 1)
    assert lost == 1 and (thumbs == 128).all()


def test_the_pixels_in_memory_find_them_too_and_say_where_they_do_not_do(folder: Path) -> None:
    found = check_quickly(from_folder(folder, size=96))
    across = next(one for one in found.found if one.name == "duplicates-across")
    assert across.count == 4
    small = check_quickly(from_folder(folder, size=32))
    assert small.left_out == ("near duplicates: they are trained at fewer than 64 pixels a side.",)
    assert "duplicates-across" not in [one.name for one in small.found]
    streamed = check_quickly(from_folder(folder, size=96, cache_bytes=0))
    assert streamed.left_out[0].startswith("near duplicates: the pictures are not in memory.")


def test_of_several_targets_each_is_looked_at_for_rare_classes(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    lines = ["path,leaf,kind"]
    for at in range(60):
        pixels = draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{at:02d}.png")
        lines.append(f"{at:02d}.png,{'ab'[at % 2]},{'rare' if at < 3 else 'common'}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = check(table, size=16, targets=["leaf", "kind"])
    assert {one.key for one in found.found if one.name == "imbalance"} >= {
        "imbalance:one class of kind",
        "imbalance:rare classes of kind",
    }
    assert not any(one.key.endswith(" of leaf") for one in found.found)
