"""Documents in batches: padded to the batch's own longest, and put together by length.

What is padded is computed for nothing. So documents of about equal length go into one batch: in
training those that are near in length within a neighbourhood that is drawn anew each epoch, elsewhere all
of them sorted. How much was padded can be asked:

    >>> tokens = TokenArray.from_lists([[7, 8, 9], [7], [7, 8], [7]])
    >>> data = PaddedData(tokens, torch.tensor([0, 1, 0, 1]), pad_id=1)
    >>> LengthLoader(data, batch_size=2).padding(0)
    Padding(real=7, padded=1)

Letters: N documents, B batch, T tokens of the batch's longest document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from drivetrain.data.loaders import BatchLoader
from drivetrain.data.tokens import TokenArray, offsets_of
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.randomness import permutation

NEIGHBOURHOOD = 50
"""Batches' worth of documents that are sorted together in training."""


class Padding(NamedTuple):
    """What the batches of an epoch hold."""

    real: int
    """Tokens of documents."""
    padded: int
    """Tokens that stand after a document's end."""

    @property
    def share(self) -> float:
        """Of all tokens, those that are padded, in [0, 1)."""
        return self.padded / max(1, self.real + self.padded)


class PaddedData:
    """Documents as a batch-first data set.

    A batch is (tokens (B, T) int64, lengths (B,) int64, targets): a model is called with the first two.

    Args:
        tokens: N documents.
        targets: (N, …), what each is to be told as.
        pad_id: stands after a document's end.
        max_len: tokens of a document at most, see `shortened`; None for all.
        ids: (N,) a name for each.
    Raises: ShapeError: not as many targets or names as documents. ConfigError: `max_len` is below 1.
    """

    def __init__(
        self,
        tokens: TokenArray,
        targets: Tensor,
        *,
        pad_id: int,
        max_len: int | None = None,
        ids: Sequence[str] | None = None,
    ) -> None:
        for what, given in (("targets", targets), ("ids", ids)):
            if given is not None and len(given) != len(tokens):
                raise ShapeError(
                    f"`PaddedData` got {len(given)} {what} for {len(tokens)} documents."
                )
        self.tokens = tokens if max_len is None else shortened(tokens, max_len)
        self.targets = targets
        self.pad_id = pad_id
        self.ids = None if ids is None else list(ids)
        self.lengths = self.tokens.lengths()
        """(N,) int64."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens, lengths = padded(self.tokens.take(indices.numpy()), pad_id=self.pad_id)
        return tokens, lengths, self.targets[indices]

    def by_length(self) -> PaddedData:
        """The same documents, the longest first; of equal ones the first first."""
        order = np.argsort(-self.lengths, kind="stable")
        ids = None if self.ids is None else [self.ids[place] for place in order.tolist()]
        targets = self.targets[torch.from_numpy(order)]
        return PaddedData(self.tokens.take(order), targets, pad_id=self.pad_id, ids=ids)


def padded(tokens: TokenArray, *, pad_id: int) -> tuple[Tensor, Tensor]:
    """All documents as one rectangle: (B, T) int64 padded at the end, and lengths (B,) int64.

    T is 1 where all documents are empty.
    """
    lengths = tokens.lengths()
    width = int(lengths.max(initial=1))
    found = np.full((len(lengths), width), pad_id, dtype=np.int64)
    found[np.arange(width) < lengths[:, None]] = tokens.ids  # row by row, as the documents stand
    return torch.from_numpy(found), torch.from_numpy(lengths)


def shortened(tokens: TokenArray, max_len: int) -> TokenArray:
    """Documents of at most `max_len` tokens: of a longer one 3/8 from its start and 5/8 from its end.

    People say at the start what they speak of and at the end what they think of it.

    Raises: ConfigError: `max_len` is below 1.
    """
    if max_len < 1:
        raise ConfigError(f"`max_len` must be at least 1. Got {max_len}.")
    lengths = tokens.lengths()
    if not len(lengths) or lengths.max() <= max_len:
        return tokens
    first = max_len * 3 // 8
    base = int(tokens.offsets[0])
    ids = tokens.ids[base : int(tokens.offsets[-1])]
    position = np.arange(len(ids)) - np.repeat(tokens.offsets[:-1] - base, lengths)
    from_end = np.repeat(lengths, lengths) - position
    is_short = np.repeat(lengths <= max_len, lengths)
    is_kept = is_short | (position < first) | (from_end <= max_len - first)
    return TokenArray(ids[is_kept], offsets_of(np.minimum(lengths, max_len)))


class LengthLoader(BatchLoader):
    """Batches of documents of about one length.

    With `shuffle` the documents come in a new order each epoch, from (seed, epoch); in each
    neighbourhood of 50 batches they are sorted by length and cut into batches, and the batches are
    shuffled again. The batch that holds the longest document comes first, so that memory that does not
    suffice is noticed at once. Without `shuffle` all documents are sorted, and `data` is in that order.

    Args:
        data: the documents.
        batch_size: documents a batch, at least 1.
        shuffle, drop_last, min_batch, seed: as of `BatchLoader`.
    Raises: ConfigError: `batch_size` is below 1.
    """

    def __init__(
        self,
        data: PaddedData,
        *,
        batch_size: int = 64,
        shuffle: bool = False,
        drop_last: bool = False,
        min_batch: int = 1,
        seed: int = 42,
    ) -> None:
        super().__init__(
            data if shuffle else data.by_length(),
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            min_batch=min_batch,
            seed=seed,
        )

    def padding(self, epoch: int) -> Padding:
        """What the batches of an epoch hold."""
        return padding_of(_lengths(self), self._chunks(epoch))

    def work(self, epoch: int) -> list[float]:
        """How much each batch of an epoch is to compute: its tokens, padded ones too."""
        lengths = _lengths(self)
        return [
            float(lengths[chunk.numpy()].max(initial=1) * len(chunk))
            for chunk in self._chunks(epoch)
        ]

    def padding_at_random(self, epoch: int) -> Padding:
        """What they would hold were they drawn without regard to length."""
        return padding_of(_lengths(self), super()._chunks(epoch))

    def _chunks(self, epoch: int) -> list[Tensor]:
        chunks = super()._chunks(epoch)
        if not self.shuffle or not chunks:
            return chunks
        sizes = [len(chunk) for chunk in chunks]
        order = torch.cat(chunks).numpy()
        lengths = _lengths(self)
        near = np.arange(len(order)) // (self.batch_size * NEIGHBOURHOOD)
        order = order[np.lexsort((-lengths[order], near))]
        chunks = list(torch.from_numpy(order).split(sizes))
        mixed = permutation(len(chunks) - 1, seed=self.seed, epoch=epoch, purpose="batches")
        chunks = [chunks[place] for place in mixed.tolist()] + chunks[-1:]  # not full: stays last
        if len(chunks) > 1:
            longest = max(range(len(chunks) - 1), key=lambda k: lengths[chunks[k].numpy()].max())
            chunks.insert(0, chunks.pop(longest))
        return chunks


def padding_of(lengths: np.ndarray, chunks: Sequence[Tensor]) -> Padding:
    """What batches of documents hold: lengths (N,) and the documents of each batch."""
    real = sum(int(lengths[chunk.numpy()].sum()) for chunk in chunks)
    whole = sum(int(lengths[chunk.numpy()].max(initial=1)) * len(chunk) for chunk in chunks)
    return Padding(real, whole - real)


def _lengths(loader: BatchLoader) -> np.ndarray:
    data = loader.data
    assert isinstance(data, PaddedData), "a LengthLoader is made of them"
    return data.lengths
