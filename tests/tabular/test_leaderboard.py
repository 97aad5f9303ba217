"""Models side by side: an honest order, simple ones to beat, ensembles, and time that is kept."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.tabular.estimators import Prepared
from drivetrain.tabular.gathering import gather
from drivetrain.tabular.leaderboard import ALL, Leaderboard, ensemble_weights, leaderboard
from drivetrain.tabular.measure import measure
from drivetrain.tabular.models import load
from drivetrain.tabular.target import Target
from tests.tabular.tables import passengers, sales, write

QUICK = {
    "net": {"layers": [8], "epochs": 2},
    "forest": {"num_trees": 20},
    "extra_trees": {"num_trees": 20},
}


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return leaderboard(passengers(400), "lives", settings=QUICK, num_threads=1, progress=False)


@pytest.mark.row(102)
def test_the_simple_models_stand_in_every_leaderboard(board: Leaderboard) -> None:
    names = [entry.name for entry in board]
    assert {"majority", "one_r", "tree", "forest"} <= set(names)
    assert set(names) | set(board.left_out) == set(ALL)
    assert set(board.results()["baselines"]) >= {"majority", "one_r", "tree", "forest"} - {names[0]}


def test_the_best_comes_first_and_its_figures_are_those_of_its_predictions(
    board: Leaderboard,
) -> None:
    values = [entry.measured.value for entry in board]
    assert values == sorted(values, reverse=True)
    frame, targets = board.data.part("valid")
    for entry in board:
        if entry.name != "weighted_ensemble":  # measured crosswise
            outputs = board[entry.name].estimator.predict(Prepared(board.data.preprocess, frame))
            assert measure(board.data.target, outputs, targets).metrics == entry.measured.metrics
    assert board.best.name == board.entries[0].name


def test_it_prints_as_a_table_with_intervals(board: Leaderboard) -> None:
    lines = str(board).splitlines()
    assert lines[0].split()[:4] == ["model", "accuracy", "95%", "interval"]
    assert len([line for line in lines[1:] if "left out" not in line]) == len(board)
    for name, why in board.left_out.items():
        assert f"{name} is left out: {why}" in lines


def test_a_terminal_that_is_too_narrow_has_what_each_model_is_below_the_table(
    board: Leaderboard,
) -> None:
    wide, narrow = str(board).splitlines(), board.text(80).splitlines()
    assert max(map(len, wide)) > 80 >= max(map(len, narrow[: len(board) + 1]))
    table, below = narrow[: len(board) + 1], "\n".join(narrow[len(board) + 2 :])
    assert all(line.startswith(short) for line, short in zip(wide, table, strict=False))
    assert all(entry.name in below for entry in board)
    assert " ".join(board.best.name.split()) in " ".join(below.split())
    assert board.text(1000) == str(board)


def test_a_name_that_is_not_there_is_answered(board: Leaderboard) -> None:
    with pytest.raises(UnknownNameError, match=r"^The leaderboard has no 'oak'\. It has: "):
        board["oak"]
    with pytest.raises(
        UnknownNameError, match=r"^Unknown model 'forrest'\. Did you mean 'forest'\? "
    ):
        leaderboard(passengers(), "lives", models=["forrest"], progress=False)


def test_all_of_it_is_kept_and_found_again(board: Leaderboard, tmp_path: Path) -> None:
    board.save(tmp_path / "run")
    rows = passengers(50, seed=3)
    for name in board.models:
        again = load(tmp_path / "run" / "models" / name)
        assert (again.predict(rows).outputs == board[name].predict(rows).outputs).all()
    best = load(tmp_path / "run")
    assert best.name == board.best.name


@pytest.mark.row(82)
def test_an_average_errs_no_more_than_its_members_on_average() -> None:
    data = gather(sales(400), "takings", split="random", because="to compare averages")
    members = [
        dt.tabular.learner(data, layers=[16], epochs=3, seed=seed, progress=False)
        for seed in range(5)
    ]
    frame, targets = data.part("valid")
    answers = []
    for learner in members:
        learner.train()
        answers.append(learner.application.model(learner).predict_frame(frame))
    errors = [float(((answer - targets) ** 2).mean()) for answer in answers]
    assert ((np.mean(answers, axis=0) - targets) ** 2).mean() <= np.mean(errors)


def test_weights_find_the_mixture_that_is_right() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=500)
    noise = draw.normal(size=(3, 500))
    outputs = np.stack([truth + noise[0], truth + noise[1], 5 + noise[2]])
    weights = ensemble_weights(Target(("y",), "number"), outputs, truth)
    assert weights.sum() == pytest.approx(1)
    assert abs(weights[0] - 0.5) < 0.1 and abs(weights[1] - 0.5) < 0.1 and weights[2] < 0.05


@pytest.mark.row(68)
def test_an_ensemble_weighted_on_coin_flips_is_not_measured_by_what_it_was_fitted_to() -> None:
    draw = np.random.default_rng(1)
    columns = {f"x{i}": draw.normal(size=300) for i in range(4)} | {
        "coin": draw.choice(["heads", "tails"], 300)
    }
    data = gather(columns, "coin", valid=0.5)
    board = leaderboard(
        data, models=["majority", "tree", "linear", "forest", "extra_trees", "weighted_ensemble"],
        settings=QUICK, num_threads=1, progress=False,
    )  # fmt: skip
    if "weighted_ensemble" in board.models:
        entry = next(entry for entry in board if entry.name == "weighted_ensemble")
        assert entry.measured.interval is not None
        assert entry.measured.interval[0] < 0.5 < entry.measured.interval[1]
        assert "weights from half of the validation rows, measured on the other" in entry.note


def test_what_does_not_fit_into_the_time_is_left_out_and_said() -> None:
    found = leaderboard(passengers(), "lives", minutes=1e-6, num_threads=1, progress=False)
    assert {entry.name for entry in found} == {"majority", "one_r", "tree"}
    assert found.left_out["boosting"] == "the time was up; give it more with --minutes"
    with pytest.raises(ConfigError, match=r"^`minutes` must be above 0\. Got 0\.$"):
        leaderboard(passengers(), "lives", minutes=0, progress=False)


def test_several_targets_have_a_leaderboard_of_those_that_can(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", sales())
    found = leaderboard(path, ["takings", "heat"], settings=QUICK, num_threads=1, progress=False)
    assert {"majority", "linear", "net"} <= {entry.name for entry in found}


def test_the_seconds_of_a_model_hold_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, imported = [0.0], []
    here = importlib.import_module("drivetrain.tabular.leaderboard")

    def slowly(name: str, *, extra: str) -> None:
        imported.append((name, extra))
        clock[0] += 5.0

    monkeypatch.setattr(here, "require", slowly)
    monkeypatch.setattr(here.time, "perf_counter", lambda: clock[0])
    found = leaderboard(passengers(60), "lives", models=["tree"], progress=False, announce=False)
    assert ("sklearn.tree", "tabular") in imported
    assert max(entry.seconds for entry in found) == 0
