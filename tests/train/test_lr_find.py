"""The learning rate finder: what it reads from a curve, and that it leaves nothing behind."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import drivetrain as dt
from drivetrain import optim, store
from drivetrain.errors import ConfigError
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.lr_find import (
    SUGGESTIONS,
    RateFinder,
    RateSearch,
    halfway,
    minimum,
    slide,
    steep,
    suggest,
    undone,
    valley,
)
from drivetrain.train.state import FitState

# --- known answers --------------------------------------------------------------------------------

# Flat, a steady fall, a low, and the blow-up, at rates 1, 10, 100, …
CURVE = [9.0, 9.0, 9.0, 8.0, 6.0, 5.0, 4.0, 3.0, 4.0, 20.0]
LRS = [10.0**i for i in range(len(CURVE))]


def test_halfway_is_the_first_at_or_below_the_middle() -> None:
    assert halfway(CURVE) == 4  # (9 + 3) / 2 = 6


def test_valley_is_the_middle_of_the_longest_descent() -> None:
    # 9 8 6 5 4 3 ends at 7 and has 6 members, so it is taken to begin at 1; 1 + 6 // 3 + 6 // 6 = 4
    assert valley(CURVE) == 4
    # 7 6 5 4 3 2 1, past the two of 7.5: 7 members that end at 8; 1 + 7 // 3 + 7 // 6 = 4
    assert valley([7.0, 7.5, 6.0, 7.5, 5.0, 4.0, 3.0, 2.0, 1.0]) == 4


def test_valley_takes_the_first_of_two_equally_long() -> None:
    # 4 3 2 1 ends at 3: -1 + 1 + 0; the later one would give 4
    assert valley([4.0, 3.0, 2.0, 1.0, 9.0, 8.0, 7.0, 6.0]) == 0


def test_valley_of_what_never_falls_is_its_start() -> None:
    assert valley([1.0, 1.0, 2.0]) == 0
    assert valley([2.0, 1.0]) == 0


def test_steep_is_where_the_next_rate_gains_most() -> None:
    assert steep(CURVE) == 3  # from 8 to 6


def test_minimum_is_the_lowest() -> None:
    assert minimum(CURVE) == 7


def test_slide_stops_where_both_ends_of_the_interval_are_equally_steep() -> None:
    # Slopes 0 0 -.5 -1.5 -1.5 -1 -1 0 8.5 16: with a gap of 2, 16 and 0 differ by 16 (lower end 7),
    # 8.5 and -1 by 9.5 (6), 0 and -1 by 1 (5), which a threshold of 1 calls equal.
    assert slide(CURVE, gap=2, threshold=1.0) == 6
    assert slide(CURVE, gap=2, threshold=0.9) == 5  # then -1 and -1.5 differ by .5
    assert slide(CURVE, gap=2, threshold=100.0) == 7  # equal at once: where it starts
    assert slide(CURVE) == 0  # shorter than the gap


def test_suggestions_leave_out_both_ends_of_a_long_curve() -> None:
    lrs = [10.0 ** (i / 10) for i in range(60)]
    # A spurious fall in the first tenth and the deepest point in the last five.
    losses = [9.0, 1.0, *[5.0] * 18, *[5.0 - 0.1 * i for i in range(1, 31)], *[2.0] * 5, *[0.5] * 5]
    found = suggest(lrs, losses)
    assert list(found) == list(SUGGESTIONS)
    assert found["minimum"] == pytest.approx(lrs[49] / 10)
    assert lrs[19] <= found["steep"] <= lrs[48]
    # 30 members (the first of 5.0, then 4.9 … 2.0) and one more below: found by hand, ends at 49 - 6
    assert found["valley"] == lrs[6 + (43 - 31) + 10 + 5]
    assert found["halfway"] == lrs[34]  # 5 - 0.1 * 15 = (5 + 2) / 2


def test_noise_of_the_first_batches_is_not_taken_for_a_fall() -> None:
    """Found on real data: a first batch of high loss made the second rate, 1e-7, the suggestion."""
    losses = [
        2.0,
        1.2,
        1.1,
        1.1,
        1.1,
        1.1,
        *[1.1] * 20,
        *[1.1 - 0.02 * i for i in range(20)],
        *[2.0] * 5,
    ]
    lrs = [1e-7 * 1.5**i for i in range(len(losses))]
    assert suggest(lrs, losses)["halfway"] == pytest.approx(lrs[36])


def test_a_short_curve_is_read_whole() -> None:
    found = suggest(LRS[:4], CURVE[3:7])
    assert found["minimum"] == pytest.approx(LRS[3] / 10)
    assert found["steep"] == LRS[0]


def test_steep_suggestion_by_hand_on_an_even_sigmoid() -> None:
    lrs = [10.0 ** (-7 + 8 * i / 99) for i in range(100)]
    losses = [2 - math.tanh((math.log10(lr) + 3) / 0.5) for lr in lrs]  # steepest at 1e-3
    found = suggest(lrs, losses)
    assert found["steep"] == pytest.approx(1e-3, rel=0.2)
    assert found["halfway"] == pytest.approx(1e-3, rel=0.2)


# --- the same numbers as the algorithms that bear these names ----------------------------------------


def valley_by_definition(losses: list[float]) -> int:
    """The longest decreasing subsequence by trying each pair, as its definition says."""
    count = len(losses)
    length = [1] * count
    for last in range(count):
        for before in range(last):
            if losses[last] < losses[before]:
                length[last] = max(length[last], length[before] + 1)
    end = length.index(max(length))
    begin = end - length[end] if length[end] > 1 else 0
    third = (end - begin) / 3
    return begin + int(third) + int(third / 2)


def slide_by_definition(losses: list[float], gap: int, threshold: float) -> int:
    """With numpy's gradient, counted from the end, as the published form counts."""
    slopes = np.gradient(np.array(losses))
    right, left = -1, -1 - gap
    found = left
    while left >= -len(losses) and abs(slopes[right] - slopes[left]) > threshold:
        found, right, left = left, right - 1, left - 1
    return found % len(losses)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12).map(float), min_size=3, max_size=40))
def test_valley_equals_its_definition(losses: list[float]) -> None:
    assert valley(losses) == max(valley_by_definition(losses), 0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0, 12), min_size=18, max_size=60),
    st.sampled_from([0.005, 0.5, 3.0]),
)
def test_slide_equals_its_definition(losses: list[float], threshold: float) -> None:
    assert slide(losses, threshold=threshold) == slide_by_definition(losses, 15, threshold)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-5, 12), min_size=2, max_size=60),
    st.integers(2, 200),
    st.floats(1e-9, 1e-3),
    st.floats(1.01, 3),
)
def test_every_suggestion_is_a_rate_that_was_tried_or_a_tenth_of_one(
    losses: list[float], num_steps: int, start: float, ratio: float
) -> None:
    lrs = [start * ratio**i for i in range(len(losses))]
    found = suggest(lrs, losses, num_steps=max(num_steps, len(losses)))
    assert list(found) == ["halfway", "valley", "steep", "minimum", "slide"]
    for name, lr in found.items():
        assert lr / SUGGESTIONS[name].factor in [pytest.approx(rate) for rate in lrs]


def test_suggestions_of_one_loss_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        suggest([1.0], [1.0])
    assert str(caught.value) == (
        "`suggest` needs one loss a rate and at least 2 of them. Got 1 rates and 1 losses."
    )


# --- what a search shows ----------------------------------------------------------------------------


def search(losses: list[float] | None = None) -> RateSearch:
    losses = CURVE if losses is None else losses
    lrs = [1e-5 * 10 ** (i / 2) for i in range(len(losses))]
    return RateSearch(tuple(lrs), tuple(losses), suggest(lrs, losses))


def test_a_search_prints_every_suggestion() -> None:
    text = str(search())
    assert text.splitlines() == [
        "suggested lr: 0.001 (lowest loss 3.0000 at 0.032, 10 rates tried)",
        "halfway     0.001  the loss has fallen halfway to its lowest value",
        "valley     0.0001  middle of the longest descent",
        "steep     0.00032  the loss falls fastest, be it before or after a blow-up",
        "minimum    0.0001  a tenth of the rate with the lowest loss",
        "slide     3.2e-05  the slope no longer changes, coming from the blow-up",
    ]
    assert text.endswith(search().table())


def test_a_loss_that_never_fell_is_said() -> None:
    rising = search([1.0, 2.0, 3.0])
    assert not rising.has_fallen
    assert search().has_fallen
    assert (
        "\nThe loss never fell: no rate can be recommended. Are inputs and targets a pair?\n"
        in str(rising)
    )


def test_a_search_is_drawn_with_its_suggestions_on_the_curve() -> None:
    found = search()
    figure = found.plot()
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "smoothed loss")
    assert axes.get_xscale() == "log"
    curve, *marks = axes.lines
    assert tuple(curve.get_xdata()) == found.lrs
    assert tuple(curve.get_ydata()) == found.losses
    assert [mark.get_label().split()[0] for mark in marks] == list(SUGGESTIONS)
    for mark, (name, lr) in zip(marks, found.suggestions.items(), strict=True):
        assert list(mark.get_xdata()) == [lr]
        if name == "halfway":
            assert list(mark.get_ydata()) == [pytest.approx(6.0)]
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


def test_a_mark_below_the_first_rate_stands_at_the_start() -> None:
    found = search([3.0, 2.9, 3.5, 3.6])
    assert found.suggestions["minimum"] < found.lrs[0]
    (mark,) = [m for m in found.plot().axes[0].lines if m.get_label().startswith("minimum")]
    assert list(mark.get_ydata()) == [3.0]


# --- the search -------------------------------------------------------------------------------------


def blobs(count: int = 96) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % 3
    centres = torch.tensor([[2.0, 0.0], [-2.0, 1.0], [0.0, -3.0]])
    return centres[targets] + 0.3 * torch.randn(count, 2, generator=generator), targets


def net() -> nn.Module:
    with seeded(1, "test"):
        return nn.Sequential(
            nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )


def learner(model: nn.Module | None = None, train: Any = None, **options: Any) -> dt.Learner:
    if train is None:
        train = dt.BatchLoader(dt.TensorData(*blobs()), batch_size=16, shuffle=True)
    return dt.Learner(model or net(), dt.Loaders(train), progress=False, **options)


def weights(of: dt.Learner) -> str:
    return store.weights_sha256(of.model.state_dict())


def test_rates_go_from_start_to_end_by_equal_ratios() -> None:
    found = learner().lr_find(start=1e-6, end=1e-2, num_steps=5)
    assert found.lrs == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    assert len(found.losses) == 5


def test_draws_no_batch_more_than_it_has_rates() -> None:
    batches = list(dt.BatchLoader(dt.TensorData(*blobs()), batch_size=32))
    drawn: list[int] = []

    class Counting:
        def __iter__(self) -> Iterator[Any]:
            for batch in batches:
                drawn.append(1)
                yield batch

    trained = learner(train=Counting())
    drawn.clear()  # a Learner looks at the first batch to choose the loss
    trained.lr_find(end=1e-3, num_steps=7)
    assert len(drawn) == 7


@pytest.mark.parametrize("num_steps", [2, 3, 4, 6, 11])
@pytest.mark.parametrize("batch_size", [96, 16])
def test_few_steps_and_one_batch_are_enough(num_steps: int, batch_size: int) -> None:
    train = dt.BatchLoader(dt.TensorData(*blobs()), batch_size=batch_size)
    found = learner(train=train).lr_find(end=0.1, num_steps=num_steps)
    assert len(found.lrs) == num_steps
    assert all(0 < lr <= 0.1 for lr in found.suggestions.values())


def test_suggests_a_rate_that_learns_by_each_reading() -> None:
    found = learner().lr_find()
    for name in ("halfway", "valley", "steep"):
        trained = learner()
        before = trained.evaluate(trained.loaders.train).loss
        trained.fit_one_cycle(4, found.suggestions[name])
        after = trained.evaluate(trained.loaders.train).loss
        assert after < 0.7 * before, name


def test_a_loss_below_zero_is_searched_to_its_end() -> None:
    """Four times a loss of -1 is below it: that would end the search at its second step."""

    def log_density(preds: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(preds, targets) - 10

    plain = learner(loss_fn="cross_entropy").lr_find(end=0.1, num_steps=30)
    shifted = learner(loss_fn=log_density).lr_find(end=0.1, num_steps=30)
    assert len(plain.lrs) == len(shifted.lrs) == 30
    assert shifted.losses == pytest.approx([loss - 10 for loss in plain.losses], abs=1e-5)
    assert shifted.suggestion == pytest.approx(plain.suggestion)


def test_ends_where_the_loss_blows_up() -> None:
    found = learner(nn.Linear(2, 3), optimizer=torch.optim.SGD).lr_find(end=1e6, num_steps=60)
    assert len(found.lrs) < 60
    assert all(math.isfinite(loss) for loss in found.losses)
    assert max(found.losses) <= 4 * min(found.losses)


class Bomb:
    """A loss that is not finite from some step on."""

    def __init__(self, step: int, value: float = math.nan) -> None:
        self.step, self.value, self.calls = step, value, 0

    def __call__(self, preds: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        loss = nn.functional.cross_entropy(preds, targets)
        return loss * self.value if self.calls > self.step else loss


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_search(value: float) -> None:
    found = learner(loss_fn=Bomb(7, value)).lr_find()
    assert len(found.losses) == 7
    assert all(math.isfinite(loss) for loss in found.losses)


def test_a_loss_that_is_nan_at_once_is_explained_and_nothing_is_left_behind() -> None:
    trained = learner(loss_fn=Bomb(0))
    before = weights(trained)
    with pytest.raises(ConfigError) as caught:
        trained.lr_find()
    assert str(caught.value) == (
        "`lr_find` got a loss of nan at the first step, before any rate was used. Look for values that "
        "are not finite in inputs, targets and weights."
    )
    assert weights(trained) == before


def test_a_loss_that_is_nan_at_the_second_step_asks_for_lower_rates() -> None:
    with pytest.raises(ConfigError) as caught:
        learner(loss_fn=Bomb(1)).lr_find()
    assert str(caught.value) == (
        "`lr_find` saw no finite loss after the first step. Start lower: `lr_find(start=1e-9)`."
    )


def test_an_empty_loader_is_refused() -> None:
    finder = RateFinder(num_steps=5)
    model = net()
    with undone(model, None):
        loop.fit(state_of(model, [], finder, epochs=1))
    with pytest.raises(ConfigError) as caught:
        finder.found()
    assert str(caught.value) == "`lr_find` got no batch: the training loader is empty."


@pytest.mark.parametrize(
    "options",
    [
        {"start": 0.0},
        {"start": 1.0, "end": 0.1},
        {"num_steps": 1},
        {"end": math.inf},
        {"start": math.nan},
    ],
)
def test_rates_that_do_not_rise_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        learner().lr_find(**options)
    given_ = {"start": 1e-7, "end": 10.0, "num_steps": 100} | options
    assert str(caught.value) == (
        "`lr_find` needs 0 < start < end and at least 2 steps. "
        f"Got start={given_['start']}, end={given_['end']}, num_steps={given_['num_steps']}."
    )


# --- nothing is left behind -------------------------------------------------------------------------


def state_of(model: nn.Module, train: Any, finder: RateFinder, *, epochs: int = 9) -> FitState:
    return FitState(
        model=model,
        loaders=dt.Loaders(train),
        loss_fn=nn.functional.cross_entropy,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        epochs=epochs,
        callbacks=[finder],
    )


@pytest.mark.parametrize("made", ["factory", "adamw", "sgd"])
@settings(max_examples=8, deadline=None)
@given(
    num_steps=st.integers(2, 20),
    end=st.floats(1e-3, 100.0),
    fits_before=st.integers(0, 2),
    searches=st.integers(1, 2),
)
def test_training_after_a_search_is_bit_equal_to_training_without(
    made: str, num_steps: int, end: float, fits_before: int, searches: int
) -> None:
    def run(search: bool) -> tuple[str, list[Any]]:
        model = net()
        optimizer = {
            "factory": None,
            "adamw": torch.optim.AdamW(model.parameters(), lr=0.01),
            "sgd": torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        }[made]
        trained = learner(model, optimizer=optimizer)
        for _ in range(fits_before):
            trained.fit(1)
        for _ in range(searches if search else 0):
            trained.lr_find(num_steps=num_steps, end=end)
        trained.fit_one_cycle(1)
        return weights(trained), [row["train_loss"] for row in trained.history]

    assert run(search=True) == run(search=False)


def shuffled(generator_in: str) -> DataLoader[Any]:
    data = TensorDataset(*blobs())
    own = torch.Generator().manual_seed(5)
    if generator_in == "sampler":
        return DataLoader(data, batch_size=16, sampler=RandomSampler(data, generator=own))
    return DataLoader(data, batch_size=16, shuffle=True, generator=own)


@pytest.mark.parametrize("generator_in", ["loader", "sampler"])
def test_a_dataloaders_own_generator_stands_where_it_stood(generator_in: str) -> None:
    def run(search: bool) -> str:
        trained = learner(train=shuffled(generator_in))
        if search:
            trained.lr_find(num_steps=9)
        trained.fit(2, 0.01)
        return weights(trained)

    assert run(search=True) == run(search=False)


class Resampled(torch.utils.data.Sampler[int]):
    """A sampler with an epoch, as torch's DistributedSampler has one."""

    def __init__(self) -> None:
        self.epoch = 3

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter([(i + self.epoch) % 96 for i in range(96)])

    def __len__(self) -> int:
        return 96


class ResampledBatches(Resampled):
    def __iter__(self) -> Iterator[Any]:
        return iter(torch.tensor(list(super().__iter__())).split(16))

    def __len__(self) -> int:
        return 6


def test_loader_and_sampler_keep_their_epoch() -> None:
    loader = dt.BatchLoader(dt.TensorData(*blobs()), batch_size=16, shuffle=True)
    loader.set_epoch(7)
    order = [targets.tolist() for _, targets in loader]
    learner(train=loader).lr_find(num_steps=20)
    assert loader.epoch == 7
    assert [targets.tolist() for _, targets in loader] == order

    sampler = Resampled()
    learner(train=DataLoader(TensorDataset(*blobs()), batch_size=16, sampler=sampler)).lr_find()
    assert sampler.epoch == 3

    batches = ResampledBatches()
    learner(train=DataLoader(TensorDataset(*blobs()), batch_sampler=batches)).lr_find(num_steps=9)
    assert batches.epoch == 3


def test_global_generators_are_as_they_were() -> None:
    with seeded(3, "test"):
        before = torch.get_rng_state()
        learner().lr_find(num_steps=9)
        assert torch.equal(torch.get_rng_state(), before)


class Restless(nn.Module):
    """Everything a module can keep: buffers changed, replaced, hidden and made late, and other state."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(4, "test"):
            self.layer = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.register_buffer("replaced", torch.zeros(1))
        self.register_buffer("hidden", torch.zeros(1), persistent=False)
        self.register_buffer("late", None)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.replaced = self.replaced + 1
        self.hidden += 1
        self.late = torch.ones(1)
        self.frozen.weight.requires_grad_(True)
        return self.layer(self.norm(x)) + 0 * self.frozen(x).sum()

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def test_a_module_that_changes_all_it_has_is_put_back() -> None:
    model = Restless()
    replaced, hidden = model.replaced, model.hidden
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    learner(model).lr_find(num_steps=9, end=1.0)
    assert model.replaced is replaced and model.replaced.item() == 0
    assert model.hidden is hidden and model.hidden.item() == 0
    assert model.late is None
    assert model.calls == 0
    assert not model.frozen.weight.requires_grad
    assert model.norm.num_batches_tracked == 0
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_modes_and_gradients_are_as_they_were() -> None:
    model = net()
    model.eval()
    model[2].train()
    grads = [torch.full_like(parameter, 7.0) for parameter in model.parameters()]
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        parameter.grad = grad
    learner(model).lr_find(num_steps=9)
    assert [part.training for part in model.modules()] == [False, False, False, True, False, False]
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        assert parameter.grad is grad
        assert torch.equal(grad, torch.full_like(grad, 7.0))


def test_gradients_that_were_there_do_not_enter_the_search() -> None:
    def losses(grad: float | None) -> tuple[float, ...]:
        model = net()
        if grad is not None:
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, grad)
        return learner(model).lr_find(num_steps=9, end=1.0).losses

    assert losses(1e3) == losses(None)


def test_an_optimizer_instance_is_as_it_was() -> None:
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    trained = learner(model, optimizer=optimizer)
    trained.fit(1)
    settings_before = [
        {k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups
    ]
    memory = {p: {k: v.clone() for k, v in s.items()} for p, s in optimizer.state.items()}
    trained.lr_find(num_steps=20)
    assert [
        {k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups
    ] == settings_before
    assert [p for group in optimizer.param_groups for p in group["params"]] == list(
        model.parameters()
    )
    assert set(optimizer.state) == set(memory)
    for parameter, kept in memory.items():
        for key, value in kept.items():
            assert torch.equal(optimizer.state[parameter][key], value)


def test_an_optimizer_that_never_stepped_remembers_nothing() -> None:
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    learner(model, optimizer=optimizer).lr_find(num_steps=9)
    assert not optimizer.state
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert "max_lr" not in optimizer.param_groups[0]


def test_memory_in_another_precision_than_the_weights_keeps_it() -> None:
    """Torch's `load_state_dict` would cast it to that of the weights."""
    parameter = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    optimizer.state[parameter]["momentum_buffer"] = torch.full((3,), 1.0000001, dtype=torch.float64)
    with undone(nn.ParameterList([parameter]), optimizer):
        optimizer.state[parameter]["momentum_buffer"] += 1
    kept = optimizer.state[parameter]["momentum_buffer"]
    assert kept.dtype == torch.float64
    assert torch.equal(kept, torch.full((3,), 1.0000001, dtype=torch.float64))


class Counted(torch.optim.SGD):
    """An optimizer that keeps more than torch's own, and says so in its state dict."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state_dict = dict(state_dict)
        self.steps = state_dict.pop("steps")
        super().load_state_dict(state_dict)


def test_an_optimizer_with_a_state_dict_of_its_own_is_put_back_by_it() -> None:
    model = net()
    optimizer = Counted(model.parameters(), lr=0.01, momentum=0.9)
    trained = learner(model, optimizer=optimizer)
    trained.fit(1)
    steps = optimizer.steps
    trained.lr_find(num_steps=9)
    assert optimizer.steps == steps > 0


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_every_optimizer_by_name_is_put_back(name: str) -> None:
    def run(search: bool) -> str:
        model = net()
        trained = learner(model, optimizer=optim.optimizer(name)(model.parameters(), lr=0.01))
        trained.fit(1)
        if search:
            trained.lr_find(num_steps=9, end=1.0)
        trained.fit(1)
        return weights(trained)

    assert run(search=True) == run(search=False)


class LearntLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(preds, targets)
        self.mean.mul_(0.9).add_(0.1 * loss.detach())
        return loss


def test_a_loss_with_buffers_is_put_back() -> None:
    loss = LearntLoss()
    learner(loss_fn=loss).lr_find(num_steps=9)
    assert loss.mean.item() == 0


def test_all_is_put_back_after_an_error_too() -> None:
    class Broken:
        epoch = 5

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __iter__(self) -> Iterator[Any]:
            yield from list(dt.BatchLoader(dt.TensorData(*blobs()), batch_size=16))[:3]
            raise OSError("the disk is gone")

    loader = Broken()
    model = net().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    trained = learner(model, train=loader, optimizer=optimizer)
    before = weights(trained)
    with pytest.raises(OSError, match="the disk is gone"):
        trained.lr_find()
    assert weights(trained) == before
    assert loader.epoch == 5
    assert not optimizer.state
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert not any(part.training for part in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
