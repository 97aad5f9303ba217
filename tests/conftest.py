"""What all tests share: one torch thread, and the data that is not part of this repository.

Nothing here seeds a global generator: the library derives what it draws, and a test that draws
itself passes a generator.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

SharedData = Callable[[str], Path]


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process: the processes of a parallel run would fight for the cores otherwise."""
    torch.set_num_threads(1)


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
