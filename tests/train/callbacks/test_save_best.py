"""SaveBest: which weights it keeps, where, and when it brings them back."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.train import loop
from drivetrain.train.callbacks.early_stopping import EarlyStopping
from drivetrain.train.callbacks.ema import EMA
from drivetrain.train.callbacks.save_best import SaveBest
from tests.train.blobs import learner, weights
from tests.train.callbacks.cutting import Moment, cut_and_resumed, fit_state, history, sha

NAN = math.nan


class Score(dt.Callback):
    """Puts given values into the column `score`, and notes the weights of each epoch."""

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.hashes: list[str] = []

    def after_validate(self, state: Any) -> None:
        state.row["score"] = self.values[state.epochs_done]
        self.hashes.append(sha(state))


@pytest.mark.parametrize("with_folder", [False, True])
@pytest.mark.parametrize(
    ("values", "mode", "best"),
    [
        ([3, 1, 2], "min", 1),
        ([3, 1, 1], "min", 1),
        ([3, 1, 2], "max", 0),
        ([NAN, 1, NAN], "min", 1),
        ([NAN, NAN, math.inf], "max", None),
    ],
)
def test_the_weights_of_the_best_epoch_come_back(
    values: list[float], mode: str, best: int | None, with_folder: bool, tmp_path: Path
) -> None:
    score, kept = Score(values), SaveBest("score", mode=mode)
    state = fit_state(score, kept, folder=tmp_path if with_folder else None)
    loop.fit(state)
    assert kept.best_epoch == best
    assert kept.best == (None if best is None else values[best])
    assert sha(state) == score.hashes[-1 if best is None else best]
    assert len(set(score.hashes)) == 3
    files = sorted(path.name for path in (tmp_path / "checkpoints").glob("*"))
    names = [f"best-epoch-{best:04d}{end}" for end in (".json", ".safetensors") if best is not None]
    assert files == (names if with_folder else [])
    assert bool(kept.weights) == (not with_folder and best is not None)


def test_without_restore_the_last_weights_stay() -> None:
    score, kept = Score([1, 2, 3]), SaveBest("score", mode="min", restore=False)
    state = fit_state(score, kept)
    loop.fit(state)
    assert sha(state) == score.hashes[-1]
    assert store.weights_sha256(kept.weights) == score.hashes[0]


@pytest.mark.parametrize("with_folder", [False, True])
@pytest.mark.parametrize("moment", [("epoch", 1), ("batch", 8), ("valid", 2), ("epoch", 3)])
def test_a_best_epoch_before_the_cut_comes_back_after_it(
    moment: Moment, with_folder: bool, tmp_path: Path
) -> None:
    score = Score([1, 2, 3])

    def make() -> Any:
        folder = tmp_path if with_folder else None
        return fit_state(score, SaveBest("score", mode="min"), folder=folder)

    found = cut_and_resumed(make, moment)
    assert found is not None
    assert sha(found) == score.hashes[0]


class Raise(dt.Callback):
    order = 1000

    def __init__(self, what: BaseException, interrupted: int | None = None) -> None:
        self.what, self.interrupted = what, interrupted

    def after_epoch(self, state: Any) -> None:
        if state.epochs_done == 2:
            state.interrupted = self.interrupted
            raise self.what


@pytest.mark.parametrize(
    ("last", "comes_back"),
    [
        (Raise(dt.CancelFit()), True),
        (Raise(dt.CancelFit(), 2), False),
        (Raise(OSError("full")), False),
    ],
    ids=["cancelled", "signal", "error"],
)
def test_the_best_comes_back_only_where_the_fit_is_over(last: Raise, comes_back: bool) -> None:
    score = Score([1, 2, 3])
    state = fit_state(score, SaveBest("score", mode="min"), last)
    fails = isinstance(last.what, OSError)
    with pytest.raises(OSError, match=r"^full$") if fails else nullcontext():
        loop.fit(state)
    assert sha(state) == score.hashes[0 if comes_back else 1]


def test_after_early_stopping_the_best_comes_back() -> None:
    score = Score([1, 2, 3])
    stopping = EarlyStopping("score", patience=1, mode="min")
    state = fit_state(score, stopping, SaveBest("score", mode="min"))
    loop.fit(state)
    assert state.epochs_done == 2
    assert sha(state) == score.hashes[0]


def test_weights_that_are_not_finite_are_never_kept(tmp_path: Path) -> None:
    class Spoil(dt.Callback):
        def before_validate(self, state: Any) -> None:
            if state.epochs_done == 1:
                with torch.no_grad():
                    state.model[0].weight[0, 0] = NAN

    score, kept = Score([1, 2, 3]), SaveBest("score", mode="max")
    state = fit_state(Spoil(), score, kept, folder=tmp_path)
    loop.fit(state)
    assert (kept.best, kept.best_epoch) == (1, 0)
    assert sha(state) == score.hashes[0]


def test_with_averages_the_weights_that_were_validated_come_back() -> None:
    kept = SaveBest()
    state = fit_state(kept, EMA(0.8))
    loop.fit(state)
    assert state.loaders.valid is not None
    again = loop.evaluate(state.model, state.loaders.valid, state.loss_fn)
    assert again.loss == kept.best == min(row["valid_loss"] for row in history(state))


@pytest.mark.parametrize("damage", ["deleted", "cut short", "of another epoch"])
def test_a_best_file_that_is_gone_is_a_note_and_the_last_weights_stay(
    damage: str, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"

    class Damage(dt.Callback):
        def after_epoch(self, state: Any) -> None:
            if state.epochs_done == 3:
                path = folder / "best-epoch-0000.safetensors"
                if damage == "deleted":
                    path.unlink()
                    path.with_suffix(".json").unlink()
                elif damage == "cut short":
                    path.write_bytes(path.read_bytes()[:-1])
                else:
                    for one in (path, path.with_suffix(".json")):
                        one.rename(one.with_stem("best-epoch-0007"))
                    record = path.with_name("best-epoch-0007.json")
                    record.write_text(record.read_text().replace('"epoch": 0', '"epoch": 7'))

    score = Score([1, 2, 3])
    state = fit_state(score, SaveBest("score", mode="min"), Damage(), folder=tmp_path)
    why = {
        "cut short": f"{folder / 'best-epoch-0000.safetensors'} is damaged: its SHA-256 is not the one "
        "recorded. Restore it from a copy.",
    }.get(damage, f"{folder} does not hold them any more.")
    with pytest.warns(UserWarning, match="cannot be brought back") as caught:
        loop.fit(state)
    assert str(caught[0].message) == (
        f"The weights of the best epoch, 0, cannot be brought back: {why} "
        "The model keeps the weights of the last epoch."
    )
    assert sha(state) == score.hashes[-1]


def test_a_run_ends_with_the_best_weights(tmp_path: Path) -> None:
    score = Score([1, 2, 3])
    trained = learner(
        callbacks=[score, SaveBest("score", mode="min")], out=tmp_path / "run", metrics=["accuracy"]
    )
    trained.fit(3)
    assert weights(trained) == score.hashes[0]
    assert trained.run is not None
    assert trained.run.read()["results"]["weights_sha256"] == score.hashes[0]


def test_a_wrong_mode_is_answered() -> None:
    with pytest.raises(dt.errors.ConfigError) as caught:
        SaveBest(mode="lower")
    assert str(caught.value) == (
        "`SaveBest` needs `mode` to be one of None, 'min', 'max'. Got 'lower'."
    )
