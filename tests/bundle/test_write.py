"""Old or new, whole: whatever fails while a bundle is written, and whoever writes it at the same time."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from drivetrain import _disk
from drivetrain.bundle.verify import Verified
from drivetrain.bundle.write import check_place, write
from drivetrain.errors import BundleError, ConfigError, StorageError
from tests.bundle.small import WEIGHTS, contents, made, proved
from tests.reliability.conftest import quick_folder as quick_folder
from tests.reliability.disks import SHORT, CountingDisk, FailingDisk, KillingDisk


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def replaced(folder: Path) -> Verified:
    """Write another bundle over the one that is there."""
    return write(folder, contents(weights=WEIGHTS * 2), prove=proved)


def operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations of replacing a bundle."""
    folder = made(tmp_path / "counted" / "bundle")
    disk = CountingDisk()
    with monkeypatch.context() as patch:
        patch.setattr(_disk, "disk", disk)
        replaced(folder)
    return disk.names


def test_a_bundle_is_written_proved_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "bundle"
    first = write(folder, contents(), prove=proved)
    assert first.folder == str(folder)
    assert names(folder.parent) == ["bundle"]
    second = replaced(folder)
    assert names(folder.parent) == ["bundle"]
    assert proved(folder).sha256 == second.sha256 != first.sha256


def test_each_operation_may_fail_once(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = operations(quick_folder, monkeypatch)
    assert {"exchange", "remove_folder", "unlink", "sync_folder"} <= set(done)
    new = proved(made(quick_folder / "new", weights=WEIGHTS * 2)).sha256
    for number, name in enumerate(done, start=1):
        for error in (errno.ENOSPC, errno.EIO, SHORT):
            if error == SHORT and name != "write":
                continue
            parent = quick_folder / f"{number}-{error}"
            folder = made(parent / "bundle")
            old = proved(folder).sha256
            disk = FailingDisk(number, error)
            with monkeypatch.context() as patch:
                patch.setattr(_disk, "disk", disk)
                try:
                    replaced(folder)
                    failed = None
                except StorageError as caught:
                    failed = str(caught)
            assert disk.failed, (number, name)
            found = proved(folder).sha256
            assert found in (old, new), (number, name)
            if failed is None:  # what fails after it is in its place is only the old one's removal
                assert found == new
            else:
                assert failed.startswith(f"Could not write {folder}: "), failed


def killed(number: int, folder: Path) -> None:
    _disk.disk = KillingDisk(number)
    replaced(folder)


@pytest.mark.slow
def test_a_kill_at_each_operation_leaves_one_of_them_whole(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = operations(quick_folder, monkeypatch)
    new = proved(made(quick_folder / "new", weights=WEIGHTS * 2)).sha256
    context = multiprocessing.get_context("fork")
    seen = set()
    for number in range(1, len(done) + 1):
        folder = made(quick_folder / str(number) / "bundle")
        old = proved(folder).sha256
        child = context.Process(target=killed, args=(number, folder))
        child.start()
        child.join(30)
        assert child.exitcode == -signal.SIGKILL
        found = proved(folder).sha256
        assert found in (old, new), (number, done[number - 1])
        seen.add(found == new)
        replaced(folder)  # and it can be written again
    assert seen == {False, True}


def test_what_a_kill_left_is_removed_after_a_day(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    old, young = tmp_path / ".bundle.0a0a0a0a.tmp", tmp_path / ".bundle.0b0b0b0b.tmp"
    for left in (old, young):
        (left / "golden").mkdir(parents=True)
        (left / "golden" / "0.png").write_bytes(b"x")
    long_ago = time.time() - 2 * 86_400
    os.utime(old, (long_ago, long_ago))
    replaced(folder)
    assert names(tmp_path) == [young.name, "bundle"]


def written(folder: Path, number: int) -> None:
    for _ in range(15):
        write(folder, contents(weights=WEIGHTS * (1 + number)), prove=proved)


def test_of_two_that_write_at_once_one_wins_whole(quick_folder: Path) -> None:
    folder = quick_folder / "bundle"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=written, args=(folder, number)) for number in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if folder.exists():
            assert (folder / "bundle.json").exists()
        time.sleep(0.001)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert names(quick_folder) == ["bundle"]
    both = {proved(made(quick_folder / str(n), weights=WEIGHTS * (1 + n))).sha256 for n in range(2)}
    assert proved(folder).sha256 in both


def test_where_the_system_cannot_exchange_names_it_goes_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_disk, "_exchange", lambda one, other: False)
    folder = made(tmp_path / "bundle")
    assert replaced(folder).sha256 == proved(folder).sha256
    assert names(tmp_path) == ["bundle"]


def test_only_a_whole_bundle_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    check_place(tmp_path / "mine")  # an empty folder is no loss
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError) as caught:
        made(tmp_path / "mine")
    assert str(caught.value) == (
        f"{tmp_path / 'mine'} already holds 'thesis.txt' and is not a whole bundle, so it is not written "
        "over. Remove it, or choose another place for the bundle."
    )
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    folder = made(tmp_path / "bundle")
    (folder / "notes.txt").write_text("also mine")
    with pytest.raises(
        ConfigError, match=r"^.* is not a whole bundle, so it is not written over\."
    ):
        made(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        made(tmp_path / "file")
    assert str(caught.value) == (
        f"{tmp_path / 'file'} is no folder. Choose another place for the bundle."
    )


def test_what_does_not_prove_itself_gets_no_name(tmp_path: Path) -> None:
    from dataclasses import replace

    good = contents()
    wrong = replace(good, weights={"w": WEIGHTS * 3})
    with pytest.raises(BundleError) as caught:
        write(tmp_path / "bundle", wrong, prove=proved)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'bundle'} gives other answers than it was made with")
    assert said.endswith("Nothing was written.")
    assert names(tmp_path) == []


def test_an_ejected_predictor_travels_and_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle", predictor="print('hello')\n")
    assert (folder / "predict.py").read_text() == "print('hello')\n"
    assert proved(folder).files == 9
