"""A body from timm (pytorch-image-models, Apache-2.0), which knows more than a thousand by name.

The model is made without its classifier and without pooling, so that it gives feature maps; its
weights come from `drivetrain.models.weights`, never from timm's downloads. Importing timm takes
seconds, which is why only functions here do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from drivetrain._optional import require
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.models.picture import Layer

_LAST_EARLY_REDUCTION = 8
"""Layers whose maps are at least 1/8 of the picture's height are early: edges, colours, textures.
The first two of the four stages of most nets, as fine-tuning practice cuts ResNets."""


class TimmBody(nn.Module):
    """A timm model as a body.

    Shapes: (B, in_channels, H, W) -> (B, num_features, h, w).

    Args:
        name: a name timm knows, checked before by `model_info`.
        in_channels: channels of the pictures.

    Raises: ConfigError: timm cannot make this model give feature maps.
    """

    def __init__(self, name: str, *, in_channels: int = 3) -> None:
        super().__init__()
        timm = require("timm", extra="vision")
        try:
            net = timm.create_model(
                name, pretrained=False, num_classes=0, global_pool="", in_chans=in_channels
            )
        except (TypeError, AssertionError, NotImplementedError) as error:
            # A few models take no `global_pool` or no `in_chans`; each says so in its own way.
            raise ConfigError(
                f"timm cannot make '{name}' without its classifier and pooling ({error}). Choose a "
                "convolutional model, such as 'tf_efficientnet_lite0' or 'resnet18'."
            ) from error
        self.name = name
        self.net: nn.Module = net
        # Some models widen after their last stage (mobilenetv3), and say so under another name.
        self.num_features: int = getattr(net, "head_hidden_size", None) or net.num_features
        self.is_channels_last_output = getattr(net, "output_fmt", "NCHW") == "NHWC"

    def forward(self, x: Tensor) -> Tensor:
        """The net's last feature maps, channels first."""
        maps = self.net(x)
        if self.is_channels_last_output:
            maps = maps.permute(0, 3, 1, 2)
        if maps.ndim != 4 or maps.shape[1] != self.num_features:
            raise ShapeError(
                f"'{self.name}' gives {tuple(maps.shape)}, expected feature maps "
                f"(batch, {self.num_features}, height, width). Choose a convolutional model, such as "
                "'tf_efficientnet_lite0' or 'resnet18'."
            )
        return maps

    def stages(self) -> list[list[Layer]]:
        """The net's layers in order, cut after each of timm's feature stages."""
        return _cut_after(self.net, [module for module, _ in self._features()])

    def layer_groups(self) -> list[list[Layer]]:
        """Stem and early stages; late stages with whatever follows them.

        A net of which timm knows no stages has all of its layers in the second group.
        """
        early = [m for m, reduction in self._features() if reduction <= _LAST_EARLY_REDUCTION]
        if not early:
            return [[], [self.net]]
        first, second = _cut_after(self.net, early[-1:])
        return [first, second]

    def load_weights(self, state: Mapping[str, Tensor]) -> None:
        """Load trained weights, leaving out the classifier and fitting the stem to `in_channels`.

        Raises: ConfigError: names or shapes differ from this model's.
        """
        cfg: Mapping[str, Any] = getattr(self.net, "pretrained_cfg", {})
        own = self.net.state_dict()
        heads = tuple(f"{head}." for head in _names(cfg.get("classifier")))
        kept = {k: v for k, v in state.items() if k in own or not k.startswith(heads)}
        for conv in _names(cfg.get("first_conv")):
            key = f"{conv}.weight"
            if key in kept and key in own:
                kept[key] = fit_channels(kept[key], own[key].shape[1])
        load_strictly(self.net, kept, name=self.name)

    def _features(self) -> list[tuple[str, int]]:
        """Each feature stage's last module and by how much its maps are smaller than the picture."""
        info: Any = getattr(self.net, "feature_info", None) or []
        known = {name for name, _ in self.net.named_modules()}
        return [(f["module"], f["reduction"]) for f in info if f["module"] in known]


def fit_channels(weight: Tensor, in_channels: int) -> Tensor:
    """A first convolution's weights for pictures with another number of channels.

    For one channel the weights are summed, which is what three equal channels would give; for more
    the channels are repeated in turn and scaled, so that the output keeps its size.

    Args:
        weight: (out, in, h, w).

    Returns: (out, in_channels, h, w).
    """
    have = weight.shape[1]
    if have == in_channels:
        return weight
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-in_channels // have), 1, 1)[:, :in_channels]
    return repeated * (have / in_channels)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """`load_state_dict` that leaves nothing out, with a one-line error.

    Raises: ConfigError: names or shapes differ.
    """
    own = module.state_dict()
    wrong = [f"'{key}' is missing" for key in own if key not in state]
    wrong += [f"'{key}' is not of this model" for key in state if key not in own]
    wrong += [
        f"'{key}' has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(
            f"These weights do not fit {name}: {'; '.join(wrong[:3])}{more}. "
            "Give the file that was saved from the same model."
        )
    module.load_state_dict(dict(state))


def _names(value: Any) -> tuple[str, ...]:
    """timm writes one layer's name as a string, several as a tuple, none as None."""
    return () if not value else (value,) if isinstance(value, str) else tuple(value)


def _cut_after(net: nn.Module, cuts: list[str]) -> list[list[Layer]]:
    """The layers of `net` in order, in `len(cuts) + 1` lists, cut after each module named.

    A module that holds a cut inside is taken apart; parameters of its own go to the list in which
    it starts.
    """
    groups: list[list[Layer]] = [[]]

    def walk(module: nn.Module, prefix: str) -> None:
        groups[-1].extend(module.parameters(recurse=False))
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if any(cut.startswith(f"{path}.") for cut in cuts):
                walk(child, f"{path}.")
            else:
                groups[-1].append(child)
            if path in cuts:
                groups.append([])

    walk(net, "")
    return groups
