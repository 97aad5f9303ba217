"""Runs of which the script is written, run without Drivetrain, and compared with the run."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import drivetrain as dt
from drivetrain import store
from tests import fresh

ALONE = (
    "import runpy, sys; sys.modules['drivetrain'] = None; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Runs a script where `import drivetrain` fails."""


@contextlib.contextmanager
def without_drivetrain() -> Iterator[None]:
    """Inside, importing Drivetrain fails as if it were not installed."""
    kept = {
        name: sys.modules.pop(name)
        for name in list(sys.modules)
        if name.split(".")[0] == "drivetrain"
    }
    sys.modules["drivetrain"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.update(kept)


def replayed_here(script: Path, out: Path, data: Path | None = None) -> dict[str, Any]:
    """Run a script in this process, without Drivetrain; returns the JSON that it ends with.

    The lines above that are its `printed`.
    """
    argv, threads = sys.argv, torch.get_num_threads()
    sys.argv = [str(script), "--out", str(out), *(["--data", str(data)] if data else [])]
    said = io.StringIO()
    try:
        with without_drivetrain(), contextlib.redirect_stdout(said):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = argv
        torch.set_num_threads(threads)
    return _answer(said.getvalue())


def replayed_alone(script: Path, out: Path, data: Path | None = None) -> dict[str, Any]:
    """The same in a process of its own."""
    words = [script, "--out", out, *(["--data", data] if data else [])]
    done = fresh.run(ALONE, *words, warn="error")
    assert done.returncode == 0, done.stderr[-3000:]
    return _answer(done.stdout)


def _answer(said: str) -> dict[str, Any]:
    *printed, last = said.splitlines()
    return json.loads(last) | {"printed": printed}


def replayed_with_drivetrain(script: Path, out: Path, data: Path | None = None) -> dict[str, Any]:
    """In a process of its own that may import Drivetrain, as the levels `data` and `loop` do."""
    command = [
        sys.executable,
        str(script),
        "--out",
        str(out),
        *(["--data", str(data)] if data else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return _answer(done.stdout)


def metrics_of(learner: dt.Learner) -> dict[str, float]:
    """The metrics of a result, as the script ends with them."""
    return learner.result()["metrics"]["valid"]


def check(
    learner: dt.Learner,
    folder: Path,
    *,
    data: Path | None = None,
    alone: bool = False,
    level: str = "all",
) -> str:
    """Eject, run, and compare weights and metrics; returns the script's text."""
    script = folder / "ejected.py"
    learner.eject(script, level=level)
    run = replayed_alone if alone else replayed_here
    answer = run(script, folder / "out", data)
    text = script.read_text("utf-8")
    assert "import drivetrain" not in text and "from drivetrain" not in text
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    saved = store.read_tensors(folder / "out" / "model.safetensors")
    assert store.weights_sha256(saved) == answer["weights_sha256"]
    assert same_numbers(answer["metrics"], metrics_of(learner)), (
        answer["metrics"],
        metrics_of(learner),
    )
    assert row_of(answer["printed"][-1]) == last_row(learner), (
        answer["printed"],
        last_row(learner),
    )
    return text


def row_of(line: str) -> dict[str, str]:
    """The columns of a line such as `epoch 1  train_loss 0.31`."""
    return dict(part.rsplit(" ", 1) for part in line.split("  "))  # pyright: ignore[reportReturnType]


def last_row(learner: dt.Learner) -> dict[str, str]:
    """The last row of a run's history as its script prints it."""
    row = learner.history[-1]
    return {name: f"{value:.4g}" for name, value in row.items() if name != "seconds"}


def same_numbers(a: dict[str, float], b: dict[str, float]) -> bool:
    """Equal to the bit; NaN equals NaN."""
    return a.keys() == b.keys() and all(a[k] == b[k] or (a[k] != a[k] and b[k] != b[k]) for k in a)
