"""The package as a whole: what it shows, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import drivetrain

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "drivetrain"

HEAVY = ("torch", "numpy", "PIL", "click", "tqdm", "safetensors", "torchvision", "timm", "sklearn")


def in_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names_in_stub() -> set[str]:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text("utf-8"))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names - {"annotations"}


def origins_in_stub() -> dict[str, str]:
    """Public name -> "module" or "module:attribute", as the stub imports it."""
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text("utf-8"))
    origins: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                apart = ":" if node.module != "drivetrain" else "."
                origins[alias.asname or alias.name] = f"{node.module}{apart}{alias.name}"
    return origins


def test_these_tests_run_on_this_checkout() -> None:
    assert Path(drivetrain.__file__).resolve().parent == PACKAGE


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_stub_and_the_table_of_exports_name_the_same() -> None:
    assert names_in_stub() == set(drivetrain.__all__)
    assert set(drivetrain.__all__) == {*drivetrain._EXPORTS, "__version__"}


def test_the_stub_and_the_table_of_exports_mean_the_same_objects() -> None:
    assert origins_in_stub() == drivetrain._EXPORTS


@pytest.mark.parametrize("name", drivetrain.__all__)
def test_a_public_name_is_there_and_has_a_docstring(name: str) -> None:
    value = getattr(drivetrain, name)
    if name == "__version__":
        assert value == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    else:
        assert (value.__doc__ or "").strip()


def test_an_unknown_name_is_refused_and_python_can_name_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"^module 'drivetrain' has no attribute 'Lerner'$"):
        drivetrain.Lerner  # noqa: B018 - looking it up is the test
    assert "Learner" in dir(drivetrain)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, drivetrain; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert in_new_process(code) == "[]"


def test_importing_the_package_costs_less_than_a_tenth_of_importing_torch() -> None:
    # CPU time of this process and not the clock, since other tests run beside; one good of three.
    code = (
        "import time; a = time.process_time(); import drivetrain;"
        "b = time.process_time(); import torch; print((b - a) / (time.process_time() - b))"
    )
    assert any(float(in_new_process(code)) < 0.1 for _ in range(3))


def test_every_module_begins_with_what_it_is_about() -> None:
    silent = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_every_test_folder_mirrors_a_folder_of_the_package() -> None:
    tests = Path(__file__).parent
    # About the repository, not about a package of it.
    apart = {"tools", "golden", "examples", "benchmarks", "end_to_end", "reliability", "security"}
    strangers = [
        folder.name
        for folder in tests.iterdir()
        if folder.is_dir()
        and not folder.name.startswith(("_", "."))
        and folder.name not in apart
        and not (PACKAGE / folder.name).is_dir()
    ]
    assert strangers == []
