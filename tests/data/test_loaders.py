"""Loaders: each item once an epoch, the same batches for any number of workers, errors that arrive."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.randomness import item_keys, uniforms

WORKERS = pytest.mark.parametrize("num_workers", [0, 1, 2])


class Slow:
    """Data that notes who asked for what; later batches come faster, to tempt them past others."""

    def __init__(self, count: int, *, fail_at: int | None = None, pause: float = 0.0) -> None:
        self.count, self.fail_at, self.pause = count, fail_at, pause
        self.asked: list[list[int]] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked.append(indices.tolist())
        self.threads.add(threading.current_thread().name)
        if self.fail_at in indices.tolist():
            raise ValueError(f"item {self.fail_at} cannot be read")
        time.sleep(self.pause * (1 if int(indices[0]) % 2 else 0.1))
        return indices.float(), indices


def seen(loader) -> list[list[int]]:
    return [targets.tolist() for _, targets in loader]


# --- row 5: an epoch ------------------------------------------------------------------------------


@pytest.mark.row(5)
@WORKERS
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_item_comes_once_an_epoch_and_the_last_partial_batch_is_kept(num_workers, shuffle):
    loader = BatchLoader(Slow(23), batch_size=5, shuffle=shuffle, num_workers=num_workers)
    for epoch in range(3):
        loader.set_epoch(epoch)
        batches = seen(loader)
        assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
        assert sorted(sum(batches, [])) == list(range(23))  # noqa: RUF017 - five short lists


@pytest.mark.row(5)
def test_last_partial_batch_is_left_out_only_when_asked():
    loader = BatchLoader(Slow(23), batch_size=5, drop_last=True)
    assert [len(batch) for batch in seen(loader)] == [5, 5, 5, 5]
    assert len(loader) == 4


@pytest.mark.row(5)
@given(count=st.integers(0, 60), batch_size=st.integers(1, 20), drop_last=st.booleans())
@settings(deadline=None)
def test_length_is_the_number_of_batches(count, batch_size, drop_last):
    data = TensorData(torch.arange(count), torch.arange(count))
    loader = BatchLoader(data, batch_size=batch_size, drop_last=drop_last, shuffle=True)
    batches = seen(loader)
    assert (
        len(batches)
        == len(loader)
        == (count // batch_size if drop_last else -(-count // batch_size))
    )
    assert len(set(sum(batches, []))) == (len(batches) * batch_size if drop_last else count)  # noqa: RUF017


@pytest.mark.row(5)
@given(
    count=st.integers(0, 60),
    batch_size=st.integers(1, 20),
    min_batch=st.integers(1, 4),
    drop_last=st.booleans(),
)
@settings(deadline=None)
def test_rest_below_the_smallest_batch_joins_the_one_before(
    count, batch_size, min_batch, drop_last
):
    data = TensorData(torch.arange(count), torch.arange(count))
    loader = BatchLoader(data, batch_size=batch_size, min_batch=min_batch, drop_last=drop_last)
    full, rest = divmod(count, batch_size)
    expected = [batch_size] * full
    if rest and not drop_last:
        if full and rest < min_batch:
            expected[-1] += rest
        else:
            expected.append(rest)
    batches = seen(loader)
    assert [len(batch) for batch in batches] == expected
    assert len(loader) == len(expected)
    assert sum(batches, []) == list(range(sum(expected)))  # noqa: RUF017 - a few short lists


def test_without_shuffling_the_order_is_the_datas():
    assert seen(BatchLoader(Slow(5), batch_size=2)) == [[0, 1], [2, 3], [4]]


def test_loader_can_be_read_again_and_by_two_at_once():
    loader = BatchLoader(Slow(9), batch_size=2, shuffle=True, num_workers=1)
    first = seen(loader)
    assert seen(loader) == first
    together = list(zip(loader, loader, strict=True))
    assert (
        [one[1].tolist() for one, _ in together]
        == [two[1].tolist() for _, two in together]
        == first
    )


# --- rows 11 and 103: order and bits --------------------------------------------------------------


def augmented(num_workers: int, seed: int = 42) -> list[torch.Tensor]:
    """Two epochs of batches with draws for each item."""
    keys = item_keys([f"{i}.png" for i in range(50)])

    def shift(batch, indices, epoch):
        inputs, targets = batch
        draws = uniforms(keys[indices.numpy()], 2, seed=seed, purpose="shift", epoch=epoch)
        return inputs * draws[:, 0] + draws[:, 1], targets

    loader = BatchLoader(
        Slow(50, pause=0.002),
        batch_size=7,
        shuffle=True,
        seed=seed,
        num_workers=num_workers,
        transform=shift,
    )
    batches = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        batches += [torch.stack([inputs, targets.float()]) for inputs, targets in loader]
    return batches


@pytest.mark.row(11)
@pytest.mark.row(103)
@WORKERS
def test_order_and_bits_are_the_same_for_any_number_of_workers(num_workers):
    expected, found = augmented(0), augmented(num_workers)
    assert len(found) == 16
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.row(103)
def test_another_seed_gives_another_order_and_other_draws():
    assert not torch.equal(augmented(0, seed=1)[0], augmented(0, seed=2)[0])


@pytest.mark.row(11)
def test_order_is_a_function_of_seed_and_epoch_and_of_nothing_else():
    loader = BatchLoader(Slow(30), batch_size=30, shuffle=True)
    first, again, other = [], [], []
    for epoch, orders in ((0, first), (1, other), (0, again)):
        torch.rand(3)  # what is drawn in between does not matter
        loader.set_epoch(epoch)
        orders += seen(loader)
    assert first == again != other


def test_epoch_set_while_reading_is_for_the_next_pass():
    loader = BatchLoader(Slow(12), batch_size=3, shuffle=True, num_workers=1)
    expected = seen(loader)
    batches = iter(loader)
    found = [next(batches)[1].tolist()]
    loader.set_epoch(5)
    found += [targets.tolist() for _, targets in batches]
    assert found == expected


@WORKERS
def test_transform_is_given_batch_indices_and_epoch_and_runs_with_the_reader(num_workers):
    calls = []

    def note(batch, indices, epoch):
        calls.append((batch[1].tolist(), indices.tolist(), epoch, threading.current_thread().name))
        return batch

    loader = BatchLoader(Slow(5), batch_size=3, num_workers=num_workers, transform=note)
    loader.set_epoch(4)
    assert seen(loader) == [[0, 1, 2], [3, 4]]
    here = threading.current_thread().name
    assert calls == [([0, 1, 2], [0, 1, 2], 4, here), ([3, 4], [3, 4], 4, here)]


# --- threads --------------------------------------------------------------------------------------


def test_workers_fetch_and_the_reader_does_not():
    data = Slow(12, pause=0.005)
    seen(BatchLoader(data, batch_size=2, num_workers=2))
    assert data.threads
    assert all(name.startswith("drivetrain-loader") for name in data.threads)
    seen(BatchLoader(data, batch_size=2))
    assert threading.current_thread().name in data.threads


@WORKERS
def test_error_in_a_worker_reaches_the_reader_at_its_batch(num_workers):
    batches = iter(BatchLoader(Slow(20, fail_at=9), batch_size=4, num_workers=num_workers))
    assert next(batches)[1].tolist() == [0, 1, 2, 3]
    assert next(batches)[1].tolist() == [4, 5, 6, 7]
    with pytest.raises(ValueError, match=r"^item 9 cannot be read$"):
        next(batches)
    assert loader_threads() == []


@pytest.mark.parametrize("num_workers", [1, 2])
def test_reader_that_stops_early_ends_the_workers(num_workers):
    data = Slow(4000, pause=0.001)
    batches = iter(BatchLoader(data, batch_size=4, num_workers=num_workers))
    next(batches)
    assert loader_threads()
    batches.close()
    assert loader_threads() == []
    assert len(data.asked) <= 2 + 3 * num_workers  # what was ahead, not the rest of the 1000


def test_batches_that_wait_for_a_worker_are_not_fetched_for_a_reader_that_left():
    data = Slow(40)
    started, may_end = threading.Event(), threading.Event()
    fetch = data.__getitems__

    class Gated:
        __len__ = data.__len__

        def __getitems__(self, indices):
            if int(indices[0]) > 0:
                started.set()
                may_end.wait(5)
            return fetch(indices)

    batches = iter(BatchLoader(Gated(), batch_size=4, num_workers=1))
    next(batches)
    assert started.wait(5)  # the second batch is in work, the third waits
    threading.Timer(0.1, may_end.set).start()
    batches.close()
    assert data.asked == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_reader_that_breaks_out_of_a_transformed_loop_ends_the_workers():
    loader = BatchLoader(
        Slow(4000), batch_size=4, num_workers=2, transform=lambda batch, indices, epoch: batch
    )
    for _ in loader:
        break
    assert loader_threads() == []


def test_workers_run_at_most_two_batches_each_ahead():
    data = Slow(400)
    batches = iter(BatchLoader(data, batch_size=4, num_workers=2))
    next(batches)
    time.sleep(0.05)
    assert len(data.asked) <= 5
    batches.close()


def loader_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("drivetrain-loader")]


# --- data and refusals ----------------------------------------------------------------------------


@WORKERS
def test_empty_data_has_no_batches(num_workers):
    loader = BatchLoader(Slow(0), batch_size=4, shuffle=True, num_workers=num_workers)
    assert seen(loader) == []
    assert len(loader) == 0


def test_tensor_data_answers_rows_of_every_tensor():
    data = TensorData(torch.arange(10).reshape(5, 2), torch.arange(5.0), torch.tensor([True] * 5))
    inputs, targets, mask = data.__getitems__(torch.tensor([4, 0]))
    assert inputs.tolist() == [[8, 9], [0, 1]]
    assert targets.tolist() == [4.0, 0.0]
    assert mask.tolist() == [True, True]
    assert len(data) == 5


def test_tensors_of_unequal_length_are_refused():
    with pytest.raises(ShapeError) as caught:
        TensorData(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3))
    assert str(caught.value) == "`TensorData` needs tensors of equal length. Got lengths [3, 2, 3]."


def test_no_tensors_are_refused():
    with pytest.raises(ShapeError) as caught:
        TensorData()
    assert str(caught.value) == "`TensorData` needs tensors of equal length. Got lengths []."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1. Got 0."),
        ({"num_workers": -1}, "`num_workers` must be 0 or more. Got -1."),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        BatchLoader(Slow(3), **settings)
    assert str(caught.value) == message


def test_loaders_hold_any_iterables():
    loaders = Loaders(train=[(1, 2)])
    assert (loaders.valid, loaders.test) == (None, None)
    with pytest.raises(AttributeError):
        loaders.train = []  # pyright: ignore[reportAttributeAccessIssue]


def test_torchs_own_loader_reads_the_same_data():
    data = TensorData(torch.arange(6.0), torch.arange(6))
    loader = torch.utils.data.DataLoader(data, batch_size=4, collate_fn=lambda batch: batch)  # pyright: ignore[reportArgumentType]
    assert [targets.tolist() for _, targets in loader] == [[0, 1, 2, 3], [4, 5]]


def test_batches_that_are_cut_from_an_epoch_are_those_that_are_fetched() -> None:
    class Fetched(TensorData):
        def __getitems__(self, indices: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return super().__getitems__(indices)

    rows = torch.arange(23)
    for options in ({}, {"drop_last": True}, {"min_batch": 4}, {"shuffle": True}):
        given = {"batch_size": 5, "seed": 3, **options}
        cut, fetched = (
            BatchLoader(kind(rows, rows * 2), **given) for kind in (TensorData, Fetched)
        )
        for epoch, start in ((0, 0), (1, 2), (1, 4)):
            one, two = (list(loader.batches(epoch, start=start)) for loader in (cut, fetched))
            assert [[t.tolist() for t in b] for b in one] == [[t.tolist() for t in b] for b in two]
            assert one or start == len(cut)
