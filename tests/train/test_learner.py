"""The Learner: what trains, what is recorded, what a callback can do, and what comes back after a cut."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, InputError, RunError, ShapeError
from drivetrain.randomness import seeded
from drivetrain.reference.learner import train as reference_train
from drivetrain.train.run import Run
from tests.train.blobs import Grouped, blob_loaders, blobs, learner, net, weights

# --- any callable with parameters -----------------------------------------------------------------


class Parabola:
    def __init__(self) -> None:
        self.abc = nn.Parameter(torch.zeros(3))

    def parameters(self) -> list[nn.Parameter]:
        return [self.abc]

    def __call__(self, x: Tensor) -> Tensor:
        return self.abc[0] * x**2 + self.abc[1] * x + self.abc[2]


class MeanImage:
    def __init__(self) -> None:
        self.image = nn.Parameter(torch.zeros(4, 4))

    def parameters(self) -> list[nn.Parameter]:
        return [self.image]

    def __call__(self, pictures: Tensor) -> Tensor:
        return self.image.expand_as(pictures)


class DotProduct:
    def __init__(self) -> None:
        with seeded(3, "test"):
            self.users, self.items = nn.Embedding(6, 2), nn.Embedding(5, 2)

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.users.parameters()
        yield from self.items.parameters()

    def __call__(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.users(user) * self.items(item)).sum(dim=1)


def problem(name: str) -> tuple[Any, tuple[Tensor, ...], float]:
    """A model, its data with the targets last, and a loss that says it has learnt."""
    generator = torch.Generator().manual_seed(0)
    if name == "parabola":
        x = torch.linspace(-2, 2, 64)
        return Parabola(), (x, 3 * x**2 + 2 * x + 1), 1e-3
    if name == "mean image":
        pictures = torch.rand(64, 4, 4, generator=generator)
        return (
            MeanImage(),
            (pictures, pictures),
            float(pictures.var(dim=0, correction=0).mean()) + 1e-3,
        )
    if name == "dot product":
        users = torch.arange(30) % 6
        items = torch.arange(30) % 5
        taste = torch.randn(6, 2, generator=generator)
        kind = torch.randn(5, 2, generator=generator)
        return DotProduct(), (users, items, (taste[users] * kind[items]).sum(dim=1)), 1e-2
    x = torch.randn(64, 3, generator=generator)
    with seeded(4, "test"):
        model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    return model, (x, x[:, 0] * 2 - x[:, 1]), 1e-2


@pytest.mark.row(6)
@pytest.mark.row(22)
@pytest.mark.parametrize("name", ["parabola", "mean image", "dot product", "net"])
def test_the_same_learner_trains(name: str) -> None:
    model, tensors, good = problem(name)
    data = dt.TensorData(*tensors)
    loaders = dt.Loaders(
        dt.BatchLoader(data, batch_size=16, shuffle=True), dt.BatchLoader(data, batch_size=64)
    )
    learner = dt.Learner(model, loaders, "mse", lr=0.2, weight_decay=0.0, progress=False)
    before = learner.evaluate().loss
    learner.fit_one_cycle(120)
    assert learner.evaluate().loss <= good < before


def test_a_parabola_finds_its_coefficients() -> None:
    model, tensors, _ = problem("parabola")
    data = dt.BatchLoader(dt.TensorData(*tensors), batch_size=16, shuffle=True)
    dt.Learner(model, data, "mse", weight_decay=0.0, progress=False).fit_one_cycle(100, 0.2)
    torch.testing.assert_close(model.abc.detach(), torch.tensor([3.0, 2.0, 1.0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            lambda x: x,
            "`function` can be called but has no `parameters()`, so there is nothing to train. "
            "Make it an `nn.Module`, or add a method that lists its `nn.Parameter`s.",
        ),
        (3, "The model must be an `nn.Module` or a callable with parameters. Got int."),
        (
            nn.Linear,
            "`Linear` cannot be made without its arguments `in_features`, `out_features`. "
            "Fill them in: `functools.partial(Linear, …)`.",
        ),
        (
            functools.partial(nn.Linear, in_features=2),
            "`Linear` cannot be made without its argument `out_features`. "
            "Fill it in: `functools.partial(Linear, …)`.",
        ),
    ],
)
def test_what_cannot_train_is_refused(model: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dt.Learner(model, blob_loaders())
    assert str(caught.value) == sentence


def test_loaders_that_lack_an_argument_are_refused() -> None:
    def loaders(folder: str) -> dt.Loaders:
        return blob_loaders()

    with pytest.raises(ConfigError) as caught:
        dt.Learner(nn.Linear(2, 3), loaders)
    assert str(caught.value) == (
        "`loaders` cannot be made without its argument `folder`. "
        "Fill it in: `functools.partial(loaders, …)`."
    )


def test_a_function_that_answers_its_parameters_is_a_model() -> None:
    weight = nn.Parameter(torch.zeros(2, 3))

    def scores(x: Tensor, scale: float = 1.0) -> Tensor:
        return scale * (x @ weight)

    def ready(*batch: Tensor) -> Tensor:
        return batch[0] @ weight

    for function in (scores, ready):
        function.parameters = lambda: [weight]  # pyright: ignore[reportFunctionMemberAccess]
        trained = dt.Learner(function, blob_loaders(), progress=False)
        assert trained.makes_model is None
        before = weight.detach().clone()
        trained.fit(1)
        assert not torch.equal(weight, before)


def test_plain_tensors_as_parameters_are_refused() -> None:
    class Plain:
        def parameters(self) -> list[Tensor]:
            return [torch.zeros(3, requires_grad=True)]

        def __call__(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(ConfigError) as caught:
        dt.Learner(Plain(), blob_loaders())
    assert str(caught.value) == (
        "`Plain.parameters()` must list `nn.Parameter`s. Got Tensor. "
        "Wrap each tensor that is to be learnt: `nn.Parameter(tensor)`."
    )


# --- the loop ----------------------------------------------------------------------------------------


def test_learns_blobs_within_thirty_steps() -> None:
    trained = learner(metrics=["accuracy"])
    trained.fit_one_cycle(5, 0.1)
    assert trained.history[-1]["accuracy"] == 1.0


@pytest.mark.row(161)
def test_equals_the_loop_from_scratch_to_the_last_bit() -> None:
    ours, theirs = net(), net()
    trained = dt.Learner(ours, blob_loaders(), "cross_entropy", lr=0.05, progress=False)
    trained.fit(2)
    again = blob_loaders().train
    assert isinstance(again, dt.BatchLoader)

    def batches(epoch: int) -> Any:
        again.set_epoch(epoch)
        return again

    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    kept = [p for p in theirs.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": kept, "weight_decay": 0.0}],
        lr=0.05,
        betas=(0.9, 0.99),
        eps=1e-5,
        fused=True,
    )
    reference_train(
        theirs, batches, nn.functional.cross_entropy, lambda _: optimizer.step(), epochs=2
    )
    assert store.weights_sha256(ours.state_dict()) == store.weights_sha256(theirs.state_dict())


def test_at_most_four_frames_between_fit_and_forward() -> None:
    depths: list[list[str]] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            frame, names = sys._getframe(1), []
            while frame is not None and frame.f_code is not dt.Learner.fit.__code__:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
            depths.append(names)
            return self.layer(x)

    learner(Spy()).fit(1)
    assert len(depths[0]) <= 4, depths[0]


def test_frozen_layers_change_in_nothing() -> None:
    model = Grouped()
    trained = learner(model)
    before = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("head")}
    trained.freeze()
    trained.fit(2, 0.1)
    for name, tensor in before.items():  # running statistics of batchnorm among them
        assert torch.equal(model.state_dict()[name], tensor), name
    trained.unfreeze()
    trained.fit(1, 0.1)
    assert not torch.equal(model.state_dict()["early.0.weight"], before["early.0.weight"])
    assert not torch.equal(
        model.state_dict()["early.1.running_mean"], before["early.1.running_mean"]
    )


def test_fine_tune_trains_the_head_first_and_then_all_at_spread_rates() -> None:
    trained = learner(Grouped())
    trained.fine_tune(2, 1e-2)
    kinds = [(s.kind, s.frozen_groups, s.epochs_done, s.status) for s in trained.journal]
    assert kinds == [
        ("freeze", 2, 0, "done"),
        ("fit", 0, 1, "done"),
        ("freeze", 0, 0, "done"),
        ("fit", 0, 2, "done"),
    ]
    assert trained.journal[1].lrs == [1e-2] * 3
    assert trained.journal[3].lrs == pytest.approx([5e-5, 5e-4, 5e-3])
    assert [row["epoch"] for row in trained.history] == [0, 1, 2]


def statistics(model: nn.Module) -> Tensor:
    return model.get_buffer("early.1.running_mean").clone()


def test_fine_tuning_keeps_the_statistics_that_a_body_came_with() -> None:
    model = Grouped()
    trained = learner(model)
    trained.fit(2)
    learnt, weight = statistics(model), model.get_parameter("early.0.weight").detach().clone()
    trained.fine_tune(1, 1e-2)
    assert torch.equal(statistics(model), learnt)
    assert not torch.equal(model.get_parameter("early.0.weight"), weight)
    trained.fine_tune(1, 1e-2, keep_statistics=False)
    assert not torch.equal(statistics(model), learnt)


def test_fine_tuning_a_body_without_statistics_learns_them() -> None:
    model = Grouped()
    trained = learner(model)
    trained.fine_tune(1, 1e-2)
    assert [stage.keep_statistics for stage in trained.journal] == [False] * 4
    assert statistics(model).any()


def test_rates_are_a_table_of_groups_layers_and_rates() -> None:
    table = learner(Grouped()).rates(slice(1e-4, 1e-2)).splitlines()
    assert [line.split() for line in table] == [
        ["group", "layers", "parameters", "rate", "state"],
        ["0", "Sequential", "40", "0.0001", "trainable"],
        ["1", "Sequential", "88", "0.001", "trainable"],
        ["2", "Linear", "27", "0.01", "trainable"],
    ]


def test_any_optimizer_of_torch_fits() -> None:
    trained = learner(optimizer=torch.optim.SGD, lr=0.1)
    trained.fit(3)
    assert trained.history[-1]["valid_loss"] < trained.history[0]["train_loss"]


def test_an_optimizer_instance_is_used_as_it_is() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trained = learner(model, optimizer=optimizer)
    trained.fit(2)
    assert trained.optimizer is optimizer
    assert trained.history[-1]["valid_loss"] < 0.5


def test_the_loss_is_chosen_by_the_targets() -> None:
    assert learner().loss_fn is dt.losses.cross_entropy
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    numbers = dt.Learner(nn.Linear(2, 1), dt.BatchLoader(dt.TensorData(x, x[:, :1])))
    assert numbers.loss_fn is dt.losses.mse


@pytest.mark.row(114)
def test_a_wrong_pair_is_refused_before_any_weight_has_changed() -> None:
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    model = nn.Linear(2, 3)
    before = store.weights_sha256(model.state_dict())
    data = dt.BatchLoader(dt.TensorData(x, x[:, 0]), batch_size=4)
    trained = dt.Learner(model, data, "cross_entropy", progress=False)
    with pytest.raises(ShapeError, match="`cross_entropy` got float32 targets, expected int64"):
        trained.fit(1)
    assert store.weights_sha256(model.state_dict()) == before


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda one: one.fit(0), "`epochs` must be at least 1. Got 0."),
        (
            lambda one: one.fit(1, float("nan")),
            "`lr` holds nan, expected a finite number from 0 up.",
        ),
        (lambda one: one.freeze(5), "The model has 1 layer groups. Got 5 to freeze."),
        (
            lambda one: one.train(),
            "`train` needs an application. This Learner was made from a model and loaders: "
            "use `fit`, `evaluate(loader)` and `predict(tensor)`.",
        ),
    ],
)
def test_wrong_arguments_are_answered(call: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        call(learner())
    assert str(caught.value) == sentence


def test_an_empty_loader_is_refused() -> None:
    empty = dt.BatchLoader(dt.TensorData(torch.zeros(0, 2), torch.zeros(0)))
    with pytest.raises(
        ConfigError, match="The training loader is empty: there is nothing to learn"
    ):
        dt.Learner(net(), empty)


# --- loss and metric are two things ------------------------------------------------------------------


@pytest.mark.row(7)
def test_the_metric_never_changes_the_weights() -> None:
    hashes = set()
    for metrics in ([], ["accuracy"], ["f1"], ["accuracy", "f1", "error_rate"]):
        trained = learner(net(dropout=0.3), metrics=metrics)
        trained.fit_one_cycle(2, 0.05)
        assert {"train_loss", "valid_loss", *metrics} <= set(trained.history[-1])
        hashes.add(weights(trained))
    assert len(hashes) == 1


@pytest.mark.row(41)
def test_a_smaller_last_batch_weighs_less() -> None:
    x = torch.tensor([[0.0], [0.0], [0.0], [3.0], [3.0]])
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    data = dt.TensorData(x, x.clone())
    losses = {}
    for size in (5, 4, 2, 1):
        loader = dt.BatchLoader(data, batch_size=size)
        losses[size] = dt.Learner(model, loader, "mse").evaluate(loader).loss
    assert losses == pytest.approx({5: 3.6, 4: 3.6, 2: 3.6, 1: 3.6})


# --- callbacks ---------------------------------------------------------------------------------------


class Order(dt.Callback):
    def __init__(self) -> None:
        self.seen: list[str] = []


def _note(event: str) -> Any:
    def method(self: Order, state: Any) -> None:
        self.seen.append(event)

    return method


for _event in (
    "before_fit before_epoch before_batch after_forward after_loss after_backward after_step "
    "after_batch before_validate after_validate after_epoch after_cancel after_fit"
).split():
    setattr(Order, _event, _note(_event))


def test_events_come_in_the_order_that_is_documented() -> None:
    order = Order()
    inputs, targets = blobs(6)
    loader = dt.BatchLoader(dt.TensorData(inputs, targets), batch_size=3)
    dt.Learner(net(), (loader, loader), callbacks=[order], progress=False).fit(1)
    batch = "before_batch after_forward after_loss after_backward after_step after_batch".split()
    assert order.seen == [
        *("before_fit", "before_epoch", *batch, *batch),
        *("before_validate", "after_validate", "after_epoch", "after_fit"),
    ]


def test_a_mistyped_event_is_answered() -> None:
    with pytest.raises(ConfigError) as caught:

        class Mine(dt.Callback):
            def after_bacth(self, state: Any) -> None: ...

    assert str(caught.value).startswith(
        "`Mine.after_bacth` is not an event. Did you mean 'after_batch'? Events: before_fit, "
    )


@pytest.mark.parametrize("event", ["before_batch", "after_forward", "after_loss", "after_backward"])
def test_a_cancelled_batch_leaves_the_weights_as_they_were(event: str) -> None:
    class Skip(Order):
        pass

    def cancel(self: Order, state: Any) -> None:
        raise dt.CancelBatch

    setattr(Skip, event, cancel)
    skip = Skip()
    with seeded(1, "test"):
        model = nn.Linear(2, 3)
    trained = learner(model, callbacks=[skip])
    before = weights(trained)
    trained.fit(1)
    assert weights(trained) == before
    assert skip.seen.count("after_cancel") == skip.seen.count("after_batch") == 6
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_cancelled_epoch_is_counted_and_the_next_one_comes() -> None:
    class Half(Order):
        def after_batch(self, state: Any) -> None:
            if state.epochs_done == 0 and state.step == 2:
                raise dt.CancelEpoch

    half = Half()
    trained = learner(callbacks=[half])
    trained.fit(2)
    assert half.seen.count("before_validate") == 1
    assert half.seen.count("after_epoch") == 2
    assert trained.journal[0].status == "done"


def test_a_cancelled_fit_ends_it_and_says_so_in_the_journal() -> None:
    class Enough(Order):
        def after_epoch(self, state: Any) -> None:
            raise dt.CancelFit

    enough = Enough()
    trained = learner(callbacks=[enough])
    trained.fit(5)
    assert (trained.journal[0].epochs_done, trained.journal[0].status) == (1, "cancelled")
    assert enough.seen[-2:] == ["after_cancel", "after_fit"]


def test_an_error_in_the_loop_still_ends_the_fit_and_the_next_one_starts_clean() -> None:
    class Broken(Order):
        def after_loss(self, state: Any) -> None:
            raise ValueError("mine")

    broken = Broken()
    trained = learner()
    with pytest.raises(ValueError, match=r"^mine$"):
        trained.fit(1, callbacks=[broken])
    assert broken.seen[-1] == "after_fit"
    trained.fit(1)
    assert [stage.status for stage in trained.journal] == ["broken", "done"]


def test_a_callback_can_change_batch_loss_and_gradients() -> None:
    class Change(dt.Callback):
        def before_batch(self, state: Any) -> None:
            inputs, targets = state.batch
            state.batch = inputs * 0, targets

        def after_loss(self, state: Any) -> None:
            state.loss = state.loss * 0

    with seeded(1, "test"):
        model = nn.Linear(2, 3)
    trained = learner(model, weight_decay=0.0, callbacks=[Change()])
    before = weights(trained)
    trained.fit(1)
    assert weights(trained) == before


# --- the same bits -----------------------------------------------------------------------------------


@pytest.mark.row(11)
@pytest.mark.row(103)
def test_the_same_seed_gives_the_same_bits_and_another_one_other_bits() -> None:
    def run(seed: int) -> tuple[str, list[Any]]:
        trained = learner(net(dropout=0.5), seed=seed)
        trained.fit_one_cycle(2, 0.05)
        return weights(trained), [row["train_loss"] for row in trained.history]

    torch.rand(7)  # what others draw from torch's generator does not matter
    first = run(1)
    torch.rand(3)
    assert run(1) == first
    assert run(2)[0] != first[0]


def test_looking_changes_nothing_in_a_later_run() -> None:
    def run(look: bool) -> str:
        trained = learner(Grouped(), metrics=["accuracy"])
        trained.fit(1)
        if look:
            trained.lr_find(num_steps=20)
            trained.evaluate()
            trained.predictions()
            trained.predict(torch.zeros(1, 2))
            trained.rates()
            trained.result()
        trained.fine_tune(1)
        return weights(trained)

    assert run(look=True) == run(look=False)


# --- the run folder ----------------------------------------------------------------------------------


def test_another_model_is_refused_by_name(tmp_path: Any) -> None:
    learner(out=tmp_path / "run").fit(1)
    other = learner(Grouped())
    with pytest.raises(RunError) as caught:
        other.load(tmp_path / "run")
    assert str(caught.value).startswith(
        f"{tmp_path / 'run'} holds the weights of another model (missing: early.0.weight, "
    )


def test_save_and_load_give_the_same_weights(tmp_path: Any) -> None:
    trained = learner()
    trained.fit(2)
    trained.save(tmp_path / "kept")
    fresh = learner()
    assert weights(fresh) != weights(trained)
    fresh.load(tmp_path / "kept")
    assert weights(fresh) == weights(trained)
    assert [row["epoch"] for row in Run.open(tmp_path / "kept").read_log()] == [0, 1]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Any) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(RunError, match="already holds files"):
        learner(out=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_predictions_hold_every_item(tmp_path: Any) -> None:
    trained = learner()
    trained.fit_one_cycle(5, 0.1)
    found = trained.predictions()
    assert len(found) == 96
    assert torch.equal(found.targets, blobs()[1])
    assert torch.equal(found.preds, found.probs.argmax(dim=1))
    assert found.losses.mean().item() == pytest.approx(trained.evaluate().loss, rel=1e-5)
    worst = found.worst(3)
    assert worst[0]["loss"] == found.losses.max().item()
    assert [w["loss"] for w in worst] == sorted((w["loss"] for w in worst), reverse=True)


def test_every_public_method_says_what_it_does() -> None:
    for name, method in inspect.getmembers(dt.Learner, inspect.isfunction):
        assert name.startswith("_") or method.__doc__, name


def test_predictions_of_numbers_are_the_outputs() -> None:
    x = torch.linspace(-1, 1, 8).unsqueeze(1)
    loader = dt.BatchLoader(dt.TensorData(x, 2.5 * x))
    found = dt.Learner(nn.Linear(1, 1), (loader, loader), "mse", progress=False).predictions()
    assert torch.equal(found.preds, found.outputs)
    worst = found.worst(1)[0]
    assert worst["target"] == found.targets[int(worst["id"])].tolist()


def test_an_optimizer_instance_starts_each_fit_at_its_own_rate_or_the_one_given() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trained = learner(model, optimizer=optimizer)
    trained.fit_one_cycle(1)  # ends at a rate near 0
    trained.fit(1)
    assert optimizer.param_groups[0]["lr"] == 0.1
    trained.fit(1, 0.02)
    assert optimizer.param_groups[0]["lr"] == 0.02
    assert [stage.lrs for stage in trained.journal] == [[0.1], [0.1], [0.02]]


def test_a_list_of_batches_is_a_loader() -> None:
    inputs, targets = blobs(8)
    batches = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    alone = dt.Learner(net(), batches, progress=False)
    alone.fit(1)
    assert "valid_loss" not in alone.history[0]
    both = dt.Learner(net(), (batches, batches), progress=False)
    both.fit(1)
    assert both.history[0]["train_loss"] == alone.history[0]["train_loss"]
    assert both.evaluate().count == 8
