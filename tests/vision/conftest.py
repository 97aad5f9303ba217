"""What the tests of pictures with several targets share."""

from __future__ import annotations

from pathlib import Path

import pytest

import drivetrain as dt
from tests.vision.leaves import learner, make_leaves, write_table


@pytest.fixture(scope="session")
def leaves_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`leaves.csv` and its pictures. Not to be changed."""
    folder = tmp_path_factory.mktemp("leaves")
    write_table(folder / "leaves.csv", make_leaves(folder))
    return folder


@pytest.fixture(scope="session")
def leaves_trained(leaves_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dt.Learner:
    """Two epochs on both targets, in a run. Not to be trained on."""
    found = learner(
        leaves_folder / "leaves.csv",
        target_weights={"variety": 0.5},
        out=tmp_path_factory.mktemp("runs") / "a",
    )
    found.train(2)
    return found
