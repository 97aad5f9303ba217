"""The residual block: layers learn what to add to their input, which itself goes past them.

out = relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)). Where the last scale γ is 0, the branch adds
nothing and the block gives its input; so a net may start with any number of blocks and be as good as
without them, and each block has only to find something better than nothing. And a gradient goes back
along the shortcut whole, whatever the layers do to it. Twin of `drivetrain.models.resnet.ResidualBlock`
and of torchvision's `BasicBlock`.

Papers: He et al. 2016, arXiv:1512.03385; Goyal et al. 2017, arXiv:1706.02677, sec. 5.1 (γ = 0).
Put together of `unfolding` and `normalization`. Letters as in `convolution`: x is (B, C, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivetrain.reference.normalization import BatchNorm
from drivetrain.reference.unfolding import convolve, convolve_gradients


@dataclass
class ConvNorm:
    """A convolution without bias, and the batch norm that would take a bias away again."""

    weight: np.ndarray
    """(F, C, k, k); padded so that stride 1 keeps the size."""
    norm: BatchNorm
    stride: int = 1

    def convolved(self, x: np.ndarray) -> np.ndarray:
        """What the norm is given."""
        padding = self.weight.shape[2] // 2
        return convolve(x, self.weight, stride=self.stride, padding=padding)

    def __call__(self, x: np.ndarray, *, training: bool) -> np.ndarray:
        """(B, C, H, W) -> (B, F, h, w)."""
        return self.norm(self.convolved(x), training=training)

    def gradients(
        self, x: np.ndarray, pull: np.ndarray, *, training: bool
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of x, and of kernels, γ and β."""
        of_normed, of_scale, of_shift = self.norm.gradients(
            self.convolved(x), pull, training=training
        )
        padding = self.weight.shape[2] // 2
        of_x, of_weight, _ = convolve_gradients(
            x, self.weight, of_normed, stride=self.stride, padding=padding
        )
        return of_x, [of_weight, of_scale, of_shift]


@dataclass
class Block:
    """Two convolutions, and a way past them."""

    first: ConvNorm
    second: ConvNorm
    shortcut: ConvNorm | None = None
    """1 × 1 with the block's stride where the shape changes; else x itself."""

    def __call__(self, x: np.ndarray, *, training: bool) -> np.ndarray:
        """(B, C, H, W) -> (B, F, h, w), never below 0."""
        middle = relu(self.first(x, training=training))
        branch = self.second(middle, training=training)
        past = x if self.shortcut is None else self.shortcut(x, training=training)
        return relu(branch + past)

    def gradients(
        self, x: np.ndarray, pull: np.ndarray, *, training: bool
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of x, and of the weights: of the first pair, of the second, and of the shortcut's.

        A sum hands its pull to both sides, so what reaches x is what came back by the branch and by
        the shortcut together. Running statistics are as before.
        """
        pairs = [pair for pair in (self.first, self.second, self.shortcut) if pair is not None]
        kept = [(pair.norm.running_mean, pair.norm.running_var) for pair in pairs]
        hidden = self.first(x, training=training)
        middle = relu(hidden)
        branch = self.second(middle, training=training)
        past = x if self.shortcut is None else self.shortcut(x, training=training)
        pull = pull * (branch + past > 0)
        of_middle, of_second = self.second.gradients(middle, pull, training=training)
        of_x, of_first = self.first.gradients(x, of_middle * (hidden > 0), training=training)
        if self.shortcut is None:
            of_past, of_shortcut = pull, []
        else:
            of_past, of_shortcut = self.shortcut.gradients(x, pull, training=training)
        for pair, (mean, variance) in zip(pairs, kept, strict=True):
            pair.norm.running_mean, pair.norm.running_var = mean, variance
        return of_x + of_past, [*of_first, *of_second, *of_shortcut]


def relu(x: np.ndarray) -> np.ndarray:
    """max(0, x)."""
    return np.maximum(x, 0)
