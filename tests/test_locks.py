"""One writer a folder: others are refused by name, and a dead process holds nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drivetrain.errors import RunError, StorageError
from drivetrain.locks import LOCK, FolderLock
from drivetrain.train.run import Run

HOLD = """
import sys, time
from drivetrain.locks import FolderLock
lock = FolderLock(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_is_held_until_it_is_released(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert lock.is_held
    with pytest.raises(
        RunError,
        match=rf"^{re.escape(str(tmp_path))} is in use: process {os.getpid()} on \S+ "
        r"\(since [-0-9]+ [:0-9]+\) is training in it\. Wait until that has ended, or stop it\.$",
    ):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    assert not lock.is_held
    FolderLock(tmp_path).release()


def test_a_killed_process_holds_nothing_and_its_file_is_in_nobody_s_way(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=rf"is in use: process {process.pid} on "):
        FolderLock(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    began = time.monotonic()
    lock = FolderLock(tmp_path)
    assert time.monotonic() - began < 1
    assert (tmp_path / LOCK).exists()
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_keep_the_lock_alive(tmp_path: Path) -> None:
    code = """
import os, sys, time
from drivetrain.locks import FolderLock
lock = FolderLock(sys.argv[1])
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print("held", flush=True)
os.kill(os.getpid(), 9)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.wait()
    time.sleep(0.2)  # the child drops its copy when it starts
    FolderLock(tmp_path).release()
    os.killpg(process.pid, signal.SIGKILL)  # only the child is left of it
    process.stdout.close()


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(
        StorageError,
        match=rf"^Could not lock {re.escape(str(tmp_path / 'no'))}: No such file or directory\. "
        r"Choose another folder\.$",
    ):
        FolderLock(tmp_path / "no")


def test_of_eight_starts_in_one_folder_one_wins(tmp_path: Path) -> None:
    def start(number: int) -> Run | str:
        try:
            return Run.create(tmp_path / "run")
        except RunError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(start, range(8)))
    winners = [answer for answer in answers if isinstance(answer, Run)]
    assert len(winners) == 1
    assert all("is in use: " in a for a in answers if isinstance(a, str))


def test_of_eight_dated_starts_each_has_its_own_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: Run.create_dated(tmp_path, "photos"), range(8)))
    assert len({run.folder for run in runs}) == 8


def test_a_run_that_is_trained_cannot_be_trained_by_another(tmp_path: Path) -> None:
    import torch

    import drivetrain as dt

    x = torch.linspace(-1, 1, 8).unsqueeze(1)
    loader = dt.BatchLoader(dt.TensorData(x, x), batch_size=4)
    said: list[str] = []

    class Intrude(dt.Callback):
        def after_batch(self, state: object) -> None:
            other = dt.Learner(torch.nn.Linear(1, 1), (loader, loader), "mse", progress=False)
            other.open_run(Run.open(tmp_path / "run"))
            with pytest.raises(RunError) as refused:
                other.resume(callbacks=[])
            said.append(str(refused.value))

    first = dt.Learner(
        torch.nn.Linear(1, 1), (loader, loader), "mse", progress=False, out=tmp_path / "run"
    )
    first.fit(1, callbacks=[Intrude()])
    assert len(said) == 2
    assert all(text.startswith(f"{tmp_path / 'run'} is in use: process ") for text in said)
    first.fit(1)  # and once it is over, the next one may
