"""Every way a command can end, as an exit code and one line on stderr."""

from __future__ import annotations

import errno
import io
import os
import platform
import re
import shlex
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from drivetrain._registry import did_you_mean
from drivetrain.errors import DrivetrainError, Interrupted

DONE, WRONG_INPUT, SYSTEM_FAILED, OUR_BUG = 0, 2, 3, 4
STOPPED = 130
"""128 + SIGINT, what a shell gives a program that Ctrl-C ended."""
READER_GONE = 141
"""128 + SIGPIPE: as in `drivetrain predict … | head -1`."""

_MOVES = re.compile(
    "[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]"
)

_DISK_OR_MEMORY = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EIO", "EROFS", "ENOMEM", "EMFILE", "ENFILE")
    if hasattr(errno, name)
)


class StoppedError(Exception):
    """Ctrl-C or SIGTERM, with a sentence that says how to go on."""

    exit_code = STOPPED


class ReaderGoneError(Exception):
    """Nobody reads what we write any more."""


class RefusedError(DrivetrainError):
    """Wrong input of which all has been said already: ends with code 2 and no further line."""


def stopped(run: Path, error: KeyboardInterrupt) -> StoppedError:
    """Ctrl-C or SIGTERM during the training of `run`."""
    if not isinstance(error, Interrupted):  # outside of a fit, or for the second time
        return StoppedError(f"Stopped. Continue with: drivetrain resume {shlex.quote(str(run))}")
    found = StoppedError(str(error))
    found.exit_code = error.exit_code
    return found


def code_of(run: Callable[[], Any], *, words: Sequence[str]) -> int:
    """Run a command, report how it ended, and return the exit code.

    Args:
        run: the command; an int that it returns is its exit code.
        words: the arguments of the command line; `--debug` among them shows tracebacks.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may be no text at all
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = run()
        return code if isinstance(code, int) else DONE
    except Exception as error:  # noqa: BLE001 - the last stop before a traceback on the screen
        if isinstance(error, ReaderGoneError):
            _let_go_of_pipes()
            return READER_GONE
        if "--debug" in words and not isinstance(
            error, click.ClickException | click.exceptions.Exit
        ):
            traceback.print_exception(error)
        code, line = explain(error, words)
        if line:
            print_line(line)
        return code


def explain(error: Exception, words: Sequence[str] = ()) -> tuple[int, str]:
    """Exit code and sentence of an exception; no sentence where all is said already."""
    if isinstance(error, RefusedError):
        return error.exit_code, ""
    if isinstance(error, DrivetrainError):
        return error.exit_code, as_typed(_with_notes(error))
    if isinstance(error, StoppedError):
        return error.exit_code, str(error)
    if isinstance(error, click.exceptions.Abort):
        return STOPPED, "Stopped."
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "drivetrain"
        message = error.format_message()
        if isinstance(error, click.NoSuchOption):
            # click names several, in brackets, by the alphabet
            near = did_you_mean(error.option_name, error.possibilities or ())
            message = f"No such option '{error.option_name}'.{near}"
        stop = "" if message.endswith((".", "?")) else "."
        return WRONG_INPUT, f"{message}{stop} See: {command} --help"
    if isinstance(error, click.ClickException):
        return WRONG_INPUT, error.format_message()
    if _is_out_of_memory(error):
        return SYSTEM_FAILED, (
            "The memory is full. Use a smaller --size, or smaller batches: --set batch_size=16."
        )
    if isinstance(error, OSError) and error.errno in _DISK_OR_MEMORY:
        where = f" {error.filename}:" if error.filename else ""
        return SYSTEM_FAILED, f"The system failed:{where} {error.strerror}."
    kind = type(error).__name__
    said = f"{kind}: {error}" if str(error) else kind
    return OUR_BUG, (
        f"A mistake in Drivetrain, not in your data: {said}. {_write_log(error, words)} "
        "--debug shows the traceback."
    )


def print_line(text: str) -> None:
    """One line on stderr, whatever line breaks the text had."""
    tell(f"drivetrain: {' '.join(text.split())}")


_in_place = [0]  # how long the line is that stands in the terminal and will be written over


class Wiping:
    """A terminal that takes away what `show_in_place` left before anything else is written to it."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal

    def write(self, text: str) -> int:
        """Write on a line of its own."""
        wipe()
        return self.terminal.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


def _terminal() -> TextIO:
    return sys.stderr.terminal if isinstance(sys.stderr, Wiping) else sys.stderr


def show_in_place(text: str) -> None:
    """Write over what stands in the terminal's last line; it stays there until `wipe`."""
    terminal = _terminal()
    terminal.write(f"\r{text:<{_in_place[0]}}")
    terminal.flush()
    _in_place[0] = len(text)


def wipe() -> None:
    """Take away what `show_in_place` left, so that what comes next begins a line."""
    if _in_place[0]:
        terminal = _terminal()
        terminal.write(f"\r{'':<{_in_place[0]}}\r")
        terminal.flush()
        _in_place[0] = 0


def tell(text: str) -> None:
    """The text on stderr, with what moves a terminal as its escape."""
    wipe()
    click.echo(visible(text), err=True)


_KINDS = re.compile(r"""kinds=\{(['"])(.+?)\1: (['"])(.+?)\3\}""")


_TYPED = tuple(
    (re.compile(re.escape(called).replace(r"\ ", r"\s+")), typed)  # words may be on two lines
    for called, typed in (
        ("give `encoding`.", "give it: --set encoding=NAME."),
        ("say so with `kinds`", "say so with --kind COLUMN=KIND"),
        (
            "say so with `log`, or `log_target` for the target",
            """say so with --set 'log=["COLUMN"]', or --set log_target=true for the target""",
        ),
    )
)


def as_typed(text: str) -> str:
    """The text with what is said in Python as it is typed here.

    >>> as_typed("if they are codes, say kinds={'a b': 'category'}")
    "if they are codes, say --kind 'a b=category'"
    """
    text = _KINDS.sub(lambda found: f"--kind {shlex.quote(f'{found[2]}={found[4]}')}", text)
    for called, typed in _TYPED:
        text = called.sub(lambda _, typed=typed: typed, text)
    return text


def visible(text: str) -> str:
    """The text with what moves a terminal, or turns the direction of writing, as its escape.

    Labels and file names come from strangers.

    >>> visible("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return _MOVES.sub(lambda found: repr(found[0])[1:-1], text)


def _with_notes(error: Exception) -> str:
    return " ".join([str(error), *getattr(error, "__notes__", [])])


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # where it is not loaded, it raised nothing
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # torch's allocator for the CPU says it with a plain RuntimeError
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _write_log(error: Exception, words: Sequence[str]) -> str:
    """Write the traceback to a new file in the folder for temporary files; a sentence that says where."""
    lines = [
        f"command: drivetrain {shlex.join(words)}",
        f"python: {platform.python_version()} on {platform.platform()}",
        "",
        *traceback.format_exception(error),
    ]
    try:
        handle, path = tempfile.mkstemp(prefix="drivetrain-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(line.rstrip("\n") for line in lines) + "\n")
    except OSError as problem:
        return f"No log could be written ({problem.strerror})."
    return f"The log is {path}."


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line, without the place in our code that nobody asked for."""
    print_line(f"note: {message}")


def _let_go_of_pipes() -> None:
    """Point stdout and stderr at nothing, else Python complains once more when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nothing, stream.fileno())
        except (OSError, ValueError):  # a stream without a file, as in tests
            continue
