"""Augmentation of whole batches: every move of a picture in one interpolation, then its light.

Flip, rotation, zoom and tilt are multiplied into one matrix a picture, and the batch is sampled once
(bilinear): several interpolations in a row would blur, and one costs the same as any of them. Brightness
and contrast are linear in the pixels, so they fold into the multiplication and addition of normalising.
Much of the field changes light through a logit: the same at mid-grey, gentler near black and white, and
two passes more. Nothing is clipped.

What an item gets is a function of (seed, epoch, item id): not of its batch, of workers or of the order.
With no strength the result is bit for bit that of `Normalise`. Twin: drivetrain.reference.augment.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError
from drivetrain.randomness import Keys, item_keys, uniforms
from drivetrain.vision.decode import check_size
from drivetrain.vision.geometry import (
    PADDINGS,
    Moves,
    pixel_matrices,
    sampling_grid,
    sampling_matrices,
    warp_boxes,
    warp_masks,
    warp_points,
)
from drivetrain.vision.normalise import Normalise, scale_and_shift, scaled

__all__ = [
    "Augment",
    "AugmentSettings",
    "Lights",
    "Normalise",
    "warp_boxes",
    "warp_masks",
    "warp_points",
]


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """How strong augmentation is. Raises ConfigError for values out of range, all at once."""

    flip: float = 0.5
    """Probability of mirroring left and right; 0 where left and right mean something, as in digits."""
    flip_vertical: float = 0.0
    """Probability of mirroring top and bottom; 0.5 for pictures taken from above."""
    rotate: float = 10.0
    """Largest rotation, degrees either way."""
    zoom: float = 1.1
    """Largest zoom, 1 or more; the part that is shown is anywhere in the picture."""
    warp: float = 0.2
    """Largest perspective tilt, in [0, 0.4]; at 0.2 the sides are magnified 1.2 and 0.8 times."""
    geometry_p: float = 0.75
    """Probability of rotation, of zoom and of tilt, drawn for each of the three."""
    brightness: float = 0.2
    """Largest change of light, in [0, 1]: 0.2 makes mid-grey 0.8 to 1.2 times as bright."""
    contrast: float = 0.2
    """Largest loss of contrast, in [0, 1): 0.2 multiplies contrast by 0.8 to 1 / 0.8."""
    lighting_p: float = 0.75
    """Probability of a change of brightness and of contrast, drawn for each of the two."""
    padding: str = "reflection"
    """What stands past the edge: reflection, border, or zeros (black)."""

    def __post_init__(self) -> None:
        wrong = [
            f"`{name}` must be {limits}, got {getattr(self, name)!r}"
            for name, (low, high, limits) in _LIMITS.items()
            if not (_is_number(getattr(self, name)) and low <= getattr(self, name) <= high)
        ]
        hint = ""
        if self.padding not in PADDINGS:
            known = ", ".join(PADDINGS)
            wrong.append(f"`padding` must be one of {known}, got {self.padding!r}")
            hint = did_you_mean(str(self.padding), PADDINGS)
        if wrong:
            raise ConfigError(f"Augmentation: {'; '.join(wrong)}.{hint}")

    @classmethod
    def none(cls) -> Self:
        """No strength at all."""
        return cls(flip=0.0, rotate=0.0, zoom=1.0, warp=0.0, brightness=0.0, contrast=0.0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from what `to_json` gave; names left out keep their defaults.

        Raises: ConfigError: an unknown name, or a value out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f"Augmentation has no setting '{name}'.{did_you_mean(name, known)} "
                    f"Known: {', '.join(known)}."
                )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON."""
        return dataclasses.asdict(self)


class Lights(NamedTuple):
    """The light of each of B pictures, (B,) float32."""

    gain: Tensor
    """Distance from mid-grey is multiplied by this."""
    brightness: Tensor
    """This is added to pixels in [0, 1]."""


class Augment:
    """The transform of training pictures; a `Transform` for a loader.

    Args:
        settings: how strong.
        ids: the N item ids of the data set, in its order; draws are keyed by them.
        mean: see `Normalise`; also `std`.
        seed: of the run.
    """

    def __init__(
        self,
        settings: AugmentSettings,
        ids: Sequence[str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int = 42,
    ) -> None:
        self.settings = settings
        self.normalise = Normalise(mean, std)
        self.seed = seed
        self._keys = item_keys(ids)

    def __call__(
        self, batch: tuple[Tensor, *tuple[Any, ...]], indices: Tensor, epoch: int
    ) -> tuple[Any, ...]:
        """(inputs (B, C, H, W) uint8, …) -> (inputs float32, channels last, …); the rest untouched."""
        inputs, *rest = batch
        self.normalise.check(inputs)
        pictures = augmented(
            inputs,
            self._keys[indices.cpu().numpy()],
            settings=self.settings,
            mean=self.normalise.mean,
            std=self.normalise.std,
            seed=self.seed,
            epoch=epoch,
        )
        return (pictures, *rest)

    def draw(self, indices: Tensor, epoch: int) -> tuple[Moves, Lights]:
        """What the items at `indices`, (B,) int64, get in an epoch."""
        u = _draws(self._keys[indices.cpu().numpy()], seed=self.seed, epoch=epoch)
        return draw_moves(u, settings=self.settings), draw_lights(u, settings=self.settings)

    def params(self, indices: Tensor, epoch: int, size: int | tuple[int, int]) -> Tensor:
        """The matrices (B, 3, 3) float64 of a batch, for `warp_points`, `warp_boxes`, `warp_masks`.

        Args:
            indices: (B,) int64, as in the call; also `epoch`.
            size: (height, width) of the pictures, or one number for squares.
        """
        height, width = check_size(size)
        moves, _ = self.draw(indices, epoch)
        return pixel_matrices(sampling_matrices(moves, height, width), height, width)

    def __repr__(self) -> str:
        return f"Augment({self.settings}, {len(self._keys)} items, seed={self.seed})"


def augmented(
    pictures: Tensor,
    keys: Keys,
    *,
    settings: AugmentSettings,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    epoch: int,
) -> Tensor:
    """Pictures moved, lit anew and normalised: (B, C, H, W) uint8 -> float32, channels last.

    Args:
        pictures: (B, C, H, W) uint8.
        keys: (B,) of the items, from `randomness.item_keys`.
        settings: how strong it is.
        mean: a number a channel; also `std`.
        seed: of the draws; also `epoch`.
    """
    height, width = pictures.shape[-2:]
    u = _draws(keys, seed=seed, epoch=epoch)
    sampling = sampling_matrices(draw_moves(u, settings=settings), height, width)
    moved = moved_pictures(pictures, sampling, padding=settings.padding, mirrors=settings.flip > 0)
    gain, brightness = draw_lights(u, settings=settings)
    scale, shift = scale_and_shift(mean, std, gain=gain[:, None], brightness=brightness[:, None])
    return scaled(moved, scale, shift)


def _draws(keys: Keys, *, seed: int, epoch: int) -> dict[str, Tensor]:
    """What each picture draws in an epoch, by name: (B,) float64 each, in [0, 1)."""
    draws = uniforms(keys, len(_DRAWS), seed=seed, purpose="augment", epoch=epoch)
    return dict(zip(_DRAWS, draws.double().unbind(1), strict=True))


def draw_moves(u: Mapping[str, Tensor], *, settings: AugmentSettings) -> Moves:
    """How each picture is mirrored, turned, zoomed and tilted."""
    s = settings
    ones = torch.ones_like(u["flip"])
    flip_x = _when(u["flip"], s.flip, -ones, 1.0) if s.flip else ones
    flip_y = _when(u["flip down"], s.flip_vertical, -ones, 1.0) if s.flip_vertical else ones
    scale = _when(u["zoom?"], s.geometry_p, 1 + (s.zoom - 1) * u["zoom"], 1.0)
    room = 1 - 1 / scale  # how far the middle may go with the edges still inside
    centre_x, centre_y = room * _signed(u["zoom x"]), room * _signed(u["zoom y"])
    angle = _when(u["rotate?"], s.geometry_p, s.rotate * _signed(u["rotate"]), 0.0)
    tilt_x = _when(u["warp?"], s.geometry_p, s.warp * _signed(u["warp x"]), 0.0)
    tilt_y = _when(u["warp?"], s.geometry_p, s.warp * _signed(u["warp y"]), 0.0)
    return Moves(flip_x, flip_y, angle, scale, centre_x, centre_y, tilt_x, tilt_y)


def draw_lights(u: Mapping[str, Tensor], *, settings: AugmentSettings) -> Lights:
    """How the contrast and the brightness of each picture change."""
    s = settings
    gain = torch.exp(_signed(u["contrast"]) * -math.log1p(-s.contrast))
    brightness = 0.5 * s.brightness * _signed(u["brightness"])
    return Lights(
        _when(u["contrast?"], s.lighting_p, gain, 1.0).float(),
        _when(u["brightness?"], s.lighting_p, brightness, 0.0).float(),
    )


def moved_pictures(
    pictures: Tensor, sampling: Tensor, *, padding: str, mirrors: bool = True
) -> Tensor:
    """Pictures after their moves, in one interpolation: (B, C, H, W) uint8 -> float32.

    A picture that stays, or is only mirrored, keeps its bits, also when it stands in a batch with
    others that are interpolated.

    Args:
        pictures: (B, C, H, W) uint8.
        sampling: (B, 3, 3), from `sampling_matrices`.
        padding: what stands past the edge.
        mirrors: False where no picture can be one that is only mirrored.
    """
    height, width = pictures.shape[-2:]
    grid = sampling_grid(sampling.to(pictures.device, torch.float32), height, width)
    pixels = pictures.to(torch.float32, memory_format=torch.contiguous_format)  # fastest so
    moved = F.grid_sample(pixels, grid, padding_mode=padding, align_corners=False)
    still = _are_diagonal(sampling, 1.0).to(pictures.device)
    moved[still] = pixels[still]
    if mirrors:
        mirrored = _are_diagonal(sampling, -1.0).to(pictures.device)
        moved[mirrored] = pixels[mirrored].flip(3)
    return moved


def _signed(draws: Tensor) -> Tensor:
    """From [0, 1) to [-1, 1)."""
    return 2 * draws - 1


def _when(draws: Tensor, probability: float, value: Tensor, otherwise: float) -> Tensor:
    """`value` where a draw is below `probability`."""
    return torch.where(draws < probability, value, otherwise)


def _are_diagonal(sampling: Tensor, x: float) -> Tensor:
    """(B,) bool: which matrices are diag(x, 1, 1) to the last bit."""
    wanted = torch.diag(torch.tensor([x, 1.0, 1.0], dtype=sampling.dtype))
    return (sampling == wanted).flatten(1).all(dim=1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# Each number an item draws; appending one leaves the others as they are.
_DRAWS = (
    "flip, flip down, rotate?, rotate, zoom?, zoom, zoom x, zoom y, warp?, warp x, warp y, "
    "brightness?, brightness, contrast?, contrast"
).split(", ")

_LIMITS = {
    "flip": (0.0, 1.0, "in [0, 1]"),
    "flip_vertical": (0.0, 1.0, "in [0, 1]"),
    "rotate": (0.0, 180.0, "in [0, 180] degrees"),
    "zoom": (1.0, 10.0, "in [1, 10]"),
    "warp": (0.0, 0.4, "in [0, 0.4]"),
    "geometry_p": (0.0, 1.0, "in [0, 1]"),
    "brightness": (0.0, 1.0, "in [0, 1]"),
    "contrast": (0.0, 0.99, "in [0, 0.99]"),
    "lighting_p": (0.0, 1.0, "in [0, 1]"),
}
