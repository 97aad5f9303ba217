"""tools/corrections.py: the page is what is computed now, and says what the course's numbers say."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture
def corrections(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("corrections")


@pytest.mark.row(164)
def test_the_page_is_current(corrections: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = corrections.main(["--check"])
    assert (code, capsys.readouterr().err) == (0, "")


@pytest.mark.row(137)
def test_the_honest_columns_are_those_of_the_map(corrections: ModuleType) -> None:
    rows = corrections.multiplications().rows
    assert [row[2] for row in rows[1:3]] == [56_448, 56_448]
    assert [row[3] for row in rows[1:3]] == [14_112, 18_432]
    assert [row[4] for row in rows[1:]] == [12_800] * 3


@pytest.mark.row(125)
def test_the_two_forms_of_decay_give_their_numbers(corrections: ModuleType) -> None:
    assert [row[1] for row in corrections.decay_factor().rows] == ["4.59", "4.595", "4.59", "4.595"]


def test_there_are_eighteen_points_each_with_its_numbers(corrections: ModuleType) -> None:
    points = [make() for make in corrections.POINTS]
    assert len(points) == 18
    assert all(found.rows and len(found.rows[0]) == len(found.columns) for found in points)


def test_numbers_are_written_without_idle_zeros(corrections: ModuleType) -> None:
    digits = corrections._digits
    assert [digits(value) for value in (4.59, 100, -0.0, 1e-9, -2.5)] == [
        "4.59", "100", "0", "0", "−2.5",
    ]  # fmt: skip
