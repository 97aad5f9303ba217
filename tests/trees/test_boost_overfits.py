"""Boosting goes too far where there is nothing to learn; a forest does not."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.trees import grow


@pytest.mark.row(101)
def test_boosting_turns_up_on_noise_and_a_forest_does_not() -> None:
    draw = np.random.default_rng(0)
    columns, noise = draw.normal(size=(400, 5)), draw.normal(size=400)
    train, valid = slice(0, 200), slice(200, 400)
    boosted = grow.boosting(
        columns[train], noise[train], num_trees=300, learning_rate=0.1, min_samples_leaf=5
    ).ensemble
    stages = [
        float(((answers - noise[valid]) ** 2).mean())
        for answers in _staged(boosted, columns[valid])
    ]
    fits = [
        float(((answers - noise[train]) ** 2).mean())
        for answers in _staged(boosted, columns[train])
    ]
    assert fits[-1] < 0.2 * fits[0]
    assert stages[-1] > 1.2 * min(stages)
    forest = grow.forest(columns[train], noise[train], num_trees=200, min_samples_leaf=5).ensemble
    alone = forest.tree_outputs(columns[valid])[:, :, 0]  # (T, N)
    growing = np.cumsum(alone, axis=0) / np.arange(1, 201)[:, None]
    errors = ((growing - noise[valid]) ** 2).mean(axis=1)
    assert errors[-1] < 1.05 * errors.min()


def _staged(ensemble: object, columns: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(answers).reshape(len(columns)) for answers in ensemble.staged(columns)]
