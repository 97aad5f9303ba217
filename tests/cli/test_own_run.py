"""Commands on the run of a model and loaders of somebody's own: what they can do, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import drivetrain as dt


class Net(torch.nn.Module):
    """A line."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(x)


def loaders() -> tuple[dt.BatchLoader, dt.BatchLoader]:
    inputs = torch.linspace(-1, 1, 48).reshape(24, 2)
    data = dt.TensorData(inputs, (inputs[:, 0] > 0).long())
    return dt.BatchLoader(data, batch_size=8), dt.BatchLoader(data, batch_size=8)


def trained(folder: str, **options: int) -> dt.Learner:
    learner = dt.Learner(
        Net, loaders, "cross_entropy", metrics=["accuracy"], out=folder, progress=False, **options
    )
    learner.fit(2, 1e-2)
    return learner


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    trained("own")
    return Path("own")


@pytest.mark.parametrize(
    "words",
    [
        *(["resume", "own"], ["show", "own"], ["summary", "own"], ["advise", "own"]),
        *(["eject", "own", "-o", "a.py"], ["export", "own", "-o", "b"], ["predict", "own", "own"]),
        *(
            ["evaluate", "own", "--on", "digits"],
            ["explain", "own"],
            ["clean", "own"],
            ["map", "own"],
        ),
    ],
    ids=lambda words: words[0],
)
def test_what_only_its_program_can_make_is_said_and_not_called_damage(
    run, own: Path, words: list[str]
) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "drivetrain: own is the run of a model and loaders of your own, which only your program can "
        "make. Make the Learner there as it was, then: learner.open_run('own'), and learner.resume(), "
        "evaluate(…), predict(…) or eject(…).\n"
    )


def test_two_of_them_are_compared_and_reported(run, own: Path) -> None:
    trained("other", seed=7)
    found = json.loads(run("diff", "own", "other", "--json").stdout)
    assert {"name": "seed", "first": 42, "second": 7} in found["settings"]
    assert run("why", "own").stdout == "own says of no choice why it was made.\n"
    result = run("report", "own")
    assert result.exit_code == 0, result.stderr
    page = Path("own/report.html").read_text()
    assert "accuracy" in page and "Linear" not in page


def test_it_is_opened_by_its_folder(own: Path) -> None:
    done = dt.Run.open(own).read()["results"]["weights_sha256"]
    again = dt.Learner(Net, loaders, "cross_entropy", progress=False)
    again.open_run(own)
    assert again.result()["weights_sha256"] == done
