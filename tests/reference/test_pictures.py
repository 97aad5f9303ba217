"""Mean pictures, distances, and the score of the nearest mean on scikit-learn's digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestCentroid

from drivetrain.reference import pictures as twin
from drivetrain.reference.small_nets import PixelWeights, accuracy, train
from tests.reference.gradients import normal, same


def digits(*wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 8, 8) pixels from 0 to 1, (N,) labels."""
    data = load_digits()
    kept = np.isin(data.target, wanted)
    return data.images[kept] / 16, data.target[kept]


@pytest.mark.row(25)
def test_the_ideal_three_is_the_mean_of_the_threes() -> None:
    pictures, labels = digits(3, 7)
    classes, ideals = twin.mean_pictures(pictures, labels)
    assert classes.tolist() == [3, 7]
    for one, ideal in zip(classes, ideals, strict=True):
        same(ideal, torch.from_numpy(pictures[labels == one]).mean(dim=0), atol=1e-12)
    # A three ends in a curve, a seven in a stem: lower right, and left end of the bar in the middle.
    assert ideals[0][6, 5] > ideals[1][6, 5] + 0.3
    assert ideals[1][4, 2] > ideals[0][4, 2] + 0.3


@pytest.mark.row(27)
def test_two_distances_on_known_numbers_and_beside_torch() -> None:
    a, b = np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 0.0, 1.0]])
    assert twin.mean_absolute(a, b) == pytest.approx(5 / 3, abs=1e-12)
    assert twin.root_mean_squared(a, b) == pytest.approx(2.0817, abs=5e-5)
    x, y = normal(6, 8, 8), normal(8, 8, seed=1)
    for row, found, root in zip(
        x, twin.mean_absolute(x, y), twin.root_mean_squared(x, y), strict=True
    ):
        pair = torch.from_numpy(row), torch.from_numpy(y)
        same(found, F.l1_loss(*pair), atol=1e-12)
        same(root, F.mse_loss(*pair).sqrt(), atol=1e-12)
        # The norms are sums: count and root of the count times as large.
        same(64 * found, torch.linalg.vector_norm(pair[0] - pair[1], ord=1), atol=1e-11)
        same(8 * root, torch.linalg.vector_norm(pair[0] - pair[1]), atol=1e-11)


@pytest.mark.row(26)
@pytest.mark.parametrize(
    ("wanted", "absolute", "squared", "count"),
    [
        ((3, 7), 72, 72, 72),
        ((3, 8), 67, 68, 71),  # 94.37% and 95.77%
        (tuple(range(10)), 320, 327, 359),  # 89.14% and 91.09%
    ],
)
def test_the_nearest_mean_reads_this_many_held_out_digits(
    wanted: tuple[int, ...], absolute: int, squared: int, count: int
) -> None:
    pictures, labels = digits(*wanted)
    for distance, right in ((twin.mean_absolute, absolute), (twin.root_mean_squared, squared)):
        assert twin.baseline(pictures, labels, distance) == (right / count, count)


@pytest.mark.row(26)
@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # some pixels are always blank
def test_the_nearest_mean_is_scikit_learns_nearest_centroid() -> None:
    pictures, labels = digits(*range(10))
    train_at, valid_at = twin.held_out(len(labels))
    classes, ideals = twin.mean_pictures(pictures[train_at], labels[train_at])
    found = twin.nearest(pictures[valid_at], classes, ideals, twin.root_mean_squared)
    rows = pictures.reshape(len(pictures), -1)
    theirs = NearestCentroid().fit(rows[train_at], labels[train_at])
    assert np.array_equal(found, theirs.predict(rows[valid_at]))
    assert sorted([*train_at, *valid_at]) == list(range(len(labels)))  # each once


@pytest.mark.row(29)
@pytest.mark.parametrize("seed", range(3))
def test_a_learnt_weight_for_each_pixel_beats_the_nearest_mean(seed: int) -> None:
    pictures, labels = digits(3, 8)
    train_at, valid_at = twin.held_out(len(labels))
    x, y = pictures.reshape(len(pictures), -1), (labels == 3).astype(float)[:, None]
    net = PixelWeights(64, seed=seed)
    losses = train(net, x[train_at], y[train_at], seed=seed)
    assert losses[-1] < losses[0] / 4
    best, _ = max(
        twin.baseline(pictures, labels, distance)
        for distance in (twin.mean_absolute, twin.root_mean_squared)
    )
    assert accuracy(net, x[valid_at], y[valid_at]) > best
