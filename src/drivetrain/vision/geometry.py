"""Where pixels go: one 3x3 matrix a picture (a homography) for flip, rotation, zoom and tilt together.

Coordinates, wherever a person meets them, are (x, y) in pixels, x to the right and y down, measured at
the edges: the picture is the rectangle from (0, 0) to (width, height), and the pixel in column c and
row r has its centre at (c + 0.5, r + 0.5). A matrix moves a point of the old picture to where it is in
the new one: (x', y', w) = M (x, y, 1), then divided by w. The same matrices move pictures, masks,
points and boxes, so labels stay where they belong.

Inside, a picture spans [-1, 1] both ways, and *sampling* matrices go the other way: from a pixel of the
new picture to the place in the old one that it shows. Twin: drivetrain.reference.augment.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.errors import ShapeError

PADDINGS = {
    "reflection": "the picture is mirrored at its edges",
    "border": "the pixel at the edge is repeated",
    "zeros": "black",
}
"""What is seen where the new picture looks past the edge of the old one."""


class Moves(NamedTuple):
    """What happens to each of B pictures, in this order; float64, (B,) each."""

    flip_x: Tensor
    """-1 mirrors left and right, 1 leaves it."""
    flip_y: Tensor
    """-1 mirrors top and bottom, 1 leaves it."""
    angle: Tensor
    """Rotation about the middle, degrees, positive is anticlockwise."""
    scale: Tensor
    """Zoom, 1 is none, 2 shows half the width and height."""
    centre_x: Tensor
    """Middle of what the zoom shows, in [-1, 1] of the picture; 0 is its middle."""
    centre_y: Tensor
    """The same from top to bottom."""
    tilt_x: Tensor
    """Perspective; at 0.2 the sides are magnified 1.2 and 0.8 times."""
    tilt_y: Tensor
    """The same from top to bottom."""


def sampling_matrices(moves: Moves, height: int, width: int) -> Tensor:
    """(B, 3, 3) float64, from the new picture to the old, both in [-1, 1].

    Undoing goes backwards: tilt, zoom, rotation, flip. Written out instead of multiplied as matrices, so
    that a picture without a move gets the identity exactly, and no batch changes another's rounding.
    """
    flip_x, flip_y, angle, scale, centre_x, centre_y, p, q = moves
    radians = torch.deg2rad(angle)
    cos, sin = torch.cos(radians), torch.sin(radians)
    # Rotation by pixels, not by the [-1, 1] of each side: a wide picture must not be sheared.
    a, b = flip_x * cos, -flip_x * sin * (height / width)
    c, d = flip_y * sin * (width / height), flip_y * cos
    x = a * centre_x + b * centre_y
    y = c * centre_x + d * centre_y
    k = 1 / scale
    rows = (
        (a * k + x * p, b * k + x * q, x),
        (c * k + y * p, d * k + y * q, y),
        (p, q, torch.ones_like(p)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def pixel_matrices(sampling: Tensor, height: int, width: int) -> Tensor:
    """(B, 3, 3) float64, from the old picture to the new, in pixels: what moves points."""
    to_unit = torch.tensor(
        [[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]], dtype=torch.float64
    )
    return torch.linalg.inv(to_unit) @ torch.linalg.inv(sampling) @ to_unit


def unit_matrices(matrices: Tensor, height: int, width: int) -> Tensor:
    """The sampling matrices of pixel matrices: the inverse of `pixel_matrices`."""
    to_unit = torch.tensor(
        [[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]], dtype=torch.float64
    )
    return to_unit @ torch.linalg.inv(matrices.double().cpu()) @ torch.linalg.inv(to_unit)


def sampling_grid(sampling: Tensor, height: int, width: int) -> Tensor:
    """For each new pixel the place it shows, (B, H, W, 2) float32 in [-1, 1], as `grid_sample` asks.

    Only +, * and / on each element: their rounding is the same wherever the picture stands in a batch.
    """
    m = sampling.to(torch.float32)[..., None, None]  # (B, 3, 3, 1, 1)
    xs = _centres(width, m.device)[None, :]  # (1, W)
    ys = _centres(height, m.device)[:, None]  # (H, 1)
    grid = torch.empty(2, len(m), height, width, device=m.device)
    for row in (0, 1):
        torch.add(m[:, row, 0] * xs, m[:, row, 1] * ys + m[:, row, 2], out=grid[row])
    if bool((sampling[:, 2, :2] != 0).any()):  # dividing by exactly 1 would change nothing
        grid /= m[:, 2, 0] * xs + (m[:, 2, 1] * ys + m[:, 2, 2])
    return grid.permute(1, 2, 3, 0)


def warp_pictures(pictures: Tensor, matrices: Tensor, *, padding: str = "reflection") -> Tensor:
    """Move float pictures (B, C, H, W) by pixel matrices (B, 3, 3), one bilinear interpolation."""
    check_padding(padding)
    height, width = pictures.shape[-2:]
    sampling = unit_matrices(matrices, height, width).to(pictures.device)
    grid = sampling_grid(sampling, height, width)
    return F.grid_sample(pictures, grid, padding_mode=padding, align_corners=False)


def warp_masks(
    masks: Tensor, matrices: Tensor, *, padding: str = "reflection", fill: int | float = 0
) -> Tensor:
    """Move masks of any dtype, (B, H, W) or (B, C, H, W): each new pixel takes the nearest old one.

    Args:
        matrices: (B, 3, 3) from `Augment.params`.
        padding: as for the pictures, so that the mask keeps to what is seen.
        fill: the value past the edge when `padding` is `zeros`.
    """
    check_padding(padding)
    _check_matrices(matrices, len(masks))
    height, width = masks.shape[-2:]
    grid = sampling_grid(unit_matrices(matrices, height, width), height, width)
    columns = torch.floor((grid[..., 0] + 1) * (width / 2)).long()  # (B, H, W)
    rows = torch.floor((grid[..., 1] + 1) * (height / 2)).long()
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    if padding == "reflection":
        columns, rows = _mirrored(columns, width), _mirrored(rows, height)
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    source = (rows * width + columns).flatten(1).to(masks.device)  # (B, H * W)
    flat = masks.reshape(len(masks), -1, height * width)  # (B, C, H * W)
    moved = flat.gather(2, source[:, None].expand(-1, flat.shape[1], -1)).view(masks.shape)
    if padding != "zeros":
        return moved
    seen = inside if masks.ndim == 3 else inside[:, None]
    return torch.where(seen.to(masks.device), moved, torch.as_tensor(fill, dtype=masks.dtype))


def warp_points(points: Tensor, matrices: Tensor) -> Tensor:
    """Move points (B, N, 2), (x, y) in pixels, by matrices (B, 3, 3); returns the points' dtype.

    A point that the tilt takes past the horizon has no place in the new picture: it becomes NaN. That
    needs a strong tilt and a strong zoom together, and a point far outside what is seen.
    """
    _check_matrices(matrices, len(points))
    if points.ndim != 3 or points.shape[2] != 2:
        raise ShapeError(f"`points` must be (B, N, 2): x, y. Got {tuple(points.shape)}.")
    m = matrices.to(device=points.device, dtype=torch.float64)
    homogeneous = F.pad(points.double(), (0, 1), value=1.0) @ m.mT  # (B, N, 3)
    depth = homogeneous[..., 2:]
    moved = homogeneous[..., :2] / torch.where(depth > 0, depth, torch.nan)
    return moved.to(points.dtype if points.is_floating_point() else torch.float32)


def warp_boxes(boxes: Tensor, matrices: Tensor, *, size: tuple[int, int] | None = None) -> Tensor:
    """Move boxes (B, N, 4), (left, top, right, bottom) in pixels: the box round the moved corners.

    Args:
        size: (height, width) to clip to; a box that left the picture then has no area. None: no clipping.

    A box with a corner past the horizon (see `warp_points`) becomes NaN.
    """
    if boxes.ndim != 3 or boxes.shape[2] != 4:
        raise ShapeError(
            f"`boxes` must be (B, N, 4): left, top, right, bottom. Got {tuple(boxes.shape)}."
        )
    corners = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(len(boxes), -1, 2)  # (B, 4 N, 2)
    moved = warp_points(corners, matrices).view(*boxes.shape[:2], 4, 2)
    low, high = moved.amin(dim=2), moved.amax(dim=2)
    if size is not None:
        limit = torch.tensor([size[1], size[0]], dtype=moved.dtype, device=moved.device)
        low, high = low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)
    return torch.cat((low, high), dim=-1)


def check_padding(padding: str) -> None:
    """Raises: UnknownNameError: not one of `PADDINGS`."""
    lookup(PADDINGS, padding, what="padding")


def _check_matrices(matrices: Tensor, count: int) -> None:
    if matrices.shape != (count, 3, 3):
        raise ShapeError(
            f"`matrices` must be ({count}, 3, 3), one for each picture. Got {tuple(matrices.shape)}."
        )


def _centres(count: int, device: torch.device) -> Tensor:
    """Centres of `count` pixels over [-1, 1], float32."""
    return (torch.arange(count, device=device) + 0.5) * (2 / count) - 1


def _mirrored(index: Tensor, count: int) -> Tensor:
    """… 1 0 | 0 1 2 … count-1 | count-1 … : the index seen in a mirror at both edges."""
    index = index % (2 * count)
    return torch.minimum(index, 2 * count - 1 - index)
