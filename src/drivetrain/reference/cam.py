"""Where in the picture a class was found: CAM, and Grad-CAM for any layer.

A net that ends in the mean of each feature map and a linear layer could as well apply that layer at every
place and take the mean afterwards. CAM looks at it before the mean: a map of what each place says for the
class. Grad-CAM needs no such ending: it asks the gradient how much each channel of a layer moves the
score. Papers: Zhou et al. 2016, arXiv:1512.04150; Selvaraju et al. 2017, arXiv:1610.02391.

The subject here is torch's hooks: how a number in the middle of a net is got hold of.
Letters: C channels of a layer, h and w its height and width, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Seen:
    """What a layer gave."""

    output: Tensor | None = None
    """Empty until the layer is used; of several uses the last. Still part of the graph, so that a score
    made of it has a gradient with respect to it."""


@contextmanager
def watching(layer: nn.Module) -> Iterator[Seen]:
    """Keeps what the layer gives while the block lasts.

    A hook is called by torch each time the layer is used, and stays until it is removed. So that is done
    here whatever happens in the block: a forgotten hook would keep every picture's numbers.
    """
    seen = Seen()

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not output.requires_grad:  # all below is frozen, and so nothing asked for gradients
            output = output.detach().requires_grad_()
        seen.output = output
        return output.clone()  # what comes next may work in place, and would change what was kept

    handle = layer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def cam(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The linear layer applied at every place: maps (K, h, w), whose mean is the class's score less
    its bias.

    Args:
        features: (C, h, w), what the mean over places is taken of.
        weight: (K, C) of the linear layer after it.
        bias: (K,), added to every place, so that the mean of a map is the score itself.
    """
    maps = torch.einsum("kc,chw->khw", weight, features)
    return maps if bias is None else maps + bias[:, None, None]


def grad_cam(model: nn.Module, layer: nn.Module, picture: Tensor, target: int) -> Tensor:
    """Σ α_c A_c over the channels of a layer, (h, w): where it speaks for the class, and where against.

    α_c, the mean over places of the score's gradient with respect to channel c, says how much the channel
    counts; A_c says where it is active. The paper keeps what is above 0: `.clamp(min=0)`.

    With a mean and a linear layer behind it, each place of channel c moves the score by w_c / (h·w). So
    α_c is just that, and the map times h·w is the class's `cam`.

    Args:
        model: (1, channels, H, W) -> (1, K); is asked in the mode that it is in, and its weights'
            gradients are left alone.
        layer: one of its layers, which gives (1, C, h, w).
        picture: (channels, H, W).
        target: the class.

    Raises: ValueError: the model does not use the layer.
    """
    with watching(layer) as seen, torch.enable_grad():
        score = model(picture[None])[0, target]
    if seen.output is None:
        raise ValueError(
            f"The model did not use the {type(layer).__name__} that was to be looked at. "
            "Give one of the model's own layers."
        )
    (gradient,) = torch.autograd.grad(score, seen.output)
    alphas = gradient[0].mean(dim=(1, 2))  # (C,)
    return torch.einsum("c,chw->hw", alphas, seen.output[0].detach())


def resized(small: Tensor, height: int, width: int) -> Tensor:
    """A map laid over its picture: (h, w) -> (height, width), each pixel the mean of the four numbers
    around it, by how near they are.

    Pixel i of n lies at (i + ½) / n of the side; before the first centre and after the last the nearest
    number counts alone. Twin of `torch.nn.functional.interpolate`, bilinear, without aligned corners.
    """
    found = torch.empty(height, width, dtype=small.dtype)
    for i in range(height):
        top, below, down = _between(i, height, small.shape[0])
        for j in range(width):
            left, right, over = _between(j, width, small.shape[1])
            upper = (1 - over) * small[top, left] + over * small[top, right]
            lower = (1 - over) * small[below, left] + over * small[below, right]
            found[i, j] = (1 - down) * upper + down * lower
    return found


def _between(i: int, n: int, count: int) -> tuple[int, int, float]:
    """The two of `count` numbers that pixel i of n lies between, and how far it is from the first."""
    position = min(max((i + 0.5) * count / n - 0.5, 0.0), count - 1.0)
    first = int(position)
    return first, min(first + 1, count - 1), position - first
