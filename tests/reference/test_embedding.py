"""Look-ups as products with one-hot rows, forwards and back, beside torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from drivetrain.reference import embedding as twin
from drivetrain.reference.factorization import looked_up
from tests.reference.gradients import normal, same


@pytest.mark.row(122)
@given(codes=st.lists(st.integers(0, 6), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_look_up_and_gradient_are_those_of_the_product_and_torchs(codes: list[int]) -> None:
    table = normal(7, 3)
    weight = torch.tensor(table, requires_grad=True)
    expected = F.embedding(torch.tensor(codes), weight)
    for rows in (twin.row_by_row(codes, table), looked_up(codes, table)):
        same(rows, expected, atol=0)  # to the last bit
    g = normal(len(codes), 3, seed=1)
    (gradient,) = torch.autograd.grad(expected, weight, torch.from_numpy(g))
    for found in (twin.gradient_as_product(codes, g, 7), twin.gradient_by_adding(codes, g, 7)):
        same(found, gradient, atol=1e-12)


@pytest.mark.row(122)
def test_the_layer_learns_only_rows_that_were_looked_up() -> None:
    layer, codes, targets = twin.Embedding(5, 2), [1, 3, 1], normal(3, 2, seed=1)
    weight = torch.tensor(layer.table.data, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    start = layer.table.data.copy()
    for _ in range(4):
        ((layer(codes) - targets) ** 2).mean().backward()
        optimizer.zero_grad()
        F.mse_loss(F.embedding(torch.tensor(codes), weight), torch.from_numpy(targets)).backward()
        optimizer.step()
        layer.table.data = layer.table.data - 0.5 * layer.table.grad
        layer.table.grad = np.zeros_like(layer.table.data)
        same(layer.table.data, weight)
    moved = (layer.table.data != start).any(axis=1)
    assert moved.tolist() == [False, True, False, True, False]


@pytest.mark.row(122)
def test_the_two_ways_are_timed() -> None:
    ticks = itertools.accumulate([0.0, 3.0, 0.0, 2.0, 0.0, 0.25, 0.0, 0.5])
    found = twin.times([0, 1], normal(3, 2), repeats=2, clock=lambda: next(ticks))
    assert found == {"one-hot rows times the table": 2.0, "rows of the table": 0.25}


@pytest.mark.row(122)
@pytest.mark.slow
def test_a_look_up_is_faster_than_the_product() -> None:
    codes = np.random.default_rng(0).integers(0, 10_000, 512).tolist()
    product, rows = twin.times(codes, normal(10_000, 50)).values()
    assert product > 5 * rows  # hundreds of times here


def test_a_code_beyond_the_table_is_named() -> None:
    for code in (3, -1):
        with pytest.raises(IndexError) as caught:
            twin.row_by_row([0, code], normal(3, 2))
        assert str(caught.value) == f"Code {code} at place 1 is not in 0..2."
