"""Finding items: sorted, stable, hidden ones left out, loops of links ended, refusals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivetrain.data.items import Item, Quarantined, find_files, item_id
from drivetrain.errors import DataError

PICTURES = {".png", ".jpg"}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def ids(folder: Path) -> list[str]:
    return [item_id(path, folder) for path in find_files(folder, PICTURES)]


@pytest.fixture
def turned_disk(monkeypatch):
    """A disk that lists every folder backwards: the order of a listing is nowhere promised."""
    scandir = os.scandir

    class Backwards:
        def __init__(self, path):
            with scandir(path) as entries:
                self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

        def close(self):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)


@pytest.mark.usefixtures("turned_disk")
def test_files_are_sorted_by_id_whatever_the_disk_says(tmp_path):
    touch(tmp_path, "b/2.png", "b/10.png", "a.png", "a/z.png", "a/c/d.png", "B/1.png", "a b/1.png")
    expected = ["B/1.png", "a b/1.png", "a.png", "a/c/d.png", "a/z.png", "b/10.png", "b/2.png"]
    assert ids(tmp_path) == expected


def test_ids_do_not_move_with_the_folder(tmp_path):
    touch(tmp_path / "here", "cat/1.png", "dog/2.png")
    before = ids(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert ids(tmp_path / "there") == before == ["cat/1.png", "dog/2.png"]


def test_suffix_is_read_without_case_and_others_are_left(tmp_path):
    touch(tmp_path, "a.PNG", "b.Jpg", "c.txt", "d", "e.png.txt", "f.jpeg")
    assert ids(tmp_path) == ["a.PNG", "b.Jpg"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, "a.png", "._a.png", ".png", ".hidden/b.png", "c/.trash/d.png", "c/e.png")
    assert ids(tmp_path) == ["a.png", "c/e.png"]


def test_hidden_source_itself_is_read(tmp_path):
    touch(tmp_path / ".cache", "a.png")
    assert ids(tmp_path / ".cache") == ["a.png"]


def test_folder_without_items_has_none(tmp_path):
    touch(tmp_path, "a.txt")
    (tmp_path / "empty").mkdir()
    assert find_files(tmp_path, PICTURES) == []


def test_links_to_files_and_folders_are_followed(tmp_path):
    touch(tmp_path / "elsewhere", "1.png", "deep/2.png")
    source = tmp_path / "source"
    source.mkdir()
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "one.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert ids(source) == ["linked/1.png", "linked/deep/2.png", "one.png"]


def test_loop_of_links_ends(tmp_path):
    touch(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self").symlink_to(tmp_path / "b")
    assert ids(tmp_path) == ["a/1.png", "b/2.png"]


@pytest.mark.usefixtures("turned_disk")
def test_folder_linked_twice_gives_its_items_once_under_the_first_name(tmp_path):
    touch(tmp_path / "source", "real/1.png")
    (tmp_path / "source" / "again").symlink_to(tmp_path / "source" / "real")
    assert ids(tmp_path / "source") == ["again/1.png"]


def test_link_to_nothing_is_an_item_to_be_quarantined_later(tmp_path):
    """It is named as a picture and cannot be read: left out here, nobody would hear of it."""
    touch(tmp_path, "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "absent.png")
    assert ids(tmp_path) == ["a.png", "gone.png"]


def test_odd_names_are_found(tmp_path):
    names = ["a b.png", "é.png", "日本.png", "x\ny.png", os.fsdecode(b"caf\xe9.png")]
    touch(tmp_path, *names)
    assert sorted(ids(tmp_path)) == sorted(names)


def test_missing_folder_is_refused(tmp_path):
    path = tmp_path / "absent"
    with pytest.raises(DataError) as caught:
        find_files(path, PICTURES)
    assert str(caught.value) == (f"{path} does not exist. Give a folder of pictures or a CSV file.")


def test_file_instead_of_a_folder_is_refused(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(DataError) as caught:
        find_files(tmp_path / "a.png", PICTURES)
    assert (
        str(caught.value)
        == f"{tmp_path / 'a.png'} is not a folder. Give a folder of pictures or a CSV file."
    )


def test_folder_that_may_not_be_listed_is_refused(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png", "locked/2.png")
    scandir = os.scandir

    def guarded(path):  # root may list everything, so the refusal is played
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError) as caught:
        find_files(tmp_path, PICTURES)
    assert str(caught.value) == (
        f"{tmp_path / 'locked'} cannot be read: Permission denied. Give yourself the right to list it."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_folder_without_rights_is_refused(tmp_path):
    touch(tmp_path, "locked/2.png")
    (tmp_path / "locked").chmod(0)
    try:
        with pytest.raises(DataError, match=r"locked cannot be read: Permission denied\."):
            find_files(tmp_path, PICTURES)
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_id_of_a_file_outside_the_source_is_its_path():
    assert item_id(Path("/a/b/c.png"), Path("/a")) == "b/c.png"
    assert item_id(Path("/x/c.png"), Path("/a")) == "/x/c.png"


def test_records_are_frozen_and_plain():
    item = Item(id="a/1.png", path=Path("/s/a/1.png"), label="a")
    with pytest.raises(AttributeError):
        item.label = "b"  # pyright: ignore[reportAttributeAccessIssue]
    record = Quarantined("a/1.png", "empty", "The file has no bytes.").to_json()
    assert record == {"id": "a/1.png", "reason": "empty", "detail": "The file has no bytes."}
