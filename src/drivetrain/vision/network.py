"""What a bundle of pictures calculates, as one module, and what goes in and comes out.

From pixels to scores: the network normalises, so no program that uses it can forget to. The features are
what the guard reads.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from drivetrain._optional import require
from drivetrain.bundle.manifest import Port
from drivetrain.models import PictureModel
from drivetrain.vision.decode import open_picture
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.predictor import Predictor


class Network(nn.Module):
    """All that a bundle of pictures calculates, as one module: normalise, body, head.

    Shapes: pixels (B, 3, H, W) uint8 -> scores (B, C) and features (B, F), the feature maps' means.

    Args:
        model: its body and head.
        mean: a number a channel, of pixels in [0, 1]; also `std`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: PictureModel, normalise: Normalise) -> None:
        super().__init__()
        self.model = model
        scale, shift = normalise.scale_and_shift()
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and features."""
        return scores_and_features(self.model, pixels, self.scale, self.shift)


def scores_and_features(
    model: PictureModel, pixels: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores (B, C), and the means of the feature maps (B, F).

    Args:
        pixels: (B, 3, H, W) uint8.
        scale: (3, 1, 1), what normalising multiplies by; `shift`: what it adds.
    """
    maps = model.body(pixels.to(torch.float32) * scale + shift)
    return model.head(maps), maps.mean(dim=(2, 3))


class TorchEngine:
    """Calculates with a `Network`, wherever it lies."""

    def __init__(self, network: Network) -> None:
        self.network = network.eval()

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and features on the CPU."""
        with torch.inference_mode():
            scores, features = self.network(pixels.to(self.network.scale.device))
        return scores.cpu(), features.cpu()


def pattern(predictor: Predictor) -> Tensor:
    """The test pattern as the predictor prepares it, (1, 3, H, W) uint8.

    It is wider than high, larger than what the model takes, and has an edge in every few pixels, so that
    another size or another way of resizing makes other pixels.
    """
    height, width = 2 * predictor.size[0] + 3, 3 * predictor.size[1] + 5
    down, across = torch.arange(height)[:, None], torch.arange(width)[None]
    red = (across * 255 // width).expand(height, width)
    green = (down * 255 // height).expand(height, width)
    blue = (down // 5 + across // 7) % 2 * 255
    picture = png(torch.stack([red, green, blue]).to(torch.uint8))
    return open_picture(picture, size=predictor.size, resize=predictor.resize)[None]


def png(pixels: Tensor) -> bytes:
    """(3, H, W) uint8 as a PNG, which loses nothing."""
    rows = pixels.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    require("PIL.Image", extra="predict").fromarray(rows).save(file, format="PNG", optimize=True)
    return file.getvalue()


def ports(
    size: tuple[int, int], num_classes: int | Sequence[int], num_features: int
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and outputs of a bundle of pictures; of several targets there is a number for each."""
    is_one = isinstance(num_classes, int)
    height, width = size
    pixels = Port(
        "pixels",
        "uint8",
        ("batch", 3, height, width),
        (0.0, 255.0),
        "Red, green and blue of each pixel, rows from the top, not normalised: the model does that.",
    )
    logits = Port(
        "logits",
        "float32",
        ("batch", num_classes if is_one else sum(num_classes)),
        None,
        "A score for each class, in the order of `classes`; their softmax are the probabilities."
        if is_one
        else "A score for each class of each of the `targets`, in their order, side by side; the softmax "
        "over those of one target are its probabilities.",
    )
    features = Port(
        "features",
        "float32",
        ("batch", num_features),
        None,
        "The mean of each of the last feature maps: where the guard judges whether a picture is known.",
    )
    return (pixels,), (logits, features)
