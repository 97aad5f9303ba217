"""Models by name: bodies that turn pictures into feature maps, with a new head on top.

- `build`: `create_model` makes a model by name and says where its weights come from.
- `table`: what is known of each name: picture size, normalisation, weights, licence, paper.
- `picture`: `PictureModel`, a body and a head.
- `resnet`: the library's own residual network, from one small record of settings.
- `timm_body`: a body from the timm library; `weights`: trained weights on this machine.
- `summary`: each layer's parameters and activations.

timm takes seconds to import, so it is imported when a model of it is made, not before.
"""

from drivetrain.models.build import BuiltModel, build_from, create_model
from drivetrain.models.picture import PictureModel
from drivetrain.models.resnet import ResNet, ResNetConfig, resnet_tiny
from drivetrain.models.summary import Summary, summarize
from drivetrain.models.table import MODELS, ModelInfo, model_info
from drivetrain.models.weights import Weights, find_weights

__all__ = [
    "MODELS",
    "BuiltModel",
    "ModelInfo",
    "PictureModel",
    "ResNet",
    "ResNetConfig",
    "Summary",
    "Weights",
    "build_from",
    "create_model",
    "find_weights",
    "model_info",
    "resnet_tiny",
    "summarize",
]
