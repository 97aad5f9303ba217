"""Grids of what training is given: bit for bit those of the loader, by the run's seed and strength."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain import vision
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.randomness import item_keys
from drivetrain.vision import augment
from drivetrain.vision.augment_grid import ends
from drivetrain.vision.channel_grid import telling_layers
from drivetrain.vision.grids import as_numbers, stacked

pytest.importorskip("PIL", reason="pictures need Pillow")

STRONG = {"flip": 0.5, "flip_vertical": 0.3, "rotate": 30.0, "zoom": 1.5, "warp": 0.3}


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of 24 pictures of two classes, bright above or bright below, varied strongly; not trained."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("grids")
    rng = np.random.default_rng(0)
    for name, rows in (("above", slice(0, 10)), ("below", slice(10, 20))):
        (folder / name).mkdir()
        for number in range(12):
            pixels = rng.integers(0, 100, (20, 20, 3), dtype=np.uint8)
            pixels[rows] += 120
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return vision.learner(
        folder, "resnet_tiny", size=20, batch_size=8, augment=STRONG, seed=5, progress=False,
        num_workers=1,
    )  # fmt: skip


def given(learner: Any, name: str, epoch: int) -> torch.Tensor:
    """What the training loader gives of an item in an epoch."""
    loader = learner.loaders.train
    for number, (inputs, _) in enumerate(loader.batches(epoch)):
        names = loader.item_ids(epoch, number)
        if name in names:
            return inputs[names.index(name)]
    raise AssertionError(f"{name} does not train")


def test_a_picture_is_what_each_epoch_of_training_is_given(learner: Any) -> None:
    name = learner.loaders.train.data.ids[3]
    grid = vision.augmentation_grid(learner, name, count=4)
    assert grid.inputs.shape == (4, 3, 20, 20) and grid.pixels.shape == (4, 3, 20, 20)
    normalise = learner.loaders.train.transform.normalise
    for epoch in range(4):
        expected = given(learner, name, epoch)
        assert torch.equal(grid.inputs[epoch], expected)
        assert torch.equal(grid.pixels[epoch], normalise.denormalised(expected[None])[0])
    assert not torch.equal(grid.inputs[0], grid.inputs[1])
    assert [cell.title for cell in grid.cells] == ["epoch 1", "epoch 2", "epoch 3", "epoch 4"]
    assert grid.notes == (f"{name}, as each epoch of training is given it (seed 5).",)


def test_a_batch_is_that_of_the_loader_with_its_labels(learner: Any) -> None:
    grid = vision.batch_grid(learner, epoch=2, number=1, count=5)
    batches = list(learner.loaders.train.batches(2))
    inputs, targets = batches[1]
    assert torch.equal(grid.inputs, inputs[:5])
    classes = learner.application.classes
    assert [cell.title for cell in grid.cells] == [classes[code] for code in targets[:5].tolist()]
    names = learner.loaders.train.item_ids(2, 1)[:5]
    assert [fact["id"] for fact in grid.facts] == names
    numbers = as_numbers(grid)
    value = float(inputs[0, 0, 3, 4])
    assert int(numbers.pixels[0, 0, 3, 4]) == min(255, max(0, round((value / 3 + 1) * 127.5)))
    one = inputs[0].double()
    assert numbers.cells[0].said == f"mean {one.mean():+.2f}, std {one.std(correction=0):.2f}"
    with pytest.raises(ConfigError) as caught:
        vision.batch_grid(learner, number=len(batches))
    assert str(caught.value) == (
        f"`batch_grid` got epoch 0, batch {len(batches)} and count 12. There are the batches 0 to "
        f"{len(batches) - 1} of every epoch, and count is 1 or more."
    )


def test_looking_changes_nothing(learner: Any) -> None:
    before = torch.random.get_rng_state()
    epoch = learner.loaders.train.epoch
    vision.augmentation_grid(learner)
    vision.augmentation_ends(learner)
    vision.batch_grid(learner, epoch=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert learner.loaders.train.epoch == epoch


def test_ends_are_made_by_what_training_varies_with(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = vision.AugmentSettings(**STRONG, padding="zeros")
    picture = torch.randint(
        0, 256, (3, 17, 23), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    grid = vision.augmentation_ends(settings, picture)
    for place, (title, draws) in enumerate(ends(settings)):
        still = {name: torch.tensor([0.5]).double() for name in augment._DRAWS}
        still |= {
            name: torch.ones(1).double() for name in still if name[-1] == "?" or "flip" in name
        }
        still |= {name: torch.tensor([value]).double() for name, value in draws.items()}
        monkeypatch.setattr(augment, "_draws", lambda keys, still=still, **known: still)
        expected = augment.augmented(
            picture[None], item_keys(["x"]), settings=settings, mean=(0.5,) * 3, std=(0.5,) * 3,
            seed=0, epoch=0,
        )  # fmt: skip
        assert torch.equal(grid.inputs[place], expected[0]), title


def test_each_end_does_what_it_is_called() -> None:
    settings = vision.AugmentSettings(**STRONG)
    picture = torch.full((3, 21, 21), 100, dtype=torch.uint8)
    picture[:, :, :5] = 200
    grid = vision.augmentation_ends(settings, picture)
    cell = {one.title: one.pixels for one in grid.cells}
    assert torch.equal(cell["as it is"], picture)
    assert torch.equal(cell["mirrored"], picture.flip(2))
    assert torch.equal(cell["upside down"], picture.flip(1))
    assert cell["darker by 0.2"].float().mean() < picture.float().mean()
    assert cell["brighter by 0.2"].float().mean() > picture.float().mean()
    spread = {name: float(cell[name].float().std()) for name in cell if "contrast" in name}
    assert spread["less contrast, times 0.80"] < spread["more contrast, times 1.25"]
    left = cell["turned 30° to the left"][0]
    assert left[-1, 8] > left[0, 8]  # the bright edge has moved in below, and out above
    assert {name.split(",")[0] for name in cell} >= {"1.5 times as large", "tilted by 0.3"}


def test_what_has_no_strength_or_no_chance_is_left_out() -> None:
    picture = torch.zeros(3, 8, 8, dtype=torch.uint8)
    still = vision.augmentation_ends(vision.AugmentSettings.none(), picture)
    assert [cell.title for cell in still.cells] == ["as it is"]
    never = vision.AugmentSettings(geometry_p=0.0, lighting_p=0.0, flip=0.0)
    assert ends(never) == [("as it is", {})]
    grid = vision.augmentation_grid(vision.AugmentSettings.none(), picture, count=2)
    assert grid.notes[-1] == "Nothing is varied: each epoch has the same picture."
    assert torch.equal(grid.inputs[0], grid.inputs[1])


def test_of_a_file_the_draws_are_those_of_its_name_and_seed(tmp_path: Path) -> None:
    from PIL import Image

    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / place / "x.png")
    strong = vision.AugmentSettings(**STRONG)
    one, two = (
        vision.augmentation_grid(strong, tmp_path / place / "x.png", size=16, count=3)
        for place in ("one", "two")
    )
    other = vision.augmentation_grid(strong, tmp_path / "one" / "x.png", size=16, count=3, seed=9)
    assert torch.equal(one.inputs, two.inputs) and not torch.equal(one.inputs, other.inputs)


def test_wrong_arguments_are_refused(learner: Any) -> None:
    with pytest.raises(UnknownNameError) as unknown:
        vision.augmentation_grid(learner, "above/99.png")
    assert str(unknown.value).startswith(
        "There is no training picture 'above/99.png'. Did you mean "
    )
    with pytest.raises(ConfigError) as caught:
        vision.augmentation_grid(learner, count=0)
    assert str(caught.value) == "`augmentation_grid` got count=0, expected 1 or more."
    with pytest.raises(ConfigError, match=r"^Of settings alone there is no picture: give a file"):
        vision.augmentation_grid(vision.AugmentSettings())
    with pytest.raises(ConfigError) as caught:
        vision.augmentation_grid({"flip": 1.0})
    assert str(caught.value) == "A grid is made of a Learner or of AugmentSettings. Got dict."
    with pytest.raises(ShapeError):
        vision.augmentation_grid(vision.AugmentSettings(), torch.zeros(3, 8, 8))
    data = BatchLoader(TensorData(torch.zeros(4, 2), torch.zeros(4, 1)))
    own = dt.Learner(nn.Linear(2, 1), Loaders(data, data), "mse", progress=False)
    for make in (vision.augmentation_grid, vision.batch_grid, vision.channel_grid):
        with pytest.raises(ConfigError) as caught:
            make(own)
        assert str(caught.value) == "This Learner is not of pictures: `vision.learner` makes one."
    with pytest.raises(ConfigError, match=r"has no numbers that a model is given\.$"):
        as_numbers(vision.resize_grid(learner.loaders.train.data.paths[0], size=8))


# --- files ----------------------------------------------------------------------------------------


def test_tiny_pictures_are_made_larger_by_repeating_pixels(learner: Any) -> None:
    grid = vision.augmentation_grid(learner, count=7)
    image = grid.image()
    first = grid.pixels[0].permute(1, 2, 0).numpy().repeat(5, 0).repeat(5, 1)  # 20 -> 100
    places = [top for top in range(80) if (image[top : top + 100, 10:110] == first).all()]
    assert len(places) == 1
    assert image.shape[1] == 6 * 110 + 10  # six in a row
    assert stacked([grid, grid]).startswith(b"\x89PNG")


# --- channels -------------------------------------------------------------------------------------


@pytest.mark.row(3)
def test_channels_are_shown_by_the_parts_that_excite_them_most(learner: Any) -> None:
    layers = telling_layers(learner)
    assert layers[0] == dt.interpret.feature_layers(learner.model, torch.zeros(1, 3, 20, 20))[0]
    assert len(layers) == 3
    valid = learner.application.data.pictures("valid")
    pixels, _ = valid.__getitems__(torch.arange(len(valid)))
    inputs = learner.loaders.valid.transform.normalised(pixels)
    expected = dt.interpret.top_patches(
        learner.model, [inputs], layer=layers[0], channels=[2, 5], count=3
    )
    grid = vision.channel_grid(learner, layer=layers[0], channels=[2, 5], count=3)
    assert grid.pixels.shape == (6, 3, 56, 56) and grid.columns == 3
    assert [cell.title for cell in grid.cells] == ["channel 2", "", "", "channel 5", "", ""]
    values = [f"{patch.value:.2f}" for channel in (2, 5) for patch in expected[channel]]
    assert [cell.said for cell in grid.cells] == values
    patch = expected[2][0].pixels
    colours = learner.loaders.valid.transform.denormalised(patch[None])[0].flatten(1).T
    shown = {tuple(one) for one in grid.cells[0].pixels.flatten(1).T.tolist()}
    assert {tuple(one) for one in colours.tolist()} <= shown  # its pixels, repeated
    assert len(vision.channel_grid(learner).cells) == 8 * min(6, len(valid))
