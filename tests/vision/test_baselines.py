"""Baselines against answers that are known by construction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from drivetrain.metrics import wilson_interval
from drivetrain.vision.baselines import accuracy_record, majority_class, nearest_mean_image
from drivetrain.vision.pictures import PictureData


def pictures(pixels: Tensor, *targets: int) -> PictureData:
    height, width = pixels.shape[-2:]
    paths = [Path(f"{number}.png") for number in range(len(targets))]
    return PictureData(paths, torch.tensor(targets), size=(height, width), pixels=pixels)


def plain(*values: int, side: int = 4) -> Tensor:
    """(N, 3, side, side) uint8, each picture of one grey."""
    grey = torch.tensor(values, dtype=torch.uint8)
    return grey[:, None, None, None].expand(-1, 3, side, side).clone()


def blank(*targets: int) -> PictureData:
    return pictures(plain(*[0] * len(targets)), *targets)


def test_a_record_holds_the_wilson_interval():
    record = accuracy_record(9, 12)
    assert record == {
        "accuracy": 0.75,
        "interval": list(wilson_interval(9, 12)),
        "correct": 9,
        "count": 12,
    }


def test_the_majority_of_training_is_answered_always():
    record = majority_class(blank(0, 1, 1, 2), blank(0, 1, 1, 2, 2, 2, 2, 2), 3)
    assert (record["class"], record["correct"], record["count"]) == (1, 2, 8)
    assert record["accuracy"] == 0.25
    assert record["interval"] == list(wilson_interval(2, 8))


def test_of_equally_frequent_classes_the_first_is_answered():
    assert majority_class(blank(2, 2, 1, 1, 0), blank(1, 1, 2, 0), 3)["class"] == 1


def test_a_class_without_validation_pictures_gives_a_majority_of_nothing():
    assert majority_class(blank(0, 0, 1), blank(1, 1), 2)["accuracy"] == 0.0


def test_pictures_that_a_mean_tells_apart_are_told_apart():
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(600) % 3  # more than one batch
    noise = torch.randint(0, 20, (600, 3, 6, 8), generator=generator)
    pixels = (noise + 80 * targets[:, None, None, None]).to(torch.uint8)
    data = pictures(pixels, *targets.tolist())
    record = nearest_mean_image(data, data, 3)
    assert (record["accuracy"], record["correct"], record["count"]) == (1.0, 600, 600)
    assert record["interval"] == list(wilson_interval(600, 600))


def test_the_nearest_mean_is_the_one_that_a_hand_calculates():
    train = pictures(plain(0, 100, 200, 240), 0, 0, 1, 1)  # means 50 and 220, middle 135
    valid = pictures(plain(134, 136, 134, 136), 0, 1, 1, 0)
    assert nearest_mean_image(train, valid, 2)["correct"] == 2


def test_place_counts_and_not_only_light():
    left, right = torch.zeros(2, 1, 3, 8, 8, dtype=torch.uint8)
    left[..., :4], right[..., 4:] = 200, 200
    data = pictures(torch.cat([left, right, left, right]), 0, 1, 0, 1)
    assert nearest_mean_image(data, data, 2)["accuracy"] == 1.0


@pytest.mark.parametrize("size", [(64, 64), (48, 20), (20, 48)])
def test_large_pictures_are_averaged_small(size: tuple[int, int]):
    pixels = torch.zeros(4, 3, *size, dtype=torch.uint8)
    pixels[1::2, :, : size[0] // 2] = 200
    data = pictures(pixels, 0, 1, 0, 1)
    assert nearest_mean_image(data, data, 2)["accuracy"] == 1.0
    fine = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    fine[0, :, :, ::2], fine[1, :, :, 1::2] = 200, 200  # stripes narrower than what is kept
    assert nearest_mean_image(pictures(fine, 0, 1), pictures(fine, 0, 1), 2)["correct"] == 1


def test_a_class_without_training_pictures_is_never_nearest():
    train = pictures(plain(100, 200), 0, 2)
    valid = pictures(plain(0, 10, 255), 0, 0, 2)  # near to black, which no class is
    assert nearest_mean_image(train, valid, 3)["accuracy"] == 1.0
