"""Packages whose names are loaded on first use, so that importing one costs nothing.

A package says in one table which module holds which names, and hands it to `install`:

    _HOMES = {"learner": ("learner", "resume"), "data": ("from_csv",)}
    install(__name__, _HOMES)

A type checker reads the same names from imports under `TYPE_CHECKING`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package that finds its public names when they are asked for.

    Where a name is also the name of the module that holds it, such as `learner`, the package has the
    name: Python, when it has imported a module, would put that into its place.
    """

    _home_of: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        if name not in self._home_of:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        module = importlib.import_module(f"{self.__name__}.{self._home_of[name]}")
        value = getattr(module, name)
        ModuleType.__setattr__(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and self._home_of.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(self._home_of)


def install(package: str, homes: Mapping[str, Sequence[str]]) -> None:
    """Make a package load its names on first use.

    Args:
        package: its `__name__`.
        homes: module of the package -> the public names that it holds.
    """
    module = sys.modules[package]
    module.__dict__["_home_of"] = {name: home for home, names in homes.items() for name in names}
    module.__class__ = LazyPackage
