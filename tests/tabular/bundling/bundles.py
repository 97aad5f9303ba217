"""What tests of bundles of tables share: small models of every kind, and running `predict.py`."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import drivetrain as dt
from drivetrain.cli import program
from drivetrain.tabular.estimators import AverageEstimator
from drivetrain.tabular.models import TabularModel
from tests.eject.replay import without_drivetrain

KINDS = ("tree", "forest", "boosting", "linear", "net", "average")
FEW = {"forest": {"num_trees": 9}, "boosting": {"num_trees": 9}}


def trained(name: str, source: Any, target: Any, **options: Any) -> TabularModel:
    """A small model of a kind; an `average` is of a forest, a linear model and a net."""
    data = dt.tabular.gather(source, target, **options)
    if name != "average":
        return one_of(name, data)
    parts = [one_of(part, data) for part in ("forest", "linear", "net")]
    average = AverageEstimator(
        [part.estimator for part in parts],
        [part.name for part in parts],
        np.array([0.5, 0.2, 0.3]),
    )
    return TabularModel(
        name,
        average,
        reader=data.reader,
        preprocess=data.preprocess,
        target=data.target,
        data=data,
    )


def one_of(name: str, data: Any) -> TabularModel:
    """A small model of a table that was read."""
    if name != "net":
        return dt.tabular.fit(data, model=name, num_threads=1, settings=FEW.get(name))
    learner = dt.tabular.learner(data, layers=[8], epochs=2, progress=False)
    learner.train()
    assert learner.application is not None
    return learner.application.model(learner)  # pyright: ignore[reportAttributeAccessIssue]


def answered_here(folder: Path, *words: object) -> tuple[int, str, str]:
    """Run `predict.py` in this process, without Drivetrain: (exit code, stdout, stderr)."""
    argv, threads = sys.argv, torch.get_num_threads()
    sys.argv = [str(folder / "predict.py"), *map(str, words)]
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            without_drivetrain(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = argv
        torch.set_num_threads(threads)
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def check_equal(folder: Path, *tables: Path) -> list[dict[str, Any]]:
    """`predict.py` and `drivetrain predict` answer the same; equality of floats is equality of bits."""
    done = CliRunner().invoke(program, ["predict", str(folder), *map(str, tables), "--json"])
    assert done.exit_code == 0, done.output
    expected = json.loads(done.stdout)
    code, out, err = answered_here(folder, *tables, "--json")
    assert code == 0, err
    assert json.loads(out) == expected
    assert [list(one) for one in json.loads(out)] == [list(one) for one in expected]
    return expected
