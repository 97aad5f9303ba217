"""Decoding: every kind of picture becomes the same tensor, and every bad file has one reason."""

from __future__ import annotations

import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings as hypothesis_settings, strategies as st
from PIL import Image

from drivetrain.data.items import Quarantined
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.vision import decode
from drivetrain.vision.decode import (
    decode_all,
    decode_array,
    find_bad,
    load_upright,
    open_picture,
    picture_size,
)

RED, GREEN, BLUE, GREY = (250, 10, 10), (10, 250, 10), (10, 10, 250), (120, 120, 120)


def encoded(image: Image.Image, format_: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def quarters(height: int = 24, width: int = 40) -> np.ndarray:
    """Red, green over blue, grey: no two orientations look alike. (height, width, 3) uint8."""
    array = np.empty((height, width, 3), dtype=np.uint8)
    array[: height // 2, : width // 2] = RED
    array[: height // 2, width // 2 :] = GREEN
    array[height // 2 :, : width // 2] = BLUE
    array[height // 2 :, width // 2 :] = GREY
    return array


def difference(ours: np.ndarray) -> int:
    """Largest difference from `quarters`, away from its borders, where JPEG mixes colours."""
    gaps = np.abs(ours - quarters())
    return max(
        gaps[rows, columns].max()
        for rows in (slice(2, 8), slice(16, 22))
        for columns in (slice(2, 14), slice(26, 38))
    )


def noise(height: int = 60, width: int = 80, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def smooth(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    waves = (np.sin(x / width * 5), np.cos(y / height * 4), np.sin((x + y) / width * 3))
    return Image.fromarray((np.stack(waves, -1) * 100 + 128).astype(np.uint8))


def pixels(source: bytes | Path, **options) -> np.ndarray:
    """(height, width, 3) int, so that differences do not wrap round."""
    return open_picture(source, **options).permute(1, 2, 0).numpy().astype(int)


# --- one tensor for every kind of picture --------------------------------------------------------


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "PPM"])
def test_an_exact_format_gives_its_pixels(format_: str):
    image = noise()
    ours = open_picture(encoded(image, format_), size=(60, 80))
    assert ours.dtype == torch.uint8
    assert ours.shape == (3, 60, 80)
    assert ours.permute(1, 2, 0).is_contiguous()  # channels last
    assert np.array_equal(ours.permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "GIF"])
def test_a_lossy_format_gives_nearly_its_pixels(format_: str):
    ours = pixels(encoded(Image.fromarray(quarters()), format_), size=(24, 40))
    assert difference(ours) < 20


@pytest.mark.parametrize("resize", ["crop", "squish", "pad"])
def test_the_tensor_is_the_callers_to_write_to(resize: str):
    ours = open_picture(encoded(noise()), size=8, resize=resize)
    ours += 1  # Pillow's own memory would refuse, with a warning


# The EXIF standard names, for each orientation, the visual side of row 0 and of column 0.
STORED = {
    1: lambda u: u,  # top, left
    2: lambda u: u[:, ::-1],  # top, right
    3: lambda u: u[::-1, ::-1],  # bottom, right
    4: lambda u: u[::-1],  # bottom, left
    5: lambda u: u.transpose(1, 0, 2),  # left, top
    6: lambda u: u.transpose(1, 0, 2)[::-1],  # right, top
    7: lambda u: u.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
    8: lambda u: u.transpose(1, 0, 2)[:, ::-1],  # left, bottom
}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_picture_comes_upright(orientation: int, format_: str):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](quarters())))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, format_, exif=exif, **({"quality": 95} if format_ == "JPEG" else {}))
    ours = pixels(data, size=(24, 40))
    assert difference(ours) < 20
    assert picture_size(data) == (40, 24, format_)


def test_a_broken_exif_block_does_not_make_a_picture_bad():
    data = encoded(Image.fromarray(quarters()), "JPEG", exif=b"Exif\0\0nonsense that is no TIFF")
    assert pixels(data, size=(24, 40)).shape == (24, 40, 3)


def test_cmyk_becomes_rgb():
    red = Image.new("CMYK", (20, 20), (0, 255, 255, 0))
    assert np.abs(pixels(encoded(red, "JPEG", quality=95), size=8) - (255, 0, 0)).max() < 12


def test_transparent_colours_of_a_palette_are_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (4, 0, 8, 8))
    ours = pixels(encoded(image, transparency=0), size=8)
    assert (ours[:, :4] == 255).all()
    assert (ours[:, 4:] == (0, 0, 200)).all()


def test_half_transparent_black_is_grey():
    for image in (Image.new("RGBA", (8, 8), (0, 0, 0, 128)), Image.new("LA", (8, 8), (0, 128))):
        assert (np.abs(pixels(encoded(image), size=8) - 127) <= 1).all()


def test_sixteen_bits_are_scaled_and_not_clipped():
    values = np.array([[0, 257 * 100, 65535, 300]], dtype=np.uint16).repeat(4, axis=0)
    ours = pixels(encoded(Image.fromarray(values)), size=4)
    assert ours[0, :, 0].tolist() == [0, 100, 255, 1]
    assert (ours == ours[..., :1]).all()


def test_a_transparent_grey_of_sixteen_bits_is_white():
    values = np.array([[300, 301, 0, 65535]], dtype=np.uint16).repeat(4, axis=0)
    ours = pixels(encoded(Image.fromarray(values), transparency=300), size=4)
    assert ours[0, :, 0].tolist() == [255, 1, 0, 255]


def test_grey_and_one_bit_become_rgb():
    grey = Image.new("L", (8, 8), 77)
    assert (pixels(encoded(grey), size=8) == 77).all()
    bits = Image.new("1", (8, 8), 0)
    bits.paste(1, (0, 0, 4, 8))
    ours = pixels(encoded(bits), size=8)
    assert (ours[:, :4] == 255).all()
    assert (ours[:, 4:] == 0).all()


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(pixels(data, size=8) - RED).max() < 12


def test_a_multi_picture_jpeg_gives_its_first():
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(pixels(data, size=8) - RED).max() < 12
    assert picture_size(data) == (16, 16, "JPEG")


def test_the_content_decides_and_not_the_name(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.new("RGB", (8, 8), BLUE), "GIF"))
    assert np.abs(pixels(path, size=8) - BLUE).max() < 12
    assert picture_size(path) == (8, 8, "GIF")


def test_a_large_jpeg_decoded_small_looks_like_one_decoded_whole():
    image = smooth(900, 1200)
    whole = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR, box=(150, 0, 1050, 900)))
    ours = pixels(encoded(image, "JPEG", quality=95), size=64)
    assert np.abs(ours - whole).mean() < 2
    assert np.abs(ours - whole).max() < 12


def test_a_jpeg_is_not_decoded_larger_than_needed_and_never_smaller():
    data = encoded(smooth(800, 1600), "JPEG")
    assert load_upright(data).size == (1600, 800)
    assert load_upright(data, needed=lambda w, h: (300, 150)).size == (400, 200)
    assert load_upright(data, needed=lambda w, h: (401, 201)).size == (800, 400)


@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_jpeg_is_asked_for_its_upright_size(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    asked = []

    def needed(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return width // 5, height // 5

    image = load_upright(encoded(smooth(800, 1600), "JPEG", exif=exif), needed=needed)
    turned = orientation >= 5
    assert asked == [(800, 1600) if turned else (1600, 800)]
    assert image.size == ((200, 400) if turned else (400, 200))  # a quarter still covers a fifth


# --- crop, squish, pad ---------------------------------------------------------------------------


def thirds() -> bytes:
    """300 x 200: the left sixth red, the right sixth blue, grey between."""
    array = np.full((200, 300, 3), GREY, dtype=np.uint8)
    array[:, :50] = RED
    array[:, 250:] = BLUE
    return encoded(Image.fromarray(array))


@pytest.mark.row(107)
def test_crop_loses_a_third_of_the_width():
    ours = pixels(thirds(), size=224, resize="crop")
    assert (ours[:, 1:-1] == GREY).all()  # a sixth of the width is gone on either side
    wider = pixels(thirds(), size=(200, 204), resize="crop")  # 204 of 300 columns, as they are
    assert (wider[:, :2] == RED).all()
    assert (wider[:, 2:-2] == GREY).all()
    assert (wider[:, -2:] == BLUE).all()


@pytest.mark.row(107)
def test_squish_keeps_everything_and_changes_the_proportions():
    ours = pixels(thirds(), size=224, resize="squish")
    assert (ours[:, :36] == RED).all()  # 50 of 300 columns are 37.3 of 224
    assert (ours[:, 188:] == BLUE).all()
    assert (ours[:, 39:185] == GREY).all()


@pytest.mark.row(107)
def test_pad_keeps_everything_and_adds_a_known_border():
    ours = pixels(thirds(), size=224, resize="pad")  # 300 x 200 -> 224 x 149, 75 rows are left
    assert (ours[:37] == 0).all()
    assert (ours[-38:] == 0).all()
    inner = ours[37:-38]
    assert len(inner) == 149
    assert (inner[:, :36] == RED).all()
    assert (inner[:, 39:185] == GREY).all()
    assert (inner[:, 188:] == BLUE).all()


@pytest.mark.row(107)
@pytest.mark.parametrize("resize", ["crop", "squish", "pad"])
@hypothesis_settings(max_examples=25, deadline=None)
@given(
    stored=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_every_method_gives_the_size_asked_for(stored, size, resize: str):
    data = encoded(Image.new("RGB", stored, RED))
    ours = pixels(data, size=size, resize=resize)
    assert ours.shape == (*size, 3)
    if resize != "pad":
        assert (ours == RED).all()
    else:
        assert (ours == RED).all(axis=-1).any()


def test_a_picture_of_the_size_asked_for_is_not_touched():
    image = noise(32, 32)
    for resize in ("crop", "squish", "pad"):
        ours = decode_array(encoded(image), size=32, resize=resize)
        assert np.array_equal(ours, np.asarray(image))


# --- many files ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    """Pictures of mixed sizes and formats, with four bad files among them."""
    paths = []
    for i in range(12):
        suffix = ["jpg", "png", "gif"][i % 3]
        path = tmp_path / f"{i:02}.{suffix}"
        noise(20 + 3 * i, 50 - 2 * i, seed=i).save(path)
        paths.append(path)
    paths[2].write_bytes(b"")
    paths[5].write_bytes(b"a letter under a picture's name")
    paths[9].write_bytes(paths[9].read_bytes()[:300])
    paths[11].unlink()
    return paths


BAD = [
    Quarantined("p2", "empty", "The file is empty."),
    Quarantined("p5", "not-a-picture", "The content is not a picture."),
    Quarantined("p9", "truncated", "The file ends before the picture does."),
    Quarantined("p11", "unreadable", "The file cannot be read: No such file or directory."),
]


@pytest.mark.parametrize("num_workers", [0, 1, 2, 5])
def test_decoding_many_is_the_same_for_every_number_of_workers(folder: list[Path], num_workers):
    ids = [f"p{i}" for i in range(12)]
    done: list[int] = []
    batch, good, bad = decode_all(
        folder, size=(20, 24), num_workers=num_workers, ids=ids, progress=done.append
    )
    assert good == [0, 1, 3, 4, 6, 7, 8, 10]
    assert bad == BAD
    assert done == list(range(1, 13))
    assert batch.shape == (8, 3, 20, 24)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for row, index in enumerate(good):
        assert torch.equal(batch[row], open_picture(folder[index], size=(20, 24)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_finding_bad_files_finds_those_that_decoding_sets_aside(folder: list[Path], num_workers):
    ids = [f"p{i}" for i in range(12)]
    assert find_bad(folder, num_workers=num_workers, ids=ids) == BAD
    assert [bad.id for bad in find_bad(folder)] == [os.fspath(folder[i]) for i in (2, 5, 9, 11)]


def test_nothing_but_bad_files_gives_an_empty_batch(tmp_path: Path):
    batch, good, bad = decode_all([tmp_path / "a.png"], size=8)
    assert batch.shape == (0, 3, 8, 8)
    assert good == []
    assert len(bad) == 1
    assert decode_all([], size=8)[0].shape == (0, 3, 8, 8)


def test_an_interrupt_stops_the_threads_soon(folder: list[Path], monkeypatch):
    decoded = []

    def counted(source, **options):
        decoded.append(source)
        return decode_array(source, **options)

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "decode_array", counted)
    with pytest.raises(KeyboardInterrupt):
        decode_all(folder * 100, size=8, num_workers=2, progress=interrupt)
    assert len(decoded) < 1200
    assert not [t for t in threading.enumerate() if t.name.startswith("drivetrain-decode")]


def test_pillows_warnings_are_kept_quiet_and_the_filters_put_back():
    exif = encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")  # Pillow warns of it
    before = list(warnings.filters)
    open_picture(exif, size=8)  # warnings are errors in this run
    threads = [
        threading.Thread(target=decode_array, args=(exif,), kwargs={"size": 8}) for _ in "1234"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -3, (8,), (8, 0), (8, 8, 3), 8.5, True, "88"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ConfigError) as caught:
        open_picture(b"", size=size)
    assert str(caught.value) == (
        f"`size` must be a number of pixels, or (height, width), each at least 1. Got {size!r}."
    )


def test_an_unknown_resize_method_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        open_picture(encoded(noise()), size=8, resize="crp")
    assert str(caught.value) == (
        "Unknown resize method 'crp'. Did you mean 'crop'? Known: crop, pad, squish."
    )
