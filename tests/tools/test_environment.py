"""tools/environment.py: what it reads, what it names, what it keeps; and that the lock is current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(
    tool: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tool("environment")


def locked_versions() -> dict[str, set[str]]:
    lock = (ROOT / "requirements" / "dev.lock").read_text()
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^ ]+) ", lock, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [line for group in groups for line in group]
    return [wanted for wanted in map(Requirement, lines) if wanted.name != project["name"]]


@pytest.mark.parametrize("wanted", declared(), ids=str)
def test_the_lock_holds_what_is_declared_in_a_version_that_fits(wanted: Requirement) -> None:
    versions = locked_versions().get(canonicalize_name(wanted.name), set())
    assert versions, f"{wanted.name} is not in requirements/dev.lock: run `make lock`."
    assert all(wanted.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("name", ["dev.lock", "bootstrap.lock"])
def test_a_lock_has_hashes_and_no_address_of_any_machine(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?:|file:|--index|--find-links| /", text)


def test_the_settings_of_pip_are_read_and_later_ones_add(environment: ModuleType) -> None:
    listing = ":env:.timeout='9'\nglobal.find-links='/a\\nb c'\nuser.find-links='/d'\nnonsense\n"
    assert environment.parse_settings(listing) == {
        "timeout": ["9"],
        "find-links": ["/a", "b", "c", "/d"],
    }


def test_a_local_index_becomes_its_folder_of_files(environment: ModuleType, tmp_path: Path) -> None:
    for folder in ("one/simple", "one/files", "two/simple", "wheels"):
        (tmp_path / folder).mkdir(parents=True)
    settings = {
        "find-links": [str(tmp_path / "wheels"), str(tmp_path / "absent")],
        "extra-index-url": [
            f"file://{tmp_path}/one/simple",
            f"file://{tmp_path}/two/simple/",  # has no files beside it
            "https://packages.example/simple",
        ],
    }
    assert environment.uv_sources(settings) == [
        *("--find-links", str(tmp_path / "wheels")),
        *("--find-links", str(tmp_path / "one" / "files")),
        *("--index", "https://packages.example/simple"),
    ]


def test_without_settings_uv_looks_where_it_always_does(environment: ModuleType) -> None:
    assert environment.uv_sources({}) == []


def test_an_index_of_ones_own_replaces_the_public_one(environment: ModuleType) -> None:
    settings = {"index-url": ["https://old.example/simple", "https://new.example/simple"]}
    assert environment.uv_sources(settings) == ["--default-index", "https://new.example/simple"]


def test_the_name_of_an_environment_depends_on_dependencies_alone(
    environment: ModuleType, tmp_path: Path
) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    other = tmp_path / "pyproject.toml"
    other.write_text(text.replace("line-length = 100", "line-length = 99"))
    before = environment.dependencies(ROOT / "pyproject.toml")
    assert environment.dependencies(other) == before
    other.write_text(text.replace('"numpy>=2"', '"numpy>=2.1"'))
    assert environment.dependencies(other) != before
    assert environment.digest(before, b"lock") != environment.digest(before, b"another lock")


def test_the_environment_in_use_and_the_one_before_it_are_kept(
    environment: ModuleType, tmp_path: Path
) -> None:
    for age, name in enumerate(["env-now", "env-before", "env-old", "env-older"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "complete").touch()
        os.utime(tmp_path / name / "complete", (1000 - age, 1000 - age))
    (tmp_path / "env-half-made").mkdir()
    (tmp_path / "uv-other").mkdir()
    environment.remove_old(tmp_path / "env-now")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env-before", "env-now", "uv-other"]


def test_commands_are_copied_so_that_they_run_with_the_other_python(
    environment: ModuleType, tmp_path: Path
) -> None:
    source, target = tmp_path / "packages" / "bin", tmp_path / "thin" / "bin"
    source.mkdir(parents=True)
    target.mkdir(parents=True)
    (source / "script").write_text(f"#!{source}/python\nprint({str(source)!r})\n")
    (source / "binary").write_bytes(b"\x7fELF" + bytes(range(256)))
    (source / "python3").touch()
    (source / "kept").write_text("new")
    (target / "kept").write_text("old")
    environment.copy_commands(source, target)
    # only the first line changes; what a script is about stays as it is
    assert (target / "script").read_text() == f"#!{target}/python\nprint({str(source)!r})\n"
    assert os.access(target / "script", os.X_OK)
    assert (target / "binary").resolve() == source / "binary"
    assert not (target / "python3").exists()
    assert (target / "kept").read_text() == "old"


def test_a_wrong_argument_is_answered_with_the_usage() -> None:
    command = [sys.executable, ROOT / "tools" / "environment.py", "lokc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Usage: environment.py [lock]\n"
