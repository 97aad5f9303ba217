"""Whatever must last is written by the store, and nothing is opened that could run code."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from drivetrain.eject.tree import dotted, walk

SOURCE = Path(__file__).resolve().parents[2] / "src" / "drivetrain"

WRITERS = {
    "_disk.py": "the operations themselves",
    "locks.py": "the lock's own file, of which only the lock matters",
    "cli/exits.py": "the traceback in the folder for temporary files",
    "samples/folder.py": "a sample can be made again at any time",
    "tabular/encoding.py": "encoded rows in the cache can be made again at any time",
    "text/general.py": "the checkpoints of a model that is made and kept are of no more use",
    "testing/checks_runs.py": "damages a checkpoint of its own on purpose",
}
"""Files that write by other means than `store`, and why they may."""

OPENERS = {"_strict.py": ["os.open"]}
"""What opens files by the system's own call, to read them: it follows no link and waits for no pipe."""

WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND")

READERS = {
    "models/weights.py: torch.load": "weights alone, of a file whose SHA-256 is the package's own",
}

MODES = ("w", "a", "x", "+")
METHODS = {
    "write_text",
    "write_bytes",
    "touch",
    "replace",
    "rename",
    "unlink",
    "rmtree",
    "symlink_to",
}
OF_OS = {"replace", "rename", "unlink", "remove", "write", "open"}
FORBIDDEN = {
    *("pickle.load", "pickle.loads", "torch.load", "torch.save", "torch.jit.load", "joblib.load"),
    *("marshal.loads", "shelve.open", "dill.load", "cloudpickle.load", "yaml.load", "eval", "exec"),
}


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call in a file, with the name that is called, such as `os.replace`."""
    for node in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func) or ast.unparse(node.func)  # the latter takes long


@functools.cache
def named() -> dict[str, tuple[list[str], list[str]]]:
    """File of the package -> the names of its calls that write, and of those that could run code."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for path in SOURCE.rglob("*.py"):
        writing, running = found.setdefault(path.relative_to(SOURCE).as_posix(), ([], []))
        for call, name in calls(path):
            writing += [name] if writes(call, name) else []
            running += [name] if name in FORBIDDEN else []
    return found


def writes(call: ast.Call, name: str) -> bool:
    last = name.rpartition(".")[2]
    if name.startswith("os."):
        return name.removeprefix("os.") in OF_OS
    if last == "open":
        place = 1 if name == "open" else 0  # open(path, mode), path.open(mode)
        given = [
            *call.args[place : place + 1],
            *(k.value for k in call.keywords if k.arg == "mode"),
        ]
        modes = [str(one.value) for one in given if isinstance(one, ast.Constant)]
        return any(letter in mode for mode in modes for letter in MODES)
    if last == "replace":  # of a text, a dataclass or a path: a path's takes one argument
        return len(call.args) == 1 and not call.keywords
    return last != name and last in METHODS and not name.startswith(("store.", "disk.", "_disk."))


def test_only_the_store_writes_files() -> None:
    found = {name: writing for name, (writing, _) in named().items()}
    assert {name: n for name, n in found.items() if n and name not in WRITERS} == OPENERS
    assert all(found[name] for name in WRITERS), "an exception that nobody needs any more"


def test_what_opens_by_the_system_only_reads() -> None:
    for name in OPENERS:
        text = (SOURCE / name).read_text(encoding="utf-8")
        assert "O_RDONLY" in text
        assert [flag for flag in WRITING if flag in text] == []


def test_nothing_is_read_that_could_run_code() -> None:
    found = {f"{file}: {name}" for file, (_, running) in named().items() for name in running}
    assert found == set(READERS)


def test_the_lint_itself_sees_a_write() -> None:
    bad = ("open('x', 'w')", "path.write_text('x')", "os.replace(a, b)", "Path('x').unlink()")
    for text in (*bad, "path.open('ab')", "path.replace(other)"):
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert writes(call, ast.unparse(call.func)), text
    for text in ("open('x')", "text.replace('a', 'b')", "store.write_text(p, 'x')"):
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert not writes(call, ast.unparse(call.func)), text
