"""EarlyStopping: when it ends a fit, and what it says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.train import loop
from drivetrain.train.callbacks.early_stopping import EarlyStopping
from drivetrain.train.run import Run
from tests.train.blobs import learner
from tests.train.callbacks.cutting import cut_and_resumed, fit_state, history

NAN = math.nan


class Script(dt.Callback):
    """Puts given values into the column `score`."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def after_validate(self, state: Any) -> None:
        state.row["score"] = self.values[state.epochs_done]


@pytest.mark.parametrize(
    ("values", "options", "epochs"),
    [
        ([5, 4, 3, 2, 1], {"patience": 1}, 5),
        ([5, 4, 4, 2, 1], {"patience": 1}, 3),
        ([5, 4, 4, 2, 3, 3, 3], {"patience": 2}, 6),
        ([5, 4.9, 4.8, 4.7], {"patience": 2, "min_delta": 0.5}, 3),
        ([NAN, NAN, NAN, 1], {"patience": 3}, 3),
        ([NAN, 3, NAN, 2, NAN, NAN, 1], {"patience": 2}, 6),
        ([1, 2, 3, 3, 3], {"patience": 2, "mode": "max"}, 5),
        ([1, 1, 1, 1, 1], {"patience": 2, "mode": "max"}, 3),
    ],
)
def test_it_stops_after_so_many_epochs_without_a_better_value(
    values: list[float], options: dict[str, Any], epochs: int
) -> None:
    stopping = EarlyStopping("score", **({"mode": "min"} | options))
    state = fit_state(Script(values), stopping, epochs=len(values))
    loop.fit(state)
    assert state.epochs_done == epochs
    assert [row["score"] for row in history(state)] == pytest.approx(values[:epochs], nan_ok=True)
    assert bool(stopping.reason) == (epochs < len(values))


def test_it_says_why_in_one_line(capsys: Any) -> None:
    stopping = EarlyStopping("score", patience=2, mode="min")
    loop.fit(fit_state(Script([5, 4, 4.5, 4.1, 1]), stopping, epochs=5))
    assert stopping.reason == (
        "Stopped after 4 of 5 epochs: score has not been better than 4 (epoch 1) for 2 epochs."
    )
    assert capsys.readouterr().err == stopping.reason + "\n"
    loop.fit(fit_state(Script([NAN, NAN]), EarlyStopping("score", patience=1, mode="min")))
    assert capsys.readouterr().err == (
        "Stopped after 1 of 3 epochs: score has not been a finite number for 1 epoch.\n"
    )


def test_a_wrong_name_is_refused_at_the_first_epoch() -> None:
    state = fit_state(EarlyStopping("valid_los"))
    with pytest.raises(ConfigError, match="Did you mean 'valid_loss'") as caught:
        loop.fit(state)
    assert str(caught.value) == (
        "`EarlyStopping` watches 'valid_los', which the history has no column of. "
        "Did you mean 'valid_loss'? Columns: epoch, train_loss, valid_loss, accuracy."
    )
    assert state.step == 5


def test_a_cancelled_epoch_is_not_counted() -> None:
    class Skip(dt.Callback):
        def before_epoch(self, state: Any) -> None:
            if state.epochs_done in (1, 2):
                raise dt.CancelEpoch

    stopping = EarlyStopping("score", patience=1, mode="min")
    state = fit_state(Script([3, 9, 9, 2, 5]), Skip(), stopping, epochs=6)
    loop.fit(state)
    assert state.epochs_done == 5


def test_a_run_killed_before_it_could_stop_stops_all_the_same(capsys: Any) -> None:
    def make() -> Any:
        stopping = EarlyStopping("score", patience=1, mode="min")
        return fit_state(Script([1, 2, 0]), stopping)

    found = cut_and_resumed(make, ("epoch", 2))
    assert (found.epochs_done, found.step) == (2, 10)
    assert capsys.readouterr().err.startswith("Stopped after 2 of 3 epochs: score has not been")


def test_in_a_run_the_last_epoch_is_logged_and_saved(tmp_path: Path) -> None:
    stopping = EarlyStopping("score", patience=1, mode="min")
    trained = learner(callbacks=[Script([1, 2, 0]), stopping], out=tmp_path / "run")
    trained.fit(3)
    assert [row["score"] for row in Run.open(tmp_path / "run").read_log()] == [1, 2]
    assert (trained.journal[0].status, trained.journal[0].epochs_done) == ("cancelled", 2)
    newest = tmp_path / "run" / "checkpoints" / "epoch-0002-batch-000000.json"
    assert newest.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"patience": 0},
            "`EarlyStopping` needs `patience` as a whole number of 1 or more. Got 0.",
        ),
        (
            {"patience": 1.5},
            "`EarlyStopping` needs `patience` as a whole number of 1 or more. Got 1.5.",
        ),
        ({"min_delta": -1}, "`EarlyStopping` needs `min_delta` of at least 0. Got -1."),
        (
            {"mode": "mim"},
            "`EarlyStopping` needs `mode` to be one of None, 'min', 'max'. Got 'mim'. "
            "Did you mean 'min'?",
        ),
    ],
)
def test_wrong_arguments_are_answered(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EarlyStopping(**options)
    assert str(caught.value) == sentence
