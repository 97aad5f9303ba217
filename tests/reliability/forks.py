"""A fork server: a process that has torch loaded and forks a child for each trial.

Starting Python and torch anew for each of hundreds of kills would take minutes. The server has one
thread, so a fork copies no lock that somebody holds. It reads requests as JSON lines and answers each
with one; run as `python -m tests.reliability.forks`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ALARM = 120
"""Seconds after which a child is taken for hung."""


class Forks:
    """The server's other end, to be used in a `with`.

    Args:
        pictures: folder of the pictures that the `image` kind trains on.
    """

    def __init__(self, pictures: Path) -> None:
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "DRIVETRAIN_TEST_PICTURES": str(pictures),
                "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)]),
            },
        )

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=30)

    def __call__(self, do: str, kind: str, folder: Path, **options: Any) -> dict[str, Any]:
        """Do `train`, `resume` or `compare` in a child; see `_child`.

        Args:
            options: `at`: the operation on the disk at which the child is killed; `after`: the seconds
                after which it is; `workers`; `reference`: the folder to compare with.
        Returns: `signal` that ended it or 0, `seconds`, and what it answered: `operations`, `difference`.
        Raises: AssertionError: the child failed by itself, with its traceback.
        """
        assert self.process.stdin and self.process.stdout
        request = {"do": do, "kind": kind, "folder": str(folder), **options}
        self.process.stdin.write(json.dumps(request, default=str) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, f"{request}\n{answer['error']}"
        return answer


def _child(request: dict[str, Any]) -> dict[str, Any]:
    from drivetrain import _disk
    from tests.reliability import jobs
    from tests.reliability.disks import CountingDisk, KillingDisk

    kind, folder = request["kind"], Path(request["folder"])
    disk = KillingDisk(request["at"]) if request.get("at") else CountingDisk()
    _disk.disk = disk
    if request["do"] == "train":
        jobs.train(kind, folder)
    elif request["do"] == "resume":
        jobs.resume(kind, folder, workers=request.get("workers", 0))
    else:
        return {"difference": jobs.difference(folder, Path(request["reference"]))}
    return {"operations": disk.count}


def _fork(
    request: dict[str, Any], work: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(ALARM)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            try:
                answer = work(request)
            except BaseException:  # noqa: BLE001 - the other process asks
                answer = {"error": traceback.format_exc()}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    after = request.get("after")
    if after is not None and not select.select([reading], [], [], after)[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    answer = json.loads(text) if text else {}
    if ended_by not in (0, signal.SIGKILL):
        answer["error"] = f"the child was ended by signal {ended_by}"
    return {"signal": ended_by, "seconds": time.monotonic() - began, **answer}


def main() -> None:
    """Answer requests until there are no more."""
    import torch

    torch.set_num_threads(1)
    from tests.reliability import jobs

    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the first step loads much of torch: once, for all
        for kind in jobs.KINDS:
            jobs.train(kind, Path(folder) / kind)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_fork(json.loads(line), _child)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
