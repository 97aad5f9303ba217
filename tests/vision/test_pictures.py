"""Pictures as a data set: kept in memory or decoded on demand, the same batches, also from threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import ShapeError, UnknownNameError
from drivetrain.vision.decode import PictureError, decode_all, open_picture
from drivetrain.vision.pictures import PictureData


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Ten JPEGs of noise, of ten sizes."""
    generator = np.random.default_rng(0)
    made = []
    for i in range(10):
        array = generator.integers(0, 256, (30 + i, 50 - i, 3), dtype=np.uint8)
        path = tmp_path / f"{i}.jpg"
        Image.fromarray(array).save(path)
        made.append(path)
    return made


TARGETS = torch.arange(10) * 10


def on_demand(paths: list[Path], **options) -> PictureData:
    return PictureData(paths, TARGETS, size=(16, 12), **options)


def in_memory(paths: list[Path]) -> PictureData:
    pixels, _, _ = decode_all(paths, size=(16, 12))
    return PictureData(paths, TARGETS, size=(16, 12), pixels=pixels)


def test_a_batch_is_uint8_channels_last_with_its_targets(paths: list[Path]):
    for data in (on_demand(paths), in_memory(paths)):
        inputs, targets = data.__getitems__(torch.tensor([7, 0, 7]))
        assert len(data) == 10
        assert inputs.dtype == torch.uint8
        assert inputs.shape == (3, 3, 16, 12)
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        assert targets.tolist() == [70, 0, 70]
        assert torch.equal(inputs[1], open_picture(paths[0], size=(16, 12)))
        assert torch.equal(inputs[0], inputs[2])


def test_kept_in_memory_and_decoded_on_demand_give_the_same_bits(paths: list[Path]):
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    kept, fresh = in_memory(paths), on_demand(paths)
    assert kept.is_cached
    assert not fresh.is_cached
    assert torch.equal(kept.__getitems__(order)[0], fresh.__getitems__(order)[0])


def test_pixels_in_memory_are_not_the_batchs_to_change(paths: list[Path]):
    data = in_memory(paths)
    first, _ = data.__getitems__(torch.arange(10))
    before = first.clone()
    first.zero_()
    assert torch.equal(data.__getitems__(torch.arange(10))[0], before)


def test_the_resize_method_is_used(paths: list[Path]):
    padded, _ = on_demand(paths, resize="pad").__getitems__(torch.tensor([3]))
    assert torch.equal(padded[0], open_picture(paths[3], size=(16, 12), resize="pad"))


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_a_loader_gives_the_same_epoch_for_every_number_of_workers(paths, num_workers: int):
    def epoch_of(workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        data = on_demand(paths)
        return list(BatchLoader(data, batch_size=4, shuffle=True, num_workers=workers))

    for (a, ya), (b, yb) in zip(epoch_of(0), epoch_of(num_workers), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(ya, yb)


def test_many_threads_may_ask_at_once(paths: list[Path]):
    data = on_demand(paths)
    expected, _ = data.__getitems__(torch.arange(10))
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda i: data.__getitems__(torch.tensor([i % 10])), range(80)))
    for i, (inputs, targets) in enumerate(batches):
        assert torch.equal(inputs[0], expected[i % 10])
        assert targets.item() == i % 10 * 10


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_file_that_vanished_since_it_was_checked_is_named(paths: list[Path], num_workers: int):
    loader = BatchLoader(on_demand(paths), batch_size=4, num_workers=num_workers)
    paths[5].unlink()
    with pytest.raises(PictureError) as caught:
        list(loader)
    assert str(caught.value) == f"{paths[5]}: The file cannot be read: No such file or directory."
    assert caught.value.__notes__ == [
        "It was found good before training began and has changed since. "
        "Start again: it will be set aside and reported."
    ]


def test_a_file_that_broke_since_it_was_checked_is_named(paths: list[Path]):
    data = on_demand(paths)
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    with pytest.raises(PictureError) as caught:
        data.__getitems__(torch.tensor([1, 2]))
    assert str(caught.value) == f"{paths[2]}: The file ends before the picture does."


def test_pictures_in_memory_need_no_files(paths: list[Path]):
    data = in_memory(paths)
    for path in paths:
        path.unlink()
    assert data.__getitems__(torch.arange(10))[0].shape == (10, 3, 16, 12)


def test_what_does_not_fit_together_is_refused(paths: list[Path]):
    with pytest.raises(ShapeError) as caught:
        PictureData(paths, TARGETS[:4], size=8)
    assert str(caught.value) == "`targets` must be (10,), one for each path. Got (4,)."
    with pytest.raises(ShapeError) as caught:
        PictureData(paths, TARGETS, size=8, pixels=torch.zeros(10, 3, 8, 9))
    assert str(caught.value) == "`pixels` must be (10, 3, 8, 8) uint8. Got (10, 3, 8, 9) float32."
    with pytest.raises(UnknownNameError, match=r"^Unknown resize method 'squash'\."):
        PictureData(paths, TARGETS, size=8, resize="squash")
