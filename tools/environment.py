"""Make the environment of this checkout: locked, complete or absent, and quick the second time.

    python3.11 tools/environment.py           make `.venv`, or find that it stands
    python3.11 tools/environment.py lock      write the lock files anew from pyproject.toml

It needs Python's standard library with venv and pip, and nothing else. The packages of the lock go
into a folder of the user's cache whose name is the hash of what declares them:

    ~/.cache/drivetrain/uv-<hash>/     the installer (uv), from requirements/bootstrap.lock
    ~/.cache/drivetrain/env-<hash>/    the packages, from requirements/dev.lock
    .venv/                             thin: reads the packages from there, and has this checkout

So two checkouts with the same lock share the packages and nothing else, and a package that is not
declared is not there. A folder counts once its `complete` file stands, which is written last. Where
uv cannot be had, pip installs the same lock, more slowly. `$XDG_CACHE_HOME` moves the cache.
See docs/decisions/0001-environment.md.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements" / "dev.lock"
BOOTSTRAP = ROOT / "requirements" / "bootstrap.lock"
PINS = ROOT / "requirements" / "pins.txt"
LINK = ROOT / ".venv"
KEPT = 2
"""Environments kept in the cache: the one in use, and the one used before it."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; the answer is the exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it runs before anything is installed
        print(f"Drivetrain needs Python 3.11 or later; this is {platform.python_version()}.")
        return 2
    # Set on some build machines: each process would compile every package again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        if list(arguments) == ["lock"]:
            with locked():
                write_locks()
        elif not arguments:
            make_environment()
        else:
            print("Usage: environment.py [lock]", file=sys.stderr)
            return 2
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        print(f"Making the environment failed, in: {command}", file=sys.stderr)
        return 3
    return 0


def make_environment() -> None:
    """Make `.venv` unless it stands as the project's files declare it."""
    packages = cache_folder() / f"env-{digest(dependencies(PROJECT), LOCK.read_bytes())}"
    stamp = LINK / "drivetrain-environment"
    wanted = f"{packages}\n{ROOT}\n{digest(PROJECT.read_bytes())}\n"
    if is_complete(packages) and stamp.is_file() and stamp.read_text() == wanted:
        os.utime(packages / "complete")  # when it was last used: the oldest goes first
        return
    started = time.perf_counter()
    with locked():
        if not is_complete(packages):
            install_packages(packages)
        os.utime(packages / "complete")
        make_thin(packages)
        stamp.write_text(wanted)
        remove_old(packages)
    say(f"The environment stands in .venv ({time.perf_counter() - started:.0f} s).")


def install_packages(folder: Path) -> None:
    """Install the lock into a new environment at `folder`; its `complete` file comes last."""
    say("Making the environment from requirements/dev.lock. Once; torch makes it about 5 GB.")
    uv = bootstrap_uv()
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", *([] if uv is None else ["--without-pip"]), folder)
    python = folder / "bin" / "python"
    if uv is None:
        run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", LOCK)
    else:
        sources = uv_sources(pip_settings(sys.executable))
        run(
            *(uv, "pip", "install", "--quiet", "--python", python),
            *("--compile-bytecode", "--require-hashes", *sources, "-r", LOCK),
        )
    (folder / "complete").write_text("")


def bootstrap_uv() -> Path | None:
    """The installer in an environment of its own, or None where it cannot be installed."""
    folder = uv_folder()
    if not is_complete(folder):
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        pip = (folder / "bin" / "python", "-m", "pip", "install", "-qq")
        try:
            run(*pip, "--require-hashes", "-r", BOOTSTRAP)
        except subprocess.CalledProcessError:
            say("uv could not be installed; pip does its work, more slowly.")
            return None
        (folder / "complete").write_text("")
    return folder / "bin" / "uv"


def uv_folder() -> Path:
    """Where the installer is, or would be."""
    return cache_folder() / f"uv-{digest(BOOTSTRAP.read_bytes())}"


def make_thin(packages: Path) -> None:
    """Make `.venv`: Python, this checkout as an editable install, and the packages' commands."""
    if LINK.is_symlink():
        LINK.unlink()
    shutil.rmtree(LINK, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", LINK)
    # `addsitedir` and not the bare path, so that .pth files among the packages work too.
    line = f"import site; site.addsitedir({str(site_packages(packages))!r})\n"
    (site_packages(LINK) / "_packages.pth").write_text(line)
    copy_commands(packages / "bin", LINK / "bin")
    install_checkout(LINK / "bin" / "python")


def copy_commands(source: Path, target: Path) -> None:
    """Give `target` the commands in `source`, so that they run with the Python in `target`.

    A Python script is copied with its first line changed, anything else is linked.
    """
    old, new = str(source).encode(), str(target).encode()
    for command in sorted(source.iterdir()):
        name = command.name
        if re.match(r"(python|pip|activate|Activate|deactivate)", name) or (target / name).exists():
            continue
        content = command.read_bytes()
        if content.startswith(b"#!") and old in content[:400]:
            (target / name).write_bytes(content.replace(old, new, 1))
            (target / name).chmod(0o755)
        else:
            (target / name).symlink_to(command)


def install_checkout(python: Path) -> None:
    """Install this checkout editable, with the build backend that the lock brought."""
    options = ("--quiet", "--no-deps", "--no-build-isolation")
    if is_complete(uv_folder()):
        run(uv_folder() / "bin" / "uv", "pip", "install", "--python", python, *options, "-e", ROOT)
    else:  # `.venv` has no pip; the Python that runs this file has
        run(sys.executable, "-m", "pip", "--python", python, "install", *options, "-e", ROOT)


def write_locks() -> None:
    """Write the lock files from pyproject.toml; versions that still fit stay as they are.

    With UPGRADE=1 in the environment every version becomes the newest that fits.
    """
    uv = bootstrap_uv()
    if uv is None:
        raise SystemExit("`lock` needs uv, which could not be installed.")
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    compile_ = (uv, "pip", "compile", "--quiet", "--no-header", "--generate-hashes", "--universal")
    compile_ = (*compile_, "--python-version", "3.11", *upgrade)
    run(*compile_, PROJECT, "--extra", "dev", "-c", PINS, "-o", LOCK)
    run(*compile_, BOOTSTRAP.with_suffix(".in"), "-o", BOOTSTRAP)
    for lock in (LOCK, BOOTSTRAP):
        # uv notes where each file lay on this machine; the file's name is enough.
        text = re.sub(rf"{re.escape(str(ROOT))}/", "", lock.read_text())
        lock.write_text(f"# Written by `make lock`; not edited by hand.\n{_without_head(text)}")
        count = len(re.findall(r"^[\w.-]+==", text, flags=re.MULTILINE))
        say(f"Wrote {lock.relative_to(ROOT)}: {count} versions.")


def _without_head(text: str) -> str:
    return re.sub(r"\A(#.*\n)+", "", text)


def pip_settings(python: str) -> dict[str, list[str]]:
    """What pip is configured with, by option, words split: uv does not read pip's settings."""
    listing = subprocess.run(
        [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return parse_settings(listing.stdout)


def parse_settings(listing: str) -> dict[str, list[str]]:
    """The output of `pip config list` as option -> words; later files add to earlier ones.

    >>> parse_settings("global.find-links='/a /b'\\n:env:.find-links='/c'\\n")
    {'find-links': ['/a', '/b', '/c']}
    """
    settings: dict[str, list[str]] = {}
    for line in listing.splitlines():
        key, found, value = line.partition("=")
        if found:
            words = str(ast.literal_eval(value)).split()
            settings.setdefault(key.rpartition(".")[2], []).extend(words)
    return settings


def uv_sources(settings: dict[str, list[str]]) -> list[str]:
    """uv's options for the places that pip is configured to look in.

    A local index becomes a plain folder of files (`…/simple` lies beside `…/files`): uv takes all
    versions of a package from the first index that has it, and a local one may hold an old copy;
    folders it reads in addition.
    """
    options: list[str] = []
    for place in settings.get("find-links", []) + settings.get("extra-index-url", []):
        folder = local_folder(place)
        if folder is None:
            if place in settings.get("extra-index-url", []):
                options += ["--index", place]
            continue
        files = folder.parent / "files" if folder.name == "simple" else folder
        if files.is_dir():
            options += ["--find-links", str(files)]
    for url in settings.get("index-url", [])[-1:]:
        options += ["--default-index", url]
    return options


def local_folder(place: str) -> Path | None:
    """The folder that a path or a file:// URL names, or None for an address on the network."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(place).expanduser()


def dependencies(project: Path) -> bytes:
    """What pyproject.toml says about packages; a linter's setting changes nothing here."""
    content = tomllib.loads(project.read_text("utf-8"))
    wanted = ("requires-python", "dependencies", "optional-dependencies")
    declared = {key: content["project"].get(key) for key in wanted}
    return json.dumps([content["build-system"], declared], sort_keys=True).encode()


def digest(*parts: bytes) -> str:
    """16 hex digits from `parts` and the Python that runs this."""
    value = hashlib.sha256()
    for part in (sys.version, platform.machine(), os.path.realpath(sys.executable)):
        value.update(part.encode() + b"\0")
    for part in parts:
        value.update(part + b"\0")
    return value.hexdigest()[:16]


def cache_folder() -> Path:
    """The project's folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "drivetrain"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_complete(folder: Path) -> bool:
    """Whether `folder` was made to the end."""
    return (folder / "complete").is_file()


def remove_old(used: Path) -> None:
    """Keep the environment in use and the one used before it; drop the rest, half-made ones too."""
    others = [folder for folder in used.parent.glob("env-*") if folder != used]
    others.sort(key=last_used, reverse=True)
    kept = [folder for folder in others if is_complete(folder)][: KEPT - 1]
    for folder in others:
        if folder not in kept:
            (folder / "complete").unlink(missing_ok=True)  # first, so that no half of it is used
            shutil.rmtree(folder, ignore_errors=True)


def last_used(folder: Path) -> float:
    """When an environment was last used; 0 for one that is not complete."""
    return (folder / "complete").stat().st_mtime if is_complete(folder) else 0.0


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time write to the cache; the others wait, and find the work done."""
    with open(cache_folder() / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def site_packages(environment: Path) -> Path:
    """Where the packages of an environment lie."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment / "lib" / version / "site-packages"


def run(*command: str | Path) -> None:
    """Run a command whose output goes to stderr; a failure is raised."""
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


def say(text: str) -> None:
    """Tell the person at the terminal; stdout stays for results."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
