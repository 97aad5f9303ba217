"""The applications' names are loaded on first use, and always mean the same."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt

PACKAGES = ("vision", "tabular", "interpret", "levers")


def package(name: str) -> Any:
    return importlib.import_module(f"drivetrain.{name}")


NAMES = [(name, public) for name in PACKAGES for public in package(name).__all__]


def in_new_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(dt.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", PACKAGES)
def test_what_type_checkers_see_is_what_is_loaded(name: str) -> None:
    tree = ast.parse(Path(package(name).__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: (node.module or "").removeprefix(f"drivetrain.{name}.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == package(name)._home_of
    assert sorted(seen) == sorted(package(name).__all__) == dir(package(name))


@pytest.mark.parametrize(("name", "public"), NAMES)
def test_each_name_is_there_and_says_what_it_is(name: str, public: str) -> None:
    assert (getattr(package(name), public).__doc__ or "").strip()


@pytest.mark.parametrize("name", PACKAGES)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(
        AttributeError, match=rf"^module 'drivetrain\.{name}' has no attribute 'lerner'$"
    ):
        package(name).lerner  # noqa: B018 - looking it up is the test


@pytest.mark.parametrize("name", ["vision", "tabular"])
def test_the_function_keeps_its_name_when_the_module_of_that_name_is_imported(name: str) -> None:
    code = (
        f"import sys, drivetrain.{name}.learner; from drivetrain import {name};"
        f"from drivetrain.{name}.learner import learner;"
        f"print(callable({name}.learner), learner is {name}.learner,"
        f" sys.modules['drivetrain.{name}.learner'].learner is learner)"
    )
    assert in_new_process(code) == "True True True"


def test_the_packages_by_themselves_load_nothing_heavy() -> None:
    names = ", ".join(f"drivetrain.{name}" for name in PACKAGES)
    heavy = ("torch", "numpy", "pyarrow", "sklearn", "scipy")
    code = f"import sys, {names}; print([m for m in {heavy} if m in sys.modules])"
    assert in_new_process(code) == "[]"
