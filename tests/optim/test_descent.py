"""Steps down a curve: the course's numbers, a rate that diverges, and their picture."""

from __future__ import annotations

import io
import itertools

import pytest
import torch
from torch import Tensor

from drivetrain import optim
from drivetrain.errors import ConfigError
from drivetrain.reference.learner import Sgd


def square(w: Tensor) -> Tensor:
    return w**2


@pytest.mark.row(33)
def test_the_rate_scales_the_step_and_too_large_a_rate_diverges() -> None:
    assert optim.descend(square, 3.0, lr=0.1, num_steps=3) == [3.0, 2.4, 1.92, 1.536]
    wild = optim.descend(square, 3.0, lr=1.01, num_steps=50)
    assert all(abs(b) > abs(a) and a * b < 0 for a, b in itertools.pairwise(wild))


@pytest.mark.row(10)
@pytest.mark.row(33)
def test_the_steps_are_those_of_the_twin() -> None:
    weight = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    twin, path = Sgd([weight], lr=0.3), [3.0]
    for _ in range(6):
        weight.grad = None
        square(weight).backward()
        twin.step()
        path.append(weight.item())
    assert optim.descend(square, 3.0, lr=0.3, num_steps=6) == pytest.approx(path, abs=1e-12)


@pytest.mark.row(33)
def test_both_are_shown_on_the_curve() -> None:
    figure = optim.plot_descent(square, 3.0, lrs=(0.1, 1.01), num_steps=8)
    good, wild = figure.axes
    assert good.get_title() == "lr 0.1: comes down"
    assert wild.get_title() == "lr 1.01: diverges"
    for axes, lr in ((good, 0.1), (wild, 1.01)):
        x, y = (line.tolist() for line in axes.lines[1].get_data())
        assert x == optim.descend(square, 3.0, lr=lr, num_steps=8)
        assert y == pytest.approx([w**2 for w in x])
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


def test_a_weight_that_leaves_all_numbers_ends_the_path() -> None:
    path = optim.descend(lambda w: w**4, 3.0, lr=1.0, num_steps=50)
    assert len(path) < 10


def test_other_optimizers_walk_too_and_no_rate_is_refused() -> None:
    by_name = optim.descend(square, 5.0, lr=0.1, num_steps=1, optimizer="adam")
    by_torch = optim.descend(square, 5.0, lr=0.1, num_steps=1, optimizer=torch.optim.Adam)
    assert by_name == pytest.approx([5.0, 4.9]) == by_torch
    with pytest.raises(
        ConfigError,
        match=r"^`plot_descent` needs a learning rate or more: `lrs=\(0\.1, 1\.01\)`\.$",
    ):
        optim.plot_descent(square, 3.0, lrs=())
