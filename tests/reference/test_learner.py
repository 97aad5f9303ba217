"""The seven steps: what they learn, that they are torch's own arithmetic, and when they stop."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from drivetrain.reference.adam import AdamW
from drivetrain.reference.learner import Sgd, mean_loss, train
from drivetrain.reference.losses import mse


class Parabola(nn.Module):
    """a x² + b x + c: a model need not be a net."""

    def __init__(self) -> None:
        super().__init__()
        self.abc = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c = self.abc
        return a * x * x + b * x + c


def parabola_batches(epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x = torch.linspace(-2, 2, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch))
    x = x[order]
    y = 3 * x * x + 2 * x + 1
    return list(zip(x.split(16), y.split(16), strict=True))


def test_finds_the_parabola_that_made_the_data():
    model = Parabola()
    trace = train(model, parabola_batches, mse, Sgd(model.parameters(), lr=0.05).step, epochs=60)
    torch.testing.assert_close(model.abc.detach(), torch.tensor([3.0, 2.0, 1.0]), rtol=0, atol=1e-3)
    assert len(trace.losses) == 60 * 3
    assert trace.losses[-1] < 1e-5 < trace.losses[0]


def test_any_optimizer_fits():
    model = Parabola()
    adam = AdamW(model.parameters(), lr=0.1, weight_decay=0.0)
    train(model, parabola_batches, mse, lambda step: adam.step(), epochs=200)
    torch.testing.assert_close(model.abc.detach(), torch.tensor([3.0, 2.0, 1.0]), rtol=0, atol=0.05)


def net() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def column_batches(epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(x[:, None], y[:, None]) for x, y in parabola_batches(epoch)]


def test_equals_the_loop_that_everyone_writes_to_the_last_bit():
    by_steps, by_hand = net(), net()
    optimizer = torch.optim.SGD(by_steps.parameters(), lr=0.01, momentum=0.9)
    train(by_steps, column_batches, nn.functional.mse_loss, lambda step: optimizer.step(), epochs=3)

    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(3):
        for x, y in column_batches(epoch):
            optimizer.zero_grad()
            nn.functional.mse_loss(by_hand(x), y).backward()
            optimizer.step()
    states = by_steps.state_dict(), by_hand.state_dict()
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_sgd_equals_torchs():
    ours, theirs = net().double(), net().double()
    twin = Sgd(ours.parameters(), lr=0.1)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(10):
        for model in (ours, theirs):
            model.zero_grad()
            x = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
            mse(model(x), x * x).backward()
        twin.step()
        optimizer.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-12, atol=1e-14)


def test_step_is_told_how_many_were_made():
    model, seen = Parabola(), []
    train(model, parabola_batches, mse, seen.append, epochs=2)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_gradients_do_not_add_up_over_batches():
    model, norms = Parabola(), []

    def look(step: int) -> None:
        assert model.abc.grad is not None
        norms.append(model.abc.grad.norm().item())  # the weights stay, so does the gradient

    same_batch = parabola_batches()[:1]
    train(model, lambda epoch: same_batch, mse, look, epochs=3)
    assert norms[0] == norms[1] == norms[2]
    assert model.abc.grad is None


def test_each_epoch_brings_its_own_order():
    asked = []

    def batches(epoch: int):
        asked.append(epoch)
        return parabola_batches(epoch)

    model = Parabola()
    train(model, batches, mse, Sgd(model.parameters(), 0.01).step, epochs=3)
    assert asked == [0, 1, 2]


def test_stops_when_asked():
    model = Parabola()
    trace = train(
        model,
        parabola_batches,
        mse,
        Sgd(model.parameters(), lr=0.05).step,
        epochs=1000,
        valid_batches=parabola_batches(99),
        stop=lambda trace: trace.valid_losses[-1] < 0.01,
    )
    assert len(trace.valid_losses) < 50
    assert trace.valid_losses[-1] < 0.01 <= trace.valid_losses[-2]
    assert all(later < earlier for earlier, later in pairwise(trace.valid_losses))


@pytest.mark.row(41)
def test_mean_loss_is_over_items_and_not_over_batches():
    model, batches = Parabola(), parabola_batches()
    assert [len(x) for x, _ in batches] == [16, 16, 8]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    whole = mse(model(x), y).item()
    assert mean_loss(model, batches, mse) == pytest.approx(whole, rel=1e-6)
    unweighted = sum(mse(model(x), y).item() for x, y in batches) / 3
    assert abs(unweighted - whole) > 0.01


def test_measuring_leaves_the_model_as_it_was():
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mean_loss(model, column_batches(), mse)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())
