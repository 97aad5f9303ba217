"""The baseline of 2012: features that people thought of, and logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from drivetrain.metrics.interval import wilson_interval
from drivetrain.vision.hand_features import DIRECTIONS, GRID, hand_baseline, hand_features
from drivetrain.vision.pictures import PictureData

COLOURS = 3 * GRID * GRID


def pictures(count: int, *, seed: int, side: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes: of class 0 upright, of class 1 lying, each with a shift and a colour of its own."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 2
    wave = torch.arange(side) * 1.2
    found = torch.empty(count, 3, side, side, dtype=torch.uint8)
    for index in range(count):
        phase, colour = torch.rand(4, generator=generator).split([1, 3])
        line = (wave + 6 * phase).sin() * 60 + 120
        stripes = line[None, :] if targets[index] == 0 else line[:, None]
        found[index] = (stripes.expand(side, side) * colour[:, None, None]).to(torch.uint8)
    return found, targets


def data(count: int, *, seed: int) -> PictureData:
    pixels, targets = pictures(count, seed=seed)
    names = [f"{index}.png" for index in range(count)]
    return PictureData(names, targets, size=pixels.shape[-1], pixels=pixels)


@pytest.mark.row(2)
def test_directions_tell_stripes_apart_that_colours_do_not() -> None:
    found = hand_baseline(data(120, seed=0), data(60, seed=1))
    assert found.value > 0.95
    assert (found.low, found.high) == wilson_interval(round(found.value * 60), 60)


@pytest.mark.row(2)
def test_labels_without_sense_are_not_learnt() -> None:
    train, valid = data(200, seed=0), data(200, seed=1)
    valid.targets = torch.randint(2, (200,), generator=torch.Generator().manual_seed(3))
    found = hand_baseline(train, valid)
    assert found.low is not None and found.high is not None and found.low < 0.5 < found.high


@given(st.integers(0, 99), st.sampled_from([8, 9, 24, 70]))
def test_colours_are_the_means_and_spreads_of_the_places(seed: int, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (2, 3, side, side), dtype=torch.uint8, generator=generator)
    found = hand_features(pixels)
    assert found.shape == (2, (6 + DIRECTIONS) * GRID * GRID)
    assert torch.isfinite(found).all() and (found >= 0).all()
    if side % GRID == 0:
        places = pixels.double().numpy().reshape(2, 3, GRID, side // GRID, GRID, side // GRID) / 255
        means, spreads = places.mean(axis=(3, 5)), places.std(axis=(3, 5))
        np.testing.assert_allclose(found[:, :COLOURS], means.reshape(2, -1), atol=1e-5)
        np.testing.assert_allclose(
            found[:, COLOURS : 2 * COLOURS], spreads.reshape(2, -1), atol=1e-3
        )


def test_a_plain_picture_has_no_edges_and_a_step_has_edges_of_one_direction() -> None:
    plain = torch.full((1, 3, 24, 24), 90, dtype=torch.uint8)
    assert hand_features(plain)[:, 2 * COLOURS :].abs().max() < 1e-6
    step = plain.clone()
    step[..., 12:] = 200
    edges = hand_features(step)[0, 2 * COLOURS :].view(DIRECTIONS, GRID, GRID)
    assert edges.sum(dim=(1, 2)).argmax() == 0 and edges[1:].abs().max() < 1e-6
    assert (edges[0, :, 1] > 0).all() and edges[0, :, 0].abs().max() < 1e-6
