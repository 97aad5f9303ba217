"""Loaders: re-iterable batches whose order is a function of (seed, epoch).

A data set here is *batch first*: `__getitems__(indices)` answers a batch, so that a table or a stack
of pictures is sliced once a batch and not once an item in Python. A torch `DataLoader` can stand in
for any loader of this module, and these work in a hand-written loop:

    >>> x = torch.arange(6.0)
    >>> loader = BatchLoader(TensorData(x, x * 2), batch_size=4)
    >>> [inputs.tolist() for inputs, targets in loader]
    [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0]]
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.randomness import permutation

Batch = Any
Transform = Callable[[Batch, Tensor, int], Batch]
"""(batch, indices of its items (B,), epoch) -> batch."""


CUT_BYTES = 1 << 26
"""Size of tensors up to which an epoch's batches are taken out at once."""


class BatchData(Protocol):
    """A data set that answers a list of indices with a batch."""

    def __len__(self) -> int:
        """Number of items."""
        ...

    def __getitems__(self, indices: Tensor) -> Batch:
        """The batch of the items at `indices`, (B,) int64."""
        ...


@dataclass(frozen=True)
class Loaders:
    """The loaders of one problem: any re-iterables of batches."""

    train: Iterable[Batch]
    """Re-iterable of training batches."""
    valid: Iterable[Batch] | None = None
    """Of validation batches; None where nothing validates."""
    test: Iterable[Batch] | None = None
    """Of test batches; None where the test part is sealed, or there is none."""


class TensorData:
    """Tensors of equal length as a batch-first data set; a batch is a tuple of their rows.

    Args:
        tensors: (N, …) each, of one length N.
    """

    def __init__(self, *tensors: Tensor) -> None:
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) != 1:
            raise ShapeError(f"`TensorData` needs tensors of equal length. Got lengths {lengths}.")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, ...]:
        return tuple([tensor[indices] for tensor in self.tensors])

    def cut(self, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """The batches of chunks of indices, taken out at once and then cut: less work a batch."""
        order, sizes = torch.cat(list(chunks)), [len(chunk) for chunk in chunks]
        return zip(*(tensor[order].split(sizes) for tensor in self.tensors), strict=True)

    def num_bytes(self) -> int:
        """What the tensors take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors)


class BatchLoader:
    """Batches of a batch-first data set, in order or shuffled anew each epoch.

    Each item comes exactly once an epoch; the last batch may be smaller unless `drop_last`. With
    `num_workers` threads the next batches are fetched ahead (decoding pictures releases Python's lock);
    the batches are the same for every number of workers. `transform` runs where the batch is used, so
    it may do its work on the model's device.

    Args:
        data: answers `__getitems__`.
        batch_size: items a batch, at least 1.
        shuffle: a new order each epoch, from (seed, epoch); otherwise the data set's order.
        drop_last: leave out a last batch that is not full.
        min_batch: a last batch with fewer items joins the one before. Batchnorm needs 2 in training.
        seed: of the order.
        num_workers: threads that fetch ahead; 0 fetches when asked.
        transform: called with (batch, indices, epoch) on each batch.
    Raises: ConfigError: `batch_size` below 1 or `num_workers` below 0.
    """

    def __init__(
        self,
        data: BatchData,
        *,
        batch_size: int = 64,
        shuffle: bool = False,
        drop_last: bool = False,
        min_batch: int = 1,
        seed: int = 42,
        num_workers: int = 0,
        transform: Transform | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"`batch_size` must be at least 1. Got {batch_size}.")
        if num_workers < 0:
            raise ConfigError(f"`num_workers` must be 0 or more. Got {num_workers}.")
        self.data = data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.min_batch = min_batch
        self.seed = seed
        self.num_workers = num_workers
        self.transform = transform
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; torch's samplers use the same name."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(len(self.data), self.batch_size)
        joins = full and rest < self.min_batch
        return full + (1 if rest and not self.drop_last and not joins else 0)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(self.epoch)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the `start`-th on; those before it are not fetched."""
        transform = self.transform
        chunks = self._chunks(epoch)[start:]
        fetch = self.data.__getitems__
        if self.num_workers:
            batches = _ahead(fetch, chunks, self.num_workers)
        elif chunks and _can_be_cut(self.data):
            batches = self.data.cut(chunks)
        else:
            batches = map(fetch, chunks)
        try:
            if transform is None:
                yield from batches
            else:
                for indices, batch in zip(chunks, batches, strict=True):
                    yield transform(batch, indices, epoch)
        finally:  # the reader or the transform stopped early: end the workers now
            if isinstance(batches, Generator):
                batches.close()

    def item_ids(self, epoch: int, number: int) -> list[str]:
        """The ids of the items in a batch of an epoch: the data set's `ids`, else their indices."""
        indices = self._chunks(epoch)[number].tolist()
        ids = getattr(self.data, "ids", None)
        return [str(index) if ids is None else ids[index] for index in indices]

    def _chunks(self, epoch: int) -> list[Tensor]:
        """The indices of each batch of an epoch, (B,) int64 each."""
        count = len(self.data)
        if self.shuffle:
            order = permutation(count, seed=self.seed, epoch=epoch)
        else:
            order = torch.arange(count)
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        chunks = [order[start : start + self.batch_size] for start in starts]
        if chunks and not self.drop_last:
            chunks[-1] = order[starts[-1] :]  # a rest below `min_batch` among them
        return chunks


def _can_be_cut(data: BatchData) -> TypeGuard[TensorData]:
    """Whether batches are rows of tensors as they are, small enough to hold a second time."""
    return (
        isinstance(data, TensorData)
        and type(data).__getitems__ is TensorData.__getitems__
        and data.num_bytes() <= CUT_BYTES
    )


def _ahead(
    fetch: Callable[[Tensor], Batch], chunks: list[Tensor], num_workers: int
) -> Iterator[Batch]:
    """Fetch in threads, at most two batches a worker ahead, and yield in order."""
    with ThreadPoolExecutor(num_workers, thread_name_prefix="drivetrain-loader") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(fetch, chunk))
                if len(waiting) > 2 * num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # the reader stopped early: do not decode for nobody
                future.cancel()
