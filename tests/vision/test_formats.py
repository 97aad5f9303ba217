"""What a file is: its first bytes decide, and every bad file ends in one error with one reason."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from PIL import Image

from drivetrain.errors import DataError
from drivetrain.vision.decode import open_picture
from drivetrain.vision.formats import REASONS, PictureError


def encoded(image: Image.Image, format_: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def noise(height: int = 60, width: int = 80, seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def reason_of(source: bytes | Path, **options) -> str:
    with pytest.raises(PictureError) as caught:
        open_picture(source, size=16, **options)
    assert caught.value.reason in REASONS
    return caught.value.reason


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "TIFF", "PPM", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_cut_file_is_truncated(format_: str, share: float):
    data = encoded(noise(), format_)
    assert reason_of(data[: int(len(data) * share)]) == "truncated"


@pytest.mark.parametrize("length", [1, 2, 3, 10, 30, 100, -2, -1])
def test_a_jpeg_cut_anywhere_is_truncated(length: int):
    assert reason_of(encoded(noise(), "JPEG")[:length]) == "truncated"


def test_an_empty_file(tmp_path: Path):
    path = tmp_path / "nothing.png"
    path.touch()
    with pytest.raises(PictureError) as caught:
        open_picture(path, size=8)
    assert str(caught.value) == f"{path}: The file is empty."
    assert (caught.value.reason, caught.value.name) == ("empty", os.fspath(path))
    assert isinstance(caught.value, DataError)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"This is a letter, not a photo.", "not-a-picture"),
        (b"BMW is a maker of cars; its name begins as a bitmap does.", "not-a-picture"),
        (b"P5 is also how a text may begin\n", "damaged"),
        (b"<html><body>404 Not Found</body></html>", "not-a-picture"),
        (b"\x00" * 300, "not-a-picture"),
        (b"GIF89a" + b"\xff" * 300, "damaged"),
    ],
)
def test_something_else_under_a_pictures_name(data: bytes, reason: str):
    assert reason_of(data) == reason


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7 and more", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF", "EPS or PostScript"),
        (b"8BPS\0\1", "Photoshop (PSD)"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0", "AVIF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="">', "SVG"),
        (b"  <svg>", "SVG"),
    ],
)
def test_a_format_that_is_not_opened_is_named(data: bytes, kind: str):
    with pytest.raises(PictureError) as caught:
        open_picture(data, size=8)
    assert caught.value.reason == "refused-format"
    assert str(caught.value) == f"It is {kind}. Convert it to JPEG or PNG."


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(bytes(range(256)))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 100_000])
def test_a_decompression_bomb_is_refused_from_its_header(side: int):
    assert reason_of(png_header(side, side)) == "too-large"


def test_the_limit_of_pixels_can_be_set():
    data = encoded(noise(60, 80))
    assert open_picture(data, size=8, max_pixels=4800).shape == (3, 8, 8)
    with pytest.raises(PictureError) as caught:
        open_picture(data, size=8, max_pixels=4799)
    assert str(caught.value) == "The header says 80 x 60, more than the limit of 4,799 pixels."


def test_a_line_is_not_a_picture():
    with pytest.raises(PictureError) as caught:
        open_picture(encoded(Image.new("RGB", (1001, 1))), size=8)
    assert caught.value.reason == "too-thin"
    assert str(caught.value) == "It is 1001 x 1: one side is over 1,000 times the other."
    assert open_picture(encoded(Image.new("RGB", (1000, 1))), size=8).shape == (3, 8, 8)


def test_a_header_without_pixels_is_refused():
    assert reason_of(png_header(0, 5)) == "damaged"


def test_floating_point_pixels_are_refused():
    data = encoded(Image.new("F", (8, 8), 0.5), "TIFF")
    with pytest.raises(PictureError) as caught:
        open_picture(data, size=8)
    assert str(caught.value) == (
        "Its pixels are 'F' (floating point numbers). Convert it to 8 or 16 bits a colour."
    )


def test_what_the_file_system_will_not_give(tmp_path: Path):
    missing = tmp_path / "gone.jpg"
    with pytest.raises(PictureError) as caught:
        open_picture(missing, size=8)
    assert str(caught.value) == f"{missing}: The file cannot be read: No such file or directory."
    assert reason_of(tmp_path) == "unreadable"
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert reason_of(pipe) == "unreadable"  # and does not wait for a writer
    with pytest.raises(PictureError) as caught:
        open_picture("with\0nul.png", size=8)
    assert caught.value.reason == "unreadable"


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    format_=st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    places=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6),
    value=st.integers(0, 255),
)
def test_flipped_bytes_end_in_a_picture_or_in_one_error(format_, places, value):
    data = bytearray(encoded(noise(12, 16), format_))
    for place in places:
        data[int(place * len(data))] = value
    try:
        shape = open_picture(bytes(data), size=8).shape
    except PictureError:
        return  # any other exception fails the test
    assert shape == (3, 8, 8)
