"""Fresh Pythons that have torch loaded: one process loads it and forks for each test that asks.

To start Python and load torch takes longer than what most tests of a process of their own do in it. The
server has loaded torch, with what the first optimizer of a process loads, and nothing of Drivetrain; it
has one thread, so a fork copies no lock that somebody holds. Run as `python -m tests.fresh`, it reads
requests as JSON lines and answers each with one.
"""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS = 600
"""After which a process is taken for hung."""
ROOT = Path(__file__).resolve().parents[1]


def run(
    code: str,
    *words: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    warn: str = "default",
    given: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `code` as `python -c code word …` would.

    Args:
        words: its `sys.argv[1:]`.
        cwd: where; by default here.
        env: its environment; by default this one.
        warn: what a DeprecationWarning does: `default`, or `error`.
        given: what it reads from stdin.
    """
    argv = [str(word) for word in words]
    env = dict(os.environ if env is None else env)
    if not hasattr(os, "fork"):
        start = [sys.executable, "-W", f"{warn}::DeprecationWarning", "-c", code, *argv]
        return subprocess.run(
            start, cwd=cwd, env=env, input=given, capture_output=True, text=True, check=False
        )
    with tempfile.TemporaryDirectory() as folder:
        into, out, err = (Path(folder, name) for name in ("in", "out", "err"))
        into.write_text(given, encoding="utf-8")
        request = {"code": code, "argv": argv, "cwd": str(cwd or Path.cwd()), "warn": warn}
        request |= {"env": env, "files": [str(into), str(out), str(err)]}
        server = _server()
        assert server.stdin and server.stdout
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = json.loads(server.stdout.readline())
        said = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
    return subprocess.CompletedProcess([code, *argv], status, *said)


@functools.cache
def _server() -> subprocess.Popen[str]:
    """Of this process, from its first call to its end."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # a test's
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fresh"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env,
    )  # fmt: skip
    atexit.register(server.communicate)
    return server


def main() -> None:
    """Answer requests until there are no more."""

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(request: dict[str, Any]) -> None:
    """Be `python -c code`, to the end of the process."""
    code = 1
    signal.alarm(SECONDS)
    try:
        for place, name in enumerate(request["files"]):
            flags = os.O_RDONLY if place == 0 else os.O_WRONLY | os.O_CREAT
            os.dup2(os.open(name, flags, 0o600), place)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False), "utf-8")
        for place, name in ((1, "stdout"), (2, "stderr")):
            file = io.TextIOWrapper(io.FileIO(place, "w", closefd=False), "utf-8")
            setattr(sys, name, file)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.argv = ["-c", *request["argv"]]
        more = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
        sys.path[:1] = ["", *more]
        if request["warn"] == "error":
            warnings.simplefilter("error", DeprecationWarning)
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(request["code"], "<string>", "exec"), module.__dict__)  # noqa: S102 - a test's
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python ends with any of them
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
