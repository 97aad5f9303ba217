"""A training in a process of its own, which is measured, and whose crash is an answer and not the end.

`run_trial` starts the process (`python -m drivetrain.cli.trial`), gives it its spec on stdin, and
waits. The process trains, or goes on with a run that was cut, measures it and writes
`measured/NAME.json`, with the errors of the items beside it. Its memory is its own: what it needed at
most is that of this training.

The pipe stays open as long as the parent lives: where it closes, the process ends itself as at Ctrl-C, so
that its run is kept and no training goes on unseen.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from drivetrain.errors import RunError

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.train.paired import Errors
    from drivetrain.train.sweeping import Row

PATIENCE = 30.0
"""Seconds that a process has to end itself when it is asked to."""
KEPT = 20
"""Last lines of what a process says that are kept, to tell why it failed."""
STOPPED_CODES = (130, 143, -2, -15)
"""Exit codes of a process that was asked to end: by itself, or by the system before it could."""
DATA_CODE = 65
"""Exit code where the data cannot be opened, which is so for every candidate."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    """Its exit code; below 0 the signal that ended it."""
    last: str
    """The last line that it said."""
    is_late: bool = False
    """It was ended since it took too long."""

    @property
    def why(self) -> str:
        """Why there is no result, in a sentence."""
        if self.is_late:
            return "It took several times its time, and was ended."
        if self.code < 0:
            name = signal.Signals(-self.code).name
            hint = ": most likely the memory was full" if name == "SIGKILL" else ""
            return f"The system ended it ({name}){hint}."
        return f"It ended with code {self.code}. {self.last}".rstrip()


def run_trial(spec: Mapping[str, Any], *, limit: float) -> Ended:
    """Train and measure in a process of its own, and wait for it.

    Args:
        spec: plain JSON; see `main`.
        limit: seconds after which it is ended.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "drivetrain.cli.trial"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the parent, which then ends this one in order
    )
    assert process.stdin is not None and process.stderr is not None, "pipes, as asked"
    lines: list[str] = []
    reader = threading.Thread(target=_keep_last, args=(process.stderr, lines), daemon=True)
    reader.start()
    is_late = False
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(spec).encode() + b"\n")
            process.stdin.flush()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            is_late = True
    finally:
        _end(process)
        reader.join(5)
        if not reader.is_alive():
            process.stderr.close()
    return Ended(process.returncode, lines[-1] if lines else "", is_late)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process that still runs to end itself, and end it where it does not."""
    assert process.stdin is not None, "a pipe, as asked"
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _keep_last(stream: Any, lines: list[str]) -> None:
    for line in stream:
        said = line.decode("utf-8", "replace").rsplit("\r", 1)[-1].strip()
        if said:
            lines.append(said)
            del lines[:-KEPT]


# --- what a process leaves --------------------------------------------------------------------------


def read_measured(folder: Path, name: str) -> tuple[Row, Errors | None] | None:
    """What a process wrote about a training; None where there is nothing, or nothing whole.

    Args:
        folder: in which `measured/` is.
    """
    from drivetrain import store
    from drivetrain.train.paired import Errors
    from drivetrain.train.sweeping import Row

    path = folder / "measured" / f"{name}.json"
    if not path.is_file():
        return None
    try:
        value = store.read_json(path)
        if not isinstance(value, dict):
            return None
        row = Row.from_json(value)
        if "errors" not in value:
            return row, None
        told = value["errors"]
        tensors = store.read_tensors(path.with_suffix(".safetensors"), sha256=told["sha256"])
        groups = tensors["groups"].numpy() if "groups" in tensors else None
        return row, Errors(told["kind"], tensors["values"].numpy(), groups, told["items"])
    except (RunError, KeyError, TypeError):  # a folder that somebody changed: measured again
        return None


def write_failed(folder: Path, name: str, run: str, why: str, *, state: str = "failed") -> None:
    """Note that there is no result, and why: it failed, or waits for a longer time."""
    from drivetrain import store

    store.make_folders(folder / "measured")
    value = {"name": name, "state": state, "run": run, "note": why}
    store.write_json(folder / "measured" / f"{name}.json", value)


def peak_bytes() -> int | None:
    """The largest memory that this process has had, in bytes; None where the system does not say."""
    try:
        # the counter of `resource` is not set back where a process becomes another program
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        import resource
    except ModuleNotFoundError:
        return None
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found


# --- the process ------------------------------------------------------------------------------------


def main() -> int:
    """Train, measure and write, as the line on stdin says.

    The line is JSON: `{"name", "folder", "run", "kind", …}`; a `kind` of `candidate` is trained by
    `cli.trying`, one of `again` by `cli.again`. A run folder that is there is gone on with, or only
    measured where it is finished.
    """
    began = time.perf_counter()
    spec = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stderr = cast(TextIO, _Heard(sys.stderr))
    from drivetrain.cli import exits
    from drivetrain.cli.trying import DataPhaseError, TooShortError

    folder, name, run = Path(spec["folder"]), spec["name"], spec["run"]
    try:
        learner = _train(spec, began)
        _write_measured(folder, name, run, _peak_of(spec), learner)
    except KeyboardInterrupt:
        return 143
    except DataPhaseError as error:
        cause = error.__cause__
        assert isinstance(cause, Exception), "raised from one"
        write_failed(folder, name, run, exits.explain(cause)[1])
        return DATA_CODE
    except TooShortError as error:
        write_failed(folder, name, run, _too_short(error.seconds), state="waiting")
        return exits.DONE
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this candidate's answer
        code, line = exits.explain(error)
        write_failed(folder, name, run, line)
        return code
    return exits.DONE


def _too_short(seconds: float) -> str:
    minutes = math.ceil(seconds / 6) / 10
    return (
        f"not tried: the least that trains takes about {minutes:g} minutes here. The same line with "
        f"--each {minutes:g}, and --minutes for it, goes on with it"
    )


def _train(spec: Mapping[str, Any], began: float) -> Learner | None:
    """Train, or go on; the Learner where it is at hand."""
    from drivetrain.cli.again import train_again
    from drivetrain.cli.trying import train_candidate
    from drivetrain.train.run import Run

    folder = Path(spec["run"])
    if (folder / "run.json").is_file():
        if "results" not in Run.open(folder).read():
            _resume(folder)
        return None
    if spec["kind"] == "candidate":
        return train_candidate(spec, began=began)
    train_again(spec)
    return None


def _resume(folder: Path) -> None:
    from drivetrain import collab, tabular, text, vision
    from drivetrain.cli.common import application_of
    from drivetrain.tabular.leaderboard import finish
    from drivetrain.train.run import Run

    application = application_of(folder)
    if application == "tabular" and "board" in Run.open(folder).read():
        finish(folder)
        return
    homes: dict[str, Any] = {"tabular": tabular, "text": text, "collab": collab}
    homes.get(application, vision).resume(folder)


def _peak_of(spec: Mapping[str, Any]) -> int | None:
    """Now, before anything is measured; of a run that was trained before by another process, nothing."""
    return None if spec.get("is_there") else peak_bytes()


def _write_measured(
    folder: Path, name: str, run: str, peak: int | None, learner: Learner | None
) -> None:
    import torch

    from drivetrain import store
    from drivetrain.cli.measuring import measure_run

    found, errors = measure_run(Path(run), learner)
    store.make_folders(folder / "measured")
    tensors = {"values": torch.from_numpy(errors.values)}
    if errors.groups is not None:
        tensors["groups"] = torch.from_numpy(errors.groups)
    path = folder / "measured" / f"{name}.json"
    digest = store.write_tensors(path.with_suffix(".safetensors"), tensors)
    told = {"sha256": digest, "kind": errors.kind, "items": errors.items}
    value = {"name": name, "state": "done", "run": run, "peak_bytes": peak, **found, "errors": told}
    store.write_json(path, value)


class _Heard:
    """A stream whose reader may be gone: what is said then is heard by nobody, and is no error.

    Where the parent is killed, a progress line would else end the training before it can save itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Say it, to whoever is there."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """As `write`."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _end_with_parent() -> None:
    """Wait for the end of stdin, which is that of the parent, and end as at a SIGTERM."""
    while os.read(0, 1):  # not by `sys.stdin`, whose lock a thread that waits would hold at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
