"""A folder resized once: the same tree, nothing lost in silence, the originals untouched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drivetrain.data.items import Quarantined
from drivetrain.errors import ConfigError, DataError, StorageError, UnknownNameError
from drivetrain.vision import resize as module
from drivetrain.vision.resize import comparison_grid, resize_folder

GREY, RED, BLUE = (120, 120, 120), (250, 10, 10), (10, 10, 250)


def save(path: Path, size: tuple[int, int] = (60, 40), colour=GREY, format_: str | None = None):
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(colour, int) else "RGB"
    Image.new(mode, size, colour).save(path, format_)


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    save(root / "cats" / "a.jpg")
    save(root / "cats" / "deep" / "b.PNG", (30, 90))
    save(root / "dogs" / "c.jpeg", (200, 100))
    save(root / "dogs" / "d.gif", colour=RED)
    (root / "dogs" / "broken.jpg").write_bytes((root / "cats" / "a.jpg").read_bytes()[:200])
    (root / "dogs" / "empty.png").touch()
    (root / "dogs" / "letter.jpg").write_text("Dear Sir or Madam")
    (root / "notes.txt").write_text("not looked at")
    return root


@pytest.mark.row(104)
def test_a_folder_becomes_the_same_tree_at_the_size_asked_for(photos: Path, tmp_path: Path):
    before = hashes(photos)
    small = tmp_path / "small"
    report = resize_folder(photos, small, size=(24, 32))
    assert list(hashes(small)) == [
        "cats/a.jpg",
        "cats/deep/b.PNG",
        "dogs/c.jpeg",
        "dogs/d.png",  # a GIF is written as PNG
    ]
    for path in small.rglob("*.*"):
        with Image.open(path) as image:
            assert image.size == (32, 24)  # (width, height)
            assert np.asarray(image).shape == (24, 32, 3)  # (height, width, channels)
    assert hashes(photos) == before
    assert [one.target for one in report.written] == list(hashes(small))


@pytest.mark.row(104)
def test_bad_files_are_listed_and_not_copied(photos: Path, tmp_path: Path):
    report = resize_folder(photos, tmp_path / "small", size=16)
    assert report.quarantined == (
        Quarantined("dogs/broken.jpg", "truncated", "The file ends before the picture does."),
        Quarantined("dogs/empty.png", "empty", "The file is empty."),
        Quarantined("dogs/letter.jpg", "not-a-picture", "The content is not a picture."),
    )


@pytest.mark.row(104)
def test_the_report_says_both_orders_of_width_and_height(tmp_path: Path):
    save(tmp_path / "in" / "a.jpg", (60, 40))
    (tmp_path / "in" / "b.jpg").touch()
    small = tmp_path / "small"
    report = resize_folder(tmp_path / "in", small, size=(24, 32))
    assert str(report) == (
        f"1 pictures written to {small}.\n"
        "a.jpg: Pillow's size is (width, height): (60, 40) before, (32, 24) now.\n"
        "As an array it is (height, width, channels): (24, 32, 3).\n"
        "1 files were left out:\n"
        "  b.jpg: empty: The file is empty."
    )
    assert json.loads(json.dumps(report.to_json())) == {
        "dst": str(small),
        "written": [{"id": "a.jpg", "target": "a.jpg", "before": [60, 40], "after": [32, 24]}],
        "quarantined": [{"id": "b.jpg", "reason": "empty", "detail": "The file is empty."}],
    }


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_copies_do_not_depend_on_the_number_of_workers(
    photos: Path, tmp_path: Path, num_workers
):
    done: list[int] = []
    first = resize_folder(photos, tmp_path / "0", size=16)
    other = resize_folder(
        photos, tmp_path / "n", size=16, num_workers=num_workers, progress=done.append
    )
    assert hashes(tmp_path / "0") == hashes(tmp_path / "n")
    assert (first.written, first.quarantined) == (other.written, other.quarantined)
    assert done == list(range(1, 8))


def test_names_that_would_meet_are_kept_apart(tmp_path: Path):
    root = tmp_path / "in"
    save(root / "a.png", colour=RED)
    save(root / "a.jpg", colour=GREY)
    save(root / "a.bmp", colour=BLUE)
    save(root / "b.bmp", colour=RED)
    save(root / "B.gif", colour=BLUE)
    save(root / "disguised.jpg", format_="PNG")
    report = resize_folder(root, tmp_path / "out", size=8)
    assert {one.id: one.target for one in report.written} == {
        "B.gif": "B.png",
        "a.bmp": "a.bmp.png",
        "a.jpg": "a.jpg",
        "a.png": "a.png",
        "b.bmp": "b.bmp.png",  # B.png and b.png are one file on some systems
        "disguised.jpg": "disguised.png",
    }
    colours = {}
    for one in report.written:
        with Image.open(tmp_path / "out" / one.target) as image:
            colours[one.id] = image.convert("RGB").getpixel((4, 4))
            assert image.format == ("JPEG" if one.target.endswith("jpg") else "PNG")
    assert colours["a.png"] == colours["b.bmp"] == RED
    assert colours["a.bmp"] == BLUE


def test_names_that_meet_again_and_again_are_numbered(tmp_path: Path):
    for name in ("a.png", "a.bmp", "a.bmp.png", "a.bmp.gif"):
        save(tmp_path / "in" / name)
    report = resize_folder(tmp_path / "in", tmp_path / "out", size=8)
    targets = {one.id: one.target for one in report.written}
    assert targets["a.bmp"] == "a.bmp-2.png"
    assert targets["a.bmp.gif"] == "a.bmp.gif.png"
    assert len(set(targets.values())) == 4


@pytest.mark.row(107)
def test_each_method_reaches_its_size(tmp_path: Path):
    save(tmp_path / "in" / "wide.png", (300, 200))
    save(tmp_path / "in" / "tall.png", (50, 200))
    sizes = {}
    for resize in ("crop", "squish", "pad", "shrink"):
        report = resize_folder(tmp_path / "in", tmp_path / resize, size=100, resize=resize)
        sizes[resize] = {one.id: one.after for one in report.written}
    square = {"tall.png": (100, 100), "wide.png": (100, 100)}
    assert sizes["crop"] == sizes["squish"] == sizes["pad"] == square
    # The proportions stay, the shorter side becomes 100, and what is smaller is not enlarged.
    assert sizes["shrink"] == {"tall.png": (50, 200), "wide.png": (150, 100)}


def test_grey_stays_grey_and_rotation_is_applied(tmp_path: Path):
    save(tmp_path / "in" / "grey.png", colour=99)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "in" / "turned.jpg", exif=exif)
    report = resize_folder(tmp_path / "in", tmp_path / "out", size=10, resize="shrink")
    with Image.open(tmp_path / "out" / "grey.png") as image:
        assert image.mode == "L"
    assert report.written[1].before == (20, 40)
    with Image.open(tmp_path / "out" / "turned.jpg") as image:
        assert image.size == (10, 20)
        assert not image.getexif()


def test_a_folder_that_cannot_take_the_copies_is_refused(photos: Path, tmp_path: Path):
    full = tmp_path / "full"
    save(full / "mine.png")
    file = tmp_path / "file"
    file.touch()
    for dst, message in (
        (
            photos,
            f"{photos} is inside {photos}. Copies would be taken for originals: choose another.",
        ),
        (
            photos / "small",
            f"{photos / 'small'} is inside {photos}. "
            "Copies would be taken for originals: choose another.",
        ),
        (full, f"{full} is not empty. Nothing is overwritten: choose a new folder."),
        (tmp_path, f"{tmp_path} is not empty. Nothing is overwritten: choose a new folder."),
        (file, f"{file} is a file, not a folder. Choose another."),
    ):
        with pytest.raises(DataError) as caught:
            resize_folder(photos, dst, size=8)
        assert str(caught.value) == message
    assert list(hashes(full)) == ["mine.png"]


def test_a_link_into_the_originals_is_seen_through(photos: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(DataError, match=r" is inside "):
        resize_folder(photos, tmp_path / "link" / "small", size=8)


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").touch()
    with pytest.raises(DataError, match=r"/in holds no pictures\. Looked for: \.bmp, \.dib, "):
        resize_folder(tmp_path / "in", tmp_path / "out", size=8)
    with pytest.raises(DataError, match=r"/nowhere does not exist\. "):
        resize_folder(tmp_path / "nowhere", tmp_path / "out", size=8)


def test_wrong_arguments_are_refused_before_anything_is_written(photos: Path, tmp_path: Path):
    with pytest.raises(UnknownNameError) as caught:
        resize_folder(photos, tmp_path / "out", size=8, resize="shrunk")
    assert str(caught.value) == (
        "Unknown resize method 'shrunk'. Did you mean 'shrink'? Known: crop, pad, shrink, squish."
    )
    with pytest.raises(ConfigError, match=r"^`quality` must be in 1\.\.95\. Got 100\.$"):
        resize_folder(photos, tmp_path / "out", size=8, quality=100)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_stops_the_work_and_leaves_no_half_file(photos, tmp_path, monkeypatch):
    written = []

    def full_at_third(path: Path, data: bytes) -> str:
        if len(written) == 2:
            raise StorageError("Could not write: No space left on device.")
        written.append(path)
        return original(path, data)

    original = module.write_bytes
    monkeypatch.setattr(module, "write_bytes", full_at_third)
    with pytest.raises(StorageError, match="No space left on device"):
        resize_folder(photos, tmp_path / "out", size=8)
    assert list(hashes(tmp_path / "out")) == ["cats/a.jpg", "cats/deep/b.PNG"]


@pytest.mark.row(107)
def test_the_comparison_shows_the_three_methods_side_by_side(tmp_path: Path):
    array = np.full((200, 300, 3), GREY, dtype=np.uint8)
    array[:, :50], array[:, 250:] = RED, BLUE
    Image.fromarray(array).save(tmp_path / "a.png")
    grid = comparison_grid(tmp_path / "a.png", 224)
    assert grid.size == (3 * 224 + 4 * 8, 224 + 2 * 8 + 16)
    shown = np.asarray(grid)[24:-8].reshape(224, -1, 3)
    crop, squish, pad = (shown[:, 8 + i * 232 : 8 + i * 232 + 224] for i in range(3))
    assert (crop[:, 1:-1] == GREY).all()
    assert (squish[:, 0] == RED).all()
    assert (squish[:, -1] == BLUE).all()
    assert (pad[:37] == 0).all()
    assert (pad[37:-38, 0] == RED).all()
    titles = np.asarray(grid)[:24]
    assert all((titles[:, 8 + i * 232 : 60 + i * 232] < 128).any() for i in range(3))
