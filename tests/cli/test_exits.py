"""Every ending of a command: its exit code, its one line, and what stays off the screen."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
import torch

from drivetrain import errors
from drivetrain.cli import exits
from drivetrain.cli.program import Program


@pytest.fixture
def fails(run, monkeypatch: pytest.MonkeyPatch):
    """Call a command that raises `error` where it does its work."""

    def call(error: BaseException, *words: str):
        def command(_self: Program, _ctx: click.Context, name: str) -> click.Command:
            def work() -> None:
                raise error

            debug = click.Option(["--debug"], is_flag=True, expose_value=False)
            return click.Command(name, callback=work, params=[debug])

        monkeypatch.setattr(Program, "get_command", command)
        return run("train", *words)

    return call


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.DataError("photos holds no pictures."), 2, "photos holds no pictures."),
        (errors.UnknownNameError("Unknown loss 'x'."), 2, "Unknown loss 'x'."),
        (errors.MissingPackageError("`PIL` is not installed."), 2, "`PIL` is not installed."),
        (errors.RunError("x is not a run folder."), 2, "x is not a run folder."),
        (errors.StorageError("The disk is full."), 3, "The disk is full."),
        (
            MemoryError(),
            3,
            "The memory is full. Use a smaller --size, or smaller batches: --set batch_size=16.",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            3,
            "The memory is full. Use a smaller --size, or smaller batches: --set batch_size=16.",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            3,
            "The memory is full. Use a smaller --size, or smaller batches: --set batch_size=16.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x"),
            3,
            "The system failed: runs/x: No space left on device.",
        ),
        (OSError(errno.EIO, "Input/output error"), 3, "The system failed: Input/output error."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (
            exits.stopped(Path("my runs/1"), KeyboardInterrupt()),
            130,
            "Stopped. Continue with: drivetrain resume 'my runs/1'",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_one_line_and_its_exit_code(
    fails, error: BaseException, code: int, line: str
) -> None:
    result = fails(error)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"drivetrain: {line}\n"


def test_a_message_of_several_lines_and_its_notes_become_one_line(fails) -> None:
    error = errors.DataError("First.\n  Second.")
    error.add_note("In epoch 1.")
    assert fails(error).stderr == "drivetrain: First. Second. In epoch 1.\n"


def test_what_has_been_said_is_not_said_again(fails) -> None:
    result = fails(exits.RefusedError())
    assert (result.exit_code, result.output) == (2, "")


def test_a_bug_of_ours_is_code_4_with_a_log_that_holds_the_traceback(
    fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = fails(ZeroDivisionError("division by zero"))
    assert (result.exit_code, result.stdout) == (4, "")
    match = re.fullmatch(
        r"drivetrain: A mistake in Drivetrain, not in your data: ZeroDivisionError: division by zero\. "
        r"The log is (\S+/drivetrain-\S+\.log)\. --debug shows the traceback\.\n",
        result.stderr,
    )
    assert match, result.stderr
    log = Path(match[1]).read_text()
    assert log.startswith("command: drivetrain train\npython: 3.")
    assert "Traceback (most recent call last)" in log
    assert log.endswith("ZeroDivisionError: division by zero\n")


def test_where_no_log_can_be_written_the_bug_is_still_reported(
    fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: str) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert fails(KeyError("x")).stderr == (
        "drivetrain: A mistake in Drivetrain, not in your data: KeyError: 'x'. "
        "No log could be written (No space left on device). --debug shows the traceback.\n"
    )


@pytest.mark.parametrize(
    ("error", "code"), [(errors.DataError("No pictures."), 2), (ValueError("oops"), 4)]
)
def test_debug_shows_the_traceback_and_keeps_the_code(fails, error: Exception, code: int) -> None:
    plain, shown = fails(error), fails(error, "--debug")
    assert "Traceback" not in plain.stderr
    assert "Traceback (most recent call last)" in shown.stderr
    assert "in work" in shown.stderr
    assert plain.exit_code == shown.exit_code == code


def test_debug_shows_no_traceback_for_a_mistake_in_the_arguments(run) -> None:
    result = run("train", "--debug", "--epochs", "none")
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_a_warning_is_one_line_on_stderr(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> None:
        warnings.simplefilter("always")
        warnings.warn("`x` changes\nnothing here.", stacklevel=1)

    command = click.Command("train", callback=warn)
    monkeypatch.setattr(Program, "get_command", lambda *_: command)
    result = run("train")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "drivetrain: note: `x` changes nothing here.\n"


def test_every_error_class_has_its_exit_code() -> None:
    for name in ("InputError", "ShapeError", "DataError", "ConfigError"):
        assert exits.explain(getattr(errors, name)("x")) == (2, "x")
    assert exits.explain(click.exceptions.Abort()) == (130, "Stopped.")
    assert exits.explain(click.ClickException("x")) == (2, "x")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
@pytest.mark.parametrize("word", ["samples", "--help"])
def test_a_reader_that_goes_away_ends_it_quietly(word: str) -> None:
    """As `drivetrain samples | head -0` would: the reading end is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "drivetrain", word], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_name_that_is_no_text_can_be_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drivetrain", "train", b"photos\xff"],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        b"drivetrain: There is no folder, file or sample 'photos\\udcff'. "
        b"List the samples with: drivetrain samples\n"
    )
