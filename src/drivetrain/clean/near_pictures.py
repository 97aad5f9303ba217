"""Pictures that are nearly the same: resized, compressed again, or cropped by a few percent a side.

    pairs = near_pictures(thumbs)                       # (N, 96, 96, 3) uint8, whole pictures squashed
    pairs.first, pairs.second, pairs.score

In three steps, each on what the one before has left over:

    look      8x8 greys of whole pictures, compared each with each: far apart is no duplicate
    windows   8x8 greys of 25 windows of either picture against the whole other one: a crop is near to
              one of them
    align     position and scale of both axes by least squares from that window (Lucas & Kanade 1981),
              then the correlation of the two at 24x24 pixels; either is moved onto the other

The last is what decides. A picture is moved at more pixels than the two are compared at, so that both are
equally sharp: comparing what was blurred by moving with what was not costs a textured picture much of its
correlation (at 48x48 pixels moved and compared, 6 of 60 crops fell below two different things of a kind).
Grey correlation does not see colour or brightness: two things of one
shape in two colours are told apart by the mean colours of nine parts.

Not found: what was turned, mirrored, or cropped by more than about 6% of a side.
"""

from __future__ import annotations

import time

import numpy as np

from drivetrain.clean.duplicates import NearPairs
from drivetrain.errors import ShapeError

SIDE = 96
"""Pixels a side that thumbs have."""
LEAST = 0.98
"""Correlation of aligned pictures from which on they are near duplicates."""
LOOK, COARSE, FINE = 8, 12, 24
"""Pixels a side of the steps: looked at, aligned first, aligned and compared."""
NEAR_AS_WHOLE = 0.65
"""Correlation at 8x8 of whole pictures below which nothing more is asked; copies have 0.7 and up."""
NEAR_WINDOW = 0.95
"""Correlation at 8x8 of a window and a whole picture below which nothing more is asked; copies: 0.98."""
WINDOWS = ((0.0, 0.0), (0.025, 0.025), (0.0, 0.05), (0.05, 0.0), (0.05, 0.05))
"""What is cut off at either end of an axis, as a share; windows are made of two of these."""
MOST_CUT = 0.08
"""Largest share that aligning cuts off, or adds, at an end."""
COLOUR, COLOURS = 0.18, 3
"""Largest difference of the means of red and blue less green, from 0 to 1, in any of 3x3 parts; crops of
5% a side have up to 0.16."""
FLAT = 0.02
"""Spread of the greys, from 0 to 1, below which a picture has nothing to compare."""
BLOCK = 512
"""Pictures compared with all others in one go."""
PAIRS = 2048
"""Pairs that are compared, or aligned, in one go."""
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def near_pictures(
    thumbs: np.ndarray, *, least: float = LEAST, seconds: float | None = None
) -> NearPairs:
    """Pairs of pictures that are nearly the same.

    Args:
        thumbs: (N, 96, 96, 3) uint8, each a whole picture squashed to a square by averaging.
        least: correlation from which on.
        seconds: time after which it ends, with what was found so far; None: all pairs.

    Returns: pairs, none of them `exact`: what is the same to the last bit is told by the files' hashes.
    Raises: ShapeError: other shapes. Time grows with N²: 1.2 s for 1,000 photos on one core.
    """
    if thumbs.ndim != 4 or thumbs.shape[1:] != (SIDE, SIDE, 3) or thumbs.dtype != np.uint8:
        raise ShapeError(
            f"`near_pictures` got {thumbs.dtype} of shape {thumbs.shape}, expected uint8 of shape "
            f"(N, {SIDE}, {SIDE}, 3)."
        )
    began = time.monotonic()
    some = np.flatnonzero(_spread(thumbs) >= FLAT)
    wholes = _unit(_greys(thumbs, some, LOOK))
    windows = np.concatenate(
        [
            _windows(_greys(thumbs, some[at : at + BLOCK], 2 * FINE))
            for at in range(0, len(some), BLOCK)
        ]
        or [np.zeros((0, len(WINDOWS) ** 2, LOOK * LOOK), np.float32)]
    )
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    compared = len(some)
    for at in range(0, len(some), BLOCK):
        if seconds is not None and time.monotonic() - began > seconds:
            compared = at
            break
        near = wholes[at : at + BLOCK] @ wholes[: at + BLOCK].T  # with itself and those before it
        later, earlier = np.nonzero(near > NEAR_AS_WHOLE)
        is_pair = earlier < later + at
        found.append(
            _of_pairs(thumbs, some, wholes, windows, earlier[is_pair], later[is_pair] + at)
        )
    first, second, score = (
        np.concatenate([one[part] for one in found] or [np.zeros(0)]) for part in range(3)
    )
    keep = score >= least
    order = np.lexsort((second[keep], first[keep]))
    left_out = ""
    if len(some) < len(thumbs):
        left_out = f"{len(thumbs) - len(some):,} pictures of one grey, which cannot be compared."
    if compared < len(some):
        left_out += (
            f" {compared:,} of {len(some):,} pictures were compared with each other in {seconds:g} "
            "seconds; the others were not."
        )
    return NearPairs(
        first[keep][order].astype(np.int64),
        second[keep][order].astype(np.int64),
        score[keep][order].astype(np.float64),
        np.zeros(len(order), dtype=bool),
        compared,
        left_out.strip(),
    )


def _of_pairs(
    thumbs: np.ndarray,
    some: np.ndarray,
    wholes: np.ndarray,
    windows: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that pass the windows and have one colour, as items, with their correlation."""
    out = []
    for at in range(0, len(left), PAIRS):
        i, j = left[at : at + PAIRS], right[at : at + PAIRS]
        scores = [
            np.matmul(windows[one], wholes[other][:, :, None])[..., 0]
            for one, other in ((i, j), (j, i))
        ]  # of each window of one with the whole other; both ways
        is_near = np.maximum(scores[0].max(axis=1), scores[1].max(axis=1)) > NEAR_WINDOW
        starts = [one.argmax(axis=1) for one in scores]
        i, j = some[i], some[j]
        is_near[is_near] = _one_colour(thumbs, i[is_near], j[is_near])
        if not is_near.any():
            continue
        i, j = i[is_near], j[is_near]
        score = np.maximum(
            _aligned(thumbs, i, j, _start(starts[0][is_near])),
            _aligned(thumbs, j, i, _start(starts[1][is_near])),
        )
        out.append((np.minimum(i, j), np.maximum(i, j), score))
    if not out:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return (
        np.concatenate([one[0] for one in out]),
        np.concatenate([one[1] for one in out]),
        np.concatenate([one[2] for one in out]),
    )


def _aligned(
    thumbs: np.ndarray, whole: np.ndarray, part: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """(P,) correlations after the picture `whole` was moved onto `part`, from `start` on.

    The best of those on the way: on a plain picture the last steps may lead astray.
    """
    scores = []
    for at in range(0, len(whole), PAIRS // 8):
        one = _greys(thumbs, whole[at : at + PAIRS // 8], SIDE)
        other = _greys(thumbs, part[at : at + PAIRS // 8], FINE)
        wanted = _unit(other)
        place = start[at : at + PAIRS // 8]
        place = _improved(_shrunk(one, FINE), _shrunk(other, COARSE), place, steps=3)
        coarse = np.einsum("ij,ij->i", _unit(_moved(one, place, FINE)), wanted)
        place = _improved(one, other, place, steps=3)
        fine = np.einsum("ij,ij->i", _unit(_moved(one, place, FINE)), wanted)
        scores.append(np.maximum(coarse, fine))
    return np.concatenate(scores or [np.zeros(0)]).astype(np.float64)


def _improved(one: np.ndarray, other: np.ndarray, place: np.ndarray, *, steps: int) -> np.ndarray:
    """Least squares of `other` = gain * `one` moved + offset, linear in the move, a few times.

    Args:
        one: (P, kS, kS) float32.
        other: (P, S, S).
        place: (P, 4): scale less 1 and shift along x, then along y; half a side is 1.
    """
    count, side = len(other), other.shape[1]
    u = ((np.arange(side) + 0.5) * 2 / side - 1).astype(np.float32)
    for _ in range(steps):
        moved = _moved(one, place, side)
        along_y, along_x = np.gradient(moved, 2 / side, axis=(1, 2))
        terms = np.stack(
            [moved, np.ones_like(moved), along_x * u, along_x, along_y * u[:, None], along_y], -1
        ).reshape(count, side * side, 6)
        turned = terms.transpose(0, 2, 1)
        normal = (turned @ terms).astype(np.float64)
        # a little ridge: along a plain wall no shift can be told
        ridge = 1e-4 / 6 * np.trace(normal, axis1=1, axis2=2) + 1e-9
        normal[:, range(6), range(6)] += ridge[:, None] * np.array([0.01, 0.01, 1, 1, 1, 1])
        wanted = (turned @ other.reshape(count, -1, 1)).astype(np.float64)
        solved = np.linalg.solve(normal, wanted)[..., 0]
        gain = np.where(np.abs(solved[:, :1]) > 0.2, solved[:, :1], 1.0)
        step = np.clip(solved[:, 2:] / gain, -0.08, 0.08)
        place = np.clip(place + step, -2 * MOST_CUT, 2 * MOST_CUT).astype(np.float32)
    return place


def _moved(pictures: np.ndarray, place: np.ndarray, side: int) -> np.ndarray:
    """(P, side, side) pictures moved and scaled, read between pixels along one axis after the other."""
    count, full, _ = pictures.shape
    u = ((np.arange(full) + 0.5) * 2 / full - 1).astype(np.float32)
    rows = np.arange(count)[:, None]
    for scale, shift in ((2, 3), (0, 1)):  # y, then x
        at = ((1 + place[:, scale, None]) * u + place[:, shift, None] + 1) * full / 2 - 0.5
        at = np.clip(at, 0, full - 1)
        below = np.minimum(at.astype(np.int64), full - 2)
        rest = (at - below)[..., None].astype(np.float32)
        pictures = pictures[rows, below] * (1 - rest) + pictures[rows, below + 1] * rest
        pictures = pictures.transpose(0, 2, 1)
    return _shrunk(pictures, side)


def _start(window: np.ndarray) -> np.ndarray:
    """(P, 4) the place of a window, by its number."""
    cuts = np.array(WINDOWS, dtype=np.float32)
    y, x = cuts[window // len(WINDOWS)], cuts[window % len(WINDOWS)]
    return np.stack([-x.sum(1), x[:, 0] - x[:, 1], -y.sum(1), y[:, 0] - y[:, 1]], axis=1)


def _windows(greys: np.ndarray) -> np.ndarray:
    """(N, W², 64) float32 of length 1: each window at 8x8. Rows of windows are cuts along y."""
    axes = np.stack([_averages(a, 1 - b, greys.shape[1]) for a, b in WINDOWS])  # (W, 8, S)
    cut = np.einsum("ary,nyx->narx", axes, greys, optimize=True)
    cut = np.einsum("narx,bcx->nabrc", cut, axes, optimize=True)
    count = len(greys)
    return _unit(cut.reshape(-1, LOOK, LOOK)).reshape(count, len(WINDOWS) ** 2, LOOK * LOOK)


def _averages(low: float, high: float, full: int) -> np.ndarray:
    """(8, full) weights that average the pixels between two shares of an axis into 8."""
    edges = full * (low + (high - low) * np.arange(LOOK + 1) / LOOK)
    pixels = np.arange(full)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(inside, 0) / np.diff(edges)[:, None]).astype(np.float32)


def _greys(thumbs: np.ndarray, rows: np.ndarray, side: int) -> np.ndarray:
    """(R, side, side) float32 greys from 0 to 1; in blocks, since they take more than thumbs."""
    parts = [
        _shrunk(thumbs[rows[at : at + BLOCK]].astype(np.float32) @ _GREY / 255, side)
        for at in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(parts or [np.zeros((0, side, side), np.float32)])


def _spread(thumbs: np.ndarray) -> np.ndarray:
    """(N,) standard deviation of the greys."""
    return _greys(thumbs, np.arange(len(thumbs)), LOOK).std(axis=(1, 2))


def _one_colour(thumbs: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) bool: the means of red and of blue, less that of green, are about the same everywhere."""
    by = SIDE // COLOURS
    apart = np.zeros(len(first), dtype=np.float32)
    for at in range(0, len(first), BLOCK):
        tints = []
        for rows in (first[at : at + BLOCK], second[at : at + BLOCK]):
            parts = thumbs[rows].reshape(-1, COLOURS, by, COLOURS, by, 3)
            means = parts.mean(axis=(2, 4), dtype=np.float32) / 255
            tints.append(means[..., [0, 2]] - means[..., [1]])
        apart[at : at + BLOCK] = np.abs(tints[0] - tints[1]).max(axis=(1, 2, 3))
    return apart < COLOUR


def _shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """(N, side, side) averages of blocks of pixels."""
    count, full, _ = pictures.shape
    if full == side:
        return pictures
    by = full // side
    return pictures.reshape(count, side, by, side, by).mean(axis=(2, 4))


def _unit(pictures: np.ndarray) -> np.ndarray:
    """(N, D) each less its mean and of length 1; a product of two is their correlation."""
    count, *sides = pictures.shape
    flat = pictures.reshape(count, int(np.prod(sides)))
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
