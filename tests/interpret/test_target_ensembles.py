"""Ensembles of several targets: each target is put together as it would be alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from drivetrain.errors import DataError
from drivetrain.interpret.ensembles import ensemble
from drivetrain.interpret.target_ensembles import target_ensemble
from drivetrain.train.predictions import Predictions

pytestmark = pytest.mark.row(118)


def record(seed: int, *, count: int = 40, names: tuple[str, ...] = ("a", "b")) -> Predictions:
    """Scores of two targets with 2 and 3 classes, better than chance; the truth is the same for all."""
    draw = torch.Generator().manual_seed(seed)
    ids = [f"item {number}" for number in range(count)]
    targets = torch.stack([torch.arange(count) % 2, torch.arange(count) // 2 % 3], dim=1)
    parts, outputs = {}, []
    for place, (name, size) in enumerate(zip(names, (2, 3), strict=True)):
        scores = torch.randn(count, size, generator=draw)
        scores = scores + 2 * F.one_hot(targets[:, place], size)
        losses = F.cross_entropy(scores, targets[:, place], reduction="none")
        classes = tuple(f"{name}{code}" for code in range(size))
        parts[name] = Predictions(ids, targets[:, place], scores, losses, classes)
        outputs.append(scores)
    summed = sum(part.losses for part in parts.values())
    assert isinstance(summed, torch.Tensor)
    return Predictions(ids, targets, torch.cat(outputs, dim=1), summed, (), parts)


@pytest.mark.parametrize("weights", [None, "fitted", [0.2, 0.8]])
def test_each_target_is_the_ensemble_of_it_alone(weights: object) -> None:
    records = {"small": record(1), "large": record(2)}
    found = target_ensemble(records, weights, folds=4, seed=3)  # pyright: ignore[reportArgumentType]
    assert len(found) == 40
    for name in ("a", "b"):
        alone = ensemble(
            {one: other.of(name) for one, other in records.items()},
            weights,  # pyright: ignore[reportArgumentType]
            folds=4,
            seed=3,
        )
        assert found[name].to_json() == alone.to_json() == found.to_json()["targets"][name]
        assert torch.equal(found[name].predictions.outputs, alone.predictions.outputs)
        assert found.weights[name] == alone.weights
        assert f"{name}\n{alone}" in str(found)


def test_fitted_weights_are_each_targets_own() -> None:
    found = target_ensemble([record(1), record(2)], "fitted")
    assert list(found.weights["a"]) == ["1", "2"]
    assert found.weights["a"] != found.weights["b"]


def test_records_of_other_targets_and_of_one_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        target_ensemble({"x": record(1), "y": record(2, names=("a", "c"))})
    assert str(caught.value) == (
        "x and y predict other things: the targets a, b, and the targets a, c."
    )
    with pytest.raises(DataError) as caught:
        target_ensemble({"x": record(1), "y": record(2).of("a")})
    assert str(caught.value) == ("x and y predict other things: the targets a, b, and one target.")
    with pytest.raises(DataError) as caught:
        target_ensemble([record(1).of("a"), record(2).of("a")])
    assert str(caught.value) == (
        "`target_ensemble` needs records of several targets each. Of one target it is `ensemble`."
    )
    with pytest.raises(DataError, match="needs records of two models or more"):
        target_ensemble([record(1)])
