"""Every workbook that a fast test needs, recalculated by one LibreOffice, whose start takes the time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sheets.recalculate import recalculate
from tests.sheets.shown import Shown


@dataclass(frozen=True)
class Files:
    """Workbooks by name: as they were written, and what they show as LibreOffice computed them."""

    written: dict[str, Path]
    computed: dict[str, Shown]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    from tests.sheets import test_learning, test_learning_by_hand, test_own_run, test_workbook

    folder = tmp_path_factory.mktemp("sheets")
    made = [
        *test_workbook.files(folder),
        *test_learning.files(folder),
        *test_learning_by_hand.files(folder),
        *test_own_run.files(folder),
    ]
    computed = recalculate(made, folder / "out")
    names = [path.stem for path in made]
    return Files(dict(zip(names, made, strict=True)), dict(zip(names, computed, strict=True)))
