"""`python predict.py … | head`: a script whose reader has gone."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tests.eject.replay import without_drivetrain

READER_GONE = 141


def ended_by_closed_pipe(script: Path, *words: object) -> int:
    """Run a script in this process with nobody at the other end of its stdout: its exit code.

    What it says on stderr fails the test.
    """
    argv, threads = sys.argv, torch.get_num_threads()
    sys.argv = [str(script), *map(str, words)]
    reading, writing = os.pipe()
    os.close(reading)
    heard, said = os.pipe()
    try:
        with (
            open(writing, "w", encoding="utf-8") as out,
            open(said, "w", encoding="utf-8") as err,
            without_drivetrain(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            runpy.run_path(str(script), run_name="__main__")
        with open(heard, encoding="utf-8") as lines:
            told = lines.read()
            assert told == "", told
    finally:
        sys.argv = argv
        torch.set_num_threads(threads)
    return int(ended.value.code or 0)
