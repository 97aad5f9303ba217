"""A folder in memory, where a sync costs nothing: what is tested is the order of operations."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on /dev/shm where there is one, else on the disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="drivetrain-", dir=memory))
    yield folder
    shutil.rmtree(folder)
