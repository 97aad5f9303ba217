"""A sample's folder is whole or not there, is made once, and never overwrites a person's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivetrain.errors import DataError, MissingPackageError, StorageError, UnknownNameError
from drivetrain.samples import SAMPLES, folder as folder_module, sample_folder, write_sample
from drivetrain.samples.folder import MARKER, cache_folder
from drivetrain.samples.picture import Picture
from drivetrain.samples.table import Sample

NUM_TINY = 8


def tiny_pictures() -> list[Picture]:
    return [
        Picture(f"{part}/{label}/{number}.png", "L", 2, 2, bytes([number, 0, 0, 255]))
        for part in ("train", "test")
        for label in ("a", "b")
        for number in range(2)
    ]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Sample:
    sample = Sample(
        name="tiny",
        task="vision",
        what="eight pictures",
        items=NUM_TINY,
        licence="Apache-2.0",
        source="drawn by code",
        package="pillow",
        version="88211029dc88",
        writer=tiny_pictures,
    )
    monkeypatch.setitem(SAMPLES, "tiny", sample)
    return sample


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "drivetrain" / "samples"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(path: Path) -> tuple[int, int]:
    """Which file stands at `path` and when it was last written; reading it moves only its access time."""
    stat = os.stat(path)
    return stat.st_ino, stat.st_mtime_ns


def test_a_sample_is_written_as_class_folders_below_train_and_test(tmp_path: Path) -> None:
    from PIL import Image

    folder = write_sample("shapes", tmp_path / "new" / "shapes")
    assert folder == tmp_path / "new" / "shapes"
    assert names(folder) == [MARKER, "test", "train"]
    assert names(folder / "train") == names(folder / "test") == ["circle", "square", "triangle"]
    assert len(list(folder.glob("train/*/*.png"))) == 240
    first = next(iter(SAMPLES["shapes"].writer()))
    with Image.open(folder / first.path) as picture:
        assert (picture.mode, picture.size, picture.tobytes()) == ("RGB", (24, 24), first.pixels)


def test_writing_again_changes_nothing(tmp_path: Path, tiny: Sample) -> None:
    folder = write_sample("tiny", tmp_path / "tiny")
    before = written(folder / "train/a/0.png")
    assert write_sample("tiny", folder) == folder
    assert written(folder / "train/a/0.png") == before


def test_an_empty_folder_is_filled_and_stays_the_same_folder(tmp_path: Path, tiny: Sample) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    before = folder.stat().st_ino
    write_sample("tiny", folder)
    assert folder.stat().st_ino == before
    assert names(folder) == [MARKER, "test", "train"]
    assert names(tmp_path) == ["empty"]


def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path, tiny: Sample) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError) as caught:
        write_sample("tiny", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} already holds other files. Give a folder that is new or empty."
    )
    assert names(tmp_path) == ["mine.txt"]


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path, tiny: Sample) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataError) as caught:
        write_sample("tiny", file)
    assert str(caught.value) == f"{file} is a file. Give a folder that is new or empty."


def test_an_unknown_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"^Unknown sample 'shape'\. Did you mean 'shapes'\?"
    ):
        write_sample("shape", tmp_path)


def test_the_cache_is_named_by_the_content_and_used_again(cache: Path, tiny: Sample) -> None:
    folder = sample_folder("tiny")
    assert folder == cache / f"tiny-{tiny.version}"
    before = written(folder)
    assert sample_folder("tiny") == folder
    assert written(folder) == before
    assert names(cache) == [folder.name]


@pytest.mark.parametrize("damage", ["lost", "emptied", "unmarked", "marked-wrongly"])
def test_a_damaged_copy_in_the_cache_is_made_again(cache: Path, tiny: Sample, damage: str) -> None:
    folder = sample_folder("tiny")
    picture, marker = folder / "train/a/0.png", folder / MARKER
    good, mark = picture.read_bytes(), marker.read_text()
    if damage == "lost":
        picture.unlink()
    elif damage == "emptied":
        picture.write_bytes(b"")
    elif damage == "unmarked":
        marker.unlink()
    else:
        marker.write_text(json.dumps({"sample": "tiny", "version": "old", "items": 8}))
    assert sample_folder("tiny") == folder
    assert picture.read_bytes() == good
    assert marker.read_text() == mark
    assert names(cache) == [folder.name]


def test_a_cut_leaves_no_half_sample(
    cache: Path, tiny: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut() -> Iterator[Picture]:
        yield from tiny_pictures()[:3]
        raise KeyboardInterrupt

    monkeypatch.setitem(SAMPLES, "tiny", Sample(**{**vars(tiny), "writer": cut}))
    with pytest.raises(KeyboardInterrupt):
        sample_folder("tiny")
    assert names(cache) == []


def test_who_comes_second_takes_what_the_first_has_made(
    cache: Path, tiny: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other program finishes between our look and our rename."""
    real = folder_module._put

    def late(temporary: Path, folder: Path) -> None:
        monkeypatch.setattr(folder_module, "_put", real)
        sample_folder("tiny")
        os.rename(temporary, folder)  # what the real one does where it saw no folder

    monkeypatch.setattr(folder_module, "_put", late)
    folder = sample_folder("tiny")
    assert names(folder) == [MARKER, "test", "train"]
    assert names(cache) == [folder.name]


def test_two_programs_make_one_sample_at_once(cache: Path) -> None:
    script = "from drivetrain.samples import sample_folder; print(sample_folder('shapes'))"
    command = [sys.executable, "-c", script]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate() for process in both]
    folder = cache / f"shapes-{SAMPLES['shapes'].version}"
    assert ended == [(f"{folder}\n", "")] * 2
    assert len(list(folder.glob("*/*/*.png"))) == 300
    assert names(cache) == [folder.name]


def test_a_cache_that_cannot_be_written_says_where_and_what_to_do(
    tmp_path: Path, tiny: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError) as caught:
        sample_folder("tiny")
    folder = tmp_path / "file/drivetrain/samples" / f"tiny-{tiny.version}"
    assert str(caught.value) == (
        f"Could not write the sample 'tiny' to {folder}: Not a directory. Free the place, or "
        "write it elsewhere: drivetrain samples tiny --to FOLDER"
    )


def test_a_package_with_other_data_is_refused(
    cache: Path, tiny: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Sample(**{**vars(tiny), "version": "000000000000"})
    monkeypatch.setitem(SAMPLES, "tiny", other)
    with pytest.raises(DataError) as caught:
        sample_folder("tiny")
    assert str(caught.value) == (
        "The installed pillow holds other data for the sample 'tiny' than this "
        "version of Drivetrain knows. Install the version that is named in its lock file."
    )
    assert names(cache) == []


def test_without_pillow_the_extra_is_named(tiny: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingPackageError) as caught:
        sample_folder("tiny")
    assert str(caught.value) == (
        "`PIL` is not installed. Install it with: pip install 'drivetrain[samples]'."
    )


def test_a_relative_cache_folder_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("relative/cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder() == tmp_path / ".cache/drivetrain/samples"
