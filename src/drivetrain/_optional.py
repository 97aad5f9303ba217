"""Importing a package that is not part of the core, with the pip line where it is absent."""

from __future__ import annotations

import importlib
from types import ModuleType

from drivetrain.errors import MissingPackageError


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say which extra brings it.

    Raises: MissingPackageError: the package is not installed. A package that is installed but fails
        to import keeps its own error: hiding that would hide the cause.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != top:
            raise
        raise MissingPackageError(
            f"`{top}` is not installed. Install it with: pip install 'drivetrain[{extra}]'."
        ) from error
