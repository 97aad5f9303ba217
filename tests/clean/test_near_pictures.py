"""clean/near_pictures.py: copies are found, other pictures are not, and the parts do what they say."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from drivetrain.clean.near_pictures import SIDE, near_pictures
from drivetrain.errors import ShapeError
from tests.clean.planted import KINDS, as_pairs, copy_of, scene, thumb

module = import_module(
    "drivetrain.clean.near_pictures"
)  # the package has the function of that name


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(3)
    return [scene(draw) for _ in range(40)]


def test_each_kind_of_copy_is_found_and_nothing_else(pictures: list[Image.Image]) -> None:
    draw = np.random.default_rng(4)
    copies = [copy_of(one, KINDS[at % 4], draw) for at, one in enumerate(pictures[:24])]
    found = near_pictures(np.stack([thumb(one) for one in [*pictures, *copies]]))
    wanted = {(at, 40 + at) for at in range(24)}
    assert as_pairs(found.first.tolist(), found.second.tolist()) == wanted
    assert (found.score >= 0.98).all() and (found.score <= 1 + 1e-6).all()
    assert not found.exact.any() and found.compared == 64 and found.left_out == ""


def test_brightness_is_no_difference_and_colour_is(pictures: list[Image.Image]) -> None:
    one = pictures[0]
    darker = ImageEnhance.Brightness(one).enhance(0.7)
    other_colour = Image.fromarray(np.asarray(one)[..., [2, 0, 1]])
    red = np.asarray(one.convert("L").convert("RGB")).copy()
    red[..., 2] //= 3  # the same shape in another colour, in one corner more than elsewhere
    thumbs = np.stack([thumb(p) for p in (one, darker, other_colour, Image.fromarray(red))])
    found = near_pictures(thumbs)
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 1)}


def test_plain_pictures_are_left_out_and_told_of(pictures: list[Image.Image]) -> None:
    plain = np.full((3, SIDE, SIDE, 3), 200, dtype=np.uint8)
    found = near_pictures(np.concatenate([plain, thumb(pictures[0])[None]]))
    assert len(found.first) == 0 and found.compared == 1
    assert found.left_out == "3 pictures of one grey, which cannot be compared."
    assert len(near_pictures(plain[:0]).first) == 0


def test_where_time_runs_out_it_is_said(
    pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    thumbs = np.stack([thumb(one) for one in pictures[:12]])
    thumbs[1] = thumbs[0]
    clock = iter([0.0, 0.0, 9.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    found = near_pictures(thumbs, seconds=5)
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 1)}
    assert found.compared == 4
    assert found.left_out == (
        "4 of 12 pictures were compared with each other in 5 seconds; the others were not."
    )


def test_the_order_of_pictures_and_of_blocks_changes_nothing(
    pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(5)
    every = [*pictures[:10], *(copy_of(one, "window", draw) for one in pictures[:5])]
    thumbs = np.stack([thumb(one) for one in every])
    before = near_pictures(thumbs)
    monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(module, "PAIRS", 8)
    order = draw.permutation(len(thumbs))
    after = near_pictures(thumbs[order])
    named = {frozenset(pair) for pair in zip(order[after.first], order[after.second], strict=True)}
    assert named == {frozenset(pair) for pair in zip(before.first, before.second, strict=True)}
    np.testing.assert_allclose(np.sort(before.score), np.sort(after.score), atol=2e-3)


def test_a_move_that_was_made_is_found_again(pictures: list[Image.Image]) -> None:
    greys = module._greys(np.stack([thumb(one) for one in pictures[:6]]), np.arange(6), SIDE)
    true = np.tile(np.array([[-0.06, 0.03, -0.05, -0.02]], np.float32), (6, 1))
    moved = module._moved(greys, true, 24)
    place = np.zeros((6, 4), np.float32)
    place = module._improved(module._shrunk(greys, 24), module._shrunk(moved, 12), place, steps=4)
    place = module._improved(greys, moved, place, steps=4)
    np.testing.assert_allclose(place, true, atol=4e-3)


def test_a_window_is_the_average_of_its_pixels() -> None:
    draw = np.random.default_rng(6)
    grey = draw.random((1, 48, 48)).astype(np.float32)
    whole = module._windows(grey)[0, 0]
    plain = module._unit(grey.reshape(1, 8, 6, 8, 6).mean(axis=(2, 4)))[0]
    np.testing.assert_allclose(whole, plain, atol=1e-5)
    weights = module._averages(0.05, 0.95, 48)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    expected = np.array([0.6, 1, 1, 1, 1, 0.8]) / 5.4  # from pixel 2.4 to 7.8
    np.testing.assert_allclose(weights[0, 2:8], expected, atol=1e-6)


def test_other_shapes_are_refused_in_one_sentence() -> None:
    with pytest.raises(ShapeError) as told:
        near_pictures(np.zeros((2, 48, 48, 3), np.uint8))
    assert str(told.value) == (
        "`near_pictures` got uint8 of shape (2, 48, 48, 3), expected uint8 of shape (N, 96, 96, 3)."
    )
