"""Trainings of three kinds are killed, some twice, and each ends with the bits of the whole one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.reliability.forks import Forks
from tests.reliability.kills import Kill, plan, references, shapes, trial


@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")
@pytest.mark.parametrize("count", [12, pytest.param(96, marks=pytest.mark.slow)])
def test_killed_trainings_resume_to_the_same_bits(count: int, quick_folder: Path) -> None:
    """12 are each kind twice at an operation and twice at a moment, and once killed a second time."""
    pictures = shapes(quick_folder / "shapes")
    different: dict[Kill, str] = {}
    killed = 0
    with Forks(pictures) as forks:
        known = references(forks, quick_folder)
        for number, kill in enumerate(plan(count, known, seed=2)):
            kills, difference = trial(forks, kill, known, quick_folder / f"trial-{number}")
            killed += kills
            if difference:
                different[kill] = difference
    assert different == {}
    assert killed >= count
