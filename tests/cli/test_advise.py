"""`drivetrain advise`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.train.test_advice import FITTED, made


def test_a_run_is_advised_in_words_and_as_json(run, tmp_path: Path) -> None:
    folder = made(tmp_path / "a", FITTED)
    lines = run("advise", folder).stdout.splitlines()
    assert lines[5] == "> 6 a smaller model" and lines[-1].endswith("--model resnet_tiny")
    document = json.loads(run("advise", folder, "--json").stdout)
    assert (document["rung"], document["number"]) == ("smaller", 6)


def test_what_is_no_run_is_refused(run, tmp_path: Path) -> None:
    result = run("advise", tmp_path / "x")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("x is not a run folder: there is no such folder.\n")
