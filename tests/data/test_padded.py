"""Documents in batches: padding, order, and what is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from drivetrain.data.padded import LengthLoader, PaddedData, padded, shortened
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, ShapeError

PAD = 1
LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=60)


def documents(lengths: list[int]) -> TokenArray:
    return TokenArray.from_lists([[10 + d] * length for d, length in enumerate(lengths)])


def data_of(lengths: list[int]) -> PaddedData:
    ids = [str(d) for d in range(len(lengths))]
    return PaddedData(documents(lengths), torch.arange(len(lengths)), pad_id=PAD, ids=ids)


def test_a_batch_is_as_wide_as_its_own_longest() -> None:
    tokens, lengths, targets = data_of([3, 1, 0]).__getitems__(torch.tensor([2, 0]))
    assert tokens.tolist() == [[PAD, PAD, PAD], [10, 10, 10]]
    assert lengths.tolist() == [0, 3] and targets.tolist() == [2, 0]
    assert tokens.dtype == lengths.dtype == torch.int64


def test_empty_documents_alone_are_one_wide() -> None:
    tokens, lengths = padded(documents([0, 0]), pad_id=PAD)
    assert tokens.tolist() == [[PAD], [PAD]] and lengths.tolist() == [0, 0]


@pytest.mark.row(59)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_each_document_comes_once_an_epoch(lengths: list[int], size: int, epoch: int) -> None:
    for shuffle in (True, False):
        loader = LengthLoader(data_of(lengths), batch_size=size, shuffle=shuffle)
        batches = list(loader.batches(epoch))
        assert len(batches) == len(loader)
        found = torch.cat([targets for _, _, targets in batches])
        assert sorted(found.tolist()) == list(range(len(lengths)))
        for tokens, real, targets in batches:
            for row, length, d in zip(tokens, real.tolist(), targets.tolist(), strict=True):
                assert length == lengths[d]
                assert row.tolist() == [10 + d] * length + [PAD] * (tokens.shape[1] - length)


@pytest.mark.row(59)
def test_batches_by_length_pad_far_less_and_it_is_counted() -> None:
    lengths = np.random.default_rng(0).geometric(0.02, 2000).tolist()
    loader = LengthLoader(data_of(lengths), batch_size=16, shuffle=True)
    counted = loader.padding(3)
    batches = list(loader.batches(3))
    assert counted.real == sum(lengths) == sum(int(real.sum()) for _, real, _ in batches)
    assert counted.real + counted.padded == sum(tokens.numel() for tokens, _, _ in batches)
    assert counted.share < 0.1 < 0.5 < loader.padding_at_random(3).share


def test_the_order_follows_from_seed_and_epoch_and_can_start_anywhere() -> None:
    lengths = np.random.default_rng(1).integers(1, 50, 300).tolist()
    loader = LengthLoader(data_of(lengths), batch_size=8, shuffle=True, seed=5)
    first = [targets.tolist() for _, _, targets in loader.batches(0)]
    again = LengthLoader(data_of(lengths), batch_size=8, shuffle=True, seed=5)
    assert first == [targets.tolist() for _, _, targets in again.batches(0)]
    assert [t.tolist() for _, _, t in loader.batches(0, start=7)] == first[7:]
    assert [t.tolist() for _, _, t in loader.batches(1)] != first
    assert loader.item_ids(0, 0) == [str(d) for d in first[0]]


def test_the_longest_document_comes_first_so_that_memory_is_tried_at_once() -> None:
    lengths = np.random.default_rng(2).integers(1, 99, 300).tolist()
    loader = LengthLoader(data_of(lengths), batch_size=8, shuffle=True)
    for epoch in range(4):
        assert next(loader.batches(epoch))[1].max() == max(lengths)


def test_sorted_batches_keep_names_and_rows_together() -> None:
    loader = LengthLoader(data_of([1, 5, 3]), batch_size=2)
    assert loader.data.ids == ["1", "2", "0"]  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.cat([t for _, _, t in loader]).tolist() == [1, 2, 0]


@given(LENGTHS, st.integers(1, 14))
def test_a_cut_document_keeps_its_start_and_its_end(lengths: list[int], most: int) -> None:
    tokens = TokenArray.from_lists([list(range(length)) for length in lengths])
    found = shortened(tokens, most)
    first = most * 3 // 8
    for d, length in enumerate(lengths):
        whole = list(range(length))
        cut = whole if length <= most else whole[:first] + whole[length - (most - first) :]
        assert found.document(d).tolist() == cut


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"^`PaddedData` got 1 targets for 2 documents.$"):
        PaddedData(documents([1, 2]), torch.zeros(1), pad_id=PAD)
    with pytest.raises(ConfigError, match=r"^`max_len` must be at least 1. Got 0.$"):
        shortened(documents([1]), 0)
