"""Watching a column: what is better, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.metrics import metric
from drivetrain.train import loop
from drivetrain.train.monitoring import Watch, columns_of
from tests.train.callbacks.cutting import fit_state, loaders

NAN, INF = math.nan, math.inf


def looks(watch: Watch, values: list[float], metrics: Any = ()) -> list[bool]:
    state = fit_state(metrics=metrics)
    answers = []
    for epoch, value in enumerate(values):
        state.epochs_done = epoch
        state.row = {"epoch": epoch, watch.monitor: value}
        answers.append(watch.look(state))
    return answers


@pytest.mark.parametrize(
    ("monitor", "mode", "values", "better"),
    [
        ("valid_loss", None, [3.0, 2.0, 2.0, 2.5, 1.0], [1, 1, 0, 0, 1]),
        ("my_loss", None, [3.0, 4.0], [1, 0]),
        ("accuracy", None, [0.5, 0.6, 0.4], [1, 1, 0]),
        ("error_rate", None, [0.5, 0.6, 0.4], [1, 0, 1]),
        ("accuracy", "min", [0.5, 0.6, 0.4], [1, 0, 1]),
        ("valid_loss", "max", [3.0, 2.0, 4.0], [1, 0, 1]),
        ("valid_loss", None, [NAN, 2.0, NAN, 1.0], [0, 1, 0, 1]),
        ("valid_loss", None, [-INF, 2.0, INF, -INF], [0, 1, 0, 0]),
    ],
)
def test_what_is_better(
    monitor: str, mode: str | None, values: list[float], better: list[int]
) -> None:
    watch = Watch("Mine", monitor, mode=mode)
    assert looks(watch, values, ("accuracy", "error_rate")) == [bool(one) for one in better]
    assert watch.bad_epochs == better[::-1].index(1)
    assert watch.best_epoch == len(better) - 1 - better[::-1].index(1)


def test_better_by_less_than_min_delta_is_not_better() -> None:
    watch = Watch("Mine", "valid_loss", min_delta=0.5)
    assert looks(watch, [3.0, 2.6, 2.5, 2.4]) == [True, False, False, True]


def test_a_column_that_is_not_there_is_refused_with_the_nearest() -> None:
    state = fit_state()
    state.row = {"epoch": 0, "train_loss": 1.0, "valid_loss": 2.0, "accuracy": 0.5}
    with pytest.raises(ConfigError) as caught:
        Watch("Mine", "valid_los").look(state)
    assert str(caught.value) == (
        "`Mine` watches 'valid_los', which the history has no column of. Did you mean 'valid_loss'? "
        "Columns: epoch, train_loss, valid_loss, accuracy."
    )


def test_a_column_that_is_left_out_later_is_no_epoch() -> None:
    watch, state = Watch("Mine", "valid_loss"), fit_state()
    state.row = {"valid_loss": 1.0}
    assert watch.look(state)
    state.row = {}
    assert not watch.look(state)
    assert watch.bad_epochs == 0


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"seconds": 1.0},
            "`Mine` cannot tell whether more or less of 'seconds' is better: it is neither a loss nor a "
            "metric that says so. Give `mode='min'` or `mode='max'`.",
        ),
        ({"seconds": "long"}, "`Mine` watches 'seconds', which holds no number. Got 'long'."),
    ],
)
def test_a_column_that_says_nothing_is_refused(row: dict[str, Any], sentence: str) -> None:
    state = fit_state()
    state.row = row
    mode = "min" if "no number" in sentence else None
    with pytest.raises(ConfigError) as caught:
        Watch("Mine", "seconds", mode=mode).look(state)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("monitor", ["valid_loss", "accuracy"])
def test_what_needs_a_validation_is_refused_without_one(monitor: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Watch("Mine", monitor).check(fit_state(loaders=loaders(valid=False)))
    assert str(caught.value) == (
        f"`Mine` watches '{monitor}', but there are no validation items to measure it on. "
        "Give a validation loader, or `monitor='train_loss'`."
    )


def test_without_a_record_the_validation_itself_is_read() -> None:
    seen: list[Any] = []

    class Look(dt.Callback):
        def after_validate(self, state: Any) -> None:
            seen.append(columns_of(state))

    state = fit_state(epochs=1)
    state.callbacks = [Look()]
    loop.fit(state)
    assert seen == [
        {"epoch": 0, "valid_loss": state.evaluation.loss} | dict(state.evaluation.metrics)
    ]


def test_the_state_goes_round() -> None:
    watch = Watch("Mine", "valid_loss")
    looks(watch, [3.0, 2.0, NAN])
    other = Watch("Mine", "valid_loss")
    other.load_state_dict(watch.state_dict())
    assert (other.best, other.best_epoch, other.bad_epochs) == (2.0, 1, 1)
    assert looks(other, [2.5]) == [False]
    assert other.bad_epochs == 2


def test_a_metric_of_your_own_that_does_not_say_needs_a_mode() -> None:
    mine = metric("accuracy")
    mine.name, mine.higher_is_better = "mine", None
    state = fit_state()
    state.metrics = [mine]
    state.row = {"mine": 0.5}
    with pytest.raises(ConfigError, match="cannot tell whether more or less of 'mine' is better"):
        Watch("Mine", "mine").look(state)
