"""Augmentation of batches against its twin, which works one pixel and one step at a time."""

from __future__ import annotations

import math

import pytest
import torch

from drivetrain.reference import augment as twin
from drivetrain.vision.augment import Augment, AugmentSettings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STRONG = {"flip": 0.5, "flip_vertical": 0.5, "rotate": 180.0, "zoom": 2.0, "warp": 0.4}
ONE_STEP = {
    "flip": {"flip": 0.5},
    "flip_vertical": {"flip_vertical": 0.5},
    "rotate": {"rotate": 90.0},
    "zoom": {"zoom": 3.0},
    "warp": {"warp": 0.4},
    "brightness": {"brightness": 0.5},
    "contrast": {"contrast": 0.5},
}


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def both(settings: AugmentSettings, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch by the production code, and by the twin with the same draws."""
    ids = [f"cats/{i}.jpg" for i in range(len(batch))]
    augment = Augment(settings, ids, mean=MEAN, std=STD, seed=1)
    indices = torch.arange(len(batch))
    inputs, _ = augment((batch, torch.zeros(len(batch))), indices, 3)
    moves, lights = augment.draw(indices, 3)
    by_hand = []
    for i, picture in enumerate(batch):
        change = twin.Change(
            flip=(moves.flip_x[i].item(), moves.flip_y[i].item()),
            angle=moves.angle[i].item(),
            scale=moves.scale[i].item(),
            centre=(moves.centre_x[i].item(), moves.centre_y[i].item()),
            tilt=(moves.tilt_x[i].item(), moves.tilt_y[i].item()),
            gain=lights.gain[i].item(),
            brightness=lights.brightness[i].item(),
        )
        by_hand.append(twin.augment(picture, change, mean=MEAN, std=STD, padding=settings.padding))
    return inputs, torch.stack(by_hand)


@pytest.mark.row(14)
@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
@pytest.mark.parametrize("size", [(12, 12), (9, 17), (14, 6)])
def test_all_steps_together_equal_the_twin(size: tuple[int, int], padding: str):
    settings = AugmentSettings(**STRONG, padding=padding, brightness=0.4, contrast=0.4)
    ours, by_hand = both(settings, pictures(5, *size))
    torch.testing.assert_close(ours.double(), by_hand, rtol=0, atol=1e-5)


@pytest.mark.row(14)
@pytest.mark.parametrize("step", ONE_STEP)
def test_each_step_alone_equals_the_twin(step: str):
    only = {**AugmentSettings.none().to_json(), **ONE_STEP[step]}
    ours, by_hand = both(AugmentSettings(**only), pictures(6, 8, 11))
    torch.testing.assert_close(ours.double(), by_hand, rtol=0, atol=1e-5)
    unchanged, _ = both(AugmentSettings.none(), pictures(6, 8, 11))
    assert not torch.equal(ours, unchanged)


def test_the_twin_turns_a_picture_anticlockwise_by_a_right_angle_as_torch_does():
    picture = pictures(1, 6, 6)[0]
    turned = twin.augment(picture, twin.Change(angle=90.0), mean=(0.0,) * 3, std=(1.0,) * 3)
    expected = torch.rot90(picture, 1, (1, 2)).double() / 255  # rot90 of (C, H, W) is anticlockwise
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-12)


def test_the_twin_zooms_into_the_right_half():
    picture = torch.zeros(1, 4, 4, dtype=torch.uint8)
    picture[:, :, 2:] = 200
    seen = twin.augment(picture, twin.Change(scale=2.0, centre=(0.5, 0.0)), mean=(0.0,), std=(1.0,))
    assert seen[0, :, 1:].unique().tolist() == [200 / 255]


def test_the_twin_samples_half_way_between_two_pixels():
    row = [[10, 30]]
    assert twin.sample(row, 0.0, 0.0, "reflection") == 20.0
    assert twin.sample(row, 1.5, 0.0, "border") == 30.0
    assert math.isclose(twin.sample(row, 1.25, 0.0, "zeros"), 7.5)


def test_the_twins_mirror_repeats_the_pixel_at_the_edge():
    positions = [twin.inside(float(i), 3, "reflection") for i in range(-4, 8)]
    assert positions == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]
