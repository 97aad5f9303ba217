"""No pickle in any file that is read or written: the source says so, and a process proves it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivetrain.eject.tree import walk
from tests import fresh
from tests.security.sound import SoundFolders

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tools", "examples", "benchmarks")

MODULES = frozenset(
    "pickle _pickle cPickle joblib dill cloudpickle marshal shelve skops jsonpickle torch.jit".split()
)
"""Never imported: what they read can run."""

CALLS = {
    "torch.load": "a pickle", "torch.save": "a pickle", "torch.jit.load": "a program",
    "torch.export.load": "falls back on a pickle", "torch.hub.load": "a program",
    "torch.package.PackageImporter": "a program", "torch.ops.load_library": "a program",
    "numpy.load": "may be a pickle", "np.load": "may be a pickle", "numpy.save": "may be a pickle",
    "np.save": "may be a pickle", "pandas.read_pickle": "a pickle", "pd.read_pickle": "a pickle",
    "yaml.load": "makes objects", "yaml.unsafe_load": "makes objects", "os.system": "a shell",
    "os.popen": "a shell", "shutil.unpack_archive": "leaves its folder", "ctypes.CDLL": "a program",
    "importlib.import_module": "a program", "__import__": "a program", "eval": "a program",
    "exec": "a program", "compile": "a program", "runpy.run_path": "a program",
    "runpy.run_module": "a program",
}  # fmt: skip
"""Calls by their whole names, and what they open."""

METHODS = frozenset(
    "read_pickle to_pickle extractall unpack_archive all_gather_object gather_object scatter_object_list "
    "broadcast_object_list send_object_list recv_object_list exec_module load_library".split()
)
"""Methods of whatever object."""

ARGUMENTS = frozenset(("trust_remote_code", "allow_pickle"))

ALLOWED = {
    ("src/drivetrain/models/weights.py", "torch.load"): "its SHA-256 stands in our source; weights_only",
    ("src/drivetrain/_disk.py", "ctypes.CDLL"): "the system's own library, by no name",
    # What is imported stands in a table of ours; a name from outside only chooses a line of it.
    ("src/drivetrain/__init__.py", "importlib.import_module"): "its public names",
    ("src/drivetrain/_optional.py", "importlib.import_module"): "optional packages, named in our source",
    ("src/drivetrain/cli/program.py", "importlib.import_module"): "its commands",
    ("src/drivetrain/models/build.py", "importlib.import_module"): "`ModelInfo.builder`",
    ("src/drivetrain/train/callbacks/__init__.py", "importlib.import_module"): "`CALLBACKS`",
    ("src/drivetrain/_lazy.py", "importlib.import_module"): "the public names of our packages",
    ("src/drivetrain/eject/modules.py", "importlib.import_module"): "modules of ours",
    ("src/drivetrain/pages/__init__.py", "importlib.import_module"): "`PAGES`",
    ("src/drivetrain/sheets/__init__.py", "importlib.import_module"): "`SHEETS`",
    ("benchmarks/run.py", ".exec_module"): "the benchmarks that stand beside it",
}  # fmt: skip
"""(file, call) -> why it is right there. A line here needs a reader who has looked."""


def found_in(source: str) -> Iterator[str]:
    """Every use of what is banned, by name, in the source of a module."""
    names: dict[str, str] = {}
    nodes = walk(ast.parse(source))
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names
            }
            yield from (one.name for one in node.names if _is_banned(one.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                names[one.asname or one.name] = f"{node.module}.{one.name}"
                if _is_banned(node.module) or _is_banned(f"{node.module}.{one.name}"):
                    yield f"{node.module}.{one.name}"
    for node in nodes:
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            head, _, rest = name.partition(".")
            whole = names.get(head, head) + (f".{rest}" if rest else "")
            literal = node.args[0] if node.args else None
            if whole == "importlib.import_module" and isinstance(literal, ast.Constant):
                yield from ([str(literal.value)] if _is_banned(str(literal.value)) else [])
            else:
                yield from (one for one in {name, whole} if one in CALLS)
            if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                yield f".{node.func.attr}"
            yield from (one.arg for one in node.keywords if one.arg in ARGUMENTS)
            shell = [one for one in node.keywords if one.arg == "shell"]
            yield from ("shell" for one in shell if getattr(one.value, "value", True) is not False)


def _is_banned(module: str) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in MODULES)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


@functools.cache
def hits() -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in found_in(path.read_text(encoding="utf-8")):
                key = (path.relative_to(ROOT).as_posix(), name)
                counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.row(17)
def test_nothing_in_the_tree_reads_or_writes_what_can_run():
    assert {key: count for key, count in hits().items() if key not in ALLOWED} == {}


def test_torch_load_stands_in_one_line_and_takes_weights_only():
    assert hits()[("src/drivetrain/models/weights.py", "torch.load")] == 1
    source = (ROOT / "src/drivetrain/models/weights.py").read_text()
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    call = next(one for one in calls if _dotted(one.func) == "torch.load")
    assert {one.arg: getattr(one.value, "value", None) for one in call.keywords}[
        "weights_only"
    ] is True


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("import torch as t\nt.load(path)", "torch.load"),
        ("from torch import load as read\nread(path)", "torch.load"),
        ("from pickle import loads", "pickle.loads"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "allow_pickle"),
        ("frame.to_pickle(path)", ".to_pickle"),
        ("eval(text)", "eval"),
        ("import torch.distributed as dist\ndist.all_gather_object(a, b)", ".all_gather_object"),
        ("from importlib import import_module\nimport_module(name)", "importlib.import_module"),
        ("AutoModel.from_pretrained(name, trust_remote_code=True)", "trust_remote_code"),
        ("import subprocess\nsubprocess.run(text, shell=True)", "shell"),
        ("archive.extractall()", ".extractall"),
        ("import importlib\nimportlib.import_module('pickle')", "pickle"),
    ],
)
def test_the_search_finds(source, name):
    assert name in set(found_in(source))


def test_the_search_lets_others_be():
    source = "import re, json\nre.compile('a')\njson.loads(x)\nself.load(x)\n"
    assert set(found_in(source)) == set()


WATCHED = """
import sys
from pathlib import Path
import torch
from drivetrain import vision
import drivetrain.train.run, drivetrain.train.saving  # what a run is opened by, and a bundle is not
run, bundle, picture = map(Path, sys.argv[1:])
seen = []
banned = ("pickle.", "marshal.load", "subprocess.", "socket.", "os.system", "ctypes.dlopen")
vision.load(bundle).predict(picture)  # every module is here now
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(banned) else None)
for folder in (run, run / "model", bundle):
    vision.load(folder).predict(picture)
vision.verify(bundle)
assert not seen, seen
"""


@pytest.mark.row(17)
def test_loading_and_predicting_raise_no_event_of_pickle(sound_folders: SoundFolders):
    words = (sound_folders.run, sound_folders.bundle, sound_folders.picture)
    done = fresh.run(WATCHED, *words, cwd=ROOT)
    assert done.returncode == 0, done.stderr
