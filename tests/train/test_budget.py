"""A time budget: the arithmetic on given times, what measuring leaves untouched, and the real clock."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.utils.data import DataLoader, TensorDataset

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.train import timing
from drivetrain.train.budget import (
    FILLED,
    Budget,
    Costs,
    Smaller,
    choose,
    choose_items,
    plan,
    share_of,
)
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.callbacks.time_budget import TimeBudget
from drivetrain.train.run import Run
from tests.train.blobs import Grouped, blob_loaders, blobs, learner, weights

BATCHES = 6


# --- the arithmetic ---------------------------------------------------------------------------------

EPOCH_OF_6 = Costs(step=0.1, steps=50, valid=0.75, epoch=0.25)
FINE_TUNE = Costs(
    step=0.1, steps=50, valid=1.0, head_step=0.02, head_epochs=1, fixed=3.0, per_share=2.0
)


def test_the_seconds_of_a_plan_are_added_up() -> None:
    assert EPOCH_OF_6.seconds(3) == pytest.approx(18.0)
    assert EPOCH_OF_6.seconds(3, 0.5) == pytest.approx(3 * (25 * 0.1 + 1))
    # 3 once + 2 for baselines + head: 50 * .02 + 1 + two epochs: 2 * (5 + 1)
    assert FINE_TUNE.seconds(2) == pytest.approx(3 + 2 + 2 + 12)
    assert FINE_TUNE.seconds(2, 0.5) == pytest.approx(3 + 1 + 1.5 + 2 * 3.5)
    assert EPOCH_OF_6.steps_of(0.501) == 26 and EPOCH_OF_6.steps_of(1e-9) == 1


@pytest.mark.row(105)
@pytest.mark.parametrize(
    ("costs", "seconds", "asked", "expected"),
    [
        (EPOCH_OF_6, 60.0, None, (10, 1.0)),
        (EPOCH_OF_6, 59.9, None, (9, 1.0)),  # 54 s are 90%
        (EPOCH_OF_6, 60.0, 3, (3, 1.0)),  # no more than asked for
        (EPOCH_OF_6, 15.0, 3, (3, 0.8)),  # three of 40 steps, where two whole ones leave 3 s
        (EPOCH_OF_6, 6.0, None, (1, 1.0)),
        (EPOCH_OF_6, 9.0, None, (2, 0.7)),  # 2 * (35 * .1 + 1)
        (EPOCH_OF_6, 3.0, None, (1, 0.4)),  # 20 * .1 + 1
        (EPOCH_OF_6, 3.0, 5, (1, 0.4)),
        (EPOCH_OF_6, 0.5, None, (1, 0.02)),  # one step is the least
        (FINE_TUNE, 13.0, None, (1, 1.0)),
        (FINE_TUNE, 19.0, None, (2, 1.0)),
        (FINE_TUNE, 10.0, None, (1, 0.62)),  # 3 + 2 * .62 + (.62 + 1) + (3.1 + 1)
    ],
)
def test_what_fits_a_budget_is_worked_out(
    costs: Costs, seconds: float, asked: int | None, expected: tuple[int, float]
) -> None:
    epochs, share, size, of = choose(costs, seconds, epochs=asked)
    assert (epochs, pytest.approx(share)) == expected
    assert size is None and of is costs


def test_smaller_inputs_come_before_fewer_items() -> None:
    sizes = [
        (96, Costs(step=0.06, steps=50, valid=0.5)),
        (64, Costs(step=0.02, steps=50, valid=0.2)),
    ]
    assert choose(EPOCH_OF_6, 6.5, smaller=sizes)[:3] == (1, 1.0, None)
    assert choose(EPOCH_OF_6, 3.6, smaller=sizes)[:3] == (1, 1.0, 96)
    assert choose(EPOCH_OF_6, 2.5, smaller=sizes)[:3] == (2, 1.0, 64)
    assert choose(EPOCH_OF_6, 0.7, smaller=sizes)[:3] == (1, 0.5, 64)


def test_a_smaller_size_that_costs_more_than_it_saves_is_not_taken() -> None:
    opening = [(64, Costs(step=0.05, steps=50, valid=1.0, fixed=4.0))]
    assert choose(EPOCH_OF_6, 5.0, smaller=opening)[:3] == (1, 0.8, None)
    assert choose(EPOCH_OF_6, 3.0, smaller=opening)[:3] == (1, 0.4, None)


def test_items_that_cannot_be_left_out_are_all_trained() -> None:
    assert choose(EPOCH_OF_6, 9.0, divisible=False)[:2] == (1, 1.0)
    assert choose(EPOCH_OF_6, 3.0, divisible=False)[:2] == (1, 1.0)


@settings(max_examples=300, deadline=None)
@given(
    step=st.floats(1e-3, 5),
    steps=st.integers(2, 400),
    rest=st.floats(0, 3),
    head=st.integers(0, 1),
    seconds=st.floats(1, 500),
    asked=st.none() | st.integers(1, 20),
)
def test_a_plan_never_takes_longer_and_fills_the_budget_where_it_may(
    step: float, steps: int, rest: float, head: int, seconds: float, asked: int | None
) -> None:
    costs = Costs(
        step=step, steps=steps, valid=rest, epoch=0.1 * rest, head_step=0.3 * step, head_epochs=head
    )
    epochs, share, _, _ = choose(costs, seconds, epochs=asked)
    assert epochs >= 1 and 0 < share <= 1
    assert asked is None or epochs <= asked
    found = costs.seconds(epochs, share)
    if costs.seconds(1, 1 / steps) <= seconds:
        assert found <= seconds * (1 + 1e-6)
    if asked is None and epochs < 1000:
        one_more_step = (epochs + head) * step
        least = min(FILLED * seconds, seconds - one_more_step - (rest * 1.1 + step))
        assert found >= least - 1e-6


# --- a plan of a Learner, by a clock of our own ------------------------------------------------------


class Clock:
    """Answers seconds that only `spend` moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


class Slow(torch.nn.Module):
    """A net whose forward pass takes so many seconds of a clock, in training and in evaluation."""

    def __init__(self, clock: Clock, train: float, valid: float) -> None:
        super().__init__()
        self.inner = Grouped()
        self.clock, self.train_seconds, self.valid_seconds = clock, train, valid
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        slow = 2.0 if self.calls <= 2 else 1.0  # the first ones warm up
        whole = any(p.requires_grad for p in self.inner.early.parameters())
        cost = (
            self.train_seconds * (1.0 if whole else 0.25) if self.training else self.valid_seconds
        )
        self.clock.spend(slow * cost)
        return self.inner(x)

    def layer_groups(self) -> Any:
        return self.inner.layer_groups()


def slow_learner(clock: Clock, *, train: float = 0.5, valid: float = 0.25, **options: Any) -> Any:
    return learner(Slow(clock, train, valid), **options)


@pytest.mark.row(105)
def test_a_plan_is_made_of_the_times_of_steps_and_validation() -> None:
    clock = Clock()
    one = slow_learner(clock)
    budget = plan(one, 100.0, clock=clock, spent=10.0, after=2.0, after_per_share=1.0)
    measured = clock.now - 100.0
    # an epoch is 6 * .5 + 6 * .25 = 4.5 s; once: 2 + 1 + 1.5 s
    whole = int((100.0 - 10.0 - measured - 4.5) / 4.5)
    assert budget.epochs == whole and budget.fraction == 1.0
    assert budget.predicted_seconds == pytest.approx(10 + measured + 4.5 + 4.5 * whole)
    assert budget.after_seconds == pytest.approx(2.0 + 1.0 + 1.5)
    assert measured < 0.2 * 100.0


def test_fine_tuning_has_an_epoch_of_the_head_first() -> None:
    clock = Clock()
    budget = plan(slow_learner(clock), 60.0, 1, method="fine_tune", clock=clock)
    measured = clock.now - 100.0
    # the head: 6 * .125 + 1.5; one epoch: 6 * .5 + 1.5; the result: 1.5
    assert budget.epochs == 1
    assert budget.predicted_seconds == pytest.approx(measured + 2.25 + 4.5 + 1.5)


@pytest.mark.row(105)
def test_what_is_cut_is_said_with_a_reason() -> None:
    clock = Clock()
    one = slow_learner(clock, train=2.0, valid=0.0)
    budget = plan(one, 60.0, 9, clock=clock)
    said = {reason.what: reason for reason in budget.reasons}
    assert said["epochs"].reason.startswith(
        "cut from 9: an epoch takes about 12 s, and no more fit"
    )
    assert said["budget"].value == "60 s" and said["budget"].change == "--budget 5m"
    assert all(reason.reason and reason.change for reason in budget.reasons)
    assert str(budget).startswith("budget: 60 s: about ")


def test_a_budget_below_one_epoch_takes_a_share_of_the_items() -> None:
    clock = Clock()
    one = slow_learner(clock, train=10.0, valid=0.0)
    budget = plan(one, 100.0, clock=clock)
    assert clock.now == 100.0 + 50.0  # two slow steps and one other: it takes much of the budget
    assert (budget.epochs, budget.fraction) == (1, pytest.approx(5 / 6))  # 50 seconds are left
    assert "not even one epoch on all training items fits" in str(budget)
    budget.apply(one)
    assert len(one.loaders.train) == round(6 * budget.fraction)


def test_a_budget_that_nothing_fits_says_so() -> None:
    clock = Clock()
    budget = plan(slow_learner(clock, train=10.0, valid=5.0), 20.0, clock=clock)
    assert (budget.epochs, budget.fraction) == (1, pytest.approx(1 / 6))
    assert "the least that trains at all, and longer than the budget: about " in str(budget)


def test_smaller_inputs_are_timed_and_taken_where_no_epoch_fits() -> None:
    clock = Clock()
    one = slow_learner(clock, train=10.0, valid=0.0)

    def halve(batch: Any) -> Any:
        clock.now -= 9.0 if one.model.training else 0.0  # as a smaller picture would be quicker
        return batch

    budget = plan(one, 100.0, 3, clock=clock, smaller=[Smaller([8, 8], halve, seconds=1.0)])
    assert budget.size == [8, 8]
    assert "cut: at full size not even one epoch fits" in str(budget)


def test_a_plan_leaves_the_learner_and_what_it_draws_as_they_were() -> None:
    plain, planned = (learner(Grouped(), metrics=["accuracy"]) for _ in range(2))
    state = torch.get_rng_state()
    plan(planned, 1.0, method="fine_tune")
    assert torch.equal(torch.get_rng_state(), state)
    assert weights(planned) == weights(plain)
    assert planned.loaders.train.epoch == 0 and planned.journal == []
    assert all(p.requires_grad and p.grad is None for p in planned.model.parameters())
    for one in (plain, planned):
        one.fine_tune(2)
    assert weights(planned) == weights(plain)


def test_a_plan_of_a_dataloader_never_leaves_items_out() -> None:
    inputs, targets = blobs()
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16)
    one = dt.Learner(Grouped(), (loader, loader), "cross_entropy", progress=False)
    assert plan(one, 0.001).fraction == 1.0


def test_a_plan_is_json_and_back() -> None:
    clock = Clock()
    budget = plan(slow_learner(clock, train=10.0), 100.0, clock=clock)
    assert Budget.from_json(json.loads(json.dumps(budget.to_json()))) == budget


def test_checkpoints_are_timed_where_they_are_going_to_be(tmp_path: Path) -> None:
    clock = itertools.count().__next__
    assert timing.seconds_a_checkpoint(learner(), tmp_path, clock=clock) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0.0}, r"^A time budget must be above 0 seconds\. Got 0\.0\.$"),
        ({"seconds": 1.0, "epochs": 0}, r"^`epochs` must be at least 1\. Got 0\.$"),
        (
            {"seconds": 1.0, "method": "freeze"},
            r"^`method` must be one of fit, fit_one_cycle, fine_tune\. Got 'freeze'\.$",
        ),
    ],
)
def test_wrong_arguments_are_answered(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(learner(), **arguments)


def test_a_loader_without_a_length_is_answered() -> None:
    class Endless:
        def __iter__(self) -> Any:
            return iter([blobs(16)])

    one = dt.Learner(Grouped(), Endless(), "cross_entropy", progress=False)
    with pytest.raises(
        ConfigError,
        match=r"^A time budget needs a training loader with a length\. Give `epochs` to `fit` instead, "
        r"and the callback `TimeBudget` to end it\.$",
    ):
        plan(one, 10.0)


# --- a share of the items ---------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
    st.integers(0, 9),
)
def test_every_class_gives_the_same_share(labels: list[str], fraction: float, seed: int) -> None:
    chosen = choose_items(len(labels), fraction, seed=seed, labels=labels).tolist()
    assert chosen == sorted(set(chosen))
    for name in set(labels):
        count = labels.count(name)
        assert sum(labels[i] == name for i in chosen) == max(1, int(1e-9 + fraction * count))
    larger = choose_items(len(labels), 1.0, seed=seed, labels=labels).tolist()
    assert larger == list(range(len(labels))) and set(chosen) <= set(larger)


def test_an_item_is_varied_in_a_share_as_it_was_among_all() -> None:
    inputs, targets = blobs()
    seen: dict[int, float] = {}

    def vary(batch: Any, indices: Any, epoch: int) -> Any:
        return batch[0] + indices[:, None], batch[1]

    loader = dt.BatchLoader(dt.TensorData(inputs, targets), batch_size=16, transform=vary)
    for number, (varied, _) in enumerate(loader):
        for row, value in enumerate(varied):
            seen[16 * number + row] = float(value[0])
    part = share_of(loader, 0.25, seed=3)
    assert len(part.data) == 24 and len(part) == 2
    ids = [int(name) for number in range(2) for name in part.item_ids(0, number)]
    values = [float(value[0]) for varied, _ in part for value in varied]
    assert values == [seen[index] for index in ids]
    classes = torch.cat([batch_targets for _, batch_targets in part])
    assert torch.bincount(classes).tolist() == [8, 8, 8]


def test_a_share_of_another_loader_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^Items can be left out of a `BatchLoader`, not of a list\.$"
    ):
        share_of([blobs()], 0.5, seed=1)
    with pytest.raises(
        ConfigError,
        match=r"^`fraction` is a share of the items, above 0 and up to 1\. Got 1\.5\.$",
    ):
        share_of(blob_loaders().train, 1.5, seed=1)


# --- the safety net ---------------------------------------------------------------------------------


class Spend(Callback):
    """Moves a clock at each batch."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def after_forward(self, state: Any) -> None:
        self.clock.spend(self.seconds)


def time_budget(minutes: float, clock: Clock) -> TimeBudget:
    budget = TimeBudget(minutes)
    budget.clock = clock
    return budget


class KillAt(Callback):
    order = 1000

    def __init__(self, step: int) -> None:
        self.step = step

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.row(105)
def test_training_ends_at_the_batch_where_the_budget_is_used_up(capsys: Any) -> None:
    clock = Clock()
    one = learner()
    one.fit(5, callbacks=[Spend(clock, 6.0), time_budget(1.0, clock)])
    (stage,) = one.journal
    assert (stage.status, stage.steps_done, len(one.history)) == ("cancelled", 10, 1)
    assert capsys.readouterr().err == (
        "The time budget of 1 minutes is used up: training ends in epoch 2 of 5, after 4 batches of "
        "it.\n"
    )


def test_a_budget_counts_over_the_fits_of_a_call_and_no_later_one_begins(capsys: Any) -> None:
    clock = Clock()
    budget = time_budget(0.5, clock)
    one = learner(Grouped())
    one.fine_tune(2, callbacks=[Spend(clock, 4.0), budget])
    assert [(s.kind, s.steps_done) for s in one.journal if s.kind == "fit"] == [
        ("fit", 6),
        ("fit", 2),
    ]
    clock.spend(1000.0)  # between two fits nothing is counted
    assert budget.seconds == 32.0
    one.fit(1, callbacks=[budget])
    assert one.journal[-1].steps_done == 0
    assert capsys.readouterr().err.count("is used up") == 2


@pytest.mark.parametrize(("kill", "checkpoint"), [(8, 3), (4, 100)])
def test_a_resumed_run_counts_the_seconds_before_the_cut(
    tmp_path: Path, kill: int, checkpoint: int, capsys: Any
) -> None:
    def callbacks(clock: Clock, *more: Callback) -> list[Callback]:
        return [
            Spend(clock, 6.0),
            time_budget(1.0, clock),
            Checkpoint(steps=checkpoint),
            KillAt(10**9),
            *more,
        ]

    whole = learner(Grouped())
    whole.fit(5, callbacks=callbacks(Clock()))
    cut = learner(Grouped(), out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fit(5, callbacks=callbacks(Clock(), KillAt(kill)))
    again = learner(Grouped())
    again.open_run(Run.open(tmp_path / "run"))
    again.resume(callbacks=callbacks(Clock()))
    assert again.journal[0].steps_done == whole.journal[0].steps_done == 10
    assert weights(again) == weights(whole)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^`TimeBudget` needs `minutes` above 0\. Got 0\.$"):
        TimeBudget(0)


# --- pictures, and the real clock -------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.cli.conftest import write_pictures

    return write_pictures(tmp_path_factory.mktemp("budget") / "shapes", each=100)


def quick(pictures: Path, **options: Any) -> dt.Learner:
    return dt.vision.learner(pictures, progress=False, **options)


def test_a_fraction_trains_on_that_share_of_each_class_and_validates_on_all(pictures: Path) -> None:
    whole, part = quick(pictures), quick(pictures, fraction=0.25)
    assert part.application.data.counts() == {"train": 60, "valid": 60, "test": 0, "quarantined": 0}
    assert whole.application.data.counts()["train"] == 240
    assert part.choices["fraction"].value == 0.25
    labels = part.application.data.pictures("train").targets
    assert torch.bincount(labels).tolist() == [20, 20, 20]


def too_small_a_budget(pictures: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """Steps that seem to take 10 seconds: whatever the machine, a share is cut."""
    monkeypatch.setattr(timing, "seconds_a_step", lambda *args, **more: 10.0)
    monkeypatch.setattr(timing, "seconds_a_validation", lambda *args, **more: 1.0)
    return quick(pictures, minutes=1.0, **options)


@pytest.mark.row(105)
@pytest.mark.slow
def test_a_budget_is_recorded_and_a_cut_run_trains_on_the_same_items(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = too_small_a_budget(pictures, monkeypatch, out=tmp_path / "whole")
    record = Run.open(tmp_path / "whole").read()
    assert record["plan"]["epochs"] == 1 and 0 < record["settings"]["fraction"] < 1
    assert record["settings"]["budget"]["seconds"] == 60.0
    assert {"budget", "epochs", "fraction"} <= {choice["what"] for choice in record["choices"]}
    train = Run.open(tmp_path / "whole").read_split()["train"]
    assert len(train) == record["items"]["train"] < 240
    whole.train()

    cut = too_small_a_budget(pictures, monkeypatch, out=tmp_path / "cut", callbacks=[KillAt(2)])
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    cut.run.release()
    monkeypatch.setattr(timing, "seconds_a_step", None)  # no second plan
    found = dt.vision.reopen(tmp_path / "cut", callbacks=[], progress=False)
    limit = found.application.settings["budget"]["limit_seconds"]
    found.run.release()
    again = dt.vision.resume(
        tmp_path / "cut", callbacks=[TimeBudget(limit / 60), KillAt(10**9)], progress=False
    )
    assert weights(again) == weights(whole)
    assert Run.open(tmp_path / "cut").read_split()["train"] == train
    assert again.choices.to_json() == whole.choices.to_json()
    assert any(isinstance(one, TimeBudget) for one in again.callbacks)


def test_a_budget_and_a_fraction_together_leave_a_share_of_the_share(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = too_small_a_budget(pictures, monkeypatch, fraction=0.5, out=tmp_path / "run")
    fraction = one.application.settings["fraction"]
    assert fraction < 0.5 and one.choices["fraction"].value == fraction
    one.run.release()
    again = dt.vision.reopen(tmp_path / "run", progress=False)
    assert again.application.data.split == one.application.data.split
    (budget,) = [callback for callback in again.callbacks if isinstance(callback, TimeBudget)]
    assert 60 * budget.minutes == pytest.approx(one.application.settings["budget"]["limit_seconds"])


def test_photos_are_made_smaller_before_items_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (150, 150), colour).save(tmp_path / "photos" / name / f"{number}.png")

    def step(learner: Any, *, change: Any = None, **more: Any) -> float:
        if change is None:
            return 10.0
        return 1e-4 * change(next(iter(learner.loaders.train)))[0].shape[-1] ** 2

    monkeypatch.setattr(timing, "seconds_a_step", step)
    monkeypatch.setattr(timing, "seconds_a_validation", lambda *args, **more: 0.1)
    one = quick(
        tmp_path / "photos",
        minutes=0.5,
        model="resnet_tiny",
        pretrained=False,
        epochs=2,
        out=tmp_path / "run",
    )
    assert one.application.data.size == (96, 96)
    assert one.choices["size"].value == [96, 96]
    assert one.choices["size"].reason == "cut: at full size not even one epoch fits"
    assert next(iter(one.loaders.train))[0].shape[-2:] == (96, 96)
    one.run.release()
    again = dt.vision.reopen(tmp_path / "run", progress=False)
    assert again.application.data.size == (96, 96)
    assert again.application.plan["epochs"] == one.application.plan["epochs"]


@pytest.mark.slow
@pytest.mark.row(105)
@pytest.mark.parametrize("seconds", [15.0, 30.0])
def test_a_training_with_a_budget_takes_that_long(
    pictures: Path, tmp_path: Path, seconds: float
) -> None:
    """From opening the pictures to the saved result, within 20%, whatever the speed of the machine.

    Not counted: what a process imports once, here torch's compiler by its first optimizer.
    """
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    began = time.perf_counter()
    one = quick(pictures, minutes=seconds / 60, out=tmp_path / "run")
    one.train()
    took = time.perf_counter() - began
    assert Run.open(tmp_path / "run").read()["results"]["metrics"]["valid"]["loss"] > 0
    assert 0.8 * seconds <= took <= 1.2 * seconds


@pytest.mark.slow
@pytest.mark.row(105)
def test_the_command_line_takes_a_budget_and_says_what_it_cut(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from drivetrain.cli import program

    monkeypatch.chdir(tmp_path)
    words = ["train", str(pictures), "--budget", "4s", "--epochs", "900", "--out", "run"]
    began = time.perf_counter()
    said = CliRunner().invoke(program, words)
    took = time.perf_counter() - began
    assert said.exit_code == 0, said.output
    assert 0.8 * 4 <= took <= 1.2 * 4
    assert "  budget       4 s" in said.stdout and "cut from 900" in said.stdout
    assert Run.open(tmp_path / "run").read()["settings"]["budget"]["seconds"] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "soon"], "'soon' is not a time such as 90s, 2m or 1.5h, above 0."),
        (["--budget", "0s"], "'0s' is not a time such as 90s, 2m or 1.5h, above 0."),
        (
            ["--budget", "60s", "--minutes", "1"],
            "--minutes and --budget are the same: give one of them.",
        ),
        (["--set", "fraction=1.5"], "--set fraction: 1.5 is not in the range 0<x<=1."),
    ],
)
def test_wrong_budgets_are_answered(words: list[str], message: str) -> None:
    from click.testing import CliRunner

    from drivetrain.cli import program

    said = CliRunner().invoke(program, ["train", *words])
    assert said.exit_code == 2 and message in said.stderr


@pytest.mark.parametrize(
    ("text", "minutes"), [("60s", 1.0), ("2m", 2.0), ("2 min", 2.0), ("1.5h", 90.0), (".5H", 30.0)]
)
def test_times_are_read(text: str, minutes: float) -> None:
    from drivetrain.cli.settings import Duration

    assert Duration().convert(text, None, None) == pytest.approx(minutes)
