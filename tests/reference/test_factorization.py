"""Factorisation by hand beside torch: look-up, gradients, steps, pairs, least squares."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from drivetrain.models.factorization import DotProduct
from drivetrain.optim.defaults import adamw
from drivetrain.reference import factorization as twin

PAIRS = [(1, 2), (4, 0), (1, 3), (2, 2), (1, 2)]
"""One user stands here three times, and one pair twice."""
RATINGS = [4.0, 1.0, 5.0, 3.0, 2.0]
TRIPLES = [(1, 2, 3), (1, 0, 2), (3, 1, 0), (1, 2, 3)]
RANGES = [None, (0.0, 5.5), (-2.0, 1.0)]


def tables(num_users: int = 5, num_items: int = 4, num_factors: int = 3) -> twin.Tables:
    draw = np.random.default_rng(7)
    shapes = ((num_users, num_factors), (num_items, num_factors), (num_users,), (num_items,))
    return twin.Tables(*[draw.normal(size=shape) for shape in shapes])


def as_model(of: twin.Tables, y_range: tuple[float, float] | None = None) -> DotProduct:
    model = DotProduct(len(of.users), len(of.items), of.users.shape[1], y_range=y_range).double()
    with torch.no_grad():
        for parameter, part in zip(leaves(model), of.parts(), strict=True):
            parameter.copy_(torch.from_numpy(part).view_as(parameter))
    return model


def leaves(model: DotProduct) -> list[Tensor]:
    """The parameters in the order of the twin's four arrays."""
    named = (model.user_factors, model.item_factors, model.user_bias, model.item_bias)
    return [table.weight for table in named]


def assert_equal(parts: tuple[np.ndarray, ...], wanted: list[Tensor], atol: float = 1e-12) -> None:
    for part, tensor in zip(parts, wanted, strict=True):
        found = torch.from_numpy(part).view_as(tensor)
        torch.testing.assert_close(found, tensor.detach(), atol=atol, rtol=0)


@pytest.mark.row(122)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), width=st.integers(1, 20))
def test_a_one_hot_row_times_a_table_is_the_row_itself_to_the_last_bit(
    dtype: type, seed: int, rows: int, width: int
) -> None:
    draw = np.random.default_rng(seed)
    table = draw.normal(scale=10.0 ** draw.integers(-30, 30), size=(rows, width)).astype(dtype)
    codes = draw.integers(0, rows, 9)
    by_hand = torch.from_numpy(twin.looked_up(codes.tolist(), table))
    embedding = nn.Embedding.from_pretrained(torch.from_numpy(table))
    assert torch.equal(by_hand, embedding(torch.from_numpy(codes)))


@pytest.mark.row(122)
def test_the_gradient_of_a_look_up_is_that_of_the_product() -> None:
    table = torch.from_numpy(tables().users).requires_grad_()
    rows = torch.from_numpy(twin.one_hot([1, 4, 1], 5))
    pulls = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    (of_product,) = torch.autograd.grad((rows @ table * pulls).sum(), table)
    looked_up = nn.functional.embedding(torch.tensor([1, 4, 1]), table)
    (of_look_up,) = torch.autograd.grad((looked_up * pulls).sum(), table)
    assert torch.equal(of_look_up, of_product)
    assert of_look_up[:, 0].tolist() == [0, 5, 0, 0, 2]  # a row met twice gets both pulls


@pytest.mark.parametrize("y_range", RANGES)
def test_predictions_by_hand_are_the_models(y_range: tuple[float, float] | None) -> None:
    by_hand = [twin.predicted(tables(), u, i, y_range) for u, i in PAIRS]
    model = as_model(tables(), y_range)
    wanted = model(torch.tensor(PAIRS))
    torch.testing.assert_close(
        torch.tensor(by_hand, dtype=torch.float64), wanted.detach(), atol=1e-12, rtol=0
    )


def test_a_score_far_out_stays_within_the_range() -> None:
    far = tables()
    far.item_bias[:] = [-1000.0, 1000.0, 0.0, 0.0]
    with np.errstate(over="raise"):
        assert twin.predicted(far, 1, 0, (1.0, 5.0)) == 1.0
        assert twin.predicted(far, 1, 1, (1.0, 5.0)) == 5.0


@pytest.mark.parametrize("y_range", RANGES)
def test_gradients_by_hand_are_autograds(y_range: tuple[float, float] | None) -> None:
    loss, gradient = twin.batch_gradient(tables(), PAIRS, RATINGS, y_range)
    model = as_model(tables(), y_range)
    targets = torch.tensor(RATINGS, dtype=torch.float64)
    wanted = nn.functional.mse_loss(model(torch.tensor(PAIRS)), targets)
    assert loss == pytest.approx(wanted.item(), abs=1e-12)
    assert_equal(gradient.parts(), list(torch.autograd.grad(wanted, leaves(model))))


@pytest.mark.parametrize("y_range", RANGES)
def test_the_gradient_of_one_rating_is_how_its_loss_changes(
    y_range: tuple[float, float] | None,
) -> None:
    of, step = tables(), 1e-6
    _, of_p, _, of_bias = twin.rating_gradient(of, 2, 1, 4.0, y_range)
    for array, place, slope in ((of.users, (2, 0), of_p[0]), (of.item_bias, (1,), of_bias)):
        losses = []
        for sign in (1, -1):
            array[place] += sign * step
            losses.append(twin.rating_gradient(of, 2, 1, 4.0, y_range)[0])
            array[place] -= sign * step
        assert slope == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6, abs=1e-7)


def test_steps_of_sgd_with_decay_are_torchs() -> None:
    step = functools.partial(twin.sgd_step, lr=0.1, weight_decay=0.05)
    model = as_model(tables())
    same_steps(step, model, torch.optim.SGD(leaves(model), lr=0.1, weight_decay=0.05))


def test_steps_of_adam_are_those_of_the_learners_optimizer() -> None:
    model = as_model(tables())
    step = twin.Adam(lr=0.1, weight_decay=0.01).step
    same_steps(step, model, adamw(leaves(model), lr=0.1))


def test_adam_has_the_learners_defaults() -> None:
    group = adamw([torch.zeros(1)]).param_groups[0]
    defaults = inspect.signature(twin.Adam).parameters
    for name in ("lr", "betas", "eps"):
        assert defaults[name].default == group[name]


def same_steps(
    step: Callable[[twin.Tables, twin.Tables], None],
    model: DotProduct,
    optimizer: torch.optim.Optimizer,
) -> None:
    by_hand = tables()
    pairs, targets = torch.tensor(PAIRS), torch.tensor(RATINGS, dtype=torch.float64)
    for start in (0, 2, 1, 3, 0):  # other batches, so that most rows are now and then in none
        rows = slice(start, start + 2)
        step(by_hand, twin.batch_gradient(by_hand, PAIRS[rows], RATINGS[rows])[1])
        optimizer.zero_grad()
        nn.functional.mse_loss(model(pairs[rows]), targets[rows]).backward()
        optimizer.step()
    assert_equal(by_hand.parts(), leaves(model))
    assert not np.allclose(by_hand.users, tables().users, atol=0.05)


def test_the_gradient_of_triples_by_hand_is_autograds() -> None:
    loss, gradient = twin.triples_gradient(tables(), TRIPLES)
    model = as_model(tables())
    users, items, others = torch.tensor(TRIPLES).T
    difference = model(torch.stack([users, items], 1)) - model(torch.stack([users, others], 1))
    wanted = -nn.functional.logsigmoid(difference).mean()
    assert loss == pytest.approx(wanted.item(), abs=1e-12)
    assert_equal(gradient.parts(), list(torch.autograd.grad(wanted, leaves(model))))


def test_a_triple_far_in_the_wrong_order_has_a_finite_loss() -> None:
    far = tables()
    far.item_bias[:] = [0.0, 0.0, -1000.0, 1000.0]
    loss, gradient = twin.triple_gradient(far, 1, 2, 3)
    assert 1990 < loss < 2010
    assert gradient.item_bias.tolist() == [0.0, 0.0, -1.0, 1.0]


def test_half_a_step_of_least_squares_is_where_the_gradient_is_zero() -> None:
    draw = np.random.default_rng(3)
    counts = draw.integers(0, 4, (5, 6)) * (draw.random((5, 6)) < 0.4)
    counts[2] = 0  # a user without any event
    items = draw.normal(size=(6, 3))
    users = twin.half_step(items, counts, alpha=2.0, regularization=0.3)
    p = torch.from_numpy(users).requires_grad_()
    weights, happened = torch.from_numpy(1 + 2.0 * counts), torch.from_numpy(counts > 0).double()
    errors = happened - p @ torch.from_numpy(items).T
    loss = (weights * (errors.square() + 0.3 * p.square().sum(1, keepdim=True))).sum()
    (slope,) = torch.autograd.grad(loss, p)
    assert float(slope.abs().max()) < 1e-10
    assert not users[2].any()
    by_hand = twin.weighted_loss(users, items, counts, alpha=2.0, regularization=0.3)
    of_items = 0.3 * (weights.numpy() * (items**2).sum(1)).sum()
    assert by_hand == pytest.approx(loss.item() + of_items, abs=1e-10)
