"""Progressive resizing: the first epochs train on smaller pictures, which is quicker.

After Howard's entry to DAWNBench (2018); Touvron et al. 2019, arXiv:1906.06423, say why the last epochs
should see the size that is predicted on.
"""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.train.batches import call_of, inputs_of, map_inputs
from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.callbacks._checking import check_number, check_whole
from drivetrain.train.state import FitState


class ProgressiveResizing(Callback):
    """Shrinks the pictures of each training batch, less from epoch to epoch; validation sees them whole.

    The share of height and width rises on a straight line from `start` in the first epoch of a fit to 1
    at `until`. The row of the history says the `size`: pixels of the longer side. The model must take
    pictures of any size, as convolutional nets with global pooling do. Decoding and augmentation work
    on whole pictures, so what becomes quicker is the model.

    Args:
        start: share of height and width in the first epoch, above 0 and below 1.
        until: share of the fit's epochs after which pictures are whole, above 0 and at most 1. At 1 the
            last epoch is the only one that is sure to be whole.
        step: sizes are multiples of it, at least one of it; nets with five halvings like 32.
    Raises: ConfigError: an argument is out of range. ShapeError, in the fit: no input is a batch of
        pictures (B, C, H, W), or there is a target for each pixel.
    """

    # Before pictures are mixed: the areas of CutMix are then those that the model sees.
    order = FIRST - 20
    adjusts = ("batch",)

    def __init__(self, start: float = 0.5, *, until: float = 0.75, step: int = 32) -> None:
        check_number("ProgressiveResizing", "start", start, above=0, below=1)
        check_number("ProgressiveResizing", "until", until, above=0)
        if until > 1:
            raise ConfigError(f"`ProgressiveResizing` needs `until` of at most 1. Got {until!r}.")
        check_whole("ProgressiveResizing", "step", step, least=1)
        self.start = start
        self.until = until
        self.step = step
        self._size: int | None = None

    def before_fit(self, state: FitState) -> None:
        self._size = None

    def state_dict(self) -> dict[str, Any]:
        return {"size": self._size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._size = state["size"]

    def share(self, epochs_done: int, epochs: int) -> float:
        """Share of height and width for an epoch of a fit, in [start, 1].

        >>> [ProgressiveResizing(0.5, until=1).share(epoch, 5) for epoch in range(5)]
        [0.5, 0.6, 0.7, 0.8, 1.0]
        """
        return share_of(epochs_done, epochs, start=self.start, until=self.until)

    def size(self, whole: int, share: float) -> int:
        """Pixels of a side that has `whole`: the multiple of `step` that is nearest, never more than all.

        >>> ProgressiveResizing(step=32).size(224, 0.5), ProgressiveResizing(step=32).size(28, 0.5)
        (128, 28)
        """
        return size_of(whole, share, self.step)

    def before_batch(self, state: FitState) -> None:
        check_pictures(state.batch)
        share = share_of(state.epochs_done, state.epochs, start=self.start, until=self.until)
        sides = next(part for part in inputs_of(state.batch) if is_pictures(part)).shape[-2:]
        self._size = max(self.size(side, share) for side in sides)
        if share < 1:
            state.batch = map_inputs(state.batch, lambda part: shrunk(part, share, self.step))

    def before_validate(self, state: FitState) -> None:
        if self._size is not None:
            state.row["size"] = self._size


def share_of(epochs_done: int, epochs: int, *, start: float, until: float) -> float:
    """Share of height and width for an epoch of a fit, in [start, 1]."""
    if epochs_done == epochs - 1:
        return 1.0
    return start + (1 - start) * min(epochs_done / (until * epochs), 1.0)


def size_of(whole: int, share: float, step: int) -> int:
    """Pixels of a side at a share of it: the multiple of `step` that is nearest, never more than all."""
    if share >= 1:
        return whole
    return min(whole, max(1, math.floor(whole * share / step + 0.5)) * step)


def shrunk(part: Any, share: float, step: int) -> Any:
    """Pictures at a share of their height and width; any other input as it is."""
    if not is_pictures(part):
        return part
    size = [size_of(side, share, step) for side in part.shape[-2:]]
    if size == list(part.shape[-2:]):
        return part
    return F.interpolate(part, size=size, mode="bilinear", antialias=True)


def is_pictures(part: Any) -> bool:
    """Whether an input is a batch of pictures, (B, C, H, W) float."""
    return isinstance(part, Tensor) and part.ndim == 4 and part.is_floating_point()


def check_pictures(batch: Any) -> None:
    """Raises: ShapeError: no input is a batch of pictures, or there is a target for each pixel."""
    inputs = inputs_of(batch)
    pictures = [part for part in inputs if is_pictures(part)]
    if not pictures:
        shapes = ", ".join(
            str(tuple(p.shape)) if isinstance(p, Tensor) else type(p).__name__ for p in inputs
        )
        raise ShapeError(
            f"`ProgressiveResizing` got inputs of shape {shapes}, expected pictures as floats of "
            "shape (B, C, height, width). Leave it out for this model."
        )
    targets = call_of(batch)[2]
    if isinstance(targets, Tensor) and targets.shape[-2:] == pictures[0].shape[-2:]:
        raise ShapeError(
            f"`ProgressiveResizing` got targets of shape {tuple(targets.shape)}, one for each pixel: "
            "they would have to be shrunk as well. Leave it out for this model."
        )
