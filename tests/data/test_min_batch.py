"""A last batch that is too small joins the one before."""

from __future__ import annotations

import pytest
import torch

import drivetrain as dt


@pytest.mark.row(5)
@pytest.mark.parametrize(
    ("count", "min_batch", "drop_last", "sizes"),
    [
        (9, 1, False, [4, 4, 1]),
        (9, 2, False, [4, 5]),
        (10, 2, False, [4, 4, 2]),
        (9, 2, True, [4, 4]),
        (8, 2, False, [4, 4]),
        (1, 2, False, [1]),
        (0, 2, False, []),
    ],
)
def test_sizes_of_the_batches(
    count: int, min_batch: int, drop_last: bool, sizes: list[int]
) -> None:
    data = dt.TensorData(torch.arange(count))
    loader = dt.BatchLoader(
        data, batch_size=4, shuffle=True, min_batch=min_batch, drop_last=drop_last
    )
    batches = [batch for (batch,) in loader]
    assert [len(batch) for batch in batches] == sizes
    assert len(loader) == len(sizes)
    if not drop_last:
        seen = torch.cat(batches).sort().values if batches else torch.arange(0)
        assert seen.tolist() == list(range(count))
