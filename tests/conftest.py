"""What all tests share: one torch thread, a folder in memory, the data that is not of this repository.

Nothing here seeds a global generator: the library derives what it draws, and a test that draws
itself passes a generator.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

MEMORY = Path("/dev/shm")
ENOUGH = 4 << 30
"""Bytes that have to be free there. A whole run writes less than half of that."""

SharedData = Callable[[str], Path]


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process: the processes of a parallel run would fight for the cores otherwise.

    Temporary folders are in memory, where there is much of it and `TMPDIR` does not say otherwise:
    whatever the library keeps it syncs, and on a disk the tests would mostly wait for that.
    """
    torch.set_num_threads(1)
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # asked for anew


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without looking for garbage, and never look at what was collected again.

    A million objects come to stay: looking through them took a third of the time of collecting, and half
    a second each time later.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> SharedData:
    """`shared_data("pets")`: a folder of `$DRIVETRAIN_DATA`, or of `../shared/data`; else a skip."""

    def find(name: str) -> Path:
        base = os.environ.get("DRIVETRAIN_DATA")
        folder = (Path(base) if base else ROOT.parent / "shared" / "data") / name
        if not folder.exists():
            pytest.skip(f"The data '{name}' is not here: set DRIVETRAIN_DATA to its folder.")
        return folder

    return find
