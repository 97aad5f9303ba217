"""NonFiniteGuard: the fit stops before the step, names what it comes from, and keeps nothing of it."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import DrivetrainError, NonFiniteError
from drivetrain.losses import cross_entropy, mse
from drivetrain.models.resnet import ResidualBlock
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.callbacks.mixed_precision import MixedPrecision
from drivetrain.train.callbacks.mixup import Mixup
from drivetrain.train.callbacks.nonfinite_guard import NonFiniteGuard
from drivetrain.train.callbacks.save_best import SaveBest
from drivetrain.train.state import FitState

NAN, INF = math.nan, math.inf
ITEMS, BATCH = 64, 8


class Named(dt.TensorData):
    """Items with ids."""

    def __init__(self, *tensors: Tensor) -> None:
        super().__init__(*tensors)
        self.ids = [f"img_{index:04d}" for index in range(len(self))]


def numbers() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ITEMS, 4, generator=generator)
    return inputs, inputs.sum(1, keepdim=True)


def pixels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ITEMS, 1, 8, 8, generator=generator), torch.arange(ITEMS) % 3


def regression() -> nn.Sequential:
    with seeded(1, "test"):
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def plain() -> nn.Sequential:
    with seeded(1, "test"):
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def convolutional() -> nn.Module:
    with seeded(1, "test"):
        return nn.Sequential(
            ResidualBlock(1, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        )


def bits(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Before(dt.Callback):
    """The model as it is before each batch, and the items of that batch."""

    def __init__(self) -> None:
        self.bits: dict[str, Tensor] = {}
        self.ids: list[str] = []

    def before_batch(self, state: FitState) -> None:
        self.bits = bits(state.model)
        self.ids = state.item_ids()


def stopped(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    loss_fn: Any,
    *callbacks: dt.Callback,
    lr: float = 0.01,
    optimizer: Any = torch.optim.SGD,
    epochs: int = 30,
    folder: Path | None = None,
    shuffle: bool = True,
) -> tuple[NonFiniteError, Before, FitState]:
    """Trains until the guard stops it: before the step, with the model as it was before the batch."""
    before = Before()
    loader = dt.BatchLoader(Named(*data), batch_size=BATCH, shuffle=shuffle)
    state = FitState(
        model=model,
        loaders=dt.Loaders(loader),
        loss_fn=loss_fn,
        optimizer=optimizer(model.parameters(), lr=lr),
        epochs=epochs,
        callbacks=[before, NonFiniteGuard(), *callbacks],
        folder=folder,
    )
    generators = torch.get_rng_state()
    with pytest.raises(NonFiniteError) as caught:
        loop.fit(state)
    assert torch.equal(torch.get_rng_state(), generators)
    after = bits(model)
    for name, tensor in before.bits.items():
        assert torch.equal(after[name], tensor), name
        assert torch.isfinite(tensor).all(), name
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, DrivetrainError)
    assert "The step was not made: the weights are those after step" in str(caught.value)
    assert caught.value.step == state.step + 1
    return caught.value, before, state


# --- in the data --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("where", ["feature", "pixel", "target"])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_bad_number_in_the_data_names_its_item(where: str, value: float, mixed: bool) -> None:
    inputs, targets = pixels() if where == "pixel" else numbers()
    if where == "target":
        targets[37] = value
    else:
        inputs[37].view(-1)[3] = value
    model, loss = (convolutional(), cross_entropy) if where == "pixel" else (regression(), mse)
    error, before, _ = stopped(model, (inputs, targets), loss, *([Mixup()] if mixed else []))
    assert error.items == ("img_0037",)
    assert "img_0037" in before.ids
    part = "targets" if where == "target" else "inputs"
    assert f"There is NaN or infinity in the {part}. It comes from img_0037. " in str(error)
    assert "Repair this item, or leave it out." in str(error)


def test_several_bad_items_are_all_named_up_to_five() -> None:
    inputs, targets = numbers()
    inputs[::8] = NAN  # 8 of them, all in the first batch
    inputs = torch.cat([inputs[::8], inputs[1:57]])[:ITEMS]
    error, _, _ = stopped(plain(), (inputs, targets), mse, shuffle=False)
    assert error.items == tuple(f"img_{index:04d}" for index in range(8))
    assert "It comes from img_0000, img_0001, img_0002, img_0003, img_0004 and 3 more." in str(
        error
    )


def test_the_whole_message() -> None:
    inputs, targets = numbers()
    inputs[11, 2] = NAN
    error, _, _ = stopped(plain(), (inputs, targets), mse, shuffle=False)
    assert str(error) == (
        "The loss is nan at step 2 (epoch 1 of 30, batch 2). There is NaN or infinity in the inputs. It "
        "comes from img_0011. Repair this item, or leave it out. The step was not made: the weights are "
        "those after step 1."
    )


def test_without_ids_an_item_is_named_by_its_place() -> None:
    inputs, targets = numbers()
    inputs[3] = NAN
    model = plain()
    state = FitState(
        model=model,
        loaders=dt.Loaders([(inputs[:8], targets[:8])]),
        loss_fn=mse,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        epochs=1,
        callbacks=[NonFiniteGuard()],
    )
    with pytest.raises(NonFiniteError, match=r"It comes from item 4 of the batch\. Repair"):
        loop.fit(state)


# --- in the model -------------------------------------------------------------------------------------


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log()


def test_the_first_layer_that_gives_it_is_named_with_the_item() -> None:
    inputs, targets = numbers()
    inputs = inputs.abs() + 0.1
    inputs[20, 1] = 0.0  # finite, and its logarithm is not
    model = nn.Sequential(Log(), *plain())
    error, _, _ = stopped(model, (inputs, targets), mse)
    assert (error.items, error.layer) == (("img_0020",), "0")
    assert "It is first seen in the output of layer `0` (Log). It comes from img_0020." in str(
        error
    )


def test_batchnorm_spreads_it_and_the_item_is_still_found() -> None:
    inputs, targets = numbers()
    inputs = inputs.abs() + 0.1
    inputs[20, 1] = 0.0
    model = nn.Sequential(Log(), nn.BatchNorm1d(4), nn.Dropout(0.2), *regression())
    error, _, _ = stopped(model, (inputs, targets), mse)
    assert (error.items, error.layer) == (("img_0020",), "0")


def test_a_function_between_two_layers_is_told_from_the_layer() -> None:
    class Between(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.second((self.first(x) * 0 + x[:, :1]).log())

    inputs, targets = numbers()
    error, _, _ = stopped(Between(), (inputs, targets), mse, shuffle=False)
    assert error.layer == "second"
    assert "It is first seen in what layer `second` (Linear) is given." in str(error)


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("step", [1, 4, 11])
def test_a_loss_that_fails_at_a_step(step: int, value: float) -> None:
    calls = [0]

    def loss_fn(preds: Tensor, targets: Tensor) -> Tensor:
        calls[0] += 1
        return mse(preds, targets) * (value if calls[0] >= step else 1.0)

    error, before, _ = stopped(regression(), numbers(), loss_fn)
    assert error.step == step
    assert error.items == tuple(before.ids)
    assert f"The loss is {value} at step {step} " in str(error)
    assert "The model's outputs are finite, and the loss of them is not. No item stands out" in str(
        error
    )


def test_the_item_whose_own_loss_fails_is_named() -> None:
    def log_loss(preds: Tensor, targets: Tensor) -> Tensor:
        return (targets.log() - preds).square().mean()

    inputs, targets = numbers()
    targets = targets.abs() + 0.1
    targets[50] = 0.0
    error, _, _ = stopped(plain(), (inputs, targets), log_loss)
    assert error.items == ("img_0050",)
    assert "Look for a logarithm of 0, a division by 0 or an overflow in the loss." in str(error)


# --- in the gradient alone ----------------------------------------------------------------------------


class Root(nn.Module):
    """sqrt has no slope at 0, and its value there is finite."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().sqrt()


@pytest.mark.parametrize("clip", [False, True])
def test_a_gradient_alone_names_parameters_layer_and_item(clip: bool) -> None:
    inputs, targets = numbers()
    model = nn.Sequential(nn.Linear(4, 4, bias=False), Root(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(4))
    inputs = inputs.abs() + 0.1
    inputs[9, 2] = 0.0
    error, _, _ = stopped(
        model,
        (inputs, targets),
        mse,
        *([ClipGradients(1.0)] if clip else []),
        shuffle=False,
        lr=0.0,
    )
    assert (error.items, error.layer, error.step) == (("img_0009",), "0", 2)
    assert str(error).startswith(
        "Gradients are not finite (0.weight) at step 2 (epoch 1 of 30, batch 2). It is first seen in the "
        "gradient of the output of layer `0` (Linear). It comes from img_0009. A root, a norm or a "
        "logarithm has no finite slope at 0: keep it away from 0."
    )


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_gradient_that_a_callback_spoils_names_its_parameters(value: float) -> None:
    class Spoil(dt.Callback):
        def before_step(self, state: FitState) -> None:
            if state.step == 3:
                state.model[3].weight.grad[0, 5] = value

    error, before, _ = stopped(regression(), numbers(), mse, Spoil())
    assert (error.step, error.layer, error.items) == (4, "3", tuple(before.ids))
    assert "Gradients are not finite (3.weight) at step 4" in str(error)
    assert "It was not seen again when the batch was run once more." in str(error)


def test_a_gradient_of_an_earlier_batch_of_the_step_is_said_to_be_that() -> None:
    class Spoil(dt.Callback):
        def after_backward(self, state: FitState) -> None:
            if state.step == 1:
                state.model[0].weight.grad.fill_(NAN)

    error, _, _ = stopped(regression(), numbers(), mse, Spoil(), Accumulate(4))
    assert error.step == 4
    assert str(error).endswith("Gradients of earlier batches are in it, and may be what it is.")


def test_what_is_left_of_an_epoch_is_looked_at_too() -> None:
    class Spoil(dt.Callback):
        def after_backward(self, state: FitState) -> None:
            if state.step == 6:
                state.model[0].weight.grad.fill_(NAN)

    model = regression()
    state = FitState(
        model=model,
        loaders=dt.Loaders(dt.BatchLoader(Named(*numbers()), batch_size=BATCH)),
        loss_fn=mse,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        epochs=2,
        callbacks=[NonFiniteGuard(), Spoil(), Accumulate(5)],
    )
    with pytest.raises(NonFiniteError) as caught:
        loop.fit(state)
    assert caught.value.items == ()
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("width", [8, 9000])  # of four rows: small, and large
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_one_number_of_many_is_seen_whatever_its_dtype(
    dtype: torch.dtype, width: int, value: float
) -> None:
    state = one_weight(torch.ones(4, width, dtype=dtype))
    NonFiniteGuard().before_step(state)
    assert bool((state.model.weight.grad == 1).all())
    state.model.weight.grad[2, 5] = value
    with pytest.raises(NonFiniteError, match=r"^Gradients are not finite \(weight\) at step 0 "):
        NonFiniteGuard().before_step(state)


@pytest.mark.parametrize("width", [8, 9000])
def test_a_sum_that_overflows_is_no_overflow_of_a_gradient(width: int) -> None:
    for largest, dtype in ((3e38, torch.float32), (6e4, torch.float16)):
        NonFiniteGuard().before_step(one_weight(torch.full((4, width), largest, dtype=dtype)))


def one_weight(gradient: Tensor) -> FitState:
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros_like(gradient))
    model.weight.grad = gradient
    return FitState(
        model=model,
        loaders=dt.Loaders([]),
        loss_fn=mse,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        epochs=1,
    )


def test_a_sparse_gradient_is_looked_at() -> None:
    model = nn.Sequential(nn.Embedding(10, 4, sparse=True), nn.Flatten(), nn.Linear(4, 1))
    data = torch.arange(ITEMS).reshape(-1, 1) % 10, torch.zeros(ITEMS, 1)

    class Spoil(dt.Callback):
        def before_step(self, state: FitState) -> None:
            if state.step == 2:
                state.model[0].weight.grad._values()[0] = NAN

    error, _, _ = stopped(model, data, mse, Spoil())
    assert (error.step, error.layer) == (3, "0")


# --- rates and precision ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "lr"),
    [(torch.optim.SGD, 10.0), (torch.optim.SGD, 1e6), (torch.optim.Adam, 1e15)],
)
def test_an_exploding_rate_stops_with_finite_weights(optimizer: Any, lr: float) -> None:
    error, before, _ = stopped(plain(), numbers(), mse, optimizer=optimizer, lr=lr)
    assert error.items == tuple(before.ids) or set(error.items) < set(before.ids)
    assert error.step > 1
    if "of layer" in str(error):
        assert f"Lower the learning rate (it is {lr:.3g}), or add `ClipGradients()`." in str(error)


class Huge(nn.Module):
    """Above 65504, where float16 ends."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 1e6


@pytest.mark.parametrize("kind", ["float16", "own bfloat16", "own float16", "float32"])
def test_an_overflow_is_seen_in_the_precision_that_it_happens_in(kind: str) -> None:
    model: nn.Module = nn.Sequential(nn.Linear(4, 4), Huge(), nn.Linear(4, 1))
    inputs, targets = numbers()
    if kind == "float16":  # autocast makes the layers float16, and only there is it too large
        error, _, _ = stopped(model, (inputs, targets), mse, MixedPrecision("float16"))
        assert "float16 ends at 65504: train with `MixedPrecision('bfloat16')`" in str(error)
        assert error.layer in ("1", "2")
        return
    if kind == "own float16":
        model, inputs, targets = model.half(), inputs.half(), targets.half()
    elif kind == "own bfloat16":
        model, inputs = model.bfloat16(), inputs.bfloat16() * 1e30
        targets = targets.bfloat16()
    else:
        inputs = inputs * 1e33
    error, _, _ = stopped(model, (inputs, targets), mse)
    assert error.layer in ("1", "2") or "the loss of them is not" in str(error)


def test_steps_that_mixed_precision_leaves_out_are_no_concern() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state, loader = None, dt.BatchLoader(Named(*numbers()), batch_size=BATCH)
        model = regression()
        state = FitState(
            model=model,
            loaders=dt.Loaders(loader),
            loss_fn=lambda p, t: mse(p, t) * 50,  # the first scale, 65536, is too much for it
            optimizer=torch.optim.SGD(model.parameters(), 1e-4),
            epochs=2,
            callbacks=[NonFiniteGuard(), MixedPrecision("float16")],
        )
        loop.fit(state)
    assert state.step == 16


# --- what is kept -------------------------------------------------------------------------------------


def learner(folder: Path | None, data: Any, valid: Any = None, **options: Any) -> dt.Learner:
    train = dt.BatchLoader(Named(*data), batch_size=BATCH)
    held = dt.BatchLoader(Named(*(valid or numbers())), batch_size=32)
    where = {} if folder is None else {"out": folder}
    return dt.Learner(regression(), (train, held), "mse", progress=False, **where, **options)


def test_no_checkpoint_holds_it_and_the_last_one_is_named(tmp_path: Path) -> None:
    inputs, targets = numbers()
    inputs[45] = NAN  # in the 6th batch
    one = learner(tmp_path / "run", (inputs, targets))
    with pytest.raises(NonFiniteError) as caught:
        one.fit(2, 0.01, callbacks=[NonFiniteGuard(), Checkpoint(steps=2)])
    folder = tmp_path / "run" / "checkpoints"
    assert str(caught.value).endswith(
        f"The step was not made: the weights are those after step 5. "
        f"The last checkpoint is {folder / 'epoch-0000-batch-000004'}."
    )
    from drivetrain.train.run import Run

    for path in folder.glob("*.safetensors"):
        from drivetrain import store

        digest = json.loads(path.with_suffix(".json").read_text())["sha256"]
        tensors = store.read_tensors(path, sha256=digest)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
    assert Run.open(tmp_path / "run").read()["journal"][0]["status"] != "done"


def test_weights_that_a_step_itself_makes_infinite_are_not_saved(tmp_path: Path) -> None:
    class TooLong(dt.Callback):
        def after_step(self, state: FitState) -> None:
            if state.step == 3:
                with torch.no_grad():
                    state.model[0].weight[0, 0] = INF

    one = learner(tmp_path / "run", numbers())
    with pytest.raises(NonFiniteError) as caught:
        one.fit(1, 0.01, callbacks=[NonFiniteGuard(), TooLong(), Checkpoint(steps=2)])
    folder = tmp_path / "run" / "checkpoints"
    assert str(caught.value) == (
        "Weights are not finite after step 4 (epoch 1 of 1): 0.weight. Its loss and its gradients were, "
        "so the step was too long. Lower the learning rate (it is 0.01), or add `ClipGradients()`. The "
        f"weights were not saved. The last checkpoint is {folder / 'epoch-0000-batch-000002'}."
    )


def test_weights_that_are_bad_from_the_start_are_told_from_a_bad_batch() -> None:
    model = plain()
    with torch.no_grad():
        model[2].weight[0, 0] = NAN
    loader = dt.BatchLoader(Named(*numbers()), batch_size=BATCH)
    with pytest.raises(NonFiniteError) as caught:
        dt.Learner(model, loader, "mse", progress=False).fit(1, callbacks=[NonFiniteGuard()])
    assert (
        "The weights were not finite before it: 2.weight. Go back to weights that are finite."
        in (str(caught.value))
    )


@pytest.mark.parametrize("value", [NAN, INF])
def test_in_validation_it_is_a_nan_in_the_row_and_never_the_best(value: float) -> None:
    inputs, targets = numbers()
    inputs[3, 0] = value
    best = SaveBest()
    one = learner(None, numbers(), valid=(inputs, targets))
    one.fit(2, 0.01, callbacks=[NonFiniteGuard(), best])
    assert all(not math.isfinite(row["valid_loss"]) for row in one.history)
    assert all(math.isfinite(row["train_loss"]) for row in one.history)
    assert best.best is None


def test_after_it_the_learner_trains_on_without_the_item() -> None:
    inputs, targets = numbers()
    inputs[45] = NAN
    one = learner(None, (inputs, targets))
    with pytest.raises(NonFiniteError) as caught:
        one.fit(1, 0.01, callbacks=[NonFiniteGuard()])
    (bad,) = (int(name.removeprefix("img_")) for name in caught.value.items)
    keep = torch.arange(ITEMS) != bad
    one.loaders = dt.Loaders(
        dt.BatchLoader(Named(inputs[keep], targets[keep]), batch_size=BATCH), one.loaders.valid
    )
    one.fit(2, 0.01, callbacks=[NonFiniteGuard()])
    assert math.isfinite(one.history[-1]["valid_loss"])


def test_it_changes_no_bit_of_a_good_fit() -> None:
    from drivetrain.store import weights_sha256

    digests = set()
    for callbacks in ([], [NonFiniteGuard()]):
        one = learner(None, numbers())
        one.fit_one_cycle(3, 0.05, callbacks=callbacks)
        digests.add(weights_sha256(one.model.state_dict()))
    assert len(digests) == 1


def test_the_save_of_a_fit_is_given_back() -> None:
    guard, model = NonFiniteGuard(), regression()
    saved: list[int] = []

    def save(state: FitState) -> None:
        saved.append(state.step)

    state = FitState(
        model=model,
        loaders=dt.Loaders(dt.BatchLoader(Named(*numbers()), batch_size=BATCH)),
        loss_fn=mse,
        optimizer=torch.optim.SGD(model.parameters(), 0.01),
        epochs=1,
        callbacks=[guard, Checkpoint(steps=3)],
        save=save,
    )
    loop.fit(state)
    assert state.save is save
    assert saved == [3, 6, 8]
