"""The names of `drivetrain.vision` are loaded on first use, and always mean the same."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import drivetrain as dt
from drivetrain import vision

SOURCE = Path(vision.__file__)


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


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    tree = ast.parse(SOURCE.read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module.removeprefix("drivetrain.vision.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == vision._HOME_OF
    assert sorted(seen) == sorted(vision.__all__) == dir(vision)


@pytest.mark.parametrize("name", vision.__all__)
def test_each_name_is_there_and_says_what_it_is(name: str) -> None:
    assert (getattr(vision, name).__doc__ or "").strip()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        AttributeError, match=r"^module 'drivetrain\.vision' has no attribute 'lerner'$"
    ):
        vision.lerner  # noqa: B018 - looking it up is the test


def test_the_function_keeps_its_name_when_the_module_of_that_name_is_imported() -> None:
    code = (
        "import sys, drivetrain.vision.learner; from drivetrain import vision;"
        "from drivetrain.vision import learner;"
        "print(callable(vision.learner), learner is vision.learner,"
        " sys.modules['drivetrain.vision.learner'].learner is learner)"
    )
    assert in_new_process(code) == "True True True"


def test_the_package_by_itself_loads_nothing_heavy() -> None:
    code = (
        "import sys, drivetrain.vision; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    assert in_new_process(code) == "[]"
