"""A pretrained encoder on this disk: a folder, or what a download left in the Hugging Face cache.

Nothing is fetched, no code of a folder is run, and only weights as safetensors are read: every other form
that weights come in is a pickle. A folder may come from a stranger; what its configuration asks for is
compared with the header of its file of weights before memory is taken.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from drivetrain import _strict, store
from drivetrain._optional import require
from drivetrain.errors import ConfigError, DataError
from drivetrain.models.pretrained_encoder import (
    MOST_POSITIONS,
    POOLINGS,
    checked_config,
    create_encoder,
    init_options,
    looking_back,
    quiet,
)  # fmt: skip
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded


@dataclass(frozen=True)
class PretrainedEncoder:
    """An encoder on this disk: found, looked at, not built."""

    name: str
    """As it was asked for."""
    folder: Path
    origin: str
    """Where it comes from, as words in a sentence."""
    config: Mapping[str, Any]
    """What builds it, checked."""
    weights: tuple[Path, ...]
    """Its safetensors files."""
    pooling: str
    """What its kind needs: "mean", "first" or "last"."""
    max_len: int | None
    """Tokens of a text that it was trained with, where the folder says so."""

    def sha256(self) -> str:
        """SHA-256 of the file of weights; of several, that of their hashes in order."""
        hashes = [store.file_sha256(path) for path in self.weights]
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )


def find_encoder(name: str | os.PathLike[str]) -> PretrainedEncoder:
    """An encoder in a folder, or of the Hugging Face hub where an earlier download left it in the cache.

    Nothing is fetched and no code of the folder is run.

    Args:
        name: a folder, or a name on the hub such as "distilbert-base-uncased".

    Raises: ConfigError: it is not on this disk, or not an encoder that is read here. DataError: a file of
        the folder is damaged.
    """
    folder = Path(name)
    if folder.is_dir():
        return look_at_folder(folder, str(name), f"the folder {folder}")
    cached = cached_folder(str(name))
    if cached is None:
        raise ConfigError(
            f"There is no encoder {_strict.shown(name)} on this disk: it is neither a folder nor in the "
            "Hugging Face cache, and nothing is downloaded while training. Where you have a network, run "
            f"`hf download {str(name)[:80]}` once; or give the folder that holds its config.json, "
            "tokenizer.json and model.safetensors."
        )
    return look_at_folder(cached, str(name), f"{name} in the Hugging Face cache")


def look_at_folder(folder: Path, name: str, origin: str) -> PretrainedEncoder:
    """What a folder holds. Arguments and errors as `find_encoder`."""
    raw = folder_json(folder, "config.json")
    if raw is None:
        raise ConfigError(f"{folder} holds no config.json, so it is not a folder of an encoder.")
    config = checked_config(raw)
    weights = _weight_files(folder)
    pooling, max_len = _sentence_settings(folder)
    if pooling is None:
        pooling = "last" if config["model_type"] in looking_back() else "first"
    return PretrainedEncoder(name, folder, origin, config, weights, pooling, max_len)


def load_encoder(encoder: nn.Module, found: PretrainedEncoder) -> None:
    """Give an encoder the trained weights.

    Raises: ConfigError: they are of another model. DataError: a file is damaged.
    """
    _check_sizes(encoder, found)
    state: dict[str, Tensor] = {}
    for path in found.weights:
        # the cache is made of links to its files, hence the resolved path
        state |= store.read_tensors(path.resolve())
    state = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
    kind: Any = type(encoder)
    config: Any = encoder.config
    with quiet(), seeded(0, "init", "encoder"):  # it draws what it then overwrites
        loaded, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=state,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported, and refused below
            use_safetensors=True,
            **init_options(kind),
        )
    wrong = [f"{_strict.shown(name)} is missing" for name in sorted(report["missing_keys"])]
    wrong += [
        f"{_strict.shown(k)} has another shape" for k, *_ in sorted(report["mismatched_keys"])
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(
            f"The weights of {found.origin} do not fit its config.json: {'; '.join(wrong[:3])}{more}. "
            "Take both from one model."
        )
    encoder.load_state_dict(loaded.state_dict())


def check_folder_sizes(found: PretrainedEncoder) -> None:
    """Compare what a configuration asks for with the files of weights, before memory is taken.

    Raises: ConfigError: it asks for more than they hold.
    """
    with shapes_only():
        encoder = create_encoder(found.config)
    _check_sizes(encoder, found)


def _check_sizes(encoder: nn.Module, found: PretrainedEncoder) -> None:
    asked = sum(tensor.numel() for tensor in encoder.state_dict().values())
    held = 0
    for path in found.weights:
        entries, _ = _header(path)
        held += sum(math.prod(entry.shape) for entry in entries.values())
    if asked > held:
        raise ConfigError(
            f"The config.json of {found.origin} asks for {asked:,} numbers, and its weights are "
            f"{held:,}. Take both from one model."
        )


def _header(path: Path) -> tuple[dict[str, _strict.Entry], int]:
    try:
        descriptor, size = _strict.open_regular(path.resolve())
        with open(descriptor, "rb") as file:
            data = file.read(8)
            data += file.read(_strict.header_bytes(data, size))
        return _strict.parse_header(data, size)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a safetensors file: {error}.") from error


def folder_json(folder: Path, name: str) -> Any:
    """A JSON file of a folder; None where it is not there.

    Raises: DataError: it is not sound.
    """
    path = folder / name
    if not path.is_file():
        return None
    try:
        descriptor, size = _strict.open_regular(path.resolve(), limit=_strict.JSON_BYTES)
        with open(descriptor, "rb") as file:
            return _strict.parse_json(file.read(size))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used: {error}.") from error


def _weight_files(folder: Path) -> tuple[Path, ...]:
    whole = folder / "model.safetensors"
    if whole.is_file():
        return (whole,)
    index = folder_json(folder, "model.safetensors.index.json")
    if index is not None:
        places = index.get("weight_map") if isinstance(index, dict) else None
        names = sorted(set(map(str, places.values()))) if isinstance(places, dict) else []
        plain = [name for name in names if re.fullmatch(r"[\w.-]+\.safetensors", name)]
        if plain and plain == names and all((folder / name).is_file() for name in names):
            return tuple(folder / name for name in names)
        raise ConfigError(f"{folder} does not hold all files of weights that its index names.")
    others = [p for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern)]
    if others:
        raise ConfigError(
            f"{folder} has its weights only as a pickle ({min(p.name for p in others)}), and opening "
            "one can run code. Where you trust it, convert it once: load it with transformers and call "
            "`model.save_pretrained(folder)`, which writes model.safetensors."
        )
    raise ConfigError(
        f"{folder} holds no model.safetensors, so there are no weights to start from."
    )


def _sentence_settings(folder: Path) -> tuple[str | None, int | None]:
    """Pooling and length of a sentence encoder, as sentence-transformers writes them."""
    modules = folder_json(folder, "modules.json")
    if not isinstance(modules, list):
        return None, None
    pooling = None
    for module in modules:
        if isinstance(module, dict) and str(module.get("type")).endswith("Pooling"):
            place = str(module.get("path"))
            is_inside = re.fullmatch(r"\w+", place) is not None
            record = folder_json(folder / place, "config.json") if is_inside else None
            pooling = _pooling_of(record, folder)
    record = folder_json(folder, "sentence_bert_config.json")
    length = record.get("max_seq_length") if isinstance(record, dict) else None
    return pooling, length if type(length) is int and 0 < length < MOST_POSITIONS else None


def _pooling_of(record: Any, folder: Path) -> str:
    if isinstance(record, dict):
        names = {"mean_tokens": "mean", "cls_token": "first", "lasttoken": "last"}
        chosen = [names[n] for n in names if record.get(f"pooling_mode_{n}") is True]
        others = [n for n, v in record.items() if n.startswith("pooling_mode_") and v is True]
        if len(chosen) == 1 == len(others):
            return chosen[0]
    raise ConfigError(
        f"The pooling of the sentence encoder in {folder} is none of {', '.join(POOLINGS)}. "
        "Choose another encoder."
    )


def cached_folder(name: str) -> Path | None:
    """The folder of a model in the hub's cache; the hub is not asked."""
    if not re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", name) or ".." in name or "--" in name:
        return None
    hub = require("huggingface_hub", extra="text")
    try:
        path = hub.try_to_load_from_cache(name, "config.json")
    except ValueError:  # no name of the hub
        return None
    return Path(path).parent if isinstance(path, str) else None
