"""The golden numbers are what the library computes, and a number that moves is seen."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

NAMES = ["augmented_means", "model_scores", "schedule_values", "training_losses"]


@pytest.fixture
def golden(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("golden")


def test_each_golden_number_is_kept_and_compared(golden: ModuleType) -> None:
    assert sorted(golden.GOLDEN) == sorted(golden.read()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_library_computes_what_it_did(golden: ModuleType, name: str) -> None:
    compute, _ = golden.GOLDEN[name]
    kept = golden.read()[name]
    lines = golden.moved(kept["values"], compute(), kept["tolerance"])
    assert lines == [], "If this is meant: `make golden`, and say why in the commit."


def test_a_number_that_moves_more_than_its_tolerance_is_named(golden: ModuleType) -> None:
    assert golden.moved([1.0, 2.0, 0.0], [1.0009, 2.003, 0.0], 1e-3) == ["  [1] 2 -> 2.003"]
    assert golden.moved([1.0], [float("nan")], 1e-3) == ["  [0] 1 -> nan"]
    assert golden.moved([1.0], [1.0, 2.0], 1e-3) == ["  1 numbers became 2"]
