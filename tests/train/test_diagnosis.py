"""Which model underfits, which is right, which overfits."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from drivetrain.errors import ConfigError
from drivetrain.train.diagnosis import fit_diagnosis

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "overfit.py"


@pytest.mark.row(64)
@pytest.mark.parametrize("seed", range(5))
def test_the_training_error_falls_and_the_validation_error_is_a_valley(seed: int) -> None:
    spec = importlib.util.spec_from_file_location("overfit", EXAMPLE)
    assert spec is not None and spec.loader is not None
    overfit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(overfit)
    _, told = overfit.fitted(seed)
    train = [one.train_loss for one in told]
    assert train == sorted(train, reverse=True)
    assert [one.verdict for one in told] == ["underfits", "right", "overfits"]
    assert str(told[1]).endswith(": right")


def test_the_lowest_validation_loss_parts_the_models() -> None:
    told = fit_diagnosis(["a", "b", "c", "d"], [4, 3, 2, 1], [5, 2, 3, 9])
    assert [one.verdict for one in told] == ["underfits", "right", "overfits", "overfits"]
    assert [one.verdict for one in fit_diagnosis(["a"], [1], [1])] == ["right"]


def test_each_model_needs_two_losses() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^`fit_diagnosis` needs two losses a model\. Got 2 names, 1 and 2 losses\.$",
    ):
        fit_diagnosis(["a", "b"], [1], [1, 2])
