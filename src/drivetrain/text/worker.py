"""A process that tokenises blocks of texts for another, and how that one speaks to it.

They speak through pipes: a message is its length (8 bytes, little-endian) and its bytes. The first one
says the job, as JSON; each after it is a block of texts, a JSON list, and is answered. A process of
Python's `multiprocessing` would import the main script again, which then has to be written for it, and
would send pickles; this one needs neither, imports no torch, and ends when its pipe does: also when the
process that started it was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from drivetrain.data.tokens import TokenArray
from drivetrain.errors import DataError, DrivetrainError
from drivetrain.text.tokenizer import Tokenizer, count, tokenizer_from_json

_DONE, _REFUSED = b"\x00", b"\x01"
_START = (
    "import sys; sys.path.insert(0, {folder!r}); from drivetrain.text.worker import main; main()"
)


class Worker:
    """The other end of one process. Raises: DataError: it ended before its time.

    Args:
        job: what `encode_job` or `count_job` gives.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        folder = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-c", _START.format(folder=str(folder))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._read = _array_of if job["task"] == "encode" else json.loads
        self._tell(json.dumps(job).encode())

    def ask(self, texts: list[str]) -> Any:
        """The answer to a block of texts: a TokenArray, or counts.

        Raises: DataError: a text is none, or the process ended.
        """
        self._tell(json.dumps(texts).encode())
        answer = _receive(self._from)
        if answer is None:
            self._lost()
        if answer[:1] == _REFUSED:
            raise DataError(answer[1:].decode())
        return self._read(answer[1:])

    def end(self, *, now: bool = False) -> None:
        """Let the process end; with `now`, whatever it is doing."""
        if now:
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self._to.close()
        self._process.wait()
        self._from.close()

    def _tell(self, message: bytes) -> None:
        try:
            _send(self._to, message)
        except BrokenPipeError:
            self._lost()

    def _lost(self) -> NoReturn:
        code = self._process.wait()
        raise DataError(
            f"A process that tokenises ended with code {code}. "
            "Use `num_workers=0` to see the cause, or give the machine more memory."
        )


def encode_job(tokenizer: Tokenizer) -> dict[str, Any]:
    """Blocks of texts become ids."""
    return {"task": "encode", "tokenizer": tokenizer.to_json()}


def count_job(kind: str, rules: frozenset[str]) -> dict[str, Any]:
    """What blocks of texts hold is counted."""
    return {"task": "count", "kind": kind, "rules": sorted(rules)}


def task_of(job: dict[str, Any]) -> Callable[[list[str]], Any]:
    """What a job does to a block of texts."""
    if job["task"] == "encode":
        return tokenizer_from_json(job["tokenizer"]).encode
    kind, rules = job["kind"], frozenset(job["rules"])
    return lambda texts: count(texts, kind, rules)


def main() -> None:
    """The process: does its job until nothing more comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a package prints is no answer
    first = _receive(source)
    if first is None:
        return
    task = task_of(json.loads(first))
    while (message := _receive(source)) is not None:
        try:
            found = task(json.loads(message))
            answer = (
                _bytes_of(found) if isinstance(found, TokenArray) else json.dumps(found).encode()
            )
            answer = _DONE + answer
        except DrivetrainError as error:
            answer = _REFUSED + str(error).encode()
        try:
            _send(target, answer)
        except BrokenPipeError:  # nobody waits for it any more
            return


def _send(pipe: BinaryIO | Any, message: bytes) -> None:
    pipe.write(struct.pack("<Q", len(message)))
    pipe.write(message)
    pipe.flush()


def _receive(pipe: BinaryIO | Any) -> bytes | None:
    """The next message; None where the other end is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        return None
    (size,) = struct.unpack("<Q", head)
    message = pipe.read(size)
    return message if len(message) == size else None


def _bytes_of(documents: TokenArray) -> bytes:
    head = struct.pack("<Q", len(documents)) + documents.ids.dtype.char.encode()
    return head + documents.offsets.tobytes() + documents.ids.tobytes()


def _array_of(data: bytes) -> TokenArray:
    (num_documents,) = struct.unpack("<Q", data[:8])
    end = 9 + 8 * (num_documents + 1)
    offsets = np.frombuffer(data[9:end], np.int64)
    return TokenArray(np.frombuffer(data[end:], np.dtype(data[8:9].decode())), offsets)
