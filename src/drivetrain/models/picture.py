"""A picture model: a body that sees, and a head that decides.

The body turns a picture into feature maps and is what pretrained weights are for; the head turns
feature maps into scores and is made new for each problem. Keeping the two apart is what fine-tuning
needs: freeze one, train the other, give each its own rate.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, cast, runtime_checkable

from torch import Tensor, nn

Layer: TypeAlias = nn.Module | nn.Parameter


@runtime_checkable
class Body(Protocol):
    """What a body answers, beside being an `nn.Module` from (B, C, H, W) to (B, F, h, w)."""

    num_features: int  # F, channels of the feature maps

    def stages(self) -> list[list[Layer]]:
        """Its layers from input to output, cut where the maps get smaller."""
        ...

    def layer_groups(self) -> list[list[Layer]]:
        """Early layers, late layers; each parameter in exactly one."""
        ...


class PictureModel(nn.Module):
    """`head(body(x))`.

    Shapes: (B, in_channels, H, W) float, normalised with the model's mean and std
        -> (B, num_classes) scores.

    Args:
        body: an `nn.Module` that answers `Body`.
        head: from the body's feature maps to scores.
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    @property
    def num_features(self) -> int:
        """Channels of the body's feature maps."""
        return cast(Body, self.body).num_features

    def forward_features(self, x: Tensor) -> Tensor:
        """The body's feature maps, (B, num_features, h, w)."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Scores for each picture, (B, num_classes)."""
        return self.head(self.body(x))

    def layer_groups(self) -> list[list[Layer]]:
        """Early body, late body, head: what trains at one rate, or is frozen, together.

        Each parameter stands in exactly one group; see `drivetrain.optim.param_groups`.
        """
        return [*cast(Body, self.body).layer_groups(), [self.head]]
