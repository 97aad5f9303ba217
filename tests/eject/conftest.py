"""Small folders of pictures of known kinds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drivetrain.samples import sample_folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 12 handwritten digits each."""
    folder = tmp_path_factory.mktemp("digits")
    source = sample_folder("digits") / "train"
    for place in sorted(source.iterdir()):
        (folder / place.name).mkdir()
        for path in sorted(place.iterdir())[:12]:
            shutil.copy(path, folder / place.name / path.name)
    return folder
