"""`drivetrain diff`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.train.test_comparing import results, run as made


def test_two_runs_are_told_apart(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(Path("a"))
    made(Path("b"), seed=7, results=results(0.8, 0.75, 0.84))
    assert run("diff", "a", "b").stdout == (
        "first   a\n"
        "second  b\n"
        "Data: the same. Split: the same. Weights: not the same.\n"
        "\n"
        "Set differently\n"
        "        first  second\n"
        "  seed  42     7\n"
        "\n"
        "Validation\n"
        "            first           second\n"
        "  loss      0.500           0.400           second is better\n"
        "  accuracy  0.900           0.800           first is better\n"
        "  own       -               1.000\n"
        "  interval  0.850 to 0.940  0.750 to 0.840\n"
        "\n"
        "The intervals do not overlap: the difference is more than chance.\n"
    )
    document = json.loads(run("diff", "a", "a", "--json").stdout)
    assert document["settings"] == [] and document["same_weights"]
    assert "Nothing was set differently." in run("diff", "a", "a").stdout


def test_a_folder_that_is_no_run_is_refused(run, tmp_path: Path) -> None:
    result = run("diff", tmp_path / "x", tmp_path / "y")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("x is not a run folder: there is no such folder.\n")
