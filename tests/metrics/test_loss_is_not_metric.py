"""Why accuracy cannot be the loss, and why the mean over batches is weighted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from drivetrain import losses
from drivetrain.metrics import metric
from drivetrain.train.loop import evaluate


def problem(count=60):
    """Four features, three classes that a linear model learns in part."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    targets = (inputs[:, :3] + 0.5 * torch.randn(count, 3, generator=generator)).argmax(1)
    model = nn.Linear(4, 3).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(3, 4, generator=generator))
        model.bias.copy_(torch.randn(3, generator=generator))
    return model, inputs, targets


def accuracy_of(preds, targets):
    found = metric("accuracy")
    found.update(preds, targets)
    return found.compute()


@pytest.mark.row(38)
def test_a_small_step_of_any_weight_moves_the_loss_and_not_the_accuracy():
    model, inputs, targets = problem()
    with torch.no_grad():
        accuracy = accuracy_of(model(inputs), targets)
        loss = losses.cross_entropy(model(inputs), targets)
        assert 0 < accuracy < 1
        for parameter in model.parameters():
            for weight in parameter.view(-1).unbind():
                for step in (1e-6, -1e-6):
                    weight += step
                    preds = model(inputs)
                    weight -= step
                    assert accuracy_of(preds, targets) == accuracy
                    assert losses.cross_entropy(preds, targets) != loss


@pytest.mark.row(38)
def test_the_slope_of_accuracy_is_zero_almost_everywhere_and_that_of_the_loss_is_not():
    """Over 200 random points along a line of weights: no difference quotient of accuracy but 0."""
    model, inputs, targets = problem()
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    start = model.weight.detach().clone()
    flat, jumps = 0, set()
    for place in torch.rand(200, generator=generator, dtype=torch.float64) * 4 - 2:
        values = []
        for at in (place, place + 1e-7):
            with torch.no_grad():
                model.weight.copy_(start + at * direction)
                values.append(accuracy_of(model(inputs), targets))
        flat += values[0] == values[1]
        jumps.add(values[0])
        preds = model(inputs)
        (slope,) = torch.autograd.grad(losses.cross_entropy(preds, targets), model.weight)
        assert slope.abs().max() > 1e-4
    assert flat == 200
    assert len(jumps) > 5  # it does change over the line, by jumps


@pytest.mark.row(38)
def test_accuracy_gives_the_optimizer_nothing():
    """What decides, argmax, has no gradient: the number cannot be differentiated at all."""
    model, inputs, targets = problem()
    decided = model(inputs).argmax(1)
    assert not decided.requires_grad
    assert not (decided == targets).double().mean().requires_grad


@pytest.mark.row(41)
@pytest.mark.parametrize("name", sorted({"cross_entropy", "mse"}))
def test_mean_over_equal_batches_is_the_mean_over_all(name):
    model, inputs, targets = problem(60)
    loss_fn = losses.LOSSES[name]
    truth = targets if name == "cross_entropy" else inputs[:, :3]
    with torch.no_grad():
        preds = model(inputs)
    whole = loss_fn(preds, truth)
    batches = [loss_fn(p, y) for p, y in zip(preds.split(20), truth.split(20), strict=True)]
    torch.testing.assert_close(torch.stack(batches).mean(), whole)
    each = losses.per_item(loss_fn, preds, truth)
    torch.testing.assert_close(each.split(20)[1].mean(), batches[1])
    torch.testing.assert_close(each.mean(), whole)


@pytest.mark.row(41)
def test_an_unequal_last_batch_is_weighted_by_its_size():
    model, inputs, targets = problem(50)
    batches = list(zip(inputs.split(16), targets.split(16), strict=True))  # 16, 16, 16, 2
    with torch.no_grad():
        whole = float(losses.cross_entropy(model(inputs), targets))
        unweighted = float(
            torch.stack([losses.cross_entropy(model(x), y) for x, y in batches]).mean()
        )
    found = evaluate(
        model, batches, losses.cross_entropy, metrics=[metric("log_loss"), metric("accuracy")]
    )
    assert found.loss == pytest.approx(whole, rel=1e-12)
    assert found.metrics["log_loss"] == pytest.approx(whole, rel=1e-12)
    assert abs(unweighted - whole) > 1e-3
    assert found.metrics["accuracy"] == accuracy_of(model(inputs).detach(), targets)
