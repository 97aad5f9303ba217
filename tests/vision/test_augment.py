"""Augmentation: exact where nothing moves, an item's own whatever its batch, labels that follow."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import given, settings as hypothesis_settings, strategies as st
from torch import Tensor

from drivetrain.data.loaders import BatchLoader, TensorData
from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.vision.augment import Augment, AugmentSettings
from drivetrain.vision.geometry import (
    PADDINGS,
    Moves,
    pixel_matrices,
    sampling_matrices,
    warp_boxes,
    warp_masks,
    warp_pictures,
    warp_points,
)
from drivetrain.vision.normalise import Normalise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
FLIP_ONLY = AugmentSettings(rotate=0, zoom=1, warp=0, brightness=0, contrast=0, flip=0.5)
ALL_FLIPPED = AugmentSettings(rotate=0, zoom=1, warp=0, brightness=0, contrast=0, flip=1)


def pictures(count: int, height: int = 16, width: int = 16, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)
    return rows.permute(0, 3, 1, 2)


def ids(count: int) -> list[str]:
    return [f"cats/{i}.jpg" for i in range(count)]


def augment(settings: AugmentSettings, count: int, seed: int = 42) -> Augment:
    return Augment(settings, ids(count), mean=MEAN, std=STD, seed=seed)


def run(transform: Augment, batch: Tensor, indices: Tensor, epoch: int = 0) -> Tensor:
    inputs, _ = transform((batch, torch.zeros(len(batch))), indices, epoch)
    return inputs


def moves(count: int = 1, **changes: Tensor) -> Moves:
    """No move but for `changes`; `flip`, `centre` and `tilt` are (B, 2), for x and y."""
    ones, zeros = torch.ones(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    still = Moves(ones, ones, zeros, ones, zeros, zeros, zeros, zeros)
    given: dict[str, Tensor] = {}
    for name, value in changes.items():
        if name in ("flip", "centre", "tilt"):
            given[f"{name}_x"], given[f"{name}_y"] = value.double().unbind(1)
        else:
            given[name] = value.double()
    return still._replace(**given)


def matrix(height: int, width: int, **changes: Tensor) -> Tensor:
    return pixel_matrices(sampling_matrices(moves(**changes), height, width), height, width)


# --- zero strength -------------------------------------------------------------------------------


@pytest.mark.row(14)
@pytest.mark.parametrize("size", [(16, 16), (7, 25)])
def test_no_strength_is_bit_for_bit_normalising(size: tuple[int, int]):
    batch, indices = pictures(5, *size), torch.arange(5)
    expected, _ = Normalise(MEAN, STD)((batch, torch.zeros(5)), indices, 0)
    assert torch.equal(run(augment(AugmentSettings.none(), 5), batch, indices), expected)


def test_probability_zero_is_bit_for_bit_normalising():
    batch, indices = pictures(5), torch.arange(5)
    never = AugmentSettings(flip=0, geometry_p=0, lighting_p=0)
    expected, _ = Normalise(MEAN, STD)((batch, torch.zeros(5)), indices, 0)
    assert torch.equal(run(augment(never, 5), batch, indices), expected)


def test_the_batch_that_came_in_is_not_changed():
    for settings in (AugmentSettings(), AugmentSettings.none(), FLIP_ONLY):
        batch = pictures(6)
        before = batch.clone()
        run(augment(settings, 6), batch, torch.arange(6))
        assert torch.equal(batch, before)


def test_a_picture_that_stays_keeps_its_bits_among_others_that_move():
    half = AugmentSettings(flip=0, zoom=1, warp=0, rotate=30, geometry_p=0.5, lighting_p=0)
    transform, indices = augment(half, 32), torch.arange(32)
    batch = pictures(32)
    still = transform.draw(indices, 0)[0].angle == 0
    assert 0 < still.sum() < 32
    ours = run(transform, batch, indices)
    assert torch.equal(ours[still], Normalise(MEAN, STD).normalised(batch)[still])


# --- known answers -------------------------------------------------------------------------------


def test_normalising_is_x_minus_mean_over_std():
    batch = pictures(2)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    ours = Normalise(MEAN, STD).normalised(batch)
    torch.testing.assert_close(ours, ((batch.float() / 255 - mean) / std), rtol=0, atol=1e-6)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_denormalising_gives_the_pixels_back():
    batch, normalise = pictures(2), Normalise(MEAN, STD)
    assert torch.equal(normalise.denormalised(normalise.normalised(batch)), batch)


@pytest.mark.row(14)
def test_a_flip_alone_mirrors_exactly():
    batch = pictures(4)
    flipped = run(augment(ALL_FLIPPED, 4), batch, torch.arange(4))
    assert torch.equal(flipped, Normalise(MEAN, STD).normalised(batch.flip(3)))


def test_about_half_the_pictures_are_flipped_and_others_next_epoch():
    transform, indices = augment(FLIP_ONLY, 400), torch.arange(400)
    flips = [transform.draw(indices, epoch)[0].flip_x < 0 for epoch in (0, 1)]
    assert all(160 <= flip.sum() <= 240 for flip in flips)  # 4 standard deviations
    assert 160 <= (flips[0] != flips[1]).sum() <= 240


def test_draws_keep_to_their_limits_and_use_them():
    strong = AugmentSettings(rotate=30, zoom=2, warp=0.4, brightness=0.6, contrast=0.5, flip=0.3)
    moves, (gain, brightness) = augment(strong, 4000).draw(torch.arange(4000), 2)
    angle, scale = moves.angle, moves.scale
    assert abs((moves.flip_x < 0).double().mean() - 0.3) < 0.03
    assert (moves.flip_y == 1).all()
    for drawn, low, high in (
        (angle, -30, 30),
        (scale, 1, 2),
        (moves.tilt_x, -0.4, 0.4),
        (moves.tilt_y, -0.4, 0.4),
        (gain.log2(), -1, 1),
        (brightness, -0.3, 0.3),
    ):
        room = (high - low) / 50
        assert low <= drawn.min() < low + room
        assert high - room < drawn.max() <= high
    for drawn in (angle, scale - 1, moves.tilt_x, gain - 1, brightness):
        assert abs((drawn != 0).double().mean() - 0.75) < 0.03
    # What a zoom shows never passes the edge: its middle is at most 1 - 1 / scale from the middle.
    for centre in (moves.centre_x, moves.centre_y):
        assert (centre.abs() <= (1 - 1 / scale) + 1e-12).all()


def test_light_changes_a_picture_as_the_formula_says():
    grey = torch.full((64, 3, 4, 4), 51, dtype=torch.uint8)  # 0.2
    only_light = AugmentSettings(flip=0, rotate=0, zoom=1, warp=0, brightness=0.5, contrast=0.5)
    transform = Augment(only_light, ids(64), **PLAIN)
    _, (gain, brightness) = transform.draw(torch.arange(64), 0)
    seen = run(transform, grey, torch.arange(64))
    expected = 0.5 + gain * (0.2 - 0.5) + brightness
    torch.testing.assert_close(seen[:, 1, 2, 3], expected, rtol=0, atol=1e-6)


@pytest.mark.row(14)
def test_all_moves_cost_one_interpolation(monkeypatch: pytest.MonkeyPatch):
    calls = []
    original = torch.nn.functional.grid_sample

    def counted(*args, **options):
        calls.append(len(args[0]))
        return original(*args, **options)

    monkeypatch.setattr(torch.nn.functional, "grid_sample", counted)
    run(augment(AugmentSettings(geometry_p=1), 8), pictures(8), torch.arange(8))
    assert calls == [8]


def test_padding_zeros_is_black_and_border_repeats():
    white = torch.full((1, 3, 9, 9), 255, dtype=torch.uint8)
    corners = {}
    for padding in ("zeros", "border", "reflection"):
        turned = AugmentSettings(
            flip=0, rotate=45, zoom=1, warp=0, geometry_p=1, lighting_p=0, padding=padding
        )
        transform = Augment(turned, ids(1), **PLAIN, seed=2)
        assert abs(transform.draw(torch.arange(1), 0)[0].angle.item()) > 15
        corners[padding] = run(transform, white, torch.arange(1))[0, :, 0, 0].tolist()
    assert max(corners["zeros"]) < 0.5
    assert corners["border"] == corners["reflection"] == pytest.approx([1.0] * 3)


# --- an item's result is its own -----------------------------------------------------------------


@pytest.mark.row(14)
@pytest.mark.parametrize("size", [(16, 16), (7, 13), (33, 20)])
@pytest.mark.parametrize("settings", [AugmentSettings(), FLIP_ONLY], ids=["all", "flip"])
def test_an_items_result_does_not_depend_on_its_batch(settings: AugmentSettings, size):
    batch, transform = pictures(24, *size), augment(settings, 24)
    whole = run(transform, batch, torch.arange(24), epoch=3)
    for indices in (torch.arange(24).flip(0), torch.tensor([5]), torch.tensor([7, 2, 19])):
        assert torch.equal(run(transform, batch[indices], indices, epoch=3), whole[indices])


def test_the_result_does_not_depend_on_threads():
    batch, transform = pictures(24, 33, 20), augment(AugmentSettings(), 24)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(run(transform, batch, torch.arange(24)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_an_items_draws_depend_on_its_id_and_not_on_its_place():
    here = augment(AugmentSettings(), 10).draw(torch.tensor([7]), 1)[0]
    moved = Augment(AugmentSettings(), ["cats/7.jpg"], mean=MEAN, std=STD)
    there = moved.draw(torch.tensor([0]), 1)[0]
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_seed_and_epoch_both_change_the_draws():
    indices = torch.arange(10)
    first = augment(AugmentSettings(), 10).draw(indices, 0)[0].angle
    assert not torch.equal(first, augment(AugmentSettings(), 10).draw(indices, 1)[0].angle)
    assert not torch.equal(first, augment(AugmentSettings(), 10, seed=1).draw(indices, 0)[0].angle)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_loader_gives_the_same_bits_for_every_number_of_workers(num_workers: int):
    data = TensorData(pictures(20), torch.arange(20))

    def epoch_of(workers: int) -> list[Tensor]:
        loader = BatchLoader(
            data,
            batch_size=6,
            shuffle=True,
            num_workers=workers,
            transform=augment(AugmentSettings(), 20),
        )
        loader.set_epoch(2)
        return [inputs for inputs, _ in loader]

    pairs = zip(epoch_of(0), epoch_of(num_workers), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_nothing_is_drawn_from_torchs_own_generator():
    before = torch.get_rng_state()
    run(augment(AugmentSettings(), 4), pictures(4), torch.arange(4))
    assert torch.equal(torch.get_rng_state(), before)


# --- labels follow -------------------------------------------------------------------------------

angles = st.floats(-180, 180)
zooms = st.floats(1, 2)
places = st.floats(-1, 1)
tilts = st.floats(-0.2, 0.2)
signs = st.sampled_from([-1.0, 1.0])


@pytest.mark.row(14)
@hypothesis_settings(max_examples=60, deadline=None)
@given(
    angle=angles,
    scale=zooms,
    place=st.tuples(places, places),
    tilt=st.tuples(tilts, tilts),
    flip=st.tuples(signs, signs),
    dot=st.tuples(st.integers(0, 40), st.integers(0, 30)),
)
def test_points_follow_the_picture(angle, scale, place, tilt, flip, dot):
    height, width = 31, 41
    room = 1 - 1 / scale
    m = matrix(
        height,
        width,
        angle=torch.tensor([angle]),
        scale=torch.tensor([scale]),
        centre=torch.tensor([place]) * room,
        tilt=torch.tensor([tilt]),
        flip=torch.tensor([flip]),
    )
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = dot[0] + 0.5, dot[1] + 0.5
    cone = -torch.hypot(xs - x, ys - y)  # highest at the dot
    moved = warp_pictures(cone[None, None], m, padding="zeros")[0, 0]
    (new_x, new_y) = warp_points(torch.tensor([[[x, y]]]), m)[0, 0].tolist()
    # In the outermost rows the black beyond the edge is mixed in, and moves the peak.
    if 2 <= new_x <= width - 2 and 2 <= new_y <= height - 2:
        inside = warp_masks(torch.ones(1, height, width, dtype=torch.bool), m, padding="zeros")[0]
        peak = torch.where(inside, moved, -torch.inf).argmax().item()
        row, column = divmod(peak, width)
        assert abs(column + 0.5 - new_x) <= 1.0
        assert abs(row + 0.5 - new_y) <= 1.0


@pytest.mark.row(14)
@hypothesis_settings(max_examples=30, deadline=None)
@given(angle=angles, scale=zooms, tilt=st.tuples(tilts, tilts), x=st.floats(0, 20))
def test_the_inverse_brings_points_back(angle, scale, tilt, x):
    m = matrix(
        24,
        20,
        angle=torch.tensor([angle]),
        scale=torch.tensor([scale]),
        tilt=torch.tensor([tilt]),
    )
    points = torch.tensor([[[x, 5.0], [3.0, x]]], dtype=torch.float64)
    back = warp_points(warp_points(points, m), torch.linalg.inv(m))
    torch.testing.assert_close(back, points, rtol=0, atol=1e-8)


@pytest.mark.row(14)
@hypothesis_settings(max_examples=20, deadline=None)
@given(size=st.tuples(st.integers(1, 20), st.integers(1, 20)), seed=st.integers(0, 100))
def test_a_flip_twice_is_the_identity(size: tuple[int, int], seed: int):
    m = matrix(*size, flip=torch.tensor([[-1.0, -1.0]]))
    torch.testing.assert_close(m @ m, torch.eye(3, dtype=torch.float64)[None])
    masks = pictures(1, *size, seed=seed)
    assert torch.equal(warp_masks(warp_masks(masks, m), m), masks)


def test_augmented_pictures_move_by_the_matrices_of_params():
    transform = Augment(AugmentSettings(geometry_p=1, lighting_p=0, rotate=40), ids(4), **PLAIN)
    batch, indices = pictures(4, 20, 30), torch.arange(4)
    seen = run(transform, batch, indices, epoch=1)
    by_matrix = warp_pictures(batch.float() / 255, transform.params(indices, 1, (20, 30)))
    torch.testing.assert_close(seen, by_matrix, rtol=0, atol=2e-5)


@pytest.mark.row(14)
def test_masks_move_with_the_picture_and_keep_their_classes():
    transform = Augment(AugmentSettings(geometry_p=1, lighting_p=0, rotate=40), ids(4), **PLAIN)
    masks = torch.zeros(4, 40, 40, dtype=torch.int64)
    masks[:, 8:24, 12:30] = 7
    batch = (masks[:, None] == 7).to(torch.uint8).mul(255).expand(-1, 3, -1, -1)
    indices = torch.arange(4)
    seen = run(transform, batch, indices)[:, 0]
    moved = warp_masks(masks, transform.params(indices, 0, 40))
    assert moved.dtype == torch.int64
    assert moved.unique().tolist() == [0, 7]
    assert torch.equal(moved[seen > 0.999].unique(), torch.tensor([7]))
    assert torch.equal(moved[seen < 0.001].unique(), torch.tensor([0]))
    assert ((seen > 0.5) != (moved == 7)).double().mean() < 0.02  # nearest and bilinear at edges


@pytest.mark.row(14)
def test_points_masks_and_boxes_after_a_mirror_and_a_turn_are_known():
    mirror = matrix(20, 30, flip=torch.tensor([[-1.0, 1.0]]))
    points = torch.tensor([[[0.5, 0.5], [30.0, 20.0]]])
    assert warp_points(points, mirror).tolist() == [[[29.5, 0.5], [0.0, 20.0]]]
    boxes = torch.tensor([[[2.0, 4.0, 10.0, 8.0]]])
    assert warp_boxes(boxes, mirror).tolist() == [[[20.0, 4.0, 28.0, 8.0]]]
    turn = matrix(20, 20, angle=torch.tensor([90.0]))  # anticlockwise
    masks = torch.arange(400).view(1, 20, 20)
    assert torch.equal(warp_masks(masks, turn), torch.rot90(masks, 1, (1, 2)))
    torch.testing.assert_close(
        warp_boxes(torch.tensor([[[0.0, 0.0, 5.0, 2.0]]]), turn),
        torch.tensor([[[0.0, 15.0, 2.0, 20.0]]]),
    )


def test_what_is_past_the_horizon_has_no_place():
    tilt = matrix(20, 20, tilt=torch.tensor([[0.4, 0.0]]))  # the horizon is at x = 35
    points = warp_points(torch.tensor([[[34.0, 15.0], [36.0, 15.0]]]), tilt)[0]
    assert points[0, 0] > 300
    assert points[1].isnan().all()
    boxes = torch.tensor([[[30.0, 5.0, 40.0, 9.0], [3.0, 5.0, 9.0, 9.0]]])
    moved = warp_boxes(boxes, tilt, size=(20, 20))[0]
    assert moved.isnan().any(dim=1).tolist() == [True, False]


def test_zoom_shows_the_middle_at_twice_the_size():
    zoom = matrix(20, 20, scale=torch.tensor([2.0]))
    box = warp_boxes(torch.tensor([[[5.0, 5.0, 15.0, 15.0]]]), zoom)
    torch.testing.assert_close(box, torch.tensor([[[0.0, 0.0, 20.0, 20.0]]]))
    clipped = warp_boxes(torch.tensor([[[0.0, 0.0, 10.0, 4.0]]]), zoom, size=(20, 20))
    torch.testing.assert_close(clipped, torch.tensor([[[0.0, 0.0, 10.0, 0.0]]]))


def test_past_the_edge_a_mask_shows_what_its_picture_shows():
    shift = torch.eye(3, dtype=torch.float64)[None].clone()
    shift[0, 0, 2] = 3.0  # three pixels to the right
    row = torch.tensor([[[10, 20, 30, 40, 50]]])
    seen = {padding: warp_masks(row, shift, padding=padding)[0, 0].tolist() for padding in PADDINGS}
    assert seen == {
        "reflection": [30, 20, 10, 10, 20],
        "border": [10, 10, 10, 10, 20],
        "zeros": [0, 0, 0, 10, 20],
    }
    for padding, values in seen.items():
        picture = warp_pictures(row[:, None].double().float(), shift, padding=padding)
        torch.testing.assert_close(
            picture[0, 0, 0], torch.tensor(values).float(), rtol=0, atol=1e-4
        )


def test_a_mask_past_the_edge_is_filled_where_it_is_asked_to_be():
    turn = matrix(21, 21, angle=torch.tensor([45.0]))
    masks = torch.ones(1, 21, 21, dtype=torch.uint8)
    filled = warp_masks(masks, turn, padding="zeros", fill=255)
    assert filled[0, 0, 0] == 255
    assert filled[0, 10, 10] == 1
    assert warp_masks(masks, turn).unique().tolist() == [1]


# --- settings and errors -------------------------------------------------------------------------


def test_settings_survive_json_and_the_transform_copying():
    settings = AugmentSettings(rotate=3, padding="zeros")
    assert AugmentSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    transform = augment(settings, 3)
    batch, indices = pictures(3), torch.arange(3)
    assert torch.equal(
        run(copy.deepcopy(transform), batch, indices), run(transform, batch, indices)
    )


def test_all_bad_settings_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        AugmentSettings(flip=2, zoom=0.5, padding="reflect")
    assert str(caught.value) == (
        "Augmentation: `flip` must be in [0, 1], got 2; `zoom` must be in [1, 10], got 0.5; "
        "`padding` must be one of reflection, border, zeros, got 'reflect'. "
        "Did you mean 'reflection'?"
    )


def test_an_unknown_setting_is_answered_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"^Augmentation has no setting 'rotation'\. Did you mean"
    ) as e:
        AugmentSettings.from_json({"rotation": 3})
    assert "'rotate'?" in str(e.value)


def test_float_pictures_are_refused():
    message = (
        "Pictures must be (B, 3, H, W) uint8 before they are normalised. Got (2, 3, 4, 4) float32."
    )
    for transform in (augment(AugmentSettings(), 2), Normalise(MEAN, STD)):
        with pytest.raises(ShapeError) as caught:
            transform((torch.zeros(2, 3, 4, 4), torch.zeros(2)), torch.arange(2), 0)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (
            (0.5,),
            (0.5, 0.5),
            "`mean` and `std` need one number a channel. Got (0.5,) and (0.5, 0.5).",
        ),
        ((0.5,), (0.0,), "`std` must be above 0 in every channel. Got (0.0,)."),
    ],
)
def test_wrong_mean_and_std_are_refused(mean, std, message):
    with pytest.raises(ConfigError) as caught:
        Normalise(mean, std)
    assert str(caught.value) == message


def test_wrong_shapes_of_labels_are_refused():
    m = matrix(8, 8)
    with pytest.raises(ShapeError, match=r"^`points` must be \(B, N, 2\): x, y\. Got \(1, 2\)\.$"):
        warp_points(torch.zeros(1, 2), m)
    with pytest.raises(
        ShapeError,
        match=r"^`boxes` must be \(B, N, 4\): left, top, right, bottom\. Got \(1, 3, 2\)\.$",
    ):
        warp_boxes(torch.zeros(1, 3, 2), m)
    with pytest.raises(
        ShapeError,
        match=r"^`matrices` must be \(2, 3, 3\), one for each picture\. Got \(1, 3, 3\)\.$",
    ):
        warp_masks(torch.zeros(2, 8, 8), m)
    with pytest.raises(UnknownNameError, match=r"^Unknown padding 'mirror'\."):
        warp_masks(torch.zeros(1, 8, 8), m, padding="mirror")
