"""Layers, heads and initialisation: small modules that models are put together from.

- `pooling`: `ConcatPool2d`, the average and the maximum of each feature map.
- `head`: `PictureHead`, from feature maps to one score a class.
- `init`: `kaiming_init_`, random weights that keep the size of activations from layer to layer.
"""

from drivetrain.nn.head import PictureHead
from drivetrain.nn.init import kaiming_init_
from drivetrain.nn.pooling import ConcatPool2d

__all__ = ["ConcatPool2d", "PictureHead", "kaiming_init_"]
