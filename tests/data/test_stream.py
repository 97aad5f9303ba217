"""Text as a stream: what follows what, in which epoch, from which batch on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.data import stream
from drivetrain.data.stream import StreamLoader
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError
from drivetrain.models.language import create_language_model, language_description
from drivetrain.reference.recurrent import stream_batches
from drivetrain.train.loop import epoch_of

corpora = st.lists(st.lists(st.integers(0, 999), max_size=15), min_size=1, max_size=12).filter(
    lambda documents: sum(map(len, documents)) > 0
)


def as_lists(loader: StreamLoader) -> list[Any]:
    return [(inputs.tolist(), targets.tolist()) for inputs, targets in loader]


@pytest.mark.row(55)
def test_ninety_tokens_are_three_batches_of_six_rows_of_five() -> None:
    loader = StreamLoader(TokenArray.from_lists([list(range(90))]), batch_size=6, seq_len=5)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [tuple(x.shape) for x, _ in batches] == [(6, 5)] * 3
    assert all(x.dtype == y.dtype == torch.int64 for x, y in batches)
    stream_of = torch.cat([x for x, _ in batches], dim=1)
    assert torch.equal(stream_of, torch.arange(90).view(6, 15))  # row i goes on in the next batch
    shifted = torch.cat([y for _, y in batches], dim=1)
    assert torch.equal(shifted.flatten(), (torch.arange(90) + 1) % 90)


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(1, 5), st.integers(1, 7), st.integers(1, 40))
def test_it_equals_its_twin(documents: Any, rows: int, size: int, block: int) -> None:
    tokens = TokenArray.from_lists(documents)
    if sum(map(len, documents)) < rows:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BLOCK", block)
        found = as_lists(StreamLoader(tokens, batch_size=rows, seq_len=size))
    assert found == stream_batches(documents, rows, size)


@pytest.mark.row(55)
@settings(max_examples=40, deadline=None)
@given(corpora, st.integers(1, 4), st.integers(1, 7), st.integers(0, 5), st.integers(1, 40))
def test_a_shuffled_epoch_has_whole_documents_in_another_order(
    documents: Any, rows: int, size: int, epoch: int, block: int
) -> None:
    tokens = TokenArray.from_lists(documents)
    if sum(map(len, documents)) < rows:
        return
    loader = StreamLoader(tokens, batch_size=rows, seq_len=size, shuffle=True, seed=3)
    loader.set_epoch(epoch)
    order = loader._order(epoch)
    assert sorted(order.tolist()) == list(range(len(documents)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BLOCK", block)
        found = as_lists(loader)
    assert found == stream_batches([documents[d] for d in order], rows, size)


@pytest.mark.row(55)
def test_documents_are_reshuffled_each_epoch_by_seed_and_epoch() -> None:
    tokens = TokenArray.from_lists([[n] * 5 for n in range(50)])
    loader = StreamLoader(tokens, batch_size=5, seq_len=10, shuffle=True)
    again = StreamLoader(tokens, batch_size=5, seq_len=10, shuffle=True)
    other = StreamLoader(tokens, batch_size=5, seq_len=10, shuffle=True, seed=1)
    epochs = [[x.tolist() for x, _ in loader.batches(epoch)] for epoch in range(3)]
    assert len({str(epoch) for epoch in epochs}) == 3
    assert epochs[2] == [x.tolist() for x, _ in again.batches(2)]
    assert epochs[0] != [x.tolist() for x, _ in other.batches(0)]


@settings(max_examples=30, deadline=None)
@given(corpora, st.integers(1, 3), st.integers(1, 5), st.integers(0, 12), st.booleans())
def test_an_epoch_goes_on_from_any_batch(
    documents: Any, rows: int, size: int, start: int, shuffle: bool
) -> None:
    if sum(map(len, documents)) < rows:
        return
    loader = StreamLoader(
        TokenArray.from_lists(documents), batch_size=rows, seq_len=size, shuffle=shuffle
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BLOCK", 2 * rows * size)
        whole = [(x.tolist(), y.tolist()) for x, y in loader.batches(4)]
        rest = [(x.tolist(), y.tolist()) for x, y in loader.batches(4, start=start)]
        fitted = [(x.tolist(), y.tolist()) for x, y in epoch_of(loader, 42, 4, start=start)]
    assert rest == fitted == whole[start:]


def test_drop_last_leaves_out_the_batch_with_fewer_columns() -> None:
    tokens = TokenArray.from_lists([list(range(23))])
    sizes = [
        [x.shape[1] for x, _ in StreamLoader(tokens, batch_size=2, seq_len=4, drop_last=last)]
        for last in (False, True)
    ]
    assert sizes == [[4, 4, 3], [4, 4]]


def test_inputs_and_targets_share_no_memory() -> None:
    loader = StreamLoader(TokenArray.from_lists([list(range(20))]), batch_size=2, seq_len=5)
    for inputs, targets in loader:
        kept = targets.clone()
        inputs.zero_()
        assert torch.equal(targets, kept)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_mapped_corpus_is_read_where_it_lies(tmp_path: Path, shuffle: bool) -> None:
    """What is fetched at once is a block, whatever the corpus' size."""
    draw = np.random.default_rng(0)
    documents = [draw.integers(0, 60_000, n).tolist() for n in draw.integers(0, 200, 300)]
    TokenArray.from_lists(documents).save(tmp_path / "corpus")
    mapped = TokenArray.open(tmp_path / "corpus")
    options = {"batch_size": 8, "seq_len": 16, "shuffle": shuffle}
    inside = StreamLoader(TokenArray.from_lists(documents), **options)
    loader = StreamLoader(mapped, **options)
    largest = 0
    spans = stream.Stream.spans

    def watched(self: stream.Stream, starts: np.ndarray, length: int) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(starts) * length)
        assert self.ids is mapped.ids  # no copy of the corpus
        return spans(self, starts, length)

    expected = as_lists(inside)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BLOCK", 1000)
        patch.setattr(stream.Stream, "spans", watched)
        assert as_lists(loader) == expected
    assert 0 < largest <= 1000


@pytest.mark.row(55)
@pytest.mark.parametrize("preset", ["awd_lstm", "lstm", "gru", "rnn"])
def test_the_carried_state_makes_the_batches_one_long_pass(preset: str) -> None:
    tokens = TokenArray.from_lists([[int(n) for n in np.random.default_rng(0).integers(0, 30, 90)]])
    loader = StreamLoader(tokens, batch_size=6, seq_len=5)
    description = language_description(preset, 30, embedding_dim=12, hidden_dim=16)
    model = create_language_model(description, seed=0).eval()
    with torch.no_grad():
        pieces = torch.cat([model(inputs) for inputs, _ in loader], dim=2)
        model.reset()
        whole = model(torch.cat([inputs for inputs, _ in loader], dim=1))
        model.reset()
        alone = model(list(loader)[1][0])
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)
    assert (alone - whole[:, :, 5:10]).abs().max() > 1e-4  # the state does matter


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"batch_size": 0},
            "`StreamLoader` needs `batch_size` and `seq_len` of at least 1. Got 0 and 5.",
        ),
        (
            {"batch_size": 2, "seq_len": 0},
            "`StreamLoader` needs `batch_size` and `seq_len` of at least 1. Got 2 and 0.",
        ),
        (
            {"batch_size": 8},
            "`StreamLoader` got 7 tokens for 8 rows, expected 8 or more. Give more text, or a smaller "
            "`batch_size`.",
        ),
        (
            {"batch_size": 2, "drop_last": True},
            "`StreamLoader` got 7 tokens for 2 rows, expected 10 or more. Give more text, or a smaller "
            "`batch_size`.",
        ),
    ],
)
def test_what_gives_no_batch_is_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StreamLoader(TokenArray.from_lists([[1, 2, 3, 4], [5, 6, 7]]), **{"seq_len": 5, **options})
    assert str(caught.value) == message
