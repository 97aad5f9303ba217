"""clean/inplace.py: what moves, that nothing is lost whenever it is cut, and the way back."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from drivetrain import _disk, store
from drivetrain.clean.inplace import TRASH, Source, apply, undo
from drivetrain.clean.patch import Change, Patch
from drivetrain.errors import DataError, RunError, StorageError

CLASSES = ("hawk", "owl")


def sown(folder: Path) -> Source:
    """Twelve files in two parts and a sealed one; 'owl/0' is also in hawk under a name of its own."""
    for part in ("train", "valid", "test"):
        for label in CLASSES:
            for at in range(2):
                path = folder / part / label / "deep" / f"{at}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{part} {label} {at}")
    return Source(folder, CLASSES)


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and TRASH not in path.parts
    }


def patch_of(folder: Path) -> Patch:
    def hash_of(name: str) -> str:
        return store.file_sha256(folder / name)

    return Patch(
        {
            hash_of("train/hawk/deep/0.png"): Change("owl", "hawk"),
            hash_of("train/hawk/deep/1.png"): Change(None, "hawk"),
            hash_of("valid/owl/deep/0.png"): Change("hawk", "owl"),
            hash_of("valid/owl/deep/1.png"): Change("hawk", "kite"),
            hash_of("test/owl/deep/0.png"): Change("hawk", "owl"),
        }
    )


def test_files_move_between_class_folders_and_into_a_dated_trash_and_back(tmp_path: Path) -> None:
    source = sown(tmp_path / "birds")
    before, patch = tree(source.folder), patch_of(source.folder)
    done = apply(patch, source)
    assert (done.relabelled, done.removed) == (2, 1)
    assert done.notes == (
        "1 files have a label by now that the patch does not know, and stay: valid/owl/deep/1.png.",
    )
    after = tree(source.folder)
    assert after["train/owl/deep/0-2.png"] == "train hawk 0"  # 0.png was taken
    assert after["train/owl/deep/0.png"] == "train owl 0"
    assert after["valid/hawk/deep/0-2.png"] == "valid owl 0"
    assert "train/hawk/deep/1.png" not in after and "test/owl/deep/0.png" in after
    assert done.trash is not None
    assert (done.trash / "removed/train/hawk/deep/1.png").read_text() == "train hawk 1"
    assert apply(patch, source).trash is None  # a second time there is nothing to do
    assert (undo(source).relabelled, tree(source.folder)) == (2, before)
    with pytest.raises(RunError, match=r"birds has no change in place that could be taken back\.$"):
        undo(source)


class Cut(_disk.Disk):
    """Every operation from the n-th on fails."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not callable(found) or name.startswith("_") or name == "close":
            return found

        def counted(*args: Any) -> Any:
            if self.left <= 0:
                raise OSError(errno.EIO, "Input/output error")
            self.left -= 1
            return found(*args)

        return counted


def test_cut_at_every_operation_it_can_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan L6."""
    done, operations = False, 0
    for operations in range(100):
        source = sown(tmp_path / f"birds{operations}")
        before, patch = tree(source.folder), patch_of(source.folder)
        with monkeypatch.context() as patched:
            patched.setattr(_disk, "disk", Cut(operations))
            try:
                apply(patch, source)
                done = True
            except StorageError:
                pass
        trashed = [path.read_text() for path in (source.folder / TRASH).rglob("*.png")]
        assert sorted([*tree(source.folder).values(), *trashed]) == sorted(before.values())
        try:
            undo(source)
        except RunError:
            assert tree(source.folder) == before  # it was cut before it began
        assert tree(source.folder) == before
        if done:
            break
    assert done and operations > 15


@pytest.mark.slow
def test_an_undo_that_is_cut_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was_whole, operations = False, 0
    for operations in range(100):
        source = sown(tmp_path / f"birds{operations}")
        before = tree(source.folder)
        apply(patch_of(source.folder), source)
        with monkeypatch.context() as patched:
            patched.setattr(_disk, "disk", Cut(operations))
            try:
                undo(source)
                was_whole = True
            except StorageError:
                assert operations < 40
        is_noted = any(source.folder.glob(f"{TRASH}/*/undone.json"))  # only the last flush was cut
        if not is_noted:
            undo(source)
        assert tree(source.folder) == before
        if was_whole:
            break
    assert was_whole and operations > 10


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/passwd", "a/../../x", "linked/x", "a\\..\\x", ""]
)
def test_a_plan_that_leads_out_of_the_source_is_refused(tmp_path: Path, name: str) -> None:
    source = sown(tmp_path / "birds")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("theirs")
    (source.folder / "linked").symlink_to(tmp_path / "elsewhere")
    store.write_json(
        source.folder / TRASH / "2026" / "plan.json", {"moves": [["train/hawk/new.png", name]]}
    )
    with pytest.raises(DataError, match=r"leads out of "):
        undo(source)
    assert (tmp_path / "elsewhere" / "x").read_text() == "theirs"


def test_labels_that_are_no_class_and_sources_of_other_kinds_are_refused(tmp_path: Path) -> None:
    source = sown(tmp_path / "birds")
    with pytest.raises(
        DataError, match=r"^'\.\./x' is no class of .*birds\. Choose one that is: hawk, owl\.$"
    ):
        apply(Patch({"0" * 64: Change("../x", "owl")}), source)
    with pytest.raises(
        DataError, match=r"^Only files in class folders and CSV files can be changed in place\. "
    ):
        Source.of({"task": {"application": "text"}, "data": {"from": "folder"}})
