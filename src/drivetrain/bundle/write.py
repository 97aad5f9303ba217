"""Writing a bundle: all of it beside its place first, proved there, then put in its place in one step.

What fails at any moment, a kill and a full disk among them, leaves the bundle that was there before, or
none; never a part of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from drivetrain import store
from drivetrain._strict import shown
from drivetrain.bundle import manifest as manifests, opening
from drivetrain.bundle.golden import Golden
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.verify import Verified
from drivetrain.errors import BundleError, ConfigError


class KeptGuard(Protocol):
    """What is written of a guard, whatever it judges."""

    def to_json(self) -> dict[str, Any]:
        """The content of `guard.json`."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Those of `guard.safetensors`."""
        ...


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle."""

    manifest: Manifest
    """Without `files`, which are known when they are written."""
    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    card: str
    golden: Golden
    golden_inputs: Mapping[str, bytes] = field(default_factory=dict)
    """Path within the bundle -> the file."""
    tokenizer: Mapping[str, Any] | None = None
    """What `tokenizer.json` holds, of texts."""
    catalogue: Mapping[str, Tensor] | None = None
    """What `catalogue.safetensors` holds, of ratings."""
    guard: KeptGuard | None = None
    predictor: str | None = None
    """Source of `predict.py`, which runs without Drivetrain."""
    onnx: bytes | None = None

    def files(self) -> dict[str, bytes]:
        """Every file of the bundle; `bundle.json` comes last, since it names the others."""
        files: dict[str, bytes] = {
            manifests.WEIGHTS: store.tensor_bytes(self.weights),
            manifests.CONFIG: store.json_bytes(dict(self.config)),
            manifests.CARD: self.card.encode(),
            **self.golden.files(),
            **self.golden_inputs,
        }
        if self.tokenizer is not None:
            files[manifests.TOKENIZER] = store.json_bytes(dict(self.tokenizer))
        if self.catalogue is not None:
            files[manifests.CATALOGUE] = store.tensor_bytes(self.catalogue)
        if self.guard is not None:
            files[manifests.GUARD] = store.json_bytes(self.guard.to_json())
            files[manifests.GUARD_TENSORS] = store.tensor_bytes(self.guard.tensors())
        if self.predictor is not None:
            files[manifests.PREDICTOR] = self.predictor.encode()
        if self.onnx is not None:
            files[manifests.ONNX] = self.onnx
        manifest = self.manifest.with_files(files)
        return files | {manifests.NAME: store.json_bytes(manifest.to_json())}


def check_place(folder: store.StrPath) -> None:
    """Refuse to write over anything but a bundle: a replaced folder is gone.

    Raises: ConfigError: there is a file, or a folder with something of somebody's in it.
    """
    folder = Path(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder} is no folder. Choose another place for the bundle.")
    for _ in range(100):
        before = _inode(folder)
        try:
            if before and any(folder.iterdir()):
                opening.open_manifest(folder)
            return
        except (BundleError, FileNotFoundError) as error:
            if _inode(folder) != before:  # another program put one in its place while we looked
                continue
            names = sorted(path.name for path in folder.iterdir() if path.name != manifests.NAME)
            first = shown(names[0] if names else manifests.NAME)
            raise ConfigError(
                f"{folder} already holds {first} and is not a whole bundle, so it is not written over. "
                "Remove it, or choose another place for the bundle."
            ) from error


def _inode(folder: Path) -> int | None:
    """What tells a folder from another that later has its name; None where there is none."""
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def write(
    folder: store.StrPath, contents: Contents, *, prove: Callable[[Path], Verified]
) -> Verified:
    """Write a bundle, prove it, and put it in its place, where a bundle that was there is replaced.

    Args:
        prove: `verify` of the application, called with the folder while it has another name.

    Returns: what `prove` found, of the folder's own name.
    Raises: ConfigError: as `check_place`. BundleError: it does not prove itself. StorageError: the disk
        refused.
    """
    check_place(folder)
    found: list[Verified] = []

    def prove_there(place: Path) -> None:
        try:
            found.append(prove(place).named(str(folder)))
        except BundleError as error:
            said = str(error).replace(str(place), str(folder))
            raise BundleError(f"{said} Nothing was written.") from error

    store.write_folder(folder, contents.files(), prove=prove_there)
    return found[0]
