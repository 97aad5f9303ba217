"""Every rung of the ladder gives torch's product; the table says how long each took."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from drivetrain.reference import matmul as twin
from tests.reference.gradients import normal, same


@pytest.mark.row(156)
@pytest.mark.parametrize("name", twin.LADDER)
@pytest.mark.parametrize("sizes", [(5, 4, 3), (1, 7, 1), (6, 1, 2)])
def test_every_rung_gives_torchs_product(name: str, sizes: tuple[int, int, int]) -> None:
    n, k, m = sizes
    a, b = normal(n, k), normal(k, m, seed=1)
    same(twin.LADDER[name](a, b), torch.from_numpy(a) @ torch.from_numpy(b), atol=1e-13)


@pytest.mark.row(156)
def test_the_rungs_between_stay_in_the_type_they_are_given() -> None:
    a, b = (x.astype(np.float32) for x in (normal(9, 8), normal(8, 7, seed=1)))
    for name, way in twin.LADDER.items():
        product = way(a, b)
        same(product, a @ b, atol=1e-5)
        assert product.dtype == (np.float64 if "lists" in name else np.float32), name


@pytest.mark.row(156)
def test_lists_that_do_not_meet_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        twin.three_loops([[1, 2, 3]], [[1], [2]])
    assert str(caught.value) == (
        "Rows of 3 numbers cannot meet columns of 2: (1, 3) @ (2, 1). The inner sizes have to be equal."
    )


@pytest.mark.row(156)
def test_the_table_holds_the_shortest_of_each_rungs_repeats() -> None:
    # A clock by which every rung takes 8, 4, 2 seconds, the next one half of that, and so on.
    spans = [8.0 / 2 ** (rung + repeat) for rung in range(len(twin.LADDER)) for repeat in range(3)]
    ticks = itertools.accumulate(x for span in spans for x in (1.0, span))
    rungs = twin.measured(normal(4, 3), normal(3, 2), repeats=3, clock=lambda: next(ticks))
    assert [rung.name for rung in rungs] == list(twin.LADDER)
    assert [rung.seconds for rung in rungs] == [2.0 / 2**rung for rung in range(len(rungs))]
    assert all(rung.difference < 1e-14 for rung in rungs)
    lines = twin.table(rungs).splitlines()
    assert lines[1].split()[:5] == ["three", "loops", "over", "lists", "2000.000"]
    assert lines[-1].split()[:3] == ["torch", "31.250", "64"]


@pytest.mark.row(156)
@pytest.mark.slow
def test_less_python_is_more_speed() -> None:
    a, b = normal(96, 96), normal(96, 96, seed=1)
    seconds = {rung.name: rung.seconds for rung in twin.measured(a, b, repeats=5)}
    loops, matrix, numpys = (
        seconds[name] for name in ("three loops over lists", "row times matrix", "numpy")
    )
    assert loops > 5 * matrix  # some 60 times here
    assert matrix > 2 * numpys  # some 20 times here


@pytest.mark.row(79)
def test_elementwise_and_summed_is_a_matrix_product() -> None:
    x, weights = normal(712, 12), normal(12, seed=1)
    same(
        twin.weighted_sums(x, weights), torch.from_numpy(x) @ torch.from_numpy(weights), atol=1e-12
    )
    column = torch.from_numpy(weights)[:, None]
    same(twin.weighted_sums(x, weights)[:, None], torch.from_numpy(x) @ column, atol=1e-12)
