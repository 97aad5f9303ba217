"""Every public name explains itself: what it is, each argument, the types, the defaults, what comes back.

Public is what a package lists in `__all__`, with the methods of those classes. What Python says of a name
(`inspect`) is the oracle of what `drivetrain docs` reads from the source text.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from torch import nn

from drivetrain.cli import naming

ACTS = (
    "add apply ask build cluster compare compute continue copy count cut decide define draw drop eject "
    "find fit follow forget give go group guess keep learn leave let list load look make measure move "
    "numericalize open order pick prove put read recommend remove reset run save search see send set "
    "show shuffle split stop take tell test tokenize train turn undo update write"
).split()
"""What a function does; a first sentence without one of these says what comes back."""

TOLD = re.compile(r"\b(returns?|returned|gives?|answers?|comes? back|handed back)\b", re.IGNORECASE)

PACKAGES = ["", *naming.packages()]


def values_of(package: str) -> Iterator[tuple[str, Any]]:
    """(name, value) of what is public in a package; modules are packages of their own."""
    module = importlib.import_module(f"drivetrain.{package}".rstrip("."))
    for name in naming.public_names(package):
        value = getattr(module, name)
        if not inspect.ismodule(value):
            yield f"{package}.{name}".lstrip("."), value


def methods_of(cls: type) -> Iterator[tuple[str, Any]]:
    """Public functions and properties that a class of ours defines, as they stand in it."""
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if isinstance(function, property) or inspect.isfunction(function):
            yield name, function


def faults(name: str, function: Callable[..., Any], told: str) -> Iterator[str]:
    """What a function does not say of itself, or in other words than `drivetrain docs`."""
    entry = naming.walk(name)
    assert entry is not None, name
    found = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.name != "self" and not p.name.startswith("_")  # a record's own
    ]
    if isinstance(function, type) and issubclass(function, nn.Module) and not entry.parameters:
        found = []  # made without arguments
    shown = {each.name.lstrip("*"): each for each in entry.parameters}
    if list(shown) != [p.name for p in found if p.name != "cls"]:
        yield f"{name}: docs shows {list(shown)}, Python {[p.name for p in found]}"
        return
    for parameter in found:
        if parameter.name == "cls":
            continue
        if not re.search(rf"(?<![\w.]){re.escape(parameter.name)}\b", told):
            yield f"{name}: `{parameter.name}` is not explained"
        if not shown[parameter.name].type:
            yield f"{name}: `{parameter.name}` has no type"
        has_default = parameter.default is not parameter.empty
        default = shown[parameter.name].default
        if has_default != (default is not None):
            yield f"{name}: the default of `{parameter.name}` is not shown"
        elif default is not None and f"= {default}" not in entry.signature:
            yield f"{name}: {default} is not in the signature"


def of_return(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """Whether it is said what comes back, and of which type it is."""
    annotation = inspect.signature(function).return_annotation
    doc = inspect.getdoc(function) or ""
    if annotation is inspect.Signature.empty:
        yield f"{name}: the type of what comes back is not said"
    elif annotation not in (None, "None", "Self") and not TOLD.search(doc):
        first = re.sub(r"\W.*", "", doc, flags=re.DOTALL).lower()
        if first in ACTS or not doc:
            yield f"{name}: what comes back is not said"


def faults_of(package: str) -> list[str]:
    """All that is wrong with the names of a package."""
    found: list[str] = []
    for name, value in values_of(package):
        entry = naming.walk(name)
        assert entry is not None, name
        if not entry.doc:
            found.append(f"{name}: no docstring")
        if inspect.isfunction(value):
            found += [*faults(name, value, entry.doc), *of_return(name, value)]
        if not isinstance(value, type):
            continue
        is_called = dataclasses.is_dataclass(value) or "__init__" in vars(value)
        if is_called and not getattr(value, "_is_protocol", False):
            found += faults(name, value, entry.doc)
        for own, method in methods_of(value):
            whole = f"{name}.{own}"
            doc = inspect.getdoc(getattr(value, own)) or ""
            if not doc:
                found.append(f"{whole}: no docstring")
            elif not isinstance(method, property):
                found += [*faults(whole, method, f"{doc}\n{entry.doc}"), *of_return(whole, method)]
    return found


@pytest.mark.row(12)
@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_explains_itself(package: str) -> None:
    assert faults_of(package) == []


@pytest.mark.row(12)
@pytest.mark.parametrize("kind", naming.REGISTERED)
def test_what_is_chosen_by_its_name_is_found_with_the_explanation_that_it_has(kind: str) -> None:
    module, table = naming.REGISTERED[kind]
    listed = getattr(importlib.import_module(f"drivetrain.{module}"), table)
    names = [info.name for info in listed] if kind == "model" else list(listed)
    found = naming.registered(kind)
    assert list(found) == names
    for name, entry in found.items():
        assert entry.doc, name
        value = None if kind == "model" else listed[name]
        if callable(value):
            assert entry.doc.startswith(inspect.getdoc(value) or "?"), name


def test_the_packages_with_public_names_are_found() -> None:
    assert {"vision", "text", "tabular", "collab", "losses", "metrics", "optim"} <= set(PACKAGES)
    assert not {"cli", "reference", "drivetrain"} & set(PACKAGES)


def test_a_fault_is_seen() -> None:
    def unclear(first, second: int = 3):  # type: ignore[no-untyped-def]
        """Add them up."""

    assert list(of_return("x", unclear)) == ["x: the type of what comes back is not said"]

    def silent(first: int) -> int:
        """Add them up."""
        return first

    assert list(of_return("x", silent)) == ["x: what comes back is not said"]
    told = list(faults("losses.mse", importlib.import_module("drivetrain.losses").mse, "preds"))
    assert told == [f"losses.mse: `{name}` is not explained" for name in ("targets", "reduction")]
