"""ReduceOnPlateau beside torch's, under a schedule, and across fits."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.optim import one_cycle
from drivetrain.train import loop
from drivetrain.train.callbacks import from_record, record_of
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau
from tests.train.callbacks.cutting import cut_and_resumed, fit_state
from tests.train.callbacks.test_early_stopping import Script


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    parameters = list(model.parameters())
    groups = [{"params": parameters[:1], "lr": 1e-3}, {"params": parameters[1:], "lr": 1e-1}]
    return torch.optim.SGD(groups)


class Rates(Script):
    """The rates after each epoch, beside the script."""

    order = 60

    def __init__(self, values: list[float]) -> None:
        super().__init__(values)
        self.seen: list[list[float]] = []

    def after_validate(self, state: Any) -> None: ...

    def after_epoch(self, state: Any) -> None:
        self.seen.append([group["lr"] for group in state.optimizer.param_groups])


@pytest.mark.parametrize("seed", range(6))
def test_it_reduces_when_torchs_does(seed: int) -> None:
    draw = random.Random(seed)
    values = [round(draw.random(), 1) for _ in range(25)]
    values[draw.randrange(25)] = math.nan
    patience, cooldown = draw.randint(1, 3), draw.randint(0, 2)
    mode, delta = draw.choice(["min", "max"]), draw.choice([0.0, 0.15])
    theirs = sgd(nn.Linear(2, 2))
    twin = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs,
        mode=mode,
        factor=0.5,
        patience=patience - 1,
        threshold=delta,
        threshold_mode="abs",
        cooldown=cooldown,
        min_lr=3e-4,
        eps=0.0,
    )
    expected = []
    for value in values:
        twin.step(value)
        expected.append([group["lr"] for group in theirs.param_groups])
    ours = ReduceOnPlateau(
        "score",
        factor=0.5,
        patience=patience,
        min_delta=delta,
        cooldown=cooldown,
        min_lr=3e-4,
        mode=mode,
    )
    rates = Rates([])
    state = fit_state(Script(values), ours, rates, epochs=25, make_optimizer=sgd, scheduled=False)
    loop.fit(state)
    assert rates.seen == expected
    assert ours.reductions > 0


def test_under_a_schedule_the_peak_falls_and_the_shape_stays() -> None:
    reduce = ReduceOnPlateau("score", factor=0.1, patience=1, mode="min")
    steps: list[list[float]] = []

    class Look(Script):
        def after_validate(self, state: Any) -> None: ...

        def before_step(self, state: Any) -> None:
            steps.append([group["lr"] for group in state.optimizer.param_groups])

    state = fit_state(Script([1, 2, 0]), reduce, Look([]))
    loop.fit(state)
    for step, rates in enumerate(steps):
        shrunk = 0.1 if step >= 10 else 1.0
        expected = [rate * shrunk * one_cycle(step / 15) for rate in (0.02, 0.05)]
        assert rates == pytest.approx(expected, rel=1e-12)
    assert [group["max_lr"] for group in state.optimizer.param_groups] == [0.02, 0.05]


@pytest.mark.parametrize("epochs_done", [1, 2, 3, 4])
def test_a_cooldown_that_is_cut_goes_on(epochs_done: int) -> None:
    reduce = ReduceOnPlateau("score", factor=0.5, patience=1, cooldown=2, mode="min")
    values = [1.0] * 6

    def make() -> Any:
        again = from_record(record_of(reduce))
        return fit_state(Script(values), again, epochs=6, make_optimizer=sgd, scheduled=False)

    found = cut_and_resumed(make, ("epoch", epochs_done))
    assert found is not None
    # Reduced after the epochs 1 and 4; 2 and 3 do not count.
    assert [group["lr"] for group in found.optimizer.param_groups] == [0.25e-3, 0.25e-1]


def test_a_rate_below_the_least_is_left_alone() -> None:
    rates = Rates([])
    reduce = ReduceOnPlateau("score", factor=0.5, patience=1, min_lr=0.08, mode="min")
    loop.fit(fit_state(Script([1, 1, 1]), reduce, rates, make_optimizer=sgd, scheduled=False))
    assert rates.seen == [[1e-3, 0.1], [1e-3, 0.08], [1e-3, 0.08]]


def test_other_groups_than_those_that_were_reduced_are_refused() -> None:
    first = ReduceOnPlateau("score", patience=1, mode="min")
    loop.fit(fit_state(Script([1, 1, 1]), first))
    state = fit_state(
        ReduceOnPlateau("score", patience=1, mode="min"),
        make_optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    )
    state.saved = {"ReduceOnPlateau": first.state_dict()}
    with pytest.raises(ConfigError) as caught:
        loop.fit(state)
    assert str(caught.value) == (
        "`ReduceOnPlateau` had reduced the rates of 2 optimizer groups, and this optimizer has 1. "
        "Go on with the optimizer that the fit had."
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"factor": 1.0}, "`ReduceOnPlateau` needs `factor` above 0 and below 1. Got 1.0."),
        ({"factor": "x"}, "`ReduceOnPlateau` needs `factor` above 0 and below 1. Got 'x'."),
        ({"min_lr": -1.0}, "`ReduceOnPlateau` needs `min_lr` of at least 0. Got -1.0."),
        (
            {"cooldown": -1},
            "`ReduceOnPlateau` needs `cooldown` as a whole number of 0 or more. Got -1.",
        ),
    ],
)
def test_wrong_arguments_are_answered(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ReduceOnPlateau(**options)
    assert str(caught.value) == sentence
