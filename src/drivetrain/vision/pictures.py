"""Pictures as a batch-first data set: kept in memory once decoded, or decoded when asked for.

A batch is one uint8 tensor. Augmentation and normalising follow as the loader's transform, on the whole
batch and on the device where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.errors import ShapeError
from drivetrain.vision.decode import RESIZE_METHODS, PictureError, check_size, decode_array


class PictureData:
    """Picture files and their targets; safe to read from several threads.

    Args:
        paths: N files.
        targets: (N,) int64; or (N, T), of T targets.
        size: (height, width) in pixels, or one number for squares.
        resize: crop, squish or pad; see `open_picture`.
        pixels: (M, 3, height, width) uint8, decoded pictures (`decode_all` gives them). None: each batch
            is decoded when asked for, for sets that do not fit in memory.
        rows: (N,) int64, which row of `pixels` is each file's; None: the same order. So the parts of a
            split share one tensor.
        ids: N names of the items; the paths by default.
    Raises: ShapeError: lengths or sizes do not agree.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        targets: Tensor,
        *,
        size: int | tuple[int, int],
        resize: str = "crop",
        pixels: Tensor | None = None,
        rows: Tensor | None = None,
        ids: Sequence[str] | None = None,
    ) -> None:
        self.paths = list(paths)
        self.ids = [os.fspath(path) for path in self.paths] if ids is None else list(ids)
        self.targets = targets
        self.size = check_size(size)
        self.resize = resize
        lookup(RESIZE_METHODS, resize, what="resize method")
        if targets.ndim not in (1, 2) or len(targets) != len(self.paths):
            raise ShapeError(
                f"`targets` must be ({len(self.paths)},), one for each path. "
                f"Got {tuple(targets.shape)}."
            )
        self._row_of = torch.arange(len(self.paths)) if rows is None else rows
        self._rows = None if pixels is None else self._checked(pixels).permute(0, 2, 3, 1)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) uint8, channels last, and (B,) or (B, T) int64, for `indices` (B,) int64.

        Raises: PictureError: a file that was good when it was checked is gone or damaged now.
        """
        indices = torch.as_tensor(indices)
        if self._rows is None:
            rows = self._decoded(indices)  # (B, H, W, 3)
        else:
            rows = self._rows[self._row_of[indices]]
        return rows.permute(0, 3, 1, 2), self.targets[indices]

    @property
    def is_cached(self) -> bool:
        """Whether the pixels are in memory."""
        return self._rows is not None

    def _decoded(self, indices: Tensor) -> Tensor:
        height, width = self.size
        rows = np.empty((len(indices), height, width, 3), dtype=np.uint8)
        for row, index in enumerate(indices.tolist()):
            try:
                rows[row] = decode_array(self.paths[index], size=self.size, resize=self.resize)
            except PictureError as error:
                error.add_note(
                    "It was found good before training began and has changed since. "
                    "Start again: it will be set aside and reported."
                )
                raise
        return torch.from_numpy(rows)

    def _checked(self, pixels: Tensor) -> Tensor:
        needed = int(self._row_of.max()) + 1 if len(self._row_of) else 0
        expected = (max(needed, len(pixels)), 3, *self.size)
        if pixels.shape != expected or pixels.dtype != torch.uint8:
            raise ShapeError(
                f"`pixels` must be {expected} uint8. Got {tuple(pixels.shape)} "
                f"{str(pixels.dtype).removeprefix('torch.')}."
            )
        return pixels
