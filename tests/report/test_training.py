"""The curves: what lies between two epochs, its smoothing, and the rate as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

import drivetrain as dt
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.report.record import open_record
from drivetrain.report.training import rates, smoothed, training
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.batch_log import PIECES, means_of_pieces
from drivetrain.train.run import Run
from drivetrain.train.state import FitState
from tests.report.hostile import record_of


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(1, 64)), min_size=1, max_size=PIECES))
def test_few_batches_are_kept_one_by_one(batches: list[tuple[float, int]]) -> None:
    losses, counts = (np.array(part, dtype=np.float64) for part in zip(*batches, strict=True))
    assert means_of_pieces(losses, counts) == pytest.approx(losses.tolist(), rel=1e-5, abs=1e-300)


@given(st.integers(PIECES, 400), st.integers(1, 5))
def test_many_are_means_that_have_the_mean_of_all(count: int, seed: int) -> None:
    losses = np.random.default_rng(seed).normal(3, 1, count)
    pieces = means_of_pieces(losses, np.full(count, 8))
    sizes = [len(part) for part in np.array_split(losses, PIECES)]
    known = [value for value in pieces if value is not None]
    assert len(known) == PIECES
    assert np.average(known, weights=sizes) == pytest.approx(losses.mean(), rel=1e-5)


def test_a_loss_that_is_no_number_leaves_a_gap() -> None:
    assert means_of_pieces(np.array([1.0, np.nan, np.inf]), [1, 1, 1]) == [1.0, None, None]


class Rates(Callback):
    """Keeps the rates that the optimizer really had."""

    only_looks = True

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def before_step(self, state: FitState) -> None:
        now = [group["lr"] for group in state.optimizer.param_groups]
        # two of the optimizer's groups (weights and biases) for each layer group that is not frozen
        self.seen.append([now[0] if len(now) == 4 else 0.0, now[-1]])


class TwoGroups(nn.Sequential):
    """A body and a head."""

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self[0]], [self[2]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rates]:
    """A run of two stages, the first with its first layer frozen."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(160, 4, generator=generator)
    data = TensorData(inputs, inputs.sum(1, keepdim=True))
    kept = Rates()
    model = TwoGroups(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    learner = dt.Learner(
        model, Loaders(BatchLoader(data, batch_size=16, shuffle=True), BatchLoader(data)), "mse",
        callbacks=[kept], progress=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "run"
    learner.start_run(Run.create(folder))
    learner.fine_tune(3, 0.01)
    assert learner.run is not None
    learner.run.release()
    return folder, kept


def test_the_log_has_the_batches_of_each_epoch_beside_its_true_mean(
    trained: tuple[Path, Rates],
) -> None:
    run = Run.open(trained[0])
    value = {**run.read(), "task": {"application": "none"}}
    run.write({name: part for name, part in value.items() if name != "format"})
    record = open_record(trained[0])
    assert sorted(record.batches) == [row["epoch"] for row in record.epochs] == [0, 1, 2, 3]
    for row in record.epochs:  # ten batches of sixteen, all of one size
        losses = [loss for loss in record.batches[row["epoch"]] if loss is not None]
        assert len(losses) == 10
        assert np.mean(losses) == pytest.approx(row["train_loss"], rel=1e-5)


def test_the_rates_that_are_drawn_are_those_that_were(trained: tuple[Path, Rates]) -> None:
    folder, kept = trained
    journal = Run.open(folder).read()["journal"]
    found = rates(journal, steps_an_epoch=10)
    assert len(found) == 2
    seen = np.array(kept.seen)  # (40, groups)
    steps = np.arange(len(seen)) / 10
    for x, curves in found:
        for group, curve in enumerate(curves):
            inside = (steps >= x[0]) & (steps < x[-1])
            drawn = np.interp(steps[inside], x, curve)
            true = seen[inside, group]
            is_frozen = group == 0 and x[0] == 0
            assert drawn.any() != is_frozen
            assert is_frozen or drawn == pytest.approx(true, abs=0.03 * seen[:, group].max())


def test_smoothing_leaves_a_constant_and_bridges_a_gap(tmp_path: Path) -> None:
    record = replace(record_of(tmp_path / "run"), batches={0: (2.0, None, 2.0), 1: (2.0,)})
    x, y = smoothed(record)
    assert x == pytest.approx([1 / 6, 0.5, 5 / 6, 1.5])
    assert y[1] is None and [v for v in y if v is not None] == pytest.approx([2.0, 2.0, 2.0])


def test_a_run_without_batches_says_so_and_one_without_epochs_has_no_curves(tmp_path: Path) -> None:
    record = record_of(tmp_path / "run")
    section = training(replace(record, batches={}))
    assert section is not None
    assert "The losses of the batches were not kept in this run." in section.blocks[0].html
    assert training(replace(record, epochs=())) is None


def test_a_journal_of_another_form_draws_no_rates() -> None:
    broken = [{}, {"kind": "fit"}, 3, {"kind": "fit", "steps_done": 5, "schedule": {"name": "x"}}]
    assert rates(broken, 1.0) == [] and rates(None, 1.0) == []
