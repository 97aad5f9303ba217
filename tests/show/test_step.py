"""One weight through a training step: what is worked out is what the loop makes; nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.nn.dropouts import WeightDrop
from drivetrain.optim import OPTIMIZERS, optimizer
from drivetrain.optim.steppers import Update, chain, l2_decay, step as plain_step, stepper
from drivetrain.show.calculation import Calculation
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from tests.show.independent import recalculate


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 2))


def learner(make: Callable[[], nn.Module] = small_net, **given: Any) -> dt.Learner:
    """20 items of two classes, batches of 8, weights that follow from the seed."""
    x = draw(20, 4)
    data = dt.TensorData(x, (x[:, 0] > x[:, 1]).long())
    loaders = (dt.BatchLoader(data, batch_size=8, shuffle=True), dt.BatchLoader(data, batch_size=8))
    return dt.Learner(make, loaders, progress=False, lr=0.05, **given)


def trained(made: dt.Learner) -> Tensor:
    """All weights, as one row."""
    return torch.cat([p.detach().flatten() for p in made.model.parameters()])


def part(found: Calculation, title: str) -> Calculation:
    """The part of a step whose title begins so."""
    return next(one for one in found.parts if one.title.startswith(title))


def check(found: Calculation) -> None:
    """All parts agree, and a second reader of the JSON finds the same."""
    assert found.agrees_throughout, [(one.title, one.difference) for one in found.walk()]
    recalculate(json.dumps(found.to_json()))


# --- the step is the loop's -----------------------------------------------------------------------


@pytest.mark.parametrize("weight", ["0.weight", "0.bias", "3.weight"])
def test_the_new_weight_is_what_a_fit_gives(weight: str) -> None:
    made = learner()
    found = [
        dt.show.step(made, weight=weight, at=place, number=3)
        for place in ([(1, 2), (0, 3)] if weight != "0.bias" else [(1,), (5,)])
    ]
    made.fit(1)  # three batches: three steps
    after = dict(made.model.named_parameters())[weight]
    for one, place in zip(found, [(1, 2), (0, 3)] if weight != "0.bias" else [1, 5], strict=True):
        assert float(one.own) == float(after[place].detach())
        check(one)


def test_the_learner_is_left_as_it_was_to_the_bit() -> None:
    looked, plain = learner(), learner()
    for made in (looked, plain):
        made.fit_one_cycle(1)
    before = store.weights_sha256(looked.model.state_dict())
    modes = [module.training for module in looked.model.modules()]
    generator = torch.get_rng_state()
    for number in (1, 2):
        dt.show.step(looked, weight="0.weight", number=number)
    assert store.weights_sha256(looked.model.state_dict()) == before
    assert [module.training for module in looked.model.modules()] == modes
    assert all(p.grad is None or not p.grad.any() for p in looked.model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module._forward_hooks for module in looked.model.modules())
    for made in (looked, plain):
        made.fit(2)
    assert torch.equal(trained(looked), trained(plain))
    for one, other in zip(looked.history, plain.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_an_optimizer_instance_keeps_its_memory() -> None:
    nets = [small_net(), small_net()]
    nets[1].load_state_dict(nets[0].state_dict())
    pair = [
        learner(lambda net=net: net, optimizer=torch.optim.Adam(net.parameters(), lr=0.05))
        for net in nets
    ]
    for made in pair:
        made.fit(1)
    found = dt.show.step(pair[0], weight="0.weight", at=(2, 1))
    assert found.term("t").value == 4  # three steps are behind it
    check(found)
    for made in pair:
        made.fit(1)
    assert torch.equal(trained(pair[0]), trained(pair[1]))


def test_the_place_with_the_largest_gradient_is_taken_where_none_is_named() -> None:
    made = learner(optimizer=optimizer("sgd"))
    found = dt.show.step(made, weight="3.weight")
    sizes = [
        abs(float(dt.show.step(made, weight="3.weight", at=(i, j)).term("g").value))
        for i in range(2)
        for j in range(6)
    ]
    assert abs(float(found.term("g").value)) == max(sizes)


# --- the gradient ---------------------------------------------------------------------------------


def test_the_gradient_is_a_sum_over_the_places_where_the_weight_is_used() -> None:
    made = learner()
    batch = (draw(8, 4, seed=3), torch.tensor([0, 1] * 4))
    found = dt.show.step(made, weight="0.weight", at=(3, 1), batch=batch)
    gradient = part(found, "gradient of 0.weight[3, 1]: 8 outputs have it in them")
    places = gradient.term("place").value
    assert (places[:, 1] == 3).all()  # only feature 3 has it in it
    inputs = batch[0].double()[places[:, 0], 1]
    assert torch.allclose(torch.from_numpy(gradient.term("part").value), inputs)
    sizes = abs(gradient.term("up").value * gradient.term("part").value)
    assert (sizes[:-1] >= sizes[1:]).all()
    difference = part(found, "the same gradient as a difference of two losses")
    assert float(difference.result) == pytest.approx(float(gradient.result), rel=1e-5, abs=1e-9)
    assert difference.source == (
        f"autograd in float64; in float32, as the run is, it gives {float(gradient.own):.9g}"
    )
    check(found)


class Attends(nn.Module):
    """Attention, whose output matrix is used without a call of the layer that holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1) * torch.arange(1, 4).reshape(1, 3, 1)
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(dim=1))


class Recurs(nn.Module):
    """An LSTM some of whose weights are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = WeightDrop(nn.LSTM(2, 3, batch_first=True), p=0.3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.reshape(-1, 2, 2))[0][:, -1])


class Tied(nn.Module):
    """One matrix in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh())[:, :2]


class Outputs(nn.Module):
    """An embedding whose matrix also makes the scores, as in a language model."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 5)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.table((x > 0).long()).mean(dim=1), self.table.weight)


class Bare(nn.Module):
    """Parameters that belong to the model itself, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(draw(4, 2, seed=5))
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale.square() * (x @ self.slope)


class NormAndActivation(nn.BatchNorm1d):
    """A layer that is no straight line in its weight, though its class's parent is."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu_()


def with_activation() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), NormAndActivation(6), nn.Linear(6, 2))


def pictures() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)),
        nn.Conv2d(1, 3, 2, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(27, 2),
    )


def words() -> nn.Module:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.norm = nn.Embedding(3, 5), nn.LayerNorm(5)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.table((x * 10).long().abs() % 3).mean(dim=1)))

    return Looks()


@pytest.mark.parametrize(
    ("make", "weight"),
    [
        (Attends, "attention.in_proj_weight"),
        (Attends, "attention.out_proj.weight"),
        (Recurs, "cell.module.weight_hh_l0"),
        (Recurs, "cell.module.bias_ih_l0"),
        (Tied, "first.weight"),
        (Outputs, "table.weight"),
        (Bare, "slope"),
        (Bare, "scale"),
        (with_activation, "1.weight"),
        (pictures, "1.weight"),
        (pictures, "1.bias"),
        (pictures, "2.weight"),
        (words, "table.weight"),
        (words, "norm.weight"),
    ],
)
def test_a_weight_wherever_it_is_used(make: Callable[[], nn.Module], weight: str) -> None:
    found = dt.show.step(learner(make), weight=weight)
    titles = [one.title for one in found.parts]
    assert any(title.startswith(f"gradient of {weight}") for title in titles)
    assert "the same gradient as a difference of two losses" in titles
    check(found)


def test_the_row_of_padding_has_no_gradient() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(3, 4, padding_idx=1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.table((x * 10).long().abs() % 3).mean(dim=1))

    found = dt.show.step(learner(Padded), weight="table.weight", at=(1, 2))
    assert float(part(found, "gradient of table.weight[1, 2]: 0 outputs").result) == 0
    check(found)


def test_a_weight_of_two_layers_names_both_uses() -> None:
    gradient = part(dt.show.step(learner(Tied), weight="first.weight", at=(1, 2)), "gradient")
    assert gradient.term("use").meaning == "which of its uses: 0 first, 1 second"
    assert set(gradient.term("use").value.tolist()) == {0, 1}


# --- optimizers -----------------------------------------------------------------------------------

TORCHS: dict[str, Callable[..., Any]] = {
    "torch SGD": lambda p, lr=0.1: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "torch SGD, dampened": lambda p: torch.optim.SGD(p, momentum=0.9, dampening=0.2),
    "torch SGD, nesterov": lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True),
    "torch Adam": torch.optim.Adam,
    "torch AdamW": torch.optim.AdamW,
    "torch RMSprop": lambda p: torch.optim.RMSprop(p, momentum=0.5),
    "torch RMSprop, centered": lambda p: torch.optim.RMSprop(p, centered=True),
    "torch RAdam": torch.optim.RAdam,
}
OURS = {name: optimizer(name) for name in OPTIMIZERS if name != "muon"}
OURS["muon"] = optimizer("muon", ns_dtype="float64")
OURS["momentum, dampened"] = optimizer("momentum", dampening=0.3, weight_decay=0.1)
OURS["rmsprop, momentum"] = optimizer("rmsprop", momentum=0.5)
OURS["schedule_free_adamw, warmup"] = optimizer("schedule_free_adamw", warmup_steps=4)
OURS["lookahead of adam"] = optimizer("lookahead", inner="adam", sync_period=2)


@pytest.mark.parametrize("name", [*OURS, *TORCHS])
def test_an_optimizers_lines_end_at_its_own_new_weight(name: str) -> None:
    made = learner(optimizer=(OURS | TORCHS)[name])
    for weight, number in (("0.weight", 2), ("0.bias", 1)):
        found = dt.show.step(made, weight=weight, number=number)
        assert found.tolerance < 5e-6  # a few roundings of float32
        check(found)


def test_what_adam_remembers_is_what_its_lines_say() -> None:
    from drivetrain.show.follow import follow

    made = learner()
    found = dt.show.step(made, weight="0.weight", at=(1, 2), number=3)
    kept = follow(made, "0.weight", number=3)
    lines = {step.name: float(step.value) for step in found.steps}
    assert lines["m_new"] == pytest.approx(float(kept.new_state["exp_avg"][1, 2]), rel=1e-5)
    assert lines["v_new"] == pytest.approx(float(kept.new_state["exp_avg_sq"][1, 2]), rel=1e-5)
    assert found.term("m").value == pytest.approx(float(kept.state["exp_avg"][1, 2]))
    assert found.formula == (
        "w ← (1 - lr · wd) · w - lr · m̂ / (√v̂ + eps), m and v the means of g and g²"
    )


@stepper(settings={"lr": 0.1})
def doubled(update: Update) -> None:
    torch._foreach_mul_(update.owned(), 2.0)


@pytest.mark.parametrize(
    ("made_by", "sentence"),
    [
        (
            lambda p: dt.optim.Composed(p, chain("mine", l2_decay, doubled, plain_step)),
            "The step `doubled` of the optimizer `mine` is not written as a formula. Written: "
            "add_eps, ",
        ),
        (
            torch.optim.Adadelta,
            "The optimizer `Adadelta` is not written as formulas here, or not with these options. "
            "Written: "
            "SGD, Adam, AdamW, RMSprop and RAdam of torch, and adam, ",
        ),
        (
            lambda p: torch.optim.Adam(p, amsgrad=True),
            "The option `amsgrad` of `Adam` is not written as a formula.",
        ),
        (
            optimizer("muon"),
            "The step `orthogonalize` of `muon` is worked out in bfloat16, whose rounding cannot "
            "be written "
            'as a formula. Follow it with `ns_dtype="float32"`.',
        ),
    ],
)
def test_an_optimizer_that_is_not_written_is_said_so_by_name(made_by: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        dt.show.step(learner(optimizer=made_by), weight="0.weight")
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("given", ["function", "module"])
def test_with_a_loss_of_ones_own_all_but_the_loss_is_worked_out(given: str) -> None:
    class Mine(nn.Module):
        def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
            return (scores.logsumexp(1) - scores.gather(1, targets[:, None])[:, 0]).square().mean()

    loss = Mine() if given == "module" else Mine().forward
    found = dt.show.step(learner(loss_fn=loss), weight="0.weight")
    assert found.agrees and len(found.not_shown) == 1
    assert found.not_shown[0].endswith("items: not shown")
    assert part(found, "gradient of 0.weight").agrees
    assert part(found, "the same gradient as a difference of two losses").agrees


# --- schedules and callbacks ----------------------------------------------------------------------


def test_the_rate_of_the_schedule_is_worked_out() -> None:
    made = learner()
    made.fit_one_cycle(2)
    for number in (1, 2, 3, 6):
        found = dt.show.step(made, weight="0.weight", number=number)
        rate = part(found, "the learning rate")
        assert rate.tolerance == 1e-12
        assert float(rate.own) == found.term("lr").value
        check(found)
    made.fit(1, schedule="cosine")
    assert part(dt.show.step(made, weight="0.weight", number=2), "the learning rate").agrees


@pytest.mark.parametrize("clip", [ClipGradients(0.01), ClipGradients(max_value=0.001)])
def test_clipping_is_a_part(clip: ClipGradients) -> None:
    found = dt.show.step(learner(callbacks=[clip]), weight="0.weight")
    clipped = part(found, "clipping")
    assert float(clipped.own) == found.term("g").value
    assert abs(float(clipped.own)) < abs(float(part(found, "gradient").own))
    check(found)


def test_label_smoothing_and_accumulated_batches() -> None:
    smooth = dt.show.step(learner(callbacks=[LabelSmoothing(0.2)]), weight="0.weight")
    assert part(smooth, "cross_entropy").term("s").value == 0.2
    check(smooth)
    summed = dt.show.step(learner(callbacks=[Accumulate(2)]), weight="0.weight")
    gradient = part(summed, "gradient")
    assert gradient.term("kept").meaning == "left by the batches before it in this step"
    assert gradient.steps[-1].expression == "sum(each) + kept"
    check(summed)


def test_a_callback_that_changes_gradients_is_seen() -> None:
    class Halves(dt.Callback):
        def before_step(self, state: Any) -> None:
            for group in state.optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad.mul_(0.5)

    found = dt.show.step(learner(callbacks=[Halves()]), weight="0.weight")
    assert part(found, "changed by callbacks").source == "Halves, OptimizerMode"
    check(found)


def test_a_fit_that_was_stopped_is_followed_where_it_stands() -> None:
    class Stops(dt.Callback):
        def after_batch(self, state: Any) -> None:
            if state.step == 2:
                state.interrupted = 2
                state.save(state)
                raise dt.CancelFit

    made = learner()
    with pytest.raises(KeyboardInterrupt):
        made.fit(1, callbacks=[Stops()])
    found = dt.show.step(made, weight="0.weight", at=(1, 2))
    assert found.term("t").value == 3
    check(found)
    made.resume(callbacks=[])
    after = dict(made.model.named_parameters())["0.weight"].detach()
    assert float(found.own) == float(after[1, 2])


# --- what is refused ------------------------------------------------------------------------------


def test_a_wrong_weight_place_or_step_is_refused() -> None:
    made = learner()
    for given, kind, sentence in (
        (
            {"weight": "0.wieght"},
            UnknownNameError,
            "The model has no weight '0.wieght'. Did you mean '0.weight'? It has: 0.weight, "
            "0.bias, 3.weight, "
            "3.bias.",
        ),
        (
            {"weight": "0.weight", "at": (6, 0)},
            ShapeError,
            "'0.weight' has shape (6, 4), so `at` is 2 numbers from 0 up, below those. Got (6, 0).",
        ),
        (
            {"weight": "0.weight", "number": 9},
            ConfigError,
            "The fit has fewer than 9 steps: there were 3. Ask for one of those, or train for more "
            "epochs.",
        ),
        (
            {"weight": "0.weight", "number": 0},
            ConfigError,
            "`number` is the step of a fit, from 1 up. Got 0.",
        ),
    ):
        with pytest.raises(kind) as error:
            dt.show.step(made, **given)
        assert str(error.value) == sentence
    made.model[0].weight.requires_grad_(False)  # pyright: ignore[reportIndexIssue]
    with pytest.raises(ConfigError) as error:
        dt.show.step(made, weight="0.weight")
    assert str(error.value) == (
        "The weight '0.weight' is frozen, so no step moves it. `learner.unfreeze()` lets it train."
    )
